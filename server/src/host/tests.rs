//! What a confined process cannot do, tried in one: a test cannot confine the process of all tests.

use std::{
    env, fs, io,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use super::{HostError, Reach, confine};

const FOLDER: &str = "KEYHAVEN_TEST_CONFINED";

/// Not a test by itself: what the other test here runs as a child process.
#[test]
#[ignore = "run by another test as a child process"]
fn child_that_is_confined() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (own, other) = (folder.join("own"), folder.join("other"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let allowed = TcpListener::bind("127.0.0.1:0").unwrap();
    let reach = Reach {
        writable: vec![own.clone()],
        connect_ports: vec![allowed.local_addr().unwrap().port()],
        ..Reach::default()
    };
    confine(Some(&reach), true).unwrap();
    let say = |name: &str, done: io::Result<()>| {
        println!(
            "\n{name}: {}",
            done.map_or_else(|error| error.kind().to_string(), |()| "ok".to_owned())
        );
    };
    // What a server does goes on, also in a thread that starts later.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            say("write own", fs::write(own.join("new"), "text"));
            say("read own", fs::read(own.join("new")).map(drop));
            say("remove own", fs::remove_file(own.join("new")));
            say("accept", {
                let port = allowed.local_addr().unwrap();
                TcpStream::connect(port).and_then(|_| allowed.accept().map(drop))
            });
            // What an attacker's code would.
            say("run", Command::new("/bin/true").stdin(Stdio::null()).spawn().map(drop));
            say("read /etc/shadow", fs::read("/etc/shadow").map(drop));
            say("read other", fs::read(other.join("file")).map(drop));
            say("write other", fs::write(other.join("new"), "text"));
            say("link out", fs::hard_link(other.join("file"), own.join("file")));
            say("connect", TcpStream::connect(listener.local_addr().unwrap()).map(drop));
        });
    });
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    println!("\ncore limit: {:?}", limit.current);
    println!("\ndumpable: {:?}", rustix::process::dumpable_behavior().unwrap());
    println!("\nnew privileges refused: {:?}", rustix::thread::no_new_privs().unwrap());
}

#[test]
fn code_in_a_confined_process_runs_nothing_and_reaches_no_other_file_or_host() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["own", "other"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("other/file"), "secret").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "host::tests::child_that_is_confined", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    let told = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} was not tried: {text}")).to_owned()
    };
    for allowed in ["write own", "read own", "remove own", "accept"] {
        assert_eq!(told(allowed), "ok", "{allowed}");
    }
    let denied = io::ErrorKind::PermissionDenied.to_string();
    for refused in ["run", "read /etc/shadow", "read other", "write other", "connect"] {
        assert_eq!(told(refused), denied, "{refused}");
    }
    assert_ne!(told("link out"), "ok");
    assert_eq!(told("core limit"), "Some(0)");
    assert_eq!(told("dumpable"), "NotDumpable");
    assert_eq!(told("new privileges refused"), "true");
}

#[test]
fn a_path_that_is_not_there_is_named() {
    // Refused before anything is given up by Landlock; the rest holds for this test's process as well.
    let reach = Reach { writable: vec!["/nonexistent/folder".into()], ..Reach::default() };
    let error = super::files::restrict(&reach).unwrap_err();
    assert!(matches!(error, HostError::Path { .. }), "{error}");
    assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
}
