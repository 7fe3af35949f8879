//! What the log tells, and what servers were changed: that nothing was lost, doubled or done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent_twin::Twin;
use controller_core::record::Record;
use protocol::event::Event;
use serde_json::Value;

use crate::{COPIES, World, text};

impl World {
    /// Exports the record, verifies it offline, and gives its text.
    ///
    /// # Panics
    /// When it does not hold.
    #[must_use]
    pub fn audit(&self) -> String {
        let file = self.path("audit.jsonl");
        let path = file.to_str().expect("a path");
        let exported = self.entrain(&["audit", "export", path]);
        assert!(exported.status.success(), "{}", text(&exported));
        let verified = self.entrain(&["audit", "verify", path]);
        assert!(verified.status.success(), "{}", text(&verified));
        std::fs::read_to_string(&file).expect("the export is there")
    }

    /// Every event of the log in order, with its target's name.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn events(&self) -> Vec<(String, u64, Event)> {
        let event = |record: Record| {
            let Record::TargetEvent {
                target,
                index,
                body,
                ..
            } = record
            else {
                return None;
            };
            Some((
                target.to_string(),
                index.0,
                Event::from_body(body.as_bytes())?,
            ))
        };
        self.records().into_iter().filter_map(event).collect()
    }

    /// Every record of the log in order.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let rows = self.json(&["logs", "--json"]);
        let record = |row: &Value| serde_json::from_value(row["record"].clone()).ok();
        let rows = rows.as_array().expect("rows");
        rows.iter().filter_map(record).collect()
    }

    /// What was changed on a server, from the model itself.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes(&self, target: &str) -> Vec<String> {
        self.changes_of(&self.path("agents").join(target))
    }

    /// The same of the copy that [`World::start_copies`] has made of it.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes_of_copy(&self, target: &str) -> Vec<String> {
        self.changes_in(COPIES, target)
    }

    /// The same of what [`World::copy_disk`] has copied into that folder.
    ///
    /// # Panics
    /// When there is no such model.
    #[must_use]
    pub fn changes_in(&self, folder: &str, target: &str) -> Vec<String> {
        self.changes_of(&self.path(folder).join(target))
    }

    pub(crate) fn changes_of(&self, folder: &Path) -> Vec<String> {
        // A model is kept from its first change on.
        let Ok(bytes) = std::fs::read(folder.join("twin.json")) else {
            return Vec::new();
        };
        let twin: Twin = serde_json::from_slice(&bytes).expect("a model");
        twin.changes
    }

    /// Asserts that no event was lost or counted twice, and that no change was made twice on a server.
    ///
    /// # Panics
    /// When one was.
    pub fn nothing_lost_or_repeated(&self, targets: &[&str]) {
        self.nothing_lost(targets);
        for target in targets {
            let changes = self.changes(target);
            let once: BTreeSet<&String> = changes.iter().collect();
            assert_eq!(
                once.len(),
                changes.len(),
                "{target} was changed twice: {changes:?}"
            );
        }
    }

    /// Asserts that no event was lost or counted twice, and that nobody was taken for somebody else.
    ///
    /// # Panics
    /// When one was.
    pub fn nothing_lost(&self, targets: &[&str]) {
        self.nothing_lost_but_doubted(targets, &[]);
    }

    /// The same, where these were doubted, and nobody else. Whoever was replaced has begun another journal.
    ///
    /// # Panics
    /// When an event was lost or counted twice, or another one was doubted.
    pub fn nothing_lost_but_doubted(&self, targets: &[&str], doubted: &[&str]) {
        let mut journals: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.records() {
            if let Record::AgentRevoked { target, .. } | Record::AgentReplaced { target, .. } =
                &record
            {
                *keys.entry(target.to_string()).or_insert(1) += 1;
            }
            if let Record::TargetEvent {
                target,
                epoch,
                index,
                ..
            } = record
            {
                let journal = journals.entry((target.to_string(), epoch.0)).or_default();
                journal.push(index.0);
            } else if let Record::AgentDoubted { target, .. } = record {
                seen.insert(target.to_string());
            }
        }
        let doubted: BTreeSet<String> = doubted.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(
            seen, doubted,
            "who was taken for a copy of itself, or to have gone back"
        );
        for target in targets {
            let own = journals.iter().filter(|((whose, _), _)| whose == target);
            let most = keys.get(*target).copied().unwrap_or(1);
            assert!(
                own.clone().count() <= most,
                "{target} has begun another journal"
            );
            for ((_, epoch), indexes) in own {
                let expected: Vec<u64> = (1..=indexes.len() as u64).collect();
                assert_eq!(*indexes, expected, "{target}, journal {epoch}");
            }
        }
        self.rails_held(&[]);
    }
}
