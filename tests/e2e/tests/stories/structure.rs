//! The direction of dependencies, asked of cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// For each package of the workspace, everything that it is built from, on any platform, tests aside.
fn closures() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut names = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        names.insert(
            package["id"].as_str().expect("an id"),
            package["name"].as_str().expect("a name"),
        );
    }
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
        let normal = node["deps"]
            .as_array()
            .expect("deps")
            .iter()
            .filter(|dependency| {
                dependency["dep_kinds"]
                    .as_array()
                    .expect("kinds")
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
        let to = normal
            .filter_map(|dependency| dependency["pkg"].as_str())
            .collect();
        edges.insert(node["id"].as_str().expect("an id"), to);
    }
    let members = metadata["workspace_members"].as_array().expect("members");
    let closure = |member: &Value| {
        let id = member.as_str().expect("an id");
        let (mut seen, mut next) = (BTreeSet::new(), vec![id]);
        while let Some(package) = next.pop() {
            for to in edges.get(package).into_iter().flatten() {
                if seen.insert(names[to].to_owned()) {
                    next.push(to);
                }
            }
        }
        (names[id].to_owned(), seen)
    };
    members.iter().map(closure).collect()
}

#[test]
fn dependencies_point_from_the_shells_to_the_cores() {
    let closures = closures();
    let uses = |from: &str, to: &str| closures[from].contains(to);
    let cores = [
        "protocol",
        "controller-core",
        "agent-core",
        "agent-twin",
        "rehearsal",
    ];
    for core in cores {
        for runtime in ["tokio", "quinn", "rustls", "axum", "rusqlite", "link"] {
            assert!(!uses(core, runtime), "{core} has a path to {runtime}");
        }
    }
    assert!(!uses("controller", "agent"), "the shells see each other");
    assert!(
        ["controller", "controller-core", "rehearsal"]
            .iter()
            .all(|side| !uses("agent", side)),
        "the shells see each other"
    );
    assert!(
        !uses("controller-core", "agent-core") && !uses("agent-core", "controller-core"),
        "the cores see each other"
    );
    for (shared, not) in [
        ("link", ["controller-core", "agent-core", "agent-twin"]),
        ("provenance", ["controller-core", "agent-core", "link"]),
        (
            "agent-twin",
            ["controller-core", "provenance", "controller"],
        ),
    ] {
        for other in not {
            assert!(!uses(shared, other), "{shared} has a path to {other}");
        }
    }
    // One TLS provider. On Windows the directory's client digests a controller's certificate with `ring`, to bind
    // integrated sign-in to the channel; nothing else may use it.
    let tree = |target: &str, more: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--workspace", "--target", target])
            .args(["--edges", "normal,build", "--prefix", "none"])
            .args(more)
            .output();
        String::from_utf8(output.expect("cargo runs").stdout).expect("a tree is text")
    };
    let linux = tree("x86_64-unknown-linux-gnu", &[]);
    assert!(linux.contains("aws-lc-rs v"), "the tree cannot be read");
    assert!(
        !linux.lines().any(|line| line.starts_with("ring v")),
        "a second provider is built"
    );
    let windows = tree(
        "x86_64-pc-windows-gnu",
        &["--invert", "ring", "--depth", "1"],
    );
    let users: Vec<&str> = windows.lines().skip(1).collect();
    assert!(
        matches!(users.as_slice(), [one] if one.starts_with("ldap3 v")),
        "ring is used by {users:?}"
    );
}

fn root() -> &'static std::path::Path {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("a workspace")
}

#[test]
fn the_launcher_knows_neither_link_nor_protocol() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("agent/src/launcher")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a source");
        seen += 1;
        for word in [
            "protocol::",
            "link::",
            "agent_core::",
            "crate::session",
            "agent::",
        ] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
    assert!(seen > 0);
}

#[test]
fn the_folders_are_these_five() {
    let output = Command::new("git")
        .args(["ls-tree", "-d", "--name-only", "HEAD"])
        .current_dir(root())
        .output();
    let found = String::from_utf8(output.expect("git runs").stdout).expect("names are text");
    let folders: Vec<&str> = found
        .lines()
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(
        folders,
        ["agent", "controller", "deploy", "protocol", "tests"]
    );
}

#[test]
fn one_file_names_the_codec() {
    let root = root();
    let output = Command::new("grep")
        .args([
            "-rlE",
            "bincode::",
            "--include=*.rs",
            "protocol",
            "controller",
            "agent",
        ])
        .current_dir(root)
        .output();
    let found = String::from_utf8(output.expect("grep runs").stdout).expect("paths are text");
    assert_eq!(found.trim(), "protocol/src/wire/codec.rs");
}

/// How many kinds of step an agent knows is what makes it safe: whoever adds one says so.
#[test]
fn the_documents_count_the_kinds_of_step() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    assert_eq!(
        protocol::step::Step::KINDS.len(),
        27,
        "mend the documents' word too"
    );
    for name in ["README.md", "SECURITY.md"] {
        let text = std::fs::read_to_string(format!("{root}/{name}")).expect("a document");
        assert!(text.contains("twenty-seven kinds of step"), "{name}");
    }
}
