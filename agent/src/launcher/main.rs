//! The program `entrain-launcher`: the Windows service, small and stable. It starts `versions/<v>/entrain-agent`, starts it
//! again when it ends, and goes back to the version before when a new one does not prove itself. It knows neither link nor
//! protocol, so that it seldom changes.

mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where everything of the agent lies.
fn root() -> PathBuf {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    given.unwrap_or_else(|| {
        PathBuf::from(if cfg!(windows) {
            r"C:\ProgramData\Entrain"
        } else {
            "/var/lib/entrain-agent"
        })
    })
}

fn main() -> ExitCode {
    #[cfg(windows)]
    if windows::dispatch().is_ok() {
        return ExitCode::SUCCESS;
    }
    // Started by hand: in the foreground, until it is killed.
    match supervise::supervise(&root(), &Arc::new(AtomicBool::new(false)), supervise::PROOF) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(windows)]
mod windows {
    use std::ffi::OsString;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use windows_service::service::{
        ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus,
        ServiceType,
    };
    use windows_service::service_control_handler::{self, ServiceControlHandlerResult};
    use windows_service::{define_windows_service, service_dispatcher};

    /// Name of the service.
    const NAME: &str = "EntrainAgent";

    define_windows_service!(entry, service);

    pub(super) fn dispatch() -> windows_service::Result<()> {
        service_dispatcher::start(NAME, entry)
    }

    fn service(_arguments: Vec<OsString>) {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let handler = move |control| {
            if matches!(control, ServiceControl::Stop | ServiceControl::Shutdown) {
                asked.store(true, Ordering::SeqCst);
                return ServiceControlHandlerResult::NoError;
            }
            if matches!(control, ServiceControl::Interrogate) {
                return ServiceControlHandlerResult::NoError;
            }
            ServiceControlHandlerResult::NotImplemented
        };
        let Ok(handle) = service_control_handler::register(NAME, handler) else {
            return;
        };
        let say = |state: ServiceState, accepted: ServiceControlAccept, code: u32| {
            let status = ServiceStatus {
                service_type: ServiceType::OWN_PROCESS,
                current_state: state,
                controls_accepted: accepted,
                exit_code: ServiceExitCode::Win32(code),
                checkpoint: 0,
                wait_hint: Duration::default(),
                process_id: None,
            };
            // The service manager is the only one who could be told, and it is it that does not listen.
            drop(handle.set_service_status(status));
        };
        say(
            ServiceState::Running,
            ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
            0,
        );
        let ended = super::supervise::supervise(&super::root(), &stop, super::supervise::PROOF);
        say(
            ServiceState::Stopped,
            ServiceControlAccept::empty(),
            u32::from(ended.is_err()),
        );
    }
}
