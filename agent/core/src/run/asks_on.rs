//! A bundle that only asks, and asks more than one preflight: one that blocks ends nothing. It is told, what stands behind it is asked all
//! the same, and the run fails at its last step with everything that blocked. Behind what changes a server nothing of this holds.

use std::collections::BTreeMap;

use protocol::event::{Completion, Event, Failure, Finding};
use protocol::signed::StepEnding;
use protocol::step::{Product, Step};

use super::{Action, Run, Stage, index};
use crate::step::preflight;

/// What was probed of each step, as a journal holds it.
pub(super) type Probed = BTreeMap<usize, Vec<Finding>>;

impl Run {
    /// More is asked behind this preflight, whatever it says.
    fn asks_on(&self, at: usize) -> bool {
        let asks = matches!(self.manifest.steps.get(at), Some(Step::Preflight(_)));
        asks && at + 1 < self.manifest.steps.len() && self.only_reads()
    }

    /// Tells what blocks at such a preflight and goes on behind it; gives the failure back where the run ends with it. One without
    /// findings is no answer, and ends the run.
    pub(super) fn goes_on_behind(&mut self, at: usize, failure: Failure) -> Option<Failure> {
        if failure.findings.is_empty() || !self.asks_on(at) {
            return Some(failure);
        }
        self.close_record(at, StepEnding::Failed, &failure.what);
        // That it was asked to its end is what this event says; the findings say what of.
        let event = Event::StepCompleted {
            generation: self.generation(),
            step: index(at),
            completion: Completion::AlreadySo,
            summary: format!(
                "{}; what stands behind it is asked all the same",
                failure.what
            ),
            grade: None,
        };
        self.actions.push_back(Action::Journal(event));
        self.blocked.push((at, failure));
        self.procedure = self.procedure_of(false);
        self.begun = false;
        self.stage = Stage::At(at + 1);
        None
    }

    /// The same, as an earlier life of the agent has told it.
    pub(super) fn went_on_behind(&mut self, at: usize, probed: &Probed) {
        let (Some(Step::Preflight(asked)), true) = (self.manifest.steps.get(at), self.asks_on(at))
        else {
            return;
        };
        let findings = probed.get(&at).map_or(&[][..], Vec::as_slice);
        let Some(failure) = preflight::blocks(asked, findings) else {
            return;
        };
        self.close_record(at, StepEnding::Failed, &failure.what);
        self.blocked.push((at, failure));
    }

    /// This is the last step, and what blocked at an earlier one ends the run with it.
    pub(super) fn ends_blocked(&self, at: usize) -> bool {
        !self.blocked.is_empty() && at + 1 == self.manifest.steps.len()
    }

    /// A failure with what blocked at earlier preflights.
    pub(super) fn with_what_blocked(&mut self, mut failure: Failure) -> Failure {
        for (at, before) in std::mem::take(&mut self.blocked) {
            let of = match self.manifest.steps.get(at) {
                Some(Step::Preflight(asked)) if asked.product == Product::Connect => "Connect Sync",
                _ => "the provisioning agent",
            };
            let what = format!("; the preflight of {of} before it: {}", before.what);
            failure.what.push_str(&what);
            failure.findings.extend(before.findings);
        }
        failure
    }
}
