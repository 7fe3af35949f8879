//! The pages of all probes and of all known errors under `deploy/docs` say what the agent is built with. `UPDATE_DOCS=1` writes
//! them anew.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::fmt::Write as _;

use agent_core::catalogue::ALL;
use agent_core::known::{self, Shown};
use protocol::event::{Owner, Severity};
use protocol::probe::{ELSEWHERE, Probe, controller, tenant};
use protocol::step::Product;

const HEAD: &str = "| Id | For | What is looked at | What passes | A failure | Who mends it | How |\n| --- | --- | --- | --- | --- | --- | --- |\n";

fn page() -> String {
    let mut out = String::from(
        "# Probes\n\nWhat an agent looks at before anything is touched (`PF`, `SEC`, `CU`, `MO`), afterwards (`PV`), at a wizard that takes
long (`WZ`), behind a soak (`SK`), before a staging server of Connect becomes active (`SW`), before and after a move to cloud sync (`TR`), before Connect is taken off (`UN`)
and after a removal (`RM`, `CR`). `entrain preflight` asks all of
the first kind on live servers and changes nothing. *Blocks* stops a server before its work begins; what cannot be told
about the directory warns, since its administrator can answer it (`entrain-agent directory`). This page is written from
the catalogue that the agent is built with, of what is asked of a tenant, and of what the controller answers.\n\n",
    );
    out.push_str(HEAD);
    rows(&mut out, ALL);
    out.push_str(
        "\n## In the tenant\n\nRead by whoever has a token (`entrain tenant read`), shown by `entrain tenant show` and with each plan and preflight, with the time of
the reading. What that token may not read is *cannot tell*, with the permission by name, and stops nothing; a tenant that nobody read is *not
seen in tenant*. PF63 is asked of the token that is given (`entrain secret give`), without verifying its signature, which is the service's to do. PF67 is
guard rail G7: what cannot be told holds what would configure that domain.\n\n",
    );
    out.push_str(HEAD);
    rows(&mut out, tenant::ALL);
    out.push_str(
        "\n## By the controller\n\nWhat neither an agent nor a tenant answers alone. PF43 and PF44 rest on `versions.toml`: what the vendor says blocks, what others say warns; PV26, which an agent
answers, is weighed by it at the hour at which it is shown. PF43
holds whoever would become active, and is told of the version that is there in plans, preflights and verifications. The others hold a reading of the tenant
against what servers report, and are shown by `entrain tenant show`: where they fail, a target does not reach the grade *active in tenant* or *syncing*, which a
policy may ask for. RM08 is told of whoever reports no agent, PV39 of whoever reports no Connect or stands in `gone`; both stop nothing. CU04 stands beside CU01 where a tenant has several Connect servers.\n\n",
    );
    out.push_str(HEAD);
    rows(&mut out, controller::ALL);
    out.push_str("\n## Answered by something else\n\n| Id | Answered by |\n| --- | --- |\n");
    for (id, by) in ELSEWHERE {
        writeln!(out, "| {id} | {by} |").unwrap();
    }
    out
}

fn rows(out: &mut String, probes: &[Probe]) {
    for probe in probes {
        let product = match probe.product {
            None => "both",
            Some(Product::ProvisioningAgent) => "cloud sync",
            Some(Product::Connect) => "Connect",
        };
        let severity = match probe.severity {
            Severity::Block => "blocks",
            Severity::Warn => "warns",
            Severity::Info => "is noted",
        };
        let owner = match probe.owner {
            Owner::Server => "the server's owner",
            Owner::Directory => "the directory's administrator",
            Owner::Network => "the network",
            Owner::Tenant => "the tenant's administrator",
            Owner::Entrain => "Entrain",
        };
        writeln!(
            out,
            "| {} | {product} | {} | {} | {severity} | {owner} | {} |",
            probe.id, probe.what, probe.wanted, probe.fix
        )
        .unwrap();
    }
}

/// Every id of sections 5 and 6 of the product facts.
#[rustfmt::skip]
const FACTS: [&str; 115] = [
    "PF01", "PF02", "PF03", "PF04", "PF05", "PF06", "PF07", "PF08", "PF09", "PF10", "PF11", "PF12", "PF13", "PF14", "PF15", "PF16", "PF17", "PF18", "PF19", "PF20", "PF21", "PF22", "PF23", "PF24", "PF25", "PF26", "PF27", "PF28", "PF29", "PF30", "PF31", "PF32", "PF33", "PF34", "PF35", "PF36", "PF37", "PF38", "PF39", "PF40", "PF41", "PF42", "PF43", "PF44", "PF45", "PF46", "PF47", "PF48", "PF49", "PF50", "PF51", "PF52", "PF53", "PF54", "PF55", "PF56", "PF57", "PF58", "PF59", "PF60", "PF61", "PF62", "PF63", "PF64", "PF65", "PF66", "PF67", "PF68", "PF69", "PF70", "PF71", "PF72", "PF73", "PF74", "PF75",
    "PV01", "PV02", "PV03", "PV04", "PV05", "PV06", "PV07", "PV08", "PV09", "PV10", "PV11", "PV12", "PV13", "PV14", "PV15", "PV16", "PV17", "PV18", "PV19", "PV20", "PV21", "PV22", "PV23", "PV24", "PV25", "PV26", "PV27", "PV28", "PV29", "PV30", "PV31", "PV32", "PV33", "PV34", "PV35", "PV36", "PV37", "PV38", "PV39", "PV40",
];

#[test]
fn an_id_stands_in_one_of_the_tables() {
    let tables = [ALL, tenant::ALL, controller::ALL];
    let rows = tables.into_iter().flatten().map(|probe| probe.id);
    let mut seen = std::collections::BTreeSet::new();
    for id in rows.chain(ELSEWHERE.iter().map(|(id, _)| *id)) {
        assert!(seen.insert(id), "{id} stands twice");
    }
    for id in FACTS {
        assert!(seen.contains(id), "{id} stands nowhere");
    }
}

#[test]
fn the_page_of_probes_is_the_catalogue() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/probes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes the page anew");
    for id in FACTS {
        let rows = written
            .lines()
            .filter(|line| line.starts_with(&format!("| {id} |")));
        assert_eq!(rows.count(), 1, "{id}");
    }
}

fn errors() -> String {
    let mut out = String::from(
        "# Known errors\n\nWhat an agent looks for in the logs of installers and products when a step fails, a service does not run, or a wizard
does not come to its end. The event then carries cause, fix and the line that shows it, without people's names and
secrets. An error that stands in no log is known by the probe or the reading of the tenant that shows it; of some nothing that
Entrain reads tells, and whoever meets them finds them here. Where the product facts quote no words of an error, the words are those of Windows, .NET or PowerShell for it, and unverified. This page is
written from the table that the agent is built with.\n\n| Id | What shows it | Cause | Fix |\n| --- | --- | --- | --- |\n",
    );
    for row in known::rows() {
        let shown = match row.shown {
            Shown::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
                texts.join(", or ")
            }
            Shown::Probe(probe, what) => format!("probe {probe}: {what}"),
            Shown::Tenant(probe, what) => {
                format!("probe {probe}, by a reading of the tenant (`entrain tenant show`): {what}")
            }
            Shown::Nowhere(what) => format!("nothing that Entrain reads: {what}"),
        };
        writeln!(
            out,
            "| {} | {shown} | {} | {} |",
            row.id, row.cause, row.fix
        )
        .unwrap();
    }
    out
}

/// The rows of sections 1.13 and 2.15 of the product facts, in their order, each by words of its own.
const FACTS_ERRORS: [(&str, &str); 24] = [
    ("service failed to start, log on as a service", "KE01"),
    ("service credentials to gMSA", "KE02"),
    ("registration time-out, certificate invalid", "KE11"),
    ("registration security error", "KE12"),
    ("service account after 6 retries", "KE03"),
    ("0x80070643 and words about the system", "KE04"),
    ("sign-in page blocked", "KE14"),
    ("client side timeout", "KE06"),
    ("bulk deletes blocked", "KE15"),
    ("password hashes on the first run", "KE16"),
    ("job quarantined", "KE13"),
    ("list of agents empty", "KE17"),
    ("DiagnosticSource", "KC01"),
    ("application-based authentication", "KC02"),
    ("pass-through authentication on 2.6.91.0", "KC09"),
    ("unable to validate credentials", "KC03"),
    ("script error at MFA", "KC11"),
    ("database already contains data", "KC04"),
    ("assembly version is earlier", "KC05"),
    ("LocalDB 2012 left", "KC12"),
    ("password hashes off", "KC10"),
    ("PreUpgradeFailure", "KC07"),
    ("cmdlet not found", "KC08"),
    ("advice about setup and directory", "KC13"),
];

#[test]
fn every_error_of_the_facts_is_a_row() {
    let mut seen = std::collections::BTreeSet::new();
    for (words, id) in FACTS_ERRORS {
        let rows = known::rows().filter(|row| row.id == id).count();
        assert_eq!(rows, 1, "{id}: {words}");
        assert!(seen.insert(id), "{id} stands for two rows: {words}");
    }
}

#[test]
fn the_page_of_known_errors_is_the_table() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/known-errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, errors()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, errors(), "UPDATE_DOCS=1 writes the page anew");
}
