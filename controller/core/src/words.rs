//! Many names in few words.

use std::fmt::Display;

/// The first of them by name, and how many more there are.
#[must_use]
pub fn few<T: Display>(all: &[T], most: usize) -> String {
    let named = all.iter().take(most).map(ToString::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::few;

    #[test]
    fn of_many_the_first_are_named() {
        for (most, said) in [
            (3, "a, b, c"),
            (4, "a, b, c"),
            (2, "a, b and 1 more"),
            (1, "a and 2 more"),
        ] {
            assert_eq!(few(&["a", "b", "c"], most), said);
        }
        assert_eq!(few::<&str>(&[], 2), "");
    }
}
