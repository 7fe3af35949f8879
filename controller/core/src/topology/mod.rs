//! The topology: the desired state, as the operator wrote it. [`parse`] turns text into the model, [`check`] says whether
//! it can be.

mod both;
mod check;
mod choices;
mod database;
mod model;
mod parse;
pub(crate) mod reader;
mod schema;
mod settings;

pub use check::{Available, check, installable};
pub use database::SqlDatabase;
pub use model::{
    AgentGroup, Change, ConnectEntry, ConnectProxy, ConnectSettings, Domain, Gaps, Overlap,
    PendingExports, RebootRule, Service, Site, Tenant, Topology, Wanted,
};
pub use parse::{Document, parse, parse_by};
pub use reader::At;
pub use schema::json_schema;
pub use settings::{
    AttributeFilter, CustomSettings, Farm, Feature, Federation, Identity, SourceAnchor, UserSignIn,
};
