//! Files that are there in full or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Writes a file that only its owner may read; it must not exist. What cannot be written in full is removed again.
///
/// # Errors
/// When the file is there already, or the disk refuses.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file =
        private(path, false).with_context(|| format!("could not make {}", path.display()))?;
    whole(&mut file, bytes)
        .inspect_err(|_| drop(fs::remove_file(path)))
        .with_context(|| format!("could not write {}", path.display()))
}

/// Whether a new file can be made there: before anything is done whose result it is to hold.
///
/// # Errors
/// When something is there already, or its folder is not; `what` it is, and `otherwise` what was not done.
pub fn free(path: &Path, what: &str, otherwise: &str) -> anyhow::Result<()> {
    let there = path
        .try_exists()
        .with_context(|| format!("could not look for {}", path.display()))?;
    if there {
        anyhow::bail!(
            "{} is there already, and no {what} is written over; name another file, or take that one away. {otherwise}",
            path.display()
        );
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        anyhow::bail!(
            "{} is no folder: make it first, or name a file elsewhere. {otherwise}",
            folder.display()
        );
    }
    Ok(())
}

/// Writes a file that only its owner may read, in place of what was there: beside it first, then renamed.
///
/// # Errors
/// When the disk refuses; what was there before is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside: PathBuf = path.with_file_name(name);
    private(&beside, true)
        .and_then(|mut file| whole(&mut file, bytes))
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .with_context(|| format!("could not write {}", path.display()))
}

/// Writes down what was made, renamed or removed in a folder.
///
/// # Errors
/// When the disk refuses.
pub fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("could not write down {}", folder.display()))
}

fn private(path: &Path, again: bool) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(again).create_new(!again);
    options.truncate(again);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn whole(file: &mut fs::File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_file_can_be_made_is_told_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        let free = |path: &Path| free(path, "report", "Nobody was asked");
        assert!(free(&path).is_ok() && free(Path::new("of-no-folder.txt")).is_ok());
        let why = free(&folder.path().join("none/report.txt")).unwrap_err();
        let why = why.to_string();
        assert!(
            why.contains("none is no folder: make it first") && why.ends_with("Nobody was asked"),
            "{why}"
        );
        fs::write(&path, "").unwrap();
        let why = free(&path).unwrap_err().to_string();
        assert!(why.contains("no report is written over"), "{why}");
    }
}
