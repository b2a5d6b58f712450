//! The store against one in memory that is too simple to be wrong: whatever is asked of both, in whatever
//! order, both answer the same.

use keyhaven_engine::{
    conformance::memory_store::MemoryStore,
    integrity::{NodeId, Register, RowSeal},
};
use proptest::prelude::*;

use super::*;

/// What is asked. Few places, epochs and tickets, so that they meet often.
#[derive(Debug, Clone)]
enum Step {
    Commit {
        reads: Vec<(usize, u64)>,
        writes: Vec<(usize, u64, bool)>,
        spend: Option<(u8, u32)>,
    },
    /// A change that rests on the row as it is now.
    Update {
        place: usize,
        removes: bool,
    },
    Prune(u64),
    List {
        prefix: usize,
        after: usize,
        limit: usize,
    },
    Entries {
        from: u64,
        limit: usize,
    },
    Restart,
}

/// Ids that sort oddly, contain each other, or mean something to SQL.
const IDS: [&str; 12] =
    ["", "a", "a/", "a/1", "a/10", "a/2", "A/", "a\0", "a%", "a_", "é", "e\u{301}"];
const KINDS: [Kind; 2] = [Kind::Alias, Kind::KeyVersion];

fn place(number: usize) -> Place {
    Place::new(KINDS[number % 2], IDS[number / 2 % IDS.len()])
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..2 * IDS.len();
    let commit = (
        prop::collection::vec((at(), 0_u64..3), 0..3),
        prop::collection::vec((at(), 0_u64..3, any::<bool>()), 0..4),
        prop::option::of((0_u8..3, 0_u32..4)),
    );
    let commit = commit.prop_map(|(reads, writes, spend)| Step::Commit { reads, writes, spend });
    let list = (0..IDS.len(), 0..IDS.len(), 0_usize..8);
    prop_oneof![
        4 => commit,
        6 => (at(), any::<bool>()).prop_map(|(place, removes)| Step::Update { place, removes }),
        1 => (0_u64..20).prop_map(Step::Prune),
        3 => list.prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
        2 => (0_u64..20, 0_usize..9).prop_map(|(from, limit)| Step::Entries { from, limit }),
        1 => Just(Step::Restart),
    ]
}

/// The same proposal, as often as it is needed.
async fn proposed(step: &Step, number: usize, model: &MemoryStore) -> Proposal {
    let body = |removes: bool| (!removes).then(|| number.to_be_bytes().to_vec());
    let (reads, writes, spend) = match step {
        Step::Commit { reads, writes, spend } => (reads.clone(), writes.clone(), *spend),
        Step::Update { place: at, removes } => {
            let epoch = epoch(model, &place(*at)).await.0;
            (vec![], vec![(*at, epoch, *removes)], None)
        }
        other @ (Step::Prune(_) | Step::List { .. } | Step::Entries { .. } | Step::Restart) => {
            panic!("{other:?} proposes nothing")
        }
    };
    let reads = reads.into_iter().map(|(at, epoch)| (place(at), Epoch(epoch))).collect();
    let writes = writes.into_iter().map(|(at, epoch, removes)| {
        let (place, expected, body) = (place(at), Epoch(epoch), body(removes));
        Write { place, expected, body }
    });
    let spend = spend.map(|(ticket, uses)| {
        let ticket = TicketId::from_bytes([ticket; 16]);
        Spend { ticket, uses, expires: u64::MAX }
    });
    let entry = PendingEntry::new(format!("{number}@").into_bytes(), b"!".to_vec());
    Proposal::for_conformance(reads, writes.collect(), spend, entry)
}

/// The epoch that the register lists.
async fn epoch(model: &MemoryStore, place: &Place) -> Epoch {
    let nodes = model.read(place.clone()).await.unwrap().nodes;
    let seal = RowSeal::for_conformance();
    let mut register = Register::open(&seal, nodes.get(NodeId::Root), seal.newest());
    let Ok(epoch) = register.epoch(place, &nodes);
    epoch.unwrap()
}

async fn agree(steps: Vec<Step>) {
    let folder = folder();
    let mut store = open(&folder);
    let model = MemoryStore::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Commit { .. } | Step::Update { .. } => {
                let expected = model.commit(proposed(step, number, &model).await);
                // The model goes second, so that both proposals rest on the same rows.
                let found = store.commit(proposed(step, number, &model).await).await;
                assert_eq!(found, expected.await, "{step:?}");
            }
            Step::Prune(below) => {
                let below = (*below).min(model.next_index().await.unwrap());
                store.prune_entries(below).await.unwrap();
                model.prune_entries(below).await.unwrap();
            }
            Step::List { prefix, after, limit } => {
                for kind in KINDS {
                    let [prefix, after] = [IDS[*prefix], IDS[*after]].map(str::to_owned);
                    let found = store.list(kind, prefix.clone(), after.clone(), *limit).await;
                    assert_eq!(found, model.list(kind, prefix, after, *limit).await, "{step:?}");
                }
            }
            Step::Entries { from, limit } => {
                let found = store.entries(*from, *limit).await;
                assert_eq!(found, model.entries(*from, *limit).await, "{step:?}");
            }
            Step::Restart => {
                drop(store);
                store = open(&folder);
            }
        }
    }
    assert_eq!(store.next_index().await, model.next_index().await);
    assert_eq!(store.entries(0, 999).await, model.entries(0, 999).await);
    for number in 0..2 * IDS.len() {
        assert_eq!(store.read(place(number)).await, model.read(place(number)).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_give_the_same_verdicts_rows_and_entries(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(agree(steps));
    }
}
