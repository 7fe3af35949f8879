//! Installers of the products' stand-ins: packages by wixl, a setup around them, real signatures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::World;
use e2e::signing::Signer;

use crate::server::{Wine, must};

/// A version of a product: its programs' stand-ins are named by that, and carry it as their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    First,
    Next,
    /// The one after it, to Windows Installer the same product: it refuses either where the other one is (exit code 1638).
    Respun,
}

impl Build {
    /// The stand-in for a program in this version.
    fn program(self, what: &str) -> String {
        match self {
            Self::First => format!("standin-{what}.exe"),
            Self::Next | Self::Respun => format!("standin-next-{what}.exe"),
        }
    }

    const fn of_agent(self) -> &'static str {
        match self {
            Self::First => "1.1.2505",
            Self::Next => "1.1.2512",
            Self::Respun => "1.1.2513",
        }
    }

    /// Product code of the agent's package.
    const fn code(self) -> &'static str {
        match self {
            Self::First => "6a1d9a0e-6a39-4f6e-9e6e-5d6f0d0f7b21",
            Self::Next | Self::Respun => "6a1d9a0e-6a39-4f6e-9e6e-5d6f0d0f7b22",
        }
    }

    const fn of_connect(self) -> &'static str {
        match self {
            Self::First => "2.6.92.0",
            Self::Next | Self::Respun => "2.6.93.0",
        }
    }
}

/// A package, by wixl, of what lies in the folder.
fn packed(folder: &Path, source: &str, version: &str, code: &str) -> PathBuf {
    let package = folder.join(source).with_extension("msi");
    let built = Command::new("wixl")
        .current_dir(folder)
        .args(["-a", "x64"])
        .args(["-D", &format!("Version={version}")])
        .args(["-D", &format!("Code={code}")])
        .arg("-o")
        .arg(&package)
        .arg(fixture(source))
        .output();
    must(built.unwrap(), "wixl");
    package
}

/// The setup: the stand-in's program with the packages of agent and updater appended, signed.
pub(crate) fn setup(wine: &Wine, folder: &Path, vendor: &Signer, build: Build) -> PathBuf {
    let of_build = build.program("service");
    let first = Build::First.program("service");
    for (program, name) in [
        (&of_build, "agent.exe"),
        (&first, "updater.exe"),
        (&first, "module.dll"),
        (&"standin-wizard.exe".to_owned(), "wizard.exe"),
        (&"standin-holder.exe".to_owned(), "holder.exe"),
    ] {
        std::fs::copy(wine.programs.join(program), folder.join(name)).unwrap();
    }
    let version = build.of_agent();
    let mut bytes = std::fs::read(wine.programs.join(build.program("setup"))).unwrap();
    for (source, mark) in [
        ("product.wxs", b"\0package of the agent\0".as_slice()),
        ("updater.wxs", b"\0package of the updater\0"),
    ] {
        let package = std::fs::read(packed(folder, source, version, build.code())).unwrap();
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&(package.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&package);
    }
    let unsigned = folder.join("unsigned.exe");
    std::fs::write(&unsigned, bytes).unwrap();
    vendor.sign(&unsigned, &folder.join(format!("setup-{version}.exe")))
}

/// The package of Connect Sync, signed.
pub(crate) fn package(wine: &Wine, folder: &Path, vendor: &Signer, build: Build) -> PathBuf {
    let engine = wine.programs.join(build.program("engine"));
    std::fs::copy(engine, folder.join("engine.exe")).unwrap();
    let version = build.of_connect();
    let unsigned = packed(folder, "connect.wxs", version, build.code());
    vendor.sign(&unsigned, &folder.join(format!("connect-{version}.msi")))
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    tests.join("fixtures").join(name)
}

pub(crate) fn add(world: &World, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    let source = "built by the suite";
    world.entrain(&[
        "artifact",
        "add",
        file,
        "--accept-terms",
        "--source",
        source,
    ])
}
