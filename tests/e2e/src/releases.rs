//! Releases of Entrain's own agent: who signs them, and how they come to the controller.

use std::path::Path;
use std::process::Output;

use crate::{World, text};

impl World {
    /// Makes a publisher's key of that name, and gives the file of its public half.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn publisher(&self, name: &str) -> String {
        let (key, public) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.pub")),
        );
        let (key, public) = (
            key.to_str().expect("a path"),
            public.to_str().expect("a path"),
        );
        let key = [
            "release",
            "key",
            "--key",
            key,
            "--public",
            public,
            "--passphrase-stdin",
        ];
        let made = self.entrain_with(&key, b"publisher's passphrase\n");
        assert!(made.status.success(), "{}", text(&made));
        public.to_owned()
    }

    /// Has that publisher sign a program for this platform as a release, and brings it to the controller.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn release(&self, publisher: &str, version: &str, program: &Path) -> Output {
        let platform = protocol::signed::AgentRelease::this_platform();
        self.release_for(&platform, publisher, version, program)
    }

    /// The same for another platform.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn release_for(
        &self,
        platform: &str,
        publisher: &str,
        version: &str,
        program: &Path,
    ) -> Output {
        let signed = self.signed(platform, publisher, version, program);
        let file = program.to_str().expect("a path");
        self.entrain(&["release", "add", &signed, file])
    }

    /// Has that publisher sign a program as a release, and gives the release's file.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn signed(&self, platform: &str, publisher: &str, version: &str, program: &Path) -> String {
        let key = self.path(&format!("{publisher}.pem"));
        let out = self.path(&format!("{publisher}-{version}.release"));
        let (key, out) = (key.to_str().expect("a path"), out.to_str().expect("a path"));
        let file = program.to_str().expect("a path");
        let named = format!("{platform}={file}");
        let sign = [
            "release",
            "sign",
            "--version",
            version,
            "--program",
            &named,
            "--key",
            key,
            "--out",
            out,
            "--passphrase-stdin",
        ];
        let signed = self.entrain_with(&sign, b"publisher's passphrase\n");
        assert!(signed.status.success(), "{}", text(&signed));
        out.to_owned()
    }
}
