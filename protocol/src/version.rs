//! Product versions: up to four numbers, as Windows executables carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A product version such as `1.1.2505.0`; missing parts count as zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version([u32; 4]);

impl Version {
    /// Builds a version from its four numbers.
    #[must_use]
    pub const fn new(a: u32, b: u32, c: u32, d: u32) -> Self {
        Self([a, b, c, d])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a version such as 1.1.2505.0")]
pub struct BadVersion(String);

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let bad = || BadVersion(text.chars().take(80).collect());
        let mut parts = [0; 4];
        // Version resources are padded, and some carry a build comment after a blank.
        let number = text
            .trim()
            .trim_end_matches('\0')
            .split([' ', '+', '-'])
            .next()
            .unwrap_or_default();
        for (at, part) in number.split('.').enumerate() {
            *parts.get_mut(at).ok_or_else(bad)? = part.parse().map_err(|_| bad())?;
        }
        Ok(Self(parts))
    }
}

impl TryFrom<String> for Version {
    type Error = BadVersion;

    fn try_from(text: String) -> Result<Self, BadVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_and_not_by_text() {
        let old: Version = "1.1.977.0".parse().unwrap();
        let new: Version = "1.1.2505.0".parse().unwrap();
        assert!(old < new);
        assert_eq!("2.6".parse::<Version>().unwrap(), Version::new(2, 6, 0, 0));
        assert!("1.2.3.4.5".parse::<Version>().is_err());
        assert!("latest".parse::<Version>().is_err());
    }
}
