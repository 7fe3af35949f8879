//! What operators say beside orders, and what a controller comes to know: overrides that are taken back, versions, readings of tenants.

use std::sync::Arc;

use controller_core::overrides::Rule;
use controller_core::record::Record;
use controller_core::tenant::Observation;
use controller_core::versions::Versions;
use protocol::TargetId;

use crate::world::World;

impl World {
    /// An operator takes an override back.
    ///
    /// # Errors
    /// With the reason, when there is none.
    pub fn withdraws(&mut self, rule: Rule, target: &TargetId) -> Result<(), String> {
        self.fleet.may_withdraw_override(rule, target, self.now)?;
        self.record(Record::OverrideWithdrawn {
            rule,
            target: target.clone(),
            by: "an operator".to_owned(),
        });
        self.decide();
        Ok(())
    }

    /// The controller reads what is known of versions, and goes by it from then on.
    pub fn versions_are(&mut self, versions: Versions) {
        self.live.versions = Some(Arc::new(versions));
        self.decide();
    }

    /// Somebody reads a tenant.
    pub fn reads_tenant(&mut self, observation: Observation) {
        self.record(Record::TenantSeen {
            observation: Box::new(observation),
            by: "a person".to_owned(),
        });
        self.decide();
    }
}
