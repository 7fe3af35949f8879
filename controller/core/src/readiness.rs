//! Readiness: what each server's newest preflight came to, as its agent's signed receipt closes it, and what a plan says of that.
//! A preflight answers for its moment: what changes a server asks once more before anything is touched, so nothing is held here.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::{Finding, Owner, Verdict};
use protocol::key::PublicKey;
use protocol::signed::{Ending, Receipt, RoleKeys, Verified, verify};
use protocol::step::{Preflight, Product, Step};
use protocol::{BundleId, Digest, GmsaName, RolloutId, StepIndex, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::answered::{Answers, attested};
use crate::fleet::Fleet;
use crate::plan::{Inputs, Plan, lane};

mod asked;

pub use asked::Asked;

/// How long a preflight's answers count: what a network, a directory and a group policy are changes from one day to the next.
/// An older one is not read.
pub const COUNTS: Duration = Duration::from_secs(24 * 3600);

/// What a server's newest preflight came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// When its receipt came here.
    pub at: Timestamp,
    /// Of which rollout.
    pub rollout: RolloutId,
    /// Digest of the receipt's envelope, which the log holds.
    pub receipt: Digest,
    /// What the server was then: its lasting facts.
    pub essence: Option<Digest>,
    /// How many probes were asked.
    pub probes: usize,
    /// What blocks, a sentence each with who mends it, and by whose preflight: on a server with both products each is asked for its own.
    pub blocks: Vec<(Option<Product>, String)>,
    /// What could not be told, likewise.
    pub untold: Vec<(Option<Product>, Finding)>,
    /// The gMSA that it was asked about.
    pub gmsa: Option<GmsaName>,
    /// What was asked of it, as its plan had it.
    pub asked: Asked,
}

/// What a probe said, and at which step of its bundle.
pub type Told = (StepIndex, Finding);

/// The newest of each server.
pub type Receipts = BTreeMap<TargetId, Readiness>;

/// How a server stands to a plan that changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing blocked it.
    Ready {
        /// By which receipt.
        by: Named,
        /// What could not be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        untold: Vec<String>,
        /// What could not be told there, and people attest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attested: Vec<String>,
    },
    /// Something blocked it.
    Blocked {
        /// By which receipt.
        by: Named,
        /// What.
        blocks: Vec<String>,
        /// What could not be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        untold: Vec<String>,
        /// What could not be told there, and people attest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attested: Vec<String>,
    },
    /// No preflight counts for it.
    NotRead {
        /// Why.
        why: String,
    },
}

/// A receipt, as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// When it came.
    pub at: Timestamp,
    /// Of which rollout.
    pub rollout: RolloutId,
    /// Digest of its envelope.
    pub receipt: Digest,
}

/// The receipt of a preflight, where that agent has signed it for that bundle and it has an answer: who broke off is neither ready
/// nor blocked. `seen` is the server's lasting facts, `findings` what its probes said and at which step, `steps` those of the bundle, as the
/// plan has them.
#[must_use]
pub fn of(
    (target, key, bundle): (&TargetId, PublicKey, BundleId),
    (envelope, ending): (&str, &Ending),
    (findings, gmsa, steps): (&[Told], Option<GmsaName>, &[Step]),
    seen: Option<Digest>,
    now: Timestamp,
) -> Option<Readiness> {
    let role = RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    let receipt: Verified<Receipt> = verify(envelope.as_bytes(), &role).ok()?;
    if receipt.target != *target || receipt.bundle != bundle || receipt.ending != *ending {
        return None;
    }
    let product = |step: StepIndex| {
        let step = steps.get(usize::from(step.0))?;
        if let Step::Preflight(asked) = step {
            return Some(asked.product);
        }
        (*step == Step::ReadConnectSettings).then_some(Product::Connect)
    };
    let blocks: Vec<(Option<Product>, String)> = findings
        .iter()
        .filter(|(_, one)| one.blocks())
        .map(|(step, one)| (product(*step), sentence(one)))
        .collect();
    let untold = findings
        .iter()
        .filter(|(_, one)| one.verdict == Verdict::CannotTell && !one.blocks())
        .map(|(step, one)| (product(*step), one.clone()));
    let answered = match ending {
        // One that went on under an override of G8 is blocked all the same.
        Ending::Completed => !findings.is_empty(),
        Ending::Failed(_) => !blocks.is_empty(),
        Ending::Inconclusive(_) | Ending::Aborted | Ending::Expired => false,
    };
    answered.then(|| Readiness {
        at: now,
        rollout: receipt.rollout,
        receipt: Digest::of(envelope.as_bytes()),
        essence: seen,
        probes: findings.len(),
        untold: untold.collect(),
        blocks,
        gmsa,
        asked: Asked::of(steps, &receipt.steps),
    })
}

/// Who mends something, in words.
#[must_use]
pub const fn mends(owner: Owner) -> &'static str {
    match owner {
        Owner::Server => "the server's owner",
        Owner::Directory => "the directory's administrator",
        Owner::Network => "the network",
        Owner::Tenant => "the tenant's administrator",
        Owner::Entrain => "Entrain, when the plan is applied",
    }
}

fn sentence(finding: &Finding) -> String {
    let Finding {
        id,
        what,
        read,
        fix,
        owner,
        ..
    } = finding;
    format!("{id} ({what}: {read}; {}: {fix})", mends(*owner))
}

impl Readiness {
    /// Its receipt, by name.
    #[must_use]
    pub const fn named(&self) -> Named {
        Named {
            at: self.at,
            rollout: self.rollout,
            receipt: self.receipt,
        }
    }

    /// How it stands to a plan about `product` that is made at `now`, while that server is `essence` and `asks` is what would be asked of
    /// it, with what people have attested. What was found of the other product stops nothing of this one.
    #[must_use]
    pub fn standing(
        &self,
        (target, product): (&TargetId, Option<Product>),
        (essence, asks): (Option<Digest>, Option<&Preflight>),
        answers: &Answers,
        now: Timestamp,
    ) -> Standing {
        let named = self.named();
        if now.since(self.at) > COUNTS {
            let why = format!("its newest preflight, at {}, is older than a day", self.at);
            return Standing::NotRead { why };
        }
        if essence != self.essence {
            let why = format!(
                "what is on the server has changed since its newest preflight, at {}",
                self.at
            );
            return Standing::NotRead { why };
        }
        if let Some(how) = asks.and_then(|asks| self.asked.differs(asks)) {
            let why = format!(
                "its newest preflight, at {}, asked something else than would be asked now ({how})",
                self.at
            );
            return Standing::NotRead { why };
        }
        let own = |of: Option<Product>| of.is_none() || product.is_none() || of == product;
        let unasked = self.asked.unasked.iter();
        let unasked = unasked.filter(|(of, _)| own(Some(*of)));
        let mut untold: Vec<String> = unasked.map(|(_, why)| why.clone()).collect();
        let mut said = Vec::new();
        for (_, finding) in self.untold.iter().filter(|(of, _)| own(*of)) {
            match attested(answers, (target, self.gmsa.as_ref()), finding, now) {
                Some(one) => said.push(format!("{} ({}): {}", one.id, one.what, one.sentence)),
                None => untold.push(sentence(finding)),
            }
        }
        let blocks = self.blocks.iter().filter(|(of, _)| own(*of));
        let blocks: Vec<String> = blocks.map(|(_, block)| block.clone()).collect();
        if blocks.is_empty() {
            Standing::Ready {
                by: named,
                untold,
                attested: said,
            }
        } else {
            Standing::Blocked {
                by: named,
                blocks,
                untold,
                attested: said,
            }
        }
    }
}

/// Has a plan that changes products name the newest preflight of each server that it changes, and warns of those that it found
/// blocked. `inputs` is what the plan was made of: an answer counts for what it would ask.
pub fn tell(plan: &mut Plan, fleet: &Fleet, inputs: Inputs<'_>, now: Timestamp) {
    if !plan.kind.changes_products() {
        return;
    }
    for (target, part) in &plan.targets {
        if part.left_out || part.is_read_only() {
            continue;
        }
        let standing = fleet.receipts().get(target).map_or_else(
            || Standing::NotRead {
                why: "no preflight has asked it".to_owned(),
            },
            |receipt| {
                let known = fleet.known().get(target);
                let facts = known.and_then(|known| known.facts.as_ref());
                let essence = facts.map(|(_, facts)| facts.essence());
                let asks = asked::would_ask(inputs, target, &part.lane);
                let of = (target, lane::product(&part.lane));
                receipt.standing(of, (essence, asks.as_ref()), fleet.answers(), now)
            },
        );
        if let Standing::Blocked { by, blocks, .. } = &standing {
            plan.warnings.push(format!(
                "{target} was not ready at {} (rollout {}): {}; it stops there before anything is touched while that is so",
                by.at,
                by.rollout,
                blocks.join("; ")
            ));
        }
        plan.readiness.insert(target.clone(), standing);
    }
}
