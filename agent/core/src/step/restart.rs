//! A restart of Windows, where it waits for one: by the agent where its site's rule allows it, else by a person. It begins
//! after leave was given, so that enough others serve meanwhile (G2) and the site is open.

use protocol::event::{Completion, Section};
use protocol::facts::ProvisioningAgentFacts;
use protocol::step::{RestartBy, RestartServer};

use crate::op::{Op, RegistryValue};
use crate::procedure::{Complete, Cx, Flow, Stop, fail};
use crate::product;
use crate::step::preflight::restart_pending;
use crate::step::{WATCH, facts};

/// What asks for the restart that Windows waits for; nothing where it waits for none.
fn waits_for(cx: &mut Cx<'_>) -> Flow<Vec<&'static str>> {
    let why = |why| {
        Stop::CannotTell(format!(
            "whether Windows waits for a restart could not be read: {why}"
        ))
    };
    restart_pending(cx)?.map_err(why)
}

/// What the note that lasts says while this very run lets Windows restart: its generation, as far as it fits.
fn mark(cx: &Cx<'_>) -> u32 {
    u32::try_from(cx.generation().0 & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// Whether an earlier life of the agent let Windows restart in this run, and nobody has looked since what came of it.
fn ordered(cx: &mut Cx<'_>) -> Flow<bool> {
    let noted = cx.number(product::OWED_KEY, product::OWED_WINDOWS)?;
    let noted = noted.map_err(|why| {
        Stop::CannotTell(format!(
            "whether the agent let Windows restart could not be read: {why}"
        ))
    })?;
    Ok(cx.resumed() && noted == Some(mark(cx)))
}

fn note(mark: u32, cx: &mut Cx<'_>) -> Flow<()> {
    let noted = cx.perform(Op::SetRegistry {
        key: product::OWED_KEY.to_owned(),
        value: product::OWED_WINDOWS.to_owned(),
        data: RegistryValue::Number(mark),
    })?;
    noted.or_else(|why| fail(format!("that Windows restarts could not be noted: {why}")))
}

fn done(how: Completion, what: &str) -> Flow<Complete> {
    Ok(Complete::new(how, what))
}

const NO_MORE: &str = "Windows was restarted, and waits for no other restart";

/// Fails where Windows waits for a restart after one.
fn again(places: &[&str]) -> Flow<()> {
    if places.is_empty() {
        return Ok(());
    }
    fail(format!(
        "Windows was restarted, and waits for a restart again: see what asks for it ({}), end that, then retry",
        places.join(", ")
    ))
}

fn serves(cx: &mut Cx<'_>) -> Flow<bool> {
    let agent = facts::provisioning_agent(cx)?.told()?;
    Ok(agent.as_ref().is_some_and(ProvisioningAgentFacts::serves))
}

/// Restarts Windows where it waits for it. It is restarted once: where it still waits afterwards, a person looks.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub(super) fn restart(restart: &RestartServer, cx: &mut Cx<'_>) -> Flow<Complete> {
    let was_ordered = ordered(cx)?;
    if was_ordered && !cx.key_exists(product::RESTART_KEY)?.unwrap_or(false) {
        // Our own note that a restart is needed is volatile: while it stands, Windows has not restarted since. The one that
        // lasts stays where Windows waits again, so that no cut leads to a second restart.
        again(&waits_for(cx)?)?;
        note(0, cx)?;
        return done(Completion::Applied, NO_MORE);
    }
    if waits_for(cx)?.is_empty() {
        return done(Completion::AlreadySo, "Windows waits for no restart");
    }
    let outage = serves(cx)?;
    cx.enter(Section { outage, gmsa: None })?;
    // Days may have passed until leave came: whoever serves by now needs leave for an outage.
    if !outage && serves(cx)? {
        cx.leave(None)?;
        cx.enter(Section {
            outage: true,
            gmsa: None,
        })?;
    }
    if waits_for(cx)?.is_empty() {
        cx.leave(None)?;
        return done(
            Completion::AlreadySo,
            "Windows waits for no restart any more",
        );
    }
    match &restart.by {
        RestartBy::Agent => by_the_agent(cx)?,
        RestartBy::Person(text) => {
            cx.task(text)?;
            let ended = cx.until(WATCH, |cx| Ok(waits_for(cx)?.is_empty().then_some(())))?;
            cx.leave(None)?;
            return match ended {
                Ok(()) => done(Completion::SeenDone, NO_MORE),
                Err(by) => {
                    let what = format!(
                        "{by} says that Windows was restarted; it waits for a restart all the same"
                    );
                    done(Completion::Attested { by }, &what)
                }
            };
        }
    }
    cx.leave(None)?;
    done(Completion::Applied, NO_MORE)
}

fn by_the_agent(cx: &mut Cx<'_>) -> Flow<()> {
    // The volatile note first: what was ordered and did not happen shows by it.
    if let Err(why) = cx.perform(Op::RequireRestart)? {
        return fail(format!(
            "that Windows is to restart could not be noted: {why}"
        ));
    }
    note(mark(cx), cx)?;
    if let Err(why) = cx.perform(Op::RestartServer)? {
        note(0, cx)?;
        return fail(format!("Windows did not restart: {why}"));
    }
    again(&waits_for(cx)?)?;
    note(0, cx)
}
