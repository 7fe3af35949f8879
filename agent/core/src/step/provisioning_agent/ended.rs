//! What the script that calls the product's cmdlets has told: how they ended, and whether a secret was left behind.

use protocol::event::{Failure, Finding};
use protocol::step::ServedDomain;

use super::list::listed;
use super::verify::short;
use crate::catalogue;
use crate::known::{self, Source};
use crate::procedure::{Cx, Flow, Stop, fail};
use crate::step::{module, trouble};
use crate::withhold;

/// Reads what the script said: a line for each cmdlet, and at last `done` or an error.
fn configured_by(lines: Result<Vec<serde_json::Value>, String>) -> Flow<()> {
    let lines = match lines {
        Ok(lines) => lines,
        Err(why) => return fail(format!("the cmdlets were not run to their end: {why}")),
    };
    let last = lines.last().cloned().unwrap_or_default();
    if last["done"] == true {
        return Ok(());
    }
    let error = &last["error"];
    let at = error["at"].as_str().unwrap_or("PowerShell");
    let message = error["message"]
        .as_str()
        .unwrap_or("it ended without a word")
        .to_owned();
    if at == "Add-AADCloudSyncADDomain" && error["kind"] == "parameter" {
        return Err(module::demands_credential(&message));
    }
    if at == "Get-Command" {
        return module::gone(&message);
    }
    let lines: Vec<String> = message.lines().map(withhold::names).collect();
    let first = lines.first().cloned().unwrap_or_default();
    // The way by a token is in no documentation, and which parameters a version has shows when it is asked (1.4 [M]).
    let what = if at == "Connect-AADCloudSyncAzureAD" && error["kind"] == "parameter" {
        format!(
            "{at} of this version does not take this way of signing in ({first}): nobody is signed in and nothing was changed; write sign_in = \"wizard\" or another way that works for the tenant, plan again, and sign the account out where its secret shall not be used elsewhere"
        )
    } else {
        format!("{at} failed: {first}")
    };
    let mut failure = Failure::plain(what);
    failure.known = known::recognize(Source::Cmdlets, &lines).map(|(known, _)| known);
    Err(Stop::Failed(Box::new(failure.with_lines(lines))))
}

/// Notes what the cmdlets left, and ends the step where they failed. Gives which domains the module lists, and whether a
/// secret lies anywhere.
pub(super) fn ended(
    domains: &[ServedDomain],
    lines: Result<Vec<serde_json::Value>, String>,
    before: &trouble::Before,
    cx: &mut Cx<'_>,
) -> Flow<(Finding, Finding)> {
    let said = lines.as_deref().unwrap_or_default();
    let (listed, left) = (listed(domains, said), wiped(said));
    let done = said.last().is_some_and(|last| last["done"] == true);
    let noted = if done {
        vec![listed.clone(), left.clone()]
    } else {
        vec![left.clone()]
    };
    cx.note(&noted)?;
    match configured_by(lines) {
        // What a cmdlet says is often that something went wrong, and one that hangs says nothing: what the agent itself wrote since says
        // why (1.13).
        Err(Stop::Failed(failure)) if failure.known.is_none() && !left.blocks() => {
            Err(Stop::Failed(match trouble::of_agent(before, cx)? {
                Some(trouble) => Box::new(trouble.causes(*failure)),
                None => failure,
            }))
        }
        Ok(()) => Ok((listed, left)),
        // A secret that lies about is no question for a person, whatever else there is to ask.
        Err(Stop::Failed(failure)) if left.blocks() => {
            let known = failure.known.clone();
            let mut both = secret_left(&failure.what, left);
            both.known = known;
            Err(Stop::Failed(Box::new(both)))
        }
        Err(Stop::CannotTell(why)) if left.blocks() => {
            Err(Stop::Failed(Box::new(secret_left(&why, left))))
        }
        Err(other) => Err(other),
    }
}

fn secret_left(ended: &str, left: Finding) -> Failure {
    let mut failure = Failure::plain(format!("{ended}; and a secret was left in {}", left.read));
    failure.findings = vec![left];
    failure
}

/// A secret that lies about stops everything, also behind a registration that is well.
pub(super) fn nothing_left(left: Finding) -> Flow<()> {
    if !left.blocks() {
        return Ok(());
    }
    let failure = secret_left("the cmdlets ended well", left);
    Err(Stop::Failed(Box::new(failure)))
}

/// PV21: the script looked, before it ended, whether a secret that it was given lies anywhere.
fn wiped(lines: &[serde_json::Value]) -> Finding {
    let line = lines.iter().find(|line| line["step"] == "Find-Secret");
    let found = match line {
        Some(line) if line["ok"] == true => {
            let places = line["where"].as_array().map(|places| {
                let place = |place: &serde_json::Value| place.as_str().map(ToOwned::to_owned);
                places.iter().filter_map(place).collect::<Vec<String>>()
            });
            places
                .zip(line["unread"].as_u64())
                .ok_or_else(|| "the script did not say".to_owned())
        }
        Some(line) => Err(short(
            line["text"]
                .as_str()
                .unwrap_or("it could not be looked for"),
        )),
        None => Err("it was not looked for: the cmdlets ended before".to_owned()),
    };
    // A file that could not be opened is another process's own, which lies beyond what can be told.
    let show = |(places, unread): &(Vec<String>, u64)| {
        let seen = match places.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        match unread {
            0 => seen,
            unread => format!("{seen}; {unread} files or processes could not be looked at"),
        }
    };
    catalogue::PV21.judge_gently(found, show, |(places, _)| places.is_empty())
}
