//! Files that are there in full or not at all: written beside, flushed, renamed into place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `bytes` to `path` in one step. On Unix only the owner may read it; on Windows the folder's access list, which
/// the installer sets, decides.
///
/// # Errors
/// When the disk is full or the folder cannot be written; what was there before is still there then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = private(&beside)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| drop(fs::remove_file(&beside)))?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes renames in a folder lasting. Windows has no such call; its file systems journal them.
#[cfg_attr(
    windows,
    expect(clippy::unnecessary_wraps, reason = "it can fail on Unix")
)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(windows)]
    let _ = folder;
    Ok(())
}
