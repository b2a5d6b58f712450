//! Checking everything that a store holds: each row against the register, and the register against its
//! root. It can be done while a server is at work: each part is looked at as of one moment.

use std::{collections::HashSet, sync::Arc};

use crate::{
    integrity::{Fault, NodeId, Nodes, Register, RowSeal},
    port::store::{Extract, Kind, Place, Store, StoreError},
    row::{Serial, StoredRow},
};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which row, by kind and id; or which part of the register.
    pub what: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What an inspection came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// How many rows were looked at.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// How many rows are looked at together.
const PAGE: usize = 500;

/// Is told how much is done, of how much in all.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// Checks everything.
///
/// # Errors
/// As the store, when it cannot be read to its end.
pub async fn inspect(
    store: &dyn Store,
    seal: &Arc<RowSeal>,
    progress: Progress<'_>,
) -> Result<Inspected, StoreError> {
    let mut inspection = Inspection { store, seal, inspected: Inspected::default(), total: 0 };
    let nodes = inspection.store.branch(0).await?;
    let root = inspection.check_root(&nodes);
    let newest = inspection.open(&nodes).newest().unwrap_or_default();
    if newest > Serial(store.next_index().await?) {
        inspection.found("the end of the log".to_owned(), Fault::RolledBack);
    }
    for kind in Kind::ALL {
        inspection.rows(*kind, progress).await?;
    }
    if root.is_ok() {
        for branch in 0..=u8::MAX {
            inspection.branch(branch).await?;
            progress(inspection.total + u64::from(branch) + 1, inspection.whole());
        }
    }
    Ok(inspection.inspected)
}

struct Inspection<'a> {
    store: &'a dyn Store,
    seal: &'a Arc<RowSeal>,
    inspected: Inspected,
    /// How many rows there are, as the register has it.
    total: u64,
}

impl Inspection<'_> {
    fn found(&mut self, what: String, fault: Fault) {
        self.inspected.findings.push(Finding { what, fault });
    }

    fn open(&self, nodes: &Nodes) -> Register {
        Register::open(self.seal, nodes.get(NodeId::Root), Serial::NONE)
    }

    /// Rows and branches together.
    const fn whole(&self) -> u64 {
        self.total + 256
    }

    fn check_root(&mut self, nodes: &Nodes) -> Result<(), Fault> {
        let register = self.open(nodes);
        let counts: Result<Vec<u64>, Fault> =
            Kind::ALL.iter().map(|kind| register.live(*kind)).collect();
        match counts {
            Ok(counts) => self.total = counts.into_iter().fold(0, u64::saturating_add),
            Err(fault) => {
                self.found("the register's root".to_owned(), fault);
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Checks all rows of a kind.
    async fn rows(&mut self, kind: Kind, progress: Progress<'_>) -> Result<(), StoreError> {
        // A list begins after an id, and no id comes before the empty one.
        let mut page = self.store.read(Place::new(kind, "")).await?;
        let mut after = String::new();
        loop {
            let seen = u64::try_from(page.rows.len()).unwrap_or_default();
            self.inspected.rows = self.inspected.rows.saturating_add(seen);
            after = page.rows.last().map_or(after, |row| row.place.id.clone());
            self.page(page);
            progress(self.inspected.rows.min(self.total), self.whole());
            page = self.store.list(kind, String::new(), after.clone(), PAGE).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
        }
    }

    fn page(&mut self, Extract { rows, nodes }: Extract) {
        let mut register = self.open(&nodes);
        let mut seen = HashSet::new();
        for row in rows {
            let place = row.place.clone();
            let fault = if seen.insert(place.clone()) {
                fault_of(&mut register, row, &nodes)
            } else {
                Some(Fault::Inserted)
            };
            if let Some(fault) = fault {
                self.found(place.to_string(), fault);
            }
        }
    }

    /// Checks a branch, and that each row that it lists is there.
    async fn branch(&mut self, branch: u8) -> Result<(), StoreError> {
        let nodes = self.store.branch(branch).await?;
        let mut register = self.open(&nodes);
        if let Err(fault) = register.check_branch(branch, &nodes) {
            self.found(format!("branch {branch} of the register"), fault);
            return Ok(());
        }
        for leaf in 0..=u8::MAX {
            match register.leaf((branch, leaf), &nodes) {
                Ok(listed) => {
                    for (place, _) in listed.into_iter().filter(|(_, listed)| listed.live) {
                        self.presence(place).await?;
                    }
                }
                Err(fault) => self.found(format!("leaf {branch}/{leaf} of the register"), fault),
            }
        }
        Ok(())
    }

    async fn presence(&mut self, place: Place) -> Result<(), StoreError> {
        let Extract { rows, nodes } = self.store.read(place.clone()).await?;
        if rows.is_empty() && self.open(&nodes).check(&place, None, &nodes) == Err(Fault::Deleted) {
            self.found(place.to_string(), Fault::Deleted);
        }
        Ok(())
    }
}

/// What is wrong with a row. Where the register does not hold, which is a finding of its own, it can still
/// be told that a row was never written.
fn fault_of(register: &mut Register, row: StoredRow, nodes: &Nodes) -> Option<Fault> {
    let holds = register.holds(&row);
    match register.check(&row.place.clone(), Some(row), nodes) {
        Ok(_) => None,
        Err(Fault::Register | Fault::RolledBack) => (!holds).then_some(Fault::Changed),
        Err(fault) => Some(fault),
    }
}
