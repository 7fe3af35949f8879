//! Whether SQLite's side log was damaged. SQLite reads it up to the first frame whose checksum does not fit, and says nothing of what
//! lies behind: after a power cut that is the transaction that was being written, and nobody was told of it. What was damaged in the
//! middle would be lost in the same silence, orders with it. The two can be told apart where a later transaction has begun: it
//! begins once the one before is on the disk.

use std::io;
use std::path::Path;

/// Bytes of the file's header, and of each frame's.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// How the file begins: with checksums over words in little or in big order.
const LITTLE: u32 = 0x377f_0682;
const BIG: u32 = 0x377f_0683;

/// The first frame, counted from 1, that was damaged and of which somebody may have been told; 0 for the file's header.
///
/// # Errors
/// When the file is there and cannot be read.
pub(super) fn damaged_at(path: &Path) -> io::Result<Option<usize>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(damage(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damage(bytes: &[u8]) -> Option<usize> {
    let (header, frames) = bytes.split_at_checked(HEADER)?;
    let order = match word(header, 0) {
        LITTLE => u32::from_le_bytes,
        BIG => u32::from_be_bytes,
        // It is written before the first frame.
        _ => return (!frames.is_empty()).then_some(0),
    };
    let mut sum = add((0, 0), &header[..FRAME], order);
    if sum != (word(header, 6), word(header, 7)) {
        return (!frames.is_empty()).then_some(0);
    }
    let page = usize::try_from(word(header, 2)).ok()?;
    let salt = &header[16..24];
    let mut torn = None;
    // The frame before, behind the torn one or that itself, says that it ends a transaction.
    let mut ended = false;
    for (number, frame) in (1..).zip(frames.chunks_exact(FRAME + page)) {
        let (head, content) = frame.split_at(FRAME);
        // What an earlier life of the file has left behind its end is in the database.
        let of_this_life = &head[8..16] == salt;
        let stored = (word(head, 4), word(head, 5));
        // Each frame goes on from what the one before says of itself.
        let fits = of_this_life && add(add(sum, &head[..8], order), content, order) == stored;
        match torn {
            None if !fits => torn = Some(number),
            Some(torn) if fits && ended => return Some(torn),
            None | Some(_) => {}
        }
        ended = torn.is_some() && of_this_life && word(head, 1) != 0;
        sum = stored;
    }
    None
}

/// The word at that place, in the file's own order.
fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes[at * 4..].first_chunk().expect("a header is longer");
    u32::from_be_bytes(*four)
}

/// SQLite's checksum goes on over pairs of words.
fn add((mut a, mut b): (u32, u32), bytes: &[u8], order: fn([u8; 4]) -> u32) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let (first, second) = pair.split_at(4);
        let word = |four: &[u8]| order(*four.first_chunk().expect("four bytes"));
        a = a.wrapping_add(word(first)).wrapping_add(b);
        b = b.wrapping_add(word(second)).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A side log of some transactions, of several frames each, and the database beside it.
    fn side_log(folder: &Path, transactions: usize) -> Vec<u8> {
        let path = folder.join("log.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA page_size = 4096;
                 CREATE TABLE log (body TEXT);",
            )
            .unwrap();
        for number in 0..transactions {
            let body = format!("{number}").repeat(9000);
            connection
                .execute("INSERT INTO log VALUES (?1)", [body])
                .unwrap();
        }
        std::fs::read(folder.join("log.sqlite-wal")).unwrap()
    }

    const SIZE: usize = FRAME + 4096;

    /// Numbers of the frames with which a transaction ends.
    fn ends(bytes: &[u8]) -> Vec<usize> {
        let frames = bytes[HEADER..].chunks_exact(SIZE);
        let ends = (1..).zip(frames).filter(|(_, frame)| word(frame, 1) != 0);
        ends.map(|(number, _)| number).collect()
    }

    #[test]
    fn a_side_log_that_is_whole_or_was_cut_off_anywhere_is_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let whole = side_log(folder.path(), 6);
        assert!(ends(&whole).len() >= 6);
        for length in (0..=whole.len()).step_by(509) {
            assert_eq!(damage(&whole[..length]), None, "{length}");
        }
    }

    /// Of the last transaction nobody was told if it was being written: its blocks may have come in any order, or not at all.
    #[test]
    fn what_is_torn_of_the_last_transaction_is_a_power_cut() {
        let folder = tempfile::tempdir().unwrap();
        let whole = side_log(folder.path(), 6);
        let ends = ends(&whole);
        let from = HEADER + ends[ends.len() - 2] * SIZE;
        const BLOCK: usize = 512;
        for block in from.div_ceil(BLOCK)..whole.len() / BLOCK {
            let mut torn = whole.clone();
            torn[block * BLOCK..(block + 1) * BLOCK].fill(0);
            assert_eq!(damage(&torn), None, "block {block}");
            torn[from..(block + 1) * BLOCK].fill(0);
            assert_eq!(damage(&torn), None, "all up to block {block}");
        }
    }

    #[test]
    fn what_is_damaged_before_the_last_transaction_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let whole = side_log(folder.path(), 6);
        let ends = ends(&whole);
        let last_but_one = ends[ends.len() - 2];
        for frame in 1..=last_but_one {
            for at in [0, 5, 9, 17, FRAME, FRAME + 4000] {
                let mut torn = whole.clone();
                torn[HEADER + (frame - 1) * SIZE + at] ^= 0x10;
                // Where the end of the last transaction but one does not say any more whose it is, nothing tells it from
                // one that was being written.
                let told = frame != last_but_one || ![9, 17].contains(&at);
                let found = damage(&torn);
                assert_eq!(found, told.then_some(frame), "frame {frame}, byte {at}");
            }
        }
    }

    #[test]
    fn a_header_that_is_damaged_is_told_where_anything_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let whole = side_log(folder.path(), 2);
        for at in 0..HEADER {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert_eq!(damage(&torn), Some(0), "byte {at}");
            assert_eq!(damage(&torn[..HEADER]), None, "byte {at}");
        }
    }

    /// Once all is in the database, the file is written from its beginning again, over what is left of its life before.
    #[test]
    fn what_an_earlier_life_has_left_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("log.sqlite")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE log (body TEXT);",
            )
            .unwrap();
        let add = |text: &str| {
            let done = connection.execute("INSERT INTO log VALUES (?1)", [text]);
            done.unwrap();
            std::fs::read(folder.path().join("log.sqlite-wal")).unwrap()
        };
        let long = "of this life".repeat(2000);
        add(&long);
        let before = add(&long);
        let moved = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        moved.unwrap();
        let bytes = add("of the next life");
        assert_ne!(bytes[16..24], before[16..24], "another life");
        assert_eq!(bytes.len(), before.len(), "and most of the one before");
        assert_eq!(damage(&bytes), None);
        let mut torn = bytes;
        torn[HEADER + FRAME + 7] ^= 1;
        assert_eq!(damage(&torn), None, "its only transaction");
    }
}
