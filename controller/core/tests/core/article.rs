//! The table of the vendor's install article under `deploy/docs`: each numbered step, note and link has one row, each
//! page that a row names is one that a recipe shows, and so has each upgrade path.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::path::Path;

use controller_core::facts::{Fleetwide, Known};
use controller_core::links;
use controller_core::plan::{Inputs, Purpose, plan, switch, transition};
use controller_core::policy::Policy;
use controller_core::recipe::{Artifacts, download};
use controller_core::topology::{Document, parse};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{Product, Step};
use protocol::{Timestamp, Version};

use crate::{common, recipes};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

const TOPOLOGY: &str = r#"
[tenant.wizard]
id = "3f0c8a4e-0000-0000-0000-000000000000"
sign_in = "wizard"
[tenant.express]
id = "3f0c8a4e-0000-0000-0000-000000000001"
[tenant.upgrade]
id = "3f0c8a4e-0000-0000-0000-000000000002"
[agents.a]
tenant = "wizard"
serves = ["a.test"]
hosts = ["s1.a.test"]
[connect.express]
tenant = "express"
forests = ["b.test"]
servers = ["s1.b.test"]
settings = "express"
[connect.upgrade]
tenant = "upgrade"
forests = ["c.test"]
servers = ["s1.c.test"]
settings = "express"
[tenant.removal]
id = "3f0c8a4e-0000-0000-0000-000000000003"
[connect.removal]
tenant = "removal"
forests = ["d.test"]
servers = []
retired = ["s1.d.test"]
[tenant.move]
id = "3f0c8a4e-0000-0000-0000-000000000004"
[connect.move]
tenant = "move"
forests = ["e.test"]
servers = ["s1.e.test"]
"#;

/// The steps of the recipe that the article's rows of that prefix stand for, on its server.
fn planned(of: &str) -> Vec<Step> {
    let document = Document {
        file: "t.toml".to_owned(),
        text: TOPOLOGY.to_owned(),
    };
    let (topology, findings) = parse(&[document]);
    assert!(findings.is_empty(), "{findings:?}");
    let mut known = Fleetwide::new();
    for server in [
        "s1.a.test",
        "s1.b.test",
        "s1.c.test",
        "s1.d.test",
        "s1.e.test",
    ] {
        let old = ConnectFacts {
            version: Some(Version::new(2, 5, 79, 0)),
            service: Some(ServiceState::Running),
            staging: Some(server != "s1.e.test"),
            cycle_enabled: Some(true),
            suspended: Some(false),
        };
        let with_connect = ["s1.c.test", "s1.d.test", "s1.e.test"];
        let connect = with_connect.contains(&server).then_some(old);
        let entry = Known {
            key: SigningKey::generate().public().fingerprint(),
            facts: Some((NOW, common::facts(None, connect))),
            domains: None,
        };
        known.insert(server.parse().unwrap(), entry);
    }
    let artifacts = match of {
        // Nothing newer is wanted: what is there may become active.
        "S" => Artifacts::new(),
        _ => common::artifacts(),
    };
    let inputs = Inputs {
        topology: &topology,
        policy: &Policy::default(),
        known: &known,
        artifacts: &artifacts,
        roster: None,
        release: None,
        beyond: controller_core::beyond::Beyond::NOTHING,
        purpose: Purpose::Install,
        only: &std::collections::BTreeSet::new(),
    };
    let plan = match of {
        "S" => switch(inputs, &"s1.c.test".parse().unwrap()).unwrap(),
        "T" => transition(inputs, &"s1.e.test".parse().unwrap()).unwrap(),
        _ => plan(inputs),
    };
    let server = match of {
        "A" => "s1.a.test",
        "U" | "S" => "s1.c.test",
        "R" => "s1.d.test",
        "T" => "s1.e.test",
        _ => "s1.b.test",
    };
    let part = &plan.targets[&server.parse().unwrap()];
    let steps = part.phases.iter().flat_map(|phase| phase.steps.clone());
    let steps: Vec<Step> = steps.collect();
    assert!(!steps.is_empty(), "{server} has no steps: {:?}", part.why);
    steps
}

/// Titles of the pages that the recipes show, by the prefix of the article's rows that they stand for.
fn pages(of: &str) -> BTreeSet<String> {
    let steps = planned(of);
    let texts = steps.iter().filter_map(|step| match step {
        Step::GuideProvisioningAgent(guide) => Some(&guide.text),
        Step::GuideConnect(guide) => Some(&guide.text),
        Step::GuideConnectRemoval(guide) => Some(&guide.text),
        Step::GuideTransition(guide) => Some(&guide.text),
        _ => None,
    });
    let titles = texts.flat_map(|text| text.pages.iter().map(|page| page.title.clone()));
    let mut titles: BTreeSet<String> = titles.collect();
    if of == "A" {
        let download = download::task(Product::ProvisioningAgent);
        titles.extend(download.pages.into_iter().map(|page| page.title));
    }
    assert!(!titles.is_empty(), "{of} has no pages");
    titles
}

/// Rows of the page's tables: the first cell's id, and the row.
fn rows() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/article.md");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let id = line.split('|').nth(1)?.trim();
            let id = id.split(':').next()?.to_owned();
            let head = ["Step", "---", "Path"].contains(&id.as_str());
            (!head).then(|| (id, line.to_owned()))
        })
        .collect()
}

#[test]
fn each_step_note_link_and_upgrade_path_has_one_row() {
    let mut wanted: Vec<String> = (1..=17).map(|number| format!("A{number}")).collect();
    wanted.extend(["A6n", "A-link", "E-link", "C"].map(ToOwned::to_owned));
    wanted.extend((1..=10).map(|number| format!("E{number}")));
    wanted.extend((1..=6).map(|number| format!("U{number}")));
    wanted.extend((1..=4).map(|number| format!("R{number}")));
    wanted.extend((1..=2).map(|number| format!("S{number}")));
    wanted.extend((1..=3).map(|number| format!("X{number}")));
    wanted.extend((1..=2).map(|number| format!("T{number}")));
    wanted.sort();
    let mut there: Vec<String> = rows().into_iter().map(|(id, _)| id).collect();
    there.sort();
    assert_eq!(there, wanted);
}

/// A link stands where the article has it, and nowhere else: in the row of its step.
#[test]
fn each_link_of_the_article_stands_in_its_row() {
    let rows = rows();
    for link in links::ALL {
        let row = rows.iter().find(|(id, _)| id == link.step);
        let (_, row) = row.unwrap();
        assert!(row.contains(link.url), "{}: {}", link.step, link.url);
    }
    for (id, row) in rows {
        let shown = row.split("https://").skip(1);
        for rest in shown {
            let url: String = rest
                .chars()
                .take_while(|sign| !sign.is_whitespace() && !">)|".contains(*sign))
                .collect();
            let url = format!("https://{url}");
            let own = |link: &&links::Link| link.step == id && link.url == url;
            assert!(links::ALL.iter().any(|link| own(&link)), "{id}: {url}");
        }
    }
}

#[test]
fn each_page_that_a_row_names_is_shown_by_its_recipe() {
    let mut named = 0;
    for (id, row) in rows() {
        let prefix = &id[..1];
        let Some(from) = row.find("age \"").or_else(|| row.find("ages \"")) else {
            continue;
        };
        let shown = pages(prefix);
        for title in row[from..].split('"').skip(1).step_by(2) {
            assert!(
                shown.contains(title),
                "{id} names {title:?}; there are {shown:?}"
            );
            named += 1;
        }
    }
    assert!(named >= 15, "only {named} pages are named");
}

/// Rows of upgrades, switches, removals and changes: the recipe of the page that each stands for, and the servers whose steps it names.
/// The others are made of rows that stand here, or have no step at all.
const PATHS: &[(&str, &str, &[&str])] = &[
    ("U1", "Cloud sync: upgrade in place", &["s1"]),
    ("U2", "Both: verify what is there", &["s1"]),
    ("U3", "Connect: upgrade in place, staging first", &["s2"]),
    ("U4", "Connect: upgrade in place, staging first", &["s1"]),
    ("U6", "Both: verify what is there", &["s2"]),
    (
        "S1",
        "Connect: the active and a staging server change places",
        &["s1", "s2"],
    ),
    ("S2", "Connect: the active server is gone", &["s1", "s2"]),
    ("T1", "Connect: may the tenant move to cloud sync?", &["s1"]),
    ("T2", "Connect: the tenant moves to cloud sync", &["s1"]),
    ("R1", "Cloud sync: a server is retired", &["s2"]),
    ("R2", "Cloud sync: a domain ends", &["s1"]),
    ("R4", "Connect: a staging server is retired", &["s2"]),
    ("X1", "Cloud sync: options of the service change", &["s1"]),
    (
        "X2",
        "Cloud sync: a domain is added to agents that are registered",
        &["s1"],
    ),
    (
        "X3",
        "Cloud sync: upgrade in place at a site whose rule for restarts is to ask",
        &["s1"],
    ),
];

const MADE_OF_OTHERS: [&str; 2] = ["U5", "R3"];

/// What stands between stars.
fn starred(text: &str) -> BTreeSet<String> {
    text.split('*')
        .skip(1)
        .step_by(2)
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn each_path_names_the_steps_of_its_recipe_and_no_others() {
    for (id, row) in rows() {
        let cells: Vec<&str> = row.split(" | ").collect();
        if !["U", "S", "T", "R", "X"].contains(&&id[..1]) {
            continue;
        }
        let path = PATHS.iter().find(|(of, ..)| *of == id);
        let Some((_, title, servers)) = path else {
            assert!(MADE_OF_OTHERS.contains(&id.as_str()), "{id} has no recipe");
            assert_eq!(starred(cells[2]), BTreeSet::new(), "{id}");
            continue;
        };
        let case = recipes::CASES.iter().find(|case| case.title == *title);
        let plan = case.unwrap().plan();
        let mut steps = BTreeSet::new();
        for server in *servers {
            let part = &plan.targets[&format!("{server}.a.test").parse().unwrap()];
            let planned = part.phases.iter().flat_map(|phase| &phase.steps);
            steps.extend(planned.map(|step| step.title().to_owned()));
        }
        assert_eq!(starred(cells[2]), steps, "{id}");
    }
}

/// A step that a row of the installations names stands in that recipe's plan.
#[test]
fn each_step_that_a_row_names_is_in_its_plan() {
    let mut named = 0;
    for (id, row) in rows() {
        for rest in row.split("step *").skip(1) {
            let title = rest.split('*').next().unwrap();
            let steps = planned(&id[..1]);
            assert!(
                steps.iter().any(|step| step.title() == title),
                "{id} names {title:?}"
            );
            named += 1;
        }
    }
    assert!(named >= 4, "only {named} steps are named");
}

#[test]
fn each_file_that_a_row_names_as_its_recipe_is_there() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = 0;
    for (id, row) in rows() {
        let cells: Vec<&str> = row.split(" | ").collect();
        if !["U", "S", "T", "R", "X"].contains(&&id[..1]) {
            continue;
        }
        for file in cells[1].split('`').skip(1).step_by(2) {
            let here = ["recipe", "plan"].map(|folder| source.join(folder).join(file).exists());
            assert!(here.contains(&true), "{id} names {file}");
            named += 1;
        }
    }
    assert!(named >= 15, "only {named} files are named");
}
