//! Services of Windows: how they are, when they began, and their start, stop and way of starting.

use std::time::Duration;

use agent_core::op::Service;
use protocol::facts::ServiceState;
use windows_service::service::{
    Service as WindowsService, ServiceAccess, ServiceStartType, ServiceState as WindowsState,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use crate::exec::child::Said;
use crate::exec::windows::{processes, tool};

/// How often a service that is to stop or to start is looked at.
const SERVICE_LOOK: Duration = Duration::from_secs(1);

/// How many times.
const SERVICE_LOOKS: u32 = 180;

/// ERROR_SERVICE_DOES_NOT_EXIST.
const NO_SUCH_SERVICE: i32 = 1060;

/// Looks at a service; `None` where there is none of that name.
///
/// One look at a time: Wine takes a thread's handle away from it while another of the same process closes its own, and no
/// look lasts long enough to be missed.
fn look<T>(
    name: &str,
    access: ServiceAccess,
    at: impl FnOnce(&WindowsService) -> windows_service::Result<T>,
) -> Result<Option<T>, String> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT);
    let opened = manager.and_then(|manager| manager.open_service(name, access));
    match opened.and_then(|service| at(&service)) {
        Ok(seen) => Ok(Some(seen)),
        Err(windows_service::Error::Winapi(error)) => match error.raw_os_error() {
            Some(NO_SUCH_SERVICE) => Ok(None),
            _ => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// A service as it is now; none where there is none of that name.
pub(super) fn service(name: &str) -> Result<Option<Service>, String> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG;
    let seen = look(name, access, |service| {
        Ok((service.query_status()?, service.query_config()?))
    })?;
    let Some((status, config)) = seen else {
        return Ok(None);
    };
    let state = match (status.current_state, config.start_type) {
        (WindowsState::Running, _) => ServiceState::Running,
        // One that is still stopping does its work to the end.
        (WindowsState::Stopped, ServiceStartType::Disabled) => ServiceState::Disabled,
        _ => ServiceState::NotRunning,
    };
    let account = config
        .account_name
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Some(Service {
        state,
        account,
        automatic: config.start_type == ServiceStartType::AutoStart,
    }))
}

/// Sets how Windows starts a service. `sc config` is what the documentation of Windows gives for it.
pub(super) async fn configure(name: &str, start: &str) -> Result<(), String> {
    let said = sc(&["config", name, "start=", start]).await?;
    if said.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said.printed).trim().to_owned())
    }
}

/// Stops a service and starts it again. It must run at the end; a stop may take its time (1.11: clean shutdown).
pub(super) async fn restart(name: &str) -> Result<(), String> {
    stop(name).await?;
    let stopped = await_state(name, |state| state == WindowsState::Stopped, "stop").await;
    // Also one that takes too long to stop is started: it must not stay down.
    let said = sc(&["start", name]).await?;
    stopped?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.printed).trim().to_owned());
    }
    await_state(name, |state| state == WindowsState::Running, "start").await
}

fn current(name: &str) -> Result<WindowsState, String> {
    let status = look(name, ServiceAccess::QUERY_STATUS, |service| {
        service.query_status()
    })?;
    let status = status.ok_or_else(|| format!("there is no service {name}"))?;
    Ok(status.current_state)
}

async fn await_state(
    name: &str,
    is: impl Fn(WindowsState) -> bool,
    what: &str,
) -> Result<(), String> {
    for _ in 0..SERVICE_LOOKS {
        if is(current(name)?) {
            return Ok(());
        }
        tokio::time::sleep(SERVICE_LOOK).await;
    }
    Err(format!("{name} did not {what} within {SERVICE_LOOKS} s"))
}

/// How long the process of a service has run, by the clock of this server; none where it does not.
pub(super) fn service_age(name: &str) -> Result<Option<Duration>, String> {
    /// From the beginning of Windows' times to that of Unix, in seconds.
    const BETWEEN: u64 = 11_644_473_600;
    let Some(status) = look(name, ServiceAccess::QUERY_STATUS, |service| {
        service.query_status()
    })?
    else {
        return Ok(None);
    };
    let Some(pid) = status.process_id.filter(|pid| *pid != 0) else {
        return Ok(None);
    };
    let began =
        processes::created(pid).ok_or_else(|| format!("when process {pid} began is not told"))?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let now = now + Duration::from_secs(BETWEEN);
    Ok(Some(
        now.saturating_sub(Duration::from_millis(began / 10_000)),
    ))
}

/// Asks a service to stop; one that does not run is stopped.
pub(super) async fn stop(name: &str) -> Result<(), String> {
    /// ERROR_SERVICE_NOT_ACTIVE.
    const NOT_ACTIVE: i32 = 1062;
    /// ERROR_SERVICE_CANNOT_ACCEPT_CTRL: it is stopping already.
    const STOPPING: i32 = 1061;
    let said = sc(&["stop", name]).await?;
    let code = said.status.code();
    if said.status.success() || code == Some(NOT_ACTIVE) || code == Some(STOPPING) {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said.printed).trim().to_owned())
    }
}

async fn sc(arguments: &[&str]) -> Result<Said, String> {
    tool(r"%SystemRoot%\System32\sc.exe", arguments).await
}
