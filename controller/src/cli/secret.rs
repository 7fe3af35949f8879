//! Giving secrets: the agent's signed ask is checked here, the secret is asked for here and sealed here. The controller
//! forwards what it cannot open.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::seal;
use protocol::key::PublicKey;
use protocol::secret::{Sealed, Secret, SecretAsk, SecretKind};
use protocol::signed::{RoleKeys, Verified, verify};
use protocol::{Digest, TargetId};

use crate::cli::meant::{Asked, Whose, meant};
use crate::cli::output;
use crate::cli::passphrase::ask_hidden;
use crate::http::client::Client;
use crate::http::types::{Agents, AskRow, Done, SecretGiven};

/// How long no question must come before the appointment counts as over.
const QUIET: Duration = Duration::from_secs(60);

/// How long after its answer an agent may come to its sign-in, where nobody says how long the appointment lasts: it asks when the
/// step is due, and signs in at once.
const SIGN_IN: Duration = Duration::from_secs(5 * 60);

/// How often questions are looked for.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) struct Appointment {
    pub(crate) target: Option<TargetId>,
    /// Whose secret it is; without it, of what is asked for each by a question of its own, or the only kind that is open.
    pub(crate) whose: Option<Whose>,
    pub(crate) stdin: bool,
    pub(crate) count: Option<u32>,
    /// For how long what is given must be good, in minutes.
    pub(crate) minutes: Option<u64>,
}

impl Appointment {
    fn lasts(&self) -> Duration {
        let minutes = self
            .minutes
            .map(|minutes| Duration::from_secs(minutes * 60));
        minutes.unwrap_or(SIGN_IN)
    }
}

/// A question whose signature was verified.
struct Open<'a> {
    row: &'a AskRow,
    ask: Verified<SecretAsk>,
    asked: Asked,
}

/// Answers the questions that come, and says whether all were that were to be. What comes from standard input is for one tenant or one
/// domain, and answers questions of that kind alone (G9); the others stay open, and each is named once.
///
/// # Errors
/// When the controller does not answer, nobody knows the target, standard input has no secret, or it has one while several kinds are
/// asked for and none was named.
pub(crate) async fn give(client: &Client, appointment: &Appointment) -> anyhow::Result<bool> {
    if let Some(target) = &appointment.target {
        known(client, target).await?;
    }
    let fixed = if appointment.stdin {
        Some(read_stdin()?)
    } else {
        None
    };
    // The moment is fixed when the appointment begins: it does not move on with each answer.
    let until = crate::now().plus(appointment.lasts());
    let mut answered = BTreeSet::new();
    let mut others = BTreeSet::new();
    let mut kind: Option<SecretKind> = None;
    let mut given = 0;
    let mut quiet = Duration::ZERO;
    while appointment.count.is_none_or(|count| given < count) && quiet < QUIET {
        // A controller that is being restarted does not end the appointment; one that stays away does.
        let asks: Vec<AskRow> = match client.get("/v1/secrets").await {
            Ok(asks) => asks,
            Err(error) if quiet.is_zero() && answered.is_empty() => return Err(error),
            Err(_) => Vec::new(),
        };
        let wanted = |ask: &&AskRow| {
            appointment
                .target
                .as_ref()
                .is_none_or(|target| *target == ask.target)
        };
        let mut open: Vec<Open> = Vec::new();
        for row in asks.iter().filter(wanted) {
            if answered.contains(&row.envelope) {
                continue;
            }
            match check(row) {
                Ok(ask) => {
                    let asked = Asked {
                        target: row.target.clone(),
                        wanted: ask.wanted.clone(),
                        tenant: row.tenant.clone(),
                    };
                    open.push(Open { row, ask, asked });
                }
                Err(error) => {
                    answered.insert(row.envelope.clone());
                    not_answered(&row.target, &error);
                }
            }
        }
        if fixed.is_some() && kind.is_none() {
            let asked: Vec<Asked> = open.iter().map(|open| open.asked.clone()).collect();
            kind = meant(appointment.whose.as_ref(), &asked).map_err(anyhow::Error::msg)?;
        }
        let is_meant = |open: &Open| match (&fixed, &appointment.whose) {
            (Some(_), _) => kind.as_ref() == Some(&open.asked.wanted),
            (None, Some(whose)) => whose.is_of(&open.asked),
            (None, None) => true,
        };
        for other in open.iter().filter(|open| !is_meant(open)) {
            if others.insert(other.row.envelope.clone()) {
                output::error(&format!(
                    "{} stays open: {} is not what is given here: entrain secret give {}",
                    other.row.target,
                    other.asked,
                    other.asked.wanted.option()
                ));
            }
        }
        let Some(one) = open.iter().find(|open| is_meant(open)) else {
            tokio::time::sleep(LOOK).await;
            quiet += LOOK;
            continue;
        };
        quiet = Duration::ZERO;
        answered.insert(one.row.envelope.clone());
        let lasts = until.since(crate::now()).max(SIGN_IN);
        match answer(client, one, fixed.as_ref(), lasts).await {
            Ok(said) => {
                output::error(&said);
                given += 1;
            }
            // The agent may have gone away meanwhile; it asks again under a new key.
            Err(error) => not_answered(&one.row.target, &error),
        }
    }
    output::print(&format!("{given} given"));
    // One that could not be answered may have come again, and been answered then.
    let refused = given == 0 && !answered.is_empty();
    Ok(!refused && appointment.count.is_none_or(|count| given >= count))
}

fn not_answered(target: &TargetId, error: &anyhow::Error) {
    output::error(&format!("the ask of {target} was not answered: {error:#}"));
}

/// Who is not enrolled never asks: its name is mistyped.
async fn known(client: &Client, target: &TargetId) -> anyhow::Result<()> {
    let agents: Agents = client.get("/v1/agents").await?;
    if !agents.agents.iter().any(|agent| agent.target == *target) {
        bail!("{target} is not enrolled, so it asks for nothing; entrain agents lists who is");
    }
    Ok(())
}

async fn answer(
    client: &Client,
    open: &Open<'_>,
    fixed: Option<&Secret>,
    lasts: Duration,
) -> anyhow::Result<String> {
    let Open { row, ask, asked } = open;
    let fits = |secret: &Secret| ask.wanted.fits_for(secret, crate::now(), lasts);
    // What is not for this tenant never leaves the operator's machine (G9, PF63).
    let (secret, doubts) = match fixed {
        Some(secret) => (secret.clone(), fits(secret).map_err(anyhow::Error::msg)?),
        None => loop {
            let secret = prompt(ask, asked)?;
            match fits(&secret) {
                Ok(doubts) => break (secret, doubts),
                Err(_) if secret.value.is_empty() => bail!("nothing was given"),
                Err(why) => {
                    output::error(&format!("{why}; an empty line leaves the question open"))
                }
            }
        },
    };
    for doubt in doubts {
        output::error(&format!("warning: PF63: {doubt}"));
    }
    let sealed = seal_to(ask, &row.envelope, &secret)?;
    let done: Done = client
        .post(&format!("/v1/secrets/{}", row.ask), &SecretGiven { sealed })
        .await?;
    Ok(format!("{asked} for {}: {}", row.target, done.done))
}

/// The key in the listing is the enrolled one; the ask must be signed by it and name the same target.
fn check(ask: &AskRow) -> anyhow::Result<Verified<SecretAsk>> {
    let key = PublicKey::try_from(ask.key.clone())?;
    let role = RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    let verified: Verified<SecretAsk> = verify(ask.envelope.as_bytes(), &role)?;
    if verified.target != ask.target {
        bail!("it names {}", verified.target);
    }
    if crate::now() > verified.expires {
        bail!("it lapsed at {}", verified.expires);
    }
    Ok(verified)
}

fn seal_to(ask: &SecretAsk, envelope: &str, secret: &Secret) -> anyhow::Result<Sealed> {
    let key = BASE64_STANDARD
        .decode(&ask.key)
        .context("the ask's key is not base64")?;
    let digest = Digest::of(envelope.as_bytes());
    let (encapsulated, ciphertext) = seal::seal(&key, &digest, &serde_json::to_vec(secret)?)?;
    Ok(Sealed {
        encapsulated: BASE64_STANDARD.encode(encapsulated),
        ciphertext: BASE64_STANDARD.encode(ciphertext),
    })
}

/// Each question is asked by itself, with whose secret it is before the first word is typed.
fn prompt(ask: &SecretAsk, asked: &Asked) -> anyhow::Result<Secret> {
    output::error(&format!(
        "{} asks, step {} of generation {}: {asked}",
        ask.target, ask.step, ask.generation
    ));
    output::error("user name:");
    let mut user = String::new();
    std::io::stdin().lock().read_line(&mut user)?;
    let value = ask_hidden(
        &format!("{} (not shown): ", ask.wanted.value()),
        "give user name and value by --stdin, a line each",
    )?;
    Ok(Secret {
        user: user.trim().to_owned(),
        value,
    })
}

fn read_stdin() -> anyhow::Result<Secret> {
    let mut lines = std::io::stdin().lock().lines();
    let mut next = |what: &str| {
        lines
            .next()
            .transpose()?
            .with_context(|| format!("standard input has no {what}"))
    };
    let user = next("user name")?;
    let value = next("value")?;
    Ok(Secret { user, value })
}
