//! Which verb does what: each is carried out beside its like.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use controller_core::fleet::Why;
use controller_core::plan::{Afterwards, Purpose};
use controller_core::record::Order;
use controller_core::topology::json_schema;
use protocol::Epoch;
use protocol::answers::DirectoryAnswers;
use protocol::signed::ControllerKind;
use protocol::step::Fix;
use tokio::sync::watch;

use crate::authority::{self, Settings};
use crate::cli::agents::{agents, token};
use crate::cli::args::{Arguments, Documents, Verb};
use crate::cli::artifacts::artifact;
use crate::cli::documents::{ask, asking, check, handover, plan};
use crate::cli::log::{logs, record};
use crate::cli::people::{secrets, tasks};
use crate::cli::readiness::Asked;
use crate::cli::releases::release;
use crate::cli::report::Place;
use crate::cli::rollouts::{code, ended, newest, order};
use crate::cli::status::{differ, doctor, drift, explain, exported, status, versions};
use crate::cli::tenant::tenant;
use crate::cli::{Show, discover, exit, follow, output, readiness, support};
use crate::http::client::Client;
use crate::http::types::{
    Applied, ApplyAsk, BackupAsk, Done, FreezeAsk, OverrideAsk, PlanAsk, RehearseAsk, Rehearsed,
    UndoAsk, Wanted, WithdrawAsk,
};
use crate::{app, backup, demo, keys};

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    // Who names a state folder means the controller on it, whatever the machine's own operators have in their environment.
    let own = std::env::var_os("ENTRAIN_SOCKET").filter(|_| arguments.state.is_none());
    let (state, socket) = (
        arguments.state.unwrap_or_else(|| PathBuf::from(STATE)),
        arguments.socket,
    );
    let client = match socket.clone().or_else(|| own.map(PathBuf::from)) {
        Some(socket) => Client::at(&socket),
        None => Client::new(&state),
    };
    match arguments.verb {
        Verb::Init {
            address,
            listen,
            root_key,
            publisher,
            override_operators,
            passphrase_stdin,
            simulated,
        } => {
            let kind = if simulated {
                ControllerKind::Simulated
            } else {
                ControllerKind::Real
            };
            authority::may_init(&state, &root_key)?;
            let publisher = publisher.map(|file| keys::read_public(&file)).transpose()?;
            let passphrase = new_passphrase(passphrase_stdin, "the root key")?;
            let settings = Settings {
                kind,
                address,
                listen,
                certificate_seconds: None,
            };
            let root = authority::init(
                &state,
                &settings,
                &authority::RootKeys {
                    root_key: &root_key,
                    passphrase: &passphrase,
                    publisher,
                    override_operators,
                },
                crate::now(),
            )?;
            output::print(&format!(
                "initialized {} ({})\ntrust root  {root}\nroot key    {}: take it offline now; `serve` never needs it",
                state.display(),
                kind.as_str(),
                root_key.display()
            ));
            Ok(exit::OK)
        }
        Verb::Serve => serve(&state, socket.as_deref()).await,
        Verb::Check { documents, json } => check(&client, &documents, json.json).await,
        Verb::Schema => output::json(&json_schema()).map(|()| exit::OK),
        Verb::Plan {
            documents,
            verify,
            agents,
            release,
            json,
        } => {
            let wanted = match release {
                Some(release) => Wanted::Release(release),
                None if agents => Wanted::Topology(Purpose::Agents),
                None if verify => Wanted::Topology(Purpose::Verify),
                None => Wanted::Topology(Purpose::Install),
            };
            plan(&client, wanted, &documents, json.json).await
        }
        Verb::Swap {
            server,
            documents,
            json,
        } => plan(&client, Wanted::Swap(server), &documents, json.json).await,
        Verb::Failover {
            server,
            off,
            documents,
            json,
        } => {
            let wanted = Wanted::Failover { server, off };
            plan(&client, wanted, &documents, json.json).await
        }
        Verb::Swing {
            server,
            retire,
            documents,
            json,
        } => {
            let then = if retire {
                Afterwards::Remove
            } else {
                Afterwards::Upgrade
            };
            let wanted = Wanted::Swing { server, then };
            plan(&client, wanted, &documents, json.json).await
        }
        Verb::Transition {
            server,
            documents,
            json,
        } => plan(&client, Wanted::Move(server), &documents, json.json).await,
        Verb::Undo {
            server,
            fix,
            anyway,
            documents,
            json,
        } => {
            let fixes = fix.map_or_else(|| Fix::ALL.into(), |fix| [fix].into());
            let ask = UndoAsk {
                server,
                fixes,
                anyway,
            };
            plan(&client, Wanted::Undo(ask), &documents, json.json).await
        }
        Verb::Attest { directory } => {
            let bytes = std::fs::read(&directory)
                .with_context(|| format!("could not read {}", directory.display()))?;
            let answers = DirectoryAnswers::read(&bytes).map_err(|why| {
                anyhow::anyhow!(
                    "{} is no file of `entrain-agent directory --answers`: {why}",
                    directory.display()
                )
            })?;
            let done: Done = client.post("/v1/directories/answers", &answers).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Handover {
            domain,
            member,
            documents,
            json,
        } => {
            let members = member.into_iter().collect();
            handover(&client, &domain, &members, &documents, json.json).await
        }
        Verb::Preflight {
            documents,
            transition: true,
            json,
            ..
        } => {
            let ask = ask(&documents, Wanted::Eligible)?;
            let planned = asking(&client, &ask, json.json).await?;
            readiness::run(&client, &planned, (Asked::Eligible, &ask), None, json.json).await
        }
        Verb::Preflight {
            documents,
            server,
            report,
            json,
            transition: false,
        } => {
            // Nobody is asked for a report that could not be written.
            let into = report.map(Place::at).transpose()?;
            let ask = PlanAsk {
                only: server.into_iter().collect(),
                ..ask(&documents, Wanted::Topology(Purpose::Preflight))?
            };
            let planned = asking(&client, &ask, json.json).await?;
            readiness::run(&client, &planned, (Asked::Ready, &ask), into, json.json).await
        }
        Verb::Discover { topology, json } => {
            let documents = Documents {
                topology,
                policy: None,
            };
            let ask = ask(&documents, Wanted::Topology(Purpose::Discover))?;
            let planned = asking(&client, &ask, json.json).await?;
            discover::run(&client, &planned, json.json).await
        }
        Verb::Support {
            server,
            topology,
            json,
        } => support::run(&client, server, topology, json.json).await,
        Verb::Rehearse {
            plan,
            courses,
            person,
            nobody,
            fault,
            seed,
            at,
            json,
        } => {
            let ask = RehearseAsk {
                courses,
                person_minutes: (!nobody).then_some(person),
                faults: fault,
                seed,
                not_before: at,
            };
            let rehearsed: Rehearsed = client
                .post(&format!("/v1/plans/{plan}/rehearse"), &ask)
                .await?;
            if json.json {
                output::json(&rehearsed.rehearsal)?;
            } else {
                output::print(rehearsed.report.trim_end());
            }
            Ok(exit::OK)
        }
        Verb::Apply {
            plan,
            change,
            irreversible,
            off,
            at,
            watch,
        } => {
            let ask = ApplyAsk {
                change,
                irreversible,
                off,
                not_before: at,
            };
            let applied: Applied = client
                .post(&format!("/v1/plans/{plan}/apply"), &ask)
                .await?;
            let begins = at.map_or_else(|| "has begun".to_owned(), |at| format!("begins at {at}"));
            output::print(&format!(
                "rollout {} {begins}; entrain watch {0}",
                applied.rollout
            ));
            if watch {
                ended(&follow(&client, applied.rollout, Show::Live, |_| false).await?)
            } else {
                Ok(exit::OK)
            }
        }
        Verb::Watch { rollout, json } => {
            let rollout = newest(&client, rollout).await?;
            let screen = if json.json { Show::Json } else { Show::Live };
            let frame = follow(&client, rollout, screen, |_| false).await?;
            if json.json {
                Ok(code(&frame))
            } else {
                ended(&frame)
            }
        }
        Verb::Status {
            versions: true,
            json,
            ..
        } => versions(&client, json.json).await,
        Verb::Status {
            drift: true, json, ..
        } => drift(&client, json.json).await,
        Verb::Status { json, .. } => status(&client, json.json).await,
        Verb::Why {
            target,
            rollout,
            json,
        } => {
            let of = rollout.map_or_else(String::new, |rollout| format!("?rollout={rollout}"));
            let why: Why = client.get(&format!("/v1/targets/{target}/why{of}")).await?;
            if json.json {
                output::json(&why)?;
            } else {
                output::print(&explain(&why));
            }
            Ok(exit::OK)
        }
        Verb::Diff {
            one,
            other: Some(other),
            exported: false,
            json,
        } => differ(&client, &one, &other, json.json).await,
        Verb::Diff {
            one, other, json, ..
        } => exported(&client, &one, other.as_ref(), json.json).await,
        Verb::Accept {
            rollout,
            difference,
            reason,
        } => {
            let accept = Order::AcceptDifference { difference, reason };
            order(&client, rollout, accept).await
        }
        Verb::Tasks { act, json } => tasks(&client, act, json).await,
        Verb::Secret { act } => secrets(&client, act).await,
        Verb::Tenant { act } => tenant(&client, act).await,
        Verb::Limits {
            rollout,
            site,
            in_flight,
            failures,
            unreachable,
        } => {
            let limits = match site.zip(in_flight) {
                Some((site, in_flight)) => Order::SiteLimit { site, in_flight },
                None => Order::Limits {
                    in_flight,
                    failures,
                    unreachable: unreachable.map(|waits| waits.0),
                },
            };
            order(&client, rollout, limits).await
        }
        Verb::Freeze { why, .. } => {
            let done: Done = client.post("/v1/freeze", &FreezeAsk { why }).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Thaw { .. } => {
            let done: Done = client.post("/v1/thaw", &()).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Override {
            rule,
            target,
            reason,
            change,
            withdraw,
        } => {
            let rule = rule.to_string();
            let done: Done = if withdraw {
                let ask = WithdrawAsk { rule, target };
                client.post("/v1/overrides/withdraw", &ask).await?
            } else {
                let ask = OverrideAsk {
                    rule,
                    target,
                    reason: reason.unwrap_or_default(),
                    change: change.unwrap_or_default(),
                };
                client.post("/v1/overrides", &ask).await?
            };
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Pause { rollout } => order(&client, rollout, Order::Pause).await,
        Verb::Resume {
            rollout,
            after_restore,
        } => order(&client, rollout, Order::Resume { after_restore }).await,
        Verb::Abort { rollout } => order(&client, rollout, Order::Abort).await,
        Verb::Retry { rollout, target } => order(&client, rollout, Order::Retry { target }).await,
        Verb::Skip {
            rollout,
            target,
            reason,
        } => order(&client, rollout, Order::Skip { target, reason }).await,
        Verb::Resolve {
            rollout,
            target,
            reason,
            off,
        } => {
            let resolve = Order::Resolve {
                target,
                reason,
                off,
            };
            order(&client, rollout, resolve).await
        }
        Verb::Token { act } => token(&client, act).await,
        Verb::Agents { act, json } => agents(&client, act, json).await,
        Verb::Artifact { act } => artifact(&client, act).await,
        Verb::Release { act } => release(&client, act).await,
        Verb::Audit { act } => record(&client, act).await,
        Verb::Logs { from, change, json } => logs(&client, from, change, json.json).await,
        Verb::Backup { folder } => {
            let folder = std::path::absolute(&folder)?;
            let ask = BackupAsk {
                folder: folder.display().to_string(),
            };
            let done: Done = client.post("/v1/backup", &ask).await?;
            output::print(&done.done);
            Ok(exit::OK)
        }
        Verb::Restore { folder } => {
            let by = std::env::var("USER").unwrap_or_else(|_| "an operator".to_owned());
            let restored = backup::restore(&folder, &state, &by, Epoch::by_chance(), crate::now())?;
            output::print(&format!(
                "{} is the controller of {}, with {} entries of the log.\nAgents that were revoked or replaced since are known to it as before: revoke them again before it serves their network (`entrain agents revoke`). Agents that were enrolled since are unknown to it and are turned away, with all that they did: enroll them anew (`entrain-agent enroll --new-key`, with a new join file).\nThe controller that it was taken of must not run any more. Start this one with `entrain serve`; its agents come back by themselves and tell what came after. What operators ordered since is forgotten: abort, skip, resolve, limits and a freeze of the fleet. Rollouts are held. Before you resume one, let its agents come back and read in `entrain status` and `entrain why TARGET` what they told last: a rollout whose servers say \"aborted\" was aborted since, so abort it again (`entrain abort`) and do not resume it; one that ran when the backup was made may be over. Skip and resolve again, set limits and `freeze --all` again, then `entrain resume ROLLOUT --after-restore`.",
                state.display(),
                restored.made,
                restored.entries
            ));
            Ok(exit::OK)
        }
        Verb::Doctor { json } => doctor(&client, &state, json.json).await,
        Verb::Demo { json, keep, fault } => {
            demo::run(demo::Options {
                json,
                keep,
                fault: fault != "none",
            })
            .await
        }
    }
}

/// The state folder of a controller for which none is named.
const STATE: &str = "/var/lib/entrain";

/// Fewest characters of a new key's passphrase.
const SHORTEST_PASSPHRASE: usize = 12;

/// How a passphrase is given without a terminal.
const FROM_STDIN: &str = "give the passphrase by --passphrase-stdin";

/// Asks for something that is not shown.
pub(super) fn ask_hidden(prompt: &str, instead: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(prompt)
        .with_context(|| format!("there is no terminal to ask at: {instead}"))
}

/// The passphrase of a key that is there.
pub(super) fn passphrase_of(from_stdin: bool, key: &str) -> anyhow::Result<String> {
    if from_stdin {
        let line = std::io::stdin().lock().lines().next().transpose()?;
        return line
            .filter(|line| !line.is_empty())
            .context("standard input has no passphrase");
    }
    ask_hidden(&format!("passphrase for {key}: "), FROM_STDIN)
}

/// A passphrase for a new key: typed twice, unless a program gives it.
pub(super) fn new_passphrase(from_stdin: bool, key: &str) -> anyhow::Result<String> {
    let first = passphrase_of(from_stdin, key)?;
    if first.chars().count() < SHORTEST_PASSPHRASE {
        bail!(
            "a passphrase of {} characters would not guard {key}, whose file anybody who has it may try without end: take {SHORTEST_PASSPHRASE} or more; nothing was made",
            first.chars().count()
        );
    }
    if from_stdin {
        return Ok(first);
    }
    if first != ask_hidden("once more: ", FROM_STDIN)? {
        bail!("the two differ; nothing was made");
    }
    Ok(first)
}

async fn serve(state: &Path, socket: Option<&Path>) -> anyhow::Result<u8> {
    let (stop, stopped) = watch::channel(false);
    let mut running = app::start(state, socket, stopped).await?;
    output::print(&format!("listening at {}", running.address));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stopped_by_itself = tokio::select! {
        _ = terminate.recv() => false,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            false
        }
        () = running.first_end() => true,
    };
    stop.send_replace(true);
    running.ended().await;
    if stopped_by_itself {
        bail!("the controller stopped by itself; its log says why");
    }
    Ok(exit::OK)
}
