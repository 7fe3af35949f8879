//! Every recipe, as a plan shows it: the page under `deploy/docs` is what the planner says of each case. `UPDATE_DOCS=1`
//! writes it anew. Each case is also planned twice: the same inputs give the same bytes.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use controller_core::beyond::{Beyond, Given, GivenOf};
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{
    Afterwards, Inputs, Plan, Purpose, eligibility, failover, plan, render, swing, switch,
    transition, undo,
};
use controller_core::policy::{self, Policy};
use controller_core::topology::{Topology, check, parse};
use protocol::facts::{ConnectFacts, Owed, ProvisioningAgentFacts, ServiceState};
use protocol::options::ServiceOptions;
use protocol::step::{Fix, Permission, RestartBy, Step};
use protocol::task::TaskText;
use protocol::{Digest, DomainName, Fingerprint, TargetId, Timestamp, Version};

use crate::common;

#[path = "recipes/arrangements.rs"]
pub(crate) mod arrangements;
#[path = "recipes/reported.rs"]
mod reported;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const OLD_AGENT: Version = Version::new(1, 1, 1586, 0);
const OLD_CONNECT: Version = Version::new(2, 5, 190, 0);

/// What a server reports.
#[derive(Clone, Copy)]
enum Has {
    Nothing,
    /// A provisioning agent of that version that Entrain registered for a.test, or somebody else for whatever.
    Agent(Version, bool),
    /// The newest one, that Entrain registered for a.test and c.test.
    TwoDomains,
    /// The newest one, registered by Entrain for a.test, whose service is so and runs as that account.
    Drifted(ServiceState, &'static str),
    Connect(Version, bool),
    /// An engine that somebody stopped.
    Halted(Version),
    Fenced(Version),
    /// An agent that Entrain registered for a.test beside Connect in staging mode, of those versions.
    Both(Version, Version),
    /// The newest agent, registered by Entrain for a.test, beside whose running service its updater is so.
    Updater(ServiceState),
    /// The newest agent, behind whose account a registration by cmdlets was broken off: its first one, or one of an agent that served a.test.
    BrokenOff(Owed),
    /// The newest agent, registered by Entrain for a.test, whose account was given these rights there.
    Given(&'static [Permission]),
    /// An agent of that version, registered by Entrain for a.test, whose configuration file somebody edited.
    Edited(Version),
    /// An agent of that version as its setup leaves it, with no tenant.
    Unregistered(Version),
    /// Connect of that version, staging or active, whose cycle is on or off, or was not told.
    Cycle(Version, bool, Option<bool>),
}

/// What is asked of the planner.
#[derive(Clone, Copy)]
enum Ask {
    Plan(Purpose),
    /// The same, under this policy.
    Under(Purpose, &'static str),
    Swap(&'static str),
    Failover(&'static str, &'static str),
    Swing(&'static str, Afterwards),
    Eligible,
    Transition(&'static str),
    Undo(&'static str),
}

pub(crate) struct Case {
    pub(crate) title: &'static str,
    topology: &'static str,
    servers: &'static [(&'static str, Has)],
    ask: Ask,
}

const INSTALL: Ask = Ask::Plan(Purpose::Install);

/// Each product is watched behind a change.
const SOAK: &str = "[soak]\ncloud-sync = \"5 cycles\"\nconnect = \"2 cycles\"\n";

/// Before a version from which on the setup keeps edits of the service's configuration file.
const LOSES_EDITS: Version = Version::new(1, 1, 977, 0);

/// As the product makes them of itself.
const NEWER_AGENT: Version = Version::new(1, 1, 2600, 0);
const NEWER_CONNECT: Version = Version::new(2, 6, 200, 0);

/// A site whose servers may be changed in a window, in which the agent may restart them.
const WINDOW: &str =
    "[site.ams]\nwindow = { days = [\"Sat\", \"Sun\"], from = \"22:00\", to = \"04:00\" }\n";

pub(crate) const CASES: &[Case] = &[
    Case {
        title: "Cloud sync: install, signed in by a token; the domain's administrator does the directory's part",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install, signed in by a credential; the domain's administrator gives one",
        topology: "sign_in = \"credential\"\n[domain.\"a.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\", \"password-hash-sync\"]\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\ngmsa = \"svcEntraSync$\"\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install on two servers, whose account the product makes; the domain's administrator gives a credential to each",
        topology: "[domain.\"a.test\"]\ndirectory = \"ask\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install where prerequisites may be set",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nmay_fix = [\"tls12\", \"vaultsvc\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install with every set of rights, which the administrator of each domain gives by a credential",
        topology: "[domain.\"a.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\", \"password-hash-sync\", \"password-writeback\", \"exchange-hybrid\", \"exchange-public-folders\", \"user-group-create-delete\"]\n[domain.\"b.a.test\"]\ndirectory = \"ask\"\npermissions = [\"all\"]\n[agents.a]\nserves = [\"a.test\", \"b.a.test\"]\nhosts = [\"s1.a.test\"]\ngmsa = \"svcEntraSync$\"\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: an agent that was set up and registered nowhere",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Unregistered(common::AGENT))],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a registration by cmdlets that was broken off",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::BrokenOff(Owed::First)),
            ("s2", Has::BrokenOff(Owed::Anew)),
            ("s3", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install in the US Government cloud, by a person at the wizard",
        topology: "cloud = \"us-government\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install in the cloud in China, by a person at the wizard",
        topology: "cloud = \"china\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install behind a proxy, with options of the service",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\noptions = { proxy = \"http://proxy.a.test:8080\", fips_exempt = true, ldap_timeout = \"60s\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install where a domain's controllers are preferred, by a person at the wizard",
        topology: "sign_in = \"wizard\"\n[domain.\"a.test\"]\npreferred_dcs = [\"dc2.a.test\", \"dc1.a.test\"]\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: install by a person at the wizard, which makes the account",
        topology: "sign_in = \"wizard\"\n[domain.\"a.test\"]\ndirectory = \"ask\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: upgrade in place",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(OLD_AGENT, true)),
            ("s2", Has::Agent(OLD_AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: upgrade in place at a site whose rule for restarts is to ask",
        topology: "[site.ams]\nzone = \"Europe/Amsterdam\"\nreboot = \"ask\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(OLD_AGENT, true)),
            ("s2", Has::Agent(OLD_AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: upgrade in place at a site whose rule for restarts is its window",
        topology: "[site.ams]\nzone = \"Europe/Amsterdam\"\nreboot = \"window\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(OLD_AGENT, true)),
            ("s2", Has::Agent(OLD_AGENT, true)),
        ],
        ask: Ask::Under(Purpose::Install, WINDOW),
    },
    Case {
        title: "Cloud sync: upgrade in place, with a watch behind it",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(OLD_AGENT, true)),
            ("s2", Has::Agent(OLD_AGENT, true)),
        ],
        ask: Ask::Under(Purpose::Install, SOAK),
    },
    Case {
        title: "Cloud sync: upgrade in place of agents whose configuration file somebody edited",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Edited(OLD_AGENT)),
            ("s2", Has::Edited(LOSES_EDITS)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: options of the service change",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\noptions = { referral_chasing = true }\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: agents whose services were stopped, disabled, or given another account",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\", \"s3.a.test\", \"s4.a.test\"]\n",
        servers: &[
            (
                "s1",
                Has::Drifted(ServiceState::NotRunning, "A\\provAgentgMSA$"),
            ),
            (
                "s2",
                Has::Drifted(ServiceState::Disabled, "A\\provAgentgMSA$"),
            ),
            ("s3", Has::Drifted(ServiceState::Running, "A\\operator")),
            ("s4", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: agents whose updaters were stopped or disabled",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Updater(ServiceState::NotRunning)),
            ("s2", Has::Updater(ServiceState::Disabled)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: an engine that somebody stopped is left to a person",
        topology: "[connect.main]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nforests = [\"a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Halted(common::CONNECT)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain is added to agents that are registered",
        topology: "[agents.a]\nserves = [\"a.test\", \"b.a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain is added to agents that go by a proxy",
        topology: "[agents.a]\nserves = [\"a.test\", \"b.a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\noptions = { proxy = \"http://proxy.a.test:8080\" }\n",
        servers: &[
            ("s1", Has::Edited(common::AGENT)),
            ("s2", Has::Edited(common::AGENT)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: rights come to be written of a domain that agents serve",
        topology: "[domain.\"a.test\"]\ndirectory = \"ask\"\npermissions = [\"basic-read\", \"password-hash-sync\"]\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Given(&[Permission::BasicRead])),
            ("s2", Has::Given(&[Permission::BasicRead])),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain is added at the wizard",
        topology: "sign_in = \"wizard\"\n[agents.a]\nserves = [\"a.test\", \"b.a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Agent(common::AGENT, true))],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain is taken from agents that stay",
        topology: "[agents.a]\nserves = [\"c.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Agent(common::AGENT, true))],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain is taken from agents that stay, and nothing comes in its place",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::TwoDomains)],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: an agent that somebody else registered",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Agent(common::AGENT, false))],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a server is retired",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a server is retired at a site whose rule for restarts is to ask",
        topology: "[site.ams]\nzone = \"Europe/Amsterdam\"\nreboot = \"ask\"\n[agents.a]\nsite = \"ams\"\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Agent(common::AGENT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a server is retired from which the agent is gone",
        topology: "[domain.\"a.test\"]\ndirectory = \"ask\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Nothing),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Cloud sync: a domain ends",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = []\nretired = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Agent(common::AGENT, true))],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install with express settings",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = \"express\"\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install with custom settings, one active and one staging",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\" }\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install in the US Government cloud, where custom settings alone go",
        topology: "cloud = \"us-government\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install in the cloud in China, with custom settings",
        topology: "cloud = \"china\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install with custom settings whose cycle a person starts",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { location = \"D:\\\\Connect\", sign_in = \"password-hash-sync\", start = false }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install with custom settings, one active and one staging, whose cycle a person starts",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", start = false }\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install where chosen organizational units are synchronized",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", units = { \"a.test\" = [\"OU=Staff,DC=a,DC=test\"] } }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a staging server beside an active one, whose cycle goes on",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", start = false }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Nothing),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install with a database on a SQL Server",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", sql_server = \"sql-01.a.test\\\\SYNC\", service_account = \"A\\\\gmsaSync$\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: install behind a proxy that demands a sign-in",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nproxy = \"http://proxy.a.test:3128\"\nproxy_sign_in = true\nsettings = { service_account = \"A\\\\gmsaSync$\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a staging server by an import, each with a database of its own",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n\n[connect.main.settings]\nimport = \"Exported.json\"\nservice_account = \"A\\\\gmsaSync$\"\n\n[connect.main.settings.databases]\n\"s1.a.test\" = { sql_server = \"sql-01.a.test\" }\n\"s2.a.test\" = { sql_server = \"sql-02.a.test\" }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Nothing),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a server that was set up anew takes its database over",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", sql_server = \"sql-01.a.test\\\\SYNC\", existing_database = true, service_account = \"A\\\\gmsaSync$\" }\n",
        servers: &[("s1", Has::Nothing)],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a staging server takes over the database of one that has no Connect any more, signed in by Microsoft's own window",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s3.a.test\"]\n\n[connect.main.settings]\nsign_in = \"password-hash-sync\"\ninteractive_sign_in = true\n\n[connect.main.settings.databases]\n\"s1.a.test\" = { sql_server = \"sql-01.a.test\" }\n\"s2.a.test\" = { sql_server = \"sql-02.a.test\", existing_database = true }\n\"s3.a.test\" = { sql_server = \"sql-02.a.test\" }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Nothing),
            ("s3", Has::Nothing),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a database is not taken over while Connect is on the server whose it is",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s3.a.test\"]\n\n[connect.main.settings]\nsign_in = \"password-hash-sync\"\n\n[connect.main.settings.databases]\n\"s1.a.test\" = { sql_server = \"sql-01.a.test\" }\n\"s2.a.test\" = { sql_server = \"sql-02.a.test\", existing_database = true }\n\"s3.a.test\" = { sql_server = \"sql-02.a.test\" }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Nothing),
            ("s3", Has::Connect(common::CONNECT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: the only active server leaves its database to a new one",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n\n[connect.main.settings]\nsign_in = \"password-hash-sync\"\n\n[connect.main.settings.databases]\n\"s1.a.test\" = { sql_server = \"sql-01.a.test\", existing_database = true }\n\"s2.a.test\" = { sql_server = \"sql-01.a.test\" }\n",
        servers: &[
            ("s1", Has::Nothing),
            ("s2", Has::Connect(common::CONNECT, false)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: upgrade in place, staging first",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(OLD_CONNECT, false)),
            ("s2", Has::Connect(OLD_CONNECT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: upgrade in place, staging first, with a watch behind it",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(OLD_CONNECT, false)),
            ("s2", Has::Connect(OLD_CONNECT, true)),
        ],
        ask: Ask::Under(Purpose::Install, SOAK),
    },
    Case {
        title: "Connect: upgrade in place while the tenant's cycle is off",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Cycle(OLD_CONNECT, false, Some(false))),
            ("s2", Has::Cycle(OLD_CONNECT, true, Some(false))),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: upgrade in place where it was not told whether the cycle is on",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Cycle(OLD_CONNECT, false, None)),
            ("s2", Has::Cycle(OLD_CONNECT, true, None)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: the active and a staging server change places",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\npending_exports = { add = 50, update = 500 }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Connect(common::CONNECT, true)),
        ],
        ask: Ask::Swap("s2.a.test"),
    },
    Case {
        title: "Connect: swing upgrade of two servers",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\npending_exports = { add = 50, update = 500 }\n",
        servers: &[
            ("s1", Has::Connect(OLD_CONNECT, false)),
            ("s2", Has::Connect(OLD_CONNECT, true)),
        ],
        ask: Ask::Swing("s2.a.test", Afterwards::Upgrade),
    },
    Case {
        title: "Connect: swing upgrade to a new server, and the old one is retired",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\nretired = [\"s1.a.test\"]\nsettings = { sign_in = \"password-hash-sync\", import = \"MigratedPolicy.json\" }\npending_exports = { add = 50, update = 500 }\n",
        servers: &[
            ("s1", Has::Connect(OLD_CONNECT, false)),
            ("s2", Has::Nothing),
        ],
        ask: Ask::Swing("s2.a.test", Afterwards::Remove),
    },
    Case {
        title: "Connect: the active server is gone",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\npending_exports = { add = 50, update = 500 }\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Connect(common::CONNECT, true)),
        ],
        ask: Ask::Failover("s2.a.test", "s1.a.test"),
    },
    Case {
        title: "Connect: may the tenant move to cloud sync?",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Connect(common::CONNECT, true)),
        ],
        ask: Ask::Eligible,
    },
    Case {
        title: "Connect: the tenant moves to cloud sync",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Connect(common::CONNECT, true)),
        ],
        ask: Ask::Transition("s1.a.test"),
    },
    Case {
        title: "Connect: a staging server is retired",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Connect(common::CONNECT, true)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: the active server is retired, and is not touched while it is active",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, true)),
            ("s2", Has::Connect(common::CONNECT, false)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a fenced server is retired",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Connect(common::CONNECT, false)),
            ("s2", Has::Fenced(common::CONNECT)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a tenant's last server is retired",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = []\nretired = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Connect(common::CONNECT, false))],
        ask: INSTALL,
    },
    Case {
        title: "Connect: a tenant's last server is retired, and is fenced",
        topology: "[connect.main]\nforests = [\"a.test\"]\nservers = []\nretired = [\"s1.a.test\"]\n",
        servers: &[("s1", Has::Fenced(common::CONNECT))],
        ask: INSTALL,
    },
    Case {
        title: "Both: are the servers ready?",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: Ask::Plan(Purpose::Preflight),
    },
    Case {
        title: "Both: are the servers ready, where prerequisites may be set?",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nmay_fix = [\"tls12\", \"vaultsvc\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\nmay_fix = [\"tls12\"]\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: Ask::Plan(Purpose::Preflight),
    },
    Case {
        title: "Both: are the servers ready, whose products are as new as their installers?",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Connect(common::CONNECT, false)),
        ],
        ask: Ask::Plan(Purpose::Preflight),
    },
    Case {
        title: "Both: products that are newer than their installers here",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(NEWER_AGENT, true)),
            ("s2", Has::Connect(NEWER_CONNECT, false)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Both: which servers are there?",
        topology: "[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n",
        servers: &[("s1", Has::Nothing), ("s2", Has::Nothing)],
        ask: Ask::Plan(Purpose::Discover),
    },
    Case {
        title: "Both: logs for whoever supports the products",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Nothing),
            ("s3", Has::Connect(common::CONNECT, false)),
        ],
        ask: Ask::Plan(Purpose::Support),
    },
    Case {
        title: "Cloud sync: what was set as a prerequisite is put back",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\nretired = [\"s2.a.test\"]\nmay_fix = [\"tls12\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Nothing),
        ],
        ask: Ask::Undo("s2.a.test"),
    },
    Case {
        title: "Both: a new version of Entrain's own agent",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Nothing),
            ("s3", Has::Connect(common::CONNECT, false)),
        ],
        ask: Ask::Plan(Purpose::Agents),
    },
    Case {
        title: "Both: verify what is there",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s2.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Connect(common::CONNECT, false)),
        ],
        ask: Ask::Plan(Purpose::Verify),
    },
    Case {
        title: "Both on one server: one product is changed at a time",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[connect.main]\nforests = [\"b.test\"]\nservers = [\"s2.a.test\", \"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Both(OLD_AGENT, OLD_CONNECT)),
            ("s3", Has::Connect(common::CONNECT, false)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Both on one server: Connect is upgraded where its agent needs nothing",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[connect.main]\nforests = [\"b.test\"]\nservers = [\"s2.a.test\", \"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Both(common::AGENT, OLD_CONNECT)),
            ("s3", Has::Connect(common::CONNECT, false)),
        ],
        ask: INSTALL,
    },
    Case {
        title: "Both on one server: verify what is there",
        topology: "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\", \"s2.a.test\"]\n[connect.main]\nforests = [\"b.test\"]\nservers = [\"s2.a.test\", \"s3.a.test\"]\n",
        servers: &[
            ("s1", Has::Agent(common::AGENT, true)),
            ("s2", Has::Both(common::AGENT, common::CONNECT)),
            ("s3", Has::Connect(common::CONNECT, false)),
        ],
        ask: Ask::Plan(Purpose::Verify),
    },
];

fn target(name: &str) -> TargetId {
    format!("{name}.a.test").parse().unwrap()
}

impl Case {
    /// What each of its servers reports.
    pub(crate) fn reported(&self) -> BTreeMap<TargetId, protocol::facts::Facts> {
        let of = |(name, has): &(&str, Has)| (target(name), has.facts());
        self.servers.iter().map(of).collect()
    }

    fn topology(&self) -> (Topology, Vec<String>) {
        let text = format!("[tenant.main]\nid = \"{TENANT}\"\n{}", self.topology);
        let (topology, mut findings) = parse(&[common::document(text)]);
        findings.extend(check(&topology, None));
        let errors = findings.iter();
        let errors = errors.filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        (topology, errors)
    }

    /// The policy that it is planned under.
    fn policy(&self) -> Policy {
        let Ask::Under(_, text) = self.ask else {
            return Policy::default();
        };
        let (policy, findings) = policy::parse(&common::document(text.to_owned()));
        assert!(findings.is_empty(), "{}: {findings:?}", self.title);
        policy
    }

    /// What the accounts of its agents were given of a.test.
    fn given(&self) -> BTreeMap<TargetId, GivenOf> {
        let of = |(name, has): &(&str, Has)| {
            let Has::Given(rights) = has else {
                return None;
            };
            let given = Given {
                preferred_dcs: Some(Vec::new()),
                permissions: rights.iter().copied().collect(),
                account: None,
            };
            let of_domain = GivenOf::from([("a.test".parse().unwrap(), given)]);
            Some((target(name), of_domain))
        };
        self.servers.iter().filter_map(of).collect()
    }

    pub(crate) fn plan(&self) -> Plan {
        let (topology, errors) = self.topology();
        assert!(errors.is_empty(), "{}: {errors:?}", self.title);
        let mut known = Fleetwide::new();
        let mut reported = self.reported();
        for (name, has) in self.servers {
            let target = target(name);
            let mut entry = Known::of(Fingerprint(Digest::of(name.as_bytes())));
            entry.domains = has.domains();
            entry.owes = matches!(has, Has::BrokenOff(_));
            entry.facts = reported.remove(&target).map(|facts| (NOW, facts));
            known.insert(target, entry);
        }
        let purpose = match self.ask {
            Ask::Plan(purpose) | Ask::Under(purpose, _) => purpose,
            Ask::Swap(_)
            | Ask::Failover(..)
            | Ask::Eligible
            | Ask::Transition(_)
            | Ask::Undo(_) => Purpose::Verify,
            Ask::Swing(..) => Purpose::Install,
        };
        let artifacts = common::artifacts();
        let policy = self.policy();
        let beyond = Beyond {
            given: self.given(),
            ..Beyond::default()
        };
        let roster = common::roster(known.keys(), "0.1.0");
        let inputs = Inputs {
            topology: &topology,
            policy: &policy,
            known: &known,
            artifacts: &artifacts,
            roster: Some(&roster),
            release: None,
            beyond: &beyond,
            purpose,
            only: &std::collections::BTreeSet::new(),
        };
        match self.ask {
            Ask::Plan(_) | Ask::Under(..) => plan(inputs),
            Ask::Swap(to) => switch(inputs, &to.parse().unwrap()).unwrap(),
            Ask::Swing(to, then) => swing(inputs, &to.parse().unwrap(), then).unwrap(),
            Ask::Failover(to, off) => {
                failover(inputs, &to.parse().unwrap(), &off.parse().unwrap()).unwrap()
            }
            Ask::Eligible => eligibility(inputs),
            Ask::Transition(server) => transition(inputs, &server.parse().unwrap()).unwrap(),
            Ask::Undo(server) => {
                let fixes = Fix::ALL.into();
                undo(inputs, &server.parse().unwrap(), &fixes, false).unwrap()
            }
        }
    }
}

impl Has {
    /// The domains that the server's agent was made to serve, as far as Entrain did it.
    fn domains(self) -> Option<BTreeSet<DomainName>> {
        let names: &[&str] = match self {
            Self::Agent(_, true)
            | Self::Drifted(..)
            | Self::Both(..)
            | Self::Updater(_)
            | Self::BrokenOff(Owed::Anew)
            | Self::Given(_)
            | Self::Edited(_) => &["a.test"],
            Self::TwoDomains => &["a.test", "c.test"],
            Self::Nothing
            | Self::Agent(_, false)
            | Self::BrokenOff(Owed::First)
            | Self::Unregistered(_)
            | Self::Connect(..)
            | Self::Halted(_)
            | Self::Fenced(_)
            | Self::Cycle(..) => return None,
        };
        Some(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    fn facts(self) -> protocol::facts::Facts {
        let connect = |version, staging, service| ConnectFacts {
            version: Some(version),
            service: Some(service),
            staging,
            cycle_enabled: Some(true),
            suspended: Some(false),
        };
        match self {
            Self::Nothing => common::facts(None, None),
            Self::Agent(version, _) => {
                let agent = ProvisioningAgentFacts {
                    version: Some(version),
                    tenant: TENANT.parse().ok(),
                    service: Some(ServiceState::Running),
                    account: Some("A\\provAgentgMSA$".to_owned()),
                    options: Some(ServiceOptions::default()),
                    updater: None,
                    owes_registration: None,
                };
                common::facts(Some(agent), None)
            }
            Self::Connect(version, staging) => {
                let running = ServiceState::Running;
                common::facts(None, Some(connect(version, Some(staging), running)))
            }
            Self::TwoDomains => Self::Agent(common::AGENT, true).facts(),
            Self::Drifted(service, account) => {
                let mut facts = Self::Agent(common::AGENT, true).facts();
                if let Some(agent) = &mut facts.provisioning_agent {
                    agent.service = Some(service);
                    agent.account = Some(account.to_owned());
                }
                facts
            }
            Self::Halted(version) => {
                let halted = ServiceState::NotRunning;
                common::facts(None, Some(connect(version, None, halted)))
            }
            Self::Fenced(version) => {
                let disabled = ServiceState::Disabled;
                common::facts(None, Some(connect(version, None, disabled)))
            }
            Self::Both(agent, version) => {
                let mut facts = Self::Agent(agent, true).facts();
                let running = ServiceState::Running;
                facts.connect = Some(connect(version, Some(true), running));
                facts
            }
            Self::Updater(state) => {
                let with = |agent: &mut ProvisioningAgentFacts| agent.updater = Some(state);
                Self::agent(common::AGENT, with)
            }
            Self::BrokenOff(owed) => {
                let with = |agent: &mut ProvisioningAgentFacts| {
                    agent.owes_registration = Some(owed);
                };
                Self::agent(common::AGENT, with)
            }
            Self::Given(_) => Self::agent(common::AGENT, |_| {}),
            Self::Edited(version) => Self::agent(version, |agent| {
                agent.options = Some(ServiceOptions {
                    proxy: "http://proxy.a.test:8080".parse().ok(),
                    fips_exempt: true,
                    ..ServiceOptions::default()
                });
            }),
            Self::Unregistered(version) => Self::agent(version, |agent| {
                agent.tenant = None;
                agent.account = Some("NT SERVICE\\AADConnectProvisioningAgent".to_owned());
            }),
            Self::Cycle(version, staging, enabled) => {
                let mut facts = Self::Connect(version, staging).facts();
                if let Some(connect) = &mut facts.connect {
                    connect.cycle_enabled = enabled;
                }
                facts
            }
        }
    }

    /// An agent of that version that Entrain registered, but for what is otherwise.
    fn agent(
        version: Version,
        otherwise: impl FnOnce(&mut ProvisioningAgentFacts),
    ) -> protocol::facts::Facts {
        let mut facts = Self::Agent(version, true).facts();
        facts.provisioning_agent.as_mut().map(otherwise).unwrap();
        facts
    }

    fn words(self) -> String {
        match self {
            Self::Nothing => "neither product".to_owned(),
            Self::Agent(version, true) => {
                format!("provisioning agent {version}, registered by Entrain for a.test")
            }
            Self::Agent(version, false) => {
                format!("provisioning agent {version}, registered by somebody else")
            }
            Self::TwoDomains => format!(
                "provisioning agent {}, registered by Entrain for a.test and c.test",
                common::AGENT
            ),
            Self::Connect(version, true) => format!("Connect {version}, staging"),
            Self::Connect(version, false) => format!("Connect {version}, active"),
            Self::Drifted(service, account) => format!(
                "provisioning agent {}, registered by Entrain for a.test; its service is {} and runs as {account}",
                common::AGENT,
                match service {
                    ServiceState::Running => "running",
                    ServiceState::NotRunning => "stopped",
                    ServiceState::Disabled => "disabled",
                }
            ),
            Self::Halted(version) => format!("Connect {version}, its service stopped"),
            Self::Fenced(version) => format!("Connect {version}, stopped and disabled"),
            Self::Both(agent, version) => format!(
                "{}; {}",
                Self::Agent(agent, true).words(),
                Self::Connect(version, true).words()
            ),
            Self::Updater(state) => format!(
                "{}; its service runs, and its updater is {}",
                Self::Agent(common::AGENT, true).words(),
                if state == ServiceState::Disabled {
                    "disabled"
                } else {
                    "stopped"
                }
            ),
            Self::BrokenOff(Owed::First) => format!(
                "provisioning agent {}, whose first registration, by Entrain for a.test, was broken off",
                common::AGENT
            ),
            Self::BrokenOff(Owed::Anew) => format!(
                "{}; a registration anew was broken off",
                Self::Agent(common::AGENT, true).words()
            ),
            Self::Given(rights) => {
                let rights: Vec<&str> = rights.iter().map(|right| right.as_str()).collect();
                format!(
                    "{}, where its account was given {}",
                    Self::Agent(common::AGENT, true).words(),
                    rights.join(", ")
                )
            }
            Self::Edited(version) => format!(
                "{}; its configuration file names the proxy http://proxy.a.test:8080 and an exception from the FIPS policy",
                Self::Agent(version, true).words()
            ),
            Self::Unregistered(version) => {
                format!("provisioning agent {version}, registered with no tenant")
            }
            Self::Cycle(version, staging, enabled) => format!(
                "{}; {}",
                Self::Connect(version, staging).words(),
                match enabled {
                    Some(true) => "the cycle is on",
                    Some(false) => "the cycle is off",
                    None => "whether the cycle is on was not told",
                }
            ),
        }
    }
}

/// The texts for people of a step that shows some by itself.
pub(crate) fn texts(step: &Step) -> Vec<&TaskText> {
    match step {
        Step::GuideProvisioningAgent(guide) => vec![&guide.text],
        Step::AddDomains(add) => vec![&add.wizard],
        Step::GuideConnect(guide) => vec![&guide.text],
        Step::RestartServer(restart) => match &restart.by {
            RestartBy::Person(text) => vec![text],
            RestartBy::Agent => Vec::new(),
        },
        Step::GuideConnectRemoval(guide) => vec![&guide.pass_through, &guide.text],
        Step::AwaitFullSync(step) => vec![&step.text],
        Step::GuideTransition(guide) => vec![&guide.doubts, &guide.text, &guide.afterwards],
        _ => Vec::new(),
    }
}

/// Every text for people, each once, with the servers that it is for.
fn tasks(plan: &Plan) -> Vec<(TaskText, Vec<String>)> {
    let mut tasks: Vec<(TaskText, Vec<String>)> = Vec::new();
    for (target, part) in &plan.targets {
        for step in part.phases.iter().flat_map(|phase| &phase.steps) {
            for text in texts(step) {
                match tasks.iter_mut().find(|(known, _)| known == text) {
                    Some((_, servers)) if servers.contains(&target.to_string()) => {}
                    Some((_, servers)) => servers.push(target.to_string()),
                    None => tasks.push((text.clone(), vec![target.to_string()])),
                }
            }
        }
    }
    tasks
}

fn write_case(out: &mut String, case: &Case) -> std::fmt::Result {
    writeln!(out, "\n## {}\n", case.title)?;
    writeln!(out, "```toml\n{}```\n", case.topology)?;
    if let Ask::Under(_, policy) = case.ask {
        writeln!(out, "Under this policy:\n\n```toml\n{policy}```\n")?;
    }
    let servers: BTreeMap<&str, String> = case
        .servers
        .iter()
        .map(|(name, has)| (*name, has.words()))
        .collect();
    for (name, words) in servers {
        writeln!(out, "* {name}.a.test reports: {words}")?;
    }
    let plan = case.plan();
    // The first line holds the plan's id.
    let report = render(&plan);
    let (_, report) = report.split_once('\n').unwrap();
    writeln!(out, "\n```\n{}\n```", report.trim_end())?;
    for (text, servers) in tasks(&plan) {
        writeln!(out, "\n**{}** ({})\n", text.title, servers.join(", "))?;
        for page in &text.pages {
            writeln!(out, "* {}: {}", page.title, page.lines.join("; "))?;
        }
        writeln!(out, "* seen by: {}", text.seen_by)?;
    }
    Ok(())
}

fn page() -> String {
    let mut out = "# Recipes\n\nWhat Entrain does in each case: a small topology, what the servers report, and the plan as `entrain plan`, `swap`, `swing`,\n`failover` or `transition` show it, with the pages for people. `[tenant.main]` with its id stands before each topology; a line without a\nheader belongs to it. This page is written by the planner.\n".to_owned();
    for case in CASES {
        write_case(&mut out, case).unwrap();
    }
    out
}

#[test]
fn the_page_of_recipes_is_what_the_planner_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/recipes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let (have, want) = (written.lines(), page());
    let differs = have.zip(want.lines()).find(|(have, want)| have != want);
    assert_eq!(differs, None, "UPDATE_DOCS=1 writes the page anew");
    assert_eq!(written.lines().count(), want.lines().count());
}

/// Domain controllers that the topology prefers are asked and given to the product in that order: by each step that names the
/// domain, whoever signs in.
#[test]
fn the_domain_controllers_that_are_preferred_reach_every_step_of_their_domain() {
    for (sign_in, has) in [
        ("token", Has::Nothing),
        ("credential", Has::Nothing),
        ("wizard", Has::Nothing),
        ("token", Has::Agent(common::AGENT, true)),
    ] {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\nsign_in = \"{sign_in}\"\n[domain.\"b.test\"]\npreferred_dcs = [\"dc2.b.test\", \"dc1.b.test\"]\n[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let known = Known {
            facts: Some((NOW, has.facts())),
            domains: matches!(has, Has::Agent(..)).then(|| ["a.test".parse().unwrap()].into()),
            ..Known::of(Fingerprint(Digest::of(b"s1")))
        };
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &Fleetwide::from([(target("s1"), known)]),
            &common::artifacts(),
            Purpose::Install,
        ));
        let part = &plan.targets[&target("s1")];
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let named = steps.flat_map(|step| match step {
            Step::Preflight(preflight) => preflight.domains.clone(),
            Step::RegisterProvisioningAgent(register) => register.domains.clone(),
            Step::AddDomains(add) => add.domains.clone(),
            _ => Vec::new(),
        });
        let mut asked = 0;
        for domain in named {
            let preferred: Vec<&str> = domain.preferred_dcs.iter().map(TargetId::as_str).collect();
            let meant: &[&str] = match domain.name.as_str() {
                "b.test" => &["dc2.b.test", "dc1.b.test"],
                _ => &[],
            };
            assert_eq!(preferred, meant, "{sign_in}: {}", domain.name);
            asked += usize::from(!meant.is_empty());
        }
        assert!(asked >= 2, "{sign_in}: {asked}");
    }
}

/// So they reach the steps that look at the account of the server's own domain (G3), and the one that asks for servers.
#[test]
fn the_domain_controllers_that_are_preferred_reach_whoever_waits_for_a_change_and_whoever_discovers()
 {
    const AGENTS: &str = "[agents.a]\nserves = [\"a.test\", \"b.test\"]\nhosts = [\"s1.a.test\"]\n";
    const CONNECT: &str = "[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\n";
    let written = "[domain.\"a.test\"]\npreferred_dcs = [\"dc2.a.test\", \"dc1.a.test\"]\n";
    let found = |domains: &str, part: &str, has: Has, ask: Ask| -> Vec<Vec<String>> {
        let case = Case {
            title: "preferred controllers",
            topology: format!("sign_in = \"wizard\"\n{domains}{part}").leak(),
            servers: vec![("s1", has)].leak(),
            ask,
        };
        let plan = case.plan();
        let parts = plan.targets.values();
        let steps = parts.flat_map(|part| part.phases.iter().flat_map(|phase| &phase.steps));
        let named = steps.filter_map(|step| match step {
            Step::GuideProvisioningAgent(guide) => Some(guide.preferred_dcs.clone()),
            Step::GuideTransition(guide) => Some(guide.preferred_dcs.clone()),
            Step::DiscoverServers(discover) => {
                let all = discover.preferred_dcs.iter();
                assert!(all.clone().all(|(domain, _)| domain.as_str() == "a.test"));
                Some(all.flat_map(|(_, names)| names.clone()).collect())
            }
            _ => None,
        });
        let texts = |names: Vec<TargetId>| names.iter().map(ToString::to_string).collect();
        named.map(texts).collect()
    };
    for (part, has, ask) in [
        (AGENTS, Has::Nothing, INSTALL),
        (AGENTS, Has::Nothing, Ask::Plan(Purpose::Discover)),
        (
            CONNECT,
            Has::Connect(common::CONNECT, false),
            Ask::Transition("s1.a.test"),
        ),
    ] {
        assert_eq!(
            found(written, part, has, ask),
            [["dc2.a.test", "dc1.a.test"]]
        );
        let none: [[&str; 0]; 1] = [[]];
        assert_eq!(found("", part, has, ask), none);
    }
}

#[test]
fn the_same_inputs_give_the_same_plan() {
    for case in CASES {
        assert_eq!(
            case.plan().to_bytes(),
            case.plan().to_bytes(),
            "{}",
            case.title
        );
    }
}

/// A plan that an alarm stands against could not be applied: no case has one.
#[test]
fn every_case_can_be_applied() {
    for case in CASES {
        assert!(case.plan().alarms.is_empty(), "{}", case.title);
    }
}

/// Each kind of step stands in some case, so that a new one comes with its plan.
#[test]
fn every_kind_of_step_is_planned_in_some_case() {
    let mut planned = BTreeSet::new();
    for case in CASES {
        let plan = case.plan();
        let steps = plan.targets.values().flat_map(|part| &part.phases);
        planned.extend(steps.flat_map(|phase| phase.steps.iter().map(Step::kind)));
    }
    let all: BTreeSet<&str> = Step::KINDS.into_iter().collect();
    assert_eq!(planned, all);
}
