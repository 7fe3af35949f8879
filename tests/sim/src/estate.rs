//! What a seed makes of an estate: topology, policy, and the servers as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use agent_twin::{Fault, Installed, Profile};
use protocol::{TargetId, TenantId, Version};
use rehearsal::Chance;

/// Where some groups of agents stand: it is always open, and has a line of its own.
const SITE: &str = "site.s";

pub(crate) const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

/// Versions of the provisioning agent and of Connect that stand and that are wanted.
pub(crate) const NEWEST: Version = Version::new(1, 1, 2505, 0);
pub(crate) const CONNECT: Version = Version::new(2, 6, 92, 0);
const OLD: Version = Version::new(1, 1, 1373, 0);
const OLD_CONNECT: Version = Version::new(2, 5, 79, 0);

/// What is wrong with a server now and then; each is mended in the end.
const WRONG: [Fault; 6] = [
    Fault::LogonRightMissing,
    Fault::InstallerBusy,
    Fault::CloudBlocked,
    Fault::RebootPending,
    Fault::GmsaEncryption,
    Fault::DirectoryUnreadable,
];

/// An estate.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) topology: String,
    pub(crate) policy: String,
    pub(crate) servers: Vec<Profile>,
}

impl Estate {
    /// An estate as chance has it: groups of agents, and a tenant's Connect servers. Every twelfth seed has a large one, of 30 to
    /// 50 servers, and every third a limit that few failures reach.
    pub(crate) fn draw(chance: &mut Chance, seed: u64) -> anyhow::Result<Self> {
        let (large, few) = (seed.is_multiple_of(12), seed % 3 == 1);
        let tenant: TenantId = TENANT.parse()?;
        let mut text =
            format!("[tenant.main]\nid = \"{TENANT}\"\n[{SITE}]\nzone = \"Europe/Amsterdam\"\n");
        let mut is: BTreeMap<TargetId, Installed> = BTreeMap::new();
        let groups = if large {
            10 + chance.below(3)
        } else {
            1 + chance.below(2)
        };
        for group in 0..groups {
            let domain = format!("d{group}.test");
            let hosts = if large {
                3 + chance.below(2)
            } else {
                2 + chance.below(2)
            };
            let names: Vec<String> = (0..hosts).map(|host| format!("h{host}.{domain}")).collect();
            writeln!(
                text,
                "[agents.g{group}]\nlabels = {{ ring = \"{}\" }}\nserves = [\"{domain}\"]\nhosts = {names:?}",
                chance.below(2)
            )?;
            if chance.once_in(2) {
                writeln!(text, "site = \"s\"")?;
            }
            // One that serves is enough: with more, a server that is skipped could hold all others for good.
            writeln!(text, "[domain.\"{domain}\"]\nmin_serving = 1")?;
            if chance.once_in(3) {
                writeln!(text, "directory = \"ask\"")?;
            }
            for name in names {
                let tenant = tenant.clone();
                let installed = match chance.below(5) {
                    0 => Installed::Nothing,
                    1 => Installed::ProvisioningAgent {
                        version: NEWEST,
                        tenant,
                    },
                    _ => Installed::ProvisioningAgent {
                        version: OLD,
                        tenant,
                    },
                };
                is.insert(name.parse()?, installed);
            }
        }
        let connects = chance.below(3);
        if connects > 0 {
            let names: Vec<String> = (0..connects)
                .map(|server| format!("c{server}.forest.test"))
                .collect();
            writeln!(
                text,
                "[connect.main]\nforests = [\"forest.test\"]\nservers = {names:?}\n[connect.main.settings]"
            )?;
            for (name, number) in names.iter().zip(0..) {
                let connect = Installed::Connect {
                    version: OLD_CONNECT,
                    staging: number > 0,
                };
                is.insert(name.parse()?, connect);
            }
        }
        let most = if chance.once_in(2) {
            format!("[{SITE}]\nmax_in_flight = {}\n", 1 + chance.below(3))
        } else {
            String::new()
        };
        let policy = format!(
            "waves = [{{ ring = \"0\" }}, {{ rest = true }}]\n[limit]\nfailures = \"{}\"\nin_flight = {}\ncanary = {}\n{most}",
            if few {
                1 + chance.below(3)
            } else {
                4 + chance.below(6)
            },
            if large {
                8 + chance.below(8)
            } else {
                1 + chance.below(4)
            },
            chance.below(2),
        );
        let mut servers = Vec::new();
        for (target, installed) in is {
            let mut faults = BTreeSet::new();
            if chance.once_in(6) {
                let at = chance.below(WRONG.len() as u64);
                faults.insert(WRONG[usize::try_from(at)?]);
            }
            servers.push(Profile {
                target,
                installed,
                person: Some(tenant.clone()),
                faults,
            });
        }
        Ok(Self {
            topology: text,
            policy,
            servers,
        })
    }
}
