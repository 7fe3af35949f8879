//! Installers in the artifact store.

use anyhow::Context as _;
use controller_core::recipe::download;
use controller_core::roster::Artifact;
use protocol::step::Product;
use protocol::task::TaskText;

use crate::cli::acts::ArtifactAct;
use crate::cli::exit;
use crate::cli::output::{self, table};
use crate::cli::people;
use crate::http::client::Client;
use crate::http::types::{Artifacts, Done};

/// How the installer of a product comes into the store.
#[derive(Debug, serde::Serialize)]
struct How {
    product: Product,
    /// What a person does, where none is there.
    task: Option<TaskText>,
}

impl How {
    fn of(product: Product, there: &Artifacts) -> Self {
        let is = |one: &Artifact| one.artifact.product == product;
        let missing = !there.artifacts.iter().any(is);
        Self {
            product,
            task: missing.then(|| download::task(product)),
        }
    }
}

/// Escapes a text for a query.
fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if keep(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

pub(super) async fn artifact(client: &Client, act: ArtifactAct) -> anyhow::Result<u8> {
    match act {
        ArtifactAct::Add {
            file,
            accept_terms,
            source,
            model,
            version,
        } => {
            let mut path = format!(
                "/v1/artifacts?terms={accept_terms}&source={}",
                escape(&source)
            );
            if let (Some(model), Some(version)) = (model, version) {
                let model = serde_json::to_value(model)?;
                path.push_str(&format!(
                    "&model={}&version={version}",
                    model.as_str().unwrap_or_default()
                ));
            }
            let done: Done = client
                .upload(&path, &file)
                .await
                .with_context(|| format!("{} was not taken in", file.display()))?;
            output::print(&done.done);
        }
        ArtifactAct::How { json } => {
            let there: Artifacts = client.get("/v1/artifacts").await?;
            let products = [Product::ProvisioningAgent, Product::Connect];
            let rows: Vec<How> = products.map(|product| How::of(product, &there)).into();
            if json.json {
                return output::json(&rows).map(|()| exit::OK);
            }
            for row in rows {
                match row.task {
                    Some(task) => people::show(&task),
                    None => output::print(&format!("{}: it is there", row.product.as_str())),
                }
            }
        }
        ArtifactAct::List { json } => {
            let artifacts: Artifacts = client.get("/v1/artifacts").await?;
            if json.json {
                return output::json(&artifacts).map(|()| exit::OK);
            }
            let row = |artifact: &Artifact| {
                vec![
                    artifact.artifact.product.as_str().to_owned(),
                    artifact.artifact.version.to_string(),
                    artifact.artifact.sha256.short(),
                    artifact
                        .signer
                        .clone()
                        .unwrap_or_else(|| "model".to_owned()),
                    artifact.terms_accepted_by.clone(),
                    artifact.added.to_string(),
                    artifact.source.clone(),
                ]
            };
            let rows: Vec<Vec<String>> = artifacts.artifacts.iter().map(row).collect();
            output::print(&table(
                &[
                    "PRODUCT", "VERSION", "SHA256", "SIGNER", "TERMS BY", "ADDED", "SOURCE",
                ],
                &rows,
            ));
        }
    }
    Ok(exit::OK)
}
