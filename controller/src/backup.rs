//! Backups: a folder that holds everything of a controller as it was at one moment, and its restore as a new life of the
//! log. A backup holds the controller's keys: whoever has it can do what the controller can.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use controller_core::record::Record;
use protocol::chunk::FileDigester;
use protocol::{Digest, Epoch, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::store::{Entry, Store};

/// Name of the list of a backup's files; written last, so that a backup with it is whole.
const LIST: &str = "backup.json";

/// Name of the log in a state folder and in a backup.
const LOG: &str = "log.sqlite";

/// What a backup holds beside the log and the artifacts. The product data is an operator's own file and may be missing.
const FILES: [(&str, bool); 7] = [
    ("controller.json", true),
    ("trust-root.json", true),
    ("authority.pem", true),
    ("keys/authority.p8", true),
    ("keys/bundle.p8", true),
    (crate::app::VERSIONS, false),
    (controller_core::clouds::FILE, false),
];

/// The list of a backup's files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    /// Version of the controller that wrote it.
    version: String,
    made: Timestamp,
    /// Head of the log in it.
    index: u64,
    chain: Digest,
    /// SHA-256 of each file, by its path in the backup.
    files: BTreeMap<String, Digest>,
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// When the backup was made.
    pub made: Timestamp,
    /// Entries of the log in it.
    pub entries: u64,
}

/// Writes a backup of a controller that serves.
///
/// # Errors
/// When the folder is there already or something cannot be written: nothing is left behind then.
pub async fn write(
    state: &Path,
    store: &Store,
    folder: &Path,
    now: Timestamp,
) -> anyhow::Result<String> {
    if !folder.is_absolute() {
        bail!("{} is no absolute path", folder.display());
    }
    if folder.exists() {
        bail!(
            "{} is there already: a backup is a new folder",
            folder.display()
        );
    }
    let written = fill(state, store, folder, now).await;
    if written.is_err() {
        drop(fs::remove_dir_all(folder));
    }
    written
}

async fn fill(
    state: &Path,
    store: &Store,
    folder: &Path,
    now: Timestamp,
) -> anyhow::Result<String> {
    make(folder)?;
    make(&folder.join("keys"))?;
    make(&folder.join("artifacts"))?;
    let head = store.copy(folder.join(LOG)).await?;
    let mut names: Vec<String> = vec![LOG.to_owned()];
    for (name, needed) in FILES {
        let from = state.join(name);
        if !needed && !from.exists() {
            continue;
        }
        names.push(name.to_owned());
    }
    // What was taken in after the copy of the log is not known to it, and does no harm.
    let artifacts = fs::read_dir(state.join("artifacts"))?;
    for entry in artifacts {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".part") {
            names.push(format!("artifacts/{name}"));
        }
    }
    let own = state;
    let (state, folder_of) = (state.to_owned(), folder.to_owned());
    let files = tokio::task::spawn_blocking(move || {
        let mut files = BTreeMap::new();
        for name in names {
            let to = folder_of.join(&name);
            if name != LOG {
                let from = state.join(&name);
                fs::copy(&from, &to)
                    .with_context(|| format!("could not copy {}", from.display()))?;
            }
            guard(&to, 0o600)?;
            fs::File::open(&to)?.sync_all()?;
            files.insert(name, digest(&to)?);
        }
        Ok::<_, anyhow::Error>(files)
    })
    .await??;
    let list = List {
        format: 1,
        version: crate::VERSION.to_owned(),
        made: now,
        index: head.index,
        chain: head.chain,
        files,
    };
    files::write_private(&folder.join(LIST), &serde_json::to_vec_pretty(&list)?)?;
    written_down(folder)?;
    let own = own.canonicalize().ok();
    let within = own.is_some_and(|own| {
        let folder = folder.canonicalize();
        folder.is_ok_and(|folder| folder.starts_with(own))
    });
    let lost = if within {
        "; it lies in the state folder, and is lost with it: move it elsewhere"
    } else {
        ""
    };
    Ok(format!(
        "{}: {} files, the log up to entry {}; it holds the controller's keys, so keep it as you keep the controller{lost}",
        folder.display(),
        list.files.len(),
        head.index
    ))
}

/// Has a folder of a controller, or of a backup, and its place outlast a power cut; its files have been written down.
fn written_down(folder: &Path) -> anyhow::Result<()> {
    for made in [&folder.join("keys"), &folder.join("artifacts"), folder] {
        files::sync_folder(made)?;
    }
    files::sync_place(folder)
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("could not make {}", folder.display()))?;
    guard(folder, 0o700)
}

fn guard(path: &Path, mode: u32) -> anyhow::Result<()> {
    let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
    fs::set_permissions(path, permissions)
        .with_context(|| format!("could not guard {}", path.display()))
}

fn digest(path: &Path) -> anyhow::Result<Digest> {
    let mut file =
        fs::File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    let mut digester = FileDigester::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)
            .with_context(|| format!("could not read {}", path.display()))?;
        if read == 0 {
            return Ok(digester.finish().0);
        }
        digester.update(&buffer[..read]);
    }
}

/// Makes a state folder from a backup, as a new life of the log: every rollout is held, join tokens are void, and what
/// came after the backup is told again by the agents.
///
/// # Errors
/// When the state folder holds anything, or the backup is not whole: nothing is made then.
pub fn restore(
    backup: &Path,
    state: &Path,
    by: &str,
    epoch: Epoch,
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let occupied = fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || state.is_file() {
        bail!(
            "{} is not empty: a controller is restored into a folder of its own; move what is there away",
            state.display()
        );
    }
    let list = read(backup)?;
    let beside = beside(state)?;
    let made = put(backup, &beside, &list, by, epoch, now);
    if let Err(error) = made {
        drop(fs::remove_dir_all(&beside));
        return Err(error);
    }
    // An empty folder may be there, and nothing else.
    if state.exists() {
        fs::remove_dir(state).with_context(|| format!("could not replace {}", state.display()))?;
    }
    fs::rename(&beside, state).with_context(|| format!("could not make {}", state.display()))?;
    files::sync_place(state)?;
    Ok(Restored {
        made: list.made,
        entries: list.index,
    })
}

fn beside(state: &Path) -> anyhow::Result<PathBuf> {
    let mut name = state
        .file_name()
        .context("the state folder has no name")?
        .to_owned();
    name.push(".restoring");
    let beside = state.with_file_name(name);
    // What an earlier try that was cut off has left.
    if beside.exists() {
        fs::remove_dir_all(&beside)
            .with_context(|| format!("could not remove {}", beside.display()))?;
    }
    Ok(beside)
}

fn read(backup: &Path) -> anyhow::Result<List> {
    let path = backup.join(LIST);
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "could not read {}: without it a backup is not whole",
            path.display()
        )
    })?;
    let list: List =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    if list.format != 1 {
        bail!(
            "{} has format {}, which this version ({}) does not read; it was written by {}",
            path.display(),
            list.format,
            crate::VERSION,
            list.version
        );
    }
    for name in list.files.keys() {
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            bail!(
                "{} names {name}, which is no file of a backup",
                path.display()
            );
        }
    }
    for name in FILES
        .iter()
        .filter(|(_, needed)| *needed)
        .map(|(name, _)| *name)
        .chain([LOG])
    {
        if !list.files.contains_key(name) {
            bail!(
                "{} does not name {name}: the backup is not whole",
                path.display()
            );
        }
    }
    Ok(list)
}

fn put(
    backup: &Path,
    to: &Path,
    list: &List,
    by: &str,
    epoch: Epoch,
    now: Timestamp,
) -> anyhow::Result<()> {
    make(to)?;
    make(&to.join("keys"))?;
    make(&to.join("artifacts"))?;
    for (name, wanted) in &list.files {
        let (from, into) = (backup.join(name), to.join(name));
        fs::copy(&from, &into).with_context(|| format!("could not copy {}", from.display()))?;
        if digest(&into)? != *wanted {
            bail!(
                "{} is not what was backed up: it was altered or is damaged",
                from.display()
            );
        }
        guard(&into, 0o600)?;
        fs::File::open(&into)?.sync_all()?;
    }
    Store::amend(&to.join(LOG), |records, head| {
        if (head.index, head.chain) != (list.index, list.chain) {
            bail!("the log of the backup ends elsewhere than {LIST} says");
        }
        let mut lives = records.iter().rev().filter_map(|(_, record)| {
            if let Record::Begun { epoch } | Record::Restored { epoch, .. } = record {
                Some(*epoch)
            } else {
                None
            }
        });
        let parent = lives.next();
        let record = Record::Restored {
            epoch,
            parent: parent.context("the log of the backup has no beginning")?,
            made: list.made,
            by: by.to_owned(),
        };
        Ok(Entry { at: now, record })
    })?;
    fs::write(to.join(crate::app::BEGUN), "")?;
    written_down(to)
}
