//! A tenant moves from Connect Sync to cloud sync, by the task of Connect's wizard on the active server (product facts 3, the
//! migration tool [P]): whether the server is within the task's limits, the wizard as work for a person, and what of its end
//! shows on the server. Where the module keeps some of the settings is unverified: one that does not show is *cannot tell*,
//! stops nothing by itself, and is asked of a person before the wizard.

use std::time::Duration;

use protocol::event::{Completion, Failure, Finding, GmsaObject, Grade, Section, Verdict};
use protocol::settings::SettingsPart;
use protocol::step::GuideTransition;
use protocol::task::Page;
use protocol::{DomainName, Version};
use serde_json::{Value, json};

use crate::catalogue::{self, Probe};
use crate::op::Script;
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::step::directory::Directory;
use crate::step::engine::is_tenant_connector;
use crate::step::provisioning_agent::{Registered, state_of};
use crate::step::report::explained;
use crate::step::{self, WATCH, connect, controllers, facts, place, trouble};

/// As for the comparison of settings, whose script this is.
const READ_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The first version whose wizard has the task ([S]).
const SINCE: Version = Version::new(2, 6, 91, 0);

/// Most objects in scope, and most included organizational units of one domain ([P]).
const MOST_OBJECTS: u64 = 2_000;
const MOST_UNITS: usize = 30;

/// Where a count below one container ends: what is excluded of it may be most of it.
const MOST_BELOW: u64 = 20_000;

/// How many containers are counted: each is a question to a domain controller.
const MOST_CONTAINERS: usize = 200;

/// Kind of a connector to an Active Directory forest ([K]).
const FOREST: &str = "AD";

/// Judges every limit, and stops where one does not hold.
///
/// # Errors
/// While outcomes are missing, and when a limit does not hold.
pub(super) fn check(cx: &mut Cx<'_>) -> Flow<Complete> {
    let findings = limits(cx)?;
    step::settle(findings.clone(), cx)?;
    let summary = match untold(&findings).as_slice() {
        [] => format!("all {} limits of the wizard's task hold", findings.len()),
        some => {
            let ids: Vec<&str> = some.iter().map(|finding| finding.id.as_str()).collect();
            format!(
                "no limit of the wizard's task that can be read here is broken; a person looks at {}",
                ids.join(", ")
            )
        }
    };
    Ok(Complete::new(Completion::AlreadySo, summary))
}

/// Opens the wizard's task as work for a person and watches for its end. The limits are judged once more before, since days
/// may have gone by; what none of them tells, and what no server shows of the end, a named person says.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub(super) fn guide(guide: &GuideTransition, cx: &mut Cx<'_>) -> Flow<Complete> {
    let first = look(guide, cx)?;
    let mut sure = String::new();
    let mut completion = Completion::AlreadySo;
    let after = match (first.end(), cx.resumed()) {
        (End::Elsewhere(why), _) => return fail(why),
        (End::Done(summary), resumed) => {
            if resumed {
                // An earlier try was in its section when it ended.
                leave(guide, cx)?;
            }
            summary
        }
        (End::Not, resumed) => {
            enter(guide, cx)?;
            // Whoever was cut off may have left a person in the middle of the wizard: it is not judged as if it were new.
            if !(resumed && first.has_begun()) {
                let findings = limits(cx)?;
                step::settle(findings.clone(), cx)?;
                sure = cx.untouched(|cx| doubts(guide, &untold(&findings), cx))?;
            }
            cx.task(&guide.text)?;
            let version = place::version(cx)?.ok().flatten();
            let before = trouble::Before::now(cx)?;
            let seen = trouble::watch(
                cx,
                |cx| trouble::transition(version, &before, cx),
                |cx| {
                    Ok(match look(guide, cx)?.end() {
                        End::Not => None,
                        End::Done(summary) => Some(Ok(summary)),
                        End::Elsewhere(why) => Some(Err(why)),
                    })
                },
            )?;
            let summary = match seen {
                Ok(Ok(summary)) => {
                    completion = Completion::SeenDone;
                    summary
                }
                Ok(Err(why)) => return fail(why),
                Err(by) => {
                    let summary = half_way(guide, &by, version, &before, cx)?;
                    completion = Completion::Attested { by };
                    summary
                }
            };
            leave(guide, cx)?;
            summary
        }
    };
    cx.note(&[catalogue::TR14.finding("not asked", Verdict::CannotTell)])?;
    cx.task(&guide.afterwards)?;
    let by = cx.until(WATCH, |_| Ok(None::<()>))?.err();
    let by = by.unwrap_or_default();
    let summary = format!(
        "{after}{sure}; that the jobs run and the counts agree, {by} says: no probe sees it"
    );
    Ok(Complete {
        grade: Some(Grade::Registered),
        ..Complete::new(completion, summary)
    })
}

fn untold(findings: &[Finding]) -> Vec<&Finding> {
    let untold = |finding: &&Finding| finding.verdict == Verdict::CannotTell;
    findings.iter().filter(untold).collect()
}

/// Has a named person look at what could not be told here; who it was, for the summary.
fn doubts(guide: &GuideTransition, untold: &[&Finding], cx: &mut Cx<'_>) -> Flow<String> {
    if untold.is_empty() {
        return Ok(String::new());
    }
    let mut text = guide.doubts.clone();
    text.pages.extend(untold.iter().map(|finding| Page {
        title: format!("{}: {}", finding.id, finding.what),
        lines: vec![
            format!("wanted: {}", finding.wanted),
            format!("read here: {}", finding.read),
            finding.fix.clone(),
        ],
    }));
    cx.task(&text)?;
    let by = cx.until(WATCH, |_| Ok(None::<()>))?.err();
    let by = by.unwrap_or_default();
    let ids: Vec<&str> = untold.iter().map(|finding| finding.id.as_str()).collect();
    Ok(format!("; of {}, {by} says that it holds", ids.join(", ")))
}

/// Asks for leave: from the wizard on nothing is exported by Connect, and the wizard makes the product's gMSA (G3).
fn enter(guide: &GuideTransition, cx: &mut Cx<'_>) -> Flow<()> {
    let after = cx.enter(Section {
        outage: true,
        gmsa: Some(GmsaObject {
            domain: guide.home_domain.clone(),
            name: None,
        }),
    })?;
    if let Some(change) = after {
        controllers::await_change(&change, &guide.home_domain, &guide.preferred_dcs, cx)?;
    }
    Ok(())
}

fn leave(guide: &GuideTransition, cx: &mut Cx<'_>) -> Flow<()> {
    let (domain, preferred) = (&guide.home_domain, &guide.preferred_dcs);
    let change = controllers::gmsa_change(&guide.target, domain, preferred, cx)?;
    cx.leave(Some(change))
}

/// Somebody said that the wizard is done, and it was not seen: what can be read must not say otherwise. Of what does, the wizard's
/// trace and the agent's own logs are asked why.
fn half_way(
    guide: &GuideTransition,
    by: &str,
    version: Option<Version>,
    before: &trouble::Before,
    cx: &mut Cx<'_>,
) -> Flow<String> {
    let seen = look(guide, cx)?;
    let mut findings = seen.findings();
    let fails = |finding: &Finding| finding.verdict == Verdict::Fail;
    if !findings.iter().any(fails) {
        cx.note(&findings)?;
        return Ok(format!("attested by {by}; no probe saw all of it"));
    }
    let wizard = trouble::of_wizard(version, cx)?;
    let agent = if seen.installed {
        trouble::of_agent(before, cx)?
    } else {
        None
    };
    let mut cause = None;
    for finding in findings.iter_mut().filter(|finding| fails(finding)) {
        // What the agent itself recorded says more about it than the wizard that brought it.
        let trouble = if finding.id == catalogue::TR13.id {
            agent.as_ref().or(wizard.as_ref())
        } else {
            wizard.as_ref()
        };
        if let Some(trouble) = trouble {
            trouble.explain(finding);
            cause = cause.or(Some(trouble));
        }
    }
    cx.note(&findings)?;
    let mut failure = Failure::plain(seen.broken(by));
    failure.findings = findings.into_iter().filter(fails).collect();
    let failure = match cause.cloned() {
        Some(trouble) => trouble.causes(failure),
        None => failure,
    };
    Err(Stop::Failed(Box::new(failure)))
}

/// What of the wizard's end shows on the server.
struct Look {
    staging: Reading<bool>,
    suspended: Option<bool>,
    agent: Reading<Registered>,
    /// There is a provisioning agent, or traces of one.
    installed: bool,
}

/// How far the wizard is.
enum End {
    Not,
    Done(String),
    Elsewhere(String),
}

fn look(guide: &GuideTransition, cx: &mut Cx<'_>) -> Flow<Look> {
    let scheduler = connect::scheduler(cx)?;
    let suspended = scheduler.as_ref().ok().and_then(|now| now.suspended);
    let staging = scheduler.and_then(|now| {
        let untold = || "the scheduler does not tell whether the server is staging".to_owned();
        now.staging.ok_or_else(untold)
    });
    let seen = facts::provisioning_agent(cx)?;
    let installed = seen.found.is_some();
    let agent = match seen.unread {
        Some(why) => Err(why),
        None => Ok(state_of(&guide.tenant, None, seen.found.as_ref())),
    };
    Ok(Look {
        staging,
        suspended,
        agent,
        installed,
    })
}

impl Look {
    fn end(&self) -> End {
        match (&self.staging, &self.agent) {
            (_, Ok(Registered::Elsewhere(other))) => End::Elsewhere(format!(
                "the provisioning agent on this server is registered with another tenant, {other}: nothing is moved (G9)"
            )),
            // An open wizard keeps the scheduler suspended: it is not at its end.
            (Ok(true), Ok(Registered::Yes(agent))) if self.suspended != Some(true) => {
                End::Done(format!("Connect is staging, and the agent is {agent}"))
            }
            (Ok(_) | Err(_), Ok(Registered::Yes(_) | Registered::No) | Err(_)) => End::Not,
        }
    }

    /// A person at the wizard has done something already.
    fn has_begun(&self) -> bool {
        self.installed || self.staging == Ok(true)
    }

    /// TR12 and TR13.
    fn findings(&self) -> Vec<Finding> {
        let open = self.suspended == Some(true);
        let mode = |staging: &bool| match (staging, open) {
            (true, true) => "staging, and the scheduler is suspended".to_owned(),
            (true, false) => "staging".to_owned(),
            (false, _) => "active".to_owned(),
        };
        let agent = match &self.agent {
            Ok(Registered::Yes(_)) => Ok(true),
            Ok(Registered::No | Registered::Elsewhere(_)) => Ok(false),
            Err(why) => Err(why.clone()),
        };
        let is = |done: &bool| match (done, self.installed) {
            (true, _) => "registered and running".to_owned(),
            (false, true) => {
                "installed, and not registered with this tenant and running".to_owned()
            }
            (false, false) => "absent".to_owned(),
        };
        let staging = self.staging.clone();
        vec![
            catalogue::TR12.judge_gently(staging, mode, |staging| *staging && !open),
            catalogue::TR13.judge_gently(agent, is, |done| *done),
        ]
    }

    /// What is wrong with an end that somebody attested.
    fn broken(&self, by: &str) -> String {
        let registered = matches!(self.agent, Ok(Registered::Yes(_)));
        let what = match (&self.staging, registered, self.installed) {
            (Ok(true), true, _) => {
                "the scheduler is suspended: the wizard is open, or was left open"
            }
            (Ok(true), false, _) => {
                "Connect is in staging mode and the provisioning agent is not registered and running: nothing synchronizes the tenant"
            }
            (Ok(false), _, true) => {
                "the provisioning agent is there and Connect is still active: the wizard stopped half way"
            }
            (Ok(false), _, false) => "Connect is still active and no agent is there",
            (Err(_), ..) => "the provisioning agent is not registered and running",
        };
        format!("{by} says that the wizard is done, and {what}")
    }
}

/// UN04: what the engine writes back into the directory.
///
/// # Errors
/// While the outcome is missing.
pub(super) fn writeback(cx: &mut Cx<'_>) -> Flow<Finding> {
    let lines = cx.script(
        Script::ReadConnectSettings,
        json!({ "groupFilter": true }),
        Vec::new(),
        READ_LIMIT,
    )?;
    let told = lines.and_then(Told::of).map_err(|why| explained(&why));
    let kinds = ["DeviceWriteBack", "GroupWriteBack", "UserWriteBack"];
    Ok(switched(&told, &catalogue::UN04, &kinds, &[]))
}

/// TR01 to TR11.
fn limits(cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    let connect = facts::connect_sync(cx)?.told()?;
    let Some(connect) = connect else {
        return fail("Connect Sync is not on this server");
    };
    let lines = cx.script(
        Script::ReadConnectSettings,
        json!({ "groupFilter": true }),
        Vec::new(),
        READ_LIMIT,
    )?;
    let told = lines.and_then(Told::of).map_err(|why| explained(&why));
    let version = connect.version.ok_or_else(|| "no version".to_owned());
    let mode = connect.staging.ok_or_else(|| {
        "the scheduler does not tell; see that ADSync runs and that Get-ADSyncScheduler answers"
            .to_owned()
    });
    let name = |staging: &bool| if *staging { "staging" } else { "active" }.to_owned();
    Ok(vec![
        catalogue::TR01.judge(version, ToString::to_string, |version| *version >= SINCE),
        // Nobody is sent to a wizard on a server that may be staging.
        catalogue::TR11.judge(mode, name, |staging| !staging),
        forests(&told),
        scope(&told, cx)?,
        units(&told),
        rules(&told),
        group_filter(&told),
        principal_name(&told),
        switched(&told, &catalogue::TR08, &["DirectoryExtension"], &[]),
        switched(&told, &catalogue::TR09, &["DeviceWriteUp"], &[]),
        switched(
            &told,
            &catalogue::TR10,
            &["DeviceWriteBack"],
            &["GroupWriteBack", "UserWriteBack"],
        ),
    ])
}

/// The script's lines.
struct Told {
    lines: Vec<Value>,
    unread: Value,
}

impl Told {
    fn of(mut lines: Vec<Value>) -> Reading<Self> {
        let last = lines.pop().ok_or("the script said nothing")?;
        if !last["unread"].is_object() {
            let why = last["error"]["message"].as_str();
            return Err(why.unwrap_or("the script did not come to its end").into());
        }
        let unread = last["unread"].clone();
        Ok(Self { lines, unread })
    }

    /// The lines that have that name, of a part that was read whole.
    fn rows(&self, part: &str, name: &str) -> Reading<Vec<&Value>> {
        let unread = &self.unread[part];
        if !unread.is_null() {
            return Err(unread.as_str().unwrap_or("no reason was told").to_owned());
        }
        let rows = self.lines.iter().filter(|line| line[name].is_string());
        let rows: Vec<&Value> = rows.collect();
        if rows.is_empty() {
            return Err(format!("the script named no {name}"));
        }
        Ok(rows)
    }
}

/// The lines of a part, as the comparison of settings names it.
fn rows<'a>(told: &'a Reading<Told>, part: SettingsPart, name: &str) -> Reading<Vec<&'a Value>> {
    let part = match part {
        SettingsPart::Connectors => "connectors",
        SettingsPart::Rules => "rules",
        SettingsPart::Installation => "installation",
        SettingsPart::TenantFeatures => "tenant-features",
        SettingsPart::PasswordSync => "password-sync",
    };
    told.as_ref().map_err(Clone::clone)?.rows(part, name)
}

fn text<'a>(line: &'a Value, name: &str) -> Reading<&'a str> {
    let text = line[name].as_str();
    text.ok_or_else(|| format!("the script did not say ({name})"))
}

fn flag(line: &Value, name: &str) -> Reading<bool> {
    let flag = line[name].as_bool();
    flag.ok_or_else(|| format!("the script did not say ({name})"))
}

fn texts(line: &Value, name: &str) -> Reading<Vec<String>> {
    let lacks = || format!("the script did not say ({name})");
    let all = line[name].as_array().ok_or_else(lacks)?.iter();
    all.map(|one| Ok(one.as_str().ok_or_else(lacks)?.to_owned()))
        .collect()
}

/// TR02. What is neither the tenant nor a forest is a directory that cloud sync does not connect at all (facts 3).
fn forests(told: &Reading<Told>) -> Finding {
    let all = rows(told, SettingsPart::Connectors, "connector").and_then(|lines| {
        let own = lines.into_iter().filter(|line| {
            let id = line["id"].as_str();
            !id.is_some_and(is_tenant_connector)
        });
        let row = |line: &Value| {
            let name = text(line, "connector")?.to_owned();
            Ok((name, text(line, "type")?.to_owned()))
        };
        let all: Vec<(String, String)> = own.map(row).collect::<Reading<_>>()?;
        match all.as_slice() {
            [] => Err("the module names no forest".to_owned()),
            [(name, kind)] if kind != FOREST => Err(format!(
                "{name} is a connector of the kind {kind}: whether that is a forest is not known"
            )),
            _ => Ok(all),
        }
    });
    let show = |all: &Vec<(String, String)>| {
        let row = |(name, kind): &(String, String)| match kind.as_str() {
            FOREST => name.clone(),
            kind => format!("{name} ({kind})"),
        };
        all.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    catalogue::TR02.judge_gently(all, show, |all| all.len() == 1)
}

/// A domain that is synchronized: its name, and what is included and excluded of it.
struct Partition {
    name: String,
    included: Vec<String>,
    excluded: Vec<String>,
}

fn partitions(told: &Reading<Told>) -> Reading<Vec<Partition>> {
    let lines = rows(told, SettingsPart::Connectors, "partition")?;
    let mut all = Vec::new();
    for line in lines {
        if !flag(line, "selected")? {
            continue;
        }
        let included = texts(line, "included")?;
        // The tenant's own partition has no containers.
        if included.iter().all(|name| domain_of(name).is_none()) && !included.is_empty() {
            continue;
        }
        all.push(Partition {
            name: text(line, "partition")?.to_owned(),
            included,
            excluded: texts(line, "excluded")?,
        });
    }
    if all.is_empty() {
        return Err("no domain is shown as selected".to_owned());
    }
    Ok(all)
}

/// TR04.
fn units(told: &Reading<Told>) -> Finding {
    let show = |all: &Vec<Partition>| {
        let row = |one: &Partition| format!("{} of {}", one.included.len(), one.name);
        all.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    catalogue::TR04.judge_gently(partitions(told), show, |all| {
        all.iter().all(|one| one.included.len() <= MOST_UNITS)
    })
}

/// The domain that a distinguished name lies in.
fn domain_of(name: &str) -> Option<DomainName> {
    let parts = name.split(',').filter_map(|part| {
        let (kind, value) = part.trim().split_once('=')?;
        kind.eq_ignore_ascii_case("DC").then_some(value)
    });
    parts.collect::<Vec<_>>().join(".").parse().ok()
}

fn is_below(name: &str, above: &str) -> bool {
    let (name, above) = (name.to_lowercase(), above.to_lowercase());
    name.strip_suffix(&above)
        .is_some_and(|rest| rest.ends_with(','))
}

/// Which containers are counted, and whether what lies below them is in scope or is taken out again: the nearest one above
/// decides.
fn counted(partition: &Partition) -> Vec<(&str, bool)> {
    let all: Vec<(&str, bool)> = partition
        .included
        .iter()
        .map(|name| (name.as_str(), true))
        .chain(partition.excluded.iter().map(|name| (name.as_str(), false)))
        .collect();
    let above = |name: &str| {
        let above = all.iter().filter(|(other, _)| is_below(name, other));
        above
            .max_by_key(|(other, _)| other.len())
            .map(|(_, included)| *included)
    };
    let decides = |(name, included): &&(&str, bool)| above(name).unwrap_or(false) != *included;
    all.iter().filter(decides).copied().collect()
}

/// TR03: an upper bound, since rules may leave out some of what lies in a container.
fn scope(told: &Reading<Told>, cx: &mut Cx<'_>) -> Flow<Finding> {
    let objects = match partitions(told) {
        Ok(partitions) => count(&partitions, cx)?,
        Err(why) => Err(why),
    };
    let show = |objects: &Objects| {
        let more = if objects.whole { "" } else { " or more" };
        format!("{}{more}{}", objects.number, objects.instead)
    };
    Ok(catalogue::TR03.judge_gently(objects, show, |objects| {
        objects.whole && objects.number <= MOST_OBJECTS
    }))
}

/// How many objects there are.
struct Objects {
    number: u64,
    /// All were counted.
    whole: bool,
    /// Which controllers were asked in place of others.
    instead: String,
}

fn count(partitions: &[Partition], cx: &mut Cx<'_>) -> Flow<Reading<Objects>> {
    let names: Vec<(&str, bool)> = partitions.iter().flat_map(counted).collect();
    if names.len() > MOST_CONTAINERS {
        let many = names.len();
        return Ok(Err(format!(
            "{many} containers are included or excluded: more than are counted here"
        )));
    }
    let mut opened: Vec<(DomainName, Directory)> = Vec::new();
    let (mut within, mut without) = (0_u64, 0_u64);
    let mut whole = true;
    for (name, included) in names {
        let Some(domain) = domain_of(name) else {
            return Ok(Err(format!("{name} names no domain")));
        };
        if !opened.iter().any(|(one, _)| *one == domain) {
            match controllers::open(&domain, &[], cx)? {
                Ok(directory) => opened.push((domain.clone(), directory)),
                Err(why) => return Ok(Err(why)),
            }
        }
        let Some((_, directory)) = opened.iter().find(|(one, _)| *one == domain) else {
            return Ok(Err(format!("{domain} could not be asked")));
        };
        let below = match directory.census(name, MOST_BELOW, cx)? {
            Ok(below) => below,
            Err(why) => return Ok(Err(why)),
        };
        if included {
            within += below.objects;
            whole &= below.whole;
        } else if below.whole {
            without += below.objects;
        } else {
            return Ok(Err(format!(
                "{name} is excluded and holds more than is counted here"
            )));
        }
    }
    if within == 0 {
        // An account that is shown nothing has not counted nothing.
        return Ok(Err("this account is shown no objects there".to_owned()));
    }
    if !whole && without > 0 {
        return Ok(Err("more lies there than is counted here".to_owned()));
    }
    let instead = opened.iter().map(|(_, directory)| directory.root.instead());
    Ok(Ok(Objects {
        number: within.saturating_sub(without),
        whole,
        instead: instead.collect(),
    }))
}

/// TR05.
fn rules(told: &Reading<Told>) -> Finding {
    let all = rows(told, SettingsPart::Rules, "rule").and_then(|lines| {
        let (mut own, mut off) = (Vec::new(), 0_usize);
        for line in lines {
            if !flag(line, "default")? {
                own.push(text(line, "rule")?.to_owned());
            } else if flag(line, "disabled")? {
                off += 1;
            }
        }
        if own.is_empty() && off > 0 {
            return Err(format!(
                "{off} default rules are disabled: whether the wizard takes that for a rule of one's own is in no source"
            ));
        }
        Ok(own)
    });
    let show = |own: &Vec<String>| match own.as_slice() {
        [] => "none".to_owned(),
        [first] => format!("\"{first}\""),
        [first, ..] => format!("{}, the first \"{first}\"", own.len()),
    };
    catalogue::TR05.judge_gently(all, show, Vec::is_empty)
}

/// TR06. Only a connector that names the parameter tells; one that lacks it may keep the filter elsewhere.
fn group_filter(told: &Reading<Told>) -> Finding {
    let on = told.as_ref().map_err(Clone::clone).and_then(|told| {
        let told = told.rows("group-filter", "filter")?;
        let told: Vec<bool> = told
            .iter()
            .filter_map(|line| line["on"].as_bool())
            .collect();
        if told.is_empty() {
            return Err("no connector shows where such a filter would stand".to_owned());
        }
        Ok(told.into_iter().any(|on| on))
    });
    let show = |on: &bool| if *on { "there is one" } else { "none" }.to_owned();
    catalogue::TR06.judge_gently(on, show, |on| !on)
}

/// The setting of the installation whose name ends so.
fn setting(told: &Reading<Told>, ending: &str) -> Reading<String> {
    let lines = rows(told, SettingsPart::Installation, "setting")?;
    let own = |line: &&&Value| {
        let name = line["setting"].as_str().unwrap_or_default();
        let last = name.rsplit('.').next().unwrap_or_default();
        last.eq_ignore_ascii_case(ending)
    };
    let line = lines.iter().find(own);
    let line = line.ok_or_else(|| format!("no setting is named {ending}"))?;
    Ok(text(line, "value")?.to_owned())
}

/// TR07. The name of the setting is general knowledge ([K]).
fn principal_name(told: &Reading<Told>) -> Finding {
    let attribute = setting(told, "UPNAttribute").and_then(|value| {
        let empty = "the setting UPNAttribute is empty".to_owned();
        (!value.is_empty()).then_some(value).ok_or(empty)
    });
    catalogue::TR07.judge_gently(attribute, Clone::clone, |name| {
        name.eq_ignore_ascii_case("userPrincipalName")
    })
}

/// Optional features that must be off. One of the second kind that is on is a question: whether the task takes it is in no
/// source. The settings' names are general knowledge ([K]).
fn switched(told: &Reading<Told>, probe: &Probe, never: &[&str], unsure: &[&str]) -> Finding {
    let mut on = Vec::new();
    let mut untold = Vec::new();
    for name in never.iter().chain(unsure) {
        let value = setting(told, name).and_then(|value| match value.to_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("the setting {name} is in another form")),
        });
        match value {
            Ok(true) if never.contains(name) => on.push(*name),
            Ok(true) => untold.push(format!("{name} is on")),
            Ok(false) => {}
            Err(why) => untold.push(why),
        }
    }
    let reading = match (on.as_slice(), untold.as_slice()) {
        ([], []) => Ok(String::new()),
        ([], some) => Err(some.join("; ")),
        (some, _) => Ok(some.join(", ")),
    };
    let show = |on: &String| match on.as_str() {
        "" => "off".to_owned(),
        on => format!("on: {on}"),
    };
    probe.judge_gently(reading, show, String::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: Vec<Value>) -> Reading<Told> {
        let mut lines = lines;
        lines.push(json!({ "unread": {} }));
        Told::of(lines)
    }

    fn value(name: &str, value: &str) -> Value {
        json!({ "setting": format!("Microsoft.OptionalFeature.{name}"), "value": value })
    }

    #[test]
    fn the_nearest_container_above_decides_what_is_counted() {
        let partition = Partition {
            name: "a.test".to_owned(),
            included: [
                "OU=A,DC=a,DC=test",
                "OU=B,OU=A,DC=a,DC=test",
                "OU=D,OU=C,OU=A,DC=a,DC=test",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
            excluded: [
                "OU=C,OU=A,DC=a,DC=test",
                "OU=E,OU=C,OU=A,DC=a,DC=test",
                "OU=Z,DC=a,DC=test",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
        };
        let all = counted(&partition);
        assert_eq!(
            all,
            [
                ("OU=A,DC=a,DC=test", true),
                ("OU=D,OU=C,OU=A,DC=a,DC=test", true),
                ("OU=C,OU=A,DC=a,DC=test", false),
            ]
        );
        assert_eq!(domain_of("OU=A,DC=a,DC=test"), "a.test".parse().ok());
        assert_eq!(domain_of("default"), None);
        assert!(!is_below("OU=AA,DC=a,DC=test", "A,DC=a,DC=test"));
    }

    #[test]
    fn a_setting_that_does_not_show_is_never_taken_for_off() {
        let none = told(vec![value("HybridExchange", "True")]);
        for (finding, id) in [
            (principal_name(&none), "TR07"),
            (
                switched(&none, &catalogue::TR08, &["DirectoryExtension"], &[]),
                "TR08",
            ),
            (group_filter(&none), "TR06"),
        ] {
            assert_eq!(
                (finding.id.as_str(), finding.verdict),
                (id, Verdict::CannotTell)
            );
            assert!(!finding.blocks(), "{id} is asked of a person");
        }
        let untold: Reading<Told> = Err("the module was not found".to_owned());
        for finding in [
            forests(&untold),
            units(&untold),
            rules(&untold),
            group_filter(&untold),
        ] {
            assert_eq!(finding.verdict, Verdict::CannotTell, "{}", finding.id);
            assert!(finding.read.contains("not found"));
        }
    }

    #[test]
    fn a_writeback_of_which_no_source_tells_is_a_question_and_one_of_devices_is_not() {
        let judge = |device: &str, group: &str| {
            let told = told(vec![
                value("DeviceWriteBack", device),
                value("GroupWriteBack", group),
                value("UserWriteBack", "False"),
            ]);
            let unsure = ["GroupWriteBack", "UserWriteBack"];
            switched(&told, &catalogue::TR10, &["DeviceWriteBack"], &unsure).verdict
        };
        assert_eq!(judge("False", "False"), Verdict::Pass);
        assert_eq!(judge("False", "True"), Verdict::CannotTell);
        assert_eq!(judge("True", "True"), Verdict::Fail);
        assert_eq!(judge("1", "False"), Verdict::CannotTell);
    }

    #[test]
    fn one_forest_passes_and_a_directory_of_another_kind_does_not() {
        let tenant = "b891884f-051e-4a83-95af-2544101c9083";
        let line = |name: &str, id: &str, kind: &str| json!({ "connector": name, "id": id, "type": kind, "objects": [], "attributes": [] });
        let judge = |more: &[Value]| {
            let mut lines = vec![line("tenant - AAD", tenant, "Extensible2")];
            lines.extend(more.iter().cloned());
            forests(&told(lines)).verdict
        };
        let (one, two) = (line("a.test", "1", "AD"), line("b.test", "2", "AD"));
        let other = line("people", "3", "SQL");
        assert_eq!(judge(std::slice::from_ref(&one)), Verdict::Pass);
        assert_eq!(judge(&[one.clone(), two]), Verdict::Fail);
        assert_eq!(judge(&[one, other.clone()]), Verdict::Fail);
        assert_eq!(judge(&[other]), Verdict::CannotTell);
        assert_eq!(judge(&[]), Verdict::CannotTell);
    }

    #[test]
    fn a_disabled_default_rule_is_a_question_and_an_own_rule_fails() {
        let rule = |default: bool, disabled: bool| json!({ "rule": "x", "default": default, "disabled": disabled });
        let judge = |lines: Vec<Value>| rules(&told(lines)).verdict;
        assert_eq!(judge(vec![rule(true, false)]), Verdict::Pass);
        assert_eq!(judge(vec![rule(true, true)]), Verdict::CannotTell);
        assert_eq!(
            judge(vec![rule(true, true), rule(false, true)]),
            Verdict::Fail
        );
        assert_eq!(judge(Vec::new()), Verdict::CannotTell);
    }
}
