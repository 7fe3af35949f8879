//! Each row of what the controller answers itself passes somewhere and fails somewhere; one that nobody added a failing case for fails here.

use std::collections::BTreeSet;

use controller_core::tenant::{Organization, Part, held};
use controller_core::versions::Versions;
use protocol::Version;
use protocol::event::Verdict;
use protocol::probe::controller;
use protocol::step::{Cloud, Permission, Product};

use crate::fit::{recalled, says};
use crate::tenant::{NOW, job, known, minutes_ago, sound};
use crate::{common, default_rules, strangers, tenant};

/// What a row says where all is well, or where what it looks for is wrong; none where no case of it stands here.
fn verdicts(id: &str, well: bool) -> Option<Vec<Verdict>> {
    let both = ["s1.a.test", "s2.a.test"];
    Some(match id {
        "PF43" => {
            let versions = says(&recalled(common::CONNECT), "vendor");
            let older = Version::new(2, 5, 79, 0);
            let version = if well { older } else { common::CONNECT };
            vec![versions.finding(version, NOW).verdict]
        }
        // It refuses a topology, and holds a server: as no finding, but for the same reason.
        "PF44" => {
            let uses = if well {
                BTreeSet::from([Permission::PasswordHashSync])
            } else {
                BTreeSet::from([Permission::PasswordWriteback])
            };
            let broken = (Product::ProvisioningAgent, Version::new(1, 1, 2102, 0));
            match Versions::built_in().may_use(broken, Cloud::UsGovernment, Some(&uses)) {
                Ok(None) => vec![Verdict::Pass],
                Ok(Some(_)) => Vec::new(),
                Err(_) => vec![Verdict::Fail],
            }
        }
        "CU04" => vec![default_rules::compared(well)],
        "PV39" => strangers::left_by_a_server_that_is_gone(well),
        "RM08" => {
            let known = tenant::without_an_agent(&both);
            let mut seen = sound();
            if well {
                seen.agents = Part::Seen(seen.agents.seen()?[..1].to_vec());
            }
            let all = held(&seen, &known, false, &BTreeSet::new());
            let own = all.into_iter().filter(|one| one.id == id);
            own.map(|one| one.verdict).collect()
        }
        _ => {
            let mut seen = sound();
            match (id, well) {
                // Whether cloud sync moves the time of the tenant's last synchronization is not known.
                ("PV36", true) => seen.configurations = Part::Seen(Vec::new()),
                (_, true) => {}
                ("PV11" | "PV12", _) => {
                    seen.agents = Part::Seen(seen.agents.seen()?[..1].to_vec());
                }
                ("PV13", _) => seen.configurations = Part::Seen(Vec::new()),
                ("PV14", _) => {
                    let ill = job(minutes_ago(2), true);
                    seen.configurations = Part::Seen(vec![tenant::with_jobs(vec![ill])]);
                }
                ("PV36", _) => {
                    seen.organization = Part::Seen(Organization {
                        sync_enabled: true,
                        last_sync: minutes_ago(36),
                    });
                }
                _ => return None,
            }
            let all = held(&seen, &known(&both), true, &BTreeSet::new());
            let own = all.into_iter().filter(|one| one.id == id);
            own.map(|one| one.verdict).collect()
        }
    })
}

#[test]
fn every_row_that_the_controller_answers_passes_where_all_is_well_and_fails_where_it_is_not() {
    for row in controller::ALL {
        let Some(ill) = verdicts(row.id, false) else {
            panic!("{} fails nowhere", row.id)
        };
        assert!(ill.contains(&Verdict::Fail), "{}: {ill:?}", row.id);
        let well = verdicts(row.id, true).unwrap_or_default();
        assert!(
            !well.is_empty() && well.iter().all(|one| *one == Verdict::Pass),
            "{}: {well:?}",
            row.id
        );
    }
}
