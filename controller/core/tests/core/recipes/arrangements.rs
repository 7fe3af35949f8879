//! What a step is in beside its kind. A planner's branch that arranges kinds anew, in a way that no recipe of the page has, is met by no fault
//! and no kill: so each of these stands in some case. Every step is taken apart here field by field, so that a new field does not compile before
//! somebody says what of it a case must have.

use std::collections::BTreeSet;
use std::path::Path;

use controller_core::plan::Kind;
use protocol::signed::Phase;
use protocol::step::{
    AddDomains, AwaitFullSync, BothTools, Cloud, CollectSupport, ConnectWork, DirectoryRights,
    DiscoverServers, Fix, GuideConnect, GuideConnectRemoval, GuideProvisioningAgent,
    GuideTransition, InstallProvisioningAgent, OwnRights, Permission, Preflight, Product,
    RegisterProvisioningAgent, RemoveProvisioningAgent, RestartBy, RestartServer,
    ReviewConnectExports, ServedDomain, SetProvisioningAgentOptions, SignIn, StageConnect,
    StartProvisioningAgent, Step, UndoFixes, UpgradeAgent, VerifyConnect, VerifyProvisioningAgent,
    VerifyProvisioningAgentRemoved,
};
use protocol::{ConnectDatabase, ServiceOptions};

use super::CASES;

/// The names of all variants, as whoever reads one by another name is told: no list that somebody would have to keep.
pub(crate) fn variants<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
    let unknown = serde_json::from_str::<T>("\"none\"").err().unwrap();
    let said = unknown.to_string();
    // The first one named is what was read.
    let names = said.split('`').skip(1).step_by(2).skip(1);
    names.map(ToOwned::to_owned).collect()
}

/// A variant's name, without what it holds.
pub(crate) fn name<T: serde::Serialize>(one: &T) -> String {
    match serde_json::to_value(one).unwrap() {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(held) => held.keys().next().unwrap().clone(),
        other => panic!("{other} has no name"),
    }
}

/// What was found of each question: the question, and one of its answers.
#[derive(Default)]
pub(super) struct Found(pub(super) BTreeSet<(&'static str, String)>);

impl Found {
    /// A variant of a closed set.
    pub(super) fn named<T: serde::Serialize>(&mut self, of: &'static str, one: &T) {
        self.0.insert((of, name(one)));
    }

    pub(super) fn word(&mut self, of: &'static str, word: &'static str) {
        self.0.insert((of, word.to_owned()));
    }

    /// Something that is so, or is there, or is not.
    fn either(&mut self, of: &'static str, is: bool) {
        self.word(of, if is { "yes" } else { "no" });
    }

    fn domains(&mut self, domains: &[ServedDomain]) {
        for domain in domains {
            let ServedDomain {
                name: _,
                preferred_dcs,
                rights,
                permissions,
            } = domain;
            self.either(
                "controllers of a domain are preferred",
                !preferred_dcs.is_empty(),
            );
            self.named("rights", rights);
            for permission in permissions {
                self.named("rights that are given", permission);
            }
        }
    }

    fn own_rights(&mut self, of: &'static str, rights: Option<&OwnRights>) {
        self.either(of, rights.is_some());
        let Some(OwnRights {
            home_domain: _,
            replicates,
        }) = rights
        else {
            return;
        };
        for permission in replicates.iter().flat_map(|domain| &domain.permissions) {
            self.named("rights that are read back", permission);
        }
    }

    fn options(&mut self, of: &'static str, options: &ServiceOptions) {
        let ServiceOptions {
            proxy,
            fips_exempt,
            ldap_timeout_millis,
            referral_chasing,
        } = options;
        let all = [
            proxy.is_some(),
            *fips_exempt,
            ldap_timeout_millis.is_some(),
            *referral_chasing,
        ];
        for (word, _) in OPTIONS.into_iter().zip(all).filter(|(_, is)| *is) {
            self.word(of, word);
        }
        if options.is_empty() {
            self.word(of, "none");
        }
    }

    fn database(&mut self, database: Option<&ConnectDatabase>) {
        let word = match database {
            None => "the wizard's own, or that of the engine that is there",
            Some(ConnectDatabase {
                server: _,
                name: _,
                existing,
                installer: _,
            }) => {
                if *existing {
                    "taken over"
                } else {
                    "on a SQL Server"
                }
            }
        };
        self.word("database", word);
    }

    fn preflight(&mut self, preflight: &Preflight) {
        let Preflight {
            target: _,
            product,
            present,
            cloud,
            tenant: _,
            sign_in,
            domains,
            chosen,
            demands_tls,
            gmsa,
            own_rights,
            census,
            both_tools,
            database,
            may_fix,
            will_fix,
            options,
            proxy_signs_in,
            restarts,
            hosts,
            overridden,
            stays,
        } = preflight;
        self.word(
            "asked beforehand of",
            match (product, present) {
                (Product::ProvisioningAgent, false) => "a server for an agent",
                (Product::ProvisioningAgent, true) => "a server with an agent",
                (Product::Connect, false) => "a server for Connect",
                (Product::Connect, true) => "a server with Connect",
            },
        );
        self.named("cloud", cloud);
        self.named("sign-in that is asked beforehand", sign_in);
        self.domains(domains);
        self.either("organizational units are chosen", !chosen.is_empty());
        self.either("the installer demands TLS 1.2", *demands_tls);
        self.either("an account must be usable", gmsa.is_some());
        self.own_rights("rights are asked beforehand", own_rights.as_ref());
        self.either("objects are counted", *census);
        self.either("both tools serve a domain", !both_tools.is_empty());
        for both in both_tools {
            let BothTools {
                domain: _,
                units,
                connect_goes,
            } = both;
            self.either("both tools, by organizational units", !units.is_empty());
            self.either("both tools, and Connect goes", *connect_goes);
        }
        self.database(database.as_ref());
        for fix in may_fix {
            self.named("may set", fix);
        }
        for fix in will_fix {
            self.named("another run may set", fix);
        }
        self.options("options that are reckoned with", options);
        self.either("the engine's proxy demands a sign-in", *proxy_signs_in);
        self.either("a restart follows", *restarts);
        self.either("hosts are asked otherwise", hosts.is_some());
        self.either("operators let it pass", overridden.is_some());
        self.either("what is there stays", *stays);
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn step(&mut self, step: &Step) {
        match step {
            // Nothing is said of it but that it is done.
            Step::ReportFacts
            | Step::FenceConnect
            | Step::ReadConnectSettings
            | Step::VerifyConnectRemoved
            | Step::CheckTransition => {}
            Step::Preflight(preflight) => self.preflight(preflight),
            Step::DiscoverServers(DiscoverServers {
                domains: _,
                preferred_dcs,
                accounts,
            }) => {
                self.either(
                    "whoever discovers prefers controllers",
                    !preferred_dcs.is_empty(),
                );
                self.either("whoever discovers knows accounts", !accounts.is_empty());
            }
            Step::InstallProvisioningAgent(InstallProvisioningAgent {
                artifact: _,
                cloud,
                at_least: _,
                environment,
            }) => {
                self.named("cloud of a setup", cloud);
                self.either("a setup is told its cloud otherwise", environment.is_some());
            }
            Step::SetProvisioningAgentOptions(SetProvisioningAgentOptions { options }) => {
                self.options("options that are set", options);
            }
            Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
                target: _,
                tenant: _,
                cloud: _,
                sign_in,
                gmsa,
                home_domain,
                domains,
                proxy,
                wizard: _,
            }) => {
                let home = domains.iter().find(|domain| domain.name == *home_domain);
                let asks = home.is_some_and(|home| home.rights == DirectoryRights::Ask);
                // The product makes its account where a credential of the account's own domain comes (`creates_gmsa` of the agent).
                let account = match (gmsa, asks) {
                    (Some(_), _) => "named",
                    (None, true) => "made by the product",
                    (None, false) => "made beforehand",
                };
                self.word("account", account);
                self.named("sign-in", sign_in);
                self.either("a registration goes by a proxy", proxy.is_some());
                self.domains(domains);
            }
            Step::AddDomains(AddDomains {
                tenant: _,
                sign_in,
                proxy,
                domains,
                wizard: _,
            }) => {
                self.named("sign-in", sign_in);
                let word = if *sign_in == SignIn::Wizard {
                    "at the wizard"
                } else {
                    "by cmdlets"
                };
                self.word("domains are added", word);
                self.either("a new domain goes by a proxy", proxy.is_some());
                self.domains(domains);
            }
            Step::GuideProvisioningAgent(GuideProvisioningAgent {
                target: _,
                tenant: _,
                gmsa,
                home_domain: _,
                preferred_dcs,
                domains: _,
                text: _,
            }) => {
                self.either("a wizard is given an account", gmsa.is_some());
                self.either("a wizard is given controllers", !preferred_dcs.is_empty());
            }
            Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
                tenant: _,
                at_least: _,
                gmsa,
                own_rights,
                options,
                soaked_seconds,
            }) => {
                self.either("an account is verified by its name", gmsa.is_some());
                self.own_rights("rights are read back", own_rights.as_ref());
                self.options("options that are verified", options);
                self.either("an agent is watched", soaked_seconds.is_some());
            }
            Step::StageConnect(StageConnect { artifact: _ }) => {}
            Step::GuideConnect(GuideConnect {
                work,
                at_least: _,
                text: _,
                release,
            }) => {
                let cycle = if release.is_some() {
                    "released"
                } else {
                    "left as it is"
                };
                self.0
                    .insert(("Connect's work and its cycle", of_cycle(&name(work), cycle)));
            }
            Step::VerifyConnect(VerifyConnect {
                at_least: _,
                staging,
                forests,
                password_sync,
                soaked_seconds,
            }) => {
                self.word(
                    "mode that is verified",
                    match staging {
                        None => "any",
                        Some(true) => "staging",
                        Some(false) => "active",
                    },
                );
                self.either("forests are verified", !forests.is_empty());
                self.either("password hashes are verified", *password_sync);
                self.either("an engine is watched", soaked_seconds.is_some());
            }
            Step::ReviewConnectExports(ReviewConnectExports {
                limits: _,
                max_age_minutes: _,
                overridden,
            }) => self.either("operators let it pass", overridden.is_some()),
            Step::GuideConnectRemoval(GuideConnectRemoval {
                text: _,
                pass_through: _,
            }) => {}
            Step::RemoveProvisioningAgent(RemoveProvisioningAgent { tenant: _ }) => {}
            Step::VerifyProvisioningAgentRemoved(VerifyProvisioningAgentRemoved {
                target: _,
                gmsa,
                home_domain: _,
            }) => self.either("the account of one that is gone is known", gmsa.is_some()),
            Step::CollectSupport(CollectSupport { tenant: _ }) => {}
            Step::RestartServer(RestartServer { by }) => self.named("restarts", by),
            Step::UpgradeAgent(UpgradeAgent {
                version: _,
                release: _,
            }) => {}
            Step::StartProvisioningAgent(StartProvisioningAgent { tenant: _ }) => {}
            Step::GuideTransition(GuideTransition {
                target: _,
                tenant: _,
                home_domain: _,
                preferred_dcs,
                text: _,
                doubts: _,
                afterwards: _,
            }) => self.either("a move is given controllers", !preferred_dcs.is_empty()),
            Step::UndoFixes(UndoFixes { fixes, anyway }) => {
                for fix in fixes {
                    self.named("is put back", fix);
                }
                self.either("is put back below a product", *anyway);
            }
            Step::AwaitFullSync(AwaitFullSync {
                within_minutes: _,
                text: _,
            }) => {}
        }
    }
}

/// What `options` has a word for, in the order of the fields.
const OPTIONS: [&str; 4] = [
    "proxy",
    "FIPS exception",
    "LDAP time-out",
    "referral chasing",
];

fn of_cycle(work: &str, cycle: &str) -> String {
    format!("{work}, {cycle}")
}

/// Questions that are answered by yes and no.
const EITHER: [&str; 30] = [
    "controllers of a domain are preferred",
    "organizational units are chosen",
    "the installer demands TLS 1.2",
    "an account must be usable",
    "rights are asked beforehand",
    "objects are counted",
    "both tools serve a domain",
    "both tools, by organizational units",
    "both tools, and Connect goes",
    "the engine's proxy demands a sign-in",
    "a restart follows",
    "hosts are asked otherwise",
    "operators let it pass",
    "whoever discovers prefers controllers",
    "whoever discovers knows accounts",
    "a setup is told its cloud otherwise",
    "a registration goes by a proxy",
    "a new domain goes by a proxy",
    "a wizard is given an account",
    "a wizard is given controllers",
    "an account is verified by its name",
    "rights are read back",
    "an agent is watched",
    "forests are verified",
    "password hashes are verified",
    "an engine is watched",
    "the account of one that is gone is known",
    "a move is given controllers",
    "is put back below a product",
    "what is there stays",
];

/// Questions whose answers are words.
const WORDS: [(&str, &[&str]); 8] = [
    (
        "asked beforehand of",
        &[
            "a server for an agent",
            "a server with an agent",
            "a server for Connect",
            "a server with Connect",
        ],
    ),
    (
        "database",
        &[
            "the wizard's own, or that of the engine that is there",
            "on a SQL Server",
            "taken over",
        ],
    ),
    (
        "account",
        &["named", "made by the product", "made beforehand"],
    ),
    ("domains are added", &["by cmdlets", "at the wizard"]),
    ("mode that is verified", &["any", "staging", "active"]),
    (
        "options that are reckoned with",
        &["none", OPTIONS[0], OPTIONS[1], OPTIONS[2], OPTIONS[3]],
    ),
    (
        "options that are verified",
        &["none", OPTIONS[0], OPTIONS[1], OPTIONS[2], OPTIONS[3]],
    ),
    ("options that are set", &OPTIONS),
];

/// What no case has, and why; where another file has it, that is named.
const NOT_MET: &[(&str, &str, &str)] = &[
    (
        "the installer demands TLS 1.2",
        "yes",
        "an installer of before the newest one: connect_ready.rs",
    ),
    (
        "both tools, by organizational units",
        "yes",
        "which units a domain has of Connect: both_tools.rs",
    ),
    (
        "both tools, and Connect goes",
        "yes",
        "an entry without servers: both_tools.rs",
    ),
    (
        "hosts are asked otherwise",
        "yes",
        "whoever runs the controller writes them in its data on clouds: otherwise.rs",
    ),
    (
        "a setup is told its cloud otherwise",
        "yes",
        "whoever runs the controller writes it in its data on clouds: otherwise.rs",
    ),
    (
        "operators let it pass",
        "yes",
        "no plan does: it is put into the work of one that was applied: overrides.rs",
    ),
    (
        "whoever discovers prefers controllers",
        "yes",
        "it is asked of the same servers in another order: recipes.rs",
    ),
    (
        "whoever discovers knows accounts",
        "yes",
        "the directory is asked for one more name",
    ),
    (
        "a move is given controllers",
        "yes",
        "the same wait for another controller: recipes.rs",
    ),
    (
        "is put back below a product",
        "yes",
        "an operator says so: undo.rs",
    ),
    (
        "Connect's work and its cycle",
        "install-staging, released",
        "a database that is taken over where the cycle is to be off: custom.rs",
    ),
    (
        "Connect's work and its cycle",
        "switch-to-active, released",
        "a change of the mode leaves the cycle alone: switch.rs",
    ),
    (
        "Connect's work and its cycle",
        "switch-to-staging, released",
        "a change of the mode leaves the cycle alone: switch.rs",
    ),
];

/// Every answer to every question.
fn wanted() -> BTreeSet<(&'static str, String)> {
    let cycles = variants::<ConnectWork>().into_iter().flat_map(|work| {
        let cycles = ["released", "left as it is"];
        cycles.map(|cycle| of_cycle(&work, cycle))
    });
    let named = [
        ("plan", variants::<Kind>()),
        ("phase", variants::<Phase>()),
        ("may set", variants::<Fix>()),
        ("another run may set", variants::<Fix>()),
        ("is put back", variants::<Fix>()),
        ("cloud", variants::<Cloud>()),
        ("cloud of a setup", variants::<Cloud>()),
        ("Connect's work and its cycle", cycles.collect()),
        ("restarts", variants::<RestartBy>()),
        ("sign-in", variants::<SignIn>()),
        ("sign-in that is asked beforehand", variants::<SignIn>()),
        ("rights", variants::<DirectoryRights>()),
        ("rights that are given", variants::<Permission>()),
        ("rights that are read back", variants::<Permission>()),
    ];
    let words = WORDS.into_iter().map(|(of, words)| {
        let words = words.iter().map(|word| (*word).to_owned());
        (of, words.collect::<BTreeSet<String>>())
    });
    let either = EITHER.map(|of| (of, ["yes", "no"].map(ToOwned::to_owned).into()));
    let all = named.into_iter().chain(words).chain(either);
    all.flat_map(|(of, names)| {
        assert!(names.len() >= 2, "{of}: {names:?}");
        names.into_iter().map(move |name| (of, name))
    })
    .collect()
}

/// Holds what the cases have against what is wanted but for what no case has, whose reason may name a file beside this one's.
pub(super) fn hold(
    found: &BTreeSet<(&'static str, String)>,
    mut wanted: BTreeSet<(&'static str, String)>,
    not_met: &[(&'static str, &'static str, &'static str)],
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/core");
    for (of, answer, why) in not_met {
        let one = (*of, (*answer).to_owned());
        assert!(!found.contains(&one), "{of}: {answer} is met by now: {why}");
        assert!(wanted.remove(&one), "{of}: {answer} is wanted by nothing");
        let file = why.rsplit(' ').next().filter(|word| word.ends_with(".rs"));
        if let Some(file) = file {
            assert!(folder.join(file).exists(), "{of}: {answer}: {why}");
        }
    }
    let missing: Vec<_> = wanted.difference(found).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
    let unknown: Vec<_> = found.difference(&wanted).collect();
    assert!(unknown.is_empty(), "wanted by nothing: {unknown:?}");
}

/// Each arrangement stands in some case, as each kind of step does, and so comes to the page, to every fault and to the kills.
#[test]
fn every_arrangement_of_a_step_is_planned_in_some_case() {
    let mut found = Found::default();
    for case in CASES {
        let plan = case.plan();
        found.named("plan", &plan.kind);
        for phase in plan.targets.values().flat_map(|part| &part.phases) {
            found.named("phase", &phase.phase);
            phase.steps.iter().for_each(|step| found.step(step));
        }
    }
    hold(&found.0, wanted(), NOT_MET);
}
