//! The provisioning agent is taken off a server for good (product facts 1.12). Nothing in the directory or the tenant is
//! touched: what is left there, and on the server, is listed with who clears it away.

use protocol::event::{Completion, Failure, Finding, Section, Verdict};
use protocol::facts::ProvisioningAgentFacts;
use protocol::probe::controller;
use protocol::step::{RemoveProvisioningAgent, VerifyProvisioningAgentRemoved};

use crate::catalogue;
use crate::op::{Log, Op, Program, ProgramKind};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::product;
use crate::step::{self, controllers, facts, installer, preflight, provisioning_agent};

/// What is there of the product: what still works, and what Windows lists.
struct There {
    agent: Option<ProvisioningAgentFacts>,
    programs: Vec<Program>,
}

impl There {
    fn look(cx: &mut Cx<'_>) -> Flow<Self> {
        let agent = facts::provisioning_agent(cx)?.told()?;
        let programs = listed(cx)?;
        Ok(Self { agent, programs })
    }

    /// A registry key alone is a leftover and no agent.
    fn is_gone(&self) -> bool {
        let works = |agent: &ProvisioningAgentFacts| !agent.is_removed();
        self.programs.is_empty() && !self.agent.as_ref().is_some_and(works)
    }
}

/// The product's entries in Windows' list of programs, in the order in which they are taken off. The updater is no program of
/// the agent alone: it is left where another tool that it keeps up to date is on the server. What the bundle itself takes
/// along is the bundle's.
fn programs(cx: &mut Cx<'_>) -> Flow<Reading<Vec<Program>>> {
    let listed = cx.programs(product::AGENT_PROGRAMS)?;
    let mut shared = Ok(false);
    for service in product::UPDATED_SERVICES {
        let there = cx.service(service)?;
        shared = shared.and_then(|before| there.map(|there| before || there.is_some()));
    }
    Ok(listed.and_then(|mut programs| {
        if shared? {
            programs.retain(|program| !product::is_updater(&program.name));
        }
        programs.sort_by_key(|program| (product::removal_order(&program.name), program.id.clone()));
        Ok(programs)
    }))
}

/// The same for whoever acts on it: a list that cannot be read is a question.
fn listed(cx: &mut Cx<'_>) -> Flow<Vec<Program>> {
    programs(cx)?.map_err(|why| {
        Stop::CannotTell(format!(
            "Windows' list of programs could not be read: {why}"
        ))
    })
}

/// Takes it off: its bundle first, then what that left.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn remove(remove: &RemoveProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let removed = taken_off(remove, cx)?;
    provisioning_agent::forget_owed(cx)?;
    Ok(removed)
}

fn taken_off(remove: &RemoveProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    installer::await_earlier(cx)?;
    let there = There::look(cx)?;
    if there.is_gone() {
        let summary = "no provisioning agent is there";
        return Ok(Complete::new(Completion::AlreadySo, summary));
    }
    let registered = there.agent.as_ref().and_then(|agent| agent.tenant.as_ref());
    if let Some(other) = registered.filter(|registered| **registered != remove.tenant) {
        return fail(format!(
            "the agent on this server is registered with another tenant, {other}; it was left as it is (G9)"
        ));
    }
    if there.programs.is_empty() && cx.restart_follows() && restart_is_pending(cx)? {
        // An earlier try may have taken everything off: the agent goes with the restart, and is looked for after it.
        let summary = "nothing of it is listed any more; the agent is there until Windows restarts";
        return Ok(Complete::new(Completion::AlreadySo, summary));
    }
    if there.programs.is_empty() {
        return fail(
            "the agent is there, and Windows lists none of its programs: take it off by hand; where a removal has asked for a restart, restart the server first",
        );
    }
    let ready = preflight::installers(cx)?;
    step::settle(ready, cx)?;
    // It is for good: also an agent that does not serve just now goes only while others do.
    cx.enter(Section {
        outage: true,
        gmsa: None,
    })?;
    let (removed, restart, refused) = take_off(there.programs, cx)?;
    // Before the section ends, which tells that it is over: whoever goes on from there finds that Windows asks.
    let noted = if restart && cx.restart_follows() {
        cx.perform(Op::RequireRestart)?
    } else {
        Ok(())
    };
    cx.leave(None)?;
    let there = There::look(cx)?;
    if restart && there.programs.is_empty() && cx.restart_follows() {
        let summary = format!("taken off: {}{}", step::names(&removed), installer::RESTART);
        let until = if there.is_gone() {
            ""
        } else {
            "; the agent is there until then"
        };
        let why = installer::unnoted(noted);
        let summary = format!("{summary}{until}{why}");
        return Ok(Complete::new(Completion::Applied, summary));
    }
    if restart && !there.is_gone() && there.programs.is_empty() {
        return Err(Stop::CannotTell(
            "everything was taken off, and Windows asks for a restart before the agent is gone; restart the server, then retry"
                .to_owned(),
        ));
    }
    if !there.is_gone() {
        let mut what = match step::names(&there.programs) {
            none if none.is_empty() => {
                "everything was taken off, and the agent is still there".to_owned()
            }
            names => format!("still listed: {names}"),
        };
        let (mut known, mut lines) = (None, Vec::new());
        for why in refused {
            what = format!("{what}; {}", why.what);
            known = known.or(why.known);
            lines.extend(why.lines);
        }
        let mut failure = Failure::plain(what);
        failure.known = known;
        return Err(Stop::Failed(Box::new(failure.with_lines(lines))));
    }
    let mut summary = format!("taken off: {}", step::names(&removed));
    if restart {
        summary.push_str(installer::RESTART);
    }
    Ok(Complete::new(Completion::Applied, summary))
}

/// Whether Windows waits for a restart; where that cannot be read, whoever restarts it says so.
fn restart_is_pending(cx: &mut Cx<'_>) -> Flow<bool> {
    let places = preflight::restart_pending(cx)?;
    Ok(places.is_ok_and(|places| !places.is_empty()))
}

/// Takes off one after the other what is listed; what one takes along is not asked for again. Gives what it ran, whether
/// Windows asks for a restart, and why something did not come to its end, with what its log shows of that.
fn take_off(mut left: Vec<Program>, cx: &mut Cx<'_>) -> Flow<(Vec<Program>, bool, Vec<Failure>)> {
    let (mut ran, mut refused) = (Vec::<Program>::new(), Vec::<Failure>::new());
    let mut restart = false;
    while let Some(program) = left
        .iter()
        .find(|program| !ran.iter().any(|before| before.id == program.id))
        .cloned()
    {
        ran.push(program.clone());
        if program.kind == ProgramKind::Other {
            refused.push(Failure::plain(format!(
                "{} names no way to take it off silently",
                program.name
            )));
            continue;
        }
        let log = Log::ProvisioningAgentRemoval;
        match installer::patiently(cx, |cx| cx.uninstall(&program, log))? {
            // Without its cached setup a bundle cannot go, but what it brought can.
            Err(why) => {
                let what = format!("{}: {why}", program.name);
                refused.push(installer::shown(what, log, cx)?);
            }
            // 1605: Windows Installer knows no such product; it is gone.
            Ok(0 | 1605) => {}
            Ok(3010 | 1641) => restart = true,
            Ok(code) => {
                let what = format!("taking off {}", program.name);
                let failure = installer::failure(&what, code, log, cx)?;
                return Err(Stop::Failed(Box::new(failure)));
            }
        }
        left = listed(cx)?;
    }
    Ok((ran, restart, refused))
}

/// Verifies that nothing works any more, and lists what is left on the server and in the directory.
///
/// # Errors
/// While outcomes are missing, and when something still works.
pub fn verify(verify: &VerifyProvisioningAgentRemoved, cx: &mut Cx<'_>) -> Flow<Complete> {
    let listed = programs(cx)?;
    let show = |programs: &Vec<Program>| step::names_or_none(programs);
    let mut findings = vec![catalogue::RM01.judge(listed, show, Vec::is_empty)];
    for (probe, service) in [
        (&catalogue::RM02, product::AGENT_SERVICE),
        (&catalogue::RM03, product::UPDATER_SERVICE),
    ] {
        let service = cx.service(service)?;
        findings.push(probe.judge(service, step::of_service, Option::is_none));
    }
    let is = |there: &bool| if *there { "there" } else { "absent" }.to_owned();
    let folder = cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?;
    let folder = match folder {
        Ok(folder) => {
            let folder = folder.unwrap_or_else(|| product::AGENT_FOLDER.to_owned());
            cx.path_exists(folder.trim_end_matches('\\'))?
        }
        Err(why) => Err(why),
    };
    findings.push(catalogue::RM04.judge(folder, is, |there| !there));
    let key = cx.key_exists(product::AGENT_KEY)?;
    findings.push(catalogue::RM05.judge(key, is, |there| !there));
    let traces = cx.path_exists(product::AGENT_TRACES)?;
    findings.push(catalogue::RM06.judge(traces, is, |there| !there));
    findings.push(principal(verify, cx)?);
    findings.push(controller::RM08.finding(
        "no server sees it: the next reading of the tenant tells it (entrain tenant show)",
        Verdict::CannotTell,
    ));
    step::settle(findings.clone(), cx)?;
    let mut summary = step::leftovers(&findings);
    if let Some(name) = &verify.gmsa {
        // What the product leaves there (facts 1.12 [I]): it may be other agents' account, and no server's to clear away.
        summary.push_str(&format!(
            "; not looked at and not touched: {name} in {} and the rights that it was given, which stay until that domain's administrator takes them away, once no agent runs as it any more",
            verify.home_domain
        ));
    }
    Ok(Complete::new(Completion::AlreadySo, summary))
}

/// Whether the server may still retrieve the password of the account that the agent ran as.
fn principal(verify: &VerifyProvisioningAgentRemoved, cx: &mut Cx<'_>) -> Flow<Finding> {
    let probe = &catalogue::RM07;
    let Some(name) = &verify.gmsa else {
        return Ok(probe.finding("which account it ran as is not known", Verdict::CannotTell));
    };
    let directory = match controllers::open(&verify.home_domain, &[], cx)? {
        Ok(directory) => directory,
        Err(why) => return Ok(probe.finding(why, Verdict::CannotTell)),
    };
    let listed = directory.lists(name, verify.target.as_str(), cx)?;
    let show = |listed: &bool| {
        let word = if *listed { "lists" } else { "does not list" };
        let instead = directory.root.instead();
        format!("{name} {word} {}{instead}", verify.target)
    };
    Ok(probe.judge(listed, show, |listed| !listed))
}
