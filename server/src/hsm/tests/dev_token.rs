//! The dev mode's token: made once, found again, never made anew over keys.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    super::softhsm::{Environment, SoftHsmError, ensure_environment},
    *,
};

#[test]
fn its_files_are_the_owners_alone() {
    on_own_token("dev_token::its_files_are_the_owners_alone", |directory| {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let hsm = open(directory);
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        let mode =
            |name: &str| fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [mode("."), mode("tokens"), mode("pin"), mode("so-pin")],
            [0o700, 0o700, 0o600, 0o600]
        );
    });
}

#[test]
fn without_its_pin_it_is_left_as_it_is() {
    on_own_token("dev_token::without_its_pin_it_is_left_as_it_is", |directory| {
        run(open(directory).make_key(&PERMIT, root(1))).unwrap();
        let pin = directory.join("pin");
        fs::rename(&pin, directory.join("away")).unwrap();
        for _ in 0..2 {
            let error = SoftHsmToken::create_or_open(directory).err().unwrap();
            assert!(matches!(error, SoftHsmError::PinGone { .. }), "{error}");
            assert!(!pin.exists());
        }
        fs::rename(directory.join("away"), &pin).unwrap();
        run(open(directory).check_key(root(1))).unwrap();
    });
}

#[test]
fn files_that_hold_no_token_are_left_as_they_are() {
    on_own_token("dev_token::files_that_hold_no_token_are_left_as_they_are", |directory| {
        let broken = directory.join("tokens/0c5f");
        fs::create_dir_all(&broken).unwrap();
        let error = SoftHsmToken::create_or_open(directory).err().unwrap();
        assert!(matches!(error, SoftHsmError::Unreadable(_)), "{error}");
        assert!(broken.exists() && !directory.join("pin").exists());
    });
}

#[test]
fn an_interrupted_first_start_is_taken_up_again() {
    on_own_token("dev_token::an_interrupted_first_start_is_taken_up_again", |directory| {
        fs::write(directory.join("so-pin"), "the security officer").unwrap();
        run(open(directory).ping()).unwrap();
        assert_eq!(fs::read(directory.join("so-pin")).unwrap(), b"the security officer");
    });
}

#[test]
fn another_environment_is_refused() {
    on_own_token("dev_token::another_environment_is_refused", |directory| {
        let error = SoftHsmToken::create_or_open(&directory.join("other")).err().unwrap();
        assert!(matches!(error, SoftHsmError::Environment(_)), "{error}");
    });
}

#[test]
fn the_process_starts_itself_again_with_its_environment() {
    const TEST: &str =
        "hsm::tests::dev_token::the_process_starts_itself_again_with_its_environment";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let directory = Path::new(&directory);
        match ensure_environment(directory).unwrap() {
            Environment::Ready => run(open(directory).ping()).unwrap(),
            Environment::ReexecNeeded(reexec) => panic!("{}", reexec.exec()),
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(DIRECTORY, directory.path())
        .env_remove("SOFTHSM2_CONF")
        .output()
        .unwrap();
    assert_one_passed(&output);
    assert!(directory.path().join("pin").exists());
}
