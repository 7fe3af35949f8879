//! G6 and G10 at each action of plans of every kind that make a server active or move a tenant: what is known of versions, what a tenant
//! showed of its synchronization, and what was accepted as its plan was applied.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use controller_core::plan::{Kind, Plan, TargetPlan};
use controller_core::record::Record;
use controller_core::tenant::{Observation, Organization, Part};
use controller_core::versions::Versions;
use proptest::prelude::*;
use protocol::step::{ConnectWork, Product};
use protocol::{RolloutId, TargetId, TenantId, Timestamp, Version};

use super::{Afterwards, Change, Happens, OLD, Sim, Written, guides, server};
use crate::common;

/// What is said of a version: by its vendor, or by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    what: What,
    vendor: bool,
    of: (Product, Version),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Recalled,
    Ended,
}

/// That its vendor has taken the newest version of Connect back.
const RECALLED: Row = Row {
    what: What::Recalled,
    vendor: true,
    of: (Product::Connect, common::CONNECT),
};

impl Row {
    /// It is brought nowhere any more. That it was taken back counts whoever says so.
    fn ends(self, of: (Product, Version)) -> bool {
        self.of == of && (self.vendor || self.what == What::Recalled)
    }

    /// No server becomes active with it any more. Of one that has it already its vendor's word alone counts; and where there is no other
    /// server, or Connect is left, an end of support is no reason to wait.
    fn bars(self, version: Version, waits: bool) -> bool {
        let is = self.of == (Product::Connect, version) && self.vendor;
        is && (waits || self.what == What::Recalled)
    }
}

/// At most one row of each version, since one release is one row.
pub(super) fn rows() -> impl Strategy<Value = Vec<Row>> {
    let what = prop_oneof![Just(What::Recalled), Just(What::Ended)];
    let one = (what, prop::bool::weighted(0.7));
    let all = [
        (Product::Connect, common::CONNECT),
        (Product::Connect, OLD),
        (Product::ProvisioningAgent, common::AGENT),
    ];
    let all = all.map(move |of| {
        let one = one
            .clone()
            .prop_map(move |(what, vendor)| Row { what, vendor, of });
        proptest::option::weighted(0.3, one)
    });
    all.prop_map(|all| all.into_iter().flatten().collect())
}

/// They as a document beside the controller's state.
pub(super) fn versions(rows: &[Row]) -> Arc<Versions> {
    let mut text = "checked_on = \"2026-09-01\"\n".to_owned();
    for row in rows {
        let (product, version) = row.of;
        let product = match product {
            Product::ProvisioningAgent => "provisioning-agent",
            Product::Connect => "connect",
        };
        let what = match row.what {
            What::Recalled => "recalled = \"it breaks\"",
            What::Ended => "end_of_support = \"2026-01-31\"",
        };
        let certainty = if row.vendor { "vendor" } else { "secondary" };
        writeln!(
            text,
            "[[release]]\nproduct = \"{product}\"\nversion = \"{version}\"\n{what}\nsource = \"a page\"\ncertainty = \"{certainty}\""
        )
        .unwrap();
    }
    Arc::new(Versions::parse(&text).unwrap())
}

/// Somebody reads whether synchronization of a tenant is on.
pub(super) fn reads(tenant: &TenantId, on: bool, at: Timestamp) -> Record {
    let mut observation = Observation::unseen_all(tenant, at, "403");
    observation.organization = Part::Seen(Organization {
        sync_enabled: on,
        last_sync: None,
    });
    Record::TenantSeen {
        observation: Box::new(observation),
        by: "anna".to_owned(),
    }
}

/// What is so just now.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) rows: Vec<Row>,
    /// Whether synchronization of the tenant is on, where somebody read that.
    pub(super) on: Option<bool>,
    /// How many acts that cannot be undone were accepted.
    pub(super) accepted: BTreeMap<RolloutId, u32>,
}

fn names_the_switch(plan: &Plan) -> bool {
    let mut acts = plan.irreversible.iter();
    acts.any(|act| act.contains("directory synchronization is switched on"))
}

impl Since {
    /// A phase that changes something begins, or goes on; `has` gives the version of Connect that a server told last.
    pub(super) fn is_lawful(
        &self,
        (id, plan): (RolloutId, &Plan),
        (target, phase): (&TargetId, usize),
        has: impl Fn(&TargetId) -> Option<Version>,
    ) -> Result<(), TestCaseError> {
        let part = &plan.targets[target];
        for artifact in part.artifacts() {
            let of = (artifact.product, artifact.version);
            prop_assert!(
                !self.rows.iter().any(|row| row.ends(of)),
                "G6: {of:?} is brought onto {target}: {:?}",
                self.rows
            );
        }
        self.is_fit(plan, (target, phase), has)?;
        let acts = plan.irreversible.len();
        prop_assert!(
            acts <= self.accepted[&id] as usize,
            "G10: {target} goes on, and {} of {acts} acts were accepted",
            self.accepted[&id]
        );
        self.is_on(plan, (target, part, phase))
    }

    /// Whoever becomes active by this, or is to once this one is staging, or moves its tenant, has a version that may.
    fn is_fit(
        &self,
        plan: &Plan,
        (target, phase): (&TargetId, usize),
        has: impl Fn(&TargetId) -> Option<Version>,
    ) -> Result<(), TestCaseError> {
        let part = &plan.targets[target];
        let about: Vec<&TargetId> = if part.switches_to_active_in(phase) || part.moves_in(phase) {
            vec![target]
        } else if guides(part, phase, ConnectWork::SwitchToStaging) {
            let all = plan.targets.iter();
            let to = all.filter(|(_, part)| part.switches_to_active());
            to.map(|(to, _)| to).collect()
        } else {
            Vec::new()
        };
        let waits = plan.off.is_none() && plan.kind != Kind::Transition;
        for server in about {
            let version = has(server);
            let barred =
                version.is_some_and(|version| self.rows.iter().any(|row| row.bars(version, waits)));
            prop_assert!(
                !barred,
                "G6: {target} goes, and {server} has {version:?}: {:?}",
                self.rows
            );
        }
        Ok(())
    }

    /// Synchronization that is off is switched on by what names that alone: no server becomes active, and the active one makes no room for
    /// it. An emergency is held by nothing that a tenant showed after it was planned.
    fn is_on(
        &self,
        plan: &Plan,
        (target, part, phase): (&TargetId, &TargetPlan, usize),
    ) -> Result<(), TestCaseError> {
        let makes = part.claims_active(phase) && part.makes_active();
        let mut others = plan.targets.values();
        let makes_room = guides(part, phase, ConnectWork::SwitchToStaging)
            && others.any(TargetPlan::switches_to_active);
        let held = (makes || makes_room) && plan.off.is_none() && self.on == Some(false);
        prop_assert!(
            !held || names_the_switch(plan),
            "G10: {target} switches synchronization on, and its plan names {:?}",
            plan.irreversible
        );
        Ok(())
    }

    /// A plan names it where synchronization was off as it was made.
    pub(super) fn is_named(&self, plan: &Plan) -> bool {
        let mut parts = plan.targets.values();
        let makes = parts.any(TargetPlan::makes_active);
        !makes || self.on != Some(false) || names_the_switch(plan)
    }
}

/// What G6 and G10 hold would be held of a machine that lets no such work go: of each kind of plan that makes a server active or moves a
/// tenant it goes, and is held once that version is taken back, or where its acts were not accepted.
#[test]
fn whoever_becomes_active_or_moves_is_held_by_what_became_known_since() {
    let active = |newest| Some((newest, Some(false)));
    let staging = |newest| Some((newest, Some(true)));
    for (change, servers) in [
        (Change::Swap, vec![active(true), staging(true)]),
        (
            Change::Swing(Afterwards::Upgrade),
            vec![active(false), staging(false)],
        ),
        (
            Change::Swing(Afterwards::Remove),
            vec![active(false), staging(false)],
        ),
        (Change::Failover(0), vec![active(true), staging(true)]),
        (Change::Move, vec![active(true), staging(true)]),
        // Nothing is there yet, and the first one is installed as the active one.
        (Change::Swap, vec![None]),
    ] {
        let written = Written {
            servers: servers.clone(),
            groups: Vec::new(),
            least: [None; 3],
            to: 1,
            change,
            change_first: true,
            on: None,
            short: false,
        };
        let went = |written: &Written, before: &[Happens]| {
            let mut sim = Sim::new(written).unwrap();
            for one in before {
                sim.act(one);
            }
            for _ in 0..12 {
                sim.decide().unwrap();
                for number in 0..2 {
                    let target: TargetId = server(number).parse().unwrap();
                    if sim.live.connected.contains(&target) {
                        sim.completes(&target, Some(50));
                    }
                }
                sim.act(&Happens::Approves);
            }
            sim.became
        };
        let as_it_is = went(&written, &[]);
        assert!(as_it_is > 0, "{change:?} {servers:?}");
        let recalled = [Happens::Knows(vec![RECALLED])];
        assert_eq!(went(&written, &recalled), 0, "G6: {change:?} {servers:?}");
        let good = [Happens::Knows(vec![RECALLED]), Happens::Knows(Vec::new())];
        assert_eq!(went(&written, &good), as_it_is, "{change:?} {servers:?}");
        // A move always has such an act; all others have one where synchronization is off.
        let off = Written {
            on: Some(false),
            short: true,
            ..written.clone()
        };
        assert_eq!(went(&off, &[]), 0, "G10: {change:?} {servers:?}");
        let accepted = Written {
            short: false,
            ..off
        };
        assert!(went(&accepted, &[]) > 0, "{change:?} {servers:?}");
        let since = went(&written, &[Happens::Reads(false)]);
        match change {
            Change::Failover(_) | Change::Move => {
                assert_eq!(since, as_it_is, "{change:?} {servers:?}");
            }
            Change::Swap | Change::Swing(_) => {
                assert_eq!(since, 0, "G10: {change:?} {servers:?}");
            }
        }
    }
}
