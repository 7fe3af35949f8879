//! Which verb does what: each is carried out beside its like.

use std::path::{Path, PathBuf};

use anyhow::bail;
use controller_core::fleet::Why;
use controller_core::plan::Purpose;
use controller_core::record::Order;
use controller_core::topology::json_schema;
use tokio::sync::watch;

use crate::cli::agents::{agents, token};
use crate::cli::args::{Arguments, Documents, Verb};
use crate::cli::artifacts::artifact;
use crate::cli::documents::{ask, asking, check, handover, plan};
use crate::cli::log::{logs, record};
use crate::cli::overrides::{Said, set_aside};
use crate::cli::people::{answers, secrets, tasks};
use crate::cli::planned::{apply, rehearse};
use crate::cli::readiness::Asked;
use crate::cli::releases::release;
use crate::cli::report::Place;
use crate::cli::rollouts::{code, ended, newest, order};
use crate::cli::status::{differ, doctor, drift, explain, exported, status, versions};
use crate::cli::tenant::tenant;
use crate::cli::{Show, copies, discover, exit, follow, init, output, readiness, support, wanted};
use crate::http::client::Client;
use crate::http::types::{ApplyAsk, Done, FreezeAsk, PlanAsk, RehearseAsk, Wanted};
use crate::{app, demo};

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
        Verb::Init(ask) => init::init(&state, ask),
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
            let wanted = wanted::planned(release, agents, verify);
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
            plan(
                &client,
                wanted::swing(server, retire),
                &documents,
                json.json,
            )
            .await
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
            plan(
                &client,
                wanted::undo(server, fix, anyway),
                &documents,
                json.json,
            )
            .await
        }
        Verb::Attest { directory } => answers(&client, &directory).await,
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
            rehearse(&client, &plan, &ask, json.json).await
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
            apply(&client, &plan, &ask, watch).await
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
            let said = Said {
                rule,
                target,
                reason,
                change,
            };
            set_aside(&client, said, withdraw).await
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
        Verb::Backup { folder } => copies::backup(&client, &folder).await,
        Verb::Restore { folder } => copies::restore(&state, &folder),
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
