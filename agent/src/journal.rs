//! What was begun and what was finished, on disk before it happens. An append-only file: a header with the journal's
//! epoch, then records of length, entry and chain head. A record that was cut off at the end was never sent to anybody and
//! is dropped; one that does not fit its chain in the middle was altered, and the journal is refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use protocol::event::Event;
use protocol::wire::codec::{self, CodecError};
use protocol::wire::latest::{Entry, Head};
use protocol::{Digest, Epoch, EventIndex, Timestamp, chain, limits};

const MAGIC: &[u8; 16] = b"entrain-journal1";
const HEADER: usize = MAGIC.len() + 8;

/// Says why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("could not {action} the journal {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no room for it.
    #[error(
        "could not {action} the journal {path}: its disk is full; make room there, and the agent goes on where it was"
    )]
    Full {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Not a journal.
    #[error("{0} is not a journal of this agent")]
    Foreign(PathBuf),
    /// A record in the middle does not fit the chain.
    #[error(
        "the journal {path} was altered at event {index}: have the agent replaced (entrain agents replace), and enroll it with --new-key"
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The first event that does not fit.
        index: u64,
    },
}

impl JournalError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::Full { action, path };
        }
        Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The journal of one agent.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    head: Head,
    /// Entries from `first` on, kept in memory until they were acknowledged.
    first: EventIndex,
    entries: Vec<Entry>,
    /// Where the file ends, and what comes behind that with the next sync.
    end: u64,
    pending: Vec<u8>,
}

impl Journal {
    /// Opens the journal, or makes a new one with the epoch that `epoch` gives.
    ///
    /// # Errors
    /// When it cannot be read or written, or was altered.
    pub fn open(path: &Path, epoch: impl FnOnce() -> Epoch) -> Result<Self, JournalError> {
        let io = |action| move |source| JournalError::io(action, path, source);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(io("open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        if bytes.len() < HEADER && MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            let epoch = epoch();
            file.set_len(0).map_err(io("begin"))?;
            file.seek(SeekFrom::Start(0)).map_err(io("begin"))?;
            let header = [MAGIC.as_slice(), &epoch.0.to_le_bytes()].concat();
            file.write_all(&header)
                .and_then(|()| file.sync_all())
                .map_err(io("begin"))?;
            bytes = header;
        }
        let Some((MAGIC, rest)) = bytes.split_first_chunk::<16>() else {
            return Err(JournalError::Foreign(path.to_owned()));
        };
        let Some((epoch, _)) = rest.split_first_chunk::<8>() else {
            return Err(JournalError::Foreign(path.to_owned()));
        };
        let epoch = Epoch(u64::from_le_bytes(*epoch));
        let (entries, head, used) =
            scan(&bytes[HEADER..], epoch).map_err(|index| JournalError::Altered {
                path: path.to_owned(),
                index,
            })?;
        let end = (HEADER + used) as u64;
        if end < bytes.len() as u64 {
            tracing::warn!(path = %path.display(), bytes = bytes.len() as u64 - end, "dropped a record that was cut off");
            file.set_len(end).map_err(io("trim"))?;
        }
        file.seek(SeekFrom::Start(end)).map_err(io("read"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            head,
            first: EventIndex(1),
            entries,
            end,
            pending: Vec::new(),
        })
    }

    /// Where the journal stands.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Adds an event. It is on disk once [`Self::sync`] has returned.
    pub fn append(&mut self, event: &Event, now: Timestamp) -> EventIndex {
        let entry = Entry {
            kind: event.kind(),
            at_millis: now.as_millis(),
            body: event.to_body(),
        };
        let index = self.head.index.next();
        let chain = link(&self.head.chain, index, &entry);
        self.pending.extend_from_slice(&record(&entry, &chain));
        self.head = Head {
            index,
            chain,
            ..self.head
        };
        self.entries.push(entry);
        index
    }

    /// Makes everything that was added lasting.
    ///
    /// # Errors
    /// When the disk refuses. The journal on disk then ends before what was added, and this one must not be used further.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self
            .file
            .write_all(&self.pending)
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // A record half written is taken back, so that a full disk leaves nothing behind.
            drop(self.file.set_len(self.end));
            return Err(self.io("append to", source));
        }
        self.end += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// The entries behind `index`, with the index of the first.
    ///
    /// # Errors
    /// When older entries must be read from disk and cannot be.
    pub fn after(&mut self, index: EventIndex) -> Result<(EventIndex, Vec<Entry>), JournalError> {
        let from = index.next();
        if from < self.first {
            self.reload()?;
        }
        let skip = usize::try_from(from.0 - self.first.0)
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        Ok((from, self.entries[skip..].to_vec()))
    }

    /// Forgets, in memory, what was acknowledged; the file keeps it.
    pub fn acknowledged(&mut self, index: EventIndex) {
        let Some(count) = index.next().0.checked_sub(self.first.0) else {
            return;
        };
        let count = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        self.entries.drain(..count);
        self.first = EventIndex(self.first.0 + count as u64);
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }

    /// The chain head after `index`, for comparing with what a controller has stored; `None` when there is no such event.
    ///
    /// # Errors
    /// When older entries must be read from disk and cannot be.
    pub fn chain_at(&mut self, index: EventIndex) -> Result<Option<Digest>, JournalError> {
        if index == self.head.index {
            return Ok(Some(self.head.chain));
        }
        if index > self.head.index {
            return Ok(None);
        }
        self.reload()?;
        let mut at = EventIndex(0);
        let mut head = chain::genesis(self.head.epoch);
        for entry in &self.entries {
            if at == index {
                break;
            }
            at = at.next();
            head = link(&head, at, entry);
        }
        Ok(Some(head))
    }

    /// Every event of the journal that this version understands, in order, with its index and when it was journaled.
    ///
    /// # Errors
    /// When older entries must be read from disk and cannot be.
    pub fn events(&mut self) -> Result<Vec<(EventIndex, Timestamp, Event)>, JournalError> {
        if self.first > EventIndex(1) {
            self.reload()?;
        }
        let numbered = self.entries.iter().zip(1_u64..);
        Ok(numbered
            .filter_map(|(entry, index)| {
                let event = Event::from_body(&entry.body)?;
                Some((
                    EventIndex(index),
                    Timestamp::from_millis(entry.at_millis),
                    event,
                ))
            })
            .collect())
    }

    fn reload(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        let mut file = File::open(&self.path).map_err(|source| self.io("read", source))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|source| self.io("read", source))?;
        let altered = |index| JournalError::Altered {
            path: self.path.clone(),
            index,
        };
        let (entries, ..) =
            scan(bytes.get(HEADER..).unwrap_or_default(), self.head.epoch).map_err(altered)?;
        if (entries.len() as u64) < self.head.index.0 {
            return Err(altered(entries.len() as u64 + 1));
        }
        self.first = EventIndex(1);
        self.entries = entries;
        Ok(())
    }

    fn io(&self, action: &'static str, source: io::Error) -> JournalError {
        JournalError::io(action, &self.path, source)
    }
}

fn link(previous: &Digest, index: EventIndex, entry: &Entry) -> Digest {
    let at = Timestamp::from_millis(entry.at_millis);
    chain::link(previous, index, entry.kind, at, &entry.body)
}

fn record(entry: &Entry, chain: &Digest) -> Vec<u8> {
    let body = codec::encode(entry).expect("an event is bounded far below a frame");
    let length = u32::try_from(body.len()).expect("a frame's length fits in 32 bits");
    [length.to_le_bytes().as_slice(), &body, chain.as_bytes()].concat()
}

/// Tells whether bytes begin with an entry and the chain head that fits it, whatever a length says of them.
fn is_whole(bytes: &[u8], head: &Head) -> bool {
    let taken = match codec::decode::<Entry>(bytes) {
        Ok(_) => bytes.len(),
        Err(CodecError::Trailing(rest)) => bytes.len() - rest,
        Err(CodecError::Malformed(_) | CodecError::TooLong(_)) => return false,
    };
    let (body, rest) = bytes.split_at(taken);
    codec::decode::<Entry>(body).is_ok_and(|entry| {
        let chain = link(&head.chain, head.index.next(), &entry);
        rest.starts_with(chain.as_bytes())
    })
}

/// Reads records; gives the entries, the head and the bytes used. The error is the index of the first altered record.
fn scan(bytes: &[u8], epoch: Epoch) -> Result<(Vec<Entry>, Head, usize), u64> {
    let mut head = Head {
        epoch,
        index: EventIndex(0),
        chain: chain::genesis(epoch),
    };
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 4) {
        // After a hard stop a file may have its length and not its last bytes: they read as zeros. No record is of zeros.
        if bytes[at..].iter().all(|byte| *byte == 0) {
            return Ok((entries, head, at));
        }
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let index = head.index.next();
        let body = (length <= limits::MAX_FRAME_BYTES)
            .then(|| bytes.get(at + 4..at + 4 + length))
            .flatten();
        let stored = bytes.get(at + 4 + length..at + 4 + length + 32);
        let end = at + 4 + length + 32;
        let (Some(body), Some(stored)) = (body, stored) else {
            // A length beyond the limit was never written here, and neither was one that hides a whole record; anything
            // else was cut off.
            return if length > limits::MAX_FRAME_BYTES || is_whole(&bytes[at + 4..], &head) {
                Err(index.0)
            } else {
                Ok((entries, head, at))
            };
        };
        let entry: Option<Entry> = codec::decode(body).ok();
        let fits = entry.and_then(|entry| {
            let chain = link(&head.chain, index, &entry);
            (chain.as_bytes().as_slice() == stored).then_some((entry, chain))
        });
        let Some((entry, chain)) = fits else {
            // The last record may be torn within its length, when the disk wrote its blocks out of order.
            return if end == bytes.len() {
                Ok((entries, head, at))
            } else {
                Err(index.0)
            };
        };
        entries.push(entry);
        head = Head {
            index,
            chain,
            ..head
        };
        at = end;
    }
    Ok((entries, head, at))
}

#[cfg(test)]
mod tests {
    use protocol::Generation;

    use super::*;

    fn event(step: u16) -> Event {
        Event::SectionLeft {
            generation: Generation(1),
            step: protocol::StepIndex(step),
            gmsa: None,
        }
    }

    fn filled(path: &Path) -> Journal {
        let mut journal = Journal::open(path, || Epoch(7)).unwrap();
        for step in 0..5 {
            journal.append(&event(step), Timestamp::from_millis(1));
        }
        journal.sync().unwrap();
        journal
    }

    #[test]
    fn a_journal_reads_back_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let head = filled(&path).head();
        let mut again = Journal::open(&path, || Epoch(8)).unwrap();
        assert_eq!(again.head(), head);
        assert_eq!(again.events().unwrap().len(), 5);
        again.acknowledged(EventIndex(3));
        assert_eq!(again.after(EventIndex(3)).unwrap().1.len(), 2);
        assert_eq!(again.after(EventIndex(1)).unwrap().1.len(), 4);
        assert_eq!(again.chain_at(EventIndex(5)).unwrap(), Some(head.chain));
        assert_eq!(again.chain_at(EventIndex(6)).unwrap(), None);
    }

    #[test]
    fn a_record_cut_off_anywhere_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        drop(filled(&path));
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - HEADER) / 5;
        for cut in 1..record {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut journal = Journal::open(&path, || Epoch(8)).unwrap();
            assert_eq!(journal.head().index, EventIndex(4));
            journal.append(&event(9), Timestamp::from_millis(1));
            journal.sync().unwrap();
            drop(journal);
            assert_eq!(
                Journal::open(&path, || Epoch(8)).unwrap().head().index,
                EventIndex(5)
            );
        }
    }

    #[test]
    fn no_altered_byte_of_a_record_in_the_middle_cuts_off_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        drop(filled(&path));
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - HEADER) / 5;
        for at in HEADER + record..HEADER + 2 * record {
            for flip in [1, 0x40, 0x80] {
                let mut altered = whole.clone();
                altered[at] ^= flip;
                std::fs::write(&path, &altered).unwrap();
                let opened = Journal::open(&path, || Epoch(8));
                assert!(
                    matches!(opened, Err(JournalError::Altered { index: 2, .. })),
                    "byte {at} by {flip}: {opened:?}"
                );
                assert_eq!(std::fs::read(&path).unwrap(), altered, "nothing is cut off");
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_what_a_hard_stop_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let head = filled(&path).head();
        let whole = std::fs::read(&path).unwrap();
        for zeros in [1, 3, 4, 36, 37, 200] {
            std::fs::write(&path, [whole.as_slice(), &vec![0; zeros]].concat()).unwrap();
            let journal = Journal::open(&path, || Epoch(9)).unwrap();
            assert_eq!(journal.head(), head, "{zeros}");
        }
    }

    #[test]
    fn a_flipped_byte_in_the_middle_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        drop(filled(&path));
        let whole = std::fs::read(&path).unwrap();
        let record = (whole.len() - HEADER) / 5;
        let mut altered = whole.clone();
        altered[HEADER + record + 10] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        assert!(matches!(
            Journal::open(&path, || Epoch(8)),
            Err(JournalError::Altered { index: 2, .. })
        ));
    }
}
