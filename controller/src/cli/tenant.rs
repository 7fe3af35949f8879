//! What a tenant shows: read here, with a token that stays in this process, and told to the controller.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use controller_core::clouds::Clouds;
use controller_core::finding::nearest;
use controller_core::tenant::{Account, Let, Observation, Part, SyncAccounts, access, sentence};
use controller_core::topology::{Document, Tenant, parse_by};
use protocol::event::{Finding, Verdict};
use protocol::secret::AccessToken;
use protocol::signed::ControllerKind;

use crate::cli::acts::TenantAct;
use crate::cli::documents::read_topology;
use crate::cli::exit;
use crate::cli::output::{self, count, table};
use crate::graph::{self, Graph};
use crate::http::client::Client;
use crate::http::types::{Done, Status, TenantRow};

pub(super) async fn tenant(client: &Client, act: TenantAct) -> anyhow::Result<u8> {
    match act {
        TenantAct::Show { json } => show(client, json.json).await,
        TenantAct::Read {
            tenant,
            topology,
            operator,
            every,
            proxy,
            stand_in,
        } => {
            // Whoever asks no controller finds that out before a token is typed.
            let status: Status = client.get("/v1/status").await?;
            let clouds: Clouds = client.get("/v1/clouds").await?;
            let tenant = described(&tenant, &topology, &clouds)?;
            if stand_in.is_some() && status.kind != ControllerKind::Simulated.as_str() {
                bail!("a stand-in takes the place of the service for a simulated controller alone");
            }
            let token = token(&tenant)?;
            for line in shortfall(&token, operator.is_some()) {
                output::error(&line);
            }
            let graph = match stand_in {
                Some(port) => Graph::loopback(port, token.clone()),
                None => {
                    let at = (tenant.graph.as_str(), 443);
                    Graph::new(at, graph::roots()?, proxy, token.clone())?
                }
            };
            let ask = (operator.as_deref(), every);
            read(client, &graph, &tenant, &token, ask).await
        }
    }
}

async fn read(
    client: &Client,
    graph: &Graph,
    tenant: &Tenant,
    token: &str,
    (operator, every): (Option<&str>, Option<u64>),
) -> anyhow::Result<u8> {
    let lapses = AccessToken::read(token).and_then(|token| token.expires);
    loop {
        let observation = graph.observe(&tenant.id, operator, crate::now()).await;
        output::print(&summary(&observation));
        let accounts =
            observation.operator.seen().is_some() || observation.sync_accounts.seen().is_some();
        if let (Part::NotSeen(why), Part::NotSeen(_), Part::NotSeen(_), Part::NotSeen(_)) = (
            &observation.agents,
            &observation.configurations,
            &observation.organization,
            &observation.domains,
        ) && !accounts
        {
            bail!("nothing was seen, and nothing is kept: {why}");
        }
        let done: Done = client.post("/v1/tenants", &observation).await?;
        output::print(&done.done);
        let Some(minutes) = every else {
            return Ok(exit::OK);
        };
        let pause = Duration::from_secs(minutes * 60);
        if let Some(lapses) = lapses.filter(|lapses| crate::now().plus(pause) >= *lapses) {
            output::error(&format!(
                "the token lapses at {lapses}: it is not read again"
            ));
            return Ok(exit::OK);
        }
        tokio::time::sleep(pause).await;
    }
}

/// The tenant of that name in the topology.
fn described(name: &str, path: &Path, clouds: &Clouds) -> anyhow::Result<Tenant> {
    let texts = read_topology(path)?;
    let documents: Vec<Document> = texts.into_iter().map(Document::from).collect();
    let (topology, findings) = parse_by(&documents, clouds);
    if let Some(tenant) = topology.tenants.get(name) {
        // A slip in the name of its host is said; the token is sent to no other one in its place.
        if tenant.graph.is_empty() {
            let why: Vec<&str> = findings.iter().map(|one| one.what.as_str()).collect();
            bail!(
                "where Microsoft Graph of tenant {name} answers is not known: {}; entrain check says more",
                why.join("; ")
            );
        }
        return Ok(tenant.clone());
    }
    let names = || topology.tenants.keys().map(String::as_str);
    match nearest(name, names()) {
        Some(meant) => bail!("the topology describes no tenant {name}; did you mean {meant}?"),
        None => bail!(
            "the topology describes no tenant {name}; there are: {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The access token, from standard input. One that tells that it is of another tenant, or has lapsed, is not sent anywhere.
fn token(tenant: &Tenant) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let token = if stdin.is_terminal() {
        rpassword::prompt_password("access token for Microsoft Graph (not shown): ")?
    } else {
        let line = stdin.lock().lines().next().transpose()?;
        line.context("standard input has no token")?
    };
    let token = token.trim().to_owned();
    let plain = |sign: char| sign.is_ascii_graphic();
    if token.is_empty() || !token.chars().all(plain) {
        bail!("this is no access token: it is empty, or has signs that none has");
    }
    let Some(read) = AccessToken::read(&token) else {
        return Ok(token);
    };
    if let Some(other) = read.tenant.as_ref().filter(|other| **other != tenant.id) {
        bail!(
            "the token is of tenant {other}, and {} was asked for; it was sent nowhere",
            tenant.id
        );
    }
    if let Err(other) = read.is_for_graph(&tenant.graph) {
        bail!(
            "the token is for {other} (aud), and Microsoft Graph of {} answers at https://{}; it was sent nowhere: get one for that address, or write the host's name as `graph` of the tenant (it has {})",
            tenant.cloud.as_str(),
            tenant.graph,
            tenant.about.graph.names()
        );
    }
    if let Some(lapsed) = read.expires.filter(|expires| *expires <= crate::now()) {
        bail!("the token lapsed at {lapsed}; it was sent nowhere");
    }
    Ok(token)
}

/// What a token does not say that it may, and what will not be seen for it; and what it may beyond what is read. A sentence each, before
/// anything is asked. The service decides: what it lets be read is taken whatever the token says.
fn shortfall(token: &str, operator: bool) -> Vec<String> {
    let Some(granted) = AccessToken::read(token).and_then(|token| token.granted()) else {
        return vec![
            "what the token may read cannot be told (it names neither scp nor roles): what the service refuses is not seen, with the permission by name".to_owned(),
        ];
    };
    let missing = access::lacks(&granted, operator).map(|need| {
        format!(
            "the token does not name {}: {} may not be read; not seen then: {}",
            need.permission, need.reads, need.rests
        )
    });
    let mut lines: Vec<String> = missing.collect();
    let beyond: Vec<&str> = access::beyond(&granted).into_iter().collect();
    if !beyond.is_empty() {
        lines.push(format!(
            "the token may more than is read here ({}): deploy/docs/tenant-access.md says how to get one that may not",
            beyond.join(", ")
        ));
    }
    lines
}

fn summary(seen: &Observation) -> String {
    fn part<T>(part: &Part<T>, words: impl FnOnce(&T) -> String) -> String {
        match part {
            Part::Seen(seen) => words(seen),
            Part::NotSeen(why) => format!("NOT SEEN: {why}"),
        }
    }
    let agents = part(&seen.agents, |agents| {
        let active = agents.iter().filter(|agent| agent.is_active()).count();
        format!("{}, {active} active", count(agents.len(), "agent"))
    });
    let configurations = part(&seen.configurations, |all| {
        let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
        match names.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            names => names,
        }
    });
    let organization = part(&seen.organization, |one| {
        let last = one.last_sync;
        let last = last.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let is = if one.sync_enabled { "on" } else { "off" };
        format!("directory synchronization {is}, last by Connect: {last}")
    });
    let domains = part(&seen.domains, |domains| {
        let word = |domain: &controller_core::tenant::DomainSeen| {
            let is = if domain.verified {
                ""
            } else {
                " (not verified)"
            };
            format!("{}{is}", domain.name)
        };
        domains.iter().map(word).collect::<Vec<_>>().join(", ")
    });
    let operator = part(&seen.operator, |one: &Account| one.user.clone());
    let accounts = part(&seen.sync_accounts, |one: &SyncAccounts| {
        format!("{} of Connect servers", count(one.members, "account"))
    });
    let applications = part(&seen.assigned, |_| {
        let all = seen.identities().filter(|one| one.by != Let::Account);
        let all: Vec<_> = all.collect();
        let named = all.iter().filter(|one| one.server.is_some()).count();
        let many = count(all.len(), "application");
        format!("{many} of Connect servers, {named} with the name of one")
    });
    format!(
        "tenant {} at {}\n  agents          {agents}\n  configurations  {configurations}\n  organization    {organization}\n  domains         {domains}\n  operator        {operator}\n  accounts        {accounts}\n  applications    {applications}",
        seen.tenant, seen.at
    )
}

async fn show(client: &Client, json: bool) -> anyhow::Result<u8> {
    let rows: Vec<TenantRow> = client.get("/v1/tenants").await?;
    if json {
        return output::json(&rows).map(|()| exit::OK);
    }
    if rows.is_empty() {
        output::print("no tenant was read yet: entrain tenant read NAME");
        return Ok(exit::OK);
    }
    for row in rows {
        output::print(&format!(
            "{}\n  read by         {}",
            summary(&row.seen.observation),
            row.seen.by
        ));
        for words in row.seen.kept_in_words() {
            output::print(&format!("  earlier         {words}"));
        }
        let lines: Vec<Vec<String>> = row
            .remarks
            .iter()
            .map(|remark| vec![remark.id.clone(), remark.what.clone(), remark.fix.clone()])
            .collect();
        let open = row.findings.iter();
        let open: Vec<&Finding> = open.filter(|one| one.verdict != Verdict::Pass).collect();
        output::print(&format!(
            "{} of {} pass",
            row.findings.len() - open.len(),
            count(row.findings.len(), "probe")
        ));
        for finding in open {
            output::print(&format!("  {}", sentence(finding)));
        }
        if lines.is_empty() {
            output::print("nothing else stands out");
        } else {
            output::print(&table(&["", "WHAT", "WHAT TO DO"], &lines));
        }
    }
    Ok(exit::OK)
}
