//! What a procedure has recorded in the journal.

use protocol::event::{DiscoveredServer, Finding};
use protocol::exported::ExportedSettings;
use protocol::facts::Facts;
use protocol::settings::ConnectSettings;
use protocol::{DomainName, Timestamp};

use super::{Cx, Flow, Want};

impl Cx<'_> {
    /// Records the answers of probes.
    ///
    /// # Errors
    /// Until they are recorded.
    pub fn note(&mut self, findings: &[Finding]) -> Flow<()> {
        self.take(|| Want::Findings(findings.to_vec())).map(drop)
    }

    /// Records servers that a directory names.
    ///
    /// # Errors
    /// Until they are recorded.
    pub fn note_servers(
        &mut self,
        domain: &DomainName,
        (servers, unread): (&[DiscoveredServer], &[String]),
    ) -> Flow<()> {
        let want = || Want::Servers {
            domain: domain.clone(),
            servers: servers.to_vec(),
            unread: unread.to_vec(),
        };
        self.take(want).map(drop)
    }

    /// Records what a forest's directory shows: its UPN suffixes with how many more there are, from when on a KDS root key
    /// may be used, and the domain's NetBIOS name.
    ///
    /// # Errors
    /// Until it is recorded.
    pub fn note_forest(
        &mut self,
        domain: &DomainName,
        suffixes: Option<&(Vec<String>, u32)>,
        kds_usable_from: Option<Timestamp>,
        netbios: Option<&str>,
    ) -> Flow<()> {
        let want = || Want::Forest {
            domain: domain.clone(),
            suffixes: suffixes.cloned(),
            kds_usable_from,
            netbios: netbios.map(str::to_owned),
        };
        self.take(want).map(drop)
    }

    /// Records settings of Connect Sync.
    ///
    /// # Errors
    /// Until they are recorded.
    pub fn note_settings(&mut self, settings: &ConnectSettings) -> Flow<()> {
        let want = || Want::Settings(Box::new(settings.clone()));
        self.take(want).map(drop)
    }

    /// Records settings that Connect's wizard has exported.
    ///
    /// # Errors
    /// Until they are recorded.
    pub fn note_export(&mut self, export: &ExportedSettings) -> Flow<()> {
        let want = || Want::Export(Box::new(export.clone()));
        self.take(want).map(drop)
    }

    /// Records whether Connect's cycle is held before the wizard of an upgrade.
    ///
    /// # Errors
    /// Until it is recorded.
    pub fn note_cycle(&mut self, held: bool) -> Flow<()> {
        self.take(|| Want::CycleBeforeWizard { held }).map(drop)
    }

    /// Records facts.
    ///
    /// # Errors
    /// Until they are recorded.
    pub fn note_facts(&mut self, facts: &Facts) -> Flow<()> {
        self.take(|| Want::Facts(Box::new(facts.clone()))).map(drop)
    }
}
