//! Conditional Access policies, as the service words them: which demand more than a password of whoever signs in (PF62), which catch
//! accounts of Connect servers (PF69), and of which that cannot be told.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::beyond::Beyond;
use controller_core::facts::Fleetwide;
use controller_core::tenant::{
    ADMINISTRATOR, Account, ConnectAccount, Held, NoUsers, Observation, Part, SyncAccounts, Wants,
    WantsConnect, findings, policies, user,
};
use protocol::Timestamp;
use protocol::event::{Finding, Verdict};
use protocol::step::SignIn;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLE: &str = "d1";

/// A policy for everybody and every application, with these conditions beside, changed; the others are as the service tells of one that
/// has none.
fn policy(conditions: &Value, grant: &Value) -> Value {
    let mut one = json!({
        "id": "p1", "displayName": "it", "state": "enabled",
        "conditions": {
            "clientAppTypes": ["all"], "platforms": null, "locations": null, "devices": null, "clientApplications": null,
            "signInRiskLevels": [], "userRiskLevels": [], "servicePrincipalRiskLevels": [], "insiderRiskLevels": null,
            "authenticationFlows": null,
            "applications": {
                "includeApplications": ["All"], "excludeApplications": [], "includeUserActions": [],
                "includeAuthenticationContextClassReferences": [], "applicationFilter": null,
            },
            "users": {
                "includeUsers": ["All"], "excludeUsers": [], "includeGroups": [], "excludeGroups": [], "includeRoles": [],
                "excludeRoles": [], "includeGuestsOrExternalUsers": null, "excludeGuestsOrExternalUsers": null,
            },
        },
        "grantControls": grant,
        "sessionControls": null,
    });
    for (name, value) in conditions.as_object().into_iter().flatten() {
        let within = value.as_object();
        let within = within.filter(|_| ["applications", "users"].contains(&name.as_str()));
        if let Some(within) = within {
            for (inner, value) in within {
                one["conditions"][name][inner] = value.clone();
            }
        } else {
            one["conditions"][name] = value.clone();
        }
    }
    one
}

/// Grant controls, as the service tells them where these are given.
fn grant(given: &Value) -> Value {
    let mut all = json!({
        "operator": "OR", "builtInControls": [], "customAuthenticationFactors": [], "termsOfUse": [],
        "authenticationStrength@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x", "authenticationStrength": null,
    });
    for (name, value) in given.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

fn mfa() -> Value {
    grant(&json!({ "builtInControls": ["mfa"] }))
}

/// Whoever is to sign in, held against a policy.
fn judged(policy: &Value, role: Held) -> Account {
    let read = policies(&json!({ "value": [policy] })).unwrap();
    let me = json!({ "id": "me", "userPrincipalName": "anna@contoso.com", "userType": "Member" });
    let (id, mut account) = user(&me).unwrap();
    account.role = Part::Seen(role);
    account.global = Part::Seen(Held::Not);
    account.judge(&id, Some(&BTreeSet::new()), ADMINISTRATOR, &read);
    account
}

fn of_entry(name: &str) -> WantsConnect {
    WantsConnect {
        name: name.to_owned(),
        forests: vec!["a.test".parse().unwrap()],
        servers: Vec::new(),
        gone: Vec::new(),
        trees: Vec::new(),
        read: BTreeSet::new(),
    }
}

/// What a probe answers where agents sign in by name and password.
fn answer(seen: &Observation, id: &str) -> Finding {
    let wants = Wants {
        name: "main".to_owned(),
        sign_in: Some(SignIn::Credential),
        agent: None,
        serves: ["b.test".parse().unwrap()].into(),
        hashes: BTreeSet::new(),
        connect: vec![of_entry("main")],
    };
    let found = findings(seen, &wants, &Fleetwide::new(), Beyond::NOTHING);
    let mut own = found.into_iter().map(|one| one.finding);
    own.find(|one| one.id == id).unwrap()
}

fn unseen() -> Observation {
    Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403")
}

fn pf62(policy: &Value) -> Finding {
    let operator = Part::Seen(judged(policy, Held::Direct));
    answer(
        &Observation {
            operator,
            ..unseen()
        },
        "PF62",
    )
}

#[test]
fn any_grant_control_demands_and_one_that_is_not_known_may() {
    use Verdict::{CannotTell, Fail, Pass};
    for (given, verdict) in [
        (json!({ "builtInControls": ["mfa"] }), Fail),
        (json!({ "builtInControls": ["block"] }), Fail),
        (json!({ "builtInControls": ["compliantDevice"] }), Fail),
        (json!({ "customAuthenticationFactors": ["c1"] }), Fail),
        (json!({ "termsOfUse": ["t1"] }), Fail),
        (json!({ "authenticationStrength": { "id": "s1" } }), Fail),
        (json!({ "builtInControls": ["mfa", "something"] }), Fail),
        (json!({ "builtInControls": ["something"] }), CannotTell),
        (json!({ "somethingNew": ["x"] }), CannotTell),
        (json!({ "somethingNew": { "isEnabled": true } }), CannotTell),
        (json!({ "somethingNew": [] }), Pass),
        (json!({ "somethingNew": null }), Pass),
        (json!({}), Pass),
    ] {
        let finding = pf62(&policy(&json!({}), &grant(&given)));
        assert_eq!(finding.verdict, verdict, "{given}: {finding:?}");
    }
    // One that only says how long a session lasts lets everybody in.
    let finding = pf62(&policy(&json!({}), &Value::Null));
    assert_eq!(finding.verdict, Pass, "{finding:?}");
}

/// Conditions under which a policy does not hold for whoever is asked about, or for which nobody here can say.
fn limits() -> [Value; 18] {
    [
        json!({ "locations": { "includeLocations": ["x"] } }),
        json!({ "platforms": { "includePlatforms": ["iOS"] } }),
        json!({ "devices": { "deviceFilter": { "mode": "include", "rule": "x" } } }),
        json!({ "userRiskLevels": ["high"] }),
        json!({ "signInRiskLevels": ["high"] }),
        json!({ "clientAppTypes": ["exchangeActiveSync", "other"] }),
        json!({ "authenticationFlows": { "transferMethods": "deviceCodeFlow" } }),
        json!({ "servicePrincipalRiskLevels": ["high"] }),
        json!({ "insiderRiskLevels": "elevated" }),
        json!({ "insiderRiskLevels": ["elevated"] }),
        json!({ "clientApplications": { "includeServicePrincipals": ["x"] } }),
        json!({ "somethingNew": { "isEnabled": true } }),
        json!({ "somethingNew": ["x"] }),
        json!({ "applications": { "excludeApplications": ["x"] } }),
        json!({ "applications": { "applicationFilter": { "mode": "exclude", "rule": "x" } } }),
        json!({ "applications": { "somethingNew": ["x"] } }),
        json!({ "users": { "somethingNew": ["x"] } }),
        json!({ "users": { "excludeGroups": ["g"] } }),
    ]
}

#[test]
fn a_policy_under_a_condition_that_is_not_looked_at_may_demand_and_blocks_nobody() {
    for limit in limits() {
        // Whose groups were seen is in none of those.
        if !limit["users"]["excludeGroups"].is_null() {
            continue;
        }
        let finding = pf62(&policy(&limit, &mfa()));
        assert_eq!(finding.verdict, Verdict::CannotTell, "{limit}: {finding:?}");
        assert!(
            !finding.blocks() && finding.read.contains("it"),
            "{finding:?}"
        );
    }
    // What the service adds as a remark, and what is there and says nothing, limits nothing.
    for nothing in [
        json!({ "authenticationFlows": null }),
        json!({ "somethingNew": [] }),
        json!({ "insiderRiskLevels": "" }),
        json!({ "locations@odata.context": "x" }),
        json!({ "users": { "excludeGuestsOrExternalUsers": { "guestOrExternalUserTypes": "b2bDirectConnectUser" } } }),
    ] {
        let finding = pf62(&policy(&nothing, &mfa()));
        assert_eq!(finding.verdict, Verdict::Fail, "{nothing}: {finding:?}");
    }
}

/// A role leaves out whoever holds it; of whoever may activate it, it cannot be told.
#[test]
fn a_policy_that_leaves_out_a_role_leaves_out_whoever_holds_it_just_now() {
    let but = policy(
        &json!({ "users": { "excludeRoles": [ADMINISTRATOR] } }),
        &mfa(),
    );
    for (held, demands, may) in [
        (Held::Direct, 0, 0),
        (Held::ByGroup, 0, 0),
        (Held::Eligible, 0, 1),
        (Held::Not, 1, 0),
    ] {
        let account = judged(&but, held);
        let demanded = account.demands.seen().map(BTreeSet::len);
        assert_eq!(
            (demanded, account.may_demand.len()),
            (Some(demands), may),
            "{held:?}"
        );
    }
}

/// The accounts of Connect servers, held against a policy: which of them are applications is known.
fn accounts(policy: &Value, users: &[&str], applications: &[&str]) -> Observation {
    let ids = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let all: BTreeSet<String> = ids(users).union(&ids(applications)).cloned().collect();
    let read = policies(&json!({ "value": [policy] })).unwrap();
    let no_users = NoUsers {
        applications: ids(applications),
        unknown: BTreeSet::new(),
    };
    let held = SyncAccounts::of(&all, &no_users, ROLE, Part::Seen(read));
    let account = |name: &&str| ConnectAccount {
        user: format!("Sync_{name}_00ff@a.onmicrosoft.com"),
        server: Some((*name).to_owned()),
    };
    Observation {
        sync_accounts: Part::Seen(held),
        connect_accounts: Part::Seen(users.iter().map(account).collect()),
        applications: Part::Seen(applications.iter().map(|one| (*one).to_owned()).collect()),
        ..unseen()
    }
}

#[test]
fn a_policy_under_a_condition_that_is_not_looked_at_may_catch_accounts_of_connect_servers() {
    use Verdict::{CannotTell, Fail, Pass};
    let pf69 = |policy: &Value| answer(&accounts(policy, &["S1", "S2"], &[]), "PF69");
    assert_eq!(pf69(&policy(&json!({}), &mfa())).verdict, Fail);
    for limit in limits() {
        let finding = pf69(&policy(&limit, &mfa()));
        assert_eq!(finding.verdict, CannotTell, "{limit}: {finding:?}");
        assert!(finding.read.contains("it"), "{finding:?}");
    }
    let unknown = grant(&json!({ "somethingNew": ["x"] }));
    assert_eq!(pf69(&policy(&json!({}), &unknown)).verdict, CannotTell);
    for out in [
        json!({ "users": { "excludeRoles": [ROLE] } }),
        json!({ "users": { "excludeUsers": ["S1", "S2"] } }),
        json!({ "applications": { "includeApplications": ["x"] } }),
    ] {
        assert_eq!(pf69(&policy(&out, &mfa())).verdict, Pass, "{out}");
    }
}

/// A policy for users is none for applications: where the last user of them is gone, it catches nobody.
#[test]
fn an_application_of_a_connect_server_is_caught_by_no_policy_for_users() {
    let all = policy(&json!({}), &mfa());
    let but = policy(&json!({ "users": { "excludeUsers": ["S1"] } }), &mfa());
    let pf69 = |policy: &Value, users: &[&str], applications: &[&str]| {
        answer(&accounts(policy, users, applications), "PF69")
    };
    let none = pf69(&all, &[], &["A1", "A2"]);
    assert_eq!(none.verdict, Verdict::Pass, "{none:?}");
    assert!(
        none.read.contains("each of the 2") && none.read.contains("application"),
        "{none:?}"
    );
    assert_eq!(pf69(&all, &["S1"], &["A1"]).verdict, Verdict::Fail);
    assert_eq!(pf69(&but, &["S1"], &["A1"]).verdict, Verdict::Pass);
    assert_eq!(pf69(&but, &["S1", "S2"], &["A1"]).verdict, Verdict::Fail);
    // Whoever is neither a user nor an application is a group, whose members are users.
    let mut group = accounts(&all, &["G"], &["A1"]);
    group.connect_accounts = Part::Seen(Vec::new());
    assert_eq!(answer(&group, "PF69").verdict, Verdict::Fail);
    // Of whom it was not seen what they are may be one; whoever is a user beside them is caught.
    let everybody = policies(&json!({ "value": [all] })).unwrap();
    let both: BTreeSet<String> = ["S1", "X"].map(ToOwned::to_owned).into();
    for (unknown, caught) in [(&["X"][..], 1), (&["S1", "X"], 0)] {
        let no_users = NoUsers {
            applications: BTreeSet::new(),
            unknown: unknown.iter().map(|id| (*id).to_owned()).collect(),
        };
        let held = SyncAccounts::of(&both, &no_users, ROLE, Part::Seen(everybody.clone()));
        assert_eq!(held.caught.seen().map(BTreeSet::len), Some(caught));
        assert_eq!(held.may_catch.len(), 1 - caught);
    }
    // A reading of a release that did not tell them apart says by its names what they are.
    let mut before = accounts(&all, &["S1"], &[]);
    before.connect_accounts = Part::Seen(Vec::new());
    before.applications = Part::Seen(vec!["Connect 1".to_owned()]);
    assert_eq!(answer(&before, "PF69").verdict, Verdict::Pass);
}
