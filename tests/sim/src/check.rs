//! What must hold, looked at after each event: after each turn of the controller over every record that it has stored, and
//! after each turn of an agent over what lies on its disk. Nobody is asked what they believe: journals, models and the log
//! are read.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use agent_twin::{Profile, Twin};
use controller::store::{self, Row};
use controller_core::fleet::{Fleet, PERMIT_LIFE};
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::roster::Roster;
use protocol::event::{Event, Section};
use protocol::wire::codec;
use protocol::wire::latest::Entry;
use protocol::{
    Digest, Epoch, EventIndex, Generation, PlanId, StepIndex, TargetId, Timestamp, chain, limits,
};
use rehearsal::{Asked, Pace, Paced, Rails, enough_serve};

/// Bytes before the first record of a journal, and of the chain head behind each.
const HEADER: usize = 24;
const CHAIN: usize = 32;

/// One server as its disk shows it.
struct Server {
    folder: PathBuf,
    /// Bytes of the journal that were read, and its entries with the chain behind each.
    read: usize,
    entries: Vec<(Entry, Digest)>,
    epoch: Epoch,
    accepted: Generation,
    /// The section that it is in, whatever the controller knows of it.
    inside: Option<Section>,
    twin: Twin,
    /// Which file its model was, when it was read.
    seen: Option<(u64, u64, std::time::SystemTime)>,
    /// The last event that the controller has stored.
    stored: EventIndex,
    issued: Generation,
}

/// What a log tells, folded beside the controller.
struct Shadow {
    fleet: Fleet,
    roster: Roster,
    plans: BTreeMap<PlanId, Plan>,
    rails: Rails,
    pace: Pace,
}

/// What is watched over the whole course.
pub(crate) struct Check {
    servers: BTreeMap<TargetId, Server>,
    plan: Option<Plan>,
    active_before: usize,
    outage: BTreeSet<TargetId>,
    /// Servers on which an operator has set G2 aside, and until when.
    overridden: BTreeMap<TargetId, Timestamp>,
    completed: BTreeSet<(TargetId, Generation, StepIndex)>,
    rows: u64,
    head: Digest,
    shadow: Shadow,
    pub(crate) looks: u64,
    pub(crate) records: u64,
    pub(crate) folds: u64,
    /// Sections that were entered by who goes out of service, and by who changes a gMSA.
    outages: u64,
    changes: u64,
    broken: Option<String>,
    traced: bool,
}

/// What several tasks look with.
pub(crate) type Watch = Arc<Mutex<Check>>;

/// Looks with the checker of this run.
pub(crate) fn with<T>(watch: &Watch, look: impl FnOnce(&mut Check) -> T) -> T {
    look(&mut watch.lock().unwrap_or_else(PoisonError::into_inner))
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Check({} records)", self.records)
    }
}

impl Check {
    /// Watches servers whose folders lie in `fleet`. A model is on disk once something has changed on it.
    pub(crate) fn new(profiles: &[Profile], fleet: &Path) -> Self {
        let server = |profile: &Profile| Server {
            folder: fleet.join(profile.target.as_str()),
            read: HEADER,
            entries: Vec::new(),
            epoch: Epoch(0),
            accepted: Generation(0),
            inside: None,
            twin: Twin::new(profile.clone()),
            seen: None,
            stored: EventIndex(0),
            issued: Generation(0),
        };
        let servers = profiles.iter();
        Self {
            servers: servers
                .map(|profile| (profile.target.clone(), server(profile)))
                .collect(),
            plan: None,
            active_before: 0,
            outage: BTreeSet::new(),
            overridden: BTreeMap::new(),
            completed: BTreeSet::new(),
            rows: 0,
            head: store::genesis(),
            shadow: Shadow {
                fleet: Fleet::new(),
                roster: Roster::default(),
                plans: BTreeMap::new(),
                rails: Rails::default(),
                pace: Pace::default(),
            },
            looks: 0,
            records: 0,
            folds: 0,
            outages: 0,
            changes: 0,
            broken: None,
            traced: std::env::var_os("SIM_TRACE").is_some(),
        }
    }

    /// What was broken first.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Notes that something does not hold.
    pub(crate) fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// What the whole estate is to be: every rule is asked by it from now on, whichever rollout carries out what of it.
    pub(crate) fn begins(&mut self, estate: &Plan) {
        self.plan = Some(estate.clone());
        self.active_before = self.active();
    }

    /// A plan that may be applied.
    pub(crate) fn knows(&mut self, id: PlanId, plan: &Plan) {
        self.shadow.plans.insert(id, plan.clone());
    }

    /// An operator has set G2 aside on a server. Leave of the hour's last moment may still be made use of.
    pub(crate) fn sets_aside(&mut self, target: &TargetId) {
        let last = limits::OVERRIDE_LIFE + PERMIT_LIFE;
        let until = ::controller::now().plus(last);
        self.overridden.insert(target.clone(), until);
    }

    /// How often each rule and each limit was asked of the log, and G2 and G3 of the servers themselves as one entered a section.
    pub(crate) const fn asked(&self) -> (Asked, Paced, u64, u64) {
        let Shadow { rails, pace, .. } = &self.shadow;
        (rails.asked, pace.asked, self.outages, self.changes)
    }

    /// Looks at every disk that has changed.
    pub(crate) fn look(&mut self) {
        let targets: Vec<TargetId> = self.servers.keys().cloned().collect();
        for target in &targets {
            self.look_at_model(target);
        }
        for target in &targets {
            self.look_at(target);
        }
    }

    /// Looks at a server's disk, if it has changed.
    pub(crate) fn look_at(&mut self, target: &TargetId) {
        self.looks += 1;
        self.look_at_model(target);
        if let Err(why) = self.look_at_journal(target) {
            self.breaks(format!("{target}: {why}"));
        }
        let now = self.active();
        if self.plan.is_some() && now > self.active_before.max(1) {
            self.breaks(format!("G1: {now} Connect servers are active"));
        }
    }

    fn look_at_model(&mut self, target: &TargetId) {
        let Some(server) = self.servers.get_mut(target) else {
            return;
        };
        let path = server.folder.join("twin.json");
        let seen = std::fs::metadata(&path)
            .and_then(|found| Ok((found.ino(), found.len(), found.modified()?)))
            .ok();
        if seen.is_none() || seen == server.seen {
            return;
        }
        server.seen = seen;
        match std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(twin)) => server.twin = twin,
            other => {
                let why = format!("the model of {target} cannot be read: {other:?}");
                self.breaks(why);
            }
        }
    }

    fn look_at_journal(&mut self, target: &TargetId) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(target) else {
            return Ok(());
        };
        let path = server.folder.join("journal");
        let Ok(found) = std::fs::metadata(&path) else {
            return Ok(());
        };
        let length = usize::try_from(found.len()).unwrap_or(usize::MAX);
        if length < server.read && server.entries.is_empty() {
            return Ok(());
        }
        if length < server.read {
            return Err(format!("its journal went back to {length} bytes"));
        }
        if length == server.read {
            return Ok(());
        }
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        if server.entries.is_empty() {
            let epoch = bytes.get(16..HEADER).and_then(|part| part.try_into().ok());
            server.epoch = Epoch(epoch.map_or(0, u64::from_le_bytes));
        }
        let mut events = Vec::new();
        while let Some((entry, head, end)) = record(&bytes, server.read) {
            let index = EventIndex(server.entries.len() as u64 + 1);
            let before = server
                .entries
                .last()
                .map_or_else(|| chain::genesis(server.epoch), |(_, head)| *head);
            let at = Timestamp::from_millis(entry.at_millis);
            if chain::link(&before, index, entry.kind, at, &entry.body) != head {
                return Err(format!(
                    "event {index} of its journal does not fit its chain"
                ));
            }
            events.extend(Event::from_body(&entry.body));
            server.entries.push((entry, head));
            server.read = end;
        }
        for event in events {
            self.journaled(target, &event)?;
        }
        Ok(())
    }

    fn journaled(&mut self, target: &TargetId, event: &Event) -> Result<(), String> {
        self.trace(::controller::now(), &(target.as_str(), event));
        let Some(server) = self.servers.get_mut(target) else {
            return Ok(());
        };
        match event {
            Event::BundleAccepted { generation, .. } => {
                if *generation <= server.accepted {
                    return Err(format!(
                        "G5: it accepted {generation} after {}",
                        server.accepted
                    ));
                }
                server.accepted = *generation;
            }
            Event::SectionEntered { section, .. } => {
                server.inside = Some(section.clone());
                return self.entered(target);
            }
            Event::SectionLeft { .. } | Event::RunFinished { .. } => {
                server.inside = None;
                self.outage.remove(target);
            }
            Event::BundleRefused { .. }
            | Event::FactsReported(_)
            | Event::Frozen(_)
            | Event::Thawed
            | Event::ServiceRestarted { .. }
            | Event::StepBegun { .. }
            | Event::SecretAsked { .. }
            | Event::SecretReceived { .. }
            | Event::TaskOpened { .. }
            | Event::Probed { .. }
            | Event::Discovered { .. }
            | Event::ForestRead { .. }
            | Event::ConnectSettingsRead { .. }
            | Event::ConnectExportRead { .. }
            | Event::CycleBeforeWizard { .. }
            | Event::StepCompleted { .. }
            | Event::StepFailed { .. }
            | Event::StepInconclusive { .. } => {}
        }
        Ok(())
    }

    /// A server has entered a section: of nobody else may it be the same gMSA, and enough others serve (G2, G3).
    fn entered(&mut self, target: &TargetId) -> Result<(), String> {
        let all: Vec<TargetId> = self.servers.keys().cloned().collect();
        for one in &all {
            self.look_at_model(one);
        }
        let section = self.servers[target].inside.as_ref();
        let object = section.and_then(|section| section.gmsa.as_ref());
        let other = self.servers.iter().find(|(other, server)| {
            let theirs = server
                .inside
                .as_ref()
                .and_then(|section| section.gmsa.as_ref());
            *other != target && object.is_some() && theirs == object
        });
        if let Some((other, _)) = other {
            return Err(format!("G3: it and {other} change one gMSA"));
        }
        self.changes += u64::from(object.is_some());
        let Some(plan) = &self.plan else {
            return Ok(());
        };
        let until = self.overridden.get(target);
        let aside = until.is_some_and(|until| ::controller::now() < *until);
        if !section.is_some_and(|section| section.outage)
            || !self.outage.insert(target.clone())
            || aside
        {
            return Ok(());
        }
        self.outages += 1;
        enough_serve(plan, target, |servers| {
            servers.iter().filter(|server| self.serves(server)).count()
        })
    }

    /// Whether a server's product serves: it runs, and nothing is done to it.
    pub(crate) fn serves(&self, target: &TargetId) -> bool {
        let server = self.servers.get(target);
        server.is_some_and(|server| {
            let section = server.inside.as_ref();
            let out = section.is_some_and(|section| section.outage);
            !out && server.twin.serves() && !server.twin.is_half_registered()
        })
    }

    /// Whether a server is in a section, whatever the controller knows of it.
    pub(crate) fn is_inside(&self, target: &TargetId) -> bool {
        let server = self.servers.get(target);
        server.is_some_and(|server| server.inside.is_some())
    }

    fn active(&self) -> usize {
        let active = |server: &&Server| server.twin.exports();
        self.servers.values().filter(active).count()
    }

    /// The entries that are stored already when a controller begins: none of what was stored may be gone, or be another.
    pub(crate) fn begins_again(&mut self, rows: &[Row]) {
        let known = usize::try_from(self.rows).unwrap_or(usize::MAX);
        if rows.len() < known {
            let lost = self.rows - rows.len() as u64;
            self.breaks(format!(
                "{lost} entries of the log that were stored are gone"
            ));
        } else if known > 0 && rows[known - 1].chain != self.head {
            self.breaks("the log is another than the one that was stored".to_owned());
        }
    }

    /// The first entry that was not looked at.
    pub(crate) const fn next_row(&self) -> u64 {
        self.rows + 1
    }

    /// One entry of the log, in order.
    pub(crate) fn row(&mut self, row: &Row) {
        if let Err(why) = self.stored(row) {
            self.breaks(format!("entry {} of the log: {why}", row.index));
        }
    }

    fn stored(&mut self, row: &Row) -> Result<(), String> {
        self.records += 1;
        let index = self.rows + 1;
        if row.index != index {
            return Err(format!("{index} was to come"));
        }
        if store::link(&self.head, index, row.at, &row.body) != row.chain {
            return Err("it does not fit the chain".to_owned());
        }
        (self.rows, self.head) = (index, row.chain);
        let record: Record =
            serde_json::from_str(&row.body).map_err(|_| "it cannot be read".to_owned())?;
        self.trace(row.at, &record);
        let mut applied = None;
        if let Record::Applied { plan, .. } = &record {
            applied = self.shadow.plans.get(plan);
        }
        let fleet = &self.shadow.fleet;
        self.shadow.rails.stored(fleet, &record, row.at)?;
        self.shadow.pace.stored(fleet, &record, row.at)?;
        self.shadow.fleet.apply(&record, applied, row.at);
        self.shadow.roster.apply(&record, row.at);
        if let Record::BundleIssued {
            target, generation, ..
        } = &record
        {
            let server = self.servers.get_mut(target).ok_or("for nobody")?;
            if *generation <= server.issued {
                return Err(format!("G5: {generation} after {}", server.issued));
            }
            server.issued = *generation;
        } else if let Record::AgentDoubted { target, doubt, .. } = &record {
            // Kills, cuts, other addresses, late and doubled datagrams: nobody is copied here and no disk is put back.
            return Err(format!(
                "{target} is doubted, and is the only one: {doubt:?}"
            ));
        } else if let Record::TargetEvent {
            target,
            epoch,
            index,
            kind,
            at,
            body,
        } = &record
        {
            self.told(target, *epoch, *index, (*kind, *at, body))?;
        }
        Ok(())
    }

    /// An event counts as stored: it is the next of its journal, as it lies on the agent's disk.
    fn told(
        &mut self,
        target: &TargetId,
        epoch: Epoch,
        index: EventIndex,
        (kind, at, body): (u16, Timestamp, &str),
    ) -> Result<(), String> {
        self.look_at_journal(target)?;
        let server = self.servers.get_mut(target).ok_or("of nobody")?;
        let next = server.stored.next();
        if index < next {
            return Err(format!("event {index} of {target} is stored twice"));
        }
        if index > next {
            return Err(format!(
                "event {next} of {target} is missing before {index}"
            ));
        }
        server.stored = index;
        let at_index = usize::try_from(index.0 - 1).unwrap_or(usize::MAX);
        let Some((entry, _)) = server.entries.get(at_index) else {
            return Err(format!("{target} has not journaled event {index}"));
        };
        let same = epoch == server.epoch
            && entry.kind == kind
            && entry.at_millis == at.as_millis()
            && entry.body == body.as_bytes();
        if !same {
            return Err(format!("{target} has journaled event {index} otherwise"));
        }
        if let Some(Event::StepCompleted {
            generation, step, ..
        }) = Event::from_body(body.as_bytes())
            && !self.completed.insert((target.clone(), generation, step))
        {
            return Err(format!("{target} completed step {step} twice"));
        }
        Ok(())
    }

    /// Tells what happens, for whoever looks for a cause: `SIM_TRACE=1`.
    fn trace(&self, at: Timestamp, what: &impl std::fmt::Debug) {
        if self.traced {
            let text: String = format!("{what:?}").chars().take(300).collect();
            eprintln!("{at} {text}");
        }
    }

    /// Compares what the log tells with what the controller believes; `believed` is of a moment at which that is all.
    pub(crate) fn compare(&mut self, mut fleet: Fleet, roster: &Roster) {
        self.folds += 1;
        for target in self.servers.keys() {
            // What is asked for is of the moment, and in no log.
            fleet.forget_asked(target);
        }
        if format!("{fleet:?}") != format!("{:?}", self.shadow.fleet) {
            self.breaks("the log tells another fleet than the live one".to_owned());
        }
        if format!("{roster:?}") != format!("{:?}", self.shadow.roster) {
            self.breaks("the log tells another roster than the live one".to_owned());
        }
    }

    /// The fleet as the log tells it.
    pub(crate) const fn fleet(&self) -> &Fleet {
        &self.shadow.fleet
    }

    /// What must be so when all is over: every journal is stored to its end, and nothing was changed twice.
    pub(crate) fn end(&mut self, again: &BTreeSet<TargetId>) {
        self.look();
        let mut wrong = Vec::new();
        wrong.extend(self.shadow.pace.ends(&self.shadow.fleet).err());
        for (target, server) in &self.servers {
            let journaled = server.entries.len() as u64;
            if journaled != server.stored.0 {
                wrong.push(format!(
                    "{target} has journaled {journaled} events, and {} are stored",
                    server.stored
                ));
            }
            // A service may be restarted again, and so what notes an owed restart.
            let changes = server.twin.changes.iter();
            let changes: Vec<&String> = changes
                .filter(|change| !change.starts_with("restart ") && !change.starts_with("owes "))
                .collect();
            let once: BTreeSet<&String> = changes.iter().copied().collect();
            if !again.contains(target) && once.len() != changes.len() {
                wrong.push(format!("{target} was changed twice: {changes:?}"));
            }
        }
        for what in wrong {
            self.breaks(what);
        }
    }
}

/// The record of a journal that begins there: entry, chain head, and where it ends. `None` where none is whole.
fn record(bytes: &[u8], at: usize) -> Option<(Entry, Digest, usize)> {
    let length = bytes.get(at..at + 4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let body = bytes.get(at + 4..at + 4 + length)?;
    let end = at + 4 + length + CHAIN;
    let head: [u8; CHAIN] = bytes.get(at + 4 + length..end)?.try_into().ok()?;
    Some((codec::decode(body).ok()?, Digest::from_bytes(head), end))
}

/// Breaks a rule on a disk, so that it is seen whether that is noticed: a log whose controller is not running.
pub(crate) fn tamper(log: &Path, how: Tamper) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(log)?;
    let (index, at, body, head): (i64, i64, String, [u8; 32]) = connection.query_row(
        "SELECT idx, at, body, chain FROM log WHERE body LIKE '%target-event%' ORDER BY idx DESC LIMIT 1",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    match how {
        // Whatever followed is gone with it, so that the chain still fits.
        Tamper::Lose => {
            connection.execute("DELETE FROM log WHERE idx >= ?1", [index])?;
        }
        Tamper::Double => {
            connection.execute("DELETE FROM log WHERE idx > ?1", [index])?;
            let next = u64::try_from(index)? + 1;
            let chain = store::link(
                &Digest::from_bytes(head),
                next,
                Timestamp::from_millis(at),
                &body,
            );
            connection.execute(
                "INSERT INTO log (idx, at, body, chain) VALUES (?1, ?2, ?3, ?4)",
                rusqlite::params![index + 1, at, body, chain.as_bytes()],
            )?;
        }
    }
    Ok(())
}

/// How a log is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// The last acknowledged event is gone.
    Lose,
    /// The last acknowledged event is there twice.
    Double,
}
