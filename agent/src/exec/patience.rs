//! How long what the agent begins on a server may take, beside the limits that steps have of their own.

use std::time::Duration;

use crate::exec::{child, installer};

/// How long a PowerShell may take until it runs the script's first line. Beyond that a policy or an antivirus holds it.
const UNTIL_STARTED: Duration = Duration::from_secs(120);

/// How long one installer may take, with whatever it begins: less than a step that runs one, so that such a step tells what still runs. A
/// step that runs one after the other, as a removal may, or that has waited long for somebody else's, is given up by its own limit;
/// what runs then is found by its note, before anything is begun beside it.
const INSTALLER: installer::Patience = installer::Patience {
    ends: Duration::from_secs(55 * 60),
    look: Duration::from_secs(1),
};

/// How long a script may take that has a limit of its own.
pub(super) fn script(limit: Duration) -> child::Patience {
    child::Patience {
        begins: shortened("script-begins").unwrap_or(UNTIL_STARTED),
        ends: shortened("script-ends").unwrap_or(limit),
    }
}

/// How long an installer may take.
pub(super) fn installer() -> installer::Patience {
    installer::Patience {
        ends: shortened("installer-ends").unwrap_or(INSTALLER.ends),
        ..INSTALLER
    }
}

/// How long it is waited between two looks at the same.
pub(super) fn between(time: Duration) -> Duration {
    shortened("waits").map_or(time, |short| short.min(time))
}

/// What a story has shortened, in milliseconds: a file of that name in `test-patience` beside the program.
#[cfg(feature = "test-anchors")]
fn shortened(what: &str) -> Option<Duration> {
    let own = std::env::current_exe().ok()?;
    let text = std::fs::read_to_string(own.with_file_name("test-patience").join(what)).ok()?;
    text.trim().parse().ok().map(Duration::from_millis)
}

#[cfg(not(feature = "test-anchors"))]
#[expect(clippy::missing_const_for_fn, reason = "it reads a file in the suite")]
fn shortened(_: &str) -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use protocol::step::Step;

    use super::*;

    #[test]
    fn one_installer_is_given_up_before_a_step_that_runs_one_is() {
        let install = protocol::step::InstallProvisioningAgent {
            artifact: protocol::Digest::of(b"x"),
            cloud: protocol::step::Cloud::Commercial,
            at_least: protocol::Version::new(1, 1, 1, 1),
            environment: None,
        };
        let remove = protocol::step::RemoveProvisioningAgent {
            tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap(),
        };
        for step in [
            Step::InstallProvisioningAgent(install),
            Step::RemoveProvisioningAgent(remove),
        ] {
            assert!(installer().ends < step.time_limit(), "{}", step.kind());
        }
    }
}
