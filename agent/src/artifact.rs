//! Artifacts: fetched by chunk, each verified as it arrives, resumed where it was cut, renamed into place when whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use agent_core::op::Op;
use link::{Connection, FrameReceiver, LinkError};
use protocol::chunk::{ChunkList, FileDigester};
use protocol::digest::Digest;
use protocol::limits;
use protocol::wire::latest::{ArtifactAnswer, ArtifactAsk, ArtifactPart, Opening};
use tokio::sync::watch;

use crate::files;

/// Says why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The link was cut; it is tried again when there is one.
    #[error("the link was cut")]
    Link(#[from] LinkError),
    /// The controller broke off in the middle.
    #[error("the controller sent less of it than it announced")]
    Broken(#[source] LinkError),
    /// The controller has no such artifact.
    #[error("the controller refused it: {0}")]
    Refused(String),
    /// What came is not what the signed manifest names.
    #[error(
        "artifact {artifact}: {what} does not have the digest that the signed bundle gives; it was discarded. The controller's copy was altered: add it again there, then retry"
    )]
    Digest {
        /// Which artifact.
        artifact: String,
        /// Which part.
        what: String,
    },
    /// The disk refused.
    #[error("could not write {path}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The disk has no room.
    #[error("could not write {0}: its disk is full; make room there, then retry")]
    Full(PathBuf),
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

fn refused_by_disk(path: PathBuf, source: io::Error) -> ArtifactError {
    if source.kind() == io::ErrorKind::StorageFull {
        return ArtifactError::Full(path);
    }
    ArtifactError::Disk { path, source }
}

/// The bytes that are wanted, as a signed document names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// SHA-256 of the list of chunk digests.
    pub chunks: Digest,
    /// Size in bytes.
    pub size: u64,
}

impl Wanted {
    /// What an operation fetches; nothing where it is another one.
    #[must_use]
    pub const fn by(op: &Op) -> Option<Self> {
        let (sha256, chunks, size) = if let Op::Fetch { artifact } = op {
            (artifact.sha256, artifact.chunks, artifact.size)
        } else if let Op::FetchRelease { file } = op {
            (file.sha256, file.chunks, file.size)
        } else {
            return None;
        };
        Some(Self {
            sha256,
            chunks,
            size,
        })
    }
}

/// Where a whole artifact lies.
#[must_use]
pub fn path(folder: &Path, sha256: &Digest) -> PathBuf {
    folder.join("artifacts").join(sha256.to_string())
}

/// Where what has come of it lies until it is whole.
#[must_use]
pub fn part(folder: &Path, sha256: &Digest) -> PathBuf {
    path(folder, sha256).with_extension("part")
}

/// Takes away what has come of an artifact that nobody fetches on.
pub fn forget(part: &Path) {
    match fs::remove_file(part) {
        Ok(()) => tracing::info!(path = %part.display(), "what was half fetched was taken away"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // It does no harm there: its chunks are verified before they are used.
        Err(error) => {
            tracing::warn!(path = %part.display(), %error, "what was half fetched is left")
        }
    }
}

/// Brings an artifact into `folder`, waiting for a link where there is none, and gives its path.
///
/// # Errors
/// When the bytes are not those of the manifest, the controller has none, or the disk refuses.
pub async fn fetch(
    folder: &Path,
    artifact: &Wanted,
    mut link: watch::Receiver<Option<Connection>>,
    progress: impl Fn(u8) + Send + Sync,
) -> Result<PathBuf, ArtifactError> {
    let place = path(folder, &artifact.sha256);
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |source| refused_by_disk(path, source)
    };
    let holding = place.parent().unwrap_or(folder).to_owned();
    fs::create_dir_all(&holding).map_err(disk(&holding))?;
    if place.exists() {
        // What lies there is read again: it was whole once, and may have been altered since.
        if digest_file(&place).map_err(disk(&place))? == artifact.sha256 {
            return Ok(place);
        }
        fs::remove_file(&place).map_err(disk(&place))?;
    }
    loop {
        let connected = link
            .wait_for(Option::is_some)
            .await
            .map_err(|_| ArtifactError::Stopping)?
            .clone();
        let Some(connection) = connected else {
            continue;
        };
        match attempt(&connection, &place, artifact, &progress).await {
            // A stream that ends while the connection stands: the controller had less than it said.
            Err(ArtifactError::Link(error)) if connection.is_open() => {
                return Err(ArtifactError::Broken(error));
            }
            Err(ArtifactError::Link(error)) => {
                tracing::info!(artifact = %artifact.sha256.short(), %error, "the link was cut while fetching");
                // Wait for another connection, or for the end of this one, before the next attempt.
                connection.closed().await;
                link.changed().await.map_err(|_| ArtifactError::Stopping)?;
            }
            // The journal is on that disk as well: what does not fit whole is not what fills it.
            Err(ArtifactError::Full(path)) => {
                drop(fs::remove_file(part(folder, &artifact.sha256)));
                return Err(ArtifactError::Full(path));
            }
            other => return other.map(|()| place),
        }
    }
}

async fn attempt(
    connection: &Connection,
    place: &Path,
    artifact: &Wanted,
    progress: &(impl Fn(u8) + Send + Sync),
) -> Result<(), ArtifactError> {
    let wrong = |what: String| ArtifactError::Digest {
        artifact: artifact.sha256.short(),
        what,
    };
    let (mut receive, length) = ask(connection, artifact, ArtifactPart::Chunks).await?;
    if length != ChunkList::count_for(artifact.size) * 32 {
        return Err(wrong("the chunk list".to_owned()));
    }
    let mut bytes = vec![0; usize::try_from(length).expect("the guard bounds an artifact's size")];
    receive.receive_raw(&mut bytes).await?;
    let chunks = ChunkList::from_bytes(&bytes, artifact.size, &artifact.chunks)
        .map_err(|_| wrong("the chunk list".to_owned()))?;

    let part = place.with_extension("part");
    let disk = |source| refused_by_disk(part.clone(), source);
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&part)
        .map_err(disk)?;
    let mut digester = FileDigester::new();
    let have = keep_verified(&mut file, &chunks, artifact.size, &mut digester).map_err(disk)?;
    if have < chunks.len() {
        let from = u32::try_from(have).expect("an artifact has fewer than 2^32 chunks");
        let (mut receive, length) = ask(connection, artifact, ArtifactPart::From(from)).await?;
        if length != artifact.size - u64::from(from) * limits::CHUNK_BYTES as u64 {
            return Err(wrong(format!("its length from chunk {from} on")));
        }
        let mut buffer = vec![0; limits::CHUNK_BYTES];
        for at in have..chunks.len() {
            let done = at as u64 * limits::CHUNK_BYTES as u64;
            let length = (artifact.size - done).min(limits::CHUNK_BYTES as u64);
            let chunk = &mut buffer[..usize::try_from(length).expect("a chunk is 1 MiB at most")];
            receive.receive_raw(chunk).await?;
            if Some(&Digest::of(chunk)) != chunks.chunk(at) {
                return Err(wrong(format!("chunk {at}")));
            }
            file.write_all(chunk).map_err(disk)?;
            digester.update(chunk);
            progress(u8::try_from((done + length) * 100 / artifact.size.max(1)).unwrap_or(100));
        }
    }
    file.sync_all().map_err(disk)?;
    drop(file);
    if digester.finish().0 != artifact.sha256 {
        fs::remove_file(&part).map_err(disk)?;
        return Err(wrong("the whole file".to_owned()));
    }
    fs::rename(&part, place).map_err(disk)?;
    files::sync_folder(place.parent().unwrap_or(Path::new("."))).map_err(disk)
}

async fn ask(
    connection: &Connection,
    artifact: &Wanted,
    part: ArtifactPart,
) -> Result<(FrameReceiver, u64), ArtifactError> {
    let (mut send, mut receive) = connection.open().await?;
    send.send(&Opening::Artifact(ArtifactAsk {
        sha256: artifact.sha256,
        part,
    }))
    .await?;
    send.finish();
    match receive.expect().await? {
        ArtifactAnswer::Follows(length) => Ok((receive, length)),
        ArtifactAnswer::Refused(why) => Err(ArtifactError::Refused(why)),
    }
}

/// Reads what an earlier attempt left, keeps the whole chunks that are right, and cuts the rest off.
fn keep_verified(
    file: &mut File,
    chunks: &ChunkList,
    size: u64,
    digester: &mut FileDigester,
) -> io::Result<usize> {
    let mut have = 0;
    let mut kept = 0;
    let mut buffer = vec![0; limits::CHUNK_BYTES];
    while have < chunks.len() {
        let length = usize::try_from((size - kept).min(limits::CHUNK_BYTES as u64))
            .unwrap_or(limits::CHUNK_BYTES);
        let chunk = &mut buffer[..length];
        match file.read_exact(chunk) {
            Ok(()) if Some(&Digest::of(chunk)) == chunks.chunk(have) => {}
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        digester.update(chunk);
        kept += length as u64;
        have += 1;
    }
    file.set_len(kept)?;
    file.seek(SeekFrom::Start(kept))?;
    Ok(have)
}

/// The digest of a file.
///
/// # Errors
/// When it cannot be read.
pub fn digest_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = protocol::digest::Hasher::new();
    let mut buffer = vec![0; limits::CHUNK_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
    }
}
