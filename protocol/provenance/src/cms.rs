//! The signature itself: CMS SignedData with Authenticode content. What is checked: the content's digest, the signer's
//! attributes, the signature, the chain to an anchor and the code signing purpose. What is not: revocation, and the time
//! stamp; the bytes are pinned by digest in a signed bundle, so a certificate's end says nothing about them.

use authenticode::{SPC_INDIRECT_DATA_OBJID, SpcIndirectDataContent};
use aws_lc_rs::digest as hash;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode, Header, Reader, SliceReader, Tag, TagNumber};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use x509_cert::Certificate;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use webpki::aws_lc_rs as alg;

use crate::{Result, ensure, flaw};

const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}
const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
const SHA_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const SHA_256_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const SHA_384_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const SHA_512_RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const EC: ObjectIdentifier = oid("1.2.840.10045.2.1");
const ECDSA_SHA_256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
const ECDSA_SHA_384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.3");
const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
/// `SpcIndirectDataContent.data.value_type`: what kind of file was signed.
pub(crate) const SPC_PE_IMAGE_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.15");
pub(crate) const SPC_SIP_INFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.30"); // MSI

fn hash_algorithm(oid: ObjectIdentifier) -> Result<&'static hash::Algorithm> {
    match oid {
        SHA_256 => Ok(&hash::SHA256),
        SHA_384 => Ok(&hash::SHA384),
        SHA_512 => Ok(&hash::SHA512),
        other => Err(flaw(format!("digest algorithm {other}"))), // SHA-1 is refused on purpose
    }
}

pub(crate) struct Signed {
    data: SignedData,
    content: SpcIndirectDataContent,
    certificates: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) certificate: Certificate,
}

/// The certificates exactly as they stand in the file. `signed_data` is the
/// contents of the SignedData SEQUENCE.
fn raw_certificates(signed_data: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(signed_data)?;
    for _ in 0..3 {
        reader.tlv_bytes()?; // version, digestAlgorithms, encapContentInfo
    }
    let mut certificates = Vec::new();
    let header = reader.peek_header()?;
    if header.tag
        == (Tag::ContextSpecific {
            constructed: true,
            number: TagNumber::N0,
        })
    {
        Header::decode(&mut reader)?;
        let mut set = SliceReader::new(reader.read_slice(header.length)?)?;
        while !set.is_finished() {
            certificates.push(set.tlv_bytes()?.to_vec());
        }
    }
    Ok(certificates)
}

/// The one value of the one signed attribute of that type.
fn attribute<'a, T>(signer: &'a SignerInfo, oid: ObjectIdentifier) -> Result<T>
where
    T: der::Choice<'a> + der::DecodeValue<'a>,
{
    let attributes = signer
        .signed_attrs
        .as_ref()
        .ok_or_else(|| flaw("no signed attributes"))?;
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let (Some(attribute), None) = (found.next(), found.next()) else {
        return Err(flaw(format!("not exactly one signed attribute {oid}")));
    };
    ensure!(
        attribute.values.len() == 1,
        "not exactly one value in {oid}"
    );
    let value = attribute.values.get(0).ok_or_else(|| flaw("no value"))?;
    Ok(value.decode_as::<T>()?)
}

impl Signed {
    pub(crate) fn parse(pkcs7: &[u8], kind: ObjectIdentifier) -> Result<Self> {
        let mut reader = SliceReader::new(pkcs7)?; // not from_der: padding may follow
        let info = ContentInfo::decode(&mut reader)?;
        ensure!(info.content_type == SIGNED_DATA, "not SignedData");
        let data: SignedData = info.content.decode_as()?;
        let certificates = raw_certificates(info.content.value())?;
        ensure!(
            data.encap_content_info.econtent_type == SPC_INDIRECT_DATA_OBJID,
            "not Authenticode content"
        );
        let econtent = data
            .encap_content_info
            .econtent
            .as_ref()
            .ok_or_else(|| flaw("no content"))?;
        let content: SpcIndirectDataContent = econtent.decode_as()?;
        ensure!(
            content.data.value_type == kind,
            "signed as another kind of file"
        );
        Ok(Self {
            data,
            content,
            certificates,
        })
    }

    pub(crate) fn file_algorithm(&self) -> Result<&'static hash::Algorithm> {
        hash_algorithm(self.content.message_digest.digest_algorithm.oid)
    }

    pub(crate) fn file_digest(&self) -> &[u8] {
        self.content.message_digest.digest.as_bytes()
    }

    fn signer(&self) -> Result<&SignerInfo> {
        match self.data.signer_infos.0.as_slice() {
            [one] => Ok(one),
            others => Err(flaw(format!("{} signers", others.len()))),
        }
    }

    /// The signer's certificate: its own bytes and parsed.
    fn leaf(&self, signer: &SignerInfo) -> Result<(&[u8], Certificate)> {
        let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
            return Err(flaw(
                "the signer is not named by issuer and serial number".to_string(),
            ));
        };
        for raw in &self.certificates {
            if let Ok(certificate) = Certificate::from_der(raw)
                && certificate.tbs_certificate.issuer == id.issuer
                && certificate.tbs_certificate.serial_number == id.serial_number
            {
                return Ok((raw.as_slice(), certificate));
            }
        }
        Err(flaw("the signer's certificate is missing".to_string()))
    }

    /// Everything but the file's own digest, which the caller compares.
    pub(crate) fn verify(&self, roots: &[TrustAnchor<'_>]) -> Result<Signer> {
        let signer = self.signer()?;
        let (raw, certificate) = self.leaf(signer)?;

        // content -> messageDigest attribute
        let content_type: ObjectIdentifier = attribute(signer, CONTENT_TYPE)?;
        ensure!(
            content_type == SPC_INDIRECT_DATA_OBJID,
            "contentType differs"
        );
        let econtent = self
            .data
            .encap_content_info
            .econtent
            .as_ref()
            .ok_or_else(|| flaw("no content"))?;
        let algorithm = hash_algorithm(signer.digest_alg.oid)?;
        let digest = hash::digest(algorithm, econtent.value()); // contents, without tag and length
        let message_digest: OctetString = attribute(signer, MESSAGE_DIGEST)?;
        ensure!(
            message_digest.as_bytes() == digest.as_ref(),
            "messageDigest differs"
        );

        // attributes -> signature, chain -> root
        let signed = signer
            .signed_attrs
            .as_ref()
            .ok_or_else(|| flaw("no signed attributes"))?
            .to_der()?;
        let leaf = CertificateDer::from(raw);
        let leaf = webpki::EndEntityCert::try_from(&leaf)?;
        verify_signature(&leaf, signer, &signed)?;
        verify_chain(&leaf, &certificate, &self.certificates, roots)?;
        Ok(Signer { certificate })
    }
}

static RSA_256: &[&dyn SignatureVerificationAlgorithm] = &[alg::RSA_PKCS1_2048_8192_SHA256];
static RSA_384: &[&dyn SignatureVerificationAlgorithm] = &[alg::RSA_PKCS1_2048_8192_SHA384];
static RSA_512: &[&dyn SignatureVerificationAlgorithm] = &[alg::RSA_PKCS1_2048_8192_SHA512];
static EC_256: &[&dyn SignatureVerificationAlgorithm] =
    &[alg::ECDSA_P256_SHA256, alg::ECDSA_P384_SHA256];
static EC_384: &[&dyn SignatureVerificationAlgorithm] =
    &[alg::ECDSA_P384_SHA384, alg::ECDSA_P256_SHA384];

fn verify_signature(
    leaf: &webpki::EndEntityCert<'_>,
    signer: &SignerInfo,
    signed: &[u8],
) -> Result<()> {
    let candidates = match (signer.signature_algorithm.oid, signer.digest_alg.oid) {
        (RSA | SHA_256_RSA, SHA_256) => RSA_256,
        (RSA | SHA_384_RSA, SHA_384) => RSA_384,
        (RSA | SHA_512_RSA, SHA_512) => RSA_512,
        (EC | ECDSA_SHA_256, SHA_256) => EC_256,
        (EC | ECDSA_SHA_384, SHA_384) => EC_384,
        (signature, digest) => {
            return Err(flaw(format!(
                "signature algorithm {signature} with {digest}"
            )));
        }
    };
    let signature = signer.signature.as_bytes(); // ECDSA: the ASN.1 form
    ensure!(
        candidates
            .iter()
            .any(|algorithm| leaf.verify_signature(*algorithm, signed, signature).is_ok()),
        "the signature does not verify"
    );
    Ok(())
}

/// 1.3.6.1.5.5.7.3.3, contents only.
const CODE_SIGNING_CONTENTS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];

static CHAIN: &[&dyn SignatureVerificationAlgorithm] = &[
    alg::RSA_PKCS1_2048_8192_SHA256,
    alg::RSA_PKCS1_2048_8192_SHA384,
    alg::RSA_PKCS1_2048_8192_SHA512,
    alg::ECDSA_P256_SHA256,
    alg::ECDSA_P256_SHA384,
    alg::ECDSA_P384_SHA256,
    alg::ECDSA_P384_SHA384,
];

fn verify_chain(
    leaf: &webpki::EndEntityCert<'_>,
    certificate: &Certificate,
    bag: &[Vec<u8>],
    roots: &[TrustAnchor<'_>],
) -> Result<()> {
    let intermediates: Vec<CertificateDer<'_>> = bag
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    // Signed code outlives its certificates; at the leaf's issuance all of the chain was valid.
    let at = UnixTime::since_unix_epoch(
        certificate
            .tbs_certificate
            .validity
            .not_before
            .to_unix_duration(),
    );
    leaf.verify_for_usage(
        CHAIN,
        roots,
        &intermediates,
        at,
        webpki::KeyUsage::required_if_present(CODE_SIGNING_CONTENTS), // Microsoft's PCA has no EKU
        None,
        None,
    )?;
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>()?; // Option<(critical, value)>
    ensure!(
        usage.is_some_and(|(_, usage)| usage.0.contains(&CODE_SIGNING)),
        "not a code signing certificate"
    );
    Ok(())
}

/// Both roots also sign third parties' things, so hold the signer's organization too.
pub(crate) fn organization(certificate: &Certificate) -> Option<&str> {
    certificate
        .tbs_certificate
        .subject
        .0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .find(|attribute| attribute.oid == ORGANIZATION)
        .and_then(|attribute| std::str::from_utf8(attribute.value.value()).ok()) // Printable/UTF8String
}
