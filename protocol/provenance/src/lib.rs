//! Where a file comes from: reads version, product identity and Authenticode signer out of a Windows executable or
//! Windows Installer package, without asking an operating system, so that controller and agent judge alike.

mod anchors;
mod cms;
mod msi;
mod pe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Version;
use protocol::signed::ArtifactKind;
use protocol::step::Product;
#[cfg(not(feature = "test-anchors"))]
use rustls_pki_types::Der;
use rustls_pki_types::TrustAnchor;

/// What is wrong with a file. Its text ends a sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

pub(crate) type Result<T> = std::result::Result<T, Flaw>;

pub(crate) fn flaw(what: impl Into<String>) -> Flaw {
    Flaw(what.into())
}

macro_rules! from_error {
    ($($error:ty => $what:literal),+ $(,)?) => {
        $(impl From<$error> for Flaw {
            fn from(error: $error) -> Self {
                Self(format!("{}: {error}", $what))
            }
        })+
    };
}

from_error!(
    std::io::Error => "it cannot be read",
    der::Error => "its signature is malformed",
    object::Error => "it is malformed",
    authenticode::PeOffsetError => "it is malformed",
    webpki::Error => "its signer is not accepted",
);

impl From<authenticode::AttributeCertificateError> for Flaw {
    fn from(error: authenticode::AttributeCertificateError) -> Self {
        Self(format!("its signature table is malformed: {error:?}"))
    }
}

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(crate::flaw(format!($($what)+)));
        }
    };
}
pub(crate) use ensure;

/// Says why a file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// It cannot be read.
    #[error("could not read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// Neither kind of installer.
    #[error("it is neither a Windows executable nor a Windows Installer package")]
    OtherKind,
    /// Not signed.
    #[error("it carries no Authenticode signature")]
    Unsigned,
    /// Signed, and not acceptable.
    #[error("its signature is not accepted: {0}")]
    Signature(#[source] Flaw),
    /// Signed by somebody else.
    #[error("it is signed by \"{0}\", not by \"{vendor}\"", vendor = anchors::ORGANIZATION)]
    OtherSigner(String),
    /// Neither of the two products.
    #[error("it is signed by the vendor, and is \"{0}\", neither of the two products")]
    OtherProduct(String),
    /// It tells no version.
    #[error("it tells no version that can be read")]
    NoVersion,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Executable or package.
    pub kind: ArtifactKind,
    /// Of which product.
    pub product: Product,
    /// Its name as the file tells it.
    pub product_name: String,
    /// Its version as the file tells it.
    pub version: Version,
    /// Organization of the signer.
    pub signer: String,
}

/// Looks into a file. Its signature is verified before anything else in it is believed.
///
/// # Errors
/// When it is no installer of the two products, signed by the vendor.
pub fn inspect(path: &Path) -> std::result::Result<Seen, ProvenanceError> {
    let data =
        std::fs::read(path).map_err(|error| ProvenanceError::Read(path.to_owned(), error))?;
    inspect_bytes(&data, &roots().map_err(ProvenanceError::Signature)?)
}

/// The ProductVersion of an executable, whoever signed it; `None` when it has none that can be read.
#[must_use]
pub fn file_version(path: &Path) -> Option<Version> {
    let properties = pe::properties(&std::fs::read(path).ok()?).ok()?;
    properties
        .get("ProductVersion")
        .or_else(|| properties.get("FileVersion"))?
        .parse()
        .ok()
}

fn inspect_bytes(
    data: &[u8],
    roots: &[TrustAnchor<'_>],
) -> std::result::Result<Seen, ProvenanceError> {
    let (kind, signer) = if data.starts_with(b"MZ") {
        (ArtifactKind::Exe, pe::verify_pe(data, roots))
    } else if data.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        (ArtifactKind::Msi, msi::verify_msi(data, roots))
    } else {
        return Err(ProvenanceError::OtherKind);
    };
    let signer = signer
        .map_err(ProvenanceError::Signature)?
        .ok_or(ProvenanceError::Unsigned)?;
    let organization = cms::organization(&signer.certificate)
        .unwrap_or_default()
        .to_owned();
    if organization != anchors::ORGANIZATION {
        return Err(ProvenanceError::OtherSigner(organization));
    }
    let properties = match kind {
        ArtifactKind::Exe => pe::properties(data),
        ArtifactKind::Msi => msi::msi_properties(data),
    };
    let properties: BTreeMap<String, String> = properties.map_err(ProvenanceError::Signature)?;
    let product_name = properties.get("ProductName").cloned().unwrap_or_default();
    let product = if anchors::PROVISIONING_AGENT.contains(&product_name.as_str()) {
        Product::ProvisioningAgent
    } else if anchors::CONNECT.contains(&product_name.as_str()) {
        Product::Connect
    } else {
        return Err(ProvenanceError::OtherProduct(product_name));
    };
    let version = properties
        .get("ProductVersion")
        .or_else(|| properties.get("FileVersion"));
    let version = version
        .and_then(|version| version.parse().ok())
        .ok_or(ProvenanceError::NoVersion)?;
    Ok(Seen {
        kind,
        product,
        product_name,
        version,
        signer: organization,
    })
}

#[cfg(not(feature = "test-anchors"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the suite's anchor comes from a file"
)]
fn roots() -> Result<Vec<TrustAnchor<'static>>> {
    let anchor = |subject: &'static [u8], key: &'static [u8]| TrustAnchor {
        subject: Der::from_slice(subject),
        subject_public_key_info: Der::from_slice(key),
        name_constraints: None,
    };
    Ok(vec![
        anchor(anchors::SUBJECT_2011, anchors::KEY_2011),
        anchor(anchors::SUBJECT_2010, anchors::KEY_2010),
    ])
}

/// The suite's own root, DER: the file that `ENTRAIN_TEST_ANCHOR` names, or `test-anchor.der` beside the program.
#[cfg(feature = "test-anchors")]
fn roots() -> Result<Vec<TrustAnchor<'static>>> {
    let beside = || std::env::current_exe().map(|own| own.with_file_name("test-anchor.der"));
    let path = std::env::var_os("ENTRAIN_TEST_ANCHOR")
        .map(PathBuf::from)
        .map_or_else(beside, Ok)?;
    let der = std::fs::read(path)?;
    let certificate = rustls_pki_types::CertificateDer::from(der);
    Ok(vec![
        webpki::anchor_from_trusted_cert(&certificate)?.to_owned(),
    ])
}
