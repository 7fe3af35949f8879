//! The domains of a forest that no bundle names. Connect reads a forest whole unless organizational units are chosen, so that each
//! domain of it must be found, reached and fit: they are taken from the forest's cross references, and asked what is asked by domain
//! (PF21, PF22, PF24, PF25, PF55, PF56, PF58). What is the forest's own was asked at its root.

use protocol::event::{Finding, Verdict};
use protocol::step::{Preflight, Product, ServedDomain};
use protocol::{DomainName, limits};

use super::counted::{Count, LOCAL_DB, in_local_db, size};
use super::directory::{controller, disjoint, of_domain, unnamed};
use super::silent::{Silent, size_unanswered, untold};
use crate::catalogue;
use crate::procedure::{Cx, Flow};
use crate::step::directory::Names;

/// Domains that are still to be asked.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Each with its NetBIOS name.
    domains: Vec<(DomainName, String)>,
    /// What of a forest is not asked, each with the forest.
    beyond: Vec<(ServedDomain, String)>,
}

impl Others {
    /// Adds what the names of a forest hold beside the domains that the bundle names. Names that could not be read were told as
    /// that (PF55).
    pub(super) fn add(
        &mut self,
        preflight: &Preflight,
        asked: &ServedDomain,
        names: Option<&Names>,
    ) {
        let Some(names) = names else { return };
        // Of a forest of chosen units the bundle names every domain that matters. Which domains a forest has is no matter of their
        // names: another tree of it has other ones, and one below its name may be a forest of its own.
        let chosen = |name: &String| preflight.chosen.iter().any(|root| root.as_str() == name);
        if names.domains.iter().any(|(name, _)| chosen(name)) {
            return;
        }
        let mut of_forest = 0;
        let (mut left, mut odd) = (0, Vec::new());
        for (name, netbios) in &names.domains {
            let Ok(domain) = name.parse::<DomainName>() else {
                odd.push(name.as_str());
                continue;
            };
            let listed = preflight.domains.iter().any(|one| one.name == domain);
            let there = self.domains.iter().any(|(one, _)| *one == domain);
            if listed || there {
                continue;
            }
            if of_forest == limits::MAX_FOREST_DOMAINS {
                left += 1;
                continue;
            }
            of_forest += 1;
            self.domains.push((domain, netbios.clone()));
        }
        if left > 0 {
            self.beyond.push((
                asked.clone(),
                format!(
                    "{left} more domains of the forest are not asked; {of_forest} were, which is the most"
                ),
            ));
        }
        if !odd.is_empty() {
            let read = format!(
                "domains of the forest that have no plain name: {}",
                odd.join(", ")
            );
            self.beyond.push((asked.clone(), read));
        }
    }

    /// Asks each of them. `counted` takes how many objects each holds, where that is asked.
    pub(super) fn ask(
        self,
        preflight: &Preflight,
        counted: &mut Vec<Count>,
        cx: &mut Cx<'_>,
        findings: &mut Vec<Finding>,
    ) -> Flow<()> {
        for (name, netbios) in self.domains {
            let domain = unnamed(name);
            let mut about = Vec::new();
            let plain = |name: &String| !name.contains('.');
            let directory = controller(Product::Connect, &domain, cx, &mut about)?;
            about.push(catalogue::PF55.judge_gently(Ok(netbios), Clone::clone, plain));
            let holds = (Product::Connect, preflight.database.is_some());
            match &directory {
                Ok(directory) => {
                    about.push(disjoint(&directory.root, &domain.name));
                    if preflight.census {
                        counted.push(size(holds, directory, cx, &mut about)?);
                    }
                }
                Err(Silent::Answers(why)) => {
                    about.push(untold(&catalogue::PF56, why));
                    if preflight.census {
                        size_unanswered(holds, why, &mut about);
                        counted.push(None);
                    }
                }
                Err(Silent::Reached) => {}
            }
            findings.extend(about.into_iter().map(|one| of_domain(one, &domain)));
        }
        for (domain, why) in self.beyond {
            let unknown: Result<(), String> = Err(why);
            let finding = catalogue::PF22.judge_gently(unknown, |()| String::new(), |()| false);
            findings.push(of_domain(finding, &domain));
        }
        Ok(())
    }
}

/// PF58 of all domains together: one LocalDB holds what Connect reads of each (2.7 [P]). Nothing of one alone, where all of them fit,
/// or where a full SQL Server is planned.
pub(super) fn together(full: bool, counts: &[Count]) -> Option<Finding> {
    let counted: Vec<u64> = counts
        .iter()
        .flatten()
        .map(|(objects, _)| *objects)
        .collect();
    let sum: u64 = counted.iter().sum();
    if full || counted.len() < 2 || sum <= LOCAL_DB {
        return None;
    }
    let read = format!("{sum} in {} domains", counted.len());
    let mut finding = catalogue::PF58.finding(read, Verdict::Fail);
    "users, groups and contacts of all domains together".clone_into(&mut finding.what);
    in_local_db(&mut finding);
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_that_fit_alone_may_be_too_many_together() {
        let together = |full, counted: &[u64]| {
            let counts: Vec<Count> = counted.iter().map(|one| Some((*one, true))).collect();
            super::together(full, &counts)
        };
        assert!(together(false, &[]).is_none() && together(false, &[60_000, 40_000]).is_none());
        let told = together(false, &[60_000, 40_001]).expect("too many");
        assert_eq!(told.read, "100001 in 2 domains");
        assert!(told.verdict == Verdict::Fail && !told.blocks());
        assert!(
            together(false, &[100_001]).is_none(),
            "it was said of that one"
        );
        assert!(together(true, &[60_000, 40_001]).is_none());
    }
}
