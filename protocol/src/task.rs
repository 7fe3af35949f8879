//! Work for people: exact instructions, page by page, as data.

use serde::{Deserialize, Serialize};

/// How the end of work is told that no probe sees; what is stored and compared says it so.
const SAID: &str = "no probe of Entrain: a person says it";

/// What every such end begins with.
const NO_PROBE: &str = "no probe";

/// The end of a look at a gMSA object: a probe sees it where its domain controller answers this server, and else a person says it.
pub const SHOWN_BY_DIRECTORY: &str =
    "the domain controller's answer, where the server's account may read it";

/// The end of work that a person's word alone tells.
#[must_use]
pub fn said() -> String {
    SAID.to_owned()
}

/// The end of work that a person's word tells, or what a probe sees beside that.
#[must_use]
pub fn said_or(seen: &str) -> String {
    format!("{SAID}, or {seen}")
}

/// The end of work at a wizard that a probe would see, and does not here: why.
#[must_use]
pub fn unseen(why: &str) -> String {
    format!("{NO_PROBE}: {why}. Say that it is done by `entrain tasks attest`")
}

/// One page of a wizard, or one thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// What the page is called.
    pub title: String,
    /// What to do on it, line by line.
    pub lines: Vec<String>,
}

/// A piece of work for a person at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskText {
    /// What is to be done, in a line.
    pub title: String,
    /// Why the product leaves it to a person.
    pub why: String,
    /// Roles and passwords that the person must bring.
    pub bring: Vec<String>,
    /// The pages, in order.
    pub pages: Vec<Page>,
    /// What Entrain watches to see that it is done; where nothing is sure to, what [`said`], [`said_or`], [`unseen`] and
    /// [`SHOWN_BY_DIRECTORY`] give.
    pub seen_by: String,
}

impl TaskText {
    /// Whether a person's word ends it, since no probe sees its end, or none is sure to.
    #[must_use]
    pub fn ends_by_word(&self) -> bool {
        self.seen_by.starts_with(NO_PROBE) || self.seen_by == SHOWN_BY_DIRECTORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_by_a_word_where_no_probe_is_sure_to_see_its_end() {
        let task = |seen_by: String| TaskText {
            title: "look".to_owned(),
            why: String::new(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by,
        };
        for by_word in [
            said(),
            said_or("it is gone"),
            unseen("it is signed in"),
            SHOWN_BY_DIRECTORY.to_owned(),
        ] {
            assert!(task(by_word.clone()).ends_by_word(), "{by_word}");
        }
        let seen = "the engine's file and its service, which must be gone";
        assert!(!task(seen.to_owned()).ends_by_word());
        assert_eq!(said(), "no probe of Entrain: a person says it");
        assert_eq!(
            unseen("it is signed in"),
            "no probe: it is signed in. Say that it is done by `entrain tasks attest`"
        );
    }
}
