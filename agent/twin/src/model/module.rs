//! The module of the modelled provisioning agent: its cmdlets and their parameters, as the product facts name them (1.4, 1.6). Which
//! parameters a set demands is in no source: none does here but those that make up the set.

use agent_core::op::Outcome;
use agent_core::product;
use serde_json::{Value, json};

use super::Twin;
use crate::faults::Fault;

type Set = &'static [&'static str];

/// What signs in by a token (1.4, 3b [M]).
const BY_TOKEN: Set = &["AccessToken", "TenantId", "UserPrincipalName"];

const CMDLETS: &[(&str, &[Set])] = &[
    ("Connect-AADCloudSyncAzureAD", &[&["Credential"], BY_TOKEN]),
    (
        "Add-AADCloudSyncGMSA",
        &[&["Credential"], &["CustomGMSAName"]],
    ),
    (
        "Add-AADCloudSyncADDomain",
        &[&["DomainName", "Credential", "PreferredDomainControllers"]],
    ),
    ("Get-AADCloudSyncDomains", &[&[]]),
    (
        "Set-AADCloudSyncPermissions",
        &[
            &["PermissionType", "EACredential"],
            &["PermissionType", "TargetDomain", "TargetDomainCredential"],
        ],
    ),
    ("Set-AADCloudSyncRestrictedPermissions", &[&["Credential"]]),
    (
        "Set-AADCloudSyncPasswordWritebackConfiguration",
        &[&["Enable", "Credential"]],
    ),
];

impl Twin {
    /// The sets of a cmdlet that this module has.
    fn sets(&self, all: &'static [Set]) -> impl Iterator<Item = Set> {
        let token = !self.has(Fault::TokenNotTaken);
        all.iter()
            .copied()
            .filter(move |set| token || *set != BY_TOKEN)
    }

    /// What the script tells that asks for cmdlets and parameters.
    pub(super) fn module(&self) -> Outcome {
        let folder = product::AGENT_FOLDER;
        let path = format!("{folder}\\{}", product::AGENT_MODULE);
        if !self.files.contains_key(&path.to_lowercase()) {
            return Outcome::Failed(format!("Import-Module: {path} was not found"));
        }
        let parameter = |name: &&str| json!({ "name": name, "aliases": Vec::<&str>::new(), "mandatory": false });
        let common = || json!({ "name": "Verbose", "aliases": ["vb"], "mandatory": false });
        let mut lines = Vec::new();
        for (cmdlet, sets) in CMDLETS {
            for set in self.sets(sets) {
                let parameters = set.iter().map(parameter).chain([common()]);
                let parameters: Vec<Value> = parameters.collect();
                lines.push(json!({ "cmdlet": cmdlet, "parameters": parameters }));
            }
        }
        lines.push(json!({ "cmdlets": CMDLETS.len() }));
        Outcome::Script { lines }
    }

    /// The first of these calls that the module does not take, in the script's words.
    pub(super) fn lacks(&self, calls: &Value) -> Option<String> {
        let calls = calls.as_array().into_iter().flatten();
        calls.filter_map(Value::as_str).find_map(|call| {
            let mut words = call.split(' ');
            let name = words.next()?;
            let Some((_, sets)) = CMDLETS.iter().find(|(one, _)| *one == name) else {
                return Some(format!("the module of this version has no cmdlet {name}"));
            };
            let known: Vec<&str> = self.sets(sets).flatten().copied().collect();
            let unknown = words.find(|one| !known.contains(&one.trim_start_matches('-')))?;
            Some(format!("{name} of this version takes no {unknown}"))
        })
    }
}
