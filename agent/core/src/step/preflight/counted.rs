//! What a domain holds: how many objects (PF58, and for Connect what its server needs for them, PF08), under which suffixes its users are
//! (PF57), and whether both tools know its objects again (PF60).

use protocol::event::{Finding, Severity, Verdict};
use protocol::limits;
use protocol::step::{BothTools, Product};
use protocol::suffixes::UserSuffixes;

use crate::catalogue;
use crate::op::{Counted, FoundGroups};
use crate::procedure::{Cx, Flow, Reading};
use crate::step::directory::Directory;
use crate::step::preflight::silent;

/// What cloud sync supports of one domain, and what LocalDB holds for Connect, in objects (1.10, 2.7 [P]).
const SUPPORTED: u64 = 150_000;
pub(super) const LOCAL_DB: u64 = 100_000;

/// What cloud sync supports of one group, in members (1.10 [P]).
const MEMBERS: u32 = 50_000;

/// What the product's table of hardware asks for more objects than the smallest row is for: objects from which on, GB of memory, GB of
/// disk (2.8 [P]). A server of so much memory shows a little less.
const HARDWARE: [(u64, u64, u64); 4] = [
    (50_000, 16, 100),
    (100_000, 32, 300),
    (300_000, 32, 450),
    (LARGEST, 32, 500),
];

/// Where the table's last row begins.
const LARGEST: u64 = 600_000;

/// What PF08 is about where the domains' objects were counted.
pub(super) const COUNTED_HARDWARE: &str = "memory and disk for the objects that were counted";

/// What was counted of a domain: how many objects, and whether those are all; nothing where that is not known.
pub(super) type Count = Option<(u64, bool)>;

/// PF08 by what was counted of the domains, where that is more than the smallest row. Where there may be more than was counted, a row
/// that is met says nothing of the next one.
pub(super) fn sized(counts: &[Count], cx: &mut Cx<'_>) -> Flow<Option<Finding>> {
    let objects: u64 = counts.iter().flatten().map(|(objects, _)| objects).sum();
    let whole = counts.iter().all(|count| matches!(count, Some((_, true))));
    let row = HARDWARE.iter().rposition(|(from, ..)| objects >= *from);
    let Some((at, (_, memory, disk))) = row.and_then(|at| Some((at, HARDWARE.get(at)?))) else {
        return Ok((!whole).then(|| {
            let mut finding = silent::untold(&catalogue::PF08, &unfinished(objects));
            COUNTED_HARDWARE.clone_into(&mut finding.what);
            finding
        }));
    };
    let show = |(mib, free): &(u64, u64)| {
        format!("{mib} MiB of memory, {free} MiB of free disk; {objects} objects or more")
    };
    let fine = |(mib, free): &(u64, u64)| *mib >= memory * 950 && *free >= disk * 1024;
    let machine = cx.machine()?.and_then(|machine| {
        if fine(&machine) && !whole && at + 1 < HARDWARE.len() {
            return Err(format!(
                "{}, which were not counted to their end",
                show(&machine)
            ));
        }
        Ok(machine)
    });
    let mut finding = catalogue::PF08.judge(machine, show, fine);
    COUNTED_HARDWARE.clone_into(&mut finding.what);
    finding.wanted = format!("{memory} GB of memory and {disk} GB of disk");
    Ok(Some(finding))
}

/// What a count that was not ended says.
fn unfinished(objects: u64) -> String {
    format!("{objects} objects were counted, and not to their end")
}

/// What LocalDB holds is about as much (2.7 [P]), so that it warns; express settings always take it (2.4 [I]).
pub(super) fn in_local_db(finding: &mut Finding) {
    finding.severity = Severity::Warn;
    "100000 at most, which LocalDB holds".clone_into(&mut finding.wanted);
    if finding.verdict != Verdict::Pass {
        "use a full SQL Server: custom settings with sql_server, or a row for each server in databases; express settings always take LocalDB"
            .clone_into(&mut finding.fix);
    }
}

/// What PF58 wants of a domain's objects, by product and for Connect by whether a full SQL Server is planned.
pub(super) fn supported((product, full): (Product, bool), finding: &mut Finding) {
    if product == Product::ProvisioningAgent {
        return;
    }
    in_local_db(finding);
    // No limit of objects is named for a full SQL Server (2.7); what it needs of its hardware is PF08.
    if full {
        "any number, in the full SQL Server that is planned".clone_into(&mut finding.wanted);
        if finding.verdict != Verdict::Pass {
            "let an account that sees the domain's users count them".clone_into(&mut finding.fix);
        }
    }
}

/// How many objects the domain holds and how large its groups are (PF58), and under which suffixes its users are (PF57). Gives how many were counted.
pub(super) fn size(
    (product, full): (Product, bool),
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Count> {
    // For a full SQL Server the largest row of the product's table of hardware is where more makes no difference.
    let limit = match product {
        Product::ProvisioningAgent => SUPPORTED,
        Product::Connect if full => LARGEST,
        Product::Connect => LOCAL_DB,
    };
    // An account that is shown nothing has not counted nothing.
    let counted = directory
        .census(&directory.root.domain, limit, cx)?
        .and_then(|counted| {
            if counted.users == 0 && counted.whole {
                return Err("this account is shown no users, or there are none".to_owned());
            }
            if counted.users == 0 {
                return Err(format!(
                    "no user among them: {}",
                    unfinished(counted.objects)
                ));
            }
            Ok(counted)
        });
    // Where the time was over first there may be more than was counted.
    let objects = counted.clone().and_then(|counted| {
        if !full && !counted.whole && counted.objects <= limit {
            return Err(unfinished(counted.objects));
        }
        Ok(counted)
    });
    let number = counted.as_ref().ok();
    let number = number.map(|counted| (counted.objects, counted.whole));
    let show = |counted: &Counted| {
        let more = if counted.whole { "" } else { " or more" };
        format!("{}{more}", counted.objects)
    };
    let mut finding =
        catalogue::PF58.judge_gently(objects, show, |counted| full || counted.objects <= limit);
    supported((product, full), &mut finding);
    findings.push(finding);
    if product == Product::ProvisioningAgent {
        findings.push(largest_group(directory, cx)?);
    }
    // The controller holds what is shown against the tenant, which is not seen here.
    let show = |counted: &Counted| {
        let first = (!counted.whole).then_some(counted.objects);
        UserSuffixes::of(&counted.suffixes, first, counted.beyond > 0).to_string()
    };
    let fine = |counted: &Counted| {
        counted
            .suffixes
            .keys()
            .all(|suffix| may_be_verified(suffix))
    };
    // What was not looked at may be otherwise.
    let counted = counted.and_then(|counted| {
        if fine(&counted) && (!counted.whole || counted.beyond > 0) {
            return Err(show(&counted));
        }
        Ok(counted)
    });
    findings.push(catalogue::PF57.judge(counted, show, fine));
    Ok(number)
}

/// PF58 of groups: whether one has more members than cloud sync supports. They are not counted; each group is asked for the one behind.
fn largest_group(directory: &Directory, cx: &mut Cx<'_>) -> Flow<Finding> {
    let found = directory.large_groups(MEMBERS, cx)?.and_then(|found| {
        if !found.larger.is_empty() {
            return Ok(found);
        }
        if !found.members {
            let none = "this account is shown no member of a group, or there are none";
            return Err(none.to_owned());
        }
        if !found.whole {
            return Err(format!(
                "none of the first {} groups; there are more, which are not looked at",
                found.looked
            ));
        }
        Ok(found)
    });
    Ok(group_of(found))
}

/// The same of what was read.
pub(super) fn group_of(found: Reading<FoundGroups>) -> Finding {
    let show = |found: &FoundGroups| match found.larger.as_slice() {
        [] => format!("none of {} groups has more than {MEMBERS}", found.looked),
        larger => {
            let more = if larger.len() < FoundGroups::TOLD {
                ""
            } else {
                ", and there may be more such groups"
            };
            format!("more than {MEMBERS} in {}{more}", larger.join(" and "))
        }
    };
    let mut finding = catalogue::PF58.judge_gently(found, show, |found| found.larger.is_empty());
    "members of the largest group of the domain".clone_into(&mut finding.what);
    format!("{MEMBERS} at most, which cloud sync supports of a group")
        .clone_into(&mut finding.wanted);
    if finding.verdict != Verdict::Pass {
        "divide the group, or use Connect Sync for this domain, which takes groups of up to 250000 members"
            .clone_into(&mut finding.fix);
    }
    finding
}

/// PF60: how many users and groups of what Connect synchronizes have the attribute by which both tools know them.
pub(super) fn anchors(
    both: &BothTools,
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let bases = outermost(&both.units, &directory.root.domain);
    let mut all = Ok(Anchors::default());
    for base in &bases {
        let looked = all.as_ref().map_or(0, |all| all.looked);
        let left = limits::MAX_ANCHORS.saturating_sub(looked);
        let counted = directory.census(base, left, cx)?;
        all = all.and_then(|all| Ok(all.and(&counted?)));
        if !all.as_ref().is_ok_and(|all| all.whole) {
            break;
        }
    }
    findings.push(anchored(both, all));
    Ok(())
}

/// The same of what was read.
pub(super) fn anchored(both: &BothTools, all: Reading<Anchors>) -> Finding {
    let all = all.and_then(|all| match all {
        Anchors {
            looked: 0,
            whole: true,
            ..
        } => Err("this account is shown no users or groups there, or there are none".to_owned()),
        Anchors {
            looked,
            anchored,
            whole: false,
        } if looked == anchored => {
            let more = if looked > limits::MAX_ANCHORS {
                format!("there are more than {}", limits::MAX_ANCHORS)
            } else {
                "there may be more".to_owned()
            };
            Err(format!(
                "all of the first {looked}; {more}, which are not looked at"
            ))
        }
        all => Ok(all),
    });
    let show = |all: &Anchors| {
        let more = if all.whole {
            ""
        } else {
            ", and there are more"
        };
        format!("{} of {} users and groups{more}", all.anchored, all.looked)
    };
    let fine = |all: &Anchors| all.anchored == all.looked;
    let mut finding = catalogue::PF60.judge_gently(all, show, fine);
    if !both.connect_goes {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    let scope = match both.units.as_slice() {
        [] => String::new(),
        [one] => format!(", in {one}"),
        many => format!(", in {} organizational units", many.len()),
    };
    finding.what = format!("{}{scope}", finding.what);
    finding
}

/// What was looked at below some organizational units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchors {
    looked: u64,
    anchored: u64,
    whole: bool,
}

impl Default for Anchors {
    fn default() -> Self {
        Self {
            looked: 0,
            anchored: 0,
            whole: true,
        }
    }
}

impl Anchors {
    fn and(self, counted: &Counted) -> Self {
        Self {
            looked: self.looked + counted.users + counted.groups,
            anchored: self.anchored + counted.anchored,
            whole: self.whole && counted.whole,
        }
    }
}

/// The objects below which is counted: none twice, where one unit lies below another.
fn outermost(units: &[String], domain: &str) -> Vec<String> {
    let lower = |unit: &String| unit.to_lowercase().replace(", ", ",");
    let mut bases = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        let own = lower(unit);
        let above = |other: &String| own.ends_with(&format!(",{}", lower(other)));
        let before = units[..at].iter().any(|other| lower(other) == own);
        if !before && !units.iter().any(above) {
            bases.push(unit.clone());
        }
    }
    if bases.is_empty() {
        bases.push(domain.to_owned());
    }
    bases
}

/// Whether a suffix can be a verified domain at all: one label alone, and names that no registry gives out, cannot.
fn may_be_verified(suffix: &str) -> bool {
    const PRIVATE: [&str; 9] = [
        "local", "lan", "internal", "intranet", "corp", "home", "test", "example", "invalid",
    ];
    suffix
        .rsplit_once('.')
        .is_some_and(|(_, top)| !PRIVATE.contains(&top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_counted_twice_where_one_unit_lies_below_another() {
        let units = |all: &[&str]| -> Vec<String> {
            let all: Vec<String> = all.iter().map(|one| (*one).to_owned()).collect();
            outermost(&all, "DC=a,DC=test")
        };
        assert_eq!(units(&[]), ["DC=a,DC=test"]);
        assert_eq!(
            units(&[
                "OU=x,OU=People,DC=a,DC=test",
                "ou=people, dc=a, dc=test",
                "OU=People,DC=a,DC=test",
                "OU=Groups,DC=a,DC=test",
            ]),
            ["ou=people, dc=a, dc=test", "OU=Groups,DC=a,DC=test"]
        );
    }
}
