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

/// The recipes that rows of that prefix stand for beside what is planned here.
const BESIDE: &[(&str, &str)] = &[
    (
        "A",
        "Cloud sync: install, signed in by a token; the domain's administrator does the directory's part",
    ),
    (
        "A",
        "Cloud sync: install, signed in by a credential; the domain's administrator gives one",
    ),
    (
        "C",
        "Connect: install with custom settings, one active and one staging",
    ),
    ("C", "Connect: install with a database on a SQL Server"),
    (
        "C",
        "Connect: a server that was set up anew takes its database over",
    ),
];

/// The steps of a recipe of the page, on those servers of it, or on all.
fn steps_of(title: &str, servers: Option<&[&str]>) -> Vec<Step> {
    let case = recipes::CASES.iter().find(|case| case.title == title);
    let plan = case
        .unwrap_or_else(|| panic!("no case is {title:?}"))
        .plan();
    let named = |target: &str| {
        servers.is_none_or(|servers| {
            let mut servers = servers.iter();
            servers.any(|server| target == format!("{server}.a.test"))
        })
    };
    let parts = plan
        .targets
        .iter()
        .filter(|(target, _)| named(target.as_str()));
    let phases = parts.flat_map(|(_, part)| &part.phases);
    phases.flat_map(|phase| phase.steps.clone()).collect()
}

/// The steps of the recipes that the article's rows of that prefix stand for.
fn planned(of: &str) -> Vec<Step> {
    let beside = BESIDE.iter().filter(|(prefix, _)| *prefix == of);
    let mut steps: Vec<Step> = beside
        .flat_map(|(_, title)| steps_of(title, None))
        .collect();
    let paths = PATHS.iter().filter(|(id, ..)| id.starts_with(of));
    steps.extend(paths.flat_map(|(_, title, servers)| steps_of(title, Some(servers))));
    // The rows of custom settings and of changes stand for recipes of the page alone.
    if !["C", "X"].contains(&of) {
        steps.extend(planned_here(of));
    }
    assert!(!steps.is_empty(), "{of} has no steps");
    steps
}

/// The steps of the recipe of this file's topology, on its server.
fn planned_here(of: &str) -> Vec<Step> {
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
            facts: Some((NOW, common::facts(None, connect))),
            ..Known::of(SigningKey::generate().public().fingerprint())
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
        "E" => "s1.b.test",
        _ => panic!("{of} has no server here"),
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
    let texts = steps.iter().flat_map(|step| {
        let mut texts = recipes::texts(step);
        // Shown in place of the cmdlets, where a server's logging would record a secret.
        if let Step::RegisterProvisioningAgent(register) = step {
            texts.push(&register.wizard);
        }
        texts
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

/// What stands in quotes where a row begins to name pages.
fn quoted(row: &str) -> Vec<&str> {
    let from = row.find("age \"").or_else(|| row.find("ages \""));
    from.map_or_else(Vec::new, |from| {
        row[from..].split('"').skip(1).step_by(2).collect()
    })
}

/// What stands between stars behind the word step.
fn named_steps(row: &str) -> Vec<&str> {
    let rests = row.split("step *").skip(1);
    rests.filter_map(|rest| rest.split('*').next()).collect()
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

/// How many links the article has at each of its steps, counted in it by whoever read it: a link that is dropped from the list leaves one short.
const LINKS: &[(&str, usize)] = &[
    // The step itself has none: the part that the article includes there has these two.
    ("A1", 2),
    ("A6n", 1),
    ("A-link", 1),
    ("E7", 3),
    ("E-link", 1),
    ("C", 1),
];

#[test]
fn each_step_of_the_article_that_has_links_has_as_many() {
    for (id, _) in rows() {
        let wanted = LINKS.iter().find(|(step, _)| *step == id);
        let wanted = wanted.map_or(0, |(_, count)| *count);
        let there = links::ALL.iter().filter(|link| link.step == id);
        assert_eq!(there.count(), wanted, "{id}");
    }
    let all: usize = LINKS.iter().map(|(_, count)| count).sum();
    assert_eq!(
        links::ALL.len(),
        all,
        "each stands at a step that has a row"
    );
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
        let titles = quoted(&row);
        if titles.is_empty() {
            continue;
        }
        let shown = pages(&id[..1]);
        for title in titles {
            assert!(
                shown.contains(title),
                "{id} names {title:?}; there are {shown:?}"
            );
            named += 1;
        }
    }
    assert!(named >= 15, "only {named} pages are named");
}

/// What a row says of a page in words, and how the page begins to say it.
const SAID: &[(&str, &str, &str, &str)] = &[
    (
        "E6",
        "where none has, it is told as not read",
        "Connect to AD DS",
        "the NetBIOS name of b.test is not read",
    ),
    (
        "E6",
        "with both forms of the account",
        "Connect to AD DS",
        "an Enterprise Administrator, as b.test\\administrator or with the NetBIOS name",
    ),
    (
        "E7",
        "when it shows, and to stop there",
        "Microsoft Entra sign-in configuration",
        "stop here and verify the domain first",
    ),
    (
        "E10",
        "sign out and in again",
        "Afterwards",
        "sign out and in again",
    ),
];

/// What the table says of a page in words stands on that page.
#[test]
fn what_a_row_says_of_a_page_is_what_the_page_says() {
    let rows = rows();
    for (id, words, title, line) in SAID {
        let (_, row) = rows.iter().find(|(one, _)| one == id).unwrap();
        assert!(row.contains(words), "{id} does not say {words:?}: {row}");
        let steps = planned(&id[..1]);
        let texts = steps.iter().filter_map(|step| match step {
            Step::GuideConnect(guide) => Some(&guide.text),
            _ => None,
        });
        let pages = texts.flat_map(|text| &text.pages);
        let lines = pages
            .filter(|page| page.title == *title)
            .flat_map(|page| &page.lines);
        let lines: Vec<&String> = lines.collect();
        assert!(
            lines.iter().any(|one| one.starts_with(line)),
            "{id}: {title:?} does not say {line:?}: {lines:?}"
        );
    }
}

/// Rows that name no pages of their own, and go by those of others, in these words.
const GOES_BY: &[(&str, &str, &str)] = &[
    ("U", "C", "those of C or U3"),
    ("U", "S1", "those of S1"),
    ("U", "R4", "or of R4"),
    ("X", "A", "the pages of A8 to A17"),
];

/// A page that comes to be shown has to stand in some row of its recipe.
#[test]
fn each_page_that_a_recipe_shows_is_named_by_some_row() {
    let rows = rows();
    let mut missing = Vec::new();
    for of in ["A", "E", "C", "U", "S", "T", "R", "X"] {
        let own = || rows.iter().filter(|(id, _)| id.starts_with(of));
        let mut named: BTreeSet<&str> = own().flat_map(|(_, row)| quoted(row)).collect();
        for (_, other, words) in GOES_BY.iter().filter(|(from, ..)| *from == of) {
            assert!(own().any(|(_, row)| row.contains(words)), "{of}: {words}");
            let others = rows.iter().filter(|(id, _)| id.starts_with(other));
            named.extend(others.flat_map(|(_, row)| quoted(row)));
        }
        let pages = pages(of);
        let unnamed = pages
            .into_iter()
            .filter(|title| !named.contains(title.as_str()));
        missing.extend(unnamed.map(|title| (of, title)));
    }
    assert!(missing.is_empty(), "no row has {missing:?}");
}

/// Rows of upgrades, switches, removals and changes: the recipe of the page that each stands for, and the servers whose steps it names.
/// A path that is gone in more than one way has a line for each.
const PATHS: &[(&str, &str, &[&str])] = &[
    ("U1", "Cloud sync: upgrade in place", &["s1"]),
    ("U2", "Both: verify what is there", &["s1"]),
    ("U3", "Connect: upgrade in place, staging first", &["s2"]),
    ("U4", "Connect: upgrade in place, staging first", &["s1"]),
    ("U5", "Connect: swing upgrade of two servers", &["s1", "s2"]),
    (
        "U5",
        "Connect: swing upgrade to a new server, and the old one is retired",
        &["s1", "s2"],
    ),
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
    (
        "R3",
        "Cloud sync: a domain is taken from agents that stay, and nothing comes in its place",
        &["s1"],
    ),
    ("R4", "Connect: a staging server is retired", &["s2"]),
    ("X1", "Cloud sync: options of the service change", &["s1"]),
    (
        "X2",
        "Cloud sync: a domain is added to agents that are registered",
        &["s1"],
    ),
    (
        "X2",
        "Cloud sync: rights come to be written of a domain that agents serve",
        &["s1", "s2"],
    ),
    (
        "X3",
        "Cloud sync: upgrade in place at a site whose rule for restarts is to ask",
        &["s1"],
    ),
];

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
        let mut paths = PATHS.iter().filter(|(of, ..)| *of == id).peekable();
        assert!(paths.peek().is_some(), "{id} has no recipe");
        let steps = paths.flat_map(|(_, title, servers)| steps_of(title, Some(servers)));
        let titles: BTreeSet<String> = steps.map(|step| step.title().to_owned()).collect();
        assert!(!titles.is_empty(), "{id} has no steps");
        assert_eq!(starred(cells[2]), titles, "{id}");
    }
}

/// A step that a row of the installations names stands in that recipe's plan, and one that comes to be planned has to stand in
/// some row.
#[test]
fn the_rows_of_an_installation_name_the_steps_of_its_recipes_and_no_others() {
    let rows = rows();
    for of in ["A", "E", "C"] {
        let own = rows.iter().filter(|(id, _)| id.starts_with(of));
        let named: BTreeSet<&str> = own.flat_map(|(_, row)| named_steps(row)).collect();
        let steps = planned(of);
        let planned: BTreeSet<&str> = steps.iter().map(Step::title).collect();
        assert_eq!(named, planned, "{of}");
    }
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

/// Who does what a row of an installation names, by what its steps are: a step that needs nobody and what is called automatic is the agent's, work
/// at a wizard and a page are a person's, what only a secret ends is an operator's, and so is what `artifact add` ends.
fn doers(id: &str, covers: &str) -> BTreeSet<&'static str> {
    let steps = planned(&id[..1]);
    let mut who = BTreeSet::new();
    for title in named_steps(covers) {
        let mut own = steps.iter().filter(|step| step.title() == title);
        let step = own.next().unwrap_or_else(|| panic!("{id} names {title}"));
        who.insert(match step {
            Step::RegisterProvisioningAgent(_) => "operator",
            step if step.guided_work().is_some() => "person",
            step if step.needs_person() => "person",
            _ => "agent",
        });
    }
    for (words, does) in [
        ("automatic", "agent"),
        ("cmdlets: n", "agent"),
        ("the same page", "person"),
        ("`entrain artifact add", "operator"),
        ("`entrain handover", "administrator"),
    ] {
        if covers.contains(words) {
            who.insert(does);
        }
    }
    if !quoted(covers).is_empty() {
        who.insert("person");
    }
    // The administrator of a domain is the person at its page.
    if who.contains("administrator") {
        who.remove("person");
    }
    who
}

#[test]
fn who_does_it_follows_from_what_the_steps_are() {
    let mut told = 0;
    for (id, row) in rows() {
        let cells: Vec<&str> = row.split(" | ").collect();
        if !["A", "E", "C"].contains(&&id[..1]) || id.ends_with("-link") {
            continue;
        }
        let named = ["agent", "person", "operator", "administrator"];
        let named = named.into_iter().filter(|one| cells[3].contains(one));
        assert_eq!(
            named.collect::<BTreeSet<_>>(),
            doers(&id, cells[2]),
            "{id}: {}",
            cells[3]
        );
        told += 1;
    }
    assert_eq!(told, 29);
}

/// The steps of a path of the other tables.
fn steps_of_path(id: &str) -> Vec<Step> {
    let paths = PATHS.iter().filter(|(of, ..)| *of == id);
    let steps = paths.flat_map(|(_, title, servers)| steps_of(title, Some(servers)));
    steps.collect()
}

#[test]
fn a_path_says_nobody_where_no_step_of_it_needs_a_person_and_names_the_pages_of_the_others() {
    for (id, row) in rows() {
        let cells: Vec<&str> = row.split(" | ").collect();
        if !["U", "S", "T", "R", "X"].contains(&&id[..1]) {
            continue;
        }
        let steps = steps_of_path(&id);
        let needed = steps.iter().any(Step::needs_person);
        let nobody = cells[4].starts_with("nobody");
        assert!(!(needed && nobody), "{id}: {}", cells[4]);
        let only_runs = ["U", "X"].contains(&&id[..1]) && !needed;
        assert!(
            !only_runs || nobody || id == "X3",
            "{id} needs nobody: {}",
            cells[4]
        );
        let wizard = steps.iter().any(|step| !recipes::texts(step).is_empty());
        let pages = cells[4].contains("page") || cells[4] == "as U3";
        assert_eq!(wizard, pages, "{id}: {}", cells[4]);
    }
}

/// What the watch of a wizard looks at, by the words of a task's own sentence on its end.
const LOOKED_AT: &[&str] = &[
    "engine",
    "scheduler",
    "suspended",
    "staging",
    "service",
    "gMSA",
    "tenant",
    "registered",
];

/// The rows in which the wizard's end is told, with the steps that it is the end of.
fn ends() -> Vec<(&'static str, Vec<Step>)> {
    let mut ends = vec![("A16", planned_here("A")), ("E9", planned_here("E"))];
    for id in ["U3", "S1", "T2", "R4"] {
        ends.push((id, steps_of_path(id)));
    }
    ends
}

#[test]
fn how_an_end_is_seen_is_what_the_work_itself_says_of_it() {
    let rows = rows();
    for (id, steps) in ends() {
        let (_, row) = rows.iter().find(|(one, _)| one == id).unwrap();
        let seen = row.split(" | ").last().unwrap();
        let mut told = 0;
        for step in &steps {
            let text = match step {
                Step::GuideProvisioningAgent(guide) => &guide.text,
                Step::GuideConnect(guide) => &guide.text,
                Step::GuideConnectRemoval(guide) => &guide.text,
                Step::GuideTransition(guide) => &guide.text,
                _ => continue,
            };
            let words = LOOKED_AT
                .iter()
                .filter(|word| text.seen_by.contains(**word));
            for word in words {
                assert!(
                    seen.contains(word),
                    "{id}: {:?} is told as {seen}",
                    text.seen_by
                );
                told += 1;
            }
        }
        assert!(told >= 2, "{id}: {seen}");
    }
}

/// A row that ends with another one names one that is seen.
#[test]
fn a_row_that_ends_with_another_names_one_whose_end_is_seen() {
    let rows = rows();
    let seen = |id: &str| {
        let (_, row) = rows.iter().find(|(one, _)| one == id).unwrap();
        let seen = row.split(" | ").last().unwrap();
        seen.trim_end_matches([' ', '|']).to_owned()
    };
    let mut named = 0;
    for (id, _) in rows.iter().filter(|(id, _)| !id.ends_with("-link")) {
        let own = seen(id);
        let Some(other) = own.strip_prefix("with ") else {
            continue;
        };
        let other: String = other
            .chars()
            .take_while(|sign| sign.is_ascii_alphanumeric())
            .collect();
        let ends = seen(&other);
        assert!(
            !ends.starts_with("with ") || other == "A12",
            "{id}: with {other}: {ends}"
        );
        assert_ne!(ends, "not seen", "{id}: with {other}");
        named += 1;
    }
    assert!(named >= 15, "only {named}");
}

/// The pace at which a person's work is looked at stands in the agent alone.
#[test]
fn the_pace_of_a_watch_is_the_agents_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agent/core/src/step/mod.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let (_, rest) = source
        .split_once("pub const WATCH: Duration = Duration::from_secs(")
        .unwrap();
    let seconds: u32 = rest.split(')').next().unwrap().parse().unwrap();
    let mut told = 0;
    for (id, row) in rows() {
        for pace in row.split("every ").skip(1) {
            let own = pace.starts_with(&format!("{seconds} s"));
            // Of anything but a time nothing is said here.
            if !pace.starts_with(|sign: char| sign.is_ascii_digit()) {
                continue;
            }
            assert!(
                own,
                "{id}: every {}",
                pace.chars().take(12).collect::<String>()
            );
            told += 1;
        }
    }
    assert!(told >= 4, "only {told}");
}

/// Recipes that no row stands for by name, with the row whose steps they do by other arguments; and why they have no row of their own.
const AS: &[(&str, &str, &str)] = &[
    (
        "Cloud sync: install by a person at the wizard, which makes the account",
        "A11",
        "the account that the product makes",
    ),
    (
        "Cloud sync: a domain is added to agents that go by a proxy",
        "X2",
        "by a proxy",
    ),
    (
        "Cloud sync: install with every set of rights, which the administrator of each domain gives by a credential",
        "A13",
        "the rights that the domain's administrator gives",
    ),
    (
        "Cloud sync: an agent that was set up and registered nowhere",
        "A10",
        "the setup ran before",
    ),
    (
        "Cloud sync: a registration by cmdlets that was broken off",
        "A10",
        "it is gone on with",
    ),
    (
        "Cloud sync: upgrade in place, with a watch behind it",
        "U1",
        "it is verified once more",
    ),
    (
        "Cloud sync: upgrade in place of agents whose configuration file somebody edited",
        "U1",
        "what was edited is set as the options of X1",
    ),
    (
        "Connect: install with custom settings, one active and one staging, whose cycle a person starts",
        "C",
        "a choice of the wizard",
    ),
    (
        "Connect: install where chosen organizational units are synchronized",
        "C",
        "a choice of the wizard",
    ),
    (
        "Connect: upgrade in place, staging first, with a watch behind it",
        "U3",
        "it is verified once more",
    ),
    (
        "Connect: upgrade in place while the tenant's cycle is off",
        "U3",
        "nobody is asked to release the cycle",
    ),
    (
        "Connect: upgrade in place where it was not told whether the cycle is on",
        "U3",
        "nobody is asked to release the cycle",
    ),
    (
        "Both: products that are newer than their installers here",
        "U2",
        "two rows on two servers",
    ),
    (
        "Cloud sync: install on two servers, whose account the product makes; the domain's administrator gives a credential to each",
        "A11",
        "the account that the product makes",
    ),
    (
        "Cloud sync: install where prerequisites may be set",
        "A6",
        "its preflight sets what it would block for",
    ),
    (
        "Cloud sync: install behind a proxy, with options of the service",
        "A6",
        "with the options of X1",
    ),
    (
        "Cloud sync: install in the US Government cloud, by a person at the wizard",
        "A6n",
        "another cloud",
    ),
    (
        "Cloud sync: install in the cloud in China, by a person at the wizard",
        "A6n",
        "another cloud",
    ),
    (
        "Cloud sync: install where a domain's controllers are preferred, by a person at the wizard",
        "A12",
        "the preferred controllers of a domain",
    ),
    (
        "Cloud sync: a domain is added at the wizard",
        "X2",
        "the wizard in place of the cmdlets",
    ),
    (
        "Cloud sync: a domain is taken from agents that stay",
        "X2",
        "another domain comes in the place of one (R3)",
    ),
    (
        "Connect: install in the US Government cloud, where custom settings alone go",
        "C",
        "another cloud",
    ),
    (
        "Connect: install in the cloud in China, with custom settings",
        "C",
        "another cloud",
    ),
    (
        "Connect: install with custom settings whose cycle a person starts",
        "C",
        "a choice of the wizard",
    ),
    (
        "Connect: a staging server beside an active one, whose cycle goes on",
        "C",
        "a choice of the wizard",
    ),
    (
        "Connect: install behind a proxy that demands a sign-in",
        "C",
        "what is asked before",
    ),
    (
        "Connect: a staging server by an import, each with a database of its own",
        "C",
        "a choice of the wizard",
    ),
    (
        "Connect: a staging server takes over the database of one that has no Connect any more, signed in by Microsoft's own window",
        "C",
        "a choice of the wizard",
    ),
    (
        "Both on one server: verify what is there",
        "U2",
        "two rows on one server",
    ),
    (
        "Both on one server: Connect is upgraded where its agent needs nothing",
        "U3",
        "two rows on one server",
    ),
    (
        "Both on one server: one product is changed at a time",
        "U1",
        "two rows on one server",
    ),
    (
        "Cloud sync: a server is retired at a site whose rule for restarts is to ask",
        "R1",
        "X3 goes before and behind it",
    ),
    (
        "Cloud sync: upgrade in place at a site whose rule for restarts is its window",
        "X3",
        "the other rule of a site",
    ),
    (
        "Connect: a fenced server is retired",
        "R4",
        "it was fenced before",
    ),
    (
        "Connect: the only active server leaves its database to a new one",
        "R4",
        "it is the active one, and the server that takes its database over is installed behind it",
    ),
    (
        "Connect: a tenant's last server is retired",
        "R4",
        "it is the tenant's last",
    ),
    (
        "Connect: a tenant's last server is retired, and is fenced",
        "R4",
        "it is the tenant's last",
    ),
];

/// Recipes in which no step of the article and no change of a product is done, and why each is there.
const WITHOUT: &[(&str, &str)] = &[
    (
        "Cloud sync: a server is retired from which the agent is gone",
        "nothing is changed: that it is gone is verified (R1)",
    ),
    (
        "Cloud sync: an agent that somebody else registered",
        "nothing is changed: what is there is verified, and the plan says why",
    ),
    (
        "Cloud sync: agents whose services were stopped, disabled, or given another account",
        "a service that somebody stopped is started again: no step of an installation",
    ),
    (
        "Cloud sync: agents whose updaters were stopped or disabled",
        "a service that somebody stopped is started again: no step of an installation",
    ),
    (
        "Connect: an engine that somebody stopped is left to a person",
        "nothing is changed: what is there is verified, and the plan says why",
    ),
    (
        "Connect: a database is not taken over while Connect is on the server whose it is",
        "it waits, and the other servers are verified or taken off (R4)",
    ),
    (
        "Connect: the active server is retired, and is not touched while it is active",
        "it waits for a swap (S1)",
    ),
    (
        "Both: are the servers ready?",
        "nothing is changed: the preflight of each is asked alone",
    ),
    (
        "Both: are the servers ready, where prerequisites may be set?",
        "nothing is changed: what an installation would set is told",
    ),
    (
        "Both: are the servers ready, whose products are as new as their installers?",
        "nothing is changed: what an upgrade alone needs warns",
    ),
    (
        "Both: which servers are there?",
        "nothing is changed: a directory is asked",
    ),
    (
        "Both: logs for whoever supports the products",
        "nothing is changed: logs are collected",
    ),
    (
        "Cloud sync: what was set as a prerequisite is put back",
        "prerequisites alone: what an installation has set goes again",
    ),
    (
        "Both: a new version of Entrain's own agent",
        "Entrain's own agent: no product is touched",
    ),
];

/// The titles of a row's steps: of a path its recipes', of an installation those that all rows of its product stand for.
fn titles_of_row(id: &str) -> BTreeSet<String> {
    let steps = match &id[..1] {
        of @ ("A" | "E" | "C") => planned(of),
        _ => steps_of_path(id),
    };
    steps.iter().map(|step| step.title().to_owned()).collect()
}

/// The way back: each recipe of the page stands in a row, does the steps of one by other arguments, or has a reason why it has none.
#[test]
fn each_recipe_stands_in_a_row_or_says_why_it_has_none() {
    let rows = rows();
    let is_row = |id: &str| rows.iter().any(|(one, _)| one == id);
    let by_name = |title: &str| {
        // The row of express settings is planned by this file's own topology.
        let express = "Connect: install with express settings";
        title == express
            || BESIDE.iter().any(|(_, one)| *one == title)
            || PATHS.iter().any(|(_, one, _)| *one == title)
    };
    let mut wrong = Vec::new();
    for case in recipes::CASES {
        let like = AS.iter().find(|(title, ..)| *title == case.title);
        let without = WITHOUT.iter().find(|(title, _)| *title == case.title);
        let ways = [by_name(case.title), like.is_some(), without.is_some()];
        let ways = ways.into_iter().filter(|way| *way).count();
        if ways != 1 {
            wrong.push(format!("{}: {ways} ways", case.title));
        }
        let steps = steps_of(case.title, None);
        let titles: BTreeSet<String> = steps.iter().map(|step| step.title().to_owned()).collect();
        if let Some((title, row, _)) = like {
            assert!(is_row(row), "{title}: there is no row {row}");
            // What goes on beside it on the other servers, and the restarts of X3, are rows of their own.
            let mut own = titles_of_row(row);
            for beside in ["R4", "U2", "U3", "U6", "X1", "X3"] {
                own.extend(titles_of_row(beside));
            }
            let more: Vec<&String> = titles.difference(&own).collect();
            if !more.is_empty() {
                wrong.push(format!("{title}: {row} has no {more:?}"));
            }
            let row = titles_of_row(row);
            assert!(
                !row.is_disjoint(&titles),
                "{title}: it does nothing of {row:?}"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let there = |title: &str| recipes::CASES.iter().any(|case| case.title == title);
    let said = AS.iter().map(|(title, ..)| title);
    for title in said.chain(WITHOUT.iter().map(|(title, _)| title)) {
        assert!(there(title), "no case is {title:?}");
    }
}

/// Steps that no row names: they do nothing that the article asks for.
const NO_ROW: &[(&str, &str)] = &[
    ("ask the directory for servers", "it changes nothing"),
    (
        "collect the provisioning agent's logs",
        "it changes nothing",
    ),
    ("upgrade Entrain's agent", "no product is touched"),
    (
        "put back what was set as a prerequisite",
        "it undoes what a preflight has set",
    ),
    (
        "start the provisioning agent",
        "what somebody stopped runs again",
    ),
];

/// A step that comes to be planned stands in a row of the article, or here with its reason.
#[test]
fn each_step_that_is_planned_stands_in_a_row_or_says_why_it_has_none() {
    let mut named: BTreeSet<String> = BTreeSet::new();
    for (_, row) in rows() {
        let cells: Vec<&str> = row.split(" | ").collect();
        named.extend(starred(cells[2]));
        named.extend(named_steps(&row).into_iter().map(ToOwned::to_owned));
    }
    let steps = recipes::CASES
        .iter()
        .flat_map(|case| steps_of(case.title, None));
    let planned: BTreeSet<String> = steps.map(|step| step.title().to_owned()).collect();
    for title in &planned {
        let without = NO_ROW.iter().any(|(one, _)| one == title);
        assert_ne!(named.contains(title), without, "{title}");
    }
    for (title, _) in NO_ROW {
        assert!(planned.contains(*title), "{title} is planned nowhere");
    }
}
