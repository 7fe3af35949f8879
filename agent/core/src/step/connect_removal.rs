//! Connect Sync is taken off a server for good, by a person at its wizard (product facts 2.16): the vendor documents no other
//! way. What is left on the server, on a SQL Server and in the tenant is listed with who clears it away.

use protocol::event::{Completion, Verdict};
use protocol::step::GuideConnectRemoval;

use crate::catalogue;
use crate::op::{Program, Service};
use crate::procedure::{Complete, Cx, Flow, Stop};
use crate::product;
use crate::step::{self, WATCH, facts, trouble};

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
    cx.task(&guide.text)?;
    // In the middle of the wizard's work something may not be readable for a moment: it is looked at again.
    let seen = trouble::watch(
        cx,
        |cx| trouble::of_wizard(None, cx),
        |cx| Ok(matches!(is_gone(cx)?, Ok(true)).then_some(())),
    )?;
    match seen {
        Ok(()) => {
            let summary = format!("Connect is gone{sure}");
            Ok(Complete::new(Completion::SeenDone, summary))
        }
        Err(by) => {
            let summary = format!("attested by {by}; no probe saw that Connect is gone{sure}");
            Ok(Complete::new(Completion::Attested { by }, summary))
        }
    }
}

/// Verifies that nothing works any more, and lists what is left.
///
/// # Errors
/// While outcomes are missing, and when something still works.
pub fn verify(cx: &mut Cx<'_>) -> Flow<Complete> {
    let listed = cx.programs(&product::CONNECT_PROGRAMS)?;
    let show = |programs: &Vec<Program>| step::names_or_none(programs);
    let is = |there: &bool| if *there { "there" } else { "absent" }.to_owned();
    let of_service = |service: &Option<Service>| match service {
        Some(service) => format!("{:?}", service.state),
        None => "absent".to_owned(),
    };
    let mut findings = vec![catalogue::CR01.judge(listed, show, Vec::is_empty)];
    let engine = cx.service(product::CONNECT_SERVICE)?;
    findings.push(catalogue::CR02.judge(engine, of_service, Option::is_none));
    let file = cx.path_exists(product::CONNECT_ENGINE)?;
    findings.push(catalogue::CR03.judge(file, is, |there| !there));
    let data = cx.path_exists(product::CONNECT_DATA)?;
    findings.push(catalogue::CR04.judge(data, is, |there| !there));
    let pass_through = cx.service(product::PASS_THROUGH_SERVICE)?;
    findings.push(catalogue::CR05.judge(pass_through, of_service, Option::is_none));
    for probe in [&catalogue::CR06, &catalogue::CR07] {
        findings.push(probe.finding("not asked", Verdict::CannotTell));
    }
    step::settle(findings.clone(), cx)?;
    let summary = step::leftovers(&findings);
    Ok(Complete::new(Completion::AlreadySo, summary))
}
