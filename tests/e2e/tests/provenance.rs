//! Files that are not the vendor's, at the controller's door: real executables and packages, really signed, each with one
//! thing about them that is not as it must be. Run by `tests/run wine`, which builds the executables.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::signing::{Authority, Usage, VENDOR};
use e2e::{World, text};

fn workspace() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap()
}

/// A setup executable as the suite builds it: its version resource names the product.
fn program(name: &str) -> PathBuf {
    let built = workspace().join("target/windows/x86_64-pc-windows-gnu/release");
    let path = built.join(name);
    assert!(
        path.exists(),
        "`tests/run wine` builds the Windows programs"
    );
    path
}

/// A package by wixl with that name of a product.
fn package(folder: &Path, name: &str) -> PathBuf {
    let source = std::fs::read_to_string(workspace().join("tests/fixtures/connect.wxs")).unwrap();
    let described = source.replace("Microsoft Entra Connect Sync", name);
    assert!(described.contains(name));
    std::fs::write(folder.join("engine.exe"), "an engine").unwrap();
    let wxs = folder.join("package.wxs");
    std::fs::write(&wxs, described).unwrap();
    let package = folder.join(format!("{name}.msi"));
    let mut command = Command::new("wixl");
    command
        .current_dir(folder)
        .args(["-a", "x64", "-D", "Version=2.6.92.0", "-o"]);
    let built = command.arg(&package).arg(&wxs).output().unwrap();
    assert!(built.status.success(), "{}", text(&built));
    package
}

/// The same file with one byte in its middle turned.
fn altered(file: &Path) -> PathBuf {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    beside(file, "altered", &bytes)
}

/// The first half of a file.
fn truncated(file: &Path) -> PathBuf {
    let bytes = std::fs::read(file).unwrap();
    beside(file, "truncated", &bytes[..bytes.len() / 2])
}

fn beside(file: &Path, what: &str, bytes: &[u8]) -> PathBuf {
    let name = file.file_name().unwrap().to_string_lossy();
    let path = file.with_file_name(format!("{what}-{name}"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_is_not_the_vendors_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (root, other_root) = (
        Authority::new(folder, "root"),
        Authority::new(folder, "other"),
    );
    let vendor = root.certify(VENDOR, Usage::CodeSigning);
    let world =
        World::with_environment(&[("ENTRAIN_TEST_ANCHOR", root.anchor().to_str().unwrap())]);
    let add = |file: &Path| {
        let file = file.to_str().unwrap();
        world.entrain(&["artifact", "add", file, "--accept-terms"])
    };
    let setup = program("standin-setup.exe");
    let msi = package(folder, "Microsoft Entra Connect Sync");
    let other = package(folder, "Something Else");

    let signed = |name: &str, by: &e2e::signing::Signer, file: &Path| {
        let end = file.extension().unwrap().to_string_lossy();
        by.sign(file, &folder.join(format!("{name}.{end}")))
    };
    let impostor = other_root.certify(VENDOR, Usage::CodeSigning);
    let somebody = root.certify("Contoso", Usage::CodeSigning);
    let server = root.certify(VENDOR, Usage::Server);
    let mut cases = vec![
        (
            signed("product", &vendor, &other),
            "\"Something Else\", neither of the two products",
        ),
        (
            beside(&msi, "text", b"no program at all"),
            "neither a Windows executable nor",
        ),
    ];
    for file in [&setup, &msi] {
        let good = signed("good", &vendor, file);
        cases.extend([
            (file.clone(), "carries no Authenticode signature"),
            (
                signed("impostor", &impostor, file),
                "its signature is not accepted",
            ),
            (
                signed("somebody", &somebody, file),
                "is signed by \"Contoso\", not by \"Microsoft Corporation\"",
            ),
            (
                signed("server", &server, file),
                "its signature is not accepted",
            ),
            (altered(&good), "its signature is not accepted"),
            (truncated(&good), "its signature"),
        ]);
    }
    for (file, why) in cases {
        let refused = add(&file);
        assert!(
            !refused.status.success() && text(&refused).contains(why),
            "{}, to be refused since it {why}: {}",
            file.display(),
            text(&refused)
        );
    }
    let kept = std::fs::read_dir(world.path("controller/artifacts")).unwrap();
    assert_eq!(kept.count(), 0, "nothing of them is left");
    for (name, says) in [
        ("good.exe", "provisioning agent 1.1.2505.0"),
        ("good.msi", "2.6.92.0"),
    ] {
        let added = add(&folder.join(name));
        assert!(
            added.status.success() && text(&added).contains(says),
            "{}",
            text(&added)
        );
    }
}
