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

/// One entry of an access control list that allows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// To whom, as a security identifier.
    pub who: String,
    /// Access mask.
    pub mask: u32,
    /// Extended right or attribute, by its GUID's bytes as stored; absent when the entry is about the whole object.
    pub right: Option<[u8; 16]>,
}

const ACCESS_ALLOWED: u8 = 0;
const ACCESS_ALLOWED_OBJECT: u8 = 5;

/// Reads who is allowed something out of a self-relative security descriptor. Entries that deny are no part of it; `None`
/// when the bytes are no such descriptor.
#[must_use]
pub fn allowed(descriptor: &[u8]) -> Option<Vec<Allowed>> {
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
        let [kind, _, low, high, ..] = *entries else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let entry = entries.get(..length)?;
        if length < 8 {
            return None;
        }
        entries = entries.get(length..)?;
        let mask = u32::from_le_bytes(entry.get(4..8)?.try_into().ok()?);
        let (right, at) = match kind {
            ACCESS_ALLOWED => (None, 8),
            ACCESS_ALLOWED_OBJECT => {
                let flags = u32::from_le_bytes(entry.get(8..12)?.try_into().ok()?);
                let object: Option<[u8; 16]> = if flags & 1 == 0 {
                    None
                } else {
                    Some(entry.get(12..28)?.try_into().ok()?)
                };
                let inherited = if flags & 2 == 0 { 0 } else { 16 };
                let at = 12 + if object.is_some() { 16 } else { 0 } + inherited;
                (object, at)
            }
            _ => continue,
        };
        let (who, _) = sid(entry.get(at..)?)?;
        found.push(Allowed { who, mask, right });
    }
    Some(found)
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
        let entries = allowed(&descriptor()).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].mask, 0x000f_01ff);
        assert_eq!((entries[0].right, entries[1].right), (None, Some([7; 16])));
        assert!(entries.iter().all(|one| one.who == "S-1-5-21-1-2-3-1105"));
    }

    #[test]
    fn bytes_that_are_cut_off_or_altered_are_never_a_panic() {
        let whole = descriptor();
        for end in 0..whole.len() {
            assert_eq!(allowed(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut altered = whole.clone();
                altered[at] = value;
                drop(allowed(&altered));
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
        assert!(is_plain("provAgentgMSA$") && is_plain("corp.contoso.com"));
        for text in ["a)(b=*", "a*", "a\\2a", "ä", "a b"] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
