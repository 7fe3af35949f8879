//! Custom settings of Connect Sync, page by page (product facts 2.5 to 2.9): every choice comes from the topology, so that
//! the person at the wizard chooses nothing. The vendor supports this setup through its wizard alone.

use protocol::step::{Cloud, ConnectWork};
use protocol::task::{Page, TaskText};
use protocol::{DomainName, TargetId};

use crate::links;
use crate::topology::{
    ConnectEntry, CustomSettings, Farm, Feature, Federation, Identity, SourceAnchor, SqlDatabase,
    Tenant, UserSignIn,
};

fn page(title: &str, lines: Vec<String>) -> Page {
    Page {
        title: title.to_owned(),
        lines,
    }
}

/// Said of a choice that does not stand in the topology where settings are imported (2.6 [P]): it is what the file says.
const AS_IMPORTED: &str = "as imported, change nothing";

fn line(text: &str) -> String {
    text.to_owned()
}

/// Whether the wizard starts the cycle at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It does.
    Ticked,
    /// It would not, as the topology says, but another server of the tenant is active or is to be: the setting lies in the tenant and is
    /// shared (product facts 2.12 [P]), so that the active one would stop.
    TickedBesideActive,
    /// It does not: somebody releases the cycle later.
    Clear,
}

impl Start {
    /// As the topology says it, for a server beside which another one of the tenant is active or is to be, or none.
    pub(super) const fn of(settings: &CustomSettings, beside_active: bool) -> Self {
        match (settings.start, beside_active) {
            (true, _) => Self::Ticked,
            (false, true) => Self::TickedBesideActive,
            (false, false) => Self::Clear,
        }
    }
}

/// What a person does at the wizard of one server.
pub(super) fn pages(
    entry: &ConnectEntry,
    settings: &CustomSettings,
    tenant: &Tenant,
    server: &TargetId,
    (work, start): (ConnectWork, Start),
) -> TaskText {
    let forests: Vec<&DomainName> = entry.forests.iter().map(|(forest, _)| forest).collect();
    let staging = work == ConnectWork::InstallStaging;
    let mode = if staging { "staging" } else { "active" };
    let database = settings.database_of(server);
    let existing = database.is_some_and(|database| database.existing);
    let mut pages = vec![
        page(
            "Sign in",
            vec![line("sign in to the server as local administrator")],
        ),
        page("Installer", installer(settings, existing)),
        page("Welcome", welcome(tenant)),
        page("Express settings", vec![line("Customize")]),
        page(super::connect::COMPONENTS, components(settings, database)),
        page("User sign-in", user_sign_in(settings)),
        page(
            "Connect to Microsoft Entra ID",
            vec![
                format!(
                    "sign in as a Hybrid Identity Administrator of tenant {}; the role must be assigned directly, not by a group",
                    tenant.id
                ),
                line(
                    "it may ask for a second factor; where the role is one of PIM, it is activated before",
                ),
                line("Next"),
            ],
        ),
        page(super::connect::DIRECTORIES, directories(&forests, settings)),
        page(
            super::connect::SIGN_IN_CONFIGURATION,
            vec![
                user_name(settings),
                line("each UPN suffix in use should stand there as verified"),
                line(if settings.unverified_suffixes {
                    "tick that the wizard goes on without every suffix verified: it is agreed to that users of the others sign in with onmicrosoft.com names"
                } else {
                    "stop here and verify the domain first where one is not, unless its users shall sign in with onmicrosoft.com names"
                }),
                links::SIGN_IN_CONFIGURATION.to_string(),
                links::CUSTOM_DOMAIN.to_string(),
                links::PREREQUISITES.to_string(),
            ],
        ),
        page("Domain and OU filtering", filtering(&forests, settings)),
        page("Uniquely identifying your users", identity(settings)),
        page("Filter users and devices", pilots(settings)),
        page("Optional features", features(settings)),
    ];
    pages.extend(behind_the_features(settings));
    if settings.single_sign_on.is_none() {
        pages.push(page(
            "Enable single sign-on",
            vec![line(
                "it comes where single sign-on was imported: for each forest that it names sign in as a Domain Administrator of it",
            )],
        ));
    }
    if settings.single_sign_on == Some(true) {
        let lines = forests.iter().map(|forest| {
            if signs_on(settings, forest) {
                format!("{forest}: sign in as a Domain Administrator of it")
            } else {
                format!("{forest}: skip it, its computers do not sign on so")
            }
        });
        pages.push(page("Enable single sign-on", lines.collect()));
    }
    match settings.sign_in {
        Some(UserSignIn::AdFs) => pages.extend(ad_fs(&settings.federation)),
        Some(UserSignIn::PingFederate) => pages.extend(ping_federate(&settings.federation)),
        None | Some(UserSignIn::PasswordHash | UserSignIn::PassThrough | UserSignIn::Nothing) => {}
    }
    pages.push(page("Ready to configure", ready(start, staging, existing)));
    pages.push(page("Configuration complete", vec![line("Exit")]));
    pages.push(page(
        "Afterwards",
        vec![
            line("sign out and in again before using Synchronization Service Manager or the rule editor"),
            line(
                r"the applied settings lie in C:\ProgramData\AADConnect\Applied-SynchronizationPolicy-*.JSON: keep a copy off the server",
            ),
            links::CUSTOM.to_string(),
        ],
    ));
    TaskText {
        title: format!("install Connect Sync with custom settings on {server}, {mode}"),
        why: line("the vendor supports this setup through its wizard alone"),
        bring: bring((&forests, server), settings, tenant),
        pages,
        seen_by: format!(
            "the engine's version, and the scheduler, which must say {mode}, and be suspended no more: the wizard is closed"
        ),
    }
}

/// Said of a page whose name is in no source.
const PAGE_NAMES: &str =
    "the wizard's own names of these pages are in no source: what each of them asks stands here";

/// What is written, or who brings it.
fn told(what: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{what}: {value}"),
        None => format!(
            "{what}: it does not stand in the topology, whoever runs the federation brings it"
        ),
    }
}

fn servers(all: &[TargetId]) -> Option<String> {
    let names: Vec<&str> = all.iter().map(TargetId::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The pages of a federation with AD FS: servers, certificate, service account, domain (2.5 [R]), and the ports to them (2.8 [R]).
fn ad_fs(federation: &Federation) -> [Page; 6] {
    let own = servers(&federation.servers);
    let proxies = servers(&federation.proxies);
    let domain = federation.domain.as_ref().map(DomainName::as_str);
    [
        page(
            "AD FS farm",
            vec![
                line(PAGE_NAMES),
                farm(federation.farm),
                line(
                    "from 2025-04-07 on the wizard does this with Connect 2.4.18.0 or later alone",
                ),
                line(
                    "a group policy that writes PowerShell transcripts must not hold on this server meanwhile",
                ),
                line("sign in as a Domain Administrator of the farm's domain where it is asked"),
            ],
        ),
        page(
            "AD FS certificate",
            vec![
                told("certificate", federation.certificate.as_deref()),
                line("its password, where it has one, is typed here and stands nowhere"),
                line("Next"),
            ],
        ),
        page(
            "AD FS servers",
            vec![
                told("servers", own.as_deref()),
                line("each answers this server on TCP 80, 443 and 5985"),
                line("Next"),
            ],
        ),
        page(
            "Web application proxy servers",
            vec![
                told("proxies", proxies.as_deref()),
                line("each answers this server on TCP 80, 443 and 5985"),
                line("Next"),
            ],
        ),
        page(
            "AD FS service account",
            vec![
                told("service account", federation.service_account.as_deref()),
                line(
                    "a group managed service account needs TCP 5985 and 9389 to the domain controllers",
                ),
                line("Next"),
            ],
        ),
        page(
            "Microsoft Entra domain",
            vec![
                told("domain to federate", domain),
                line(FEDERATED),
                line("Next"),
            ],
        ),
    ]
}

/// Whether a farm is made; of one that exists the wizard makes the trust with the tenant anew.
fn farm(farm: Option<Farm>) -> String {
    match farm {
        None => line("choose the farm, new or existing, that whoever runs the federation names"),
        Some(farm @ Farm::New) => format!("choose {}", farm.shown()),
        Some(farm @ Farm::Existing) => format!(
            "choose {}; where it has a trust with the tenant, that is made anew from scratch",
            farm.shown()
        ),
    }
}

/// What is said of a domain that is federated.
const FEDERATED: &str = "it is a verified domain of the tenant; every user of it signs in by the federation from then on";

/// The pages of a federation with PingFederate: the domain, and what its administrator gets (2.5 [R]).
fn ping_federate(federation: &Federation) -> [Page; 2] {
    let domain = federation.domain.as_ref().map(DomainName::as_str);
    [
        page(
            "PingFederate domain",
            vec![
                line(PAGE_NAMES),
                line(
                    "from 2025-04-07 on the wizard does this with Connect 2.4.18.0 or later alone",
                ),
                told("domain to federate", domain),
                line(FEDERATED),
                line("Next"),
            ],
        ),
        page(
            "PingFederate settings",
            vec![
                line(
                    "hand the settings that the wizard shows to PingFederate's administrator, and wait until they are set up there",
                ),
                line("Next, once its servers answer"),
            ],
        ),
    ]
}

/// What a person needs in their hands.
fn bring(
    (forests, own): (&[&DomainName], &TargetId),
    settings: &CustomSettings,
    tenant: &Tenant,
) -> Vec<String> {
    let mut bring = vec![
        format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
        line("a local administrator of the server"),
    ];
    for forest in forests {
        bring.push(match settings.accounts.get(*forest) {
            Some(account) => format!(
                "the password of {account}, which reads {forest}; it is no administrator, and its rights were given beforehand"
            ),
            None => format!("an Enterprise Administrator of {forest}"),
        });
        match settings.single_sign_on {
            Some(true) if signs_on(settings, forest) => bring.push(format!(
                "a Domain Administrator of {forest}, for single sign-on"
            )),
            // Which forests were imported with it nobody wrote.
            None => bring.push(format!(
                "where single sign-on was imported: a Domain Administrator of {forest}"
            )),
            Some(_) => {}
        }
    }
    let federation = &settings.federation;
    match settings.sign_in {
        Some(UserSignIn::AdFs) => {
            bring.push(line(
                "whoever runs AD FS, with its certificate and a Domain Administrator of the farm's domain",
            ));
            if let Some(account) = federation
                .service_account
                .as_ref()
                .filter(|name| !name.ends_with('$'))
            {
                bring.push(format!("the password of {account}, which AD FS runs as"));
            }
        }
        Some(UserSignIn::PingFederate) => bring.push(line("PingFederate's administrator")),
        None => bring.push(line(
            "whoever knows how the users sign in: the wizard asks that in an import too, and it does not stand in the topology",
        )),
        Some(UserSignIn::PasswordHash | UserSignIn::PassThrough | UserSignIn::Nothing) => {}
    }
    if matches!(
        settings.sign_in,
        Some(UserSignIn::AdFs | UserSignIn::PingFederate)
    ) {
        bring.push(format!(
            "for the federation: a Global Administrator of tenant {}, or a Hybrid Identity Administrator who is Domain Name Administrator too",
            tenant.id
        ));
    }
    if let Some(database) = settings.database_of(own) {
        let server = &database.server;
        bring.push(if database.existing {
            format!(
                "on {server}: the database {} of the earlier server, which nothing uses any more, and dbo in it",
                database.name
            )
        } else {
            format!(
                "on {server}: the database made beforehand, or the right to make it; its collation is case-insensitive"
            )
        });
    }
    if let Some(account) = settings
        .service_account
        .as_ref()
        .filter(|name| !name.ends_with('$'))
    {
        bring.push(format!(
            "the password of {account}, which the service runs as"
        ));
    }
    if let Some(import) = &settings.import {
        bring.push(format!(
            "the exported settings {import}, as the vendor's tool wrote them: an edited file is not supported"
        ));
    }
    bring
}

fn installer(settings: &CustomSettings, existing: bool) -> Vec<String> {
    let mut lines = vec![line(
        r"start AzureADConnect.msi from C:\ProgramData\Entrain\staged",
    )];
    let mut switches = Vec::new();
    if existing {
        switches.push("/useexistingdatabase");
    }
    if settings.interactive_sign_in {
        switches.push("/InteractiveAuth");
    }
    if !switches.is_empty() {
        lines.push(line("when the wizard opens: exit it"));
        lines.push(format!(
            r#"start it again from its folder (as a rule "C:\Program Files\Microsoft Azure Active Directory Connect"): AzureADConnect.exe {}"#,
            switches.join(" ")
        ));
    }
    if switches.len() > 1 {
        lines.push(line(
            "whether the wizard takes both switches at once is in no source: where it does not, take the first alone",
        ));
    }
    if settings.interactive_sign_in {
        lines.push(line(
            "it then signs in by Microsoft's own window, which knows smart cards and federated accounts",
        ));
    }
    if existing {
        lines.push(line(
            "the database must come from this version or an older one, and have synchronized within three weeks; else a full import follows",
        ));
        lines.push(line(
            "which of the pages below this way shows is unverified: one that does not come needs nothing",
        ));
    }
    lines
}

/// The vendor describes this only where the wizard cannot find out the cloud by itself (2.8 [R]).
pub(super) fn welcome(tenant: &Tenant) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(instance) = &tenant.about.azure_instance {
        lines.push(format!(
            r"where the server cannot find out its cloud (offline): while this page shows, set HKLM\SOFTWARE\Microsoft\Azure AD Connect, AzureInstance = {}",
            instance.value
        ));
    }
    if tenant.cloud == Cloud::China {
        lines.push(line(
            "that the wizard finds out this cloud by itself is unverified: look at its sign-in page",
        ));
    }
    lines.push(line("agree to the license terms; Continue"));
    lines
}

fn components(settings: &CustomSettings, database: Option<&SqlDatabase>) -> Vec<String> {
    let tick = |what: &str, value: &Option<String>| match value {
        Some(value) => format!("tick \"{what}\": {value}"),
        None => format!("leave \"{what}\" clear"),
    };
    let sql = database.map(|own| format!("{}, database {}", own.server, own.name));
    let groups = (!settings.groups.is_empty()).then(|| {
        let names = ["Administrators", "Operators", "Browse", "Password Reset"];
        let pairs = names.iter().zip(&settings.groups);
        let pairs: Vec<String> = pairs
            .map(|(name, group)| format!("{name} = {group}"))
            .collect();
        format!("{} (local groups of this server)", pairs.join(", "))
    });
    let mut lines = vec![
        tick("Specify a custom installation location", &settings.location),
        tick("Use an existing SQL Server", &sql),
        tick("Use an existing service account", &settings.service_account),
        tick("Specify custom sync groups", &groups),
        tick("Import synchronization settings", &settings.import),
    ];
    if settings.service_account.is_some() || database.is_some() {
        lines.push(line(
            "the service's account is fixed here: it cannot be changed later",
        ));
    }
    if settings.import.is_some() {
        lines.push(line(
            "what is imported fills the pages that follow; each must say what these instructions say, and stays as it is where they say that it is as imported",
        ));
        lines.push(line(
            "the tick for a SQL Server and that for a service account are not imported: they stand here alone; directories can be neither added nor taken away",
        ));
        lines.push(line(
            "an import leaves out device writeback, the choice of attributes and of object types, run profiles of one's own and the provisioning hierarchy; a rule of one's own comes along where its precedence is 0 to 99, and one that was disabled comes along enabled",
        ));
    }
    lines.push(line("Install"));
    lines
}

fn user_sign_in(settings: &CustomSettings) -> Vec<String> {
    let tick = match settings.single_sign_on {
        Some(true) => "tick",
        Some(false) => "leave clear",
        None => AS_IMPORTED,
    };
    vec![
        match settings.sign_in {
            Some(sign_in) => format!("choose \"{}\"", sign_in.shown()),
            None => line(
                "it is asked in an import too, and does not stand in the topology: choose what the server has that the settings come from, and stop here where nobody knows it",
            ),
        },
        format!("\"Enable single sign-on\": {tick}"),
        line("Next"),
    ]
}

fn directories(forests: &[&DomainName], settings: &CustomSettings) -> Vec<String> {
    // The file brings its directories, and asks for the account of each alone (2.6 [P]); by which button is in no source.
    let imports = settings.import.is_some();
    let begins = if imports {
        "it comes with the import, and nothing is added; where its account is asked for"
    } else {
        "Add Directory"
    };
    let mut lines: Vec<String> = forests
        .iter()
        .map(|forest| match settings.accounts.get(*forest) {
            Some(account) => format!(
                "{forest}: {begins}, \"Use existing AD account\", {account}"
            ),
            None => format!(
                "{forest}: {begins}, \"Create new AD account\", as {forest}\\administrator or in the NetBIOS form"
            ),
        })
        .collect();
    lines.push(match forests {
        [one] => format!("then {one} stands under the configured directories, and no other"),
        many => format!(
            "then these {} stand under the configured directories, and no other",
            many.len()
        ),
    });
    if imports {
        lines.push(line(
            "where one of them is missing, or another one stands there, stop here: an import neither adds nor takes away directories, and the file is of others",
        ));
    }
    lines.push(line("Next"));
    lines
}

fn filtering(forests: &[&DomainName], settings: &CustomSettings) -> Vec<String> {
    let mut lines = Vec::new();
    for forest in forests {
        match settings.units_of(forest) {
            None if settings.import.is_some() => lines.push(format!("{forest}: {AS_IMPORTED}")),
            None | Some([]) => lines.push(format!("{forest}: \"Sync all domains and OUs\"")),
            Some(units) => {
                lines.push(format!(
                    "{forest}: \"Sync selected domains and OUs\", and these alone:"
                ));
                lines.extend(units.iter().map(|unit| format!("  {unit}")));
            }
        }
    }
    let chosen = settings.units.values().any(|units| !units.is_empty());
    // Where none is chosen here, an import may choose some.
    if !chosen && settings.import.is_none() {
        lines.push(line("Next"));
        return lines;
    }
    let made_later = match settings.new_units {
        Some(true) => "synchronized",
        Some(false) => "not synchronized",
        None => AS_IMPORTED,
    };
    lines.push(format!(
        "organizational units that are made later under a chosen one: {made_later}"
    ));
    lines.push(line("Next"));
    lines
}

fn identity(settings: &CustomSettings) -> Vec<String> {
    let identity = match &settings.identity {
        None => format!("how users are told apart: {AS_IMPORTED}"),
        Some(Identity::Once) => line("\"Users are represented only once across all directories\""),
        Some(Identity::Mail) => line(
            "\"User identities exist across multiple directories\", matched by: Mail attribute",
        ),
        Some(Identity::ObjectSid) => line(
            "\"User identities exist across multiple directories\", matched by: ObjectSID and msExchMasterAccountSID / msRTCSIP-OriginatorSID",
        ),
        Some(Identity::AccountName) => line(
            "\"User identities exist across multiple directories\", matched by: SAMAccountName and MailNickName",
        ),
        Some(Identity::Attribute(name)) => format!(
            "\"User identities exist across multiple directories\", matched by: a specific attribute, {name}"
        ),
    };
    let anchor = match &settings.source_anchor {
        None => format!("source anchor: {AS_IMPORTED}"),
        Some(SourceAnchor::Managed) => {
            line("source anchor: \"Let Azure manage the source anchor\"")
        }
        Some(SourceAnchor::Attribute(name)) => {
            format!("source anchor: \"Choose a specific attribute\", {name}")
        }
    };
    let mut lines = vec![identity, anchor];
    if matches!(settings.source_anchor, Some(SourceAnchor::Attribute(_))) {
        lines.push(line(
            "upper and lower case of its values count, and none may hold an @",
        ));
    }
    lines.extend([
        line("neither can be changed later: stop here where the topology may be wrong"),
        line("Next"),
    ]);
    lines
}

/// Whether single sign-on is set up in that forest.
fn signs_on(settings: &CustomSettings, forest: &DomainName) -> bool {
    let chosen = &settings.single_sign_on_forests;
    chosen.is_empty() || chosen.contains(forest)
}

/// Another attribute than the user principal name does not work everywhere (the page that 2.5 names [R]).
fn user_name(settings: &CustomSettings) -> String {
    let Some(name) = &settings.user_name else {
        return format!("user principal name: {AS_IMPORTED}");
    };
    if name.eq_ignore_ascii_case("userPrincipalName") {
        return format!("user principal name: {name}");
    }
    format!(
        "user principal name: {name}; some workloads of Microsoft 365 know no such alternate ID: whoever runs them has agreed"
    )
}

/// The pages that some features add (2.5 [R], and the page that it names).
fn behind_the_features(settings: &CustomSettings) -> Vec<Page> {
    let mut pages = Vec::new();
    let filter = &settings.attribute_filter;
    if settings.features.contains(&Feature::AttributeFiltering) {
        let mut apps = if filter.apps.is_empty() {
            vec![line("leave every service ticked")]
        } else {
            let mut lines = vec![line(
                "restrict the list to these services, and these alone:",
            )];
            lines.extend(filter.apps.iter().map(|app| format!("  {app}")));
            lines
        };
        apps.push(line("Next"));
        pages.push(page("Microsoft Entra apps", apps));
        let mut attributes = if filter.without.is_empty() {
            vec![line("leave every attribute ticked")]
        } else {
            let mut lines = vec![line("clear these attributes, and no other:")];
            let without = filter.without.iter();
            lines.extend(without.map(|attribute| format!("  {attribute}")));
            lines.push(line(
                "what depends on one of them may stop working: stop here where one is not listed",
            ));
            lines
        };
        attributes.push(line("Next"));
        pages.push(page("Microsoft Entra attributes", attributes));
    }
    if settings.features.contains(&Feature::DirectoryExtensions) {
        let mut lines = vec![line(
            "select these attributes, and no other; the list is case sensitive:",
        )];
        let extensions = settings.extensions.iter();
        lines.extend(extensions.map(|attribute| format!("  {attribute}")));
        lines.push(line("Next"));
        pages.push(page("Directory extensions", lines));
    }
    pages
}

fn pilots(settings: &CustomSettings) -> Vec<String> {
    if settings.pilot_groups.is_empty() && settings.import.is_some() {
        return vec![line(AS_IMPORTED), line("Next")];
    }
    if settings.pilot_groups.is_empty() {
        return vec![line("\"Synchronize all users and devices\""), line("Next")];
    }
    let mut lines = vec![line("\"Synchronize selected\"")];
    let groups = settings.pilot_groups.iter();
    lines.extend(
        groups.map(|(forest, group)| format!("{forest}: {group}; its direct members alone")),
    );
    lines.push(line("Next"));
    lines
}

fn features(settings: &CustomSettings) -> Vec<String> {
    let mut lines: Vec<String> = settings
        .features
        .iter()
        .map(|feature| format!("tick \"{}\"", feature.shown()))
        .collect();
    // With this way to sign in the wizard ticks it by itself.
    if settings.sign_in == Some(UserSignIn::PasswordHash)
        && !settings.features.contains(&Feature::PasswordHash)
    {
        lines.push(format!(
            "\"{}\" is ticked by the choice of the sign-in",
            Feature::PasswordHash.shown()
        ));
    }
    if settings.import.is_some() && settings.features.contains(&Feature::DeviceWriteback) {
        lines.push(line(
            "an import does not bring device writeback along: it is ticked here",
        ));
    }
    lines.push(if settings.import.is_some() {
        format!("everything else: {AS_IMPORTED}")
    } else {
        line("leave everything else as it is")
    });
    lines.push(line("Next"));
    lines
}

fn ready(start: Start, staging: bool, existing: bool) -> Vec<String> {
    let tick = match start {
        Start::Ticked => "tick",
        Start::TickedBesideActive => {
            "tick, whatever `start` says: another server of the tenant is active or is to be, and the cycle that is cleared here stops there as well"
        }
        Start::Clear => "clear",
    };
    let mut lines = vec![format!(
        "\"Start the synchronization process when configuration completes\": {tick}"
    )];
    if staging && start != Start::Clear {
        lines.push(line(
            "where somebody holds the tenant's cycle just now (Get-ADSyncScheduler on another server: SyncCycleEnabled False), clear it all the same: the setting is shared, and a tick may release it there",
        ));
    }
    if start == Start::Clear {
        lines.push(line(
            "the cycle is off then, for every server of the tenant, until somebody releases it: that is asked for as soon as the wizard is through",
        ));
    }
    lines.push(line(if existing {
        "\"Enable staging mode\": a server that takes a database over starts in it, whatever is ticked"
    } else if staging {
        "\"Enable staging mode\": tick. Another server of the tenant is active, or is to be: two would break G1"
    } else {
        "\"Enable staging mode\": clear; after an import it is ticked"
    }));
    lines.push(line("Install"));
    lines
}
