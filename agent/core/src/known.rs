//! Known errors: what a log line or message means and what to do about it. The rows are those of sections 1.13 (`KE`) and
//! 2.15 (`KC`) of the product facts. Where the facts describe an error and quote no words of it, the words are those of .NET,
//! Windows or PowerShell for it ([K], unverified on these products); an error that stands in no log is known by the probe that
//! shows it, by a reading of the tenant, or by nothing that Entrain reads.

use protocol::Version;
use protocol::event::KnownCause;
use protocol::known as tenant;

use crate::withhold;

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
    /// The trace of Connect Sync's wizard.
    Connect,
    /// What Windows and the products wrote to event logs.
    Events,
    /// What a product's module says when a script of ours loads it.
    Scripts,
}

use Source::{Cmdlets, Connect, Events, Scripts, Setup, Trace};

struct Known {
    id: &'static str,
    /// Where it is looked for.
    of: &'static [Source],
    /// Texts to look for, in lower case: one of them is enough.
    texts: &'static [&'static str],
    cause: &'static str,
    fix: &'static str,
}

const TABLE: &[Known] = &[
    Known {
        id: "KE01",
        of: &[Setup],
        texts: &[
            "failed to start. verify that you have sufficient privileges to start the system services",
        ],
        cause: "a group policy takes \"Log on as a service\" from NT SERVICE\\AADConnectProvisioningAgent",
        fix: "have the policy allow NT SERVICE\\ALL SERVICES (and the gMSA) to log on as a service, then retry",
    },
    Known {
        id: "KE02",
        of: &[Cmdlets, Trace],
        texts: &["failed changing windows service credentials to gmsa"],
        cause: "the service was given another logon by hand before the gMSA was set",
        fix: "set the service's logon to Local System, then retry",
    },
    Known {
        id: "KE03",
        of: &[Cmdlets, Trace],
        texts: &["unable to install service account"],
        cause: "the encryption types of the gMSA and of this computer's account do not match",
        fix: "give the gMSA AES encryption types (Set-ADServiceAccount -KerberosEncryptionType AES128,AES256), then retry",
    },
    Known {
        id: "KE04",
        of: &[Setup],
        // The first words are those of the report that the facts cite (1.13 [S]); the others are a setup's own ([K]). Burn's log itself
        // says of every failed package the same: error 0x80070643.
        texts: &[
            "installation requires windows server",
            "this operating system is not supported",
        ],
        cause: "the operating system is none that the product supports",
        fix: "use a full installation of Windows Server 2016 or later",
    },
    Known {
        id: "KE20",
        of: &[Setup],
        // 1.7 [P] asks for .NET 4.7.1; with which words the setup refuses is in no source ([K]).
        texts: &[".net framework"],
        cause: "the setup asks for a newer .NET Framework than the server has",
        fix: "install .NET Framework 4.7.1 or later, restart the server, then retry",
    },
    Known {
        id: "KE21",
        of: &[Setup],
        // Windows Installer's own words for its action of that name ([K]): the condition's text stands before them, and was not known.
        texts: &["launchconditions. return value 3"],
        cause: "a condition of the setup is not met: as a rule the operating system, or .NET Framework",
        fix: "see the lines before it in the package's log, beside the agent's own; Windows Server 2016 or later with desktop, and .NET Framework 4.7.1 or later",
    },
    Known {
        id: "KE05",
        of: &[Setup, Cmdlets, Trace],
        texts: &["credential manager service (vaultsvc) is disabled"],
        cause: "the service VaultSvc is disabled on this server",
        fix: "set VaultSvc to Manual, then retry; or list \"vaultsvc\" in may_fix and plan again",
    },
    Known {
        id: "KE06",
        of: &[Cmdlets, Trace],
        texts: &["client side timeout limit was exceeded"],
        cause: "a domain controller answers too slowly, or an attribute is not indexed",
        fix: "index the attribute, or write a longer one for all agents (options = { ldap_timeout = \"120s\" } of the group) and plan again",
    },
    Known {
        id: "KE07",
        of: &[Cmdlets],
        texts: &["aadsts50076"],
        cause: "the account must use multi-factor authentication, which this way of signing in cannot do",
        fix: "give an access token from a sign-in with multi-factor authentication, or use the wizard",
    },
    Known {
        id: "KE08",
        of: &[Cmdlets, Trace],
        texts: &["could not load file or assembly 'newtonsoft.json"],
        cause: "another version of Newtonsoft.Json is loaded than the module expects",
        fix: "collect the versions under the install folder and open a case with the vendor; do not swap the file by hand",
    },
    Known {
        id: "KE19",
        of: &[Scripts, Cmdlets],
        // The words are PowerShell's for a file of a module under AllSigned: one without a signature, and one whose publisher
        // nobody has trusted, about whom it would ask if somebody were there.
        texts: &[
            "is not digitally signed",
            "is not trusted on your system",
            "from this untrusted publisher",
        ],
        cause: "the execution policy AllSigned refuses a file of the product's module: it is not signed, or its publisher is not trusted on this server",
        fix: "see Get-ExecutionPolicy -List; have the policy set to RemoteSigned where it is made; for Connect it does as well to put the publisher's certificate among the trusted publishers of the computer, for a registration of the provisioning agent it does not (PF12)",
    },
    Known {
        id: "KE09",
        of: &[Cmdlets, Scripts],
        // PowerShell's id for whatever a policy refuses ([K]), which is the same in every language and for a file without a signature: of
        // those KE19 knows the English words, and stands before.
        texts: &[
            "cannot be loaded because running scripts is disabled",
            "[unauthorizedaccess]",
            "[unauthorizedaccess,",
        ],
        cause: "the execution policy does not let the product's scripts run",
        fix: "set machine and user policy to RemoteSigned or Undefined; a group policy must be changed where it is made",
    },
    Known {
        id: "KE10",
        of: &[Cmdlets],
        texts: &["key does not exist"],
        cause: "no KDS root key is usable in the forest yet",
        fix: "have the forest's administrator make one (Add-KdsRootKey -EffectiveImmediately); it is usable ten hours later; without that switch it starts ten days later",
    },
    Known {
        id: "KE11",
        of: &[Cmdlets, Trace],
        // 1.13 [P] names a time-out and an invalid certificate as one error; the words are .NET's.
        texts: &[
            "request timed out",
            "operation has timed out",
            "certificate is invalid",
            "could not establish trust relationship for the ssl/tls secure channel",
        ],
        cause: "the server does not reach the hybrid identity service, or something on the way opens its connections",
        fix: "open its URLs and take them out of TLS inspection, then retry; where the product lacks its proxy, which it does not take from the system, write it (options = { proxy = \"http://HOST:PORT\" } of its group) and plan again",
    },
    Known {
        id: "KE12",
        of: &[Cmdlets, Trace],
        texts: &["security error", "pssecurityexception"],
        cause: "the execution policy is Unrestricted, or a group policy sets it: the product's registration scripts do not run",
        fix: "set machine and user policy to RemoteSigned or Undefined; a group policy must be changed where it is made",
    },
    Known {
        id: "KE18",
        of: &[Events],
        // The cause of KE01, as the service manager has it: its event 7041, by source and id in every language, and 7038 and 7000 by their
        // words, since both say of a service whatever kept it from starting, a wrong password too ([K]).
        texts: &[
            "service control manager 7041:",
            "has not been granted the requested logon type",
            "service did not start due to a logon failure",
        ],
        cause: "the service's account may not log on as a service: as a rule a group policy took the right away",
        fix: "have the policy allow NT SERVICE\\ALL SERVICES and the gMSA to log on as a service, then start the service",
    },
    Known {
        id: "KC01",
        of: &[Connect, Events],
        texts: &["system.diagnostics.diagnosticsource, version=6.0.0.1"],
        cause: "an edited miiserver.exe.config was kept by an upgrade to 2.5.190.0 or 2.6.1.0",
        fix: "add the binding redirect of System.Diagnostics.DiagnosticSource to 8.0.0.0 and restart ADSync, or upgrade to 2.6.84.0 or later",
    },
    Known {
        id: "KC02",
        of: &[Connect],
        texts: &["could not configure application-based authentication for this server"],
        cause: "the application could not be registered: TPM, Conditional Access or network",
        fix: "mend the cause that the trace names, then run the wizard again",
    },
    Known {
        id: "KC03",
        of: &[Connect],
        texts: &["unable to validate credentials"],
        cause: "the wizard does not reach the cloud: proxy in machine.config",
        fix: "set defaultProxy in machine.config, then run the wizard again",
    },
    Known {
        id: "KC04",
        of: &[Connect],
        texts: &["the adsync database already contains data and cannot be overwritten"],
        cause: "a database of an earlier installation is left on the SQL Server",
        fix: "back the database up and delete it, or use /useexistingdatabase",
    },
    Known {
        id: "KC05",
        of: &[Connect],
        texts: &["assembly version in aad connector configuration"],
        cause: "a generic LDAP or SQL connector is older than the engine",
        fix: "refresh the connector in Synchronization Service Manager",
    },
    Known {
        id: "KC06",
        of: &[Connect],
        texts: &["error 25009"],
        cause: "the database is in an availability group while setup runs",
        fix: "take it out of the group, and add it again afterwards",
    },
    Known {
        id: "KC07",
        of: &[Connect, Events],
        texts: &["preupgradefailure"],
        cause: "an automatic upgrade broke off before it began",
        fix: "upgrade by hand to the newest version",
    },
    Known {
        id: "KC08",
        of: &[Connect, Scripts],
        // The second is how a script of ours says it, in any language of Windows.
        texts: &[
            "is not recognized as the name of a cmdlet",
            "the module of this version has no cmdlet",
        ],
        cause: "the product's module is not loaded, the product is not configured, or its version has no such cmdlet",
        fix: "finish the wizard, then Import-Module ADSync; where the module is loaded, this version lacks the cmdlet: a newer one may have it, or a person looks by hand",
    },
    Known {
        id: "KC09",
        of: &[Connect],
        texts: &["pass-through authentication", "passthroughauthentication"],
        cause: "2.6.91.0 has a fault: it does not enable pass-through authentication (as secondary sources say)",
        fix: "upgrade to 2.6.92.0, then run the wizard's task again",
    },
    Known {
        id: "KC11",
        of: &[Connect],
        // 2.15 [P]: "script error at MFA"; the second is what the embedded browser says.
        texts: &[
            "script error",
            "an error has occurred in the script on this page",
        ],
        cause: "the sign-in page cannot load secure.aadcdn.microsoftonline-p.com, which multi-factor authentication needs",
        fix: "open TCP 443 to https://secure.aadcdn.microsoftonline-p.com and put it into the trusted sites, then run the wizard again",
    },
];

/// What shows an error that stands in no log.
enum By {
    /// The probe of that id, by failing.
    Probe(&'static str),
    /// The probe of that id, by a reading of the tenant, which the controller judges.
    Tenant(&'static str),
    /// Nothing that Entrain reads: no source names a field of Graph or a line that says so.
    Nothing,
}

/// A known error that stands in no log.
struct Symptom {
    id: &'static str,
    by: By,
    what: &'static str,
    cause: &'static str,
    fix: &'static str,
}

const fn of_tenant(error: &tenant::TenantError) -> Symptom {
    Symptom {
        id: error.id,
        by: By::Tenant(error.probe),
        what: error.what,
        cause: error.cause,
        fix: error.fix,
    }
}

const SYMPTOMS: &[Symptom] = &[
    Symptom {
        id: "KE14",
        by: By::Probe("PF33"),
        what: "the sign-in page of the wizard is blocked",
        cause: "Internet Explorer enhanced security blocks the wizard's sign-in page",
        fix: "turn it off for administrators (Server Manager, Local Server) and run the wizard again",
    },
    Symptom {
        id: "KE15",
        by: By::Nothing,
        what: "bulk deletions are blocked though the job's own guard is fine",
        cause: "the tenant's accidental-delete flag, which Connect set, counts for cloud sync too",
        fix: "Disable-AADCloudSyncToolsDirSyncAccidentalDeletionPrevention -tenantId TENANT, by whoever runs the tenant, once the deletions are meant",
    },
    Symptom {
        id: "KE16",
        by: By::Nothing,
        what: "password hash synchronization shows errors in its first run",
        cause: "these users are not in the tenant yet",
        fix: "wait some cycles: it mends itself",
    },
    of_tenant(&tenant::KE13),
    of_tenant(&tenant::KE17),
    Symptom {
        id: "KC10",
        by: By::Probe("PV35"),
        what: "password hash synchronization is off and does not come back",
        cause: "2.6.84.0 and later do not mend it by themselves (as secondary sources say)",
        fix: "switch it on at the wizard: Customize synchronization options, Optional features",
    },
    Symptom {
        id: "KC12",
        by: By::Probe("WZ02"),
        what: "LocalDB of SQL Server 2012 is left",
        cause: "an upgrade in place from 1.x to 2.x left it, and the database may still be on it (one report)",
        fix: "see on which instance the database ADSync runs before anything is removed; where it is the old one, move by a second server (swap)",
    },
    Symptom {
        id: "KC13",
        by: By::Nothing,
        what: "the installation of Connect, or its part in the directory, fails and nothing above names why",
        cause: "as a rule another account, or choices of one's own for the service's account and database",
        fix: "run the wizard as the same local administrator as before, leave its defaults, and let it create the account in AD",
    },
];

/// A row, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Id.
    pub id: &'static str,
    /// What shows it.
    pub shown: Shown,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// What shows a known error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// One of these texts in a log or message.
    Texts(&'static [&'static str]),
    /// A probe that fails.
    Probe(&'static str, &'static str),
    /// A probe that fails by a reading of the tenant.
    Tenant(&'static str, &'static str),
    /// Nothing that Entrain reads: whoever sees it in the portal finds it here.
    Nowhere(&'static str),
}

/// Every row.
pub fn rows() -> impl Iterator<Item = Row> {
    let texts = TABLE.iter().map(|known| Row {
        id: known.id,
        shown: Shown::Texts(known.texts),
        cause: known.cause,
        fix: known.fix,
    });
    let symptoms = SYMPTOMS.iter().map(|symptom| Row {
        id: symptom.id,
        shown: match symptom.by {
            By::Probe(probe) => Shown::Probe(probe, symptom.what),
            By::Tenant(probe) => Shown::Tenant(probe, symptom.what),
            By::Nothing => Shown::Nowhere(symptom.what),
        },
        cause: symptom.cause,
        fix: symptom.fix,
    });
    texts.chain(symptoms)
}

/// Pass-through authentication fails to be enabled in this version alone (2.14, 2.15 [S]).
const PASS_THROUGH_BROKEN: Version = Version::new(2, 6, 91, 0);

impl Known {
    /// Whether a line, in lower case, shows it. What only names a feature shows an error where it says so, in the version
    /// that has it.
    fn shows(&self, line: &str, version: Option<Version>) -> bool {
        let beside: &[&str] = match self.id {
            // A cmdlet of Windows that is not there says nothing about Connect.
            "KC08" => &["-adsync"],
            "KC09" if version != Some(PASS_THROUGH_BROKEN) => return false,
            "KC09" => &["error", "fail"],
            // Every package's log names .NET among its properties.
            "KE20" => &["requir"],
            _ => &[""],
        };
        self.texts.iter().any(|text| line.contains(text))
            && beside.iter().any(|word| line.contains(word))
    }
}

/// Finds the first error that is known of that source, and the line that shows it, without what is nobody else's business.
#[must_use]
pub fn recognize(source: Source, lines: &[String]) -> Option<(KnownCause, String)> {
    recognized(source, None, lines).next()
}

/// Finds the last error that is known of that source. A trace goes on for as long as a service lives: what stands at its beginning may be over.
#[must_use]
pub fn recognize_last(source: Source, lines: &[String]) -> Option<(KnownCause, String)> {
    recognized(source, None, lines.iter().rev()).next()
}

/// Finds every error that is known of that source, of a product whose version may be known: each once, with the first line that shows it, in the
/// order of the lines. What is over and what came behind it stand in one trace.
#[must_use]
pub fn recognize_all(
    source: Source,
    version: Option<Version>,
    lines: &[String],
) -> Vec<(KnownCause, String)> {
    let mut all: Vec<(KnownCause, String)> = Vec::new();
    for one in recognized(source, version, lines) {
        if !all.iter().any(|(known, _)| known.id == one.0.id) {
            all.push(one);
        }
    }
    all
}

/// What each line shows, where it shows something: the row that comes first, which is the one that says more.
fn recognized<'a>(
    source: Source,
    version: Option<Version>,
    lines: impl IntoIterator<Item = &'a String>,
) -> impl Iterator<Item = (KnownCause, String)> {
    let rows = TABLE.iter().filter(move |known| known.of.contains(&source));
    let rows: Vec<&Known> = rows.collect();
    lines.into_iter().filter_map(move |line| {
        let lower = line.to_lowercase();
        let known = rows.iter().find(|known| known.shows(&lower, version))?;
        let cause = KnownCause {
            id: known.id.to_owned(),
            cause: known.cause.to_owned(),
            fix: known.fix.to_owned(),
        };
        Some((cause, withhold::names(line)))
    })
}

/// The known error that a probe shows by failing, where it is one.
#[must_use]
pub fn of_probe(probe: &str) -> Option<KnownCause> {
    let shows = |one: &&Symptom| matches!(one.by, By::Probe(id) if id == probe);
    let symptom = SYMPTOMS.iter().find(shows)?;
    Some(KnownCause {
        id: symptom.id.to_owned(),
        cause: symptom.cause.to_owned(),
        fix: symptom.fix.to_owned(),
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

    /// Burn says the same of every package that fails; what its package says of it tells one cause from another (1.2, 1.13).
    #[test]
    fn a_package_that_fails_is_told_by_its_own_log() {
        let lines = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let burn = "[D068:D2FC][2023-01-12T13:32:36]e000: Error 0x80070643: Failed to install MSI package.";
        let property = "Property(S): WIX_IS_NETFRAMEWORK_471 = .NET Framework 4.8";
        let ended = "Action ended 13:32:36: LaunchConditions. Return value 3.";
        let passed = "Action ended 13:32:36: LaunchConditions. Return value 1.";
        let os = "Installation requires Windows Server 2012 R2 or higher";
        let net = "This application requires .NET Framework 4.7.1.";
        let id = |all: &[&str]| recognize(Setup, &lines(all)).map(|(known, _)| known.id);
        assert_eq!(id(&[property, passed, burn]), None);
        assert_eq!(id(&[os, ended, burn]).as_deref(), Some("KE04"));
        assert_eq!(id(&[property, net, ended, burn]).as_deref(), Some("KE20"));
        assert_eq!(id(&[property, ended, burn]).as_deref(), Some("KE21"));
    }

    /// A cmdlet of Windows that is missing is another matter.
    #[test]
    fn a_missing_cmdlet_is_connects_where_it_is_one_of_its_own() {
        let said = |name: &str| {
            vec![format!(
                "The term '{name}' is not recognized as the name of a cmdlet"
            )]
        };
        let id = |name| recognize(Scripts, &said(name)).map(|(known, _)| known.id);
        assert_eq!(id("Get-ADSyncScheduler").as_deref(), Some("KC08"));
        assert_eq!(id("Test-ADServiceAccount"), None);
    }

    #[test]
    fn a_feature_that_is_named_is_no_error_and_one_version_alone_has_the_fault() {
        let line = |text: &str| vec![text.to_owned()];
        let failed = line("[ERROR] PassThroughAuthentication: enablement failed");
        let broken = Some(PASS_THROUGH_BROKEN);
        let of = |version, lines: &[String]| recognize_all(Source::Connect, version, lines);
        assert_eq!(of(broken, &failed)[0].0.id, "KC09");
        assert!(of(Some(Version::new(2, 6, 92, 0)), &failed).is_empty());
        assert!(of(None, &failed).is_empty());
        let named = line("[INFO] pass-through authentication: not selected");
        assert!(of(broken, &named).is_empty());
    }

    /// A trace goes on: what stood in it first hides nothing of what comes behind.
    #[test]
    fn every_known_error_of_a_trace_is_found_once_with_its_first_line() {
        let trace = [
            "[ERROR] a Unable to validate credentials",
            "[INFO] page Connect to Microsoft Entra ID",
            "[ERROR] b Unable to validate credentials",
            "[ERROR] An error has occurred in the script on this page",
            "[ERROR] Error 25009",
        ];
        let trace = trace.map(ToOwned::to_owned);
        let all = recognize_all(Source::Connect, None, &trace);
        let told: Vec<(&str, &str)> = all
            .iter()
            .map(|(known, line)| (known.id.as_str(), line.as_str()))
            .collect();
        let wanted = [
            ("KC03", &trace[0]),
            ("KC11", &trace[3]),
            ("KC06", &trace[4]),
        ];
        assert_eq!(told, wanted.map(|(id, line)| (id, line.as_str())));
        let (first, _) = recognize(Source::Connect, &trace).unwrap();
        assert_eq!(first.id, "KC03");
    }

    #[test]
    fn the_line_that_shows_it_names_nobody() {
        let said = ["anna.meier@contoso.com: Unable to validate credentials".to_owned()];
        let (known, line) = recognize(Source::Connect, &said).unwrap();
        assert_eq!(known.id, "KC03");
        assert!(!line.contains("anna") && line.contains("Unable"), "{line}");
    }

    #[test]
    fn every_probe_that_shows_an_error_stands_in_the_catalogue() {
        for symptom in SYMPTOMS {
            let By::Probe(probe) = symptom.by else {
                continue;
            };
            assert!(crate::catalogue::probe(probe).is_some(), "{probe}");
            assert_eq!(of_probe(probe).unwrap().id, symptom.id);
        }
        assert!(of_probe("PV03").is_none());
    }

    /// For each known error that stands in a log: where, a line as the product facts quote it or as .NET, Windows and PowerShell write
    /// it, and the version of the product where one alone has the fault.
    const LINES: &[(&str, Source, &str)] = &[
        (
            "KE01",
            Setup,
            "Error 1920. Service 'Microsoft Entra Provisioning Agent' failed to start. Verify that you have sufficient privileges to start the system services.",
        ),
        (
            "KE02",
            Cmdlets,
            "Failed changing Windows service credentials to gMSA",
        ),
        (
            "KE02",
            Trace,
            "[ERROR] Failed changing Windows service credentials to gMSA.",
        ),
        (
            "KE03",
            Cmdlets,
            "Unable to install service account pGMSA_1a2b$ after 6 retries",
        ),
        (
            "KE03",
            Trace,
            "Unable to install service account pGMSA_1a2b$ after 6 retries",
        ),
        (
            "KE04",
            Setup,
            "MSI (s) (A0:1C) [13:32:36:114]: Product: Microsoft Entra Provisioning Agent -- Installation requires Windows Server 2012 R2 or higher",
        ),
        (
            "KE20",
            Setup,
            "MSI (s) (A0:1C) [13:32:36:114]: Product: Microsoft Entra Provisioning Agent -- This application requires .NET Framework 4.7.1 or later.",
        ),
        (
            "KE21",
            Setup,
            "Action ended 13:32:36: LaunchConditions. Return value 3.",
        ),
        (
            "KE05",
            Setup,
            "Error: the Credential Manager service (VaultSvc) is disabled",
        ),
        (
            "KE05",
            Trace,
            "The Credential Manager service (VaultSvc) is disabled on this server",
        ),
        (
            "KE06",
            Cmdlets,
            "The operation was aborted because the client side timeout limit was exceeded.",
        ),
        (
            "KE06",
            Trace,
            "System.DirectoryServices.Protocols.LdapException: The operation was aborted because the client side timeout limit was exceeded.",
        ),
        (
            "KE07",
            Cmdlets,
            "AADSTS50076: Due to a configuration change made by your administrator you must use multi-factor authentication",
        ),
        (
            "KE08",
            Cmdlets,
            "Could not load file or assembly 'Newtonsoft.Json, Version=10.0.0.0, Culture=neutral' or one of its dependencies.",
        ),
        (
            "KE08",
            Trace,
            "System.IO.FileLoadException: Could not load file or assembly 'Newtonsoft.Json, Version=13.0.0.0'",
        ),
        (
            "KE09",
            Cmdlets,
            "File C:\\x\\RegisterConnector.ps1 cannot be loaded because running scripts is disabled on this system.",
        ),
        (
            "KE09",
            Scripts,
            "File C:\\x\\ADSync.psm1 cannot be loaded because running scripts is disabled on this system.",
        ),
        (
            "KE19",
            Scripts,
            "File C:\\x\\ADSync.psm1 cannot be loaded. The file C:\\x\\ADSync.psm1 is not digitally signed. You cannot run this script on the current system.",
        ),
        (
            "KE19",
            Cmdlets,
            "The publisher of ADSync.Format.ps1xml is not trusted on your system. Only run scripts from trusted publishers.",
        ),
        (
            "KE19",
            Scripts,
            "File C:\\x\\ADSync.psm1 cannot be loaded. The file C:\\x\\ADSync.psm1 is not digitally signed. [UnauthorizedAccess,Microsoft.PowerShell.Commands.ImportModuleCommand]",
        ),
        (
            "KE09",
            Scripts,
            "Die Datei \"C:\\x\\ADSync.psm1\" kann nicht geladen werden. [UnauthorizedAccess,Microsoft.PowerShell.Commands.ImportModuleCommand]",
        ),
        (
            "KE09",
            Cmdlets,
            "Die Datei \"C:\\x\\Register.ps1\" kann nicht geladen werden. [UnauthorizedAccess]",
        ),
        ("KE10", Cmdlets, "Key does not exist"),
        ("KE11", Cmdlets, "The request timed out"),
        (
            "KE11",
            Trace,
            "The underlying connection was closed: Could not establish trust relationship for the SSL/TLS secure channel.",
        ),
        (
            "KE12",
            Cmdlets,
            "PSSecurityException: the script was refused",
        ),
        ("KE12", Trace, "registration: Security error."),
        (
            "KE18",
            Events,
            "Logon failure: the user has not been granted the requested logon type at this computer.",
        ),
        (
            "KE18",
            Events,
            "Service Control Manager 7041: Der Dienst \"AADConnectProvisioningAgent\" konnte sich nicht anmelden.",
        ),
        (
            "KC01",
            Connect,
            "Could not load file or assembly 'System.Diagnostics.DiagnosticSource, Version=6.0.0.1, Culture=neutral'",
        ),
        (
            "KC01",
            Events,
            "System.IO.FileLoadException: 'System.Diagnostics.DiagnosticSource, Version=6.0.0.1'",
        ),
        (
            "KC02",
            Connect,
            "Microsoft Entra Connect could not configure application-based authentication for this server. Setup cannot continue.",
        ),
        ("KC03", Connect, "Unable to validate credentials"),
        (
            "KC04",
            Connect,
            "The ADSync database already contains data and cannot be overwritten",
        ),
        (
            "KC05",
            Connect,
            "Assembly version in AAD Connector configuration (1.0.343.0) is earlier than the actual version",
        ),
        (
            "KC06",
            Connect,
            "Error 25009. The Azure AD Sync Setup Wizard cannot configure the database",
        ),
        ("KC07", Connect, "Auto upgrade ended: PreUpgradeFailure"),
        ("KC07", Events, "The upgrade ended with PreUpgradeFailure"),
        (
            "KC08",
            Connect,
            "The term 'Get-ADSyncScheduler' is not recognized as the name of a cmdlet, function, script file",
        ),
        (
            "KC08",
            Scripts,
            "The term 'Get-ADSyncRule' is not recognized as the name of a cmdlet, function, script file, or operable program.",
        ),
        (
            "KC08",
            Scripts,
            "the module of this version has no cmdlet Get-ADSyncRule",
        ),
        (
            "KC09",
            Connect,
            "[ERROR] PassThroughAuthentication: enablement failed",
        ),
        (
            "KC11",
            Connect,
            "An error has occurred in the script on this page",
        ),
    ];

    /// What says nothing, before the line that does: an account, an address, a harmless end.
    const HARMLESS: &str = "[INFO] anna.meier@contoso.com: step 3 of 7 ended";

    #[test]
    fn each_known_error_is_told_with_its_cause_its_fix_and_the_line_that_shows_it() {
        for (id, source, line) in LINES {
            let row = rows().find(|row| row.id == *id).unwrap();
            let said = [HARMLESS.to_owned(), (*line).to_owned(), HARMLESS.to_owned()];
            let version = (*id == "KC09").then_some(PASS_THROUGH_BROKEN);
            let all = recognize_all(*source, version, &said);
            let (known, shown) = all.first().unwrap();
            assert_eq!((known.id.as_str(), shown.as_str()), (*id, *line));
            assert_eq!(
                (known.cause.as_str(), known.fix.as_str()),
                (row.cause, row.fix)
            );
            assert!(!known.cause.is_empty() && !known.fix.is_empty(), "{id}");
            assert_eq!(recognize_all(*source, version, &said[..1]), [], "{id}");
        }
    }

    /// Every row is shown by something and has its case, in each place where it is looked for.
    #[test]
    fn no_known_error_is_without_a_case() {
        for known in TABLE {
            let mut cases = LINES.iter().filter(|(id, ..)| *id == known.id);
            assert!(
                cases.next().is_some(),
                "{} is recognized in no test",
                known.id
            );
        }
        for (id, source, _) in LINES {
            let known = TABLE.iter().find(|known| known.id == *id).unwrap();
            assert!(known.of.contains(source), "{id}");
        }
        // These show in the portal alone, or are advice for all that is not known: no source names a field of Graph or a line.
        let nowhere = |row: &Row| matches!(row.shown, Shown::Nowhere(_));
        let nowhere: Vec<&str> = rows().filter(nowhere).map(|row| row.id).collect();
        assert_eq!(nowhere, ["KE15", "KE16", "KC13"]);
    }

    #[test]
    fn every_text_is_in_lower_case_and_every_id_is_its_own() {
        let ids: std::collections::BTreeSet<_> = rows().map(|row| row.id).collect();
        assert_eq!(ids.len(), TABLE.len() + SYMPTOMS.len());
        for text in TABLE.iter().flat_map(|known| known.texts) {
            assert_eq!(*text, text.to_lowercase());
        }
    }
}
