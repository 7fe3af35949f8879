//! The only place that prints.

use std::io::{IsTerminal as _, Write as _};

use controller_core::fleet::{AtWork, Stopped};
use serde::Serialize;

/// Prints data. A reader that went away is no failure of ours.
pub(crate) fn print(text: &str) {
    drop(writeln!(
        std::io::stdout().lock(),
        "{}",
        plain(text.trim_end_matches('\n'))
    ));
}

/// Prints anything that is not data.
pub(crate) fn error(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{}", plain(text)));
}

/// A text without signs that a terminal obeys: names, reasons and log lines come from servers, one of which may not even be
/// approved yet, and must not repaint what an operator compares.
pub(crate) fn plain(text: &str) -> String {
    let obeyed = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\t');
    // What turns the direction of writing hides as well as any.
    let turns = |sign: char| matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|sign| {
            if obeyed(sign) || turns(sign) {
                '\u{fffd}'
            } else {
                sign
            }
        })
        .collect()
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The order by which everything stands still, who is at work meanwhile, and what lifts it.
pub(crate) fn frozen(order: &Stopped, at_work: Option<&AtWork>) -> String {
    // A controller of the version before does not tell who is.
    let at_work = at_work.map(|at_work| format!("\n{}", at_work.sentence()));
    let at_work = at_work.unwrap_or_default();
    format!(
        "THE FLEET IS FROZEN since {} by {}: {}{at_work}\nentrain thaw --all lifts it",
        order.since, order.by, order.why
    )
}

/// So many things, in words.
pub(crate) fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// True when a person looks at standard error.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A table with aligned columns.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (width, cell) in widths.iter().zip(cells) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_does_not_move_the_cursor() {
        assert_eq!(
            plain("key \u{1b}[2K\rab\tc\nd\u{202e}e"),
            "key \u{fffd}[2K\u{fffd}ab\tc\nd\u{fffd}e"
        );
        assert_eq!(plain("Gr\u{fc}n"), "Gr\u{fc}n");
    }
}
