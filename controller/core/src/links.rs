//! Links of the vendor's article *Install your synchronization tool*, as data: which step has it, and where it was read. They
//! are shown to people at the place where the article shows them, and nothing is ever fetched from them.

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The article's step or reference, as the table under `deploy/docs` numbers them.
    pub step: &'static str,
    /// What is there.
    pub what: &'static str,
    /// Its address.
    pub url: &'static str,
    /// Where it was read: a file of `MicrosoftDocs/entra-docs` below `docs`, and its date.
    pub source: &'static str,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.url)
    }
}

macro_rules! links {
    ($($id:ident $step:literal: $what:literal, $url:literal, from $source:literal;)*) => {
        $(
            #[doc = $what]
            pub const $id: Link = Link {
                step: $step,
                what: $what,
                url: $url,
                source: $source,
            };
        )*
        /// Every link, in the order of the article.
        pub const ALL: &[Link] = &[$($id),*];
    };
}

links! {
    ADMIN_CENTER "A1": "Microsoft Entra admin center", "https://entra.microsoft.com", from "includes/cloud-sync-sign-in.md, 2022-01-23";
    ROLE "A1": "Hybrid Identity Administrator", "https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference#hybrid-identity-administrator", from "includes/cloud-sync-sign-in.md, 2022-01-23";
    US_GOVERNMENT "A6n": "install an agent in the US government cloud", "https://learn.microsoft.com/entra/identity/hybrid/cloud-sync/how-to-install#install-an-agent-in-the-us-government-cloud", from "identity/hybrid/install.md, 2025-04-09";
    PROVISIONING_AGENT "A-link": "installing the provisioning agent", "https://learn.microsoft.com/entra/identity/hybrid/cloud-sync/how-to-install", from "identity/hybrid/install.md, 2025-04-09";
    SIGN_IN_CONFIGURATION "E7": "user sign-in options", "https://learn.microsoft.com/entra/identity/hybrid/connect/plan-connect-user-signin#azure-ad-sign-in-configuration", from "identity/hybrid/install.md, 2025-04-09";
    CUSTOM_DOMAIN "E7": "adding and verifying a custom domain", "https://learn.microsoft.com/entra/fundamentals/add-custom-domain", from "identity/hybrid/install.md, 2025-04-09";
    PREREQUISITES "E7": "prerequisites", "https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-install-prerequisites", from "identity/hybrid/install.md, 2025-04-09";
    EXPRESS "E-link": "installing with express settings", "https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-install-express", from "identity/hybrid/install.md, 2025-04-09";
    CUSTOM "C": "installing with custom settings", "https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-install-custom", from "identity/hybrid/install.md, 2025-04-09";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever follows one types a password there: nothing but the vendor's own hosts, over TLS.
    #[test]
    fn every_link_leads_to_the_vendor_over_tls_and_says_where_it_was_read() {
        const HOSTS: [&str; 2] = ["entra.microsoft.com", "learn.microsoft.com"];
        for link in ALL {
            let rest = link.url.strip_prefix("https://");
            let host = rest.and_then(|rest| rest.split('/').next());
            assert!(host.is_some_and(|host| HOSTS.contains(&host)), "{link}");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-#".contains(&byte);
            assert!(link.url.bytes().all(plain), "{link}");
            let (file, date) = link.source.split_once(", ").unwrap();
            assert!(file.ends_with(".md") && date.len() == 10, "{}", link.source);
        }
        let urls: std::collections::BTreeSet<_> = ALL.iter().map(|link| link.url).collect();
        assert_eq!(urls.len(), ALL.len());
    }
}
