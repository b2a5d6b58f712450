//! The sequencer at work, and reading what it wrote.

use std::time::Duration;

use keyhaven_engine::conformance::memory_store::Fault;

use super::*;
use crate::store::SqliteStore;

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn what_is_committed_is_signed_soon_without_being_asked() {
    let world = World::new();
    let sequencer = world.start().await.unwrap();
    world.assert_signed(0);
    world.commit(3).await;
    eventually("signed", || world.verify().is_ok_and(|verified| verified.entries == 3)).await;
    sequencer.notify();
    world.commit(9).await;
    sequencer.flush().await.unwrap();
    world.assert_signed(12);
    sequencer.stop().await.unwrap();
    assert_eq!(Arc::strong_count(&world.store), 1);
}

#[tokio::test]
async fn many_entries_are_signed_in_order() {
    let world = World::new();
    world.commit(10_000).await;
    let sequencer = world.start().await.unwrap();
    world.commit(70_000).await;
    sequencer.stop().await.unwrap();
    world.assert_signed(80_000);
}

#[tokio::test]
async fn while_the_hsm_is_gone_entries_wait_and_the_log_says_so() {
    let world = World::with_entries(1).await;
    let sequencer = world.start().await.unwrap();
    world.hsm.down.store(true, Ordering::SeqCst);
    world.commit(2).await;
    let flushed = sequencer.flush().await;
    assert!(matches!(flushed, Err(AuditError::Hsm(_))), "{flushed:?}");
    assert!(sequencer.trouble().unwrap().contains("unplugged"));
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 2);
    assert_eq!(world.verify().unwrap().entries, 1);
    world.hsm.down.store(false, Ordering::SeqCst);
    sequencer.flush().await.unwrap();
    assert_eq!(sequencer.trouble(), None);
    world.assert_signed(3);
}

#[tokio::test]
async fn while_the_folder_is_gone_entries_wait_and_the_log_says_so() {
    let world = World::with_entries(1).await;
    let sequencer = world.start().await.unwrap();
    let away = world.dir().with_extension("away");
    fs::rename(world.dir(), &away).unwrap();
    world.commit(2).await;
    eventually("trouble", || sequencer.trouble().is_some()).await;
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 2);
    fs::rename(&away, world.dir()).unwrap();
    sequencer.flush().await.unwrap();
    world.assert_signed(3);
}

#[tokio::test]
async fn an_entry_that_is_none_is_never_logged_nor_forgotten() {
    let world = World::with_entries(1).await;
    for after in ["", "\n}", "1}", ",\"index\":1}"] {
        let entry = PendingEntry::new(b"{\"index\":".to_vec(), after.as_bytes().to_vec());
        world.store.commit(Proposal::for_conformance(vec![], vec![], None, entry)).await.unwrap();
        let error = world.open().await.err();
        assert!(matches!(error, Some(AuditError::Entry { index: 1, .. })), "{after}: {error:?}");
    }
    world.assert_signed(1);
    assert_eq!(world.store.entries(0, 9).await.unwrap().len(), 4);
}

#[tokio::test]
async fn it_works_on_the_real_store_over_a_restart() {
    let world = World::new();
    for round in 1..=3 {
        let store = Arc::new(SqliteStore::open(&world.folder.path().join("store")).unwrap());
        let hsm = Arc::clone(&world.hsm);
        let start = Sequencer::start(
            Arc::clone(&store) as Arc<dyn Store>,
            hsm,
            World::log_key(),
            world.dir(),
            ORIGIN.to_owned(),
        );
        let sequencer = start.await.unwrap();
        for _ in 0..20 {
            let entry = PendingEntry::new(b"{\"index\":".to_vec(), b"}".to_vec());
            let proposal = Proposal::for_conformance(vec![], vec![], None, entry);
            store.commit(proposal).await.unwrap();
        }
        sequencer.stop().await.unwrap();
        world.assert_signed(20 * round);
        assert_eq!(store.entries(0, 9).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn entries_are_read_back_by_filter() {
    let world = World::new();
    fs::create_dir(world.dir()).unwrap();
    let lines: Vec<_> = (0..10)
        .map(|n| {
            let (who, what) = (["ann", "bob"][n % 2], ["Encrypt", "Decrypt", "Sign"][n % 3]);
            let decision = ["allowed", "refused"][n / 5];
            format!(
                "{{\"decision\":\"{decision}\",\"index\":{n},\"key\":\"k{n}\",\"operation\":\"{what}\",\
                 \"principal\":\"{who}\",\"resource\":\"photos\",\"time_ms\":{}}}\n",
                1000 - n
            )
        })
        .collect();
    world.set_lines(&lines);
    let found = |filter: Filter| {
        let entries = read(&world.dir(), filter).unwrap();
        entries.map(|entry| entry.unwrap()["index"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let all = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(Filter { principal: text("ann"), ..all.clone() }), [0, 2, 4, 6, 8]);
    assert!(found(Filter { principal: text("an"), ..all.clone() }).is_empty());
    assert_eq!(found(Filter { operation: text("Sign"), limit: Some(2), ..all.clone() }), [2, 5]);
    assert_eq!(found(Filter { key: text("k7"), ..all.clone() }), [7]);
    assert!(found(Filter { key: text("photos"), limit: Some(0), ..all.clone() }).is_empty());
    assert_eq!(found(Filter { key: text("photos"), ..all.clone() }).len(), 10);
    let refused = Filter { decision: text("refused"), until_index: Some(7), ..all.clone() };
    assert_eq!(found(refused), [5, 6]);
    assert_eq!(found(Filter { since_index: Some(8), ..all.clone() }), [8, 9]);
    assert_eq!(
        found(Filter { since_ms: Some(996), until_ms: Some(999), ..all.clone() }),
        [2, 3, 4]
    );
    // A damaged line is said, and the others are still read; a line being written is not there yet.
    world.set_lines(
        &[&lines[..1], &["rubbish\n".to_owned()], &lines[1..2], &["{\"in".into()]].concat(),
    );
    let read: Vec<_> = read(&world.dir(), all).unwrap().collect();
    let damaged = ReadError::Damaged { line: 2, problem: EntryProblem::NotAnEntry };
    assert_eq!((read.len(), &read[1]), (3, &Err(damaged)));
    assert!(super::read(Path::new("/nowhere"), Filter::default()).is_err());
}

#[tokio::test]
async fn entries_of_unknown_outcome_are_logged_too() {
    let world = World::new();
    let sequencer = world.start().await.unwrap();
    for (fault, entries) in [(Fault::Unknown, 1), (Fault::Lost, 1)] {
        world.store.fail_next_commit(fault);
        let entry = PendingEntry::new(b"{\"index\":".to_vec(), b"}".to_vec());
        let proposal = Proposal::for_conformance(vec![], vec![], None, entry);
        world.store.commit(proposal).await.unwrap_err();
        sequencer.flush().await.unwrap();
        world.assert_signed(entries);
    }
}
