//! Which story under Wine runs the part of each recipe in which an installer runs, or why it has none. The recipes are those of the page that the
//! planner writes, which a test of the planner holds to its list; a new one without a row here fails on every machine.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::Event;

use crate::World;

/// What is told of the Windows server under Wine, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Story {
    /// The provisioning agent by its setup, with options of its service, registered by a token.
    Installed,
    /// Its options changed, with a restart of Windows within a window.
    Changed,
    /// A later version over it.
    Upgraded,
    /// Connect Sync by its package, and then active and staging.
    ConnectInstalled,
    /// A later version over that.
    ConnectUpgraded,
    /// Connect Sync taken off by its package.
    ConnectTakenOff,
    /// The provisioning agent taken off by its packages, and then by the setup that Windows kept.
    TakenOff,
    /// Entrain's own agent becomes another version.
    OwnAgent,
    /// Setups and scripts that do not end as they should, and an installation behind them.
    Hung,
    /// The provisioning agent taken off by its kept setup alone.
    TakenOffBySetup,
    /// The provisioning agent in the US Government cloud, with a restart behind its setup, by a person at the wizard.
    Guided,
    /// It taken off, with a restart by a person.
    TakenOffAndRestarted,
    /// The provisioning agent in the cloud in China, while somebody else installs it, by a person at the wizard.
    BesideSomebody,
    /// The provisioning agent by its setup, registered by a credential of the tenant's administrator and one of the domain's.
    ByCredentials,
    /// Connect Sync by its package once more.
    ConnectInstalledAgain,
    /// The tenant moved from Connect to cloud sync at Connect's wizard, which runs the setup.
    Moved,
    /// What was set as a prerequisite put back.
    PutBack,
}

impl Story {
    /// Each of them.
    pub const ALL: [Self; 17] = [
        Self::Installed,
        Self::Changed,
        Self::Upgraded,
        Self::ConnectInstalled,
        Self::ConnectUpgraded,
        Self::ConnectTakenOff,
        Self::TakenOff,
        Self::OwnAgent,
        Self::Hung,
        Self::TakenOffBySetup,
        Self::Guided,
        Self::TakenOffAndRestarted,
        Self::BesideSomebody,
        Self::ByCredentials,
        Self::ConnectInstalledAgain,
        Self::Moved,
        Self::PutBack,
    ];
}

/// Steps in which an installer runs, as the page names them and as events do: the agent's own, or that of a person whose end the agent sees.
const INSTALLING: [(&str, &str); 8] = [
    ("install provisioning agent", "install-provisioning-agent"),
    (
        "wizard of the provisioning agent",
        "guide-provisioning-agent",
    ),
    ("remove provisioning agent", "remove-provisioning-agent"),
    ("stage Connect installer", "stage-connect"),
    ("install Connect by wizard", "guide-connect"),
    ("remove Connect by wizard", "guide-connect-removal"),
    (
        "move from Connect to cloud sync by wizard",
        "guide-transition",
    ),
    ("upgrade Entrain's agent", "upgrade-agent"),
];

/// What runs of a recipe under Wine.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// These stories run its installers.
    In(&'static [Story]),
    /// No installer runs in it.
    Without,
}

use Part::{In, Without};
use Story::{
    BesideSomebody, ByCredentials, ConnectInstalled, ConnectTakenOff, ConnectUpgraded, Guided,
    Installed, Moved, OwnAgent, TakenOff, TakenOffAndRestarted, TakenOffBySetup, Upgraded,
};

/// Each recipe by its heading on the page. What is chosen at the wizard of Connect, or how a person signs in there, changes nothing of what is run:
/// one package, and the wizard behind it.
const ROWS: &[(&str, Part)] = &[
    (
        "Cloud sync: install, signed in by a token; the domain's administrator does the directory's part",
        In(&[Installed]),
    ),
    (
        "Cloud sync: install, signed in by a credential; the domain's administrator gives one",
        In(&[ByCredentials]),
    ),
    (
        "Cloud sync: install on two servers, whose account the product makes; the domain's administrator gives a credential to each",
        In(&[ByCredentials]),
    ),
    (
        "Cloud sync: install where prerequisites may be set",
        In(&[Installed]),
    ),
    (
        "Cloud sync: install with every set of rights, which the administrator of each domain gives by a credential",
        In(&[Installed]),
    ),
    (
        "Cloud sync: an agent that was set up and registered nowhere",
        Without,
    ),
    (
        "Cloud sync: a registration by cmdlets that was broken off",
        Without,
    ),
    (
        "Cloud sync: install in the US Government cloud, by a person at the wizard",
        In(&[Guided]),
    ),
    (
        "Cloud sync: install in the cloud in China, by a person at the wizard",
        In(&[BesideSomebody]),
    ),
    (
        "Cloud sync: install behind a proxy, with options of the service",
        In(&[Installed]),
    ),
    (
        "Cloud sync: install where a domain's controllers are preferred, by a person at the wizard",
        In(&[Installed, Guided]),
    ),
    (
        "Cloud sync: install by a person at the wizard, which makes the account",
        In(&[Installed, Guided]),
    ),
    ("Cloud sync: upgrade in place", In(&[Upgraded])),
    (
        "Cloud sync: upgrade in place at a site whose rule for restarts is to ask",
        In(&[Upgraded, Guided]),
    ),
    (
        "Cloud sync: upgrade in place at a site whose rule for restarts is its window",
        In(&[Upgraded, Guided]),
    ),
    (
        "Cloud sync: upgrade in place, with a watch behind it",
        In(&[Upgraded]),
    ),
    (
        "Cloud sync: upgrade in place of agents whose configuration file somebody edited",
        In(&[Upgraded]),
    ),
    ("Cloud sync: options of the service change", Without),
    (
        "Cloud sync: agents whose services were stopped, disabled, or given another account",
        Without,
    ),
    (
        "Cloud sync: agents whose updaters were stopped or disabled",
        Without,
    ),
    (
        "Connect: an engine that somebody stopped is left to a person",
        Without,
    ),
    (
        "Cloud sync: a domain is added to agents that are registered",
        Without,
    ),
    (
        "Cloud sync: a domain is added to agents that go by a proxy",
        Without,
    ),
    (
        "Cloud sync: rights come to be written of a domain that agents serve",
        Without,
    ),
    ("Cloud sync: a domain is added at the wizard", Without),
    (
        "Cloud sync: a domain is taken from agents that stay",
        Without,
    ),
    (
        "Cloud sync: a domain is taken from agents that stay, and nothing comes in its place",
        Without,
    ),
    (
        "Cloud sync: an agent that somebody else registered",
        Without,
    ),
    (
        "Cloud sync: a server is retired",
        In(&[TakenOff, TakenOffBySetup]),
    ),
    (
        "Cloud sync: a server is retired at a site whose rule for restarts is to ask",
        In(&[TakenOffAndRestarted]),
    ),
    (
        "Cloud sync: a server is retired from which the agent is gone",
        Without,
    ),
    (
        "Cloud sync: a domain ends",
        In(&[TakenOff, TakenOffBySetup]),
    ),
    (
        "Connect: install with express settings",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install with custom settings, one active and one staging",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install in the US Government cloud, where custom settings alone go",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install in the cloud in China, with custom settings",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install with custom settings whose cycle a person starts",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install with custom settings, one active and one staging, whose cycle a person starts",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install where chosen organizational units are synchronized",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: a staging server beside an active one, whose cycle goes on",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install with a database on a SQL Server",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: install behind a proxy that demands a sign-in",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: a staging server by an import, each with a database of its own",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: a server that was set up anew takes its database over",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: a staging server takes over the database of one that has no Connect any more, signed in by Microsoft's own window",
        In(&[ConnectInstalled]),
    ),
    (
        "Connect: a database is not taken over while Connect is on the server whose it is",
        In(&[ConnectTakenOff]),
    ),
    (
        "Connect: the only active server leaves its database to a new one",
        In(&[ConnectTakenOff]),
    ),
    (
        "Connect: upgrade in place, staging first",
        In(&[ConnectUpgraded]),
    ),
    (
        "Connect: upgrade in place, staging first, with a watch behind it",
        In(&[ConnectUpgraded]),
    ),
    (
        "Connect: upgrade in place while the tenant's cycle is off",
        In(&[ConnectUpgraded]),
    ),
    (
        "Connect: upgrade in place where it was not told whether the cycle is on",
        In(&[ConnectUpgraded]),
    ),
    (
        "Connect: the active and a staging server change places",
        Without,
    ),
    (
        "Connect: swing upgrade of two servers",
        In(&[ConnectUpgraded]),
    ),
    (
        "Connect: swing upgrade to a new server, and the old one is retired",
        In(&[ConnectInstalled, ConnectUpgraded, ConnectTakenOff]),
    ),
    ("Connect: the active server is gone", Without),
    ("Connect: may the tenant move to cloud sync?", Without),
    ("Connect: the tenant moves to cloud sync", In(&[Moved])),
    (
        "Connect: a staging server is retired",
        In(&[ConnectTakenOff]),
    ),
    (
        "Connect: the active server is retired, and is not touched while it is active",
        Without,
    ),
    (
        "Connect: a fenced server is retired",
        In(&[ConnectTakenOff]),
    ),
    (
        "Connect: a tenant's last server is retired",
        In(&[ConnectTakenOff]),
    ),
    (
        "Connect: a tenant's last server is retired, and is fenced",
        In(&[ConnectTakenOff]),
    ),
    ("Both: are the servers ready?", Without),
    (
        "Both: are the servers ready, where prerequisites may be set?",
        Without,
    ),
    (
        "Both: are the servers ready, whose products are as new as their installers?",
        Without,
    ),
    (
        "Both: products that are newer than their installers here",
        Without,
    ),
    ("Both: which servers are there?", Without),
    ("Both: logs for whoever supports the products", Without),
    (
        "Cloud sync: what was set as a prerequisite is put back",
        Without,
    ),
    (
        "Both: a new version of Entrain's own agent",
        In(&[OwnAgent]),
    ),
    ("Both: verify what is there", Without),
    (
        "Both on one server: one product is changed at a time",
        In(&[Upgraded]),
    ),
    (
        "Both on one server: Connect is upgraded where its agent needs nothing",
        In(&[ConnectUpgraded]),
    ),
    ("Both on one server: verify what is there", Without),
];

/// The installing steps of each recipe of the page, in its order.
fn of_page() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let page = include_str!("../../../deploy/docs/recipes.md");
    let recipes = page.split("\n## ").skip(1);
    let of = |recipe: &'static str| {
        let (title, rest) = recipe.split_once('\n').unwrap_or((recipe, ""));
        // The first block without a language is the plan; its list of times names each step once.
        let mut blocks = rest.split("```").skip(1).step_by(2);
        let plan = blocks.find(|block| block.starts_with('\n'));
        let plan = plan.unwrap_or_default();
        let steps = INSTALLING.iter();
        let steps = steps.filter(|(step, _)| plan.contains(step));
        (title, steps.map(|(_, kind)| *kind).collect())
    };
    recipes.map(of).collect()
}

/// What ran under Wine: of each story the kinds of the steps that came to their end in it.
#[derive(Debug, Default)]
pub struct Ran {
    seen: usize,
    stories: BTreeMap<Story, BTreeSet<String>>,
}

impl Ran {
    /// A story has ended: what was completed since the one before is its own.
    ///
    /// # Panics
    /// When it was told before, or the log cannot be read.
    pub fn told(&mut self, story: Story, world: &World) {
        let events = world.events();
        let (mut now, mut ended) = (String::new(), BTreeSet::new());
        for (_, _, event) in events.iter().skip(self.seen) {
            if let Event::StepBegun { kind, .. } = event {
                now.clone_from(kind);
            } else if let Event::StepCompleted { .. } = event {
                ended.insert(now.clone());
            }
        }
        self.seen = events.len();
        let before = self.stories.insert(story, ended);
        assert!(before.is_none(), "{story:?} is told once");
    }

    /// Asserts that each story was told, and that each recipe's installers ran to their end in the stories that its row names.
    ///
    /// # Panics
    /// When one did not.
    pub fn holds(&self) {
        let told: Vec<Story> = self.stories.keys().copied().collect();
        assert_eq!(told, Story::ALL);
        for ((title, part), (_, steps)) in ROWS.iter().zip(of_page()) {
            let stories = match part {
                In(stories) => stories,
                Without => continue,
            };
            let ran = |kind: &str| {
                let mut of = stories.iter().filter_map(|story| self.stories.get(story));
                of.any(|kinds| kinds.contains(kind))
            };
            let missing: Vec<&str> = steps.into_iter().filter(|kind| !ran(kind)).collect();
            assert!(missing.is_empty(), "{title}: {missing:?} in {stories:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::step::Step;

    use super::*;

    /// The other kinds of steps: none of them runs an installer. That of Connect's mode is [`INSTALLING`]'s kind by another work.
    const OTHERS: [&str; 19] = [
        "report-facts",
        "preflight",
        "register-provisioning-agent",
        "verify-provisioning-agent",
        "verify-connect",
        "verify-provisioning-agent-removed",
        "review-connect-exports",
        "fence-connect",
        "set-provisioning-agent-options",
        "add-domains",
        "verify-connect-removed",
        "discover-servers",
        "collect-support",
        "restart-server",
        "read-connect-settings",
        "start-provisioning-agent",
        "check-transition",
        "undo-fixes",
        "await-full-sync",
    ];

    #[test]
    fn every_recipe_says_which_story_runs_its_installers_or_has_none() {
        let page = of_page();
        let titles = |all: &[&'static str]| all.join("\n");
        let rows: Vec<&str> = ROWS.iter().map(|(title, _)| *title).collect();
        let on_page: Vec<&str> = page.iter().map(|(title, _)| *title).collect();
        assert_eq!(titles(&rows), titles(&on_page));
        for ((title, part), (_, steps)) in ROWS.iter().zip(&page) {
            match part {
                In(stories) => assert!(
                    !stories.is_empty() && !steps.is_empty(),
                    "{title} installs {steps:?}"
                ),
                Without => assert!(steps.is_empty(), "{title} installs {steps:?}"),
            }
        }
    }

    #[test]
    fn every_kind_of_step_is_known_to_run_an_installer_or_to_run_none() {
        let installing = INSTALLING.iter().map(|(_, kind)| *kind);
        let known: BTreeSet<&str> = installing.chain(OTHERS).collect();
        assert_eq!(known, Step::KINDS.into_iter().collect());
        // Each of the first is on the page, by its name there.
        let steps: BTreeSet<&str> = of_page().into_iter().flat_map(|(_, steps)| steps).collect();
        assert_eq!(steps.len(), INSTALLING.len());
    }
}
