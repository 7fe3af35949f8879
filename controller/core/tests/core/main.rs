//! The controller's core: topology and recipes, plans and rails, the fleet machine and its orders.

mod article;
mod beforehand;
mod clouds;
mod common;
mod connect;
mod custom;
mod doubt;
mod handover;
mod machine;
mod orders;
mod overrides;
mod probes;
mod rails;
mod recipes;
mod restarts;
mod retire;
mod roster;
mod schema;
mod scopes;
mod served;
mod switch;
mod tenant;
mod timing;
mod turns;
mod upgrade;
mod waves;
