//! A disk of a few MiB that a story fills: a file system of its own (tmpfs) over a folder of the world, which says "no space left"
//! as any disk does. It is mounted in a mount namespace of the story's own, so that nothing of it outlives the story.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::text;

/// Says to a story that it is in a namespace of its own.
const ALONE: &str = "ENTRAIN_TEST_MOUNTS";

/// What a filler is written by.
const BLOCK: usize = 4096;

/// Runs a story, by its name, once more in a mount namespace of its own, and waits for it: whoever gets `false` is done. Who is not
/// root needs a kernel that gives everybody namespaces.
///
/// # Panics
/// When the story fails there, or there is no namespace to be had.
#[must_use]
pub fn alone(story: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("a test knows its own program");
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !is_root {
        command.args(["--user", "--map-root-user"]);
    }
    let ended = command
        .arg(own)
        .args([story, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .status()
        .expect("unshare runs");
    assert!(
        ended.success(),
        "{story}, in a mount namespace of its own: {ended}"
    );
    false
}

/// A small disk that is there until it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Puts a disk of that size over a folder that nobody uses just now; what is in it is on the disk then.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    pub fn over(folder: &Path, mib: u32) -> Self {
        let before = folder.with_extension("before");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::rename(folder, &before).expect("nobody is in it");
        std::fs::create_dir(folder).expect("a folder");
        let size = format!("size={mib}m,mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], folder);
        let all = format!("{}/.", before.display());
        run("cp", &["-a", &all], folder);
        std::fs::remove_dir_all(before).expect("it was copied");
        Self {
            at: folder.to_owned(),
        }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Fills it to the last block.
    ///
    /// # Panics
    /// When it cannot be written for another reason than that it is full.
    pub fn fill(&self) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a file");
        loop {
            match file.write_all(&[7; BLOCK]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("it says {error}, and not that it is full"),
            }
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// When it was not full.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it until then.
        let gone = Command::new("umount").arg("--lazy").arg(&self.at).status();
        drop(gone);
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let done = Command::new(program).args(arguments).arg(folder).output();
    let done = done.expect("it runs");
    assert!(done.status.success(), "{program}: {}", text(&done));
}
