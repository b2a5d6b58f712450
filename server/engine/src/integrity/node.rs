//! The register's nodes, as bytes. Every list is in order and without repetition, so that each content
//! has one encoding.
//!
//! ```text
//! leaf   = entry …      entry = kind (1) ‖ live (1) ‖ u16 length ‖ id ‖ epoch (8) ‖ serial (8)
//! branch = child …      child = number (1) ‖ SHA-256 of the node (32)
//! root   = MAC (32) ‖ serial (8) ‖ kinds (1) ‖ live rows of each kind (8) … ‖ child …
//! ```
//! A place is live while it has a row; a removed one is listed on, since its epoch counts on.
//! A node that lists nothing does not exist.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
};

use sha2::{Digest, Sha256};

use crate::row::{Epoch, Kind, Place, Serial};

/// What the register says of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its epoch.
    pub epoch: Epoch,
    /// The serial of its last change.
    pub serial: Serial,
    /// Whether it has a row.
    pub live: bool,
}

/// Which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// The one root.
    Root,
    /// One of 256 below it.
    Branch(u8),
    /// One of 256 below a branch.
    Leaf(u8, u8),
}

impl NodeId {
    /// The number under which a store keeps it: 0, then branches from 1, then leaves from 257.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Branch(branch) => 1 + u32::from(branch),
            Self::Leaf(branch, leaf) => 257 + u32::from(u16::from_be_bytes([branch, leaf])),
        }
    }

    /// How many numbers there are.
    pub const COUNT: u32 = 1 + 256 + 256 * 256;
}

/// Where nodes are read from: a store, at one moment.
pub trait NodeSource {
    /// Why a node could not be read.
    type Error;

    /// A node's bytes; empty if it does not exist.
    ///
    /// # Errors
    /// As the store.
    fn node(&self, id: NodeId) -> Result<Vec<u8>, Self::Error>;
}

/// Some of the nodes, as they stood at one moment. Those that do not exist are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes(pub(crate) BTreeMap<NodeId, Vec<u8>>);

impl Nodes {
    /// The nodes on the way to these places.
    ///
    /// # Errors
    /// As the source.
    pub fn to<'a, S: NodeSource>(
        source: &S,
        places: impl IntoIterator<Item = &'a Place>,
    ) -> Result<Self, S::Error> {
        let mut nodes = Self::default();
        nodes.take(source, NodeId::Root)?;
        for place in places {
            let (branch, leaf) = leaf_of(place);
            nodes.take(source, NodeId::Branch(branch))?;
            nodes.take(source, NodeId::Leaf(branch, leaf))?;
        }
        Ok(nodes)
    }

    /// The root, a branch and all leaves below it.
    ///
    /// # Errors
    /// As the source.
    pub fn of_branch<S: NodeSource>(source: &S, branch: u8) -> Result<Self, S::Error> {
        let mut nodes = Self::default();
        nodes.take(source, NodeId::Root)?;
        nodes.take(source, NodeId::Branch(branch))?;
        for leaf in 0..=u8::MAX {
            nodes.take(source, NodeId::Leaf(branch, leaf))?;
        }
        Ok(nodes)
    }

    /// A node's bytes; empty if it does not exist.
    #[must_use]
    pub fn get(&self, id: NodeId) -> &[u8] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }

    fn take<S: NodeSource>(&mut self, source: &S, id: NodeId) -> Result<(), S::Error> {
        if let Entry::Vacant(place) = self.0.entry(id) {
            let node = source.node(id)?;
            if !node.is_empty() {
                place.insert(node);
            }
        }
        Ok(())
    }
}

impl NodeSource for Nodes {
    type Error = Infallible;

    fn node(&self, id: NodeId) -> Result<Vec<u8>, Infallible> {
        Ok(self.get(id).to_vec())
    }
}

/// The leaf in which a place is listed: the first two bytes of a hash of it.
pub(super) fn leaf_of(place: &Place) -> (u8, u8) {
    let hash = Sha256::new().chain_update([place.kind.code()]).chain_update(&place.id);
    let [branch, leaf, ..] = Hash::from(hash.finalize());
    (branch, leaf)
}

pub(super) type Hash = [u8; 32];

pub(super) fn hash_of(node: &[u8]) -> Hash {
    Sha256::digest(node).into()
}

/// What a leaf lists.
pub(super) type Leaf = BTreeMap<Place, Listed>;

/// The children of a branch or of the root.
pub(super) type Children = BTreeMap<u8, Hash>;

/// What the root says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) serial: Serial,
    /// Live rows of each kind, by its code.
    pub(super) live: [u64; Kind::ALL.len()],
    pub(super) children: Children,
}

pub(super) fn encode_leaf(leaf: &Leaf) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(leaf.len() * 64);
    for (place, Listed { epoch, serial, live }) in leaf {
        bytes.extend_from_slice(&[place.kind.code(), u8::from(*live)]);
        // No id is longer: names are bounded, and ids made of them.
        let length = u16::try_from(place.id.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(place.id.as_bytes());
        bytes.extend_from_slice(&epoch.0.to_be_bytes());
        bytes.extend_from_slice(&serial.0.to_be_bytes());
    }
    bytes
}

/// `None` for bytes that are no leaf. They were hashed into the root before they are read.
pub(super) fn decode_leaf(mut bytes: &[u8]) -> Option<Leaf> {
    let mut leaf = Leaf::new();
    while !bytes.is_empty() {
        let [kind, live] = take(&mut bytes)?;
        let (kind, live) = (Kind::of_code(kind)?, live == 1);
        let length = u16::from_be_bytes(take(&mut bytes)?);
        let (id, rest) = bytes.split_at_checked(length.into())?;
        bytes = rest;
        let id = str::from_utf8(id).ok()?.to_owned();
        let epoch = Epoch(u64::from_be_bytes(take(&mut bytes)?));
        let serial = Serial(u64::from_be_bytes(take(&mut bytes)?));
        leaf.insert(Place { kind, id }, Listed { epoch, serial, live });
    }
    Some(leaf)
}

pub(super) fn encode_children(children: &Children) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(children.len() * 33);
    for (child, hash) in children {
        bytes.push(*child);
        bytes.extend_from_slice(hash);
    }
    bytes
}

pub(super) fn decode_children(mut bytes: &[u8]) -> Option<Children> {
    let mut children = Children::new();
    while !bytes.is_empty() {
        let [child] = take(&mut bytes)?;
        children.insert(child, take(&mut bytes)?);
    }
    Some(children)
}

/// What the root's MAC covers.
pub(super) fn encode_root(root: &Root) -> Vec<u8> {
    let mut bytes = root.serial.0.to_be_bytes().to_vec();
    bytes.push(u8::try_from(root.live.len()).unwrap_or(u8::MAX));
    bytes.extend(root.live.iter().flat_map(|count| count.to_be_bytes()));
    bytes.extend(encode_children(&root.children));
    bytes
}

/// A root of fewer kinds is of an older version, which had no rows of the others; one of more kinds is of
/// a newer version.
pub(super) fn decode_root(mut bytes: &[u8]) -> Option<Root> {
    let serial = Serial(u64::from_be_bytes(take(&mut bytes)?));
    let [kinds] = take(&mut bytes)?;
    let mut live = [0; Kind::ALL.len()];
    if usize::from(kinds) > live.len() {
        return None;
    }
    for count in live.iter_mut().take(kinds.into()) {
        *count = u64::from_be_bytes(take(&mut bytes)?);
    }
    Some(Root { serial, live, children: decode_children(bytes)? })
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
