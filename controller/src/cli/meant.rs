//! Which questions a secret is meant for (guard rail G9): one that comes from standard input is one person's, for one tenant or one
//! domain, and answers questions of that one kind alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::secret::SecretKind;
use protocol::{DomainName, TargetId, TenantId};

/// Whose secret is meant, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A tenant's: by its id, or by the name that the plan has for it.
    Tenant(String),
    /// A domain's.
    Domain(DomainName),
}

/// What one server asks for, as its agent has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who asks.
    pub(crate) target: TargetId,
    /// For what.
    pub(crate) wanted: SecretKind,
    /// What the controller says that the tenant is called in the plan. It is nothing that the agent signed.
    pub(crate) tenant: Option<String>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(name) => write!(f, "{} ({name})", self.wanted),
            None => self.wanted.fmt(f),
        }
    }
}

impl Whose {
    /// Whether a question is for that tenant or that domain.
    pub(crate) fn is_of(&self, asked: &Asked) -> bool {
        match (self, &asked.wanted) {
            (
                Self::Tenant(named),
                SecretKind::AccessToken { tenant } | SecretKind::TenantCredential { tenant },
            ) => match named.parse::<TenantId>() {
                Ok(id) => id == *tenant,
                Err(_) => asked.tenant.as_ref() == Some(named),
            },
            (Self::Domain(named), SecretKind::DomainCredential { domain }) => named == domain,
            (Self::Tenant(_), SecretKind::DomainCredential { .. })
            | (
                Self::Domain(_),
                SecretKind::AccessToken { .. } | SecretKind::TenantCredential { .. },
            ) => false,
        }
    }
}

/// For which kind one secret is meant, by what is open and by what was named: the one kind among those, or none yet.
///
/// # Errors
/// Where several are open, with a line for each that says how it is named.
pub(crate) fn meant(whose: Option<&Whose>, open: &[Asked]) -> Result<Option<SecretKind>, String> {
    let mut kinds: BTreeMap<&SecretKind, Vec<&Asked>> = BTreeMap::new();
    for asked in open
        .iter()
        .filter(|asked| whose.is_none_or(|whose| whose.is_of(asked)))
    {
        kinds.entry(&asked.wanted).or_default().push(asked);
    }
    let mut all = kinds.keys();
    match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => return Ok(Some((*only).clone())),
        (Some(_), Some(_)) => {}
    }
    let names: BTreeSet<String> = kinds.keys().map(|kind| kind.option()).collect();
    let mut why = format!(
        "{} different secrets are asked for, and standard input has one, which is given for one tenant or domain alone (G9): say for which",
        kinds.len()
    );
    for (kind, asks) in &kinds {
        let Some(first) = asks.first() else { continue };
        // Two kinds of one tenant have one name: the server tells them apart.
        let option = if names.len() == kinds.len() {
            kind.option()
        } else {
            format!("--target {}", first.target)
        };
        let targets: Vec<&str> = asks.iter().map(|asked| asked.target.as_str()).collect();
        why.push_str(&format!(
            "\n  {first}, for {}: entrain secret give --stdin {option}",
            targets.join(", ")
        ));
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3f0c8a4e-0000-0000-0000-000000000000";
    const B: &str = "77aa0000-0000-0000-0000-000000000000";

    fn asked(target: &str, wanted: SecretKind, tenant: Option<&str>) -> Asked {
        Asked {
            target: target.parse().unwrap(),
            wanted,
            tenant: tenant.map(ToOwned::to_owned),
        }
    }

    fn credential(tenant: &str) -> SecretKind {
        SecretKind::TenantCredential {
            tenant: tenant.parse().unwrap(),
        }
    }

    fn token(tenant: &str) -> SecretKind {
        SecretKind::AccessToken {
            tenant: tenant.parse().unwrap(),
        }
    }

    fn domain(name: &str) -> SecretKind {
        SecretKind::DomainCredential {
            domain: name.parse().unwrap(),
        }
    }

    fn tenant(named: &str) -> Whose {
        Whose::Tenant(named.to_owned())
    }

    #[test]
    fn what_is_named_is_of_that_tenant_or_that_domain_alone() {
        let of_a = asked("s1.a.test", credential(A), Some("main"));
        let of_b = asked("s1.b.test", credential(B), Some("other"));
        let of_domain = asked("s1.a.test", domain("a.test"), None);
        for named in [A, "main"] {
            assert!(tenant(named).is_of(&of_a), "{named}");
            assert!(!tenant(named).is_of(&of_b), "{named}");
            assert!(!tenant(named).is_of(&of_domain), "{named}");
        }
        // A domain is no tenant's name, and none of its children is it.
        assert!(!tenant("a.test").is_of(&of_domain));
        let whose = Whose::Domain("a.test".parse().unwrap());
        assert!(whose.is_of(&of_domain) && !whose.is_of(&of_a));
        assert!(!whose.is_of(&asked("s1.a.test", domain("b.a.test"), None)));
        // Where the controller has no name for it, the id alone names it.
        let unnamed = asked("s1.a.test", credential(A), None);
        assert!(!tenant("main").is_of(&unnamed) && tenant(A).is_of(&unnamed));
    }

    #[test]
    fn one_kind_that_is_open_is_meant_and_of_several_none_is_guessed() {
        let of_a = asked("s1.a.test", token(A), Some("main"));
        let again = asked("s2.a.test", token(A), Some("main"));
        let of_b = asked("s1.b.test", token(B), Some("other"));
        let of_domain = asked("s3.a.test", domain("a.test"), None);
        assert_eq!(meant(None, &[]), Ok(None));
        assert_eq!(
            meant(None, &[of_a.clone(), again.clone()]),
            Ok(Some(token(A)))
        );
        for other in [of_b.clone(), of_domain.clone()] {
            let open = [of_a.clone(), again.clone(), other.clone()];
            let why = meant(None, &open).unwrap_err();
            for says in ["G9", "s1.a.test, s2.a.test", other.target.as_str()] {
                assert!(why.contains(says), "{says}: {why}");
            }
            for kind in [&of_a.wanted, &other.wanted] {
                let command = format!("entrain secret give --stdin {}", kind.option());
                assert!(why.contains(&command), "{command}: {why}");
            }
            assert_eq!(meant(Some(&tenant("main")), &open), Ok(Some(token(A))));
        }
        let whose = Whose::Domain("a.test".parse().unwrap());
        assert_eq!(meant(Some(&whose), &[of_a, of_b]), Ok(None));
    }

    #[test]
    fn a_name_that_two_tenants_have_and_two_kinds_of_one_tenant_are_told_apart() {
        let of_a = asked("s1.a.test", token(A), Some("main"));
        let of_b = asked("s1.b.test", token(B), Some("main"));
        let why = meant(Some(&tenant("main")), &[of_a.clone(), of_b]).unwrap_err();
        assert!(why.contains(A) && why.contains(B), "{why}");
        let password = asked("s2.a.test", credential(A), Some("main"));
        let why = meant(Some(&tenant(A)), &[of_a, password]).unwrap_err();
        for target in ["s1.a.test", "s2.a.test"] {
            assert!(why.contains(&format!("--target {target}")), "{why}");
        }
    }
}
