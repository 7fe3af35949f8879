//! One port of the dynamic range of RPC, as a client finds it: the endpoint mapper of a domain controller (TCP 135) is asked at which
//! port the replication of the directory is served (product facts 2.8, PF24), and that port is opened. Nothing is signed in to and
//! nothing of the directory is asked. The form of the question is that of C706 (DCE 1.1: RPC), chapter 12 and appendix L, which
//! MS-RPCE takes over.

use std::io;

use agent_core::op::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::exec::timely;

/// Port of the endpoint mapper.
const MAPPER: u16 = 135;

/// The largest answer that is read. One with four towers has some 400 bytes.
const LARGEST: usize = 8 << 10;

/// Length of the part that every message begins with.
const HEADER: usize = 16;

/// Interfaces, each with its version, as they lie on the wire: the endpoint mapper, the form of arguments (NDR), and the replication
/// of the directory (MS-DRSR).
const ENDPOINT_MAPPER: ([u8; 16], u16) = (
    [
        0x08, 0x83, 0xaf, 0xe1, 0x1f, 0x5d, 0xc9, 0x11, 0x91, 0xa4, 0x08, 0x00, 0x2b, 0x14, 0xa0,
        0xfa,
    ],
    3,
);
const NDR: ([u8; 16], u16) = (
    [
        0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48,
        0x60,
    ],
    2,
);
const REPLICATION: ([u8; 16], u16) = (
    [
        0x35, 0x42, 0x51, 0xe3, 0x06, 0x4b, 0xd1, 0x11, 0xab, 0x04, 0x00, 0xc0, 0x4f, 0xc2, 0xdc,
        0xd2,
    ],
    4,
);

/// Kinds of messages.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 2;
const BIND: u8 = 11;
const BIND_ACK: u8 = 12;

/// The mapper's question for the ports of an interface (`ept_map`).
const MAP: u16 = 3;

/// Parts of a tower by which the port of TCP and the address are known.
const TCP: u8 = 0x07;
const ADDRESS: u8 = 0x09;

/// Tells whether that port is named and open.
pub(super) async fn reach(host: &str) -> Outcome {
    match opened(host, MAPPER).await {
        Ok(()) => Outcome::Done,
        Err(why) => Outcome::Failed(why),
    }
}

async fn opened(host: &str, mapper: u16) -> Result<(), String> {
    let port = timely(asked(host, mapper))
        .await
        .map_err(|error| format!("the endpoint mapper at {mapper}: {error}"))?;
    let opened = timely(TcpStream::connect((host, port))).await;
    opened
        .map(drop)
        .map_err(|error| format!("port {port}, which the endpoint mapper names: {error}"))
}

async fn asked(host: &str, mapper: u16) -> io::Result<u16> {
    let mut stream = TcpStream::connect((host, mapper)).await?;
    stream.write_all(&message(BIND, &bind())).await?;
    let answer = read(&mut stream).await?;
    if answer.first() != Some(&BIND_ACK) {
        return Err(odd("it does not take the question"));
    }
    stream.write_all(&message(REQUEST, &question())).await?;
    let answer = read(&mut stream).await?;
    if answer.first() != Some(&RESPONSE) {
        return Err(odd("it refuses the question"));
    }
    port(&answer[1..]).ok_or_else(|| odd("it names no port of the directory's replication"))
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads one message: its kind, then what comes behind its header.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
    if header[0] != 5 || !(HEADER..=LARGEST).contains(&length) {
        return Err(odd("what answers there is no endpoint mapper"));
    }
    let mut message = vec![0; length - HEADER + 1];
    message[0] = header[2];
    stream.read_exact(&mut message[1..]).await?;
    Ok(message)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
    // Version 5.0, whole, little-endian.
    let mut message = vec![5, 0, kind, 3, 0x10, 0, 0, 0];
    message.extend(length.to_le_bytes());
    message.extend([0, 0, 1, 0, 0, 0]);
    message.extend(body);
    message
}

fn bind() -> Vec<u8> {
    let mut body = Vec::new();
    for largest in [4280_u16, 4280] {
        body.extend(largest.to_le_bytes());
    }
    // No group of connections; one context, with one form of arguments.
    body.extend([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]);
    for (interface, version) in [ENDPOINT_MAPPER, NDR] {
        body.extend(interface);
        body.extend(u32::from(version).to_le_bytes());
    }
    body
}

fn question() -> Vec<u8> {
    let tower = tower();
    let length = u32::try_from(tower.len()).unwrap_or(u32::MAX);
    // No object; the tower behind a pointer, its length before it and in it.
    let mut body = [0, 2, length, length].map(u32::to_le_bytes).concat();
    body.extend(&tower);
    body.resize(body.len().next_multiple_of(4), 0);
    // No handle of an earlier question; four answers at most.
    body.extend([0; 20]);
    body.extend(4_u32.to_le_bytes());
    let mut request = u32::try_from(body.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    request.extend([0, 0]);
    request.extend(MAP.to_le_bytes());
    request.extend(body);
    request
}

/// What is asked for: that interface, by RPC over TCP over IP; port and address are for the mapper to fill in.
fn tower() -> Vec<u8> {
    let mut tower = 5_u16.to_le_bytes().to_vec();
    let mut floor = |left: &[u8], right: &[u8]| {
        for half in [left, right] {
            tower.extend(u16::try_from(half.len()).unwrap_or(0).to_le_bytes());
            tower.extend(half);
        }
    };
    for (interface, version) in [REPLICATION, NDR] {
        let left = [&[0x0d], interface.as_slice(), &version.to_le_bytes()].concat();
        floor(&left, &[0, 0]);
    }
    floor(&[0x0b], &[0, 0]);
    floor(&[TCP], &[0, 0]);
    floor(&[ADDRESS], &[0, 0, 0, 0]);
    tower
}

/// A text that is read from its beginning; what is not there is no panic.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<usize> {
        let [low, high] = *self.take(2)?.first_chunk::<2>()?;
        Some(usize::from(u16::from_le_bytes([low, high])))
    }

    fn long(&mut self) -> Option<usize> {
        let four = *self.take(4)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(four)).ok()
    }
}

/// The port in an answer, which begins behind its header.
fn port(body: &[u8]) -> Option<u16> {
    let mut answer = Bytes(body);
    // Hint of the length, context; handle; how many there are.
    answer.take(8 + 20)?;
    let towers = answer.long()?;
    // The array's room, its beginning, and how many are in it; a pointer for each.
    answer.take(8)?;
    let listed = answer.long()?.min(towers);
    answer.take(listed.checked_mul(4)?)?;
    let mut found = None;
    for _ in 0..listed {
        let room = answer.long()?;
        let length = answer.long()?.min(room);
        let tower = answer.take(length)?;
        // The last one may lack what fills it up.
        let gap = length.next_multiple_of(4) - length;
        answer.take(gap.min(answer.0.len()))?;
        found = found.or_else(|| port_of(tower));
    }
    found
}

fn port_of(tower: &[u8]) -> Option<u16> {
    let mut tower = Bytes(tower);
    for _ in 0..tower.short()? {
        let left = tower.short()?;
        let left = tower.take(left)?;
        let right = tower.short()?;
        let right = tower.take(right)?;
        if left.first() == Some(&TCP) {
            let port = u16::from_be_bytes(*right.first_chunk::<2>()?);
            return (port != 0).then_some(port);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What a mapper answers that serves it at that port.
    fn answer(at: u16) -> Vec<u8> {
        let mut tower = tower();
        let place = tower.len() - (2 + 4 + 2 + 1) - 2;
        tower[place..place + 2].copy_from_slice(&at.to_be_bytes());
        let length = u32::try_from(tower.len()).unwrap();
        let mut body = vec![0; 8 + 20];
        for word in [1, 4, 0, 1, 3, length, length] {
            body.extend(u32::to_le_bytes(word));
        }
        body.extend(&tower);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([0; 4]);
        body
    }

    #[test]
    fn the_port_is_that_of_tcp_and_what_is_cut_off_or_odd_names_none() {
        let whole = answer(49_667);
        assert_eq!(port(&whole), Some(49_667));
        for end in 0..whole.len() - 12 {
            // Cut anywhere it is none, or the one that it names.
            assert!(matches!(port(&whole[..end]), None | Some(49_667)));
        }
        assert_eq!(port(&answer(0)), None);
        for at in 0..whole.len() {
            let mut odd = whole.clone();
            odd[at] = 0xff;
            assert_ne!(port(&odd), Some(0));
        }
    }

    /// A mapper of one connection, which answers with that port.
    async fn mapper(listener: &TcpListener, at: u16, kinds: [u8; 2]) {
        let (mut stream, _) = listener.accept().await.unwrap();
        for (kind, body) in kinds.into_iter().zip([vec![0; 8], answer(at)]) {
            if read(&mut stream).await.is_err() {
                return;
            }
            stream.write_all(&message(kind, &body)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_port_that_is_named_is_opened_and_what_fails_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let serves = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let named = serves.local_addr().unwrap().port();
        let well = [BIND_ACK, RESPONSE];
        let (reached, ()) = tokio::join!(opened("127.0.0.1", own), mapper(&listener, named, well));
        assert_eq!(reached, Ok(()));
        drop(serves);
        let (reached, ()) = tokio::join!(opened("127.0.0.1", own), mapper(&listener, named, well));
        let why = reached.unwrap_err();
        assert!(why.starts_with(&format!("port {named}, which the endpoint mapper names")));
        for (kinds, words) in [
            ([13, RESPONSE], "it does not take the question"),
            ([BIND_ACK, 3], "it refuses the question"),
        ] {
            let (reached, ()) =
                tokio::join!(opened("127.0.0.1", own), mapper(&listener, named, kinds));
            let why = reached.unwrap_err();
            assert!(why.contains(words), "{why}");
        }
        let (reached, ()) = tokio::join!(opened("127.0.0.1", own), mapper(&listener, 0, well));
        assert!(reached.unwrap_err().contains("it names no port"));
        drop(listener);
        assert!(
            opened("127.0.0.1", own)
                .await
                .unwrap_err()
                .starts_with("the endpoint mapper")
        );
    }
}
