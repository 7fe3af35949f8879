//! The agent's command line.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use link::{Endpoint, Wire};
use protocol::enroll::JoinFile;
use protocol::event::Freeze;
use protocol::wire::close::Close;
use protocol::{TargetId, causes};
use tokio::sync::watch;

use crate::agent::{Agent, Ended, Speed};
use crate::enroll::{self, Joining};
use crate::exec::Exec;
use crate::freeze;
use crate::state::{Lock, State, StateError};

/// Carries out signed bundles on this server.
#[derive(Debug, Parser)]
#[command(name = "entrain-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes this server known to a controller.
    ///
    /// Example: entrain-agent enroll --join C:\Temp\join.json
    Enroll {
        /// Folder for key, journal and bundles.
        #[arg(long, default_value = default_state())]
        state: PathBuf,
        /// Join file from the controller; it is deleted once it was used. `-` reads standard input.
        #[arg(long)]
        join: PathBuf,
        /// Fully qualified name of this server, where the system does not know it.
        #[arg(long)]
        name: Option<TargetId>,
        /// Begins with a new key and a new journal, after `entrain agents replace`; the old ones are put aside.
        #[arg(long)]
        new_key: bool,
    },
    /// Runs the agent until it is stopped.
    Run {
        /// Folder for key, journal and bundles.
        #[arg(long, default_value = default_state())]
        state: PathBuf,
    },
    /// Freezes this server against every rollout: no work is taken, and what runs waits at its next gate. The operator sees
    /// who, why and until when.
    ///
    /// Example: entrain-agent freeze --until 8h --why "quarter's end"
    Freeze {
        /// Folder for key, journal and bundles.
        #[arg(long, default_value = default_state())]
        state: PathBuf,
        /// End: a moment like 2026-11-30T18:00:00Z, or 8h, or 2d.
        #[arg(long)]
        until: String,
        /// Why; the operator reads it.
        #[arg(long)]
        why: String,
    },
    /// Lifts a freeze.
    Thaw {
        /// Folder for key, journal and bundles.
        #[arg(long, default_value = default_state())]
        state: PathBuf,
    },
    /// Tells whether the controller can be reached, and if not, why: name, network, clock or trust.
    Doctor {
        /// The controller's address, host:port.
        controller: String,
    },
    /// Asks a domain what a preflight would ask of it; changes nothing and needs no controller.
    ///
    /// Example: entrain-agent directory corp.contoso.com
    Directory {
        /// DNS name of the domain.
        domain: protocol::DomainName,
        /// Domain controller to ask, in place of the first that DNS names.
        #[arg(long)]
        controller: Vec<TargetId>,
        /// As whom to ask.
        #[arg(long = "as", value_enum, default_value = "own")]
        asked_as: crate::survey::As,
        /// User to ask as, over LDAPS; the password is read from standard input.
        #[arg(long, conflicts_with = "asked_as")]
        user: Option<String>,
        /// gMSA to look at.
        #[arg(long)]
        gmsa: Option<protocol::GmsaName>,
        /// Server that is to use the gMSA; this one where it is left out.
        #[arg(long, requires = "gmsa")]
        server: Option<TargetId>,
        /// Asks as well whether the user would do for an installation with directory = "ask" (PF53).
        #[arg(long, requires = "user")]
        installs: bool,
        /// Asks as well whether every user and group has the anchor by which both tools know it (PF60).
        #[arg(long)]
        anchors: bool,
        /// Asks as well for what stays in the domain where Connect goes from a server of it: the computer account of seamless single
        /// sign-on (UN03).
        #[arg(long)]
        connect_goes: bool,
        /// Asks which servers carry one of the products, in place of whether the domain is ready.
        #[arg(long, conflicts_with_all = ["gmsa", "installs", "anchors", "connect_goes"])]
        servers: bool,
        /// gMSA of provisioning agents, beside those that have a name of the product's own.
        #[arg(long, requires = "servers")]
        account: Vec<protocol::GmsaName>,
        /// Writes the answers into a new file as well, for `entrain attest --directory FILE` at the controller.
        #[arg(long, value_name = "FILE")]
        answers: Option<PathBuf>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs many models of servers in one process.
    #[cfg(feature = "twin")]
    Swarm {
        /// Folder for all their states.
        #[arg(long)]
        state: PathBuf,
        /// File that describes the servers.
        #[arg(long, conflicts_with = "count")]
        fleet: Option<PathBuf>,
        /// This many servers with a registered agent, in place of a file.
        #[arg(long)]
        count: Option<usize>,
        /// Domain of the servers of --count.
        #[arg(long, default_value = "swarm.test")]
        domain: protocol::DomainName,
        /// Tenant of the servers of --count.
        #[arg(long, default_value = "11111111-1111-1111-1111-111111111111")]
        tenant: protocol::TenantId,
        /// Product version of the servers of --count.
        #[arg(long, default_value = "1.1.2505.0")]
        version: protocol::Version,
        /// Join file for those that are not enrolled; `-` reads standard input.
        #[arg(long)]
        join: Option<PathBuf>,
        /// Modelled seconds that pass in a real one; 0 lets no time pass.
        #[arg(long, default_value_t = 60)]
        speed: u32,
    },
}

/// Exit code of an agent whose folder another one has: nothing is wrong with its version. Its launcher knows the number
/// (`launcher/supervise.rs`).
const IN_USE: u8 = 75;

/// How often the controller's name is asked for while it does not resolve.
const RESOLVE_PAUSE: Duration = Duration::from_secs(5);

const fn default_state() -> &'static str {
    if cfg!(windows) {
        r"C:\ProgramData\Entrain\agent"
    } else {
        "/var/lib/entrain-agent"
    }
}

/// Parses arguments, runs, and prints an error with its causes. The program says which version it is.
pub fn main(version: &'static str) -> ExitCode {
    let matches = Arguments::command().version(version).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENTRAIN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(arguments.verb, version) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", causes(error.as_ref()));
            let state = error.downcast_ref::<StateError>();
            let in_use = state.is_some_and(|error| matches!(error, StateError::InUse { .. }));
            ExitCode::from(if in_use { IN_USE } else { 1 })
        }
    }
}

fn run(verb: Verb, version: &'static str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(carry_out(verb, version))
}

async fn carry_out(verb: Verb, program: &'static str) -> anyhow::Result<()> {
    match verb {
        Verb::Enroll {
            state,
            join,
            name,
            new_key,
        } => {
            if new_key {
                let aside = crate::state::put_aside(&state)?;
                tracing::info!(folder = %aside.display(), "the old key and journal were put aside");
            }
            enroll_here(&state, &join, name).await
        }
        Verb::Run { state } => serve(&state, program, stop_on_signal()).await,
        Verb::Freeze { state, until, why } => freeze_here(&state, &until, why),
        Verb::Thaw { state } => thaw_here(&state),
        Verb::Doctor { controller } => doctor(&controller).await,
        Verb::Directory {
            domain,
            controller,
            asked_as,
            user,
            gmsa,
            server,
            installs,
            anchors,
            connect_goes,
            servers,
            account,
            answers,
            json,
        } => {
            let form = if json {
                crate::survey::Form::Json
            } else {
                crate::survey::Form::Lines
            };
            let gmsa = match gmsa {
                Some(name) => {
                    let own = server.or_else(own_name);
                    let own = own.context(
                        "this server does not know its full name; give it with --server",
                    )?;
                    Some((name, own))
                }
                None => None,
            };
            let about = if servers {
                crate::survey::About::Servers { accounts: account }
            } else {
                crate::survey::About::Readiness {
                    gmsa,
                    installs,
                    anchors,
                    connect_goes,
                }
            };
            let ask = crate::survey::Ask {
                domain,
                controllers: controller,
                asked_as,
                user,
                about,
            };
            crate::survey::run(ask, form, answers.as_deref()).await
        }
        #[cfg(feature = "twin")]
        Verb::Swarm {
            state,
            fleet,
            count,
            domain,
            tenant,
            version,
            join,
            speed,
        } => {
            let fleet = match (fleet, count) {
                (Some(path), _) => crate::swarm::read(&path)?,
                (None, Some(count)) => crate::swarm::uniform(count, &domain, &tenant, version)?,
                (None, None) => anyhow::bail!("give --fleet FILE or --count N"),
            };
            let join = join.map(|path| read_join(&path)).transpose()?;
            crate::swarm::run(&state, fleet, join, Speed(speed), stop_on_signal()).await
        }
    }
}

/// Runs the agent of one folder, in the version that the program says it has, until `stop`, or until another version takes its
/// place.
///
/// # Errors
/// When the agent is not enrolled, another one runs on its folder, or its state cannot be used.
pub async fn serve(
    folder: &Path,
    version: &'static str,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    // A folder that is no agent's gets no lock either.
    drop(State::open(folder)?);
    let _lock = Lock::take(folder)?;
    let state = State::open(folder)?;
    let Some(address) = resolved(&state.controller, stop.clone()).await else {
        return Ok(());
    };
    let endpoint = Endpoint::client(address, Wire::from_environment())
        .context("could not open a UDP socket")?;
    let exec = Exec::this_server(folder, version);
    let agent = Agent::open(state, exec, Speed(0))?;
    let ended = agent.run(endpoint.clone(), stop).await;
    // Else the controller would take it for connected until its silence tells.
    endpoint.close(Close::Done).await;
    match ended? {
        Ended::Stopped => {}
        Ended::Replaced => tracing::info!("this agent ends; its launcher starts the new version"),
    }
    Ok(())
}

/// The controller's address, once its name resolves; nothing where the agent is to stop before. After a start of Windows the
/// network comes later than its services, which says nothing about this program.
async fn resolved(controller: &str, mut stop: watch::Receiver<bool>) -> Option<SocketAddr> {
    let mut told = false;
    loop {
        match enroll::resolve(controller) {
            Ok(address) => return Some(address),
            Err(error) if !told => {
                tracing::warn!("{}; it is tried again", causes(&error));
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(RESOLVE_PAUSE) => {}
            () = async { drop(stop.wait_for(|stop| *stop).await) } => return None,
        }
    }
}

fn stop_on_signal() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        #[cfg(unix)]
        {
            let terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            if let Ok(mut terminate) = terminate {
                tokio::select! {
                    _ = terminate.recv() => {}
                    interrupted = tokio::signal::ctrl_c() => drop(interrupted),
                }
            }
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
        stop.send_replace(true);
    });
    stopped
}

fn read_join(path: &Path) -> anyhow::Result<JoinFile> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .read_to_end(&mut text)
            .context("could not read standard input")?;
    } else {
        text = std::fs::read(path)
            .with_context(|| format!("could not read the join file {}", path.display()))?;
    }
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is no join file of `entrain token create`",
            path.display()
        )
    })
}

async fn enroll_here(state: &Path, join: &Path, name: Option<TargetId>) -> anyhow::Result<()> {
    let file = read_join(join)?;
    let target = match name {
        Some(name) => name,
        None => {
            own_name().context("this server does not know its full name; give it with --name")?
        }
    };
    let joining = Joining {
        target: target.clone(),
        simulated: cfg!(feature = "test-anchors"),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    };
    #[cfg(windows)]
    guard_folder(state)?;
    let mut told = false;
    enroll::enroll(state, &file, &joining, None, |fingerprint| {
        if !told {
            tracing::warn!(%fingerprint, "waiting for an operator: entrain agents approve {target} KEY");
            told = true;
        }
    })
    .await?;
    if join != Path::new("-") {
        std::fs::remove_file(join)
            .with_context(|| format!("could not delete the used join file {}", join.display()))?;
    }
    tracing::info!(target_name = %target, "enrolled");
    Ok(())
}

/// Leaves the folder above the state to the system and to administrators: key, journal and installers lie in it.
#[cfg(windows)]
fn guard_folder(state: &Path) -> anyhow::Result<()> {
    let folder = state.parent().unwrap_or(state);
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    let output = std::process::Command::new(crate::exec::places::expand(
        r"%SystemRoot%\System32\icacls.exe",
    ))
    .arg(folder)
    .args([
        "/inheritance:r",
        "/grant:r",
        "*S-1-5-18:(OI)(CI)F",
        "*S-1-5-32-544:(OI)(CI)F",
    ])
    .output()
    .context("could not run icacls")?;
    anyhow::ensure!(
        output.status.success(),
        "the folder {} could not be guarded",
        folder.display()
    );
    Ok(())
}

fn freeze_here(state: &Path, until: &str, why: String) -> anyhow::Result<()> {
    let now = crate::agent::now();
    let until = freeze::until(until, now).map_err(anyhow::Error::msg)?;
    let name = |variable: &str| std::env::var(variable).ok();
    let user = name("USERNAME").or_else(|| name("USER"));
    let user = user.unwrap_or_else(|| "unknown user".to_owned());
    let by = match name("USERDOMAIN") {
        Some(domain) => format!("{domain}\\{user}"),
        None => user,
    };
    freeze::set(state, &Freeze { until, by, why }, now)?;
    tracing::info!(%until, "frozen; a running agent takes it up before its next step, leave or bundle");
    Ok(())
}

fn thaw_here(state: &Path) -> anyhow::Result<()> {
    if freeze::lift(state)? {
        tracing::info!("the freeze is lifted");
    } else {
        tracing::info!("this server is not frozen");
    }
    Ok(())
}

/// The full DNS name of this server.
fn own_name() -> Option<TargetId> {
    #[cfg(windows)]
    {
        crate::exec::windows::dns_name()?.parse().ok()
    }
    #[cfg(not(windows))]
    {
        let output = std::process::Command::new("hostname")
            .arg("--fqdn")
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    }
}

async fn doctor(controller: &str) -> anyhow::Result<()> {
    let address = enroll::resolve(controller)?;
    tracing::info!(%address, "the name resolves");
    let endpoint = Endpoint::client(address, Wire::from_environment())
        .context("could not open a UDP socket")?;
    let connection = endpoint
        .connect(address, &link::enroll_tls()?)
        .await
        .context("no QUIC connection: is UDP to this address and port open all the way?")?;
    tracing::info!(remote = %connection.remote(), "QUIC reaches a controller");
    connection.close(protocol::wire::close::Close::Done, "");
    if endpoint.buffers().is_capped() {
        tracing::warn!(
            ?endpoint,
            "the system caps UDP buffers; it costs speed, nothing else"
        );
    }
    Ok(())
}
