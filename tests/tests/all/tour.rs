//! The README's tour, run as it stands: every command in it must work, on a real server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A document's shell blocks with this mark after ```` ```sh ````, joined.
pub(crate) fn blocks(document: &str, mark: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(document);
    let document = fs::read_to_string(path).unwrap();
    let opening = format!("```sh {mark}\n");
    let (mut text, mut rest) = (String::new(), document.as_str());
    while let Some((_, after)) = rest.split_once(&opening) {
        let (block, after) = after.split_once("```").expect("the block is closed");
        text.push_str(block);
        rest = after;
    }
    assert!(!text.is_empty(), "no block is marked `{mark}`");
    text
}

/// A script that finds the binary on its path.
pub(crate) fn shell(script: &str, folder: &Path) -> Command {
    let binary = PathBuf::from(
        std::env::var_os("KEYHAVEN_BIN").expect("run `cargo xtask test`: it sets KEYHAVEN_BIN"),
    );
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", script]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    command
}

/// Ends the server with the test, however that ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn every_command_of_the_tour_works() {
    let folder = tempfile::tempdir().unwrap();
    let background = format!("exec {}", blocks("README.md", "tour=background"));
    let mut server = shell(&background, folder.path());
    let _server = Server(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !folder.path().join("tour/address").exists() {
        assert!(Instant::now() < deadline, "the dev server did not tell its address in a minute");
        std::thread::sleep(Duration::from_millis(20));
    }

    let output = shell(&blocks("README.md", "tour"), folder.path()).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let expected = [
        "the tide is at nine",
        "refused, as it should be",
        "refused: the key is disabled",
        "photo-users",
        "complete and untouched",
    ];
    for text in expected {
        assert!(out.contains(text), "`{text}` is missing in:\n{out}\n{err}");
    }
    assert_eq!(out.matches("the tide is at nine").count(), 2, "before and after the rotation");
}
