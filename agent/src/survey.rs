//! `entrain-agent directory`: asks a domain, without a controller and without changing anything, what a preflight would
//! ask of it: for whoever prepares a domain, and for questions that the server's own account may not have answered.

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use agent_core::op::DirectoryAccount;
use agent_core::procedure::{Cx, Host, Next, Procedure, Want};
use agent_core::step::discover;
use agent_core::step::preflight::{self, Beside};
use anyhow::Context as _;
use protocol::answers::{DirectoryAnswers, ServersShown};
use protocol::event::{DiscoveredServer, Finding, Severity, Verdict};
use protocol::secret::{Secret, SecretKind};
use protocol::step::{DirectoryRights, ServedDomain};
use protocol::{DomainName, GmsaName, TargetId};

use crate::exec::{Exec, Secrets};

/// As whom a domain is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum As {
    /// The account that runs this program, by integrated sign-in (Windows).
    Own,
    /// Nobody: only what a domain controller tells everyone.
    Nobody,
}

/// How the answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line each.
    Lines,
    /// One JSON document.
    Json,
}

/// What is asked.
#[derive(Debug)]
pub struct Ask {
    /// The domain.
    pub domain: DomainName,
    /// Controllers to ask, in place of the first that DNS names.
    pub controllers: Vec<TargetId>,
    /// As whom, where no user is named.
    pub asked_as: As,
    /// A user, whose password is on standard input.
    pub user: Option<String>,
    /// What about.
    pub about: About,
}

/// What a domain is asked about.
#[derive(Debug)]
pub enum About {
    /// What a preflight would ask, and beside it what is named here.
    Readiness {
        /// A gMSA and the server that is to use it.
        gmsa: Option<(GmsaName, TargetId)>,
        /// Whether the user would do for an installation.
        installs: bool,
        /// Whether every user and group has its anchor.
        anchors: bool,
        /// What stays where Connect goes from a server of the domain.
        connect_goes: bool,
    },
    /// Which servers carry one of the products.
    Servers {
        /// gMSAs of provisioning agents, beside those that have a name of the product's own.
        accounts: Vec<GmsaName>,
    },
}

/// Asks and prints, and writes the answers into a new file where one is named; gives an error when an answer blocks.
///
/// # Errors
/// When the password cannot be read, the file is there already or cannot be written, or a finding blocks.
pub async fn run(ask: Ask, form: Form, into: Option<&Path>) -> anyhow::Result<()> {
    let Ask {
        domain,
        controllers,
        asked_as,
        user,
        about,
    } = ask;
    let kind = SecretKind::DomainCredential {
        domain: domain.clone(),
    };
    let mut secrets = Secrets::new();
    let signed_in = match (&user, asked_as) {
        (Some(user), _) => user.clone(),
        (None, As::Own) => "the account that ran it".to_owned(),
        (None, As::Nobody) => "nobody".to_owned(),
    };
    // Nothing is asked for a file that could not be written.
    let into = into.map(create).transpose()?;
    let account = match user {
        Some(user) => {
            let mut value = String::new();
            let mut input = std::io::stdin().lock();
            input
                .read_line(&mut value)
                .context("could not read the password from standard input")?;
            let value = value.trim_end_matches(['\r', '\n']).to_owned();
            anyhow::ensure!(!value.is_empty(), "the password on standard input is empty");
            secrets.insert(kind.clone(), Secret { user, value });
            DirectoryAccount::Given(kind)
        }
        None if asked_as == As::Nobody => DirectoryAccount::Nobody,
        None => DirectoryAccount::Server,
    };
    let at = crate::agent::now();
    let domain = ServedDomain {
        name: domain,
        preferred_dcs: controllers,
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    };
    let exec = Exec::this_server(std::path::Path::new("."), crate::VERSION);
    let host = Host {
        simulated: false,
        ..Host::model(crate::VERSION)
    };
    let mut procedure = Procedure::new(false);
    let mut answers = Vec::new();
    let mut shown = None;
    loop {
        let survey = |cx: &mut Cx<'_>| match &about {
            About::Readiness {
                gmsa,
                installs,
                anchors,
                connect_goes,
            } => {
                let beside = Beside {
                    gmsa: gmsa.as_ref().map(|(name, host)| (name, host)),
                    credential: *installs,
                    anchors: *anchors,
                    connect_goes: *connect_goes,
                };
                preflight::survey(&domain, &account, beside, cx)
            }
            About::Servers { accounts } => discover::survey(&domain, &account, accounts, cx),
        };
        let next = procedure.drive(&[], &host, survey);
        match next {
            Next::Want(Want::Op(op)) => {
                let (outcome, _) = exec.perform(&op, &secrets).await;
                procedure.add(outcome);
            }
            Next::Want(Want::Findings(findings)) => {
                answers.extend(findings);
                procedure.add(agent_core::op::Outcome::Done);
            }
            Next::Want(Want::Servers {
                servers, unread, ..
            }) => {
                print_servers(&servers, &unread, form)?;
                shown = Some(ServersShown {
                    named: servers,
                    unread,
                });
                procedure.add(agent_core::op::Outcome::Done);
            }
            Next::Complete(_) => break,
            Next::Want(other) => anyhow::bail!("a question wanted {other:?}"),
            Next::Failed(failure) => anyhow::bail!("{}", failure.what),
            Next::CannotTell(why) => anyhow::bail!("{why}"),
        }
    }
    if shown.is_none() {
        print(&answers, form)?;
    }
    if let Some((path, mut file)) = into {
        let gmsa = if let About::Readiness { gmsa, .. } = about {
            gmsa
        } else {
            None
        };
        let document = DirectoryAnswers {
            format: DirectoryAnswers::FORMAT,
            domain: domain.name.clone(),
            at,
            asked_as: signed_in,
            gmsa,
            agent_version: crate::VERSION.to_owned(),
            answers: answers.clone(),
            servers: shown,
        };
        let bytes = serde_json::to_vec_pretty(&document)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    let blocking = answers.iter().filter(|finding| finding.blocks()).count();
    anyhow::ensure!(
        blocking == 0,
        "{blocking} of the answers would stop an installation"
    );
    Ok(())
}

/// A new file: none that is there is written over.
fn create(path: &Path) -> anyhow::Result<(&Path, std::fs::File)> {
    let file = std::fs::File::create_new(path)
        .with_context(|| format!("could not make {}", path.display()))?;
    Ok((path, file))
}

fn print_servers(
    servers: &[DiscoveredServer],
    unread: &[String],
    form: Form,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if form == Form::Json {
        let all = serde_json::json!({ "servers": servers, "unread": unread });
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
        return Ok(());
    }
    for server in servers {
        let product = server.product.as_str();
        writeln!(out, "{:<40} {product}: {}", server.name, server.source)?;
    }
    for why in unread {
        writeln!(out, "not read: {why}")?;
    }
    if servers.is_empty() {
        writeln!(out, "this account is shown no server")?;
    }
    Ok(())
}

fn print(answers: &[Finding], form: Form) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if form == Form::Json {
        serde_json::to_writer_pretty(&mut out, answers)?;
        writeln!(out)?;
        return Ok(());
    }
    for finding in answers {
        let word = match (finding.verdict, finding.severity) {
            (Verdict::Pass, _) => "pass",
            (Verdict::CannotTell, _) => "cannot tell",
            (Verdict::Fail, Severity::Block) => "BLOCKS",
            (Verdict::Fail, Severity::Warn) => "warns",
            (Verdict::Fail, Severity::Info) => "note",
        };
        writeln!(
            out,
            "{:<5} {:<12} {}: {}",
            finding.id, word, finding.what, finding.read
        )?;
        if finding.verdict != Verdict::Pass {
            writeln!(out, "{:18} wanted: {}; {}", "", finding.wanted, finding.fix)?;
        }
    }
    Ok(())
}
