//! Findings in documents that an operator wrote: where, what, why, and what to do.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look; nothing is stopped.
    Warning,
    /// Nothing is started.
    Error,
}

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// File, as the operator named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A remark on a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// How grave.
    pub severity: Severity,
    /// What is wrong, and why that matters.
    pub what: String,
    /// The likely mend.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {severity}: {}", self.place, self.what)?;
        if !self.fix.is_empty() {
            write!(f, "\n    fix: {}", self.fix)?;
        }
        Ok(())
    }
}

/// A document's text, which turns byte ranges into places.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    /// The text of a file, as the operator named it.
    #[must_use]
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// A line without its end, counted from 1.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&'a str> {
        let begin = *self.lines.get(number.checked_sub(1)?)?;
        self.text.get(begin..)?.lines().next()
    }

    /// The place at which a range begins.
    #[must_use]
    pub fn place(&self, range: &Range<usize>) -> Place {
        let start = range.start.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= start);
        let begin = line.checked_sub(1).and_then(|at| self.lines.get(at));
        let before = self.text.get(begin.copied().unwrap_or(0)..start);
        Place {
            file: self.file.to_owned(),
            line,
            column: before.unwrap_or_default().chars().count() + 1,
        }
    }
}

/// The candidate that `word` was most likely meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    scored
        .filter(|(distance, _)| *distance <= word.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_lines_from_one() {
        let source = Source::new("t.toml", "a\näö = 1\n");
        let at = "a\näö = 1\n".find('=').unwrap();
        assert_eq!(source.place(&(at..at + 1)).to_string(), "t.toml:2:4");
        assert_eq!(source.place(&(0..1)).to_string(), "t.toml:1:1");
        // Where the text ends too early, its end is shown.
        assert_eq!(source.place(&(99..100)).to_string(), "t.toml:3:1");
        let lines: Vec<_> = (0..4).map(|line| source.line(line)).collect();
        assert_eq!(lines, [None, Some("a"), Some("äö = 1"), None]);
    }

    #[test]
    fn a_typo_finds_its_word() {
        assert_eq!(nearest("serrves", ["serves", "hosts"]), Some("serves"));
        assert_eq!(nearest("zzz", ["serves", "hosts"]), None);
    }
}
