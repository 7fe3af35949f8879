//! Takes releases of the agent into the artifact store: the publisher's signature first, then the programs, each compared with
//! what was signed. All of them are there afterwards, or none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{ConnectInfo, Path as UrlPath, State};
use bytes::{Buf as _, Bytes};
use controller_core::record::Record;
use futures_util::StreamExt as _;
use protocol::chunk::FileDigester;
use protocol::signed::{AgentRelease, ReleaseFile, Verified, verify};
use protocol::{Version, limits};
use tokio::io::AsyncWriteExt as _;

use crate::http::acts::answer_stored;
use crate::http::artifacts;
use crate::http::types::{Done, ReleaseRow, ReleaseWithdrawAsk, Releases};
use crate::http::{Answer, Api, Operator, Problem};

/// Most bytes of a release's envelope: base64 adds a third to the document, signatures a little more.
const MAX_ENVELOPE: usize = 2 * limits::MAX_DOCUMENT_BYTES;

/// A request's body as it comes: the envelope in one line, then the programs in the release's order.
struct Upload {
    stream: BodyDataStream,
    left: Bytes,
}

impl Upload {
    /// The next bytes; nothing at the end.
    async fn more(&mut self) -> Result<bool, Problem> {
        while self.left.is_empty() {
            match self.stream.next().await {
                Some(Ok(bytes)) => self.left = bytes,
                Some(Err(error)) => {
                    return Err(Problem::Refused(format!("the upload was cut off: {error}")));
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn line(&mut self) -> Result<Vec<u8>, Problem> {
        let mut line = Vec::new();
        loop {
            if !self.more().await? {
                return Err(Problem::Refused("the upload holds no release".to_owned()));
            }
            let end = self.left.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&self.left[..end.unwrap_or(self.left.len())]);
            if line.len() > MAX_ENVELOPE {
                return Err(Problem::Refused(
                    "it is larger than a release can be".to_owned(),
                ));
            }
            match end {
                Some(end) => {
                    self.left.advance(end + 1);
                    return Ok(line);
                }
                None => self.left.clear(),
            }
        }
    }

    /// Writes the next program to `part`, and compares it with what was signed.
    async fn program(&mut self, file: &ReleaseFile, part: &Path) -> Result<Vec<u8>, Problem> {
        let failed = |error: std::io::Error| {
            Problem::Failed(format!("could not write {}: {error}", part.display()))
        };
        let mut out = tokio::fs::File::create(part).await.map_err(failed)?;
        let mut digester = FileDigester::new();
        let mut wanted = file.size;
        while wanted > 0 && self.more().await? {
            let now = usize::try_from(wanted).unwrap_or(usize::MAX);
            let bytes = self.left.split_to(now.min(self.left.len()));
            out.write_all(&bytes).await.map_err(failed)?;
            digester.update(&bytes);
            wanted -= bytes.len() as u64;
        }
        out.sync_all().await.map_err(failed)?;
        let (sha256, chunks, size) = digester.finish();
        if (sha256, chunks.digest(), size) != (file.sha256, file.chunks, file.size) {
            return Err(Problem::Refused(format!(
                "the program for {} is not the one that the publisher signed",
                file.platform
            )));
        }
        Ok(chunks.to_bytes())
    }

    /// Takes the rest of an upload that is refused: who is still sending when the connection closes sees a broken pipe in place
    /// of the reason.
    async fn drain(&mut self) {
        let mut most = limits::MAX_AGENT_BYTES * limits::MAX_RELEASE_FILES as u64;
        while most > 0 && self.more().await.unwrap_or(false) {
            most = most.saturating_sub(self.left.len() as u64);
            self.left.clear();
        }
    }
}

/// A program that was taken in and does not lie in its place yet.
struct Taken {
    part: PathBuf,
    place: PathBuf,
    chunks: Vec<u8>,
    /// The same bytes did not lie there before.
    is_new: bool,
}

pub(super) async fn add(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): ConnectInfo<Operator>,
    body: Body,
) -> Answer<Done> {
    let mut upload = Upload {
        stream: body.into_data_stream(),
        left: Bytes::new(),
    };
    let mut taken = Vec::new();
    match take(&api, &mut upload, &mut taken, by).await {
        Ok(what) => Ok(Json(Done { done: what })),
        Err(problem) => {
            // Nothing is left half done; what was never written needs no removing.
            for one in taken {
                drop(tokio::fs::remove_file(&one.part).await);
                if one.is_new {
                    drop(tokio::fs::remove_file(one.place.with_extension("chunks")).await);
                    drop(tokio::fs::remove_file(&one.place).await);
                }
            }
            upload.drain().await;
            Err(problem)
        }
    }
}

async fn take(
    api: &Api,
    upload: &mut Upload,
    taken: &mut Vec<Taken>,
    by: String,
) -> Result<String, Problem> {
    let envelope = upload.line().await?;
    let publisher = &api.authority.root().roles.publisher;
    let signed: Result<Verified<AgentRelease>, _> = verify(&envelope, publisher);
    let release = signed.map_err(|refused| {
        Problem::Refused(format!(
            "the release is not accepted: {refused}; the publisher is named when a controller is made (entrain init --publisher)"
        ))
    })?;
    sound(&release)?;
    let known = api
        .hub
        .read(|core, _| core.roster.releases().keys().copied().collect::<Vec<_>>())
        .await?;
    if known.contains(&release.version) {
        return Err(Problem::Refused(already(release.version)));
    }
    let number = protocol::key::SigningKey::generate().public().fingerprint();
    for (at, file) in release.files.iter().enumerate() {
        let part = api.artifacts.join(format!("incoming-{number}-{at}.part"));
        let place = api.artifacts.join(file.sha256.to_string());
        taken.push(Taken {
            part: part.clone(),
            is_new: !place.exists(),
            place,
            chunks: Vec::new(),
        });
        let chunks = upload.program(file, &part).await?;
        if let Some(last) = taken.last_mut() {
            last.chunks = chunks;
        }
    }
    for one in taken.iter() {
        let kept = artifacts::keep(&one.part, &one.place, one.chunks.clone()).await;
        kept.map_err(|error| Problem::Failed(format!("could not keep the release: {error}")))?;
    }
    let release = release.into_inner();
    let what = format!(
        "agent {} for {}",
        release.version,
        platforms(&release.files).join(", ")
    );
    let text = String::from_utf8(envelope)
        .map_err(|_| Problem::Refused("the release is no text".to_owned()))?;
    let stored = api.hub.act(move |core, batch, answer| {
        // Another one may have come while this one did.
        if core.roster.releases().contains_key(&release.version) {
            return drop(answer.send(Err(Problem::Refused(already(release.version)))));
        }
        let added = Record::ReleaseAdded {
            version: release.version,
            release: text,
            files: release.files,
            by,
        };
        core.record(batch, added);
        batch.then(move |stored| drop(answer.send(stored.clone().map_err(Problem::Failed))));
    });
    stored.await??;
    Ok(what)
}

fn already(version: Version) -> String {
    format!("release {version} is there already; a version never changes")
}

fn platforms(files: &[ReleaseFile]) -> Vec<String> {
    files.iter().map(|file| file.platform.clone()).collect()
}

/// What a signature says nothing about: each platform once, no empty program, none beyond the limits that agents hold.
fn sound(release: &AgentRelease) -> Result<(), Problem> {
    let refused = |why: String| Err(Problem::Refused(why));
    let count = release.files.len();
    if count == 0 || count > limits::MAX_RELEASE_FILES {
        return refused(format!(
            "a release has 1 to {} programs, this one has {count}",
            limits::MAX_RELEASE_FILES
        ));
    }
    let different: BTreeSet<&str> = release
        .files
        .iter()
        .map(|file| file.platform.as_str())
        .collect();
    if different.len() < count {
        return refused("it has two programs for one platform".to_owned());
    }
    let odd = |file: &&ReleaseFile| file.size == 0 || file.size > limits::MAX_AGENT_BYTES;
    if let Some(file) = release.files.iter().find(odd) {
        return refused(format!(
            "the program for {} has {} bytes; 1 to {} are allowed",
            file.platform,
            file.size,
            limits::MAX_AGENT_BYTES
        ));
    }
    Ok(())
}

/// Takes a release back: nothing is planned or applied with it any more, and what is under way with it is aborted.
pub(super) async fn withdraw(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): ConnectInfo<Operator>,
    UrlPath(version): UrlPath<Version>,
    Json(ask): Json<ReleaseWithdrawAsk>,
) -> Answer<Done> {
    let withdrawn = api.hub.act(move |core, batch, answer| {
        let done = core.withdraw_release(batch, version, ask.reason, &by);
        let done = done.map_err(Problem::Refused).map(|aborted| {
            let aborted: Vec<String> = aborted.iter().map(ToString::to_string).collect();
            let done = match aborted.as_slice() {
                [] => format!("release {version} is withdrawn; no rollout was under way with it"),
                some => format!(
                    "release {version} is withdrawn, and {} with it is aborted; an agent that has it keeps it until a newer one comes",
                    some.join(", ")
                ),
            };
            Done { done }
        });
        answer_stored(batch, answer, done);
    });
    withdrawn.await?.map(Json)
}

pub(super) async fn list(State(api): State<Api>) -> Answer<Releases> {
    let releases = api.hub.read(|core, _| {
        let row = |(version, release): (&Version, &controller_core::roster::Release)| ReleaseRow {
            version: *version,
            platforms: platforms(&release.files),
            by: release.by.clone(),
            added: release.added,
            withdrawn: release.withdrawn.clone(),
        };
        core.roster.releases().iter().map(row).collect()
    });
    Ok(Json(Releases {
        releases: releases.await?,
    }))
}
