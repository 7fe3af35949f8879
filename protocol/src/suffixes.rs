//! How many users of a domain have which suffix of the user principal name (PF57, product facts 1.7: it is to be a verified domain), as
//! one line of text. Agents count and write it; the controller reads it and holds it against the tenant, which an agent does not see.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Suffixes that are told at most.
const TOLD: usize = 8;

const NONE: &str = "no user principal name";
const MORE: &str = "more suffixes";
const FIRST: &str = "of the first ";
const OBJECTS: &str = " objects: ";
const UNDER: &str = " under ";

/// Users by their suffix, the largest number first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSuffixes {
    /// After how many objects the count ended, where it did not see all.
    pub first: Option<u64>,
    /// How many users have which suffix, in lower case; empty for those without a user principal name.
    pub rows: Vec<(String, u64)>,
    /// There are more than are told.
    pub more: bool,
}

impl UserSuffixes {
    /// What was counted. `more`: the count itself left suffixes out.
    #[must_use]
    pub fn of(counted: &BTreeMap<String, u64>, first: Option<u64>, more: bool) -> Self {
        let mut rows: Vec<(String, u64)> = counted
            .iter()
            .map(|(suffix, users)| (suffix.clone(), *users))
            .collect();
        rows.sort_by(|(one, fewer), (other, more)| more.cmp(fewer).then_with(|| one.cmp(other)));
        let more = more || rows.len() > TOLD;
        rows.truncate(TOLD);
        Self { first, rows, more }
    }

    /// Whether every user was counted, and every suffix is told.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.first.is_none() && !self.more
    }
}

impl fmt::Display for UserSuffixes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.first {
            write!(out, "{FIRST}{first}{OBJECTS}")?;
        }
        for (place, (suffix, users)) in self.rows.iter().enumerate() {
            let between = if place > 0 { ", " } else { "" };
            let suffix = if suffix.is_empty() { NONE } else { suffix };
            write!(out, "{between}{users}{UNDER}{suffix}")?;
        }
        if self.more {
            let between = if self.rows.is_empty() { "" } else { ", " };
            write!(out, "{between}{MORE}")?;
        }
        Ok(())
    }
}

/// It is no such line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not say how many users have which suffix")]
pub struct NoSuffixes;

impl FromStr for UserSuffixes {
    type Err = NoSuffixes;

    /// Reads what [`Display`](fmt::Display) wrote.
    fn from_str(text: &str) -> Result<Self, NoSuffixes> {
        let (first, rest) = match text.strip_prefix(FIRST) {
            Some(rest) => {
                let (first, rest) = rest.split_once(OBJECTS).ok_or(NoSuffixes)?;
                (Some(first.parse().map_err(|_| NoSuffixes)?), rest)
            }
            None => (None, text),
        };
        let (mut rows, mut more) = (Vec::new(), false);
        for part in rest.split(", ") {
            if part == MORE {
                more = true;
                continue;
            }
            let (users, suffix) = part.split_once(UNDER).ok_or(NoSuffixes)?;
            let users = users.parse().map_err(|_| NoSuffixes)?;
            let suffix = if suffix == NONE { "" } else { suffix };
            rows.push((suffix.to_owned(), users));
        }
        Ok(Self { first, rows, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let rows = rows
            .iter()
            .map(|(suffix, users)| ((*suffix).to_owned(), *users));
        rows.collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let rows = counted(&[("a.test", 3), ("", 1), ("contoso.com", 600)]);
        let many: Vec<String> = (0..12).map(|number| format!("s{number}.test")).collect();
        let many = counted(
            &many
                .iter()
                .map(|name| (name.as_str(), 1))
                .collect::<Vec<_>>(),
        );
        for (one, text) in [
            (
                UserSuffixes::of(&rows, None, false),
                "600 under contoso.com, 3 under a.test, 1 under no user principal name",
            ),
            (
                UserSuffixes::of(&counted(&[("a.test", 2)]), Some(150_000), true),
                "of the first 150000 objects: 2 under a.test, more suffixes",
            ),
            (UserSuffixes::of(&counted(&[]), None, true), "more suffixes"),
        ] {
            assert_eq!(one.to_string(), text);
            assert_eq!(text.parse(), Ok(one));
        }
        let many = UserSuffixes::of(&many, None, false);
        assert!(many.more && many.rows.len() == TOLD && !many.is_whole());
        assert_eq!(many.to_string().parse(), Ok(many));
    }

    #[test]
    fn other_words_are_no_counts() {
        for text in [
            "",
            "this account is shown no users, or there are none",
            "many under a.test",
        ] {
            assert_eq!(text.parse::<UserSuffixes>(), Err(NoSuffixes), "{text}");
        }
    }
}
