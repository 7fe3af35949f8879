//! Which group policies set what a preflight reads. What a policy sets is never changed here, and nothing is where that cannot be
//! told; the policy is named, so that whoever makes it can be asked.

use std::fmt;
use std::time::Duration;

use protocol::GmsaName;
use protocol::event::Finding;
use serde_json::Value;

use crate::op::Script;
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::report::Report;

use super::Recorder;

const LIMIT: Duration = Duration::from_secs(120);

/// What group policies set, as Windows' resultant set of policy tells it (PF34 names it for one right; its classes for values,
/// security options and services are [K]). Preferences of a policy are not in it: those that were applied stand in files on the server,
/// one for each policy, where Windows keeps what it took from them (their folder and form are [K]). Such an item sets its value anew at
/// each refresh, as a policy does.
pub(super) struct Policies {
    report: Report,
    /// Values of administrative templates, and services.
    values: Reading<Vec<Set>>,
    /// Values of security options.
    options: Reading<Vec<Set>>,
    /// Values, whole keys and services that preferences set.
    preferences: Reading<Vec<Set>>,
}

/// Something that a policy sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Registry key, or service.
    at: String,
    /// Value; empty for a service, and for all that lies below a key.
    value: String,
    policy: String,
    /// The server's own policy, and no domain's.
    pub(super) local: bool,
    /// It is an item of the policy's preferences.
    preference: bool,
    /// That item is meant for some computers alone (item-level targeting, whose form is [K]); whether for this one is not judged.
    aimed: bool,
}

impl Set {
    fn read(row: &Value) -> Option<Self> {
        let text = |name: &str| Some(row[name].as_str()?.to_owned());
        Some(Self {
            at: text("at")?,
            value: text("value")?,
            policy: text("policy")?,
            local: row["local"].as_bool().unwrap_or(false),
            preference: false,
            aimed: false,
        })
    }

    /// The same of an item of preferences.
    fn item(row: &Value) -> Option<Self> {
        Some(Self {
            preference: true,
            aimed: row["aimed"].as_bool().unwrap_or(false),
            ..Self::read(row)?
        })
    }

    /// Whether it sets that value or, without one, that service. An item of preferences may take away or replace a whole key.
    fn sets(&self, at: &str, value: &str) -> bool {
        let (own, at) = (self.at.to_lowercase(), at.to_lowercase());
        // A key may come with its hive before it.
        if own.ends_with(&at) && self.value.eq_ignore_ascii_case(value) {
            return true;
        }
        let whole = self.preference && self.value.is_empty() && own.contains('\\');
        whole && format!("{at}\\").starts_with(&format!("{}\\", own.trim_end_matches('\\')))
    }

    /// The policy, as people are told of it.
    pub(super) fn named(&self) -> String {
        format!("policy \"{}\"", self.policy)
    }

    /// How it sets it, where that is not as policies do, to be put behind what it does.
    pub(super) const fn by(&self) -> &'static str {
        match (self.preference, self.aimed) {
            (false, _) => "",
            (true, false) => " by a preference",
            (true, true) => {
                " by a preference with item-level targeting, of which it is not judged whether it means this server"
            }
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.value.as_str() {
            "" => "it",
            value => value,
        };
        write!(out, "{} sets {what}{}", self.named(), self.by())
    }
}

/// What a probe looks at that a policy may set.
#[derive(Clone, Copy)]
enum Part {
    /// A service.
    Service(&'static str),
    /// A value, by key and name.
    Value(&'static str, &'static str),
    /// The same of a security option.
    Option(&'static str, &'static str),
    /// All that lies below a key.
    Below(&'static str),
}

/// What was read where a policy may be behind some of it alone: by that it is looked for, and not by the words of an answer.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Of the execution policies the one that a group policy sets does not do.
    pub(super) machine_policy: bool,
    /// What PowerShell records.
    pub(super) recorders: Vec<Recorder>,
    pub(super) app_locker: bool,
    /// WDAC.
    pub(super) code_integrity: bool,
}

/// What lies behind a probe's answer, as far as the answer is about it.
fn parts(finding: &Finding, looked: &Looked) -> Vec<Part> {
    let when = |about: bool, part: Part| about.then_some(part);
    let recorder = |one: Recorder| {
        let (key, value) = one.set_by();
        when(looked.recorders.contains(&one), Part::Value(key, value))
    };
    let some: Vec<Option<Part>> = match finding.id.as_str() {
        // Of the scopes one alone is a policy of this server; the others are set otherwise.
        "PF12" | "PF13" => vec![when(
            looked.machine_policy,
            Part::Value(product::POWERSHELL_POLICY_KEY, "ExecutionPolicy"),
        )],
        "PF33" => vec![Some(Part::Value(product::IE_ESC_KEY, "IsInstalled"))],
        "PF35" => vec![Some(Part::Option(
            product::NTLM_KEY,
            "RestrictSendingNTLMTraffic",
        ))],
        "PF36" => vec![Some(Part::Option(product::FIPS_KEY, "Enabled"))],
        "PF38" => {
            let (key, value) = Recorder::Transcription.set_by();
            vec![Some(Part::Value(key, value))]
        }
        "SEC1" => vec![
            recorder(Recorder::ModuleLogging),
            recorder(Recorder::Transcription),
        ],
        "SEC3" => vec![
            when(looked.app_locker, Part::Below(product::APPLOCKER_KEY)),
            when(
                looked.code_integrity,
                Part::Below(product::CODE_INTEGRITY_KEY),
            ),
        ],
        // Of the account's and the computer's own types no policy says anything.
        "PF52" => vec![when(
            finding.fix == super::directory::POLICY_FIX,
            Part::Option(product::KERBEROS_KEY, product::KERBEROS_TYPES),
        )],
        id => prerequisites(id).iter().copied().map(Some).collect(),
    };
    some.into_iter().flatten().collect()
}

/// What a probe looks at that Entrain may set.
fn prerequisites(id: &str) -> &'static [Part] {
    match id {
        "PF14" => &[Part::Service(product::VAULT_SERVICE)],
        "PF15" => &[
            Part::Value(product::TLS12_CLIENT_KEY, "Enabled"),
            Part::Value(product::TLS12_CLIENT_KEY, "DisabledByDefault"),
        ],
        "PF16" => &[
            Part::Value(product::TLS12_SERVER_KEY, "Enabled"),
            Part::Value(product::TLS12_SERVER_KEY, "DisabledByDefault"),
        ],
        "PF17" => &[Part::Value(
            product::DOTNET_CRYPTO_KEY,
            "SchUseStrongCrypto",
        )],
        "PF18" => &[
            Part::Value(product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto"),
            Part::Value(product::DOTNET_CRYPTO_KEY, "SystemDefaultTlsVersions"),
            Part::Value(product::DOTNET_CRYPTO_KEY_X86, "SchUseStrongCrypto"),
            Part::Value(product::DOTNET_CRYPTO_KEY_X86, "SystemDefaultTlsVersions"),
        ],
        _ => &[],
    }
}

impl Policies {
    /// Reads them; `gmsa` is the account whose right to log on as a service is asked as well.
    pub(super) fn ask(gmsa: Option<&GmsaName>, cx: &mut Cx<'_>) -> Flow<Self> {
        let input = serde_json::json!({ "gmsa": gmsa });
        let report = Report::ask(Script::InspectPolicies, input, LIMIT, cx)?;
        Ok(Self {
            values: report.rows("values", Set::read),
            options: report.rows("options", Set::read),
            preferences: report.rows("preferences", Set::item),
            report,
        })
    }

    /// What was told, for the probe that reads more of it.
    pub(super) const fn report(&self) -> &Report {
        &self.report
    }

    /// What sets a value or, without one, a service.
    pub(super) fn setting(&self, at: &str, value: &str) -> Result<Option<&Set>, &str> {
        let rows = self.values.as_ref().map_err(String::as_str)?;
        // A value may be set as a security option too, where its name was made one.
        let more = self.options.iter().flatten();
        let set = rows.iter().chain(more).find(|set| set.sets(at, value));
        if set.is_some() {
            return Ok(set);
        }
        let items = self.preferences.as_ref().map_err(String::as_str)?;
        Ok(items.iter().find(|set| set.sets(at, value)))
    }

    fn of(&self, part: Part) -> Result<Option<&Set>, &str> {
        match part {
            Part::Service(name) => self.setting(name, ""),
            Part::Value(key, value) => self.setting(key, value),
            Part::Option(key, value) => {
                let set = self.setting(key, value)?;
                if set.is_none() {
                    self.options.as_ref().map_err(String::as_str)?;
                }
                Ok(set)
            }
            Part::Below(key) => {
                let rows = self.values.as_ref().map_err(String::as_str)?;
                let below = |set: &&Set| set.at.to_lowercase().contains(&key.to_lowercase());
                Ok(rows.iter().find(below))
            }
        }
    }

    /// Whether a policy sets something of a prerequisite's probe.
    pub(super) fn owns(&self, id: &str) -> Result<bool, &str> {
        for part in prerequisites(id) {
            if self.of(*part)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What policies set of that which a finding is about.
    pub(super) fn behind(&self, finding: &Finding, looked: &Looked) -> Result<Vec<&Set>, &str> {
        let all = parts(finding, looked).into_iter();
        all.filter_map(|part| self.of(part).transpose()).collect()
    }
}

#[cfg(test)]
mod tests {
    use protocol::event::Verdict;

    use super::*;
    use crate::catalogue::{self, Probe};

    fn set(at: &str, value: &str, policy: &str) -> Set {
        Set {
            at: at.to_owned(),
            value: value.to_owned(),
            policy: policy.to_owned(),
            local: false,
            preference: false,
            aimed: false,
        }
    }

    fn policies(values: Vec<Set>, options: Reading<Vec<Set>>) -> Policies {
        Policies {
            report: Report::of(Value::Null),
            values: Ok(values),
            options,
            preferences: Ok(Vec::new()),
        }
    }

    fn behind(all: &Policies, probe: &Probe, looked: &Looked) -> Vec<String> {
        let finding = probe.finding("as it was read", Verdict::Fail);
        let set = all.behind(&finding, looked).unwrap().into_iter();
        set.map(|one| one.policy.clone()).collect()
    }

    /// One scope of the execution policies is a policy's; another one that fails was set otherwise.
    #[test]
    fn a_policy_is_named_for_its_own_scope_alone() {
        let key = format!("HKLM\\{}", product::POWERSHELL_POLICY_KEY);
        let all = policies(vec![set(&key, "ExecutionPolicy", "P")], Ok(Vec::new()));
        for (machine_policy, named) in [(true, &["P"][..]), (false, &[])] {
            let looked = Looked {
                machine_policy,
                ..Looked::default()
            };
            for probe in [&catalogue::PF12, &catalogue::PF13] {
                assert_eq!(behind(&all, probe, &looked), named);
            }
        }
    }

    #[test]
    fn what_a_finding_is_not_about_names_no_policy() {
        let values = vec![
            set(product::APPLOCKER_KEY, "", "locker"),
            set(product::MODULE_LOGGING_KEY, "EnableModuleLogging", "log"),
        ];
        let all = policies(values, Ok(Vec::new()));
        let of = |probe, looked| behind(&all, probe, &looked);
        let controlled = |app_locker| Looked {
            app_locker,
            code_integrity: true,
            ..Looked::default()
        };
        assert_eq!(of(&catalogue::SEC3, controlled(false)), [""; 0]);
        assert_eq!(of(&catalogue::SEC3, controlled(true)), ["locker"]);
        let recorded = |recorders: &[Recorder]| Looked {
            recorders: recorders.to_vec(),
            ..Looked::default()
        };
        let transcription = recorded(&[Recorder::Transcription]);
        assert_eq!(of(&catalogue::SEC1, transcription), [""; 0]);
        let both = recorded(&[Recorder::ModuleLogging, Recorder::Transcription]);
        assert_eq!(of(&catalogue::SEC1, both), ["log"]);
    }

    /// Whatever sets the value that a wizard's sign-in page needs is named, and of an item of preferences that is meant for some computers
    /// alone it is said that nobody has looked for which.
    #[test]
    fn a_preference_that_is_aimed_is_named_with_that() {
        let row = |aimed: Value| {
            serde_json::json!({
                "at": product::IE_ESC_KEY, "value": "IsInstalled", "policy": "P", "local": false, "aimed": aimed,
            })
        };
        for (aimed, said) in [
            (Value::Bool(false), ""),
            (Value::Null, ""),
            (
                Value::Bool(true),
                " with item-level targeting, of which it is not judged whether it means this server",
            ),
        ] {
            let mut all = policies(Vec::new(), Ok(Vec::new()));
            all.preferences = Ok(vec![Set::item(&row(aimed)).unwrap()]);
            let finding = catalogue::PF33.finding("1", Verdict::Fail);
            let looked = Looked::default();
            let told: Vec<String> = all
                .behind(&finding, &looked)
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(
                told,
                [format!(
                    "policy \"P\" sets IsInstalled by a preference{said}"
                )]
            );
        }
    }

    /// Security options are told by themselves: what they do not tell is unknown of them alone.
    #[test]
    fn security_options_that_are_not_told_are_unknown_by_themselves() {
        let all = policies(Vec::new(), Err("no such class".to_owned()));
        let fips = catalogue::PF36.finding("1", Verdict::Fail);
        let looked = Looked::default();
        assert_eq!(all.behind(&fips, &looked), Err("no such class"));
        assert_eq!(behind(&all, &catalogue::PF17, &looked), [""; 0]);
        assert_eq!(all.owns("PF17"), Ok(false));
    }

    /// The first row of a value is the one that counts; whatever is set twice is told once.
    #[test]
    fn of_several_policies_the_one_that_counts_is_named() {
        let key = product::DOTNET_CRYPTO_KEY;
        let values = vec![
            set(key, "SchUseStrongCrypto", "counts"),
            set(key, "SchUseStrongCrypto", "does not"),
        ];
        let all = policies(values, Ok(Vec::new()));
        let looked = Looked::default();
        assert_eq!(behind(&all, &catalogue::PF18, &looked), ["counts"]);
        assert_eq!(all.owns("PF18"), Ok(true));
    }
}
