//! Takes files into the artifact store: digested as they come, looked into, renamed into place when whole.

use std::path::Path as FilePath;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{ConnectInfo, Query, State};
use controller_core::record::Record;
use futures_util::StreamExt as _;
use protocol::chunk::FileDigester;
use protocol::signed::{ArtifactKind, ArtifactRef, ControllerKind};
use protocol::step::Product;
use protocol::{Version, limits};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use crate::files;
use crate::http::types::Done;
use crate::http::{Answer, Api, Operator, Problem};

/// Keeps a file of the store, as [`files::keep`] does.
pub(super) async fn keep(file: &FilePath, place: &FilePath, chunks: Vec<u8>) -> Result<(), String> {
    let (file, place) = (file.to_owned(), place.to_owned());
    let kept = tokio::task::spawn_blocking(move || files::keep(&file, &place, &chunks)).await;
    match kept {
        Ok(kept) => kept.map_err(|error| format!("{error:#}")),
        Err(ended) => Err(ended.to_string()),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    /// Where the file came from, as the operator says.
    source: String,
    /// The operator accepted the vendor's terms.
    terms: bool,
    /// For a simulated controller: what the bytes stand for.
    model: Option<Product>,
    /// The same: of which version.
    version: Option<Version>,
}

struct Looked {
    product: Product,
    version: Version,
    kind: ArtifactKind,
    signer: Option<String>,
}

pub(super) async fn add(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): ConnectInfo<Operator>,
    Query(meta): Query<Meta>,
    body: Body,
) -> Answer<Done> {
    let mut upload = body.into_data_stream();
    if !meta.terms {
        drain(&mut upload).await;
        return Err(Problem::Refused(
            "the vendor's terms must be accepted: add --accept-terms".to_owned(),
        ));
    }
    let part = api.artifacts.join(format!(
        "incoming-{}.part",
        protocol::key::SigningKey::generate().public().fingerprint()
    ));
    let taken = take(&api, &part, &mut upload).await;
    let looked = match &taken {
        Ok(_) => look(&part, &meta, api.authority.settings().kind),
        Err(_) => Err(Problem::Failed(String::new())),
    };
    let (digester, looked) = match (taken, looked) {
        (Ok(digester), Ok(looked)) => (digester, looked),
        (Err(problem), _) | (Ok(_), Err(problem)) => {
            // Nothing is left half done; a file that is gone already needs no removing.
            drop(tokio::fs::remove_file(&part).await);
            drain(&mut upload).await;
            return Err(problem);
        }
    };
    let (sha256, chunks, size) = digester.finish();
    let place = api.artifacts.join(sha256.to_string());
    let known = place.exists();
    let kept = keep(&part, &place, chunks.to_bytes()).await;
    let discard = async |known: bool| {
        drop(tokio::fs::remove_file(&part).await);
        // The same bytes may have been taken in before.
        if !known {
            drop(tokio::fs::remove_file(place.with_extension("chunks")).await);
            drop(tokio::fs::remove_file(&place).await);
        }
    };
    if let Err(error) = kept {
        discard(known).await;
        let why = format!("could not keep the artifact: {error}");
        return Err(Problem::Failed(why));
    }
    let artifact = ArtifactRef {
        sha256,
        chunks: chunks.digest(),
        size,
        kind: looked.kind,
        product: looked.product,
        version: looked.version,
    };
    let what = format!(
        "{} {} ({} bytes, sha256 {sha256})",
        looked.product.as_str(),
        looked.version,
        size
    );
    let stored = api.hub.act(move |core, batch, answer| {
        let added = Record::ArtifactAdded {
            artifact,
            signer: looked.signer,
            source: meta.source,
            terms_accepted_by: by,
        };
        core.record(batch, added);
        batch.then(move |stored| drop(answer.send(stored.clone())));
    });
    if let Err(why) = stored.await? {
        discard(known).await;
        return Err(Problem::Failed(why));
    }
    Ok(Json(Done { done: what }))
}

/// Takes the rest of an upload that is refused. Who is still sending when the connection closes sees a broken pipe
/// in place of the reason.
async fn drain(upload: &mut BodyDataStream) {
    let mut size = 0;
    while let Some(Ok(chunk)) = upload.next().await {
        size += chunk.len() as u64;
        if size > limits::MAX_ARTIFACT_BYTES {
            return;
        }
    }
}

async fn take(
    api: &Api,
    part: &FilePath,
    upload: &mut BodyDataStream,
) -> Result<FileDigester, Problem> {
    let failed = |error: std::io::Error| {
        Problem::Failed(format!(
            "could not write to {}: {error}",
            api.artifacts.display()
        ))
    };
    let mut file = tokio::fs::File::create(part).await.map_err(failed)?;
    let mut digester = FileDigester::new();
    let mut size = 0;
    while let Some(chunk) = upload.next().await {
        let chunk =
            chunk.map_err(|error| Problem::Refused(format!("the upload was cut off: {error}")))?;
        size += chunk.len() as u64;
        if size > limits::MAX_ARTIFACT_BYTES {
            return Err(Problem::Refused(format!(
                "larger than {} bytes",
                limits::MAX_ARTIFACT_BYTES
            )));
        }
        file.write_all(&chunk).await.map_err(failed)?;
        digester.update(&chunk);
    }
    if size == 0 {
        return Err(Problem::Refused("the file is empty".to_owned()));
    }
    file.sync_all().await.map_err(failed)?;
    Ok(digester)
}

fn look(part: &FilePath, meta: &Meta, kind: ControllerKind) -> Result<Looked, Problem> {
    if let (Some(product), Some(version)) = (meta.model, meta.version) {
        if kind == ControllerKind::Real {
            return Err(Problem::Refused(
                "a real controller takes no stand-in for an installer".to_owned(),
            ));
        }
        return Ok(Looked {
            product,
            version,
            kind: ArtifactKind::Exe,
            signer: None,
        });
    }
    let seen = provenance::inspect(part).map_err(|error| Problem::Refused(error.to_string()))?;
    if (seen.product, seen.kind) == (Product::ProvisioningAgent, ArtifactKind::Msi) {
        return Err(Problem::Refused(
            "it is a bare package of the provisioning agent: add the setup executable, which brings its packages and the updater".to_owned(),
        ));
    }
    Ok(Looked {
        product: seen.product,
        version: seen.version,
        kind: seen.kind,
        signer: Some(seen.signer),
    })
}
