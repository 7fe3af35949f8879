//! The system below a simulation: its wall clock is the runtime's, and its entropy follows from the seed. What the programs
//! ask of the system's library is answered here in its place, so that they are simulated as they are, without a seam for
//! either. Only the thread that has begun a simulation is answered so.
#![expect(
    unsafe_code,
    reason = "functions of the system's C library are defined here, and aws-lc is given its entropy"
)]

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::Timestamp;
use rehearsal::Chance;
use tokio::time::Instant;

static PANICKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    static CLOCK: Cell<Option<(Duration, Instant)>> = const { Cell::new(None) };
}

/// Lets this thread's entropy follow from a seed. To be called before anything draws any.
pub(crate) fn seed(seed: u64) {
    CHANCE.set(Some(seed));
    // SAFETY: the methods are a constant of the shape that aws-lc declares, and nothing was drawn of it before.
    unsafe { override_entropy_source_method(&raw const METHODS) };
}

/// Lets this thread's wall clock go with the runtime's, from that moment on. To be called within the runtime.
pub(crate) fn begin_at(wall: Timestamp) {
    let millis = u64::try_from(wall.as_millis()).unwrap_or(0);
    CLOCK.set(Some((Duration::from_millis(millis), Instant::now())));
}

/// Notes every panic from now on, whichever task it ends: a session's own panic ends nothing else.
pub(crate) fn note_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Ordering::SeqCst);
        tell(panic);
    }));
}

/// Whether anything has panicked.
pub(crate) fn has_panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

fn fill(bytes: &mut [u8]) -> bool {
    let Some(state) = CHANCE.get() else {
        return false;
    };
    let mut chance = Chance::new(state);
    let next = chance.number();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = chance.number().to_le_bytes()[at % 8];
    }
    CHANCE.set(Some(next));
    true
}

/// Stands for the function of the C library.
///
/// # Safety
/// As that function: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if length > 0 && !buffer.is_null() {
        // SAFETY: the caller has room for that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        if fill(bytes) {
            return length.cast_signed();
        }
    }
    // SAFETY: the system call has the same arguments.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
    isize::try_from(got).unwrap_or(-1)
}

/// Stands for the function of the C library.
///
/// # Safety
/// As that function: `time` is where a time may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if clock == libc::CLOCK_REALTIME
        && let Some((wall, begun)) = CLOCK.get()
    {
        let now = wall + begun.elapsed();
        // SAFETY: the caller has room for a time.
        unsafe {
            (*time).tv_sec = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            (*time).tv_nsec = i64::from(now.subsec_nanos());
        }
        return 0;
    }
    // SAFETY: the system call has the same arguments.
    let got = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    c_int::try_from(got).unwrap_or(-1)
}

/// Bytes that aws-lc's generator wants at a time.
const SEED: usize = 48;

#[repr(C)]
struct Methods {
    initialize: extern "C" fn(*mut c_void) -> c_int,
    zeroize_thread: extern "C" fn(*mut c_void),
    free_thread: extern "C" fn(*mut c_void),
    seed: unsafe extern "C" fn(*const c_void, *mut u8) -> c_int,
    more: unsafe extern "C" fn(*const c_void, *mut u8) -> c_int,
    resistance: Option<unsafe extern "C" fn(*const c_void, *mut u8) -> c_int>,
    id: c_int,
}

static METHODS: Methods = Methods {
    initialize: yes,
    zeroize_thread: nothing,
    free_thread: nothing,
    seed: draw,
    more: draw,
    resistance: None,
    id: 0,
};

extern "C" fn yes(_: *mut c_void) -> c_int {
    1
}

extern "C" fn nothing(_: *mut c_void) {}

/// # Safety
/// As aws-lc calls it: with room for a seed.
unsafe extern "C" fn draw(_: *const c_void, seed: *mut u8) -> c_int {
    // SAFETY: aws-lc gives room for a seed of its generator.
    let bytes = unsafe { std::slice::from_raw_parts_mut(seed, SEED) };
    c_int::from(fill(bytes))
}

unsafe extern "C" {
    /// aws-lc's own door for tests. Its symbols carry its version: another one is noticed by the linker.
    #[link_name = "aws_lc_0_47_0_override_entropy_source_method_FOR_TESTING"]
    fn override_entropy_source_method(methods: *const Methods);
}
