//! Processes of Windows by their numbers, and jobs: a child with whatever it begins.
#![expect(
    unsafe_code,
    reason = "no safe library offers jobs and lists of processes; each call has its reason"
)]

use windows_sys::Win32::Foundation::{
    CloseHandle, FILETIME, HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicProcessIdList,
    JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
};

use crate::exec::kin::{self, Listed, Unwatched};

/// A job: a child and whatever it begins, for Windows puts these into it too.
#[derive(Debug)]
pub(in crate::exec) struct Job(HANDLE);

// SAFETY: the handle is a number that any thread may use; it is closed once, by the owner.
unsafe impl Send for Job {}
// SAFETY: what is asked of the job through a shared reference, Windows does one at a time.
unsafe impl Sync for Job {}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this type and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

impl Job {
    /// That of a child. Where it is to end unwatched, everybody in it ends when the job is dropped, or with this process, also
    /// one that is killed.
    pub(in crate::exec) fn of(
        child: &tokio::process::Child,
        unwatched: Unwatched,
    ) -> std::io::Result<Self> {
        let failed = std::io::Error::last_os_error;
        // SAFETY: both pointers may be null: no attributes, no name.
        let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if handle.is_null() {
            return Err(failed());
        }
        let job = Self(handle);
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        if unwatched == Unwatched::Ends {
            limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        }
        let length = u32::try_from(size_of_val(&limits)).unwrap_or(0);
        let pointer = (&raw const limits).cast();
        // SAFETY: the structure is alive, of the class that is named, and as long as told.
        let set = unsafe {
            SetInformationJobObject(job.0, JobObjectExtendedLimitInformation, pointer, length)
        };
        let process = child.raw_handle().unwrap_or(std::ptr::null_mut());
        // SAFETY: both handles are open; the child's is its own until it is dropped.
        if set == 0 || unsafe { AssignProcessToJobObject(job.0, process) } == 0 {
            return Err(failed());
        }
        Ok(job)
    }

    /// The ids of all who are in it; what of them is beyond the first hundred is seen once those have ended.
    pub(in crate::exec) fn members(&self) -> Vec<u32> {
        const MOST: usize = 100;
        /// JOBOBJECT_BASIC_PROCESS_ID_LIST, with room.
        #[repr(C)]
        struct List {
            assigned: u32,
            listed: u32,
            ids: [usize; MOST],
        }
        let mut list = List {
            assigned: 0,
            listed: 0,
            ids: [0; MOST],
        };
        let length = u32::try_from(size_of_val(&list)).unwrap_or(0);
        // SAFETY: the structure is alive, writable, of the class that is named, and as long as told; none need be told the length.
        unsafe {
            QueryInformationJobObject(
                self.0,
                JobObjectBasicProcessIdList,
                (&raw mut list).cast(),
                length,
                std::ptr::null_mut(),
            )
        };
        // A list that is too long is filled as far as it goes.
        let listed = usize::try_from(list.listed).unwrap_or(0).min(MOST);
        let ids = list.ids[..listed].iter();
        ids.filter_map(|id| u32::try_from(*id).ok()).collect()
    }

    /// Ends all who are in it.
    pub(in crate::exec) fn end(&self) {
        // SAFETY: the handle is open; that it fails shows in who still runs.
        unsafe { TerminateJobObject(self.0, 1) };
    }
}

/// Ends one process, unless another one has come to its number.
pub(in crate::exec) fn end(one: &kin::Process) {
    let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE;
    // SAFETY: the call takes plain values and gives a handle, or null when there is no such process.
    let handle = unsafe { OpenProcess(access, 0, one.pid) };
    if handle.is_null() {
        return;
    }
    // While it is held its number is nobody else's.
    let process = Process(handle);
    if created(one.pid) == Some(one.created) {
        // SAFETY: the handle is open; that it fails shows in who still runs.
        unsafe { TerminateProcess(process.0, 1) };
    }
}

/// All processes; none where Windows does not list them.
pub(in crate::exec) fn all() -> Vec<Listed> {
    // SAFETY: the call takes plain values and gives a handle, or the invalid one.
    let handle = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if handle == INVALID_HANDLE_VALUE {
        return Vec::new();
    }
    // It closes like one.
    let snapshot = Process(handle);
    let mut entry = PROCESSENTRY32W {
        dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(0),
        ..PROCESSENTRY32W::default()
    };
    let mut all = Vec::new();
    // SAFETY: the handle is open, the entry is alive, writable and says its own length; the same below.
    let mut more = unsafe { Process32FirstW(snapshot.0, &raw mut entry) };
    while more != 0 {
        let name = entry.szExeFile.split(|unit| *unit == 0).next();
        all.push(Listed {
            pid: entry.th32ProcessID,
            of: entry.th32ParentProcessID,
            name: String::from_utf16_lossy(name.unwrap_or_default()),
        });
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.0, &raw mut entry) };
    }
    all
}

/// The name of a process; empty where it has ended.
pub(in crate::exec) fn name(pid: u32) -> String {
    let listed = all().into_iter().find(|listed| listed.pid == pid);
    listed.map(|listed| listed.name).unwrap_or_default()
}

struct Process(HANDLE);

impl Process {
    fn open(pid: u32) -> Option<Self> {
        let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        // SAFETY: the call takes plain values and gives a handle, or null when there is no such process.
        let handle = unsafe { OpenProcess(access, 0, pid) };
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this type and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

/// When a process began, in units of 100 ns since Windows' own beginning; also of one that has ended, while somebody holds it.
pub(in crate::exec) fn created(pid: u32) -> Option<u64> {
    let process = Process::open(pid)?;
    let zero = || FILETIME {
        dwLowDateTime: 0,
        dwHighDateTime: 0,
    };
    let (mut created, mut exited, mut kernel, mut user) = (zero(), zero(), zero(), zero());
    // SAFETY: the handle is open and the four structures are alive and writable.
    let told = unsafe {
        GetProcessTimes(
            process.0,
            &raw mut created,
            &raw mut exited,
            &raw mut kernel,
            &raw mut user,
        )
    };
    (told != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Whether it still runs.
pub(in crate::exec) fn runs(pid: u32) -> bool {
    // SAFETY: the handle is open while it is waited for, without time.
    Process::open(pid)
        .is_some_and(|process| unsafe { WaitForSingleObject(process.0, 0) } == WAIT_TIMEOUT)
}
