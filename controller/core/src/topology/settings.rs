//! Custom settings of Connect Sync: every choice of the product's custom installation (product facts 2.5 to 2.7), as it is
//! written in `settings = { … }` of a Connect entry.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use protocol::{DomainName, TargetId};

use crate::finding::nearest;
use crate::topology::database::{self, SqlDatabase};
use crate::topology::reader::{At, Remarks, Table, Written};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal, $shown:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }
        impl $name {
            /// Every word, as the topology spells it.
            pub const WORDS: &[&str] = &[$($text),+];

            /// The choice as the wizard shows it.
            #[must_use]
            pub const fn shown(self) -> &'static str {
                match self {
                    $(Self::$variant => $shown,)+
                }
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!("\"{other}\" is none of {}", Self::WORDS.join(", "))),
                }
            }
        }
        impl Written for $name {
            fn example(text: Option<&str>) -> String {
                let meant = text.and_then(|text| nearest(text, Self::WORDS.iter().copied()));
                meant.map_or_else(|| Self::WORDS.join("\" or \""), str::to_owned)
            }
        }
    };
}

words! {
    /// Page "User sign-in".
    UserSignIn {
        /// Password hash synchronization.
        PasswordHash = "password-hash-sync", "Password Hash Synchronization";
        /// Pass-through authentication.
        PassThrough = "pass-through", "Pass-through authentication";
        /// Federation with AD FS.
        AdFs = "ad-fs", "Federation with AD FS";
        /// Federation with PingFederate.
        PingFederate = "ping-federate", "Federation with PingFederate";
        /// It is set up elsewhere.
        Nothing = "none", "Do not configure";
    }
}

words! {
    /// Page "Optional features".
    Feature {
        /// Exchange hybrid deployment.
        ExchangeHybrid = "exchange-hybrid", "Exchange hybrid deployment";
        /// Exchange mail public folders.
        PublicFolders = "exchange-public-folders", "Exchange Mail Public Folders";
        /// Applications and attributes are chosen.
        AttributeFiltering = "attribute-filtering", "Microsoft Entra app and attribute filtering";
        /// Password hashes beside another way to sign in.
        PasswordHash = "password-hash-sync", "Password hash synchronization";
        /// Passwords are written back.
        PasswordWriteback = "password-writeback", "Password writeback";
        /// Groups are written back.
        GroupWriteback = "group-writeback", "Group writeback";
        /// Devices are written back.
        DeviceWriteback = "device-writeback", "Device writeback";
        /// Attributes of one's own.
        DirectoryExtensions = "directory-extensions", "Directory extension attribute sync";
    }
}

words! {
    /// Page "AD FS farm": what becomes of the farm (the page that 2.5 names [R]).
    Farm {
        /// The wizard makes one.
        New = "new", "a new AD FS farm";
        /// There is one: the wizard makes its trust with the tenant anew.
        Existing = "existing", "the AD FS farm that exists";
    }
}

/// How a user of several forests is one user: not changeable later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Each stands once across all forests.
    Once,
    /// By the mail attribute.
    Mail,
    /// By ObjectSID and msExchMasterAccountSID or msRTCSIP-OriginatorSID.
    ObjectSid,
    /// By sAMAccountName and mailNickname.
    AccountName,
    /// By an attribute of one's own.
    Attribute(String),
}

/// The attribute that ties a user to the tenant: permanent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceAnchor {
    /// The product chooses it.
    Managed,
    /// A named one; its values hold no `@`, and upper and lower case count.
    Attribute(String),
}

/// What the wizard asks of a federation (product facts 2.5: servers, certificate, service account, domain). What is left out, whoever
/// runs AD FS or PingFederate brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Federation {
    /// Whether the farm of AD FS is made, or is there.
    pub farm: Option<Farm>,
    /// Servers of AD FS.
    pub servers: Vec<TargetId>,
    /// Web application proxies.
    pub proxies: Vec<TargetId>,
    /// Its certificate, as people name it: where it lies, or whom it is for. Never its password.
    pub certificate: Option<String>,
    /// Account of its service.
    pub service_account: Option<String>,
    /// Domain that is federated.
    pub domain: Option<DomainName>,
}

/// Which attributes are synchronized: those of services, without some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeFilter {
    /// Services whose attributes alone are synchronized, as the wizard names them; empty means all.
    pub apps: Vec<String>,
    /// Attributes that are not synchronized although a service has them.
    pub without: Vec<String>,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomSettings {
    /// Install folder; absent means the product's own.
    pub location: Option<String>,
    /// The database of the one server of an entry, on a SQL Server; absent means the LocalDB that comes along.
    pub database: Option<SqlDatabase>,
    /// The database of each server that has one on a SQL Server.
    pub databases: BTreeMap<TargetId, SqlDatabase>,
    /// Whether the wizard is started so that it signs in by Microsoft's own window: smart card, federation (2.2 [R]).
    pub interactive_sign_in: bool,
    /// Account of the service; absent means a virtual one. It is fixed at the first installation.
    pub service_account: Option<String>,
    /// The four local groups, in the wizard's order; empty means that the product makes its own.
    pub groups: Vec<String>,
    /// File of exported settings that the wizard imports.
    pub import: Option<String>,
    /// How users sign in. Here and below absent means as imported: where nothing is imported, the default stands.
    pub sign_in: Option<UserSignIn>,
    /// What the pages of a federation ask.
    pub federation: Federation,
    /// Single sign-on from the domain's computers.
    pub single_sign_on: Option<bool>,
    /// Forests in which it is set up; empty means all of them.
    pub single_sign_on_forests: Vec<DomainName>,
    /// Account that reads each forest, where one was made beforehand; the product makes one for the others.
    pub accounts: BTreeMap<DomainName, String>,
    /// Attribute that users sign in with.
    pub user_name: Option<String>,
    /// That suffixes which are not verified are agreed to.
    pub unverified_suffixes: bool,
    /// Organizational units and domains that are synchronized, by forest. A forest with an empty list is synchronized whole; so is one that
    /// is not named, where nothing is imported.
    pub units: BTreeMap<DomainName, Vec<String>>,
    /// Whether new organizational units are synchronized too.
    pub new_units: Option<bool>,
    /// How users are told apart.
    pub identity: Option<Identity>,
    /// What ties them to the tenant.
    pub source_anchor: Option<SourceAnchor>,
    /// Group whose direct members alone are synchronized, by forest: for pilots.
    pub pilot_groups: BTreeMap<DomainName, String>,
    /// Optional features.
    pub features: BTreeSet<Feature>,
    /// What the two pages behind "app and attribute filtering" ask.
    pub attribute_filter: AttributeFilter,
    /// Attributes that directory extensions carry, spelled as the schema has them: the page is case sensitive.
    pub extensions: Vec<String>,
    /// Whether synchronization starts when the wizard ends.
    pub start: bool,
}

/// Reads `settings = { … }`.
pub(super) fn parse(mut table: Table<'_, '_>, remarks: &mut Remarks<'_>) -> CustomSettings {
    let text = |at: Option<At<String>>| at.map(|at| at.value);
    let location = text(table.text("location", remarks));
    let database = database::one(&mut table, remarks);
    let databases = database::each(&mut table, remarks);
    let interactive_sign_in = table.flag("interactive_sign_in", remarks).unwrap_or(false);
    let service_account = text(table.text("service_account", remarks));
    let groups = table.list::<String>("groups", remarks);
    if let Some(first) = groups.first()
        && groups.len() != 4
    {
        let what = format!(
            "groups: the wizard asks for 4 local groups, here are {}",
            groups.len()
        );
        let fix = "write them in its order: Administrators, Operators, Browse, Password Reset";
        remarks.error(&first.range, what, fix);
    }
    let import = table.text("import", remarks);
    let mut all = database.iter().chain(databases.values());
    if let Some(import) = &import
        && all.any(|database| database.existing)
    {
        let what = "import: settings cannot be imported onto an existing database";
        remarks.error(&import.range, what, "leave one of the two out");
    }
    // What is not written is what the imported file says, and the product's own choice where there is none.
    let imports = import.is_some();
    let sign_in = table.parse("sign_in", remarks).map(|at| at.value);
    let sign_in = sign_in.or((!imports).then_some(UserSignIn::PasswordHash));
    let federation = table.table("federation", remarks);
    let federation = federation.map(|table| self::federation(table, sign_in, remarks));
    let single_sign_on = table.flag("single_sign_on", remarks);
    let single_sign_on = single_sign_on.or((!imports).then_some(false));
    let forests = table.list::<DomainName>("single_sign_on_forests", remarks);
    if let Some(first) = forests.first().filter(|_| single_sign_on != Some(true)) {
        remarks.error(
            &first.range,
            "single_sign_on_forests without single_sign_on: the wizard asks for no forest",
            "write single_sign_on = true, or leave it out",
        );
    }
    let accounts = table.texts("accounts", remarks).into_iter().collect();
    let user_name = text(table.text("user_name", remarks));
    let unverified_suffixes = table.flag("unverified_suffixes", remarks).unwrap_or(false);
    let units = table.lists("units", remarks).into_iter().collect();
    let new_units = table.flag("new_units", remarks);
    let identity = table.text("identity", remarks);
    let source_anchor = table.text("source_anchor", remarks);
    if let Some(at) = source_anchor.as_ref().filter(|at| at.value.contains('@')) {
        let what = format!("source_anchor: \"{}\" is no attribute", at.value);
        remarks.error(
            &at.range,
            what,
            "write \"managed\" or the name of an attribute",
        );
    }
    let pilot_groups = table.texts("pilot_groups", remarks).into_iter().collect();
    let features = table.list::<Feature>("features", remarks);
    let features: BTreeSet<Feature> = features.into_iter().map(|at| at.value).collect();
    let attribute_filter = attribute_filter(&mut table, &features, remarks);
    let extensions = table.list::<String>("directory_extensions", remarks);
    if let Some(first) = extensions.first()
        && !features.contains(&Feature::DirectoryExtensions)
    {
        remarks.error(
            &first.range,
            "directory_extensions without that feature: the wizard asks for no attribute",
            "add \"directory-extensions\" to features, or leave it out",
        );
    }
    let start = table.flag("start", remarks).unwrap_or(true);
    table.finish(remarks);
    CustomSettings {
        location,
        database,
        databases,
        interactive_sign_in,
        service_account,
        groups: groups.into_iter().map(|at| at.value).collect(),
        import: text(import),
        sign_in,
        federation: federation.unwrap_or_default(),
        single_sign_on,
        single_sign_on_forests: forests.into_iter().map(|at| at.value).collect(),
        accounts,
        user_name: user_name.or_else(|| (!imports).then(|| "userPrincipalName".to_owned())),
        unverified_suffixes,
        units,
        new_units: new_units.or((!imports).then_some(true)),
        identity: match text(identity).as_deref() {
            None => (!imports).then_some(Identity::Once),
            Some("once") => Some(Identity::Once),
            Some("mail") => Some(Identity::Mail),
            Some("object-sid") => Some(Identity::ObjectSid),
            Some("account-name") => Some(Identity::AccountName),
            Some(attribute) => Some(Identity::Attribute(attribute.to_owned())),
        },
        source_anchor: match text(source_anchor).as_deref() {
            None => (!imports).then_some(SourceAnchor::Managed),
            Some("managed") => Some(SourceAnchor::Managed),
            Some(attribute) => Some(SourceAnchor::Attribute(attribute.to_owned())),
        },
        pilot_groups,
        features,
        attribute_filter,
        extensions: extensions.into_iter().map(|at| at.value).collect(),
        start,
    }
}

/// Reads `attribute_filtering = { apps = ["…"], without = ["…"] }`.
fn attribute_filter(
    table: &mut Table<'_, '_>,
    features: &BTreeSet<Feature>,
    remarks: &mut Remarks<'_>,
) -> AttributeFilter {
    let Some(mut table) = table.table("attribute_filtering", remarks) else {
        return AttributeFilter::default();
    };
    let range = table.range().clone();
    let names = |all: Vec<At<String>>| all.into_iter().map(|at| at.value).collect();
    let filter = AttributeFilter {
        apps: names(table.list("apps", remarks)),
        without: names(table.list("without", remarks)),
    };
    table.finish(remarks);
    if !features.contains(&Feature::AttributeFiltering) {
        remarks.error(
            &range,
            "attribute_filtering without that feature: the wizard asks for neither services nor attributes",
            "add \"attribute-filtering\" to features, or leave it out",
        );
    }
    filter
}

/// Reads `federation = { … }`: of AD FS everything, of PingFederate the domain alone.
fn federation(
    mut table: Table<'_, '_>,
    sign_in: Option<UserSignIn>,
    remarks: &mut Remarks<'_>,
) -> Federation {
    let range = table.range().clone();
    let names = |all: Vec<At<TargetId>>| all.into_iter().map(|at| at.value).collect();
    let federation = Federation {
        farm: table.parse("farm", remarks).map(|at| at.value),
        servers: names(table.list("servers", remarks)),
        proxies: names(table.list("proxies", remarks)),
        certificate: table.text("certificate", remarks).map(|at| at.value),
        service_account: table.text("service_account", remarks).map(|at| at.value),
        domain: table.parse("domain", remarks).map(|at| at.value),
    };
    table.finish(remarks);
    let domain_alone = Federation {
        domain: federation.domain.clone(),
        ..Federation::default()
    };
    match sign_in {
        Some(UserSignIn::AdFs) => {}
        Some(UserSignIn::PingFederate) if federation == domain_alone => {}
        Some(UserSignIn::PingFederate) => remarks.error(
            &range,
            "federation: of PingFederate the wizard is told the domain alone; its servers are set up there",
            "write federation = { domain = \"contoso.com\" }",
        ),
        None
        | Some(UserSignIn::PasswordHash | UserSignIn::PassThrough | UserSignIn::Nothing) => remarks.error(
            &range,
            "federation without a sign-in that is federated: the wizard asks for nothing of it",
            "write sign_in = \"ad-fs\" or \"ping-federate\", or leave it out",
        ),
    }
    federation
}

impl CustomSettings {
    /// The units of a forest that are synchronized, where some are written; an empty list takes the forest whole.
    #[must_use]
    pub fn units_of(&self, forest: &DomainName) -> Option<&[String]> {
        self.units.get(forest).map(Vec::as_slice)
    }

    /// Every forest that is named in them.
    pub fn forests(&self) -> impl Iterator<Item = &DomainName> {
        let accounts = self.accounts.keys();
        accounts
            .chain(self.units.keys())
            .chain(self.pilot_groups.keys())
            .chain(&self.single_sign_on_forests)
    }
}
