//! What a person at the wizard is told of the settings that they import: which export of which server it must be, by its digest, and
//! how it is seen afterwards that all of it came over (product facts 2.6 [P]).

use std::collections::BTreeMap;

use protocol::TargetId;
use protocol::step::Step;

use crate::beyond::Beyond;
use crate::plan::TargetPlan;
use crate::recipe::connect::COMPONENTS;
use crate::topology::ConnectEntry;

/// Puts on the page on which the file is chosen, and behind the reasons of the plan, what the other servers told of theirs.
pub(super) fn imports(
    beyond: &Beyond,
    entry: &ConnectEntry,
    targets: &mut BTreeMap<TargetId, TargetPlan>,
) {
    let Some(import) = entry.imports() else {
        return;
    };
    for server in entry.members() {
        let Some(part) = targets.get_mut(server) else {
            continue;
        };
        if !part.installs_connect() {
            continue;
        }
        let words = words(beyond, entry, server, import);
        part.why.extend(words.iter().cloned());
        let steps = part.phases.iter_mut().flat_map(|phase| &mut phase.steps);
        for step in steps {
            let Step::GuideConnect(guide) = step else {
                continue;
            };
            let mut pages = guide.text.pages.iter_mut();
            if let Some(page) = pages.find(|page| page.title == COMPONENTS) {
                // Before the button that ends it.
                let last = page.lines.len().saturating_sub(1);
                page.lines.splice(last..last, words.iter().cloned());
            }
        }
    }
}

fn words(beyond: &Beyond, entry: &ConnectEntry, server: &TargetId, import: &str) -> Vec<String> {
    let others = entry.members().filter(|other| *other != server);
    let told: Vec<_> = others
        .filter_map(|other| Some((other, beyond.exports.get(other)?)))
        .collect();
    let mut words: Vec<String> = told
        .iter()
        .map(|(other, seen)| {
            let export = &seen.export;
            format!(
                "the newest export of {other}, as it told at {}: {}, written {}, {} bytes, sha256 {}; the file {import} is a copy of it only where Get-FileHash shows that digest",
                seen.at, export.file, export.written, export.bytes, export.sha256
            )
        })
        .collect();
    if told.is_empty() {
        words.push(format!(
            "what the servers that have Connect exported was never told here, so that {import} cannot be held against it: entrain plan --verify reads it"
        ));
    }
    words.push(format!(
        "put {import} onto the server where administrators alone may read it, and delete it there and on the way once the wizard is done: it holds the configuration in the clear"
    ));
    let from = told.first().map(|(other, _)| *other);
    let from = from.or_else(|| entry.members().find(|other| *other != server));
    if let Some(from) = from {
        words.push(format!(
            "afterwards entrain diff {from} {server} --exported shows what did not come over"
        ));
    }
    words
}
