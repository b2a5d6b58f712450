//! The nodes' bytes.

use proptest::prelude::*;

use super::super::{
    Listed, NodeId,
    node::{
        Children, Leaf, Root, decode_children, decode_leaf, decode_root, encode_children,
        encode_leaf, encode_root, leaf_of,
    },
};
use crate::row::{Epoch, Kind, Place, Serial};

#[test]
fn each_node_has_a_number_of_its_own() {
    let leaves = |branch| (0..=255).map(move |leaf| NodeId::Leaf(branch, leaf));
    let branches = (0..=255).map(NodeId::Branch);
    let all = [NodeId::Root].into_iter().chain(branches).chain((0..=255).flat_map(leaves));
    assert!(all.map(NodeId::number).eq(0..NodeId::COUNT));
}

#[test]
fn nodes_are_laid_out_as_the_documents_say() {
    let place = Place::new(Kind::Key, "ab");
    let listed = Listed { epoch: Epoch(1), serial: Serial(258), live: true };
    let leaf = Leaf::from([(place.clone(), listed)]);
    assert_eq!(encode_leaf(&leaf), b"\x02\x01\0\x02ab\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01\x02");
    let children = Children::from([(7, [9; 32])]);
    assert_eq!(encode_children(&children), [&[7][..], &[9; 32]].concat());
    let mut live = [0; 11];
    live[2] = 1;
    let root = encode_root(&Root { serial: Serial(5), live, children });
    assert_eq!(root[..9], [0, 0, 0, 0, 0, 0, 0, 5, 11]);
    assert_eq!((root[32], root.len()), (1, 9 + 88 + 33));
    // SHA-256 of the kind's code and the id, computed by another implementation.
    assert_eq!(leaf_of(&place), (0x35, 0x02));
}

/// A root as a build wrote it that knew of so many kinds.
fn root_of(kinds: u8, children: &Children) -> Vec<u8> {
    let live = (1..=u64::from(kinds)).flat_map(u64::to_be_bytes);
    [0, 0, 0, 0, 0, 0, 0, 5, kinds]
        .into_iter()
        .chain(live)
        .chain(encode_children(children))
        .collect()
}

#[test]
fn a_root_of_fewer_kinds_is_read_and_one_of_more_is_not() {
    let children = Children::from([(7, [9; 32])]);
    let known = u8::try_from(Kind::ALL.len()).unwrap();
    for kinds in 0..=known {
        let root = decode_root(&root_of(kinds, &children)).unwrap();
        let live = (1..=u64::from(known)).map(|count| if count > kinds.into() { 0 } else { count });
        assert_eq!((root.serial, &root.children), (Serial(5), &children));
        assert!(root.live.into_iter().eq(live), "{kinds} {:?}", root.live);
    }
    assert_eq!(decode_root(&root_of(known + 1, &children)), None);
    assert_eq!(decode_root(&root_of(u8::MAX, &children)), None);
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let place = (0..11_u8, ".{0,9}");
    let place = place.prop_map(|(kind, id)| Place { kind: Kind::of_code(kind).unwrap(), id });
    let listed = any::<(u64, u64, bool)>().prop_map(|(epoch, serial, live)| Listed {
        epoch: Epoch(epoch),
        serial: Serial(serial),
        live,
    });
    prop::collection::btree_map(place, listed, 0..9)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_no_part_of_it_is(
        leaf in leaf(),
        children in prop::collection::btree_map(any::<u8>(), any::<[u8; 32]>(), 0..5),
        serial in any::<u64>(),
        live in any::<[u64; 11]>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let root = Root { serial: Serial(serial), live, children: children.clone() };
        prop_assert_eq!(decode_leaf(&encode_leaf(&leaf)), Some(leaf.clone()));
        prop_assert_eq!(decode_children(&encode_children(&children)), Some(children));
        prop_assert_eq!(decode_root(&encode_root(&root)), Some(root.clone()));
        let bytes = encode_root(&root);
        prop_assert_ne!(decode_root(&bytes[..cut.index(bytes.len())]), Some(root));
        let bytes = encode_leaf(&leaf);
        if !bytes.is_empty() {
            prop_assert_ne!(decode_leaf(&bytes[..cut.index(bytes.len())]), Some(leaf));
        }
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_not_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let decoded = decode_leaf(&bytes).map(|leaf| encode_leaf(&leaf).len() <= bytes.len());
        prop_assert_ne!(decoded, Some(false));
        let decoded = decode_children(&bytes).map(|children| encode_children(&children).len() <= bytes.len());
        prop_assert_ne!(decoded, Some(false));
        // A root of fewer kinds is written with all of them.
        let longest = bytes.len() + 8 * Kind::ALL.len();
        let decoded = decode_root(&bytes).map(|root| encode_root(&root).len() <= longest);
        prop_assert_ne!(decoded, Some(false));
    }
}
