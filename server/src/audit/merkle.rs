//! The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1), of which only the right edge is kept.
//!
//! Adding a leaf and telling the root take time and memory that grow with the logarithm of the
//! size: the server keeps this and no other part of the tree.

use sha2::{Digest, Sha256};

/// A SHA-256 hash of a leaf, a node or a tree.
pub(super) type Hash = [u8; 32];

/// A tree that grows at its right end, as the roots of its largest complete subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    size: u64,
    /// From left to right; one for each bit that is set in `size`.
    peaks: Vec<Hash>,
}

impl Tree {
    /// How many leaves it has.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry as a leaf.
    /// The leaf is SHA-256(0x00 ‖ entry).
    pub(super) fn push(&mut self, entry: &[u8]) {
        let mut hash = hash(0x00, entry, &[]);
        let mut complete = self.size;
        // A subtree of the same size stands left of this one: together they make the next larger one.
        while complete & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = self::hash(0x01, &left, &hash);
            complete >>= 1;
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root; that of an empty tree is the hash of nothing.
    /// The peaks are joined from right to left: that is the tree of RFC 6962 §2.1, whose left
    /// subtree has the largest power of two below the size.
    pub(super) fn root(&self) -> Hash {
        let join = |right: Hash, left: &Hash| hash(0x01, left, &right);
        let mut peaks = self.peaks.iter().rev();
        peaks.next().map_or_else(|| Sha256::digest([]).into(), |last| peaks.fold(*last, join))
    }
}

/// SHA-256(prefix ‖ left ‖ right). The prefix, 0x00 for a leaf and 0x01 for a node, keeps two nodes
/// from passing for an entry.
fn hash(prefix: u8, left: &[u8], right: &[u8]) -> Hash {
    Sha256::new().chain_update([prefix]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn tree<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Tree {
        let mut tree = Tree::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// The definition in RFC 6962 §2.1, word for word.
    fn defined(leaves: &[&[u8]]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => hash(0x00, leaf, &[]),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                hash(0x01, &defined(left), &defined(right))
            }
        }
    }

    /// The eight leaves of the certificate-transparency test suites, and each tree's known root.
    #[test]
    fn the_known_roots_come_out() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, root) in roots.into_iter().enumerate() {
            let tree = tree(leaves.into_iter().take(size));
            assert_eq!((tree.size(), hex(&tree.root()).as_str()), (size as u64, root));
        }
    }

    #[test]
    fn every_size_is_as_the_standard_defines_it() {
        let leaves: Vec<Vec<u8>> = (0..130_u8).map(|n| vec![n; 3]).collect();
        let leaves: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
        for size in 0..leaves.len() {
            assert_eq!(tree(leaves[..size].iter().copied()).root(), defined(&leaves[..size]));
        }
    }
}
