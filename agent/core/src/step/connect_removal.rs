//! Connect Sync is taken off a server for good, by a person at its wizard (product facts 2.16): the vendor documents no other
//! way. What is left on the server, on a SQL Server and in the tenant is listed with who clears it away.

use std::time::Duration;

use protocol::DomainName;
use protocol::event::{Completion, Finding, Verdict};
use protocol::step::GuideConnectRemoval;

use crate::catalogue;
use crate::op::{Program, Scope, Service};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop};
use crate::product;
use crate::step::directory::Directory;
use crate::step::{self, WATCH, controllers, facts, place, transition, trouble};

/// Looks at the list of programs behind the end of engine and service, and the pause between them: the wizard takes all components off
/// (product facts 2.16 [P]), and those may not be the last. How long that takes is in no source; what is listed still is told by CR01.
const ENDS: (u32, Duration) = (20, WATCH);

/// Whether engine and service are gone; why, where that cannot be read.
fn is_gone(cx: &mut Cx<'_>) -> Flow<Result<bool, String>> {
    let seen = facts::connect_sync(cx)?;
    Ok(match seen.unread {
        Some(why) => Err(why),
        None => Ok(seen.found.is_none()),
    })
}

/// Opens the wizard's pages as work for a person and watches for its end. An agent of pass-through authentication is a
/// question of its own before: whether another one is active in the tenant does not show on this server.
///
/// # Errors
/// While outcomes are missing, and when it cannot tell.
pub fn guide(guide: &GuideConnectRemoval, cx: &mut Cx<'_>) -> Flow<Complete> {
    match is_gone(cx)? {
        Err(why) => return Err(Stop::CannotTell(why)),
        Ok(true) => {
            let summary = "no Connect is there";
            return Ok(Complete::new(Completion::AlreadySo, summary));
        }
        Ok(false) => {}
    }
    let pass_through = cx.service(product::PASS_THROUGH_SERVICE)?;
    let mut sure = String::new();
    let findings = dependents(&pass_through, cx)?;
    cx.note(&findings)?;
    match pass_through {
        Err(why) => {
            return Err(Stop::CannotTell(format!(
                "whether an agent of pass-through authentication is on this server: {why}"
            )));
        }
        Ok(None) => {}
        Ok(Some(_)) => {
            cx.task(&guide.pass_through)?;
            // Somebody may take that agent off meanwhile: then nothing depends on it any more.
            let gone = cx.until(WATCH, |cx| {
                let service = cx.service(product::PASS_THROUGH_SERVICE)?;
                Ok(matches!(service, Ok(None)).then_some(()))
            })?;
            if let Err(by) = gone {
                sure = format!(
                    "; that another agent of pass-through authentication is active, {by} says"
                );
            }
        }
    }
    // The service alone tells the folder that somebody chose, and goes with the removal.
    if let Err(why) = place::note(cx)? {
        return Err(Stop::CannotTell(format!(
            "where the engine lies, or it cannot be noted before its service goes: {why}"
        )));
    }
    cx.task(&guide.text)?;
    // In the middle of the wizard's work something may not be readable for a moment: it is looked at again.
    let seen = trouble::watch(
        cx,
        |cx| trouble::wizard(None, cx),
        |cx| Ok(matches!(is_gone(cx)?, Ok(true)).then_some(())),
    )?;
    match seen {
        Ok(()) => {
            let (looks, pause) = ENDS;
            let unlisted = |cx: &mut Cx<'_>| {
                let listed = cx.programs(&product::CONNECT_PROGRAMS)?;
                let is_listed = listed.is_ok_and(|programs| !programs.is_empty());
                Ok((!is_listed).then_some(()))
            };
            // Whether it came to its end is the verification's to say.
            cx.retry(looks, pause, unlisted)?;
            let summary = format!("Connect is gone{sure}");
            Ok(Complete::new(Completion::SeenDone, summary))
        }
        Err(by) => {
            let summary = format!("attested by {by}; no probe saw that Connect is gone{sure}");
            Ok(Complete::new(Completion::Attested { by }, summary))
        }
    }
}

/// Who depends on the server, as far as it shows: it is told before anybody is sent to the wizard. What blocks has a task of
/// its own, which ends by a named person's word.
fn dependents(pass_through: &Reading<Option<Service>>, cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    let show = |service: &Option<Service>| match service {
        Some(service) => format!(
            "{:?}; whether another one is active shows in the tenant alone",
            service.state
        ),
        None => "absent".to_owned(),
    };
    let mut findings = vec![catalogue::UN01.judge(pass_through.clone(), show, Option::is_none)];
    let mut there = Ok(Vec::new());
    for name in product::HEALTH_SERVICES {
        match (cx.service(name)?, &mut there) {
            (Ok(Some(_)), Ok(names)) => names.push(name),
            (Ok(None), _) | (Ok(_), Err(_)) => {}
            (Err(why), there) => *there = Err(why),
        }
    }
    let show = |names: &Vec<&str>| match names.as_slice() {
        [] => format!(
            "neither {} is there",
            product::HEALTH_SERVICES.join(" nor ")
        ),
        some => some.join(", "),
    };
    findings.push(catalogue::UN02.judge(there, show, Vec::is_empty));
    findings.push(single_sign_on(cx)?);
    findings.push(transition::writeback(cx)?);
    Ok(findings)
}

/// UN03: the account is the forest's, and lies in the domain in which it was made.
fn single_sign_on(cx: &mut Cx<'_>) -> Flow<Finding> {
    let domain = cx.text(product::TCPIP_KEY, "Domain")?;
    let domain = domain.and_then(|domain| {
        let domain = domain.ok_or("the server is in no domain")?;
        let read = domain.parse::<DomainName>();
        read.map_err(|error| format!("{domain}: {error}"))
    });
    let directory = match domain {
        Ok(domain) => controllers::open(&domain, &[], cx)?,
        Err(why) => Err(why),
    };
    sign_on_account(directory.as_ref(), cx)
}

/// UN03, of the domain that a directory is of.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn sign_on_account(
    directory: Result<&Directory, &String>,
    cx: &mut Cx<'_>,
) -> Flow<Finding> {
    let probe = &catalogue::UN03;
    let found = match directory {
        Ok(directory) => {
            let name = product::SINGLE_SIGN_ON_ACCOUNT;
            let filter = format!("(&(objectClass=computer)(sAMAccountName={name}))");
            let base = directory.root.domain.clone();
            let found = directory.search(base, Scope::Subtree, &filter, &["sAMAccountName"], cx)?;
            found.map(|(entries, _)| !entries.is_empty())
        }
        Err(why) => Err(why.clone()),
    };
    let instead = directory.map_or_else(|_| String::new(), |opened| opened.root.instead());
    let show = |there: &bool| {
        let is = if *there { "is there" } else { "is not shown" };
        format!("{} {is}{instead}", product::SINGLE_SIGN_ON_ACCOUNT)
    };
    Ok(probe.judge(found, show, |there| !there))
}

/// Verifies that nothing works any more, and lists what is left.
///
/// # Errors
/// While outcomes are missing, and when something still works.
pub fn verify(cx: &mut Cx<'_>) -> Flow<Complete> {
    let listed = cx.programs(&product::CONNECT_PROGRAMS)?;
    let show = |programs: &Vec<Program>| step::names_or_none(programs);
    let is = |there: &bool| if *there { "there" } else { "absent" }.to_owned();
    let mut findings = vec![catalogue::CR01.judge(listed, show, Vec::is_empty)];
    let engine = cx.service(product::CONNECT_SERVICE)?;
    findings.push(catalogue::CR02.judge(engine, step::of_service, Option::is_none));
    let left = place::left(cx)?;
    let show = |left: &Option<String>| left.as_deref().unwrap_or("absent").to_owned();
    findings.push(catalogue::CR03.judge(left, show, Option::is_none));
    let data = cx.path_exists(product::CONNECT_DATA)?;
    findings.push(catalogue::CR04.judge(data, is, |there| !there));
    let pass_through = cx.service(product::PASS_THROUGH_SERVICE)?;
    findings.push(catalogue::CR05.judge(pass_through, step::of_service, Option::is_none));
    for probe in [&catalogue::CR06, &catalogue::CR07] {
        findings.push(probe.finding("not asked", Verdict::CannotTell));
    }
    step::settle(findings.clone(), cx)?;
    let summary = step::leftovers(&findings);
    Ok(Complete::new(Completion::AlreadySo, summary))
}
