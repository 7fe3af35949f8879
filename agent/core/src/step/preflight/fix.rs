//! Prerequisites that Entrain may set itself: what the topology lists in `may_fix`, with the old value told.

use protocol::Generation;
use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::step::{Fix, Preflight, Product};
use serde::{Deserialize, Serialize};

use super::policies::{Looked, Policies};
use crate::op::{Op, RegistryValue};
use crate::procedure::{Cx, Flow, Reading};
use crate::product;

/// A value that [`Fix::Tls12`] sets, for one product or both.
pub(super) struct Setting {
    of: &'static [Product],
    /// Name of its note in [`product::SET_KEY`].
    pub(super) note: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    wanted: u32,
}

impl Setting {
    const fn new(
        of: &'static [Product],
        note: &'static str,
        key: &'static str,
        value: &'static str,
        wanted: u32,
    ) -> Self {
        Self {
            of,
            note,
            key,
            value,
            wanted,
        }
    }

    /// The last part of its key, as people speak of it.
    pub(super) fn half(&self) -> &'static str {
        if self.key == product::DOTNET_CRYPTO_KEY_X86 {
            return "32-bit v4.0.30319";
        }
        self.key.rsplit('\\').next().unwrap_or(self.key)
    }

    /// That it was set, as people are told of it.
    fn told(&self, set: u32, was: &Option<RegistryValue>) -> String {
        let half = self.half();
        format!("{} of {half} set to {set} (was {})", self.value, shown(was))
    }

    /// Whether Windows is restarted before the product's setup runs: all values of the agent are set before that, then comes a
    /// restart (1.7 [P]), also where a value was absent.
    fn restarts_before(&self, product: Product) -> bool {
        product == Product::ProvisioningAgent && self.of.contains(&product)
    }

    /// Whether putting it back holds only after a restart: SCHANNEL reads its values when Windows starts. Where nothing was set, the
    /// system's default holds again, which is what was set; a program reads those of .NET when it starts.
    pub(super) fn restarts_back(&self, was_set: bool) -> bool {
        ![product::DOTNET_CRYPTO_KEY, product::DOTNET_CRYPTO_KEY_X86].contains(&self.key) && was_set
    }
}

const AGENT: &[Product] = &[Product::ProvisioningAgent];
const CONNECT: &[Product] = &[Product::Connect];
const BOTH: &[Product] = &[Product::ProvisioningAgent, Product::Connect];

/// All of them (product facts 1.7 [P]; of Connect 2.8 [R], whose preflight asks for those of .NET alone, in both trees). The agent's are
/// followed by a restart of Windows before its setup (1.7 [P]). The vendor's page on Connect asks for one behind all of them too, which
/// holds a setup up no more since 2.4.131.0 does not demand them: it is told and not forced.
pub(super) const SETTINGS: [Setting; 8] = [
    Setting::new(
        AGENT,
        "Tls12ClientEnabled",
        product::TLS12_CLIENT_KEY,
        "Enabled",
        1,
    ),
    Setting::new(
        AGENT,
        "Tls12ClientDisabledByDefault",
        product::TLS12_CLIENT_KEY,
        "DisabledByDefault",
        0,
    ),
    Setting::new(
        AGENT,
        "Tls12ServerEnabled",
        product::TLS12_SERVER_KEY,
        "Enabled",
        1,
    ),
    Setting::new(
        AGENT,
        "Tls12ServerDisabledByDefault",
        product::TLS12_SERVER_KEY,
        "DisabledByDefault",
        0,
    ),
    Setting::new(
        BOTH,
        "DotNetStrongCrypto",
        product::DOTNET_CRYPTO_KEY,
        "SchUseStrongCrypto",
        1,
    ),
    Setting::new(
        CONNECT,
        "DotNetSystemTls",
        product::DOTNET_CRYPTO_KEY,
        "SystemDefaultTlsVersions",
        1,
    ),
    Setting::new(
        CONNECT,
        "DotNetStrongCryptoX86",
        product::DOTNET_CRYPTO_KEY_X86,
        "SchUseStrongCrypto",
        1,
    ),
    Setting::new(
        CONNECT,
        "DotNetSystemTlsX86",
        product::DOTNET_CRYPTO_KEY_X86,
        "SystemDefaultTlsVersions",
        1,
    ),
];

/// Name of the note of [`Fix::Vaultsvc`], and what it says.
pub(super) const VAULT_NOTE: &str = "VaultSvc";
pub(super) const VAULT_WAS: &str = "disabled";

/// Name of the value beside the notes that tells which of them the newest run has made that set something.
const NEWEST: &str = "Newest";

/// What the newest run that set something has set, and whether it has told it: a life of the agent may end between the act and the
/// event, and nothing that is found right later would tell that it was not always so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    /// The bundle's.
    generation: Generation,
    /// Names of its notes.
    notes: Vec<String>,
    told: bool,
}

/// What one run of a preflight sets.
#[derive(Debug, Default)]
pub(super) struct Fixes {
    /// Notes of what was set, by this life of the agent or one before it, and is told with this step's end.
    notes: Vec<String>,
    /// What was set or left, a sentence each.
    pub(super) told: Vec<String>,
}

impl Fixes {
    /// What an earlier life of the agent has set in this step, and what an earlier run has set and not come to tell. Of either what is
    /// still so; what somebody has changed since is theirs.
    pub(super) fn before(cx: &mut Cx<'_>) -> Flow<Self> {
        let mut all = Self::default();
        let text = cx.text(product::SET_KEY, NEWEST)?;
        // One that cannot be read tells nothing; neither does one that is none of its own making.
        let newest = text.ok().flatten();
        let newest = newest.and_then(|text| serde_json::from_str::<Newest>(&text).ok());
        let Some(newest) = newest else {
            return Ok(all);
        };
        let own = cx.resumed() && newest.generation == cx.generation();
        if newest.told && !own {
            return Ok(all);
        }
        let by = if own {
            ""
        } else {
            " by an earlier run, which had not told it"
        };
        for note in newest.notes {
            if let Some(was_set) = still_set(&note, cx)? {
                all.told.push(format!("{was_set}{by}"));
                all.notes.push(note);
            }
        }
        Ok(all)
    }

    /// Keeps that something is about to be set, before it is noted what it was.
    fn begin(&mut self, note: &str, cx: &mut Cx<'_>) -> Flow<Reading<()>> {
        if !self.notes.iter().any(|one| one == note) {
            self.notes.push(note.to_owned());
        }
        self.keep(false, cx)
    }

    fn keep(&self, told: bool, cx: &mut Cx<'_>) -> Flow<Reading<()>> {
        let newest = Newest {
            generation: cx.generation(),
            notes: self.notes.clone(),
            told,
        };
        let text = serde_json::to_string(&newest).expect("it serializes");
        keep(NEWEST, &text, cx)
    }

    /// The step ends with these sentences. Whoever takes it up again in this run tells them all the same; no later run does. Where that
    /// cannot be kept, the next run tells them once more.
    pub(super) fn tell(self, cx: &mut Cx<'_>) -> Flow<Vec<String>> {
        if !self.notes.is_empty() {
            drop(self.keep(true, cx)?);
        }
        Ok(self.told)
    }
}

/// What a note tells that Entrain has set, where that is still so.
fn still_set(note: &str, cx: &mut Cx<'_>) -> Flow<Option<String>> {
    let Some(text) = cx.text(product::SET_KEY, note)?.ok().flatten() else {
        return Ok(None);
    };
    if note == VAULT_NOTE {
        let there = cx.service(product::VAULT_SERVICE)?;
        let is_so = matches!(there, Ok(Some(service)) if service.state != ServiceState::Disabled && !service.automatic);
        return Ok((is_so && text == VAULT_WAS).then(vault_set));
    }
    let setting = SETTINGS.iter().find(|setting| setting.note == note);
    let Some((setting, note)) = setting.zip(Note::read(&text)) else {
        return Ok(None);
    };
    let there = cx.registry(setting.key, setting.value)?;
    if there != Ok(Some(RegistryValue::Number(note.set))) {
        return Ok(None);
    }
    Ok(match note.was {
        Was::Absent => Some(setting.told(note.set, &None)),
        Was::Value(was) => Some(setting.told(note.set, &Some(was))),
        Was::Unread => None,
    })
}

fn vault_set() -> String {
    "VaultSvc set from Disabled to Manual".to_owned()
}

/// What a value was before Entrain set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Was {
    Absent,
    Value(RegistryValue),
    /// It could not be read, or was of a type that nothing here sets: earlier releases set those too.
    Unread,
}

/// Why a value could not be put back, and so is not set: it was not read, or is of a type that nothing here sets.
fn no_way_back(there: &Reading<Option<RegistryValue>>) -> Option<String> {
    match there {
        Err(why) => Some(format!("what is there could not be read: {why}")),
        Ok(Some(RegistryValue::Other | RegistryValue::Empty)) => {
            Some("what is there is of another type, and could not be put back".to_owned())
        }
        Ok(_) => None,
    }
}

/// What is kept of a value: what it was, and what Entrain set, by which it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) was: Was,
    pub(super) set: u32,
}

impl Note {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a note serializes")
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Tells whether a probe is of one of these prerequisites.
fn of(fixes: &[Fix], id: &str) -> bool {
    fixes.iter().any(|fix| match fix {
        Fix::Tls12 => matches!(id, "PF15" | "PF16" | "PF17" | "PF18"),
        Fix::Vaultsvc => id == "PF14",
    })
}

/// Tells whether a finding is one of those that the topology lets Entrain mend, and that no policy sets.
pub(super) fn mends(preflight: &Preflight, policies: &Policies, id: &str) -> bool {
    of(&preflight.may_fix, id) && policies.owns(id) == Ok(false)
}

/// Has a finding say who mends it: Entrain, when the plan is applied; or whoever makes the policy that sets what it is about. That
/// policy is named whether or not Entrain may set the value.
pub(super) fn tell(
    preflight: &Preflight,
    (policies, looked): (&Policies, &Looked),
    findings: &mut [Finding],
) {
    for finding in findings {
        let asked = of(&preflight.will_fix, &finding.id);
        let may = asked || of(&preflight.may_fix, &finding.id);
        let fails = finding.verdict == Verdict::Fail;
        if finding.verdict == Verdict::Pass || !may && !fails {
            continue;
        }
        match policies.behind(finding, looked) {
            Ok(set) if !set.is_empty() => {
                let said: Vec<String> = set.iter().map(ToString::to_string).collect();
                finding.read = format!("{}; {}", finding.read, said.join("; "));
                let mut names: Vec<String> = set.iter().map(|one| one.named()).collect();
                names.dedup();
                let elsewhere = format!(
                    "have {} changed where it is made: what a policy sets is left as it is",
                    names.join(" and ")
                );
                finding.owner = if set.iter().all(|one| one.local) {
                    Owner::Server
                } else {
                    Owner::Directory
                };
                // What says how Entrain sets it is no advice where it does not.
                finding.fix = if of(&[Fix::Tls12, Fix::Vaultsvc], &finding.id) {
                    elsewhere
                } else {
                    format!("{elsewhere}; {}", finding.fix)
                };
            }
            Err(why) => {
                finding.read = format!(
                    "{}; whether a group policy sets it cannot be told: {why}",
                    finding.read
                );
                if may {
                    finding.fix = format!("it is left as it is: {}", finding.fix);
                }
            }
            Ok(_) if asked && fails => {
                finding.severity = finding.severity.min(Severity::Warn);
                finding.owner = Owner::Entrain;
                let restart = match (finding.id.as_str(), preflight.product) {
                    ("PF14", _) => "",
                    (_, Product::ProvisioningAgent) => {
                        "the setup waits for a restart of Windows then (PF19): by the site's rule `reboot`, or by its owner and a retry; "
                    }
                    (_, Product::Connect) => "Windows may have to be restarted then; ",
                };
                finding.fix = format!(
                    "set when the plan is applied (may_fix); {restart}entrain undo puts back what it was"
                );
            }
            Ok(_) => {}
        }
    }
}

/// Sets the prerequisites that the topology allows, where they are not as they must be; gives what was changed, with the
/// old value.
pub(super) fn fix(
    preflight: &Preflight,
    policies: &Policies,
    cx: &mut Cx<'_>,
    changed: &mut Fixes,
) -> Flow<()> {
    if preflight.may_fix.contains(&Fix::Tls12) {
        let own = |setting: &&Setting| setting.of.contains(&preflight.product);
        for setting in SETTINGS.iter().filter(own) {
            set(cx, policies, (setting, preflight.product), changed)?;
        }
    }
    // Connect keeps nothing in Credential Manager.
    let vault = preflight.product == Product::ProvisioningAgent;
    if vault && preflight.may_fix.contains(&Fix::Vaultsvc) {
        let disabled = matches!(cx.service(product::VAULT_SERVICE)?, Ok(Some(service)) if service.state == ServiceState::Disabled);
        if disabled {
            let came = enable(policies, cx, changed)?;
            changed.told.push(came);
        }
    }
    Ok(())
}

/// Sets the service to be started by hand; gives what came of it.
fn enable(policies: &Policies, cx: &mut Cx<'_>, changed: &mut Fixes) -> Flow<String> {
    let left_so = |why: String| Ok(format!("VaultSvc was left disabled: {why}"));
    if let Some(why) = left(policies, product::VAULT_SERVICE, "") {
        return left_so(why);
    }
    if let Err(why) = changed.begin(VAULT_NOTE, cx)? {
        return left_so(why);
    }
    if let Err(why) = keep(VAULT_NOTE, VAULT_WAS, cx)? {
        return left_so(why);
    }
    let enabled = cx.perform(Op::EnableService {
        name: product::VAULT_SERVICE.to_owned(),
    })?;
    Ok(match enabled {
        Ok(()) => vault_set(),
        Err(why) => {
            let after = cx.service(product::VAULT_SERVICE)?;
            let took =
                matches!(after, Ok(Some(service)) if service.state != ServiceState::Disabled);
            let note = not_set(VAULT_NOTE, took, cx)?;
            format!("VaultSvc could not be enabled: {why}{note}")
        }
    })
}

/// Why something is left as it is, where it must be.
pub(super) fn left(policies: &Policies, at: &str, value: &str) -> Option<String> {
    match policies.setting(at, value) {
        Ok(None) => None,
        Ok(Some(set)) => Some(format!("{} sets it{}", set.named(), set.by())),
        Err(why) => Some(format!(
            "whether a group policy sets it cannot be told: {why}"
        )),
    }
}

fn set(
    cx: &mut Cx<'_>,
    policies: &Policies,
    (setting, product): (&Setting, Product),
    changed: &mut Fixes,
) -> Flow<()> {
    let Setting {
        key, value, wanted, ..
    } = *setting;
    let there = cx.registry(key, value)?;
    let before = there.clone().map(|there| there.as_ref().and_then(number));
    let right = |now: u32| if wanted == 0 { now == 0 } else { now != 0 };
    if matches!(before, Ok(Some(now)) if right(now)) {
        return Ok(());
    }
    if let Some(why) = left(policies, key, value).or_else(|| no_way_back(&there)) {
        let half = setting.half();
        changed
            .told
            .push(format!("{value} of {half} was left as it is: {why}"));
        return Ok(());
    }
    let there = there.unwrap_or_default();
    let op = Op::SetRegistry {
        key: key.to_owned(),
        value: value.to_owned(),
        data: RegistryValue::Number(wanted),
    };
    // All noted first: whoever is cut off between note and act has kept what was not lost, and sees a restart too many and
    // not one too few.
    let note = Note {
        was: there.clone().map_or(Was::Absent, Was::Value),
        set: wanted,
    };
    let kept = match changed.begin(setting.note, cx)? {
        Ok(()) => keep(setting.note, &note.to_text(), cx)?,
        Err(why) => Err(why),
    };
    if let Err(why) = kept {
        changed
            .told
            .push(format!("{value} was left as it is: {why}"));
        return Ok(());
    }
    if setting.restarts_before(product)
        && let Err(why) = cx.perform(Op::RequireRestart)?
    {
        let note = not_set(setting.note, false, cx)?;
        changed.told.push(format!(
            "{value} was left as it is: that a restart is needed could not be noted: {why}{note}"
        ));
        return Ok(());
    }
    let came = match cx.perform(op)? {
        Ok(()) => setting.told(wanted, &there),
        Err(why) => {
            let took = cx.registry(key, value)? == Ok(Some(RegistryValue::Number(wanted)));
            let note = not_set(setting.note, took, cx)?;
            format!("{value} could not be set: {why}{note}")
        }
    };
    changed.told.push(came);
    Ok(())
}

/// A value as people are told of it. Texts of the two types are told apart, since both are put back as what they were.
pub(super) fn shown(value: &Option<RegistryValue>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(RegistryValue::Number(number)) => number.to_string(),
        Some(RegistryValue::Text(text)) => format!("{text:?}"),
        Some(RegistryValue::Expandable(text)) => format!("{text:?} (REG_EXPAND_SZ)"),
        Some(RegistryValue::Other | RegistryValue::Empty) => "a value of another type".to_owned(),
    }
}

/// A number as Windows' own tools and administrators write it.
pub(super) fn number(value: &RegistryValue) -> Option<u32> {
    match value {
        RegistryValue::Number(number) => Some(*number),
        RegistryValue::Text(text) | RegistryValue::Expandable(text) => text.trim().parse().ok(),
        RegistryValue::Other | RegistryValue::Empty => None,
    }
}

/// Keeps what was there before, under a name that only this file knows.
fn keep(note: &str, text: &str, cx: &mut Cx<'_>) -> Flow<Reading<()>> {
    let kept = cx.perform(Op::SetRegistry {
        key: product::SET_KEY.to_owned(),
        value: note.to_owned(),
        data: RegistryValue::Text(text.to_owned()),
    })?;
    Ok(kept.map_err(|why| format!("what it was could not be noted: {why}")))
}

/// Has nothing noted of what Entrain did not set: an undo would otherwise take somebody else's later change for its own. Where the
/// setting reads as if the act had taken all the same, the note stays. Gives what there is to add where it could not be taken away.
fn not_set(note: &str, took: bool, cx: &mut Cx<'_>) -> Flow<String> {
    if took {
        return Ok("; it reads as set all the same, and what it was stays noted".to_owned());
    }
    let forgotten = forget(note, cx)?;
    Ok(forgotten.map_or_else(|why| format!("; {why}"), |()| String::new()))
}

/// Takes a note away.
pub(super) fn forget(note: &str, cx: &mut Cx<'_>) -> Flow<Reading<()>> {
    let cleared = cx.perform(Op::ClearRegistry {
        key: product::SET_KEY.to_owned(),
        value: note.to_owned(),
    })?;
    Ok(cleared.map_err(|why| format!("the note of {note} could not be taken away: {why}")))
}
