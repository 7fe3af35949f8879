//! Known errors: what a log line or message means and what to do about it. The rows are those of sections 1.13 (`KE`) and
//! 2.15 (`KC`) of the product facts; where the facts give no words of the error, there is no row.

use protocol::event::KnownCause;

/// Where words come from. The same words mean an error in one place and nothing in another: a setup's log says of many a
/// registry key that it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The log of the provisioning agent's setup.
    Setup,
    /// What a cmdlet of the provisioning agent's module says.
    Cmdlets,
    /// The provisioning agent's trace.
    Trace,
    /// Logs and messages of Connect Sync.
    Connect,
}

use Source::{Cmdlets, Connect, Setup, Trace};

struct Known {
    id: &'static str,
    /// Where it is looked for.
    of: &'static [Source],
    /// Text to look for, in lower case.
    text: &'static str,
    cause: &'static str,
    fix: &'static str,
}

const TABLE: &[Known] = &[
    Known {
        id: "KE01",
        of: &[Setup],
        text: "failed to start. verify that you have sufficient privileges to start the system services",
        cause: "a group policy takes \"Log on as a service\" from NT SERVICE\\AADConnectProvisioningAgent",
        fix: "have the policy allow NT SERVICE\\ALL SERVICES (and the gMSA) to log on as a service, then retry",
    },
    Known {
        id: "KE02",
        of: &[Cmdlets, Trace],
        text: "failed changing windows service credentials to gmsa",
        cause: "the service was given another logon by hand before the gMSA was set",
        fix: "set the service's logon to Local System, then retry",
    },
    Known {
        id: "KE03",
        of: &[Cmdlets, Trace],
        text: "unable to install service account",
        cause: "the encryption types of the gMSA and of this computer's account do not match",
        fix: "give the gMSA AES encryption types (Set-ADServiceAccount -KerberosEncryptionType AES128,AES256), then retry",
    },
    Known {
        id: "KE04",
        of: &[Setup],
        text: "launch condition",
        cause: "the operating system is none that the product supports",
        fix: "use a full installation of Windows Server 2016 or later",
    },
    Known {
        id: "KE05",
        of: &[Setup, Cmdlets, Trace],
        text: "credential manager service (vaultsvc) is disabled",
        cause: "the service VaultSvc is disabled on this server",
        fix: "set VaultSvc to Manual (or list \"vaultsvc\" in may_fix), then retry",
    },
    Known {
        id: "KE06",
        of: &[Cmdlets, Trace],
        text: "client side timeout limit was exceeded",
        cause: "a domain controller answers too slowly, or an attribute is not indexed",
        fix: "index the attribute, or raise LdapConnectionTimeoutInMilliseconds on every agent",
    },
    Known {
        id: "KE07",
        of: &[Cmdlets],
        text: "aadsts50076",
        cause: "the account must use multi-factor authentication, which this way of signing in cannot do",
        fix: "give an access token from a sign-in with multi-factor authentication, or use the wizard",
    },
    Known {
        id: "KE08",
        of: &[Cmdlets, Trace],
        text: "could not load file or assembly 'newtonsoft.json",
        cause: "another version of Newtonsoft.Json is loaded than the module expects",
        fix: "collect the versions under the install folder and open a case with the vendor; do not swap the file by hand",
    },
    Known {
        id: "KE09",
        of: &[Cmdlets],
        text: "cannot be loaded because running scripts is disabled",
        cause: "the execution policy does not let the product's scripts run",
        fix: "set machine and user policy to RemoteSigned or Undefined; a group policy must be changed where it is made",
    },
    Known {
        id: "KE10",
        of: &[Cmdlets],
        text: "key does not exist",
        cause: "no KDS root key is usable in the forest yet",
        fix: "have the forest's administrator make one (Add-KdsRootKey); it is usable ten hours later",
    },
    Known {
        id: "KE13",
        of: &[Trace],
        text: "quarantined",
        cause: "most calls of the synchronization job fail",
        fix: "look at the job in the portal, mend what it names, then restart it",
    },
    Known {
        id: "KC01",
        of: &[Connect],
        text: "system.diagnostics.diagnosticsource, version=6.0.0.1",
        cause: "an edited miiserver.exe.config was kept by an upgrade to 2.5.190.0 or 2.6.1.0",
        fix: "add the binding redirect of System.Diagnostics.DiagnosticSource to 8.0.0.0 and restart ADSync, or upgrade to 2.6.84.0 or later",
    },
    Known {
        id: "KC02",
        of: &[Connect],
        text: "could not configure application-based authentication for this server",
        cause: "the application could not be registered: TPM, Conditional Access or network",
        fix: "mend the cause that the trace names, then run the wizard again",
    },
    Known {
        id: "KC03",
        of: &[Connect],
        text: "unable to validate credentials",
        cause: "the wizard does not reach the cloud: proxy in machine.config",
        fix: "set defaultProxy in machine.config, then run the wizard again",
    },
    Known {
        id: "KC04",
        of: &[Connect],
        text: "the adsync database already contains data and cannot be overwritten",
        cause: "a database of an earlier installation is left on the SQL Server",
        fix: "back the database up and delete it, or use /useexistingdatabase",
    },
    Known {
        id: "KC05",
        of: &[Connect],
        text: "assembly version in aad connector configuration",
        cause: "a generic LDAP or SQL connector is older than the engine",
        fix: "refresh the connector in Synchronization Service Manager",
    },
    Known {
        id: "KC06",
        of: &[Connect],
        text: "error 25009",
        cause: "the database is in an availability group while setup runs",
        fix: "take it out of the group, and add it again afterwards",
    },
    Known {
        id: "KC07",
        of: &[Connect],
        text: "preupgradefailure",
        cause: "an automatic upgrade broke off before it began",
        fix: "upgrade by hand to the newest version",
    },
    Known {
        id: "KC08",
        of: &[Connect],
        text: "is not recognized as the name of a cmdlet",
        cause: "the product's module is not loaded, or the product is not configured",
        fix: "finish the wizard; then Import-Module ADSync",
    },
];

/// Finds the first error that is known of that source, and the line that shows it.
#[must_use]
pub fn recognize(source: Source, lines: &[String]) -> Option<(KnownCause, String)> {
    let rows = TABLE.iter().filter(|known| known.of.contains(&source));
    let rows: Vec<&Known> = rows.collect();
    lines.iter().find_map(|line| {
        let lower = line.to_lowercase();
        let known = rows.iter().find(|known| lower.contains(known.text))?;
        let cause = KnownCause {
            id: known.id.to_owned(),
            cause: known.cause.to_owned(),
            fix: known.fix.to_owned(),
        };
        Some((cause, line.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_error_is_found_whatever_its_case() {
        let lines = vec![
            "MSI (s) (A0:1C): Executing op".to_owned(),
            "Service 'Microsoft Entra Provisioning Agent' failed to start. Verify that you have sufficient privileges to start the system services.".to_owned(),
        ];
        let (known, line) = recognize(Source::Setup, &lines).unwrap();
        assert_eq!(known.id, "KE01");
        assert_eq!(line, lines[1]);
        assert!(recognize(Source::Setup, &lines[..1]).is_none());
    }

    #[test]
    fn words_count_where_they_mean_an_error() {
        let harmless =
            "MSI (s): Note: 1: 1402 2: UNKNOWN\\Software\\X 3: 2 (registry key does not exist)";
        let error = "Service 'X' failed to start. Verify that you have sufficient privileges to start the system services.";
        let log = [harmless.to_owned(), error.to_owned()];
        assert_eq!(recognize(Source::Setup, &log).unwrap().0.id, "KE01");
        let said = ["Key does not exist".to_owned()];
        assert_eq!(recognize(Source::Cmdlets, &said).unwrap().0.id, "KE10");
        assert!(recognize(Source::Trace, &said).is_none());
    }

    #[test]
    fn every_text_is_in_lower_case_and_every_id_is_its_own() {
        let ids: std::collections::BTreeSet<_> = TABLE.iter().map(|known| known.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        assert!(
            TABLE
                .iter()
                .all(|known| known.text == known.text.to_lowercase())
        );
    }
}
