//! Whether a log held the guard rails at each of its entries, and whether each was asked at all.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use controller::audit::Line;
use controller_core::fleet::Fleet;
use controller_core::plan::Plan;
use controller_core::record::Record;
use protocol::Digest;
use rehearsal::{Asked, Rails};

use crate::World;

/// A rule that a log tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rail {
    /// One active Connect server.
    G1,
    /// Enough serve.
    G2,
    /// One change of a gMSA at a time.
    G3,
    /// One run at a time.
    G5,
    /// One tenant.
    G9,
}

impl Rail {
    const fn times(self, asked: Asked) -> u64 {
        match self {
            Self::G1 => asked.g1,
            Self::G2 => asked.g2,
            Self::G3 => asked.g3,
            Self::G5 => asked.g5,
            Self::G9 => asked.g9,
        }
    }
}

impl World {
    /// Asserts that every guard rail that a log tells of held at each of its entries, and that each of these was asked.
    ///
    /// # Panics
    /// When one did not hold, or was never asked.
    pub fn rails_held(&self, asked: &[Rail]) {
        let text = self.audit();
        let lines: Vec<Line> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of an audit file"))
            .collect();
        let plans: BTreeMap<Digest, Plan> = lines.iter().filter_map(stored_plan).collect();
        let (mut fleet, mut rails) = (Fleet::new(), Rails::default());
        for line in &lines {
            let Line::Entry(row) = line else {
                continue;
            };
            let record: Record = serde_json::from_str(&row.body).expect("an entry is a record");
            let held = rails.stored(&fleet, &record, row.at);
            assert!(held.is_ok(), "entry {}: {held:?} by {record:?}", row.index);
            let mut applied = None;
            if let Record::Applied { plan, .. } = &record {
                applied = Some(plans.get(&plan.0).expect("its plan was stored before"));
            }
            fleet.apply(&record, applied, row.at);
        }
        for rail in asked {
            let times = rail.times(rails.asked);
            assert!(times > 0, "{rail:?} was never asked: {:?}", rails.asked);
        }
    }
}

/// A plan among the bytes of an audit file.
fn stored_plan(line: &Line) -> Option<(Digest, Plan)> {
    let Line::Blob { digest, bytes } = line else {
        return None;
    };
    let bytes = BASE64_STANDARD.decode(bytes).ok()?;
    Some((*digest, serde_json::from_slice(&bytes).ok()?))
}
