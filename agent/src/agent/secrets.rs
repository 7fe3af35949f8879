//! Secrets are asked of a person through the controller, which cannot read them: they are sealed to a key of this ask alone.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::seal::SealingKey;
use protocol::secret::{Secret, SecretAsk, SecretKind};
use protocol::signed::sign;
use protocol::wire::latest::{Opening, SecretAnswer};
use protocol::{Attempt, BundleId, Digest, StepIndex};

use super::{Agent, Report, now};

/// How long an ask for a secret stays open: as long as the longest step may wait for a person.
const SECRET_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);

impl Agent {
    pub(super) fn ask_secret(
        &mut self,
        number: u64,
        step: StepIndex,
        attempt: Attempt,
        wanted: SecretKind,
    ) {
        let (Some(run), Some(session)) = (&self.run, &self.session) else {
            return;
        };
        let Ok(sealing) = SealingKey::generate() else {
            return;
        };
        let ask = SecretAsk {
            format: 1,
            target: self.state.target.clone(),
            bundle: BundleId(run.manifest().digest()),
            generation: run.generation(),
            step,
            attempt,
            wanted: wanted.clone(),
            expires: now().plus(SECRET_LIFE),
            key: BASE64_STANDARD.encode(sealing.public()),
        };
        let envelope = sign(&ask, &[&self.state.key]).to_json();
        let digest = Digest::of(&envelope);
        let connection = session.connection.clone();
        let reports = self.reports.0.clone();
        // An ask that was made before is withdrawn with its stream.
        if let Some(before) = self.asking.take() {
            before.abort();
        }
        let asking = self.tasks.spawn(async move {
            let answer = async {
                let (mut send, mut receive) = connection.open().await?;
                send.send(&Opening::Secret { ask: envelope }).await?;
                send.finish();
                receive.expect::<SecretAnswer>().await
            };
            let came = match answer.await {
                Ok(SecretAnswer::Sealed {
                    encapsulated,
                    ciphertext,
                }) => open(&sealing, &digest, encapsulated, &ciphertext),
                Ok(SecretAnswer::Refused(why)) => Err(why),
                // Cut off: it is asked again after the next welcome, under a new key.
                Err(_) => return,
            };
            drop(
                reports
                    .send(Report::Secret {
                        number,
                        wanted,
                        came,
                    })
                    .await,
            );
        });
        self.asking = Some(asking);
    }
}

fn open(
    sealing: &SealingKey,
    ask: &Digest,
    encapsulated: Vec<u8>,
    ciphertext: &[u8],
) -> Result<Secret, String> {
    let plain = sealing
        .open(ask, encapsulated, ciphertext)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&plain)
        .map_err(|_| "what was sealed is no secret of this kind".to_owned())
}
