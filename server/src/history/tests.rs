use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use keyhaven_engine::{
    conformance::memory_store::MemoryStore,
    integrity::Nodes,
    port::store::{Extract, Kind, PendingEntry, Place, Proposal, StoreFuture, Verdict},
};
use tempfile::TempDir;

use super::*;

/// A store whose entries move into the log's file just before they are asked for, as by a sequencer that
/// is always faster.
struct Moving {
    store: MemoryStore,
    folder: PathBuf,
    /// How many entries move at each question.
    step: u64,
    /// At how many questions.
    times: AtomicU64,
    moved: AtomicU64,
}

impl Moving {
    async fn advance(&self, count: u64) {
        let from = self.moved.load(Ordering::SeqCst);
        let limit = usize::try_from(count).unwrap();
        let entries = self.store.entries(from, limit).await.unwrap();
        let path = self.folder.join("entries.jsonl");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        for (_, entry) in &entries {
            text.push_str(str::from_utf8(entry).unwrap());
            text.push('\n');
        }
        fs::write(path, text).unwrap();
        let moved = from + entries.len() as u64;
        self.store.prune_entries(moved).await.unwrap();
        self.moved.store(moved, Ordering::SeqCst);
    }
}

impl Store for Moving {
    fn read(&self, place: Place) -> StoreFuture<'_, Extract> {
        self.store.read(place)
    }

    fn list(
        &self,
        kind: Kind,
        prefix: String,
        after: String,
        limit: usize,
    ) -> StoreFuture<'_, Extract> {
        self.store.list(kind, prefix, after, limit)
    }

    fn branch(&self, branch: u8) -> StoreFuture<'_, Nodes> {
        self.store.branch(branch)
    }

    fn commit(&self, proposal: Proposal) -> StoreFuture<'_, Verdict> {
        self.store.commit(proposal)
    }

    fn entries(&self, from: u64, limit: usize) -> StoreFuture<'_, Vec<(u64, Vec<u8>)>> {
        Box::pin(async move {
            let times = self.times.load(Ordering::SeqCst);
            if times > 0 {
                self.times.store(times - 1, Ordering::SeqCst);
                self.advance(self.step).await;
            }
            self.store.entries(from, limit).await
        })
    }

    fn prune_entries(&self, below: u64) -> StoreFuture<'_, ()> {
        self.store.prune_entries(below)
    }

    fn next_index(&self) -> StoreFuture<'_, u64> {
        self.store.next_index()
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Err(StoreError::Unavailable("not asked for".to_owned())) })
    }
}

/// A history of `total` entries, of which `filed` are in the file and `step` more move at each of the
/// first `times` questions.
async fn history(total: u64, filed: u64, (step, times): (u64, u64)) -> (History, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    for _ in 0..total {
        let entry = PendingEntry::new(b"{\"index\":".to_vec(), b"}".to_vec());
        store.commit(Proposal::for_conformance(vec![], vec![], None, entry)).await.unwrap();
    }
    let (times, moved) = (AtomicU64::new(times), AtomicU64::new(0));
    let moving = Moving { store, folder: folder.path().to_owned(), step, times, moved };
    moving.advance(filed).await;
    (History::new(folder.path().to_owned(), Arc::new(moving)), folder)
}

async fn indexes(history: &History, from: u64, limit: usize) -> Vec<u64> {
    let page = history.read(from, limit).await.unwrap();
    page.iter().map(|entry| entry["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_page_is_the_same_wherever_its_entries_lie() {
    for filed in 0..=6 {
        let (history, _folder) = history(6, filed, (0, 0)).await;
        for from in 0..9 {
            for limit in 0..9 {
                let expected: Vec<_> = (from..6).take(limit).collect();
                let found = indexes(&history, from, limit).await;
                assert_eq!(found, expected, "{filed} in the file, {limit} from {from}");
            }
        }
    }
}

#[tokio::test]
async fn entries_that_move_meanwhile_are_neither_lost_nor_told_twice() {
    for step in 1..=7 {
        for limit in [1, 2, 3] {
            let (history, _folder) = history(20, 2, (step, u64::MAX)).await;
            let (mut all, mut from) = (vec![], 0);
            while let Some(last) = indexes(&history, from, limit).await.last().copied() {
                all.extend(from..=last);
                from = last + 1;
            }
            assert_eq!(all, (0..20).collect::<Vec<_>>(), "{limit} a page, {step} move");
        }
    }
}

#[tokio::test]
async fn one_page_may_take_several_looks() {
    for step in 1..=13 {
        let (history, _folder) = history(12, 0, (step, 3)).await;
        assert_eq!(indexes(&history, 0, 99).await, (0..12).collect::<Vec<_>>(), "{step} move");
    }
}

#[tokio::test]
async fn from_beyond_the_end_there_is_nothing() {
    let (history, _folder) = history(3, 2, (0, 0)).await;
    for from in [3, 4, 1000, u64::MAX - 1, u64::MAX] {
        assert_eq!(indexes(&history, from, 9).await, [0; 0], "{from}");
    }
    assert_eq!(indexes(&history, 2, usize::MAX).await, [2]);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_unavailable_and_not_empty() {
    let (history, folder) = history(3, 2, (0, 0)).await;
    let path = folder.path().join("entries.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace("{\"index\":1}", "rubbish")).unwrap();
    assert_eq!(history.read(0, 9).await, Err(AuditUnavailable));
    fs::remove_file(&path).unwrap();
    assert_eq!(history.read(0, 9).await, Err(AuditUnavailable));
}

#[tokio::test]
async fn entries_that_are_nowhere_are_an_error_and_not_a_gap() {
    let (history, folder) = history(9, 4, (0, 0)).await;
    let path = folder.path().join("entries.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    let cut: String = good.split_inclusive('\n').take(2).collect();
    fs::write(&path, cut).unwrap();
    assert_eq!(history.read(0, 9).await, Err(AuditUnavailable));
    assert_eq!(indexes(&history, 0, 2).await, [0, 1], "what is there is told");
}

#[tokio::test]
async fn what_was_committed_before_is_told_even_if_all_of_it_moves_meanwhile() {
    let (history, _folder) = history(5, 3, (2, 1)).await;
    assert_eq!(indexes(&history, 0, 99).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_log_that_moves_again_and_again_is_given_up_at_last() {
    let (history, _folder) = history(20, 0, (1, u64::MAX)).await;
    assert_eq!(history.read(0, 99).await, Err(AuditUnavailable));
}

#[tokio::test]
async fn news_is_what_is_there_already_or_what_did_not_come_in_time() {
    let (history, _folder) = history(3, 2, (0, 0)).await;
    // Far longer than a test may take: it is there.
    history.news(1, Duration::from_hours(1)).await.unwrap();
    history.news(3, Duration::from_millis(1)).await.unwrap();
}
