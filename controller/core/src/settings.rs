//! Whether two Connect servers would synchronize the same: the settings that each told last, held against each other (guard
//! rail G4, PV32). What one of them could not tell differs from whatever the other said.

use std::collections::{BTreeMap, BTreeSet};

use protocol::settings::{ConnectSettings, SettingsPart};
use protocol::{Digest, Generation, TargetId, Timestamp, Version};
use serde::{Deserialize, Serialize};

/// What a server told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsSeen {
    /// When it was told.
    pub at: Timestamp,
    /// In which run.
    pub generation: Generation,
    /// Which version of Connect it had then, as its facts told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What it is.
    pub settings: ConnectSettings,
}

/// Of each server what it told last.
pub type Settings = BTreeMap<TargetId, SettingsSeen>;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Differs {
    /// What.
    pub what: String,
    /// What it is on the first server; absent where that has no such thing.
    pub first: Option<String>,
    /// The same of the second.
    pub second: Option<String>,
}

/// All that differs between two servers. Which of the two is asked about changes nothing: the first is the one whose name
/// comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The first server.
    pub first: TargetId,
    /// The second one.
    pub second: TargetId,
    /// What differs, sorted; nothing where all is equal.
    pub rows: Vec<Differs>,
    /// Why a part could not be compared, a sentence each.
    pub untold: Vec<String>,
    /// What an approval names: it holds for this difference and no other.
    pub digest: Digest,
}

impl Difference {
    /// Holds the settings of two servers against each other.
    ///
    /// # Panics
    /// Never: rows have only string keys.
    #[must_use]
    pub fn of(one: (&TargetId, &ConnectSettings), other: (&TargetId, &ConnectSettings)) -> Self {
        let ((first, left), (second, right)) = if one.0 <= other.0 {
            (one, other)
        } else {
            (other, one)
        };
        let sides = [(first, left), (second, right)];
        let mut untold = Vec::new();
        let mut unread = BTreeMap::new();
        for (server, settings) in sides {
            for part in &settings.unread {
                unread.insert((server, part.part), part.why.as_str());
                let part_name = part.part.as_str();
                untold.push(format!("{part_name} of {server}: {}", part.why));
            }
        }
        let is_unread = |part: SettingsPart| unread.keys().any(|(_, one)| *one == part);
        let mut rows = Vec::new();
        let (mut all, theirs) = (named(left), named(right));
        for (name, value) in theirs {
            all.entry(name).or_default().1 = value.0;
        }
        for ((part, name), (first, second)) in all {
            if first != second && !is_unread(part) {
                rows.push(Differs {
                    what: format!("{}: {name}", part.as_str()),
                    first,
                    second,
                });
            }
        }
        // What an approval of such a part rests on: why it was not read, and all that the other server told.
        let shown = |server: &TargetId, settings: &ConnectSettings, part: SettingsPart| {
            let told = || format!("readable; all of it has digest {}", settings.digest);
            let why = unread.get(&(server, part));
            Some(why.map_or_else(told, |why| format!("not readable: {why}")))
        };
        let parts: BTreeSet<SettingsPart> = unread.keys().map(|(_, part)| *part).collect();
        for part in parts {
            rows.push(Differs {
                what: part.as_str().to_owned(),
                first: shown(first, left, part),
                second: shown(second, right, part),
            });
        }
        // What is not carried is in the digest alone.
        let beyond = left.beyond > 0 || right.beyond > 0;
        if (beyond || rows.is_empty()) && left.digest != right.digest {
            let what = "settings beyond those that are carried".to_owned();
            let shown =
                |one: &ConnectSettings| Some(format!("{} more, digest {}", one.beyond, one.digest));
            rows.push(Differs {
                what,
                first: shown(left),
                second: shown(right),
            });
        }
        rows.sort();
        let bytes = serde_json::to_vec(&(first, second, &rows)).expect("rows serialize");
        Self {
            first: first.clone(),
            second: second.clone(),
            rows,
            untold,
            digest: Digest::of(&bytes),
        }
    }

    /// Whether nothing differs, and all of both was read.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first few of what differs, in a line.
    #[must_use]
    pub fn shortly(&self) -> String {
        const SHOWN: usize = 3;
        let rows = self.rows.iter().take(SHOWN);
        let shown: Vec<&str> = rows.map(|row| row.what.as_str()).collect();
        let mut said = shown.join("; ");
        if self.rows.len() > SHOWN {
            said.push_str(&format!("; and {} more", self.rows.len() - SHOWN));
        }
        if !self.untold.is_empty() {
            said.push_str(&format!("; cannot be told: {}", self.untold.join("; ")));
        }
        said
    }
}

type Sides = BTreeMap<(SettingsPart, String), (Option<String>, Option<String>)>;

/// Settings by their names, each on the left; of those that share a name every value.
fn named(settings: &ConnectSettings) -> Sides {
    let mut values = BTreeMap::<_, Vec<&str>>::new();
    for setting in &settings.settings {
        let name = (setting.part, setting.name.clone());
        values.entry(name).or_default().push(&setting.value);
    }
    let one = |(name, mut values): (_, Vec<&str>)| {
        values.sort_unstable();
        (name, (Some(values.join("; ")), None))
    };
    values.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use protocol::settings::{Setting, UnreadPart};

    use super::*;

    fn settings() -> impl Strategy<Value = ConnectSettings> {
        let part = || select(SettingsPart::ALL.to_vec());
        let setting = (part(), "[ab]", "[xy]{0,300}");
        let setting = setting.prop_map(|(part, name, value)| Setting { part, name, value });
        (vec(setting, 0..6), option::of(part())).prop_map(|(all, unread)| {
            let unread = unread.map(|part| UnreadPart {
                part,
                why: "why".to_owned(),
            });
            ConnectSettings::of(all, unread.into_iter().collect())
        })
    }

    fn targets() -> (TargetId, TargetId) {
        ("c1.a.test".parse().unwrap(), "c2.a.test".parse().unwrap())
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself_and_who_is_asked_first_changes_nothing(
            one in settings(),
            other in settings(),
        ) {
            let (c1, c2) = targets();
            let differ = Difference::of((&c1, &one), (&c2, &other));
            prop_assert_eq!(&differ, &Difference::of((&c2, &other), (&c1, &one)));
            let same = Difference::of((&c1, &one), (&c2, &one));
            // What neither could tell is not equal.
            prop_assert_eq!(same.is_none(), one.unread.is_empty());
            let equal = one == other && one.unread.is_empty();
            prop_assert_eq!(differ.is_none(), equal, "{:?}", differ);
            prop_assert_eq!(differ.digest == same.digest, differ.rows == same.rows);
        }
    }

    fn of(part: SettingsPart, all: &[(&str, &str)]) -> ConnectSettings {
        let setting = |(name, value): &(&str, &str)| Setting {
            part,
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        ConnectSettings::of(all.iter().map(setting).collect(), Vec::new())
    }

    /// An approval of a part that could not be read rests on the reason, and on all that the other server told.
    #[test]
    fn an_approval_of_what_is_unread_fits_no_other_reason_and_no_other_settings() {
        let (c1, c2) = targets();
        let unread = |why: &str| {
            let part = UnreadPart {
                part: SettingsPart::Rules,
                why: why.to_owned(),
            };
            ConnectSettings::of(Vec::new(), vec![part])
        };
        let read = |value: &str| of(SettingsPart::Rules, &[("a", value)]);
        let digest = |one: &ConnectSettings, other: &ConnectSettings| {
            Difference::of((&c1, one), (&c2, other)).digest
        };
        let accepted = digest(&unread("no ScopeFilter"), &read("1"));
        assert_eq!(accepted, digest(&unread("no ScopeFilter"), &read("1")));
        assert_ne!(accepted, digest(&unread("it took too long"), &read("1")));
        assert_ne!(accepted, digest(&unread("no ScopeFilter"), &read("2")));
        assert_ne!(accepted, digest(&read("1"), &unread("no ScopeFilter")));
    }

    #[test]
    fn what_is_on_one_side_alone_or_has_another_value_is_a_row() {
        let (c1, c2) = targets();
        let one = of(SettingsPart::Rules, &[("a", "1"), ("b", "1"), ("b", "2")]);
        let other = of(SettingsPart::Rules, &[("b", "1"), ("b", "3"), ("c", "1")]);
        let differ = Difference::of((&c2, &other), (&c1, &one));
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
                ("rules: a", Some("1"), None),
                ("rules: b", Some("1; 2"), Some("1; 3")),
                ("rules: c", None, Some("1")),
            ]
        );
        assert_eq!(differ.shortly(), "rules: a; rules: b; rules: c");
    }

    /// Where more differs than is carried, it is not taken for equal.
    #[test]
    fn what_is_beyond_the_limits_counts() {
        let (c1, c2) = targets();
        let many = |last: &str| {
            let names: Vec<String> = (0..1500).map(|number| format!("{number:05}")).collect();
            let mut all: Vec<(&str, &str)> =
                names.iter().map(|name| (name.as_str(), "1")).collect();
            all.last_mut().unwrap().1 = last;
            of(SettingsPart::Rules, &all)
        };
        assert!(Difference::of((&c1, &many("1")), (&c2, &many("1"))).is_none());
        let differ = Difference::of((&c1, &many("1")), (&c2, &many("2")));
        assert_eq!(differ.rows.len(), 1);
        assert!(differ.shortly().contains("beyond"), "{differ:?}");
    }
}
