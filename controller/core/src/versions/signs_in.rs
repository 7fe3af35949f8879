//! The day from which Connect stops on servers that sign in to their tenant as an account, counted down for each server (PV26): it is a
//! deadline like a floor, and asks for what a server has told in place of its version.

use std::collections::BTreeMap;

use protocol::{TargetId, Timestamp};

use super::{IDENTITY, Identity, Remark, Versions};

/// Servers that told as what their engines sign in: true for an application of their own.
pub type SignsIn = BTreeMap<TargetId, bool>;

impl Versions {
    /// What is so of a server by as what its engine signs in; `None` where that is not told yet.
    pub(super) fn of_identity(&self, application: Option<bool>, now: Timestamp) -> Vec<Remark> {
        let remark = |row: &Identity| {
            let left = row.from.days_left(now);
            let (from, effect) = (row.from, &row.effect);
            let since = if left < 0 { "since" } else { "from" };
            let what = match application {
                Some(true) => return None,
                Some(false) => {
                    format!("signs in as an account ({IDENTITY}): {since} {from} {effect}")
                }
                None => format!(
                    "as what it signs in is not told yet ({IDENTITY}; entrain plan --verify has it tell it): {since} {from} {effect}"
                ),
            };
            Some(Remark {
                what,
                // Of what nobody has told it is not known that it bears.
                bears: left < 0 && application.is_some(),
                days_left: Some(left),
                source: row.source.clone(),
                certainty: row.certainty,
            })
        };
        self.identity.iter().filter_map(remark).collect()
    }
}
