//! Rehearsal: a plan carried out on models of a fleet's servers, in virtual time. The controller's machine and the agents'
//! cores are the real ones; servers, people and time are models. Nothing here performs IO or reads a clock.

mod aside;
mod chance;
mod course;
mod courses;
mod pace;
mod pulses;
mod rails;
mod server;
mod since;
mod stands;
mod waits;
mod world;

pub use chance::Chance;
pub use course::{
    Course, Hand, Held, Left, Rehearsal, Serving, Stop, rehearse, rehearse_as, render,
};
pub use pace::{Pace, Paced};
pub use rails::{Asked, Rails, enough_serve};
pub use stands::{Other, Stands};
pub use waits::Waited;
pub use world::{Ask, ROLLOUT, World};
