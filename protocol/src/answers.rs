//! What a person who signed in was answered of a domain, as a file that goes from `entrain-agent directory` to the controller by hand. It is
//! nobody's proof: nothing signs it, and whoever hands it in answers for it. No secret is in it.

use serde::{Deserialize, Serialize};

use crate::event::{DiscoveredServer, Finding};
use crate::id::{DomainName, GmsaName, TargetId};
use crate::limits;
use crate::time::Timestamp;

/// The answers of one run, about one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryAnswers {
    /// Format of this document.
    pub format: u32,
    /// The domain that was asked.
    pub domain: DomainName,
    /// When, by the clock of the machine that asked.
    pub at: Timestamp,
    /// As whom: the user that signed in, or what stands for it.
    pub asked_as: String,
    /// The gMSA that was asked about, and the server that is to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gmsa: Option<(GmsaName, TargetId)>,
    /// Version of the program that asked.
    pub agent_version: String,
    /// What was answered.
    pub answers: Vec<Finding>,
    /// Which servers the directory names, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<ServersShown>,
}

/// The servers that carry one of the products, as whoever signed in was shown them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServersShown {
    /// The servers.
    pub named: Vec<DiscoveredServer>,
    /// What could not be read, each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl DirectoryAnswers {
    /// The format that this version writes and reads.
    pub const FORMAT: u32 = 1;

    /// Reads the document.
    ///
    /// # Errors
    /// When it is too large, is no such document, or is of another format.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > limits::MAX_DOCUMENT_BYTES {
            return Err(format!(
                "it has {} bytes; at most {} are read",
                bytes.len(),
                limits::MAX_DOCUMENT_BYTES
            ));
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.format != Self::FORMAT {
            return Err(format!(
                "it is of format {}, and {} is read",
                read.format,
                Self::FORMAT
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Product;

    #[test]
    fn what_is_written_is_read_and_anything_more_or_of_another_format_is_not() {
        let answers = DirectoryAnswers {
            format: DirectoryAnswers::FORMAT,
            domain: "corp.test".parse().unwrap(),
            at: Timestamp::from_millis(1_790_000_000_000),
            asked_as: "CORP\\anna".to_owned(),
            gmsa: None,
            agent_version: "0.1.0".to_owned(),
            answers: Vec::new(),
            servers: None,
        };
        let text = serde_json::to_string(&answers).unwrap();
        assert!(!text.contains("servers"), "as before where none were asked");
        assert_eq!(DirectoryAnswers::read(text.as_bytes()), Ok(answers.clone()));
        let shown = ServersShown {
            named: vec![DiscoveredServer {
                name: "OLD-SYNC-99".to_owned(),
                product: Product::Connect,
                source: "the description of MSOL_1a2b".to_owned(),
            }],
            unread: Vec::new(),
        };
        let asked = DirectoryAnswers {
            servers: Some(shown),
            ..answers
        };
        let written = serde_json::to_string(&asked).unwrap();
        assert_eq!(DirectoryAnswers::read(written.as_bytes()), Ok(asked));
        let more = text.replacen('{', "{\"password\":\"x\",", 1);
        assert!(DirectoryAnswers::read(more.as_bytes()).is_err());
        let other = text.replace("\"format\":1", "\"format\":2");
        assert!(
            DirectoryAnswers::read(other.as_bytes())
                .unwrap_err()
                .contains("format 2")
        );
        let long = format!("{text}{}", " ".repeat(limits::MAX_DOCUMENT_BYTES));
        assert!(DirectoryAnswers::read(long.as_bytes()).is_err());
    }
}
