//! Rows that cannot lie. Whoever can write to the database can write anything there; what a decision
//! rests on is believed only if it is what this installation wrote last.
//!
//! Each row carries a MAC over its place, epoch, document and the *serial* of its last change: where in
//! the log that was recorded. So a row that was edited, moved or doubled does not hold. An old copy of a
//! row would, and a missing row has nothing to hold: therefore the *register* lists every place with its
//! epoch and serial, as a tree of hashes whose root carries a MAC and the serial of the newest change of
//! all. It changes in the same transaction as the rows.
//!
//! A reader gets rows with the register's nodes on the way to them, of one moment. A row is refused if it
//! is not the one that is listed; the whole database, if the root is older than what this process has seen.
//! The commit gate takes epochs from the register alone.

mod node;
mod register;
mod seal;

pub use self::{
    node::{Listed, NodeId, NodeSource, Nodes},
    register::Register,
    seal::{Fault, RowSeal},
};

#[cfg(test)]
mod tests;
