//! Every kind of step with processes as they are: its server loses its power before the step begins, when it first asks, at each
//! change that it makes, and as it ends. What of its journal was not flushed is gone then. Each time the agent comes back, and nothing
//! is done twice.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use agent_twin::{Fault, Installed, Moment, Profile, Twin};
use e2e::{TENANT, World, program, server, text, until, until_within};
use protocol::Version;
use protocol::facts::ServiceState;
use protocol::step::Step;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// Some thirty lives of the agents, each of which connects anew.
const PATIENCE: Duration = Duration::from_secs(200);

/// Kinds of steps that a course brings its servers to, and those of them that change nothing on a server.
struct Kinds {
    all: &'static [&'static str],
    read: &'static [&'static str],
}

const INSTALL: Kinds = Kinds {
    all: &[
        "restart-server",
        "preflight",
        "install-provisioning-agent",
        "register-provisioning-agent",
        "set-provisioning-agent-options",
        "verify-provisioning-agent",
    ],
    read: &["verify-provisioning-agent"],
};

const CHANGE: Kinds = Kinds {
    all: &["add-domains", "start-provisioning-agent"],
    read: &[],
};

const LOOK: Kinds = Kinds {
    all: &["collect-support", "discover-servers"],
    // The model counts no file as a change.
    read: &["collect-support", "discover-servers"],
};

const REMOVE: Kinds = Kinds {
    all: &[
        "remove-provisioning-agent",
        "verify-provisioning-agent-removed",
    ],
    read: &["verify-provisioning-agent-removed"],
};

const UNDO: Kinds = Kinds {
    all: &["undo-fixes", "report-facts"],
    read: &["report-facts"],
};

const WIZARD: Kinds = Kinds {
    all: &["guide-provisioning-agent", "upgrade-agent"],
    read: &[],
};

const CONNECT: Kinds = Kinds {
    all: &[
        "stage-connect",
        "guide-connect",
        "await-full-sync",
        "verify-connect",
    ],
    // The model counts no file as a change.
    read: &["stage-connect", "await-full-sync", "verify-connect"],
};

const SWAP: Kinds = Kinds {
    all: &["review-connect-exports", "read-connect-settings"],
    read: &["review-connect-exports", "read-connect-settings"],
};

const FENCE: Kinds = Kinds {
    all: &["fence-connect"],
    read: &[],
};

const TRANSITION: Kinds = Kinds {
    all: &["check-transition", "guide-transition"],
    read: &["check-transition"],
};

const CONNECT_REMOVED: Kinds = Kinds {
    all: &["guide-connect-removal", "verify-connect-removed"],
    read: &["verify-connect-removed"],
};

const COURSES: [&Kinds; 11] = [
    &INSTALL,
    &CHANGE,
    &LOOK,
    &REMOVE,
    &UNDO,
    &WIZARD,
    &CONNECT,
    &SWAP,
    &FENCE,
    &TRANSITION,
    &CONNECT_REMOVED,
];

#[test]
fn every_kind_of_step_is_in_a_course() {
    let courses = COURSES.iter().flat_map(|course| course.all);
    let kinds: BTreeSet<&str> = courses.copied().collect();
    assert_eq!(kinds, Step::KINDS.into_iter().collect());
}

/// What the stories rest on: of a journal only what was flushed is on the disk when its writer has ended.
#[test]
fn a_disk_keeps_nothing_of_a_journal_but_what_was_flushed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, journal) = (folder.path().join("from"), folder.path().join("journal"));
    std::fs::write(&from, "a word").expect("a file");
    for (flushes, kept) in [(None, ""), (Some("conv=fdatasync"), "a word")] {
        let copied = std::process::Command::new("dd")
            .arg(format!("if={}", from.display()))
            .arg(format!("of={}", journal.display()))
            .args(flushes)
            .env("LD_PRELOAD", program("libcut.so"))
            .env("ENTRAIN_TEST_FLUSHED", "1")
            .output()
            .expect("it runs");
        assert!(copied.status.success(), "{}", text(&copied));
        let is = std::fs::read_to_string(&journal).expect("the journal");
        assert_eq!(is, kept, "{flushes:?}");
    }
}

/// Servers that lose their power.
struct Course {
    world: World,
    servers: Vec<Profile>,
    lives: usize,
}

impl Course {
    fn new(mut world: World, servers: &[Profile]) -> Self {
        world.flushed = true;
        world.enroll(servers);
        let servers = servers.to_vec();
        Self {
            world,
            servers,
            lives: 0,
        }
    }

    /// Goes on until `is_over`, with one life of the agents after the other; then each cut of these kinds on `target` has come.
    fn goes_on(&mut self, target: &str, kinds: &Kinds, mut is_over: impl FnMut(&World) -> bool) {
        let before = self.lives;
        let changed = self.world.changes(target).len();
        self.world.give_secrets(20);
        until_within(PATIENCE, kinds.all[0], || {
            if self.world.power_was_lost() {
                self.lives += 1;
                self.world.start_agents(&self.servers, None);
                // Who gave secrets has gone with them.
                self.world.give_secrets(20);
            }
            is_over(&self.world).then_some(())
        });
        let left = self.world.cuts_left(target);
        for cut in &left {
            assert_eq!(cut.at, Moment::Changed, "{} did not come to it", cut.step);
            let reads = kinds.read.contains(&cut.step.as_str());
            assert_eq!(
                cut.came.is_empty(),
                reads,
                "what changes nothing, and no other: {cut:?}"
            );
        }
        let cuts: usize = left.iter().map(|cut| cut.came.len()).sum();
        let moments = kinds.all.len() * (Moment::ALL.len() - 1) + cuts;
        assert_eq!(self.lives - before, moments, "one life for each");
        let targets = self.servers.iter().map(|server| server.target.as_str());
        self.world.nothing_lost(&targets.collect::<Vec<_>>());
        // Its own note on what it owes is written again by a life that does not know whether it stands.
        let changes = self.world.changes(target).split_off(changed);
        let changes = changes.iter().filter(|change| !change.starts_with("owes "));
        let changes: Vec<&String> = changes.collect();
        // Of a service that was restarted as the power went nobody knows: it is restarted once more.
        let unknown = |change: &String| {
            let service = change.starts_with("restart ") && !change.starts_with("restart Windows");
            let came = left.iter().flat_map(|cut| &cut.came);
            came.filter(|made| service && made.contains(change)).count()
        };
        for change in &changes {
            let times = changes.iter().filter(|other| *other == change).count();
            let most = 1 + unknown(change);
            assert!(
                times <= most,
                "{change} was done {times} times: {changes:?}"
            );
        }
    }

    /// Plans and applies, and goes on until every target is done.
    fn rolls_out(&mut self, target: &str, kinds: &Kinds, plan: &[&str], apply: &[&str]) {
        self.world.cut_power(target, kinds.all);
        self.begins(plan, apply);
        self.goes_on(target, kinds, World::are_done);
    }

    fn begins(&mut self, plan: &[&str], apply: &[&str]) {
        let planned = self.world.json(&[plan, &["--json"]].concat());
        let name = planned["plan"].as_str();
        let name = name.unwrap_or_else(|| panic!("no plan: {planned}"));
        let applied = self.world.entrain(&[&["apply", name], apply].concat());
        assert!(applied.status.success(), "{}", text(&applied));
    }

    /// Runs a command that waits for the servers' answers, and goes on until it has ended well.
    fn runs(&mut self, target: &str, kinds: &Kinds, arguments: &[&str]) {
        let mut command = self.world.command(arguments);
        command.stdin(Stdio::null());
        self.world.cut_power(target, kinds.all);
        let mut child = command.spawn().expect("it runs");
        self.goes_on(target, kinds, |_| {
            child.try_wait().expect("a child").is_some()
        });
        let output = child.wait_with_output().expect("it has ended");
        assert!(output.status.success(), "{}", text(&output));
    }

    /// The agents stand still while something is done to a server's model.
    fn meanwhile(&mut self, target: &str, change: impl FnOnce(&mut Twin)) {
        self.world.kill_agents();
        let path = self.world.path("agents").join(target).join("twin.json");
        // A model is kept from its first change on.
        let mut twin = if let Ok(before) = std::fs::read(&path) {
            serde_json::from_slice(&before).expect("a model")
        } else {
            let own = self
                .servers
                .iter()
                .find(|one| one.target.as_str() == target);
            Twin::new(own.expect("one of the servers").clone())
        };
        change(&mut twin);
        let after = serde_json::to_vec(&twin).expect("JSON");
        std::fs::write(&path, after).expect("it is written");
        self.world.start_agents(&self.servers, None);
        self.world.all_report(self.servers.len());
    }

    fn add_connect(&self) {
        let msi = self
            .world
            .write("connect.msi", "a stand-in for an installer");
        let model = [
            "--accept-terms",
            "--model",
            "connect",
            "--version",
            "2.6.92.0",
        ];
        let added = self
            .world
            .entrain(&[&["artifact", "add", &msi], &model[..]].concat());
        assert!(added.status.success(), "{}", text(&added));
    }
}

/// One of several kinds, alone.
fn one(of: &Kinds, kind: usize) -> Kinds {
    let kind = &of.all[kind..=kind];
    Kinds {
        all: kind,
        read: if of.read.contains(&kind[0]) {
            kind
        } else {
            &[]
        },
    }
}

fn connect(name: &str, version: Version, staging: bool) -> Profile {
    Profile {
        installed: Installed::Connect { version, staging },
        person: TENANT.parse().ok(),
        ..server(name, &[])
    }
}

#[test]
fn a_provisioning_agent_is_installed_changed_looked_at_and_removed() {
    let waits = server(A, &[Fault::RebootPending, Fault::VaultDisabled]);
    let mut course = Course::new(World::new(), &[waits]);
    course.world.add_artifact();
    let topology = |serves: &str, hosts: &str, retired: &str| {
        let outage = if serves.is_empty() {
            ""
        } else {
            "[domain.\"emea.corp.contoso.com\"]\nallow_outage = true\n"
        };
        format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[site.ams]\nzone = \"UTC\"\nreboot = \"window\"\n[agents.corp]\nsite = \"ams\"\nserves = [\"corp.contoso.com\"{serves}]\nmay_fix = [\"vaultsvc\"]\noptions = {{ ldap_timeout = \"90s\" }}\nhosts = [{hosts}]\nretired = [{retired}]\n[domain.\"corp.contoso.com\"]\nallow_outage = true\n{outage}"
        )
    };
    let days = controller_core::calendar::DAYS;
    let policy = course.world.write(
        "policy.toml",
        &format!("[site.ams]\nwindow = {{ days = {days:?}, from = \"00:00\", to = \"00:00\" }}\n"),
    );
    let own = format!("\"{A}\"");
    let first = course.world.write("first.toml", &topology("", &own, ""));
    course.rolls_out(A, &INSTALL, &["plan", &first, "--policy", &policy], &[]);

    let two = topology(", \"emea.corp.contoso.com\"", &own, "");
    let two = course.world.write("two.toml", &two);
    let plan = ["plan", two.as_str(), "--policy", &policy];
    course.rolls_out(A, &one(&CHANGE, 0), &plan, &[]);
    course.meanwhile(A, |twin| {
        twin.set_service("AADConnectProvisioningAgent", ServiceState::Disabled);
    });
    until("what drifted is told", || {
        let drift = course.world.json(&["status", "--drift", "--json"]);
        drift["drift"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty())
            .then_some(())
    });
    course.rolls_out(A, &one(&CHANGE, 1), &plan, &[]);

    course.runs(A, &one(&LOOK, 0), &["support", &two]);
    course.runs(A, &one(&LOOK, 1), &["discover", &two]);

    let gone = course.world.write("gone.toml", &topology("", "", &own));
    // Of both domains that it was registered for: emea stands in `serves` no more, and nobody else serves it.
    let irreversible = ["--irreversible", "2"];
    course.rolls_out(
        A,
        &REMOVE,
        &["plan", &gone, "--policy", &policy],
        &irreversible,
    );
    course.rolls_out(A, &UNDO, &["undo", A, &gone], &[]);
    drop(course.world.audit());
}

#[test]
fn a_person_registers_an_agent_and_the_fleets_own_are_upgraded() {
    let attended = Profile {
        person: TENANT.parse().ok(),
        ..server(A, &[])
    };
    let mut course = Course::new(World::with_publisher(&[]), &[attended]);
    course.world.add_artifact();
    let topology = course.world.write(
        "wizard.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"wizard\"\n[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{A}\"]\n"
        ),
    );
    course.rolls_out(A, &one(&WIZARD, 0), &["plan", &topology], &[]);
    let next = program("standin-next-agent");
    let added = course.world.release("publisher", "99.0.0", &next);
    assert!(added.status.success(), "{}", text(&added));
    course.rolls_out(A, &one(&WIZARD, 1), &["plan", "--agents", &topology], &[]);
    drop(course.world.audit());
}

#[test]
fn connect_is_installed_swapped_moved_to_cloud_sync_and_removed() {
    let attended = Profile {
        person: TENANT.parse().ok(),
        ..server(A, &[])
    };
    let newest = Version::new(2, 6, 92, 0);
    let mut course = Course::new(
        World::new(),
        &[
            attended,
            connect(B, newest, true),
            connect(C, newest, false),
        ],
    );
    course.add_connect();
    let topology = |servers: &str, rest: &str| {
        format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [{servers}]\npending_exports = {{ add = 5, update = 50 }}\n{rest}"
        )
    };
    let settings =
        "settings = { sign_in = \"password-hash-sync\", import = \"MigratedPolicy.json\" }\n";
    let all = topology(&format!("\"{A}\", \"{B}\", \"{C}\""), settings);
    let all = course.world.write("all.toml", &all);
    course.rolls_out(A, &CONNECT, &["plan", &all], &[]);
    course.rolls_out(B, &SWAP, &["swap", B, &all], &[]);
    let irreversible = ["--irreversible", "1"];
    course.world.cut_power(B, TRANSITION.all);
    course.begins(&["transition", B, &all], &irreversible);
    course.goes_on(B, &TRANSITION, |world| {
        // That the jobs run and the counts agree is for a person to say.
        let moved = "wizard of Connect: transition to cloud sync";
        if world.changes(B).iter().any(|change| change == moved) {
            drop(world.entrain(&["tasks", "attest", B]));
        }
        world.are_done()
    });
    let fewer = topology(
        &format!("\"{B}\", \"{C}\""),
        &format!("retired = [\"{A}\"]\n"),
    );
    let fewer = course.world.write("fewer.toml", &fewer);
    course.rolls_out(A, &CONNECT_REMOVED, &["plan", &fewer], &[]);
    drop(course.world.audit());
}

/// Somebody holds the cycle on purpose, after the plan and before the wizard. Whichever life of the agent sees the wizard's end, nobody is
/// asked to release what is not theirs.
#[test]
fn a_cycle_that_was_held_before_an_upgrade_is_left_to_whoever_holds_it() {
    const UPGRADE: Kinds = Kinds {
        all: &["guide-connect"],
        read: &[],
    };
    let staging = connect(A, Version::new(2, 5, 190, 0), true);
    let active = connect(B, Version::new(2, 6, 92, 0), false);
    let mut course = Course::new(World::new(), &[staging, active]);
    course.add_connect();
    let topology = course.world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{A}\", \"{B}\"]\n"
        ),
    );
    let planned = course.world.json(&["plan", &topology, "--json"]);
    let plan = planned["plan"].as_str();
    let plan = plan.unwrap_or_else(|| panic!("no plan: {planned}"));
    course.meanwhile(A, Twin::hold_cycle);
    course.world.cut_power(A, UPGRADE.all);
    let applied = course.world.entrain(&["apply", plan]);
    assert!(applied.status.success(), "{}", text(&applied));
    course.goes_on(A, &UPGRADE, World::are_done);
    let changes = course.world.changes(A);
    let count = |what: &str| changes.iter().filter(|one| *one == what).count();
    assert_eq!(count("wizard of Connect"), 1, "{changes:?}");
    assert_eq!(count("release the cycle of Connect"), 0, "{changes:?}");
    let journal = course.world.journal(A);
    assert!(
        journal.contains("off before the wizard, since this was planned"),
        "{journal}"
    );
    assert!(
        !journal.contains("release the cycle of Connect Sync"),
        "nobody is asked"
    );
    drop(course.world.audit());
}

#[test]
fn a_server_that_was_off_is_fenced_when_it_is_back() {
    let newest = Version::new(2, 6, 92, 0);
    let servers = [connect(A, newest, false), connect(B, newest, true)];
    let mut course = Course::new(World::new(), &servers);
    let topology = course.world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{A}\", \"{B}\"]\npending_exports = {{ add = 5, update = 50 }}\n"
        ),
    );
    course.world.kill_agents();
    until("the controller notices", || {
        let agents = course.world.json(&["agents", "--json"]);
        let mut here = agents["agents"].as_array()?.iter();
        here.all(|agent| agent["connected"] == false).then_some(())
    });
    course.world.start_agents(&servers[1..], None);
    let plan = ["failover", B, "--off", A, &topology, "--json"];
    let planned = course.world.json(&plan);
    let plan = planned["plan"].as_str().expect("a plan");
    let applied = course.world.entrain(&["apply", plan, "--off", A]);
    assert!(applied.status.success(), "{}", text(&applied));
    until("the other is active", || {
        (course.world.state(B).0 == "done").then_some(())
    });
    course.world.kill_agents();
    course.world.cut_power(A, FENCE.all);
    course.world.start_agents(&servers, None);
    course.goes_on(A, &FENCE, World::are_done);
    drop(course.world.audit());
}
