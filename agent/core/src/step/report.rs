//! What a script that reads a server said, in parts: each is there, or says why it is not.

use std::time::Duration;

use serde_json::Value;

use crate::op::Script;
use crate::procedure::{Cx, Flow, Reading};

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
        Ok(Self(lines.and_then(|lines| {
            let last = lines.into_iter().next_back();
            last.ok_or_else(|| "the script said nothing".to_owned())
        })))
    }

    /// A part of it, as `read` takes it.
    pub(super) fn part<T>(&self, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Reading<T> {
        let report = self.0.as_ref().map_err(Clone::clone)?;
        let part = &report[name];
        if let Some(why) = part["why"].as_str() {
            return Err(why.to_owned());
        }
        read(part).ok_or_else(|| match report["error"]["message"].as_str() {
            Some(why) => why.to_owned(),
            None => format!("the script did not say ({name})"),
        })
    }

    /// Rows of a part, each as `row` takes it: one that lacks something makes the whole unread.
    pub(super) fn rows<T>(&self, name: &str, row: impl Fn(&Value) -> Option<T>) -> Reading<Vec<T>> {
        self.part(name, |part| part.as_array()?.iter().map(row).collect())
    }
}
