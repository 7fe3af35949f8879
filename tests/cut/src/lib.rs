//! Ends a process, as SIGKILL does, at the very moment at which it stores something: it stands for two functions of the C
//! library (`LD_PRELOAD`), so that the program is the one that an operator has, without a seam for it.
//!
//! What is waited for is a word in what SQLite writes to the log's file or to the one beside it: [`WORD`], a name, and `;`. A
//! story has a trigger of its own write it in the transaction that it means. Each name has two moments, one after the other:
//! as the transaction is written, so that nothing of it is kept, and once it is on the disk, before anybody was told. What has
//! been is a line of the file that the variable [`TOLD`] names.
//!
//! A backup has two moments as well: as its first file is brought to the disk, and as its list is, which makes it whole.
//!
//! For an agent it is a disk that keeps nothing of a journal but what was flushed, where the variable [`FLUSHED`] is there: what is
//! written otherwise goes with the process, as it may with a server's power.
#![cfg(target_os = "linux")]
#![expect(
    unsafe_code,
    reason = "functions of the system's C library are defined here"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, c_int, c_void};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What a name follows on.
const WORD: &[u8] = b"cut-at:";

/// Variable with the file of what has been. Without it nothing is ended.
const TOLD: &str = "ENTRAIN_TEST_CUTS";

/// How the names of the log's files begin.
const LOG: &str = "log.sqlite";

/// How the names of folders begin that backups are written to, and the name of a backup's list.
const BACKUP: &str = "backup";
const LIST: &str = "backup.json";

/// Variable that keeps what is written to a journal from the disk until it is flushed.
const FLUSHED: &str = "ENTRAIN_TEST_FLUSHED";

/// Name of an agent's journal.
const JOURNAL: &str = "journal";

thread_local! {
    /// Names in what this thread has written and not brought to the disk yet.
    static DUE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Stands for the function of the C library.
///
/// # Safety
/// As that function: `buffer` holds `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    file: c_int,
    buffer: *const c_void,
    length: usize,
    offset: i64,
) -> isize {
    if !buffer.is_null() {
        // SAFETY: the caller has that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) };
        let names = names(bytes);
        if !names.is_empty() && is_log(file) {
            about_to_write(names);
        }
    }
    // SAFETY: the system call has the same arguments.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, file, buffer, length, offset) };
    isize::try_from(written).unwrap_or(-1)
}

/// Stands for the function of the C library.
///
/// # Safety
/// As that function: `buffer` holds `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, buffer: *const c_void, length: usize) -> isize {
    if is_journal(file) && !buffer.is_null() {
        // SAFETY: the caller has that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) };
        let mut all = unflushed();
        all.entry(file).or_default().extend_from_slice(bytes);
        return isize::try_from(length).unwrap_or(isize::MAX);
    }
    put(file, buffer, length)
}

/// Stands for the function of the C library.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    if !flush(file) {
        return -1;
    }
    // SAFETY: the system call has the same argument.
    let synced = unsafe { libc::syscall(libc::SYS_fdatasync, file) };
    c_int::try_from(synced).unwrap_or(-1)
}

/// Writes as that function of the C library does.
fn put(file: c_int, buffer: *const c_void, length: usize) -> isize {
    // SAFETY: the system call has the same arguments.
    let written = unsafe { libc::syscall(libc::SYS_write, file, buffer, length) };
    isize::try_from(written).unwrap_or(-1)
}

/// What was written to journals and not flushed.
fn unflushed() -> MutexGuard<'static, BTreeMap<c_int, Vec<u8>>> {
    static ALL: Mutex<BTreeMap<c_int, Vec<u8>>> = Mutex::new(BTreeMap::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets what was written to a journal through, before it is brought to the disk.
fn flush(file: c_int) -> bool {
    let written = unflushed().remove(&file).unwrap_or_default();
    let mut rest = written.as_slice();
    while !rest.is_empty() {
        let Ok(done @ 1..) = usize::try_from(put(file, rest.as_ptr().cast(), rest.len())) else {
            return false;
        };
        rest = rest.get(done..).unwrap_or_default();
    }
    true
}

fn is_journal(file: c_int) -> bool {
    static FOR_AGENTS: OnceLock<bool> = OnceLock::new();
    let for_agents = FOR_AGENTS.get_or_init(|| std::env::var_os(FLUSHED).is_some());
    *for_agents
        && path(file).is_some_and(|path| path.file_name().is_some_and(|name| name == JOURNAL))
}

/// Stands for the function of the C library.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    if !flush(file) {
        return -1;
    }
    backs_up(file);
    // SAFETY: the system call has the same argument.
    let synced = unsafe { libc::syscall(libc::SYS_fsync, file) };
    let due = DUE.with_borrow_mut(std::mem::take);
    if synced == 0 && !due.is_empty() {
        end(&due, "stored");
    }
    c_int::try_from(synced).unwrap_or(-1)
}

/// Every name that stands behind the word.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(WORD.len()).position(|part| part == WORD) {
        rest = &rest[at + WORD.len()..];
        let end = rest.iter().position(|byte| *byte == b';');
        if let Some(name) = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok()) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A file of a backup is about to be brought to the disk.
fn backs_up(file: c_int) {
    let Some((path, told)) = path(file).zip(told()) else {
        return;
    };
    let begins =
        |name: Option<&OsStr>| name.is_some_and(|name| name.to_string_lossy().starts_with(BACKUP));
    if !begins(path.parent().and_then(Path::file_name)) {
        return;
    }
    let told = std::fs::read_to_string(told).unwrap_or_default();
    let has_been = |moment: &str| told.lines().any(|line| line == said(BACKUP, moment));
    let name = path.file_name().unwrap_or_default();
    let list = name.to_string_lossy().starts_with(LIST);
    let moment = if list { "stored" } else { "stores" };
    if !has_been(moment) {
        end(&[BACKUP.to_owned()], moment);
    }
}

fn path(file: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{file}")).ok()
}

fn is_log(file: c_int) -> bool {
    let name = path(file).and_then(|path| Some(path.file_name()?.to_owned()));
    name.is_some_and(|name| name.to_string_lossy().starts_with(LOG))
}

fn about_to_write(names: Vec<String>) {
    let Some(told) = told() else {
        return;
    };
    let told = std::fs::read_to_string(told).unwrap_or_default();
    let has_been = |name: &str, moment: &str| told.lines().any(|line| line == said(name, moment));
    let (due, new): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| has_been(name, "stores"));
    if !new.is_empty() {
        end(&new, "stores");
    }
    // A page holds what was written to it before as well.
    let due = due.into_iter().filter(|name| !has_been(name, "stored"));
    DUE.with_borrow_mut(|all| all.extend(due));
}

fn told() -> Option<PathBuf> {
    std::env::var_os(TOLD).map(PathBuf::from)
}

fn said(name: &str, moment: &str) -> String {
    format!("{name} {moment}")
}

/// Says which moment of which names it is, and ends the process.
fn end(names: &[String], moment: &str) {
    let lines: String = names.iter().map(|name| said(name, moment) + "\n").collect();
    let open = || {
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(told()?)
            .ok()
    };
    if let Some(mut file) = open()
        && file.write_all(lines.as_bytes()).is_ok()
    {
        // SAFETY: the process ends here.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}
