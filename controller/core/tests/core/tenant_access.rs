//! `deploy/docs/tenant-access.md` says which permissions a reading of a tenant takes, by the list that the code has; SECURITY.md names the same.
//! `UPDATE_DOCS=1` writes the page anew.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use controller_core::clouds::Clouds;
use controller_core::tenant::access::{self, ALL};
use protocol::step::Cloud;

const BEFORE: &str = r#"# Access to a tenant

What `entrain tenant read` asks of Microsoft Graph, with which permission, and what is *not seen* without it. Nothing is ever written to a
tenant. Each permission may be left out; what then is not seen stops nothing, but for a domain in both tools (G7). This page is written from the list that the program is built with, by which it also says,
before it asks, what a token does not name.

"#;

const AFTER: &str = r#"
`OnPremisesPublishingProfiles.ReadWrite.All` may write as well: for the list of agents no permission that only reads is documented. Leave it out where that
weighs more: agents are then known by their own reports alone.

## An application of its own

Somebody who may register applications and consent for the tenant does this once:

1. Register an application for this tenant alone (App registrations, *Accounts in this organizational directory only*).
2. Give it the permissions above, of Microsoft Graph, and no others: *application* permissions where a machine reads, *delegated* ones where a person signs in. Take
   away `User.Read`, which stands there from the start. Those with *with --operator* are needed for that alone. Consent to them.
3. For a machine: upload a certificate whose private key stays on the machine that runs `entrain`, readable by its operator alone, or in a module that does not give it out.
   For a person: allow public client flows, by which the device code works. The person needs a role that may read what is asked; Global Reader is expected to do ([K]).

`graph-token.py` gets a token with the vendor's library (`pip install msal`) and writes it to the pipe. It is in no argument, in no environment and in no file: that library keeps its
cache in memory unless it is told otherwise, and the program ends with it. Nothing of this was run against a real tenant here.

A person, by device code (the code to type goes to standard error):

```python
import sys, msal

app = msal.PublicClientApplication("APPLICATION-ID", authority="https://login.microsoftonline.com/TENANT-ID")
flow = app.initiate_device_flow(scopes=["https://graph.microsoft.com/.default"])
if "message" not in flow:
    sys.exit(flow.get("error_description", "no code"))
print(flow["message"], file=sys.stderr)
answer = app.acquire_token_by_device_flow(flow)
if "access_token" not in answer:
    sys.exit(answer.get("error_description", "no token"))
print(answer["access_token"])
```

A machine, by certificate:

```python
import sys, msal

with open("/etc/entrain/graph.key") as key:
    credential = {"private_key": key.read(), "thumbprint": "THUMBPRINT"}
app = msal.ConfidentialClientApplication(
    "APPLICATION-ID", authority="https://login.microsoftonline.com/TENANT-ID", client_credential=credential)
answer = app.acquire_token_for_client(scopes=["https://graph.microsoft.com/.default"])
if "access_token" not in answer:
    sys.exit(answer.get("error_description", "no token"))
print(answer["access_token"])
```

Either way: `python3 graph-token.py | entrain tenant read contoso topology.toml`. Where policies refuse device codes, the certificate is the way.

In another cloud both addresses differ: the one that signs in, and the one of Microsoft Graph, which the token must be for. A token that says that it is for another host is sent nowhere.

"#;

const STOPGAP: &str = r#"
The addresses that sign in are `login.microsoftonline.us` for both of the US Government and `login.chinacloudapi.cn` in China, by the vendor's page on those deployments.

## The Azure CLI's token, as a stopgap

`az account get-access-token --resource-type ms-graph --query accessToken -o tsv | entrain tenant read contoso topology.toml` reads a part of it without an application of
one's own. Its application is Microsoft's, and its permissions are fixed: people report that security defaults, and schedules of role and group assignments, are refused with it (`Azure/azure-cli`, issues 23906, 30149 and
33778), and that no other permission can be asked for. With what it is said to have, `Directory.AccessAsUser.All` among them ([K]), these are expected to be missing:

"#;

const END: &str = r"
And it may write whatever the person at it may write in the directory, and so may whoever gets hold of it; the CLI keeps its own tokens on disk besides. `entrain` says so before it asks.
";

fn page() -> String {
    let mut out = BEFORE.to_owned();
    out.push_str("| Permission | What is read | Not seen without it | As good |\n| --- | --- | --- | --- |\n");
    for need in ALL {
        let operator = if need.operator {
            " (with --operator)"
        } else {
            ""
        };
        let also: Vec<String> = need.also.iter().map(|one| format!("`{one}`")).collect();
        let also = if also.is_empty() {
            "none".to_owned()
        } else {
            also.join(", ")
        };
        writeln!(
            out,
            "| `{}`{operator} | {} | {} | {also} |",
            need.permission, need.reads, need.rests
        )
        .unwrap();
    }
    out.push_str(AFTER);
    out.push_str(
        "| Cloud | `graph` in the topology | Host | Source |\n| --- | --- | --- | --- |\n",
    );
    for cloud in [Cloud::Commercial, Cloud::UsGovernment, Cloud::China] {
        let graph = &Clouds::built_in().of(cloud).graph;
        for (name, host) in &graph.hosts {
            let chosen = if *name == graph.default {
                ", or nothing"
            } else {
                ""
            };
            writeln!(
                out,
                "| {} | `\"{name}\"`{chosen} | {} | {} |",
                cloud.as_str(),
                host.value,
                host.source
            )
            .unwrap();
        }
    }
    out.push_str(STOPGAP);
    let cli = ["Directory.AccessAsUser.All".to_owned()];
    for need in access::lacks(&cli, true) {
        writeln!(out, "* `{}`: {}", need.permission, need.rests).unwrap();
    }
    out.push_str(END);
    out
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_default()
}

#[test]
fn the_page_of_access_is_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/tenant-access.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = read("deploy/docs/tenant-access.md");
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes the page anew");
}

/// What SECURITY.md names in its paragraph is the list, no more and no less.
#[test]
fn the_page_of_security_names_the_same_permissions() {
    let security = read("SECURITY.md");
    let paragraph = security
        .split("Permissions, each of which may be missing")
        .nth(1);
    let paragraph = paragraph.and_then(|rest| rest.split("Names of most").next());
    let quoted = paragraph.unwrap().split('`').skip(1).step_by(2);
    let is_one = |word: &&str| word.contains(".Read") && !word.contains(' ');
    let named: BTreeSet<&str> = quoted.filter(is_one).collect();
    let all: BTreeSet<&str> = ALL.iter().map(|need| need.permission).collect();
    assert_eq!(named, all);
}

/// Every id in the list is one of the catalogue.
#[test]
fn what_rests_on_a_permission_is_a_probe_that_there_is() {
    use protocol::probe::{controller, tenant};
    let rows = tenant::ALL.iter().chain(controller::ALL);
    // Asked by an agent, and weighed by what the tenant shows.
    let known: BTreeSet<&str> = rows.map(|row| row.id).chain(["PF57"]).collect();
    for need in ALL {
        let words = need.rests.split(|sign: char| !sign.is_ascii_alphanumeric());
        let is_id = |word: &&str| {
            word.starts_with("PF") || word.starts_with("PV") || word.starts_with("RM")
        };
        let ids: Vec<&str> = words.filter(is_id).collect();
        assert!(!ids.is_empty(), "{}", need.permission);
        for id in ids {
            assert!(known.contains(id), "{}: {id}", need.permission);
        }
    }
}
