//! The register of all rows: a tree of hashes, three levels deep, under a MAC.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use subtle::ConstantTimeEq;

use super::{
    node::{
        Children, Leaf, Listed, NodeId, NodeSource, Nodes, Root, decode_children, decode_leaf,
        decode_root, encode_children, encode_leaf, encode_root, hash_of, leaf_of, take,
    },
    seal::{Fault, RowSeal},
};
use crate::row::{Epoch, Kind, Place, Row, Serial, StoredRow, Write};

/// The register as it stands at one moment, opened from its root as far as it is needed. What was opened
/// holds; what is changed stays in memory until [`Self::flush`], so that nobody's edit of a node is taken
/// over into it.
#[derive(Debug)]
pub struct Register {
    seal: Arc<RowSeal>,
    /// The root as it is stored.
    stored: Vec<u8>,
    root: Result<Root, Fault>,
    branches: HashMap<u8, Children>,
    leaves: HashMap<(u8, u8), Leaf>,
    changed: BTreeSet<(u8, u8)>,
}

/// Leaves kept from one moment to the next; a bound on memory.
const MOST_KEPT: usize = 8192;

impl Register {
    /// Opens a register by its root; an empty one stands for a register that lists nothing. `since` is what
    /// [`RowSeal::newest`] said before the root was read: an older one is refused.
    #[must_use]
    pub fn open(seal: &Arc<RowSeal>, root: &[u8], since: Serial) -> Self {
        Self {
            seal: Arc::clone(seal),
            stored: root.to_vec(),
            root: open_root(seal, root, since),
            branches: HashMap::new(),
            leaves: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The register at a later moment. Nothing is opened again if the root is still the same.
    #[must_use]
    pub fn at(mut self, root: &[u8]) -> Self {
        let Ok(known) = &self.root else {
            return Self::open(&self.seal, root, self.seal.newest());
        };
        if root != self.stored {
            return Self::open(&self.seal, root, self.seal.newest().max(known.serial));
        }
        if self.leaves.len() > MOST_KEPT {
            self.leaves.clear();
        }
        self
    }

    /// Whether it is under this seal.
    #[must_use]
    pub fn is_under(&self, seal: &Arc<RowSeal>) -> bool {
        Arc::ptr_eq(&self.seal, seal)
    }

    /// The serial of the newest change of all.
    ///
    /// # Errors
    /// The [`Fault`] of the root: nothing can be known.
    pub fn newest(&self) -> Result<Serial, Fault> {
        self.root().map(|root| root.serial)
    }

    /// Whether the store is older than what was seen of it: by the register, or by its log, which has
    /// `entries` entries in all.
    #[must_use]
    pub fn is_rolled_back(&self, entries: u64) -> bool {
        match self.newest() {
            Err(Fault::RolledBack) => true,
            Ok(newest) if newest > Serial(entries) => true,
            Ok(_) | Err(_) => entries < self.seal.recorded(),
        }
    }

    /// How many live rows of a kind there are.
    ///
    /// # Errors
    /// The [`Fault`] of the root.
    pub fn live(&self, kind: Kind) -> Result<u64, Fault> {
        let live = &self.root()?.live;
        Ok(live.get(usize::from(kind.code())).copied().unwrap_or_default())
    }

    /// What is listed at a place; or the fault that keeps it from being known.
    ///
    /// # Errors
    /// As the source.
    pub fn listed<S: NodeSource>(
        &mut self,
        place: &Place,
        source: &S,
    ) -> Result<Result<Option<Listed>, Fault>, S::Error> {
        let number = leaf_of(place);
        if !self.leaves.contains_key(&number)
            && let Err(fault) = self.open_leaf(number, source)?
        {
            return Ok(Err(fault));
        }
        Ok(Ok(self.leaves.get(&number).and_then(|leaf| leaf.get(place)).copied()))
    }

    /// The epoch of a place, likewise; that of a removed row counts on.
    ///
    /// # Errors
    /// As the source.
    pub fn epoch<S: NodeSource>(
        &mut self,
        place: &Place,
        source: &S,
    ) -> Result<Result<Epoch, Fault>, S::Error> {
        let listed = self.listed(place, source)?;
        Ok(listed.map(|listed| listed.map_or(Epoch::ABSENT, |listed| listed.epoch)))
    }

    /// Checks that what was found at a place is what was written there last.
    ///
    /// # Errors
    /// The [`Fault`]: nothing of the row is to be believed.
    pub fn check(
        &mut self,
        place: &Place,
        found: Option<StoredRow>,
        nodes: &Nodes,
    ) -> Result<Row, Fault> {
        let Ok(listed) = self.listed(place, nodes);
        let Some(row) = found else {
            return match listed? {
                Some(Listed { live: true, .. }) => Err(Fault::Deleted),
                Some(Listed { epoch, .. }) => Ok(absent(place, epoch)),
                None => Ok(absent(place, Epoch::ABSENT)),
            };
        };
        let Some(listed) = listed? else { return Err(Fault::Inserted) };
        if row.place != *place || !self.holds(&row) {
            return Err(Fault::Changed);
        }
        let newest = Listed { epoch: row.epoch, serial: row.serial, live: true };
        if listed != newest {
            return Err(Fault::Outdated);
        }
        Ok(Row { place: row.place, epoch: row.epoch, body: Some(row.body) })
    }

    /// Checks that so many rows of a kind are all that there are.
    ///
    /// # Errors
    /// [`Fault::Deleted`] or [`Fault::Inserted`], and the fault of the root.
    pub fn check_count(&self, kind: Kind, count: usize) -> Result<(), Fault> {
        match self.live(kind)?.cmp(&u64::try_from(count).unwrap_or(u64::MAX)) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Fault::Deleted),
            Ordering::Less => Err(Fault::Inserted),
        }
    }

    /// Whether a row was written by this installation, at some time.
    #[must_use]
    pub fn holds(&self, row: &StoredRow) -> bool {
        self.seal.row_mac(row).ct_eq(&row.mac).into()
    }

    /// Checks a branch.
    ///
    /// # Errors
    /// The [`Fault`] that keeps anything below it from being known.
    pub fn check_branch(&self, branch: u8, nodes: &Nodes) -> Result<(), Fault> {
        named(&self.root()?.children, branch, nodes.get(NodeId::Branch(branch)))
    }

    /// What a leaf lists.
    ///
    /// # Errors
    /// The [`Fault`] that keeps it from being known.
    pub fn leaf(
        &mut self,
        (branch, leaf): (u8, u8),
        nodes: &Nodes,
    ) -> Result<Vec<(Place, Listed)>, Fault> {
        let Ok(opened) = self.open_leaf((branch, leaf), nodes);
        opened?;
        let listed = self.leaves.get(&(branch, leaf)).into_iter().flatten();
        Ok(listed.map(|(place, listed)| (place.clone(), *listed)).collect())
    }

    /// Lists a change that is recorded at an index of the log, and seals the row; `None` for one that is
    /// removed. The place was looked up before, and has the expected epoch.
    pub fn write(&mut self, write: &Write, index: u64) -> Option<StoredRow> {
        let (place, serial) = (write.place.clone(), Serial::of(index));
        let epoch = Epoch(write.expected.0.saturating_add(1));
        self.list(&place, Listed { epoch, serial, live: write.body.is_some() });
        let body = write.body.clone()?;
        let row = StoredRow { place, epoch, serial, mac: [0; 32], body };
        Some(StoredRow { mac: self.seal.row_mac(&row), ..row })
    }

    fn list(&mut self, place: &Place, listed: Listed) {
        let number = leaf_of(place);
        let before = self.leaves.entry(number).or_default().insert(place.clone(), listed);
        self.changed.insert(number);
        let Ok(root) = &mut self.root else { return };
        root.serial = root.serial.max(listed.serial);
        if let Some(count) = root.live.get_mut(usize::from(place.kind.code())) {
            let left = count.saturating_sub(u64::from(before.is_some_and(|before| before.live)));
            *count = left.saturating_add(u64::from(listed.live));
        }
    }

    /// The nodes to write for what was changed, in the same transaction as the rows.
    #[must_use]
    pub fn flush(&mut self) -> Vec<(NodeId, Vec<u8>)> {
        let (changed, mut written) = (std::mem::take(&mut self.changed), Vec::new());
        let (true, Ok(root)) = (!changed.is_empty(), &mut self.root) else { return written };
        for number @ (branch, leaf) in &changed {
            let node = self.leaves.get(number).map(encode_leaf).unwrap_or_default();
            self.branches.entry(*branch).or_default().insert(*leaf, hash_of(&node));
            written.push((NodeId::Leaf(*branch, *leaf), node));
        }
        let branches: BTreeSet<u8> = changed.iter().map(|(branch, _)| *branch).collect();
        for branch in branches {
            let node = self.branches.get(&branch).map(encode_children).unwrap_or_default();
            root.children.insert(branch, hash_of(&node));
            written.push((NodeId::Branch(branch), node));
        }
        let bytes = encode_root(root);
        self.stored = [self.seal.root_mac(&bytes).as_slice(), &bytes].concat();
        written.push((NodeId::Root, self.stored.clone()));
        written
    }

    fn root(&self) -> Result<&Root, Fault> {
        self.root.as_ref().map_err(|fault| *fault)
    }

    fn open_leaf<S: NodeSource>(
        &mut self,
        number: (u8, u8),
        source: &S,
    ) -> Result<Result<(), Fault>, S::Error> {
        let (branch, leaf) = number;
        let branch_node = match self.branches.get(&branch) {
            Some(_) => None,
            None => Some(source.node(NodeId::Branch(branch))?),
        };
        let leaf_node = source.node(NodeId::Leaf(branch, leaf))?;
        Ok(self.take_leaf(number, branch_node.as_deref(), &leaf_node))
    }

    fn take_leaf(
        &mut self,
        (branch, leaf): (u8, u8),
        branch_node: Option<&[u8]>,
        leaf_node: &[u8],
    ) -> Result<(), Fault> {
        if let Some(node) = branch_node {
            named(&self.root()?.children, branch, node)?;
            self.branches.insert(branch, decode_children(node).ok_or(Fault::Register)?);
        }
        let children = self.branches.get(&branch).ok_or(Fault::Register)?;
        named(children, leaf, leaf_node)?;
        let opened = decode_leaf(leaf_node).ok_or(Fault::Register)?;
        self.leaves.insert((branch, leaf), opened);
        Ok(())
    }
}

fn absent(place: &Place, epoch: Epoch) -> Row {
    Row { place: place.clone(), epoch, body: None }
}

/// The root, if its MAC holds and it is new enough. There is none before the first commit.
fn open_root(seal: &RowSeal, mut node: &[u8], since: Serial) -> Result<Root, Fault> {
    if node.is_empty() && since == Serial::NONE {
        return Ok(Root::default());
    }
    let mac: [u8; 32] = take(&mut node).ok_or(Fault::Register)?;
    if !bool::from(seal.root_mac(node).ct_eq(&mac)) {
        return Err(Fault::Register);
    }
    let root = decode_root(node).ok_or(Fault::Register)?;
    if root.serial < since {
        return Err(Fault::RolledBack);
    }
    seal.saw_change(root.serial);
    Ok(root)
}

/// Checks that a node is the one that its parent names.
fn named(parent: &Children, child: u8, node: &[u8]) -> Result<(), Fault> {
    let holds = match parent.get(&child) {
        Some(hash) => *hash == hash_of(node),
        None => node.is_empty(),
    };
    if holds { Ok(()) } else { Err(Fault::Register) }
}
