//! Keys that lie in files of people: private ones encrypted with a passphrase, public ones in the clear, both in forms that
//! other tools read too.

use std::path::Path;

use anyhow::Context as _;
use pkcs8::LineEnding;
use pkcs8::pkcs5::pbes2;
use protocol::key::{PublicKey, SigningKey};

/// What a private key's PEM says it is.
const PRIVATE: &str = "ENCRYPTED PRIVATE KEY";

/// What a public key's PEM says it is.
const PUBLIC: &str = "PUBLIC KEY";

/// A private key as an encrypted PKCS#8 PEM (PBES2, scrypt, AES-256-CBC).
///
/// # Errors
/// When the system has no randomness to give.
pub fn encrypt(key: &SigningKey, passphrase: &str) -> anyhow::Result<String> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    aws_lc_rs::rand::fill(&mut salt)?;
    aws_lc_rs::rand::fill(&mut iv)?;
    let scrypt = pkcs8::pkcs5::scrypt::Params::new(15, 8, 1, 32)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let scheme = pbes2::Parameters::scrypt_aes256cbc(scrypt, &salt, &iv)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let der = key.to_pkcs8();
    let info = pkcs8::PrivateKeyInfo::try_from(der.as_slice())
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let encrypted = info
        .encrypt_with_params(scheme, passphrase)
        .map_err(|error| anyhow::anyhow!("could not encrypt the key: {error}"))?;
    let pem = encrypted
        .to_pem(PRIVATE, LineEnding::LF)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(pem.to_string())
}

/// Opens what [`encrypt`] made.
///
/// # Errors
/// When the file is no such key, or the passphrase is another.
pub fn decrypt(path: &Path, passphrase: &str) -> anyhow::Result<SigningKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let of_kind = pkcs8::SecretDocument::from_pem(&text)
        .ok()
        .filter(|(label, _)| *label == PRIVATE);
    let Some((_, document)) = of_kind else {
        anyhow::bail!("{} is no encrypted private key", path.display());
    };
    let info = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|error| anyhow::anyhow!("{} is damaged: {error}", path.display()))?;
    let plain = info
        .decrypt(passphrase)
        .map_err(|_| anyhow::anyhow!("{} does not open with that passphrase", path.display()))?;
    SigningKey::from_pkcs8(plain.as_bytes())
        .with_context(|| format!("{} holds another kind of key", path.display()))
}

/// A public key as a PEM.
///
/// # Errors
/// Never for a key that this type holds.
pub fn public_pem(key: &PublicKey) -> anyhow::Result<String> {
    let document =
        pkcs8::Document::try_from(key.to_spki()).map_err(|error| anyhow::anyhow!("{error}"))?;
    document
        .to_pem(PUBLIC, LineEnding::LF)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// Reads what [`public_pem`] made.
///
/// # Errors
/// When the file is no such key.
pub fn read_public(path: &Path) -> anyhow::Result<PublicKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let of_kind = pkcs8::Document::from_pem(&text)
        .ok()
        .filter(|(label, _)| *label == PUBLIC);
    let Some((_, document)) = of_kind else {
        anyhow::bail!(
            "{} is no public key; `entrain release key` writes one beside the private key",
            path.display()
        );
    };
    PublicKey::from_spki(document.as_bytes())
        .with_context(|| format!("{} holds another kind of key", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_file_opens_with_its_passphrase_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("k"), folder.path().join("k.pub"));
        let key = SigningKey::generate();
        let pem = encrypt(&key, "right").unwrap();
        std::fs::write(&private, &pem).unwrap();
        std::fs::write(&public, public_pem(&key.public()).unwrap()).unwrap();
        assert_eq!(decrypt(&private, "right").unwrap().public(), key.public());
        let wrong = decrypt(&private, "wrong").unwrap_err().to_string();
        assert!(
            wrong.contains("does not open with that passphrase"),
            "{wrong}"
        );
        assert_eq!(read_public(&public).unwrap(), key.public());
        let mistaken = read_public(&private).unwrap_err().to_string();
        assert!(mistaken.contains("is no public key"), "{mistaken}");
        let mistaken = decrypt(&public, "right").unwrap_err().to_string();
        assert!(mistaken.contains("no encrypted private key"), "{mistaken}");
    }
}
