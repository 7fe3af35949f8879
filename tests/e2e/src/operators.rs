//! Operators under accounts of their own, at the socket of a controller that several use.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::{Release, World, program};

/// The socket of operators, and a copy of the program that every account may run.
#[derive(Debug)]
pub struct Operators {
    folder: TempDir,
}

impl World {
    /// A simulated controller whose trust root asks so many operators for an override, with a socket for its group.
    ///
    /// # Panics
    /// When it cannot be made, or this process may not act as other accounts.
    #[must_use]
    pub fn with_operators(asked: u32) -> (Self, Operators) {
        let folder = tempfile::tempdir().expect("a folder");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("every account may come in");
        std::fs::copy(program("entrain"), folder.path().join("entrain")).expect("a copy");
        let operators = Operators { folder };
        let asked = asked.to_string();
        let kind = ["--simulated", "--override-operators", &asked];
        let mut world = Self::make(&[], None, &kind, Release::Ours);
        world.stop_controller();
        world.socket = Some(operators.socket());
        world.start_controller();
        (world, operators)
    }
}

impl Operators {
    /// Where the controller listens for them.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// Runs `entrain` as an account, in the group of this process or in a group of its own.
    ///
    /// # Panics
    /// When it cannot be run: that takes root.
    #[must_use]
    pub fn entrain(&self, account: u32, in_group: bool, arguments: &[&str]) -> Output {
        let mut command = std::process::Command::new(self.folder.path().join("entrain"));
        command
            .args(arguments)
            .env_clear()
            .env("ENTRAIN_SOCKET", self.socket())
            .current_dir("/")
            .stdin(Stdio::null())
            .uid(account);
        if !in_group {
            command.gid(account);
        }
        command
            .output()
            .expect("entrain runs as another account; that takes root")
    }
}
