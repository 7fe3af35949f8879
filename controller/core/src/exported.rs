//! Documents of settings that Connect servers have exported: what each told of its newest one and of the one before, and two of them
//! held against each other (product facts 2.6: a comparison by which an import is verified [P]).

use std::collections::BTreeMap;

use protocol::exported::ExportedSettings;
use protocol::{TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::settings::Differs;

/// What a server told of its newest export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSeen {
    /// When it was told.
    pub at: Timestamp,
    /// What it is.
    pub export: ExportedSettings,
    /// The one that it told before, where that has other bytes.
    pub before: Option<Box<ExportedSettings>>,
}

/// Of each server what it told last.
pub type Exports = BTreeMap<TargetId, ExportSeen>;

/// Keeps what a server told; the newest of other bytes stays beside it.
pub(crate) fn tell(
    exports: &mut Exports,
    target: &TargetId,
    at: Timestamp,
    export: &ExportedSettings,
) {
    let before = exports.remove(target).and_then(|seen| {
        if seen.export.sha256 == export.sha256 {
            seen.before
        } else {
            Some(Box::new(seen.export))
        }
    });
    let seen = ExportSeen {
        at,
        export: export.clone(),
        before,
    };
    exports.insert(target.clone(), seen);
}

/// How two documents differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportDifference {
    /// What differs, sorted.
    pub rows: Vec<Differs>,
    /// How many values are ids on both sides, and others: each installation has its own.
    pub ids: usize,
    /// Why something could not be compared, a sentence each.
    pub untold: Vec<String>,
}

impl ExportDifference {
    /// Holds two documents against each other, each with the words that it goes by.
    #[must_use]
    pub fn of(one: (&str, &ExportedSettings), other: (&str, &ExportedSettings)) -> Self {
        let mut untold = Vec::new();
        for (name, export) in [one, other] {
            if let Some(why) = &export.unread {
                untold.push(format!("{} of {name}: {why}", export.file));
            }
        }
        let ((_, first), (_, second)) = (one, other);
        if !untold.is_empty() || first.says == second.says {
            return Self {
                rows: Vec::new(),
                ids: 0,
                untold,
            };
        }
        // A list may hold one value twice.
        let mut all: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for row in &first.rows {
            all.entry(&row.path).or_default().0.push(&row.value);
        }
        for row in &second.rows {
            all.entry(&row.path).or_default().1.push(&row.value);
        }
        let (mut rows, mut ids) = (Vec::new(), 0);
        for (path, (left, right)) in all {
            if left == right {
                continue;
            }
            if are_ids(&left) && are_ids(&right) {
                ids += 1;
                continue;
            }
            let shown = |values: Vec<&str>| (!values.is_empty()).then(|| values.join("; "));
            rows.push(Differs {
                what: path.to_owned(),
                first: shown(left),
                second: shown(right),
            });
        }
        if first.beyond > 0 || second.beyond > 0 {
            untold.push(format!(
                "what is beyond the rows that are carried ({} of {}, {} of {}): all of it differs somewhere, as the digests say",
                first.beyond, one.0, second.beyond, other.0
            ));
        }
        Self { rows, ids, untold }
    }

    /// Whether both say the same but for the ids of their installations, and all of both was read.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.rows.is_empty() && self.untold.is_empty()
    }
}

fn are_ids(values: &[&str]) -> bool {
    !values.is_empty() && values.iter().all(|value| is_id(value))
}

/// A GUID, in braces or without.
fn is_id(value: &str) -> bool {
    let value = value.trim_start_matches('{').trim_end_matches('}');
    let parts: Vec<&str> = value.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use protocol::Digest;
    use protocol::exported::ExportedRow;

    use super::*;

    fn of(rows: &[(&str, &str)]) -> ExportedSettings {
        let row = |(path, value): &(&str, &str)| ExportedRow {
            path: (*path).to_owned(),
            value: (*value).to_owned(),
        };
        let text = format!("{rows:?}");
        ExportedSettings::of(
            ("a.JSON".to_owned(), Timestamp::from_millis(0)),
            (text.len() as u64, Digest::of(text.as_bytes())),
            Ok(rows.iter().map(row).collect()),
        )
    }

    const ID: &str = "6a1f0000-0000-0000-0000-000000000001";
    const OTHER: &str = "{7B2E0000-0000-0000-0000-000000000002}";

    #[test]
    fn a_row_is_what_is_on_one_side_alone_or_has_another_value_and_ids_are_counted() {
        let one = of(&[
            ("a", "1"),
            ("b", "x"),
            ("b", "y"),
            ("id", ID),
            ("only", "1"),
            ("key", ID),
        ]);
        let other = of(&[
            ("a", "2"),
            ("b", "y"),
            ("b", "x"),
            ("id", OTHER),
            ("new", "1"),
            ("key", "k"),
        ]);
        let differ = ExportDifference::of(("c1", &one), ("c2", &other));
        let rows: Vec<_> = differ
            .rows
            .iter()
            .map(|row| {
                (
                    row.what.as_str(),
                    row.first.as_deref(),
                    row.second.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("a", Some("1"), Some("2")),
                ("key", Some(ID), Some("k")),
                ("new", None, Some("1")),
                ("only", Some("1"), None),
            ]
        );
        assert_eq!((differ.ids, differ.untold.len()), (1, 0));
        assert!(!differ.is_none());
        assert!(ExportDifference::of(("c1", &one), ("c2", &one)).is_none());
        let alike = ExportDifference::of(("c1", &of(&[("id", ID)])), ("c2", &of(&[("id", OTHER)])));
        assert!(alike.is_none() && alike.ids == 1);
    }

    /// Nothing that was not read is taken for equal, nor what is beyond the limits.
    #[test]
    fn what_is_unread_or_not_carried_is_never_equal() {
        let mut unread = of(&[]);
        unread.unread = Some("it is no JSON".to_owned());
        let differ = ExportDifference::of(("c1", &unread), ("c2", &unread));
        assert!(
            !differ.is_none() && differ.untold[0].contains("c1"),
            "{differ:?}"
        );
        let names: Vec<String> = (0..1500).map(|at| format!("{at:05}")).collect();
        let many = |last: &str| {
            let mut rows: Vec<(&str, &str)> =
                names.iter().map(|name| (name.as_str(), "1")).collect();
            rows.last_mut().unwrap().1 = last;
            of(&rows)
        };
        let differ = ExportDifference::of(("c1", &many("1")), ("c2", &many("2")));
        assert!(differ.rows.is_empty() && !differ.is_none(), "{differ:?}");
        assert!(ExportDifference::of(("c1", &many("1")), ("c2", &many("1"))).is_none());
    }

    #[test]
    fn the_export_before_is_the_newest_of_other_bytes() {
        let target: TargetId = "c1.a.test".parse().unwrap();
        let (one, two) = (of(&[("a", "1")]), of(&[("a", "2")]));
        let mut exports = Exports::new();
        for export in [&one, &one, &two, &two] {
            tell(&mut exports, &target, Timestamp::from_millis(1), export);
        }
        let seen = &exports[&target];
        assert_eq!(seen.export, two);
        assert_eq!(seen.before.as_deref(), Some(&one));
    }
}
