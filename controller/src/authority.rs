//! The authority: issues the controller's and the agents' certificates, and signs documents with the bundle key. The root
//! key is made here once, encrypted, and never opened by `serve`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::write_private;
use crate::keys;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::{CONTROLLER_NAME, Identity};
use protocol::key::{PublicKey, SigningKey};
use protocol::signed::{ControllerKind, Document, Envelope, Role, RoleKeys, TrustRoot, sign};
use protocol::wire::latest::Issued;
use protocol::{Digest, TargetId, Timestamp, limits};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use serde::{Deserialize, Serialize};

/// Life of a trust root: renewing it is a ceremony, so it is not done often.
const ROOT_LIFE: Duration = Duration::from_secs(3 * 365 * 24 * 3600);

/// Life of the controller's own certificate; it is made anew at each start, and at a third of this while it runs.
pub const CONTROLLER_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Clocks that run behind ours must not find a certificate too young.
const BACKDATE: Duration = limits::CLOCK_TOLERANCE;

/// What `init` writes down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Real or simulated; fixed for ever.
    pub kind: ControllerKind,
    /// Where agents dial: `host:port`, UDP.
    pub address: String,
    /// Where to listen.
    pub listen: std::net::SocketAddr,
    /// How long agents' certificates live, in seconds: for a simulated controller alone, so that renewals can be watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_seconds: Option<u32>,
}

/// What a trust root is made with beside the controller's own keys.
#[derive(Debug, Clone, Copy)]
pub struct RootKeys<'a> {
    /// File to write the root key to.
    pub root_key: &'a Path,
    /// What encrypts it.
    pub passphrase: &'a str,
    /// Who signs releases of the agent; without one none is ever accepted.
    pub publisher: Option<PublicKey>,
    /// How many different operators an override takes.
    pub override_operators: u32,
}

/// The authority of a running controller.
pub struct Authority {
    settings: Settings,
    root: TrustRoot,
    root_envelope: Vec<u8>,
    bundle: SigningKey,
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate that was issued.
#[derive(Debug)]
pub struct Certificate {
    /// For the wire.
    pub issued: Issued,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// When it ends.
    pub expires: Timestamp,
}

fn settings_path(state: &Path) -> PathBuf {
    state.join("controller.json")
}

/// Whether `init` can begin: asked before anybody is asked for a passphrase. Makes nothing.
///
/// # Errors
/// When the folder was initialized before, or the root key's file is there already, has no folder, or would lie in the state folder.
pub fn may_init(state: &Path, root_key: &Path) -> anyhow::Result<()> {
    if settings_path(state).exists() {
        bail!(
            "{} was initialized before; nothing was changed",
            state.display()
        );
    }
    let inside = || {
        anyhow::anyhow!(
            "the root key must not lie inside {}: whoever has the controller would have it too",
            state.display()
        )
    };
    // Also in one that is not there yet.
    if std::path::absolute(root_key)?.starts_with(std::path::absolute(state)?) {
        return Err(inside());
    }
    let beside = root_key
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let beside = beside
        .canonicalize()
        .with_context(|| format!("the folder {} is not there", beside.display()))?;
    if state.exists() && beside.starts_with(state.canonicalize()?) {
        return Err(inside());
    }
    if root_key.exists() {
        bail!("{} is there already; give another file", root_key.display());
    }
    Ok(())
}

/// Makes trust root, authority, bundle key and configuration.
///
/// # Errors
/// As [`may_init`] has it, or when a file cannot be written.
pub fn init(
    state: &Path,
    settings: &Settings,
    files: &RootKeys<'_>,
    now: Timestamp,
) -> anyhow::Result<Digest> {
    let root_key = files.root_key;
    may_init(state, root_key)?;
    fs::create_dir_all(state.join("keys")).with_context(|| {
        format!(
            "could not make {}: run it as the controller's user, or name another folder by --state",
            state.display()
        )
    })?;
    #[cfg(unix)]
    for folder in [state.to_owned(), state.join("keys")] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("could not guard {}", folder.display()))?;
    }
    let made = make(state, settings, files, now);
    if made.is_err() {
        // Nothing is left half made: the next try begins from nothing.
        drop(fs::remove_file(root_key));
        for name in ["authority.pem", "trust-root.json"] {
            drop(fs::remove_file(state.join(name)));
        }
        drop(fs::remove_file(settings_path(state)));
        drop(fs::remove_dir_all(state.join("keys")));
    }
    made
}

/// Makes keys, certificates, trust root and settings, in this order.
fn make(
    state: &Path,
    settings: &Settings,
    files: &RootKeys<'_>,
    now: Timestamp,
) -> anyhow::Result<Digest> {
    let root = SigningKey::generate();
    let pem = keys::encrypt(&root, files.passphrase)?;
    write_private(files.root_key, pem.as_bytes())?;

    let authority = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Entrain authority");
    if settings.kind == ControllerKind::Simulated {
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "simulated");
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now.minus(BACKDATE), now.plus(ROOT_LIFE))?;
    let certificate = params.self_signed(&authority)?;
    let bundle = SigningKey::generate();

    let only = |key: PublicKey| RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    let nobody = RoleKeys {
        keys: Vec::new(),
        threshold: 0,
    };
    let document = TrustRoot {
        format: 1,
        version: 1,
        kind: settings.kind,
        issued: now,
        expires: now.plus(ROOT_LIFE),
        roles: Role {
            root: only(root.public()),
            bundle: only(bundle.public()),
            approver: nobody.clone(),
            publisher: files.publisher.map_or(nobody, only),
        },
        authority: vec![BASE64_STANDARD.encode(certificate.der())],
        override_operators: files.override_operators,
    };
    let envelope = sign(&document, &[&root]).to_json();
    write_private(&state.join("keys/authority.p8"), &authority.serialize_der())?;
    write_private(&state.join("keys/bundle.p8"), &bundle.to_pkcs8())?;
    write_private(&state.join("authority.pem"), certificate.pem().as_bytes())?;
    write_private(&state.join("trust-root.json"), &envelope)?;
    // Written last: with it the folder counts as initialized.
    write_private(&settings_path(state), &serde_json::to_vec_pretty(settings)?)?;
    Ok(Digest::of(&envelope))
}

fn validity(params: &mut CertificateParams, from: Timestamp, to: Timestamp) -> anyhow::Result<()> {
    let at = |at: Timestamp| {
        rcgen::date_time_ymd(1970, 1, 1)
            + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or(0))
    };
    params.not_before = at(from);
    params.not_after = at(to);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)?;
    // A positive integer of 16 bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(())
}

impl Authority {
    /// Opens what `init` made.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn open(state: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = state.join(name);
            fs::read(&path).with_context(|| {
                format!("could not read {}; was `entrain init` run?", path.display())
            })
        };
        let settings: Settings = serde_json::from_slice(&read("controller.json")?)
            .context("controller.json is damaged")?;
        if settings.certificate_seconds.is_some() && settings.kind == ControllerKind::Real {
            bail!("controller.json: certificate_seconds is for simulated controllers; remove it");
        }
        let root_envelope = read("trust-root.json")?;
        let payload = Envelope::from_json(&root_envelope)?.payload_bytes()?;
        let root: TrustRoot =
            serde_json::from_slice(&payload).context("trust-root.json is damaged")?;
        let bundle = SigningKey::from_pkcs8(&read("keys/bundle.p8")?)
            .context("keys/bundle.p8 is damaged")?;
        let key = KeyPair::try_from(read("keys/authority.p8")?)
            .context("keys/authority.p8 is damaged")?;
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        let pem = String::from_utf8(read("authority.pem")?).context("authority.pem is damaged")?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).context("authority.pem is damaged")?;
        let certificate = root
            .authority
            .first()
            .map(|text| BASE64_STANDARD.decode(text))
            .transpose()?;
        let certificate = certificate.context("the trust root names no authority")?;
        let other = |what: &str, whose: &str| {
            anyhow::anyhow!(
                "{what} is not {whose} of trust-root.json: agents would refuse whatever it signs. It was replaced or comes of another controller; put back the files of one backup, all of them"
            )
        };
        if !root.roles.bundle.keys.contains(&bundle.public()) {
            return Err(other("keys/bundle.p8", "a bundle key"));
        }
        // The public key stands in the certificate as it is.
        let within = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|own| own == part);
        if !within(&certificate, &spki) {
            return Err(other("keys/authority.p8", "the authority's key"));
        }
        let in_pem = pkcs8::Document::from_pem(&pem).ok();
        if in_pem.is_none_or(|(_, own)| own.as_bytes() != certificate) {
            return Err(other("authority.pem", "the authority"));
        }
        Ok(Self {
            settings,
            root,
            root_envelope,
            bundle,
            issuer,
            certificate,
        })
    }

    /// What `init` wrote down.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many different operators an override takes: what the trust root asks for, at least one.
    #[must_use]
    pub fn override_operators(&self) -> u32 {
        let approvers = self.root.roles.approver.threshold;
        approvers.max(self.root.override_operators).max(1)
    }

    /// The trust root.
    #[must_use]
    pub const fn root(&self) -> &TrustRoot {
        &self.root
    }

    /// The trust root's envelope.
    #[must_use]
    pub fn root_envelope(&self) -> &[u8] {
        &self.root_envelope
    }

    /// The authority's certificates, DER.
    #[must_use]
    pub fn authority(&self) -> Vec<Vec<u8>> {
        vec![self.certificate.clone()]
    }

    /// A secret of this controller for the link, the same in each of its lives.
    #[must_use]
    pub fn reset_secret(&self) -> [u8; 32] {
        let mut hasher = protocol::digest::Hasher::new();
        hasher.update(b"entrain link reset\0");
        hasher.update(&self.bundle.to_pkcs8());
        *hasher.finish().as_bytes()
    }

    /// Signs a document with the bundle key.
    #[must_use]
    pub fn sign<T: Document>(&self, document: &T) -> Vec<u8> {
        sign(document, &[&self.bundle]).to_json()
    }

    /// A certificate for the controller itself, with a fresh key.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn controller_identity(&self, now: Timestamp) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![CONTROLLER_NAME.to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, CONTROLLER_NAME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, now.minus(BACKDATE), now.plus(CONTROLLER_LIFE))?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            chain: vec![certificate.der().to_vec()],
            key: key.serialize_der(),
        })
    }

    /// Reads the public key out of a certificate request whose signature proves possession. Nothing else is taken from it.
    ///
    /// # Errors
    /// When it is malformed, its signature is wrong, or the key is of another kind.
    pub fn requested_key(request: &[u8]) -> anyhow::Result<PublicKey> {
        let parsed = CertificateSigningRequestParams::from_der(&request.to_vec().into())
            .context("the certificate request is malformed")?;
        PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(
            &parsed.public_key,
        ))
        .context("the requested key is not Ed25519")
    }

    /// Issues a certificate for an enrolled key. Its content is built here: nothing that was asked for is copied.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue(
        &self,
        target: &TargetId,
        request: &[u8],
        now: Timestamp,
    ) -> anyhow::Result<Certificate> {
        let parsed = CertificateSigningRequestParams::from_der(&request.to_vec().into())?;
        let mut params = CertificateParams::new(vec![target.to_string()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, target.as_str());
        if self.settings.kind == ControllerKind::Simulated {
            params
                .distinguished_name
                .push(DnType::OrganizationalUnitName, "simulated");
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let life = self
            .settings
            .certificate_seconds
            .map_or(limits::AGENT_CERTIFICATE_LIFE, |seconds| {
                Duration::from_secs(seconds.into())
            });
        let expires = now.plus(life);
        validity(&mut params, now.minus(BACKDATE), expires)?;
        let serial = params
            .serial_number
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let certificate = params.signed_by(&parsed.public_key, &self.issuer)?;
        let issued = Issued {
            chain: vec![certificate.der().to_vec()],
            renew_after_millis: now.plus(life / 2).as_millis(),
            expires_millis: expires.as_millis(),
        };
        Ok(Certificate {
            issued,
            serial,
            expires,
        })
    }
}

/// A simulated controller's state below a folder of a test, as `init` makes it.
#[cfg(test)]
pub(crate) fn initialized(folder: &Path) -> PathBuf {
    let state = folder.join("controller");
    let settings = Settings {
        kind: ControllerKind::Simulated,
        address: "127.0.0.1:4433".to_owned(),
        listen: "127.0.0.1:4433".parse().unwrap(),
        certificate_seconds: None,
    };
    let keys = RootKeys {
        root_key: &folder.join("root-key"),
        passphrase: "a passphrase",
        publisher: None,
        override_operators: 1,
    };
    init(&state, &settings, &keys, crate::now()).unwrap();
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_controller_are_refused_by_name() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (state, foreign) = (initialized(own.path()), initialized(other.path()));
        Authority::open(&state).unwrap();
        for name in ["keys/bundle.p8", "keys/authority.p8", "authority.pem"] {
            let before = fs::read(state.join(name)).unwrap();
            fs::copy(foreign.join(name), state.join(name)).unwrap();
            let why = format!("{:#}", Authority::open(&state).unwrap_err());
            assert!(
                why.contains(name) && why.contains("of trust-root.json") && why.contains("backup"),
                "{why}"
            );
            fs::write(state.join(name), before).unwrap();
        }
        fs::copy(
            foreign.join("trust-root.json"),
            state.join("trust-root.json"),
        )
        .unwrap();
        Authority::open(&state).unwrap_err();
    }

    #[test]
    fn what_others_may_use_is_told_with_what_mends_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let state = initialized(folder.path());
        let mode = |name: &str, mode: u32| {
            fs::set_permissions(state.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("keys/authority.p8", 0o666);
        let told = crate::app::open_to_others(&state);
        assert!(told.is_empty(), "nobody comes to it: {told:?}");
        mode("", 0o755);
        let told = crate::app::open_to_others(&state);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("mode 755") && told[0].contains("chmod 700"));
        assert!(told[1].contains("authority.p8 has mode 666") && told[1].contains("chmod 600"));
    }
}
