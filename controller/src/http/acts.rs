//! What changes something.

use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use controller_core::answered;
use controller_core::fleet::{Asking, Consent};
use controller_core::overrides::Rule;
use controller_core::record::Record;
use controller_core::tenant::Observation;
use protocol::answers::DirectoryAnswers;
use protocol::enroll::{JoinFile, JoinToken};
use protocol::signed::ControllerKind;
use protocol::wire::close::Close;
use protocol::wire::latest::SecretAnswer;
use protocol::{Digest, PlanId, RolloutId, TargetId, limits};

use crate::driver::{Batch, Core};
use crate::http::types::{
    Applied, ApplyAsk, BackupAsk, Done, FreezeAsk, OfferAsk, OrderAsk, OverrideAsk, SecretGiven,
    TokenAsk, TokenMade, WithdrawAsk,
};
use crate::http::{Answer, Api, Operator, Problem, is_shared};

/// How far the clock of a machine that reads a tenant may be ahead.
const CLOCKS: Duration = Duration::from_secs(60);

pub(super) type Caller = ConnectInfo<Operator>;

/// Takes what somebody read in a tenant into the log. A long answer of a large tenant has its limit.
pub(super) async fn tenant(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(observation): Json<Observation>,
) -> Answer<Done> {
    const MAX: usize = 4 << 20;
    let size = serde_json::to_vec(&observation).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX {
        let why = format!("what was read has {size} bytes; at most {MAX} are kept");
        return Err(Problem::Refused(why));
    }
    let now = crate::now();
    if observation.at > now.plus(CLOCKS) {
        let why = format!(
            "it was read at {}, and here it is {now}: mend the clock of the machine that read it",
            observation.at
        );
        return Err(Problem::Refused(why));
    }
    let observation = Box::new(observation);
    let taken = api.hub.act(move |core, batch, answer| {
        let done = format!("what tenant {} shows is in the log", observation.tenant);
        core.record(batch, Record::TenantSeen { observation, by });
        answer_stored(batch, answer, Ok(Done { done }));
    });
    taken.await?.map(Json)
}

/// Takes what a person who signed in was answered of a domain into the log.
pub(super) async fn answered(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(answers): Json<DirectoryAnswers>,
) -> Answer<Done> {
    let size = serde_json::to_vec(&answers).map_or(usize::MAX, |bytes| bytes.len());
    if size > limits::MAX_DOCUMENT_BYTES || answers.format != DirectoryAnswers::FORMAT {
        let why = format!(
            "it is too long, or not of format {}",
            DirectoryAnswers::FORMAT
        );
        return Err(Problem::Refused(why));
    }
    answered::accept(&answers, crate::now()).map_err(Problem::Refused)?;
    let answers = Box::new(answers);
    let taken = api.hub.act(move |core, batch, answer| {
        let done = format!(
            "what {} was answered of {} at {} is in the log, as {by} attests it; it counts for a day, where an agent's own account is not told{}",
            answers.asked_as,
            answers.domain,
            answers.at,
            if answers.servers.is_some() {
                ". The servers that it names stay named until a newer file of that domain names them no more"
            } else {
                ""
            }
        );
        core.record(batch, Record::DirectoryAnswered { answers, by });
        answer_stored(batch, answer, Ok(Done { done }));
    });
    taken.await?.map(Json)
}

/// So many characters of a plan's id are given at least: a slip of fewer may name another plan.
const LEAST_OF_A_PLAN: usize = 6;

/// A plan by its full digest, or by the start of it where that names one alone.
pub(super) fn find_plan(core: &Core, text: &str) -> Result<PlanId, Problem> {
    if text.len() < LEAST_OF_A_PLAN {
        return Err(Problem::Refused(format!(
            "\"{text}\" is too short for a plan's id: give at least {LEAST_OF_A_PLAN} of its characters, as `entrain plan` prints it"
        )));
    }
    let mut found = core
        .plans
        .keys()
        .filter(|id| id.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (Some(_), Some(_)) => Err(Problem::Refused(format!(
            "{text} names several plans; give more of it"
        ))),
        (None, _) => Err(Problem::Missing(format!(
            "there is no plan {text}; `entrain plan` makes one"
        ))),
    }
}

/// Sends the answer of an act once its batch is stored.
pub(super) fn answer_stored<T: Send + 'static>(
    batch: &mut Batch,
    answer: tokio::sync::oneshot::Sender<Result<T, Problem>>,
    value: Result<T, Problem>,
) {
    batch.then(move |stored| {
        let failed = |why: &String| Problem::Failed(format!("it could not be stored: {why}"));
        drop(answer.send(value.and_then(|value| stored.as_ref().map(|()| value).map_err(failed))));
    });
}

pub(super) async fn apply(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Path(plan): Path<String>,
    Json(ask): Json<ApplyAsk>,
) -> Answer<Applied> {
    let applied = api.hub.act(move |core, batch, answer| {
        let rollout = find_plan(core, &plan).and_then(|plan| {
            let consent = Consent {
                change: ask.change,
                irreversible: ask.irreversible.unwrap_or(0),
                off: ask.off,
                not_before: ask.not_before,
            };
            let applied = core.apply_plan(batch, plan, consent, &by);
            applied.map_err(|refusal| Problem::Refused(refusal.to_string()))
        });
        answer_stored(batch, answer, rollout.map(|rollout| Applied { rollout }));
    });
    applied.await?.map(Json)
}

pub(super) async fn order(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Path(rollout): Path<String>,
    Json(ask): Json<OrderAsk>,
) -> Answer<Done> {
    let rollout: RolloutId = rollout
        .parse()
        .map_err(|error: protocol::id::BadId| Problem::Refused(error.to_string()))?;
    let ordered = api.hub.act(move |core, batch, answer| {
        let done = core.order(batch, rollout, ask.order, &by);
        let done = done.map(|done| Done { done }).map_err(Problem::Refused);
        answer_stored(batch, answer, done);
    });
    ordered.await?.map(Json)
}

pub(super) async fn attest(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Path(target): Path<TargetId>,
) -> Answer<Done> {
    let attested = api.hub.act(move |core, batch, answer| {
        let done = core.attest(batch, &target, &by);
        let said = format!("{by} says that it is done; the target's own probe goes first");
        answer_stored(
            batch,
            answer,
            done.map(|()| Done { done: said }).map_err(Problem::Refused),
        );
    });
    attested.await?.map(Json)
}

/// How long a join token may be good for: it lies in files on the way to its server.
const MOST_MINUTES: u64 = 30 * 24 * 60;

pub(super) async fn token(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(ask): Json<TokenAsk>,
) -> Answer<TokenMade> {
    let settings = api.authority.settings();
    if ask.uses != 1 && settings.kind == ControllerKind::Real {
        return Err(Problem::Refused(
            "a token for real servers is good for one of them".to_owned(),
        ));
    }
    if ask.minutes > MOST_MINUTES {
        return Err(Problem::Refused(format!(
            "a token is good for at most {MOST_MINUTES} minutes (30 days), not for {}",
            ask.minutes
        )));
    }
    let token = JoinToken::generate();
    let join = JoinFile {
        controller: settings.address.clone(),
        trust_root: Digest::of(api.authority.root_envelope()),
        token: token.clone(),
    };
    let made = api.hub.act(move |core, batch, answer| {
        let expires = batch.now.plus(Duration::from_secs(ask.minutes * 60));
        let created = Record::TokenCreated {
            token: token.digest(),
            target: ask.target,
            expires,
            uses: ask.uses,
            by,
        };
        core.record(batch, created);
        answer_stored(batch, answer, Ok(TokenMade { join, expires }));
    });
    made.await?.map(Json)
}

pub(super) async fn agent(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Path((target, act)): Path<(TargetId, String)>,
) -> Answer<Done> {
    let done = api.hub.act(move |core, batch, answer| {
        let result = change_agent(core, batch, &target, &act, by);
        answer_stored(batch, answer, result.map(|done| Done { done }));
    });
    done.await?.map(Json)
}

/// So many digits of a key's fingerprint are compared at least.
const LEAST_OF_A_KEY: usize = 8;

fn change_agent(
    core: &mut Core,
    batch: &mut Batch,
    target: &TargetId,
    act: &str,
    by: String,
) -> Result<String, Problem> {
    let enrolled = core
        .roster
        .agents()
        .get(target)
        .map(|agent| agent.key.fingerprint());
    let close = |core: &Core, batch: &mut Batch| {
        let (sessions, target) = (core.sessions(), target.clone());
        batch.then(move |stored| {
            if stored.is_ok() {
                sessions.close(&target, Close::Revoked, "");
            }
        });
    };
    match act {
        approve if approve.starts_with("approve-") => {
            let compared = approve.trim_start_matches("approve-");
            let waiting = core
                .roster
                .pending()
                .get(target)
                .map(|waiting| waiting.key.fingerprint());
            let key = waiting
                .ok_or_else(|| Problem::Missing(format!("{target} does not wait for approval")))?;
            if compared.len() < LEAST_OF_A_KEY {
                let why = format!(
                    "\"{compared}\" is too short for the fingerprint of a key: give {LEAST_OF_A_KEY} digits or more of it, as {target} itself shows it"
                );
                return Err(Problem::Refused(why));
            }
            if !key.to_string().starts_with(compared) {
                let why = format!(
                    "{target} waits with another key than {compared}; compare it at the server"
                );
                return Err(Problem::Refused(why));
            }
            core.record(
                batch,
                Record::JoinApproved {
                    target: target.clone(),
                    key,
                    by,
                },
            );
            Ok(format!("{target} is approved with the key {key}"))
        }
        "revoke" | "revoke-off" => {
            let off = act == "revoke-off";
            let mode = core.fleet.last_mode(target);
            let given_up = core.fleet.abandoned_sentence(target, batch.now).is_some();
            let mut done = match enrolled {
                Some(key) => {
                    let (target, by) = (target.clone(), by.clone());
                    core.record(batch, Record::AgentRevoked { target, key, by });
                    close(core, batch);
                    "its key is revoked and its session closed".to_owned()
                }
                // A server that is gone already may still be said to be off.
                None if off && (mode.is_some() || given_up) => {
                    "its key was revoked before".to_owned()
                }
                None => return Err(Problem::Missing(format!("{target} is not enrolled"))),
            };
            if off {
                let target = target.clone();
                core.record(batch, Record::SaidOff { target, by });
                done.push_str("; it is off for good, as you say");
            } else if mode.is_some_and(|mode| mode != Some(true)) {
                done.push_str("; it may still be the tenant's active Connect server, so no other becomes it (G1): when it is off for good, say so with --off");
            }
            if let Some(claims) = core.fleet.abandoned_sentence(target, batch.now) {
                done.push_str(&format!("; {claims}"));
            }
            Ok(format!("{target}: {done}"))
        }
        "replace" => {
            enrolled.ok_or_else(|| Problem::Missing(format!("{target} is not enrolled")))?;
            core.record(
                batch,
                Record::AgentReplaced {
                    target: target.clone(),
                    by,
                },
            );
            close(core, batch);
            let claims = core.fleet.abandoned_sentence(target, batch.now);
            let claims = claims.map_or_else(String::new, |claims| format!("; {claims}"));
            Ok(format!(
                "the name {target} is free for a new key; its old key is revoked{claims}"
            ))
        }
        other => Err(Problem::Missing(format!(
            "\"{other}\" is none of approve, replace, revoke"
        ))),
    }
}

pub(super) async fn secret(
    State(api): State<Api>,
    Path(ask): Path<u64>,
    Json(given): Json<SecretGiven>,
) -> Answer<Done> {
    let bytes = |text: &str| {
        BASE64_STANDARD
            .decode(text)
            .map_err(|_| Problem::Refused("not base64".to_owned()))
    };
    let answer = SecretAnswer::Sealed {
        encapsulated: bytes(&given.sealed.encapsulated)?,
        ciphertext: bytes(&given.sealed.ciphertext)?,
    };
    let done = api.hub.act(move |core, _, done| {
        let result = match core.asks.remove(&ask) {
            Some(open) => match open.answer.send(answer) {
                Ok(()) => Ok(Done {
                    done: format!("forwarded to {}", open.target),
                }),
                Err(_) => Err(Problem::Refused(
                    "the agent has withdrawn its question; it asks again".to_owned(),
                )),
            },
            None => Err(Problem::Missing(
                "that question is no longer open".to_owned(),
            )),
        };
        drop(done.send(result));
    });
    done.await?.map(Json)
}

/// Lets everything stand still.
pub(super) async fn freeze(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(ask): Json<FreezeAsk>,
) -> Answer<Done> {
    if ask.why.trim().is_empty() {
        return Err(Problem::Refused("a freeze needs a reason".to_owned()));
    }
    let done = api.hub.act(move |core, batch, answer| {
        if let Err(why) = core.fleet.may_freeze() {
            return drop(answer.send(Err(Problem::Refused(why))));
        }
        core.stop_fleet(batch, Record::FleetFrozen { why: ask.why, by });
        let at_work = core.fleet.at_work(None, &core.live, batch.now).sentence();
        let done = format!("nothing new begins; what runs waits at its next gate: {at_work}");
        answer_stored(batch, answer, Ok(Done { done }));
    });
    done.await?.map(Json)
}

/// Lets everything go on.
pub(super) async fn thaw(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
) -> Answer<Done> {
    let done = api.hub.act(move |core, batch, answer| {
        if let Err(why) = core.fleet.may_thaw() {
            return drop(answer.send(Err(Problem::Refused(why))));
        }
        core.stop_fleet(batch, Record::FleetThawed { by });
        let done = "the fleet goes on; paused rollouts stay paused".to_owned();
        answer_stored(batch, answer, Ok(Done { done }));
    });
    done.await?.map(Json)
}

/// The rule of that name, or the sentence why it has no override.
fn rule(text: &str) -> Result<Rule, Problem> {
    text.parse().map_err(Problem::Refused)
}

/// Sets a rule aside on one target.
pub(super) async fn override_rule(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(ask): Json<OverrideAsk>,
) -> Answer<Done> {
    let rule = rule(&ask.rule)?;
    // An account that several people may act as is nobody's word where different people are asked for.
    let shared = is_shared(&by, &api.state);
    let asked = api.authority.override_operators();
    let said = api.hub.act(move |core, batch, answer| {
        if shared && asked > 1 {
            let why = format!(
                "an override takes {asked} different operators here, and {by} is an account that several people may act as: say it under an account of your own, at the socket for operators (`entrain --socket PATH override …`); nothing was changed"
            );
            answer_stored(batch, answer, Err(Problem::Refused(why)));
            return;
        }
        let asking = Asking {
            rule,
            target: &ask.target,
            by: &by,
            reason: ask.reason.trim(),
            change: ask.change.trim(),
        };
        let done = core.override_rule(batch, asking);
        let done = done.map(|done| Done { done }).map_err(Problem::Refused);
        answer_stored(batch, answer, done);
    });
    said.await?.map(Json)
}

/// Takes an override back.
pub(super) async fn withdraw_override(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(ask): Json<WithdrawAsk>,
) -> Answer<Done> {
    let rule = rule(&ask.rule)?;
    let withdrawn = api.hub.act(move |core, batch, answer| {
        let done = core.withdraw_override(batch, rule, ask.target, by);
        let done = done.map(|done| Done { done }).map_err(Problem::Refused);
        answer_stored(batch, answer, done);
    });
    withdrawn.await?.map(Json)
}

/// Writes a backup while everything goes on.
pub(super) async fn backup(State(api): State<Api>, Json(ask): Json<BackupAsk>) -> Answer<Done> {
    let folder = std::path::PathBuf::from(ask.folder);
    let written = crate::backup::write(&api.state, &api.store, &folder, crate::now()).await;
    let done = written.map_err(|error| Problem::Failed(format!("{error:#}")))?;
    Ok(Json(Done { done }))
}

/// Offers a target an envelope as it is, or else the first bundle that it was ever issued once more, to show what is
/// refused. Simulated controllers alone do this.
pub(super) async fn offer(
    State(api): State<Api>,
    Path(target): Path<TargetId>,
    Json(ask): Json<OfferAsk>,
) -> Answer<Done> {
    if api.authority.settings().kind == ControllerKind::Real {
        return Err(Problem::Refused(
            "a real controller offers what it has planned, and nothing else".to_owned(),
        ));
    }
    let bytes = match ask.envelope {
        Some(envelope) => envelope.into_bytes(),
        None => first_bundle(&api, &target).await?,
    };
    api.hub
        .tell(move |core, _| core.sessions().offer(&target, bytes))
        .await;
    Ok(Json(Done {
        done: "offered".to_owned(),
    }))
}

async fn first_bundle(api: &Api, target: &TargetId) -> Result<Vec<u8>, Problem> {
    let failed = |error: crate::store::StoreError| Problem::Failed(error.to_string());
    let rows = api.store.read(1, u64::MAX >> 1).await.map_err(failed)?;
    let first = rows
        .iter()
        .find_map(|row| match serde_json::from_str(&row.body) {
            Ok(Record::BundleIssued {
                target: whose,
                bundle,
                ..
            }) if whose == *target => Some(bundle),
            Ok(_) | Err(_) => None,
        });
    let bundle =
        first.ok_or_else(|| Problem::Missing(format!("no bundle was ever issued to {target}")))?;
    api.store.blob_of("bundle", bundle.0).await.map_err(failed)
}
