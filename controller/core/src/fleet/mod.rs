//! The fleet machine: owns all rollouts and all claims. Its state is the fold of the log's records ([`Fleet::apply`]), so
//! that a replay, another leader and a restart see the same. What may be done now is decided from that state and from
//! what is known of this moment ([`Fleet::decide`]); a decision takes effect when its record comes back.

mod abandoned;
mod answer;
mod apply;
mod at_work;
mod away;
mod behind;
mod bundle;
mod control;
mod decide;
mod decision;
mod directory_work;
mod fold;
mod frozen;
mod graded;
mod hold;
mod live;
mod orders;
mod otherwise;
mod overriding;
mod restored;
mod retry;
mod seen;
mod site;
mod state;
mod stop;
mod table;
mod turn;
mod view;
mod watch;
mod why;

pub use abandoned::{Abandoned, GivenUp};
pub use apply::{Consent, Moment, Refusal};
pub use at_work::AtWork;
pub use away::Away;
pub use decide::PERMIT_LIFE;
pub use decision::Decision;
pub use directory_work::DirectoryWork;
pub use hold::{Cause, Hold, Lifter, Lifts};
pub use live::{Live, Pulse, UNREACHABLE_AFTER};
pub use orders::Unaccepted;
pub use overriding::{Asking, Saying};
pub use state::{
    Earlier, Fleet, Gate, Open, Rollout, RolloutState, Stopped, TargetState, VersionsLeft, Work,
};
pub use table::WorkTable;
pub use view::{DomainView, RolloutView, TargetView, TaskView, TaskWork, Why};
pub use watch::Watched;
