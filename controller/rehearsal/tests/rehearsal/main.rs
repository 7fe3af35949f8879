//! Plans carried out in virtual time: what a rehearsal tells, and whole fleets under faults that chance draws.

mod advice;
mod broken;
mod by_hand;
mod clouds;
mod common;
mod course;
mod estates;
mod known;
mod lapse;
mod rules;
mod sim;
mod since;
mod soaks;
mod swap;
mod swing;
mod transition;
mod windows;
