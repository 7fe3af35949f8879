//! The local HTTP API: on a Unix socket that only its owner may open, and on one for a group of operators where that is asked for.
//! The command line uses this and nothing else.

mod acts;
mod artifacts;
pub mod client;
mod exports;
mod plans;
mod releases;
pub mod types;
mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use controller_core::clouds::Clouds;
use controller_core::versions::Versions;
use link::BufferReport;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::driver::{Hub, Stopping};
use crate::store::Store;

/// What the API's handlers need.
#[derive(Debug, Clone)]
pub struct Api {
    /// The state folder.
    pub state: PathBuf,
    /// The driver.
    pub hub: Hub,
    /// The log.
    pub store: Store,
    /// Root and kind.
    pub authority: Arc<Authority>,
    /// What is known of the products' versions.
    pub versions: Arc<Versions>,
    /// What is known of Microsoft's clouds.
    pub clouds: Arc<Clouds>,
    /// Files of the operator's that stand in place of newer data of this release, in sentences.
    pub older: Arc<[String]>,
    /// Folder of the artifact store.
    pub artifacts: PathBuf,
    /// UDP buffers of the endpoint.
    pub buffers: BufferReport,
}

/// Who is at the other end of the socket: the operating system says so.
#[derive(Debug, Clone)]
pub struct Operator(pub String);

impl Connected<IncomingStream<'_, UnixListener>> for Operator {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let name = stream
            .io()
            .peer_cred()
            .map_or_else(|_| "unknown".to_owned(), |peer| user_name(peer.uid()));
        Self(name)
    }
}

/// Whether a name is an account that several people may act as: the controller's own, or the machine's administrator.
pub(crate) fn is_shared(name: &str, state: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata(state).map(|found| found.uid()).ok();
    let shared = own.into_iter().chain([0]);
    shared.map(user_name).any(|account| account == name)
}

fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = uid.to_string();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// An answer that is no success.
#[derive(Debug)]
pub enum Problem {
    /// The controller is stopping.
    Stopping,
    /// It cannot be, for this reason.
    Refused(String),
    /// There is no such thing.
    Missing(String),
    /// Something here failed.
    Failed(String),
}

impl From<Stopping> for Problem {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the controller is stopping".to_owned(),
            ),
            Self::Refused(why) => (StatusCode::CONFLICT, why),
            Self::Missing(what) => (StatusCode::NOT_FOUND, what),
            Self::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        };
        let body = serde_json::json!({ "status": status.as_u16(), "detail": detail });
        (
            status,
            [("content-type", "application/problem+json")],
            body.to_string(),
        )
            .into_response()
    }
}

/// What handlers return.
pub type Answer<T> = Result<axum::Json<T>, Problem>;

/// Who may open a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// The account that the controller runs as.
    Owner,
    /// That account's group too: operators, each under an account of their own.
    Group,
}

/// Makes the socket. One that a dead controller left behind is replaced; the lock has shown that it is dead.
///
/// # Errors
/// When the socket cannot be made, something else lies there, or everybody could put another one into its folder.
pub fn bind(path: &Path, opens: Opens) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let found = std::fs::metadata(folder)
        .with_context(|| format!("the folder {} of the socket is not there", folder.display()))?;
    let mode = found.permissions().mode();
    if mode & 0o002 != 0 {
        anyhow::bail!(
            "everybody may write into {} (mode {:03o}), and so put a socket of their own in the place of {}: take a folder of the controller's own, such as /run/entrain",
            folder.display(),
            mode & 0o7777,
            path.display()
        );
    }
    match std::fs::symlink_metadata(path) {
        // A lock tells that nobody else has the state folder, and nothing of a socket that lies elsewhere.
        Ok(there) if there.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                anyhow::bail!(
                    "another controller listens at {}: give another path",
                    path.display()
                );
            }
            std::fs::remove_file(path)
                .with_context(|| format!("could not replace {}", path.display()))?;
        }
        Ok(_) => anyhow::bail!(
            "{} is there and is no socket; it was left as it is: give another path",
            path.display()
        ),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("could not listen at {}", path.display()))?;
    let mode = match opens {
        Opens::Owner => 0o600,
        Opens::Group => 0o660,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("could not guard {}", path.display()))?;
    Ok(listener)
}

/// Serves the API until `stop`.
pub async fn serve(listener: UnixListener, api: Api, mut stop: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/v1/status", get(views::status))
        .route("/v1/backup", post(acts::backup))
        .route("/v1/freeze", post(acts::freeze))
        .route("/v1/thaw", post(acts::thaw))
        .route("/v1/overrides", post(acts::override_rule))
        .route("/v1/overrides/withdraw", post(acts::withdraw_override))
        .route("/v1/versions", get(views::versions))
        .route("/v1/clouds", get(views::clouds))
        .route("/v1/drift", get(views::drift))
        .route("/v1/discovered", get(views::discovered))
        .route("/v1/forests", get(views::forests))
        .route("/v1/settings/{one}/{other}", get(views::settings))
        .route("/v1/exports/{one}", get(exports::before))
        .route("/v1/exports/{one}/{other}", get(exports::between))
        .route("/v1/tenants", get(views::tenants).post(acts::tenant))
        .route("/v1/directories/answers", post(acts::answered))
        .route("/v1/rollouts", get(views::rollouts))
        .route("/v1/rollouts/{rollout}", get(views::rollout))
        .route("/v1/rollouts/{rollout}/watch", get(views::watch))
        .route("/v1/rollouts/{rollout}/orders", post(acts::order))
        .route("/v1/targets/{target}/why", get(views::why))
        .route("/v1/targets/{target}/attest", post(acts::attest))
        .route("/v1/simulated/offer/{target}", post(acts::offer))
        .route("/v1/tasks", get(views::tasks))
        .route("/v1/log", get(views::log))
        .route("/v1/audit", get(views::audit))
        .route("/v1/check", post(plans::check))
        .route("/v1/plans", post(plans::plan))
        .route("/v1/plans/{plan}", get(views::plan))
        .route("/v1/plans/{plan}/apply", post(acts::apply))
        .route("/v1/plans/{plan}/rehearse", post(views::rehearse))
        .route("/v1/tokens", post(acts::token))
        .route("/v1/agents", get(views::agents))
        .route("/v1/agents/{target}/{act}", post(acts::agent))
        .route("/v1/artifacts", get(views::artifacts).post(artifacts::add))
        .route("/v1/releases", get(releases::list).post(releases::add))
        .route("/v1/releases/{version}/withdraw", post(releases::withdraw))
        .route("/v1/secrets", get(views::secrets))
        .route("/v1/secrets/{ask}", post(acts::secret))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(api);
    let service = router.into_make_service_with_connect_info::<Operator>();
    let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
    if let Err(error) = axum::serve(listener, service)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "the API stopped");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn refused(path: &Path) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        bind(path, Opens::Group).unwrap_err().to_string()
    }

    #[test]
    fn what_lies_in_the_place_of_a_socket_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "of somebody").unwrap();
        assert!(refused(&path).contains("is no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of somebody");
    }

    #[test]
    fn no_socket_lies_where_everybody_may_put_another() {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o1777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let said = refused(&folder.path().join("api.sock"));
        assert!(said.contains("everybody may write into"), "{said}");
    }

    #[test]
    fn a_socket_that_a_dead_controller_left_is_replaced_and_is_as_open_as_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        for (opens, mode) in [(Opens::Group, 0o660), (Opens::Owner, 0o600)] {
            let living = bind(&path, opens).unwrap();
            let why = bind(&path, opens).unwrap_err().to_string();
            assert!(why.contains("another controller listens"), "{why}");
            drop(living);
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
        }
    }

    #[test]
    fn the_accounts_that_several_people_may_act_as_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_shared("root", folder.path()) || is_shared("uid 0", folder.path()));
        assert!(!is_shared("uid 40001", folder.path()));
    }
}
