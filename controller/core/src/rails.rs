//! The guard rails by name: what each forbids, and which rule of [`overrides`](crate::overrides) sets it aside. What holds by which of them says each cause
//! of a hold (`fleet/hold.rs`); what is asked where stands in `deploy/docs/guard-rails.md`, with the tests that prove it.

use std::fmt;

use crate::overrides::Rule;

/// The rails and the list of them, from one list: one that is added cannot be left out.
macro_rules! rails {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// A guard rail: it holds in the planner and again at each action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rail {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rail {
            /// All of them.
            pub const ALL: [Self; [$(Self::$name),+].len()] = [$(Self::$name),+];
        }
    };
}

rails! {
    /// One active Connect server for a tenant.
    G1;
    /// Enough agents keep serving each domain.
    G2;
    /// Changes of one gMSA object follow each other.
    G3;
    /// What a staging server must be before it becomes active.
    G4;
    /// One run for a target, and numbers that only grow.
    G5;
    /// No older version, and none that was taken back.
    G6;
    /// A domain in both tools has disjoint scopes.
    G7;
    /// Nothing starts where a finding blocks.
    G8;
    /// A host belongs to one tenant.
    G9;
    /// What cannot be undone is accepted first.
    G10;
}

impl Rail {
    /// As it is named wherever it holds something.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::G1 => "G1",
            Self::G2 => "G2",
            Self::G3 => "G3",
            Self::G4 => "G4",
            Self::G5 => "G5",
            Self::G6 => "G6",
            Self::G7 => "G7",
            Self::G8 => "G8",
            Self::G9 => "G9",
            Self::G10 => "G10",
        }
    }

    /// What it forbids, as the end of "it forbids".
    #[must_use]
    pub const fn forbids(self) -> &'static str {
        match self {
            Self::G1 => {
                "an act, ordered or told to a person, by which a second Connect server of a tenant could become active: the active one goes to staging mode first"
            }
            Self::G2 => {
                "an outage that leaves fewer than `min_serving` other agents serving a domain, by what they said within the last 60 s"
            }
            Self::G3 => {
                "a second change of a gMSA object while one is under way, or before the last one is readable at the domain controller that the next server uses"
            }
            Self::G4 => {
                "that a staging server becomes active before it has the wanted version, was verified, has pending exports that were counted and are within limits, and has the settings of the server before it, or a difference that somebody approved"
            }
            Self::G5 => "a second run on a server, and a bundle whose number is not above the last",
            Self::G6 => {
                "a downgrade, a version that was taken back, whoever says so, and one that its vendor has ended; what else secondary sources say warns"
            }
            Self::G7 => {
                "that a domain in both tools is configured for cloud sync before both scopes were read within a day and are disjoint"
            }
            Self::G8 => {
                "that work begins where a blocking finding is open, of the server's preflight or of its tenant"
            }
            Self::G9 => {
                "a host in two tenants, and any configuring step where its tenant and the one with which its agent is registered are not the same"
            }
            Self::G10 => {
                "an act that cannot be undone and was not accepted by number when its plan was applied; and the removal of a domain's last agent while its tenant was seen to have a configuration at work for it, and nobody else of that tenant may serve it"
            }
        }
    }

    /// The rule that is named to set it aside for a target and an hour; `None` where nothing does.
    #[must_use]
    pub const fn rule(self) -> Option<Rule> {
        match self {
            Self::G1 => Some(Rule::G1),
            Self::G2 => Some(Rule::G2),
            Self::G3 => Some(Rule::G3),
            Self::G4 => Some(Rule::G4),
            Self::G7 => Some(Rule::G7),
            Self::G8 => Some(Rule::G8),
            Self::G5 | Self::G6 | Self::G9 | Self::G10 => None,
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
