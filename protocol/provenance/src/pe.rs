//! Windows executables: the Authenticode digest and signature, and the version resource.

use std::collections::BTreeMap;

use authenticode::{
    AttributeCertificateIterator, PeTrait, WIN_CERT_REVISION_2_0, WIN_CERT_TYPE_PKCS_SIGNED_DATA,
    authenticode_digest,
};
use aws_lc_rs::digest as hash;
use object::LittleEndian as LE;
use object::read::pe::{ImageNtHeaders, PeFile};
use object::read::pe::{PeFile32, PeFile64};
use rustls_pki_types::TrustAnchor;

use crate::cms::{SPC_PE_IMAGE_DATA, Signed, Signer};
use crate::{Result, ensure, flaw};

struct Hasher(hash::Context);

impl digest::Update for Hasher {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

enum Pe<'a> {
    Bits32(PeFile32<'a>),
    Bits64(PeFile64<'a>),
}

impl<'a> Pe<'a> {
    fn parse(data: &'a [u8]) -> Result<Self> {
        Ok(match object::read::pe::optional_header_magic(data)? {
            object::pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => Self::Bits32(PeFile32::parse(data)?),
            object::pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => Self::Bits64(PeFile64::parse(data)?),
            other => return Err(flaw(format!("optional header magic {other:#x}"))),
        })
    }

    fn as_trait(&self) -> &dyn PeTrait {
        match self {
            Self::Bits32(pe) => pe,
            Self::Bits64(pe) => pe,
        }
    }
}

fn pe_digest(pe: &dyn PeTrait, algorithm: &'static hash::Algorithm) -> Result<Vec<u8>> {
    let mut hasher = Hasher(hash::Context::new(algorithm));
    authenticode_digest(pe, &mut hasher)?;
    Ok(hasher.0.finish().as_ref().to_vec())
}

/// The PKCS#7 of the first certificate entry (Windows uses the first; a second
/// signature sits inside it as unsigned attribute 1.3.6.1.4.1.311.2.4.1).
fn pe_pkcs7(pe: &dyn PeTrait) -> Result<Option<&[u8]>> {
    // Nothing unhashed may hide: the table ends the file and follows all sections.
    let Some(table) = pe
        .certificate_table_range()?
        .filter(|range| !range.is_empty())
    else {
        return Ok(None);
    };
    ensure!(
        table.end == pe.data().len(),
        "bytes after the certificate table"
    );
    for index in 1..=pe.num_sections() {
        ensure!(
            pe.section_data_range(index)?.end <= table.start,
            "a section reaches into the certificate table"
        );
    }
    let Some(mut entries) = AttributeCertificateIterator::new(pe)? else {
        return Ok(None);
    };
    let Some(entry) = entries.next() else {
        return Ok(None);
    };
    let entry = entry?;
    ensure!(
        entry.revision == WIN_CERT_REVISION_2_0,
        "certificate revision"
    );
    ensure!(
        entry.certificate_type == WIN_CERT_TYPE_PKCS_SIGNED_DATA,
        "certificate type"
    );
    Ok(Some(entry.data)) // may be zero-padded at its end
}

pub(crate) fn verify_pe(data: &[u8], roots: &[TrustAnchor<'_>]) -> Result<Option<Signer>> {
    let pe = Pe::parse(data)?;
    let pe = pe.as_trait();
    let Some(pkcs7) = pe_pkcs7(pe)? else {
        return Ok(None);
    };
    let signed = Signed::parse(pkcs7, SPC_PE_IMAGE_DATA)?;
    let computed = pe_digest(pe, signed.file_algorithm()?)?;
    ensure!(
        signed.file_digest() == computed.as_slice(),
        "the file's digest differs"
    );
    signed.verify(roots).map(Some)
}

fn version_resource<'d, H: ImageNtHeaders>(
    pe: &PeFile<'d, H>,
) -> object::read::Result<Option<&'d [u8]>> {
    let sections = pe.section_table();
    let Some(directory) = pe
        .data_directories()
        .resource_directory(pe.data(), &sections)?
    else {
        return Ok(None);
    };
    let root = directory.root()?;
    // type -> name -> language -> data
    let Some(kind) = root
        .entries
        .iter()
        .find(|entry| entry.name_or_id().id() == Some(object::pe::RT_VERSION))
    else {
        return Ok(None);
    };
    let Some(names) = kind.data(directory)?.table() else {
        return Ok(None);
    };
    let Some(name) = names.entries.first() else {
        return Ok(None);
    };
    let Some(languages) = name.data(directory)?.table() else {
        return Ok(None);
    };
    let Some(language) = languages.entries.first() else {
        return Ok(None);
    };
    let Some(entry) = language.data(directory)?.data() else {
        return Ok(None);
    };
    // An RVA, not an offset in the section.
    Ok(sections
        .pe_data_at(pe.data(), entry.offset_to_data.get(LE))
        .and_then(|data| data.get(..entry.size.get(LE) as usize)))
}

struct Node {
    key: String,
    value_length: usize,
    body: usize,
    end: usize,
}

const fn align4(offset: usize) -> usize {
    offset.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn node(bytes: &[u8], at: usize, limit: usize) -> Option<Node> {
    let length = usize::from(u16_at(bytes, at)?);
    if length < 6 {
        return None; // also ends a run of padding
    }
    let value_length = usize::from(u16_at(bytes, at + 2)?);
    let end = (at + length).min(limit);
    let mut key = Vec::new();
    let mut offset = at + 6;
    loop {
        if offset + 2 > end {
            return None;
        }
        let unit = u16_at(bytes, offset)?;
        offset += 2;
        if unit == 0 {
            break;
        }
        key.push(unit);
    }
    Some(Node {
        key: String::from_utf16_lossy(&key),
        value_length,
        body: align4(offset).min(end),
        end,
    })
}

fn nodes(bytes: &[u8], mut at: usize, end: usize) -> impl Iterator<Item = Node> {
    std::iter::from_fn(move || {
        let found = node(bytes, at, end)?;
        at = align4(found.end);
        Some(found)
    })
}

/// StringFileInfo of the first language that has the key.
fn version_strings(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let root = node(bytes, 0, bytes.len()).filter(|root| root.key == "VS_VERSION_INFO")?;
    let mut strings = BTreeMap::new();
    let children = align4(root.body + root.value_length);
    for info in nodes(bytes, children, root.end).filter(|info| info.key == "StringFileInfo") {
        for table in nodes(bytes, info.body, info.end) {
            for string in nodes(bytes, table.body, table.end) {
                let units: Vec<u16> = bytes
                    .get(string.body..string.end)?
                    .chunks_exact(2)
                    .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                    .take_while(|unit| *unit != 0)
                    .collect();
                strings
                    .entry(string.key)
                    .or_insert_with(|| String::from_utf16_lossy(&units));
            }
        }
    }
    Some(strings)
}

impl Pe<'_> {
    fn version_strings(&self) -> Result<Option<BTreeMap<String, String>>> {
        let resource = match self {
            Self::Bits32(pe) => version_resource(pe)?,
            Self::Bits64(pe) => version_resource(pe)?,
        };
        Ok(resource.and_then(version_strings))
    }
}

/// The strings of the version resource: ProductName, ProductVersion and others.
pub(crate) fn properties(data: &[u8]) -> Result<BTreeMap<String, String>> {
    Ok(Pe::parse(data)?.version_strings()?.unwrap_or_default())
}
