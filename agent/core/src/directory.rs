//! What a domain controller says, read: security identifiers, who may do what, times. Values come from the network, so
//! every length is checked. The layouts are those of the published Windows data types ([K] of the product facts).

use protocol::Timestamp;

/// Reads a security identifier out of its bytes, as `S-1-5-21-…`; gives how many bytes it took.
#[must_use]
pub fn sid(bytes: &[u8]) -> Option<(String, usize)> {
    let [revision, count, ..] = *bytes else {
        return None;
    };
    let authority = bytes.get(2..8)?;
    let authority = authority
        .iter()
        .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let end = 8 + 4 * usize::from(count);
    let parts = bytes.get(8..end)?;
    let mut text = format!("S-{revision}-{authority}");
    for part in parts.as_chunks::<4>().0 {
        text.push_str(&format!("-{}", u32::from_le_bytes(*part)));
    }
    (revision == 1 && count <= 15).then_some((text, end))
}

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// It allows; else it denies.
    pub allows: bool,
    /// It is for what lies below the object and says nothing about the object itself.
    pub inherit_only: bool,
    /// Everything below the object inherits it.
    pub below: bool,
    /// Of what lies below, objects of this class alone inherit it, by its GUID's bytes as stored.
    pub class: Option<[u8; 16]>,
    /// To whom, as a security identifier.
    pub who: String,
    /// Access mask.
    pub mask: u32,
    /// Extended right or attribute, by its GUID's bytes as stored; absent when the entry is about the whole object.
    pub right: Option<[u8; 16]>,
}

const ACCESS_ALLOWED: u8 = 0;
const ACCESS_DENIED: u8 = 1;
const ACCESS_ALLOWED_OBJECT: u8 = 5;
const ACCESS_DENIED_OBJECT: u8 = 6;
const CONTAINER_INHERIT: u8 = 2;
const NO_PROPAGATE: u8 = 4;
const INHERIT_ONLY: u8 = 8;

/// Reads the entries that allow or deny out of a self-relative security descriptor, in their order; those of other kinds
/// (audits, conditions) are no part of it. `None` when the bytes are no such descriptor.
#[must_use]
pub fn access(descriptor: &[u8]) -> Option<Vec<AccessEntry>> {
    let word = |at: usize| {
        let bytes = descriptor.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if descriptor.first() != Some(&1) {
        return None;
    }
    let list = usize::try_from(word(16)?).ok()?;
    if list == 0 {
        return Some(Vec::new());
    }
    let header = descriptor.get(list..list.checked_add(8)?)?;
    let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
    let count = u16::from_le_bytes([header[4], header[5]]);
    let mut entries = descriptor.get(list + 8..list.checked_add(size)?)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let [kind, flags, low, high, ..] = *entries else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let entry = entries.get(..length)?;
        if length < 8 {
            return None;
        }
        entries = entries.get(length..)?;
        let mask = u32::from_le_bytes(entry.get(4..8)?.try_into().ok()?);
        let (right, class, at) = match kind {
            ACCESS_ALLOWED | ACCESS_DENIED => (None, None, 8),
            ACCESS_ALLOWED_OBJECT | ACCESS_DENIED_OBJECT => {
                let parts = u32::from_le_bytes(entry.get(8..12)?.try_into().ok()?);
                let mut at = 12;
                let mut guid = |part: u32| -> Option<Option<[u8; 16]>> {
                    if parts & part == 0 {
                        return Some(None);
                    }
                    let guid = entry.get(at..at + 16)?.try_into().ok()?;
                    at += 16;
                    Some(Some(guid))
                };
                let (object, class) = (guid(1)?, guid(2)?);
                (object, class, at)
            }
            _ => continue,
        };
        let (who, _) = sid(entry.get(at..)?)?;
        found.push(AccessEntry {
            allows: matches!(kind, ACCESS_ALLOWED | ACCESS_ALLOWED_OBJECT),
            inherit_only: flags & INHERIT_ONLY != 0,
            below: flags & CONTAINER_INHERIT != 0 && flags & NO_PROPAGATE == 0,
            class,
            who,
            mask,
            right,
        });
    }
    Some(found)
}

/// The extended right `DS-Replication-Get-Changes`, 1131f6aa-9c07-11d1-f79f-00c04fc2dcd2, as it is stored ([K]).
pub const GET_CHANGES: [u8; 16] = [
    0xaa, 0xf6, 0x31, 0x11, 0x07, 0x9c, 0xd1, 0x11, 0xf7, 0x9f, 0x00, 0xc0, 0x4f, 0xc2, 0xdc, 0xd2,
];

/// The extended right `DS-Replication-Get-Changes-All`, 1131f6ad-9c07-11d1-f79f-00c04fc2dcd2 ([K]).
pub const GET_CHANGES_ALL: [u8; 16] = [
    0xad, 0xf6, 0x31, 0x11, 0x07, 0x9c, 0xd1, 0x11, 0xf7, 0x9f, 0x00, 0xc0, 0x4f, 0xc2, 0xdc, 0xd2,
];

/// Whether somebody who carries these identifiers has an extended right on the object: the first entry that speaks of both
/// decides, as Windows decides.
#[must_use]
pub fn holds(entries: &[AccessEntry], identifiers: &[String], right: &[u8; 16]) -> bool {
    decided(entries, identifiers, mask::CONTROL, |entry| {
        !entry.inherit_only && entry.right.as_ref().is_none_or(|own| own == right)
    })
}

/// What an entry's mask may hold of a directory's object ([MS-ADTS] 5.1.3.2).
pub mod mask {
    /// Makes objects below.
    pub const CREATE_CHILD: u32 = 0x1;
    /// Deletes objects below.
    pub const DELETE_CHILD: u32 = 0x2;
    /// Reads attributes.
    pub const READ: u32 = 0x10;
    /// Writes attributes.
    pub const WRITE: u32 = 0x20;
    /// Uses an extended right.
    pub const CONTROL: u32 = 0x100;
    /// Everything.
    pub const GENERIC_ALL: u32 = 0x1000_0000;
    /// Writing, attributes among it.
    pub const GENERIC_WRITE: u32 = 0x4000_0000;
    /// Reading, attributes among it.
    pub const GENERIC_READ: u32 = 0x8000_0000;

    /// That bit, and the generic ones that hold it.
    pub(super) const fn with_generic(bit: u32) -> u32 {
        match bit {
            READ => READ | GENERIC_READ | GENERIC_ALL,
            WRITE => WRITE | GENERIC_WRITE | GENERIC_ALL,
            other => other | GENERIC_ALL,
        }
    }
}

/// Whether what lies below the object inherits a right for somebody who carries these identifiers: that bit of the mask, on objects
/// of that class where one is named, for one of these attributes, sets of attributes, rights or classes of children, or where none
/// is named for the whole. The first entry that speaks of it decides; an entry for a part of the whole does not.
#[must_use]
pub fn inherits(
    entries: &[AccessEntry],
    identifiers: &[String],
    bit: u32,
    names: &[[u8; 16]],
    class: Option<&[u8; 16]>,
) -> bool {
    decided(entries, identifiers, bit, |entry| {
        let about = entry.right.as_ref().is_none_or(|own| names.contains(own));
        let is_of = |wanted| entry.class.as_ref().is_none_or(|own| own == wanted);
        entry.below && about && class.is_none_or(is_of)
    })
}

/// The first entry that is about these identifiers, that bit, and what is asked, decides. Everyone and Authenticated Users are among
/// everybody's identifiers.
fn decided(
    entries: &[AccessEntry],
    identifiers: &[String],
    bit: u32,
    about: impl Fn(&AccessEntry) -> bool,
) -> bool {
    const EVERYBODY: [&str; 2] = ["S-1-1-0", "S-1-5-11"];
    let first = entries.iter().find(|entry| {
        let who = EVERYBODY.contains(&entry.who.as_str()) || identifiers.contains(&entry.who);
        who && entry.mask & mask::with_generic(bit) != 0 && about(entry)
    });
    first.is_some_and(|entry| entry.allows)
}

/// A Windows file time, hundreds of nanoseconds since 1601, as a time.
#[must_use]
pub fn file_time(ticks: i64) -> Option<Timestamp> {
    const TO_1970: i64 = 116_444_736_000_000_000;
    let since = ticks.checked_sub(TO_1970)?;
    (since >= 0).then(|| Timestamp::from_millis(since / 10_000))
}

/// A generalized time such as `20261123221500.0Z`.
#[must_use]
pub fn generalized_time(text: &str) -> Option<Timestamp> {
    let digits = text.get(..14)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !text.ends_with('Z') {
        return None;
    }
    let part = |range: std::ops::Range<usize>| digits.get(range);
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    )
    .parse()
    .ok()
}

/// A text as it stands in a filter, with what means something there escaped (RFC 4515).
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for sign in text.chars() {
        match sign {
            '*' | '(' | ')' | '\\' | '\0' => {
                escaped.push_str(&format!("\\{:02x}", u32::from(sign)))
            }
            sign => escaped.push(sign),
        }
    }
    escaped
}

/// Whether a text may stand in a filter as it is: names of accounts and domains do.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: [u8; 28] = [
        1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0x51, 4, 0, 0,
    ];

    fn descriptor() -> Vec<u8> {
        let mut entry = vec![ACCESS_ALLOWED, 0, 36, 0, 0xff, 1, 15, 0];
        entry.extend(SID);
        let mut object = vec![ACCESS_ALLOWED_OBJECT, 0, 56, 0, 0, 1, 0, 0, 1, 0, 0, 0];
        object.extend([7; 16]);
        object.extend(SID);
        let mut bytes = vec![
            1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
        ];
        bytes.extend([2, 0, 100, 0, 2, 0, 0, 0]);
        bytes.extend(entry);
        bytes.extend(object);
        bytes
    }

    #[test]
    fn an_identifier_is_told_as_windows_tells_it() {
        assert_eq!(
            sid(&SID),
            Some(("S-1-5-21-1-2-3-1105".to_owned(), SID.len()))
        );
        assert_eq!(sid(&SID[..27]), None);
        assert_eq!(sid(&[]), None);
    }

    #[test]
    fn who_is_allowed_something_is_read_with_the_right() {
        let entries = access(&descriptor()).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].mask, 0x000f_01ff);
        assert_eq!((entries[0].right, entries[1].right), (None, Some([7; 16])));
        assert!(
            entries
                .iter()
                .all(|one| one.who == "S-1-5-21-1-2-3-1105" && one.allows)
        );
    }

    #[test]
    fn a_right_is_held_by_the_first_entry_that_speaks_of_it() {
        let own = [
            "S-1-5-21-1-2-3-1105".to_owned(),
            "S-1-5-21-1-2-3-512".to_owned(),
        ];
        let entry = |allows, who: &str, mask, right| AccessEntry {
            allows,
            inherit_only: false,
            below: false,
            class: None,
            who: who.to_owned(),
            mask,
            right,
        };
        let allow = entry(true, &own[0], 0x100, Some(GET_CHANGES));
        assert!(holds(std::slice::from_ref(&allow), &own, &GET_CHANGES));
        assert!(!holds(std::slice::from_ref(&allow), &own, &GET_CHANGES_ALL));
        assert!(!holds(
            std::slice::from_ref(&allow),
            &own[1..],
            &GET_CHANGES
        ));
        // By a group, by full control, and for everybody.
        assert!(holds(
            &[entry(true, &own[1], 0x000f_01ff, None)],
            &own,
            &GET_CHANGES
        ));
        assert!(holds(
            &[entry(true, "S-1-5-11", 0x100, None)],
            &[],
            &GET_CHANGES
        ));
        // What is denied before, what may only be read, and what is meant for objects below, is not held.
        let deny = entry(false, &own[1], 0x100, None);
        assert!(!holds(&[deny.clone(), allow.clone()], &own, &GET_CHANGES));
        assert!(holds(&[allow.clone(), deny], &own, &GET_CHANGES));
        assert!(!holds(
            &[entry(true, &own[0], 0x10, None)],
            &own,
            &GET_CHANGES
        ));
        let below = AccessEntry {
            inherit_only: true,
            ..allow
        };
        assert!(!holds(&[below], &own, &GET_CHANGES));
    }

    #[test]
    fn bytes_that_are_cut_off_or_altered_are_never_a_panic() {
        let whole = descriptor();
        for end in 0..whole.len() {
            assert_eq!(access(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut altered = whole.clone();
                altered[at] = value;
                drop(access(&altered));
            }
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let time: Timestamp = "2026-11-23T22:15:00Z".parse().unwrap();
        assert_eq!(generalized_time("20261123221500.0Z"), Some(time));
        assert_eq!(generalized_time("2026112322"), None);
        assert_eq!(
            file_time(134_402_373_000_000_000),
            file_time(134_402_373_000_000_001)
        );
        assert_eq!(
            file_time(116_444_736_000_000_000),
            Some(Timestamp::from_millis(0))
        );
        assert_eq!(file_time(0), None);
    }

    #[test]
    fn what_could_end_a_filter_is_not_plain() {
        assert_eq!(escaped("CN=a*(b)\\,c,DC=x"), "CN=a\\2a\\28b\\29\\5c,c,DC=x");
        assert!(is_plain("provAgentgMSA$") && is_plain("corp.contoso.com"));
        for text in ["a)(b=*", "a*", "a\\2a", "ä", "a b"] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
