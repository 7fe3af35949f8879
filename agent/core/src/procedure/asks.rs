//! What a procedure asks of its server and of the directory: an operation for each, and its outcome as it is read.

use std::time::Duration;

use protocol::secret::SecretKind;
use protocol::signed::ArtifactRef;
use protocol::{ProxyAddress, Version};

use super::{Cx, Flow, Reading, fail};
use crate::op::{
    Census, Counted, Export, Found, FoundGroups, LargeGroups, Launcher, LogEnds, Op, Outcome,
    Program, RegistryValue, Script, Search, Service, Shown,
};

impl Cx<'_> {
    /// Reads a registry value.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn registry(&mut self, key: &str, value: &str) -> Flow<Reading<Option<RegistryValue>>> {
        let op = || Op::Registry {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        self.op(op, |outcome| match outcome {
            Outcome::Registry(value) => Some(value.clone()),
            _ => None,
        })
    }

    /// Reads a registry number.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn number(&mut self, key: &str, value: &str) -> Flow<Reading<Option<u32>>> {
        Ok(self.registry(key, value)?.map(|value| match value {
            Some(RegistryValue::Number(number)) => Some(number),
            Some(RegistryValue::Text(text) | RegistryValue::Expandable(text)) => {
                text.trim().parse().ok()
            }
            Some(RegistryValue::Other | RegistryValue::Empty) | None => None,
        }))
    }

    /// Reads a registry text.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn text(&mut self, key: &str, value: &str) -> Flow<Reading<Option<String>>> {
        Ok(self.registry(key, value)?.map(|value| match value {
            Some(RegistryValue::Text(text) | RegistryValue::Expandable(text)) => Some(text),
            Some(RegistryValue::Number(_) | RegistryValue::Other | RegistryValue::Empty) | None => {
                None
            }
        }))
    }

    /// Tells whether a registry key exists.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn key_exists(&mut self, key: &str) -> Flow<Reading<bool>> {
        self.op(
            || Op::RegistryKey {
                key: key.to_owned(),
            },
            |outcome| match outcome {
                Outcome::Exists(exists) => Some(*exists),
                _ => None,
            },
        )
    }

    /// Asks for a service.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn service(&mut self, name: &str) -> Flow<Reading<Option<Service>>> {
        self.op(
            || Op::Service {
                name: name.to_owned(),
            },
            |outcome| match outcome {
                Outcome::Service(service) => Some(service.clone()),
                _ => None,
            },
        )
    }

    /// Asks how long the process of a service has run; `None` where it does not.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn service_age(&mut self, name: &str) -> Flow<Reading<Option<Duration>>> {
        let op = || Op::ServiceAge {
            name: name.to_owned(),
        };
        self.op(op, |outcome| match outcome {
            Outcome::Age(age) => Some(*age),
            _ => None,
        })
    }

    /// Reads the version of an executable.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn file_version(&mut self, path: &str) -> Flow<Reading<Option<Version>>> {
        self.op(
            || Op::FileVersion {
                path: path.to_owned(),
            },
            |outcome| match outcome {
                Outcome::FileVersion(version) => Some(*version),
                _ => None,
            },
        )
    }

    /// Reads a small text file; `None` where it is not there.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn file_text(&mut self, path: &str) -> Flow<Reading<Option<String>>> {
        let op = || Op::FileText {
            path: path.to_owned(),
        };
        self.op(op, |outcome| match outcome {
            Outcome::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Reads the newest settings that Connect's wizard has exported; `None` where there are none.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn connect_export(&mut self) -> Flow<Reading<Option<Export>>> {
        self.op(
            || Op::ConnectExport,
            |outcome| match outcome {
                Outcome::Export(export) => Some(export.as_deref().cloned()),
                _ => None,
            },
        )
    }

    /// Reads memory and free disk, in MiB.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn machine(&mut self) -> Flow<Reading<(u64, u64)>> {
        self.op(
            || Op::Machine,
            |outcome| match outcome {
                Outcome::Machine {
                    memory_mib,
                    disk_free_mib,
                } => Some((*memory_mib, *disk_free_mib)),
                _ => None,
            },
        )
    }

    /// Reads the last lines of a log; none when it cannot be read.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn log(&mut self, log: crate::op::Log) -> Flow<Vec<String>> {
        Ok(self.read_log(log)?.unwrap_or_default())
    }

    /// Reads the last lines of a log.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn read_log(&mut self, log: crate::op::Log) -> Flow<Reading<Vec<String>>> {
        self.read_log_after(log, None)
    }

    /// Tells how far a log goes by now.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn measure_log(&mut self, log: crate::op::Log) -> Flow<Reading<LogEnds>> {
        self.op(
            || Op::MeasureLog { log },
            |outcome| match outcome {
                Outcome::LogEnds(ends) => Some(ends.clone()),
                _ => None,
            },
        )
    }

    /// Reads the last lines of a log, of which those that were there before do not count.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn read_log_after(
        &mut self,
        log: crate::op::Log,
        after: Option<&LogEnds>,
    ) -> Flow<Reading<Vec<String>>> {
        self.op(
            || Op::ReadLog {
                log,
                after: after.cloned(),
            },
            |outcome| match outcome {
                Outcome::Lines(lines) => Some(lines.clone()),
                _ => None,
            },
        )
    }

    /// Runs a setup executable and gives its exit code.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn install(
        &mut self,
        artifact: &ArtifactRef,
        arguments: Vec<String>,
        log: crate::op::Log,
    ) -> Flow<Reading<i32>> {
        self.op(
            || Op::Install {
                artifact: artifact.clone(),
                arguments,
                log,
            },
            |outcome| match outcome {
                Outcome::Exited { code } => Some(*code),
                _ => None,
            },
        )
    }

    /// Asks how the launcher of the agent stands.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn launcher(&mut self) -> Flow<Reading<Launcher>> {
        self.op(
            || Op::Launcher,
            |outcome| match outcome {
                Outcome::Launcher(launcher) => Some(launcher.clone()),
                _ => None,
            },
        )
    }

    /// Lists programs by their names.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn programs(&mut self, names: &[&str]) -> Flow<Reading<Vec<Program>>> {
        let names = || names.iter().map(|name| (*name).to_owned()).collect();
        self.op(
            || Op::Programs { names: names() },
            |outcome| match outcome {
                Outcome::Programs(programs) => Some(programs.clone()),
                _ => None,
            },
        )
    }

    /// Takes a program off and gives the exit code.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn uninstall(&mut self, program: &Program, log: crate::op::Log) -> Flow<Reading<i32>> {
        let op = || Op::Uninstall {
            program: program.clone(),
            log,
        };
        self.op(op, |outcome| match outcome {
            Outcome::Exited { code } => Some(*code),
            _ => None,
        })
    }

    /// Tells whether a file or folder is there.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn path_exists(&mut self, path: &str) -> Flow<Reading<bool>> {
        let op = || Op::PathExists {
            path: path.to_owned(),
        };
        self.op(op, |outcome| match outcome {
            Outcome::Exists(exists) => Some(*exists),
            _ => None,
        })
    }

    /// Runs an embedded script and gives the JSON values that it printed.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn script(
        &mut self,
        script: Script,
        input: serde_json::Value,
        secrets: Vec<SecretKind>,
        limit: Duration,
    ) -> Flow<Reading<Vec<serde_json::Value>>> {
        self.op(
            || Op::Script {
                script,
                input,
                secrets,
                limit,
            },
            |outcome| match outcome {
                Outcome::Script { lines } => Some(lines.clone()),
                _ => None,
            },
        )
    }

    /// Performs an operation of which only success or failure matters.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn perform(&mut self, op: Op) -> Flow<Reading<()>> {
        self.op(|| op, |_| Some(()))
    }

    /// Looks at the certificates of a host through a proxy.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn look_through(&mut self, proxy: &ProxyAddress, host: &str) -> Flow<Reading<Shown>> {
        self.op(
            || Op::LookThrough {
                proxy: proxy.clone(),
                host: host.to_owned(),
            },
            |outcome| match outcome {
                Outcome::Chain(chain) => Some(chain.clone()),
                _ => None,
            },
        )
    }

    /// Finds domain controllers of a domain.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn domain_controllers(&mut self, domain: &str) -> Flow<Reading<Vec<String>>> {
        self.op(
            || Op::FindDomainControllers {
                domain: domain.to_owned(),
            },
            |outcome| match outcome {
                Outcome::Hosts(hosts) => Some(hosts.clone()),
                _ => None,
            },
        )
    }

    /// Puts an artifact where a person finds it, and gives the path.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn stage(&mut self, artifact: &ArtifactRef, name: &str) -> Flow<Reading<String>> {
        let op = || Op::Stage {
            artifact: artifact.clone(),
            name: name.to_owned(),
        };
        self.op(op, |outcome| match outcome {
            Outcome::Staged { path } => Some(path.clone()),
            _ => None,
        })
    }

    /// Asks a domain controller; gives the objects, whether there are more, and this server's clock.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn search(&mut self, search: Search) -> Flow<Reading<Found>> {
        self.op(
            || Op::Search(Box::new(search)),
            |outcome| match outcome {
                Outcome::Entries(found) => Some((**found).clone()),
                _ => None,
            },
        )
    }

    /// Counts what a domain holds.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn census(&mut self, census: Census) -> Flow<Reading<Counted>> {
        self.op(
            || Op::Census(Box::new(census)),
            |outcome| match outcome {
                Outcome::Counted(counted) => Some((**counted).clone()),
                _ => None,
            },
        )
    }

    /// Looks for groups of many members.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn large_groups(&mut self, groups: LargeGroups) -> Flow<Reading<FoundGroups>> {
        self.op(
            || Op::LargeGroups(Box::new(groups)),
            |outcome| match outcome {
                Outcome::LargeGroups(found) => Some((**found).clone()),
                _ => None,
            },
        )
    }

    /// Tells whether the secrets that came are still good, as far as they tell it themselves.
    ///
    /// # Errors
    /// While the outcome is not there.
    pub fn secrets_fit(&mut self, secrets: &[SecretKind]) -> Flow<bool> {
        let op = || Op::SecretsFit {
            secrets: secrets.to_vec(),
        };
        let fit = self.op(op, |outcome| match outcome {
            Outcome::Exists(fit) => Some(*fit),
            _ => None,
        })?;
        fit.or_else(|why| fail(format!("whether the secrets are still good: {why}")))
    }
}
