//! A document of settings that Connect's wizard has exported, as the server that has it tells it (product facts 2.6 [P]): which
//! file, its digest and size, and what it says as sorted rows. The document itself stays on the server: nobody has said that
//! nothing secret stands in it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits;
use crate::settings::concealed;
use crate::time::Timestamp;

/// One value of the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedRow {
    /// Its place: names of members from the top down, an element of a list by its name, or else by what it holds.
    pub path: String,
    /// A truth value, a number, a name; of any other text its length and its digest; of what a secret may be, that it is there.
    pub value: String,
}

/// The newest export of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedSettings {
    /// Name of the file, without its folder.
    pub file: String,
    /// When it was written, as the server's file system says.
    pub written: Timestamp,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Digest of its bytes: what `Get-FileHash` shows of it, and of a copy of it.
    pub sha256: Digest,
    /// Digest of all rows, also of those that are not carried: two documents of one digest say the same, whatever their bytes.
    pub says: Digest,
    /// What it says, sorted.
    pub rows: Vec<ExportedRow>,
    /// How many rows more there are, beyond the limits.
    pub beyond: u32,
    /// Why it could not be read as a document of settings; nothing is known of its rows then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

impl ExportedSettings {
    /// Sorts what a document says, digests all of it, and keeps what is within the limits.
    ///
    /// # Panics
    /// Never: rows have only string keys.
    #[must_use]
    pub fn of(
        (file, written): (String, Timestamp),
        (bytes, sha256): (u64, Digest),
        read: Result<Vec<ExportedRow>, String>,
    ) -> Self {
        let (mut rows, unread) = match read {
            Ok(rows) => (rows, None),
            Err(why) => (Vec::new(), Some(fit(&why))),
        };
        for row in &mut rows {
            row.path = fit(&row.path);
            row.value = fit(&row.value);
        }
        rows.sort();
        let all = serde_json::to_vec(&rows).expect("rows with string keys serialize");
        let mut room = 0;
        let carried = rows.iter().take_while(|row| {
            room += row.path.len() + row.value.len();
            room <= limits::MAX_SETTINGS_BYTES
        });
        let carried = carried.count().min(limits::MAX_SETTINGS);
        let beyond = u32::try_from(rows.len() - carried).unwrap_or(u32::MAX);
        rows.truncate(carried);
        Self {
            file: fit(&file),
            written,
            bytes,
            sha256,
            says: Digest::of(&all),
            rows,
            beyond,
            unread,
        }
    }
}

/// A text on one line, within the limit: of a longer one its digest stands behind its beginning.
fn fit(text: &str) -> String {
    let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
    if text.chars().count() <= limits::MAX_SETTING_CHARS {
        return text.chars().map(clean).collect();
    }
    let behind = format!("… sha256 {}", concealed(text));
    let room = limits::MAX_SETTING_CHARS - behind.chars().count();
    let begins: String = text.chars().take(room).map(clean).collect();
    begins + &behind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(&str, &str)]) -> ExportedSettings {
        let row = |(path, value): &(&str, &str)| ExportedRow {
            path: (*path).to_owned(),
            value: (*value).to_owned(),
        };
        ExportedSettings::of(
            ("a.JSON".to_owned(), Timestamp::from_millis(0)),
            (2, Digest::of(b"{}")),
            Ok(rows.iter().map(row).collect()),
        )
    }

    #[test]
    fn rows_are_sorted_and_every_one_counts_in_the_digest() {
        let one = of(&[("b", "1"), ("a", "2")]);
        assert_eq!(one, of(&[("a", "2"), ("b", "1")]));
        assert_ne!(one.says, of(&[("a", "2"), ("b", "2")]).says);
        assert_ne!(one.says, of(&[("a", "2")]).says);
    }

    #[test]
    fn what_is_beyond_the_limits_is_counted_and_digested_and_the_rest_fits_a_frame() {
        let path = "\"\\".repeat(limits::MAX_SETTING_CHARS);
        let names: Vec<String> = (0..4000).map(|at| format!("{at:05}{path}")).collect();
        let many = |last: &str| {
            let mut rows: Vec<(&str, &str)> =
                names.iter().map(|name| (name.as_str(), "1")).collect();
            rows.last_mut().unwrap().1 = last;
            of(&rows)
        };
        let whole = many("1");
        assert_eq!(whole.rows.len() + whole.beyond as usize, 4000);
        assert!(whole.beyond > 0);
        assert!(serde_json::to_vec(&whole).unwrap().len() < limits::MAX_FRAME_BYTES / 2);
        assert_ne!(whole.says, many("2").says);
    }

    #[test]
    fn what_is_no_document_has_its_reason_and_no_rows() {
        let none = ExportedSettings::of(
            ("a.JSON".to_owned(), Timestamp::from_millis(0)),
            (1, Digest::of(b"x")),
            Err("no\nJSON".to_owned()),
        );
        assert_eq!(none.unread.as_deref(), Some("no JSON"));
        assert!(none.rows.is_empty());
    }
}
