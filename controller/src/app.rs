//! Builds every part of a running controller, in one readable order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use link::{Endpoint, Wire, server_tls};
use protocol::Epoch;
use tokio::sync::watch;
use tokio::task::JoinSet;

use controller_core::clouds::{self, Clouds};
use controller_core::versions::Versions;

use crate::authority::{Authority, CONTROLLER_LIFE};
use crate::disk::Disk;
use crate::driver;
use crate::http::{self, Api, Opens};
use crate::session::{Gateway, Registry, listen};
use crate::store::Store;

/// Name of the API's socket in the state folder.
pub const SOCKET: &str = "api.sock";

/// Name of the file that replaces the built-in data of the products' versions.
pub const VERSIONS: &str = "versions.toml";

/// Name of the mark that the log has begun.
pub const BEGUN: &str = "log.begun";

/// A controller that is ready: its address, and what must be awaited.
#[derive(Debug)]
pub struct Running {
    /// Where agents dial.
    pub address: std::net::SocketAddr,
    parts: JoinSet<()>,
    // Held until the controller is gone: a second one on the same state is refused.
    _lock: File,
}

/// Starts a controller on an initialized state folder. Its API is served on a socket in that folder, and on `operators` too, for the
/// group of the account that it runs as.
///
/// # Errors
/// When another controller holds the folder, a file is missing or damaged, or a socket cannot be had.
pub async fn start(
    state: &Path,
    operators: Option<&Path>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Running> {
    let lock = lock(state)?;
    let now = crate::now();
    for open in open_to_others(state) {
        tracing::warn!("{open}");
    }
    let authority = Arc::new(Authority::open(state)?);
    // A log that has begun never begins again: one that is gone or empty is a loss, not a new controller.
    let begun = state.join(BEGUN);
    let fresh = (!begun.exists()).then(Epoch::by_chance);
    let (store, records) = Store::open(&state.join("log.sqlite"), fresh, now, Disk::Aside)?;
    if fresh.is_some() {
        std::fs::write(&begun, "")
            .with_context(|| format!("could not write {}", begun.display()))?;
    }
    let sessions = Arc::new(Registry::default());
    let (versions, clouds) = known(state)?;
    let older: Arc<[String]> = older(&versions, &clouds).into();
    for older in older.iter() {
        tracing::warn!("{older}");
    }
    let (versions, clouds) = (Arc::new(versions), Arc::new(clouds));
    let (hub, driving) = driver::start(
        store.clone(),
        records,
        Arc::clone(&authority),
        Arc::clone(&sessions),
        Arc::clone(&versions),
    )
    .await?;
    let artifacts = state.join("artifacts");
    std::fs::create_dir_all(&artifacts)
        .with_context(|| format!("could not make {}", artifacts.display()))?;

    let tls = server_tls(&authority.controller_identity(now)?, &authority.authority())?;
    let listen_at = authority.settings().listen;
    let endpoint = Endpoint::server(
        listen_at,
        &tls,
        Wire::from_environment(),
        &authority.reset_secret(),
    )
    .with_context(|| format!("could not listen at {listen_at}, UDP"))?;
    if endpoint.buffers().is_capped() {
        tracing::warn!(buffers = ?endpoint.buffers(), "the system caps UDP buffers; `entrain doctor` says what to do");
    }
    let address = endpoint.local_address()?;
    let mut sockets = vec![http::bind(&state.join(SOCKET), Opens::Owner)?];
    if let Some(path) = operators {
        sockets.push(http::bind(path, Opens::Group)?);
    } else if authority.override_operators() > 1 {
        tracing::warn!(
            "the trust root asks {} operators for an override, and this controller has no socket for several: start it with --socket",
            authority.override_operators()
        );
    }

    let gateway = Gateway::new(
        hub.clone(),
        store.clone(),
        Arc::clone(&authority),
        sessions,
        artifacts.clone(),
    );
    let api = Api {
        hub,
        store,
        authority,
        artifacts,
        versions,
        clouds,
        older,
        state: state.to_owned(),
        buffers: endpoint.buffers(),
    };
    let mut parts = JoinSet::new();
    parts.spawn(driving);
    parts.spawn(renew(
        endpoint.clone(),
        Arc::clone(&gateway.authority),
        stop.clone(),
    ));
    parts.spawn(listen(gateway, endpoint, stop.clone()));
    for socket in sockets {
        parts.spawn(http::serve(socket, api.clone(), stop.clone()));
    }
    tracing::info!(%address, "the controller listens for agents");
    Ok(Running {
        address,
        parts,
        _lock: lock,
    })
}

/// Makes the controller's own certificate anew, long before it ends.
async fn renew(endpoint: Endpoint, authority: Arc<Authority>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CONTROLLER_LIFE / 3) => {}
            () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
        }
        let made = authority
            .controller_identity(crate::now())
            .and_then(|identity| Ok(server_tls(&identity, &authority.authority())?));
        match made {
            Ok(tls) => {
                endpoint.set_server_tls(&tls);
                tracing::info!("the controller's certificate was renewed");
            }
            Err(error) => {
                tracing::error!(%error, "the controller's certificate could not be renewed")
            }
        }
    }
}

impl Running {
    /// Waits until the first part ends. Without `stop` that is a fault: the others would go on and answer nobody.
    pub async fn first_end(&mut self) {
        if let Some(Err(error)) = self.parts.join_next().await {
            tracing::error!(%error, "a part of the controller panicked");
        }
    }

    /// Waits until every part has ended, which is what `stop` brings about.
    pub async fn ended(mut self) {
        while !self.parts.is_empty() {
            self.first_end().await;
        }
    }
}

/// What is known of versions and of clouds, by the files of a state folder or by this program.
///
/// # Errors
/// When such a file cannot be read, with its place.
pub fn known(state: &Path) -> anyhow::Result<(Versions, Clouds)> {
    let own = || Clouds::built_in().clone();
    Ok((
        data(state, VERSIONS, Versions::parse, Versions::built_in)?,
        data(state, clouds::FILE, Clouds::parse, own)?,
    ))
}

/// Files of the operator's that stand in place of what this release brings and somebody has compared with its sources since, in a sentence each. Nobody
/// would learn from them what the release knows of recalls and deadlines.
#[must_use]
pub fn older(versions: &Versions, clouds: &Clouds) -> Vec<String> {
    let built_in = [
        (
            VERSIONS,
            versions.checked_on,
            Versions::built_in().checked_on,
        ),
        (
            clouds::FILE,
            clouds.checked_on,
            Clouds::built_in().checked_on,
        ),
    ];
    let older = built_in.into_iter().filter(|(_, own, new)| own < new);
    older
        .map(|(file, own, new)| {
            format!(
                "{file} of {own} stands in place of this release's, checked on {new}; remove or renew it"
            )
        })
        .collect()
}

/// Data of this program: the operator's own file, where there is one.
fn data<T>(
    state: &Path,
    file: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    built_in: impl FnOnce() -> T,
) -> anyhow::Result<T> {
    let path = state.join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|why| {
            anyhow::anyhow!(
                "{}: {why}; correct it, or remove it to use the built-in data",
                path.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(built_in()),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

/// What of a controller's state other accounts of this machine may read or write, each with what mends it: whoever reads the keys
/// can do what the controller can.
#[must_use]
pub fn open_to_others(state: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let shared = |mode: &u32| mode & 0o077 != 0;
    // Behind a folder that is closed nobody comes to what lies in it.
    if !mode(state).as_ref().is_some_and(shared) {
        return Vec::new();
    }
    let private = [
        ("", "700"),
        ("keys", "700"),
        ("keys/authority.p8", "600"),
        ("keys/bundle.p8", "600"),
        ("log.sqlite", "600"),
    ];
    let open = private.into_iter().filter_map(|(name, wanted)| {
        let path = if name.is_empty() { state.to_owned() } else { state.join(name) };
        let mode = mode(&path).filter(shared)?;
        let path = path.display();
        Some(format!(
            "{path} has mode {mode:03o}, by which others on this machine may use it: chmod {wanted} {path}"
        ))
    });
    open.collect()
}

fn lock(state: &Path) -> anyhow::Result<File> {
    let path: PathBuf = state.join("lock");
    let file = File::create(&path)
        .with_context(|| format!("could not open {}; was `entrain init` run?", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!(
                "another `entrain serve` runs on {}: stop it first, or use another --state",
                state.display()
            )
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock {}", path.display()))
        }
    }
}
