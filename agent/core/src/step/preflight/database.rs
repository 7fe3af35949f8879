//! PF71: the SQL Server and the database that the topology names for Connect, asked before a person begins (product facts
//! 2.7). The agent signs in as the server's own account, which the database's owner need not have let in: then nothing is
//! told, and whoever may ask is shown how.

use std::time::Duration;

use protocol::event::{Finding, Severity, Verdict};
use protocol::{ConnectDatabase, TargetId};
use serde_json::{Value, json};

use crate::catalogue;
use crate::op::Script;
use crate::procedure::{Cx, Flow, Reading};
use crate::step::report::Report;

/// How long the script may take: two connections and four questions.
const LIMIT: Duration = Duration::from_secs(180);

/// SQL Server's numbers for a login that it does not let in: no trusted domain, a failed login, a disabled one, and a default
/// database that does not open ([K]).
const REFUSED: [i64; 5] = [18_452, 18_456, 18_470, 4_060, 4_064];

/// The client's numbers for a server that it does not reach by TCP: none that answers, no name, no instance of that name, a port
/// that is closed, a time-out ([K]).
const UNREACHED: [i64; 12] = [
    -2, -1, 2, 26, 53, 64, 121, 258, 1_225, 10_060, 10_061, 11_001,
];

/// `EngineEdition` of what runs in the vendor's cloud: a database, a managed instance and their like ([K]; 2.7 [P] names the
/// first two as not supported).
const IN_THE_CLOUD: [i64; 5] = [5, 6, 8, 9, 11];

/// Major versions of SQL Server ([K]): 2012, which is not supported, and 2022, the newest that the vendor's page names (2.7
/// [P]).
const SERVER_2012: u64 = 11;
const SERVER_2022: u64 = 16;

pub(super) fn check(
    target: &TargetId,
    database: &ConnectDatabase,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let input = json!({ "server": database.server, "database": database.name });
    let report = Report::ask(Script::InspectDatabase, input, LIMIT, cx)?;
    let (way, open) = reached(target, database, &report);
    findings.push(way);
    if open {
        findings.push(collation(database, &report));
        findings.push(version(database, &report));
        findings.push(content(database, &report));
    }
    Ok(())
}

/// An answer about one side of the database.
fn about(
    side: &str,
    wanted: &str,
    fix: &str,
    read: impl Into<String>,
    verdict: Verdict,
) -> Finding {
    let mut finding = catalogue::PF71.finding(read, verdict);
    finding.what = format!("{}: {side}", finding.what);
    wanted.clone_into(&mut finding.wanted);
    if verdict != Verdict::Pass {
        fix.clone_into(&mut finding.fix);
    }
    if verdict == Verdict::CannotTell {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    finding
}

fn judged<T>(
    (side, wanted, fix): (&str, &str, &str),
    reading: Reading<T>,
    show: impl FnOnce(&T) -> String,
    pass: impl FnOnce(&T) -> bool,
) -> Finding {
    let finding = catalogue::PF71.judge(reading, show, pass);
    about(side, wanted, fix, finding.read, finding.verdict)
}

/// What somebody who may ask the server asks, where this one may not.
fn by_hand(target: &TargetId, database: &ConnectDatabase) -> String {
    let name = target.as_str().split('.').next().unwrap_or_default();
    let asked = "SELECT SERVERPROPERTY('Collation'), SERVERPROPERTY('ProductVersion'), SERVERPROPERTY('EngineEdition')";
    let content = if database.existing {
        "is the earlier server's"
    } else {
        "is empty, or not there yet"
    };
    format!(
        "the person at the wizard, or the database's owner, asks {}: {asked}. The collation must hold _CI_, the version be 16 (SQL Server 2022) or an older one that the vendor still supports, the edition none of a cloud; and {} {content}. Or its administrator lets the account {name}$ log in, with no right beyond that",
        database.server, database.name
    )
}

fn reached(target: &TargetId, database: &ConnectDatabase, report: &Report) -> (Finding, bool) {
    let side = "the way to it";
    let wanted = "answers by TCP and lets the server's account log in";
    let way = report.part("reached", |part| {
        let text: String = part["text"].as_str()?.chars().take(300).collect();
        Some((part["ok"].as_bool()?, part["number"].as_i64(), text))
    });
    let server = &database.server;
    let (read, verdict, fix) = match way {
        Ok((true, ..)) => {
            let read = format!("{server} answers, and the server's account may log in");
            return (about(side, wanted, "", read, Verdict::Pass), true);
        }
        Ok((false, Some(number), text)) if UNREACHED.contains(&number) => (
            format!("{server} is not reached by TCP: {text}"),
            Verdict::Fail,
            "have TCP/IP enabled for the instance, its port opened on the way, and for a named instance without a port SQL Server Browser running".to_owned(),
        ),
        Ok((false, Some(number), _)) if REFUSED.contains(&number) => (
            format!("{server} answers by TCP, and the server's account may not log in ({number})"),
            Verdict::CannotTell,
            by_hand(target, database),
        ),
        Ok((false, _, why)) | Err(why) => (
            format!("{server} could not be asked: {why}"),
            Verdict::CannotTell,
            by_hand(target, database),
        ),
    };
    (about(side, wanted, &fix, read, verdict), false)
}

/// The server's collation and, where the database is there, its own.
fn collation(database: &ConnectDatabase, report: &Report) -> Finding {
    let server = report.part("server", |part| {
        Some(part["collation"].as_str()?.to_owned())
    });
    let own = report.part("database", |part| match part["exists"].as_bool()? {
        true => Some(Some(part["collation"].as_str()?.to_owned())),
        false => Some(None),
    });
    // A database that is not seen makes no difference to what the server says; a wrong one of the server is wrong anyway.
    let both = server.map(|server| (server, own.ok().flatten()));
    let show = |(server, own): &(String, Option<String>)| match own {
        Some(own) => format!("{server}; {} has {own}", database.name),
        None => server.clone(),
    };
    let insensitive = |collation: &String| collation.contains("_CI_");
    judged(
        (
            "collation",
            "one with _CI_; Latin1_General_CI_AS is recommended",
            "make the database beforehand on an instance with a collation that does not tell upper from lower case",
        ),
        both,
        show,
        |(server, own)| insensitive(server) && own.as_ref().is_none_or(insensitive),
    )
}

/// The version. Which ones between 2012 and 2022 the vendor still supports is a matter of dates, which no server tells.
fn version(database: &ConnectDatabase, report: &Report) -> Finding {
    let server = report.part("server", |part| {
        let version = part["version"].as_str()?.to_owned();
        let major: u64 = version.split('.').next()?.parse().ok()?;
        Some((major, version, part["edition"].as_i64()?))
    });
    let server = server.and_then(|(major, version, edition)| {
        let cloud = IN_THE_CLOUD.contains(&edition);
        if cloud || major <= SERVER_2012 || major == SERVER_2022 {
            return Ok((major, version, cloud));
        }
        Err(if major > SERVER_2022 {
            format!(
                "{version}: newer than SQL Server 2022, the newest that the vendor's page names"
            )
        } else {
            format!("{version}: whether its mainstream support goes on is a matter of dates")
        })
    });
    let show = |(_, version, cloud): &(u64, String, bool)| match cloud {
        true => format!("{version}, in a cloud"),
        false => version.clone(),
    };
    let fix = format!(
        "look at the vendor's list of supported versions, and move {} where its version is not on it",
        database.name
    );
    judged(
        (
            "version",
            "SQL Server 2022 (16), or an older one in mainstream support; not 2012, and none of a cloud",
            &fix,
        ),
        server,
        show,
        |(major, _, cloud)| !cloud && *major > SERVER_2012,
    )
}

/// What is in the database, as far as names of tables tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Absent,
    Empty,
    Engine,
    Other(i64),
}

fn content(database: &ConnectDatabase, report: &Report) -> Finding {
    let name = &database.name;
    let seen = report.part("database", |part: &Value| {
        if !part["exists"].as_bool()? {
            return Some(Ok(Content::Absent));
        }
        let state = part["state"].as_str()?;
        if state != "ONLINE" {
            return Some(Err(format!("{name} is {state}")));
        }
        let whole = part["whole"].as_bool()?;
        Some(match (part["tables"].as_i64(), part["engine"].as_bool()?) {
            (Some(_), true) => Ok(Content::Engine),
            (Some(tables), false) if tables > 0 => Ok(Content::Other(tables)),
            (Some(_), false) if whole => Ok(Content::Empty),
            _ => Err(format!(
                "{name} is there, and this account is not shown what is in it"
            )),
        })
    });
    let newest = database
        .installer
        .map_or("the installer's".to_owned(), |version| version.to_string());
    let seen = seen.and_then(|seen| seen).and_then(|seen| {
        if seen == Content::Engine && database.existing {
            // Which version wrote it, and when it synchronized last, stand in no source: nothing is read for a guess.
            return Err(format!(
                "{name} is a database of the engine; its version and its last synchronization are not read"
            ));
        }
        Ok(seen)
    });
    let show = |seen: &Content| match seen {
        Content::Absent => format!("{name} is not there"),
        Content::Empty => format!("{name} is empty"),
        Content::Engine => format!("{name} is a database of the engine"),
        Content::Other(tables) => {
            format!("{name} has {tables} tables, and none of the engine's")
        }
    };
    let (wanted, fix) = if database.existing {
        (
            "a database of the engine, of a version that is not newer than the installer's, synchronized within three weeks".to_owned(),
            format!(
                "the database's owner says from which version of Connect it comes ({newest} or older) and when it synchronized last (beyond three weeks a full import follows)"
            ),
        )
    } else {
        (
            "empty, or not there yet".to_owned(),
            "have its administrator back it up and delete it, or name another sql_database; one that is taken over is written with existing_database = true".to_owned(),
        )
    };
    judged(
        ("what is in it", &wanted, &fix),
        seen,
        show,
        |seen| match seen {
            Content::Absent | Content::Empty => !database.existing,
            Content::Engine | Content::Other(_) => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Outcome;
    use crate::procedure::{Complete, Host, Next, Procedure, Want};
    use protocol::event::Completion;

    /// What is found where the script says this.
    fn findings(existing: bool, line: &Value) -> Vec<Finding> {
        let target: TargetId = "sync-01.corp.contoso.com".parse().unwrap();
        let database = ConnectDatabase {
            server: "sql-01".parse().unwrap(),
            name: "ADSync".parse().unwrap(),
            existing,
            installer: Some(protocol::Version::new(2, 6, 92, 0)),
        };
        let mut found = Vec::new();
        let mut procedure = Procedure::new(false);
        loop {
            let next = procedure.drive(&[], &Host::model("0"), |cx| {
                found.clear();
                check(&target, &database, cx, &mut found)?;
                Ok(Complete::new(Completion::AlreadySo, ""))
            });
            match next {
                Next::Want(Want::Op(_)) => procedure.add(Outcome::Script {
                    lines: vec![line.clone()],
                }),
                Next::Complete(_) => return found,
                end @ (Next::Want(_) | Next::Failed(_) | Next::CannotTell(_)) => {
                    unreachable!("{end:?}")
                }
            }
        }
    }

    fn line(version: &str, edition: i64, database: Value) -> Value {
        json!({
            "reached": { "ok": true, "number": 0, "text": "" },
            "server": { "collation": "Latin1_General_CI_AS", "version": version, "edition": edition },
            "database": database,
        })
    }

    fn of<'a>(findings: &'a [Finding], side: &str) -> &'a Finding {
        let found = findings.iter().find(|one| one.what.ends_with(side));
        found.unwrap()
    }

    #[test]
    fn versions_whose_support_is_a_matter_of_dates_are_no_guess() {
        for (version, edition, verdict) in [
            ("16.0.4135.4", 3, Verdict::Pass),
            ("15.0.4410.1", 2, Verdict::CannotTell),
            ("12.0.6444.4", 2, Verdict::CannotTell),
            ("17.0.700.9", 3, Verdict::CannotTell),
            ("11.0.7507.2", 3, Verdict::Fail),
            ("12.0.2000.8", 5, Verdict::Fail),
            ("16.0.100.1", 8, Verdict::Fail),
            ("odd", 3, Verdict::CannotTell),
        ] {
            let seen = findings(false, &line(version, edition, json!({ "exists": false })));
            let seen = of(&seen, "version");
            assert_eq!(seen.verdict, verdict, "{version} {edition}: {}", seen.read);
            assert_eq!(seen.blocks(), verdict == Verdict::Fail, "{version}");
        }
    }

    #[test]
    fn what_is_in_the_database_fits_what_is_planned_with_it() {
        let inside = |tables: Option<i64>, whole: bool, engine: bool| {
            json!({
                "exists": true, "collation": "Latin1_General_CI_AS", "state": "ONLINE",
                "tables": tables, "whole": whole, "engine": engine,
            })
        };
        let offline = json!({
            "exists": true, "collation": "Latin1_General_CI_AS", "state": "RESTORING",
            "tables": null, "whole": false, "engine": false,
        });
        let hidden = json!({ "why": "this account is not shown every database of the server" });
        for (database, fresh, taken_over) in [
            (json!({ "exists": false }), Verdict::Pass, Verdict::Fail),
            (inside(Some(0), true, false), Verdict::Pass, Verdict::Fail),
            (
                inside(Some(0), false, false),
                Verdict::CannotTell,
                Verdict::CannotTell,
            ),
            (
                inside(None, false, false),
                Verdict::CannotTell,
                Verdict::CannotTell,
            ),
            (
                inside(Some(30), true, true),
                Verdict::Fail,
                Verdict::CannotTell,
            ),
            (inside(Some(3), false, false), Verdict::Fail, Verdict::Fail),
            (offline, Verdict::CannotTell, Verdict::CannotTell),
            (hidden, Verdict::CannotTell, Verdict::CannotTell),
        ] {
            for (existing, verdict) in [(false, fresh), (true, taken_over)] {
                let seen = findings(existing, &line("16.0.1.1", 3, database.clone()));
                let seen = of(&seen, "what is in it");
                assert_eq!(
                    seen.verdict, verdict,
                    "{existing} {database}: {}",
                    seen.read
                );
            }
        }
        // A database of the engine is taken over by whoever knows where it comes from.
        let seen = findings(true, &line("16.0.1.1", 3, inside(Some(30), true, true)));
        let fix = &of(&seen, "what is in it").fix;
        assert!(fix.contains("2.6.92.0 or older"), "{fix}");
    }

    #[test]
    fn a_database_with_another_collation_than_its_server_is_seen() {
        let own = json!({
            "exists": true, "collation": "Latin1_General_CS_AS", "state": "ONLINE",
            "tables": 0, "whole": true, "engine": false,
        });
        let seen = findings(false, &line("16.0.1.1", 3, own));
        let seen = of(&seen, "collation");
        assert!(
            seen.blocks() && seen.read.contains("ADSync has"),
            "{}",
            seen.read
        );
    }

    #[test]
    fn what_is_no_known_number_is_no_failure_of_the_way() {
        let way = |number: Value| {
            let line = json!({ "reached": { "ok": false, "number": number, "text": "said" } });
            let seen = findings(false, &line);
            assert_eq!(seen.len(), 1, "nothing is told of what was not asked");
            seen[0].verdict
        };
        assert_eq!(way(json!(53)), Verdict::Fail);
        assert_eq!(way(json!(18_456)), Verdict::CannotTell);
        assert_eq!(way(json!(17_892)), Verdict::CannotTell);
        assert_eq!(way(Value::Null), Verdict::CannotTell);
    }
}
