//! What decides what Connect Sync synchronizes, as one server told it: sorted lines without the ids of an installation, so
//! that two servers with the same settings say the same (guard rail G4).

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits;

/// Settings that are read together, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingsPart {
    /// Connectors with their partitions, containers, object classes and attributes.
    Connectors,
    /// Synchronization rules.
    Rules,
    /// Settings of the whole installation: the source anchor, the way to sign in, optional features.
    Installation,
    /// Features that are switched for the tenant.
    TenantFeatures,
    /// Password hash synchronization of each connector.
    PasswordSync,
}

impl SettingsPart {
    /// Every part.
    pub const ALL: [Self; 5] = [
        Self::Connectors,
        Self::Rules,
        Self::Installation,
        Self::TenantFeatures,
        Self::PasswordSync,
    ];

    /// The part as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connectors => "connectors",
            Self::Rules => "rules",
            Self::Installation => "installation",
            Self::TenantFeatures => "tenant features",
            Self::PasswordSync => "password hash sync",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The part that it belongs to.
    pub part: SettingsPart,
    /// What it is of.
    pub name: String,
    /// What it is, in a few words; a digest where that would be long, or might name people.
    pub value: String,
}

/// A part that a server could not tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadPart {
    /// Which.
    pub part: SettingsPart,
    /// Why.
    pub why: String,
}

/// The settings of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectSettings {
    /// Over every setting of the parts that were read, also of those that are not carried.
    pub digest: Digest,
    /// The settings, sorted.
    pub settings: Vec<Setting>,
    /// How many more there are, beyond the limits.
    pub beyond: u32,
    /// Parts that could not be read: nothing is known of them.
    pub unread: Vec<UnreadPart>,
}

impl ConnectSettings {
    /// Sorts what was read, digests all of it, and keeps what is within the limits. Of a part that is named as unread nothing
    /// is kept.
    ///
    /// # Panics
    /// Never: settings have only string keys.
    #[must_use]
    pub fn of(mut settings: Vec<Setting>, mut unread: Vec<UnreadPart>) -> Self {
        unread.sort();
        unread.dedup_by_key(|one| one.part);
        for one in &mut unread {
            one.why = cut(&one.why);
        }
        settings.retain(|setting| unread.iter().all(|one| one.part != setting.part));
        for setting in &mut settings {
            setting.name = cut(&setting.name);
            setting.value = cut(&setting.value);
        }
        settings.sort();
        let all = serde_json::to_vec(&settings).expect("settings with string keys serialize");
        let mut bytes = 0;
        let carried = settings.iter().take_while(|setting| {
            bytes += setting.name.len() + setting.value.len();
            bytes <= limits::MAX_SETTINGS_BYTES
        });
        let carried = carried.count().min(limits::MAX_SETTINGS);
        let beyond = u32::try_from(settings.len() - carried).unwrap_or(u32::MAX);
        settings.truncate(carried);
        Self {
            digest: Digest::of(&all),
            settings,
            beyond,
            unread,
        }
    }

    /// Settings of which nothing could be read, for one reason.
    #[must_use]
    pub fn untold(why: &str) -> Self {
        let unread = SettingsPart::ALL.map(|part| UnreadPart {
            part,
            why: why.to_owned(),
        });
        Self::of(Vec::new(), unread.to_vec())
    }
}

/// A text on one line, cut to the limit; what is cut is known by its digest.
fn cut(text: &str) -> String {
    let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
    if text.chars().count() <= limits::MAX_SETTING_CHARS {
        return text.chars().map(clean).collect();
    }
    let digest = format!("… sha256 {}", concealed(text));
    let room = limits::MAX_SETTING_CHARS - digest.chars().count();
    let start: String = text.chars().take(room).map(clean).collect();
    start + &digest
}

/// What stands for a text that is not shown: half of its SHA-256, which is still beyond anybody's search for a second text.
#[must_use]
pub fn concealed(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn setting() -> impl Strategy<Value = Setting> {
        let part = select(SettingsPart::ALL.to_vec());
        (part, ".{0,300}", "\\PC{0,300}").prop_map(|(part, name, value)| Setting {
            part,
            name,
            value,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_of_reading_changes_nothing(
            (read, mixed) in vec(setting(), 0..20).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        ) {
            let one = ConnectSettings::of(read, Vec::new());
            prop_assert_eq!(&one, &ConnectSettings::of(mixed, Vec::new()));
            let again = ConnectSettings::of(one.settings.clone(), Vec::new());
            prop_assert_eq!(one, again, "what is cut is not cut again");
        }

        #[test]
        fn a_changed_value_changes_the_digest_wherever_it_stands(
            all in vec(setting(), 1..20),
            which in any::<prop::sample::Index>(),
        ) {
            let mut other = all.clone();
            which.get_mut(&mut other).value.push('x');
            prop_assert_ne!(
                ConnectSettings::of(all, Vec::new()).digest,
                ConnectSettings::of(other, Vec::new()).digest
            );
        }
    }

    fn many(number: usize, chars: usize) -> Vec<Setting> {
        let setting = |number: usize| Setting {
            part: SettingsPart::Rules,
            name: format!("{number:05} \" \\ {}", "\u{1f511}".repeat(chars)),
            value: "\"".repeat(chars),
        };
        (0..number).map(setting).collect()
    }

    #[test]
    fn what_is_beyond_the_limits_is_counted_and_digested_and_the_rest_fits_a_frame() {
        for (number, chars) in [(5_000, 0), (5_000, 400), (limits::MAX_SETTINGS, 1)] {
            let whole = ConnectSettings::of(many(number, chars), Vec::new());
            assert_eq!(whole.settings.len() + whole.beyond as usize, number);
            let bytes = serde_json::to_vec(&whole).unwrap().len();
            assert!(bytes < limits::MAX_FRAME_BYTES / 2, "{number}: {bytes}");
            let mut other = many(number, chars);
            other.last_mut().unwrap().value = "other".to_owned();
            let other = ConnectSettings::of(other, Vec::new());
            assert_ne!(whole.digest, other.digest);
        }
    }

    #[test]
    fn of_a_part_that_is_unread_nothing_is_kept() {
        let unread = UnreadPart {
            part: SettingsPart::Rules,
            why: "x".repeat(900),
        };
        let read = ConnectSettings::of(many(3, 1), vec![unread.clone(), unread]);
        assert!(read.settings.is_empty() && read.beyond == 0);
        assert_eq!(read.unread.len(), 1);
        assert!(read.unread[0].why.chars().count() <= limits::MAX_SETTING_CHARS);
        assert_eq!(ConnectSettings::untold("why").unread.len(), 5);
    }
}
