//! What an agent keeps: its key, its certificate, the pinned trust root, accepted bundles. All in one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::Identity;
use protocol::key::SigningKey;
use protocol::signed::{ControllerKind, Document as _, Envelope, TrustRoot};
use protocol::{Digest, Generation, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files;

/// Says why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("could not {action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it must.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another agent runs on it.
    #[error(
        "another agent runs on {folder}: two on one journal would be two servers to the controller; end that process first (the lock on {lock} names nobody: look for entrain-agent among the processes)"
    )]
    InUse {
        /// The state folder.
        folder: PathBuf,
        /// The file that the other one has locked.
        lock: PathBuf,
    },
    /// Never enrolled.
    #[error(
        "this agent is not enrolled: {0} is missing; run `entrain-agent enroll` with a join file"
    )]
    NotEnrolled(PathBuf),
}

/// Who this agent is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    target: TargetId,
    controller: String,
    /// PKCS#8, base64. The folder's permissions guard it.
    key: String,
}

/// The certificate, and when to renew it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFile {
    /// Chain, DER in base64, end entity first.
    pub chain: Vec<String>,
    /// From when on it is renewed.
    pub renew_after: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// An enrolled agent's folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// Name of the server.
    pub target: TargetId,
    /// Where the controller listens.
    pub controller: String,
    /// The enrolled key.
    pub key: SigningKey,
    /// The pinned trust root.
    pub root: TrustRoot,
    /// The certificate.
    pub certificate: CertificateFile,
}

/// What makes an agent's identity, and what it did under it.
const OF_ONE_LIFE: [&str; 6] = [
    "identity.json",
    "certificate.json",
    "trust-root.json",
    "journal",
    "bundles",
    "installer.json",
];

/// Puts the key and all that was done under it aside, so that the server can be enrolled anew; gives the folder in which it
/// lies. Where there is nothing, nothing is done.
///
/// # Errors
/// When something cannot be moved.
pub fn put_aside(folder: &Path) -> Result<PathBuf, StateError> {
    let mut number = 1;
    let mut aside = folder.join("before-1");
    while aside.exists() {
        number += 1;
        aside = folder.join(format!("before-{number}"));
    }
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Io {
            action,
            path,
            source,
        }
    };
    for name in OF_ONE_LIFE {
        let from = folder.join(name);
        if from.exists() {
            fs::create_dir_all(&aside).map_err(failed("make the folder", &aside))?;
            fs::rename(&from, aside.join(name)).map_err(failed("put aside", &from))?;
        }
    }
    Ok(aside)
}

/// Keeps every other agent away from a state folder for as long as it lives, however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl Lock {
    /// Takes the folder for one agent that runs.
    ///
    /// # Errors
    /// [`StateError::InUse`] while another one has it, and when the lock cannot be made.
    pub fn take(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join("lock");
        let failed = |action| {
            let path = path.clone();
            move |source| StateError::Io {
                action,
                path,
                source,
            }
        };
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::InUse {
                folder: folder.to_owned(),
                lock: path,
            }),
            Err(fs::TryLockError::Error(source)) => Err(failed("lock")(source)),
        }
    }
}

impl State {
    /// Opens the folder of an enrolled agent.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let identity: IdentityFile = read(&folder.join("identity.json"))?;
        let certificate: CertificateFile = read(&folder.join("certificate.json"))?;
        let root_path = folder.join("trust-root.json");
        let envelope: Envelope = read(&root_path)?;
        let damaged = |why: String| StateError::Damaged {
            path: root_path.clone(),
            why,
        };
        let payload = envelope
            .payload_bytes()
            .map_err(|error| damaged(error.to_string()))?;
        // Pinned when it was enrolled, after its digest was compared: it is not verified against itself here.
        let root: TrustRoot =
            serde_json::from_slice(&payload).map_err(|error| damaged(error.to_string()))?;
        if envelope.payload_type != TrustRoot::PAYLOAD_TYPE {
            return Err(damaged("it is no trust root".to_owned()));
        }
        let key_path = folder.join("identity.json");
        let damaged = |why: &str| StateError::Damaged {
            path: key_path.clone(),
            why: why.to_owned(),
        };
        let der = BASE64_STANDARD
            .decode(identity.key)
            .map_err(|_| damaged("the key is not base64"))?;
        let key = SigningKey::from_pkcs8(&der).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self {
            folder: folder.to_owned(),
            target: identity.target,
            controller: identity.controller,
            key,
            root,
            certificate,
        })
    }

    /// The key of this folder, made and kept at the first call, so that a lost answer finds the same key again.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn prepare(
        folder: &Path,
        target: &TargetId,
        controller: &str,
    ) -> Result<SigningKey, StateError> {
        let path = folder.join("identity.json");
        if path.exists() {
            let identity: IdentityFile = read(&path)?;
            let damaged = |why: String| StateError::Damaged {
                path: path.clone(),
                why,
            };
            let der = BASE64_STANDARD
                .decode(&identity.key)
                .map_err(|error| damaged(error.to_string()))?;
            let key = SigningKey::from_pkcs8(&der).map_err(|error| damaged(error.to_string()))?;
            if identity.target == *target && identity.controller == controller {
                return Ok(key);
            }
            save_identity(&path, target, controller, &key)?;
            return Ok(key);
        }
        fs::create_dir_all(folder).map_err(|source| StateError::Io {
            action: "make the folder",
            path: folder.to_owned(),
            source,
        })?;
        let key = SigningKey::generate();
        save_identity(&path, target, controller, &key)?;
        Ok(key)
    }

    /// Keeps what enrollment gave.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_enrollment(
        folder: &Path,
        root: &[u8],
        certificate: &CertificateFile,
    ) -> Result<(), StateError> {
        write(&folder.join("trust-root.json"), root)?;
        keep_certificate(folder, certificate)
    }

    /// Keeps a renewed certificate.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn renewed(&mut self, certificate: CertificateFile) -> Result<(), StateError> {
        keep_certificate(&self.folder, &certificate)?;
        self.certificate = certificate;
        Ok(())
    }

    /// Keeps a newer trust root, already verified against the pinned one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn repin(&mut self, envelope: &[u8], root: TrustRoot) -> Result<(), StateError> {
        write(&self.folder.join("trust-root.json"), envelope)?;
        self.root = root;
        Ok(())
    }

    /// What TLS needs.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            chain: decode_all(&self.certificate.chain),
            key: self.key.to_pkcs8(),
        }
    }

    /// The authority's certificates, DER.
    #[must_use]
    pub fn authority(&self) -> Vec<Vec<u8>> {
        decode_all(&self.root.authority)
    }

    /// True when the pinned root belongs to a simulated controller.
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.root.kind == ControllerKind::Simulated
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps an accepted bundle.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_bundle(&self, generation: Generation, envelope: &[u8]) -> Result<(), StateError> {
        let path = self.bundle_path(generation);
        let folder = self.folder.join("bundles");
        fs::create_dir_all(&folder).map_err(|source| StateError::Io {
            action: "make the folder",
            path: folder,
            source,
        })?;
        write(&path, envelope)
    }

    /// Reads an accepted bundle and compares its digest.
    ///
    /// # Errors
    /// When it is missing or was altered.
    pub fn bundle(&self, generation: Generation, digest: &Digest) -> Result<Vec<u8>, StateError> {
        let path = self.bundle_path(generation);
        let bytes = fs::read(&path).map_err(|source| StateError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        if Digest::of(&bytes) != *digest {
            return Err(StateError::Damaged {
                path,
                why: "it is not the bundle that was accepted".to_owned(),
            });
        }
        Ok(bytes)
    }

    fn bundle_path(&self, generation: Generation) -> PathBuf {
        self.folder
            .join("bundles")
            .join(format!("{generation}.json"))
    }
}

/// Decodes what can be decoded of base64 certificates.
#[must_use]
pub fn decode_all(texts: &[String]) -> Vec<Vec<u8>> {
    texts
        .iter()
        .filter_map(|text| BASE64_STANDARD.decode(text).ok())
        .collect()
}

fn keep_certificate(folder: &Path, certificate: &CertificateFile) -> Result<(), StateError> {
    let bytes = serde_json::to_vec_pretty(certificate).expect("plain fields serialize");
    write(&folder.join("certificate.json"), &bytes)
}

fn save_identity(
    path: &Path,
    target: &TargetId,
    controller: &str,
    key: &SigningKey,
) -> Result<(), StateError> {
    let identity = IdentityFile {
        target: target.clone(),
        controller: controller.to_owned(),
        key: BASE64_STANDARD.encode(key.to_pkcs8()),
    };
    write(
        path,
        &serde_json::to_vec_pretty(&identity).expect("plain fields serialize"),
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    files::write(path, bytes).map_err(|source| StateError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StateError::NotEnrolled(path.to_owned()));
        }
        Err(source) => {
            return Err(StateError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&bytes).map_err(|error| StateError::Damaged {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_agents_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        assert!(matches!(refused, StateError::InUse { .. }), "{refused}");
        let said = refused.to_string();
        let name = folder.path().display().to_string();
        assert!(
            said.contains(&name) && said.contains("end that process"),
            "{said}"
        );
        drop(first);
        drop(Lock::take(folder.path()).unwrap());
    }
}
