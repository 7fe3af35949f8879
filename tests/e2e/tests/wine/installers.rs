//! Installers of the products' stand-ins: packages by wixl, a setup around them, real signatures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::World;
use e2e::signing::Signer;

use crate::server::{Wine, must};

/// The setup: the stand-in's program with the package appended, signed.
pub(crate) fn setup(wine: &Wine, folder: &Path, vendor: &Signer) -> PathBuf {
    for (program, name) in [
        ("standin-service.exe", "agent.exe"),
        ("standin-service.exe", "updater.exe"),
        ("standin-service.exe", "module.dll"),
    ] {
        std::fs::copy(wine.programs.join(program), folder.join(name)).unwrap();
    }
    let package = folder.join("inner.msi");
    let built = Command::new("wixl")
        .current_dir(folder)
        .args(["-a", "x64", "-o"])
        .arg(&package)
        .arg(fixture("product.wxs"))
        .output();
    must(built.unwrap(), "wixl");
    let inner = std::fs::read(&package).unwrap();
    let mut bytes = std::fs::read(wine.programs.join("standin-setup.exe")).unwrap();
    bytes.extend_from_slice(b"\0inner package\0");
    bytes.extend_from_slice(&(inner.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&inner);
    let unsigned = folder.join("unsigned.exe");
    std::fs::write(&unsigned, bytes).unwrap();
    vendor.sign(&unsigned, &folder.join("setup.exe"))
}

/// The package of Connect Sync, signed.
pub(crate) fn package(wine: &Wine, folder: &Path, vendor: &Signer) -> PathBuf {
    std::fs::copy(
        wine.programs.join("standin-engine.exe"),
        folder.join("engine.exe"),
    )
    .unwrap();
    let unsigned = folder.join("unsigned.msi");
    let built = Command::new("wixl")
        .current_dir(folder)
        .args(["-a", "x64", "-o"])
        .arg(&unsigned)
        .arg(fixture("connect.wxs"))
        .output();
    must(built.unwrap(), "wixl");
    vendor.sign(&unsigned, &folder.join("connect.msi"))
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
