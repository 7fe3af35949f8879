//! Work for people: exact instructions, page by page, as data.

use serde::{Deserialize, Serialize};

/// How the end of work is told that no probe sees.
pub const SAID: &str = "no probe of Entrain: a person says it";

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
    /// What Entrain watches to see that it is done.
    pub seen_by: String,
}
