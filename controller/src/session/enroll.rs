//! Enrollment at the controller: shows the trust root, takes one ask, gives one answer.

use controller_core::record::Record;
use controller_core::roster::Admission;
use link::{Connection, LinkError};
use protocol::TargetId;
use protocol::enroll::JoinToken;
use protocol::key::PublicKey;
use protocol::signed::ControllerKind;
use protocol::wire::latest::{EnrollAnswer, EnrollAsk, EnrollGreeting};
use tokio::sync::oneshot;

use crate::authority::Authority;
use crate::driver::{Batch, Core};
use crate::session::Gateway;

pub(super) async fn serve(gateway: &Gateway, connection: &Connection) -> Result<(), LinkError> {
    let (mut send, mut receive) = connection.accept().await?;
    let () = receive.expect().await?;
    send.send(&EnrollGreeting {
        root: gateway.authority.root_envelope().to_vec(),
    })
    .await?;
    let Some(ask) = receive.receive().await? else {
        return Ok(());
    };
    let answer = decide(gateway, ask).await;
    send.send(&answer).await?;
    send.finish_and_wait().await
}

async fn decide(gateway: &Gateway, ask: EnrollAsk) -> EnrollAnswer {
    let stopping = || EnrollAnswer::Refused("the controller is stopping".to_owned());
    let request = match &ask {
        EnrollAsk::Join { request, .. } | EnrollAsk::Renew { request } => request,
    };
    let key = match Authority::requested_key(request) {
        Ok(key) => key,
        Err(error) => return EnrollAnswer::Refused(format!("{error:#}")),
    };
    let decided = match ask {
        EnrollAsk::Join {
            token,
            target,
            request,
            simulated,
            epoch,
            machine,
        } => {
            let kind = gateway.authority.settings().kind;
            if (kind == ControllerKind::Real) == simulated {
                let why = format!(
                    "this controller is {}, and the server is not",
                    kind.as_str()
                );
                return refuse(gateway, &target, why).await;
            }
            let Ok(token) = serde_json::from_value::<JoinToken>(serde_json::Value::String(token))
            else {
                return refuse(gateway, &target, "the join token is malformed".to_owned()).await;
            };
            gateway
                .hub
                .act(move |core, batch, answer| {
                    let join = Join {
                        target,
                        key,
                        token: token.digest(),
                        epoch,
                        machine,
                        simulated,
                        request,
                    };
                    join.carry_out(core, batch, answer);
                })
                .await
        }
        EnrollAsk::Renew { request } => {
            gateway
                .hub
                .act(move |core, batch, answer| {
                    let known = core.roster.by_key(&key).map(|(target, _)| target.clone());
                    match known {
                        Some(target) => issue(core, batch, &target, key, &request, answer),
                        None => {
                            let key = key.fingerprint();
                            let why = if core.roster.is_revoked(&key) {
                                "this key was revoked; on the server, enroll with --new-key"
                            } else {
                                "this key is not enrolled"
                            };
                            let who = format!("key {key}");
                            core.refused(batch.now, who, "renewal", why.to_owned());
                            drop(answer.send(EnrollAnswer::Refused(why.to_owned())));
                        }
                    }
                })
                .await
        }
    };
    decided.unwrap_or_else(|_| stopping())
}

/// Refuses a join before it is looked at further, and notes it for the operator.
async fn refuse(gateway: &Gateway, target: &TargetId, why: String) -> EnrollAnswer {
    let (who, noted) = (target.to_string(), why.clone());
    let act = gateway.hub.act(move |core, batch, answer| {
        core.refused(batch.now, who, "join", noted);
        answer.send(()).ok();
    });
    // A controller that stops has nobody to show it to.
    act.await.ok();
    EnrollAnswer::Refused(why)
}

struct Join {
    target: TargetId,
    key: PublicKey,
    token: protocol::Digest,
    epoch: protocol::Epoch,
    machine: String,
    simulated: bool,
    request: Vec<u8>,
}

impl Join {
    fn carry_out(self, core: &mut Core, batch: &mut Batch, answer: oneshot::Sender<EnrollAnswer>) {
        match core
            .roster
            .admit(&self.target, &self.key, &self.token, batch.now)
        {
            Admission::Refuse(why) => {
                tracing::warn!(target_name = %self.target, %why, "an ask to join was refused");
                core.refused(batch.now, self.target.to_string(), "join", why.clone());
                drop(answer.send(EnrollAnswer::Refused(why)));
            }
            Admission::Wait { new } => {
                if new {
                    let asked = Record::JoinAsked {
                        target: self.target,
                        key: self.key,
                        machine: self.machine,
                        epoch: self.epoch,
                        token: self.token,
                        simulated: self.simulated,
                    };
                    core.record(batch, asked);
                }
                let fingerprint = self.key.fingerprint().to_string();
                batch.then(move |_| drop(answer.send(EnrollAnswer::Pending { fingerprint })));
            }
            Admission::Again => issue(core, batch, &self.target, self.key, &self.request, answer),
            Admission::Enroll { by } => {
                let enrolled = Record::AgentEnrolled {
                    target: self.target.clone(),
                    key: self.key,
                    epoch: self.epoch,
                    token: self.token,
                    by,
                    simulated: self.simulated,
                };
                core.record(batch, enrolled);
                issue(core, batch, &self.target, self.key, &self.request, answer);
            }
        }
    }
}

fn issue(
    core: &mut Core,
    batch: &mut Batch,
    target: &TargetId,
    key: PublicKey,
    request: &[u8],
    answer: oneshot::Sender<EnrollAnswer>,
) {
    let certificate = match core.authority().issue(target, request, batch.now) {
        Ok(certificate) => certificate,
        Err(error) => return drop(answer.send(EnrollAnswer::Refused(format!("{error:#}")))),
    };
    let issued = Record::CertificateIssued {
        target: target.clone(),
        key: key.fingerprint(),
        serial: certificate.serial,
        expires: certificate.expires,
    };
    core.record(batch, issued);
    let wire = certificate.issued;
    batch.then(move |stored| {
        drop(answer.send(match stored {
            Ok(()) => EnrollAnswer::Issued(wire),
            Err(why) => EnrollAnswer::Refused(format!("the controller could not store it: {why}")),
        }));
    });
}
