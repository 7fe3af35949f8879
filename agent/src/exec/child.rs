//! Talks to one child process: what it reads goes in, what it prints comes out, and all of it comes to an end, also where the
//! child hangs, leaves a process of its own behind, or prints without end. Two tasks read its pipes and one writes; none of them
//! outlives the talk, nor does the child or whatever it has begun.

use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exec::kin::{self, Family};

/// How much of what a child prints is kept. The largest answer of a script, the settings of a Connect server, is far below.
const MOST_PRINTED: usize = 16 << 20;

/// The same of what it says on standard error, of which people are shown a few lines.
const MOST_SAID: usize = 256 << 10;

/// How long the pipes of a child that has ended are read on. What it wrote lies in them; whoever holds them open beyond that is
/// a process that it left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// How long a child may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until it prints something, or ends.
    pub begins: Duration,
    /// Until it has ended.
    pub ends: Duration,
}

/// What a child that has ended said.
#[derive(Debug)]
pub(super) struct Said {
    pub printed: Vec<u8>,
    pub errors: Vec<u8>,
    pub status: ExitStatus,
}

/// Why a talk came to nothing. The child is ended then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It printed nothing, and did not end.
    NeverBegan,
    /// It did not end.
    TookTooLong,
    /// It printed more than is kept.
    SaidTooMuch,
    /// It cannot be run or waited for.
    Failed(String),
}

/// A pipe's text as far as it is kept.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    cut: bool,
}

/// Runs a child to its end, and ends whatever it leaves behind. It is ended with whatever it has begun when this is dropped, and
/// when it takes too long: it holds a person's secrets and must not go on by itself when nobody waits for it any more.
pub(super) async fn talk(
    mut command: Command,
    input: Vec<u8>,
    patience: Patience,
) -> Result<Said, Silence> {
    kin::prepare(&mut command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Silence::Failed(format!("it cannot be started: {error}")))?;
    // Before it is told anything: what it begins is tied as well.
    let mut family = Family::tied(&child)
        .map_err(|error| Silence::Failed(format!("it cannot be tied to the agent: {error}")))?;
    let said = listen(&mut child, input, patience).await;
    // It waits for nothing where all have ended; nobody is told that it is over while somebody is left.
    let left = family.end().await;
    if !left.is_empty() {
        let left = kin::names(&left);
        return Err(Silence::Failed(format!("it cannot be ended: {left}")));
    }
    said
}

/// Listens to a child until it has ended.
async fn listen(child: &mut Child, input: Vec<u8>, patience: Patience) -> Result<Said, Silence> {
    let failed = |error: std::io::Error| Silence::Failed(error.to_string());
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Silence::Failed("it has no pipes".to_owned()));
    };
    let (begun, mut has_begun) = watch::channel(false);
    let (printed, errors) = (Arc::default(), Arc::default());
    let mut readers = JoinSet::new();
    readers.spawn(read(
        stdout,
        MOST_PRINTED,
        Arc::clone(&printed),
        Some(begun),
    ));
    // Beside standard output: a child that fills one of the two pipes would wait for ever.
    readers.spawn(read(stderr, MOST_SAID, Arc::clone(&errors), None));
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        // A child that ended already says why by its exit code and its words; one that does not read is waited for below.
        drop(stdin.write_all(&input).await);
    });
    let talk = async {
        let first = async {
            tokio::select! {
                // The sender is gone where the pipe was closed: then it ends, or is waited for as long as any other.
                _ = has_begun.wait_for(|begun| *begun) => None,
                status = child.wait() => Some(status),
            }
        };
        let first = tokio::time::timeout(patience.begins, first).await;
        match first.map_err(|_| Silence::NeverBegan)? {
            Some(status) => status.map_err(failed),
            None => child.wait().await.map_err(failed),
        }
    };
    let status = tokio::time::timeout(patience.ends, talk).await;
    let status = status.map_err(|_| Silence::TookTooLong)??;
    let all = async { while readers.join_next().await.is_some() {} };
    if tokio::time::timeout(LEFT_BEHIND, all).await.is_err() {
        tracing::warn!(
            "a child ended and left a process behind that holds its output open; it is ended"
        );
        readers.shutdown().await;
    }
    let (printed, errors) = (taken(&printed), taken(&errors));
    if printed.cut {
        return Err(Silence::SaidTooMuch);
    }
    Ok(Said {
        printed: printed.bytes,
        errors: errors.bytes,
        status,
    })
}

/// Reads a pipe to its end; what is beyond `most` is read and dropped, so that the child does not wait.
async fn read(
    mut pipe: impl AsyncRead + Unpin,
    most: usize,
    kept: Arc<Mutex<Kept>>,
    begun: Option<watch::Sender<bool>>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let taken = match pipe.read(&mut buffer).await {
            Ok(0) => return,
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if let Some(begun) = &begun {
            begun.send_replace(true);
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = most.saturating_sub(kept.bytes.len()).min(taken);
        kept.cut |= room < taken;
        kept.bytes.extend_from_slice(&buffer[..room]);
    }
}

fn taken(kept: &Mutex<Kept>) -> Kept {
    std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const PATIENT: Patience = Patience {
        begins: Duration::from_secs(60),
        ends: Duration::from_secs(600),
    };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    /// Whether a process is there, as the kernel tells.
    fn runs(process: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn what_goes_in_and_what_comes_out_are_whole() {
        let input = vec![b'x'; 1 << 20];
        let said = talk(shell("cat; echo said >&2; exit 3"), input.clone(), PATIENT).await;
        let said = said.unwrap();
        assert_eq!(said.printed, input);
        assert_eq!(said.errors, b"said\n");
        assert_eq!(said.status.code(), Some(3));
    }

    /// Its words are taken, though the pipes stay open; the process that it left is not waited for, and does not go on.
    #[tokio::test]
    async fn a_child_that_leaves_a_process_behind_has_said_all_when_it_ends() {
        let script = "sleep 3000 & echo $!; echo told >&2";
        let said = talk(shell(script), Vec::new(), PATIENT).await.unwrap();
        let process = String::from_utf8(said.printed).unwrap();
        assert!(!runs(&process), "{process}");
        assert_eq!(said.errors, b"told\n");
        assert!(said.status.success());
    }

    /// Whoever holds no pipe is no less its own.
    #[tokio::test]
    async fn what_a_child_leaves_behind_in_silence_is_ended_too() {
        let script = "sleep 3000 >/dev/null 2>&1 </dev/null & echo $!";
        let said = talk(shell(script), Vec::new(), PATIENT).await.unwrap();
        let process = String::from_utf8(said.printed).unwrap();
        assert!(!runs(&process), "{process}");
    }

    /// A polite end is not asked for: nothing that would refuse it is waited for.
    #[tokio::test]
    async fn a_child_that_takes_too_long_ends_with_all_that_it_began_and_that_heeds_no_signal() {
        let patience = Patience {
            begins: Duration::from_secs(60),
            ends: Duration::from_millis(300),
        };
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("processes");
        let own = "trap '' HUP INT TERM; while :; do sleep 3000; done";
        // One of its own, and one of that one's.
        let script = format!(
            "{{ sh -c \"{own}\" & echo $!; ({own}) & echo $!; echo $$; }} > {}; echo begun; {own}",
            place.display()
        );
        let said = talk(shell(&script), Vec::new(), patience).await;
        assert_eq!(said.unwrap_err(), Silence::TookTooLong);
        let processes = std::fs::read_to_string(place).unwrap();
        assert_eq!(processes.lines().count(), 3, "{processes}");
        for process in processes.lines() {
            assert!(!runs(process), "{process}");
        }
    }

    /// A run whose step was given up drops the talk: nothing goes on beside the next try.
    #[tokio::test]
    async fn what_nobody_listens_to_any_more_ends_with_all_that_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("processes");
        let script = format!(
            "sleep 3000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait",
            place.display()
        );
        let talk = tokio::spawn(talk(shell(&script), Vec::new(), PATIENT));
        while !place.exists() {
            tokio::task::yield_now().await;
        }
        talk.abort();
        assert!(talk.await.unwrap_err().is_cancelled());
        let processes = std::fs::read_to_string(place).unwrap();
        assert_eq!(processes.split_whitespace().count(), 2);
        for process in processes.split_whitespace() {
            while runs(process) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_ended() {
        let patience = Patience {
            begins: Duration::from_secs(60),
            ends: Duration::from_secs(2),
        };
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("process");
        let script = format!("echo $$ > {}; echo begun; exec sleep 3000", place.display());
        let said = talk(shell(&script), vec![b'x'; 1 << 20], patience).await;
        assert_eq!(said.unwrap_err(), Silence::TookTooLong);
        let process = std::fs::read_to_string(place).unwrap();
        assert!(!runs(&process), "{process}");
    }

    #[tokio::test]
    async fn a_child_that_never_says_a_word_is_given_up_sooner() {
        let patience = Patience {
            begins: Duration::from_millis(200),
            ..PATIENT
        };
        let said = talk(shell("exec sleep 3000"), Vec::new(), patience).await;
        assert_eq!(said.unwrap_err(), Silence::NeverBegan);
        // Whoever ends without a word has ended.
        let said = talk(shell("exit 4"), Vec::new(), PATIENT).await.unwrap();
        assert_eq!(said.status.code(), Some(4));
    }

    /// Without an end of its own it has one all the same.
    #[tokio::test]
    async fn a_child_that_floods_both_its_outputs_for_ever_is_ended() {
        let patience = Patience {
            begins: Duration::from_secs(60),
            ends: Duration::from_secs(1),
        };
        let said = talk(
            shell("yes >&2 & echo $!; exec yes"),
            vec![b'x'; 1 << 20],
            patience,
        )
        .await;
        assert_eq!(said.unwrap_err(), Silence::TookTooLong);
    }

    #[tokio::test]
    async fn a_child_that_floods_its_output_fills_no_memory_and_is_not_held_up() {
        let flood = "head -c 40000000 /dev/zero";
        let said = talk(shell(flood), Vec::new(), PATIENT).await;
        assert_eq!(said.unwrap_err(), Silence::SaidTooMuch);
        let said = talk(
            shell(&format!("{flood} >&2; echo done")),
            Vec::new(),
            PATIENT,
        )
        .await;
        let said = said.unwrap();
        assert_eq!(said.printed, b"done\n");
        assert_eq!(said.errors.len(), MOST_SAID);
    }
}
