//! What a person who signed in was answered of a domain, and an operator has handed in: it answers what an agent's own account could not
//! be told, and nothing else. It is never a probe's answer: each sentence names who handed it in, as whom it was read, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::answers::DirectoryAnswers;
use protocol::event::{Finding, Verdict};
use protocol::{DomainName, GmsaName, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::readiness::COUNTS;

/// What such a run may answer: what the rights of an account decide (PF22 to PF25 are about the way from one server, which nobody else can
/// tell).
const OF_ACCOUNTS: [&str; 12] = [
    "PF46", "PF48", "PF49", "PF50", "PF52", "PF54", "PF55", "PF57", "PF58", "PF59", ANCHORS, "UN03",
];

/// Those among them that are about one server and its gMSA, and what a verification asks of both.
const OF_SERVERS: [&str; 5] = [READER, "PF52", RIGHTS, VERIFIED_RIGHTS, STILL_READER];

/// Whether a server may retrieve the password of a gMSA, as a preflight asks it: yes is as it should be.
const READER: &str = "PF50";

/// The same question behind a removal: no is as it should be.
const STILL_READER: &str = "RM07";

/// The rights of an account, as a preflight asks about them.
const RIGHTS: &str = "PF54";

/// The same question, as a verification asks it.
const VERIFIED_RIGHTS: &str = "PV18";

/// Whether every user and group has its anchor, in a domain or in some organizational units of it.
const ANCHORS: &str = "PF60";

/// How far the clock of a machine that asked may be ahead.
const CLOCKS: Duration = Duration::from_secs(60);

/// A run's answers, and who answers for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answers.
    pub answers: DirectoryAnswers,
    /// Who handed them in.
    pub by: String,
}

/// The newest of each domain, and of each gMSA and server that was asked about.
pub type Answers = BTreeMap<(DomainName, Option<(GmsaName, TargetId)>), Answered>;

/// What stands for an answer that could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The probe that could not tell.
    pub id: String,
    /// What it looked at.
    pub what: String,
    /// Whether the answer is as it should be.
    pub passes: bool,
    /// The answer, with who says so, as whom it was read, and when.
    pub sentence: String,
}

/// Tells whether answers may be handed in.
///
/// # Errors
/// When they are too old or of a time to come, answer nothing, or name whoever asked at too great a length.
pub fn accept(answers: &DirectoryAnswers, now: Timestamp) -> Result<(), String> {
    const MAX_NAME: usize = 256;
    if answers.at > now.plus(CLOCKS) {
        return Err(format!(
            "it was read at {}, and here it is {now}: mend the clock of the machine that read it",
            answers.at
        ));
    }
    if now.since(answers.at) > COUNTS {
        return Err(format!(
            "it was read at {}, and what is older than a day counts no more: ask again",
            answers.at
        ));
    }
    if answers.asked_as.chars().count() > MAX_NAME {
        return Err(format!(
            "as whom it was read has more than {MAX_NAME} characters"
        ));
    }
    let words = answers.answers.iter();
    let words = words.flat_map(|one| [&one.what, &one.read, &one.wanted, &one.fix]);
    let shown = answers.servers.iter();
    let servers = shown.clone().flat_map(|shown| &shown.named);
    if let Some(long) = servers
        .clone()
        .find(|one| one.name.is_empty() || one.name.chars().count() > MAX_NAME)
    {
        return Err(format!(
            "it names a server by no name, or by one of more than {MAX_NAME} characters ({})",
            long.source
        ));
    }
    let servers = servers.flat_map(|one| [&one.name, &one.source]);
    let unread = shown.flat_map(|shown| &shown.unread);
    let mut words = words
        .chain([&answers.asked_as])
        .chain(servers)
        .chain(unread);
    if words.any(|word| word.chars().any(char::is_control)) {
        return Err(
            "one of its texts has more than one line, or characters that are not to be shown"
                .to_owned(),
        );
    }
    let mut told = answers.answers.iter();
    let shown = answers.servers.as_ref();
    // That the directory names no server is an answer too, where all of it was read.
    let names = shown.is_some_and(|shown| !shown.named.is_empty() || shown.unread.is_empty());
    if !names && !told.any(|one| may(one) && one.verdict != Verdict::CannotTell) {
        return Err(
            "none of its answers is one that the rights of an account decide, so it answers nothing"
                .to_owned(),
        );
    }
    Ok(())
}

fn may(finding: &Finding) -> bool {
    OF_ACCOUNTS.contains(&finding.id.as_str())
}

/// Takes answers up; what was read later stands. A file that tells of servers alone takes nothing from an earlier one.
pub(crate) fn take(all: &mut Answers, answered: Answered) {
    if answered.answers.answers.is_empty() {
        return;
    }
    let DirectoryAnswers {
        domain, gmsa, at, ..
    } = &answered.answers;
    let place = (domain.clone(), gmsa.clone());
    if all
        .get(&place)
        .is_none_or(|before| before.answers.at <= *at)
    {
        all.insert(place, answered);
    }
}

/// What stands for a finding of that server whose account could not be told, at `now`: the newest answer to the same probe on the same
/// domain, where one counts; of what is about a server and its gMSA, the one that was asked about both.
#[must_use]
pub fn attested(
    all: &Answers,
    (target, gmsa): (&TargetId, Option<&GmsaName>),
    finding: &Finding,
    now: Timestamp,
) -> Option<Attested> {
    // What blocks stops the server there: nobody's word is asked.
    let asked = may(finding) || [VERIFIED_RIGHTS, STILL_READER].contains(&finding.id.as_str());
    if finding.verdict != Verdict::CannotTell || finding.blocks() || !asked {
        return None;
    }
    let own = OF_SERVERS.contains(&finding.id.as_str());
    let newest = all.iter().filter_map(|((domain, about), answered)| {
        let of_both = about
            .as_ref()
            .is_some_and(|(name, host)| host == target && Some(name) == gmsa);
        let at = answered.answers.at;
        if own && !of_both || now.since(at) > COUNTS {
            return None;
        }
        let mut told = answered.answers.answers.iter();
        let told = told.find(|told| {
            told.verdict != Verdict::CannotTell && is_same(told, finding, domain, target)
        })?;
        Some((at, told, answered))
    });
    let (at, told, answered) = newest.max_by_key(|(at, ..)| *at)?;
    let passes = (told.verdict == Verdict::Pass) != (finding.id == STILL_READER);
    let word = if passes {
        "as it should be"
    } else {
        "not as it should be"
    };
    Some(Attested {
        id: finding.id.clone(),
        what: finding.what.clone(),
        passes,
        sentence: format!(
            "attested by {}, read as {} at {at}, probed by no agent: {word}: {}",
            answered.by, answered.answers.asked_as, told.read
        ),
    })
}

/// The same question. A preflight names the domain behind what it looked at; what it could not ask of any served domain is about the
/// server's own. What a verification asks of the account's rights is what a preflight asks of them; and where all users and groups of a
/// domain have their anchors, those of some of its units have them too.
fn is_same(told: &Finding, finding: &Finding, domain: &DomainName, target: &TargetId) -> bool {
    let named = format!("{} ({domain})", told.what);
    let home = || finding.what == told.what && target.home_domain().as_ref() == Some(domain);
    if finding.id == STILL_READER {
        return told.id == READER && target.home_domain().as_ref() == Some(domain);
    }
    if finding.id == VERIFIED_RIGHTS {
        return told.id == RIGHTS && (finding.what == named || home());
    }
    let within = || {
        let scope = finding.what.strip_prefix(&format!("{}, in ", told.what));
        let own = scope.is_some_and(|scope| scope.ends_with(&format!(" ({domain})")));
        own && told.verdict == Verdict::Pass
    };
    if finding.id == ANCHORS && told.id == ANCHORS && told.wanted == finding.wanted && within() {
        return true;
    }
    told.id == finding.id && told.wanted == finding.wanted && (finding.what == named || home())
}
