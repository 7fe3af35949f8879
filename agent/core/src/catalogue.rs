//! The catalogue of probes, as data: what is probed before and after, what passes, how grave a failure is, what to do
//! about it and who does it. Ids are those of sections 5 (`PF`) and 6 (`PV`) of the product facts; `SEC`, `SW`, `CU` (before an upgrade), `MO` (what a module takes), `SK` (behind a soak),
//! `WZ` (wizards), `UN` (before Connect is taken off), `RM` and `CR` (after a removal) and `TR` (a move from Connect to cloud sync) are Entrain's own. What is asked of a tenant
//! stands in [`protocol::probe`], since no agent asks it.

pub use protocol::probe::Probe;
use protocol::step::Product;

const BOTH: Option<Product> = None;
const AGENT: Option<Product> = Some(Product::ProvisioningAgent);
const CONNECT: Option<Product> = Some(Product::Connect);

protocol::probes! {
    PF01 BOTH, Block, Server: "Windows is a server", wants "ServerNT or LanmanNT", else "use a server operating system";
    PF02 BOTH, Block, Server: "Windows Server 2016 or later", wants "build 14393 or later", else "use Windows Server 2016 or later";
    PF03 BOTH, Block, Server: "installation with desktop", wants "Server", else "Server Core is not supported by the product: use an installation with desktop experience";
    PF04 BOTH, Block, Server: "joined to a domain", wants "a domain", else "join the server to its domain";
    PF05 BOTH, Block, Server: "secure channel to the domain, on a member server", wants "Test-ComputerSecureChannel answers True", else "repair the channel (Test-ComputerSecureChannel -Repair), or join the domain again";
    PF06 BOTH, Block, Server: "the agent has an administrator's rights", wants "elevated", else "run the agent's service as Local System";
    PF07 AGENT, Block, Server: "4 GB of memory", wants "3788 MiB or more", else "give the server 4 GB of memory";
    PF08 CONNECT, Warn, Server: "memory and disk for the smallest directory, and for what was counted where that is more", wants "6144 MiB of memory and 70 GB of disk; more from 50,000 objects on", else "size the server by the product's table of objects";
    PF09 AGENT, Block, Server: ".NET Framework 4.7.1 or later", wants "Release 461308 or later", else "install .NET Framework 4.8";
    PF10 CONNECT, Block, Server: ".NET Framework 4.7.2 or later", wants "Release 461808 or later", else "install .NET Framework 4.8";
    PF11 BOTH, Block, Server: "Windows PowerShell", wants "5.1", else "install Windows Management Framework 5.1";
    PF12 AGENT, Block, Server: "PowerShell execution policies", wants "each Undefined or RemoteSigned: under AllSigned Entrain's own scripts run, and the product's registration does not", else "set each scope to RemoteSigned or Undefined; a group policy must be changed where it is made";
    PF13 CONNECT, Block, Server: "PowerShell execution policy", wants "one that lets signed scripts run", else "set it to RemoteSigned; a group policy must be changed where it is made";
    PF14 AGENT, Block, Server: "Credential Manager (VaultSvc)", wants "not disabled", else "set the service VaultSvc to Manual, or list \"vaultsvc\" in may_fix";
    PF15 AGENT, Block, Server: "TLS 1.2 for clients (SCHANNEL)", wants "Enabled 1, DisabledByDefault 0", else "set both values and restart, or list \"tls12\" in may_fix";
    PF16 AGENT, Warn, Server: "TLS 1.2 for servers (SCHANNEL)", wants "Enabled 1, DisabledByDefault 0", else "set both values and restart, or list \"tls12\" in may_fix";
    PF17 BOTH, Block, Server: "strong cryptography for .NET", wants "SchUseStrongCrypto 1", else "set SchUseStrongCrypto to 1 and restart, or list \"tls12\" in may_fix";
    PF18 CONNECT, Warn, Server: "strong cryptography for 32-bit .NET, and the system's TLS versions", wants "SchUseStrongCrypto 1 and SystemDefaultTlsVersions 1, in both trees", else "set the four values and restart, or list \"tls12\" in may_fix";
    PF19 BOTH, Block, Server: "no restart is pending", wants "none pending", else "restart the server, then retry";
    PF20 BOTH, Block, Server: "no other installation runs", wants "none", else "wait for its end, then retry";
    PF21 BOTH, Block, Server: "clock, against the domain controller, each that is preferred", wants "less than 5 minutes apart", else "mend the time service of the server";
    PF22 BOTH, Block, Directory: "domain controllers are found by DNS", wants "at least one; that DNS does not answer is no such word, and blocks all the same", else "mend the server's DNS: _ldap._tcp.dc._msdcs must resolve";
    PF23 AGENT, Block, Network: "ports of a domain controller", wants "TCP 389 open; 53, 88, 445 and 3268 warn", else "open TCP 53, 88, 389, 445 and 3268 to the domain controllers";
    PF24 CONNECT, Block, Network: "ports of a domain controller", wants "TCP 88, 135 and 389 open; TCP 53, 445 and 3268, UDP 53 and 389, and the dynamic port at which the directory's replication is served warn", else "open TCP 53, 88, 135, 389, 445, 3268 and the dynamic RPC range (49152 to 65535), and UDP 53, 88 and 389, to the domain controllers; of the dynamic range one port is probed, and Kerberos by UDP is not";
    PF25 BOTH, Block, Directory: "the domain controller is writable, each that is preferred", wants "no read-only domain controller", else "let the server find a writable domain controller: sites, subnets, preferred_dcs";
    PF26 BOTH, Block, Network: "the sign-in hosts of the cloud answer on TCP 443", wants "open, with TLS 1.2 or later, which an open port alone does not tell; through the product's proxy where it goes by one", else "open TCP 443 to the cloud's hosts, or set the product's proxy";
    PF27 AGENT, Warn, Network: "the tenant's registration hosts answer on TCP 443", wants "open", else "open TCP 443 to *.msappproxy of the cloud; the names of these two hosts are unverified";
    PF28 BOTH, Warn, Network: "hosts of certificate revocation answer on TCP 80", wants "any answer by HTTP", else "open TCP 80 to the hosts that are named here";
    PF29 BOTH, Block, Network: "nobody inspects TLS to the sign-in hosts", wants "a certificate of the host's own name under a public root, on the way that the product takes; of a root that somebody put among the trusted ones it cannot be told where Windows' own list of public ones has it, or is not there, or a policy keeps them from coming by themselves", else "take the cloud's hosts out of TLS inspection, and out of what answers in their place";
    PF30 BOTH, Warn, Network: "proxy of the system", wants "none, or the one that the product is told to use, or that is planned for it", else "set the product's proxy as well: it does not read the system's";
    PF31 CONNECT, Block, Server: "proxy of the .NET Framework's machine.config, which alone the engine reads", wants "the proxy that the topology plans, with useDefaultCredentials where that one demands a sign-in, and a domain account for an engine that is there (which warns); where none is planned the system's proxy, or none as it has none; where it cannot be read it warns", else "write system.net/defaultProxy into machine.config, or take it out, before the wizard runs";
    PF32 CONNECT, Block, Network: "the product's web service, over HTTPS", wants "200", else "403: let the proxy or firewall pass the product's URLs; 407: give the server a proxy that wants no sign-in, or the service an account of the domain and the topology proxy_sign_in = true, with which 407 warns, since the engine shows another account than Entrain; another one: see who gives it in the place of the product's service";
    PF33 AGENT, Warn, Server: "Internet Explorer enhanced security for administrators", wants "off while the wizard runs", else "turn it off before the appointment: it blocks the wizard's sign-in page";
    PF34 AGENT, Block, Server: "\"Log on as a service\" is left to the product", wants "not set by policy, or held by NT SERVICE\\ALL SERVICES", else "have the policy that sets it allow NT SERVICE\\ALL SERVICES and the gMSA";
    PF35 AGENT, Info, Server: "outgoing NTLM", wants "denied", else "deny it once nothing on the server needs it; agents below 1.1.1365.0 need it";
    PF36 BOTH, Warn, Server: "FIPS algorithm policy", wants "off, or the product's file edited where password hashes are synchronized", else "plan the edit of the product's .exe.config";
    PF37 CONNECT, Block, Server: "DCOM permissions", wants "MachineAccessRestriction, MachineLaunchRestriction and DefaultLaunchPermission present, binary and not empty", else "restore the values below HKLM\\Software\\Microsoft\\Ole";
    PF38 CONNECT, Warn, Server: "PowerShell transcription", wants "off while the wizard manages AD FS", else "have the policy turned off for the appointment";
    PF39 BOTH, Info, Server: "role of the server", wants "member server; a domain controller is allowed", else "on a domain controller the service account differs: see the product's page";
    PF40 AGENT, Block, Tenant: "tenant that a provisioning agent on this server is registered with", wants "none, or this tenant", else "a server belongs to one tenant: correct the topology, or uninstall the agent that is there";
    PF41 CONNECT, Block, Server: "Connect Sync on this server", wants "as the plan read it", else "plan anew: the server has changed since";
    PF42 BOTH, Warn, Server: "the other tool on the same server", wants "none, or disjoint scopes", else "make sure that no object is in scope of both tools";
    PF46 BOTH, Block, Directory: "schema of the forest", wants "version 56 (Windows Server 2012) or later; 87 (2016) where the agent is to make users and groups", else "extend the forest's schema";
    PF47 CONNECT, Block, Directory: "functional level of the forest", wants "Windows Server 2003 or later", else "raise the forest's functional level";
    PF48 AGENT, Block, Directory: "a domain controller that knows gMSA", wants "Windows Server 2012 or later", else "bring a domain controller of Windows Server 2012 or later into the domain";
    PF49 AGENT, Block, Directory: "KDS root key", wants "one whose start lies ten hours back", else "have the forest's administrator make one (Add-KdsRootKey -EffectiveImmediately) and wait ten hours; without that switch it starts ten days later";
    PF50 AGENT, Block, Directory: "the gMSA names this server among those that may retrieve its password", wants "this server or a group of it", else "add the server: Set-ADServiceAccount -PrincipalsAllowedToRetrieveManagedPassword";
    PF51 AGENT, Block, Directory: "the gMSA is usable on this server", wants "Test-ADServiceAccount answers True", else "allow this server to retrieve the gMSA's password; after a change of group membership restart the server";
    PF52 AGENT, Block, Directory: "encryption types of the gMSA, of this server, and of the server's policy for Kerberos", wants "an AES type that both have, and the policy leaves; where an account has none written, or 0, it cannot be told", else "Set-ADServiceAccount -KerberosEncryptionType AES128,AES256, and the same on the computer account";
    PF53 AGENT, Block, Directory: "credential of the domain's administrator", wants "taken over TLS, of Domain Admins of the domain or Enterprise Admins, and not ending within a day", else "the domain's administrator gives one that will do (entrain secret give, after a retry), or the domain is handed over: directory = \"handover\"";
    PF54 AGENT, Block, Directory: "rights of replication of an account that was made beforehand", wants "Replicating Directory Changes, and the same All, on the domain; beside them a finding for each other set that `permissions` name, by what the domain has everything below inherit. It blocks of password hashes and of password writeback, and warns of the other sets, where no `permissions` say what is used, where it cannot be read, and where the work itself gives them with the domain's credential", else "the domain's administrator runs part 3 of `entrain handover DOMAIN`, once the agent serves the domain: without them no password hash is synchronized";
    PF55 CONNECT, Block, Directory: "NetBIOS name of the domain", wants "no dot in it", else "the product does not support a dotted NetBIOS name";
    PF56 CONNECT, Block, Directory: "DNS names of domain and domain controller", wants "behind its first label the controller's name is the domain's", else "the product does not support a disjoint name space";
    PF57 BOTH, Warn, Directory: "users by the suffix of their user principal name", wants "suffixes that can be verified domains of the tenant", else "give these users a suffix that the tenant has verified (entrain tenant show): as they are, they sign in to the cloud under the tenant's onmicrosoft.com name";
    PF58 BOTH, Block, Directory: "users, groups and contacts of the domain", wants "150000 at most, which cloud sync supports of a domain, and of its largest group 50000 members; Connect: 100000 in LocalDB, which warns, and any number in a full SQL Server", else "use Connect Sync for this domain: cloud sync does not support as many objects";
    PF59 BOTH, Warn, Directory: "recycle bin of the directory", wants "enabled", else "have the forest's administrator enable it: deleted objects come back whole";
    PF60 AGENT, Block, Directory: "users and groups with a mS-DS-ConsistencyGuid, by which both tools know an object again", wants "all of them, before an object leaves Connect for cloud sync", else "have it filled for those that lack it before they change tools: for groups it is not by default; until then a move may be a deletion and a new object";
    PF70 CONNECT, Info, Server: "TPM", wants "ready", else "without one the connector's key is kept in software";
    PF71 CONNECT, Block, Server: "database of the topology on a SQL Server", wants "reached by TCP, with a collation and a version that Connect supports; the database empty or not there yet, or one that is taken over", else "see what was read: the SQL Server's administrator mends it, or the topology names another one";
    PF72 CONNECT, Warn, Server: "configuration files of the engine", wants "written to no more since they were laid down with their programs; a file that came at another time cannot be told", else "back them up: secondary sources say that upgrades below 2.6.84.0 lost edits, and that those to 2.5.190.0 and 2.6.1.0 kept an edited file, behind which the engine did not start; later ones merge it";
    PF73 CONNECT, Block, Server: "the engine is idle", wants "no run under way, wizard and Synchronization Service Manager closed", else "close the wizard and the console, wait for the run's end, then retry";
    PF74 CONNECT, Block, Server: "export of the settings", wants "one of the last 24 hours", else "export them: wizard, View or Export Current Configuration, into C:\\ProgramData\\AADConnect, where the newest Applied- or Exported-SynchronizationPolicy-*.JSON is looked at (the second name is unverified), and copy it off the server";
    CU01 CONNECT, Warn, Server: "default rules that were changed, as far as the module tells: those that are disabled", wants "none disabled; whether one was edited in place a person compares", else "an upgrade that finds default rules changed does a full import and synchronization: put the change into a rule of its own, or plan the time; `entrain diff` with a server that was newly installed with the same version shows what was edited in place";
    CU02 CONNECT, Warn, Server: "full import or synchronization that is due before the upgrade (overrides of the scheduler)", wants "none", else "let the server do it first, or plan its time for after the upgrade: Get-ADSyncSchedulerConnectorOverride shows it";
    CU03 CONNECT, Warn, Server: "how long a full import and synchronization takes, by the newest ones in the history, and how many objects there are", wants "less than a day, and fewer than 100000 objects, above which a second server is the way", else "plan the time for after the upgrade, or upgrade by a second server and a swap";
    PF75 BOTH, Warn, Server: "free disk space on the system drive", wants "2048 MiB or more", else "free disk space";
    PF76 AGENT, Warn, Tenant: "another purpose of the agent on this server (on-premises applications, HR)", wants "no sign of it on the server, which is no proof of HR: that shows in the tenant alone", else "before the upgrade or removal look in the portal which enterprise applications provision through this agent, and move them to another one: they stand still meanwhile, and a removal ends them";
    MO01 AGENT, Warn, Server: "cmdlets of the agent's module that Entrain calls, and the parameters that it gives them together, as the version that is there tells them", wants "every call; what the module has besides is told", else "write sign_in = \"wizard\" in the topology, or another way to sign in that the module takes, and plan again; rights that no cmdlet gives the domain's administrator gives by `entrain handover DOMAIN`";
    SEC1 BOTH, Warn, Server: "PowerShell logging that would record a cmdlet's parameters", wants "off, where token or credential are used", else "no secret is asked for on this server: the wizard is offered in its place";
    SEC2 BOTH, Block, Server: "language mode of PowerShell", wants "FullLanguage", else "the product's module does not load in a constrained language mode: have the policy except this server";
    SEC3 BOTH, Warn, Server: "application control", wants "none enforced for scripts and executables; whether what is enforced allows the vendor's files and the agent's is not looked at", else "see that it allows files that are signed by Microsoft Corporation, and the agent's folder";
    PV02 AGENT, Block, Server: "module of the agent", wants "present", else "run the setup's repair, or install again";
    PV03 AGENT, Block, Server: "version", wants "the wanted one or later", else "see the step that was to bring it about";
    PV04 AGENT, Block, Server: "service runs", wants "Running, started by Windows", else "start the service; its event log says why it stopped";
    PV05 AGENT, Block, Server: "service account", wants "the gMSA", else "see the step that was to bring it about";
    PV06 AGENT, Block, Tenant: "registered tenant", wants "this tenant", else "see the step that was to bring it about";
    PV07 BOTH, Block, Server: "the service has run without a restart", wants "as long as it soaked, and of the provisioning agent no unexpected end (event 7031 or 7034)", else "see the System and Application logs: why it ended, and whether it does again";
    PV08 AGENT, Warn, Server: "errors of the last day in the agent's event log", wants "none, but for those about performance counters", else "read Microsoft-AzureADConnect-ProvisioningAgent/Admin on the server: what failed, and whether it still does";
    SK01 BOTH, Block, Server: "cycles while it soaked", wants "one at least, as Connect's scheduler tells; on a staging server one that is off warns, since that is the tenant's setting; the provisioning agent leaves no trace of its own that is documented, so its tenant is asked where somebody reads it meanwhile", else "Connect: close the wizard, switch the cycle on, or look at its runs; a soak shorter than the server's own interval sees none. Cloud sync: `entrain tenant read` shows when its job succeeded last";
    PV09 AGENT, Warn, Server: "newest trace of the agent", wants "no exception among its last lines", else "read the trace on the server: what failed, and whether it still does";
    PV10 AGENT, Warn, Server: "domains, as the product's module lists them", wants "every planned domain, with its preferred controllers in their order; it warns, since the form of that list is in no source: a name that does not stand in it may stand there otherwise, or have been cut off, and one that stood in it before it was added, in no column of domains, may be that of a forest", else "look at the wizard's list of configured domains, and add what is missing";
    PV16 AGENT, Block, Server: "proxy and FIPS exception in the service's configuration file", wants "as the topology has them", else "apply the topology once more; what changes the file on this server (an update, a management tool) would change it again";
    PV17 AGENT, Warn, Server: "registry options of the service", wants "as the topology has them", else "apply the topology once more: they must be the same on every agent";
    PV18 AGENT, Block, Directory: "rights of replication of an account that was made beforehand", wants "Replicating Directory Changes, and the same All, on the domain: since 1.1.2334.0 the product does not grant them; beside them a finding for each other set that `permissions` name. It blocks of password hashes and of password writeback, and warns of the other sets, where no `permissions` say what is used, and where it cannot be read", else "the domain's administrator runs part 3 of `entrain handover DOMAIN`: until then no password hash is synchronized";
    PV20 AGENT, Warn, Server: "updater runs, and Windows lists package, agent and updater", wants "Running, and all three", else "start the service AzureADConnectAgentUpdater; where an entry is missing, run the setup of the same version again";
    PV21 AGENT, Block, Server: "secrets that were given, in command lines of processes and new temporary files", wants "none", else "delete what is named, end the process, and revoke the secret: sign the account out everywhere or change its password; then retry";
    PV22 CONNECT, Block, Server: "engine runs", wants "Running", else "start the service ADSync; the Application log says why it stopped";
    PV23 CONNECT, Block, Server: "version of the engine, and of the wizard beside it", wants "the wanted one or later", else "run the installer of that version";
    PV24 CONNECT, Block, Server: "scheduler", wants "cycle enabled, not suspended; on a staging server a cycle that is off warns, since its setting lies in the tenant, and a suspension warns on the active one, since it ends with the wizard", else "close the wizard; Set-ADSyncScheduler -SyncCycleEnabled $true where the cycle was held";
    PV25 CONNECT, Block, Server: "staging mode is readable", wants "readable", else "look at the server; the wizard shows its state";
    PV26 CONNECT, Warn, Server: "identity with which the engine signs in to the tenant", wants "Application; from the day in versions.toml on it counts as blocking where the vendor itself names that day: `entrain why` shows it so, and no step waits for it", else "set up application-based authentication: the wizard's task, or on the server, in this order: Set-ADSyncScheduler -SyncCycleEnabled $false, which holds the cycle of the tenant's other servers too; Add-EntraApplicationRegistration; Add-ADSyncApplicationRegistration; Get-ADSyncEntraConnectorCredential, whose ConnectorIdentityType is Application then; Set-ADSyncScheduler -SyncCycleEnabled $true. Whether each cmdlet asks for a sign-in is unverified. With a certificate of your own both registrations take -CertificateSHA256Hash, and event 1014 of the Application log says that the server has no TPM; from when on a server without it stops stands in versions.toml, and `entrain why` says it";
    PV27 CONNECT, Warn, Server: "events of the last week about the certificate of application-based authentication", wants "none", else "1011: rotate it (Invoke-ADSyncApplicationCredentialRotation), or see why it does not rotate by itself, such as a suspended scheduler; 1012: it has lapsed, set it up anew";
    PV28 CONNECT, Block, Server: "connectors", wants "the tenant's, and one for each planned forest; a forest's that does not show by its name warns, since somebody may have renamed it", else "the tenant's is missing: uninstall and install anew; a forest's: add it at the wizard, Customize synchronization options";
    PV29 CONNECT, Block, Server: "newest run of each connector and profile that has ended", wants "success; on the active server one that did not come to its end blocks, one that did with errors of single objects warns, and so does either on a staging server, which exports nothing", else "look at Synchronization Service Manager, Operations: which objects failed and why";
    PV30 CONNECT, Block, Server: "full import or synchronization that is still due, by an override of a connector or since the next cycle is a full one (NextSyncCyclePolicyType)", wants "none", else "let the server do its full import and synchronization, then retry: what is counted before them is not what it would export";
    PV31 CONNECT, Block, Server: "pending exports of the staging server", wants "within the limits", else "look at them (csexport, CSExportAnalyzer): mend the rules or filters that make them, or raise pending_exports in the topology where they are meant";
    PV32 CONNECT, Block, Server: "settings that decide what is synchronized, of the staging server and the active one", wants "readable on both, and equal, or the difference approved", else "`entrain diff SERVER SERVER` shows what differs or could not be read: mend it and retry, or approve that difference (`entrain accept`)";
    PV33 CONNECT, Warn, Server: "upgrade of Connect by itself", wants "Enabled or Disabled, as somebody chose", else "it was suspended by the product: its reason is shown by Get-ADSyncAutoUpgrade -Detail; mend it, or upgrade by a plan";
    PV34 CONNECT, Warn, Server: "errors of the last week from the upgrade of Connect by itself", wants "none", else "look at the Application log, source Microsoft Entra Connect Upgrade, 300 to 399; the engine is as it was, or upgrade by a plan";
    PV35 CONNECT, Block, Server: "password hash synchronization of each planned forest's connector", wants "on, where the topology plans it", else "switch it on at the wizard: Customize synchronization options, Optional features; secondary sources say that it does not mend itself since 2.6.84.0";
    PV37 CONNECT, Warn, Server: "lines with ERROR at the end of the wizard's newest trace", wants "none", else "read the trace on the server: what failed, and whether it still does";
    WZ01 BOTH, Warn, Server: "a wizard that has not come to its end for a while, by its newest trace", wants "its end, or no error that is known", else "read the trace on the server: what failed, and whether it still does";
    WZ02 CONNECT, Warn, Server: "database engine of an earlier version, as Windows lists its programs", wants "none", else "see on which instance the database ADSync runs before anything is removed";
    WZ03 CONNECT, Warn, Server: "full import or synchronization behind the wizard's work, and whether a run is under way", wants "none due, and none under way, twice in a row", else "it goes on by itself with the cycle, and is waited for; where the cycle is off, whoever held it releases it or does the full steps by hand; where it cannot be told, look at Synchronization Service Manager, Operations, then say so (entrain tasks attest)";
    SW01 CONNECT, Block, Server: "age of what is counted: the last cycle, reckoned from when the next is due", wants "young enough; on a server whose history holds no run it cannot be told", else "see that the scheduler runs and is not suspended, wait for its next cycle, then retry";
    CR01 CONNECT, Block, Server: "Connect, as Windows lists its programs", wants "none", else "remove it: Settings, Installed apps, Microsoft Entra Connect";
    CR02 CONNECT, Block, Server: "service of the engine", wants "absent", else "finish the wizard's removal; where it asked for a restart, restart the server";
    CR03 CONNECT, Block, Server: "engine", wants "absent", else "finish the wizard's removal";
    CR04 CONNECT, Info, Server: "traces and exported settings of the wizard", wants "absent", else "keep them as long as they may be asked for, then delete them";
    CR05 CONNECT, Warn, Server: "agent of pass-through authentication on this server", wants "absent", else "where it is to go too, see first that another one is active in the tenant, then remove it: Settings, Installed apps";
    CR06 CONNECT, Info, Server: "database on a SQL Server", wants "backed up and deleted", else "a removal leaves it: its administrator backs it up and deletes it; a later installation with the same name fails until then";
    CR07 CONNECT, Info, Tenant: "account or application with which this server signed in to the tenant", wants "gone", else "look in the admin center: as secondary sources say, a removal cleans it up only where it was given an administrator's credentials, since 2.6.84.0; an account of it stands in the role Directory Synchronization Accounts";
    UN01 CONNECT, Block, Server: "agent of pass-through authentication on a server from which Connect goes", wants "absent, or a named person says that another one is active in the tenant", else "see in the admin center that an agent on another server is active, or install one first: with the last one everybody's sign-in goes; then say so (entrain tasks attest)";
    UN02 CONNECT, Warn, Server: "services of Connect Health on a server from which Connect goes", wants "none", else "Connect Health hears nothing of this server any more: see that the server that stays is watched, and take this one off its list in the admin center";
    UN03 CONNECT, Warn, Directory: "computer account of seamless single sign-on, in the domain of a server from which Connect goes", wants "none", else "single sign-on stays as it is and its key is rolled over from a Connect server: see that one stays, or switch it off at the wizard before";
    UN04 CONNECT, Warn, Server: "writeback of devices, groups and users by a server from which Connect goes", wants "off; password writeback does not show here", else "see that the server that stays writes them back, or switch it off at the wizard before; ask for password writeback as well";
    TR01 CONNECT, Block, Server: "version of the engine, whose wizard has the task \"Transition to Cloud Sync\"", wants "2.6.91.0 or later, as secondary sources say", else "upgrade Connect on this server first: entrain plan";
    TR02 CONNECT, Block, Server: "forests that are synchronized", wants "one, and no directory of another kind", else "the wizard's task takes one forest: this tenant stays with Connect, or is moved by hand, forest by forest";
    TR03 CONNECT, Block, Directory: "users, groups and contacts in the included containers", wants "2000 at most", else "the wizard's task takes 2,000 objects in scope: compare with what the wizard counts; a larger tenant waits, or is moved by hand";
    TR04 CONNECT, Block, Server: "included organizational units, domain by domain", wants "30 at most in each", else "include fewer and larger units: wizard, Customize synchronization options, Domain and OU filtering";
    TR05 CONNECT, Block, Server: "synchronization rules of one's own", wants "none, and no default rule disabled", else "Synchronization Rules Editor: what they do must be done without before; a default rule that is disabled is enabled again, or the wizard is asked whether it takes it";
    TR06 CONNECT, Block, Server: "filter by a group", wants "none", else "wizard, View or Export Current Configuration: see whether users and devices are filtered by a group, and take that out before";
    TR07 CONNECT, Block, Server: "attribute that becomes the user principal name", wants "userPrincipalName", else "wizard, View or Export Current Configuration: see which attribute is the user principal name; another one stays with Connect";
    TR08 CONNECT, Block, Server: "directory extensions", wants "off", else "wizard, Customize synchronization options, Optional features: see whether directory extension attribute sync is ticked";
    TR09 CONNECT, Block, Server: "synchronization of devices", wants "off", else "wizard, Configure device options: see whether hybrid join or device writeback is configured; it stays with Connect";
    TR10 CONNECT, Block, Server: "writeback of devices, groups and users", wants "off; which kinds the wizard's task takes is in no source", else "wizard, Customize synchronization options, Optional features, and Configure device options: see what is written back, and whether cloud sync does it";
    TR11 CONNECT, Block, Server: "mode of the server", wants "active: the task is on the tenant's active server alone", else "ask the tenant's active server; entrain swap makes another one active";
    TR12 CONNECT, Block, Server: "Connect after the wizard", wants "staging mode, and the wizard closed", else "open the wizard again and go on with Transition to Cloud Sync, then retry; while Connect is active, no job of cloud sync may run";
    TR13 AGENT, Block, Server: "provisioning agent after the wizard", wants "installed, registered with this tenant, its service running", else "where Connect is in staging mode, nothing synchronizes the tenant just now: finish the task at the wizard; where it cannot be finished, clear staging mode at the wizard, so that Connect synchronizes again, then retry";
    TR14 AGENT, Info, Tenant: "jobs of cloud sync, and the objects of both", wants "every job runs, and the counts agree", else "no probe on a server sees them: a named person says it, and entrain tenant read shows the jobs";
    RM01 AGENT, Block, Server: "the product's programs, as Windows lists them", wants "none; the updater stays where another tool uses it", else "remove what is listed, the package first: Settings, Installed apps";
    RM02 AGENT, Block, Server: "service of the agent", wants "absent", else "restart the server; then sc.exe delete AADConnectProvisioningAgent where nothing lists the product";
    RM03 AGENT, Info, Server: "service of the updater", wants "absent, unless another tool of the vendor uses it", else "remove \"Microsoft Entra Connect Agent Updater\" where no other tool of the vendor is on the server";
    RM04 AGENT, Warn, Server: "install folder of the agent", wants "absent", else "delete it when nothing in it is wanted any more";
    RM05 AGENT, Warn, Server: "registry key of the agent", wants "absent", else "delete the key: a later installation would find the old tenant in it";
    RM06 AGENT, Info, Server: "traces of the agent", wants "absent", else "keep them as long as they may be asked for, then delete them";
    RM07 AGENT, Warn, Directory: "the server may still retrieve the password of the agent's account", wants "it is not listed, and in no group that is", else "the domain's administrator takes the server off the account's principals: `entrain handover DOMAIN` shows how";
}

/// The probe of that id.
#[must_use]
pub fn probe(id: &str) -> Option<&'static Probe> {
    ALL.iter().find(|probe| probe.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_stands_once_and_every_row_says_what_to_do() {
        let ids: std::collections::BTreeSet<_> = ALL.iter().map(|probe| probe.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for row in ALL {
            assert!(
                !row.what.is_empty() && !row.wanted.is_empty() && !row.fix.is_empty(),
                "{}",
                row.id
            );
        }
    }
}
