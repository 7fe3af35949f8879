//! Connect Sync: bytes staged, a person at the MSI and the wizard, the end probed, then verified (product facts 2.1 to
//! 2.4). It cannot be installed unattended in a supported way.

use std::time::Duration;

use protocol::event::{Completion, Grade, Severity, Verdict};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::step::{ConnectWork, GuideConnect, StageConnect, VerifyConnect};
use protocol::task::{Page, TaskText};

use crate::catalogue;
use crate::op::{Op, Script};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::product;
use crate::step::{self, STOPS, WATCH, engine, facts, installer, place, soak, trouble};

const SCHEDULER_LIMIT: Duration = Duration::from_secs(120);

/// What `Get-ADSyncScheduler` says; `None` for what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `StagingModeEnabled`.
    pub staging: Option<bool>,
    /// `SyncCycleEnabled`.
    pub cycle_enabled: Option<bool>,
    /// `SchedulerSuspended`: the wizard is open, or was left open.
    pub suspended: Option<bool>,
    /// Minutes until the next cycle is due; negative where it is overdue.
    pub next_minutes: Option<i64>,
    /// Minutes from one cycle to the next.
    pub every_minutes: Option<i64>,
}

/// Asks the scheduler.
///
/// # Errors
/// While the outcome is missing.
pub fn scheduler(cx: &mut Cx<'_>) -> Flow<Reading<Scheduler>> {
    Ok(scheduler_and_console(cx)?.0)
}

/// The same, and whether Synchronization Service Manager is open: that is told also where the module tells nothing of its scheduler.
///
/// # Errors
/// While the outcome is missing.
pub fn scheduler_and_console(cx: &mut Cx<'_>) -> Flow<(Reading<Scheduler>, Option<bool>)> {
    let lines = cx.script(
        Script::ReadConnectScheduler,
        serde_json::json!({}),
        Vec::new(),
        SCHEDULER_LIMIT,
    )?;
    let lines = match lines {
        Ok(lines) => lines,
        Err(why) => return Ok((Err(why), None)),
    };
    let told = |line: &serde_json::Value| line["consoleOpen"].as_bool();
    let console = lines.iter().rev().find_map(told);
    let last = lines.last().cloned().unwrap_or_default();
    let scheduler = match last["error"]["message"].as_str() {
        Some(why) => Err(format!(
            "{}: {why}",
            last["error"]["at"].as_str().unwrap_or("?")
        )),
        None => Ok(Scheduler {
            staging: last["stagingModeEnabled"].as_bool(),
            cycle_enabled: last["syncCycleEnabled"].as_bool(),
            suspended: last["schedulerSuspended"].as_bool(),
            next_minutes: last["nextInMinutes"].as_i64(),
            every_minutes: last["everyMinutes"].as_i64(),
        }),
    };
    Ok((scheduler, console))
}

/// Puts the installer where the person finds it.
///
/// # Errors
/// While outcomes are missing, and when it fails.
pub fn stage(stage: &StageConnect, cx: &mut Cx<'_>) -> Flow<Complete> {
    let artifact = cx.artifact(&stage.artifact)?;
    let there = match place::version(cx)? {
        Ok(there) => there,
        Err(why) => {
            return Err(Stop::CannotTell(format!(
                "whether the installer is older than the engine that is there: {why}"
            )));
        }
    };
    installer::never_older("Connect Sync", there, &artifact)?;
    if let Err(why) = cx.perform(Op::Fetch {
        artifact: artifact.clone(),
    })? {
        return fail(format!("the installer could not be brought here: {why}"));
    }
    match cx.stage(&artifact, product::CONNECT_INSTALLER)? {
        Ok(path) => Ok(Complete::new(
            Completion::Applied,
            format!("version {} lies at {path}", artifact.version),
        )),
        Err(why) => fail(format!("the installer could not be put in place: {why}")),
    }
}

/// Said to whoever is asked while the scheduler is suspended.
const OPEN: &str = "the scheduler of the engine that is there is suspended: a wizard is open on the server, or was left open; where it is at its last page already, closing it is all that is left";

/// Opens the installation, the upgrade, the change of mode or the release of the cycle as work for a person and watches for its
/// end. Nothing here turns the cycle off or on: its setting lies in the tenant and is shared with the other servers
/// (product facts 2.12 [P]).
///
/// # Errors
/// While outcomes are missing, and when it fails.
pub fn guide(guide: &GuideConnect, cx: &mut Cx<'_>) -> Flow<Complete> {
    let staging = guide.work.staging();
    let done = |connect: Option<ConnectFacts>| {
        let connect = connect?;
        let version = connect
            .version
            .filter(|version| *version >= guide.at_least)?;
        // The wizard's end shows by the scheduler: before it, the module does not answer. While its last page is open the scheduler
        // is suspended (2.12 [P]), and what it says may not be its last word.
        let is = connect
            .staging
            .filter(|_| connect.suspended != Some(true))?;
        // Where the mode is what changes, the other one is only where it began.
        if guide.work.switches() && is != staging {
            return None;
        }
        let mode = if is { "staging" } else { "active" };
        Some((is, format!("version {version} configured, {mode}")))
    };
    let before = facts::connect_sync(cx)?.told()?;
    let held = was_held(guide, before.as_ref(), cx)?;
    let open = before
        .as_ref()
        .is_some_and(|connect| connect.suspended == Some(true));
    let ended = if let Some((is, summary)) = done(before) {
        settled(is, staging)?;
        Complete {
            grade: Some(Grade::Configured),
            ..Complete::new(Completion::AlreadySo, summary)
        }
    } else {
        let mut text = guide.text.clone();
        if open {
            text.pages.insert(
                0,
                Page {
                    title: "What is seen".to_owned(),
                    lines: vec![OPEN.to_owned()],
                },
            );
        }
        cx.task(&text)?;
        let look = |cx: &mut Cx<'_>| {
            let version = place::version(cx)?.ok().flatten();
            trouble::wizard(version, cx)
        };
        match trouble::watch(cx, look, |cx| Ok(done(facts::connect_sync(cx)?.found)))? {
            Ok((is, summary)) => {
                settled(is, staging)?;
                Complete {
                    grade: Some(Grade::Configured),
                    ..Complete::new(Completion::SeenDone, summary)
                }
            }
            Err(by) => {
                // A word says that it is done, and not in which mode: that is looked at where it can be read.
                let seen = facts::connect_sync(cx)?.found;
                if let Some(is) = seen.and_then(|connect| connect.staging) {
                    settled(is, staging)?;
                }
                let summary = format!("attested by {by}; no probe saw it configured");
                Complete::new(Completion::Attested { by }, summary)
            }
        }
    };
    let is_on = match guide.work {
        ConnectWork::InstallActive | ConnectWork::InstallStaging => "; its cycle is on",
        ConnectWork::UpgradeActive
        | ConnectWork::UpgradeStaging
        | ConnectWork::SwitchToStaging
        | ConnectWork::SwitchToActive => "; its cycle is on, as it was before",
    };
    match &guide.release {
        Some(_) if held => Ok(Complete {
            summary: format!("{}; {HELD}", ended.summary),
            ..ended
        }),
        Some(text) => released((text, is_on), ended, cx),
        None => Ok(ended),
    }
}

/// Whether somebody held the cycle before the wizard of an upgrade whose release was planned. What is off behind the wizard could be the
/// wizard's own doing: there it is as it was journaled before it, by this life of the agent, by one that was
/// killed since, or in a run before a retry.
fn was_held(guide: &GuideConnect, before: Option<&ConnectFacts>, cx: &mut Cx<'_>) -> Flow<bool> {
    if !guide.work.upgrades() || guide.release.is_none() {
        return Ok(false);
    }
    let known = cx.cycle_was_held();
    let waits = before.filter(|connect| {
        let version = connect.version;
        version.is_some_and(|version| version < guide.at_least)
    });
    let on = waits.and_then(|connect| connect.cycle_enabled);
    let held = on.map_or(known, |on| !on);
    if held != known {
        cx.note_cycle(held)?;
    }
    Ok(held)
}

/// Said where nobody is asked for the release that was planned.
const HELD: &str = "its cycle was off before the wizard, since this was planned: whoever held it releases it, and nobody is asked to; on the active server the verification behind it fails by PV24 until they have: retry it then";

/// Watches for the release of a cycle that the wizard may have left held. It was on before the work, and that is what comes
/// back, or an installation was to leave it off until somebody had looked; whoever held it releases it, since its setting lies in
/// the tenant and is shared with the other servers (product facts 2.12 [P]).
fn released(
    (text, is_on): (&TaskText, &str),
    mut ended: Complete,
    cx: &mut Cx<'_>,
) -> Flow<Complete> {
    // What is suspended runs no more than what is off.
    let goes = |cx: &mut Cx<'_>| -> Flow<Option<()>> {
        let now = scheduler(cx)?.unwrap_or_default();
        let goes = now.cycle_enabled == Some(true) && now.suspended == Some(false);
        Ok(goes.then_some(()))
    };
    if goes(cx)?.is_none() {
        cx.task(text)?;
        if let Err(by) = cx.until(WATCH, goes)? {
            ended.summary = format!(
                "{}; {by} says that its cycle is released, and no probe saw it on",
                ended.summary
            );
            ended.completion = Completion::Attested { by };
            return Ok(ended);
        }
        ended.completion = match ended.completion {
            Completion::Attested { by } => Completion::Attested { by },
            Completion::Applied | Completion::AlreadySo | Completion::SeenDone => {
                Completion::SeenDone
            }
        };
    }
    ended.summary.push_str(is_on);
    Ok(ended)
}

/// The server must be what it was to be: a staging server that is active now may be the tenant's second (G1).
fn settled(is_staging: bool, wanted_staging: bool) -> Flow<()> {
    match (is_staging, wanted_staging) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => fail(
            "the server is active now and was to be staging: two servers of the tenant may be active; put it into staging mode by the wizard at once (G1)",
        ),
        (true, false) => fail(
            "the server is staging now and was to be active: no server of the tenant may be exporting; look at the wizard's page on staging mode",
        ),
    }
}

/// Stops and disables the engine's service. The scheduler is left as it is: its settings lie in the tenant and are shared
/// with the server that is active now (facts 2.12), but for staging mode.
///
/// # Errors
/// While outcomes are missing, and when the service still runs.
pub fn fence(cx: &mut Cx<'_>) -> Flow<Complete> {
    const OFF: &str = "ADSync is stopped and disabled: nothing is exported from here any more";
    let state = |cx: &mut Cx<'_>| match cx.service(product::CONNECT_SERVICE)? {
        Ok(service) => Ok(service.map(|service| service.state)),
        Err(why) => fail(format!("the service ADSync could not be read: {why}")),
    };
    match state(cx)? {
        None => {
            return Ok(Complete::new(
                Completion::AlreadySo,
                "there is no service ADSync on this server",
            ));
        }
        Some(ServiceState::Disabled) => return Ok(Complete::new(Completion::AlreadySo, OFF)),
        Some(ServiceState::Running | ServiceState::NotRunning) => {}
    }
    if let Err(why) = cx.perform(Op::DisableService {
        name: product::CONNECT_SERVICE.to_owned(),
    })? {
        return fail(format!("ADSync could not be stopped and disabled: {why}"));
    }
    let (looks, pause) = STOPS;
    let stopped = cx.retry(looks, pause, |cx| {
        Ok(state(cx)?.filter(|state| *state == ServiceState::Disabled))
    })?;
    match stopped {
        Some(_) => Ok(Complete::new(Completion::Applied, OFF)),
        None => fail("ADSync was told to stop and still runs; end it by hand: it may be exporting"),
    }
}

/// Verifies engine, version and scheduler.
///
/// # Errors
/// While outcomes are missing, and when what is there is not what is wanted.
pub fn verify(verify: &VerifyConnect, cx: &mut Cx<'_>) -> Flow<Complete> {
    // The process is to have run for as long as its cycles take; the logs are read back to when the soak began.
    let (cycles_take, soaked_seconds) = match verify.soaked_seconds {
        Some(seconds) => {
            // The number of cycles is as planned, however late this look comes; they are waited for from here on.
            let slow = soak::slow_cycles(seconds, cx)?;
            let lasted = soak::lasted(seconds, cx).saturating_add(slow - seconds);
            (Some(slow), Some(lasted))
        }
        None => (None, None),
    };
    let verify = &VerifyConnect {
        soaked_seconds,
        ..verify.clone()
    };
    let Some(connect) = facts::connect_sync(cx)?.told()? else {
        // Somebody may have said of the wizard that it is done: its trace tells why it is not.
        let trouble = trouble::of_wizard(None, cx)?;
        let mut absent =
            catalogue::PV22.finding("Connect Sync is not on this server", Verdict::Fail);
        if let Some(trouble) = &trouble {
            trouble.explain(&mut absent);
        }
        step::settle_showing(vec![absent], trouble, cx)?;
        return fail("Connect Sync is not on this server");
    };
    let version = connect
        .version
        .map_or("absent".to_owned(), |version| version.to_string());
    let verdict = |pass: Option<bool>| match pass {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Fail,
        None => Verdict::CannotTell,
    };
    let show =
        |value: Option<bool>| value.map_or("not readable".to_owned(), |value| value.to_string());
    let running = connect.service == Some(ServiceState::Running);
    let state = connect
        .service
        .map_or("absent".to_owned(), |state| format!("{state:?}"));
    let asked = scheduler(cx)?;
    let refused = asked.as_ref().err().and_then(|why| trouble::of_script(why));
    let suspended = asked.as_ref().ok().and_then(|now| now.suspended);
    let cycles = connect
        .cycle_enabled
        .zip(suspended)
        .map(|(enabled, suspended)| enabled && !suspended);
    let mut wizard = None;
    for path in product::CONNECT_WIZARDS {
        // In which folder it is the vendor's pages disagree, and what cannot be read says nothing.
        wizard = wizard.or(cx.file_version(path)?.ok().flatten());
    }
    let enough = |version| version >= verify.at_least;
    let new_enough = connect
        .version
        .map(|version| enough(version) && wizard.is_none_or(enough));
    let read = match wizard {
        Some(wizard) => format!("{version}, its wizard {wizard}"),
        None => format!("{version}; its wizard is in none of the folders that are known"),
    };
    let mut of_version = catalogue::PV23.finding(read, verdict(new_enough));
    of_version.wanted = format!("{} or later", verify.at_least);
    let as_meant = connect
        .staging
        .map(|is| verify.staging.is_none_or(|wanted| wanted == is));
    let mut mode = catalogue::PV25.finding(show(connect.staging), verdict(as_meant));
    if let Some(trouble) = &refused {
        trouble.explain(&mut mode);
    }
    if let Some(wanted) = verify.staging {
        mode.wanted = format!("staging: {wanted}");
    }
    let mut scheduler = catalogue::PV24.finding(
        format!(
            "cycle enabled: {}, suspended: {}",
            show(connect.cycle_enabled),
            show(suspended)
        ),
        verdict(cycles),
    );
    // Nothing is exported to the tenant while the active server's cycle is off. On a staging server that is the tenant's setting,
    // which a change of the active server must not wait for; an open wizard there may be taking it out of that mode just now (G1).
    let stands = connect.staging == Some(false) && connect.cycle_enabled == Some(false);
    let may_leave = verify.staging == Some(true) && suspended == Some(true);
    if !stands && !may_leave {
        scheduler.severity = Severity::Warn;
    }
    // One that is active and lets no cycle begin exports nothing.
    let exports = connect.staging == Some(false);
    if exports {
        soak::insist(&mut scheduler, verify.soaked_seconds);
    }
    let stability = step::stability(product::CONNECT_SERVICE, cycles_take, cx)?;
    let mut of_service = catalogue::PV22.finding(state, verdict(Some(running)));
    let stopped = if running {
        None
    } else {
        trouble::of_engine(connect.version, cx)?
    };
    if let Some(trouble) = &stopped {
        trouble.explain(&mut of_service);
    }
    let mut findings = vec![of_service, of_version, scheduler, mode];
    findings.extend(stability);
    findings.extend(
        verify
            .soaked_seconds
            .map(|seconds| soak::cycles(&asked, seconds, exports)),
    );
    findings.extend(engine::verified(verify, (connect.version, exports), cx)?);
    let question = soak::question(&findings, verify.soaked_seconds);
    step::settle_showing(findings, stopped.or(refused), cx)?;
    soak::told(question)?;
    let mode = if connect.staging == Some(true) {
        "staging"
    } else {
        "active"
    };
    let summary = format!("version {version}, {mode}");
    Ok(Complete {
        grade: Some(Grade::Configured),
        ..Complete::new(Completion::AlreadySo, summary)
    })
}
