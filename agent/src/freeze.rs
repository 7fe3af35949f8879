//! A freeze: what this server's administrator sets against every controller. While it stands no bundle is taken and no step
//! is begun; a section that was entered is finished first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::Timestamp;
use protocol::event::Freeze;

use crate::files;

/// Longest reason, in characters.
const MAX_WHY: usize = 200;

/// How long a freeze stands that cannot be read, from the moment of reading: somebody has set one.
const UNREADABLE: Duration = Duration::from_secs(24 * 3600);

/// By whom one is that cannot be read.
const UNKNOWN: &str = "unknown";

fn path(folder: &Path) -> PathBuf {
    folder.join("freeze.json")
}

/// The freeze that stands now, if one does. One that cannot be read stands.
#[must_use]
pub fn read(folder: &Path, now: Timestamp) -> Option<Freeze> {
    let unreadable = |why: String| {
        Some(Freeze {
            until: now.plus(UNREADABLE),
            by: UNKNOWN.to_owned(),
            why: format!("freeze.json cannot be read: {why}"),
        })
    };
    match std::fs::read(path(folder)) {
        Ok(bytes) => match serde_json::from_slice::<Freeze>(&bytes) {
            Ok(freeze) => Some(freeze).filter(|freeze| freeze.until > now),
            Err(error) => unreadable(error.to_string()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => unreadable(error.to_string()),
    }
}

/// What stands is what was told. One that cannot be read has a new end with each look: it is told once, and again when the end that
/// was told has come and it stands all the same.
#[must_use]
pub fn is_told(stands: Option<&Freeze>, told: Option<&Freeze>, now: Timestamp) -> bool {
    match (stands, told) {
        (Some(stands), Some(told)) => {
            let unread = stands.by == UNKNOWN && told.by == UNKNOWN && now < told.until;
            stands == told || unread
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Sets a freeze, in place of one that stands.
///
/// # Errors
/// When it would be over already, its reason is none or too long, or it cannot be written.
pub fn set(folder: &Path, freeze: &Freeze, now: Timestamp) -> anyhow::Result<()> {
    use anyhow::Context as _;
    if freeze.until <= now {
        anyhow::bail!("--until {} is over already", freeze.until);
    }
    let length = freeze.why.chars().count();
    if freeze.why.trim().is_empty() || length > MAX_WHY {
        anyhow::bail!("--why takes a reason of up to {MAX_WHY} characters; the operator reads it");
    }
    if !folder.join("identity.json").exists() {
        anyhow::bail!(
            "{} is no state folder of an agent; give it with --state",
            folder.display()
        );
    }
    let bytes = serde_json::to_vec_pretty(freeze)?;
    files::write(&path(folder), &bytes)
        .with_context(|| format!("could not write {}", path(folder).display()))
}

/// Lifts a freeze; tells whether there was one.
///
/// # Errors
/// When it cannot be removed.
pub fn lift(folder: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path(folder)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads an end: a moment (RFC 3339), or hours or days from now, as in `8h` and `2d`.
///
/// # Errors
/// When it is neither.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let span = |unit: char, seconds: u64| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(now.plus(Duration::from_secs(count.saturating_mul(seconds))))
    };
    span('h', 3600)
        .or_else(|| span('d', 24 * 3600))
        .or_else(|| text.parse().ok())
        .ok_or_else(|| {
            format!("{text} is no end: write a moment like 2026-11-30T18:00:00Z, or 8h, or 2d")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn an_end_is_a_moment_or_a_span() {
        assert_eq!(
            until("8h", NOW).unwrap(),
            NOW.plus(Duration::from_secs(8 * 3600))
        );
        assert_eq!(
            until("2d", NOW).unwrap(),
            NOW.plus(Duration::from_secs(48 * 3600))
        );
        assert!(until("2026-11-30T18:00:00Z", NOW).is_ok());
        for wrong in ["", "h", "-1h", "soon", "8"] {
            assert!(until(wrong, NOW).is_err(), "{wrong}");
        }
    }

    /// Where it was told once alone, the controller would take it for over a day later, and offer bundle after bundle to be refused.
    #[test]
    fn a_freeze_that_cannot_be_read_is_told_again_when_the_end_that_was_told_has_come() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "{").unwrap();
        let at = |now| read(folder.path(), now);
        let told = at(NOW);
        let end = told.as_ref().unwrap().until;
        for (now, is) in [
            (NOW, true),
            (end.minus(Duration::from_secs(1)), true),
            (end, false),
            (end.plus(Duration::from_secs(1)), false),
        ] {
            assert_eq!(is_told(at(now).as_ref(), told.as_ref(), now), is, "{now}");
        }
        assert!(is_told(None, None, NOW));
        assert!(!is_told(told.as_ref(), None, NOW));
        assert!(!is_told(None, told.as_ref(), NOW));
        // Of one that can be read another end is another word.
        let freeze = |until| Freeze {
            until,
            by: "anna".to_owned(),
            why: "quarter's end".to_owned(),
        };
        assert!(is_told(Some(&freeze(end)), Some(&freeze(end)), NOW));
        assert!(!is_told(Some(&freeze(end)), Some(&freeze(NOW)), NOW));
    }

    #[test]
    fn a_freeze_stands_until_its_end_and_one_that_is_damaged_stands() {
        let folder = tempfile::tempdir().unwrap();
        let freeze = Freeze {
            until: NOW.plus(Duration::from_secs(10)),
            by: "anna".to_owned(),
            why: "quarter's end".to_owned(),
        };
        assert!(
            set(folder.path(), &freeze, NOW).is_err(),
            "no agent is here"
        );
        std::fs::write(folder.path().join("identity.json"), "").unwrap();
        assert!(set(folder.path(), &freeze, freeze.until).is_err());
        set(folder.path(), &freeze, NOW).unwrap();
        assert_eq!(read(folder.path(), NOW), Some(freeze.clone()));
        assert_eq!(read(folder.path(), freeze.until), None);
        std::fs::write(path(folder.path()), "{").unwrap();
        assert!(read(folder.path(), NOW).is_some());
        assert!(lift(folder.path()).unwrap());
        assert!(!lift(folder.path()).unwrap());
        assert_eq!(read(folder.path(), NOW), None);
    }
}
