//! Arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use agent_twin::Fault;
use clap::{Args, Parser, Subcommand};
use controller_core::calendar::written;
use controller_core::finding::nearest;
use controller_core::overrides::Rule;
use controller_core::policy::Waits;
use protocol::signed::MOST_OVERRIDE_OPERATORS;
use protocol::step::{Fix, Product};
use protocol::{Digest, ProxyAddress, RolloutId, TargetId, Timestamp, Version};

/// Installs, verifies and upgrades Microsoft Entra's synchronization tools on many Windows servers.
#[derive(Debug, Parser)]
#[command(
    name = "entrain",
    version,
    about,
    after_help = "Exit codes: 0 done, 1 failed, 2 findings or wrong arguments, 3 a watched rollout ended and not all is done."
)]
pub(crate) struct Arguments {
    /// Folder of the controller's state; without one, /var/lib/entrain.
    #[arg(long, global = true, env = "ENTRAIN_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Socket of the API for a group of operators, each under an account of their own: `serve` listens there too, beside the
    /// state folder's own, and every other command asks there. Where neither this nor a state folder is named, commands ask
    /// where ENTRAIN_SOCKET says.
    #[arg(long, global = true)]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// `HOST:PORT`, as agents dial it; the host a name or an address, one of IPv6 in brackets.
fn dialled(text: &str) -> Result<String, String> {
    let why = "write HOST:PORT, such as controller.contoso.com:7443; agents dial it by UDP, and it is written into every join file";
    let (host, port) = text.rsplit_once(':').ok_or(why)?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    if port.is_none() {
        return Err(format!("the port is a number from 1 to 65535; {why}"));
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |label: &str| {
                let word = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
                !label.is_empty() && label.chars().all(word)
            };
            host.split('.').all(label)
        }
    };
    is_host.then(|| text.to_owned()).ok_or_else(|| {
        format!("\"{host}\" is neither the name of a host nor an address (one of IPv6 stands in brackets); {why}")
    })
}

/// Failures that a running rollout may have: a number. A share is of a policy, which knows how many targets it will be of.
fn failures(text: &str) -> Result<u32, String> {
    if text.ends_with('%') {
        return Err("a share is written in a policy; give a running rollout the number of targets that may fail".to_owned());
    }
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "give the number of targets that may fail, 1 or more; `entrain pause` has nothing more start".to_owned())
}

/// A prerequisite, as `may_fix` has it.
fn fix(text: &str) -> Result<Fix, String> {
    let own = Fix::ALL.into_iter().find(|fix| fix.as_str() == text);
    own.ok_or_else(|| format!("write one of {}", Fix::ALL.map(Fix::as_str).join(", ")))
}

/// `SERVER=DOMAIN`, as `handover` takes it.
fn member(text: &str) -> Result<(TargetId, protocol::DomainName), String> {
    let (server, domain) = text
        .split_once('=')
        .ok_or("write SERVER=DOMAIN, such as sync-01.dmz.contoso.com=corp.contoso.com")?;
    let server = server
        .parse::<TargetId>()
        .map_err(|error| error.to_string())?;
    let domain = domain
        .parse::<protocol::DomainName>()
        .map_err(|error| error.to_string())?;
    Ok((server, domain))
}

/// `FAULT@TARGET`, as `rehearse` takes it.
fn fault(text: &str) -> Result<(TargetId, Fault), String> {
    let (name, target) = text.split_once('@').ok_or("write FAULT@TARGET")?;
    let target = target
        .parse()
        .map_err(|error| format!("{target}: {error}"))?;
    let names: Vec<(String, Fault)> = Fault::ALL
        .into_iter()
        .filter_map(|fault| match serde_json::to_value(fault) {
            Ok(serde_json::Value::String(name)) => Some((name, fault)),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if let Some((_, fault)) = names.iter().find(|(known, _)| known == name) {
        return Ok((target, *fault));
    }
    let known = names.iter().map(|(known, _)| known.as_str());
    Err(match nearest(name, known.clone()) {
        Some(meant) => format!("there is no fault {name}; did you mean {meant}?"),
        None => format!(
            "there is no fault {name}; there are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    })
}

/// Output as JSON.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Json {
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Topology and policy.
#[derive(Debug, Clone, Args)]
pub(crate) struct Documents {
    /// Topology: a TOML file, or a folder of them.
    #[arg(default_value = "topology.toml")]
    pub(crate) topology: PathBuf,
    /// Rollout policy.
    #[arg(long)]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Makes trust root, authority, bundle key and configuration.
    ///
    /// Example: entrain init --address controller.contoso.com:7443 --root-key /media/usb/root.pem
    Init {
        /// Where agents dial: host:port, UDP.
        #[arg(long, value_parser = dialled)]
        address: String,
        /// Where to listen.
        #[arg(long, default_value = "0.0.0.0:7443")]
        listen: SocketAddr,
        /// File for the root key, encrypted, outside the state folder: keep it offline.
        #[arg(long)]
        root_key: PathBuf,
        /// Public key of whoever signs releases of the agent, as `entrain release key` writes it. Without one no agent is ever
        /// upgraded by this controller.
        #[arg(long)]
        publisher: Option<PathBuf>,
        /// How many different operators must say an override, 1 to 5; signed into the trust root, and never changed afterwards. More than one
        /// needs a socket for several operators (`--socket`).
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_OVERRIDE_OPERATORS)))]
        override_operators: u32,
        /// Reads the passphrase from standard input's first line in place of asking.
        #[arg(long)]
        passphrase_stdin: bool,
        /// For models of servers alone.
        #[arg(long)]
        simulated: bool,
    },
    /// Runs the controller.
    Serve,
    /// Checks a topology and a policy; changes nothing.
    Check {
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Prints the JSON Schema of a topology.
    Schema,
    /// Makes a plan and says what would be done, and why.
    Plan {
        #[command(flatten)]
        documents: Documents,
        /// Verify what is there; change nothing.
        #[arg(long)]
        verify: bool,
        /// Upgrade Entrain's own agents to the newest release; the products are not touched.
        #[arg(long, conflicts_with = "verify")]
        agents: bool,
        /// That release in place of the newest one.
        #[arg(long, requires = "agents")]
        release: Option<Version>,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a plan by which a staging Connect server becomes the active one: what it would export is counted first, then a
    /// person puts the active server into staging mode, then takes this one out of it. `apply` carries it out.
    ///
    /// Example: entrain swap fab-sync-02.fabrikam.com topology.toml
    Swap {
        /// The server that is to become active.
        server: TargetId,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a plan by which what Entrain has set of prerequisites on a server (`may_fix`) is put back to what it was, where it is still
    /// as Entrain set it. Refused while a product that needs it is there. `apply` carries it out.
    ///
    /// Example: entrain undo ams-sync-01.corp.contoso.com topology.toml
    Undo {
        /// The server.
        server: TargetId,
        /// That prerequisite alone (tls12, vaultsvc) in place of all.
        #[arg(long, value_parser = fix)]
        fix: Option<Fix>,
        /// Also while a product that needs it is on the server.
        #[arg(long)]
        anyway: bool,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a plan by which a staging Connect server becomes active in place of one that is off for good or for long. Whoever
    /// applies it says so by name; when that server is back, its Connect is stopped and disabled before anything else.
    ///
    /// Example: entrain failover fab-sync-02.fabrikam.com --off fab-sync-01.fabrikam.com topology.toml
    Failover {
        /// The server that is to become active.
        server: TargetId,
        /// The server that was active and is off.
        #[arg(long, value_name = "SERVER")]
        off: TargetId,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Makes one plan of a swing upgrade: a staging Connect server is upgraded, or installed by custom settings, and becomes the
    /// active one as by `swap`; then the one before is upgraded in place as a staging server, or Connect is taken off it.
    ///
    /// Example: entrain swing fab-sync-02.fabrikam.com topology.toml
    Swing {
        /// The server that is to become active.
        server: TargetId,
        /// Has Connect taken off the server that is active before: for one that the topology lists under `retired`.
        #[arg(long)]
        retire: bool,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a plan by which a tenant moves from Connect to cloud sync: each limit of the wizard's task is judged on the active
    /// server, then a person goes through the wizard there. `preflight --transition` asks about the limits alone.
    ///
    /// Example: entrain transition fab-sync-01.fabrikam.com topology.toml
    Transition {
        /// The tenant's active Connect server.
        server: TargetId,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Asks every server whether it is ready, and says what is to be mended and by whom; changes nothing.
    ///
    /// Example: entrain preflight --server ams-sync-01.corp.contoso.com --report ams-sync-01.txt topology.toml
    Preflight {
        #[command(flatten)]
        documents: Documents,
        /// A server; may be given several times. Without one, every server of the topology.
        #[arg(long, conflicts_with = "transition")]
        server: Vec<TargetId>,
        /// Writes what each server answered into a new file as well, to be handed to its owner: every finding, when it was read, and
        /// the digest of the signed receipt. A folder that is there gets a file for each server, SERVER.txt.
        #[arg(long, value_name = "FILE", conflicts_with = "transition")]
        report: Option<PathBuf>,
        /// Asks each active Connect server whether its tenant may move to cloud sync, and nothing else.
        #[arg(long)]
        transition: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Has the product's own tools collect the logs of provisioning agents into a file on each server, and says where it lies.
    /// People's data are in it: it stays there, for an administrator of the server to fetch. Changes nothing of the product.
    ///
    /// Example: entrain support --server ams-sync-01.corp.contoso.com topology.toml
    Support {
        /// A server; may be given several times. Without one, every server of the topology.
        #[arg(long)]
        server: Vec<TargetId>,
        /// Topology: a TOML file, or a folder of them.
        #[arg(default_value = "topology.toml")]
        topology: PathBuf,
        #[command(flatten)]
        json: Json,
    },
    /// Prints what a domain's administrator runs on their own workstation, so that no credential reaches Entrain. Needs no
    /// running controller.
    ///
    /// Example: entrain handover corp.contoso.com topology.toml
    Handover {
        /// DNS name of the domain.
        domain: protocol::DomainName,
        /// A server whose name does not tell its domain, and that domain; may be given several times. A plan names them.
        #[arg(long, value_name = "SERVER=DOMAIN", value_parser = member)]
        member: Vec<(TargetId, protocol::DomainName)>,
        #[command(flatten)]
        documents: Documents,
        #[command(flatten)]
        json: Json,
    },
    /// Carries a plan out on models of its servers, in virtual time: how long it takes, who serves meanwhile, what people do
    /// and when, what would fail or be held. Changes nothing. A thousand servers take some 20 s for each course.
    ///
    /// Example: entrain rehearse 3f2a91c0 --fault logon-right-missing@ams-sync-01.corp.contoso.com
    Rehearse {
        /// The plan: the start of its digest is enough.
        plan: String,
        /// How often it is carried out; servers differ in speed each time.
        #[arg(long, default_value_t = 7, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
        courses: u64,
        /// How many minutes a person takes each time: for a secret, or for a wizard.
        #[arg(long, default_value_t = 10, value_name = "MINUTES")]
        person: u64,
        /// Nobody comes.
        #[arg(long, conflicts_with = "person")]
        nobody: bool,
        /// Something is wrong with a server; may be given several times.
        #[arg(long, value_name = "FAULT@TARGET", value_parser = fault)]
        fault: Vec<(TargetId, Fault)>,
        /// The seed of chance: the same one gives the same courses.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// When it begins, as `apply --at` takes it; at once where none is given.
        #[arg(long, value_name = "MOMENT", value_parser = written)]
        at: Option<Timestamp>,
        #[command(flatten)]
        json: Json,
    },
    /// Carries out a plan.
    ///
    /// Example: entrain apply 3f2a91c0 --change CHG0012345
    Apply {
        /// The plan: the start of its digest is enough.
        plan: String,
        /// Change number.
        #[arg(long)]
        change: Option<String>,
        /// How many of its acts cannot be undone, as the plan lists them: given by whoever has read them.
        #[arg(long, value_name = "COUNT")]
        irreversible: Option<u32>,
        /// The active Connect server that is off, as you know: for a plan of `failover`.
        #[arg(long, value_name = "SERVER")]
        off: Option<TargetId>,
        /// When it begins, with an offset or a zone: 2026-11-28T22:00[Europe/Amsterdam]; at once where none is given.
        #[arg(long, value_name = "MOMENT", value_parser = written)]
        at: Option<Timestamp>,
        /// Watches until the rollout is over.
        #[arg(long)]
        watch: bool,
    },
    /// Watches a rollout until it is over.
    Watch {
        /// Which; the newest where none is given.
        rollout: Option<RolloutId>,
        #[command(flatten)]
        json: Json,
    },
    /// Shows the controller and its rollouts.
    Status {
        /// Shows the products' versions on all servers, worst first: floors, recalls, ends of support, days left.
        #[arg(long)]
        versions: bool,
        /// Shows what is not as the last rollout left it.
        #[arg(long, conflicts_with = "versions")]
        drift: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Gives one answer why a target is where it is, and what may be ordered.
    ///
    /// Example: entrain why ams-sync-01.corp.contoso.com --rollout r11
    Why {
        /// Which.
        target: TargetId,
        /// As that rollout tells it; without it, the one that waits for something there, else the newest that changed it.
        #[arg(long)]
        rollout: Option<RolloutId>,
        #[command(flatten)]
        json: Json,
    },
    /// Shows how the settings of two Connect servers differ, as each told them last: rules, connectors, filters, features.
    ///
    /// With `--exported`: what their wizards have exported, which shows whether an import brought all of it; of one server alone
    /// the export before and the one now.
    ///
    /// Example: entrain diff fab-sync-01.fabrikam.com fab-sync-02.fabrikam.com
    Diff {
        /// One server.
        one: TargetId,
        /// The other one.
        #[arg(required_unless_present = "exported")]
        other: Option<TargetId>,
        /// Compares exported settings.
        #[arg(long)]
        exported: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Approves the difference of settings that holds a swap: that one, and no other that may come after it.
    ///
    /// Example: entrain accept r3 DIGEST --reason "the new rule for trainees is meant"
    Accept {
        /// Which rollout.
        rollout: RolloutId,
        /// The difference's digest, as `diff` and the hold name it.
        difference: Digest,
        /// Why it is meant.
        #[arg(long)]
        reason: String,
    },
    /// Hands in what a person who signed in was answered of a domain (`entrain-agent directory DOMAIN --answers FILE`). Where an agent's own
    /// account could not be told, it is shown for a day as attested by you, never as probed.
    ///
    /// Example: entrain attest --directory corp.json
    Attest {
        /// The file.
        #[arg(long, value_name = "FILE")]
        directory: PathBuf,
    },
    /// Work for people.
    Tasks {
        #[command(subcommand)]
        act: Option<TasksAct>,
        /// Prints JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Secrets that agents ask for.
    Secret {
        #[command(subcommand)]
        act: SecretAct,
    },
    /// Lists servers that enrollments, directories and tenants name: known, silent or unknown.
    ///
    /// A server of each domain asks its directory, by a signed bundle that only reads. What the tenants showed is what
    /// `tenant read` brought last.
    Discover {
        /// Topology: a TOML file, or a folder of them.
        #[arg(default_value = "topology.toml")]
        topology: PathBuf,
        #[command(flatten)]
        json: Json,
    },
    /// What a tenant shows of itself.
    Tenant {
        #[command(subcommand)]
        act: TenantAct,
    },
    /// Starts nothing new in a rollout.
    Pause {
        /// Which.
        rollout: RolloutId,
    },
    /// Goes on with a paused rollout.
    ///
    /// A rollout that is held since the controller was restored asks for --after-restore: what was ordered since the backup is forgotten.
    Resume {
        /// Which.
        rollout: RolloutId,
        /// Its agents are back, and what was ordered since the backup was given again.
        #[arg(long)]
        after_restore: bool,
    },
    /// Ends a rollout: nothing new, runs end at their next gate.
    Abort {
        /// Which.
        rollout: RolloutId,
    },
    /// Changes the limits of a rollout that runs.
    ///
    /// Examples: entrain limits r3 --in-flight 10; entrain limits r3 --site ams --in-flight 2; entrain limits r3 --unreachable 3d
    Limits {
        /// Which rollout.
        rollout: RolloutId,
        /// At this site alone, where servers of other rollouts count too.
        #[arg(long, requires = "in_flight")]
        site: Option<String>,
        /// Targets under way at once.
        #[arg(long)]
        in_flight: Option<u32>,
        /// Failed, unknown and under way together never exceed this.
        #[arg(long, conflicts_with = "site", value_parser = failures)]
        failures: Option<u32>,
        /// How long anybody who is away in the middle of its work is waited for: 3d, 12h, 90m, or never.
        #[arg(long, conflicts_with = "site")]
        unreachable: Option<Waits>,
    },
    /// Emergency stop: nothing new begins in any rollout, no leave is given, and what runs waits at its next gate.
    ///
    /// Example: entrain freeze --all --why "sign-ins fail in every forest"
    Freeze {
        /// The whole fleet.
        #[arg(long, required = true)]
        all: bool,
        /// Why.
        #[arg(long)]
        why: String,
    },
    /// Lifts the emergency stop.
    Thaw {
        /// The whole fleet.
        #[arg(long, required = true)]
        all: bool,
    },
    /// Sets one rule aside on one target, for an hour: G1, G2, G3, G4, G7, G8 or window. As many different operators must say it
    /// as `init --override-operators` wrote into the trust root, one by default; `status`, `why` and the log show who did.
    ///
    /// Example: entrain override G8 --target ams-sync-01.corp.contoso.com --change CHG0042117 --reason "memory comes on Monday"
    Override {
        /// Which rule.
        rule: Rule,
        /// On which target.
        #[arg(long)]
        target: TargetId,
        /// Why.
        #[arg(long, required_unless_present = "withdraw")]
        reason: Option<String>,
        /// Change number.
        #[arg(long, required_unless_present = "withdraw")]
        change: Option<String>,
        /// Takes it back: nothing more is let through.
        #[arg(long, conflicts_with_all = ["reason", "change"])]
        withdraw: bool,
    },
    /// Tries a target again, or all that failed; reads the settings again of one that waits since they differ.
    Retry {
        /// Which rollout.
        rollout: RolloutId,
        /// Which target; all that failed where none is given.
        target: Option<TargetId>,
    },
    /// Leaves a target out.
    Skip {
        /// Which rollout.
        rollout: RolloutId,
        /// Which target.
        target: TargetId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Says what became of a target that nobody can reach.
    Resolve {
        /// Which rollout.
        rollout: RolloutId,
        /// Which target.
        target: TargetId,
        /// What became of it.
        #[arg(long)]
        reason: String,
        /// The server is off, or you have looked at it: nothing of the run goes on there. Without it, what the run was in the
        /// middle of counts (G2, G3) until its bundle and the time of its step have ended.
        #[arg(long)]
        off: bool,
    },
    /// Join tokens.
    Token {
        #[command(subcommand)]
        act: TokenAct,
    },
    /// Enrolled agents.
    Agents {
        #[command(subcommand)]
        act: Option<AgentsAct>,
        /// Prints JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Installers.
    Artifact {
        #[command(subcommand)]
        act: ArtifactAct,
    },
    /// Releases of Entrain's own agent.
    Release {
        #[command(subcommand)]
        act: ReleaseAct,
    },
    /// The record.
    Audit {
        #[command(subcommand)]
        act: AuditAct,
    },
    /// Entries of the log.
    Logs {
        /// First entry.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Only what was done under this change number.
        #[arg(long)]
        change: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Writes a backup while the controller goes on: log, artifacts, configuration and keys, in a new folder.
    ///
    /// Example: entrain backup /srv/backup/entrain-2026-11-24
    Backup {
        /// The new folder. It holds the controller's keys: keep it as you keep the controller.
        folder: PathBuf,
    },
    /// Makes a state folder from a backup. Every rollout is held then until an operator resumes it, join tokens are void,
    /// and the agents tell again what came after the backup. What operators ordered since is forgotten: abort, skip, resolve, limits,
    /// freeze, revocations. Give it again before a rollout is resumed. Agents that were enrolled since are unknown and enroll anew.
    ///
    /// Example: entrain restore /srv/backup/entrain-2026-11-24
    Restore {
        /// The backup's folder.
        folder: PathBuf,
    },
    /// Tells what on this machine is not as it should be.
    Doctor {
        #[command(flatten)]
        json: Json,
    },
    /// Runs a rollout over a simulated fleet, from start to proof.
    Demo {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        /// Leaves it running to be played with.
        #[arg(long)]
        keep: bool,
        /// Which fault a canary has: logon-right, or none.
        #[arg(long, default_value = "logon-right", value_parser = ["logon-right", "none"])]
        fault: String,
    },
}

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
        /// Reads user name and value from standard input, a line each, in place of asking; used for every question.
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

/// Platforms that agents are built for, as they name their own.
const PLATFORMS: [&str; 4] = [
    "windows-x86_64",
    "windows-aarch64",
    "linux-x86_64",
    "linux-aarch64",
];

fn program(text: &str) -> Result<(String, PathBuf), String> {
    let example = "give PLATFORM=FILE, such as windows-x86_64=entrain-agent.exe";
    let (platform, file) = text.split_once('=').ok_or(example)?;
    if file.is_empty() {
        return Err(example.to_owned());
    }
    if !PLATFORMS.contains(&platform) {
        let known = PLATFORMS.join(", ");
        return Err(format!(
            "\"{platform}\" is no platform of an agent: {known}"
        ));
    }
    Ok((platform.to_owned(), PathBuf::from(file)))
}

fn product(text: &str) -> Result<Product, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| error.to_string())
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

impl Verb {
    /// What is logged where the environment does not say.
    pub(crate) const fn log_level(&self) -> &'static str {
        if matches!(self, Self::Serve) {
            "info"
        } else {
            "warn"
        }
    }
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Verbs that read, and print what they read.
    const READ: &[&str] = &[
        "discover",
        "tenant show",
        "swap",
        "failover",
        "swing",
        "transition",
        "undo",
        "agents",
        "agents list",
        "artifact how",
        "artifact list",
        "release list",
        "audit verify",
        "check",
        "demo",
        "diff",
        "doctor",
        "handover",
        "logs",
        "plan",
        "preflight",
        "support",
        "rehearse",
        "status",
        "secret list",
        "tasks",
        "tasks list",
        "watch",
        "why",
    ];
    /// Verbs that act; their answer is their exit code. `schema` prints JSON and nothing else.
    const ACT: &[&str] = &[
        "tenant read",
        "abort",
        "accept",
        "agents approve",
        "agents replace",
        "agents revoke",
        "apply",
        "attest",
        "artifact add",
        "release add",
        "release key",
        "release sign",
        "release withdraw",
        "audit export",
        "backup",
        "freeze",
        "init",
        "override",
        "limits",
        "pause",
        "resolve",
        "restore",
        "resume",
        "retry",
        "schema",
        "secret give",
        "serve",
        "skip",
        "tasks attest",
        "thaw",
        "token create",
    ];

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
        for below in command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
        {
            let path = format!("{path} {}", below.get_name()).trim().to_owned();
            let json = below.get_arguments().any(|arg| arg.get_id() == "json");
            if !below.is_subcommand_required_set() {
                found.push((path.clone(), json));
            }
            leaves(below, &path, found);
        }
    }

    #[test]
    fn every_verb_that_reads_prints_json_when_asked() {
        let mut found = Vec::new();
        let mut command = Arguments::command();
        command.build();
        leaves(&command, "", &mut found);
        let named = |verb: &&&str| found.iter().all(|(found, _)| found != **verb);
        let unknown: Vec<_> = READ.iter().chain(ACT).filter(named).collect();
        assert!(unknown.is_empty(), "there is no such verb: {unknown:?}");
        for (verb, json) in found {
            let reads = READ.contains(&verb.as_str());
            let acts = ACT.contains(&verb.as_str());
            assert!(reads != acts, "{verb}: it reads, or it acts");
            assert!(json || !reads, "{verb} has no --json");
        }
    }

    #[test]
    fn an_address_is_one_that_agents_can_dial() {
        for good in [
            "controller:7443",
            "controller.contoso.com:7443",
            "10.0.0.1:1",
            "[2001:db8::1]:65535",
        ] {
            assert_eq!(dialled(good).as_deref(), Ok(good));
        }
        for bad in [
            "controller",
            "controller:99999",
            "controller:0",
            "https://controller:7443",
            ":7443",
            "my server:7443",
            "a..b:7443",
            "2001:db8::1:7443",
            "[2001:db8::g]:7443",
            "controller:",
        ] {
            let why = dialled(bad).unwrap_err();
            assert!(why.contains("HOST:PORT"), "{bad}: {why}");
        }
    }

    #[test]
    fn failures_of_a_running_rollout_are_a_number() {
        assert_eq!(failures("3"), Ok(3));
        for bad in ["5%", "200%", "x", "0", "-1"] {
            let why = failures(bad).unwrap_err();
            assert!(
                why.contains("number of targets that may fail"),
                "{bad}: {why}"
            );
        }
    }
}
