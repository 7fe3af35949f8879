//! Reads the newest settings that Connect's wizard has exported (product facts 2.6 [P]). A file that is being written just now is read
//! as it is: whoever reads it again finds another digest.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use agent_core::op::Export;
use protocol::{Digest, Timestamp};

/// How the wizard names what it writes by itself (2.1 [P]), and what a person exports there: that name is unverified.
const STEMS: [&str; 2] = [
    "applied-synchronizationpolicy-",
    "exported-synchronizationpolicy-",
];

/// The largest document that is read, in bytes. How large they are is in no source.
const MAX: u64 = 16 << 20;

/// The newest export of a folder; `None` where there is none.
///
/// # Errors
/// With the reason, where the folder or the file cannot be read.
pub(super) fn newest(folder: &Path) -> Result<Option<Export>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut found: Option<(SystemTime, PathBuf)> = None;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if !STEMS.iter().any(|stem| name.starts_with(stem)) || !name.ends_with(".json") {
            continue;
        }
        let written = entry.metadata().and_then(|about| about.modified());
        let written = written.map_err(|error| format!("{}: {error}", entry.path().display()))?;
        if found
            .as_ref()
            .is_none_or(|newest| *newest < (written, entry.path()))
        {
            found = Some((written, entry.path()));
        }
    }
    let Some((written, path)) = found else {
        return Ok(None);
    };
    let wrong = |error: io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).map_err(wrong)?;
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX {
        return Err(format!(
            "{} is larger than {} MiB",
            path.display(),
            MAX >> 20
        ));
    }
    let since = written
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Some(Export {
        file: name.into_owned(),
        written: Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        bytes: bytes.len() as u64,
        sha256: Digest::of(&bytes),
        text: decode(&bytes),
    }))
}

/// UTF-8, or UTF-16 with its mark, as tools of Windows write it.
fn decode(bytes: &[u8]) -> Result<String, String> {
    let none = || "it is no text".to_owned();
    let Some(rest) = bytes.strip_prefix(&[0xff, 0xfe]) else {
        return String::from_utf8(bytes.to_vec()).map_err(|_| none());
    };
    let pairs = rest.as_chunks::<2>().0;
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16(&units).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_export_is_read_and_nothing_else_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(&folder.path().join("none")), Ok(None));
        let put = |name: &str, bytes: &[u8], seconds: u64| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(at)
                .unwrap();
        };
        put("trace-1.log", b"x", 9_000);
        put("PersistedState.xml", b"x", 9_000);
        assert_eq!(newest(folder.path()), Ok(None));
        put("Applied-SynchronizationPolicy-1.JSON", b"{\"a\":1}", 5_000);
        put("Applied-SynchronizationPolicy-2.JSON", b"{\"a\":2}", 4_000);
        let read = newest(folder.path()).unwrap().unwrap();
        assert_eq!(read.file, "Applied-SynchronizationPolicy-1.JSON");
        assert_eq!(read.written, Timestamp::from_millis(5_000_000));
        assert_eq!((read.bytes, read.sha256), (7, Digest::of(b"{\"a\":1}")));
        assert_eq!(read.text.as_deref(), Ok("{\"a\":1}"));
        let mut wide = vec![0xff, 0xfe];
        wide.extend("{}".encode_utf16().flat_map(u16::to_le_bytes));
        put("applied-synchronizationpolicy-3.json", &wide, 6_000);
        assert_eq!(
            newest(folder.path()).unwrap().unwrap().text.as_deref(),
            Ok("{}")
        );
        put("applied-synchronizationpolicy-4.json", &[0xc3, 0x28], 7_000);
        assert!(newest(folder.path()).unwrap().unwrap().text.is_err());
        // What a person exported by the wizard is newer than what the wizard wrote by itself.
        put("Exported-SynchronizationPolicy-5.JSON", b"{\"a\":5}", 8_000);
        let read = newest(folder.path()).unwrap().unwrap();
        assert_eq!(read.file, "Exported-SynchronizationPolicy-5.JSON");
        put("Unexported-SynchronizationPolicy-6.JSON", b"{}", 9_000);
        assert_eq!(newest(folder.path()), Ok(Some(read)));
    }
}
