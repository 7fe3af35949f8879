//! The controller dies at every kind of record that its log holds, with processes as they are: once as it writes the first of
//! its kind, so that nothing of it is kept, and once when it lies on the disk and nobody was told. Each time it is started
//! again, whoever had ordered something orders it again, and everything comes to its right end: nothing is lost or done twice.
#![expect(
    clippy::unwrap_used,
    reason = "a story stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_twin::{Fault, Installed, Profile};
use controller_core::record::{Order, Record};
use e2e::graph::{StandIn, Tenant};
use e2e::rails::Rail;
use e2e::{SECRET, TENANT, World, program, server, serving, text, until_within};
use protocol::Version;
use protocol::event::Event;
use protocol::signed::AgentRelease;
use serde_json::Value;

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";
const C: &str = "sync-03.corp.contoso.com";

/// Some thirty lives of the controller.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kinds of records, as the log spells them, whose first one each of these courses does not survive.
const JOINING: &[&str] = &[
    "begun",
    "token-created",
    "join-asked",
    "join-approved",
    "agent-enrolled",
    "certificate-issued",
    "agent-seen",
    "agent-revoked",
    "agent-replaced",
];

const ORDERS: &[&str] = &[
    "artifact-added",
    "plan-stored",
    "applied",
    "bundle-issued",
    "permit-given",
    "event step-failed",
    "fleet-frozen",
    "fleet-thawed",
    "pause",
    "resume",
    "limits",
    "site-limit",
    "override-said",
    "override-used",
    "override-withdrawn",
    "retry",
    "skip",
];

const AWAY: &[&str] = &[
    "abort",
    "withdrawn",
    "passed-over",
    "went-unknown",
    "resolve",
];

const LATE: &[&str] = &["away"];

const WATCHED: &[&str] = &["attested", "degraded", "agent-doubted", "event task-opened"];

const CONNECT: &[&str] = &[
    "accept-difference",
    "said-off",
    "tenant-seen",
    "directory-answered",
    "event connect-settings-read",
];

const RELEASES: &[&str] = &["release-added", "release-withdrawn"];

const RESTORED: &[&str] = &["restored", "met", BACKUP];

/// What agents tell on the way of a run, and leave for an outage.
const TOLD: &[&str] = &[
    "event facts-reported",
    "event bundle-accepted",
    "event step-begun",
    "event probed",
    "event secret-asked",
    "event secret-received",
    "event section-entered",
    "event section-left",
    "event step-completed",
    "event run-finished",
    "event frozen",
    "event thawed",
    OUTAGE,
];

/// Leave for an outage, told apart from other leave.
const OUTAGE: &str = "permit-given outage";

/// A backup, which is no record: its first file, and the list that makes it whole.
const BACKUP: &str = "backup";

/// What is told is stored in one way, whatever it is; these come in no course.
const NOT_TOLD: &[&str] = &[
    "event bundle-refused",
    "event step-inconclusive",
    "event discovered",
    "event service-restarted",
    "event forest-read",
    "event connect-export-read",
    "event cycle-before-wizard",
];

const COURSES: &[&[&str]] = &[
    JOINING, ORDERS, AWAY, LATE, WATCHED, CONNECT, RELEASES, RESTORED, TOLD,
];

/// Every kind of an enum, as the log spells it; one that is missing does not compile.
macro_rules! kinds {
    ($all:ident, $kind:ident of $type:ident: $($variant:ident => $name:literal,)*) => {
        const $all: &[&str] = &[$($name),*];

        fn $kind(of: &$type) -> &'static str {
            match of {
                $($type::$variant { .. } => $name,)*
            }
        }
    };
}

kinds! { RECORDS, record of Record:
    Begun => "begun",
    Restored => "restored",
    Met => "met",
    FleetFrozen => "fleet-frozen",
    FleetThawed => "fleet-thawed",
    OverrideSaid => "override-said",
    OverrideWithdrawn => "override-withdrawn",
    OverrideUsed => "override-used",
    TokenCreated => "token-created",
    JoinAsked => "join-asked",
    JoinApproved => "join-approved",
    AgentEnrolled => "agent-enrolled",
    AgentSeen => "agent-seen",
    AgentDoubted => "agent-doubted",
    CertificateIssued => "certificate-issued",
    AgentRevoked => "agent-revoked",
    SaidOff => "said-off",
    AgentReplaced => "agent-replaced",
    ArtifactAdded => "artifact-added",
    ReleaseAdded => "release-added",
    ReleaseWithdrawn => "release-withdrawn",
    PlanStored => "plan-stored",
    Applied => "applied",
    Ordered => "ordered",
    BundleIssued => "bundle-issued",
    PermitGiven => "permit-given",
    WentUnknown => "went-unknown",
    Away => "away",
    PassedOver => "passed-over",
    Degraded => "degraded",
    Withdrawn => "withdrawn",
    Attested => "attested",
    TenantSeen => "tenant-seen",
    DirectoryAnswered => "directory-answered",
    TargetEvent => "target-event",
}

kinds! { ORDERED, order of Order:
    Pause => "pause",
    Resume => "resume",
    Abort => "abort",
    Retry => "retry",
    Skip => "skip",
    Limits => "limits",
    SiteLimit => "site-limit",
    AcceptDifference => "accept-difference",
    Resolve => "resolve",
}

kinds! { EVENTS, event of Event:
    FactsReported => "event facts-reported",
    BundleAccepted => "event bundle-accepted",
    BundleRefused => "event bundle-refused",
    StepBegun => "event step-begun",
    SectionEntered => "event section-entered",
    SectionLeft => "event section-left",
    SecretAsked => "event secret-asked",
    SecretReceived => "event secret-received",
    TaskOpened => "event task-opened",
    Probed => "event probed",
    Discovered => "event discovered",
    ConnectSettingsRead => "event connect-settings-read",
    StepCompleted => "event step-completed",
    StepFailed => "event step-failed",
    StepInconclusive => "event step-inconclusive",
    RunFinished => "event run-finished",
    Frozen => "event frozen",
    Thawed => "event thawed",
    ServiceRestarted => "event service-restarted",
    ForestRead => "event forest-read",
    ConnectExportRead => "event connect-export-read",
    CycleBeforeWizard => "event cycle-before-wizard",
}

#[test]
fn every_kind_of_record_of_order_and_of_event_is_in_one_course() {
    let courses = COURSES.iter().copied().flatten().chain(NOT_TOLD).copied();
    let mut courses: Vec<&str> = courses.collect();
    courses.sort_unstable();
    let told_apart = ["ordered", "target-event"];
    let records = RECORDS.iter().filter(|kind| !told_apart.contains(kind));
    let all = records.chain(ORDERED).chain(EVENTS).copied();
    let mut all: Vec<&str> = all.chain([OUTAGE, BACKUP]).collect();
    all.sort_unstable();
    assert_eq!(courses, all);
}

/// What the log spells where it spells a record of this kind. Orders and events are told apart.
fn mark(kind: &str) -> String {
    if ORDERED.contains(&kind) {
        format!("{{\"record\":\"ordered\"%\"order\":{{\"order\":\"{kind}\"%")
    } else if let Some(event) = kind.strip_prefix("event ") {
        // A body is text in the record's text.
        format!("{{\"record\":\"target-event\"%\"body\":\"{{\\\"event\\\":\\\"{event}\\\"%")
    } else if kind == OUTAGE {
        "{\"record\":\"permit-given\"%\"outage\":true%".to_owned()
    } else {
        format!("{{\"record\":\"{kind}\"%")
    }
}

/// A controller that does not survive the first record of some kinds.
struct Mortal {
    world: World,
    told: PathBuf,
    kinds: &'static [&'static str],
    lives: usize,
    gives_secrets: bool,
    /// Servers whose agents are started anew with each life: else they look for it when their next pulse is due.
    dials: Vec<Profile>,
    folder: tempfile::TempDir,
}

impl Mortal {
    /// One whose log is there already, or has not begun.
    fn new(
        make: impl FnOnce(&[(&str, &str)]) -> World,
        kinds: &'static [&'static str],
        from_nothing: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let cut = program("libcut.so");
        // Its clock is set by a file.
        let library = format!("{}:{}", cut.display(), e2e::clock_library().display());
        let clock = folder.path().join("clock").display().to_string();
        std::fs::write(&clock, "+0").unwrap();
        let told_at = told.display().to_string();
        let mut world = make(&[
            ("LD_PRELOAD", library.as_str()),
            ("ENTRAIN_TEST_CUTS", told_at.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", clock.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        world.kill_controller();
        let log = world.path("controller/log.sqlite");
        let tables = tables(&log);
        if from_nothing {
            for end in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(
                    world.path(&format!("controller/log.sqlite{end}")),
                ));
            }
            std::fs::remove_file(world.path("controller/log.begun")).unwrap();
        }
        watch(&log, from_nothing.then_some(tables.as_slice()), kinds);
        let mut mortal = Self {
            world,
            told,
            kinds,
            lives: 0,
            gives_secrets: false,
            dials: Vec::new(),
            folder,
        };
        mortal.lives();
        mortal
    }

    /// Starts the controller as often as it dies, until it answers.
    fn lives(&mut self) {
        let before = self.lives;
        until_within(PATIENCE, "the controller answers", || {
            if self.world.controller_was_killed() {
                self.lives += 1;
                self.world.spawn_controller();
                if !self.dials.is_empty() {
                    self.world.kill_agents();
                    self.world.start_agents(&self.dials, None);
                }
            }
            let asked = self.world.entrain(&["status"]);
            asked.status.success().then_some(())
        });
        // Who gave secrets has gone with the life before.
        if self.gives_secrets && self.lives > before {
            self.world.give_secrets(20);
        }
    }

    /// Waits, with one life of the controller after the other. What cannot be asked just now is `None`.
    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        until_within(PATIENCE, what, || {
            self.lives();
            look(self)
        })
    }

    /// Orders something, and again where the controller died of it. What had been stored then may be refused as done already,
    /// in these words.
    fn orders(&mut self, arguments: &[&str], already: &str) -> String {
        self.orders_with(arguments, "", already)
    }

    /// The same, with standard input.
    fn orders_with(&mut self, arguments: &[&str], input: &str, already: &str) -> String {
        let mut died = false;
        loop {
            self.lives();
            let done = self.world.entrain_with(arguments, input.as_bytes());
            let said = text(&done);
            if done.status.success() {
                return said;
            }
            let broke_off = ["broke off", "no controller answers"];
            if broke_off.iter().any(|words| said.contains(words)) {
                died = true;
                continue;
            }
            assert!(
                died && !already.is_empty() && said.contains(already),
                "{arguments:?}: {said}"
            );
            return said;
        }
    }

    /// So much later it is for the controller, from now on.
    fn is_later_by(&self, minutes: u32) {
        std::fs::write(self.folder.path().join("clock"), format!("+{minutes}m")).unwrap();
    }

    fn gives_secrets(&mut self) {
        self.lives();
        self.gives_secrets = true;
        self.world.give_secrets(20);
    }

    fn adds_artifact(&mut self, product: &str, version: &str) {
        let file = self.world.write("setup.bin", &"a stand-in".repeat(200_000));
        let model = ["--accept-terms", "--model", product, "--version", version];
        self.orders(&[&["artifact", "add", &file], &model[..]].concat(), "");
    }

    /// An order that no program gives: the API takes it as it takes the others.
    fn posts(&mut self, path: &str, body: &str) {
        loop {
            self.lives();
            let socket = self.world.path("controller/api.sock");
            let mut said = String::new();
            let asked = UnixStream::connect(socket).and_then(|mut stream| {
                let length = body.len();
                write!(
                    stream,
                    "POST {path} HTTP/1.1\r\nhost: controller\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )?;
                stream.read_to_string(&mut said)
            });
            if asked.is_ok() && !said.is_empty() {
                assert!(said.starts_with("HTTP/1.1 200"), "{said}");
                return;
            }
        }
    }

    fn joins(&mut self, servers: &[Profile]) {
        let join = self.world.path("join.json");
        let out = join.to_str().unwrap().to_owned();
        let uses = servers.len().max(2).to_string();
        self.orders(&["token", "create", "--uses", &uses, "--out", &out], "");
        self.world.start_agents(servers, Some(&join));
        self.until("all have reported", |mortal| {
            reported(mortal, servers.len())
        });
    }

    /// What the controller answers, where it lives.
    fn look(&self, arguments: &[&str]) -> Option<Value> {
        let asked = self.world.entrain(arguments);
        serde_json::from_slice(&asked.stdout).ok()
    }

    fn has_been(&self, moment: &str) -> bool {
        let told = std::fs::read_to_string(&self.told).unwrap_or_default();
        told.lines().any(|line| line == moment)
    }

    fn json(&mut self, arguments: &[&str], already: &str) -> Value {
        serde_json::from_str(&self.orders(arguments, already)).unwrap()
    }

    fn plans(&mut self, arguments: &[&str]) -> String {
        let planned = self.json(&[arguments, &["--json"]].concat(), "");
        planned["plan"].as_str().unwrap().to_owned()
    }

    /// The same, where an agent has a copy, as it should be known by then.
    fn ends_doubted(self, targets: &[&str], doubted: &str) {
        self.has_met_all();
        self.world.nothing_lost_but_doubted(targets, &[doubted]);
    }

    /// What was done on a server, in order, and nothing beside it.
    fn has_changed(&self, target: &str, wanted: &[&str]) {
        assert_eq!(self.world.changes(target), wanted, "{target}");
    }

    /// Both moments of each kind have been, each ended a life, and the log is whole.
    fn ends(mut self, targets: &[&str]) {
        self.lives();
        self.has_met_all();
        self.world.nothing_lost_or_repeated(targets);
    }

    fn has_met_all(&self) {
        let told = std::fs::read_to_string(&self.told).unwrap_or_default();
        let been: BTreeSet<&str> = told.lines().collect();
        let wanted: BTreeSet<String> = self
            .kinds
            .iter()
            .flat_map(|kind| ["stores", "stored"].map(|moment| format!("{kind} {moment}")))
            .collect();
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        assert_eq!(been, wanted, "every moment of every kind");
        assert_eq!(told.lines().count(), been.len(), "each was once");
        let records = self.world.records();
        let mut kinds: BTreeSet<&str> = BTreeSet::from([BACKUP]);
        for one in &records {
            kinds.insert(if let Record::Ordered { order: one, .. } = one {
                order(one)
            } else if let Record::TargetEvent { body, .. } = one {
                event(&Event::from_body(body.as_bytes()).unwrap())
            } else {
                record(one)
            });
            let outage = matches!(one, Record::PermitGiven { section, .. } if section.outage);
            kinds.extend(outage.then_some(OUTAGE));
        }
        for kind in self.kinds {
            assert!(kinds.contains(kind), "{kind} came in the end");
        }
    }
}

fn tables(log: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(log).unwrap();
    let mut asked = connection
        .prepare("SELECT sql FROM sqlite_master WHERE type = 'table'")
        .unwrap();
    let rows = asked.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Lets the log's file write the library's word with the first record of each kind.
fn watch(log: &Path, tables: Option<&[String]>, kinds: &[&str]) {
    let connection = rusqlite::Connection::open(log).unwrap();
    for table in tables.into_iter().flatten() {
        connection.execute_batch(table).unwrap();
    }
    connection
        .execute_batch("CREATE TABLE cut (kind TEXT, word TEXT)")
        .unwrap();
    for kind in kinds.iter().filter(|kind| **kind != BACKUP) {
        let mark = mark(kind);
        // The word is put together, so that the trigger's own text does not hold it.
        let trigger = format!(
            "CREATE TRIGGER \"{kind}\" AFTER INSERT ON log WHEN NEW.body LIKE '{mark}'
             AND NOT EXISTS (SELECT 1 FROM cut WHERE kind = '{kind}')
             BEGIN INSERT INTO cut VALUES ('{kind}', 'cut' || '-at:' || '{kind}' || ';'); END"
        );
        connection.execute_batch(&trigger).unwrap();
    }
    connection.close().map_err(|(_, error)| error).unwrap();
}

fn state(mortal: &Mortal, target: &str) -> Option<(String, String)> {
    let status = mortal.look(&["status", "--json"])?;
    let newest = status["rollouts"].as_array()?.last()?.clone();
    let rows = newest["targets"].as_array()?.clone();
    let row = rows.iter().find(|row| row["target"] == target)?.clone();
    let field = |name: &str| Some(row[name].as_str()?.to_owned());
    Some((field("state")?, field("detail")?))
}

fn is(mortal: &Mortal, target: &str, wanted: &str) -> Option<()> {
    (state(mortal, target)?.0 == wanted).then_some(())
}

fn reported(mortal: &Mortal, count: usize) -> Option<()> {
    let agents = mortal.look(&["agents", "--json"])?;
    let ready = agents["agents"].as_array()?.iter().filter(|agent| {
        let facts = agent["facts"].as_str().unwrap_or_default();
        agent["connected"] == true && facts.starts_with("build")
    });
    (ready.count() == count).then_some(())
}

/// A server that asks to join by a program of its own, once more in each life of the controller.
struct Enrolling {
    child: Child,
    life: usize,
}

impl Enrolling {
    fn new(mortal: &Mortal, join: &Path) -> Self {
        let child = Command::new(program("entrain-agent"))
            .args(["enroll", "--name", A, "--state"])
            .arg(mortal.world.path("state"))
            .arg("--join")
            .arg(join)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap(),
            life: mortal.lives,
        }
    }

    fn is_in(&mut self, mortal: &Mortal, join: &Path) -> bool {
        let ended = self.child.try_wait().unwrap();
        if ended.is_none() && self.life == mortal.lives {
            return false;
        }
        if ended.is_some_and(|ended| ended.success()) {
            return true;
        }
        drop((self.child.kill(), self.child.wait()));
        *self = Self::new(mortal, join);
        false
    }
}

#[test]
fn it_dies_as_servers_join_and_leave() {
    let mut mortal = Mortal::new(World::with_environment, JOINING, true);
    let join = mortal.world.path("join.json");
    let out = join.to_str().unwrap().to_owned();
    mortal.orders(&["token", "create", "--uses", "1", "--out", &out], "");
    // A token that names nobody: an operator compares the key.
    let mut enrolling = Enrolling::new(&mortal, &join);
    let key = mortal.until("it waits for an operator", |mortal| {
        enrolling.is_in(mortal, &join);
        let agents = mortal.world.entrain(&["agents"]);
        let said = text(&agents);
        let (_, key) = said.split_once("key ")?;
        Some(key.split(' ').next()?.to_owned())
    });
    mortal.orders(&["agents", "approve", A, &key], "no server waits");
    mortal.until("it is in", |mortal| {
        enrolling.is_in(mortal, &join).then_some(())
    });
    assert!(!join.exists(), "the used join file is deleted");

    let own = mortal.world.path("own.json");
    let out = own.to_str().unwrap().to_owned();
    let token = ["token", "create", "--target", B, "--out", &out];
    mortal.orders(&token, "");
    mortal.world.start_agents(&[server(B, &[])], Some(&own));
    mortal.until("it has reported", |mortal| reported(mortal, 1));
    mortal.orders(&["agents", "replace", B], "is not enrolled");
    mortal.world.kill_agents();
    std::fs::remove_dir_all(mortal.world.path("agents")).unwrap();
    std::fs::remove_file(&own).unwrap();
    mortal.orders(&token, "");
    mortal.world.start_agents(&[server(B, &[])], Some(&own));
    mortal.until("it has reported anew", |mortal| reported(mortal, 1));
    mortal.orders(&["agents", "revoke", B], "is not enrolled");
    for target in [A, B] {
        mortal.has_changed(target, &[]);
    }
    mortal.ends(&[A, B]);
}

#[test]
fn it_dies_of_a_rollouts_orders() {
    let mut mortal = Mortal::new(World::with_environment, ORDERS, false);
    let servers = [server(A, &[Fault::LittleMemory]), serving(B), serving(C)];
    mortal.joins(&servers);
    mortal.dials = servers.to_vec();
    mortal.adds_artifact("provisioning-agent", "1.1.2505.0");
    let topology = mortal.world.guarded(&[A, B, C]);
    let at_site = std::fs::read_to_string(&topology).unwrap();
    let at_site = at_site.replacen("serves = ", "site = \"ams\"\nserves = ", 1);
    let topology = mortal
        .world
        .write("at-site.toml", &format!("{at_site}[site.ams]\n"));
    let policy = mortal
        .world
        .write("policy.toml", "[limit]\nfailures = \"50\"\n");
    let plan = mortal.plans(&["plan", &topology, "--policy", &policy]);
    mortal.orders(&["apply", &plan], "is not over on");
    mortal.until("its preflight has stopped it", |mortal| {
        is(mortal, A, "failed")
    });
    let why = "memory comes on Monday";
    mortal.orders(&["freeze", "--all", "--why", why], "froze the fleet before");
    mortal.orders(&["thaw", "--all"], "not frozen");
    mortal.orders(&["pause", "r1"], "");
    mortal.orders(&["resume", "r1"], "");
    mortal.orders(&["limits", "r1", "--in-flight", "1"], "");
    let of_site = ["limits", "r1", "--site", "ams", "--in-flight", "1"];
    mortal.orders(&of_site, "");
    mortal.orders(&["skip", "r1", C, "--reason", why], "is skipped");
    let named = ["--target", A, "--reason", why, "--change", "CHG0042117"];
    mortal.orders(&[&["override", "G8"], &named[..]].concat(), "");
    mortal.orders(&["retry", "r1", A], "nothing to retry");
    mortal.gives_secrets();
    mortal.until("all are done", |mortal| {
        is(mortal, A, "done")?;
        is(mortal, C, "skipped")?;
        is(mortal, B, "done")
    });
    let withdraw = ["override", "G8", "--target", A, "--withdraw"];
    mortal.orders(&withdraw, "nothing to withdraw");
    mortal.has_changed(C, &[]);
    mortal.world.rails_held(&[Rail::G2, Rail::G3]);
    mortal.ends(&[A, B, C]);
}

/// What agents tell on their way, each kind of it; the servers' administrator freezes one and thaws it.
#[test]
fn it_dies_of_what_agents_tell() {
    let mut mortal = Mortal::new(World::with_environment, TOLD, false);
    let servers = [server(A, &[]), serving(B), serving(C)];
    mortal.joins(&servers);
    mortal.dials = servers.to_vec();
    mortal.adds_artifact("provisioning-agent", "1.1.2505.0");
    let freezes = |mortal: &Mortal, arguments: &[&str]| {
        let state = mortal.world.path("agents").join(C);
        let done = Command::new(program("entrain-agent"))
            .args(arguments)
            .arg("--state")
            .arg(state)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", text(&done));
    };
    freezes(&mortal, &["freeze", "--until", "8h", "--why", "an audit"]);
    mortal.until("it is told", |mortal| {
        mortal.has_been("event frozen stored").then_some(())
    });
    let topology = mortal.world.guarded(&[A, B, C]);
    let plan = mortal.plans(&["plan", &topology]);
    mortal.orders(&["apply", &plan], "is not over on");
    mortal.gives_secrets();
    mortal.until("all others are done", |mortal| {
        is(mortal, A, "done")?;
        is(mortal, B, "done")
    });
    mortal.has_changed(C, &[]);
    freezes(&mortal, &["thaw"]);
    mortal.until("it is done", |mortal| is(mortal, C, "done"));
    mortal.world.rails_held(&[Rail::G2, Rail::G3]);
    mortal.ends(&[A, B, C]);
}

#[test]
fn it_dies_as_targets_are_away() {
    let mut mortal = Mortal::new(World::with_environment, AWAY, false);
    let servers = [server(A, &[]), server(B, &[])];
    mortal.joins(&servers);
    mortal.world.add_artifact();
    let topology = mortal.world.topology(&[A, B]);
    let applies = |mortal: &mut Mortal, state: &str| {
        let plan = mortal.plans(&["plan", &topology]);
        mortal.orders(&["apply", &plan], "is not over on");
        mortal.until(state, |mortal| is(mortal, A, state));
    };
    // What no agent has taken is withdrawn.
    mortal.world.freeze_agents();
    applies(&mut mortal, "offered");
    mortal.orders(&["abort", "r1"], "");
    mortal.world.kill_agents();
    mortal.world.start_agents(&servers, None);
    mortal.until("it is withdrawn", |mortal| is(mortal, A, "aborted"));
    mortal.until("both are here", |mortal| reported(mortal, 2));

    // Nobody waits for whoever is away: neither does a rollout that goes on, nor one that is aborted.
    applies(&mut mortal, "awaiting secret");
    let goes = |mortal: &mut Mortal| {
        mortal.until("it waits here", |mortal| {
            reported(mortal, 2)?;
            is(mortal, A, "awaiting secret")
        });
        mortal.world.stop_agents();
        mortal.until("it is away", |mortal| is(mortal, A, "unreachable"));
    };
    goes(&mut mortal);
    let second = r#"{"order":{"order":"limits","in_flight":null,"failures":null,"unreachable":1}}"#;
    mortal.posts("/v1/rollouts/r2/orders", second);
    mortal.until("it is passed over", |mortal| {
        let (_, detail) = state(mortal, A)?;
        detail.contains("go on around it").then_some(())
    });
    for moment in ["went-unknown stores", "went-unknown stored"] {
        mortal.world.start_agents(&servers, None);
        goes(&mut mortal);
        let ended = mortal.world.entrain(&["abort", "r2"]);
        assert!(!ended.status.success(), "{}", text(&ended));
        mortal.lives();
        assert!(mortal.has_been(moment), "{moment}");
    }
    mortal.until("it is unknown", |mortal| is(mortal, A, "unknown"));
    mortal.world.start_agents(&servers, None);
    mortal.until("it has said what became of it", |mortal| {
        is(mortal, A, "aborted")
    });

    applies(&mut mortal, "awaiting secret");
    mortal.world.stop_agents();
    mortal.until("it is away", |mortal| is(mortal, A, "unreachable"));
    let reason = ["resolve", "r3", A, "--reason", "the server is scrap"];
    mortal.orders(&reason, "is resolved");
    mortal.world.start_agents(&servers, None);
    mortal.gives_secrets();
    mortal.until("the other is done", |mortal| is(mortal, B, "done"));
    mortal.ends(&[A, B]);
}

/// After five minutes the log tells who is away, so that a deadline outlasts the controller.
#[test]
fn it_dies_as_somebody_is_away_for_long() {
    let mut mortal = Mortal::new(World::with_environment, LATE, false);
    let servers = [server(A, &[])];
    mortal.joins(&servers);
    mortal.world.add_artifact();
    let topology = mortal.world.topology(&[A]);
    let policy = "[limit]\nunreachable = \"3d\"\n";
    let policy = mortal.world.write("policy.toml", policy);
    let plan = mortal.plans(&["plan", &topology, "--policy", &policy]);
    mortal.orders(&["apply", &plan], "");
    // Whoever left before the controller began is not told of.
    for moment in ["away stores", "away stored"] {
        mortal.until("it waits here", |mortal| {
            reported(mortal, 1)?;
            is(mortal, A, "awaiting secret")
        });
        mortal.world.stop_agents();
        mortal.until("it is away", |mortal| is(mortal, A, "unreachable"));
        mortal.is_later_by(6);
        // Its own timers do not follow that clock; whatever is ordered or asked makes it look. It may die of a question, and its
        // next life begins when the clock is right again: agents would not believe a certificate of this one.
        until_within(PATIENCE, moment, || {
            let limits = ["limits", "r1", "--in-flight", "3"];
            drop(mortal.world.entrain(&limits));
            mortal.has_been(moment).then_some(())
        });
        mortal.is_later_by(0);
        mortal.lives();
        mortal.world.start_agents(&servers, None);
    }
    mortal.gives_secrets();
    mortal.until("it is done", |mortal| is(mortal, A, "done"));
    mortal.ends(&[A]);
}

#[test]
fn it_dies_as_something_is_seen() {
    let mut mortal = Mortal::new(World::with_environment, WATCHED, false);
    let servers = [server(A, &[]), server(B, &[]), server(C, &[])];
    mortal.joins(&servers);
    mortal.dials = servers.to_vec();
    mortal.world.add_artifact();
    let topology = |way: &str, host: &str| {
        format!(
            "[tenant.main]\nid = \"{TENANT}\"\n{way}[agents.corp]\nserves = [\"corp.contoso.com\"]\nhosts = [\"{host}\"]\n"
        )
    };
    // A product that somebody registers elsewhere while it is watched.
    let first = mortal.world.write("first.toml", &topology("", A));
    let soak = "soak = { cloud-sync = \"30 cycles\" }\n";
    let soak = mortal.world.write("soak.toml", soak);
    let plan = mortal.plans(&["plan", &first, "--policy", &soak]);
    mortal.orders(&["apply", &plan], "");
    mortal.gives_secrets();
    mortal.until("it is watched", |mortal| is(mortal, A, "soaking"));
    mortal.world.kill_agents();
    let path = mortal.world.path("agents").join(A).join("twin.json");
    let elsewhere = "77aa0000-0000-0000-0000-000000000000";
    let before = std::fs::read_to_string(&path).unwrap();
    let after = before.replace(TENANT, elsewhere);
    assert_ne!(before, after);
    std::fs::write(&path, after).unwrap();
    mortal.world.start_agents(&servers, None);
    mortal.until("it fails", |mortal| is(mortal, A, "failed"));

    // What nobody probes is said by a person.
    let second = topology("sign_in = \"wizard\"\n", B);
    let second = mortal.world.write("second.toml", &second);
    let plan = mortal.plans(&["plan", &second]);
    mortal.orders(&["apply", &plan], "");
    mortal.until("the wizard waits for a person", |mortal| {
        let tasks = mortal.look(&["tasks", "list", "--json"])?;
        (tasks.as_array()?.len() == 1).then_some(())
    });
    mortal.orders(&["tasks", "attest", B], "waits for a person");
    mortal.until("the verification says what it saw", |mortal| {
        let (state, _) = state(mortal, B)?;
        // Its agent, back as well, had begun the step again and not opened its task yet: the word was refused, and is given again.
        if state == "awaiting person" {
            drop(mortal.world.entrain(&["tasks", "attest", B]));
        }
        matches!(state.as_str(), "failed" | "inconclusive").then_some(())
    });

    mortal.dials.clear();
    // Nobody can tell the server's own agent from its copy.
    mortal.world.start_copies(&[server(C, &[])]);
    mortal.until("both were seen", |mortal| {
        let status = mortal.look(&["status", "--json"])?;
        let alarm = status["alarms"].as_array()?.first()?.as_str()?.to_owned();
        alarm.contains("two agents with its key").then_some(())
    });
    let second = mortal.world.changes(B);
    assert_eq!(
        second.len(),
        1,
        "installed, and registered by nobody: {second:?}"
    );
    mortal.has_changed(C, &[]);
    assert_eq!(mortal.world.changes_of_copy(C), [""; 0]);
    mortal.ends_doubted(&[A, B, C], C);
}

#[test]
fn it_dies_as_people_tell_what_they_know() {
    const ACTIVE: &str = "sync-04.corp.contoso.com";
    const NEXT: &str = "sync-05.corp.contoso.com";
    let mut mortal = Mortal::new(World::with_environment, CONNECT, false);
    mortal.world.speed = 100;
    let connect = |name: &str, staging, faults: &[Fault]| Profile {
        installed: Installed::Connect {
            version: Version::new(2, 6, 92, 0),
            staging,
        },
        person: TENANT.parse().ok(),
        ..server(name, faults)
    };
    let servers = [
        connect(ACTIVE, false, &[]),
        connect(NEXT, true, &[Fault::SettingsDiffer]),
    ];
    mortal.joins(&servers);
    mortal.dials = servers.to_vec();
    let file = mortal.world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{ACTIVE}\", \"{NEXT}\"]\npending_exports = {{ add = 5, update = 50 }}\n"
        ),
    );
    let tenant = StandIn::start(Tenant {
        id: TENANT.to_owned(),
        token: SECRET.to_owned(),
        // One of its servers is active.
        sync_enabled: true,
        ..Tenant::default()
    });
    let port = tenant.port.to_string();
    let read = ["tenant", "read", "main", &file, "--stand-in", &port];
    mortal.orders_with(&read, &format!("{SECRET}\n"), "");
    let answers = serde_json::json!({
        "format": 1, "domain": "corp.contoso.com", "at": controller::now().to_string(),
        "asked_as": "CORP\\dominic", "agent_version": "0", "answers": [{
            "id": "PF46", "what": "schema of the forest", "read": "88", "wanted": "87 or newer",
            "verdict": "pass", "severity": "block", "fix": "", "owner": "directory",
        }],
    });
    let answers = mortal.world.write("answers.json", &answers.to_string());
    mortal.orders(&["attest", "--directory", &answers], "");

    let plan = mortal.plans(&["swap", NEXT, &file]);
    mortal.orders(&["apply", &plan], "");
    let accepts = |mortal: &mut Mortal, rollout: &str| {
        mortal.until("it is told that the settings differ", |mortal| {
            let (_, detail) = state(mortal, ACTIVE)?;
            detail.contains("differ in").then_some(())
        });
        let differ = text(&mortal.world.entrain(&["diff", NEXT, ACTIVE]));
        let mut lines = differ.lines();
        let digest = lines.find_map(|line| line.strip_prefix("difference "));
        let digest = digest.unwrap().to_owned();
        let accept = ["accept", rollout, &digest, "--reason", "meant"];
        mortal.orders(&accept, "");
    };
    accepts(&mut mortal, "r1");
    mortal.until("they are swapped", |mortal| {
        is(mortal, ACTIVE, "done")?;
        is(mortal, NEXT, "done")
    });
    assert_eq!(
        mortal.world.changes(ACTIVE),
        ["wizard of Connect: staging mode true"]
    );

    mortal.dials.truncate(1);
    // The one that is active now is off, by the word of whoever knows it.
    mortal.world.stop_agents();
    mortal.world.start_agents(&servers[..1], None);
    mortal.until("the other is away", |mortal| {
        let agents = mortal.look(&["agents", "--json"])?;
        let mut rows = agents["agents"].as_array()?.iter();
        let is_away = |row: &Value| row["target"] == NEXT && row["connected"] == false;
        rows.any(is_away).then_some(())
    });
    let plan = mortal.plans(&["failover", ACTIVE, "--off", NEXT, &file]);
    mortal.orders(&["apply", &plan, "--off", NEXT], "is not over on");
    accepts(&mut mortal, "r2");
    mortal.until("it is active", |mortal| is(mortal, ACTIVE, "done"));
    mortal.world.start_agents(&servers[1..], None);
    mortal.until("the other is fenced", |mortal| is(mortal, NEXT, "done"));
    mortal.has_changed(
        ACTIVE,
        &[
            "wizard of Connect: staging mode true",
            "wizard of Connect: staging mode false",
        ],
    );
    mortal.has_changed(
        NEXT,
        &["wizard of Connect: staging mode false", "disable ADSync"],
    );
    mortal.world.rails_held(&[Rail::G1]);
    mortal.ends(&[ACTIVE, NEXT]);
}

#[test]
fn it_dies_of_a_release() {
    let mut mortal = Mortal::new(World::with_publisher, RELEASES, false);
    let servers = [server(A, &[])];
    mortal.joins(&servers);
    mortal.dials = servers.to_vec();
    let next = program("standin-next-agent");
    let platform = AgentRelease::this_platform();
    let file = mortal.world.signed(&platform, "publisher", "99.0.0", &next);
    let next = next.to_str().unwrap().to_owned();
    mortal.orders(&["release", "add", &file, &next], "a version never changes");
    let withdraw = ["release", "withdraw", "99.0.0", "--reason", "it crashes"];
    mortal.orders(&withdraw, "was withdrawn by");
    // A server is there, and nobody has taken the release for its own.
    mortal.until("it is here", |mortal| reported(mortal, 1));
    mortal.has_changed(A, &[]);
    mortal.ends(&[A]);
}

#[test]
fn it_dies_as_it_is_restored_and_meets_its_agents() {
    let mut mortal = Mortal::new(World::with_environment, RESTORED, false);
    let servers = [server(A, &[]), serving(B), serving(C)];
    mortal.joins(&servers);
    mortal.world.add_artifact();
    let topology = mortal.world.guarded(&[A, B, C]);
    mortal.world.apply(&topology);
    mortal.until("it waits", |mortal| is(mortal, A, "awaiting secret"));
    // One that broke off is known for that; one that died with its list has all of it.
    let mut made = Vec::new();
    for moment in ["backup stores", "backup stored"] {
        mortal.lives();
        let folder = mortal.world.path(&format!("backup-{}", made.len()));
        let folder = folder.display().to_string();
        let cut = mortal.world.entrain(&["backup", &folder]);
        assert!(
            !cut.status.success() && mortal.has_been(moment),
            "{moment}: {}",
            text(&cut)
        );
        made.push(folder);
    }
    let backup = made[1].clone();
    mortal.lives();
    mortal.gives_secrets();
    mortal.until("all are done", |mortal| {
        is(mortal, A, "done")?;
        is(mortal, B, "done")?;
        is(mortal, C, "done")
    });
    // What leave was given goes with this log.
    mortal.world.rails_held(&[Rail::G2, Rail::G3]);
    mortal.world.kill_controller();
    std::fs::remove_dir_all(mortal.world.path("controller")).unwrap();
    let refused = mortal.world.entrain(&["restore", &made[0]]);
    let said = text(&refused);
    assert!(
        !refused.status.success() && said.contains("not whole"),
        "{said}"
    );
    for moment in ["restored stores", "restored stored"] {
        let cut = mortal.world.entrain(&["restore", &backup]);
        assert!(!cut.status.success() && mortal.has_been(moment), "{moment}");
        assert!(!mortal.world.path("controller").exists(), "half done");
    }
    let done = mortal.world.entrain(&["restore", &backup]);
    assert!(done.status.success(), "{}", text(&done));
    mortal.until("all are done again", |mortal| {
        is(mortal, A, "done")?;
        is(mortal, B, "done")?;
        is(mortal, C, "done")
    });
    mortal.ends(&[A, B, C]);
}
