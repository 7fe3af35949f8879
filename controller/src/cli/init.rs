//! A controller's keys and configuration are made.

use std::path::Path;

use protocol::signed::ControllerKind;

use crate::authority::{self, Settings};
use crate::cli::args::Init;
use crate::cli::passphrase::new_passphrase;
use crate::cli::{exit, output};
use crate::keys;

/// Makes them in a state folder that has none.
///
/// # Errors
/// Where there is a controller already, a key cannot be read or written, or the passphrase is none.
pub(super) fn init(state: &Path, ask: Init) -> anyhow::Result<u8> {
    let Init {
        simulated,
        address,
        listen,
        root_key,
        publisher,
        override_operators,
        passphrase_stdin,
    } = ask;
    let kind = if simulated {
        ControllerKind::Simulated
    } else {
        ControllerKind::Real
    };
    authority::may_init(state, &root_key)?;
    let publisher = publisher.map(|file| keys::read_public(&file)).transpose()?;
    let passphrase = new_passphrase(passphrase_stdin, "the root key")?;
    let settings = Settings {
        kind,
        address,
        listen,
        certificate_seconds: None,
    };
    let root = authority::init(
        state,
        &settings,
        &authority::RootKeys {
            root_key: &root_key,
            passphrase: &passphrase,
            publisher,
            override_operators,
        },
        crate::now(),
    )?;
    output::print(&format!(
        "initialized {} ({})\ntrust root  {root}\nroot key    {}: take it offline now; `serve` never needs it",
        state.display(),
        kind.as_str(),
        root_key.display()
    ));
    Ok(exit::OK)
}
