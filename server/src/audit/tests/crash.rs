//! A crash after each step, and in the middle of each.

use super::*;

#[tokio::test]
async fn a_crash_after_any_step_loses_and_doubles_nothing() {
    for steps in 0..=3 {
        let world = World::with_entries(3).await;
        let mut log = world.open().await.unwrap();
        world.commit(4).await;
        if steps > 0 {
            assert_eq!(log.append().await, Ok(true));
        }
        if steps > 1 {
            log.sign().await.unwrap();
        }
        if steps > 2 {
            log.prune().await.unwrap();
        }
        drop(log);
        // What was appended and not signed is no damage, only not covered yet.
        let verified = world.verify().unwrap();
        let signed = if steps > 1 { 7 } else { 3 };
        assert_eq!(verified.entries, signed, "{steps} steps");
        assert_eq!(verified.beyond_checkpoint, if steps == 1 { 4 } else { 0 });
        world.open().await.unwrap();
        world.assert_signed(7);
        assert_eq!(world.store.entries(0, 9).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn an_append_cut_off_anywhere_is_made_good() {
    let world = World::with_entries(2).await;
    world.commit(2).await;
    let mut log = world.open().await.unwrap();
    drop(log.append().await);
    drop(log);
    let whole = world.lines().concat();
    let signed = world.lines()[..2].concat().len();
    for cut in signed..=whole.len() {
        // The first two are signed; of the others the store still has to know.
        let world = World::with_entries(2).await;
        world.commit(2).await;
        fs::write(world.dir().join(ENTRIES), &whole.as_bytes()[..cut]).unwrap();
        world.open().await.unwrap();
        world.assert_signed(4);
        assert_eq!(world.lines().concat(), whole);
    }
}

#[tokio::test]
async fn an_append_that_left_rubbish_is_made_good() {
    let good = "{\"decision\":\"allowed\",\"index\":2,\"principal\":\"bob\"}\n";
    for rubbish in ["\0\0\0\0\n", "\n\n", "{}\n", good, "{\"index\":7}\n"] {
        let world = World::with_entries(2).await;
        world.commit(1).await;
        world.set_lines(&[world.lines().concat(), rubbish.repeat(3)]);
        world.open().await.unwrap();
        world.assert_signed(3);
    }
}

#[tokio::test]
async fn a_checkpoint_cut_off_while_written_leaves_the_old_one() {
    let world = World::with_entries(2).await;
    fs::write(world.dir().join("checkpoint.new"), "keyhaven.exa").unwrap();
    world.assert_signed(2);
    world.commit(1).await;
    world.open().await.unwrap();
    world.assert_signed(3);
}

#[tokio::test]
async fn a_first_start_cut_off_anywhere_is_begun_again() {
    for missing in [&[CHECKPOINT][..], &[CHECKPOINT, ENTRIES], &[VKEY, CHECKPOINT, ENTRIES]] {
        let world = World::with_entries(0).await;
        world.assert_signed(0);
        for file in missing {
            fs::remove_file(world.dir().join(file)).unwrap();
        }
        world.commit(2).await;
        world.open().await.unwrap();
        world.assert_signed(2);
    }
}

#[tokio::test]
async fn a_log_that_is_not_as_signed_is_not_gone_on_with() {
    let world = World::with_entries(5).await;
    let lines = world.lines();
    world.set_lines(&lines[..3]);
    let missing = VerifyError::Missing { covered: 5, found: 3 };
    assert_eq!(world.open().await.err(), Some(AuditError::Damaged(missing)));
    world.set_lines(&[&lines[..1], &lines[2..]].concat());
    let other = VerifyError::Entry { index: 1, problem: EntryProblem::OtherIndex(2) };
    assert_eq!(world.open().await.err(), Some(AuditError::Damaged(other)));
    world.set_lines(&lines);
    let checkpoint = fs::read_to_string(world.dir().join(CHECKPOINT)).unwrap();
    fs::write(world.dir().join(CHECKPOINT), checkpoint.replace("\n5\n", "\n4\n")).unwrap();
    let edited = AuditError::Damaged(VerifyError::Checkpoint);
    assert_eq!(world.open().await.err(), Some(edited));
}

#[tokio::test]
async fn a_log_and_a_store_that_do_not_fit_are_not_gone_on_with() {
    let mut world = World::with_entries(5).await;
    let old = world.dir().with_extension("old");
    fs::create_dir(&old).unwrap();
    for file in [ENTRIES, CHECKPOINT, VKEY] {
        fs::copy(world.dir().join(file), old.join(file)).unwrap();
    }
    world.commit(2).await;
    world.open().await.unwrap();
    let new = world.dir().with_extension("new");
    fs::rename(world.dir(), &new).unwrap();
    fs::rename(&old, world.dir()).unwrap();
    assert_eq!(world.open().await.err(), Some(AuditError::Lost(5)), "an older copy of the log");
    fs::remove_dir_all(world.dir()).unwrap();
    assert_eq!(world.open().await.err(), Some(AuditError::Lost(0)), "no log at all");
    fs::remove_dir_all(world.dir()).unwrap();
    fs::rename(&new, world.dir()).unwrap();
    let lines = world.lines();
    world.set_lines(&[lines.concat(), lines[6].replace(":6", ":7")]);
    let added = AuditError::StoreBehind { store: 7, log: 8 };
    assert_eq!(world.open().await.err(), Some(added), "a line was added");
    world.set_lines(&lines);
    world.store = Arc::new(MemoryStore::new());
    world.commit(3).await;
    let behind = AuditError::StoreBehind { store: 3, log: 7 };
    assert_eq!(world.open().await.err(), Some(behind), "an older copy of the store");
}

#[tokio::test]
async fn a_log_of_another_key_is_not_gone_on_with() {
    let mut world = World::with_entries(1).await;
    let vkey = world.vkey();
    world.hsm = LogHsm::new(2);
    assert_eq!(world.open().await.err(), Some(AuditError::OtherKey(vkey)));
    fs::remove_file(world.dir().join(VKEY)).unwrap();
    let other = AuditError::Damaged(VerifyError::Checkpoint);
    assert_eq!(world.open().await.err(), Some(other));
}

#[tokio::test]
async fn entries_that_vanish_from_the_store_while_the_log_runs_end_it_and_are_named() {
    let world = World::with_entries(3).await;
    let mut log = world.open().await.unwrap();
    log.advance().await.unwrap();
    world.commit(2).await;
    // What the log did not fetch yet is gone.
    world.store.prune_entries(5).await.unwrap();
    assert_eq!(log.advance().await, Err(AuditError::Lost(3)));
    let sequencer = world.start().await;
    assert!(matches!(sequencer.err(), Some(AuditError::Lost(3))));
}
