//! What is so: the controller, versions, drift, one target, this machine.

use std::path::Path;

use controller_core::drift::{DriftRow, Drifted, Untold};
use controller_core::fleet::{RolloutView, Why};
use controller_core::readiness::mends;
use controller_core::settings::Differs;
use controller_core::versions::{Certainty, Remark};
use protocol::TargetId;
use protocol::event::Verdict;

use crate::app;
use crate::authority::Authority;
use crate::cli::exit;
use crate::cli::output::{self, table};
use crate::http::client::Client;
use crate::http::types::{Compared, ComparedExports, Status, VersionsSeen};

pub(super) async fn status(client: &Client, json: bool) -> anyhow::Result<u8> {
    let status: Status = client.get("/v1/status").await?;
    if json {
        return output::json(&status).map(|()| exit::OK);
    }
    output::print(&format!(
        "{} controller {}, trust root {}\n{}, {} connected, {} for people",
        status.kind,
        status.version,
        status.trust_root,
        output::count(status.agents, "agent"),
        status.connected,
        output::count(status.tasks, "task")
    ));
    if let Some(order) = &status.frozen {
        output::print(&output::frozen(order, status.at_work.as_ref()));
    }
    for view in &status.overrides {
        output::print(&format!("OVERRIDE {}", view.sentence()));
    }
    for alarm in &status.alarms {
        output::print(&format!("ALARM {alarm}"));
    }
    for server in &status.left_behind {
        output::print(&format!("NOT OVER {server}"));
    }
    for moved in &status.moved {
        output::print(&format!("MOVED {moved}"));
    }
    for joining in &status.joining {
        output::print(joining);
    }
    let row = |view: &RolloutView| {
        let counts: Vec<String> = view
            .counts
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .chain((view.overridden > 0).then(|| format!("{} BY OVERRIDE", view.overridden)))
            .collect();
        vec![
            view.rollout.to_string(),
            view.kind.clone(),
            view.plan.0.short(),
            view.standing(),
            view.by.clone(),
            view.change.clone().unwrap_or_default(),
            view.applied.to_string(),
            counts.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = status.rollouts.iter().map(row).collect();
    if !rows.is_empty() {
        output::print(&table(
            &[
                "ROLLOUT", "KIND", "PLAN", "STATE", "BY", "CHANGE", "APPLIED", "TARGETS",
            ],
            &rows,
        ));
        let waits = status.rollouts.iter();
        let waits = waits.filter(|view| !view.waits_for().is_empty());
        for view in waits {
            for waits in view.waits_for() {
                output::print(&format!("{} waits: {waits}", view.rollout));
            }
        }
    }
    Ok(exit::OK)
}

pub(super) async fn drift(client: &Client, json: bool) -> anyhow::Result<u8> {
    let seen: Drifted = client.get("/v1/drift").await?;
    if json {
        return output::json(&seen).map(|()| exit::OK);
    }
    let Drifted {
        drift: seen,
        untold,
        compared,
    } = seen;
    if seen.is_empty() {
        output::print(match (untold.is_empty(), compared) {
            (true, 0) => "no server is enrolled, so no rollout has left anything yet",
            (true, _) => "everything is as the last rollout left it",
            (false, 0) => "no server can be compared with what a rollout left",
            (false, _) => "nothing is known to be other than the last rollout left it",
        });
        print_untold(&untold);
        return Ok(exit::OK);
    }
    let row = |row: &DriftRow| {
        vec![
            row.target.to_string(),
            row.product.as_str().to_owned(),
            row.what.clone(),
            row.wanted.clone(),
            row.seen.clone(),
            if row.accepted {
                "accepted".to_owned()
            } else {
                format!("drifted since {}", row.rollout)
            },
            row.mend.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = seen.iter().map(row).collect();
    let head = [
        "SERVER",
        "PRODUCT",
        "WHAT",
        "AS LEFT",
        "AS IT IS",
        "",
        "WHO BRINGS IT BACK",
    ];
    output::print(&table(&head, &rows));
    if seen.iter().any(|row| row.planned) {
        output::print(
            "\nentrain plan TOPOLOGY shows what it would bring back, and apply does it; the rest is a person's",
        );
    }
    print_untold(&untold);
    Ok(exit::OK)
}

/// Servers of which nothing can be said: their rows are no drift, and no answer either.
fn print_untold(untold: &[Untold]) {
    if untold.is_empty() {
        return;
    }
    let row = |one: &Untold| vec![one.target.to_string(), one.why.clone()];
    let rows: Vec<Vec<String>> = untold.iter().map(row).collect();
    output::print("\nnothing is known of these:");
    output::print(&table(&["SERVER", "WHY"], &rows));
}

pub(super) async fn differ(
    client: &Client,
    one: &TargetId,
    other: &TargetId,
    json: bool,
) -> anyhow::Result<u8> {
    let seen: Compared = client.get(&format!("/v1/settings/{one}/{other}")).await?;
    let difference = &seen.difference;
    let code = if difference.is_none() {
        exit::OK
    } else {
        exit::FINDINGS
    };
    if json {
        return output::json(&seen).map(|()| code);
    }
    for (target, at, number) in &seen.read {
        output::print(&format!("{target}: {number} settings, read at {at}"));
    }
    if difference.is_none() {
        output::print("they are equal");
        return Ok(code);
    }
    let rows = cells(&difference.rows);
    let (first, second) = (difference.first.as_str(), difference.second.as_str());
    output::print(&table(&["WHAT", first, second], &rows));
    for why in &difference.untold {
        output::print(&format!("cannot be told: {why}"));
    }
    output::print(&format!("difference {}", difference.digest));
    for rollout in &seen.accepted {
        output::print(&format!("approved for {rollout}"));
    }
    Ok(code)
}

fn cells(rows: &[Differs]) -> Vec<Vec<String>> {
    let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let row = |row: &Differs| vec![row.what.clone(), show(&row.first), show(&row.second)];
    rows.iter().map(row).collect()
}

pub(super) async fn exported(
    client: &Client,
    one: &TargetId,
    other: Option<&TargetId>,
    json: bool,
) -> anyhow::Result<u8> {
    let path = other.map_or_else(
        || format!("/v1/exports/{one}"),
        |other| format!("/v1/exports/{one}/{other}"),
    );
    let seen: ComparedExports = client.get(&path).await?;
    let difference = &seen.difference;
    let code = if difference.is_none() {
        exit::OK
    } else {
        exit::FINDINGS
    };
    if json {
        return output::json(&seen).map(|()| code);
    }
    for (name, export) in &seen.read {
        output::print(&format!(
            "{name}: {}, written {}, {} bytes, sha256 {}",
            export.file, export.written, export.bytes, export.sha256
        ));
    }
    let rows = cells(&difference.rows);
    let names: Vec<&str> = seen.read.iter().map(|(name, _)| name.as_str()).collect();
    if !rows.is_empty() {
        let heads = [&["WHAT"][..], names.as_slice()].concat();
        output::print(&table(&heads, &rows));
    }
    if difference.ids > 0 {
        output::print(&format!(
            "{} that every installation has of its own: not compared",
            output::count(difference.ids, "id")
        ));
    }
    for why in &difference.untold {
        output::print(&format!("cannot be told: {why}"));
    }
    if difference.is_none() {
        output::print("they say the same");
    }
    Ok(code)
}

pub(super) async fn versions(client: &Client, json: bool) -> anyhow::Result<u8> {
    let seen: VersionsSeen = client.get("/v1/versions").await?;
    if json {
        return output::json(&seen).map(|()| exit::OK);
    }
    let left = |remark: &Remark| match remark.days_left {
        None if remark.bears => "now".to_owned(),
        None => String::new(),
        Some(days) if days < 0 => format!("{} days ago", -days),
        Some(days) => format!("{days} days left"),
    };
    let mut rows = Vec::new();
    for row in &seen.rows {
        let version = row
            .version
            .map_or("not readable".to_owned(), |one| one.to_string());
        let mut head = [
            row.target.to_string(),
            row.product.as_str().to_owned(),
            version,
        ];
        if row.remarks.is_empty() {
            rows.push([&head[..], &[String::new(), String::new()]].concat());
        }
        for remark in &row.remarks {
            let what = match remark.certainty {
                Certainty::Vendor => remark.what.clone(),
                Certainty::Secondary | Certainty::Unverified => {
                    format!("{} [{}]", remark.what, remark.source)
                }
            };
            rows.push([&head[..], &[left(remark), what]].concat());
            // The server is named once.
            head.fill(String::new());
        }
    }
    let head = ["SERVER", "PRODUCT", "VERSION", "WHEN", "WHAT"];
    output::print(&table(&head, &rows));
    output::print(&format!(
        "{} servers and products; the data were checked on {}",
        seen.rows.len(),
        seen.checked_on
    ));
    for older in &seen.older {
        output::print(older);
    }
    Ok(exit::OK)
}

pub(super) fn explain(why: &Why) -> String {
    let mut text = format!("{}: {}", why.target, why.answer);
    for other in &why.others {
        text.push_str(&format!("\n  also:     {other}"));
    }
    if let Some(lifts) = &why.lifts {
        text.push_str(&format!(
            "\n  lifts it: {}\n  who can:  {}",
            lifts.what,
            lifts.by_whom()
        ));
    }
    for (number, order) in why.orders.iter().enumerate() {
        let head = if number == 0 {
            "then:     "
        } else {
            "or:       "
        };
        text.push_str(&format!("\n  {head}{order}"));
    }
    if let Some(failure) = &why.failure {
        if let Some(known) = &failure.known {
            text.push_str(&format!(
                "\n  cause: {}\n  fix:   {}",
                known.cause, known.fix
            ));
        }
        for line in &failure.lines {
            text.push_str(&format!("\n  log:   {line}"));
        }
    }
    for finding in why
        .findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
    {
        // What the failure says already is not said again.
        if why
            .answer
            .contains(&format!("{}: {}", finding.id, finding.read))
        {
            text.push_str(&format!(
                "\n  {} {}: wanted: {}",
                finding.id, finding.what, finding.wanted
            ));
        } else {
            text.push_str(&format!(
                "\n  {} {}: {} (wanted: {})",
                finding.id, finding.what, finding.read, finding.wanted
            ));
        }
        if !finding.fix.is_empty() {
            let who = mends(finding.owner);
            text.push_str(&format!("\n    fix, by {who}: {}", finding.fix));
        }
        if let Some(one) = why.attests(finding) {
            text.push_str(&format!("\n    {}", one.sentence));
        }
    }
    for said in &why.said {
        text.push_str(&format!("\n  said:  {said}"));
    }
    for sentence in &why.overrides {
        text.push_str(&format!("\n  OVERRIDE {sentence}"));
    }
    for refusal in &why.refusals {
        text.push_str(&format!("\n  {refusal}"));
    }
    text
}

/// What is to be mended of a controller: of its state folder, which is looked at here, and of itself, where it answers.
pub(super) async fn doctor(client: &Client, state: &Path, json: bool) -> anyhow::Result<u8> {
    let mut remarks = app::open_to_others(state);
    if let Err(error) = Authority::open(state) {
        let io = |kind| {
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
            causes.any(|cause: &std::io::Error| cause.kind() == kind)
        };
        // Whoever may only speak to the controller sees none of its keys.
        if !io(std::io::ErrorKind::PermissionDenied) {
            remarks.push(format!("{}: {error:#}", state.display()));
        }
    }
    let status: anyhow::Result<Status> = client.get("/v1/status").await;
    match &status {
        Ok(status) => remarks.extend(of_the_running(status)),
        Err(error) => {
            remarks.push(format!("{error:#}"));
            // It may have been stopped by a file that it cannot read, or stand before its start.
            match app::known(state) {
                Ok((versions, clouds)) => remarks.extend(app::older(&versions, &clouds)),
                Err(error) => remarks.push(format!("{error:#}")),
            }
        }
    }
    let answers = status.is_ok();
    let code = if answers { exit::OK } else { exit::FAILED };
    if json {
        let buffers = status.as_ref().ok().map(|status| status.buffers);
        return output::json(&serde_json::json!({
            "answers": answers, "remarks": remarks, "buffers": buffers,
        }))
        .map(|()| code);
    }
    if let Ok(status) = &status {
        output::print(&format!(
            "the controller answers ({}, {})",
            status.kind, status.version
        ));
    }
    for remark in &remarks {
        output::print(remark);
    }
    if remarks.is_empty() {
        output::print("nothing to mend was found");
    }
    Ok(code)
}

fn of_the_running(status: &Status) -> Vec<String> {
    let mut remarks = Vec::new();
    let wanted = link::WANTED_SOCKET_BUFFER;
    if status.buffers.0 < wanted || status.buffers.1 < wanted {
        remarks.push(format!(
            "the system caps UDP buffers at {} and {} bytes; {wanted} were asked for: sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted}",
            status.buffers.0, status.buffers.1
        ));
    }
    if status.connected < status.agents {
        remarks.push(format!(
            "{} of {} agents are away: entrain agents says who and since when",
            status.agents - status.connected,
            status.agents
        ));
    }
    remarks.extend(status.older.iter().cloned());
    remarks.extend(status.alarms.iter().map(|alarm| format!("ALARM {alarm}")));
    remarks
}
