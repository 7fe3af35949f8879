//! Releases of the agent. Keys and signatures are made offline, on the publisher's own machine; a controller takes in what was
//! signed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use protocol::chunk::FileDigester;
use protocol::key::SigningKey;
use protocol::signed::{AgentRelease, Envelope, ReleaseFile, sign};
use protocol::{Version, limits};

use crate::cli::acts::ReleaseAct;
use crate::cli::exit;
use crate::cli::output::{self, table};
use crate::cli::passphrase::{new_passphrase, passphrase_of};
use crate::files::write_private;
use crate::http::client::Client;
use crate::http::types::{Done, ReleaseRow, ReleaseWithdrawAsk, Releases};
use crate::keys;

pub(super) async fn release(client: &Client, act: ReleaseAct) -> anyhow::Result<u8> {
    match act {
        ReleaseAct::Key {
            key,
            public,
            passphrase_stdin,
        } => make_key(&key, &public, passphrase_stdin)?,
        ReleaseAct::Sign {
            version,
            program,
            key,
            out,
            passphrase_stdin,
        } => {
            let release = describe(version, &program)?;
            let passphrase = passphrase_of(passphrase_stdin, "the publisher's key")?;
            let key = keys::decrypt(&key, &passphrase)?;
            write_private(&out, &sign(&release, &[&key]).to_json())?;
            output::print(&format!("signed release {version}: {}", out.display()));
        }
        ReleaseAct::Add { release, programs } => {
            let done = add(client, &release, &programs).await?;
            output::print(&done.done);
        }
        ReleaseAct::Withdraw { version, reason } => {
            let ask = ReleaseWithdrawAsk { reason };
            let path = format!("/v1/releases/{version}/withdraw");
            let done: Done = client.post(&path, &ask).await?;
            output::print(&done.done);
        }
        ReleaseAct::List { json } => {
            let releases: Releases = client.get("/v1/releases").await?;
            if json.json {
                return output::json(&releases).map(|()| exit::OK);
            }
            let row = |release: &ReleaseRow| {
                vec![
                    release.version.to_string(),
                    release.platforms.join(", "),
                    release.by.clone(),
                    release.added.to_string(),
                    release.withdrawn.as_ref().map_or_else(
                        || "-".to_owned(),
                        |it| format!("by {}: {}", it.by, it.reason),
                    ),
                ]
            };
            let rows: Vec<Vec<String>> = releases.releases.iter().map(row).collect();
            output::print(&table(
                &["VERSION", "PLATFORMS", "ADDED BY", "ADDED", "WITHDRAWN"],
                &rows,
            ));
        }
    }
    Ok(exit::OK)
}

fn make_key(key: &Path, public: &Path, passphrase_stdin: bool) -> anyhow::Result<()> {
    if let Some(there) = [key, public].into_iter().find(|path| path.exists()) {
        bail!("{} is there already; give another file", there.display());
    }
    let passphrase = new_passphrase(passphrase_stdin, "the publisher's key")?;
    let made = SigningKey::generate();
    write_private(key, keys::encrypt(&made, &passphrase)?.as_bytes())?;
    write_private(public, keys::public_pem(&made.public())?.as_bytes())
        .inspect_err(|_| drop(std::fs::remove_file(key)))?;
    output::print(&format!(
        "publisher's key  {}: keep it offline\npublic half      {}, for `entrain init --publisher`\nfingerprint      {}",
        key.display(),
        public.display(),
        made.public().fingerprint()
    ));
    Ok(())
}

fn digests(path: &Path) -> anyhow::Result<FileDigester> {
    let reading = || format!("could not read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(reading)?;
    let mut digester = FileDigester::new();
    let mut buffer = vec![0; limits::CHUNK_BYTES];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).with_context(reading)? {
            0 => return Ok(digester),
            count => digester.update(&buffer[..count]),
        }
    }
}

fn describe(version: Version, programs: &[(String, PathBuf)]) -> anyhow::Result<AgentRelease> {
    let file = |(platform, path): &(String, PathBuf)| -> anyhow::Result<ReleaseFile> {
        let (sha256, chunks, size) = digests(path)?.finish();
        Ok(ReleaseFile {
            platform: platform.clone(),
            sha256,
            chunks: chunks.digest(),
            size,
        })
    };
    Ok(AgentRelease {
        format: 1,
        version,
        issued: crate::now(),
        files: programs.iter().map(file).collect::<anyhow::Result<_>>()?,
    })
}

/// Sends a release and its programs, in the order that the release has. The controller verifies; this only sorts.
async fn add(client: &Client, release: &Path, programs: &[PathBuf]) -> anyhow::Result<Done> {
    let text =
        std::fs::read(release).with_context(|| format!("could not read {}", release.display()))?;
    let no_release = || {
        format!(
            "{} is no release of `entrain release sign`",
            release.display()
        )
    };
    let payload = Envelope::from_json(&text)
        .and_then(|envelope| envelope.payload_bytes())
        .with_context(no_release)?;
    let said: AgentRelease = serde_json::from_slice(&payload).with_context(no_release)?;
    let mut given = Vec::new();
    for path in programs {
        given.push((digests(path)?.finish().0, path));
    }
    let mut ordered = Vec::new();
    for file in &said.files {
        let Some((_, path)) = given.iter().find(|(sha256, _)| *sha256 == file.sha256) else {
            bail!(
                "none of the given files is the program for {} that was signed (sha256 {})",
                file.platform,
                file.sha256
            );
        };
        ordered.push((*path).clone());
    }
    let mut line = text;
    line.retain(|byte| *byte != b'\n');
    line.push(b'\n');
    client.upload_all("/v1/releases", line, ordered).await
}
