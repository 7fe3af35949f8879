//! Asks directories: SRV records by DNS, everything else by LDAP. Nobody's questions and those of the server's own account
//! go to port 389, the latter under integrated sign-in, which Windows alone has here; a given credential goes over LDAPS
//! and nothing else, to a controller whose certificate leads to a root that this server trusts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_core::op::{
    ANCHOR, Census, Counted, DirectoryAccount, DirectoryEntry, Found, FoundGroups, LargeGroups,
    Outcome, Scope, Search,
};
use agent_core::step::directory::{DESCRIPTOR, REFUSED};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RData;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::controls::RawControl;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, SearchEntry};
use protocol::{Timestamp, causes};
use tokio::task::JoinSet;

use crate::exec::Secrets;

/// How long a connection to a domain controller may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a question may take altogether.
const ANSWER: Duration = Duration::from_secs(60);

/// How long Windows may take to name a controller.
#[cfg(windows)]
const LOCATE: Duration = Duration::from_secs(30);

/// How long a count may take altogether.
const COUNT: Duration = Duration::from_secs(3 * 60);

/// Objects of one page: a controller gives 1,000 at most at once, as it comes ([K]), and may be told to give less.
const PAGE: i32 = 500;

/// Objects that one question gives; that there are more is said.
const MOST_ENTRIES: usize = 5000;

/// LDAP's result code for a credential that is not taken (RFC 4511).
const INVALID_CREDENTIALS: u32 = 49;

/// How much is read at once, and altogether.
#[derive(Debug, Clone, Copy)]
pub struct Pages {
    /// Objects of one page.
    pub size: i32,
    /// Objects that one question gives.
    pub most: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            size: PAGE,
            most: MOST_ENTRIES,
        }
    }
}

/// Asks a domain controller, page by page.
pub async fn search(search: &Search, pages: Pages, secrets: &Secrets) -> Outcome {
    match tokio::time::timeout(ANSWER, ask(search, pages, secrets)).await {
        Ok(Ok((entries, more))) => Outcome::Entries(Box::new(Found {
            entries,
            more,
            now: clock(),
        })),
        Ok(Err(why)) => Outcome::Failed(format!("{}: {why}", search.server)),
        Err(_) => Outcome::Failed(format!(
            "{}: no answer within {} s",
            search.server,
            ANSWER.as_secs()
        )),
    }
}

fn clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A connection that was signed in, with the task that drives it: it ends with the question, also when that is given up.
async fn open(
    server: &str,
    account: &DirectoryAccount,
    secrets: &Secrets,
) -> Result<(Ldap, JoinSet<()>), String> {
    let url = match account {
        DirectoryAccount::Nobody | DirectoryAccount::Server => format!("ldap://{server}:389"),
        DirectoryAccount::Given(_) => format!("ldaps://{server}:636"),
    };
    let settings = LdapConnSettings::new().set_conn_timeout(CONNECT);
    let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url)
        .await
        .map_err(told)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.drive().await) });
    match account {
        DirectoryAccount::Nobody => {}
        DirectoryAccount::Server => sign_in(&mut ldap, server).await?,
        DirectoryAccount::Given(kind) => {
            let secret = secrets.get(kind).ok_or("no credential was given")?;
            let bound = ldap.simple_bind(&secret.user, &secret.value).await;
            let bound = bound.map_err(told)?;
            let how = if bound.rc == INVALID_CREDENTIALS {
                REFUSED
            } else {
                "the sign-in did not come about"
            };
            bound
                .success()
                .map_err(|error| format!("{how}: {}", causes(&error)))?;
        }
    }
    Ok((ldap, driver))
}

fn told(error: LdapError) -> String {
    causes(&error)
}

/// What is shown, and whether there is more of it.
async fn ask(
    search: &Search,
    pages: Pages,
    secrets: &Secrets,
) -> Result<(Vec<DirectoryEntry>, bool), String> {
    let (mut ldap, _driver) = open(&search.server, &search.account, secrets).await?;
    let scope = match search.scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::Children => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    };
    if search.attributes.iter().any(|name| name == DESCRIPTOR) {
        ldap.with_controls(access_list_alone());
    }
    let mut adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> =
        vec![Box::new(EntriesOnly::new())];
    // One object fills no page, and what a controller tells of itself is no search of its database.
    if search.scope != Scope::Base {
        adapters.push(Box::new(PagedResults::new(pages.size)));
    }
    let attributes = search.attributes.clone();
    let mut found = ldap
        .streaming_search_with(adapters, &search.base, scope, &search.filter, attributes)
        .await
        .map_err(told)?;
    let mut entries = Vec::new();
    while let Some(entry) = found.next().await.map_err(told)? {
        if entries.len() == pages.most {
            // The pages that are left are not fetched: the connection ends.
            return Ok((entries, true));
        }
        entries.push(read(SearchEntry::construct(entry)));
    }
    found.finish().await.success().map_err(told)?;
    drop(ldap.unbind().await);
    Ok((entries, false))
}

/// Counts what a domain holds.
pub async fn census(census: &Census, secrets: &Secrets) -> Outcome {
    let mut counted = Counted::default();
    match tokio::time::timeout(COUNT, count(census, secrets, &mut counted)).await {
        Ok(Ok(())) => Outcome::Counted(Box::new(counted)),
        // What was counted so far is at least what is there.
        Err(_) if counted.objects > 0 => Outcome::Counted(Box::new(counted)),
        Ok(Err(why)) => Outcome::Failed(format!("{}: {why}", census.server)),
        Err(_) => Outcome::Failed(format!(
            "{}: nothing was counted within {} s",
            census.server,
            COUNT.as_secs()
        )),
    }
}

async fn count(census: &Census, secrets: &Secrets, counted: &mut Counted) -> Result<(), String> {
    // What belongs to the system itself is not synchronized ([K]).
    const WHAT: &str = "(&(|(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))(objectClass=group))(!(isCriticalSystemObject=TRUE)))";
    let (mut ldap, _driver) = open(&census.server, &census.account, secrets).await?;
    let adapters: Vec<Box<dyn Adapter<'_, &str, Vec<&str>>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(PAGE)),
    ];
    let attributes = vec!["objectClass", "userPrincipalName", ANCHOR];
    let scope = ldap3::Scope::Subtree;
    let mut found = ldap
        .streaming_search_with(adapters, &census.base, scope, WHAT, attributes)
        .await
        .map_err(told)?;
    while counted.objects < census.most {
        let Some(entry) = found.next().await.map_err(told)? else {
            found.finish().await.success().map_err(told)?;
            counted.whole = true;
            break;
        };
        let entry = read(SearchEntry::construct(entry));
        counted.add(&entry);
    }
    Ok(())
}

/// Looks for groups of many members.
pub async fn large_groups(groups: &LargeGroups, secrets: &Secrets) -> Outcome {
    match tokio::time::timeout(COUNT, look(groups, secrets)).await {
        Ok(Ok(found)) => Outcome::LargeGroups(Box::new(found)),
        Ok(Err(why)) => Outcome::Failed(format!("{}: {why}", groups.server)),
        Err(_) => Outcome::Failed(format!(
            "{}: not all groups were looked at within {} s",
            groups.server,
            COUNT.as_secs()
        )),
    }
}

/// Asks each group for the one member behind the most that it may have, which a larger one alone shows, and then whether a member is
/// shown at all.
async fn look(groups: &LargeGroups, secrets: &Secrets) -> Result<FoundGroups, String> {
    let (mut ldap, _driver) = open(&groups.server, &groups.account, secrets).await?;
    let mut found = FoundGroups::default();
    // Members are numbered from nought.
    found.whole = each_with_member(&mut ldap, &groups.base, groups.most, |name, is_there| {
        found.looked += 1;
        if is_there && found.larger.len() < FoundGroups::TOLD {
            found.larger.push(name);
        }
        found.looked < FoundGroups::MOST
    })
    .await?;
    found.members = !found.larger.is_empty();
    if !found.members {
        let ended = each_with_member(&mut ldap, &groups.base, 0, |_, is_there| !is_there).await?;
        found.members = !ended;
    }
    drop(ldap.unbind().await);
    Ok(found)
}

/// Tells of each group whether it shows the member of that number, for as long as that is wanted; true where all groups were told.
async fn each_with_member(
    ldap: &mut Ldap,
    base: &str,
    number: u32,
    mut tell: impl FnMut(String, bool) -> bool,
) -> Result<bool, String> {
    // Those that belong to the system itself are not synchronized ([K]).
    const GROUPS: &str = "(&(objectClass=group)(!(isCriticalSystemObject=TRUE)))";
    let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(PAGE)),
    ];
    let attributes = vec![format!("member;range={number}-{number}")];
    let base = base.to_owned();
    ldap.with_controls(short_ones_show_nothing());
    let mut found = ldap
        .streaming_search_with(adapters, &base, ldap3::Scope::Subtree, GROUPS, attributes)
        .await
        .map_err(told)?;
    while let Some(entry) = found.next().await.map_err(told)? {
        let entry = read(SearchEntry::construct(entry));
        // The controller names the range that it gives, which may end with an asterisk.
        let mut shown = entry.values.iter();
        let is_there = shown.any(|(name, values)| {
            name.starts_with("member;range=") && values.iter().any(|value| !value.is_empty())
        });
        if !tell(entry.name, is_there) {
            return Ok(false);
        }
    }
    found.finish().await.success().map_err(told)?;
    Ok(true)
}

/// A group that has no member of the number that is asked for shows none, and is no error: without this control a controller of
/// Active Directory ends the whole question with one ([MS-ADTS] 3.1.1.3.1.3.3 and 3.1.1.3.4.1.22). Samba shows none without it too, and is
/// free to pass it by.
fn short_ones_show_nothing() -> RawControl {
    RawControl {
        ctype: "1.2.840.113556.1.4.1948".to_owned(),
        crit: false,
        val: None,
    }
}

/// Asks for the list of who may do what alone: a whole descriptor holds the list of audits too, which few may read, and
/// without this control an account that may not is shown nothing.
fn access_list_alone() -> RawControl {
    RawControl {
        ctype: "1.2.840.113556.1.4.801".to_owned(),
        crit: true,
        // A sequence of one number: 4, the discretionary list.
        val: Some(vec![0x30, 3, 2, 1, 4]),
    }
}

/// Signs in as the account that this process runs as.
#[cfg(windows)]
async fn sign_in(ldap: &mut Ldap, server: &str) -> Result<(), String> {
    let bound = ldap.sasl_gssapi_bind(server).await;
    let refused = |error| format!("the server's account could not sign in: {}", causes(&error));
    bound.map_err(refused)?.success().map_err(refused)?;
    Ok(())
}

#[cfg(not(windows))]
#[expect(clippy::unused_async, reason = "it waits on Windows")]
async fn sign_in(_: &mut Ldap, _: &str) -> Result<(), String> {
    Err("integrated sign-in is Windows' own; this system has none".to_owned())
}

fn read(entry: SearchEntry) -> DirectoryEntry {
    let texts = entry.attrs.into_iter().map(|(name, values)| {
        let values = values.into_iter().map(String::into_bytes).collect();
        (name.to_lowercase(), values)
    });
    let mut values: std::collections::BTreeMap<String, Vec<Vec<u8>>> = texts.collect();
    // Some values of an attribute may be text by chance: both kinds belong together.
    for (name, bytes) in entry.bin_attrs {
        values.entry(name.to_lowercase()).or_default().extend(bytes);
    }
    DirectoryEntry {
        name: entry.dn,
        values,
    }
}

/// What the system's own locator says of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// The controller that it gives whoever asks for one that may be written to.
    pub(crate) host: String,
    /// The site that this server is in, where the directory has one for it.
    pub(crate) site: Option<String>,
}

/// Finds the domain controllers of a domain by the SRV records that every controller registers (PF22): the one that Windows' own locator
/// gives first, as it gives it to the products; then those of this server's site; then the others. By records alone it is those of least
/// priority number first, and of these those of most weight.
pub async fn domain_controllers(domain: &str) -> Outcome {
    let looked = async {
        let located = locate(domain).await;
        let resolver = TokioResolver::builder_tokio()
            .and_then(hickory_resolver::ResolverBuilder::build)
            .map_err(|error| format!("this server's DNS settings cannot be read: {error}"))?;
        let mut near = Vec::new();
        if let Some(site) = located.as_ref().and_then(|located| located.site.as_ref()) {
            let name = format!("_ldap._tcp.{site}._sites.dc._msdcs.{domain}.");
            // A site without a controller of its own is one that others serve.
            near = records(&resolver, &name).await.unwrap_or_default();
        }
        let all = records(&resolver, &format!("_ldap._tcp.dc._msdcs.{domain}.")).await?;
        if all.is_empty() {
            // What the locator still remembers is not what DNS says now.
            return Ok(Vec::new());
        }
        Ok::<_, String>(ordered(located, near, all))
    };
    match tokio::time::timeout(ANSWER, looked).await {
        Ok(Ok(hosts)) => Outcome::Hosts(hosts),
        Ok(Err(why)) => Outcome::Failed(why),
        Err(_) => Outcome::Failed(format!(
            "no controllers of {domain} were found within {} s",
            ANSWER.as_secs()
        )),
    }
}

/// A host with the priority and the weight of its record.
type Record = (u16, u16, String);

/// That there are none is an answer, by whoever serves the name or passes on what that one said; anything else that goes wrong is none.
async fn records(resolver: &TokioResolver, name: &str) -> Result<Vec<Record>, String> {
    let found = match resolver.srv_lookup(name).await {
        Ok(found) => found,
        Err(error) if says_none(&error) => return Ok(Vec::new()),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    let mut records = Vec::new();
    for record in found.answers() {
        if let RData::SRV(record) = &record.data {
            let target = record.target.to_utf8().to_lowercase();
            let host = target.trim_end_matches('.').to_owned();
            records.push((record.priority, record.weight, host));
        }
    }
    Ok(records)
}

/// Whether DNS has answered that there is no such record: the name is not there, or it is and has none of the kind, by the word of its zone.
/// A refusal, a failure of the server, a reference to another one and a silence say nothing of the record.
fn says_none(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        return false;
    };
    none.response_code == ResponseCode::NXDomain
        || none.response_code == ResponseCode::NoError && none.soa.is_some()
}

/// The order in which they are asked, none twice. A client of the records draws by weight (RFC 2782); here it is the same order at each
/// look, since what one controller shows is compared with what it showed before.
fn ordered(located: Option<Located>, near: Vec<Record>, all: Vec<Record>) -> Vec<String> {
    let mut hosts: Vec<String> = located
        .into_iter()
        .map(|located| located.host.to_lowercase())
        .collect();
    for mut records in [near, all] {
        records.sort_by(|a, b| (a.0, b.1, &a.2).cmp(&(b.0, a.1, &b.2)));
        for (_, _, host) in records {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    hosts
}

/// Asks Windows' locator, which goes by the server's site and has its own memory. Where it knows nothing, or is not there, DNS alone tells.
#[cfg(windows)]
async fn locate(domain: &str) -> Option<Located> {
    let domain = domain.to_owned();
    let asked = tokio::task::spawn_blocking(move || super::windows::locator::locate(&domain));
    // It waits for controllers that do not answer; what it says after that is of no use any more.
    let told = tokio::time::timeout(LOCATE, asked).await.ok()?.ok()?;
    match told {
        Ok(located) => Some(located),
        Err(code) => {
            tracing::debug!(code, "Windows' locator gives no domain controller");
            None
        }
    }
}

#[cfg(not(windows))]
#[expect(clippy::unused_async, reason = "it waits on Windows")]
async fn locate(_: &str) -> Option<Located> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record is what is asked for; that nobody tells of it is no answer.
    #[test]
    fn that_there_is_no_record_is_told_by_its_zone_alone() {
        use hickory_resolver::net::NoRecords;
        use hickory_resolver::proto::op::Query;
        use hickory_resolver::proto::rr::rdata::SOA;
        use hickory_resolver::proto::rr::{Name, Record};

        let none = |code, zone: bool| {
            let mut none = NoRecords::new(Query::default(), code);
            if zone {
                let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 1);
                let record = Record::from_rdata(Name::root(), 60, soa);
                none.soa = Some(Box::new(record));
            }
            NetError::Dns(DnsError::NoRecordsFound(none))
        };
        assert!(says_none(&none(ResponseCode::NXDomain, false)));
        assert!(says_none(&none(ResponseCode::NXDomain, true)));
        assert!(says_none(&none(ResponseCode::NoError, true)));
        for untold in [
            none(ResponseCode::NoError, false),
            none(ResponseCode::ServFail, false),
            NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)),
            NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)),
            NetError::Timeout,
        ] {
            assert!(!says_none(&untold), "{untold}");
        }
    }

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        (priority, weight, host.to_owned())
    }

    #[test]
    fn the_controller_that_windows_takes_is_asked_first_then_its_site_then_the_others() {
        let all = || {
            vec![
                record(0, 100, "a-far.corp.test"),
                record(0, 100, "m-near.corp.test"),
                record(0, 200, "z-strong.corp.test"),
                record(10, 900, "b-last.corp.test"),
            ]
        };
        let by_records = ["z-strong", "a-far", "m-near", "b-last"];
        let names = |hosts: Vec<String>| -> Vec<String> {
            let short = hosts.iter().filter_map(|host| host.split('.').next());
            short.map(ToOwned::to_owned).collect()
        };
        assert_eq!(names(ordered(None, Vec::new(), all())), by_records);
        let near = || vec![record(5, 0, "m-near.corp.test")];
        assert_eq!(
            names(ordered(None, near(), all())),
            ["m-near", "z-strong", "a-far", "b-last"]
        );
        let located = Located {
            host: "A-Far.corp.test".to_owned(),
            site: Some("Berlin".to_owned()),
        };
        assert_eq!(
            names(ordered(Some(located.clone()), near(), all())),
            ["a-far", "m-near", "z-strong", "b-last"]
        );
        // One that is in no record, as for a moment after it was made.
        assert_eq!(
            names(ordered(Some(located), Vec::new(), Vec::new())),
            ["a-far"]
        );
    }
}
