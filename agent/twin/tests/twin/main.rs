//! The agent's core on models of servers: recipes, faults and cuts; orders from outside; each probe; the removal.

mod broken_off;
mod common;
mod connect_removal;
mod cut_off;
mod discover;
mod exported;
mod forest;
mod full_sync;
mod lapse;
mod mended;
mod options;
mod orders;
mod overrides;
mod preflight;
mod probed;
mod provisioning;
mod proxies;
mod removal;
mod restart;
mod run;
mod switch;
mod transition;
mod trouble;
mod undo;
mod upgrade;
mod verified;
