//! Puts back what was set as a prerequisite. What each setting was before is the agent's own note; it is put back only where the
//! setting is still what Entrain has set: what somebody else has changed since is theirs.

use protocol::event::{Completion, Failure, Section};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::step::{Fix, UndoFixes};

use super::fix::{self, Note, SETTINGS, Setting, VAULT_NOTE, VAULT_WAS, Was, left, shown};
use super::policies::Policies;
use crate::op::{Op, RegistryValue};
use crate::procedure::{Complete, Cx, Flow, Stop, fail};
use crate::product;
use crate::step::{STOPS, facts};

/// What came of the settings, a sentence each.
#[derive(Default)]
struct Told {
    back: Vec<String>,
    left: Vec<String>,
}

/// Puts back what the agent has noted of these prerequisites.
///
/// # Errors
/// While outcomes are missing; when a product that needs them is there and the step is not to act all the same; when a note or a product
/// cannot be read (*cannot tell*); and when something could not be put back.
pub(in crate::step) fn undo(undo: &UndoFixes, cx: &mut Cx<'_>) -> Flow<Complete> {
    let mut notes: Vec<(&Setting, Note)> = Vec::new();
    if undo.fixes.contains(&Fix::Tls12) {
        for setting in &SETTINGS {
            if let Some(text) = noted(setting.note, cx)? {
                let note = Note::read(&text).ok_or_else(|| unreadable(setting.note, &text))?;
                notes.push((setting, note));
            }
        }
    }
    let vault = undo.fixes.contains(&Fix::Vaultsvc);
    let vault = if vault { noted(VAULT_NOTE, cx)? } else { None };
    if let Some(text) = vault.as_deref().filter(|text| *text != VAULT_WAS) {
        return Err(unreadable(VAULT_NOTE, text));
    }
    if notes.is_empty() && vault.is_none() {
        return Ok(Complete::new(
            Completion::AlreadySo,
            "nothing of it is noted as set by Entrain on this server, or all of it was put back",
        ));
    }
    if !undo.anyway {
        unneeded(cx)?;
    }
    let policies = Policies::ask(None, cx)?;
    // Under a product that serves this may take it out of service, which others must be able to bear (G2).
    let outage = facts::provisioning_agent(cx)?.told()?;
    let outage = outage.is_some_and(|agent| agent.serves());
    if outage {
        cx.enter(Section { outage, gmsa: None })?;
    }
    let mut told = Told::default();
    // In the other order than they were set.
    if vault.is_some() {
        service(&policies, cx, &mut told)?;
    }
    for (setting, note) in notes.iter().rev() {
        value(setting, note, &policies, cx, &mut told)?;
    }
    if outage {
        cx.leave(None)?;
    }
    let Told { back, left } = told;
    let completion = if back.is_empty() {
        Completion::AlreadySo
    } else {
        Completion::Applied
    };
    let all: Vec<String> = back.into_iter().chain(left).collect();
    Ok(Complete::new(completion, all.join("; ")))
}

fn noted(note: &str, cx: &mut Cx<'_>) -> Flow<Option<String>> {
    cx.text(product::SET_KEY, note)?.map_err(|why| {
        Stop::CannotTell(format!(
            "what {note} was before could not be read from the agent's notes: {why}"
        ))
    })
}

fn unreadable(note: &str, text: &str) -> Stop {
    let shown: String = text.chars().take(80).collect();
    Stop::CannotTell(format!(
        "the agent's note of what {note} was before is none of its own making: {shown:?}"
    ))
}

/// Fails while a product is there that stops without what is to be put back.
fn unneeded(cx: &mut Cx<'_>) -> Flow<()> {
    let agent = facts::provisioning_agent(cx)?.told()?;
    let mut there = Vec::new();
    if agent.is_some_and(|agent| !ProvisioningAgentFacts::is_removed(&agent)) {
        there.push("the provisioning agent");
    }
    if facts::connect_sync(cx)?.told()?.is_some() {
        there.push("Connect Sync");
    }
    if there.is_empty() {
        return Ok(());
    }
    fail(format!(
        "{} is on this server and needs what was set: nothing was put back (entrain undo --anyway does it all the same)",
        there.join(" and ")
    ))
}

fn value(
    setting: &Setting,
    note: &Note,
    policies: &Policies,
    cx: &mut Cx<'_>,
    told: &mut Told,
) -> Flow<()> {
    let what = format!("{} of {}", setting.value, setting.half());
    let there = match cx.registry(setting.key, setting.value)? {
        Ok(there) => there,
        Err(why) => {
            told.left
                .push(format!("{what} was left: it could not be read: {why}"));
            return Ok(());
        }
    };
    let was = match &note.was {
        Was::Absent => None,
        Was::Value(value) => Some(value.clone()),
        Was::Unread => {
            told.left.push(format!(
                "{what} was left: what it was before Entrain set it could not be read then"
            ));
            return Ok(());
        }
    };
    if there == was {
        told.left
            .push(format!("{what} is {} again already", shown(&was)));
        return forget(setting.note, cx);
    }
    if there != Some(RegistryValue::Number(note.set)) {
        told.left.push(format!(
            "{what} was left: Entrain set {}, and somebody has made it {} since",
            note.set,
            shown(&there)
        ));
        return Ok(());
    }
    if let Some(why) = left(policies, setting.key, setting.value) {
        told.left.push(format!("{what} was left: {why}"));
        return Ok(());
    }
    // Noted first, as when it was set.
    let restart = setting.restarts_back(was.is_some());
    if restart && let Err(why) = cx.perform(Op::RequireRestart)? {
        return failed(
            &what,
            &format!("that a restart is needed could not be noted: {why}"),
            told,
        );
    }
    let (key, name) = (setting.key.to_owned(), setting.value.to_owned());
    let done = cx.perform(match was.clone() {
        None => Op::ClearRegistry { key, value: name },
        Some(data) => Op::SetRegistry {
            key,
            value: name,
            data,
        },
    })?;
    if let Err(why) = done {
        return failed(&what, &why, told);
    }
    if cx.registry(setting.key, setting.value)? != Ok(was.clone()) {
        return failed(&what, "it does not read as it was put back", told);
    }
    let after = if restart {
        ", which holds once Windows was restarted"
    } else {
        ""
    };
    told.back.push(format!(
        "{what} put back from {} to {}{after}",
        note.set,
        shown(&was)
    ));
    forget(setting.note, cx)
}

fn service(policies: &Policies, cx: &mut Cx<'_>, told: &mut Told) -> Flow<()> {
    let name = product::VAULT_SERVICE;
    let there = match cx.service(name)? {
        Ok(Some(service)) => service,
        Ok(None) => {
            told.left
                .push(format!("{name} was left: there is no such service"));
            return Ok(());
        }
        Err(why) => {
            told.left
                .push(format!("{name} was left: it could not be read: {why}"));
            return Ok(());
        }
    };
    if there.state == ServiceState::Disabled {
        told.left.push(format!("{name} is Disabled again already"));
        return forget(VAULT_NOTE, cx);
    }
    if there.automatic {
        told.left.push(format!(
            "{name} was left: Entrain set it to Manual, and somebody has made it Automatic since"
        ));
        return Ok(());
    }
    if let Some(why) = left(policies, name, "") {
        told.left.push(format!("{name} was left: {why}"));
        return Ok(());
    }
    let disabled = cx.perform(Op::DisableService {
        name: name.to_owned(),
    })?;
    if let Err(why) = disabled {
        return failed(name, &why, told);
    }
    // It is told to stop, and takes its time.
    let (looks, pause) = STOPS;
    let stopped = cx.retry(looks, pause, |cx| {
        let after = cx.service(name)?;
        Ok(
            matches!(after, Ok(Some(service)) if service.state == ServiceState::Disabled)
                .then_some(()),
        )
    })?;
    if stopped.is_none() {
        return failed(name, "it does not read as Disabled", told);
    }
    told.back
        .push(format!("{name} put back from Manual to Disabled"));
    forget(VAULT_NOTE, cx)
}

/// Ends the step with what failed, and what was put back before.
fn failed(what: &str, why: &str, told: &Told) -> Flow<()> {
    let so_far = told.back.iter().chain(&told.left);
    let text = so_far.fold(
        format!("{what} could not be put back: {why}"),
        |text, one| format!("{text}; {one}"),
    );
    Err(Stop::Failed(Box::new(Failure::plain(text))))
}

/// The note goes when what it tells of is so again.
fn forget(note: &str, cx: &mut Cx<'_>) -> Flow<()> {
    fix::forget(note, cx)?.or_else(fail)
}
