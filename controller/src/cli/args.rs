//! Arguments: the verbs, and what each takes.

use std::net::SocketAddr;
use std::path::PathBuf;

use agent_twin::Fault;
use clap::{Args, Parser, Subcommand};
use controller_core::calendar::written;
use controller_core::overrides::Rule;
use controller_core::policy::Waits;
use protocol::signed::MOST_OVERRIDE_OPERATORS;
use protocol::step::Fix;
use protocol::{Digest, RolloutId, TargetId, Timestamp, Version};

use crate::cli::acts::{
    AgentsAct, ArtifactAct, AuditAct, ReleaseAct, SecretAct, TasksAct, TenantAct, TokenAct,
};
use crate::cli::parse::{dialled, failures, fault, fix, member};

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

// What `init` is asked for. (A comment of the documentation would take the place of the verb's in its help.)
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where agents dial: host:port, UDP.
    #[arg(long, value_parser = dialled)]
    pub(crate) address: String,
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:7443")]
    pub(crate) listen: SocketAddr,
    /// File for the root key, encrypted, outside the state folder: keep it offline.
    #[arg(long)]
    pub(crate) root_key: PathBuf,
    /// Public key of whoever signs releases of the agent, as `entrain release key` writes it. Without one no agent is ever
    /// upgraded by this controller.
    #[arg(long)]
    pub(crate) publisher: Option<PathBuf>,
    /// How many different operators must say an override, 1 to 5; signed into the trust root, and never changed afterwards. More than one
    /// needs a socket for several operators (`--socket`).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_OVERRIDE_OPERATORS)))]
    pub(crate) override_operators: u32,
    /// Reads the passphrase from standard input's first line in place of asking.
    #[arg(long)]
    pub(crate) passphrase_stdin: bool,
    /// For models of servers alone.
    #[arg(long)]
    pub(crate) simulated: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Makes trust root, authority, bundle key and configuration.
    ///
    /// Example: entrain init --address controller.contoso.com:7443 --root-key /media/usb/root.pem
    Init(Init),
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
    /// running controller; where one answers, what its agents have read of forests counts too.
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
}
