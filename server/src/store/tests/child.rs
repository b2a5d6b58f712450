//! A process of its own commits, and is killed or runs into a limit.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Lines, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use super::*;

const FOLDER: &str = "KEYHAVEN_TEST_FOLDER";

/// Not a test by itself: what the other tests here run as a child process. It commits until it is refused,
/// waits for a line, and commits on until it is killed. It says what was answered for each tag.
#[tokio::test]
#[ignore = "run by other tests as a child process"]
async fn child_that_commits() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&folder)).unwrap());
    for phase in ["before", "after"] {
        let mut committers = tokio::task::JoinSet::new();
        for number in 0..16 {
            committers.spawn(commit_until_refused(Arc::clone(&store), format!("{phase}-{number}")));
        }
        committers.join_all().await;
        println!("\nrefused {:?}", store.trouble());
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

async fn commit_until_refused(store: Arc<SqliteStore>, name: String) {
    for count in 0.. {
        let tag = format!("{name}-{count}-{}", "x".repeat(600));
        let place = Place::new(Kind::Device, &tag);
        match store.commit(proposal(&tag, vec![write(&place, 0, b"body")], None)).await {
            Ok(Verdict::Committed { index }) => println!("\nack {index} {tag}"),
            Err(StoreError::Unavailable(_)) => return println!("\nunavailable 0 {tag}"),
            other => return println!("\nother 0 {tag} {other:?}"),
        }
    }
}

fn spawn(folder: &TempDir, shell: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "store::tests::child::child_that_commits", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// What the child was told, by tag: the word, and the index.
#[derive(Default)]
struct Told(BTreeMap<String, (String, u64)>);

impl Told {
    fn read(
        &mut self,
        lines: &mut Lines<BufReader<ChildStdout>>,
        enough: impl Fn(&Self, &str) -> bool,
    ) {
        for line in lines.map_while(Result::ok) {
            if let [word @ ("ack" | "unavailable" | "other"), index, tag, ..] =
                line.split(' ').collect::<Vec<_>>()[..]
            {
                self.0.insert(tag.to_owned(), (word.to_owned(), index.parse().unwrap()));
            }
            if enough(self, &line) {
                return;
            }
        }
    }

    fn count(&self, wanted: &str) -> usize {
        self.0.values().filter(|(word, _)| word == wanted).count()
    }

    /// What was acknowledged is there, whole; what was refused is not at all.
    async fn check(&self, folder: &TempDir) {
        let store = open(folder);
        let entries: BTreeMap<_, _> =
            store.entries(0, usize::MAX).await.unwrap().into_iter().collect();
        assert_eq!(store.next_index().await, Ok(entries.len() as u64));
        for (tag, (word, index)) in &self.0 {
            let found = store.read(Place::new(Kind::Device, tag)).await.unwrap();
            if word == "ack" {
                assert_eq!(entries[index], format!("{tag}@{index}").into_bytes());
                assert_eq!(found.rows[0].body, b"body");
            } else {
                assert_eq!((word.as_str(), found.rows.len()), ("unavailable", 0));
            }
        }
    }
}

#[tokio::test]
async fn every_acknowledged_commit_survives_a_kill() {
    let folder = folder();
    for round in 1..=3 {
        let (mut child, mut lines) = spawn(&folder, "");
        let mut told = Told::default();
        told.read(&mut lines, |told, _| told.count("ack") >= 150 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        told.read(&mut lines, |_, _| false);
        assert!(told.count("ack") >= 150, "{:?}", told.0);
        told.check(&folder).await;
        // The next round begins anew: the child's rows are the same each time.
        fs::remove_file(folder.path().join("store.db")).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_cannot_grow_refuses_and_loses_nothing_and_goes_on_when_it_can() {
    let folder = folder();
    // The limit is met in the middle of writing a transaction, by a real error of the operating system.
    let (mut child, mut lines) = spawn(&folder, "trap '' XFSZ; ulimit -S -f 3000;");
    let mut told = Told::default();
    told.read(&mut lines, |_, line| line.starts_with("refused"));
    let (acknowledged, refused) = (told.count("ack"), told.count("unavailable"));
    assert!(acknowledged > 0 && refused > 0, "{acknowledged} and {refused}: {:?}", told.0);
    let lift = ["--pid", &child.id().to_string(), "--fsize=unlimited"];
    assert!(Command::new("prlimit").args(lift).status().unwrap().success());
    child.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    told.read(&mut lines, |told, _| told.count("ack") >= acknowledged + 100);
    child.kill().unwrap();
    child.wait().unwrap();
    told.read(&mut lines, |_, _| false);
    assert!(told.count("ack") >= acknowledged + 100);
    told.check(&folder).await;
}
