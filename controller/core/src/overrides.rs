//! Rules that operators may set aside, for one target and an hour: which these are, who has said so, and until when it
//! holds. What a rule holds is asked elsewhere; here is no rule's own logic.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use protocol::{Generation, Overridden, TargetId, Timestamp, limits};
use serde::{Deserialize, Serialize};

/// A rule that holds something and may be overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No second Connect server of a tenant becomes active.
    G1,
    /// Enough agents keep serving each domain.
    G2,
    /// Changes of one gMSA object follow each other.
    G3,
    /// What a Connect server would export is within limits before it becomes active.
    G4,
    /// A domain in both tools has scopes that were probed disjoint.
    G7,
    /// Nothing starts where a finding of the preflight, or of the tenant, blocks.
    G8,
    /// A site's window and its frozen dates.
    Window,
}

impl Rule {
    /// Every rule that may be overridden.
    pub const ALL: [Self; 7] = [
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::G7,
        Self::G8,
        Self::Window,
    ];

    /// The rule as operators write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::G1 => "G1",
            Self::G2 => "G2",
            Self::G3 => "G3",
            Self::G4 => "G4",
            Self::G7 => "G7",
            Self::G8 => "G8",
            Self::Window => "window",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.trim().to_lowercase();
        let same = |rule: &&Self| rule.as_str().to_lowercase() == word;
        if let Some(rule) = Self::ALL.iter().find(same) {
            return Ok(*rule);
        }
        let all = Self::ALL.map(Self::as_str).join(", ");
        Err(match word.as_str() {
            "g5" => "G5 has no override: by one run per target and numbers that only grow an agent knows a replayed bundle; wait for the run's end, or abort its rollout".to_owned(),
            "g6" => "G6 has no override: nothing downgrades a product; where the data on versions are wrong, a corrected versions.toml in the state folder takes their place at the next start".to_owned(),
            "g9" => "G9 has no override: a server belongs to one tenant; correct the topology, or take off what is registered elsewhere".to_owned(),
            "g10" => "G10 needs no override: whoever wants what cannot be undone accepts it by number, with entrain apply --irreversible N; a configuration that is still at work for a domain whose last agent goes is disabled in its tenant first, and entrain tenant read shows that".to_owned(),
            "signature" | "signatures" => "signatures have no override: an agent runs what is signed under its trust root, and nothing else".to_owned(),
            _ => format!("there is no rule {text}; what may be overridden is {all}"),
        })
    }
}

/// One operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    pub(crate) change: String,
    /// How many different operators the trust root asked for at that moment.
    pub(crate) asked: u32,
}

/// What an override let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Used {
    /// A bundle was offered; of a rule that the agent asks itself, it carries the override.
    Offer,
    /// Leave was given.
    Leave,
}

impl Used {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "an offer",
            Self::Leave => "leave",
        }
    }
}

/// One override, from its first word to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Override {
    /// By different operators, in the order in which they said it.
    words: Vec<Word>,
    /// When the last word came that was needed: from then on it is in force.
    since: Option<Timestamp>,
    /// Who took it back, and when.
    withdrawn: Option<(String, Timestamp)>,
    used: Vec<(Timestamp, Generation, Used)>,
}

impl Override {
    /// The end of what has been in force, or would be.
    fn until(&self) -> Option<Timestamp> {
        Some(self.since?.plus(limits::OVERRIDE_LIFE))
    }

    /// Words that still count towards it.
    fn counting(&self, now: Timestamp) -> impl Iterator<Item = &Word> {
        let counts =
            move |word: &&Word| word.at <= now && now < word.at.plus(limits::OVERRIDE_LIFE);
        self.words.iter().filter(counts)
    }

    fn asked(&self) -> u32 {
        self.words.iter().map(|word| word.asked).max().unwrap_or(1)
    }

    fn standing(&self, now: Timestamp) -> Standing {
        if self.withdrawn.is_some() {
            return Standing::Withdrawn;
        }
        match (self.since, self.until()) {
            // A clock that was put back makes no hour longer.
            (Some(since), Some(until)) if since <= now && now < until => Standing::InForce,
            (Some(_), _) => Standing::Over,
            (None, _) if self.counting(now).next().is_some() => Standing::HalfSaid,
            (None, _) => Standing::Over,
        }
    }

    /// It as operators see it.
    fn view(&self, target: &TargetId, rule: Rule, now: Timestamp) -> OverrideView {
        let standing = self.standing(now);
        let words: Vec<&Word> = match standing {
            Standing::HalfSaid => self.counting(now).collect(),
            Standing::InForce | Standing::Over | Standing::Withdrawn => self.words.iter().collect(),
        };
        let first = words.first().map(|word| word.at);
        let lapses = first.unwrap_or_default().plus(limits::OVERRIDE_LIFE);
        let withdrawn = self.withdrawn.as_ref().map(|(_, at)| *at);
        let said = self.sentence();
        OverrideView {
            rule,
            target: target.clone(),
            standing,
            by: words.iter().map(|word| word.by.clone()).collect(),
            asked: self.asked(),
            reason: said.reason,
            change: said.change,
            since: self.since,
            until: withdrawn.or_else(|| self.until()).unwrap_or(lapses),
            used: self.used.clone(),
        }
    }

    fn sentence(&self) -> Overridden {
        let newest = self.words.last();
        Overridden {
            by: self.words.iter().map(|word| word.by.clone()).collect(),
            reason: newest.map_or_else(String::new, |word| word.reason.clone()),
            change: newest.map_or_else(String::new, |word| word.change.clone()),
            until: self.until().unwrap_or_default(),
        }
    }
}

/// How an override stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// More operators must say it.
    HalfSaid,
    /// It holds.
    InForce,
    /// Its hour is over.
    Over,
    /// Somebody took it back.
    Withdrawn,
}

/// An override as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideView {
    /// Which rule.
    pub rule: Rule,
    /// On which target.
    pub target: TargetId,
    /// How it stands.
    pub standing: Standing,
    /// Who has said so.
    pub by: Vec<String>,
    /// How many different operators must.
    pub asked: u32,
    /// Why, by whoever said it last.
    pub reason: String,
    /// Change number.
    pub change: String,
    /// When it came into force; absent where too few have said so.
    pub since: Option<Timestamp>,
    /// When it ends, or ended; of one that is half said, when its first word counts no more.
    pub until: Timestamp,
    /// What it let through: when, in which run, what.
    pub used: Vec<(Timestamp, Generation, Used)>,
}

impl OverrideView {
    /// The override in a sentence, with what it let through.
    #[must_use]
    pub fn sentence(&self) -> String {
        let used = self
            .used
            .iter()
            .map(|(at, generation, used)| format!("{} in run {generation} at {at}", used.as_str()));
        let used: Vec<String> = used.collect();
        let through = match self.standing {
            Standing::HalfSaid => String::new(),
            Standing::InForce | Standing::Over | Standing::Withdrawn if used.is_empty() => {
                "; it let nothing through".to_owned()
            }
            Standing::InForce | Standing::Over | Standing::Withdrawn => {
                format!("; it let through: {}", used.join(", "))
            }
        };
        format!("{}{through}", self.standing_sentence())
    }

    /// How it stands, in a sentence.
    #[must_use]
    pub fn standing_sentence(&self) -> String {
        let who = self.by.join(" and ");
        let (rule, target, until) = (self.rule, &self.target, self.until);
        let what = match self.standing {
            Standing::HalfSaid => format!(
                "{rule} on {target} is NOT OVERRIDDEN YET: {} of {} operators have said so ({who}); the rest must by {until}",
                self.by.len(),
                self.asked
            ),
            Standing::InForce => {
                format!("{rule} on {target} is OVERRIDDEN until {until} by {who}")
            }
            Standing::Over if self.since.is_none() => format!(
                "{rule} on {target} was not overridden: {who} alone had said so until {until}"
            ),
            Standing::Over => format!("{rule} on {target} was overridden until {until} by {who}"),
            Standing::Withdrawn => {
                format!("the override of {rule} on {target} by {who} was withdrawn at {until}")
            }
        };
        format!("{what} ({}: {})", self.change, self.reason)
    }
}

/// The newest override of each rule on each target. Nothing here is removed by time: what is over says what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    by_target: BTreeMap<TargetId, BTreeMap<Rule, Override>>,
}

impl Overrides {
    fn of(&self, target: &TargetId, rule: Rule) -> Option<&Override> {
        self.by_target.get(target)?.get(&rule)
    }

    fn all(&self) -> impl Iterator<Item = (&TargetId, Rule, &Override)> {
        self.by_target
            .iter()
            .flat_map(|(target, rules)| rules.iter().map(move |(rule, over)| (target, *rule, over)))
    }

    /// Takes up an operator's word. What is in force is not made longer by another one.
    pub(crate) fn said(&mut self, target: &TargetId, rule: Rule, word: Word) {
        let now = word.at;
        let rules = self.by_target.entry(target.clone()).or_default();
        let over = rules.entry(rule).or_default();
        match over.standing(now) {
            Standing::InForce => return,
            Standing::Over | Standing::Withdrawn => *over = Override::default(),
            Standing::HalfSaid => {
                over.words = over.counting(now).cloned().collect();
            }
        }
        if over.words.iter().all(|said| said.by != word.by) {
            over.words.push(word);
        }
        let said = u32::try_from(over.words.len()).unwrap_or(u32::MAX);
        if said >= over.asked() {
            over.since = Some(now);
        }
    }

    pub(crate) fn withdrawn(&mut self, target: &TargetId, rule: Rule, by: &str, now: Timestamp) {
        let rules = self.by_target.get_mut(target);
        if let Some(over) = rules.and_then(|rules| rules.get_mut(&rule))
            && matches!(over.standing(now), Standing::HalfSaid | Standing::InForce)
        {
            over.withdrawn = Some((by.to_owned(), now));
        }
    }

    /// It let something through; gives who answers for that.
    pub(crate) fn used(
        &mut self,
        target: &TargetId,
        rule: Rule,
        what: (Timestamp, Generation, Used),
    ) -> Option<Overridden> {
        let over = self.by_target.get_mut(target)?.get_mut(&rule)?;
        over.used.push(what);
        Some(over.sentence())
    }

    /// A server that is gone, or that comes back as another one, has none.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.by_target.remove(target);
    }

    pub(crate) fn clear(&mut self) {
        self.by_target.clear();
    }

    pub(crate) fn is_in_force(&self, target: &TargetId, rule: Rule, now: Timestamp) -> bool {
        let over = self.of(target, rule);
        over.is_some_and(|over| over.standing(now) == Standing::InForce)
    }

    /// What a step carries of an override that is in force.
    pub(crate) fn carried(
        &self,
        target: &TargetId,
        rule: Rule,
        now: Timestamp,
    ) -> Option<Overridden> {
        let over = self.of(target, rule)?;
        (over.standing(now) == Standing::InForce).then(|| over.sentence())
    }

    /// Targets on which a rule is overridden just now.
    pub(crate) fn targets(&self, rule: Rule, now: Timestamp) -> impl Iterator<Item = &TargetId> {
        let all = self.all();
        all.filter(move |(_, of, over)| *of == rule && over.standing(now) == Standing::InForce)
            .map(|(target, _, _)| target)
    }

    /// When the next one ends that is in force, or counts towards being so.
    pub(crate) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self
            .all()
            .filter_map(|(_, _, over)| match over.standing(now) {
                Standing::InForce => over.until(),
                Standing::HalfSaid => {
                    let words = over.counting(now);
                    words.map(|word| word.at.plus(limits::OVERRIDE_LIFE)).min()
                }
                Standing::Over | Standing::Withdrawn => None,
            });
        ends.min()
    }

    /// All of them as operators see them.
    pub(crate) fn views(&self, now: Timestamp) -> impl Iterator<Item = OverrideView> {
        self.all()
            .map(move |(target, rule, over)| over.view(target, rule, now))
    }

    /// Those of one target.
    pub(crate) fn views_of(
        &self,
        target: &TargetId,
        now: Timestamp,
    ) -> impl Iterator<Item = OverrideView> {
        let all = self.by_target.get(target).into_iter().flatten();
        all.map(move |(rule, over)| over.view(target, *rule, now))
    }

    /// That of one rule on one target.
    pub(crate) fn view_of(
        &self,
        target: &TargetId,
        rule: Rule,
        now: Timestamp,
    ) -> Option<OverrideView> {
        self.of(target, rule)
            .map(|over| over.view(target, rule, now))
    }
}
