//! Choices of custom settings that the wizard would refuse, or that would come to something else than was meant (product facts 2.5,
//! 2.6, 2.9).

use crate::finding::{Finding, Severity};
use crate::scope::Dn;
use crate::topology::model::ConnectEntry;
use crate::topology::settings::{CustomSettings, Feature, SourceAnchor};

/// Attributes whose values hold an `@`, which a source anchor cannot (2.5 [R]).
const WITH_AT: [&str; 2] = ["mail", "userPrincipalName"];

/// What the settings of an entry may not say, whichever server gets them.
pub(super) fn check(
    name: &str,
    entry: &ConnectEntry,
    settings: &CustomSettings,
    findings: &mut Vec<Finding>,
) {
    let mut refuse = |what: String, fix: &str| {
        findings.push(Finding {
            place: entry.place.clone(),
            severity: Severity::Error,
            what,
            fix: fix.to_owned(),
        });
    };
    if let Some(location) = settings.location.as_deref().filter(|path| !is_local(path)) {
        refuse(
            format!("location of \"{name}\": \"{location}\" is no folder of a local drive"),
            "write it as D:\\\\Connect",
        );
    }
    if let Some(group) = settings.groups.iter().find(|group| is_of_a_domain(group)) {
        refuse(
            format!(
                "groups of \"{name}\": {group} names a domain, and the wizard takes local groups of the server"
            ),
            "write the name of a group that every server of the entry has, without a domain",
        );
    }
    if let Some(import) = &settings.import
        && !import.to_lowercase().ends_with(".json")
    {
        refuse(
            format!(
                "import of \"{name}\": \"{import}\" is no file of exported settings: the product writes JSON"
            ),
            "name the file that the wizard or MigrateSettings.ps1 wrote, such as MigratedPolicy.json",
        );
    }
    for (forest, account) in &settings.accounts {
        if account.ends_with('$') {
            refuse(
                format!(
                    "accounts of \"{name}\": {account}, which is to read {forest}, is a managed or a computer account: the wizard takes a normal user alone"
                ),
                "name a user that was made beforehand, or leave it out: the wizard then makes one",
            );
        } else if is_built_in(account) {
            refuse(
                format!(
                    "accounts of \"{name}\": {account}, which is to read {forest}, is an administrator: since 1.4.18.0 the wizard refuses Enterprise and Domain Admins"
                ),
                "name a user that was made beforehand, or leave it out: the wizard then makes one",
            );
        }
    }
    if let Some(SourceAnchor::Attribute(anchor)) = &settings.source_anchor
        && WITH_AT.iter().any(|one| one.eq_ignore_ascii_case(anchor))
    {
        refuse(
            format!(
                "source_anchor of \"{name}\": the values of {anchor} hold an @, which an anchor cannot"
            ),
            "write \"managed\", or an attribute whose values never change and hold no @",
        );
    }
    names(name, settings, &mut refuse);
    pages_behind(name, settings, &mut refuse);
    let imported = settings.import.is_some();
    if settings.units.is_empty() && settings.new_units == Some(false) && !imported {
        findings.push(Finding {
            place: entry.place.clone(),
            severity: Severity::Warning,
            what: format!("new_units of \"{name}\" says nothing: every organizational unit is synchronized, new ones too"),
            fix: "write `units`, or leave new_units out".to_owned(),
        });
    }
}

/// Names of organizational units and groups.
fn names(name: &str, settings: &CustomSettings, refuse: &mut impl FnMut(String, &str)) {
    const WRITE: &str = "write it as OU=Staff,DC=corp,DC=contoso,DC=com";
    for (forest, units) in &settings.units {
        for unit in units.iter().filter(|unit| !is_placed(unit)) {
            refuse(
                format!(
                    "units of \"{name}\" for {forest}: \"{unit}\" is no distinguished name that ends in its domain"
                ),
                WRITE,
            );
        }
    }
    for (forest, group) in &settings.pilot_groups {
        let Some(at) = Dn::read(group).filter(|_| is_placed(group)) else {
            refuse(
                format!(
                    "pilot_groups of \"{name}\" for {forest}: \"{group}\" is no distinguished name that ends in its domain"
                ),
                "write it as CN=Pilot,OU=Groups,DC=corp,DC=contoso,DC=com",
            );
            continue;
        };
        let units = settings.units.get(forest).map_or(&[][..], Vec::as_slice);
        let holds = |unit: &String| Dn::read(unit).is_some_and(|unit| at.is_below(&unit));
        let left_out = !units.is_empty() && !units.iter().any(holds);
        if left_out {
            refuse(
                format!(
                    "pilot_groups of \"{name}\": {group} lies in none of the units of {forest}: units are looked at before the group, so that nothing would be synchronized"
                ),
                "add the unit of the group to `units`",
            );
        }
    }
}

/// Features that add pages of their own, and whether these are answered.
fn pages_behind(name: &str, settings: &CustomSettings, refuse: &mut impl FnMut(String, &str)) {
    let filter = &settings.attribute_filter;
    let chosen = |feature| settings.features.contains(&feature);
    if chosen(Feature::AttributeFiltering) && filter.apps.is_empty() && filter.without.is_empty() {
        refuse(
            format!(
                "features of \"{name}\" have attribute-filtering, and nothing says which services or attributes: the person at the wizard would choose"
            ),
            "write attribute_filtering = { apps = [\"…\"], without = [\"…\"] }, or take the feature out",
        );
    }
    if chosen(Feature::DirectoryExtensions) && settings.extensions.is_empty() {
        refuse(
            format!(
                "features of \"{name}\" have directory-extensions, and nothing says which attributes: the person at the wizard would choose"
            ),
            "write directory_extensions = [\"…\"], spelled as the schema has them, or take the feature out",
        );
    }
    let all = filter
        .without
        .iter()
        .map(|one| ("attribute_filtering", one));
    let all = all.chain(
        settings
            .extensions
            .iter()
            .map(|one| ("directory_extensions", one)),
    );
    for (key, attribute) in all.filter(|(_, attribute)| !is_attribute(attribute)) {
        refuse(
            format!("{key} of \"{name}\": \"{attribute}\" is no name of an attribute"),
            "write its LDAP display name: a letter, then letters, digits and hyphens",
        );
    }
    for (at, one) in settings.extensions.iter().enumerate() {
        let before = &settings.extensions[..at];
        if before.iter().any(|other| other.eq_ignore_ascii_case(one)) {
            refuse(
                format!("directory_extensions of \"{name}\": {one} stands there twice"),
                "remove one of the two; the page is case sensitive, so keep the schema's spelling",
            );
        }
    }
}

/// A distinguished name whose last parts are those of a domain.
fn is_placed(text: &str) -> bool {
    let last = text.rsplit(',').next().unwrap_or_default();
    let last = last.trim_start().to_lowercase();
    Dn::read(text).is_some() && last.starts_with("dc=")
}

fn is_local(path: &str) -> bool {
    let mut signs = path.chars();
    signs.next().is_some_and(|sign| sign.is_ascii_alphabetic())
        && signs.next() == Some(':')
        && signs.next() == Some('\\')
}

/// `BUILTIN` and `.` are the server itself.
fn is_of_a_domain(group: &str) -> bool {
    match group.split_once('\\') {
        Some((domain, _)) => domain != "." && !domain.eq_ignore_ascii_case("BUILTIN"),
        None => group.contains('@'),
    }
}

/// The domain's own Administrator; that it is one of the Domain Admins is general knowledge ([K]).
fn is_built_in(account: &str) -> bool {
    let user = account.rsplit('\\').next().unwrap_or(account);
    let user = user.split('@').next().unwrap_or(user);
    user.eq_ignore_ascii_case("administrator")
}

/// Display names of LDAP ([K]).
fn is_attribute(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    name.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
        && name.bytes().all(rest)
}
