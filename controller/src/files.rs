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
    let folder = folder_of(path);
    if !folder.is_dir() {
        anyhow::bail!(
            "{} is no folder: make it first, or name a file elsewhere. {otherwise}",
            folder.display()
        );
    }
    Ok(())
}

/// Writes a file that only its owner may read, in place of what was there: beside it first, then renamed, and the folder written down.
///
/// # Errors
/// When the disk refuses; what was there before is still there then, unless it is the folder that cannot be written down.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside: PathBuf = path.with_file_name(name);
    private(&beside, true)
        .and_then(|mut file| whole(&mut file, bytes))
        .and_then(|()| fs::rename(&beside, path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .with_context(|| format!("could not write {}", path.display()))?;
    sync_place(path)
}

/// Puts a file that was brought to the disk elsewhere into its place, with the list of its chunks beside it. Both outlast a power cut, as
/// does the record of them that follows.
///
/// # Errors
/// When the disk refuses.
pub fn keep(file: &Path, place: &Path, chunks: &[u8]) -> anyhow::Result<()> {
    replace(&place.with_extension("chunks"), chunks)?;
    fs::rename(file, place).with_context(|| format!("could not make {}", place.display()))?;
    sync_place(place)
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> &Path {
    // A relative name has an empty one.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Writes down that something was made, renamed or removed at that path.
///
/// # Errors
/// When the disk refuses.
pub fn sync_place(path: &Path) -> anyhow::Result<()> {
    sync_folder(folder_of(path))
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

    /// Nothing is left beside what was replaced. That a folder cannot be written down is told, and a relative name has one as well.
    #[test]
    fn what_is_replaced_is_written_down_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.jsonl");
        for text in ["first", "second"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(folder_of(Path::new("export.jsonl")), Path::new("."));
        assert_eq!(folder_of(&path), folder.path());
        assert!(sync_place(Path::new("export.jsonl")).is_ok());
        let why = sync_place(&folder.path().join("none/export.jsonl"));
        let why = why.unwrap_err().to_string();
        assert!(why.starts_with("could not write down"), "{why}");
    }

    #[test]
    fn what_is_kept_is_in_its_place_with_its_chunks_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, chunks) in [("one.part", "chunks"), ("again.part", "the same")] {
            fs::write(at(name), "bytes").unwrap();
            keep(&at(name), &at("place"), chunks.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("place")).unwrap(), "bytes");
            assert_eq!(fs::read_to_string(at("place.chunks")).unwrap(), chunks);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
        let why = keep(&at("none.part"), &at("other"), b"").unwrap_err();
        assert!(why.to_string().starts_with("could not make"), "{why}");
    }

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
