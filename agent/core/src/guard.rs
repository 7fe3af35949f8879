//! May this bundle run here, now? The connection does not authorize; the signature does.

use protocol::key::PublicKey;
use protocol::refusal::Refusal;
use protocol::signed::{AgentRelease, Approval, Manifest, Refused, TrustRoot, Verified, verify};
use protocol::step::Step;
use protocol::{BundleId, Digest, Generation, Overridden, TargetId, Timestamp, limits};

/// What the agent knows when a bundle is offered.
#[derive(Debug)]
pub struct Standing<'a> {
    /// Its own name.
    pub target: &'a TargetId,
    /// Its own key.
    pub key: &'a PublicKey,
    /// The pinned trust root.
    pub root: &'a TrustRoot,
    /// Newest bundle that was accepted.
    pub newest: Option<(Generation, BundleId)>,
    /// Bundle whose run is not finished.
    pub open: Option<Generation>,
    /// End of the freeze that stands, where the server's administrator has set one.
    pub frozen: Option<Timestamp>,
    /// The agent's clock.
    pub now: Timestamp,
}

/// The three answers to an offer.
#[derive(Debug)]
pub enum Answer {
    /// New and good.
    Accept(Box<Verified<Manifest>>),
    /// The very bundle that was accepted before: nothing is to be done, and nobody is to be alarmed.
    AcceptedBefore,
    /// A fence that is good, and a run that is open: that run ends at its next gate, a section that it is in is finished first,
    /// and then the same bundle is considered once more.
    Supersede {
        /// Generation of the open run.
        open: Generation,
        /// The fence.
        fence: Box<Verified<Manifest>>,
    },
    /// No, with the reason.
    Refuse(Refusal),
}

/// Verifies an offered bundle against everything that this agent knows.
#[must_use]
pub fn consider(envelope: &[u8], standing: &Standing<'_>) -> Answer {
    match examine(envelope, standing) {
        Ok(Some(manifest)) => match standing.open {
            Some(open) => Answer::Supersede {
                open,
                fence: Box::new(manifest),
            },
            None => Answer::Accept(Box::new(manifest)),
        },
        Ok(None) => Answer::AcceptedBefore,
        Err(refusal) => Answer::Refuse(refusal),
    }
}

fn examine(
    envelope: &[u8],
    standing: &Standing<'_>,
) -> Result<Option<Verified<Manifest>>, Refusal> {
    let manifest: Verified<Manifest> = verify(envelope, &standing.root.roles.bundle)
        .map_err(|refused| signature_refusal(&refused))?;
    if manifest.target != *standing.target {
        return Err(Refusal::OtherTarget {
            meant: manifest.target.clone(),
        });
    }
    if manifest.target_key != standing.key.fingerprint() {
        return Err(Refusal::OtherKey {
            meant: manifest.target_key,
        });
    }
    if let Some((newest, bundle)) = standing.newest {
        let offered = manifest.generation;
        if offered < newest {
            return Err(Refusal::OlderGeneration { offered, newest });
        }
        if offered == newest {
            let same = Digest::of(envelope) == bundle.0;
            return if same {
                Ok(None)
            } else {
                Err(Refusal::OtherContent {
                    generation: offered,
                })
            };
        }
    }
    if standing.now > standing.root.expires {
        return Err(Refusal::RootExpired(standing.root.expires));
    }
    in_date(&manifest, standing.now)?;
    within_limits(&manifest)?;
    artifacts_fit(&manifest)?;
    one_tenant(&manifest)?;
    released(&manifest, standing)?;
    approved(&manifest, standing)?;
    if let Some(until) = standing.frozen {
        return Err(Refusal::Frozen { until });
    }
    if let Some(open) = standing.open.filter(|_| !fences(&manifest)) {
        return Err(Refusal::Busy { open });
    }
    Ok(Some(manifest))
}

/// It does nothing but stop and disable Connect on a server whose place another one takes: what was under way there when it was
/// lost is of a world that is gone, and what it exports meanwhile is what the fence is there to stop.
fn fences(manifest: &Manifest) -> bool {
    let fence = |step: &Step| matches!(step, Step::FenceConnect);
    let fences = |step: &Step| fence(step) || matches!(step, Step::ReportFacts);
    manifest.steps.iter().any(fence) && manifest.steps.iter().all(fences)
}

fn signature_refusal(refused: &Refused) -> Refusal {
    if let Refused::UnknownStep(kind) = refused {
        return Refusal::UnknownStep(kind.clone());
    }
    Refusal::Signature(in_full(refused))
}

/// With its causes, in one line.
fn in_full(refused: &Refused) -> String {
    let mut text = refused.to_string();
    let mut source = std::error::Error::source(refused);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn in_date(manifest: &Manifest, now: Timestamp) -> Result<(), Refusal> {
    let early = now.plus(limits::CLOCK_TOLERANCE) < manifest.not_before;
    if early || now > manifest.expires {
        return Err(Refusal::OutOfDate {
            not_before: manifest.not_before,
            expires: manifest.expires,
            now,
        });
    }
    Ok(())
}

fn within_limits(manifest: &Manifest) -> Result<(), Refusal> {
    if manifest.steps.is_empty() || manifest.steps.len() > limits::MAX_STEPS {
        return Err(Refusal::OverLimit(format!(
            "{} steps",
            manifest.steps.len()
        )));
    }
    if manifest.artifacts.len() > limits::MAX_ARTIFACTS {
        return Err(Refusal::OverLimit(format!(
            "{} artifacts",
            manifest.artifacts.len()
        )));
    }
    if let Some(large) = manifest
        .artifacts
        .iter()
        .find(|artifact| artifact.size > limits::MAX_ARTIFACT_BYTES)
    {
        return Err(Refusal::OverLimit(format!(
            "artifact {} of {} bytes",
            large.sha256.short(),
            large.size
        )));
    }
    let overridden = manifest.steps.iter().filter_map(Step::overridden);
    if let Some(why) = overridden
        .filter_map(|over| too_much(manifest, over))
        .next()
    {
        return Err(Refusal::OverLimit(why));
    }
    let hosts = |step: &Step| {
        if let Step::Preflight(preflight) = step {
            preflight.hosts.as_ref().map(|hosts| hosts.longest())
        } else {
            None
        }
    };
    let mut hosts = manifest.steps.iter().filter_map(hosts);
    if let Some(count) = hosts.find(|count| *count > limits::MAX_PROBED_HOSTS) {
        return Err(Refusal::OverLimit(format!(
            "{count} hosts of one kind in one step"
        )));
    }
    match manifest
        .steps
        .iter()
        .map(Step::widest)
        .find(|count| *count > limits::MAX_DOMAINS)
    {
        Some(count) => Err(Refusal::OverLimit(format!("{count} domains in one step"))),
        None => Ok(()),
    }
}

/// What of an override no agent follows, whoever signed it: nobody answers for it, it holds for longer than a rule is set
/// aside, or it says more than views can show.
fn too_much(manifest: &Manifest, over: &Overridden) -> Option<String> {
    if over.by.is_empty() || over.by.len() > limits::MAX_OVERRIDERS {
        return Some(format!("an override by {} operators", over.by.len()));
    }
    if over.until > manifest.issued.plus(limits::OVERRIDE_LIFE) {
        return Some(format!(
            "an override until {}, which is more than an hour after {}",
            over.until, manifest.issued
        ));
    }
    let words = over.by.iter().chain([&over.reason, &over.change]);
    let long = words
        .map(|word| word.chars().count())
        .find(|count| *count > limits::MAX_OVERRIDE_CHARS)?;
    Some(format!("an override with a text of {long} characters"))
}

/// Each step that installs names an artifact of this bundle, of the product that it installs.
fn artifacts_fit(manifest: &Manifest) -> Result<(), Refusal> {
    for step in &manifest.steps {
        let Some((artifact, product)) = step.installs() else {
            continue;
        };
        let named = manifest
            .artifacts
            .iter()
            .find(|named| named.sha256 == *artifact);
        if named.is_none_or(|named| named.product != product) {
            return Err(Refusal::OtherArtifact {
                step: step.kind().to_owned(),
                artifact: *artifact,
            });
        }
    }
    Ok(())
}

/// A bundle is of one tenant: no step of it configures another (G9).
fn one_tenant(manifest: &Manifest) -> Result<(), Refusal> {
    let other = manifest.steps.iter().find_map(|step| {
        let tenant = step.tenant().filter(|tenant| **tenant != manifest.tenant)?;
        Some(Refusal::OtherTenant {
            step: step.kind().to_owned(),
            tenant: tenant.clone(),
        })
    });
    other.map_or(Ok(()), Err)
}

/// What replaces the agent is signed by its publisher, whoever signed the bundle: a stolen controller cannot make an agent.
fn released(manifest: &Manifest, standing: &Standing<'_>) -> Result<(), Refusal> {
    for step in &manifest.steps {
        let Step::UpgradeAgent(upgrade) = step else {
            continue;
        };
        let signed = verify(upgrade.release.as_bytes(), &standing.root.roles.publisher);
        let release: Verified<AgentRelease> =
            signed.map_err(|refused| Refusal::Release(in_full(&refused)))?;
        if release.version != upgrade.version {
            return Err(Refusal::Release(format!(
                "it is of version {}, and the step of {}",
                release.version, upgrade.version
            )));
        }
        let large = |size: u64| size > limits::MAX_AGENT_BYTES;
        if let Some(file) = release.files.iter().find(|file| large(file.size)) {
            return Err(Refusal::OverLimit(format!(
                "a program of {} bytes",
                file.size
            )));
        }
    }
    Ok(())
}

/// Where the trust root names approvers, a bundle without their approval does not run: a stolen controller alone can do
/// nothing new. Work that only reads needs none, unless it lets something pass that other work waits for.
fn approved(manifest: &Manifest, standing: &Standing<'_>) -> Result<(), Refusal> {
    let role = &standing.root.roles.approver;
    let harmless = |step: &Step| step.is_read_only() && step.overridden().is_none();
    if role.threshold == 0 || manifest.steps.iter().all(harmless) {
        return Ok(());
    }
    let no = |why: &str| Refusal::NotApproved(why.to_owned());
    let carried = manifest
        .approval
        .as_ref()
        .ok_or_else(|| no("the trust root asks for an approval, none came"))?;
    let approval: Verified<Approval> =
        verify(carried.approval.as_bytes(), role).map_err(|refused| no(&refused.to_string()))?;
    if approval.plan != manifest.plan {
        return Err(no("the approval is for another plan"));
    }
    if standing.now > approval.expires {
        return Err(no("the approval has expired"));
    }
    if carried.proof.root_for(&manifest.leaf()) != Some(approval.work) {
        return Err(no("the approval does not cover this work"));
    }
    Ok(())
}
