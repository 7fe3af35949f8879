//! A Merkle tree over the work of all targets of a plan, so that one approval covers each bundle by a short proof.
//! Hashing is that of RFC 6962 (leaves and nodes in separate domains).

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};

/// The digests that lead from one leaf to the root, and the leaf's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Place of the leaf, from 0.
    pub leaf: u64,
    /// Number of leaves in the tree.
    pub leaves: u64,
    /// Sibling digests, from the leaf upwards.
    pub path: Vec<Digest>,
}

/// Digests one leaf.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finish()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

fn split(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}

/// The root over `leaves`, each already digested by [`leaf`].
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [only] => *only,
        many => {
            let (left, right) = many.split_at(split(many.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The proof for the leaf at `at`, or `None` when there is no such leaf.
#[must_use]
pub fn prove(leaves: &[Digest], at: usize) -> Option<Proof> {
    fn walk(leaves: &[Digest], at: usize, path: &mut Vec<Digest>) {
        if leaves.len() < 2 {
            return;
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        if at < left.len() {
            walk(left, at, path);
            path.push(root(right));
        } else {
            walk(right, at - left.len(), path);
            path.push(root(left));
        }
    }
    if at >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    walk(leaves, at, &mut path);
    Some(Proof {
        leaf: at as u64,
        leaves: leaves.len() as u64,
        path,
    })
}

impl Proof {
    /// The root that this proof gives for `leaf`, or `None` when the proof is malformed.
    #[must_use]
    pub fn root_for(&self, leaf: &Digest) -> Option<Digest> {
        fn walk(leaf: &Digest, at: u64, leaves: u64, path: &[Digest]) -> Option<Digest> {
            if leaves == 1 {
                return path.is_empty().then_some(*leaf);
            }
            let (sibling, below) = path.split_last()?;
            let left = leaves.checked_next_power_of_two()? / 2;
            if at < left {
                Some(node(&walk(leaf, at, left, below)?, sibling))
            } else {
                Some(node(sibling, &walk(leaf, at - left, leaves - left, below)?))
            }
        }
        if self.leaf >= self.leaves || self.path.len() > 64 {
            return None;
        }
        walk(leaf, self.leaf, self.leaves, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_every_size_is_proven_and_no_other() {
        for count in 1..=17_u8 {
            let leaves: Vec<Digest> = (0..count).map(|byte| leaf(&[byte])).collect();
            let root = root(&leaves);
            for at in 0..leaves.len() {
                let proof = prove(&leaves, at).unwrap();
                assert_eq!(proof.root_for(&leaves[at]), Some(root));
                assert_ne!(proof.root_for(&leaf(b"other")), Some(root));
            }
            assert!(prove(&leaves, leaves.len()).is_none());
        }
    }
}
