//! Windows Installer packages: the Authenticode digest over the streams of the compound file, and the Property table.

use aws_lc_rs::digest as hash;
use cfb::{CompoundFile, Entry};
use rustls_pki_types::TrustAnchor;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io::{self, Cursor, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cms::{SPC_SIP_INFO, Signed, Signer};
use crate::{Result, ensure, flaw};

const SIGNATURE: &str = "\u{5}DigitalSignature";
const SIGNATURE_EX: &str = "\u{5}MsiDigitalSignatureEx";
const MAX_DEPTH: usize = 32;

type Compound<'a> = CompoundFile<Cursor<&'a [u8]>>;

fn utf16le(name: &str) -> Vec<u8> {
    name.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn is_signature(parent: &Entry, child: &Entry) -> bool {
    parent.is_root() && (child.name() == SIGNATURE || child.name() == SIGNATURE_EX)
}

/// In the order of the digest. cfb opens by path, so names that a path would
/// bend, and names it could not tell apart, are refused.
fn children(file: &Compound<'_>, storage: &Entry) -> io::Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = file.read_storage(storage.path())?.collect();
    let mut seen = HashSet::new();
    for entry in &entries {
        if matches!(entry.name(), "" | "." | "..") || !seen.insert(entry.name().to_uppercase()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "ambiguous name"));
        }
    }
    entries.sort_by_cached_key(|entry| utf16le(entry.name()));
    Ok(entries)
}

fn read_stream(
    file: &mut Compound<'_>,
    entry: &Entry,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut stream = file.open_stream(entry.path())?;
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0_u64;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        each(&buffer[..count]);
        total += count as u64;
    }
    if total == entry.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn hash_content(
    file: &mut Compound<'_>,
    storage: &Entry,
    out: &mut hash::Context,
    depth: usize,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "storages too deep",
        ));
    }
    for child in children(file, storage)? {
        if is_signature(storage, &child) {
            continue;
        }
        if child.is_stream() {
            read_stream(file, &child, |bytes| out.update(bytes))?;
        } else {
            hash_content(file, &child, out, depth + 1)?;
        }
    }
    out.update(&storage.clsid().to_bytes_le());
    Ok(())
}

fn filetime(time: SystemTime) -> [u8; 8] {
    const EPOCH: u64 = 116_444_736_000_000_000;
    let ticks = |span: Duration| {
        span.as_secs().saturating_mul(10_000_000) + u64::from(span.subsec_nanos() / 100)
    };
    let value = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => EPOCH.saturating_add(ticks(after)),
        Err(before) => EPOCH.saturating_sub(ticks(before.duration())),
    };
    value.to_le_bytes()
}

fn hash_entry(entry: &Entry, out: &mut hash::Context) {
    if !entry.is_root() {
        out.update(&utf16le(entry.name()));
    }
    if entry.is_stream() {
        out.update(&entry.len().to_le_bytes()[..4]);
    } else {
        out.update(&entry.clsid().to_bytes_le());
    }
    out.update(&entry.state_bits().to_le_bytes());
    if !entry.is_root() {
        out.update(&filetime(entry.created()));
        out.update(&filetime(entry.modified()));
    }
}

fn hash_metadata(
    file: &Compound<'_>,
    storage: &Entry,
    out: &mut hash::Context,
    depth: usize,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "storages too deep",
        ));
    }
    hash_entry(storage, out);
    for child in children(file, storage)? {
        if is_signature(storage, &child) {
            continue;
        }
        if child.is_stream() {
            hash_entry(&child, out);
        } else {
            hash_metadata(file, &child, out, depth + 1)?;
        }
    }
    Ok(())
}

fn root_stream(file: &mut Compound<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let root = file.root_entry();
    let Some(entry) = children(file, &root)?
        .into_iter()
        .find(|entry| entry.name() == name)
    else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    read_stream(file, &entry, |part| bytes.extend_from_slice(part))?;
    Ok(Some(bytes))
}

pub(crate) fn verify_msi(data: &[u8], roots: &[TrustAnchor<'_>]) -> Result<Option<Signer>> {
    let mut file = CompoundFile::open(Cursor::new(data))?;
    let Some(pkcs7) = root_stream(&mut file, SIGNATURE)? else {
        return Ok(None);
    };
    let signed = Signed::parse(&pkcs7, SPC_SIP_INFO)?;
    let algorithm = signed.file_algorithm()?;
    let root = file.root_entry();

    let mut digest = hash::Context::new(algorithm);
    if let Some(stored) = root_stream(&mut file, SIGNATURE_EX)? {
        let mut metadata = hash::Context::new(algorithm);
        hash_metadata(&file, &root, &mut metadata, 0)?;
        let metadata = metadata.finish();
        ensure!(
            stored.as_slice() == metadata.as_ref(),
            "MsiDigitalSignatureEx differs"
        );
        digest.update(metadata.as_ref());
    }
    hash_content(&mut file, &root, &mut digest, 0)?;
    let digest = digest.finish();
    ensure!(
        digest.as_ref() == signed.file_digest(),
        "the file's digest differs"
    );
    signed.verify(roots).map(Some)
}

/// The Property table. The library may panic on a malformed table, so it is fenced; the signature was verified before.
pub(crate) fn msi_properties(data: &[u8]) -> Result<BTreeMap<String, String>> {
    std::panic::catch_unwind(|| properties(data))
        .unwrap_or_else(|_| Err(flaw("its Property table is malformed")))
}

fn properties(data: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut package = msi::Package::open(Cursor::new(data))?;
    let mut properties = BTreeMap::new();
    for row in package.select_rows(msi::Select::table("Property"))? {
        // Columns: Property, Value. Indexing panics out of range, so look first.
        if row.len() >= 2
            && let (Some(name), Some(value)) = (row[0].as_str(), row[1].as_str())
        {
            properties.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(properties)
}
// properties.get("ProductName" | "ProductVersion" | "UpgradeCode" | "ProductCode" | "Manufacturer")
