//! What is typed and not shown: passphrases of keys, and whatever else nobody is to read.

use std::io::BufRead as _;

use anyhow::{Context as _, bail};

/// Fewest characters of a new key's passphrase.
const SHORTEST_PASSPHRASE: usize = 12;

/// How a passphrase is given without a terminal.
const FROM_STDIN: &str = "give the passphrase by --passphrase-stdin";

/// Asks for something that is not shown.
pub(super) fn ask_hidden(prompt: &str, instead: &str) -> anyhow::Result<String> {
    rpassword::prompt_password(prompt)
        .with_context(|| format!("there is no terminal to ask at: {instead}"))
}

/// The passphrase of a key that is there.
pub(super) fn passphrase_of(from_stdin: bool, key: &str) -> anyhow::Result<String> {
    if from_stdin {
        let line = std::io::stdin().lock().lines().next().transpose()?;
        return line
            .filter(|line| !line.is_empty())
            .context("standard input has no passphrase");
    }
    ask_hidden(&format!("passphrase for {key}: "), FROM_STDIN)
}

/// A passphrase for a new key: typed twice, unless a program gives it.
pub(super) fn new_passphrase(from_stdin: bool, key: &str) -> anyhow::Result<String> {
    let first = passphrase_of(from_stdin, key)?;
    if first.chars().count() < SHORTEST_PASSPHRASE {
        bail!(
            "a passphrase of {} characters would not guard {key}, whose file anybody who has it may try without end: take {SHORTEST_PASSPHRASE} or more; nothing was made",
            first.chars().count()
        );
    }
    if from_stdin {
        return Ok(first);
    }
    if first != ask_hidden("once more: ", FROM_STDIN)? {
        bail!("the two differ; nothing was made");
    }
    Ok(first)
}
