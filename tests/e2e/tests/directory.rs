//! The agent's questions to a directory, against a real domain controller (Samba). Run by `tests/run directory`, inside
//! network and mount namespaces of its own, in which the domain's DNS server is this machine.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use agent::exec::directory::{self, Pages};
use agent_core::op::{DirectoryAccount, LargeGroups, Outcome, Scope, Search};
use agent_core::permissions::names;
use e2e::samba::{ADMINISTRATOR, CONTROLLER, DOMAIN, Samba};
use e2e::{program, text};
use protocol::secret::{Secret, SecretKind};
use serde_json::Value;

fn ask(authority: Option<&Path>, arguments: &[&str], password: &str) -> Output {
    let mut command = Command::new(program("entrain-agent"));
    command
        .args(["directory", DOMAIN, "--json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(authority) = authority {
        command.env("SSL_CERT_FILE", authority);
    }
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("it listens");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Verdict and reading of a probe.
fn answer(output: &Output, id: &str) -> (String, String) {
    let rows: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(output)));
    let rows = rows.as_array().expect("rows");
    let row = rows.iter().find(|row| row["id"] == id);
    let row = row.unwrap_or_else(|| panic!("{id} was not asked: {}", text(output)));
    let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("read"))
}

#[test]
fn a_real_domain_controller_answers_what_a_preflight_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let samba = Samba::start(folder.path());
    samba.gmsa("svcEntraSync", &["sync-01", "sync-02"], &["sync-01"]);
    let authority = samba.authority();

    // Nobody is told where controllers are, what they are and what time it is; not what is in the directory.
    let nobody = ask(None, &["--as", "nobody"], "");
    for id in ["PF22", "PF23", "PF24", "PF21", "PF25", "PF47", "PF56"] {
        assert_eq!(answer(&nobody, id).0, "pass", "{}", text(&nobody));
    }
    // Its endpoint mapper names a port of the dynamic range, which is open.
    let read = text(&nobody);
    assert!(read.contains("UDP 389, dynamic RPC open"), "{read}");
    assert_eq!(answer(&nobody, "PF46").0, "cannot-tell");
    assert!(nobody.status.success(), "what cannot be told stops nothing");

    // The administrator sees the rest, over TLS.
    let (user, password) = ADMINISTRATOR;
    let signed_in = ["--user", user, "--gmsa", "svcEntraSync$", "--server"];
    let first = [&signed_in[..], &["sync-01.corp.contoso.test"]].concat();
    let seen = ask(Some(&authority), &first, password);
    for id in ["PF46", "PF48", "PF50", "PF52", "PF55"] {
        assert_eq!(answer(&seen, id).0, "pass", "{id}: {}", text(&seen));
    }
    assert_eq!(answer(&seen, "PF55").1, "CORP");
    assert_eq!(
        answer(&seen, "PF59").0,
        "fail",
        "the recycle bin is off at first"
    );
    assert_eq!(
        answer(&seen, "PF49").0,
        "cannot-tell",
        "no root key is seen"
    );

    keys_and_recycle_bin(&samba, &authority);

    // A server that the gMSA does not name is told so, and that blocks.
    let second = [&signed_in[..], &["sync-02.corp.contoso.test"]].concat();
    let other = ask(Some(&authority), &second, password);
    assert_eq!(answer(&other, "PF50").0, "fail", "{}", text(&other));
    assert!(!other.status.success());

    // What the domain holds, over more than one page: users by suffix, and contacts and groups that have none.
    assert_eq!(answer(&seen, "PF58").0, "cannot-tell", "no users yet");
    let count = || ask(Some(&authority), &signed_in[..2], password);
    let add = |class: &str, numbers: std::ops::Range<u32>, suffix: &str| {
        let mut more = String::new();
        for number in numbers {
            let principal = match suffix {
                "" => String::new(),
                suffix => format!("userPrincipalName: u{number}@{suffix}\n"),
            };
            more.push_str(&format!(
                "dn: CN=more{number},CN=Users,DC=corp,DC=contoso,DC=test\nchangetype: add\nobjectClass: {class}\n{principal}\n"
            ));
        }
        samba.change(&more);
    };
    add("user", 0..1, "CONTOSO.com");
    let (verdict, before) = answer(&count(), "PF58");
    assert_eq!(verdict, "pass");
    let before: u64 = before.parse().expect("the whole was counted");
    assert_eq!(
        answer(&count(), "PF57"),
        ("pass".to_owned(), "1 under contoso.com".to_owned())
    );
    add("user", 1..600, "contoso.com");
    add("user", 600..610, "corp.local");
    add("contact", 610..620, "");
    let counted = count();
    let all = (before + 619).to_string();
    assert_eq!(
        answer(&counted, "PF58"),
        ("pass".to_owned(), all),
        "{}",
        text(&counted)
    );
    let (verdict, suffixes) = answer(&counted, "PF57");
    assert_eq!(verdict, "fail", "a suffix that nobody can verify");
    // The system's own accounts, which have no principal name, are not counted.
    assert_eq!(suffixes, "600 under contoso.com, 10 under corp.local");
    let unread = ask(None, &["--as", "nobody"], "");
    assert_eq!(
        answer(&unread, "PF58").0,
        "cannot-tell",
        "{}",
        text(&unread)
    );

    // The rights of replication: none at first; one alone, and one that is meant for objects below, are not both; what a
    // group holds, its members hold.
    let rights = || answer(&ask(Some(&authority), &first, password), "PF54");
    let lacks_all = (
        "fail".to_owned(),
        "svcEntraSync$ lacks Replicating Directory Changes All".to_owned(),
    );
    let (verdict, read) = rights();
    assert_eq!(verdict, "fail");
    assert!(
        read.ends_with("lacks Replicating Directory Changes, Replicating Directory Changes All"),
        "{read}"
    );
    let (changes, all) = (
        "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
        "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    );
    let who = samba.sid("svcEntraSync");
    samba.grant(&format!("(OA;;CR;{changes};;{who})"));
    assert_eq!(rights(), lacks_all);
    samba.grant(&format!("(OA;CIIO;CR;{all};;{who})"));
    assert_eq!(rights(), lacks_all);
    samba.group("Replicators", "svcEntraSync");
    samba.grant(&format!("(OA;;CR;{all};;{})", samba.sid_of("Replicators")));
    assert_eq!(
        rights(),
        ("pass".to_owned(), "svcEntraSync$ has them".to_owned())
    );
    samba.grant(&format!("(OD;;CR;{all};;{who})"));
    assert_eq!(rights(), lacks_all);

    sets(&samba, &authority, &first);
    groups(&samba, &authority);

    // Which servers carry a product: by the description of Connect's account, and by who may retrieve a gMSA's password.
    samba.gmsa("provAgentgMSA", &["sync-03"], &["sync-03"]);
    samba.change(&format!(
        "dn: CN=MSOL_1a2b,CN=Users,DC=corp,DC=contoso,DC=test\nchangetype: add\nobjectClass: user\nsAMAccountName: MSOL_1a2b\ndescription: {}\n",
        "Account created by Microsoft Azure Active Directory Connect with installation identifier 1a2b running on computer OLD-SYNC-99 configured to synchronize to tenant contoso.onmicrosoft.com."
    ));
    let file = folder.path().join("servers.json");
    let into = [
        "--user",
        user,
        "--servers",
        "--answers",
        file.to_str().expect("UTF-8"),
    ];
    let servers = ask(Some(&authority), &into, password);
    let shown: Value = serde_json::from_slice(&servers.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&servers)));
    // What is handed on is what was shown, and names who asked.
    let written = std::fs::read(&file).expect("it was written");
    let answers = protocol::answers::DirectoryAnswers::read(&written).expect("answers");
    assert_eq!(
        (answers.asked_as.as_str(), answers.answers.len()),
        (user, 0)
    );
    let handed = answers.servers.expect("servers were asked for").named;
    assert_eq!(
        serde_json::to_value(&handed).expect("JSON"),
        shown["servers"]
    );
    // An account of another name is none of the product's, unless it is named.
    let named = ["--user", user, "--servers", "--account", "svcEntraSync$"];
    let beside = text(&ask(Some(&authority), &named, password));
    assert!(beside.contains("svcEntraSync$"), "{beside}");
    let named = |name: &str| {
        let mut all = shown["servers"].as_array().expect("servers").iter();
        all.any(|server| {
            server["name"]
                .as_str()
                .is_some_and(|own| own.starts_with(name))
        })
    };
    assert!(named("old-sync-99") && named("sync-03"), "{shown}");
    assert!(
        !named("sync-01"),
        "its account is none of the product's: {shown}"
    );

    // By a group of a group, in a ring, and by the primary group that every server has.
    let context = "DC=corp,DC=contoso,DC=test";
    samba.change(&format!(
        "dn: CN=Hosts (inner),CN=Users,{context}\nchangetype: add\nobjectClass: group\nsAMAccountName: HostsInner\nmember: CN=sync-01,CN=Computers,{context}\n\ndn: CN=Hosts,CN=Users,{context}\nchangetype: add\nobjectClass: group\nsAMAccountName: Hosts\nmember: CN=Hosts (inner),CN=Users,{context}\n\ndn: CN=Hosts (inner),CN=Users,{context}\nchangetype: modify\nadd: member\nmember: CN=Hosts,CN=Users,{context}\n"
    ));
    let by_group = |name: &str, group: &str| {
        samba.change(&format!(
            "dn: CN={name},CN=Managed Service Accounts,{context}\nchangetype: add\nobjectClass: msDS-GroupManagedServiceAccount\nsAMAccountName: {name}$\ndNSHostName: {name}.corp.contoso.test\nmsDS-ManagedPasswordInterval: 30\nmsDS-GroupMSAMembership: O:SYD:(A;;0xf01ff;;;{})\n",
            samba.sid_of(group)
        ));
        let servers = ask(Some(&authority), &["--user", user, "--servers"], password);
        let shown: Value = serde_json::from_slice(&servers.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&servers)));
        let all = shown["servers"].as_array().expect("servers").iter();
        let own = all.filter(|one| {
            let source = one["source"].as_str().unwrap_or_default();
            source == format!("may retrieve the password of {name}$, by {group}")
        });
        let mut names: Vec<String> = own
            .map(|one| one["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        (names, shown)
    };
    let short = |names: &[String]| -> Vec<String> {
        let label = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
        names.iter().map(label).collect()
    };
    let (names, shown) = by_group("pGMSA_1", "Hosts");
    assert_eq!(short(&names), ["sync-01"], "{shown}");
    let (names, shown) = by_group("pGMSA_2", "Domain Computers");
    assert!(short(&names).contains(&"sync-03".to_owned()), "{shown}");

    pages(&samba, &authority);
    credentials(&samba, &authority);
    anchors(&samba, &authority);

    // A wrong password, and a controller that nobody vouches for, give no answer and say why.
    let wrong = ask(Some(&authority), &signed_in[..2], "not the password");
    let (verdict, why) = answer(&wrong, "PF46");
    assert_eq!(verdict, "cannot-tell");
    assert!(why.contains("the credential was refused"), "{why}");
    assert!(!text(&wrong).contains("not the password"));
    let stranger = ask(None, &signed_in[..2], password);
    let (verdict, why) = answer(&stranger, "PF46");
    assert_eq!(verdict, "cannot-tell");
    assert!(why.contains("certificate"), "{why}");
    assert!(
        !samba.log().contains(password),
        "no password was sent in the clear"
    );
}

/// PF54: what else an account is given is read back set by set, by the names that the forest itself has for it.
fn sets(samba: &Samba, authority: &Path, arguments: &[&str]) {
    for (name, guid) in [
        ("User-Force-Change-Password", names::RESET_PASSWORD),
        ("Unexpire-Password", names::UNEXPIRE_PASSWORD),
        ("lockoutTime", names::LOCKOUT_TIME),
        ("pwdLastSet", names::PWD_LAST_SET),
        ("User-Account-Restrictions", names::ACCOUNT_RESTRICTIONS),
        ("user", names::USER),
        ("inetOrgPerson", names::INET_ORG_PERSON),
        ("group", names::GROUP),
        ("contact", names::CONTACT),
        ("computer", names::COMPUTER),
        ("device", names::DEVICE),
        ("foreignSecurityPrincipal", names::FOREIGN_PRINCIPAL),
    ] {
        assert_eq!(samba.guid(name), guid, "{name}");
    }
    let told = |set: &str| {
        let output = ask(Some(authority), arguments, ADMINISTRATOR.1);
        let rows: Value = serde_json::from_slice(&output.stdout).expect("rows");
        let what = format!("rights of an account that was made beforehand, for {set}");
        let mut rows = rows.as_array().expect("rows").iter();
        let row = rows.find(|row| row["id"] == "PF54" && row["what"] == what.as_str());
        let row = row.unwrap_or_else(|| panic!("{set} was not asked: {}", text(&output)));
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (word("verdict"), word("read"))
    };
    let passes = || ("pass".to_owned(), "svcEntraSync$ has them".to_owned());
    let lacks = |what: &str| ("fail".to_owned(), format!("svcEntraSync$ lacks {what}"));
    let who = samba.sid("svcEntraSync");
    let (user, group) = (names::USER, names::GROUP);

    // That an expired password may be used everybody has from the beginning; the rest is given on users, one after the other.
    assert_eq!(
        told("password-writeback"),
        lacks("Reset Password of users, writing lockoutTime of users, writing pwdLastSet of users")
    );
    samba.grant(&format!(
        "(OA;CIIO;CR;{};{user};{who})",
        names::RESET_PASSWORD
    ));
    samba.grant(&format!(
        "(OA;CIIO;WP;{};{user};{who})",
        names::LOCKOUT_TIME
    ));
    samba.grant(&format!(
        "(OA;CIIO;WP;{};{group};{who})",
        names::PWD_LAST_SET
    ));
    assert_eq!(
        told("password-writeback"),
        lacks("writing pwdLastSet of users")
    );
    samba.grant(&format!(
        "(OA;CIIO;WP;{};{user};{who})",
        names::ACCOUNT_RESTRICTIONS
    ));
    assert_eq!(told("password-writeback"), passes());

    samba.grant(&format!("(OA;CI;CCDC;{user};;{who})"));
    for class in [user, names::INET_ORG_PERSON, group] {
        samba.grant(&format!("(OA;CIIO;RPWP;;{class};{who})"));
    }
    assert_eq!(
        told("exchange-hybrid"),
        lacks("reading contacts, writing contacts")
    );
    assert_eq!(
        told("user-group-create-delete"),
        lacks("making groups, deleting groups")
    );
    samba.grant(&format!("(OA;CIIO;RPWP;;{};{who})", names::CONTACT));
    samba.grant(&format!("(OA;CI;CCDC;{group};;{who})"));
    assert_eq!(told("exchange-hybrid"), passes());
    assert_eq!(told("user-group-create-delete"), passes());
    assert_eq!(
        told("basic-read"),
        lacks("reading computers, reading devices, reading foreign security principals")
    );
    assert_eq!(
        told("exchange-public-folders"),
        lacks("reading public folders")
    );
    samba.grant(&format!("(A;CI;RP;;;{who})"));
    assert_eq!(told("basic-read"), passes());
    assert_eq!(told("exchange-public-folders"), passes());
}

/// PF58: whether a group has more members than it may, without reading them.
fn groups(samba: &Samba, authority: &Path) {
    let (user, password) = ADMINISTRATOR;
    let told = |output: &Output| {
        let rows: Value = serde_json::from_slice(&output.stdout).expect("rows");
        let what = "members of the largest group of the domain";
        let mut rows = rows.as_array().expect("rows").iter();
        let row = rows.find(|row| row["id"] == "PF58" && row["what"] == what);
        let row = row.unwrap_or_else(|| panic!("it was not asked: {}", text(output)));
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (word("verdict"), word("read"))
    };
    let context = "DC=corp,DC=contoso,DC=test";
    let make = |name: &str, members: u32| {
        let mut group = format!(
            "dn: CN={name},CN=Users,{context}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n"
        );
        for number in 0..members {
            group.push_str(&format!("member: CN=more{number},CN=Users,{context}\n"));
        }
        samba.change(&group);
    };
    make("Twenty", 20);
    make("TwentyOne", 21);
    make("Empty", 0);
    let (verdict, read) = told(&ask(Some(authority), &["--user", user], password));
    assert_eq!(verdict, "pass", "{read}");
    let read = read.strip_prefix("none of ").expect("a number of groups");
    let looked = read.strip_suffix(" groups has more than 50000");
    let looked: u64 = looked.and_then(|number| number.parse().ok()).expect(read);
    let (verdict, read) = told(&ask(None, &["--as", "nobody"], ""));
    assert_eq!(verdict, "cannot-tell", "{read}");

    // What is larger than a limit is told by its name; fifty thousand objects would take this story many minutes.
    for (most, larger) in [(19, 2), (20, 1), (21, 0)] {
        let found = large_groups(authority, most);
        let names = found["larger"].as_array().expect("names");
        assert_eq!(names.len(), larger, "{most}: {found}");
        let named = |name: &str| {
            let own = format!("CN={name},CN=Users,{context}");
            names.iter().any(|one| *one == own)
        };
        assert_eq!(named("TwentyOne"), most < 21, "{found}");
        assert_eq!(named("Twenty"), most < 20, "{found}");
        assert_eq!(found["looked"], looked, "{found}");
        assert_eq!(
            (&found["members"], &found["whole"]),
            (&true.into(), &true.into())
        );
    }
}

/// More objects than a page holds, and more than one question gives: all of them are read, or it is said that there are more.
fn pages(samba: &Samba, authority: &Path) {
    let context = "DC=corp,DC=contoso,DC=test";
    let usual = Pages::default();
    for (size, most, read, more) in [
        (usual.size, usual.most, 610, false),
        (7, usual.most, 610, false),
        (7, 610, 610, false),
        (7, 609, 609, true),
        (usual.size, 3, 3, true),
    ] {
        let found = in_process(
            TURN,
            authority,
            &[("PAGE", size.to_string()), ("MOST", most.to_string())],
        );
        let told = (&found["read"], &found["more"]);
        assert_eq!(told, (&read.into(), &more.into()), "{size} {most}: {found}");
        assert_eq!(found["read"], found["names"], "none twice: {found}");
    }

    // A controller of Active Directory gives 1,000 objects at once; every computer of a domain is a member of one group.
    let computers: String = (0..1050)
        .map(|number| {
            format!(
                "dn: CN=pc{number},CN=Computers,{context}\nchangetype: add\nobjectClass: computer\nsAMAccountName: pc{number}$\nuserAccountControl: 4096\n\n"
            )
        })
        .collect();
    samba.change(&computers);
    let (user, password) = ADMINISTRATOR;
    let servers = ask(Some(authority), &["--user", user, "--servers"], password);
    let shown: Value = serde_json::from_slice(&servers.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&servers)));
    let unread = shown["unread"].as_array().expect("remarks");
    let more = unread.iter().find_map(|why| {
        let more = why.as_str()?.strip_suffix(" more servers are named")?;
        more.parse::<u32>().ok()
    });
    assert!(more.is_some_and(|more| more > 550), "{unread:?}");
    let failed = unread
        .iter()
        .find(|why| why.to_string().contains("the members of"));
    assert_eq!(failed, None, "{unread:?}");
}

const TURN: &str = "pages_are_turned";

#[tokio::test]
#[ignore = "the story of the domain starts it in a process of its own"]
async fn pages_are_turned() {
    let number = |name: &str| std::env::var(name).expect("a number");
    let pages = Pages {
        size: number("PAGE").parse().expect("a number"),
        most: number("MOST").parse().expect("a number"),
    };
    let (kind, secret) = administrator();
    let search = Search {
        server: CONTROLLER.to_owned(),
        account: DirectoryAccount::Given(kind.clone()),
        base: "DC=corp,DC=contoso,DC=test".to_owned(),
        scope: Scope::Subtree,
        filter: "(&(objectClass=user)(cn=more*))".to_owned(),
        attributes: vec!["cn".to_owned()],
    };
    let outcome = directory::search(&search, pages, &[(kind, secret)].into()).await;
    let Outcome::Entries(found) = outcome else {
        panic!("{outcome:?}")
    };
    let names: BTreeSet<&str> = found.entries.iter().map(|one| one.name.as_str()).collect();
    told(&serde_json::json!({
        "read": found.entries.len(),
        "names": names.len(),
        "more": found.more,
    }));
}

fn administrator() -> (SecretKind, Secret) {
    let kind = SecretKind::DomainCredential {
        domain: DOMAIN.parse().expect("a name"),
    };
    let (user, value) = ADMINISTRATOR;
    let secret = Secret {
        user: user.to_owned(),
        value: value.to_owned(),
    };
    (kind, secret)
}

fn told(found: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nfound: {found}").expect("it is heard");
}

/// Looks for groups with more members than that, as an agent does.
fn large_groups(authority: &Path, most: u32) -> Value {
    in_process(LOOK, authority, &[("MOST_MEMBERS", most.to_string())])
}

/// What a test of this file tells in a process of its own, which trusts that authority.
fn in_process(test: &str, authority: &Path, given: &[(&str, String)]) -> Value {
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("SSL_CERT_FILE", authority)
        .envs(given.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("it starts");
    let shown = text(&output);
    let found = shown.lines().find_map(|line| line.split_once("found: "));
    let (_, found) = found.unwrap_or_else(|| panic!("{shown}"));
    serde_json::from_str(found).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

const LOOK: &str = "groups_are_looked_for";

#[tokio::test]
#[ignore = "the story of the domain starts it in a process of its own"]
async fn groups_are_looked_for() {
    let most = std::env::var("MOST_MEMBERS").expect("a number");
    let (kind, secret) = administrator();
    let groups = LargeGroups {
        server: CONTROLLER.to_owned(),
        account: DirectoryAccount::Given(kind.clone()),
        base: "DC=corp,DC=contoso,DC=test".to_owned(),
        most: most.parse().expect("a number"),
    };
    let outcome = directory::large_groups(&groups, &[(kind, secret)].into()).await;
    let Outcome::LargeGroups(found) = outcome else {
        panic!("{outcome:?}")
    };
    told(&serde_json::to_value(&found).expect("it is told"));
}

/// Hundreds of nanoseconds since 1601, so many hours from now.
fn file_time(hours: i64) -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seconds = since.as_secs().saturating_add_signed(hours * 3600);
    seconds * 10_000_000 + 116_444_736_000_000_000
}

/// PF49 and PF59: a KDS root key is usable ten hours after it begins, whichever of several is; and the recycle bin is on.
fn keys_and_recycle_bin(samba: &Samba, authority: &Path) {
    let (user, password) = ADMINISTRATOR;
    let arguments = ["--user", user, "--gmsa", "svcEntraSync$", "--server"];
    let arguments = [&arguments[..], &["sync-01.corp.contoso.test"]].concat();
    let asked = |id: &str| answer(&ask(Some(authority), &arguments, password), id);
    samba.root_keys();
    assert_eq!(asked("PF49").0, "cannot-tell", "there is none");
    samba.root_key("young", file_time(-1));
    let (verdict, read) = asked("PF49");
    assert_eq!(verdict, "fail", "{read}");
    assert!(read.starts_with("usable from "), "{read}");
    samba.root_key("old", file_time(-11));
    let (verdict, read) = asked("PF49");
    assert_eq!(verdict, "pass", "{read}");
    let server = ["--server", "sync-01.corp.contoso.test"];
    let nobody = [&["--as", "nobody", "--gmsa", "svcEntraSync$"], &server[..]].concat();
    let nobody = ask(None, &nobody, "");
    assert_eq!(answer(&nobody, "PF49").0, "cannot-tell");
    samba.recycle_bin();
    let (verdict, read) = asked("PF59");
    assert_eq!(verdict, "pass", "{read}");
}

/// PF53: who may do the directory's part of an installation, and for how long, as a real controller tells it.
fn credentials(samba: &Samba, authority: &Path) {
    const PASSWORD: &str = "An0ther!one";
    let tried = |user: &str, password: &str| {
        let user = format!("{user}@{DOMAIN}");
        let arguments = ["--user", &user, "--installs"];
        let output = ask(Some(authority), &arguments, password);
        assert!(!text(&output).contains(password), "{}", text(&output));
        answer(&output, "PF53")
    };
    let (verdict, read) = tried("administrator", ADMINISTRATOR.1);
    // The password of a domain that was just made ends in weeks, by its own rule.
    assert_eq!(verdict, "pass", "{read}");
    assert!(
        read.contains("in Domain Admins; its password ends"),
        "{read}"
    );

    samba.user("helper", PASSWORD, &[]);
    let (verdict, read) = tried("helper", PASSWORD);
    assert_eq!(verdict, "fail");
    assert!(read.contains("neither in Domain Admins"), "{read}");
    samba.user("forester", PASSWORD, &["Enterprise Admins"]);
    let (verdict, read) = tried("forester", PASSWORD);
    assert_eq!(verdict, "pass", "{read}");
    assert!(read.contains("in Enterprise Admins"), "{read}");
    // Through a group of a group too.
    samba.user("nested", PASSWORD, &[]);
    let context = "DC=corp,DC=contoso,DC=test";
    samba.change(&format!(
        "dn: CN=Installers,CN=Users,{context}\nchangetype: add\nobjectClass: group\nsAMAccountName: Installers\nmember: CN=nested,CN=Users,{context}\n\ndn: CN=Domain Admins,CN=Users,{context}\nchangetype: modify\nadd: member\nmember: CN=Installers,CN=Users,{context}\n"
    ));
    let (verdict, read) = tried("nested", PASSWORD);
    assert_eq!(verdict, "pass", "{read}");

    let (verdict, read) = tried("forester", "not the password");
    assert_eq!(verdict, "fail");
    assert!(read.ends_with("user name or password is wrong"), "{read}");
    let set = |name: &str, attribute: &str, value: &str| {
        samba.change(&format!(
            "dn: CN={name},CN=Users,{context}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        ));
    };
    // In an hour from now, and in 1601.
    set("forester", "accountExpires", &file_time(1).to_string());
    let (verdict, read) = tried("forester", PASSWORD);
    assert_eq!(verdict, "fail", "{read}");
    assert!(read.contains("its account ends"), "{read}");
    set("forester", "accountExpires", "1");
    let (verdict, read) = tried("forester", PASSWORD);
    assert_eq!(verdict, "fail", "{read}");
    assert!(read.ends_with("the account has expired"), "{read}");
    set("nested", "pwdLastSet", "0");
    let (verdict, read) = tried("nested", PASSWORD);
    assert_eq!(verdict, "fail", "{read}");
    assert!(
        read.ends_with("the password must be changed first"),
        "{read}"
    );
    set("helper", "userAccountControl", "514");
    let (verdict, read) = tried("helper", PASSWORD);
    assert_eq!(verdict, "fail", "{read}");
    assert!(read.ends_with("the account is disabled"), "{read}");

    // A controller that nobody vouches for is shown no password: nothing is told, and nothing stops.
    let user = format!("administrator@{DOMAIN}");
    let stranger = ask(None, &["--user", &user, "--installs"], ADMINISTRATOR.1);
    let (verdict, read) = answer(&stranger, "PF53");
    assert_eq!(verdict, "cannot-tell", "{read}");
    assert!(
        read.starts_with("not tried, without TLS nothing is sent"),
        "{read}"
    );
    assert!(
        !samba.log().contains(PASSWORD),
        "no password was sent in the clear"
    );
}

/// PF60: users and groups without the attribute by which both tools know them.
fn anchors(samba: &Samba, authority: &Path) {
    let (user, password) = ADMINISTRATOR;
    let counted = || {
        let output = ask(Some(authority), &["--user", user, "--anchors"], password);
        answer(&output, "PF60")
    };
    let numbers = |read: &str| -> (u64, u64) {
        let mut numbers = read.split(' ').filter_map(|word| word.parse().ok());
        (
            numbers.next().expect("a number"),
            numbers.next().expect("two"),
        )
    };
    let (verdict, read) = counted();
    assert_eq!(verdict, "fail");
    let (before, all) = numbers(&read);
    assert!(before == 0 && all > 610, "{read}");
    let fill = |from: u32, to: u32| {
        let context = "DC=corp,DC=contoso,DC=test";
        let mut changes = String::new();
        for number in from..to {
            changes.push_str(&format!(
                "dn: CN=more{number},CN=Users,{context}\nchangetype: modify\nadd: mS-DS-ConsistencyGuid\nmS-DS-ConsistencyGuid: 0123456789ab{number:04}\n\n"
            ));
        }
        samba.change(&changes);
    };
    fill(0, 600);
    assert_eq!(numbers(&counted().1), (600, all));
    // Contacts have none, and are not counted.
    fill(610, 615);
    assert_eq!(numbers(&counted().1), (600, all));
}
