//! What is known of the two products and of Windows: every path, key, service and command-line argument that an agent
//! uses. Each constant names its fact in the sheet of product facts (section) and how sure it is: `[P]` product
//! documentation, `[R]` rendered page, `[M]` Microsoft sample, `[S]` secondary, `[K]` general Windows knowledge.

use protocol::step::{Cloud, Product};
use protocol::{EnvironmentName, TenantId};

use crate::op::RegistryValue;

/// Variables of Windows that a path may begin with, as the ones below do; whoever reads the server knows what they are there ([K]).
pub const VARIABLES: [&str; 5] = [
    "%ProgramFiles%",
    "%ProgramW6432%",
    "%ProgramData%",
    "%SystemRoot%",
    "%SystemDrive%",
];

/// Folder of the agent's tools module, within the install folder (1.3 [P]).
pub const AGENT_TOOLS: &str = r"Utility\AADCloudSyncTools";

/// Registry key of the provisioning agent (1.3 [P]).
pub const AGENT_KEY: &str =
    r"SOFTWARE\Microsoft\Azure AD Connect Agents\Azure AD Connect Provisioning Agent";
/// Value of [`AGENT_KEY`] that names the tenant once registered (1.3 [S]).
pub const AGENT_TENANT: &str = "TenantID";
/// Value of [`AGENT_KEY`] that names the install folder (1.3 [S]).
pub const AGENT_FOLDER_VALUE: &str = "InstallDir";
/// Install folder where the registry does not say (1.3 [P]).
pub const AGENT_FOLDER: &str = r"%ProgramFiles%\Microsoft Azure AD Connect Provisioning Agent";
/// Executable in the install folder; its ProductVersion is the version (1.3, PV03 [P]).
pub const AGENT_EXECUTABLE: &str = "AADConnectProvisioningAgent.exe";
/// Configuration file of the service in the install folder; it exists only after the setup (1.3, 1.7 [P]).
pub const AGENT_CONFIGURATION: &str = "AADConnectProvisioningAgent.exe.config";
/// Value of [`AGENT_KEY`]: the time-out of LDAP connections in milliseconds, as text (1.7 [P]).
pub const AGENT_LDAP_TIMEOUT: &str = "LdapConnectionTimeoutInMilliseconds";
/// Value of [`AGENT_KEY`]: how referrals are chased (1.7 [P]).
pub const AGENT_REFERRALS: &str = "ReferralChasingOptions";
/// The only value of [`AGENT_REFERRALS`] that is documented (1.7 [P]).
pub const AGENT_REFERRALS_ALL: &str = "96";
/// Value of [`AGENT_KEY`] that HR inbound provisioning alone uses (1.7 [R]).
pub const AGENT_HR_VALUE: &str = "UserPasswordLength";
/// Service of the ECMA Connector Host, through which an agent provisions on-premises applications ([K], unverified).
pub const ECMA_SERVICE: &str = "Microsoft ECMA2Host";
/// PowerShell module in the install folder (1.3 [P]).
pub const AGENT_MODULE: &str = "Microsoft.CloudSync.PowerShell.dll";
/// Service of the agent (1.3 [R]).
pub const AGENT_SERVICE: &str = "AADConnectProvisioningAgent";
/// The .NET Framework's own configuration, which alone names the proxy of Connect's engine (2.8 [P]).
pub const MACHINE_CONFIG: &str =
    r"%SystemRoot%\Microsoft.NET\Framework64\v4.0.30319\Config\machine.config";

/// Service of the updater (1.3 [S]).
pub const UPDATER_SERVICE: &str = "AzureADConnectAgentUpdater";
/// Executable of the updater (1.3 [P]; in which folder it lies is unverified).
pub const UPDATER_EXECUTABLE: &str = "AzureADConnectAgentUpdater.exe";
/// Event log of the updater (1.3 [S], unverified).
pub const UPDATER_LOG: &str = "Microsoft-AzureADConnect-AgentUpdater/Admin";
/// gMSA that the product makes by default (1.6 [P]). The name is not relied upon: the service's account is read.
pub const DEFAULT_GMSA: &str = "provAgentgMSA$";

/// Folder of the agent's traces (1.3 [P]).
pub const AGENT_TRACES: &str = r"%ProgramData%\Microsoft\Azure AD Connect Provisioning Agent\Trace";
/// Services of other tools that the same updater keeps up to date: Connect Sync since 2.2.1.0 (2.1 [P]), the agents of
/// pass-through authentication and of the private network ([K], unverified).
pub const UPDATED_SERVICES: [&str; 3] = [CONNECT_SERVICE, PASS_THROUGH_SERVICE, "WAPCSvc"];
/// The product's entries in Windows' list of programs (1.3, 1.12 [P]): bundle, agent and updater, each by its name and its older
/// one ([P]: "older: Microsoft Azure AD Connect …"). They are taken off in this order: the bundle takes the agent along since
/// 1.1.972.0 ([R]); whether it takes the updater is not said.
pub const AGENT_ENTRIES: [[&str; 2]; 3] = [
    [
        "Microsoft Entra Provisioning Agent Package",
        "Microsoft Azure AD Connect Provisioning Agent Package",
    ],
    [
        "Microsoft Entra Provisioning Agent",
        "Microsoft Azure AD Connect Provisioning Agent",
    ],
    [
        "Microsoft Entra Connect Agent Updater",
        "Microsoft Azure AD Connect Agent Updater",
    ],
];
/// The names of all [`AGENT_ENTRIES`].
pub const AGENT_PROGRAMS: &[&str] = AGENT_ENTRIES.as_flattened();

/// Service of the Connect engine (2.1 [P]).
pub const CONNECT_SERVICE: &str = "ADSync";
/// Where Windows keeps what it starts as [`CONNECT_SERVICE`]; the value [`IMAGE_PATH`] names the engine's program ([K]).
pub const CONNECT_SERVICE_KEY: &str = r"SYSTEM\CurrentControlSet\Services\ADSync";
/// Value of a service's key: the command line of its program, as REG_SZ or REG_EXPAND_SZ ([K]).
pub const IMAGE_PATH: &str = "ImagePath";
/// The engine's own name; its ProductVersion is the running version (2.1 [P], 2.14 [S]). It is also its name among the sources
/// and programs of Windows' event logs ([K]).
pub const CONNECT_PROGRAM: &str = "miiserver.exe";
/// Folder of the engine's programs where nobody chose another location and no service says otherwise (2.1 [P]).
pub const CONNECT_BIN: &str = r"%ProgramFiles%\Microsoft Azure AD Sync\Bin";
/// Connect's wizard, in the three folders that the vendor's pages name (2.1 [P]: they disagree).
pub const CONNECT_WIZARDS: [&str; 3] = [
    r"%ProgramFiles%\Microsoft Azure Active Directory Connect\AzureADConnect.exe",
    r"%ProgramFiles%\Microsoft Azure AD Connect\AzureADConnect.exe",
    r"%ProgramFiles%\Microsoft Entra Connect\AzureADConnect.exe",
];
/// Traces and exported settings of the wizard (2.1 [S], [P]).
pub const CONNECT_DATA: &str = r"%ProgramData%\AADConnect";
/// Event log of the agent (1.3 [S]).
pub const AGENT_LOG: &str = "Microsoft-AzureADConnect-ProvisioningAgent/Admin";
/// How the source ends that writes of upgrades which Connect begins by itself (PV34 [K]; what stands before it differs by version).
pub const CONNECT_UPGRADE_SOURCE: &str = "Connect Upgrade";
/// LocalDB of SQL Server 2012, as Windows lists it: an upgrade from 1.x may have left it (2.15 [S]; the name is [K]).
pub const OLD_LOCAL_DB: [&str; 1] = ["Microsoft SQL Server 2012 Express LocalDB"];
/// Names in Windows' list of programs (PF41 [P]: the pattern, spelled out).
pub const CONNECT_PROGRAMS: [&str; 5] = [
    "Microsoft Entra Connect Sync",
    "Microsoft Entra Connect",
    "Microsoft Azure AD Connect Sync",
    "Microsoft Azure AD Connect",
    "Azure AD Connect",
];
/// Service of an agent of pass-through authentication ([K], unverified).
pub const PASS_THROUGH_SERVICE: &str = "AzureADConnectAuthenticationAgent";
/// Services of Connect Health for synchronization, which come with Connect (2.1 [P]; their names [K], unverified).
pub const HEALTH_SERVICES: [&str; 2] = [
    "AzureADConnectHealthSyncInsights",
    "AzureADConnectHealthSyncMonitor",
];
/// Computer account of seamless single sign-on, one in each forest (2.5 [P]; its name [K], unverified).
pub const SINGLE_SIGN_ON_ACCOUNT: &str = "AZUREADSSOACC$";
/// File name under which people know the Connect installer (2.1 [R]).
pub const CONNECT_INSTALLER: &str = "AzureADConnect.msi";

/// Key of the Windows version (PF02, PF03).
pub const WINDOWS_KEY: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
/// Key whose `ProductType` tells server, domain controller and client apart (PF01 [K]).
pub const PRODUCT_OPTIONS_KEY: &str = r"SYSTEM\CurrentControlSet\Control\ProductOptions";
/// Key whose `Domain` is the server's DNS domain (PF04 [K]).
pub const TCPIP_KEY: &str = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
/// .NET Framework 4 (PF09).
pub const DOTNET_KEY: &str = r"SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full";
/// `Release` of .NET Framework 4.7.1 (PF09 [K]).
pub const DOTNET_4_7_1: u32 = 461_308;
/// `Release` of .NET Framework 4.7.2 (PF10).
pub const DOTNET_4_7_2: u32 = 461_808;
/// First build of Windows Server 2016 (PF02).
pub const SERVER_2016: u32 = 14_393;
/// Credential Manager (PF14).
pub const VAULT_SERVICE: &str = "VaultSvc";
/// SCHANNEL's TLS 1.2 keys (1.7 [P]).
pub const TLS12_CLIENT_KEY: &str =
    r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client";
/// The server half of [`TLS12_CLIENT_KEY`].
pub const TLS12_SERVER_KEY: &str =
    r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server";
/// Strong cryptography for .NET (1.7 [P]).
pub const DOTNET_CRYPTO_KEY: &str = r"SOFTWARE\Microsoft\.NETFramework\v4.0.30319";
/// The 32-bit half of [`DOTNET_CRYPTO_KEY`] (2.8 [R]).
pub const DOTNET_CRYPTO_KEY_X86: &str = r"SOFTWARE\WOW6432Node\Microsoft\.NETFramework\v4.0.30319";
/// Outgoing NTLM (PF35 [K]).
pub const NTLM_KEY: &str = r"SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0";
/// Encryption types that a policy leaves to Kerberos on this server, in the value [`KERBEROS_TYPES`] (1.6 [S]).
pub const KERBEROS_KEY: &str =
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\Kerberos\Parameters";
/// See [`KERBEROS_KEY`].
pub const KERBEROS_TYPES: &str = "SupportedEncryptionTypes";
/// FIPS algorithms (PF36 [K]).
pub const FIPS_KEY: &str = r"SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy";
/// DCOM permissions (2.8 [P]).
pub const DCOM_KEY: &str = r"Software\Microsoft\Ole";
/// Binary values of [`DCOM_KEY`] that must be there (2.8 [P]).
pub const DCOM_VALUES: [&str; 3] = [
    "MachineAccessRestriction",
    "MachineLaunchRestriction",
    "DefaultLaunchPermission",
];
/// Key whose `PendingFileRenameOperations` Windows carries out when it restarts (PF19 [K]).
pub const SESSION_MANAGER_KEY: &str = r"SYSTEM\CurrentControlSet\Control\Session Manager";
/// Volatile key of our own: what was set here holds only after a restart (1.7 [P]: TLS values need one).
pub const RESTART_KEY: &str = r"SOFTWARE\Entrain\RestartRequired";
/// Key of our own, which lasts: what was begun on the server and is owed to its end.
pub const OWED_KEY: &str = r"SOFTWARE\Entrain\Owed";
/// Value of [`OWED_KEY`]: 1 while the provisioning agent's service is to be restarted, since something of it was set.
pub const OWED_RESTART: &str = "RestartOfProvisioningAgent";
/// Value of [`OWED_KEY`]: the generation of the bundle in which the agent lets Windows restart, from then on until it has seen
/// what came of it.
pub const OWED_WINDOWS: &str = "RestartOfWindows";
/// Value of [`OWED_KEY`]: not 0 from before the cmdlets set the provisioning agent's account until all of them have ended well. Then the
/// server may show a tenant and an account, and no domain (1.4): when the tenant is written is in no fact.
pub const OWED_REGISTRATION: &str = "RegistrationOfProvisioningAgent";
/// What stands in [`OWED_REGISTRATION`] where the agent was not configured before. An agent of the release before wrote 1, whatever was there: what
/// that leaves may serve.
pub const OWED_FIRST: u32 = 2;
/// What stands there where it was, and may serve what it served.
pub const OWED_ANEW: u32 = 3;
/// Value of [`OWED_KEY`]: the folder of Connect's engine, from before a person takes it off. The service, which alone tells a folder
/// that somebody chose, is gone when what is left is looked for.
pub const OWED_ENGINE: &str = "FolderOfConnectEngine";
/// Key of our own, which lasts: of each prerequisite that Entrain has set, what was there before and what it set. Its values are
/// named by `step/preflight/fix.rs`, so that no note leads anywhere else.
pub const SET_KEY: &str = r"SOFTWARE\Entrain\Set";
/// Keys whose presence means that Windows waits for a restart (PF19).
pub const REBOOT_KEYS: [&str; 3] = [
    RESTART_KEY,
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
];
/// Group policy of PowerShell: logging that would record the parameters of a cmdlet ([K]).
pub const POWERSHELL_POLICY_KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\PowerShell";
/// Where a policy switches transcription on.
pub const TRANSCRIPTION_KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\PowerShell\Transcription";
/// The same of module logging.
pub const MODULE_LOGGING_KEY: &str =
    r"SOFTWARE\Policies\Microsoft\Windows\PowerShell\ModuleLogging";
/// Where a policy keeps the rules of AppLocker ([K]).
pub const APPLOCKER_KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\SrpV2";
/// Where a policy switches application control (WDAC) on ([K]).
pub const CODE_INTEGRITY_KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\DeviceGuard";
/// Internet Explorer enhanced security for administrators (PF33 [K]).
pub const IE_ESC_KEY: &str =
    r"SOFTWARE\Microsoft\Active Setup\Installed Components\{A509B1A7-37EF-4b3f-8CFC-4F3A74704073}";

/// Tells whether a program of [`AGENT_ENTRIES`] is the updater.
#[must_use]
pub fn is_updater(name: &str) -> bool {
    name.to_lowercase().ends_with("agent updater")
}

/// Folder of the program that Windows starts as a service, from the value [`IMAGE_PATH`] of its key: quoted or bare, with arguments or
/// without. A path of a share, a relative one, or one that begins otherwise than by a drive or a variable of Windows is none.
///
/// # Errors
/// When it names no program in a folder of a local drive.
pub fn folder_of_image(image: &RegistryValue) -> Result<String, String> {
    let (RegistryValue::Text(text) | RegistryValue::Expandable(text)) = image else {
        return Err(format!("{IMAGE_PATH} is no text"));
    };
    let no_program = || format!("{IMAGE_PATH} says {text}, which is no program on a local drive");
    let text = text.trim();
    let program = match text.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        // Blanks may stand in the path as well as behind it: what ends in a program's name ends the path.
        None => text.get(..end_of_program(text)).unwrap_or_default(),
    };
    let (folder, name) = program.rsplit_once('\\').ok_or_else(no_program)?;
    let below_a_drive = folder
        .get(1..)
        .is_some_and(|rest| rest == ":" || rest.starts_with(r":\"))
        && folder.starts_with(|drive: char| drive.is_ascii_alphabetic());
    let below_a_variable = VARIABLES.iter().any(|variable| {
        let start = folder.get(..variable.len());
        let rest = folder.get(variable.len()..).unwrap_or_default();
        start.is_some_and(|start| start.eq_ignore_ascii_case(variable))
            && (rest.is_empty() || rest.starts_with('\\'))
    });
    let climbs = folder
        .split('\\')
        .any(|part| part == ".." || part.contains('/'));
    if name.is_empty() || climbs || !(below_a_drive || below_a_variable) {
        return Err(no_program());
    }
    Ok(folder.to_owned())
}

/// Where the path of a bare command line ends: behind the first `.exe` that a blank or the end follows.
fn end_of_program(text: &str) -> usize {
    const ENDING: &str = ".exe";
    let lower = text.to_ascii_lowercase();
    let mut ends = lower.match_indices(ENDING).map(|(at, _)| at + ENDING.len());
    let is_end = |end: &usize| {
        text.get(*end..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    ends.find(is_end).unwrap_or(text.len())
}

/// Place of a program's entry among [`AGENT_ENTRIES`].
#[must_use]
pub fn removal_order(name: &str) -> usize {
    let place = AGENT_ENTRIES
        .iter()
        .position(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
    place.unwrap_or(AGENT_ENTRIES.len())
}

/// `ENVIRONMENTNAME` of the provisioning agent's setup (1.2, 1.7). The value for China is documented for another
/// product's installer and unverified for this one.
#[must_use]
pub const fn environment_name(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Commercial => "AzureCloud",
        Cloud::UsGovernment => "AzureUSGovernment",
        Cloud::China => "AzureChinaCloud",
    }
}

/// Hosts that must answer on 443 before an agent can be registered (PF26 [P]; China's are derived from the sign-in
/// endpoint of that cloud [K]).
#[must_use]
pub const fn sign_in_hosts(cloud: Cloud) -> &'static [&'static str] {
    match cloud {
        Cloud::Commercial => &["login.microsoftonline.com", "login.windows.net"],
        Cloud::UsGovernment => &["login.microsoftonline.us"],
        Cloud::China => &["login.partner.microsoftonline.cn"],
    }
}

/// Hosts of the product itself that must answer on 443 as well (PF26 [P]). Those of the other clouds are not documented.
#[must_use]
pub const fn product_hosts(product: Product, cloud: Cloud) -> &'static [&'static str] {
    match (product, cloud) {
        (Product::ProvisioningAgent, Cloud::Commercial) => &["download.msappproxy.net"],
        (Product::ProvisioningAgent, Cloud::UsGovernment) => &["download.msappproxy.us"],
        (Product::Connect, Cloud::Commercial) => &["adminwebservice.microsoftonline.com"],
        (Product::ProvisioningAgent, Cloud::China)
        | (Product::Connect, Cloud::UsGovernment | Cloud::China) => &[],
    }
}

/// Hosts at which an agent of a tenant registers (PF27 [K]; the names are unverified).
#[must_use]
pub fn registration_hosts(cloud: Cloud, tenant: &TenantId) -> Vec<String> {
    let zone = match cloud {
        Cloud::Commercial => "msappproxy.net",
        Cloud::UsGovernment => "msappproxy.us",
        Cloud::China => return Vec::new(),
    };
    registers_below(zone, tenant).to_vec()
}

/// The hosts of a tenant below a zone in which agents register.
#[must_use]
pub fn registers_below(zone: &str, tenant: &TenantId) -> [String; 2] {
    ["registration", "bootstrap"].map(|name| format!("{tenant}.{name}.{zone}"))
}

/// Hosts of certificate revocation lists and answers (1.7 [P]); none are known for China.
#[must_use]
pub const fn revocation_hosts(cloud: Cloud) -> &'static [&'static str] {
    match cloud {
        Cloud::Commercial => &["crl.microsoft.com", "ocsp.msocsp.com"],
        Cloud::UsGovernment => &["crl.microsoft.us", "ocsp.msocsp.us"],
        Cloud::China => &[],
    }
}

/// Arguments of a silent installation (1.2; the standard switches are [K], unverified on this bundle); `told` is what the controller's data
/// on clouds say in place of [`environment_name`]. The executor adds `/log FILE`.
#[must_use]
pub fn setup_arguments(cloud: Cloud, told: Option<&EnvironmentName>) -> Vec<String> {
    let environment = told.map_or_else(|| environment_name(cloud), EnvironmentName::as_str);
    vec![
        "/quiet".to_owned(),
        "/norestart".to_owned(),
        format!("ENVIRONMENTNAME={environment}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_service_is_read_however_its_command_line_is_written() {
        let text = |said: &str| RegistryValue::Text(said.to_owned());
        for said in [
            r#""D:\Connect\Bin\miiserver.exe""#,
            r#" "D:\Connect\Bin\miiserver.exe" -service "a b.exe""#,
            r"D:\Connect\Bin\miiserver.exe",
            r"D:\Connect\Bin\MIISERVER.EXE  -service",
        ] {
            assert_eq!(folder_of_image(&text(said)).unwrap(), r"D:\Connect\Bin");
        }
        let blanks = r"E:\My Tools\a.exes\Bin\miiserver.exe /a C:\b.exe";
        assert_eq!(
            folder_of_image(&text(blanks)).unwrap(),
            r"E:\My Tools\a.exes\Bin"
        );
        let program_files = r"%programfiles%\Microsoft Azure AD Sync\Bin";
        let expandable = RegistryValue::Expandable(format!(r#""{program_files}\miiserver.exe""#));
        assert_eq!(folder_of_image(&expandable).unwrap(), program_files);
        assert_eq!(folder_of_image(&text(r"D:\miiserver.exe")).unwrap(), "D:");
    }

    #[test]
    fn what_names_no_program_on_a_local_drive_is_none() {
        for said in [
            "",
            "\"\"",
            "miiserver.exe",
            r"Connect\miiserver.exe",
            r"\\server\share\miiserver.exe",
            r"\\?\D:\Connect\miiserver.exe",
            r"\SystemRoot\miiserver.exe",
            r"%USERPROFILE%\miiserver.exe",
            r"%ProgramFiles%Others\miiserver.exe",
            r"D:\Connect\..\Other\miiserver.exe",
            r"D:\Connect\",
            "1:\\miiserver.exe",
        ] {
            let read = folder_of_image(&RegistryValue::Text(said.to_owned()));
            assert!(read.is_err_and(|why| why.contains(IMAGE_PATH)), "{said}");
        }
        assert!(folder_of_image(&RegistryValue::Number(1)).is_err());
        assert!(folder_of_image(&RegistryValue::Other).is_err());
    }
}
