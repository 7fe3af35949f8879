//! Connect Sync: an installation with express or custom settings and the upgrade in place, each as one guided appointment
//! for a person; what is installed is verified.

use protocol::facts::{Facts, ServiceState};
use protocol::signed::{ArtifactRef, Phase};
use protocol::step::{
    ConnectWork, DirectoryRights, GuideConnect, Preflight, Product, ServedDomain, SignIn,
    StageConnect, Step, VerifyConnect,
};
use protocol::task::{Page, TaskText};
use protocol::{ConnectDatabase, DomainName, ServiceOptions, TargetId, Version, limits};

use crate::active::{Modes, active};
use crate::links;
use crate::recipe::custom::{self, Start};
use crate::recipe::{Answer, Artifacts, PhaseWork, cloud_sync, download, full_sync, proxy};
use crate::topology::{ConnectEntry, ConnectSettings, Tenant, Topology};

/// The wizard's page that asks what becomes of users' names.
pub(crate) const SIGN_IN_CONFIGURATION: &str = "Microsoft Entra sign-in configuration";

/// The wizard's page of express settings that asks who may write into the directory.
pub(crate) const DIRECTORY: &str = "Connect to AD DS";

/// The same of custom settings.
pub(crate) const DIRECTORIES: &str = "Connect your directories";

/// The wizard's page on which a file of settings is chosen.
pub(crate) const COMPONENTS: &str = "Install required components";

/// Said of an engine that is stopped.
pub(crate) const STOPPED: &str = "its service ADSync is stopped, and Entrain does not start it: whether it is staging shows only while it runs, and a second active server would be the end of G1. Whoever runs it sees that no other server is active (entrain status), then starts ADSync";

/// What is to be done on one server of an entry.
#[must_use]
pub fn answer(
    topology: &Topology,
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    facts: &Facts,
    (modes, untold, strangers): (&Modes, &[TargetId], &[String]),
    artifacts: &Artifacts,
) -> Answer {
    if let Some(answer) = super::unread(facts) {
        return answer;
    }
    let artifact = artifacts.get(&Product::Connect);
    let wanted = topology
        .wanted
        .connect
        .or(artifact.map(|artifact| artifact.version));
    let Some(wanted) = wanted else {
        return Answer::Nothing(download::missing(Product::Connect).to_owned());
    };
    let verify = |staging| {
        let mut steps = vec![Step::VerifyConnect(VerifyConnect {
            at_least: wanted,
            staging,
            forests: entry.forest_names(),
            password_sync: entry.plans_password_sync(),
            soaked_seconds: None,
        })];
        // Whether the import brought what it was to bring shows by what the wizard exported then (2.6 [P]).
        if facts.connect.is_none() && entry.imports().is_some() {
            steps.push(Step::ReadConnectSettings);
        }
        PhaseWork {
            phase: Phase::Prove,
            steps,
            artifacts: Vec::new(),
        }
    };
    if let Some(connect) = &facts.connect {
        return match connect.version {
            Some(version) if version >= wanted => {
                let mode = match connect.staging {
                    Some(true) => "staging",
                    Some(false) => "active",
                    None => "mode not readable",
                };
                let mut why = vec![format!(
                    "Connect {version} is there ({mode}): verified, nothing is changed"
                )];
                // Its mode shows only while it runs: a start may make a second server active.
                if connect.service == Some(ServiceState::NotRunning) {
                    why.push(STOPPED.to_owned());
                }
                Answer::Do {
                    phases: vec![verify(None)],
                    why,
                    people: Vec::new(),
                }
            }
            Some(version) => {
                let verify = verify(connect.staging);
                upgrade(entry, tenant, server, facts, version, verify, artifact)
            }
            None => {
                Answer::Nothing("held: Connect is there, and its version cannot be read".to_owned())
            }
        };
    }
    let Some(artifact) = artifact else {
        return Answer::Nothing(download::missing(Product::Connect).to_owned());
    };
    let Installation {
        work,
        text,
        how,
        start,
    } = match installation(entry, tenant, server, modes, untold) {
        Ok(Installation { work, .. })
            if !work.staging()
                && let Some(stranger) = strangers.first() =>
        {
            return Answer::Nothing(format!("refused: {stranger}"));
        }
        Ok(installation) => installation,
        Err(why) => return Answer::Nothing(why),
    };
    let preflight = mending(entry, tenant, server, facts, artifact.version);
    let people = text.bring.clone();
    // What a staging server would export is counted and compared behind this; one that nobody starts does nothing of its own.
    let starts = start != Some(Start::Clear);
    let full = (work == ConnectWork::InstallStaging && starts).then(|| full_sync::wait(server));
    let mut why = vec![format!(
        "no Connect is there: install {} {how}, by a person, since the vendor supports no unattended setup",
        artifact.version
    )];
    why.extend(proxy::planned(entry));
    why.extend(full.is_some().then(|| full_sync::INSTALLED.to_owned()));
    let (release, started) = match start {
        Some(Start::Clear) => (
            Some(release_pages(server, Held::SinceInstalled)),
            Some(
                "the wizard leaves its cycle off (start = false): it is released by a person behind the wizard, and verified then",
            ),
        ),
        Some(Start::TickedBesideActive) => (
            None,
            Some(
                "start = false is not followed: another server of the tenant is active or is to be, and shares the setting of the cycle",
            ),
        ),
        Some(Start::Ticked) | None => (None, None),
    };
    why.extend(started.map(str::to_owned));
    Answer::Do {
        phases: vec![
            PhaseWork {
                phase: Phase::Prepare,
                steps: [
                    preflight.clone(),
                    vec![Step::StageConnect(StageConnect {
                        artifact: artifact.sha256,
                    })],
                ]
                .concat(),
                artifacts: vec![artifact.clone()],
            },
            PhaseWork {
                phase: Phase::Register,
                steps: [
                    preflight,
                    vec![Step::GuideConnect(GuideConnect {
                        work,
                        at_least: wanted,
                        text,
                        release: release.map(Box::new),
                    })],
                    full.into_iter().collect(),
                ]
                .concat(),
                artifacts: Vec::new(),
            },
            verify(Some(work.staging())),
        ],
        why,
        people,
    }
}

/// How a server without Connect gets it.
struct Installation {
    /// What it must become.
    work: ConnectWork,
    /// The wizard's pages.
    text: TaskText,
    /// The way, in a few words.
    how: String,
    /// Whether the wizard starts the cycle, where custom settings say so.
    start: Option<Start>,
}

/// Why express settings install nothing in a cloud for which the wizard may have to be told which one it is: the vendor goes on with
/// custom settings then (product facts 2.8 [R]).
const NO_EXPRESS: &str = "held: in the cloud of its tenant Connect is installed with custom settings: where the server cannot find out its cloud, AzureInstance is set while the wizard shows its license terms, and the vendor goes on with custom settings alone; write settings = { } or a table with what is to be chosen";

/// How a server without Connect gets it. One server of a tenant becomes active; with custom settings all others become staging (G1).
fn installation(
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    modes: &Modes,
    untold: &[TargetId],
) -> Result<Installation, String> {
    if modes.values().any(Option::is_none) {
        return Err(
            "refused: whether another server of the tenant is active cannot be told (G1)"
                .to_owned(),
        );
    }
    let now = active(modes);
    match &entry.settings {
        ConnectSettings::Unwritten => Err(
            "held: no `settings` are written for this entry; write settings = \"express\", or a table of custom ones"
                .to_owned(),
        ),
        ConnectSettings::Express => match now.first() {
            _ if tenant.about.azure_instance.is_some() => Err(NO_EXPRESS.to_owned()),
            Some(active) => Err(format!(
                "refused: {active} is active, and express settings would make a second one (G1)"
            )),
            None if let Some(other) = untold.first() => Err(format!(
                "refused: whether {other} is active cannot be told, since it has never reported (G1); enroll it, or take it out of the entry"
            )),
            None => Ok(Installation {
                work: ConnectWork::InstallActive,
                text: with_proxy(entry, express(entry, tenant)),
                how: "with express settings".to_owned(),
                start: None,
            }),
        },
        ConnectSettings::Custom(settings) => {
            let chosen = entry.prefer_active.as_ref().map(|(server, _)| server);
            let chosen = chosen.or_else(|| entry.servers.first().map(|(server, _)| server));
            let becomes = now.is_empty() && chosen == Some(server);
            if becomes && let Some(other) = untold.first() {
                return Err(format!(
                    "refused: whether {other} is active cannot be told, since it has never reported (G1); enroll it, or take it out of `servers`"
                ));
            }
            // A server that takes a database over starts in staging mode, whatever is ticked (2.7 [P]).
            let own = settings.database_of(server);
            let existing = own.is_some_and(|database| database.existing);
            let there = modes.keys().chain(untold);
            if let Some(other) = settings.still_uses(server, there) {
                return Err(in_use(other, modes.contains_key(other)));
            }
            let work = if becomes && !existing {
                ConnectWork::InstallActive
            } else {
                ConnectWork::InstallStaging
            };
            let how = match (work.staging(), now.first(), chosen) {
                (false, ..) => "with custom settings, as the active server".to_owned(),
                (true, Some(active), _) if existing => format!(
                    "with custom settings onto an existing database, staging, since {active} is active"
                ),
                (true, Some(active), _) => {
                    format!("with custom settings, staging, since {active} is active")
                }
                (true, None, _) if becomes => {
                    "with custom settings onto an existing database: it starts as staging, and a person makes it active by the wizard".to_owned()
                }
                (true, None, chosen) => {
                    let chosen = chosen.map(ToString::to_string).unwrap_or_default();
                    format!("with custom settings, staging, since {chosen} is to be active")
                }
            };
            // Whoever stands by is beside one that is active, or that this very plan may make active.
            let start = Start::of(settings, !becomes);
            let text = with_proxy(
                entry,
                custom::pages(entry, settings, tenant, server, (work, start)),
            );
            Ok(Installation {
                work,
                text,
                how,
                start: Some(start),
            })
        }
    }
}

fn with_proxy(entry: &ConnectEntry, mut text: TaskText) -> TaskText {
    proxy::page_into(entry, &mut text);
    text
}

/// Said of a database that another server may still have open (product facts 2.7: not shareable [P]).
fn in_use(other: &TargetId, seen: bool) -> String {
    let (what, fix) = if seen {
        (
            "Connect is still there",
            "have Connect taken off it first (entrain plan, where it stands in `retired`)",
        )
    } else {
        (
            "it has never reported, so that Connect may still be there",
            "enroll it, or say that Connect is off it for good: `gone`",
        )
    };
    format!(
        "refused: the database that is to be taken over is that of {other}, as far as the topology says, and {what}: two engines never share one; {fix}, or give {other} a row of its own in `databases`"
    )
}

/// An upgrade in place: bytes staged before, installer and wizard inside a person's appointment, the mode kept (product
/// facts 2.13).
fn upgrade(
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    facts: &Facts,
    from: Version,
    verify: PhaseWork,
    artifact: Option<&ArtifactRef>,
) -> Answer {
    let Some(artifact) = artifact else {
        return Answer::Nothing(download::missing(Product::Connect).to_owned());
    };
    let staging = facts.connect.as_ref().and_then(|connect| connect.staging);
    let Some(staging) = staging else {
        return Answer::Nothing(format!(
            "held: Connect {from} is there, and whether it is active cannot be told: an upgrade could not be seen to keep it (G1)"
        ));
    };
    let (work, mode) = if staging {
        (ConnectWork::UpgradeStaging, "staging")
    } else {
        (ConnectWork::UpgradeActive, "active")
    };
    let to = artifact.version;
    let preflight = mending(entry, tenant, server, facts, artifact.version);
    let cycle_enabled = facts
        .connect
        .as_ref()
        .and_then(|connect| connect.cycle_enabled);
    let mut text = upgrade_pages(tenant, server, (from, to), staging, cycle_enabled);
    proxy::page_into(entry, &mut text);
    let people = text.bring.clone();
    // What was on comes back; what was off stays off, since somebody has held it.
    let (release, cycle) = match cycle_enabled {
        Some(true) => (
            Some(release_pages(server, Held::SinceUpgraded)),
            if staging {
                "its cycle is on, and is waited for until it is on again; where somebody holds it before the wizard, whoever did releases it"
            } else {
                "its cycle is on, and is waited for until it is on again; where somebody holds it before the wizard, whoever did releases it, and until then the verification at the end fails (PV24): retry it once the cycle is on"
            },
        ),
        Some(false) => (
            None,
            if staging {
                "its cycle is off as this is planned: whoever held it releases it, nobody is asked to"
            } else {
                "its cycle is off as this is planned: whoever held it releases it, nobody is asked to; while it is off on the active server, the verification at the end fails (PV24)"
            },
        ),
        None => (
            None,
            "whether its cycle is on cannot be told: nobody is asked to switch it on again",
        ),
    };
    let stage = Step::StageConnect(StageConnect {
        artifact: artifact.sha256,
    });
    Answer::Do {
        phases: vec![
            PhaseWork {
                phase: Phase::Prepare,
                steps: [preflight.clone(), vec![stage]].concat(),
                artifacts: vec![artifact.clone()],
            },
            PhaseWork {
                phase: Phase::Register,
                steps: [
                    preflight,
                    vec![
                        Step::GuideConnect(GuideConnect {
                            work,
                            at_least: to,
                            text,
                            release: release.map(Box::new),
                        }),
                        full_sync::wait(server),
                    ],
                ]
                .concat(),
                artifacts: Vec::new(),
            },
            verify,
        ],
        why: vec![
            format!(
                "Connect {from} is there ({mode}): upgrade in place to {to}, by a person at the wizard; it stays {mode}"
            ),
            "there is no way back from an upgrade in place: staging servers go first".to_owned(),
            cycle.to_owned(),
            full_sync::UPGRADED.to_owned(),
        ]
        .into_iter()
        .chain(proxy::planned(entry))
        .collect(),
        people,
    }
}

/// The page of what is done before an upgrade's wizard.
pub(crate) const BEFORE: &str = "Before";

/// What the person does with the tick that starts the cycle, and what about it afterwards. Its setting lies in the tenant (product facts
/// 2.12 [P]): the vendor's steps clear it to look at the overrides first (2.13 [P]), which on a staging server would stop the active one.
const fn start_of_upgrade(
    staging: bool,
    cycle_enabled: Option<bool>,
) -> (&'static [&'static str], Option<&'static str>) {
    /// The plan has seen it on: somebody may have held it since, and a tick would release it.
    const SINCE: &str = "where somebody holds the tenant's cycle by now (Get-ADSyncScheduler before this: SyncCycleEnabled False), clear it all the same: the setting is shared, and a tick may release it";
    /// An active server whose cycle is off exports nothing: that is what the verification finds.
    const SINCE_ACTIVE: &str = "where somebody holds the tenant's cycle by now (Get-ADSyncScheduler before this: SyncCycleEnabled False), clear it all the same: the setting is shared, and a tick may release it; until whoever held it does, the verification at the end fails (PV24)";
    match (cycle_enabled, staging) {
        (Some(true), true) => (
            &[
                r#"leave "Start the synchronization process" ticked: its setting lies in the tenant, and cleared here it stops the cycle of the active server as well"#,
                SINCE,
            ],
            Some(
                "where it was on before and was cleared all the same: Set-ADSyncScheduler -SyncCycleEnabled $true",
            ),
        ),
        (Some(true), false) => (
            &[
                r#"clear "Start the synchronization process" only where the overrides are to be looked at first: the cycle is then off for every server of the tenant"#,
                SINCE_ACTIVE,
            ],
            Some(
                "where it was on before and was cleared: Set-ADSyncScheduler -SyncCycleEnabled $true",
            ),
        ),
        (Some(false), _) => (
            &[
                r#"clear "Start the synchronization process": the cycle was off as this was planned, and its setting lies in the tenant; whoever held it releases it"#,
            ],
            None,
        ),
        (None, _) => (
            &[
                r#""Start the synchronization process": as Get-ADSyncScheduler says before (SyncCycleEnabled), ticked where the cycle is on and cleared where it is off; its setting lies in the tenant"#,
            ],
            Some(
                "where it was on before and is off now: Set-ADSyncScheduler -SyncCycleEnabled $true",
            ),
        ),
    }
}

/// The upgrade, page by page (product facts 2.13 [P], backups [S]).
fn upgrade_pages(
    tenant: &Tenant,
    server: &TargetId,
    (from, to): (Version, Version),
    staging: bool,
    cycle_enabled: Option<bool>,
) -> TaskText {
    let mode = if staging { "staging" } else { "active" };
    let (start, released) = start_of_upgrade(staging, cycle_enabled);
    let mut afterwards = vec![
        "Get-ADSyncSchedulerConnectorOverride | Format-List: changed default rules ask for a full import or synchronization",
        "sign out and in again before using the consoles",
    ];
    if let Some(released) = released {
        afterwards.insert(1, released);
    }
    let page = |title: &str, lines: &[&str]| Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let keep = format!("leave staging mode as it is: this server is {mode}");
    let sign_in = format!(
        "sign in as a Hybrid Identity Administrator of tenant {}; the sign-in asks a person",
        tenant.id
    );
    TaskText {
        title: format!("upgrade Connect Sync on {server} from {from} to {to}"),
        why: "the vendor supports this upgrade through its wizard alone; there is no way back".to_owned(),
        bring: vec![
            format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
            "a local administrator of the server who is in ADSyncAdmins, and dbo where the database is on a SQL Server"
                .to_owned(),
        ],
        pages: vec![
            page(BEFORE, &[
                "default rules: Entrain sees which are disabled, not which were edited in place; `entrain diff` with a server that was newly installed with the same version shows it",
                "copy the newest export of the settings off the server",
                "back up miiserver.exe.config, and the database where it is on a SQL Server",
                "close the wizard and Synchronization Service Manager",
            ]),
            page("Installer", &[r"start AzureADConnect.msi from C:\ProgramData\Entrain\staged"]),
            page("Upgrade", &[if staging {
                "Upgrade; this server exports nothing, neither before nor meanwhile"
            } else {
                "Upgrade; passwords go on being synchronized meanwhile, objects do not"
            }]),
            page("Connect to Microsoft Entra ID", &[&sign_in]),
            page("Ready to configure", &[&[keep.as_str()][..], start, &["Upgrade"]].concat()),
            page("Configuration complete", &["Exit"]),
            page("Afterwards", &afterwards),
        ],
        seen_by: format!("the engine's version, and the scheduler, which must still say {mode}, and be suspended no more: the wizard is closed"),
    }
}

/// Since when a cycle is held that a person releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The wizard of an upgrade left it off, and it was on before.
    SinceUpgraded,
    /// The wizard of an installation left it off, as the topology wants it.
    SinceInstalled,
}

/// The release of a cycle that was left held, page by page (product facts 2.4 [R], 2.12, 2.13 [P]).
fn release_pages(server: &TargetId, held: Held) -> TaskText {
    let page = |title: &str, lines: &[&str]| Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    TaskText {
        title: format!("release the cycle of Connect Sync, from {server}"),
        why: match held {
            Held::SinceUpgraded => "the cycle was on before the upgrade and is held: its setting lies in the tenant, so that no server of it synchronizes until somebody releases it".to_owned(),
            Held::SinceInstalled => "the wizard was to leave the cycle off: its setting lies in the tenant, so that no server of it synchronizes until somebody has looked at what was configured and releases it".to_owned(),
        },
        bring: vec!["a local administrator of the server who is in ADSyncAdmins".to_owned()],
        pages: vec![
            match held {
                Held::SinceUpgraded => page("Windows PowerShell, what is due", &[
                    "Import-Module ADSync",
                    "Get-ADSyncSchedulerConnectorOverride | Format-List",
                    "let the full import and synchronization that it names run with the next cycle, or do these steps by hand first",
                ]),
                Held::SinceInstalled => page("What was configured", &[
                    "sign out and in again before using Synchronization Service Manager or the rule editor",
                    "look at filters and rules: from the release on an active server exports to the tenant what they let through",
                ]),
            },
            page("Windows PowerShell, the release", &[
                "close the wizard and Synchronization Service Manager: an open wizard keeps the scheduler suspended",
                "Import-Module ADSync",
                "Set-ADSyncScheduler -SyncCycleEnabled $true",
            ]),
        ],
        seen_by: "the scheduler, whose cycle must be enabled and not suspended".to_owned(),
    }
}

/// The questions before an installation or an upgrade, which set what the topology lists on the way.
fn mending(
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    facts: &Facts,
    installer: Version,
) -> Vec<Step> {
    let mut steps = readiness(entry, tenant, server, facts, Some(installer));
    for step in &mut steps {
        if let Step::Preflight(preflight) = step {
            preflight.may_fix = std::mem::take(&mut preflight.will_fix);
            // Whatever follows, a person is sent to its wizard.
            preflight.stays = false;
        }
    }
    steps
}

/// Whether what is there is as new as what would be installed. Where either is not known an upgrade may be meant.
fn stays(facts: &Facts, installer: Option<Version>) -> bool {
    let there = facts.connect.as_ref().and_then(|connect| connect.version);
    there
        .zip(installer)
        .is_some_and(|(there, newest)| there >= newest)
}

/// The questions to one server alone, before anything is touched.
#[must_use]
pub fn readiness(
    entry: &ConnectEntry,
    tenant: &Tenant,
    server: &TargetId,
    facts: &Facts,
    installer: Option<Version>,
) -> Vec<Step> {
    let absent = facts.connect.is_none();
    vec![Step::Preflight(Preflight {
        target: server.clone(),
        product: Product::Connect,
        present: facts.connect.is_some(),
        cloud: tenant.cloud,
        tenant: tenant.id.clone(),
        sign_in: SignIn::Wizard,
        domains: forests(entry),
        gmsa: None,
        own_rights: None,
        census: absent,
        both_tools: Vec::new(),
        // An engine that is there has its database.
        database: absent.then(|| database(entry, server, installer)).flatten(),
        chosen: filtered(entry).map(|(forest, _)| forest.clone()).collect(),
        demands_tls: installer.is_some_and(|version| DEMANDS_TLS.contains(&version)),
        stays: stays(facts, installer),
        may_fix: Vec::new(),
        will_fix: entry.may_fix.iter().copied().collect(),
        options: ServiceOptions {
            proxy: entry.proxy.as_ref().map(|proxy| proxy.address.clone()),
            ..ServiceOptions::default()
        },
        proxy_signs_in: entry.proxy.as_ref().is_some_and(|proxy| proxy.signs_in),
        restarts: false,
        hosts: tenant.about.hosts_otherwise(tenant.cloud, Product::Connect),
        overridden: None,
    })]
}

/// The database on a SQL Server, where the topology names one.
fn database(
    entry: &ConnectEntry,
    server: &TargetId,
    installer: Option<Version>,
) -> Option<ConnectDatabase> {
    let ConnectSettings::Custom(settings) = &entry.settings else {
        return None;
    };
    let own = settings.database_of(server)?.clone();
    Some(ConnectDatabase {
        server: own.server,
        name: own.name,
        existing: own.existing,
        installer,
    })
}

/// Versions whose setup demands the settings of TLS 1.2 (product facts 2.8 [R]).
const DEMANDS_TLS: std::ops::RangeInclusive<Version> =
    Version::new(2, 3, 20, 0)..=Version::new(2, 4, 129, 0);

/// Forests of which organizational units are written, with these. Of every other forest Connect reads each domain.
fn filtered(entry: &ConnectEntry) -> impl Iterator<Item = (&DomainName, &Vec<String>)> {
    let written = match &entry.settings {
        ConnectSettings::Custom(settings) => Some(&settings.units),
        ConnectSettings::Express | ConnectSettings::Unwritten => None,
    };
    let written = written.into_iter().flatten();
    written.filter(move |(forest, units)| {
        !units.is_empty() && entry.forests.iter().any(|(one, _)| one == *forest)
    })
}

/// The forests, to be found and asked at their root domains, and the other domains in which chosen units lie. A server finds the
/// other domains of a forest that is read whole by itself.
fn forests(entry: &ConnectEntry) -> Vec<ServedDomain> {
    let mut names: Vec<DomainName> = entry.forest_names();
    for (forest, units) in filtered(entry) {
        let lower = |unit: &String| cloud_sync::domain_of(unit).to_lowercase();
        let of_units = units
            .iter()
            .filter_map(|unit| lower(unit).parse::<DomainName>().ok());
        for domain in of_units {
            // A root of another tree of the forest is named otherwise: what a unit says counts, and one that is given in another
            // form than by its distinguished name says nothing.
            if domain != *forest && !names.contains(&domain) && names.len() < limits::MAX_DOMAINS {
                names.push(domain);
            }
        }
    }
    let served = |name| ServedDomain {
        name,
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    };
    names.into_iter().map(served).collect()
}

/// Express settings, page by page (the vendor's article, steps E1 to E10).
fn express(entry: &ConnectEntry, tenant: &Tenant) -> TaskText {
    let page = |title: &str, lines: &[String]| Page {
        title: title.to_owned(),
        lines: lines.to_vec(),
    };
    let forest = entry
        .forests
        .first()
        .map(|(forest, _)| forest.to_string())
        .unwrap_or_default();
    let line = |text: &str| text.to_owned();
    TaskText {
        title: format!("install Connect Sync with express settings for {forest}"),
        why: "the vendor supports this setup through its wizard alone".to_owned(),
        bring: vec![
            format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
            format!("an Enterprise Administrator of {forest}"),
            line("a local administrator of the server"),
        ],
        pages: vec![
            page(
                "Sign in",
                &[line("sign in to the server as local administrator")],
            ),
            page(
                "Installer",
                &[line(
                    "start AzureADConnect.msi from C:\\ProgramData\\Entrain\\staged",
                )],
            ),
            page("Welcome", &custom::welcome(tenant)),
            page("Express settings", &[line("Use express settings")]),
            page(
                "Connect to Microsoft Entra ID",
                &[
                    format!(
                        "user and password of a Hybrid Identity Administrator of tenant {}; the role must be assigned directly, not by a group",
                        tenant.id
                    ),
                    line("Next"),
                ],
            ),
            page(
                DIRECTORY,
                &[
                    format!(
                        "an Enterprise Administrator, as {forest}\\administrator or with the NetBIOS name in place of {forest}"
                    ),
                    line("Next"),
                ],
            ),
            page(
                SIGN_IN_CONFIGURATION,
                &[
                    line("shows only when a UPN suffix is not a verified domain of the tenant"),
                    line(
                        "stop here and verify the domain first, unless its users shall sign in with onmicrosoft.com names",
                    ),
                    links::SIGN_IN_CONFIGURATION.to_string(),
                    links::CUSTOM_DOMAIN.to_string(),
                    links::PREREQUISITES.to_string(),
                ],
            ),
            page(
                "Ready to configure",
                &[
                    line("leave \"Start the synchronization process\" ticked"),
                    line(
                        "leave \"Exchange hybrid\" clear: whoever wants it stops here and writes settings = { features = [\"exchange-hybrid\"] } in place of express settings",
                    ),
                    line("Install"),
                ],
            ),
            page("Configuration complete", &[line("Exit")]),
            page(
                "Afterwards",
                &[
                    line(
                        "sign out and in again before using Synchronization Service Manager or the rule editor",
                    ),
                    links::EXPRESS.to_string(),
                ],
            ),
        ],
        seen_by: line(
            "the engine's version, and the scheduler, which must answer and be suspended no more: the wizard is closed",
        ),
    }
}

/// What a verification of one server holds, whatever a plan would change.
#[must_use]
pub fn verification(
    topology: &Topology,
    entry: &ConnectEntry,
    newest: Option<Version>,
) -> Vec<Step> {
    let at_least = topology
        .wanted
        .connect
        .or(newest)
        .unwrap_or(Version::new(0, 0, 0, 0));
    vec![Step::VerifyConnect(VerifyConnect {
        at_least,
        staging: None,
        forests: entry.forest_names(),
        password_sync: entry.plans_password_sync(),
        soaked_seconds: None,
    })]
}
