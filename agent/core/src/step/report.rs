//! What a script that reads a server said, in parts: each is there, or says why it is not.

use std::time::Duration;

use protocol::event::Failure;
use serde_json::Value;

use crate::op::Script;
use crate::procedure::{Cx, Flow, Reading};
use crate::step::trouble;

/// The line of parts, or why there is none.
#[derive(Debug)]
pub(super) struct Report(Reading<Value>);

impl Report {
    /// Runs the script.
    pub(super) fn ask(
        script: Script,
        input: Value,
        limit: Duration,
        cx: &mut Cx<'_>,
    ) -> Flow<Self> {
        let lines = cx.script(script, input, Vec::new(), limit)?;
        let lines = lines.map_err(|why| explained(&why));
        Ok(Self(lines.and_then(|lines| {
            let last = lines.into_iter().next_back();
            last.ok_or_else(|| "the script said nothing".to_owned())
        })))
    }

    /// What a script said, as a test has it.
    #[cfg(test)]
    pub(super) const fn of(line: Value) -> Self {
        Self(Ok(line))
    }

    /// A part of it, as `read` takes it.
    pub(super) fn part<T>(&self, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Reading<T> {
        let report = self.0.as_ref().map_err(Clone::clone)?;
        let part = &report[name];
        if let Some(why) = part["why"].as_str() {
            return Err(explained(why));
        }
        read(part).ok_or_else(|| match report["error"]["message"].as_str() {
            Some(why) => explained(why),
            None => format!("the script did not say ({name})"),
        })
    }

    /// Rows of a part, each as `row` takes it: one that lacks something makes the whole unread.
    pub(super) fn rows<T>(&self, name: &str, row: impl Fn(&Value) -> Option<T>) -> Reading<Vec<T>> {
        self.part(name, |part| part.as_array()?.iter().map(row).collect())
    }
}

/// The failure of a script that a step cannot do without, with the known error where it shows one.
pub(super) fn failure(what: &str, why: &str) -> Failure {
    let mut failure = Failure::plain(format!("{what}: {why}"));
    if let Some(trouble) = trouble::of_script(why) {
        failure.known = Some(trouble.known);
        failure = failure.with_lines([trouble.line]);
    }
    failure
}

/// Why a script could not read something, with cause and fix where the product's module was refused for a known reason.
pub(super) fn explained(why: &str) -> String {
    match trouble::of_script(why) {
        Some(trouble) => format!("{why}; {}", trouble.known.sentence()),
        None => why.to_owned(),
    }
}
