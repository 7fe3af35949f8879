//! What a topology says, typed.

use std::collections::{BTreeMap, BTreeSet};

use protocol::step::{Cloud, DirectoryRights, ExportLimits, Fix, Permission, SignIn};
use protocol::{
    Digest, DomainName, GmsaName, ProxyAddress, ServiceOptions, TargetId, TenantId, Version,
};

use crate::clouds::CloudData;
use crate::finding::Place;
use crate::topology::reader::At;
use crate::topology::settings::{CustomSettings, Feature, UserSignIn};

/// Versions that are wanted at least.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the provisioning agent; absent takes the newest artifact.
    pub provisioning_agent: Option<Version>,
    /// Of Connect Sync.
    pub connect: Option<Version>,
}

/// Whether `apply` needs a change number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change {
    /// It may be given.
    #[default]
    Optional,
    /// It must be given.
    Required,
}

/// When servers of a site may be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RebootRule {
    /// Never by Entrain.
    Never,
    /// After a person agreed.
    #[default]
    Ask,
    /// Within the site's window.
    Window,
}

/// A Microsoft Entra tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its cloud.
    pub cloud: Cloud,
    /// What is known of its cloud.
    pub about: CloudData,
    /// The host of Microsoft Graph that its token goes to.
    pub graph: String,
    /// How agents are signed in.
    pub sign_in: SignIn,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether `apply` needs a change number.
    pub change: Change,
    /// Where it is written.
    pub place: Place,
}

/// A place with one line to the controller.
#[derive(Debug, Clone)]
pub struct Site {
    /// Time zone, IANA name.
    pub zone: Option<String>,
    /// Restarts.
    pub reboot: RebootRule,
}

/// What differs from the defaults for a domain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whose rights are used.
    pub rights: DirectoryRights,
    /// Agents that must keep serving; absent means all but one.
    pub min_serving: Option<u32>,
    /// True when an outage of the whole domain is agreed to.
    pub allow_outage: bool,
    /// Domain controllers to prefer.
    pub preferred_dcs: Vec<TargetId>,
    /// Rights that the agents' account needs there; empty where nothing is written.
    pub permissions: BTreeSet<Permission>,
    /// Where it is written.
    pub place: Place,
}

/// Hosts that serve the same domains.
#[derive(Debug, Clone)]
pub struct AgentGroup {
    /// Tenant, by its name in the topology.
    pub tenant: At<String>,
    /// Site, by its name in the topology.
    pub site: Option<At<String>>,
    /// Labels, for waves.
    pub labels: BTreeMap<String, String>,
    /// Domains.
    pub serves: Vec<(DomainName, Place)>,
    /// Servers.
    pub hosts: Vec<(TargetId, Place)>,
    /// Servers that shall carry the agent no more.
    pub retired: Vec<(TargetId, Place)>,
    /// gMSA that was made beforehand.
    pub gmsa: Option<GmsaName>,
    /// Whether agents that somebody else registered are made to serve all of `serves`.
    pub adopt: bool,
    /// Prerequisites that Entrain may set.
    pub may_fix: BTreeSet<Fix>,
    /// Options of the agents' service that are owned here.
    pub options: ServiceOptions,
    /// Where it is written.
    pub place: Place,
}

/// How Connect Sync is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectSettings {
    /// Express settings: one forest, no staging server.
    Express,
    /// Custom settings.
    Custom(Box<CustomSettings>),
    /// Nothing is written: what is installed is verified and upgraded, and nothing is installed.
    Unwritten,
}

/// What a staging server may be about to export when it becomes active, and how old the count may be (guard rail G4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingExports {
    /// Objects, over all connectors.
    pub limits: ExportLimits,
    /// Minutes since the beginning of the last cycle.
    pub max_age_minutes: u32,
}

/// The proxy that Connect's engine is to go through (product facts 2.8 [P]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectProxy {
    /// Its address, which machine.config is to name.
    pub address: ProxyAddress,
    /// It demands a sign-in, which the account of the engine's service does: a domain account.
    pub signs_in: bool,
    /// Where it is written.
    pub place: Place,
}

/// Why a domain may be in both tools although Connect takes all of it. It is declared and not probed: what would configure the domain is
/// held all the same, and goes on by an override of G7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// A pilot inside a forest: rules of Connect with `cloudNoFlow` keep its objects from flowing (product facts 3 [P]).
    Pilot,
    /// The tenant has moved to cloud sync, and Connect is kept in staging mode for two weeks (product facts 3 [P]).
    Moved,
}

impl Overlap {
    /// Every word, as the topology spells it.
    pub const WORDS: &[&str] = &["pilot", "moved"];

    /// The reason as people read it.
    #[must_use]
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Pilot => "a pilot behind rules of Connect with cloudNoFlow",
            Self::Moved => {
                "a tenant that was moved to cloud sync, whose Connect is kept in staging mode"
            }
        }
    }
}

/// Connect Sync of one tenant.
#[derive(Debug, Clone)]
pub struct ConnectEntry {
    /// Tenant, by its name in the topology.
    pub tenant: At<String>,
    /// Site, by its name in the topology.
    pub site: Option<At<String>>,
    /// Labels, for waves.
    pub labels: BTreeMap<String, String>,
    /// Forests, by their root domains.
    pub forests: Vec<(DomainName, Place)>,
    /// Roots of further trees of a forest, which its name does not tell.
    pub trees: BTreeMap<DomainName, Vec<DomainName>>,
    /// Servers; which is active is observed.
    pub servers: Vec<(TargetId, Place)>,
    /// Servers that shall carry Connect no more.
    pub retired: Vec<(TargetId, Place)>,
    /// Servers of which it is known that Connect is off them for good, whatever a directory still shows.
    pub gone: Vec<TargetId>,
    /// Which server should be active; this only ever proposes a swap.
    pub prefer_active: Option<(TargetId, Place)>,
    /// Prerequisites that Entrain may set on its servers.
    pub may_fix: BTreeSet<Fix>,
    /// The proxy that the engine goes through; where none is written, whatever machine.config and the system agree on.
    pub proxy: Option<ConnectProxy>,
    /// How it is set up.
    pub settings: ConnectSettings,
    /// What a staging server may be about to export when it becomes active.
    pub pending_exports: PendingExports,
    /// Domains that agents serve as well, and why their objects may be in both tools (guard rail G7).
    pub overlap: BTreeMap<DomainName, (Overlap, Place)>,
    /// Where it is written.
    pub place: Place,
}

impl ConnectEntry {
    /// The server that stays and waits for the database of that one.
    #[must_use]
    pub fn heir_of(&self, server: &TargetId) -> Option<&TargetId> {
        let ConnectSettings::Custom(settings) = &self.settings else {
            return None;
        };
        settings.heir_of(server, self.servers.iter().map(|(other, _)| other))
    }

    /// Whether its settings say that password hashes are synchronized. Express settings do (product facts 2.4 [P]). What an imported file
    /// says of it nobody knows here.
    #[must_use]
    pub fn plans_password_sync(&self) -> bool {
        match &self.settings {
            ConnectSettings::Express => true,
            ConnectSettings::Custom(settings) => {
                settings.sign_in == Some(UserSignIn::PasswordHash)
                    || settings.features.contains(&Feature::PasswordHash)
            }
            ConnectSettings::Unwritten => false,
        }
    }

    /// The file of exported settings that the wizard imports, where one is written.
    #[must_use]
    pub fn imports(&self) -> Option<&str> {
        match &self.settings {
            ConnectSettings::Custom(settings) => settings.import.as_deref(),
            ConnectSettings::Express | ConnectSettings::Unwritten => None,
        }
    }

    /// Its forests, by their root domains.
    #[must_use]
    pub fn forest_names(&self) -> Vec<DomainName> {
        self.forests
            .iter()
            .map(|(forest, _)| forest.clone())
            .collect()
    }

    /// The forest among them in which a domain lies: below its root, or below the root of another tree of it that is written.
    #[must_use]
    pub fn forest_of(&self, domain: &DomainName) -> Option<&DomainName> {
        let mut forests = self.forests.iter().map(|(forest, _)| forest);
        forests.find(|forest| {
            let trees = self.trees.get(*forest).into_iter().flatten();
            domain.is_within(forest) || trees.into_iter().any(|tree| domain.is_within(tree))
        })
    }

    /// The forests of which Connect takes every domain, as it is written.
    pub fn taken_whole(&self) -> impl Iterator<Item = &DomainName> {
        let whole = |forest: &&DomainName| match &self.settings {
            ConnectSettings::Express => true,
            ConnectSettings::Custom(settings) => match settings.units_of(forest) {
                None => settings.import.is_none(),
                Some(units) => units.is_empty(),
            },
            ConnectSettings::Unwritten => false,
        };
        self.forests.iter().map(|(forest, _)| forest).filter(whole)
    }

    /// Servers that stay and those that go: any of them may be the active one.
    pub fn members(&self) -> impl Iterator<Item = &TargetId> {
        let all = self.servers.iter().chain(&self.retired);
        all.map(|(server, _)| server)
    }
}

/// What stands in the documents and could not be read. A rule that something lacks is not applied where it may lie in a
/// gap; every gap has its own finding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// A part of the text is no TOML, or no table where one must be.
    pub text: bool,
    /// Tenants whose description could not be read, by name.
    pub tenants: BTreeSet<String>,
    /// An entry of a list of servers or domains could not be read.
    pub lists: bool,
}

/// The whole.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Digest of the documents, in the order of their names.
    pub digest: Digest,
    /// Where its first document begins.
    pub place: Place,
    /// Versions.
    pub wanted: Wanted,
    /// Tenants by name.
    pub tenants: BTreeMap<String, Tenant>,
    /// Sites by name.
    pub sites: BTreeMap<String, Site>,
    /// Domains that differ from the defaults.
    pub domains: BTreeMap<DomainName, Domain>,
    /// Groups of agent hosts by name.
    pub agents: BTreeMap<String, AgentGroup>,
    /// Connect entries by name.
    pub connect: BTreeMap<String, ConnectEntry>,
    /// What could not be read.
    pub gaps: Gaps,
}

/// Who serves a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where the topology first says that it is served.
    pub place: Place,
    /// Servers of provisioning agents that serve it.
    pub servers: BTreeSet<TargetId>,
    /// Servers that shall serve it no more.
    pub leaving: BTreeSet<TargetId>,
}

impl Service {
    /// Nothing serves it any more once every retired server is gone (G10).
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.servers.is_empty()
    }
}

impl Topology {
    /// Whether neither a host of agents nor a server of Connect stands in it, one that is to go included.
    #[must_use]
    pub fn names_no_server(&self) -> bool {
        self.agents.is_empty() && self.connect.is_empty()
    }

    /// Every domain that some group serves, with its servers.
    #[must_use]
    pub fn served(&self) -> BTreeMap<DomainName, Service> {
        let mut all: BTreeMap<DomainName, Service> = BTreeMap::new();
        for group in self.agents.values() {
            let names = |hosts: &[(TargetId, Place)]| {
                hosts
                    .iter()
                    .map(|(host, _)| host.clone())
                    .collect::<Vec<_>>()
            };
            for (domain, place) in &group.serves {
                let service = all.entry(domain.clone()).or_insert_with(|| Service {
                    place: place.clone(),
                    servers: BTreeSet::new(),
                    leaving: BTreeSet::new(),
                });
                service.servers.extend(names(&group.hosts));
                service.leaving.extend(names(&group.retired));
            }
        }
        all
    }

    /// Every domain that agents serve and every forest that Connect synchronizes.
    #[must_use]
    pub fn covered_domains(&self) -> BTreeSet<DomainName> {
        let forests = self.connect.values().flat_map(|entry| &entry.forests);
        let forests = forests.map(|(forest, _)| forest.clone());
        let groups = self.agents.values().flat_map(|group| &group.serves);
        let served = groups.map(|(domain, _)| domain.clone());
        served.chain(forests).collect()
    }

    /// How many agents must keep serving a domain: what is written, else all but one of those that stay. None, where none
    /// stays.
    #[must_use]
    pub fn min_serving(&self, domain: &DomainName, service: &Service) -> u32 {
        let servers = u32::try_from(service.servers.len()).unwrap_or(u32::MAX);
        if servers == 0 {
            return 0;
        }
        match self.domains.get(domain) {
            Some(Domain {
                allow_outage: true, ..
            }) => 0,
            Some(Domain {
                min_serving: Some(minimum),
                ..
            }) => *minimum,
            Some(_) | None => servers.saturating_sub(1).max(1),
        }
    }

    /// Every server that the topology names.
    #[must_use]
    pub fn targets(&self) -> BTreeSet<TargetId> {
        let hosts = self
            .agents
            .values()
            .flat_map(|group| group.hosts.iter().chain(&group.retired))
            .map(|(host, _)| host.clone());
        let servers = self
            .connect
            .values()
            .flat_map(|entry| entry.members().cloned());
        hosts.chain(servers).collect()
    }
}
