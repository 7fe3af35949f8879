//! What a person who upgrades Connect in place is told of its default rules: whether they are those of the tenant's other servers of
//! its version (CU04). An upgrade that finds them changed does a full import and synchronization (product facts 2.13 [P]).

use std::collections::BTreeMap;

use protocol::TargetId;
use protocol::event::{Finding, Verdict};
use protocol::step::{ConnectWork, Step};

use crate::default_rules;
use crate::plan::{Inputs, TargetPlan};
use crate::recipe::connect::BEFORE;
use crate::topology::ConnectEntry;

/// Puts it behind the reasons of the plan, and on the page of what comes before the wizard.
pub(super) fn compared(
    inputs: Inputs<'_>,
    entry: &ConnectEntry,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
) {
    for server in entry.members() {
        let facts = inputs.known.get(server);
        let facts = facts.and_then(|known| known.facts.as_ref());
        let connect = facts.and_then(|(_, facts)| facts.connect.as_ref());
        let Some(version) = connect.and_then(|connect| connect.version) else {
            continue;
        };
        let Some(part) = targets.get_mut(server).filter(|part| upgrades(part)) else {
            continue;
        };
        let others = entry.members().filter(|other| *other != server);
        let settings = &inputs.beyond.settings;
        let Some(finding) = default_rules::finding(server, version, others, settings) else {
            continue;
        };
        let words = words(&finding);
        part.why.push(words.clone());
        for step in part.phases.iter_mut().flat_map(|phase| &mut phase.steps) {
            let Step::GuideConnect(guide) = step else {
                continue;
            };
            let mut pages = guide.text.pages.iter_mut();
            if let Some(page) = pages.find(|page| page.title == BEFORE) {
                page.lines.push(words.clone());
            }
        }
    }
}

fn upgrades(part: &TargetPlan) -> bool {
    part.guides(ConnectWork::UpgradeActive) || part.guides(ConnectWork::UpgradeStaging)
}

fn words(finding: &Finding) -> String {
    let (id, read, fix) = (&finding.id, &finding.read, &finding.fix);
    match finding.verdict {
        Verdict::Pass => format!("{id} passes: {read}"),
        Verdict::Fail => format!("{id} warns: {read}; {fix}"),
        Verdict::CannotTell => format!(
            "{id} cannot tell: {read}; entrain plan --verify or entrain preflight reads them, or a person compares"
        ),
    }
}
