//! The directory's part of a rollout, for the domain's administrator: what they run on their own workstation, so that no
//! credential reaches Entrain (product facts 1.6). The text is PowerShell, meant to be read before it is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use protocol::step::Permission;
use protocol::{DomainName, GmsaName, TargetId};

use serde::Serialize;

use crate::forest::Forests;
use crate::topology::{AgentGroup, Topology};

/// The product's default gMSA (1.6 [P]).
const DEFAULT_GMSA: &str = "provAgentgMSA$";

/// Rights that an agent needs in each domain that it serves; from 1.1.2334.0 on the product does not grant them to a gMSA
/// that was made beforehand (1.6, 1.11 [R]).
const PERMISSIONS: &[(Permission, &str)] = &[
    (Permission::BasicRead, "always"),
    (
        Permission::PasswordHashSync,
        "where password hashes are synchronized",
    ),
    (
        Permission::PasswordWriteback,
        "where passwords are written back",
    ),
    (
        Permission::UserGroupCreateDelete,
        "where groups or users are provisioned to the directory",
    ),
];

/// Switches the writeback of passwords on, with the credential of a Global Administrator (1.4 [R]).
pub(crate) const SWITCH_WRITEBACK_ON: &str =
    "Set-AADCloudSyncPasswordWritebackConfiguration -Enable $true";

/// What few need, and is printed to be taken in: nobody is given more than is used by running the text as it is.
const SELDOM: &[(Permission, &str)] = &[
    (Permission::ExchangeHybrid, "where Exchange is hybrid"),
    (
        Permission::ExchangePublicFolders,
        "where mail public folders are synchronized",
    ),
];

/// Domains of servers whose names do not tell them, as somebody says who knows.
pub type Members = BTreeMap<TargetId, DomainName>;

/// The domain in which a server's account lives, and with it that of its gMSA.
fn home(members: &Members, host: &TargetId) -> Option<DomainName> {
    members.get(host).cloned().or_else(|| host.home_domain())
}

/// What part 3 gives, and to whom: accounts, each with the domain in which it has its home.
struct Grants {
    rights: Vec<(Permission, &'static str)>,
    seldom: &'static [(Permission, &'static str)],
    trustees: BTreeSet<(GmsaName, DomainName)>,
}

/// Whether Connect takes a domain that agents serve.
#[derive(Clone, Copy)]
enum Both<'a> {
    /// It does, as it is written or was read.
    Yes,
    /// It takes all of that forest, and it is not known whether the domain is a tree of it.
    Maybe(&'a DomainName),
    No,
}

/// What a domain's administrator is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handover {
    /// The domain.
    pub domain: DomainName,
    /// Who answers for it, as the topology says.
    pub owner: Option<String>,
    /// gMSAs that have their home there, with the servers that may retrieve the password.
    pub accounts: BTreeMap<GmsaName, BTreeSet<TargetId>>,
    /// gMSAs that have their home there, with the servers that must no longer retrieve the password.
    pub leaving: BTreeMap<GmsaName, BTreeSet<TargetId>>,
    /// True when agents serve the domain, so that their account needs rights in it.
    pub served: bool,
    /// What to read and to run: PowerShell.
    pub script: String,
}

/// Puts together what a domain's administrator is asked to do. Another tree of a forest of Connect shows by what is `read` alone, where no
/// topology says so.
///
/// # Errors
/// When nothing in the topology concerns the domain, or a member is no server of an agent there.
pub fn handover(
    topology: &Topology,
    read: &Forests,
    domain: &DomainName,
    members: &Members,
) -> Result<Handover, String> {
    let hosts = |group: &AgentGroup| -> Vec<TargetId> {
        let all = group.hosts.iter().chain(&group.retired);
        all.map(|(host, _)| host.clone()).collect()
    };
    let all: BTreeSet<TargetId> = topology.agents.values().flat_map(hosts).collect();
    if let Some(stranger) = members.keys().find(|member| !all.contains(*member)) {
        return Err(format!(
            "{stranger} is no host of agents in the topology: write its name as it stands there"
        ));
    }
    let serving = topology
        .agents
        .values()
        .filter(|group| group.serves.iter().any(|(served, _)| served == domain));
    let served = serving.count() > 0;
    let mut accounts: BTreeMap<GmsaName, BTreeSet<TargetId>> = BTreeMap::new();
    let mut leaving: BTreeMap<GmsaName, BTreeSet<TargetId>> = BTreeMap::new();
    for group in topology.agents.values() {
        let default = DEFAULT_GMSA.parse().ok();
        let Some(name) = group.gmsa.clone().or(default) else {
            continue;
        };
        for (hosts, of) in [
            (&group.hosts, &mut accounts),
            (&group.retired, &mut leaving),
        ] {
            let own = hosts.iter().map(|(host, _)| host);
            for host in own.filter(|host| home(members, host).as_ref() == Some(domain)) {
                of.entry(name.clone()).or_default().insert(host.clone());
            }
        }
    }
    let mut entries = topology.connect.values();
    let connects = entries.any(|entry| entry.takes(read, domain).is_some());
    let entries = topology.connect.values();
    let maybe: Vec<&DomainName> = entries
        .flat_map(|entry| entry.may_take(read, domain))
        .collect();
    let connect_goes = loses_connect(topology, domain);
    if !served && accounts.is_empty() && leaving.is_empty() && !connects && !connect_goes {
        return Err(format!(
            "nothing in the topology serves {domain}, is a server of it by its name, or has it among the forests of Connect; where a server's name does not tell its domain, add --member SERVER={domain}"
        ));
    }
    let owner = topology.domains.get(domain);
    let owner = owner.and_then(|domain| domain.owner.clone());
    let mut script = String::new();
    let written = topology.domains.get(domain);
    let written = written.is_some_and(|domain| !domain.permissions.is_empty());
    let grants = served.then(|| Grants {
        rights: rights(topology, domain),
        seldom: if written { &[] } else { SELDOM },
        trustees: trustees(topology, domain, members),
    });
    let both = if !served {
        Both::No
    } else if connects {
        Both::Yes
    } else {
        maybe.first().map_or(Both::No, |forest| Both::Maybe(forest))
    };
    write(
        &mut script,
        owner.as_deref(),
        domain,
        (&accounts, !leaving.is_empty()),
        (grants.as_ref(), both, connect_goes),
    )
    .and_then(|()| {
        let named = accounts.keys().chain(leaving.keys()).collect();
        servers(&mut script, domain, &named)
    })
    .and_then(|()| farewell(&mut script, domain, &leaving))
    .map_err(|_| "writing to a text cannot fail".to_owned())?;
    Ok(Handover {
        domain: domain.clone(),
        owner,
        accounts,
        leaving,
        served,
        script,
    })
}

/// Whether Connect is to go from a server of a domain: what it leaves in the directory is asked for there (UN03).
fn loses_connect(topology: &Topology, domain: &DomainName) -> bool {
    let retired = topology.connect.values().flat_map(|entry| &entry.retired);
    let mut homes = retired.filter_map(|(server, _)| server.home_domain());
    homes.any(|home| home == *domain)
}

/// Those that the topology names, else all of which one may be used.
fn rights(topology: &Topology, domain: &DomainName) -> Vec<(Permission, &'static str)> {
    let named = topology.domains.get(domain);
    match named.map(|domain| &domain.permissions) {
        Some(named) if !named.is_empty() => {
            let named = named.iter().copied();
            named
                .map(|right| (right, "as the topology has it"))
                .collect()
        }
        Some(_) | None => PERMISSIONS.to_vec(),
    }
}

/// The accounts of agents that serve a domain, each with the domain in which it has its home.
fn trustees(
    topology: &Topology,
    domain: &DomainName,
    members: &Members,
) -> BTreeSet<(GmsaName, DomainName)> {
    let serving = topology
        .agents
        .values()
        .filter(|group| group.serves.iter().any(|(served, _)| served == domain));
    let mut all = BTreeSet::new();
    for group in serving {
        let default = DEFAULT_GMSA.parse().ok();
        let Some(name) = group.gmsa.clone().or(default) else {
            continue;
        };
        let homes = group
            .hosts
            .iter()
            .filter_map(|(host, _)| home(members, host));
        all.extend(homes.map(|home| (name.clone(), home)));
    }
    all
}

fn write(
    out: &mut String,
    owner: Option<&str>,
    domain: &DomainName,
    (accounts, takes_away): (&BTreeMap<GmsaName, BTreeSet<TargetId>>, bool),
    (grants, both, connect_goes): (Option<&Grants>, Both<'_>, bool),
) -> std::fmt::Result {
    writeln!(out, "# The directory's part for {domain}")?;
    if let Some(owner) = owner {
        writeln!(out, "# For: {}", owner.replace(['\r', '\n'], " "))?;
    }
    writeln!(
        out,
        "# Run by an administrator of {domain}, in Windows PowerShell with the ActiveDirectory module, on their own
# workstation, but for part 3. No credential reaches Entrain. Read each part before you run it.
$ErrorActionPreference = 'Stop'
Import-Module -Name ActiveDirectory"
    )?;
    if accounts.is_empty() && grants.is_none() && !takes_away {
        writeln!(
            out,
            "
# Nothing is to be made or given here for agents: what stands below asks."
        )?;
    }
    // `-EffectiveImmediately`, and ten days without it: the page of Add-KdsRootKey in windows-powershell-docs [P]. The vendor's page on making
    // the key has said ten hours and ten days in turn; of a key that starts now ten hours stand in the facts (1.6 [S]).
    if !accounts.is_empty() {
        writeln!(
            out,
            "
# 1. Key for the passwords of group managed service accounts: once for each forest, by its administrator. A key is
#    usable ten hours after its start. -EffectiveImmediately has it start now; without that switch it starts ten days later. Do not
#    date it back outside of a lab. Where the key that is there starts in the future, this part leaves it and shows it. Its cmdlets ask
#    the forest of the machine on which they run, and no other: on a workstation of another forest this part does nothing and says so.
$forest = (Get-ADDomain -Server '{domain}').Forest
$here = (Get-ADForest -Current LocalComputer).Name
if ($here -ne $forest) {{
    Write-Warning \"Part 1 did nothing: this machine is in the forest $here, and the key is wanted in $forest. Run it on a machine of that forest.\"
}} else {{
    if (-not (Get-KdsRootKey)) {{ Add-KdsRootKey -EffectiveImmediately }}
    Get-KdsRootKey | Select-Object -Property KeyId, EffectiveTime
}}"
        )?;
    }
    for (name, hosts) in accounts {
        let short = name.as_str().trim_end_matches('$');
        writeln!(
            out,
            "\n# 2. {name}: the account that the agents run as, for"
        )?;
        for host in hosts {
            writeln!(out, "#    {host}")?;
        }
        writeln!(out, "$servers = @(")?;
        for host in hosts {
            writeln!(
                out,
                "    Get-ADComputer -Server '{domain}' -Filter \"DNSHostName -eq '{host}'\""
            )?;
        }
        writeln!(
            out,
            ")
if ($servers.Count -ne {count}) {{ throw \"$($servers.Count) of {count} servers have an account in {domain}\" }}
$account = Get-ADServiceAccount -Server '{domain}' -Filter \"Name -eq '{short}'\" -Properties PrincipalsAllowedToRetrieveManagedPassword
if ($account) {{
    # Whoever may retrieve the password already keeps that right.
    $readers = @($account.PrincipalsAllowedToRetrieveManagedPassword) + @($servers.DistinguishedName) | Sort-Object -Unique
    Set-ADServiceAccount -Server '{domain}' -Identity '{short}' -PrincipalsAllowedToRetrieveManagedPassword $readers
}} else {{
    New-ADServiceAccount -Server '{domain}' -Name '{short}' -DNSHostName '{short}.{domain}' -ManagedPasswordIntervalInDays 30 -PrincipalsAllowedToRetrieveManagedPassword $servers -Enabled $true
}}
# Both sides must speak a common encryption; RC4 is off on hardened servers.
Set-ADServiceAccount -Server '{domain}' -Identity '{short}' -KerberosEncryptionType AES128,AES256",
            count = hosts.len()
        )?;
    }
    if let Some(grants) = grants {
        grant(out, domain, grants)?;
    }
    writeln!(out, "\n# 4. Then each server sees for itself, by:")?;
    for (name, hosts) in accounts {
        for host in hosts {
            writeln!(
                out,
                "#    entrain-agent directory {domain} --gmsa '{name}' --server {host}"
            )?;
        }
    }
    writeln!(out, "#    or all of them: entrain preflight")?;
    // Connect and agents are to serve it: whether objects keep their anchors is asked of it (PF60).
    let anchors = match both {
        Both::Yes => " --anchors",
        Both::Maybe(forest) => {
            writeln!(
                out,
                "#    Whether {domain} is another tree of the forest {forest}, which Connect takes whole, is not known here (no agent
#    has read it, or no controller answered): where it is one, add --anchors to the first line below."
            )?;
            ""
        }
        Both::No => "",
    };
    let goes = if connect_goes { " --connect-goes" } else { "" };
    writeln!(
        out,
        "#    What a server's own account may not read is *cannot tell* there. Whoever may read it asks once more, signed in (--user NAME
#    reads the password from standard input, and nothing of it is written), and hands on the file:
#    entrain-agent directory {domain} --user NAME --answers {domain}.json{anchors}{goes}
#    Beside it for each server of the account: --gmsa NAME --server SERVER. Whoever operates Entrain hands each file in within a day:
#    entrain attest --directory {domain}.json"
    )
}

/// The end of part 4: which servers carry a product is asked of accounts that a server's own account may not read (2.9, 1.6).
fn servers(
    out: &mut String,
    domain: &DomainName,
    accounts: &BTreeSet<&GmsaName>,
) -> std::fmt::Result {
    // A gMSA of another name than the product's own is known by nothing else.
    let named = accounts
        .iter()
        .filter(|name| !name.as_str().eq_ignore_ascii_case(DEFAULT_GMSA));
    let named: Vec<String> = named.map(|name| format!(" --account '{name}'")).collect();
    writeln!(
        out,
        "#    Which servers carry a product stands in descriptions of MSOL_ accounts and with who may retrieve a gMSA's password. Where `entrain
#    discover` says that these were not read, whoever may read them asks for that too, and hands it on alike:
#    entrain-agent directory {domain} --user NAME --servers --answers {domain}-servers.json{}
#    entrain attest --directory {domain}-servers.json",
        named.concat()
    )
}

/// Part 3. The cmdlets lie on an agent's server, and take a domain that its agent serves alone (1.6 [P]): on another machine that is
/// said. Of what they grant, the two rights of password hash synchronization lie on the domain itself (1.6 [P]), so that those can be
/// given from anywhere; `dsacls` takes their display names ([K]). The rights of the other sets are documented too (1.6 [P]), and not
/// on which objects and with which inheritance they are set.
fn grant(
    out: &mut String,
    domain: &DomainName,
    Grants {
        rights,
        seldom,
        trustees,
    }: &Grants,
) -> std::fmt::Result {
    writeln!(
        out,
        "
# 3. Rights of the account in {domain}, once an agent serves the domain. Not on your workstation: the cmdlets lie on an agent's
#    server, and take a domain that its agent serves. Run this part there; on a machine without them it grants nothing and says so.
#    The credential is asked for there by Windows, and Entrain does not see it. Leave out what is not used. Objects that AdminSDHolder
#    protects do not get them.
$module = 'C:\\Program Files\\Microsoft Azure AD Connect Provisioning Agent\\Microsoft.CloudSync.PowerShell.dll'
if (Test-Path -LiteralPath $module) {{
    Import-Module -Name $module
    $administrator = Get-Credential"
    )?;
    for (permission, when) in rights {
        let permission = permission.cmdlet_word();
        writeln!(
            out,
            "    Set-AADCloudSyncPermissions -PermissionType '{permission}' -TargetDomain '{domain}' -TargetDomainCredential $administrator # {when}"
        )?;
    }
    for (permission, when) in *seldom {
        let permission = permission.cmdlet_word();
        writeln!(
            out,
            "    # Set-AADCloudSyncPermissions -PermissionType '{permission}' -TargetDomain '{domain}' -TargetDomainCredential $administrator # {when}: take away the first sign"
        )?;
    }
    if trustees.iter().any(|(_, home)| home == domain) {
        writeln!(
            out,
            "    # The account's own object, once it is as it is to stay: fewer may change it afterwards.
    if ((Read-Host 'Type HARDEN to restrict who may change the object of the account of this server''s agent') -eq 'HARDEN') {{
        Set-AADCloudSyncRestrictedPermissions -Credential $administrator
    }}"
        )?;
    }
    let writes_back = [Permission::PasswordWriteback, Permission::All];
    if rights.iter().any(|(right, _)| writes_back.contains(right)) {
        writeln!(
            out,
            "    # Where passwords are to be written back, these rights switch nothing on. Whoever operates the tenant does, as a
    # Global Administrator and with a credential of that role, here, with the module imported as above; it runs unattended nowhere:
    # {SWITCH_WRITEBACK_ON}"
        )?;
    }
    writeln!(
        out,
        "}} else {{
    Write-Warning 'Part 3 granted nothing: this machine has no provisioning agent.'
}}"
    )?;
    let hashes = rights
        .iter()
        .any(|(right, _)| *right == Permission::PasswordHashSync);
    if !hashes || trustees.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "
#    From your workstation in its place, for password hash synchronization alone: its two rights on the domain, which `entrain preflight`
#    reads back (PF54). What the other sets grant is documented too, and not on which objects it is set: they stay with the cmdlets, and are
#    read back on the domain, from where everything below inherits.
if ((Read-Host 'Type GRANT to give the two rights of replication from here') -eq 'GRANT') {{
    $top = (Get-ADDomain -Server '{domain}').DistinguishedName"
    )?;
    for (name, home) in trustees {
        let short = name.as_str().trim_end_matches('$');
        writeln!(
            out,
            "    $trustee = (Get-ADDomain -Server '{home}').NetBIOSName + '\\' + (Get-ADServiceAccount -Server '{home}' -Identity '{short}').SamAccountName
    foreach ($right in 'Replicating Directory Changes', 'Replicating Directory Changes All') {{
        & dsacls.exe \"\\\\{domain}\\$top\" /G \"${{trustee}}:CA;$right\"
        if ($LASTEXITCODE -ne 0) {{ throw \"dsacls ended with $LASTEXITCODE\" }}
    }}"
        )?;
    }
    writeln!(out, "}}")
}

/// What is taken back from servers that carry the agent no more.
fn farewell(
    out: &mut String,
    domain: &DomainName,
    leaving: &BTreeMap<GmsaName, BTreeSet<TargetId>>,
) -> std::fmt::Result {
    for (name, hosts) in leaving {
        let short = name.as_str().trim_end_matches('$');
        writeln!(
            out,
            "
# 5. {name}: servers that go. Only once `entrain status` shows each of them as done: an agent that still runs stops
#    when it may not retrieve the password any more. Where a server's service ran as another account, use that name. A right
#    that comes through a group is taken there. Rights in the directory are the account's, and stay."
        )?;
        for host in hosts {
            writeln!(out, "#    {host}")?;
        }
        writeln!(
            out,
            "if ((Read-Host 'Type GONE when each of them is done') -eq 'GONE') {{
$leaving = @("
        )?;
        for host in hosts {
            writeln!(
                out,
                "    Get-ADComputer -Server '{domain}' -Filter \"DNSHostName -eq '{host}'\""
            )?;
        }
        writeln!(
            out,
            ")
$account = Get-ADServiceAccount -Server '{domain}' -Identity '{short}' -Properties PrincipalsAllowedToRetrieveManagedPassword
$readers = @($account.PrincipalsAllowedToRetrieveManagedPassword | Where-Object {{ $leaving.DistinguishedName -notcontains $_ }})
if ($readers.Count -gt 0) {{
    Set-ADServiceAccount -Server '{domain}' -Identity '{short}' -PrincipalsAllowedToRetrieveManagedPassword $readers
}} else {{
    # Nobody else uses it: {name} itself may go, if nothing but these agents ever did.
    Set-ADServiceAccount -Server '{domain}' -Identity '{short}' -PrincipalsAllowedToRetrieveManagedPassword $null
}}
}}
# Where the removal could not be told whether a server is off that list (RM07), whoever may read it asks, signed in, and hands the file on:"
        )?;
        for host in hosts {
            writeln!(
                out,
                "#    entrain-agent directory {domain} --user NAME --gmsa '{name}' --server {host} --answers {host}.json
#    entrain attest --directory {host}.json"
            )?;
        }
    }
    Ok(())
}
