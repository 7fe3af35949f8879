//! What servers report of a product, field by field: the planner may branch by each of them, so that each value of one stands in some case, or
//! here with the reason why it needs none. A new field does not compile before somebody has said so.

use std::collections::BTreeSet;

use protocol::Version;
use protocol::facts::{ConnectFacts, Facts, HostFacts, Owed, ProvisioningAgentFacts, ServiceState};

use super::arrangements::{Found, hold, variants};
use super::{CASES, TENANT, common};

/// How a version stands to the newest installer.
fn stands(version: Option<Version>, newest: Version) -> &'static str {
    match version.map(|version| version.cmp(&newest)) {
        None => UNTOLD,
        Some(std::cmp::Ordering::Less) => "older",
        Some(std::cmp::Ordering::Equal) => "newest",
        Some(std::cmp::Ordering::Greater) => "newer",
    }
}

const fn told(flag: Option<bool>) -> &'static str {
    match flag {
        None => UNTOLD,
        Some(true) => "yes",
        Some(false) => "no",
    }
}

fn service(found: &mut Found, of: &'static str, state: Option<ServiceState>) {
    match state {
        Some(state) => found.named(of, &state),
        None => found.word(of, UNTOLD),
    }
}

const UNTOLD: &str = "untold";

fn of_agent(found: &mut Found, agent: &ProvisioningAgentFacts) {
    let ProvisioningAgentFacts {
        version,
        tenant,
        service: state,
        account,
        options,
        updater,
        owes_registration,
    } = agent;
    found.word("agent, version", stands(*version, common::AGENT));
    found.word(
        "agent, tenant",
        match tenant.as_ref().map(|tenant| tenant.as_str() == TENANT) {
            None => "none",
            Some(true) => "its own",
            Some(false) => "another",
        },
    );
    service(found, "agent, service", *state);
    found.word(
        "agent, account",
        match account.as_deref() {
            None => UNTOLD,
            Some(name) if name.starts_with("NT SERVICE") => "of the setup",
            Some(name) if name.ends_with('$') => "group managed",
            Some(_) => "a person's",
        },
    );
    found.word(
        "agent, options",
        match options.as_ref().map(protocol::ServiceOptions::is_empty) {
            None => UNTOLD,
            Some(true) => "none",
            Some(false) => "some",
        },
    );
    service(found, "agent, updater", *updater);
    match owes_registration {
        Some(owed) => found.named("agent, registration that is owed", owed),
        None => found.word("agent, registration that is owed", "none"),
    }
}

fn of_connect(found: &mut Found, connect: &ConnectFacts) {
    let ConnectFacts {
        version,
        service: state,
        staging,
        cycle_enabled,
        // No plan reads it: a preflight and a verification ask for themselves (PF73, PV24).
        suspended: _,
    } = connect;
    found.word("Connect, version", stands(*version, common::CONNECT));
    service(found, "Connect, service", *state);
    found.word("Connect, staging", told(*staging));
    found.word("Connect, cycle", told(*cycle_enabled));
}

fn of_server(found: &mut Found, facts: &Facts) {
    let Facts {
        // Names and numbers that a plan shows and does not branch by.
        simulated: _,
        agent_version: _,
        host:
            HostFacts {
                os: _,
                // Each has a canary: waves.rs.
                build: _,
                // Where it is none, the server's name tells it.
                domain: _,
                domain_controller,
                // The preflight asks for itself (PF19).
                reboot_pending: _,
            },
        provisioning_agent,
        connect,
        unread,
        // As for a restart (PF73).
        console_open: _,
    } = facts;
    found.word("domain controller", told(Some(*domain_controller)));
    found.word("all was read", told(Some(unread.is_empty())));
    let products = match (provisioning_agent, connect) {
        (None, None) => "neither",
        (Some(_), None) => "an agent",
        (None, Some(_)) => "Connect",
        (Some(_), Some(_)) => "both",
    };
    found.word("products", products);
    if let Some(agent) = provisioning_agent {
        of_agent(found, agent);
    }
    if let Some(connect) = connect {
        of_connect(found, connect);
    }
}

const VERSIONS: &[&str] = &["older", "newest", "newer", UNTOLD];
const TOLD: &[&str] = &["yes", "no", UNTOLD];

const WORDS: [(&str, &[&str]); 13] = [
    ("domain controller", &["yes", "no"]),
    ("all was read", &["yes", "no"]),
    ("products", &["neither", "an agent", "Connect", "both"]),
    ("agent, version", VERSIONS),
    ("agent, tenant", &["its own", "another", "none"]),
    ("agent, service", &[UNTOLD]),
    (
        "agent, account",
        &["group managed", "a person's", "of the setup", UNTOLD],
    ),
    ("agent, options", &["some", "none", UNTOLD]),
    // Of one that runs nothing is told.
    ("agent, updater", &[UNTOLD]),
    ("agent, registration that is owed", &["none"]),
    ("Connect, version", VERSIONS),
    ("Connect, staging", TOLD),
    ("Connect, cycle", TOLD),
];

/// What no server of a case reports, and why.
const NOT_MET: &[(&str, &str, &str)] = &[
    (
        "domain controller",
        "yes",
        "its restarts are a person's, as by the rule to ask: restarts.rs",
    ),
    (
        "all was read",
        "no",
        "nothing is planned for it: changed.rs",
    ),
    (
        "agent, version",
        UNTOLD,
        "what is left of an agent that was taken off: retire.rs",
    ),
    (
        "agent, service",
        UNTOLD,
        "what is left of an agent that was taken off: retire.rs",
    ),
    (
        "agent, account",
        UNTOLD,
        "what is left of an agent that was taken off: retire.rs",
    ),
    (
        "agent, tenant",
        "another",
        "nothing is planned for it (G9): guarded.rs",
    ),
    (
        "agent, options",
        UNTOLD,
        "said in an upgrade's reasons alone, or set by the same step: upgrade.rs",
    ),
    (
        "agent, updater",
        "running",
        "of one that runs nothing is told",
    ),
    (
        "Connect, version",
        UNTOLD,
        "nothing is planned for it: connect.rs",
    ),
    (
        "Connect, service",
        UNTOLD,
        "an engine without a service: its mode is not told either",
    ),
];

#[test]
fn whatever_a_server_may_report_is_reported_in_some_case() {
    let mut found = Found::default();
    for facts in CASES.iter().flat_map(|case| case.reported().into_values()) {
        of_server(&mut found, &facts);
    }
    let words = WORDS.into_iter().flat_map(|(of, words)| {
        let words = words.iter().map(move |word| (of, (*word).to_owned()));
        words.collect::<Vec<_>>()
    });
    let mut wanted: BTreeSet<(&str, String)> = words.collect();
    for of in ["agent, service", "agent, updater", "Connect, service"] {
        wanted.extend(
            variants::<ServiceState>()
                .into_iter()
                .map(|name| (of, name)),
        );
    }
    wanted.insert(("Connect, service", UNTOLD.to_owned()));
    let owed = variants::<Owed>().into_iter();
    wanted.extend(owed.map(|name| ("agent, registration that is owed", name)));
    hold(&found.0, wanted, NOT_MET);
}
