//! The database of Connect Sync on a SQL Server: which server and which database, as names and nothing else. Neither can hold
//! a sign that would say more to whoever opens the connection.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// Says why a text is no SQL Server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no SQL Server, such as sql-01.corp.contoso.com, with \\INSTANCE or ,PORT behind it"
)]
pub struct BadSqlServer(String);

/// Says why a text is no name of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no name of a database: 1 to 123 of letters, digits, and - _ . $ #")]
pub struct BadDatabase(String);

/// A SQL Server, as `host`, `host\instance`, `host,port` or `host\instance,port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SqlServerName(String);

/// A database of it. Windows PowerShell's own client would quote other signs; that none are needed leaves less to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

/// Longest name of a database ([K]: SQL Server takes 123 characters where it names the files itself).
const MAX_DATABASE: usize = 123;

/// Longest name of an instance ([K]).
const MAX_INSTANCE: usize = 16;

impl SqlServerName {
    /// The server, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DatabaseName {
    /// The name, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SqlServerName {
    type Err = BadSqlServer;

    fn from_str(text: &str) -> Result<Self, BadSqlServer> {
        let bad = || BadSqlServer(text.chars().take(80).collect());
        let (rest, port) = match text.rsplit_once(',') {
            Some((rest, port)) => (rest, Some(port)),
            None => (text, None),
        };
        let (host, instance) = match rest.split_once('\\') {
            Some((host, instance)) => (host, Some(instance)),
            None => (rest, None),
        };
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let first = |text: &str| {
            text.bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphanumeric())
        };
        let is_host = host.len() <= 253 && first(host) && host.bytes().all(in_host);
        let in_instance =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#');
        let is_instance = instance.is_none_or(|name| {
            (1..=MAX_INSTANCE).contains(&name.len()) && name.bytes().all(in_instance)
        });
        let is_port = port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if is_host && is_instance && is_port {
            Ok(Self(text.to_owned()))
        } else {
            Err(bad())
        }
    }
}

impl FromStr for DatabaseName {
    type Err = BadDatabase;

    fn from_str(text: &str) -> Result<Self, BadDatabase> {
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'$' | b'#')
        };
        if (1..=MAX_DATABASE).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadDatabase(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for SqlServerName {
    type Error = BadSqlServer;

    fn try_from(text: String) -> Result<Self, BadSqlServer> {
        text.parse()
    }
}

impl From<SqlServerName> for String {
    fn from(name: SqlServerName) -> Self {
        name.0
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = BadDatabase;

    fn try_from(text: String) -> Result<Self, BadDatabase> {
        text.parse()
    }
}

impl From<DatabaseName> for String {
    fn from(name: DatabaseName) -> Self {
        name.0
    }
}

impl fmt::Display for SqlServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The database that an installation of Connect Sync is to use (product facts 2.5, 2.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectDatabase {
    /// Where it lies.
    pub server: SqlServerName,
    /// Its name.
    pub name: DatabaseName,
    /// True when the database of an earlier server is taken over; else it must be empty, or not be there yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
    /// The installer's version, where one is chosen: a database that is taken over must not come from a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<Version>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_with_an_instance_and_a_port_and_nothing_else() {
        for good in [
            "s",
            "sql-01.corp.contoso.com",
            "SQL_01\\SYNC",
            "sql-01,1433",
            "sql-01\\SYNC$2,50000",
        ] {
            assert_eq!(good.parse::<SqlServerName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "(localdb)\\.\\ADSync",
            "np:sql-01",
            "\\\\sql-01\\pipe",
            "sql-01;Password=x",
            "sql-01\\",
            "sql-01\\A;B",
            "sql-01,0",
            "sql-01,70000",
            "sql-01,+1",
            "sql 01",
            "sql-01\\A\\B",
            ".",
        ] {
            assert!(bad.parse::<SqlServerName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_database_is_a_name_and_nothing_else() {
        for good in ["ADSync", "Sync-1.a_b$#"] {
            assert_eq!(good.parse::<DatabaseName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(124);
        for bad in ["", "a;b", "a'b", "a]b", "a b", long.as_str()] {
            assert!(bad.parse::<DatabaseName>().is_err(), "{bad}");
        }
    }
}
