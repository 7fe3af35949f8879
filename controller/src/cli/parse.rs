//! What an argument may be: each is parsed into the right type here, or refused with what to write in its place.

use std::path::PathBuf;

use agent_twin::Fault;
use controller_core::finding::nearest;
use protocol::TargetId;
use protocol::step::{Fix, Product};

/// `HOST:PORT`, as agents dial it; the host a name or an address, one of IPv6 in brackets.
pub(super) fn dialled(text: &str) -> Result<String, String> {
    let why = "write HOST:PORT, such as controller.contoso.com:7443; agents dial it by UDP, and it is written into every join file";
    let (host, port) = text.rsplit_once(':').ok_or(why)?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    if port.is_none() {
        return Err(format!("the port is a number from 1 to 65535; {why}"));
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |label: &str| {
                let word = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
                !label.is_empty() && label.chars().all(word)
            };
            host.split('.').all(label)
        }
    };
    is_host.then(|| text.to_owned()).ok_or_else(|| {
        format!("\"{host}\" is neither the name of a host nor an address (one of IPv6 stands in brackets); {why}")
    })
}

/// Failures that a running rollout may have: a number. A share is of a policy, which knows how many targets it will be of.
pub(super) fn failures(text: &str) -> Result<u32, String> {
    if text.ends_with('%') {
        return Err("a share is written in a policy; give a running rollout the number of targets that may fail".to_owned());
    }
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "give the number of targets that may fail, 1 or more; `entrain pause` has nothing more start".to_owned())
}

/// A prerequisite, as `may_fix` has it.
pub(super) fn fix(text: &str) -> Result<Fix, String> {
    let own = Fix::ALL.into_iter().find(|fix| fix.as_str() == text);
    own.ok_or_else(|| format!("write one of {}", Fix::ALL.map(Fix::as_str).join(", ")))
}

/// `SERVER=DOMAIN`, as `handover` takes it.
pub(super) fn member(text: &str) -> Result<(TargetId, protocol::DomainName), String> {
    let (server, domain) = text
        .split_once('=')
        .ok_or("write SERVER=DOMAIN, such as sync-01.dmz.contoso.com=corp.contoso.com")?;
    let server = server
        .parse::<TargetId>()
        .map_err(|error| error.to_string())?;
    let domain = domain
        .parse::<protocol::DomainName>()
        .map_err(|error| error.to_string())?;
    Ok((server, domain))
}

/// `FAULT@TARGET`, as `rehearse` takes it.
pub(super) fn fault(text: &str) -> Result<(TargetId, Fault), String> {
    let (name, target) = text.split_once('@').ok_or("write FAULT@TARGET")?;
    let target = target
        .parse()
        .map_err(|error| format!("{target}: {error}"))?;
    let names: Vec<(String, Fault)> = Fault::ALL
        .into_iter()
        .filter_map(|fault| match serde_json::to_value(fault) {
            Ok(serde_json::Value::String(name)) => Some((name, fault)),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if let Some((_, fault)) = names.iter().find(|(known, _)| known == name) {
        return Ok((target, *fault));
    }
    let known = names.iter().map(|(known, _)| known.as_str());
    Err(match nearest(name, known.clone()) {
        Some(meant) => format!("there is no fault {name}; did you mean {meant}?"),
        None => format!(
            "there is no fault {name}; there are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Platforms that agents are built for, as they name their own.
const PLATFORMS: [&str; 4] = [
    "windows-x86_64",
    "windows-aarch64",
    "linux-x86_64",
    "linux-aarch64",
];

/// `PLATFORM=FILE`, as `release sign` takes it.
pub(super) fn program(text: &str) -> Result<(String, PathBuf), String> {
    let example = "give PLATFORM=FILE, such as windows-x86_64=entrain-agent.exe";
    let (platform, file) = text.split_once('=').ok_or(example)?;
    if file.is_empty() {
        return Err(example.to_owned());
    }
    if !PLATFORMS.contains(&platform) {
        let known = PLATFORMS.join(", ");
        return Err(format!(
            "\"{platform}\" is no platform of an agent: {known}"
        ));
    }
    Ok((platform.to_owned(), PathBuf::from(file)))
}

/// A product, by its name in the log.
pub(super) fn product(text: &str) -> Result<Product, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_agents_can_dial() {
        for good in [
            "controller:7443",
            "controller.contoso.com:7443",
            "10.0.0.1:1",
            "[2001:db8::1]:65535",
        ] {
            assert_eq!(dialled(good).as_deref(), Ok(good));
        }
        for bad in [
            "controller",
            "controller:99999",
            "controller:0",
            "https://controller:7443",
            ":7443",
            "my server:7443",
            "a..b:7443",
            "2001:db8::1:7443",
            "[2001:db8::g]:7443",
            "controller:",
        ] {
            let why = dialled(bad).unwrap_err();
            assert!(why.contains("HOST:PORT"), "{bad}: {why}");
        }
    }

    #[test]
    fn failures_of_a_running_rollout_are_a_number() {
        assert_eq!(failures("3"), Ok(3));
        for bad in ["5%", "200%", "x", "0", "-1"] {
            let why = failures(bad).unwrap_err();
            assert!(
                why.contains("number of targets that may fail"),
                "{bad}: {why}"
            );
        }
    }
}
