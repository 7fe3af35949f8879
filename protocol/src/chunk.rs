//! The chunk list of an artifact: the digest of each MiB, so that bytes are verified as they arrive.

use crate::digest::{Digest, Hasher};
use crate::limits;

/// Digests of the chunks of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList(Vec<Digest>);

/// Says that bytes are no chunk list of such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunk list does not belong to this artifact")]
pub struct BadChunkList;

impl ChunkList {
    /// Takes the digests of all chunks.
    #[must_use]
    pub const fn new(chunks: Vec<Digest>) -> Self {
        Self(chunks)
    }

    /// How many chunks a file of `size` bytes has.
    #[must_use]
    pub const fn count_for(size: u64) -> u64 {
        size.div_ceil(limits::CHUNK_BYTES as u64)
    }

    /// Reads a list for a file of `size` bytes and compares it with the digest that a signed manifest gives.
    ///
    /// # Errors
    /// When length or digest differ.
    pub fn from_bytes(bytes: &[u8], size: u64, digest: &Digest) -> Result<Self, BadChunkList> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty()
            || chunks.len() as u64 != Self::count_for(size)
            || Digest::of(bytes) != *digest
        {
            return Err(BadChunkList);
        }
        Ok(Self(
            chunks
                .iter()
                .map(|chunk| Digest::from_bytes(*chunk))
                .collect(),
        ))
    }

    /// The list as it is stored and sent: 32 bytes a chunk.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|digest| *digest.as_bytes())
            .collect()
    }

    /// The digest of the list.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The digest of one chunk.
    #[must_use]
    pub fn chunk(&self, at: usize) -> Option<&Digest> {
        self.0.get(at)
    }

    /// Number of chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Digests a file that is read from start to end: the whole and its chunks.
#[derive(Debug, Default)]
pub struct FileDigester {
    whole: Hasher,
    chunk: Hasher,
    in_chunk: usize,
    size: u64,
    chunks: Vec<Digest>,
}

impl FileDigester {
    /// Starts with no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = limits::CHUNK_BYTES - self.in_chunk;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.update(now);
            self.in_chunk += now.len();
            bytes = later;
            if self.in_chunk == limits::CHUNK_BYTES {
                self.end_chunk();
            }
        }
    }

    fn end_chunk(&mut self) {
        self.chunks.push(std::mem::take(&mut self.chunk).finish());
        self.in_chunk = 0;
    }

    /// Gives the digest of the whole, the chunk list and the size.
    #[must_use]
    pub fn finish(mut self) -> (Digest, ChunkList, u64) {
        if self.in_chunk > 0 {
            self.end_chunk();
        }
        (self.whole.finish(), ChunkList(self.chunks), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_the_same_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..limits::CHUNK_BYTES * 2 + 5)
            .map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
            .collect();
        let mut at_once = FileDigester::new();
        at_once.update(&bytes);
        let mut in_parts = FileDigester::new();
        bytes.chunks(7919).for_each(|part| in_parts.update(part));
        let (whole, list, size) = at_once.finish();
        assert_eq!((whole, list.clone(), size), in_parts.finish());
        assert_eq!(list.len(), 3);
        assert_eq!(whole, Digest::of(&bytes));
        assert_eq!(
            list.chunk(2),
            Some(&Digest::of(&bytes[limits::CHUNK_BYTES * 2..]))
        );
        assert_eq!(
            ChunkList::from_bytes(&list.to_bytes(), size, &list.digest()),
            Ok(list.clone())
        );
        assert!(ChunkList::from_bytes(&list.to_bytes()[..64], size, &list.digest()).is_err());
    }
}
