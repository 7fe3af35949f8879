//! Runs an installer to its end: its own, and that of whatever it has begun. A bootstrapper may hand its work to another process
//! and end before that one does; its exit code says nothing then until the other has ended too. An installer is never ended,
//! since half of one is no product, and it outlives the agent: that it was begun, and by which processes it goes on, is on disk
//! while it runs.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use agent_core::op::Outcome;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::Instant;

use crate::exec::kin::{self, Family, Process};
use crate::files;

/// How long an installer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until all of it has ended.
    pub ends: Duration,
    /// How often it is looked at.
    pub look: Duration,
}

/// What lies on disk while one runs. The release before reads the first two.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    pid: u32,
    created: u64,
    /// Whoever of it ran when it was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    running: Vec<Process>,
}

impl Begun {
    fn read(note: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(note).ok()?).ok()
    }

    /// Who of it still runs.
    fn living(&self) -> Vec<Process> {
        let first = Process {
            pid: self.pid,
            created: self.created,
            name: String::new(),
        };
        let known: Vec<Process> = self.running.iter().cloned().chain([first]).collect();
        kin::living(&known)
    }
}

/// Runs one, with its note in that file.
pub(super) async fn run(mut command: Command, note: &Path, patience: Patience) -> Outcome {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    kin::prepare(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Outcome::Failed(format!("it cannot be started: {error}")),
    };
    let mut family = Family::watched(&child);
    let deadline = Instant::now() + patience.ends;
    let mut noted = None;
    let mut ended = None;
    loop {
        let living = family.living();
        if ended.is_some() && living.is_empty() {
            break;
        }
        keep(note, family.first(), &living, &mut noted);
        if Instant::now() >= deadline {
            return given_up(ended, &living, patience.ends);
        }
        tokio::select! {
            status = child.wait(), if ended.is_none() => match status {
                Ok(status) => ended = Some(status.code()),
                Err(error) => return Outcome::Failed(format!("it cannot be waited for: {error}")),
            },
            () = tokio::time::sleep(patience.look.min(patience.ends)) => {}
        }
    }
    drop(fs::remove_file(note));
    match ended.flatten() {
        Some(code) => Outcome::Exited { code },
        None => Outcome::Failed("it ended without an exit code".to_owned()),
    }
}

/// Writes down who runs, where that has changed.
fn keep(note: &Path, first: &Process, living: &[Process], noted: &mut Option<Vec<Process>>) {
    if noted.as_ref().is_some_and(|noted| noted == living) {
        return;
    }
    let begun = Begun {
        pid: first.pid,
        created: first.created,
        running: living.to_vec(),
    };
    let bytes = serde_json::to_vec(&begun).unwrap_or_default();
    if let Err(error) = files::write(note, &bytes) {
        tracing::error!(%error, "that an installer was begun could not be written down");
    }
    *noted = Some(begun.running);
}

/// The word on one that is waited for no longer. Its note stays, so that no try begins another one beside it.
fn given_up(ended: Option<Option<i32>>, living: &[Process], within: Duration) -> Outcome {
    let who = match kin::names(living) {
        none if none.is_empty() => "it".to_owned(),
        names => names,
    };
    let lifts = "see on the server what it waits for, and let it end before a retry";
    let time = told(within);
    Outcome::Failed(match ended {
        None => format!(
            "it did not end within {time} and was not ended, since half of it is no product: {who} still runs; {lifts}"
        ),
        Some(code) => {
            let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
            format!(
                "it ended (exit code {code}), and what it had begun did not within {time}: {who} still runs; {lifts}"
            )
        }
    })
}

fn told(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 120.. => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// What an installer of an earlier try, which took too long, is refused another one with: Windows Installer runs one at a time,
/// and a half of each is no product. It is a person's to end, who sees what it waits for.
pub(super) fn still_runs(note: &Path) -> Option<Outcome> {
    let living = Begun::read(note)?.living();
    (!living.is_empty()).then(|| {
        Outcome::Failed(format!(
            "the installer of an earlier try still runs, {}: its end on the server lifts it",
            kin::names(&living)
        ))
    })
}

/// Waits for one of an earlier life of the agent: its own process, or what that has begun.
///
/// # Errors
/// When it does not end.
pub(super) async fn await_earlier(note: &Path, patience: Patience) -> Result<(), String> {
    if let Some(begun) = Begun::read(note) {
        let deadline = Instant::now() + patience.ends;
        loop {
            let living = begun.living();
            if living.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "it has not ended within {}: {}",
                    told(patience.ends),
                    kin::names(&living)
                ));
            }
            tokio::time::sleep(patience.look).await;
        }
    }
    drop(fs::remove_file(note));
    Ok(())
}

#[cfg(all(test, unix))]
#[expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const PATIENT: Patience = Patience {
        ends: Duration::from_secs(600),
        look: Duration::from_millis(5),
    };

    /// Long enough for a shell to begin another.
    const SHORT: Patience = Patience {
        ends: Duration::from_millis(500),
        look: Duration::from_millis(5),
    };

    struct Server(tempfile::TempDir);

    impl Server {
        fn new() -> Self {
            let server = Self(tempfile::tempdir().unwrap());
            for name in ["go", "fork"] {
                let mut make = std::process::Command::new("mkfifo");
                assert!(make.arg(server.path(name)).status().unwrap().success());
            }
            server
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn note(&self) -> PathBuf {
            self.path("installer.json")
        }

        /// A script in which `awaits NAME` waits until that is let go, and `did NAME` leaves a file.
        fn setup(&self, script: &str) -> Command {
            let folder = self.0.path().display();
            let words = format!("awaits() {{ read x <{folder}/$1; }}; did() {{ : >{folder}/$1; }}");
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &format!("{words}; {script}")]);
            command
        }

        /// Lets go whoever waits, once somebody does.
        fn lets(&self, name: &str) {
            fs::write(self.path(name), "\n").unwrap();
        }

        async fn until(&self, what: impl Fn() -> bool) {
            while !what() {
                tokio::task::yield_now().await;
            }
        }

        /// Who runs by the note.
        fn running(&self) -> Vec<Process> {
            Begun::read(&self.note()).map_or_else(Vec::new, |begun| begun.living())
        }
    }

    fn why(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_installer_that_ends_says_how() {
        let server = Server::new();
        let ended = run(server.setup("exit 5"), &server.note(), PATIENT).await;
        assert_eq!(ended, Outcome::Exited { code: 5 });
        assert!(!server.note().exists() && still_runs(&server.note()).is_none());
    }

    /// Its exit code is not taken for the end while somebody else does its work.
    #[tokio::test]
    async fn a_bootstrapper_that_hands_its_work_on_and_ends_is_waited_for_to_the_end_of_the_work() {
        let server = Server::new();
        // Two generations behind it, of which each one's parent ends first.
        let script = "{ { awaits go; did work; } & did between; exit; } & did handed; exit 3";
        let setup = server.setup(script);
        let note = server.note();
        let run = tokio::spawn(async move { run(setup, &note, PATIENT).await });
        server
            .until(|| server.path("handed").exists() && server.path("between").exists())
            .await;
        // Whoever began it has ended, as the note tells, and it is not over.
        let first = || Begun::read(&server.note()).map(|begun| begun.pid);
        let alone = || {
            let running = server.running();
            running.len() == 1 && Some(running[0].pid) != first()
        };
        server.until(alone).await;
        assert!(!run.is_finished() && !server.path("work").exists());
        server.lets("go");
        assert_eq!(run.await.unwrap(), Outcome::Exited { code: 3 });
        assert!(server.path("work").exists(), "all of it is done");
        assert!(!server.note().exists());
    }

    /// Half an installation is no product: it is told that it runs, and is left to a person.
    #[tokio::test]
    async fn an_installer_that_does_not_end_is_told_of_and_goes_on_and_no_other_begins_beside_it() {
        let server = Server::new();
        let setup = server.setup("trap '' TERM; awaits go; did work");
        let outcome = why(run(setup, &server.note(), SHORT).await);
        let running = server.running();
        let who = kin::names(&running);
        assert!(!running.is_empty(), "{outcome}");
        let begins =
            "it did not end within 0 s and was not ended, since half of it is no product: ";
        assert!(outcome.starts_with(begins), "{outcome}");
        assert!(
            outcome.contains(&format!("(process {})", running[0].pid)),
            "{outcome}"
        );
        let refused = why(still_runs(&server.note()).unwrap());
        assert!(refused.contains(&who) && refused.contains("its end on the server lifts it"));
        // Its name is looked up where it is not known: one that was seen while it was being made has none yet.
        let mut begun = Begun::read(&server.note()).unwrap();
        begun.running.iter_mut().for_each(|one| one.name.clear());
        let named: Vec<Process> = begun.living();
        assert!(named.iter().all(|one| !one.name.is_empty()), "{named:?}");
        let late = await_earlier(&server.note(), SHORT).await.unwrap_err();
        assert!(late.starts_with("it has not ended within"), "{late}");
        server.lets("go");
        await_earlier(&server.note(), PATIENT).await.unwrap();
        assert!(server.path("work").exists() && still_runs(&server.note()).is_none());
    }

    #[tokio::test]
    async fn what_a_bootstrapper_leaves_at_work_beyond_its_time_is_named_with_its_exit_code() {
        let server = Server::new();
        let setup = server.setup("awaits go & exit 0");
        let outcome = why(run(setup, &server.note(), SHORT).await);
        let running = server.running();
        let left = |one: &&Process| outcome.contains(&format!("(process {})", one.pid));
        assert!(running.iter().any(|one| left(&one)), "{outcome}");
        let begins = "it ended (exit code 0), and what it had begun did not within";
        assert!(outcome.starts_with(begins), "{outcome}");
        assert!(still_runs(&server.note()).is_some());
        server.lets("go");
        server.until(|| still_runs(&server.note()).is_none()).await;
    }

    /// The agent was killed while the bootstrapper ran; what it then hands on is found by the next life.
    #[tokio::test]
    async fn the_next_life_waits_for_what_the_installer_of_the_last_one_began_meanwhile() {
        let server = Server::new();
        let script = "awaits fork; { awaits go; did work; } & did forked; exit 0";
        let (setup, note) = (server.setup(script), server.note());
        let life = tokio::spawn(async move { run(setup, &note, PATIENT).await });
        server.until(|| !server.running().is_empty()).await;
        let first = server.running().remove(0);
        life.abort();
        assert!(life.await.unwrap_err().is_cancelled());
        server.lets("fork");
        server.until(|| server.path("forked").exists()).await;
        server.until(|| !server.running().contains(&first)).await;
        assert!(!server.running().is_empty(), "it is found by its origin");
        let note = server.note();
        let next = tokio::spawn(async move { await_earlier(&note, PATIENT).await });
        server.lets("go");
        next.await.unwrap().unwrap();
        assert!(server.path("work").exists(), "it was waited for");
    }

    /// A number that another process has by now is no installer.
    #[tokio::test]
    async fn another_process_of_the_same_number_is_not_waited_for() {
        let server = Server::new();
        let own = std::process::id();
        let note = format!("{{\"pid\":{own},\"created\":1}}");
        fs::write(server.note(), note).unwrap();
        assert!(still_runs(&server.note()).is_none());
        await_earlier(&server.note(), PATIENT).await.unwrap();
    }

    #[test]
    fn what_one_release_notes_the_other_reads() {
        #[derive(Deserialize)]
        struct Before {
            pid: u32,
            created: u64,
        }
        let running = vec![Process {
            pid: 8,
            created: 9,
            name: "setup.exe".to_owned(),
        }];
        let begun = Begun {
            pid: 7,
            created: 8,
            running,
        };
        let bytes = serde_json::to_vec(&begun).unwrap();
        let before: Before = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((before.pid, before.created), (7, 8));
        let after: Begun = serde_json::from_str("{\"pid\":7,\"created\":8}").unwrap();
        assert!(after.running.is_empty());
    }
}
