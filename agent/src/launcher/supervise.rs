//! Keeps one version of the agent running. Files in the root: `current` names the version that runs; `previous` the one
//! before it, while the new one is on trial; `mark` is what that trial was begun with. The new one writes its name into `good`
//! once it has proved itself: it was welcomed by its controller, and an event of it was stored. Where it does not in time, or
//! ends again and again at its start, the launcher goes back, and says why in `given-up`, which the version before reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a stop, an end or a proof is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// An agent that ends sooner than this counts as crashed at its start.
const STAYS_UP: Duration = Duration::from_secs(20);

/// Crashes at the start after which a version on trial is given up.
const TRIALS: u32 = 3;

/// Starts that fail after which a version on trial is given up: more, since a scanner may hold a new program for some seconds.
const STARTS: u32 = 5;

/// What this launcher does for a version on trial, as a number: agents look for it.
const CONTRACT: &str = "1";

/// How long a version on trial has to prove itself: a controller that is restarted meanwhile is back long before, and a link that
/// stays away longer says nothing for the new version.
pub(crate) const PROOF: Duration = Duration::from_secs(15 * 60);

/// Exit code of an agent whose folder another one has (`cli.rs`): one that an earlier launcher began and that outlived it.
const IN_USE: i32 = 75;

/// Longest pause before the agent is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn program(root: &Path, version: &str) -> PathBuf {
    root.join("versions")
        .join(version)
        .join(format!("entrain-agent{}", std::env::consts::EXE_SUFFIX))
}

/// The name in a file; nothing where there is no such file, or what stands there is no name.
fn read(path: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = text.trim();
    // A version is a folder's name and nothing that leads elsewhere.
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    Ok((plain && name != "..").then(|| name.to_owned()))
}

/// Written beside and renamed: a cut leaves the one or the other, never half of one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::File::options().write(true).open(&beside)?.sync_all()?;
    fs::rename(&beside, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn start(root: &Path, version: &str) -> io::Result<Child> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join("agent.log"));
    // An agent without a log is better than none.
    let log = log.map_or_else(|_| Stdio::null(), Stdio::from);
    Command::new(program(root, version))
        .arg("run")
        .arg("--state")
        .arg(root.join("agent"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// The version that a trial would go back to; nothing where `current` is not on trial, or no program of one is there.
fn before(root: &Path, current: &str) -> io::Result<Option<String>> {
    let previous = read(&root.join("previous"))?;
    Ok(previous.filter(|previous| previous != current && program(root, previous).exists()))
}

/// The version on trial stays.
fn keep(root: &Path) -> io::Result<()> {
    // This ends the trial. What is left of it says nothing any more, and the next switch clears it away.
    remove(&root.join("previous"))?;
    remove(&root.join("good"))?;
    remove(&root.join("mark"))
}

/// The version before comes back. What is said of it lies there first: the version that reads it is started by the rename.
fn go_back(root: &Path, from: &str, to: &str, why: &str) -> io::Result<()> {
    let mark = read(&root.join("mark"))?.unwrap_or_default();
    let why = why.replace(['\n', '\r'], " ");
    write(&root.join("given-up"), &format!("{from}\n{mark}\n{why}\n"))?;
    write(&root.join("current"), to)?;
    keep(root)
}

/// Why an agent does not run any more.
enum Over {
    /// The launcher is to stop, and has stopped it.
    Stopped,
    /// It ended.
    Ended(ExitStatus),
    /// It could not be started, or is lost.
    NotStarted(io::Error),
    /// It is on trial and has not proved itself in time: it was stopped.
    Unproved,
    /// Another agent has the folder: this one has not begun.
    InUse,
}

/// Runs one agent until it is over. One that is on trial has until `proof`. Nothing that a file does not say just now ends it: it
/// is looked at again.
fn watch(root: &Path, current: &str, proof: Instant, stop: &AtomicBool) -> Over {
    let mut child = match start(root, current) {
        Ok(child) => child,
        Err(error) => return Over::NotStarted(error),
    };
    let end = |child: &mut Child| drop((child.kill(), child.wait()));
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) if status.code() == Some(IN_USE) => return Over::InUse,
            Ok(Some(status)) => return Over::Ended(status),
            Err(error) => {
                end(&mut child);
                return Over::NotStarted(error);
            }
        }
        let proved = read(&root.join("good")).is_ok_and(|good| good.as_deref() == Some(current));
        if proved {
            // Where a file cannot be removed just now it is tried again; the version stays either way.
            drop(keep(root));
        }
        let on_trial = before(root, current).is_ok_and(|before| before.is_some());
        let late = !proved && on_trial && Instant::now() >= proof;
        if late || stop.load(Ordering::SeqCst) {
            end(&mut child);
            return if late { Over::Unproved } else { Over::Stopped };
        }
        std::thread::sleep(LOOK);
    }
}

/// Why a version on trial is given up, when it is.
fn verdict(over: &Over, crashes: u32, proof: Duration) -> Option<String> {
    match over {
        Over::Stopped | Over::InUse => None,
        Over::Unproved => Some(format!(
            "it was not welcomed by its controller, or no event of it was stored, within {} minutes",
            proof.as_secs() / 60
        )),
        Over::Ended(status) => (crashes >= TRIALS).then(|| {
            format!(
                "it ended {crashes} times within {} s of its start, at last with {status}",
                STAYS_UP.as_secs()
            )
        }),
        Over::NotStarted(error) => (crashes >= STARTS)
            .then(|| format!("it could not be started {crashes} times, at last since: {error}")),
    }
}

fn rest(time: Duration, stop: &AtomicBool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.load(Ordering::SeqCst) {
        std::thread::sleep(LOOK);
    }
}

/// Runs until `stop`. The agent is killed then: it journals before it acts, and installers outlive it. A version on trial has
/// `proof` to prove itself.
///
/// # Errors
/// When there is nothing to run from the start on. Whatever fails later is tried again: nobody could start this service from
/// afar.
pub(crate) fn supervise(root: &Path, stop: &Arc<AtomicBool>, proof: Duration) -> io::Result<()> {
    let mut crashes: u32 = 0;
    // Starts in a row that found the folder in another agent's hands.
    let mut waits: u32 = 0;
    // The version that runs, and until when it has to prove itself.
    let mut running: Option<(String, Instant)> = None;
    while !stop.load(Ordering::SeqCst) {
        // What an agent may rely on; one that does not find it says that the launcher is to be replaced first.
        drop(write(&root.join("contract"), CONTRACT));
        let current = match read(&root.join("current")) {
            Ok(Some(current)) => current,
            Ok(None) if running.is_none() => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the file `current` names no version",
                ));
            }
            Ok(None) | Err(_) => {
                rest(LONGEST_PAUSE / 60, stop);
                continue;
            }
        };
        let begun = Instant::now();
        let until = match &running {
            Some((same, until)) if *same == current => *until,
            Some(_) | None => {
                crashes = 0;
                let until = begun + proof;
                running = Some((current.clone(), until));
                until
            }
        };
        let over = watch(root, &current, until, stop);
        if matches!(over, Over::Stopped) {
            return Ok(());
        }
        if matches!(over, Over::InUse) {
            // It says nothing of its version, and the time of a trial begins when it can. What has the folder may have proved it.
            if read(&root.join("good")).is_ok_and(|good| good.as_ref() == Some(&current)) {
                drop(keep(root));
            }
            waits = waits.saturating_add(1);
            rest(pause(waits), stop);
            running = Some((current, Instant::now() + proof));
            continue;
        }
        waits = 0;
        crashes = if begun.elapsed() < STAYS_UP {
            crashes.saturating_add(1)
        } else {
            0
        };
        if let Some(why) = verdict(&over, crashes, proof)
            && let Ok(Some(previous)) = before(root, &current)
        {
            // Where that fails the version on trial is started once more, and this is tried again behind it.
            drop(go_back(root, &current, &previous, &why));
        }
        // Another version begins at once.
        if read(&root.join("current")).is_ok_and(|next| next.is_some_and(|next| next != current)) {
            continue;
        }
        rest(pause(crashes), stop);
    }
    Ok(())
}

/// The pause before the next start, after so many in a row that came to nothing.
fn pause(times: u32) -> Duration {
    Duration::from_millis(250 << times.min(8)).min(LONGEST_PAUSE)
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

    /// Supervises until `seen`, then stops.
    fn until(root: &Path, proof: Duration, seen: impl Fn() -> bool) {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, at) = (Arc::clone(&stop), root.to_owned());
        let supervising = std::thread::spawn(move || supervise(&at, &stopping, proof));
        while !seen() {
            assert!(!supervising.is_finished(), "the launcher ended by itself");
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        supervising.join().unwrap().unwrap();
    }

    fn is(root: &Path, name: &str, text: &str) -> bool {
        fs::read_to_string(root.join(name)).is_ok_and(|found| found.trim() == text)
    }

    /// An old version that runs, and a new one on trial.
    fn trial(new: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        install(root, "1", "echo \"$@\" > \"${0%/*}/ran\"; exec sleep 60");
        install(root, "2", new);
        fs::write(root.join("current"), "2").unwrap();
        fs::write(root.join("previous"), "1").unwrap();
        fs::write(root.join("mark"), "7").unwrap();
        folder
    }

    const PROVES: &str = "printf 2 > \"${0%/*}/../../good\"; exec sleep 60";

    #[test]
    fn a_version_that_does_not_stay_up_is_given_up_for_the_one_before_and_it_is_said_why() {
        let folder = trial("exit 1");
        let root = folder.path();
        until(root, PROOF, || root.join("versions/1/ran").exists());
        assert!(is(root, "current", "1"));
        assert!(!root.join("previous").exists() && !root.join("mark").exists());
        let said = fs::read_to_string(root.join("given-up")).unwrap();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "2",
                "7",
                "it ended 3 times within 20 s of its start, at last with exit status: 1"
            ]
        );
    }

    /// An agent that outlived an earlier launcher has the folder: the one on trial is started until it gets it, and is not given up.
    #[test]
    fn a_folder_that_another_agent_has_is_no_crash_of_a_version_on_trial() {
        let folder = trial(
            "echo x >> \"${0%/*}/starts\"; [ $(wc -l < \"${0%/*}/starts\") -gt 3 ] || exit 75; printf 2 > \"${0%/*}/../../good\"; exec sleep 60",
        );
        let root = folder.path();
        until(root, PROOF, || {
            !root.join("good").exists() && !root.join("previous").exists()
        });
        assert!(is(root, "current", "2") && !root.join("given-up").exists());
        let starts = fs::read_to_string(root.join("versions/2/starts")).unwrap();
        assert!(starts.lines().count() > 3, "it was started {starts:?}");
        assert!(!root.join("versions/1/ran").exists());
    }

    #[test]
    fn a_version_that_cannot_be_started_is_given_up_too() {
        let folder = trial("");
        let root = folder.path();
        fs::remove_file(program(root, "2")).unwrap();
        until(root, PROOF, || root.join("versions/1/ran").exists());
        assert!(is(root, "current", "1"));
        let said = fs::read_to_string(root.join("given-up")).unwrap();
        assert!(said.contains("could not be started 5 times"), "{said}");
    }

    #[test]
    fn a_version_that_there_is_nothing_to_go_back_from_to_stays() {
        let folder = trial("echo x >> \"${0%/*}/ends\"; exit 1");
        let root = folder.path();
        fs::remove_file(program(root, "1")).unwrap();
        until(root, Duration::ZERO, || {
            fs::read_to_string(root.join("versions/2/ends"))
                .is_ok_and(|ends| ends.lines().count() > 3)
        });
        assert!(is(root, "current", "2") && !root.join("given-up").exists());
    }

    /// A folder in the place of a file cannot be read, replaced or removed as one.
    #[test]
    fn what_a_file_does_not_say_just_now_ends_nothing() {
        let folder = trial("echo x >> \"${0%/*}/ends\"; exit 1");
        let root = folder.path();
        fs::create_dir_all(root.join("given-up/x")).unwrap();
        let ends = || {
            fs::read_to_string(root.join("versions/2/ends")).map_or(0, |ends| ends.lines().count())
        };
        until(root, PROOF, || ends() > 3);
        assert!(is(root, "current", "2") && is(root, "previous", "1"));
        // It is tried again, and goes back once it can.
        fs::remove_dir_all(root.join("given-up")).unwrap();
        until(root, PROOF, || root.join("versions/1/ran").exists());
        assert!(is(root, "current", "1") && root.join("given-up").is_file());
    }

    #[test]
    fn a_version_that_runs_and_proves_nothing_is_given_up_when_its_time_is_over() {
        let folder = trial("exec sleep 60");
        let root = folder.path();
        until(root, Duration::ZERO, || {
            root.join("versions/1/ran").exists()
        });
        assert!(is(root, "current", "1"));
        let said = fs::read_to_string(root.join("given-up")).unwrap();
        assert!(
            said.contains("was not welcomed by its controller"),
            "{said}"
        );
    }

    #[test]
    fn a_version_that_proves_itself_is_kept() {
        let folder = trial(PROVES);
        let root = folder.path();
        until(root, PROOF, || {
            !root.join("good").exists() && !root.join("previous").exists()
        });
        assert!(is(root, "current", "2"));
        for gone in ["mark", "given-up"] {
            assert!(!root.join(gone).exists(), "{gone}");
        }
        // Whatever comes later is no trial: it is started again, and no other version comes back.
        install(root, "2", "echo x >> \"${0%/*}/ends\"; exit 1");
        until(root, Duration::ZERO, || {
            fs::read_to_string(root.join("versions/2/ends"))
                .is_ok_and(|ends| ends.lines().count() > 3)
        });
        assert!(is(root, "current", "2"));
    }

    #[test]
    fn an_agent_that_has_another_version_put_in_its_place_is_followed_by_it() {
        let folder = trial(PROVES);
        let root = folder.path();
        fs::write(root.join("current"), "1").unwrap();
        fs::remove_file(root.join("previous")).unwrap();
        install(
            root,
            "1",
            "r=\"${0%/*}/../..\"; printf 1 > \"$r/previous\"; printf 2 > \"$r/current\"",
        );
        until(root, PROOF, || {
            is(root, "current", "2") && !root.join("previous").exists()
        });
        assert!(!root.join("given-up").exists());
    }

    /// A switch that was cut off before the new version was named leaves this.
    #[test]
    fn a_trial_against_the_version_itself_is_none() {
        let folder = trial("exit 1");
        let root = folder.path();
        fs::write(root.join("current"), "1").unwrap();
        until(root, Duration::ZERO, || {
            root.join("versions/1/ran").exists()
        });
        assert!(is(root, "current", "1") && !root.join("given-up").exists());
    }

    #[test]
    fn a_version_that_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("current"), "../../bin").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        assert!(supervise(folder.path(), &stop, PROOF).is_err());
    }
}
