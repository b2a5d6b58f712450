//! Somebody with the whole database in hand, against the register.

use std::{collections::BTreeMap, sync::Arc};

use hmac::{Hmac, KeyInit};
use keyhaven_shared::ids::DeploymentId;
use proptest::prelude::*;

use super::{node::leaf_of, *};
use crate::row::{Epoch, Kind, Place, Row, Serial, StoredRow, Write};

mod nodes;

fn seal_of(deployment: u8, key: u8) -> Arc<RowSeal> {
    let mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(&[key; 32]).unwrap();
    Arc::new(RowSeal::new(DeploymentId::from_random([deployment; 16]), mac))
}

fn seal() -> Arc<RowSeal> {
    seal_of(1, 7)
}

/// A database: rows, and the register's nodes.
#[derive(Clone, Default)]
struct Database {
    rows: BTreeMap<Place, StoredRow>,
    nodes: Nodes,
    next_index: u64,
}

impl Database {
    fn root(&self) -> &[u8] {
        self.nodes.get(NodeId::Root)
    }

    fn register(&self, seal: &Arc<RowSeal>) -> Register {
        Register::open(seal, self.root(), seal.newest())
    }

    fn write(
        &mut self,
        seal: &Arc<RowSeal>,
        place: &Place,
        body: Option<&str>,
    ) -> Result<(), Fault> {
        let mut register = self.register(seal);
        let Ok(expected) = register.epoch(place, &self.nodes);
        let body = body.map(|body| body.as_bytes().to_vec());
        let write = Write { place: place.clone(), expected: expected?, body };
        match register.write(&write, self.next_index) {
            Some(row) => drop(self.rows.insert(place.clone(), row)),
            None => drop(self.rows.remove(place)),
        }
        self.nodes.0.extend(register.flush());
        seal.saw_change(Serial::of(self.next_index));
        self.next_index += 1;
        Ok(())
    }

    fn row(&self, place: &Place) -> StoredRow {
        self.rows[place].clone()
    }

    fn read(&self, seal: &Arc<RowSeal>, place: &Place) -> Result<Row, Fault> {
        let Ok(nodes) = Nodes::to(&self.nodes, [place]);
        self.register(seal).check(place, self.rows.get(place).cloned(), &nodes)
    }

    fn fault(&self, seal: &Arc<RowSeal>, place: &Place) -> Option<Fault> {
        self.read(seal, place).err()
    }
}

fn place(number: usize) -> Place {
    Place::new(Kind::ALL[number % Kind::ALL.len()], format_args!("row-{number}"))
}

fn filled(rows: usize) -> (Arc<RowSeal>, Database) {
    let (seal, mut database) = (seal(), Database::default());
    for number in 0..rows {
        database.write(&seal, &place(number), Some("body")).unwrap();
    }
    (seal, database)
}

#[test]
fn what_was_written_holds_and_what_never_was_is_absent() {
    let (seal, mut database) = filled(50);
    database.write(&seal, &place(3), Some("changed")).unwrap();
    database.write(&seal, &place(4), None).unwrap();
    for (number, epoch, body) in
        [(2, 1, Some("body")), (3, 2, Some("changed")), (4, 2, None), (60, 0, None)]
    {
        let body = body.map(|body| body.as_bytes().to_vec());
        let expected = Row { place: place(number), epoch: Epoch(epoch), body };
        assert_eq!(database.read(&seal, &place(number)), Ok(expected));
    }
}

#[test]
fn an_edited_row_does_not_hold_and_others_go_on() {
    let (seal, database) = filled(5);
    let edits: [fn(&mut StoredRow); 7] = [
        |row| row.body = b"other".to_vec(),
        |row| row.body = vec![],
        |row| row.body.push(0),
        |row| row.epoch.0 += 1,
        |row| row.serial.0 += 1,
        |row| row.mac[0] ^= 1,
        |row| row.mac = [0; 32],
    ];
    for edit in edits {
        let mut edited = database.clone();
        edit(edited.rows.get_mut(&place(2)).unwrap());
        assert_eq!(edited.fault(&seal, &place(2)), Some(Fault::Changed));
        assert_eq!(edited.fault(&seal, &place(3)), None);
    }
}

#[test]
fn rows_moved_deleted_inserted_or_put_back_do_not_hold() {
    let (seal, mut database) = filled(40);
    let old = database.clone();
    database.write(&seal, &place(2), Some("newer")).unwrap();
    database.write(&seal, &place(3), None).unwrap();
    let moved = |from: usize, to: usize| {
        let mut edited = database.clone();
        let row = StoredRow { place: place(to), ..edited.row(&place(from)) };
        edited.rows.insert(place(to), row);
        edited
    };
    let put_back = |number: usize| {
        let mut edited = database.clone();
        edited.rows.insert(place(number), old.row(&place(number)));
        edited
    };
    let mut deleted = database.clone();
    deleted.rows.remove(&place(2));
    for (edited, at, fault) in [
        (moved(2, 11), 11, Fault::Changed),
        (moved(2, 99), 99, Fault::Inserted),
        (deleted, 2, Fault::Deleted),
        (put_back(2), 2, Fault::Outdated),
        (put_back(3), 3, Fault::Outdated),
    ] {
        assert_eq!(edited.fault(&seal, &place(at)), Some(fault));
    }
}

#[test]
fn a_row_of_another_place_is_not_taken_for_this_one() {
    let (seal, database) = filled(5);
    let Ok(nodes) = Nodes::to(&database.nodes, [&place(1), &place(2)]);
    let other = Some(database.row(&place(2)));
    let checked = database.register(&seal).check(&place(1), other, &nodes);
    assert_eq!(checked, Err(Fault::Changed));
}

#[test]
fn a_row_put_back_with_any_part_of_its_path_is_found() {
    let (seal, mut database) = filled(40);
    let (old, at) = (database.clone(), place(2));
    database.write(&seal, &at, Some("newer")).unwrap();
    let (branch, leaf) = leaf_of(&at);
    let path = [NodeId::Leaf(branch, leaf), NodeId::Branch(branch), NodeId::Root];
    for count in 1..=3 {
        let mut edited = database.clone();
        edited.rows.insert(at.clone(), old.row(&at));
        for id in &path[..count] {
            edited.nodes.0.insert(*id, old.nodes.get(*id).to_vec());
        }
        let fault = if count == 3 { Fault::RolledBack } else { Fault::Register };
        assert_eq!(edited.fault(&seal, &at), Some(fault), "{count} nodes");
    }
}

#[test]
fn a_whole_database_put_back_is_found_by_who_has_seen_a_newer_one() {
    let (seal, mut database) = filled(9);
    let old = database.clone();
    database.write(&seal, &place(1), Some("newer")).unwrap();
    for number in 0..9 {
        assert_eq!(old.fault(&seal, &place(number)), Some(Fault::RolledBack));
    }
    assert_eq!(old.fault(&self::seal(), &place(1)), None, "a new process has seen nothing");
    assert_eq!(old.clone().write(&seal, &place(1), Some("x")), Err(Fault::RolledBack));
    assert_eq!(Database::default().fault(&seal, &place(1)), Some(Fault::Register), "emptied");
}

#[test]
fn a_register_that_was_edited_is_not_built_upon() {
    let (seal, database) = filled(300);
    let at = place(7);
    let (branch, leaf) = leaf_of(&at);
    for id in [NodeId::Root, NodeId::Branch(branch), NodeId::Leaf(branch, leaf)] {
        let edits: [fn(&mut Vec<u8>); 3] =
            [Vec::clear, |node| *node.last_mut().unwrap() ^= 1, |node| node.extend_from_within(..)];
        for edit in edits {
            let mut edited = database.clone();
            edit(edited.nodes.0.get_mut(&id).unwrap());
            assert_eq!(edited.fault(&seal, &at), Some(Fault::Register), "{id:?}");
            assert_eq!(edited.write(&seal, &at, Some("x")), Err(Fault::Register), "{id:?}");
        }
    }
}

#[test]
fn another_installation_or_key_writes_nothing_that_holds() {
    let (seal, database) = filled(3);
    for other in [seal_of(2, 7), seal_of(1, 8)] {
        assert_eq!(database.fault(&other, &place(1)), Some(Fault::Register));
        assert!(!database.register(&other).holds(&database.row(&place(1))));
    }
    assert!(database.register(&seal).holds(&database.row(&place(1))));
}

#[test]
fn rows_are_counted_by_kind() {
    let (seal, mut database) = filled(40);
    let kind = place(2).kind;
    let checked = |database: &Database, count| database.register(&seal).check_count(kind, count);
    let all = database.rows.values().filter(|row| row.place.kind == kind).count();
    assert_eq!(checked(&database, all), Ok(()));
    for _ in 0..2 {
        database.write(&seal, &place(2), None).unwrap();
        assert_eq!(checked(&database, all - 1), Ok(()));
    }
    assert_eq!(checked(&database, all - 2), Err(Fault::Deleted));
    assert_eq!(checked(&database, all), Err(Fault::Inserted));
    database.write(&seal, &place(2), Some("back")).unwrap();
    assert_eq!(checked(&database, all), Ok(()));
}

#[test]
fn changes_of_one_transaction_are_seen_in_it_and_written_together() {
    let (seal, mut database) = filled(30);
    let mut register = database.register(&seal);
    let newest = register.newest().unwrap();
    for number in [1, 2, 50] {
        for _ in 0..2 {
            let Ok(expected) = register.epoch(&place(number), &database.nodes);
            let body = Some(b"in one".to_vec());
            let write = Write { place: place(number), expected: expected.unwrap(), body };
            let row = register.write(&write, 30).unwrap();
            database.rows.insert(place(number), row);
        }
    }
    assert_eq!(database.fault(&seal, &place(1)), Some(Fault::Outdated), "it is not written yet");
    let nodes = register.flush();
    let last = nodes.last().unwrap();
    assert_eq!(
        (last.0, nodes.iter().filter(|(id, _)| *id == NodeId::Root).count()),
        (NodeId::Root, 1)
    );
    database.nodes.0.extend(nodes);
    assert_eq!(register.flush(), []);
    assert!(register.newest().unwrap() > newest);
    for (number, epoch) in [(1, 3), (2, 3), (50, 2), (3, 1)] {
        assert_eq!(database.read(&seal, &place(number)).unwrap().epoch, Epoch(epoch));
    }
}

#[test]
fn a_register_that_is_kept_goes_on_while_its_root_is_the_same() {
    let (seal, mut database) = filled(30);
    let mut register = database.register(&seal);
    let epoch = |register: &mut Register, database: &Database| {
        let Ok(epoch) = register.epoch(&place(1), &database.nodes);
        epoch
    };
    assert_eq!(epoch(&mut register, &database), Ok(Epoch(1)));
    // What was opened is not read again: nothing below the root matters any more.
    let (nodes, old) = (std::mem::take(&mut database.nodes), database.clone());
    database.nodes.0.insert(NodeId::Root, nodes.get(NodeId::Root).to_vec());
    let mut register = register.at(database.root());
    assert_eq!(epoch(&mut register, &database), Ok(Epoch(1)));
    // Another wrote meanwhile.
    database.nodes = nodes;
    database.write(&seal, &place(1), Some("newer")).unwrap();
    let mut register = register.at(database.root());
    assert_eq!(epoch(&mut register, &database), Ok(Epoch(2)));
    // An older root is found without anybody else having seen the newer one.
    let mut register = register.at(&[old.root(), b"x".as_slice()].concat());
    assert_eq!(epoch(&mut register, &database), Err(Fault::Register));
    let mut register = register.at(database.root());
    assert_eq!(epoch(&mut register, &database), Ok(Epoch(2)));
}

/// One thing that somebody does to the database.
#[derive(Debug, Clone)]
enum Tampering {
    Edit(usize, u8),
    Delete(usize),
    Swap(usize, usize),
    Insert(usize),
    PutBack(usize),
    Register(usize, usize),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let row = 0..200_usize;
    prop_oneof![
        (row.clone(), any::<u8>()).prop_map(|(row, how)| Tampering::Edit(row, how)),
        row.clone().prop_map(Tampering::Delete),
        (row.clone(), row.clone())
            .prop_filter("not itself", |(one, other)| one != other)
            .prop_map(|(one, other)| Tampering::Swap(one, other)),
        (1000..2000_usize).prop_map(Tampering::Insert),
        row.clone().prop_map(Tampering::PutBack),
        (row, 0..3_usize).prop_map(|(row, level)| Tampering::Register(row, level)),
    ]
}

/// The places whose rows must be refused then.
fn tamper(database: &mut Database, old: &Database, tampering: &Tampering) -> Vec<Place> {
    match tampering {
        Tampering::Edit(row, how) => {
            let row = database.rows.get_mut(&place(*row)).unwrap();
            match how % 4 {
                0 => row.body = vec![*how],
                1 => row.epoch.0 += u64::from(*how) + 1,
                2 => row.serial.0 -= 1,
                _ => row.mac[usize::from(how % 32)] ^= how | 1,
            }
            vec![row.place.clone()]
        }
        Tampering::Delete(row) => {
            database.rows.remove(&place(*row));
            vec![place(*row)]
        }
        Tampering::Swap(one, other) => {
            for (from, to) in [(one, other), (other, one)] {
                let row = StoredRow { place: place(*to), ..old.row(&place(*from)) };
                database.rows.insert(place(*to), row);
            }
            vec![place(*one), place(*other)]
        }
        Tampering::Insert(row) => {
            let like = database.row(&place(1));
            database.rows.insert(place(*row), StoredRow { place: place(*row), ..like });
            vec![place(*row)]
        }
        Tampering::PutBack(row) => {
            database.rows.insert(place(*row), old.row(&place(*row)));
            vec![place(*row)]
        }
        Tampering::Register(row, level) => {
            let (branch, leaf) = leaf_of(&place(*row));
            let id = [NodeId::Leaf(branch, leaf), NodeId::Branch(branch), NodeId::Root][*level];
            *database.nodes.0.get_mut(&id).unwrap().last_mut().unwrap() ^= 1;
            vec![place(*row)]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_row_it_is_refused_and_the_others_are_not(tampering in tampering()) {
        let (seal, mut database) = filled(200);
        let old = database.clone();
        for number in 0..200 {
            database.write(&seal, &place(number), Some("newer")).unwrap();
        }
        let spoiled = tamper(&mut database, &old, &tampering);
        for row in &spoiled {
            prop_assert!(database.read(&seal, row).is_err(), "{row}");
        }
        let is_register = matches!(tampering, Tampering::Register(..));
        for other in (0..200).map(place).filter(|other| !is_register && !spoiled.contains(other)) {
            prop_assert!(database.read(&seal, &other).is_ok(), "{other}");
        }
    }
}
