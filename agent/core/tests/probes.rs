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
use protocol::probe::{Probe, tenant};
use protocol::step::Product;

const HEAD: &str = "| Id | For | What is looked at | What passes | A failure | Who mends it | How |\n| --- | --- | --- | --- | --- | --- | --- |\n";

fn page() -> String {
    let mut out = String::from(
        "# Probes\n\nWhat an agent looks at before anything is touched (`PF`, `SEC`, `CU`), afterwards (`PV`), at a wizard that takes
long (`WZ`), before and after a move to cloud sync (`TR`), before Connect is taken off (`UN`) and after a removal (`RM`, `CR`). `entrain preflight` asks all of
the first kind on live servers and changes nothing. *Blocks* stops a server before its work begins; what cannot be told
about the directory warns, since its administrator can answer it (`entrain-agent directory`). This page is written from
the catalogue that the agent is built with, and what is asked of a tenant.\n\n",
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

#[test]
fn an_id_stands_in_one_of_the_two_tables() {
    let mut both = ALL.iter().map(|probe| probe.id);
    assert!(both.all(|id| tenant::ALL.iter().all(|other| other.id != id)));
}

#[test]
fn the_page_of_probes_is_the_catalogue() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/probes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes the page anew");
}

fn errors() -> String {
    let mut out = String::from(
        "# Known errors\n\nWhat an agent looks for in the logs of installers and products when a step fails, a service does not run, or a wizard
does not come to its end. The event then carries cause, fix and the line that shows it, without people's names and
secrets. An error that stands in no log is known by the probe that shows it, or by the tenant alone. Where the product
facts quote no words of an error, the words are those of Windows, .NET or PowerShell for it, and unverified. This page
is written from the table that the agent is built with.\n\n| Id | What shows it | Cause | Fix |\n| --- | --- | --- | --- |\n",
    );
    for row in known::rows() {
        let shown = match row.shown {
            Shown::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
                texts.join(", or ")
            }
            Shown::Probe(probe, what) => format!("probe {probe}: {what}"),
            Shown::Tenant(what) => format!("in the tenant: {what}"),
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
