//! Ends a process, as SIGKILL does, at the very moment at which it stores something: it stands for two functions of the C
//! library (`LD_PRELOAD`), so that the program is the one that an operator has, without a seam for it.
//!
//! What is waited for is a word in what SQLite writes to the log's file or to the one beside it: [`WORD`], a name, and `;`. A
//! story has a trigger of its own write it in the transaction that it means. Each name has two moments, one after the other:
//! as the transaction is written, so that nothing of it is kept, and once it is on the disk, before anybody was told. What has
//! been is a line of the file that the variable [`TOLD`] names.
#![cfg(target_os = "linux")]
#![expect(
    unsafe_code,
    reason = "functions of the system's C library are defined here"
)]

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::io::Write as _;
use std::path::PathBuf;

/// What a name follows on.
const WORD: &[u8] = b"cut-at:";

/// Variable with the file of what has been. Without it nothing is ended.
const TOLD: &str = "ENTRAIN_TEST_CUTS";

/// How the names of the log's files begin.
const LOG: &str = "log.sqlite";

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
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
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

fn is_log(file: c_int) -> bool {
    let path = std::fs::read_link(format!("/proc/self/fd/{file}"));
    let name = path
        .ok()
        .and_then(|path| Some(path.file_name()?.to_owned()));
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
