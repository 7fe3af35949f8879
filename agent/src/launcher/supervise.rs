//! Keeps one version of the agent running. Files in the root: `current` names the version that runs; `previous` the one
//! before it, while the new one is on trial.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a stop or an end is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// An agent that ends sooner than this counts as crashed at its start.
const STAYS_UP: Duration = Duration::from_secs(20);

/// Crashes at the start after which a version on trial is given up.
const TRIALS: u32 = 3;

/// Longest pause before the agent is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn program(root: &Path, version: &str) -> PathBuf {
    root.join("versions")
        .join(version)
        .join(format!("entrain-agent{}", std::env::consts::EXE_SUFFIX))
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let name = text.trim();
    // A version is a folder's name and nothing that leads elsewhere.
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    (plain && name != "..").then(|| name.to_owned())
}

fn start(root: &Path, version: &str) -> io::Result<Child> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join("agent.log"))?;
    Command::new(program(root, version))
        .arg("run")
        .arg("--state")
        .arg(root.join("agent"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// Runs until `stop`. The agent is killed then: it journals before it acts, and installers outlive it.
pub(crate) fn supervise(root: &Path, stop: &Arc<AtomicBool>) -> io::Result<()> {
    let mut crashes = 0;
    while !stop.load(Ordering::SeqCst) {
        let current = read(&root.join("current")).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "the file `current` names no version",
            )
        })?;
        let begun = Instant::now();
        if let Ok(mut child) = start(root, &current) {
            while child.try_wait()?.is_none() {
                if stop.load(Ordering::SeqCst) {
                    child.kill()?;
                    child.wait()?;
                    return Ok(());
                }
                std::thread::sleep(LOOK);
            }
        }
        crashes = if begun.elapsed() < STAYS_UP {
            crashes + 1
        } else {
            0
        };
        if crashes >= TRIALS
            && let Some(previous) =
                read(&root.join("previous")).filter(|previous| *previous != current)
        {
            // Written beside and renamed: a cut leaves one of the two names, never half of one.
            let beside = root.join("current.new");
            fs::write(&beside, &previous)?;
            fs::rename(&beside, root.join("current"))?;
            fs::remove_file(root.join("previous"))?;
            crashes = 0;
        }
        let pause = Duration::from_millis(250 << crashes.min(8)).min(LONGEST_PAUSE);
        let until = Instant::now() + pause;
        while Instant::now() < until && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn install(root: &Path, version: &str, script: &str) {
        let path = program(root, version);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_version_that_does_not_stay_up_is_given_up_for_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        install(root, "1", "echo \"$@\" > \"${0%/*}/ran\"; exec sleep 60");
        install(root, "2", "exit 1");
        fs::write(root.join("current"), "2").unwrap();
        fs::write(root.join("previous"), "1").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, at) = (Arc::clone(&stop), root.to_owned());
        let supervising = std::thread::spawn(move || supervise(&at, &stopping));
        while !root.join("versions/1/ran").exists() {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        supervising.join().unwrap().unwrap();
        assert_eq!(fs::read_to_string(root.join("current")).unwrap(), "1");
        assert!(!root.join("previous").exists());
    }

    #[test]
    fn a_version_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("current"), "../../bin").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        assert!(supervise(folder.path(), &stop).is_err());
    }
}
