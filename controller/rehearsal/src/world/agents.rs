//! Agents whose key is revoked or replaced, servers without power, and their return under another key.

use protocol::{Epoch, TargetId};

use controller_core::record::Record;

use crate::world::World;

impl World {
    /// An operator revokes the key of a server's agent, which goes on with what it is at and is heard no more. With `off` the operator
    /// says that the server is off for good, which is so from then on.
    ///
    /// # Errors
    /// With the reason, when nobody of that name is enrolled.
    pub fn revokes(&mut self, target: &TargetId, off: bool) -> Result<(), String> {
        let key = self.enrolled(target)?;
        let by = "an operator".to_owned();
        if off {
            self.goes_off(target);
        }
        self.loses_its_key(target);
        let (name, who) = (target.clone(), by.clone());
        self.record(Record::AgentRevoked {
            target: name,
            key,
            by: who,
        });
        if off {
            let target = target.clone();
            self.record(Record::SaidOff { target, by });
        }
        self.decide();
        Ok(())
    }

    /// An operator frees the name of a server for another key: its agent goes on with what it is at and is heard no more.
    ///
    /// # Errors
    /// With the reason, when nobody of that name is enrolled.
    pub fn replaces(&mut self, target: &TargetId) -> Result<(), String> {
        self.enrolled(target)?;
        self.loses_its_key(target);
        let by = "an operator".to_owned();
        let target = target.clone();
        self.record(Record::AgentReplaced { target, by });
        self.decide();
        Ok(())
    }

    fn enrolled(&self, target: &TargetId) -> Result<protocol::Fingerprint, String> {
        let server = self.servers.get(target);
        let server = server.filter(|_| !self.keyless.contains(target));
        let key = server.map(|server| server.key.public().fingerprint());
        key.ok_or_else(|| format!("{target} is not enrolled"))
    }

    /// Its session is closed, and none begins.
    fn loses_its_key(&mut self, target: &TargetId) {
        self.live.left(target, self.now);
        self.fleet.forget_asked(target);
        if let Some(server) = self.servers.get_mut(target) {
            server.lost();
        }
        self.keyless.insert(target.clone());
    }

    /// A server loses its power: nothing of what it was at goes on, and it does not come back by itself.
    pub fn goes_off(&mut self, target: &TargetId) {
        self.leaves(target);
        if let Some(server) = self.servers.get_mut(target) {
            server.begins_anew();
        }
        self.stalled.remove(target);
        self.backlog.remove(target);
        self.off.insert(target.clone());
    }

    /// A server has no power.
    #[must_use]
    pub fn is_off(&self, target: &TargetId) -> bool {
        self.off.contains(target)
    }

    /// Nobody of that name is enrolled.
    #[must_use]
    pub fn is_keyless(&self, target: &TargetId) -> bool {
        self.keyless.contains(target)
    }

    /// A server that is off, or whose key was revoked or replaced, is enrolled anew, with another key and another journal. What its agent
    /// was at is over. False where it is neither.
    pub fn enrolls_anew(&mut self, target: &TargetId) -> bool {
        if !self.keyless.contains(target) {
            if !self.off.contains(target) {
                return false;
            }
            // It lost its journal with its power: an operator frees its name.
            self.keyless.insert(target.clone());
            let (target, by) = (target.clone(), "an operator".to_owned());
            self.record(Record::AgentReplaced { target, by });
        }
        self.off.remove(target);
        self.keyless.remove(target);
        self.stalled.remove(target);
        self.backlog.remove(target);
        let (now, known) = (self.now, self.indexes.get(target));
        let epoch = Epoch(known.map_or(1, |(epoch, _)| epoch.0 + 1));
        self.indexes.insert(target.clone(), (epoch, 0));
        let Some(server) = self.servers.get_mut(target) else {
            return false;
        };
        server.begins_anew();
        let key = server.key.public();
        let facts = server.look_around(now);
        self.pulses.speaks_again(&self.live, target, now);
        self.record(Record::AgentEnrolled {
            target: target.clone(),
            key,
            epoch,
            token: protocol::Digest::ZERO,
            by: "token".to_owned(),
            simulated: true,
        });
        if let Some(facts) = facts {
            let facts = protocol::event::Event::FactsReported(Box::new(facts));
            self.told(target, &facts);
        }
        self.arrives(target);
        true
    }
}
