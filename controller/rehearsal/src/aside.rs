//! Rules that operators have set aside, as a log tells it: told apart from what the machine believes, which is what is asked.

use std::collections::BTreeMap;

use controller_core::overrides::Rule;
use protocol::{TargetId, Timestamp, limits};

/// What operators have said of one rule on one target.
#[derive(Debug, Clone, Default)]
struct Said {
    /// When each of them said it last.
    words: BTreeMap<String, Timestamp>,
    /// When enough had said so.
    since: Option<Timestamp>,
}

/// Every rule that is set aside, each for an hour from when enough have said so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aside {
    said: BTreeMap<(TargetId, Rule), Said>,
}

impl Aside {
    /// An operator says so; as many different ones as `asked` must, within an hour.
    pub(crate) fn said(
        &mut self,
        (target, rule): (&TargetId, Rule),
        (by, asked): (&str, u32),
        at: Timestamp,
    ) {
        // It is made no longer by being said again.
        if self.holds(target, rule, at) {
            return;
        }
        let said = self.said.entry((target.clone(), rule)).or_default();
        if said.since.take().is_some() {
            said.words.clear();
        }
        said.words
            .retain(|_, word| *word <= at && at < word.plus(limits::OVERRIDE_LIFE));
        said.words.entry(by.to_owned()).or_insert(at);
        if said.words.len() >= asked as usize {
            said.since = Some(at);
        }
    }

    /// An operator takes it back.
    pub(crate) fn withdrawn(&mut self, target: &TargetId, rule: Rule) {
        self.said.remove(&(target.clone(), rule));
    }

    /// Whoever comes under this name next is another one.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.said.retain(|(of, _), _| of != target);
    }

    /// Whoever set a rule aside spoke of a moment that is gone.
    pub(crate) fn clear(&mut self) {
        self.said.clear();
    }

    /// Whether the rule is set aside on that target at that moment.
    pub(crate) fn holds(&self, target: &TargetId, rule: Rule, at: Timestamp) -> bool {
        let since = self
            .said
            .get(&(target.clone(), rule))
            .and_then(|said| said.since);
        since.is_some_and(|since| since <= at && at < since.plus(limits::OVERRIDE_LIFE))
    }
}
