//! Every size and count limit of the protocol, each with the reason for its value. Limits are checked before memory is
//! taken for what they bound.

use std::time::Duration;

/// Longest frame on a control, bundle, event or secret stream. The largest lawful frame is a bundle offer: a manifest
/// of [`MAX_STEPS`] steps with its approval, far below this.
pub const MAX_FRAME_BYTES: usize = 512 * 1024;

/// Longest signed document (payload of an envelope). A trust root with dozens of keys stays below 64 KiB.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Most signatures in one envelope: more than any threshold in use, few enough to verify at once.
pub const MAX_SIGNATURES: usize = 16;

/// Most steps in one bundle: a phase of one target's work has about ten.
pub const MAX_STEPS: usize = 64;

/// Most artifacts that one bundle names: a phase installs one product of one version, and one server has two products.
pub const MAX_ARTIFACTS: usize = 16;

/// Most domains that one step may name: more than the largest estate that Entrain is for, and their names still fit a
/// frame many times over (253 bytes each).
pub const MAX_DOMAINS: usize = 256;

/// Most hosts of one kind that the data on clouds may have a preflight ask: each is a connection with its time-out, and the vendor's lists
/// of such hosts have at most three.
pub const MAX_PROBED_HOSTS: usize = 16;

/// Most domains of one forest that a preflight of Connect asks beside those that its bundle names: each is about ten questions and
/// as many findings. How many more there are is told as not asked.
pub const MAX_FOREST_DOMAINS: usize = 32;

/// Most users and groups whose anchors are looked at in one domain, where both tools serve it: as many as LocalDB holds of
/// objects, a few hundred pages of a controller's. Beyond it the finding says so.
pub const MAX_ANCHORS: u64 = 100_000;

/// Artifacts are fetched and verified in chunks of this size: small enough to resume cheaply, large enough that a
/// 300 MiB installer has a list of 10 KiB.
pub const CHUNK_BYTES: usize = 1024 * 1024;

/// Largest artifact. Both products' installers are below 300 MiB.
pub const MAX_ARTIFACT_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Largest program of a release of the agent: a released one is below 16 MiB, and its successors shall find room.
pub const MAX_AGENT_BYTES: u64 = 128 * 1024 * 1024;

/// Most programs in a release of the agent: one for each platform.
pub const MAX_RELEASE_FILES: usize = 8;

/// Most events in one frame; the sender also keeps below half of [`MAX_FRAME_BYTES`].
pub const MAX_EVENTS_PER_FRAME: usize = 256;

/// Most log lines that a failure carries: two screens of a terminal, and with [`MAX_LINE_CHARS`] at most 64 KiB of an event
/// (four bytes a character).
pub const MAX_FAILURE_LINES: usize = 40;

/// Longest single log line that a failure carries: room for a time and a message. The rest is cut with a mark.
pub const MAX_LINE_CHARS: usize = 400;

/// Longest version of an agent that is kept: four numbers of ten digits, and their dots.
pub const MAX_VERSION_CHARS: usize = 43;

/// Most settings of a Connect server that one event carries: an estate of ten forests has about seven hundred default rules.
pub const MAX_SETTINGS: usize = 1000;

/// Most bytes of their names and values together: with what JSON adds (a quoted sign becomes two) the event stays below half
/// of [`MAX_FRAME_BYTES`].
pub const MAX_SETTINGS_BYTES: usize = 80 * 1024;

/// Longest name or value of a setting: a rule's name, a connector's and what of it, or the path of a deep organizational unit. The
/// rest is cut, with a digest of the whole.
pub const MAX_SETTING_CHARS: usize = 250;

/// Longest secret: an access token is about 2 KiB.
pub const MAX_SECRET_BYTES: usize = 16 * 1024;

/// Difference between two clocks at which "not yet valid" is still accepted: what Kerberos allows by default, so that a
/// server beyond it has trouble with its domain as well.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// How long operators may set a rule aside: long enough to do what it is needed for, too short to be forgotten. An agent
/// refuses a bundle that says more.
pub const OVERRIDE_LIFE: Duration = Duration::from_secs(3600);

/// Most operators that one override names, as many as can sign one envelope.
pub const MAX_OVERRIDERS: usize = MAX_SIGNATURES;

/// Longest reason, change number or name of an override, in characters: a sentence that is repeated in every view.
pub const MAX_OVERRIDE_CHARS: usize = 300;

/// Life of an agent's certificate; renewed at half of it.
pub const AGENT_CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// From one cycle of Connect to its next, as a plan reckons a soak: no scheduler is faster (product facts 2.12).
pub const CYCLE: Duration = Duration::from_secs(1800);
/// From one cycle of Connect to its next, at most, where a soak waits for them.
pub const SLOWEST_CYCLE: Duration = Duration::from_secs(24 * 3600);

/// Age at which facts no longer support an outage (guard rail G2).
pub const FRESH_FACTS: Duration = Duration::from_secs(60);
