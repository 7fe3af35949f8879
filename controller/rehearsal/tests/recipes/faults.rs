//! Every recipe with every fault: what each comes to stands here as data. A recipe whose steps no row of a fault names has the
//! log that it has without the fault. The list of faults is an exhaustive match, and a recipe gets its rows by its steps, so that
//! neither a new fault nor a new recipe goes without an expectation.
//!
//! What a row expects is written as the ids that a step shows and does not show without the fault: `PF14!` stops the step, `PF30`
//! is told and goes on, `PF46?` cannot be told, `-RM07` is shown no more, `KE01` is a known error. `fails` and `asks` stop it with the words that
//! stand behind a colon; `attested` and `seen` end it by a person's word or work, `words` tells the same in other words.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a place is one kind of step, and what is shown stands in some events"
)]

mod places;

use agent_core::known;
use protocol::event::{Completion, Verdict};

use self::places::*;
use super::*;

/// One place where a fault is met, and what it comes to there. The first row that fits holds.
struct Row(At, &'static str);

/// What a fault comes to.
struct Expected {
    /// Facts that the server reports show it, where nothing else has yet.
    facts: bool,
    rows: Vec<Row>,
    /// Why no recipe meets it, where none does.
    nowhere: Option<&'static str>,
}

fn meets<const N: usize>(rows: [(At, &'static str); N]) -> Expected {
    let row = |(at, shows)| Row(at, shows);
    Expected {
        facts: false,
        rows: rows.into_iter().map(row).collect(),
        nowhere: None,
    }
}

impl Expected {
    /// The facts show it as well.
    fn and_facts(mut self) -> Self {
        self.facts = true;
        self
    }
}

/// The fault beside which one is met: by itself it shows nothing. What it comes to is held against a server that has the other one alone.
fn beside(fault: Fault) -> Option<Fault> {
    match fault {
        Fault::SetByPolicy | Fault::SetByPreference => Some(Fault::TlsOff),
        Fault::RestartRefused | Fault::RestartPendingAgain => Some(Fault::RebootPending),
        _ => None,
    }
}

/// No recipe of the page meets it by itself: why not, and who does.
fn nowhere(why: &'static str) -> Expected {
    Expected {
        nowhere: Some(why),
        ..meets([])
    }
}

/// The module of Connect does not answer, and why is a known error; so it is for the tools that that place runs.
fn refuses(known: &'static str, tools: Option<At>) -> Expected {
    let all = |ids: &str| -> &'static str { format!("{ids} {known}").leak() };
    let mut found = meets([
        (engine, all("CU01? CU02? CU03? MO02? PF73?")),
        (|place| guide_connect(place) || switches(place), "attested"),
        (awaits, all("WZ03? attested")),
        (
            verify_passwords,
            all("MO02? PV24? PV25?! PV26? PV27? PV28? PV29? PV33? PV34? PV35? PV37?"),
        ),
        (
            verify_connect,
            all("MO02? PV24? PV25?! PV26? PV27? PV28? PV29? PV33? PV34? PV37?"),
        ),
        (verify_halted, all("MO02?")),
        (settings, all("MO02? PV32?")),
        (reports_engine, "words"),
        (take_off_running, all("UN04?")),
        (take_off, known),
        (
            may_move,
            all("TR02? TR03? TR04? TR05? TR06? TR07? TR08? TR09? TR10? TR11?!"),
        ),
    ])
    .and_facts();
    found.rows.extend(tools.map(|tools| Row(tools, known)));
    found
}

#[expect(
    clippy::too_many_lines,
    reason = "one line for each fault, in the order of the list"
)]
fn expected(fault: Fault) -> Expected {
    const LATE: &str = "one server alone waits for nobody's change: preflight.rs";
    match fault {
        // The server, before anything is touched.
        // Where it may be set, it is, and what comes later finds it so.
        Fault::VaultDisabled => meets([
            (fixes_first, "words"),
            (fixes, ""),
            (agent_another_fixes, "PF14"),
            (agent, "PF14!"),
        ]),
        Fault::RebootPending => meets([
            (restarts, "PF19"),
            (any, "PF19!"),
            (remove_at_once, "PF19!"),
            (|place| by_agent(place) && first_restart(place), "words"),
            (first_restart, "seen"),
        ])
        .and_facts(),
        Fault::ServerCore => meets([(any, "PF03!")]),
        Fault::SecureChannelBroken => meets([(any, "PF05!")]),
        Fault::NotElevated => meets([(any, "PF06!"), (remove, "PF06!")]),
        Fault::ClientWindows => meets([(any, "PF01!")]),
        Fault::OldWindows => meets([(any, "PF02!"), (report, "words")]).and_facts(),
        Fault::LittleMemory => meets([(agent, "PF07!"), (connect, "PF08")]),
        Fault::LittleDisk => meets([(agent, "PF75"), (connect, "PF08 PF75")]),
        Fault::OldDotNet => meets([(agent, "PF09!"), (connect, "PF10!")]),
        Fault::OldPowerShell => meets([(any, "PF11!")]),
        // Connect wants signed scripts to run, which they do without any policy.
        Fault::PolicyUnrestricted => meets([(agent, "PF12!"), (connect, "words")]),
        Fault::PolicyRestricted => meets([(agent, "PF12!"), (connect, "PF13!")]),
        // So they do where they must be signed.
        Fault::PolicyAllSigned => meets([(agent, "PF12!"), (connect, "words")]),
        // Our own scripts run all the same, and say why the product's module does not load.
        Fault::ModuleRefused => refuses("KE19", Some(support)),
        // So they say of cmdlets that are not found; those that collect logs are another product's.
        Fault::CmdletsNotFound => refuses("KC08", None),
        // Set where it may be: Windows reads it when it starts, and the site's rule restarts nothing there.
        Fault::TlsOff => meets([
            (fixes, "PF19!: set to 1 (was 0)"),
            (agent_another_fixes, "PF15 PF17"),
            (agent, "PF15! PF17!"),
            (connect, "PF17 PF18"),
        ]),
        Fault::TlsServerOff => meets([(fixes, "PF16 PF19!: set to 1 (was 0)"), (agent, "PF16")]),
        Fault::CryptoX86Off => meets([(connect, "PF18")]),
        Fault::InstallerRunning => meets([(any, "PF20!"), (remove, "PF20!")]),
        Fault::LogonRightByPolicy => meets([(agent, "PF34!")]),
        // An older agent needs what is denied, and what is denied is told of that one without the fault.
        Fault::NtlmAllowed => meets([(needs_ntlm, "words"), (agent, "PF35")]),
        Fault::FipsOn => meets([(exempt, "words"), (any, "PF36")]),
        Fault::DcomBroken | Fault::DcomEmpty => meets([(connect, "PF37!")]),
        // It is asked for no channel to its domain.
        Fault::DomainController => meets([(any, "PF39")]).and_facts(),
        Fault::NoTpm => meets([(connect, "PF70")]),
        Fault::ConstrainedLanguage => meets([(any, "SEC2!")]),
        Fault::ApplicationControl => meets([(any, "SEC3")]),
        // Where it might be set it is left, and everywhere whoever set it is named.
        Fault::SetByPolicy | Fault::SetByPreference => meets([
            (fixes, "PF15! PF17!"),
            (agent_another_fixes, "PF15! PF17!"),
            (agent, "words"),
            (connect, "words"),
        ]),
        Fault::EcmaHost => meets([(agent, "PF76"), (remove, "PF76!")]),
        Fault::HrInbound => meets([(agent, "PF76"), (remove, "PF76")]),
        // No recipe reckons with the other tool: one that is there all the same is a surprise where the plan read nothing.
        Fault::OtherTool => meets([
            (
                |place| connect(place) && !engine(place),
                "PF41! CU01? CU02? CU03? KC08",
            ),
            (alone, "PF42"),
            (verified_without, "CR02!"),
            (
                |place| {
                    report(place) && !place.follows(|step| matches!(step, Step::GuideTransition(_)))
                },
                "words",
            ),
        ])
        .and_facts(),

        // Logs that would record a secret: no secret is asked for, a person does it at the wizard.
        Fault::ModuleLogging => meets([
            (cmdlets, "SEC1"),
            (register_anew, "attested"),
            (register, "seen"),
            (add_by_cmdlets, "attested"),
            // The wizard leaves an account that somebody gave the service: what the person said is seen not to be so.
            (verify_gone_on_with, "words"),
            (verify_anew, "PV05! PV18?"),
        ]),
        Fault::TranscriptionOn => meets([
            (connect, "PF38"),
            (cmdlets, "SEC1"),
            (register_anew, "attested"),
            (register, "seen"),
            (add_by_cmdlets, "attested"),
            (verify_gone_on_with, "words"),
            (verify_anew, "PV05! PV18?"),
        ]),

        // The way to the cloud.
        Fault::CloudBlocked => meets([
            // By the proxy they are reached.
            (proxied, "words"),
            (engine_proxied, "PF32?"),
            (agent, "PF26!"),
            (connect_elsewhere, "PF26!"),
            (connect, "PF26! PF32?"),
            (configure, "KE11"),
        ]),
        Fault::RegistrationBlocked => meets([
            // Its hosts are in no source for that cloud.
            (beyond_commercial, ""),
            (agent, "PF27"),
            (configure, "KE11"),
            (guide, "attested"),
            (verify_attested_made, "PV05! PV06! PV09?"),
            (verify_attested, "PV05! PV06! PV09? PV18?"),
        ]),
        Fault::RevocationBlocked => meets([(beyond_commercial, ""), (any, "PF28")]),
        // Whose a root is that the server trusts, nobody but its owner can say: it stops nothing.
        Fault::RootsByPolicy => meets([(any, "PF29?")]),
        Fault::TlsInspected => meets([(any, "PF29!")]),
        // The engine goes by machine.config, which has the same one.
        Fault::ProxySet => meets([
            (agent, "PF30"),
            (engine_proxied, "PF30"),
            (connect, "words"),
        ]),
        Fault::ProxyDemandsSignIn => meets([
            (proxied, "PF26? PF27? PF28? PF29? PF30"),
            (engine_proxied, "PF26? PF28? PF29?"),
        ]),
        Fault::ProxyRefuses => meets([
            (proxied, "PF26! PF27 PF28 PF29?"),
            (engine_proxied, "PF26! PF28 PF29?"),
        ]),
        Fault::ProxyInspects | Fault::ProxyShowsOther => {
            meets([(proxied, "PF29!"), (engine_proxied, "PF29!")])
        }
        Fault::MachineProxyDiffers => meets([(connect, "PF31!")]),
        Fault::MachineProxyAnonymous => meets([(engine_proxied, "PF31!")]),
        Fault::WebServiceRefused => meets([
            (engine_proxied, "PF32?"),
            (connect_elsewhere, ""),
            (connect, "PF32!"),
        ]),
        Fault::IeEscOn => meets([
            (wizard, "PF33"),
            (guide, "WZ01 KE14 attested"),
            (verify_attested_made, "PV05! PV06! PV09?"),
            (verify_attested, "PV05! PV06! PV09? PV18?"),
        ]),

        // The directory.
        Fault::DnsBlocked => meets([
            (any, "PF22!"),
            (verify_rights, "PV18?"),
            (removed, "RM07?"),
            (take_off, "UN03?"),
            (may_move, "TR03?"),
            (discover, "words"),
        ]),
        Fault::DnsSilent => meets([
            (any, "PF22?!"),
            (verify_rights, "PV18?"),
            (removed, "RM07?"),
            (take_off, "UN03?"),
            (may_move, "TR03?"),
            (discover, "words"),
        ]),
        Fault::DirectoryBlocked => meets([
            (agent, "PF23!"),
            (connect, "PF24!"),
            (verify_rights, "PV18?"),
            (removed, "RM07?"),
            (take_off, "UN03?"),
            (may_move, "TR03?"),
            (discover, "words"),
        ]),
        Fault::DirectoryPortsBlocked => meets([(agent, "PF23"), (connect, "PF24")]),
        Fault::DatagramsBlocked | Fault::DynamicRpcBlocked => meets([(connect, "PF24")]),
        Fault::PreferredControllerSilent | Fault::PreferredControllerReadOnly => nowhere(
            "the controllers that are preferred on the page are those that DNS names: preflight.rs",
        ),
        // The next one answers, and that is said; who prefers it wants it to answer.
        Fault::FirstControllerSilent => meets([
            (prefers, "PF23!"),
            (any, "words"),
            (register_with_domain, "words"),
            (verify_rights, "words"),
            (removed, "words"),
            (take_off, "words"),
            (may_move, "words"),
            (moves, "words"),
            (discover, "words"),
        ]),
        Fault::NotJoined => meets([
            // Whose home is not told is looked for nowhere.
            (
                |place| there(place) && !home(place),
                "PF04! PF49? PF50? PF52? PF54?",
            ),
            (agent, "PF04! PF49? PF50? PF52?"),
            (any, "PF04!"),
            (take_off, "UN03?"),
        ])
        .and_facts(),
        Fault::ClockWrong => meets([(any, "PF21!")]),
        Fault::ReadOnlyController => meets([(agent, "PF25"), (connect, "PF25!")]),
        // Version 47 is too old for a gMSA, and fine for Connect.
        Fault::OldSchema => meets([(agent, "PF46!"), (connect, "words")]),
        // Provisioning from Entra to AD alone needs the schema of 2016.
        Fault::SchemaBefore2016 => meets([(creates, "PF46!"), (any, "words")]),
        Fault::OldForest => meets([(connect, "PF47!")]),
        Fault::OldControllers => meets([(agent, "PF48!")]),
        // Whoever makes the account beforehand needs the key: it is told with the forest, and is their part.
        Fault::KdsKeyYoung => meets([(makes, "PF49!"), (counts_agent, "words")]),
        Fault::NoKdsKey => meets([
            (|place| named(place) && makes(place), "PF49? PF51!"),
            (named, "PF51!"),
            (makes, "PF49?"),
            (makes_account, "KE10: Key does not exist"),
        ]),
        Fault::GmsaNotAllowed => meets([
            (named, "PF51!"),
            (makes_account, "fails: may not retrieve the password"),
        ]),
        Fault::GmsaWithoutServer => meets([
            (named, "PF50!"),
            (makes_account, "words"),
            (removed, "-RM07"),
            (discover, "words"),
            (moves, "words"),
            (guide_makes, "words"),
        ]),
        Fault::GmsaRc4Only => meets([(named, "PF52!")]),
        // A policy is told with the account that it is judged with; of one that the product will make nothing shows.
        Fault::KerberosAesAlone => meets([
            (named, "words"),
            (|place| agent(place) && !named(place), "PF52?"),
        ]),
        Fault::KerberosWithoutAes => meets([(agent, "PF52!")]),
        // What another domain's groups may give it cannot be told.
        Fault::RightsMissing => meets([
            (
                |place| with_rights(place) && home(place) && several(place),
                "PF54 PF54?",
            ),
            (|place| with_rights(place) && home(place), "PF54"),
            // Groups of another domain than its own are not looked up.
            (with_rights, "PF54?"),
            (
                |place| verify_hashes(place) && verify_several(place),
                "PV18! PV18?",
            ),
            (
                |place| verify_home(place) && verify_several(place),
                "PV18 PV18?",
            ),
            (|place| verify_home(place) && verify_hashes(place), "PV18!"),
            (verify_home, "PV18"),
            (verify_rights, "PV18?"),
        ]),
        // Without those of password writeback no password is written.
        Fault::SetsMissing => meets([
            (verify_writeback, "PV18 PV18! PV18?"),
            (verify_sets, "PV18"),
        ]),
        Fault::DottedNetbios => meets([(connect, "PF55!")]),
        // Its own members are resolved, and that of another domain is said.
        Fault::ReadersByGroup => meets([
            (makes_account, "words"),
            (discover, "words"),
            (moves, "words"),
            (guide_makes, "words"),
        ]),
        // A domain of the forest is a suffix of it as well. Where units are chosen, other domains than theirs are asked nothing.
        Fault::ChildNetbiosDotted => meets([
            (chosen, "words"),
            (connect, "PF55!"),
            (counts_agent, "words"),
        ]),
        Fault::ChildBlocked => meets([
            (chosen, "words"),
            (connect, "PF24!"),
            (counts_agent, "words"),
        ]),
        Fault::DisjointName => meets([(connect, "PF56!")]),
        Fault::NoRecycleBin => meets([(any, "PF59")]),
        Fault::SuffixUnverifiable => meets([(counts, "PF57")]),
        Fault::DomainTooLarge => meets([
            (anchors_uncounted, "PF60?"),
            (anchors, "PF57? PF58! PF60?"),
            (counts_agent, "PF57? PF58!"),
            (counts_full_sql, "PF08 PF57?"),
            (counts, "PF08 PF57? PF58"),
            (may_move, "TR03!"),
        ]),
        Fault::GroupTooLarge => meets([(counts_agent, "PF58!")]),
        Fault::AnchorsMissing => meets([(anchors, "PF60")]),
        Fault::DirectoryUnreadable => meets([
            (
                anchors_uncounted,
                "PF46? PF48? PF50? PF52? PF54? PF59? PF60?",
            ),
            (anchors, "PF46? PF48? PF50? PF52? PF57? PF58? PF59? PF60?"),
            (
                |place| counts(place) && named(place) && makes(place),
                "PF46? PF48? PF49? PF50? PF52? PF57? PF58? PF59?",
            ),
            (
                |place| counts(place) && named(place),
                "PF46? PF48? PF50? PF52? PF57? PF58? PF59?",
            ),
            (
                |place| named(place) && makes(place),
                "PF46? PF48? PF49? PF50? PF52? PF59?",
            ),
            (with_rights, "PF46? PF48? PF50? PF52? PF54? PF59?"),
            (named, "PF46? PF48? PF50? PF52? PF59?"),
            (
                |place| counts(place) && makes(place),
                "PF46? PF48? PF49? PF57? PF58? PF59?",
            ),
            (makes, "PF46? PF48? PF49? PF59?"),
            (counts, "PF08? PF46? PF55? PF57? PF58? PF59?"),
            (connect, "PF46? PF55? PF59?"),
            (register_with_domain, "PF53?"),
            (verify_rights, "PV18?"),
            (removed, "RM07?"),
            (take_off, "UN03?"),
            (may_move, "TR03?"),
            (moves, "TR03?"),
            (guide_makes, "words"),
            (discover, "words"),
        ]),
        Fault::StrangeConnect => meets([(discover, "words")]),
        Fault::ReplicationSlow => nowhere(LATE),

        // The setup of the agent, its cmdlets, its service.
        Fault::LogonRightMissing => meets([(install, "KE01")]),
        Fault::InstallerBusy => meets([
            (
                install,
                "fails: another installation kept running (exit code 1618)",
            ),
            (
                remove,
                "fails: another installation kept running (exit code 1618)",
            ),
        ]),
        Fault::SetupWantsRestart => meets([
            (install, "words"),
            (remove, "words"),
            (
                |place| by_agent(place) && restart_after_setup(place),
                "words",
            ),
            (restart_after_setup, "seen"),
            (restart_after_removal, "seen"),
            (after_setup, "PF19!"),
        ]),
        Fault::GmsaEncryption => meets([(register, "KE03")]),
        Fault::MfaDemanded => meets([(register_by_credential, "KE07")]),
        Fault::TokenNotTaken => meets([
            (register_by_token, "MO01!"),
            (there, "MO01"),
            (after_setup, "MO01"),
            (verify_agent, "MO01"),
        ]),
        Fault::HistoryGone => meets([
            (engine, "CU03? KC08 MO02"),
            (verify_connect, "KC08 MO02 PV29?"),
            (verify_halted, "MO02"),
            (exports, "MO02"),
        ]),
        Fault::DomainCredentialDemanded => {
            meets([(handed_over, "asks: the module demands a credential")])
        }
        Fault::CredentialExpired | Fault::CredentialEnds | Fault::CredentialOfNobody => {
            meets([(register_with_domain, "PF53!")])
        }
        // It is shown to nobody without TLS, and the cmdlets take it by another way.
        Fault::LdapsBlocked => meets([(register_with_domain, "PF53?")]),
        Fault::PermissionsRefused => meets([(
            gives_rights,
            "fails: Set-AADCloudSyncPermissions failed: Access is denied.",
        )]),
        Fault::SecretLeft => meets([(configure, "PV21!")]),
        // The form of the module's list is unverified: it warns.
        Fault::DomainNotKept => meets([(configure, "PV10")]),
        Fault::ServiceStopped => meets([
            (register, "PV04!"),
            (add, "PV04!"),
            (start, "PV04!"),
            (guide, "attested"),
            (verify_agent, "PV04!"),
            (moves, "TR13!"),
            (outage, "words"),
            (beside_agent, "words"),
        ])
        .and_facts(),
        Fault::LogonAsServiceRefused => meets([
            (register, "PV04! KE18"),
            (add, "PV04! KE18"),
            (start, "PV04! KE18"),
            (guide, "attested"),
            (verify_agent, "PV04! KE18"),
            (moves, "WZ01 TR13! KE18"),
            (outage, "words"),
            (beside_agent, "words"),
        ])
        .and_facts(),
        // What stands in no probe's way, and stops the setup, the registration or a new domain.
        Fault::SetupRefusesSystem => meets([(install, "KE04")]),
        Fault::LogonGivenByHand => meets([(register, "KE02")]),
        Fault::RegistrationScriptsRefused => meets([
            (configure, "KE12"),
            (guide, "WZ01 KE12 attested"),
            (verify_attested_made, "PV05! PV06! PV09 KE12"),
            (verify_attested, "PV05! PV06! PV09 PV18? KE12"),
        ]),
        Fault::OtherJsonAssembly => meets([(configure, "KE08")]),
        Fault::DirectorySlow => meets([(configure, "KE06"), (verify_agent, "PV09 KE06")]),
        // How long it runs is asked by a soak; that Windows saw it end, always.
        Fault::ServiceRestarts => meets([(verify_agent, "PV07!"), (watched_engine, "PV07!")]),
        Fault::TraceShowsException => meets([(verify_agent, "PV09")]),
        Fault::ErrorsWhileWatched => meets([
            (watched_agent, "PV08!"),
            (verify_agent, "PV08"),
            (watched_engine, "PV27! PV34!"),
            (verify_connect, "PV27 PV34"),
        ]),
        Fault::LogsUnreadable => meets([
            (watched_agent, "PV08? asks"),
            (watched_engine, "PV27? PV34? asks"),
            (verify_agent, "PV07? PV08?"),
            (verify_connect, "PV27? PV34?"),
        ]),
        // A prerequisite that Entrain is to set: undo.rs.
        Fault::SettingRefused => meets([(registers, "fails: could not be set")]),
        Fault::AgentLogsErrors => meets([(verify_agent, "PV08")]),
        Fault::ConfigurationBroken => meets([
            (
                options,
                "asks: the options of the agent's service could not be read",
            ),
            (verify_edits, "PV16?!"),
        ])
        .and_facts(),
        Fault::ConfigurationReadOnly => meets([
            (kept, ""),
            (edits, "fails: AADConnectProvisioningAgent.exe.config"),
        ]),
        Fault::ToolsMissing => meets([(support, "fails: the logs could not be collected")]),

        // A removal of the agent.
        Fault::BundleCacheMissing => meets([(remove, "fails: still listed")]),
        Fault::BundleLeavesPackages => meets([(remove, "words")]),
        Fault::RemovalFails => meets([(remove, "fails: ended with exit code 1603")]),
        Fault::AgentServiceStays => meets([(
            remove,
            "fails: everything was taken off, and the agent is still there",
        )]),
        // The bundle takes it along, listed or not.
        Fault::UpdaterNotListed => meets([(watched_agent, "PV20!"), (verify_agent, "PV20")]),
        Fault::FolderStays => meets([(verify_removed, "RM04")]),

        // Windows, and Entrain's own agent.
        Fault::RestartRefused => meets([(
            |place| by_agent(place) && first_restart(place),
            "fails: Windows did not restart: access is denied",
        )]),
        Fault::RestartPendingAgain => meets([(
            |place| by_agent(place) && first_restart(place),
            "fails: Windows was restarted, and waits for a restart again",
        )]),
        Fault::NewAgentCrashes => meets([(own_agent, "fails: was given up")]),
        Fault::NoLauncher => meets([(own_agent, "fails: it was not started by entrain-launcher")]),

        // The engine of Connect, before an upgrade and behind it.
        Fault::EditedConfiguration => meets([(engine, "PF72")]),
        Fault::CopiedConfiguration => meets([(engine, "PF72?")]),
        Fault::EngineBusy => meets([(stays, "PF73"), (engine, "PF73!")]),
        Fault::ConsoleOpen => meets([(stays, "PF73"), (engine, "PF73!")]).and_facts(),
        Fault::ExportOld => meets([(stays, "PF74"), (engine, "PF74!")]),
        Fault::DefaultRulesDisabled => meets([(engine, "CU01")]),
        Fault::OverridesSet => meets([(engine, "CU02")]),
        Fault::FullRunLong => meets([(engine, "CU03")]),
        Fault::SchedulerSuspended => meets([
            (configuring, "attested"),
            (verify_staging, "PV24!"),
            (verify_held, "words"),
            (watched_engine, "PV24!"),
            (verify_connect, "PV24"),
            (moves, "TR12!"),
        ])
        .and_facts(),
        Fault::CycleHeld => meets([
            (guide_restoring, "words"),
            // On a staging server that is the tenant's setting, which no change of the active one waits for.
            (
                |place| verify_unreleased(place) && !verify_staging(place),
                "PV24!",
            ),
            (
                |place| verify_unreleased(place) && verify_staging(place),
                "PV24",
            ),
            (|place| exports(place) && place.follows(installs), "SW01!"),
        ])
        .and_facts(),
        Fault::WizardLeftOld => meets([(verify_upgraded, "PV23!")]),
        Fault::UpgradeActivates => meets([(guide_staging, "fails: (G1)")]),
        Fault::PasswordSyncOff => meets([(verify_passwords, "PV35! KC10"), (settings, "words")]),
        Fault::EngineEnds => meets([
            (awaits, "words"),
            (engine, "CU01? CU02? CU03? KC08"),
            (beside_engine, "words"),
            (|place| guide_connect(place) || switches(place), "attested"),
            (verify_halted, "KC01"),
            (
                verify_passwords,
                "KC01 PV22! PV24? PV25?! PV26? PV27? PV28? PV29? PV33? PV34? PV35? PV37?",
            ),
            (
                verify_connect,
                "KC01 PV22! PV24? PV25?! PV26? PV27? PV28? PV29? PV33? PV34? PV37?",
            ),
            (settings, "PV32?"),
            (reports_engine, "words"),
            (take_off_running, "UN04?"),
            (
                may_move,
                "TR02? TR03? TR04? TR05? TR06? TR07? TR08? TR09? TR10? TR11?!",
            ),
        ])
        .and_facts(),
        Fault::LegacyIdentity => meets([(verify_connect, "PV26")]),
        Fault::CertificateDue => meets([(verify_connect, "PV27")]),
        Fault::TenantConnectorMissing => meets([(verify_connect, "PV28!")]),
        Fault::RunFailed => meets([(verify_connect, "PV29")]),
        // Cycles go on while the engine is verified.
        Fault::RunUnderWay => meets([(verify_connect, "words")]),
        Fault::AutoUpgradeSuspended => meets([(verify_connect, "PV33")]),
        Fault::AutoUpgradeFailed => meets([(verify_connect, "PV34")]),
        Fault::UpgradeBrokeOff => meets([(verify_connect, "PV34 KC07")]),
        Fault::WizardTraceErrors => meets([(verify_connect, "PV37 KC03"), (verify_halted, "KC03")]),
        Fault::ConnectorOutdated => meets([(verify_connect, "PV37 KC05"), (verify_halted, "KC05")]),
        Fault::OldLocalDb => meets([(verify_connect, "WZ02 KC12"), (verify_halted, "WZ02 KC12")]),

        // The wizard of Connect does not come to its end: somebody says that it did, and is seen to be wrong.
        Fault::WizardIdentityRefused => meets([
            (guide_connect, "WZ01 KC02 attested"),
            (awaits_first, "words"),
            (verify_installed, "PV22! KC02"),
            (verify_upgraded, "PV23!"),
            (verify_halted, "KC02"),
        ]),
        Fault::WizardScriptError => meets([
            (guide_connect, "WZ01 KC11 attested"),
            (awaits_first, "words"),
            (verify_installed, "PV22! KC11"),
            (verify_upgraded, "PV23!"),
            (verify_halted, "KC11"),
        ]),
        Fault::WizardDatabaseLeft => meets([
            (guide_connect, "WZ01 KC04 attested"),
            (awaits_first, "words"),
            (verify_installed, "PV22! KC04"),
            (verify_upgraded, "PV23!"),
            (verify_halted, "KC04"),
        ]),
        Fault::WizardDatabaseInGroup => meets([
            (guide_connect, "WZ01 KC06 attested"),
            (awaits_first, "words"),
            (verify_installed, "PV22! KC06"),
            (verify_upgraded, "PV23!"),
            (verify_halted, "KC06"),
        ]),
        // Known of 2.6.91.0 alone, which no recipe installs.
        Fault::PassThroughNotEnabled => meets([
            (guide_connect, "attested"),
            (awaits_first, "words"),
            (verify_installed, "PV22!"),
            (verify_upgraded, "PV23!"),
        ]),

        // A change of mode.
        Fault::DeletionsPending => meets([(exports, "PV31!")]),
        Fault::ExportsUnreadable => meets([(exports, "PV30?! PV31?! SW01?!")]),
        Fault::FullSyncDue => meets([(awaits, "WZ03 attested"), (exports, "PV30!")]),
        Fault::NextCycleFull => meets([(awaits, "WZ03 attested"), (exports, "PV30!")]),
        Fault::FullSyncFollows => meets([(awaits, "WZ03")]),
        Fault::DueUnreadable => meets([(awaits, "WZ03? attested")]),
        Fault::CycleOverdue => meets([(exports, "SW01!"), (watched_engine, "SK01? asks")]),
        // Settings are compared by the controller, which holds the swap.
        Fault::SettingsDiffer => {
            meets([(settings, "words"), (may_move, "words"), (moves, "words")])
        }
        // The controller holds it against the others' as well.
        Fault::DefaultRuleEdited => meets([(settings, "words")]),
        Fault::SettingsUnreadable => {
            meets([(settings, "PV32?"), (may_move, "TR05?"), (moves, "TR05?")])
        }

        // A move to cloud sync.
        Fault::SecondForest => meets([(may_move, "TR02!"), (settings, "words")]),
        Fault::ScopeTooLarge => meets([(may_move, "TR03!")]),
        Fault::ManyUnits => meets([(may_move, "TR04!"), (settings, "words")]),
        Fault::CustomRules => meets([(may_move, "TR05!")]),
        Fault::GroupFilter => meets([(may_move, "TR06!")]),
        Fault::CustomPrincipalName => meets([(may_move, "TR07!")]),
        Fault::DirectoryExtensions => meets([(may_move, "TR08!")]),
        Fault::DeviceSync => meets([(may_move, "TR09!")]),
        Fault::DeviceWriteback => meets([(may_move, "TR10!"), (take_off_running, "UN04")]),
        Fault::TransitionStopsHalfWay => meets([(moves, "TR12!")]),
        Fault::TransitionLeavesNoAgent => meets([(moves, "TR13!")]),

        // A removal of Connect.
        Fault::PassThroughAgent => meets([(take_off, "UN01!"), (taken_off, "CR05")]),
        Fault::ConnectListed => meets([(taken_off, "CR01!")]),
        // Whatever is not about its end is as with an engine in the usual folder.
        Fault::EngineElsewhere => meets([(take_off, "attested"), (taken_off, "CR03!")]),
        Fault::HealthAgent => meets([(take_off, "UN02")]),
        Fault::SeamlessSignOn => meets([(take_off, "UN03")]),

        // The database of Connect.
        Fault::SqlUnreachable | Fault::SqlCollation | Fault::SqlOld | Fault::SqlForeign => {
            meets([(database, "PF71!")])
        }
        // What is in a database that is taken over is not told in any case.
        Fault::SqlLoginRefused => meets([(taken_over, "words"), (database, "PF71?")]),
    }
}

/// Ids of what does not pass, and of the known errors that are told with it.
fn shown(events: &[Event]) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for event in events {
        let findings = match event {
            Event::Probed { findings, .. } => findings,
            Event::StepFailed { failure, .. } => &failure.findings,
            _ => continue,
        };
        for finding in findings {
            let mark = match finding.verdict {
                Verdict::Pass => continue,
                Verdict::Fail => "",
                Verdict::CannotTell => "?",
            };
            let stops = if finding.blocks() { "!" } else { "" };
            shown.insert(format!("{}{mark}{stops}", finding.id));
            for text in [&finding.read, &finding.fix] {
                shown.extend(text.split('(').filter_map(known_error));
            }
        }
    }
    shown
}

/// The known error whose id stands there in brackets, the first of which is gone.
fn known_error(text: &str) -> Option<String> {
    let id = text.split_once(')')?.0;
    let is = |row: known::Row| row.id == id;
    (id.starts_with('K') && known::rows().any(is)).then(|| id.to_owned())
}

/// What a step shows with the fault and does not without it, with the words of its failure.
fn differences(with: &[Event], without: &[Event]) -> (BTreeSet<String>, String) {
    let (now, then) = (shown(with), shown(without));
    let mut tokens: BTreeSet<String> = now.difference(&then).cloned().collect();
    let id = |token: &str| token.trim_end_matches(['!', '?']).to_owned();
    // What could not be told before, or is told otherwise now, is no news by itself.
    for gone in then.difference(&now) {
        let again = now.iter().any(|token| id(token) == id(gone));
        let of_probe = !gone.starts_with('K');
        if of_probe && !gone.contains('?') && !again && completed(with).is_some() {
            tokens.insert(format!("-{gone}"));
        }
    }
    let mut words = String::new();
    match with.last() {
        Some(Event::StepFailed { failure, .. }) => {
            words.clone_from(&failure.what);
            let known = failure.known.as_ref().map(|known| known.id.clone());
            let stops = tokens.iter().any(|token| token.ends_with('!'));
            let failed_before = matches!(without.last(), Some(Event::StepFailed { .. }));
            match known {
                Some(known) => {
                    tokens.insert(known);
                }
                None if stops || failed_before => {}
                None => {
                    tokens.insert("fails".to_owned());
                }
            }
        }
        Some(Event::StepInconclusive { question, .. }) => {
            words.clone_from(question);
            tokens.insert("asks".to_owned());
        }
        _ => {}
    }
    let how = |events: &[Event]| completed(events).map(std::mem::discriminant::<Completion>);
    match completed(with) {
        Some(Completion::Attested { .. }) if how(with) != how(without) => {
            tokens.insert("attested".to_owned());
        }
        Some(Completion::SeenDone) if how(with) != how(without) => {
            tokens.insert("seen".to_owned());
        }
        _ => {}
    }
    if tokens.is_empty() && with != without {
        tokens.insert("words".to_owned());
    }
    (tokens, words)
}

fn completed(events: &[Event]) -> Option<&Completion> {
    events.iter().find_map(|event| match event {
        Event::StepCompleted { completion, .. } => Some(completion),
        _ => None,
    })
}

/// A journal by steps, and the facts that are reported in it.
fn by_steps(journal: &[Event]) -> (BTreeMap<usize, Vec<Event>>, Vec<&Facts>) {
    let mut steps: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
    let mut facts = Vec::new();
    let mut at = 0;
    for event in journal {
        match event {
            Event::FactsReported(reported) => {
                facts.push(&**reported);
                continue;
            }
            Event::RunFinished { .. } => continue,
            Event::StepBegun { step, .. } => at = usize::from(step.0),
            _ => {}
        }
        steps.entry(at).or_default().push(event.clone());
    }
    (steps, facts)
}

/// Tells whether a server with a fault answers all of a run as one without it; then it is changed alike. A run is a function of
/// what its server answers, and so the same one.
fn answers_alike(bundle: &Bundle, ran: &Ran, twin: &mut Twin) -> bool {
    let mut other = twin.clone();
    let mut secrets = BTreeMap::new();
    for deed in &ran.deeds {
        match deed {
            Deed::Begun(step) => {
                other.asked(&bundle.steps[usize::from(step.0)]);
            }
            Deed::Given(kind) => {
                secrets.insert(kind.clone(), secret());
            }
            Deed::Performed(op, outcome) => {
                if other.perform(op, &secrets).0 != *outcome {
                    return false;
                }
            }
        }
    }
    *twin = other;
    true
}

/// One server of a recipe, and how each of its phases goes without a fault.
struct Part {
    title: &'static str,
    target: TargetId,
    part: TargetPlan,
    facts: Facts,
    bundles: Vec<Bundle>,
    sound: Vec<Ran>,
}

/// A wizard that does not come to its end has its trace read after half an hour: a person's word comes later than that.
const LONG_PATIENCE: u32 = 70;

/// The servers of all recipes, each with these faults; those that differ by their name alone once.
fn parts(keys: &Keys, faults: &BTreeSet<Fault>) -> Vec<Part> {
    let mut seen = BTreeSet::new();
    let mut parts = Vec::new();
    for case in recipes::CASES {
        let reported = case.reported();
        for (target, part) in case.plan().targets {
            let bundle = |phase| keys.bundle(&target, &part, phase);
            let bundles: Vec<Bundle> = part.phases.iter().map(bundle).collect();
            let mut twin = server(&target, &reported[&target], &part, faults);
            let steps: Vec<&[Step]> = bundles.iter().map(|one| one.steps.as_slice()).collect();
            let text = format!("{steps:?}{twin:?}").replace(target.as_str(), "SERVER");
            if bundles.is_empty() || !seen.insert(Digest::of(text.as_bytes())) {
                continue;
            }
            let mut sound: Vec<Ran> = Vec::new();
            for bundle in &bundles {
                let ran = drive(bundle, keys, &mut twin, None, LONG_PATIENCE);
                let goes_on = ran.conclusion.ending == Ending::Completed;
                sound.push(ran);
                // Without a fault each comes to its end: the tests with kills hold that.
                if !goes_on {
                    break;
                }
            }
            parts.push(Part {
                title: case.title,
                facts: reported[&target].clone(),
                target,
                part,
                bundles,
                sound,
            });
        }
    }
    parts
}

/// What came otherwise than expected, and which rows were met.
#[derive(Default)]
struct Compared {
    wrong: Vec<String>,
    met: BTreeSet<usize>,
    facts: bool,
}

/// Carries out the work of one server with the fault, and holds what each step shows against the rows.
fn compare(part: &Part, fault: Fault, expected: &Expected, keys: &Keys, out: &mut Compared) {
    let faults = beside(fault).into_iter().chain([fault]).collect();
    let mut twin = server(&part.target, &part.facts, &part.part, &faults);
    let mut before: Vec<&Step> = Vec::new();
    let mut touched = false;
    for (bundle, sound) in part.bundles.iter().zip(&part.sound) {
        let phase = format!("{fault:?} in \"{}\", {}", part.title, part.target);
        if answers_alike(bundle, sound, &mut twin) {
            let (steps, _) = by_steps(&sound.journal);
            for at in steps.into_keys() {
                let step = &bundle.steps[at];
                let place = Place {
                    step,
                    before: &before,
                    target: &part.target,
                    facts: &part.facts,
                };
                let row = expected.rows.iter().find(|row| (row.0)(&place));
                if let Some(Row(_, shows)) = row.filter(|row| !row.1.is_empty()) {
                    let line = format!("{phase}: {} shows nothing, and not {shows}", step.kind());
                    out.wrong.push(line);
                }
                before.push(step);
            }
            continue;
        }
        let ran = drive(bundle, keys, &mut twin, None, LONG_PATIENCE);
        let (with, facts) = by_steps(&ran.journal);
        let (without, sound_facts) = by_steps(&sound.journal);
        for (at, events) in &with {
            let step = &bundle.steps[*at];
            let empty = Vec::new();
            let (tokens, words) = differences(events, without.get(at).unwrap_or(&empty));
            let place = Place {
                step,
                before: &before,
                target: &part.target,
                facts: &part.facts,
            };
            let row = expected.rows.iter().position(|row| (row.0)(&place));
            let shows = row.map_or("", |row| expected.rows[row].1);
            out.met.extend(row);
            let (ids, said) = shows.split_once(": ").unwrap_or((shows, ""));
            let meant: BTreeSet<String> = ids.split_whitespace().map(ToOwned::to_owned).collect();
            if meant != tokens || !words.contains(said) {
                let shown: Vec<&str> = tokens.iter().map(String::as_str).collect();
                out.wrong.push(format!(
                    "{phase}: {} shows \"{}\" ({words}), and not \"{shows}\"",
                    step.kind(),
                    shown.join(" ")
                ));
            }
            touched |= !tokens.is_empty();
            before.push(step);
        }
        if !touched && facts != sound_facts {
            out.facts = true;
            if !expected.facts {
                out.wrong.push(format!("{phase}: the facts show it"));
            }
        }
        if ran.conclusion.ending != Ending::Completed {
            break;
        }
    }
}

/// Why no recipe with a fault shows a known error, where none does.
fn without_fault(id: &str) -> Option<&'static str> {
    Some(match id {
        "KE05" => "PF14 stops the server before a setup could say it: preflight.rs",
        "KE09" => "PF12 stops the server before a cmdlet could say it: preflight.rs",
        "KE20" => "PF09 stops the server before a setup could say it: preflight.rs",
        "KE21" => "a condition of the setup that no probe and no source knows: known.rs",
        "KE13" | "KE17" => {
            "a reading of the tenant shows it, and no server: controller-core, tenant.rs"
        }
        "KE15" | "KE16" | "KC13" => "nothing that Entrain reads shows it",
        "KC09" => "a fault of 2.6.91.0, which no recipe installs: trouble.rs",
        _ => return None,
    })
}

/// Every known error, and so every row of the product facts' tables (`agent/core/tests/probes.rs`), is shown by some recipe with a
/// fault; or it stands here why not. That the rows hold is the other tests' matter.
#[test]
fn every_known_error_has_a_fault_or_a_reason() {
    let mut shown = BTreeSet::new();
    for fault in Fault::ALL {
        for Row(_, tokens) in expected(fault).rows {
            shown.extend(tokens.split([' ', ':']));
        }
    }
    for row in known::rows() {
        let without = without_fault(row.id);
        assert_ne!(
            shown.contains(row.id),
            without.is_some(),
            "{}: {without:?}",
            row.id
        );
    }
}

/// How many tests share the work: each takes every so many-th fault.
const SHARES: usize = 6;

fn share(number: usize) {
    let keys = Keys::new();
    let mut sound = BTreeMap::new();
    let mut wrong = Vec::new();
    let own = Fault::ALL.into_iter().skip(number).step_by(SHARES);
    for fault in own {
        let expected = expected(fault);
        let mut compared = Compared::default();
        let faults: BTreeSet<Fault> = beside(fault).into_iter().collect();
        let parts = sound
            .entry(faults.clone())
            .or_insert_with(|| parts(&keys, &faults));
        for part in parts.iter() {
            compare(part, fault, &expected, &keys, &mut compared);
        }
        wrong.append(&mut compared.wrong);
        for (at, row) in expected.rows.iter().enumerate() {
            if !compared.met.contains(&at) && !row.1.is_empty() {
                wrong.push(format!("{fault:?}: no recipe meets row {at}, {}", row.1));
            }
        }
        if expected.facts && !compared.facts {
            wrong.push(format!("{fault:?}: no facts show it"));
        }
        let met = !compared.met.is_empty() || compared.facts;
        if expected.nowhere.is_some() == met {
            wrong.push(format!("{fault:?}: met by some recipe: {met}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_1() {
    share(0);
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_2() {
    share(1);
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_3() {
    share(2);
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_4() {
    share(3);
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_5() {
    share(4);
}

#[test]
fn every_recipe_with_every_fault_shows_what_it_must_6() {
    share(5);
}
