//! Values of the machine's registry.

use agent_core::op::{Outcome, RegistryValue};
use windows_registry::{LOCAL_MACHINE, Type};

/// Whether an error says that the key or value is not there.
pub(super) fn is_absent(code: i32) -> bool {
    const NOT_FOUND: [u32; 2] = [0x8007_0002, 0x8007_0003];
    NOT_FOUND.contains(&code.cast_unsigned())
}

/// What cannot be read is not what is absent.
fn absent_or_failed(code: i32, text: String) -> Outcome {
    if is_absent(code) {
        Outcome::Registry(None)
    } else {
        Outcome::Failed(text)
    }
}

/// Whether a key is there.
pub(super) fn is_there(key: &str) -> Outcome {
    match LOCAL_MACHINE.open(key) {
        Ok(_) => Outcome::Exists(true),
        Err(error) if is_absent(error.code().0) => Outcome::Exists(false),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Makes a volatile key: Windows forgets it when it restarts.
pub(super) fn until_restart(key: &str) -> Result<(), String> {
    let mut options = LOCAL_MACHINE.options();
    let made = options.create().write().volatile().open(key);
    made.map(drop).map_err(|error| error.to_string())
}

/// Reads a value; one that is not there is none.
pub(super) fn read(key: &str, value: &str) -> Outcome {
    let key = match LOCAL_MACHINE.open(key) {
        Ok(key) => key,
        Err(error) => return absent_or_failed(error.code().0, error.to_string()),
    };
    let kind = match key.get_type(value) {
        Ok(kind) => kind,
        Err(error) => return absent_or_failed(error.code().0, error.to_string()),
    };
    let read = match kind {
        Type::U32 => key.get_u32(value).map(RegistryValue::Number),
        Type::String => key.get_string(value).map(RegistryValue::Text),
        Type::ExpandString => key.get_string(value).map(RegistryValue::Expandable),
        Type::Bytes => key.get_value(value).map(|bytes| {
            if bytes.is_empty() {
                RegistryValue::Empty
            } else {
                RegistryValue::Other
            }
        }),
        _ => Ok(RegistryValue::Other),
    };
    read.map_or_else(
        |error| Outcome::Failed(error.to_string()),
        |value| Outcome::Registry(Some(value)),
    )
}

/// Sets a number or a text, and makes its key where there is none.
pub(super) fn set(key: &str, value: &str, data: &RegistryValue) -> Result<(), String> {
    let key = LOCAL_MACHINE
        .create(key)
        .map_err(|error| error.to_string())?;
    match data {
        RegistryValue::Number(number) => key.set_u32(value, *number),
        RegistryValue::Text(text) => key.set_string(value, text),
        RegistryValue::Expandable(text) => key.set_expand_string(value, text),
        RegistryValue::Other | RegistryValue::Empty => {
            return Err("only numbers and texts are set".to_owned());
        }
    }
    .map_err(|error| error.to_string())
}

/// Takes a value away; one that is not there is away.
pub(super) fn clear(key: &str, value: &str) -> Result<(), String> {
    let mut options = LOCAL_MACHINE.options();
    let cleared = options.write().open(key);
    match cleared.and_then(|key| key.remove_value(value)) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(error.code().0) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
