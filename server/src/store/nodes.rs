//! The register's nodes in their table (see `keyhaven_engine::integrity`).

use keyhaven_engine::{
    integrity::{NodeId, NodeSource, Nodes},
    port::store::StoreError,
};
use rusqlite::{Connection, OptionalExtension, Result};

use super::rows::read_error;

/// The table, as a connection sees it.
pub(super) struct NodeTable<'a>(pub(super) &'a Connection);

impl NodeSource for NodeTable<'_> {
    type Error = rusqlite::Error;

    fn node(&self, id: NodeId) -> Result<Vec<u8>> {
        let mut select = self.0.prepare_cached("SELECT body FROM node WHERE number = ?1")?;
        Ok(select.query_row([id.number()], |row| row.get(0)).optional()?.unwrap_or_default())
    }
}

impl NodeTable<'_> {
    /// Keeps a node.
    pub(super) fn put(&self, id: NodeId, body: &[u8]) -> Result<()> {
        let insert = "INSERT INTO node (number, body) VALUES (?1, ?2)
                      ON CONFLICT DO UPDATE SET body = excluded.body";
        self.0.prepare_cached(insert)?.execute((id.number(), body)).map(drop)
    }
}

/// A branch with all its leaves, and the root.
pub(super) fn branch(
    connection: &Connection,
    branch: u8,
) -> std::result::Result<Nodes, StoreError> {
    let moment = connection.unchecked_transaction().map_err(read_error)?;
    Nodes::of_branch(&NodeTable(&moment), branch).map_err(read_error)
}
