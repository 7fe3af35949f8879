//! A child and whatever it has begun: who of them runs, and how all of them are ended. On Windows a job holds them, and the list
//! of all processes names those that were begun before it did, or in an earlier life of the agent; elsewhere it is the child's
//! process group.

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

/// How often, and how many times, those that were ended are looked for.
const ENDS: (Duration, u32) = (Duration::from_millis(20), 500);

/// One process: its number alone may be another one's by now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: u32,
    /// When it began, as the operating system tells it.
    pub created: u64,
    #[serde(default)]
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "process {}", self.pid),
            name => write!(f, "{name} (process {})", self.pid),
        }
    }
}

/// Several in a sentence.
pub(super) fn names(processes: &[Process]) -> String {
    let names: Vec<String> = processes.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A process as the operating system lists it.
#[derive(Debug)]
pub(super) struct Listed {
    pub pid: u32,
    /// The process whose it is: its parent on Windows, the first of its group elsewhere.
    pub of: u32,
    pub name: String,
}

/// What becomes of a family when nobody waits for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwatched {
    /// It is ended: it holds a person's secrets, or is nothing without its agent.
    Ends,
    /// It goes on: half of its work would be worse than all of it.
    GoesOn,
}

/// A child and whatever it has begun.
#[derive(Debug)]
pub(super) struct Family {
    /// All who were seen, the child first.
    known: Vec<Process>,
    unwatched: Unwatched,
    /// Windows refuses it for a child that has ended already: those that it began are found by their origin then, and ended one by
    /// one.
    #[cfg(windows)]
    job: Option<super::windows::processes::Job>,
}

/// Prepares a command whose child is to be the first of a family.
pub(super) fn prepare(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    let _ = command;
}

impl Family {
    /// That of a child which is ended with this process, or when nobody waits for it any more. One that has ended before it could be
    /// tied has said what it had to say: it is no failure.
    ///
    /// # Errors
    /// When Windows does not tie one that runs.
    #[cfg_attr(
        unix,
        expect(clippy::unnecessary_wraps, reason = "Windows may refuse it")
    )]
    pub(super) fn tied(child: &Child) -> io::Result<Self> {
        // Before anything is looked up: what it begins meanwhile would be in no job.
        #[cfg(windows)]
        let job = match super::windows::processes::Job::of(child, Unwatched::Ends) {
            Ok(job) => Some(job),
            // Its number is its own as long as its handle is open.
            Err(_) if !child.id().is_some_and(system::runs) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            known: vec![first(child)],
            unwatched: Unwatched::Ends,
            #[cfg(windows)]
            job,
        })
    }

    /// That of a child which goes on whatever becomes of this process.
    pub(super) fn watched(child: &Child) -> Self {
        #[cfg(windows)]
        let job = super::windows::processes::Job::of(child, Unwatched::GoesOn)
            .inspect_err(|error| tracing::debug!(%error, "a child is in no job"))
            .ok();
        Self {
            known: vec![first(child)],
            unwatched: Unwatched::GoesOn,
            #[cfg(windows)]
            job,
        }
    }

    /// The child.
    pub(super) fn first(&self) -> &Process {
        &self.known[0]
    }

    /// Who of them runs.
    pub(super) fn living(&mut self) -> Vec<Process> {
        // Whoever is in the job is listed, or has ended since: the list comes after.
        #[cfg(windows)]
        let members: Vec<(u32, u64)> = self
            .job
            .iter()
            .flat_map(super::windows::processes::Job::members)
            .filter_map(|pid| Some((pid, system::created(pid)?)))
            .collect();
        let all = system::all();
        #[cfg(windows)]
        for (pid, created) in members {
            let listed = all.iter().find(|listed| listed.pid == pid);
            let name = listed.map(|listed| listed.name.clone());
            let member = Process {
                pid,
                created,
                name: name.unwrap_or_default(),
            };
            if !self.known.iter().any(|known| is_same(known, &member)) {
                self.known.push(member);
            }
        }
        let living = living_of(&self.known, &all);
        for one in &living {
            if !self.known.iter().any(|known| is_same(known, one)) {
                self.known.push(one.clone());
            }
        }
        living
    }

    /// Ends all of them, and gives those who run all the same.
    pub(super) async fn end(&mut self) -> Vec<Process> {
        let (look, times) = ENDS;
        for _ in 0..times {
            if self.living().is_empty() {
                return Vec::new();
            }
            self.kill();
            tokio::time::sleep(look).await;
        }
        self.living()
    }

    #[cfg(windows)]
    fn kill(&mut self) {
        match &self.job {
            Some(job) => job.end(),
            None => self.living().iter().for_each(system::end),
        }
    }

    #[cfg(unix)]
    fn kill(&mut self) {
        system::kill_group(self.first().pid);
    }

    /// Whether nobody else ends it: a job does that on Windows, also where the agent was killed.
    fn is_own_to_end(&self) -> bool {
        #[cfg(windows)]
        let tied = self.job.is_some();
        #[cfg(unix)]
        let tied = false;
        self.unwatched == Unwatched::Ends && !tied
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // A group that has nobody left may be another one by now.
        if self.is_own_to_end() && !self.living().is_empty() {
            self.kill();
        }
    }
}

fn first(child: &Child) -> Process {
    let pid = child.id().unwrap_or_default();
    Process {
        pid,
        created: system::created(pid).unwrap_or_default(),
        name: system::name(pid),
    }
}

fn is_same(one: &Process, other: &Process) -> bool {
    (one.pid, one.created) == (other.pid, other.created)
}

/// Who runs of these processes, which may have ended, and of whatever they have begun.
pub(super) fn living(of: &[Process]) -> Vec<Process> {
    living_of(of, &system::all())
}

/// The same by a list of all processes, which is taken once for each look.
fn living_of(of: &[Process], all: &[Listed]) -> Vec<Process> {
    let mut known: Vec<Process> = Vec::new();
    for one in of {
        if !known.iter().any(|known| is_same(known, one)) {
            known.push(one.clone());
        }
    }
    let mut from = 0;
    // Whoever is found may have begun others.
    while from < known.len() {
        let until = known.len();
        for listed in all {
            // Whose origin nobody here is need not be asked when it began.
            let mut origins = known[from..until].iter();
            if !origins.any(|one| one.pid == listed.of) {
                continue;
            }
            let Some(created) = system::created(listed.pid) else {
                continue;
            };
            let begun = known[from..until]
                .iter()
                .any(|one| one.pid == listed.of && has_begun(one, created));
            let process = Process {
                pid: listed.pid,
                created,
                name: listed.name.clone(),
            };
            if begun && !known.iter().any(|one| is_same(one, &process)) {
                known.push(process);
            }
        }
        from = until;
    }
    known.retain(|one| system::created(one.pid) == Some(one.created) && system::runs(one.pid));
    // One that was seen while it was being made had no name yet.
    for one in known.iter_mut().filter(|one| one.name.is_empty()) {
        if let Some(listed) = all.iter().find(|listed| listed.pid == one.pid) {
            one.name.clone_from(&listed.name);
        }
    }
    known
}

/// Whether a process that bears its number as its origin can be one's own: another one may have come to the same number, and
/// whoever began after that is of the other.
fn has_begun(one: &Process, created: u64) -> bool {
    let now = system::created(one.pid).filter(|now| *now != one.created);
    one.created <= created && now.is_none_or(|now| created < now)
}

#[cfg(windows)]
use super::windows::processes as system;

#[cfg(unix)]
mod system {
    use super::Listed;

    /// State, group and beginning of a process; none where it is no more than an exit code.
    fn stat(pid: u32) -> Option<(u32, u64)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it is in brackets, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let gone = matches!(fields[0], "Z" | "X");
        let group = fields.get(2)?.parse().ok()?;
        let created = fields.get(19)?.parse().ok()?;
        (!gone).then_some((group, created))
    }

    pub(super) fn created(pid: u32) -> Option<u64> {
        Some(stat(pid)?.1)
    }

    pub(super) fn runs(pid: u32) -> bool {
        stat(pid).is_some()
    }

    pub(super) fn name(pid: u32) -> String {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.unwrap_or_default().trim().to_owned()
    }

    pub(super) fn all() -> Vec<Listed> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let listed = pids.filter_map(|pid| {
            let (of, _) = stat(pid)?;
            let name = name(pid);
            Some(Listed { pid, of, name })
        });
        listed.collect()
    }

    pub(super) fn kill_group(first: u32) {
        use rustix::process::{Pid, Signal, kill_process_group};
        if let Some(group) = i32::try_from(first).ok().and_then(Pid::from_raw) {
            // Where nobody is there any more, that is what was wanted; who is shows in who still runs.
            if let Err(error) = kill_process_group(group, Signal::KILL) {
                tracing::debug!(%error, "a group of processes was not ended");
            }
        }
    }
}
