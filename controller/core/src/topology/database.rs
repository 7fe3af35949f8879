//! The database of each Connect server: the LocalDB that comes along, or one on a SQL Server that is this server's own (product
//! facts 2.7): whether two engines would meet in one instance.

use std::collections::BTreeMap;

use protocol::{DatabaseName, SqlServerName, TargetId};

use crate::finding::{Finding, Place, Severity, nearest};
use crate::topology::model::{ConnectEntry, ConnectSettings, Topology};
use crate::topology::reader::{Remarks, Table};
use crate::topology::settings::CustomSettings;

/// Name of the database where none is written: the product's own (product facts 2.7 [R]).
const DATABASE: &str = "ADSync";

/// A database on a SQL Server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlDatabase {
    /// Where it lies, with instance and port.
    pub server: SqlServerName,
    /// Its name.
    pub name: DatabaseName,
    /// Whether it is that of an earlier server, and is taken over: the server then starts in staging mode.
    pub existing: bool,
}

const NAME_SQL: &str = "write sql_server = \"sql-01.corp.contoso.com\\\\SYNC\", or leave it out";

/// Reads `sql_server`, `sql_database` and `existing_database`, which stand beside each other in the settings of an entry with one
/// server, and in each row of `databases`.
pub(super) fn one(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> Option<SqlDatabase> {
    let server = table.parse::<SqlServerName>("sql_server", remarks);
    let name = table.parse::<DatabaseName>("sql_database", remarks);
    let existing = table.flag("existing_database", remarks).unwrap_or(false);
    let Some(server) = server else {
        if let Some(name) = &name {
            remarks.error(&name.range, "sql_database without sql_server", NAME_SQL);
        } else if existing {
            let what = "existing_database: only a database on a SQL Server is taken over";
            remarks.error(table.range(), what, NAME_SQL);
        }
        return None;
    };
    let own = || DATABASE.parse().expect("a plain name");
    Some(SqlDatabase {
        server: server.value,
        name: name.map_or_else(own, |at| at.value),
        existing,
    })
}

/// Reads `databases = { "SERVER" = { sql_server = "…" } }`.
pub(super) fn each(
    table: &mut Table<'_, '_>,
    remarks: &mut Remarks<'_>,
) -> BTreeMap<TargetId, SqlDatabase> {
    let mut all = BTreeMap::new();
    for (name, mut row) in table.named("databases", remarks) {
        let before = remarks.findings.len();
        let database = one(&mut row, remarks);
        if database.is_none() && remarks.findings.len() == before {
            remarks.error(
                row.range(),
                format!("databases: {} has no sql_server", name.value),
                NAME_SQL,
            );
        }
        row.finish(remarks);
        match name.value.parse::<TargetId>() {
            Ok(server) => all.extend(database.map(|database| (server, database))),
            Err(error) => remarks.error(
                &name.range,
                format!("databases: {error}"),
                "write the name of one of the entry's servers, as it stands in `servers`",
            ),
        }
    }
    all
}

impl CustomSettings {
    /// The database that a server of these settings uses; `None` for the LocalDB that comes along.
    #[must_use]
    pub fn database_of(&self, server: &TargetId) -> Option<&SqlDatabase> {
        self.databases.get(server).or(self.database.as_ref())
    }

    /// Who of `others`, on whom Connect is or may be, has the database that this server is to take over. Beside a `sql_server`
    /// that is written without names, anybody may.
    #[must_use]
    pub fn still_uses<'a>(
        &self,
        server: &TargetId,
        mut others: impl Iterator<Item = &'a TargetId>,
    ) -> Option<&'a TargetId> {
        let own = self
            .database_of(server)
            .filter(|database| database.existing)?;
        others.find(|other| {
            let theirs = self.database_of(other);
            *other != server
                && theirs.is_some_and(|theirs| instance(&theirs.server) == instance(&own.server))
        })
    }

    /// Who of `others` is to take over the database that this server has, or may have.
    #[must_use]
    pub fn heir_of<'a>(
        &self,
        server: &TargetId,
        mut others: impl Iterator<Item = &'a TargetId>,
    ) -> Option<&'a TargetId> {
        others.find(|other| self.still_uses(other, std::iter::once(server)).is_some())
    }
}

/// An instance of a SQL Server, as far as names tell it: another alias of the same host is not seen through.
fn instance(server: &SqlServerName) -> String {
    server.as_str().to_lowercase()
}

/// One server that uses a database.
struct User<'a> {
    entry: &'a str,
    server: &'a TargetId,
    database: &'a SqlDatabase,
    goes: bool,
    place: &'a Place,
}

/// What databases may not be (product facts 2.7): one for two servers, one instance for two engines, and rows of servers that the
/// entry does not have. One that goes may leave its database to the one that takes it over; the plan then waits until Connect is
/// off it.
pub(super) fn check(topology: &Topology, findings: &mut Vec<Finding>) {
    let mut users: BTreeMap<String, Vec<User<'_>>> = BTreeMap::new();
    for (name, entry) in &topology.connect {
        let ConnectSettings::Custom(settings) = &entry.settings else {
            continue;
        };
        rows(name, entry, settings, topology, findings);
        let stay = entry.servers.iter().map(|row| (row, false));
        let go = entry.retired.iter().map(|row| (row, true));
        for ((server, place), goes) in stay.chain(go) {
            // What is written for one server without its name is that of the one that stays.
            let database = match settings.databases.get(server) {
                Some(own) => Some(own),
                None if goes => None,
                None => settings.database.as_ref(),
            };
            let Some(database) = database else { continue };
            let user = User {
                entry: name,
                server,
                database,
                goes,
                place,
            };
            users
                .entry(instance(&database.server))
                .or_default()
                .push(user);
        }
    }
    for together in users.values() {
        for (at, second) in together.iter().enumerate() {
            for first in &together[..at] {
                findings.extend(meet(first, second));
            }
        }
    }
}

fn rows(
    name: &str,
    entry: &ConnectEntry,
    settings: &CustomSettings,
    topology: &Topology,
    findings: &mut Vec<Finding>,
) {
    let error = |what: String, fix: String| Finding {
        place: entry.place.clone(),
        severity: Severity::Error,
        what,
        fix,
    };
    if settings.database.is_some() && entry.servers.len() > 1 {
        findings.push(error(
            format!(
                "\"{name}\" names one SQL Server for {} servers: each has a database of its own, and one engine uses an instance",
                entry.servers.len()
            ),
            "leave sql_server out, and write databases = { \"SERVER\" = { sql_server = \"…\" } } with an instance for each".to_owned(),
        ));
    }
    if settings.database.is_some() && !settings.databases.is_empty() {
        findings.push(error(
            format!("\"{name}\" writes sql_server, and databases beside it"),
            "write sql_server into the row of each server in `databases`, and nowhere else"
                .to_owned(),
        ));
    }
    let whole = !topology.gaps.text && !topology.gaps.lists;
    for server in settings.databases.keys().filter(|_| whole) {
        if entry.members().any(|member| member == server) {
            continue;
        }
        let known = entry.members().map(TargetId::as_str);
        let fix = match nearest(server.as_str(), known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("add it to `servers` of \"{name}\", or take the row out"),
        };
        findings.push(error(
            format!("databases of \"{name}\" name {server}, which is none of its servers"),
            fix,
        ));
    }
    if settings.databases.is_empty() {
        return;
    }
    let mut on_local = entry.servers.iter().map(|(server, _)| server);
    if let Some(server) = on_local.find(|server| !settings.databases.contains_key(*server)) {
        findings.push(Finding {
            severity: Severity::Warning,
            ..error(
                format!(
                    "{server} of \"{name}\" gets the LocalDB that comes along, about 100000 objects and 10 GB, beside servers with a full SQL Server: it may not hold what they hold"
                ),
                format!("write a row for {server} in databases, or leave it so where there are fewer objects"),
            )
        });
    }
}

/// Why two servers may not be on one instance.
fn meet(first: &User<'_>, second: &User<'_>) -> Option<Finding> {
    let same = first
        .database
        .name
        .as_str()
        .eq_ignore_ascii_case(second.database.name.as_str());
    let (stays, goes) = if second.goes {
        (first, second)
    } else {
        (second, first)
    };
    // Recovery with the existing database: the one that goes leaves it to the one that takes it over.
    let handed_on = stays.entry == goes.entry && goes.goes && !stays.goes;
    if both_go(first, second) || same && handed_on && stays.database.existing {
        return None;
    }
    let (what, fix) = if same && handed_on {
        (
            format!(
                "{} is to have the database {} on {}, which is that of {}, which goes: the installation would find data in it and stop",
                stays.server, stays.database.name, stays.database.server, goes.server
            ),
            format!(
                "write existing_database = true for {}, or name another SQL Server for it",
                stays.server
            ),
        )
    } else if same {
        (
            format!(
                "{} and {} name the same database {} on {}: a database is one server's own",
                first.server, second.server, second.database.name, second.database.server
            ),
            format!(
                "name another instance for one of the two; where {} is to take it over for good, write {} into `retired` and existing_database = true",
                second.server, first.server
            ),
        )
    } else {
        (
            format!(
                "{} and {} name the same instance {}: one engine uses an instance",
                first.server, second.server, second.database.server
            ),
            "name another instance for one of the two".to_owned(),
        )
    };
    Some(Finding {
        place: second.place.clone(),
        severity: Severity::Error,
        what,
        fix,
    })
}

/// Two that go are as they are: nothing is installed on either.
const fn both_go(first: &User<'_>, second: &User<'_>) -> bool {
    first.goes && second.goes
}
