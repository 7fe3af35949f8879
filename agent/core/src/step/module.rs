//! What the module of the installed provisioning agent takes. Which cmdlets a version has, and which of their parameters go together, is
//! told by it alone (product facts 1.4, 9): it is asked before anything is asked of a person or touched, and what was found is told.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::Version;
use protocol::event::{Failure, Finding, Severity, Verdict};
use protocol::step::{DirectoryRights, ServedDomain, SignIn};
use serde_json::Value;

use crate::catalogue;
use crate::op::Script;
use crate::procedure::{Cx, Flow, Reading, Stop, fail};
use crate::product;
use crate::step::{facts, report};

/// How long the module may take to load and to tell.
const LIMIT: Duration = Duration::from_secs(120);

/// A cmdlet, and the parameters that a script of ours gives it at once.
pub type Call = (&'static str, &'static [&'static str]);

const BY_TOKEN: Call = (
    "Connect-AADCloudSyncAzureAD",
    &["AccessToken", "TenantId", "UserPrincipalName"],
);
const BY_CREDENTIAL: Call = ("Connect-AADCloudSyncAzureAD", &["Credential"]);
const NAMED_GMSA: Call = ("Add-AADCloudSyncGMSA", &["CustomGMSAName"]);
const NEW_GMSA: Call = ("Add-AADCloudSyncGMSA", &["Credential"]);
const DOMAIN: Call = ("Add-AADCloudSyncADDomain", &["DomainName"]);
const DOMAIN_GIVEN: Call = ("Add-AADCloudSyncADDomain", &["DomainName", "Credential"]);
const DOMAIN_PREFERS: Call = (
    "Add-AADCloudSyncADDomain",
    &["DomainName", "PreferredDomainControllers"],
);
const DOMAIN_GIVEN_PREFERS: Call = (
    "Add-AADCloudSyncADDomain",
    &["DomainName", "Credential", "PreferredDomainControllers"],
);
const PERMISSIONS: Call = (
    "Set-AADCloudSyncPermissions",
    &["PermissionType", "TargetDomain", "TargetDomainCredential"],
);
const LIST: Call = ("Get-AADCloudSyncDomains", &[]);

/// Every call of the agent's module that a script of ours makes: product facts 1.4 ([P] but for the sign-in by a token, which is [M] and in no
/// documentation, and the list of domains, [R]) and 1.6 [P][R].
pub const CALLS: &[Call] = &[
    BY_TOKEN,
    BY_CREDENTIAL,
    NAMED_GMSA,
    NEW_GMSA,
    DOMAIN,
    DOMAIN_GIVEN,
    DOMAIN_PREFERS,
    DOMAIN_GIVEN_PREFERS,
    PERMISSIONS,
    LIST,
];

/// The account of a registration, as the cmdlet is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// It stays as it is.
    Kept,
    /// It was made beforehand.
    Named,
    /// The product makes it, with a credential.
    New,
}

/// The calls without which a configuration does not come to its end. The list of domains is none: it is read for the record.
pub(super) fn calls(sign_in: SignIn, account: Account, domains: &[ServedDomain]) -> Vec<Call> {
    let mut calls = vec![match sign_in {
        SignIn::Token => BY_TOKEN,
        SignIn::Credential | SignIn::Wizard => BY_CREDENTIAL,
    }];
    match account {
        Account::Kept => {}
        Account::Named => calls.push(NAMED_GMSA),
        Account::New => calls.push(NEW_GMSA),
    }
    for domain in domains {
        let given = domain.rights == DirectoryRights::Ask;
        calls.push(match (given, domain.preferred_dcs.is_empty()) {
            (false, true) => DOMAIN,
            (true, true) => DOMAIN_GIVEN,
            (false, false) => DOMAIN_PREFERS,
            (true, false) => DOMAIN_GIVEN_PREFERS,
        });
        if !domain.permissions.is_empty() {
            calls.push(PERMISSIONS);
        }
    }
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// Calls as the script takes them, which asks for them once more before it signs in.
pub(super) fn words(calls: &[Call]) -> Vec<String> {
    let word = |(cmdlet, parameters): &Call| {
        let parameters = parameters.iter().map(|one| format!(" -{one}"));
        std::iter::once((*cmdlet).to_owned())
            .chain(parameters)
            .collect()
    };
    calls.iter().map(word).collect()
}

/// What every cmdlet has, whoever wrote it (Windows, about_CommonParameters).
const COMMON: [&str; 13] = [
    "Confirm",
    "Debug",
    "ErrorAction",
    "ErrorVariable",
    "InformationAction",
    "InformationVariable",
    "OutBuffer",
    "OutVariable",
    "PipelineVariable",
    "Verbose",
    "WarningAction",
    "WarningVariable",
    "WhatIf",
];

/// A parameter in one of a cmdlet's sets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    aliases: Vec<String>,
    mandatory: bool,
}

impl Parameter {
    fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        Some(Self {
            name: text(&value["name"])?,
            aliases: value["aliases"]
                .as_array()?
                .iter()
                .map(text)
                .collect::<Option<_>>()?,
            mandatory: value["mandatory"].as_bool()?,
        })
    }

    fn is(&self, name: &str) -> bool {
        let mut names = std::iter::once(&self.name).chain(&self.aliases);
        names.any(|one| one.eq_ignore_ascii_case(name))
    }
}

type Set = Vec<Parameter>;

/// A module, by the names of its cmdlets as it writes them: the sets of parameters of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module(BTreeMap<String, Vec<Set>>);

/// Why a call cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    /// There is no such cmdlet.
    Cmdlet(&'static str),
    /// It has none of these parameters.
    Parameters(&'static str, Vec<&'static str>),
    /// It has them, and takes them in no set together.
    Together(Call),
    /// Whoever gives these must give others as well.
    Demands(Call, Vec<String>),
}

impl std::fmt::Display for Lack {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("-{name}")).collect();
            names.join(" ")
        };
        match self {
            Self::Cmdlet(name) => write!(out, "no cmdlet {name}"),
            Self::Parameters(name, lacks) => write!(out, "{name} takes no {}", list(lacks)),
            Self::Together((name, given)) => {
                write!(out, "{name} takes {} not together", list(given))
            }
            Self::Demands((name, given), demanded) => {
                let demanded: Vec<&str> = demanded.iter().map(String::as_str).collect();
                write!(out, "{name} {} demands {}", list(given), list(&demanded))
            }
        }
    }
}

impl Module {
    /// What the script told: sets of parameters, and at last how many cmdlets there are.
    pub(super) fn read(lines: &[Value]) -> Reading<Self> {
        let wrong = || "the script did not say which parameters a cmdlet has".to_owned();
        let (last, lines) = lines.split_last().ok_or_else(wrong)?;
        let mut cmdlets: BTreeMap<String, Vec<Set>> = BTreeMap::new();
        for line in lines {
            let name = line["cmdlet"].as_str().ok_or_else(wrong)?;
            let parameters = line["parameters"].as_array().ok_or_else(wrong)?.iter();
            let set: Option<Set> = parameters.map(Parameter::read).collect();
            let mut set = set.ok_or_else(wrong)?;
            set.retain(|one| !COMMON.iter().any(|common| one.is(common)));
            cmdlets.entry(name.to_owned()).or_default().push(set);
        }
        // What broke off on the way would lack what comes behind.
        if last["cmdlets"].as_u64() != u64::try_from(cmdlets.len()).ok() {
            return Err("the script did not tell every cmdlet".to_owned());
        }
        Ok(Self(cmdlets))
    }

    /// Why a call cannot be made, where it cannot.
    pub(super) fn lacks(&self, call: Call) -> Option<Lack> {
        let (name, given) = call;
        let sets = self
            .0
            .iter()
            .find(|(one, _)| one.eq_ignore_ascii_case(name));
        let Some((_, sets)) = sets else {
            return Some(Lack::Cmdlet(name));
        };
        let takes = |set: &Set, parameter: &str| set.iter().any(|one| one.is(parameter));
        let nowhere = |parameter: &&&str| !sets.iter().any(|set| takes(set, parameter));
        let unknown: Vec<&str> = given.iter().filter(nowhere).copied().collect();
        if !unknown.is_empty() {
            return Some(Lack::Parameters(name, unknown));
        }
        let together = sets
            .iter()
            .filter(|set| given.iter().all(|one| takes(set, one)));
        let demanded = together.map(|set| {
            let left = |one: &&Parameter| one.mandatory && !given.iter().any(|name| one.is(name));
            let names = set.iter().filter(left).map(|one| one.name.clone());
            names.collect::<Vec<String>>()
        });
        match demanded.min_by_key(Vec::len) {
            None => Some(Lack::Together(call)),
            Some(least) if least.is_empty() => None,
            Some(least) => Some(Lack::Demands(call, least)),
        }
    }

    /// What it lacks of these calls, in their order.
    pub(super) fn lacking(&self, calls: &[Call]) -> Vec<Lack> {
        let mut lacks: Vec<Lack> = calls.iter().filter_map(|call| self.lacks(*call)).collect();
        lacks.dedup();
        lacks
    }

    /// Its cmdlets that no script of ours calls, and their parameters beyond ours: what a newer version brings shows here first.
    fn beyond(&self) -> Vec<String> {
        let ours = |name: &str| {
            let calls = CALLS
                .iter()
                .filter(|(one, _)| one.eq_ignore_ascii_case(name));
            calls.collect::<Vec<&Call>>()
        };
        let mut beyond = Vec::new();
        for (name, sets) in &self.0 {
            let calls = ours(name);
            let known = |one: &&Parameter| {
                let mut given = calls.iter().flat_map(|(_, given)| given.iter());
                given.any(|name| one.is(name))
            };
            let mut others: Vec<&str> = Vec::new();
            for parameter in sets.iter().flatten().filter(|one| !known(one)) {
                if !others.contains(&parameter.name.as_str()) {
                    others.push(&parameter.name);
                }
            }
            let others = others.iter().map(|one| format!(" -{one}"));
            let others: String = others.collect();
            if calls.is_empty() || !others.is_empty() {
                beyond.push(format!("{name}{others}"));
            }
        }
        beyond
    }
}

/// Asks the module that lies there.
fn ask(cx: &mut Cx<'_>) -> Flow<Reading<Module>> {
    let input = serde_json::json!({});
    let lines = cx.script(Script::ReadModule, input, Vec::new(), LIMIT)?;
    let module = lines.and_then(|lines| Module::read(&lines));
    Ok(module.map_err(|why| report::explained(&why)))
}

/// Version of the module's file, where it is there.
fn version(cx: &mut Cx<'_>) -> Flow<Reading<Option<Version>>> {
    let folder = match cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)? {
        Ok(folder) => folder.unwrap_or_else(|| product::AGENT_FOLDER.to_owned()),
        Err(why) => return Ok(Err(why)),
    };
    cx.file_version(&facts::join(&folder, product::AGENT_MODULE))
}

/// How much of a list a finding shows.
const TOLD: usize = 40;

/// MO01: the module as it was found, and what it lacks of what Entrain calls; nothing where no module is there.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn probe(cx: &mut Cx<'_>) -> Flow<Option<Finding>> {
    let version = match version(cx)? {
        Ok(Some(version)) => version,
        Ok(None) => return Ok(None),
        Err(why) => return Ok(Some(catalogue::MO01.finding(why, Verdict::CannotTell))),
    };
    let module = ask(cx)?;
    let show = |module: &Module| {
        let count = module.0.len();
        let lacks = module.lacking(CALLS);
        let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
        let lacks = match lacks.as_slice() {
            [] => "takes every call".to_owned(),
            lacks => lacks.join("; "),
        };
        let beyond = module.beyond();
        let mut shown = format!("version {version}, {count} cmdlets: {lacks}");
        if let [first, ..] = beyond.as_slice() {
            let more = beyond.len().saturating_sub(TOLD);
            let told = beyond.get(1..beyond.len().min(TOLD)).unwrap_or_default();
            shown.push_str(&format!("; besides {first}"));
            told.iter()
                .for_each(|one| shown.push_str(&format!(", {one}")));
            if more > 0 {
                shown.push_str(&format!(" and {more} more"));
            }
        }
        shown
    };
    let fine = |module: &Module| module.lacking(CALLS).is_empty();
    Ok(Some(catalogue::MO01.judge(module, show, fine)))
}

/// Sees that the module takes the calls of a configuration, before a secret is asked for or leave is waited for.
///
/// # Errors
/// While outcomes are missing, and when it does not take them or does not tell.
pub(super) fn require(calls: &[Call], cx: &mut Cx<'_>) -> Flow<()> {
    let module = match ask(cx)? {
        Ok(module) => module,
        Err(why) => {
            let what = "nothing was asked for or changed, since the module of the installed agent did not tell its cmdlets";
            return Err(Stop::Failed(Box::new(report::failure(what, &why))));
        }
    };
    let lacks = module.lacking(calls);
    let Some(first) = lacks.first() else {
        return Ok(());
    };
    let version = version(cx)?;
    let version = version.ok().flatten().map_or_else(
        || "the installed agent".to_owned(),
        |version| format!("provisioning agent {version}"),
    );
    if let Lack::Demands((name, _), demanded) = first
        && *name == DOMAIN.0
        && demanded.iter().all(|one| one == "Credential")
    {
        return Err(demands_credential(&first.to_string()));
    }
    let said: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    let said = said.join("; ");
    let mut failure = Failure::plain(format!(
        "the module of {version} does not take what Entrain calls ({said}): nothing was asked for or changed; {}",
        catalogue::MO01.fix
    ));
    let mut finding = catalogue::MO01.finding(said, Verdict::Fail);
    finding.severity = Severity::Block;
    failure.findings = vec![finding];
    Err(Stop::Failed(Box::new(failure)))
}

/// A domain without a credential is unverified for the cmdlet (1.4): where the module demands one, a person decides.
pub(super) fn demands_credential(how: &str) -> Stop {
    Stop::CannotTell(format!(
        "the module demands a credential to add the domain ({how}): write directory = \"ask\" for it, or take the wizard (sign_in = \"wizard\" of its tenant), and plan again: what is there by then is gone on with"
    ))
}

/// What the script ended with when it asked once more, and something had gone since.
pub(super) fn gone<T>(why: &str) -> Flow<T> {
    fail(format!(
        "the module has changed since it was asked ({why}): nobody is signed in and nothing was changed; {}, and sign the account out where its secret shall not be used elsewhere",
        catalogue::MO01.fix
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(cmdlet: &str, parameters: &[(&str, bool)]) -> Value {
        let one = |(name, mandatory): &(&str, bool)| json!({ "name": name, "aliases": [], "mandatory": mandatory });
        let parameters: Vec<Value> = parameters.iter().map(one).collect();
        json!({ "cmdlet": cmdlet, "parameters": parameters })
    }

    fn module(mut lines: Vec<Value>) -> Module {
        let names: std::collections::BTreeSet<String> = lines
            .iter()
            .map(|line| line["cmdlet"].to_string())
            .collect();
        lines.push(json!({ "cmdlets": names.len() }));
        Module::read(&lines).unwrap()
    }

    const BY_TOKEN_SET: &[(&str, bool)] = &[
        ("AccessToken", true),
        ("TenantId", true),
        ("UserPrincipalName", true),
    ];

    #[test]
    fn a_call_needs_one_set_that_takes_all_of_it_and_demands_no_more() {
        let name = BY_TOKEN.0;
        let lacks = |sets: &[&[(&str, bool)]]| {
            let sets = sets.iter().map(|one| set(name, one));
            module(sets.collect()).lacks(BY_TOKEN)
        };
        let by_credential: &[(&str, bool)] = &[("Credential", true)];
        assert_eq!(lacks(&[by_credential, BY_TOKEN_SET]), None);
        // Names are the same in any case.
        assert_eq!(
            lacks(&[&[
                ("accesstoken", true),
                ("tenantID", false),
                ("userPrincipalName", true),
                ("Verbose", true),
            ]]),
            None
        );
        assert_eq!(
            lacks(&[
                by_credential,
                &[("TenantId", false), ("UserPrincipalName", false)]
            ]),
            Some(Lack::Parameters(name, vec!["AccessToken"]))
        );
        assert_eq!(
            lacks(&[&BY_TOKEN_SET[..2], &BY_TOKEN_SET[2..]]),
            Some(Lack::Together(BY_TOKEN))
        );
        let more = [BY_TOKEN_SET, &[("Cloud", true), ("Quiet", false)]].concat();
        assert_eq!(
            lacks(&[&more]),
            Some(Lack::Demands(BY_TOKEN, vec!["Cloud".to_owned()]))
        );
        assert_eq!(lacks(&[&more, BY_TOKEN_SET]), None);
        assert_eq!(
            module(vec![set("Other", &[])]).lacks(BY_TOKEN),
            Some(Lack::Cmdlet(name))
        );
    }

    #[test]
    fn an_alias_is_a_name() {
        let mut line = set(NAMED_GMSA.0, &[("GroupManagedServiceAccount", true)]);
        line["parameters"][0]["aliases"] = json!(["CustomGMSAName"]);
        let module = module(vec![line]);
        assert_eq!(module.lacks(NAMED_GMSA), None);
        assert!(module.lacks(NEW_GMSA).is_some());
    }

    /// What was cut off, or came in another form, is no module that lacks something.
    #[test]
    fn what_was_not_told_whole_is_not_read() {
        let count = |number: u64| json!({ "cmdlets": number });
        let one = set(LIST.0, &[]);
        assert!(Module::read(&[one.clone(), count(1)]).is_ok());
        for lines in [
            vec![],
            vec![count(1)],
            vec![one.clone()],
            vec![one.clone(), count(2)],
            vec![json!({ "cmdlet": "A" }), count(1)],
            vec![
                json!({ "cmdlet": "A", "parameters": [{ "name": "B" }] }),
                count(1),
            ],
        ] {
            assert!(Module::read(&lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn what_the_table_does_not_know_is_told() {
        let module = module(vec![
            set(LIST.0, &[("Verbose", false)]),
            set("Remove-AADCloudSyncADDomain", &[("DomainName", true)]),
            set(NAMED_GMSA.0, &[("CustomGMSAName", true), ("Force", false)]),
        ]);
        assert_eq!(
            module.beyond(),
            [
                "Add-AADCloudSyncGMSA -Force",
                "Remove-AADCloudSyncADDomain -DomainName"
            ]
        );
    }

    #[test]
    fn a_configuration_names_each_call_that_it_makes_once() {
        let domain = |name: &str, rights, preferred: bool| ServedDomain {
            name: name.parse().unwrap(),
            preferred_dcs: if preferred {
                vec!["dc1.corp.contoso.com".parse().unwrap()]
            } else {
                Vec::new()
            },
            rights,
            permissions: Vec::new(),
        };
        let (ask, handover) = (DirectoryRights::Ask, DirectoryRights::Handover);
        let domains = [
            domain("a.test", ask, true),
            domain("b.test", handover, false),
            domain("c.test", handover, false),
        ];
        assert_eq!(
            words(&calls(SignIn::Token, Account::Named, &domains)),
            [
                "Add-AADCloudSyncADDomain -DomainName",
                "Add-AADCloudSyncADDomain -DomainName -Credential -PreferredDomainControllers",
                "Add-AADCloudSyncGMSA -CustomGMSAName",
                "Connect-AADCloudSyncAzureAD -AccessToken -TenantId -UserPrincipalName",
            ]
        );
        let mut written = domain("d.test", ask, false);
        written.permissions = vec![protocol::step::Permission::All];
        let kept = calls(SignIn::Credential, Account::Kept, &[written]);
        assert!(kept.contains(&PERMISSIONS) && kept.contains(&BY_CREDENTIAL));
        assert!(!kept.iter().any(|(name, _)| *name == NAMED_GMSA.0));
        assert!(kept.iter().all(|call| CALLS.contains(call)));
    }
}
