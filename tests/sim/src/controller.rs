//! The controller of a simulation: its real store, driver, sessions and authority over a simulated port, and the people who
//! work with it. Its state folder outlives it. The HTTP API is not in it: what an operator would send goes to the driver.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use controller::authority::{self, Authority, Settings};
use controller::disk::Disk;
use controller::driver::{self, Hub};
use controller::session::{Gateway, Handshakes, Registry, listen};
use controller::store::Store;
use controller_core::fleet::{Asking, Consent, TaskWork};
use controller_core::overrides::{Rule, Standing};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{Document, check, parse};
use controller_core::versions::Versions;
use link::{Endpoint, seal, server_tls};
use protocol::chunk::FileDigester;
use protocol::enroll::{JoinFile, JoinToken};
use protocol::secret::{Secret, SecretAsk};
use protocol::signed::{ArtifactKind, ArtifactRef, ControllerKind, RoleKeys, Verified, verify};
use protocol::step::Product;
use protocol::wire::latest::SecretAnswer;
use protocol::{Digest, Epoch, PlanId, RolloutId, TargetId, Timestamp, Version};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::check::{Watch, with};
use crate::network::{CONTROLLER, Network};

/// Records between two comparisons of what the controller believes with what its log tells: each costs both in words.
const COMPARE_EVERY: u64 = 4;

/// How often the people of a simulation look whether anything is asked of them.
const PEOPLE: Duration = Duration::from_secs(20);

/// One life of the controller.
pub(crate) struct Controller {
    pub(crate) hub: Hub,
    pub(crate) handshakes: Arc<Handshakes>,
    authority: Arc<Authority>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Controller")
    }
}

/// Where its log lies.
pub(crate) fn log(state: &Path) -> PathBuf {
    state.join("log.sqlite")
}

/// Makes its state folder, with certificates for agents that live that long.
pub(crate) fn init(state: &Path, now: Timestamp, life: Option<u32>) -> anyhow::Result<()> {
    let settings = Settings {
        kind: ControllerKind::Simulated,
        address: CONTROLLER.to_string(),
        listen: CONTROLLER,
        certificate_seconds: life,
    };
    let key = state.with_extension("root-key");
    let files = authority::RootKeys {
        root_key: &key,
        passphrase: "a passphrase",
        publisher: None,
        override_operators: 1,
    };
    authority::init(state, &settings, &files, now)?;
    std::fs::create_dir_all(state.join("artifacts"))?;
    Ok(())
}

impl Controller {
    /// Begins a life on what the folder holds.
    pub(crate) async fn begin(
        state: &Path,
        network: &Network,
        watch: &Watch,
    ) -> anyhow::Result<Self> {
        Self::begin_with(state, network, watch, Handshakes::default()).await
    }

    /// The same, with so many handshakes at once.
    pub(crate) async fn begin_with(
        state: &Path,
        network: &Network,
        watch: &Watch,
        handshakes: Handshakes,
    ) -> anyhow::Result<Self> {
        let now = controller::now();
        let authority = Arc::new(Authority::open(state)?);
        let path = log(state);
        let fresh = (!path.exists()).then_some(Epoch(1));
        let (store, records) = Store::open(&path, fresh, now, Disk::InPlace)?;
        let rows = store.read(1, u64::MAX >> 1).await?;
        with(watch, |check| check.begins_again(&rows));
        let sessions = Arc::new(Registry::default());
        let (hub, driving) = driver::start(
            store.clone(),
            records,
            Arc::clone(&authority),
            Arc::clone(&sessions),
            Arc::new(Versions::built_in()),
        )
        .await?;
        let tls = server_tls(&authority.controller_identity(now)?, &authority.authority())?;
        let port = network.bind(CONTROLLER);
        let endpoint = Endpoint::server_at(port, &tls, &authority.reset_secret())?;
        let mut gateway = Gateway::new(
            hub.clone(),
            store.clone(),
            Arc::clone(&authority),
            sessions,
            state.join("artifacts"),
        );
        let handshakes = Arc::new(handshakes);
        gateway.handshakes = Arc::clone(&handshakes);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(driving);
        tasks.spawn(listen(gateway, endpoint, stopping));
        tasks.spawn(walk(hub.clone(), store, Arc::clone(watch), network.clone()));
        tasks.spawn(people(hub.clone()));
        Ok(Self {
            hub,
            handshakes,
            authority,
            tasks,
            stop,
        })
    }

    /// Ends it as a stopped service ends.
    pub(crate) async fn stop(self) {
        let Self {
            hub,
            authority,
            mut tasks,
            stop,
            ..
        } = self;
        stop.send_replace(true);
        drop((hub, authority));
        // Those who say goodbye are waited for.
        tokio::time::sleep(Duration::from_secs(5)).await;
        tasks.shutdown().await;
    }

    /// Ends it as a power cut does: what it sends is lost first, for as long as its last turns take.
    pub(crate) async fn kill(mut self, network: &Network, last: Duration) {
        network.silence(CONTROLLER);
        tokio::time::sleep(last).await;
        self.tasks.shutdown().await;
        network.unbind(CONTROLLER);
        drop(self);
        // Tasks of tasks end in a turn of their own.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut driver::Core, &mut driver::Batch) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.hub
            .act(move |core, batch, answer| {
                let done = act(core, batch);
                batch.then(move |stored| {
                    let stored = stored.clone().map_err(anyhow::Error::msg);
                    answer
                        .send(done.and_then(|done| stored.map(|()| done)))
                        .ok();
                });
            })
            .await?
    }

    /// Makes a token for one server.
    pub(crate) async fn token(&self, target: TargetId) -> anyhow::Result<JoinFile> {
        let token = JoinToken::generate();
        let digest = token.digest();
        self.act(move |core, batch| {
            let created = Record::TokenCreated {
                token: digest,
                target: Some(target),
                expires: batch.now.plus(Duration::from_secs(24 * 3600)),
                uses: 1,
                by: "an operator".to_owned(),
            };
            core.record(batch, created);
            Ok(())
        })
        .await?;
        Ok(JoinFile {
            controller: CONTROLLER.to_string(),
            trust_root: Digest::of(self.authority.root_envelope()),
            token,
        })
    }

    /// Takes a model of an installer into the artifact store.
    pub(crate) async fn artifact(
        &self,
        state: &Path,
        product: Product,
        kind: ArtifactKind,
        version: Version,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let mut digester = FileDigester::new();
        digester.update(bytes);
        let (sha256, chunks, size) = digester.finish();
        let path = state.join("artifacts").join(sha256.to_string());
        std::fs::write(&path, bytes)?;
        std::fs::write(path.with_extension("chunks"), chunks.to_bytes())?;
        let artifact = ArtifactRef {
            sha256,
            chunks: chunks.digest(),
            size,
            kind,
            product,
            version,
        };
        self.act(move |core, batch| {
            let added = Record::ArtifactAdded {
                artifact,
                signer: None,
                source: "a simulation".to_owned(),
                terms_accepted_by: "nobody".to_owned(),
            };
            core.record(batch, added);
            Ok(())
        })
        .await
    }

    /// Those of whom nothing was heard yet.
    pub(crate) async fn silent(&self, targets: &BTreeSet<TargetId>) -> anyhow::Result<usize> {
        let targets = targets.clone();
        let silent = self.hub.read(move |core, _| {
            let known = core.fleet.known();
            let heard = |target: &&TargetId| {
                known
                    .get(*target)
                    .is_some_and(|known| known.facts.is_some())
            };
            targets.iter().filter(|target| !heard(target)).count()
        });
        Ok(silent.await?)
    }

    /// Plans what topology and policy say of what was reported, for those servers or where none is named for all, and stores the plan.
    pub(crate) async fn plan(
        &self,
        topology: &str,
        policy: &str,
        only: &BTreeSet<TargetId>,
    ) -> anyhow::Result<(PlanId, Plan)> {
        let (topology, policy) = (topology.to_owned(), policy.to_owned());
        let only = only.clone();
        self.act(move |core, batch| {
            let document = |file: &str, text| Document {
                file: file.to_owned(),
                text,
            };
            let (topology, mut findings) = parse(&[document("t.toml", topology)]);
            findings.extend(check(&topology, Some(&core.roster.available())));
            let (policy, remarks) = policy::parse(&document("p.toml", policy));
            findings.extend(remarks);
            let error = |finding: &controller_core::finding::Finding| {
                finding.severity == controller_core::finding::Severity::Error
            };
            ensure!(!findings.iter().any(error), "{findings:?}");
            let plan = plan(Inputs {
                topology: &topology,
                policy: &policy,
                known: core.fleet.known(),
                artifacts: &core.roster.newest(),
                roster: None,
                release: None,
                beyond: core.fleet.beyond(),
                purpose: Purpose::Install,
                only: &only,
            });
            let id = plan.id();
            batch.keep(plan.to_bytes());
            core.plans.insert(id, plan.clone());
            let by = "an operator".to_owned();
            core.record(batch, Record::PlanStored { plan: id, by });
            Ok((id, plan))
        })
        .await
    }

    /// Applies a plan.
    pub(crate) async fn apply(&self, id: PlanId, plan: &Plan) -> anyhow::Result<RolloutId> {
        let consent = Consent {
            irreversible: u32::try_from(plan.irreversible.len())?,
            ..Consent::default()
        };
        self.act(move |core, batch| {
            core.apply_plan(batch, id, consent, "an operator")
                .map_err(anyhow::Error::msg)
        })
        .await
    }

    /// Orders something of a rollout; tells whether it could be.
    pub(crate) async fn order(&self, rollout: RolloutId, order: Order) -> bool {
        let ordered = self.act(move |core, batch| {
            core.order(batch, rollout, order, "an operator")
                .map_err(anyhow::Error::msg)
        });
        ordered.await.is_ok()
    }

    /// Sets a rule aside on a server for an hour; tells whether that could be.
    pub(crate) async fn overrides(&self, rule: Rule, target: TargetId) -> bool {
        let said = self.act(move |core, batch| {
            let asking = Asking {
                rule,
                target: &target,
                by: "an operator",
                reason: "it is known",
                change: "CHG-1",
            };
            core.override_rule(batch, asking)
                .map_err(anyhow::Error::msg)
        });
        said.await.is_ok()
    }

    /// Takes back the first override that is in force; tells whether there was one.
    pub(crate) async fn withdraws(&self) -> bool {
        let withdrawn = self.act(move |core, batch| {
            let all = core.fleet.overrides(batch.now);
            let stands = all
                .into_iter()
                .find(|one| one.standing == Standing::InForce);
            let one = stands.context("nothing is overridden")?;
            let by = "an operator".to_owned();
            core.withdraw_override(batch, one.rule, one.target, by)
                .map_err(anyhow::Error::msg)
        });
        withdrawn.await.is_ok()
    }

    /// Makes the whole fleet stand still, or lets it go on; tells whether it could be.
    pub(crate) async fn stand_still(&self, still: bool) -> bool {
        let by = "an operator".to_owned();
        let ordered = self.act(move |core, batch| {
            let record = if still {
                core.fleet.may_freeze().map_err(anyhow::Error::msg)?;
                let why = "something is wrong everywhere".to_owned();
                Record::FleetFrozen { why, by }
            } else {
                core.fleet.may_thaw().map_err(anyhow::Error::msg)?;
                Record::FleetThawed { by }
            };
            core.stop_fleet(batch, record);
            Ok(())
        });
        ordered.await.is_ok()
    }
}

/// Looks at every record once it is stored, and now and then at whether the log tells what the controller believes.
async fn walk(hub: Hub, store: Store, watch: Watch, network: Network) {
    let mut changes = hub.changes();
    let mut compared = 0;
    loop {
        rows(&store, &watch, &network).await;
        if with(&watch, |check| check.next_row()) >= compared + COMPARE_EVERY {
            compare(&hub, &store, &watch, &network).await;
            compared = with(&watch, |check| check.next_row());
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn rows(store: &Store, watch: &Watch, network: &Network) {
    let from = with(watch, |check| check.next_row());
    match store.read(from, u64::MAX >> 1).await {
        Ok(rows) => {
            for row in rows {
                network.note(row.body.as_bytes());
                with(watch, |check| check.row(&row));
            }
        }
        Err(error) => with(watch, |check| {
            check.breaks(format!("the log cannot be read: {error}"));
        }),
    }
    with(watch, |check| check.look());
}

/// Compares where nothing was stored between the look at the log and the look at the fleet.
async fn compare(hub: &Hub, store: &Store, watch: &Watch, network: &Network) {
    let before = with(watch, |check| check.next_row());
    let believed = hub.read(|core, _| (core.fleet.clone(), core.roster.clone()));
    let Ok((fleet, roster)) = believed.await else {
        return;
    };
    // What was looked at is stored by then, with all of its turn.
    tokio::time::sleep(Duration::from_millis(1)).await;
    rows(store, watch, network).await;
    with(watch, |check| {
        if check.next_row() == before {
            check.compare(fleet, &roster);
        }
    });
}

/// People: they give what a step asks for, and look at what no probe sees.
async fn people(hub: Hub) {
    loop {
        tokio::time::sleep(PEOPLE).await;
        let done = hub.act(|core, batch, answer| {
            let looks: BTreeSet<TargetId> = core
                .fleet
                .tasks(batch.now)
                .into_iter()
                .filter(
                    |task| matches!(&task.work, TaskWork::AtServer(text) if text.ends_by_word()),
                )
                .map(|task| task.target)
                .collect();
            for target in looks {
                // A task of an older rollout is nobody's any more.
                core.attest(batch, &target, "a person").ok();
            }
            let asks: Vec<u64> = core.asks.keys().copied().collect();
            for number in asks {
                let Some(ask) = core.asks.get(&number) else {
                    continue;
                };
                let key = core.roster.agents().get(&ask.target).map(|agent| agent.key);
                let sealed = key
                    .context("nobody with that name is enrolled")
                    .and_then(|key| give(&ask.envelope, key));
                if let (Ok(sealed), Some(ask)) = (sealed, core.asks.remove(&number)) {
                    // Whoever asked may be gone meanwhile, and asks again.
                    ask.answer.send(sealed).ok();
                }
            }
            answer.send(()).ok();
        });
        if done.await.is_err() {
            return;
        }
    }
}

/// Seals a secret to whoever asks, as `entrain secret give` does.
fn give(envelope: &[u8], key: protocol::key::PublicKey) -> anyhow::Result<SecretAnswer> {
    let role = RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    let ask: Verified<SecretAsk> = verify(envelope, &role)?;
    if controller::now() > ask.expires {
        bail!("it lapsed");
    }
    // Each kind has its own: one person's goes to no other tenant and no domain (G9).
    let secret = Secret {
        user: "a person".to_owned(),
        value: format!("a secret of a simulation: {}", ask.wanted),
    };
    let to = BASE64_STANDARD
        .decode(&ask.key)
        .map_err(|error| anyhow!("{error}"))?;
    let (encapsulated, ciphertext) =
        seal::seal(&to, &Digest::of(envelope), &serde_json::to_vec(&secret)?)?;
    Ok(SecretAnswer::Sealed {
        encapsulated,
        ciphertext,
    })
}
