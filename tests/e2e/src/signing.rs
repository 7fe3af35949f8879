//! Code signing of the suite's own: an authority and certificates by openssl, Authenticode signatures by osslsigncode.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::text;

/// The organization that signs the two products.
pub const VENDOR: &str = "Microsoft Corporation";

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy)]
pub enum Usage {
    /// To sign programs.
    CodeSigning,
    /// To be a server, and nothing else.
    Server,
}

/// An authority that certifies signers.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// Somebody who signs programs.
#[derive(Debug)]
pub struct Signer {
    certificate: PathBuf,
    key: PathBuf,
}

fn must(mut command: Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
}

impl Authority {
    /// A new root in a folder of its own below `folder`.
    ///
    /// # Panics
    /// When openssl cannot make it.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        let authority = Self {
            folder: folder.join(name),
        };
        std::fs::create_dir_all(&authority.folder).expect("a folder");
        let subject = format!("/O=Entrain tests/CN={name}");
        let mut asked = authority.openssl("req -x509 -newkey rsa:2048 -nodes -days 30");
        asked
            .args(["-keyout", "ca.key", "-out", "ca.pem", "-subj", &subject])
            .args(["-addext", "basicConstraints=critical,CA:TRUE"])
            .args(["-addext", "keyUsage=critical,keyCertSign"]);
        must(asked);
        must(authority.openssl("x509 -in ca.pem -outform DER -out ca.der"));
        authority
    }

    fn openssl(&self, words: &str) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(&self.folder).args(words.split(' '));
        command
    }

    /// The root, DER: what `ENTRAIN_TEST_ANCHOR` names.
    #[must_use]
    pub fn anchor(&self) -> PathBuf {
        self.folder.join("ca.der")
    }

    /// Certifies somebody.
    ///
    /// # Panics
    /// When openssl cannot.
    #[must_use]
    pub fn certify(&self, organization: &str, usage: Usage) -> Signer {
        let (usage, name) = match usage {
            Usage::CodeSigning => ("codeSigning", format!("{organization} signs")),
            Usage::Server => ("serverAuth", format!("{organization} serves")),
        };
        let subject = format!("/O={organization}/CN=Stand-in");
        let (key, asked) = (format!("{name}.key"), format!("{name}.csr"));
        let (certificate, extensions) = (format!("{name}.pem"), format!("{name}.ext"));
        let mut request = self.openssl("req -newkey rsa:2048 -nodes");
        request.args(["-keyout", &key, "-out", &asked, "-subj", &subject]);
        must(request);
        let text = format!("basicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\n");
        std::fs::write(self.folder.join(&extensions), text).expect("a file");
        let mut sign = self.openssl("x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 20");
        sign.args(["-in", &asked, "-out", &certificate, "-extfile", &extensions]);
        must(sign);
        Signer {
            certificate: self.folder.join(certificate),
            key: self.folder.join(key),
        }
    }
}

impl Signer {
    /// Signs a program or package; gives `signed`.
    ///
    /// # Panics
    /// When osslsigncode cannot.
    #[must_use]
    pub fn sign(&self, unsigned: &Path, signed: &Path) -> PathBuf {
        let mut command = Command::new("osslsigncode");
        command.args(["sign", "-h", "sha256", "-certs"]);
        command.arg(&self.certificate).arg("-key").arg(&self.key);
        command.arg("-in").arg(unsigned).arg("-out").arg(signed);
        must(command);
        signed.to_owned()
    }
}
