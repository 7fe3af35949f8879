//! The store: one append-only log, hash-chained, and blobs by digest, in one SQLite file. One thread owns the file;
//! batches that queued while it was busy are committed together. Index order is commit order, without gaps.

mod wal;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use controller_core::record::Record;
use protocol::digest::{Digest, Hasher};
use protocol::{Epoch, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use tokio::sync::oneshot;

use crate::disk::Disk;

/// Batches that wait for the thread.
const QUEUE: usize = 1024;

/// How long nobody must have wanted anything before the file is settled.
const IDLE: Duration = Duration::from_secs(1);

/// Batches that are committed together at most.
const GROUP: usize = 256;

/// Says why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("could not {action} {path}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// There is no room.
    #[error("could not {action} {path}: its disk is full; make room there and start again")]
    Full {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// SQLite finds no database in it, or one that contradicts itself.
    #[error("could not {action} {path}: it is damaged; restore it from a backup (entrain restore)")]
    Damaged {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// What was committed last and is not in the database yet was damaged.
    #[error(
        "{path} was damaged at frame {frame}, and what was stored behind that is lost: restore the log from a backup (entrain restore)"
    )]
    SideLog {
        /// The side log.
        path: PathBuf,
        /// The first frame that does not fit; 0 is the file's header.
        frame: usize,
    },
    /// The side log cannot be read.
    #[error("could not read {path}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A commit failed; nothing of the batch was stored.
    #[error("could not store: {0}")]
    Commit(String),
    /// An entry does not fit the chain.
    #[error("{path} was altered or damaged at entry {index}: restore it from a backup")]
    Altered {
        /// The file.
        path: PathBuf,
        /// First entry that does not fit.
        index: u64,
    },
    /// A blob is not what its digest says.
    #[error("{path}: {what} {digest} is missing or was altered: restore the file from a backup")]
    Blob {
        /// The file.
        path: PathBuf,
        /// What it is for.
        what: &'static str,
        /// The digest under which it is kept.
        digest: Digest,
    },
    /// There is nothing in the log of a controller that has served.
    #[error(
        "{path} is gone or empty, and this controller has served before: restore it from a backup"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The thread is gone.
    #[error("the store has stopped")]
    Gone,
}

/// One entry to be appended.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub record: Record,
}

/// One entry as it is stored.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Its number, from 1.
    pub index: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The record's JSON: these bytes are chained.
    pub body: String,
    /// Chain head after it.
    pub chain: Digest,
}

/// The chain head before the first entry.
#[must_use]
pub fn genesis() -> Digest {
    Digest::of(b"entrain controller log")
}

/// The chain head after an entry.
#[must_use]
pub fn link(previous: &Digest, index: u64, at: Timestamp, body: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(&at.as_millis().to_le_bytes());
    hasher.update(body.as_bytes());
    hasher.finish()
}

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// Last entry.
    pub index: u64,
    /// Chain head after it.
    pub chain: Digest,
}

enum Job {
    Append {
        entries: Vec<Entry>,
        blobs: Vec<Vec<u8>>,
        done: oneshot::Sender<Result<LogHead, String>>,
    },
    Read {
        from: u64,
        limit: u64,
        done: oneshot::Sender<Result<Vec<Row>, String>>,
    },
    Blob {
        digest: Digest,
        done: oneshot::Sender<Result<Option<Vec<u8>>, String>>,
    },
    Copy {
        to: PathBuf,
        done: oneshot::Sender<Result<LogHead, String>>,
    },
}

/// Who has the file.
#[derive(Debug, Clone)]
enum Owner {
    Thread(mpsc::SyncSender<Job>),
    Caller(Arc<Mutex<Log>>),
}

/// The open file, and where its log stands.
#[derive(Debug)]
struct Log {
    connection: Connection,
    head: LogHead,
    path: PathBuf,
    /// What its names led to when it was opened.
    nodes: [Option<Node>; 3],
}

/// Which file a name leads to: device and number.
type Node = (u64, u64);

/// The file and the two that SQLite keeps beside it.
fn nodes(path: &Path) -> [Option<Node>; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let found = std::fs::metadata(beside(path, end)).ok()?;
        Some((found.dev(), found.ino()))
    })
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What went wrong with the file, by what is to be done about it.
fn trouble(action: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { action, path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            action,
            path,
            source,
        },
        _ => StoreError::Database {
            action,
            path,
            source,
        },
    }
}

/// A handle to the store.
#[derive(Debug, Clone)]
pub struct Store {
    owner: Owner,
    path: PathBuf,
}

impl Store {
    /// Opens or makes the file, checks its chain, and starts the thread, where `disk` has one. Gives every entry in order.
    ///
    /// # Errors
    /// When the file cannot be used or was altered.
    pub fn open(
        path: &Path,
        fresh_epoch: Option<Epoch>,
        now: Timestamp,
        disk: Disk,
    ) -> Result<(Self, Vec<(Timestamp, Record)>), StoreError> {
        let database = |action| move |source| trouble(action, path, source);
        let side_log = beside(path, "-wal");
        match wal::damaged_at(&side_log) {
            Ok(None) => {}
            Ok(Some(frame)) => {
                return Err(StoreError::SideLog {
                    path: side_log,
                    frame,
                });
            }
            Err(source) => {
                return Err(StoreError::Unread {
                    path: side_log,
                    source,
                });
            }
        }
        let mut connection = Connection::open(path).map_err(database("open"))?;
        connection
            .execute_batch(
                // A cache of 8 MiB spares reading pages that were just written. What was written goes from the side log into
                // the file while nobody waits (see `settle`); the limit here is for a time in which somebody always does.
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
                 PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 16000;
                 CREATE TABLE IF NOT EXISTS log (
                     idx INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL, chain BLOB NOT NULL) STRICT;
                 CREATE TABLE IF NOT EXISTS blob (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;",
            )
            .map_err(database("prepare"))?;
        let (mut head, mut records) = replay(&connection, path)?;
        if records.is_empty() {
            let Some(fresh_epoch) = fresh_epoch else {
                return Err(StoreError::Empty {
                    path: path.to_owned(),
                });
            };
            let begun = Entry {
                at: now,
                record: Record::Begun { epoch: fresh_epoch },
            };
            head = append(&mut connection, head, [&begun], []).map_err(database("begin"))?;
            records.push((begun.at, begun.record));
        }
        let log = Log {
            connection,
            head,
            path: path.to_owned(),
            nodes: nodes(path),
        };
        let owner = match disk {
            Disk::Aside => {
                let (jobs, queue) = mpsc::sync_channel(QUEUE);
                std::thread::Builder::new()
                    .name("store".to_owned())
                    .spawn(move || serve(log, &queue))
                    .map_err(|error| StoreError::Commit(error.to_string()))?;
                Owner::Thread(jobs)
            }
            Disk::InPlace => Owner::Caller(Arc::new(Mutex::new(log))),
        };
        Ok((
            Self {
                owner,
                path: path.to_owned(),
            },
            records,
        ))
    }

    /// Who waits for the disk.
    #[must_use]
    pub const fn disk(&self) -> Disk {
        match self.owner {
            Owner::Thread(_) => Disk::Aside,
            Owner::Caller(_) => Disk::InPlace,
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends entries and keeps blobs, all or nothing.
    ///
    /// # Errors
    /// When it could not be committed: nothing was stored then.
    pub async fn append(
        &self,
        entries: Vec<Entry>,
        blobs: Vec<Vec<u8>>,
    ) -> Result<LogHead, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Append {
            entries,
            blobs,
            done,
        })?;
        answer
            .await
            .map_err(|_| StoreError::Gone)?
            .map_err(StoreError::Commit)
    }

    /// Reads entries from `from` on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read(&self, from: u64, limit: u64) -> Result<Vec<Row>, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Read { from, limit, done })?;
        answer
            .await
            .map_err(|_| StoreError::Gone)?
            .map_err(StoreError::Commit)
    }

    /// Writes everything as it is at one moment to a new file, and gives the head of the log in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn copy(&self, to: PathBuf) -> Result<LogHead, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Copy { to, done })?;
        answer
            .await
            .map_err(|_| StoreError::Gone)?
            .map_err(StoreError::Commit)
    }

    /// Adds one entry to a log that nobody serves; `entry` is asked with what the log holds and where it stands.
    ///
    /// # Errors
    /// When the file cannot be used, was altered, or is empty.
    pub fn amend(
        path: &Path,
        entry: impl FnOnce(&[(Timestamp, Record)], LogHead) -> anyhow::Result<Entry>,
    ) -> anyhow::Result<()> {
        let mut connection = Connection::open(path)?;
        let (head, records) = replay(&connection, path)?;
        if records.is_empty() {
            return Err(StoreError::Empty {
                path: path.to_owned(),
            }
            .into());
        }
        let entry = entry(&records, head)?;
        append(&mut connection, head, [&entry], [])?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// When the file cannot be read, or the blob was altered.
    pub async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send(Job::Blob { digest, done })?;
        let found = answer
            .await
            .map_err(|_| StoreError::Gone)?
            .map_err(StoreError::Commit)?;
        match found {
            Some(bytes) if Digest::of(&bytes) != digest => Err(StoreError::Blob {
                path: self.path.clone(),
                what: "what is kept as",
                digest,
            }),
            other => Ok(other),
        }
    }

    /// Reads a blob that must be there.
    ///
    /// # Errors
    /// When it is not, was altered, or the file cannot be read.
    pub async fn blob_of(&self, what: &'static str, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Blob {
            path: self.path.clone(),
            what,
            digest,
        };
        self.blob(digest).await?.ok_or_else(missing)
    }

    /// Reads everything again: what is stored is what counts when a commit has failed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn records(&self) -> Result<Vec<(Timestamp, Record)>, StoreError> {
        let rows = self.read(1, u64::MAX >> 1).await?;
        rows.into_iter()
            .map(|row| {
                let record = serde_json::from_str(&row.body).map_err(|_| StoreError::Altered {
                    path: self.path.clone(),
                    index: row.index,
                })?;
                Ok((row.at, record))
            })
            .collect()
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        match &self.owner {
            Owner::Thread(jobs) => jobs.send(job).map_err(|_| StoreError::Gone),
            Owner::Caller(file) => {
                carry_out(
                    &mut file.lock().unwrap_or_else(PoisonError::into_inner),
                    job,
                );
                Ok(())
            }
        }
    }
}

fn replay(
    connection: &Connection,
    path: &Path,
) -> Result<(LogHead, Vec<(Timestamp, Record)>), StoreError> {
    let database = |source| trouble("read", path, source);
    let mut head = LogHead {
        index: 0,
        chain: genesis(),
    };
    let mut records = Vec::new();
    let mut statement = connection
        .prepare("SELECT idx, at, body, chain FROM log ORDER BY idx")
        .map_err(database)?;
    let mut rows = statement.query([]).map_err(database)?;
    while let Some(row) = rows.next().map_err(database)? {
        let row = read_row(row).map_err(database)?;
        let index = head.index + 1;
        let altered = || StoreError::Altered {
            path: path.to_owned(),
            index,
        };
        if row.index != index || link(&head.chain, index, row.at, &row.body) != row.chain {
            return Err(altered());
        }
        let record = serde_json::from_str(&row.body).map_err(|_| altered())?;
        records.push((row.at, record));
        head = LogHead {
            index,
            chain: row.chain,
        };
    }
    Ok((head, records))
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let index: i64 = row.get(0)?;
    let at: i64 = row.get(1)?;
    let chain: [u8; 32] = row.get(3)?;
    Ok(Row {
        index: u64::try_from(index).unwrap_or(0),
        at: Timestamp::from_millis(at),
        body: row.get(2)?,
        chain: Digest::from_bytes(chain),
    })
}

fn serve(mut log: Log, queue: &mpsc::Receiver<Job>) {
    let mut settled = log.head;
    loop {
        let first = match queue.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(mpsc::RecvTimeoutError::Timeout) if settled != log.head => {
                settle(&log.connection);
                settled = log.head;
                continue;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => match queue.recv() {
                Ok(first) => first,
                Err(mpsc::RecvError) => return,
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let mut appends = Vec::new();
        let mut job = Some(first);
        // Everything that queued while the last commit ran goes into this one.
        while let Some(next) = job.take() {
            match next {
                Job::Append {
                    entries,
                    blobs,
                    done,
                } => {
                    appends.push((entries, blobs, done));
                    if appends.len() < GROUP {
                        job = queue.try_recv().ok();
                    }
                }
                other @ (Job::Read { .. } | Job::Blob { .. } | Job::Copy { .. }) => {
                    commit(&mut log, std::mem::take(&mut appends));
                    answer(&log.connection, log.head, other);
                }
            }
        }
        commit(&mut log, appends);
    }
}

/// Does one thing that was asked for.
fn carry_out(log: &mut Log, job: Job) {
    match job {
        Job::Append {
            entries,
            blobs,
            done,
        } => commit(log, vec![(entries, blobs, done)]),
        other @ (Job::Read { .. } | Job::Blob { .. } | Job::Copy { .. }) => {
            answer(&log.connection, log.head, other);
        }
    }
}

/// Moves what was committed from SQLite's side log into the file, so that no commit has to. It is stored either way: where
/// this fails, it is tried again after the next entries.
fn settle(connection: &Connection) {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match moved {
        Ok((pages, moved)) => tracing::debug!(pages, moved, "the store has settled"),
        Err(error) => tracing::warn!(%error, "the store could not settle"),
    }
}

type Append = (
    Vec<Entry>,
    Vec<Vec<u8>>,
    oneshot::Sender<Result<LogHead, String>>,
);

fn commit(log: &mut Log, appends: Vec<Append>) {
    if appends.is_empty() {
        return;
    }
    let entries = appends.iter().flat_map(|(entries, ..)| entries);
    let blobs = appends.iter().flat_map(|(_, blobs, _)| blobs);
    let stored = if nodes(&log.path) == log.nodes {
        append(&mut log.connection, log.head, entries, blobs)
            .map_err(|error| why(&error, &log.path))
    } else {
        // What is written now would be gone with this process.
        Err(format!(
            "{} or a file beside it was removed or replaced while this controller runs. What was stored until then can still be read here, and nothing else can be stored: make a backup now (entrain backup), stop this controller, move its state folder away and restore the backup (entrain restore)",
            log.path.display()
        ))
    };
    if let Ok(after) = &stored {
        log.head = *after;
        tracing::debug!(last = after.index, "committed");
    }
    for (.., done) in appends {
        drop(done.send(stored.clone()));
    }
}

/// Why nothing was stored, and what to do.
fn why(error: &rusqlite::Error, path: &Path) -> String {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return format!(
            "the disk of {} is full; make room there: what could not be stored is not done, and whatever goes on by itself goes on then",
            path.display()
        );
    }
    format!("{}: {error}", path.display())
}

fn append<'a>(
    connection: &mut Connection,
    mut head: LogHead,
    entries: impl IntoIterator<Item = &'a Entry>,
    blobs: impl IntoIterator<Item = &'a Vec<u8>>,
) -> rusqlite::Result<LogHead> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut log = transaction
            .prepare_cached("INSERT INTO log (idx, at, body, chain) VALUES (?1, ?2, ?3, ?4)")?;
        for entry in entries {
            let body = serde_json::to_string(&entry.record)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let index = head.index + 1;
            let chain = link(&head.chain, index, entry.at, &body);
            let number = i64::try_from(index).unwrap_or(i64::MAX);
            log.execute(params![
                number,
                entry.at.as_millis(),
                body,
                chain.as_bytes()
            ])?;
            head = LogHead { index, chain };
        }
        let mut keep = transaction
            .prepare_cached("INSERT OR IGNORE INTO blob (digest, bytes) VALUES (?1, ?2)")?;
        for blob in blobs {
            keep.execute(params![Digest::of(blob).as_bytes(), blob])?;
        }
    }
    transaction.commit()?;
    Ok(head)
}

fn answer(connection: &Connection, head: LogHead, job: Job) {
    match job {
        Job::Read { from, limit, done } => {
            let rows = || -> rusqlite::Result<Vec<Row>> {
                let mut statement = connection.prepare_cached(
                    "SELECT idx, at, body, chain FROM log WHERE idx >= ?1 ORDER BY idx LIMIT ?2",
                )?;
                let from = i64::try_from(from).unwrap_or(i64::MAX);
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                statement
                    .query_map(params![from, limit], read_row)?
                    .collect()
            };
            drop(done.send(rows().map_err(|error| error.to_string())));
        }
        Job::Blob { digest, done } => {
            let bytes = connection
                .query_row(
                    "SELECT bytes FROM blob WHERE digest = ?1",
                    params![digest.as_bytes()],
                    |row| row.get(0),
                )
                .optional();
            drop(done.send(bytes.map_err(|error| error.to_string())));
        }
        Job::Copy { to, done } => {
            let path = to.to_string_lossy();
            let copied = connection.execute("VACUUM INTO ?1", params![path]);
            drop(done.send(copied.map(|_| head).map_err(|error| why(&error, &to))));
        }
        Job::Append { done, .. } => drop(done.send(Err("appends go another way".to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(epoch: u64) -> Entry {
        Entry {
            at: Timestamp::from_millis(1),
            record: Record::Begun {
                epoch: Epoch(epoch),
            },
        }
    }

    #[tokio::test]
    async fn entries_come_back_in_order_and_a_flipped_byte_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let now = Timestamp::from_millis(0);
        let (store, begun) = Store::open(&path, Some(Epoch(1)), now, Disk::Aside).unwrap();
        assert_eq!(begun.len(), 1);
        for number in 2..10 {
            store
                .append(vec![entry(number)], vec![vec![7; 3]])
                .await
                .unwrap();
        }
        assert_eq!(store.read(5, 2).await.unwrap().len(), 2);
        assert_eq!(
            store.blob(Digest::of(&[7; 3])).await.unwrap(),
            Some(vec![7; 3])
        );
        drop(store);
        let (again, records) = Store::open(&path, Some(Epoch(9)), now, Disk::InPlace).unwrap();
        assert_eq!(records.len(), 9);
        drop(again);
        let connection = Connection::open(&path).unwrap();
        connection
            .execute(
                "UPDATE log SET body = replace(body, '5', '6') WHERE idx = 5",
                [],
            )
            .unwrap();
        drop(connection);
        assert!(matches!(
            Store::open(&path, Some(Epoch(9)), now, Disk::InPlace),
            Err(StoreError::Altered { index: 5, .. })
        ));
    }
}
