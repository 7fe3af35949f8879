//! What is known of the products' versions, as data (`deploy/data/versions.toml`), and what it says of a server or a plan
//! (guard rails G4 and G6). What rests on secondary sources warns and does not block, but for one thing: a version that was taken back is
//! brought nowhere, whoever says that it was (PF43).

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{Finding, Severity, Verdict};
use protocol::probe::controller as catalogue;
use protocol::signed::ArtifactRef;
use protocol::step::{Cloud, Permission, Product};
use protocol::{TargetId, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::facts::Fleetwide;

mod signs_in;

pub use signs_in::SignsIn;

/// The probe that tells as what a Connect server signs in to its tenant.
pub(crate) const IDENTITY: &str = "PV26";

/// How sure a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The vendor's own page.
    Vendor,
    /// Somebody else's word.
    Secondary,
    /// Seen for another product, or derived.
    Unverified,
}

/// A day, such as 2026-09-30: it begins at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Timestamp);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let at = format!("{text}T00:00:00Z").parse();
        at.map(Self)
            .map_err(|_| format!("\"{text}\" is not a day such as 2026-09-30"))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split('T').next().unwrap_or_default())
    }
}

impl Day {
    /// That day so many months later, or the last one of a shorter month.
    fn after(self, months: u8) -> Self {
        let at = jiff::Timestamp::from_millisecond(self.0.as_millis());
        let day = at.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date());
        let later =
            day.and_then(|day| day.checked_add(jiff::Span::new().months(i64::from(months))));
        // A day of a document lies far from the ends of the calendar.
        later.map_or(self, |day| Self::try_from(day.to_string()).unwrap_or(self))
    }

    /// Whole days from `now` until this day begins; negative when it has.
    #[must_use]
    pub const fn days_left(self, now: Timestamp) -> i64 {
        const DAY: i64 = 24 * 3600 * 1000;
        (self.0.as_millis() - now.as_millis()).div_euclid(DAY)
    }
}

/// A release of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Product.
    pub product: Product,
    /// Version.
    pub version: Version,
    /// Day of its release.
    pub released: Option<Day>,
    /// Day on which its support ends.
    pub end_of_support: Option<Day>,
    /// Why the vendor took it back, where it did.
    pub recalled: Option<String>,
    /// That its support has ended, where no day is known.
    pub retired: Option<String>,
    /// What else is known of it.
    pub note: Option<String>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// A version below which something stops from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Product.
    pub product: Product,
    /// Lowest version that goes on.
    pub at_least: Version,
    /// From when on.
    pub from: Day,
    /// What stops.
    pub effect: String,
    /// What that is about; absent in data that do not say it, which weighs as synchronization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Stops>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// What stops below a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stops {
    /// What a server becomes active for.
    Synchronization,
    /// Tasks that the wizard has beside it: a server that synchronizes goes on without them.
    Tasks,
}

/// A rule of a whole line of versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Product.
    pub product: Product,
    /// Lowest version of the line; absent where it has none.
    pub at_least: Option<Version>,
    /// First version beyond it.
    pub below: Version,
    /// What does not work with any of them.
    pub stops: Option<String>,
    /// How many months after a newer release the support of one ends, where its own row names no day.
    pub months: Option<u8>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

impl Line {
    fn has(&self, product: Product, version: Version) -> bool {
        let from = self.at_least.is_none_or(|lowest| version >= lowest);
        self.product == product && from && version < self.below
    }
}

/// A version that must not be brought onto agents of a cloud whose domains use a set of rights (PF44).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// Product.
    pub product: Product,
    /// Version.
    pub version: Version,
    /// Cloud.
    pub cloud: Cloud,
    /// What a domain uses that does not work.
    pub permission: Permission,
    /// What does not work.
    pub effect: String,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// A day from which Connect stops on servers that sign in to their tenant as an account in place of an application (PV26).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// From when on.
    pub from: Day,
    /// What stops.
    pub effect: String,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// All that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Day on which somebody last compared the rows with their sources.
    pub checked_on: Day,
    /// Releases.
    #[serde(default)]
    pub release: Vec<Release>,
    /// Floors.
    #[serde(default)]
    pub floor: Vec<Floor>,
    /// Rules of whole lines of versions.
    #[serde(default)]
    pub line: Vec<Line>,
    /// Versions that break what is used in a cloud.
    #[serde(default)]
    pub broken: Vec<Broken>,
    /// Days from which Connect stops where it signs in as an account.
    #[serde(default)]
    pub identity: Vec<Identity>,
}

/// What is so of a version, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What is so.
    pub what: String,
    /// True when it bears on the server now.
    pub bears: bool,
    /// Days until it comes to bear; negative when it does already; absent where no day is known.
    pub days_left: Option<i64>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// What a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// A floor of what a server is there for.
    Floor,
    /// A floor of what stands beside that.
    Tasks,
    /// The vendor took the version back.
    Recall,
    /// The end of its support.
    Support,
    /// Something else that is known.
    Note,
}

impl About {
    /// Without it a server synchronizes all the same.
    const fn goes_on(self) -> bool {
        matches!(self, Self::Support | Self::Tasks)
    }
}

/// How the end of a version's support, and of what it does beside synchronization, weighs where a server is to become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As a recall: there is time to bring a newer version onto it first.
    Blocks,
    /// It is said: a tenant without an active server, or on its way off Connect, is served better by an old version than by none.
    Warns,
}

impl Remark {
    /// Less is worse: what bears without a day, then by days, then what has no day.
    fn urgency(&self) -> i64 {
        let without = if self.bears { i64::MIN } else { i64::MAX };
        self.days_left.unwrap_or(without)
    }
}

/// A server's version of a product, and what is so of it, worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// The server.
    pub target: TargetId,
    /// The product.
    pub product: Product,
    /// Its version; absent where it could not be read.
    pub version: Option<Version>,
    /// When the server said so.
    pub reported: Timestamp,
    /// What is so of it.
    pub remarks: Vec<Remark>,
}

impl Versions {
    /// The rows that come with this program.
    ///
    /// # Panics
    /// Never: a test reads them.
    #[must_use]
    pub fn built_in() -> Self {
        let text = include_str!("../../../deploy/data/versions.toml");
        Self::parse(text).expect("the data of this program are read by a test")
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The release of that number.
    #[must_use]
    pub fn release(&self, product: Product, version: Version) -> Option<&Release> {
        let mut releases = self.release.iter();
        releases.find(|release| release.product == product && release.version == version)
    }

    /// What is so of a version, worst first: what has come to bear, then what comes soonest.
    #[must_use]
    pub fn remarks(&self, product: Product, version: Version, now: Timestamp) -> Vec<Remark> {
        let known = self.known(product, version, now).into_iter();
        known.map(|(_, remark)| remark).collect()
    }

    fn known(&self, product: Product, version: Version, now: Timestamp) -> Vec<(About, Remark)> {
        let mut remarks = Vec::new();
        for floor in &self.floor {
            if floor.product == product && version < floor.at_least {
                let remark = Remark {
                    what: format!(
                        "below {}: from {} {}",
                        floor.at_least, floor.from, floor.effect
                    ),
                    bears: floor.from.days_left(now) < 0,
                    days_left: Some(floor.from.days_left(now)),
                    source: floor.source.clone(),
                    certainty: floor.certainty,
                };
                let about = match floor.about {
                    None | Some(Stops::Synchronization) => About::Floor,
                    Some(Stops::Tasks) => About::Tasks,
                };
                remarks.push((about, remark));
            }
        }
        if let Some(release) = self.release(product, version) {
            let remark = |what, bears, days_left| Remark {
                what,
                bears,
                days_left,
                source: release.source.clone(),
                certainty: release.certainty,
            };
            if let Some(why) = &release.recalled {
                let recalled = remark(format!("recalled: {why}"), true, None);
                remarks.push((About::Recall, recalled));
            }
            if let Some(end) = release.end_of_support {
                let what = format!("support ends on {end}");
                let left = end.days_left(now);
                remarks.push((About::Support, remark(what, left < 0, Some(left))));
            }
            if let Some(why) = &release.retired {
                let retired = remark(format!("retired: {why}"), true, None);
                remarks.push((About::Support, retired));
            }
            if let Some(note) = &release.note {
                remarks.push((About::Note, remark(note.clone(), false, None)));
            }
        } else {
            let remark = Remark {
                what: "this version stands in no row of the data".to_owned(),
                bears: false,
                days_left: None,
                source: format!("checked on {}", self.checked_on),
                certainty: Certainty::Secondary,
            };
            remarks.push((About::Note, remark));
        }
        let lines = self.line.iter().filter(|line| line.has(product, version));
        remarks.extend(lines.flat_map(|line| self.of_line(line, version, now)));
        let newer = self.newer(product, version);
        if let Some(newest) = newer.max_by_key(|release| release.version) {
            let since = newest
                .released
                .map_or(String::new(), |day| format!(" of {day}"));
            let remark = Remark {
                what: format!("{}{since} is newer", newest.version),
                bears: false,
                days_left: None,
                source: newest.source.clone(),
                certainty: newest.certainty,
            };
            remarks.push((About::Note, remark));
        }
        remarks.sort_by_key(|(_, remark)| remark.urgency());
        remarks
    }

    fn newer(&self, product: Product, version: Version) -> impl Iterator<Item = &Release> {
        self.release.iter().filter(move |release| {
            release.product == product && release.version > version && release.recalled.is_none()
        })
    }

    /// What a rule of a line says of one of its versions.
    fn of_line(&self, line: &Line, version: Version, now: Timestamp) -> Vec<(About, Remark)> {
        let mut said = Vec::new();
        if let Some(stops) = &line.stops {
            let stopped = Remark {
                what: stops.clone(),
                bears: true,
                days_left: None,
                source: line.source.clone(),
                certainty: line.certainty,
            };
            said.push((About::Floor, stopped));
        }
        // Its own row is nearer to the vendor's table than what is derived here.
        let own = self.release(line.product, version);
        let told = own.is_some_and(|own| own.end_of_support.is_some() || own.retired.is_some());
        if let (false, Some(months)) = (told, line.months) {
            let newer = || self.newer(line.product, version);
            let by_rule = newer().filter_map(|release| {
                let day = release.released?;
                let why = format!("{months} months after {} of {day}", release.version);
                Some((day.after(months), release, why))
            });
            // An older version of the line outlives no newer one, whichever release the vendor counts from.
            let own = newer().filter(|release| line.has(line.product, release.version));
            let by_newer = own.filter_map(|release| {
                let why = format!("as that of {} does, which is newer", release.version);
                Some((release.end_of_support?, release, why))
            });
            let soonest = by_rule.chain(by_newer).min_by_key(|(end, ..)| *end);
            said.extend(soonest.map(|(end, release, why)| {
                let left = end.days_left(now);
                let derived = Remark {
                    what: format!("support ends on {end}, {why}"),
                    bears: left < 0,
                    days_left: Some(left),
                    source: format!("{}; the release: {}", line.source, release.source),
                    // As sure as the weaker of the two.
                    certainty: line.certainty.max(release.certainty),
                };
                (About::Support, derived)
            }));
        }
        said
    }

    /// Why that version may not be brought onto agents of a cloud that use these sets of rights (PF44): `Err` blocks, `Ok(Some)`
    /// warns. Where `uses` is absent it is not known what they use.
    ///
    /// # Errors
    /// When the vendor itself says that what they use breaks.
    pub fn may_use(
        &self,
        (product, version): (Product, Version),
        cloud: Cloud,
        uses: Option<&BTreeSet<Permission>>,
    ) -> Result<Option<String>, String> {
        let about =
            |one: &&Broken| one.product == product && one.version == version && one.cloud == cloud;
        let mut warns = None;
        for broken in self.broken.iter().filter(about) {
            let own = [broken.permission, Permission::All];
            let uses = uses.map(|uses| own.iter().any(|one| uses.contains(one)));
            let said = format!(
                "{version} in the cloud {}: {} ({})",
                cloud.as_str(),
                broken.effect,
                broken.source
            );
            match (uses, broken.certainty) {
                (Some(false), _) => {}
                (Some(true), Certainty::Vendor) => return Err(said),
                (Some(true), Certainty::Secondary | Certainty::Unverified) => warns = Some(said),
                (None, _) => {
                    warns = Some(format!(
                        "{said}; whether it is used cannot be told, since no `permissions` are written"
                    ));
                }
            }
        }
        Ok(warns)
    }

    /// Why a version may not be brought onto a server (G6): `Err` blocks, `Ok(Some)` warns.
    ///
    /// # Errors
    /// When the vendor itself says so, and when anybody says that the version was taken back: another one can be brought in its place, and
    /// one that turns out to be broken can not be taken off again by a later word.
    pub fn may_install(
        &self,
        product: Product,
        version: Version,
        now: Timestamp,
    ) -> Result<Option<String>, String> {
        let any = |about: About| about == About::Recall;
        self.judged(product, version, (Ended::Blocks, any), now)
    }

    /// Why a server with that version of Connect may not become its tenant's active one (G4): `Err` blocks, `Ok(Some)` warns. It has that
    /// version already.
    ///
    /// # Errors
    /// When the vendor itself says so.
    pub fn may_be_active(
        &self,
        version: Version,
        ended: Ended,
        now: Timestamp,
    ) -> Result<Option<String>, String> {
        self.judged(Product::Connect, version, (ended, |_| false), now)
    }

    fn judged(
        &self,
        product: Product,
        version: Version,
        (ended, by_anybody): (Ended, fn(About) -> bool),
        now: Timestamp,
    ) -> Result<Option<String>, String> {
        let mut bears = self.known(product, version, now);
        bears.retain(|(_, remark)| remark.bears);
        let said = |(_, remark): &(About, Remark)| {
            format!("{version} {} ({})", remark.what, remark.source)
        };
        // What somebody else says may be older or worse: it does not stand before the vendor's own word.
        let blocks = |(about, remark): &&(About, Remark)| {
            (remark.certainty == Certainty::Vendor || by_anybody(*about))
                && (!about.goes_on() || ended == Ended::Blocks)
        };
        match bears.iter().find(blocks) {
            Some(remark) => Err(said(remark)),
            None => Ok(bears.first().map(said)),
        }
    }

    /// What is so of the version of Connect that a server has (PF43): it passes, or what bears on it blocks or warns.
    #[must_use]
    pub fn finding(&self, version: Version, now: Timestamp) -> Finding {
        let probe = &catalogue::PF43;
        let finding = |read, verdict| probe.finding(read, verdict);
        match self.may_be_active(version, Ended::Blocks, now) {
            Ok(None) => finding(version.to_string(), Verdict::Pass),
            Err(why) => finding(why, Verdict::Fail),
            Ok(Some(why)) => Finding {
                severity: Severity::Warn,
                ..finding(why, Verdict::Fail)
            },
        }
    }

    /// An agent's answer about the identity of an engine (PV26) as it weighs at `now`, with what stops without an application, since or
    /// from when on, and who says so. The vendor's own word blocks from that day on; before it, and what others say, warns. Every other answer
    /// stays as it is.
    #[must_use]
    pub fn weighed(&self, mut finding: Finding, now: Timestamp) -> Finding {
        if finding.id != IDENTITY || finding.verdict != Verdict::Fail {
            return finding;
        }
        for row in &self.identity {
            let bears = row.from.days_left(now) < 0;
            if bears && row.certainty == Certainty::Vendor {
                finding.severity = Severity::Block;
            }
            let when = if bears { "since" } else { "from" };
            finding.fix.push_str(&format!(
                "; {when} {} {} ({}; checked on {})",
                row.from, row.effect, row.source, self.checked_on
            ));
        }
        finding
    }

    /// Why one of these files may not be brought onto a server any more (G6), with what lifts that.
    #[must_use]
    pub fn refuses<'a>(
        &self,
        artifacts: impl IntoIterator<Item = &'a ArtifactRef>,
        now: Timestamp,
    ) -> Option<String> {
        artifacts.into_iter().find_map(|artifact| {
            let (product, version) = (artifact.product, artifact.version);
            let why = self.may_install(product, version, now).err()?;
            Some(format!(
                "{} {why} (G6); a new plan with an installer of another version lifts it, or a versions.toml beside the controller's state that no longer says so, and its restart",
                product.as_str()
            ))
        })
    }

    /// Every server's versions, worst first, with what is so of Connect servers by as what they sign in.
    #[must_use]
    pub fn rows(&self, known: &Fleetwide, signs_in: &SignsIn, now: Timestamp) -> Vec<VersionRow> {
        let mut rows = Vec::new();
        for (target, known) in known {
            let Some((reported, facts)) = &known.facts else {
                continue;
            };
            // What is left of one that was taken off is a registry key, which has no version to read.
            let agent = facts.provisioning_agent.as_ref();
            let agent = agent.filter(|agent| !agent.is_removed());
            let agent = agent.map(|agent| agent.version);
            let connect = facts.connect.as_ref().map(|connect| connect.version);
            let both: BTreeMap<Product, Option<Version>> = [
                (Product::ProvisioningAgent, agent),
                (Product::Connect, connect),
            ]
            .into_iter()
            .filter_map(|(product, version)| Some((product, version?)))
            .collect();
            for (product, version) in both {
                let mut remarks = version
                    .map(|version| self.remarks(product, version, now))
                    .unwrap_or_default();
                if product == Product::Connect {
                    let told = signs_in.get(target).copied();
                    remarks.extend(self.of_identity(told, now));
                    remarks.sort_by_key(Remark::urgency);
                }
                rows.push(VersionRow {
                    target: target.clone(),
                    product,
                    version,
                    reported: *reported,
                    remarks,
                });
            }
        }
        let urgency = |row: &VersionRow| match (row.version, row.remarks.first()) {
            // What cannot be read may be anything.
            (None, _) => i64::MIN + 1,
            (Some(_), remark) => remark.map_or(i64::MAX, Remark::urgency),
        };
        rows.sort_by(|a, b| (urgency(a), &a.target).cmp(&(urgency(b), &b.target)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("{day}T12:00:00Z").parse().unwrap()
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn the_data_of_this_program_are_read_and_each_row_names_its_source() {
        let data = Versions::built_in();
        assert!(data.release.len() >= 10 && data.floor.len() == 3);
        assert!(data.release.iter().all(|row| !row.source.is_empty()));
        let mut seen = std::collections::BTreeSet::new();
        for row in &data.release {
            assert!(
                seen.insert((row.product, row.version)),
                "{row:?} stands twice"
            );
        }
    }

    #[test]
    fn days_are_counted_to_the_floor_and_from_it_on() {
        let data = Versions::built_in();
        let before = data.remarks(Product::Connect, version("2.5.76.0"), at("2026-09-20"));
        let floor = before
            .iter()
            .find(|one| one.what.starts_with("below 2.5.79.0"))
            .unwrap();
        assert_eq!(floor.days_left, Some(9));
        let after = data.remarks(Product::Connect, version("2.5.76.0"), at("2026-11-23"));
        assert!(
            after[0].what.contains("support ends on 2026-09-01"),
            "{after:?}"
        );
        let floor = after
            .iter()
            .find(|one| one.what.starts_with("below 2.5.79.0"))
            .unwrap();
        assert_eq!(floor.days_left, Some(-55));
    }

    #[test]
    fn a_version_that_was_taken_back_is_brought_nowhere_whoever_says_so() {
        let now = at("2026-11-23");
        // The one recall that is known stands in the data by somebody else's word.
        let (data, recalled) = (Versions::built_in(), version("2.6.79.0"));
        let row = data.release(Product::Connect, recalled).unwrap();
        assert_eq!(row.certainty, Certainty::Secondary);
        let refused = data.may_install(Product::Connect, recalled, now);
        assert!(refused.unwrap_err().contains("2.6.79.0 recalled: "));
        // A server that has it is told, and is not kept from becoming active where nobody else can be.
        let told = data.may_be_active(recalled, Ended::Blocks, now);
        assert!(told.unwrap().unwrap().contains("recalled"));
        let finding = data.finding(recalled, now);
        assert!(finding.verdict == Verdict::Fail && !finding.blocks());
        // Nothing else that secondary sources say refuses.
        let ended = data.may_install(Product::Connect, version("2.5.79.0"), now);
        assert!(ended.unwrap().unwrap().contains("support ends"));
    }

    #[test]
    fn what_secondary_sources_say_warns_and_what_the_vendor_says_blocks() {
        let mut data = Versions::built_in();
        let recalled = version("2.6.79.0");
        let now = at("2026-11-23");
        let warned = data.may_be_active(recalled, Ended::Blocks, now);
        assert!(warned.unwrap().unwrap().contains("recalled"));
        for row in &mut data.release {
            row.certainty = Certainty::Vendor;
        }
        assert!(data.may_install(Product::Connect, recalled, now).is_err());
        let newest = data.may_install(Product::Connect, version("2.6.92.0"), now);
        assert_eq!(newest, Ok(None));
        // An older word of somebody else does not cover the vendor's.
        let floor = |from: &str, certainty| Floor {
            product: Product::Connect,
            at_least: version("2.6.92.1"),
            from: from.to_owned().try_into().unwrap(),
            effect: "all stops".to_owned(),
            about: None,
            source: format!("{certainty:?}"),
            certainty,
        };
        let both = [
            floor("2026-01-01", Certainty::Secondary),
            floor("2026-11-01", Certainty::Vendor),
        ];
        let mut data = Versions::built_in();
        data.floor.extend(both);
        let newest = data.may_install(Product::Connect, version("2.6.92.0"), now);
        assert!(newest.unwrap_err().contains("(Vendor)"));
        let below = data.may_install(Product::Connect, version("2.4.1.0"), now);
        assert!(
            below.unwrap_err().contains("2.4.18.0"),
            "the vendor's own floor"
        );
    }

    /// The wizard's tasks for AD FS stop below the vendor's floor, and synchronization does not.
    #[test]
    fn a_floor_of_tasks_keeps_nobody_from_synchronizing_in_an_emergency() {
        let data = Versions::built_in();
        let (now, old) = (at("2026-11-23"), version("2.4.16.0"));
        let warned = data.may_be_active(old, Ended::Warns, now).unwrap();
        assert!(warned.unwrap().contains("2.4.16.0"));
        let why = data.may_be_active(old, Ended::Blocks, now).unwrap_err();
        assert!(why.contains("below 2.4.18.0"), "{why}");
        assert!(data.may_install(Product::Connect, old, now).is_err());
    }

    /// Where the vendor's table names a day too, the rule gives the same one.
    #[test]
    fn a_release_without_a_day_retires_twelve_months_after_a_newer_one() {
        let mut data = Versions::built_in();
        let now = at("2026-11-23");
        let end = |data: &Versions, number: &str| {
            let remarks = data.remarks(Product::Connect, version(number), now);
            let mut ends = remarks
                .into_iter()
                .filter(|one| one.what.starts_with("support ends on "));
            let end = ends.next()?;
            assert!(ends.next().is_none(), "one end");
            Some((
                end.what["support ends on ".len()..][..10].to_owned(),
                end.bears,
                end.certainty,
            ))
        };
        let told: Vec<_> = ["2.5.3.0", "2.6.3.0", "2.6.84.0", "2.6.91.0"].into();
        let rows: Vec<_> = told.iter().map(|one| end(&data, one).unwrap().0).collect();
        for row in &mut data.release {
            row.end_of_support = None;
        }
        let derived: Vec<_> = told.iter().map(|one| end(&data, one).unwrap().0).collect();
        assert_eq!(rows, derived);
        // A version of no row falls under it too; it is as sure as the release that it counts from.
        let strange = end(&data, "2.4.100.0").unwrap();
        assert_eq!(
            strange,
            ("2026-07-31".to_owned(), true, Certainty::Secondary)
        );
        assert_eq!(end(&data, "2.6.92.0"), None, "nothing is newer");
        assert_eq!(end(&data, "3.0.0.0"), None, "it is of another line");
    }

    #[test]
    fn a_line_that_does_not_work_at_all_blocks_and_a_retired_version_says_so() {
        let data = Versions::built_in();
        let now = at("2026-11-23");
        let why = data.may_install(Product::Connect, version("1.6.16.0"), now);
        assert!(why.unwrap_err().contains("1.x does not synchronize at all"));
        for (number, blocks) in [("2.4.18.0", true), ("2.3.20.0", true), ("2.4.131.0", false)] {
            let remarks = data.remarks(Product::Connect, version(number), now);
            let retired = remarks.iter().find(|one| one.what.starts_with("retired: "));
            assert!(retired.unwrap().bears, "{number}: {remarks:?}");
            let may = data.may_install(Product::Connect, version(number), now);
            assert_eq!(may.is_err(), blocks, "{number}: {may:?}");
        }
        let agent = version("1.1.1586.0");
        assert_eq!(
            data.may_install(Product::ProvisioningAgent, agent, now),
            Ok(None)
        );
        let row = data.release(Product::ProvisioningAgent, agent).unwrap();
        assert_eq!(row.released.unwrap().to_string(), "2024-05-13");
    }

    #[test]
    fn a_version_that_breaks_what_is_used_is_refused_in_its_cloud_alone() {
        let mut data = Versions::built_in();
        let uses = |one| BTreeSet::from([Permission::BasicRead, one]);
        let agent = |number| (Product::ProvisioningAgent, version(number));
        let (broken, gov) = (agent("1.1.2102.0"), Cloud::UsGovernment);
        for used in [Permission::PasswordWriteback, Permission::All] {
            let why = data.may_use(broken, gov, Some(&uses(used))).unwrap_err();
            assert!(why.contains("password writeback is broken"), "{why}");
            for cloud in [Cloud::Commercial, Cloud::China] {
                assert_eq!(data.may_use(broken, cloud, Some(&uses(used))), Ok(None));
            }
            let mended = agent("1.1.2108.0");
            assert_eq!(data.may_use(mended, gov, Some(&uses(used))), Ok(None));
        }
        let other = uses(Permission::PasswordHashSync);
        assert_eq!(data.may_use(broken, gov, Some(&other)), Ok(None));
        let untold = data.may_use(broken, gov, None).unwrap().unwrap();
        assert!(untold.contains("cannot be told"), "{untold}");
        // Somebody else's word warns (G6).
        data.broken[0].certainty = Certainty::Secondary;
        let used = uses(Permission::PasswordWriteback);
        assert!(data.may_use(broken, gov, Some(&used)).unwrap().is_some());
    }

    #[test]
    fn the_day_of_an_identity_weighs_by_the_clock_and_by_who_names_it() {
        let answer = |verdict| Finding {
            severity: Severity::Warn,
            ..catalogue::PF43.finding("ServiceAccount", verdict)
        };
        let pv26 = |verdict| Finding {
            id: IDENTITY.to_owned(),
            ..answer(verdict)
        };
        let built_in = Versions::built_in();
        for (certainty, day, blocks, words) in [
            ("secondary", "2027-04-06", false, "; from 2027-04-07 "),
            ("secondary", "2027-04-08", false, "; since 2027-04-07 "),
            ("vendor", "2027-04-06", false, "; from 2027-04-07 "),
            ("vendor", "2027-04-08", true, "; since 2027-04-07 "),
        ] {
            let text = format!(
                "checked_on = \"2027-03-01\"\n[[identity]]\nfrom = \"2027-04-07\"\neffect = \"it stops\"\nsource = \"a page\"\ncertainty = \"{certainty}\"\n"
            );
            let versions = Versions::parse(&text).unwrap();
            let said = versions.weighed(pv26(Verdict::Fail), at(day));
            assert_eq!(said.blocks(), blocks, "{certainty} {day}: {said:?}");
            assert!(said.fix.contains(words), "{}", said.fix);
            assert!(said.fix.contains("(a page; checked on 2027-03-01)"));
            for other in [
                pv26(Verdict::Pass),
                pv26(Verdict::CannotTell),
                answer(Verdict::Fail),
            ] {
                assert_eq!(versions.weighed(other.clone(), at(day)), other);
            }
        }
        // The moment at which that day begins is the first one.
        let said = |at: &str| {
            let said = built_in.weighed(pv26(Verdict::Fail), at.parse().unwrap());
            (said.severity, said.fix.contains("since 2027-04-07"))
        };
        assert_eq!(said("2027-04-06T23:59:59Z"), (Severity::Warn, false));
        assert_eq!(said("2027-04-07T00:00:01Z"), (Severity::Warn, true));
        // Data that name no day leave the answer as it is.
        let none = Versions::parse("checked_on = \"2027-03-01\"").unwrap();
        let plain = pv26(Verdict::Fail);
        assert_eq!(none.weighed(plain.clone(), at("2027-05-01")), plain);
    }

    /// What ended for a newer version of a line has ended for an older one, whatever the rule of the line counts from.
    #[test]
    fn a_version_in_no_row_ends_no_later_than_a_newer_one_of_its_line() {
        let data = Versions::built_in();
        let now = at("2026-11-23");
        let said = data.remarks(Product::Connect, version("2.5.78.0"), now);
        let ends: Vec<&Remark> = said
            .iter()
            .filter(|one| one.what.starts_with("support ends on"))
            .collect();
        assert_eq!(ends.len(), 1, "{said:?}");
        assert!(
            ends[0].what.starts_with("support ends on 2026-10-23")
                && ends[0].what.contains("2.5.79.0"),
            "{ends:?}"
        );
        assert_eq!((ends[0].bears, ends[0].days_left), (true, Some(-32)));
        assert_eq!(ends[0].certainty, Certainty::Secondary);
        // One of another line has no say, and neither has an older version.
        let rows = "checked_on = \"2026-10-06\"\n[[line]]\nproduct = \"connect\"\nat_least = \"2.0.0.0\"\nbelow = \"3.0.0.0\"\nmonths = 12\nsource = \"a rule\"\ncertainty = \"vendor\"\n";
        let row = |number: &str, rest: &str| {
            format!(
                "[[release]]\nproduct = \"connect\"\nversion = \"{number}\"\n{rest}\nsource = \"a table\"\ncertainty = \"vendor\"\n"
            )
        };
        for (more, ends) in [
            (row("3.0.0.0", "end_of_support = \"2020-01-01\""), None),
            (row("2.4.0.0", "end_of_support = \"2020-01-01\""), None),
            (
                row("2.6.0.0", "end_of_support = \"2027-03-01\""),
                Some("2027-03-01"),
            ),
            // The rule says sooner.
            (
                row(
                    "2.6.0.0",
                    "released = \"2026-01-01\"\nend_of_support = \"2027-03-01\"",
                ),
                Some("2027-01-01"),
            ),
            // Its support ended already with the first of two newer ones.
            (
                row("2.6.0.0", "end_of_support = \"2026-09-01\"")
                    + &row("2.7.0.0", "end_of_support = \"2027-03-01\""),
                Some("2026-09-01"),
            ),
        ] {
            let data = Versions::parse(&format!("{rows}{more}")).unwrap();
            let said = data.remarks(Product::Connect, version("2.5.0.0"), now);
            let mut of = said
                .iter()
                .filter_map(|one| one.what.strip_prefix("support ends on "));
            let told = of.next().map(|rest| rest.get(..10).unwrap());
            assert_eq!(told, ends, "{said:?}");
            assert_eq!(of.next(), None);
        }
    }

    #[test]
    fn a_document_with_a_slip_is_refused_with_its_place() {
        let wrong = Versions::parse("checked_on = \"yesterday\"").unwrap_err();
        assert!(
            wrong.contains("yesterday") && wrong.contains("line 1"),
            "{wrong}"
        );
        assert!(Versions::parse("checked_on = \"2026-10-06\"\nfloors = 1").is_err());
    }
}
