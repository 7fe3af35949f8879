//! Recipes: how "this should be so" becomes steps, phase by phase.

pub(crate) mod agent;
pub mod cloud_sync;
pub mod connect;
pub mod connect_removal;
mod custom;
pub(crate) mod discover;
pub mod download;
mod full_sync;
mod proxy;
pub mod removal;
pub(crate) mod restart;
pub(crate) mod support;
pub(crate) mod switch;
pub(crate) mod transition;

use std::collections::{BTreeMap, BTreeSet};

use protocol::DomainName;
use protocol::facts::Facts;
use protocol::signed::{ArtifactRef, Phase};
use protocol::step::{Product, Served, Step};
use serde::{Deserialize, Serialize};

/// One phase of one target's work: what one bundle will hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseWork {
    /// Which phase.
    pub phase: Phase,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Artifacts that the steps name.
    pub artifacts: Vec<ArtifactRef>,
}

impl PhaseWork {
    /// True when nothing is changed on the target.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.steps.iter().all(Step::is_read_only)
    }

    /// Domains that it makes an agent serve.
    #[must_use]
    pub fn configures(&self) -> BTreeSet<DomainName> {
        let served = self.steps.iter().filter_map(Step::serves);
        let names = served.flat_map(|served| match served {
            Served::Registers(names) | Served::Adds(names) => names,
        });
        names.collect()
    }
}

/// Newest accepted artifact of each product.
pub type Artifacts = BTreeMap<Product, ArtifactRef>;

/// What a recipe answers for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These phases, for these reasons.
    Do {
        /// In order.
        phases: Vec<PhaseWork>,
        /// Why, a sentence each.
        why: Vec<String>,
        /// What a person must bring, and when.
        people: Vec<String>,
    },
    /// Nothing can or must be done; the sentence says why.
    Nothing(String),
}

/// Nothing is decided on what could not be read: a product that is there and does not show would be installed or
/// registered a second time.
fn unread(facts: &Facts) -> Option<Answer> {
    let why = facts.unread.first()?;
    Some(Answer::Nothing(format!(
        "held: {why}; its agent must run with an administrator's rights, and reports anew when it can read it"
    )))
}
