//! Arguments of verbs that have verbs of their own.

use std::path::PathBuf;

use clap::Subcommand;
use protocol::step::Product;
use protocol::{DomainName, ProxyAddress, TargetId, Version};

use crate::cli::args::Json;
use crate::cli::parse::{product, program};

#[derive(Debug, Subcommand)]
pub(crate) enum TasksAct {
    /// Lists them.
    List,
    /// Says that the step on a target is done. Its own probe goes first.
    Attest {
        /// Which target.
        target: TargetId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretAct {
    /// Lists open questions.
    List {
        #[command(flatten)]
        json: Json,
    },
    /// Answers open questions: checks the agent's signature, asks for the secret, seals it. Stays open for the appointment.
    Give {
        /// Answers this target alone.
        #[arg(long)]
        target: Option<TargetId>,
        /// Answers what is asked for this tenant alone: its id, or its name in the plan.
        #[arg(long, conflicts_with = "domain")]
        tenant: Option<String>,
        /// Answers what is asked of this domain's administrator alone.
        #[arg(long)]
        domain: Option<DomainName>,
        /// Reads user name and value from standard input, a line each, in place of asking. It answers questions of one kind, for
        /// one tenant or domain: the one that is named, or the only one that is open.
        #[arg(long)]
        stdin: bool,
        /// Ends after this many answers; without it, when no question came for a minute.
        #[arg(long)]
        count: Option<u32>,
        /// How long the appointment is planned to last: a token that lapses before is refused. Without it, five minutes.
        #[arg(long = "for", value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=600))]
        minutes: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAct {
    /// Makes a join file, which is shown this once.
    Create {
        /// The one server that it enrolls; without it an operator approves each.
        #[arg(long)]
        target: Option<TargetId>,
        /// Minutes until it ends.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
        /// How many may join; more than one only for models of servers.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// File to write, readable by its owner alone; standard output where none is given.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsAct {
    /// Lists them.
    List,
    /// Agrees to a server that waits.
    Approve {
        /// Which.
        target: TargetId,
        /// Fingerprint of its key as the server itself shows it; its first 8 digits or more.
        key: String,
    },
    /// Frees a name for a new key.
    Replace {
        /// Which.
        target: TargetId,
    },
    /// Revokes a key: its session is closed at once.
    Revoke {
        /// Which.
        target: TargetId,
        /// Says that the server is off for good: whatever Connect was on it exports no more, so another server may become
        /// the tenant's active one. Your name stands for it in the log.
        #[arg(long)]
        off: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactAct {
    /// Takes an installer in: verifies its signature, reads product and version.
    ///
    /// Where a person gets one is shown by `entrain artifact how`.
    Add {
        /// The file.
        file: PathBuf,
        /// You have accepted the vendor's terms for it.
        #[arg(long)]
        accept_terms: bool,
        /// Where it came from, for the record.
        #[arg(long, default_value = "not said")]
        source: String,
        /// For a simulated controller alone: which product the bytes stand for, whatever they are.
        #[arg(long, value_parser = product, requires = "version")]
        model: Option<Product>,
        /// The same: of which version.
        #[arg(long, requires = "model")]
        version: Option<Version>,
    },
    /// Lists what was taken in.
    List {
        #[command(flatten)]
        json: Json,
    },
    /// Shows, page by page, how a person brings the installers that are not there yet.
    How {
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseAct {
    /// Makes the key that signs releases. Needs no controller, and belongs on another machine than one.
    ///
    /// Example: entrain release key --key publisher.pem --public publisher.pub
    Key {
        /// File for the private key, encrypted.
        #[arg(long)]
        key: PathBuf,
        /// File for the public key, which `init` takes.
        #[arg(long)]
        public: PathBuf,
        /// Reads the passphrase from standard input's first line in place of asking.
        #[arg(long)]
        passphrase_stdin: bool,
    },
    /// Signs a release: which bytes a version is on which platform. Needs no controller.
    ///
    /// Example: entrain release sign --version 0.2.0 --program windows-x86_64=entrain-agent.exe --key publisher.pem --out 0.2.0.release
    Sign {
        /// Version of the agent, as the program says it itself.
        #[arg(long)]
        version: Version,
        /// A program with its platform, as PLATFORM=FILE; may be given several times.
        #[arg(long, required = true, value_parser = program)]
        program: Vec<(String, PathBuf)>,
        /// The publisher's key.
        #[arg(long)]
        key: PathBuf,
        /// File for the release.
        #[arg(long)]
        out: PathBuf,
        /// Reads the passphrase from standard input's first line in place of asking.
        #[arg(long)]
        passphrase_stdin: bool,
    },
    /// Takes a signed release in, with its programs.
    ///
    /// Example: entrain release add 0.2.0.release entrain-agent.exe
    Add {
        /// The release.
        release: PathBuf,
        /// Its programs, in any order.
        #[arg(required = true)]
        programs: Vec<PathBuf>,
    },
    /// Takes a release back: it is planned and applied no more, and what is under way with it is aborted.
    ///
    /// Example: entrain release withdraw 0.2.0 --reason "loses its connection behind a proxy"
    Withdraw {
        /// Its version.
        version: Version,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Lists what was taken in.
    List {
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAct {
    /// Writes the whole record to a file.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Verifies such a file, offline.
    Verify {
        /// The file.
        file: PathBuf,
        /// Digest of the trust root, known from elsewhere.
        #[arg(long)]
        trust_root: Option<protocol::Digest>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantAct {
    /// Reads what a tenant shows through Microsoft Graph, and keeps it in the log. The access token comes from standard input,
    /// and goes to that service alone; nothing in the tenant is changed.
    ///
    /// What the token does not name is said before anything is asked, with what is not seen then. deploy/docs/tenant-access.md has
    /// the permissions, and a way to get a token with those alone that leaves it in no argument and no file.
    ///
    /// Example: python3 graph-token.py | entrain tenant read contoso
    Read {
        /// The tenant, by its name in the topology.
        tenant: String,
        /// Topology: a TOML file, or a folder of them.
        #[arg(default_value = "topology.toml")]
        topology: PathBuf,
        /// The account that is to sign in, by its user principal name: whether it may, and what is demanded of it, is read too.
        #[arg(long, value_name = "NAME")]
        operator: Option<String>,
        /// Reads again after so many minutes, as long as the token is good.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
        every: Option<u64>,
        /// HTTP proxy on the way there: http://host:port.
        #[arg(long)]
        proxy: Option<ProxyAddress>,
        /// Port of a stand-in on this machine, in place of the service: for a simulated controller alone.
        #[arg(long, hide = true)]
        stand_in: Option<u16>,
    },
    /// Shows what was read last, and what stands out in it.
    Show {
        #[command(flatten)]
        json: Json,
    },
}
