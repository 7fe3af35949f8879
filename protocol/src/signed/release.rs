//! A release of the agent: its publisher signs, offline, which bytes a version is on which platform. No controller can make
//! one: the publisher's key is in the trust root, and its private half is nobody's who runs a controller.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::signed::verify::Document;
use crate::time::Timestamp;
use crate::version::Version;

/// The program of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// Operating system and processor, as Rust names them: `windows-x86_64`. A text, so that a release for a platform that an
    /// agent has never heard of can still be read by it.
    pub platform: String,
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// SHA-256 of the list of chunk digests, each 32 bytes, chunks of 1 MiB.
    pub chunks: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// What a publisher signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRelease {
    /// Format of this document.
    pub format: u32,
    /// Version of the agent, as it says it itself.
    pub version: Version,
    /// When it was signed.
    pub issued: Timestamp,
    /// Its programs, one for each platform.
    pub files: Vec<ReleaseFile>,
}

impl AgentRelease {
    /// The platform that this very program was built for.
    #[must_use]
    pub fn this_platform() -> String {
        format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
    }

    /// The program for a platform.
    #[must_use]
    pub fn file(&self, platform: &str) -> Option<&ReleaseFile> {
        self.files.iter().find(|file| file.platform == platform)
    }
}

impl Document for AgentRelease {
    const PAYLOAD_TYPE: &'static str = "application/vnd.entrain.agent-release+json";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }
}
