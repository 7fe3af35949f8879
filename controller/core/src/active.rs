//! Which Connect server of a tenant is active, as far as the servers told: guard rail G1, one active server for each tenant.

use std::collections::BTreeMap;

use protocol::TargetId;

use crate::beyond::Moved;

/// What the servers of one tenant that have Connect were last seen to be: `Some(false)` is active, `Some(true)` is staging,
/// `None` could not be told.
pub type Modes = BTreeMap<TargetId, Option<bool>>;

/// What G1 makes of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// One is active, or there is no Connect.
    Holds,
    /// It is broken: two are active, or none is. Nothing is done about it by Entrain.
    Broken(String),
    /// It cannot be told. Nothing makes another server active until it can.
    CannotTell(String),
}

/// The servers that are active.
#[must_use]
pub fn active(modes: &Modes) -> Vec<&TargetId> {
    let active = modes.iter().filter(|(_, staging)| **staging == Some(false));
    active.map(|(server, _)| server).collect()
}

/// Looks at one tenant, named as its reader knows it.
#[must_use]
pub fn look(tenant: &str, modes: &Modes) -> Verdict {
    let names = |servers: &[&TargetId]| {
        let names: Vec<&str> = servers.iter().map(|server| server.as_str()).collect();
        names.join(", ")
    };
    let active = active(modes);
    let untold: Vec<&TargetId> = modes
        .iter()
        .filter(|(_, staging)| staging.is_none())
        .map(|(server, _)| server)
        .collect();
    if active.len() > 1 {
        return Verdict::Broken(format!(
            "G1: {} servers of tenant {tenant} are active at once: {}; set all but one to staging mode before anything else",
            active.len(),
            names(&active)
        ));
    }
    if !untold.is_empty() {
        return Verdict::CannotTell(format!(
            "G1: whether {} of tenant {tenant} is active cannot be told, so no other server is made active; see there that ADSync runs and that Get-ADSyncScheduler answers",
            names(&untold)
        ));
    }
    if !modes.is_empty() && active.is_empty() {
        return Verdict::Broken(format!(
            "G1: no Connect server of tenant {tenant} is active, so nothing is synchronized; take the one that should be out of staging mode"
        ));
    }
    Verdict::Holds
}

/// Looks at a tenant that may have been moved to cloud sync: then none is to be active, and one that is would synchronize the
/// same objects beside cloud sync (guard rail G7).
#[must_use]
pub fn look_at(tenant: &str, modes: &Modes, moved: Option<&Moved>) -> Verdict {
    let verdict = look(tenant, modes);
    let Some(moved) = moved else {
        return verdict;
    };
    match (active(modes).as_slice(), &verdict) {
        ([], Verdict::Broken(_)) => Verdict::Holds,
        ([one], Verdict::Holds) => Verdict::Broken(format!(
            "G7: tenant {tenant} was moved to cloud sync by rollout {}, and its Connect server {one} is active: an object must be in scope of one tool alone; put it into staging mode, or, where the tenant goes back to Connect, stop cloud sync's jobs in the admin center and verify its servers (entrain plan --verify), which lifts this",
            moved.rollout
        )),
        _ => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(modes: &[Option<bool>]) -> Verdict {
        let modes = (1..)
            .zip(modes)
            .map(|(number, mode)| (format!("c{number}.a.test").parse().unwrap(), *mode));
        look("main", &modes.collect())
    }

    #[test]
    fn one_active_server_is_wanted_and_what_cannot_be_told_is_never_taken_for_good() {
        let (active, staging, untold) = (Some(false), Some(true), None);
        for holds in [&[][..], &[active], &[staging, active, staging]] {
            assert_eq!(verdict(holds), Verdict::Holds, "{holds:?}");
        }
        for (broken, says) in [
            (&[active, staging, active][..], "c1.a.test, c3.a.test"),
            (&[active, active, untold], "c1.a.test, c2.a.test"),
            (&[staging], "no Connect server"),
            (&[staging, staging], "no Connect server"),
        ] {
            let seen = verdict(broken);
            assert!(
                matches!(&seen, Verdict::Broken(why) if why.contains(says)),
                "{broken:?}: {seen:?}"
            );
        }
        let moved = Moved {
            rollout: protocol::RolloutId(3),
            target: "c1.a.test".parse().unwrap(),
            at: protocol::Timestamp::from_millis(0),
        };
        let look = |modes: &[Option<bool>]| {
            let modes = (1..)
                .zip(modes)
                .map(|(number, mode)| (format!("c{number}.a.test").parse().unwrap(), *mode));
            look_at("main", &modes.collect(), Some(&moved))
        };
        assert_eq!(look(&[staging, staging]), Verdict::Holds);
        assert_eq!(look(&[]), Verdict::Holds);
        for (broken, says) in [
            (&[staging, active][..], "G7: tenant main was moved"),
            (&[active, active], "are active at once"),
        ] {
            let seen = look(broken);
            assert!(
                matches!(&seen, Verdict::Broken(why) if why.contains(says)),
                "{broken:?}: {seen:?}"
            );
        }
        assert!(matches!(look(&[staging, untold]), Verdict::CannotTell(_)));
        for (doubt, says) in [
            (&[untold][..], "c1.a.test"),
            (&[untold, staging], "c1.a.test"),
            (&[active, untold], "c2.a.test"),
            (&[untold, untold], "c1.a.test, c2.a.test"),
        ] {
            let seen = verdict(doubt);
            assert!(
                matches!(&seen, Verdict::CannotTell(why) if why.contains(says)),
                "{doubt:?}: {seen:?}"
            );
        }
    }
}
