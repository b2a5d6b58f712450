//! The port on a real SoftHSM2 token. SoftHSM2 takes its token directory from the environment when the
//! process initialises it, so each test runs in a process of its own on a token of its own.

mod attacks;
mod dev_token;
mod start;

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use cryptoki::{
    session::{Session, UserType},
    types::AuthPin,
};
use keyhaven_engine::{conformance, port::hsm::HsmRole};
use keyhaven_shared::ids::KeyringId;

use super::{softhsm::SoftHsmToken, *};

const PERMIT: Permit = Permit::for_conformance();
const DIRECTORY: &str = "KEYHAVEN_TEST_TOKEN_DIRECTORY";

/// Runs `body` with a fresh token directory, in this test's own process.
fn on_own_token(test: &str, body: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return body(Path::new(&directory));
    }
    let module = Path::new("/usr/lib/softhsm/libsofthsm2.so");
    let installed = std::env::var_os("KEYHAVEN_PKCS11_MODULE").is_some() || module.exists();
    assert!(installed, "SoftHSM2 is not installed: run `cargo xtask setup`");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("hsm::tests::{test}")])
        .env(DIRECTORY, &path)
        .env("SOFTHSM2_CONF", path.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert_one_passed(&output);
}

/// A wrong test name would run nothing, and pass.
fn assert_one_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

fn open(directory: &Path) -> Pkcs11Hsm {
    Pkcs11Hsm::open(SoftHsmToken::create_or_open(directory).unwrap()).unwrap()
}

/// A logged-in session beside the HSM's own, as an attacker with the PIN would have. Logins belong to
/// the process, so an [`open`]ed HSM has logged it in already.
fn session_beside(directory: &Path) -> Session {
    let config = SoftHsmToken::create_or_open(directory).unwrap();
    let module = module::load(&config.module).unwrap();
    let slot = module::find_slot(&module, &config.token).unwrap();
    module.open_rw_session(slot).unwrap()
}

fn auth(pin: &Pin) -> AuthPin {
    // EXPOSE: the test logs in with it.
    AuthPin::new(pin.expose_secret().into())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn deployment() -> DeploymentId {
    DeploymentId::from_random([1; 16])
}

fn root(epoch: u32) -> HsmKey {
    let keyring = KeyringId::from_random([2; 16]);
    HsmKey { deployment: deployment(), role: HsmRole::Root { keyring, epoch } }
}

fn log() -> HsmKey {
    HsmKey { deployment: deployment(), role: HsmRole::Log }
}

fn secret() -> DomainKey {
    DomainKey::fill_with(|bytes| bytes.fill(5))
}

#[test]
fn does_what_every_hsm_must() {
    on_own_token("does_what_every_hsm_must", |directory| {
        run(conformance::hsm::run_all(&open(directory), 0)).unwrap();
    });
}

#[test]
fn keys_outlive_a_restart() {
    on_own_token("keys_outlive_a_restart", |directory| {
        let hsm = open(directory);
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        run(hsm.make_key(&PERMIT, log())).unwrap();
        let sealed = run(hsm.seal(&PERMIT, root(1), vec![1], &secret())).unwrap();
        let public = run(hsm.public_key(log())).unwrap();
        drop(hsm);
        let hsm = open(directory);
        assert_eq!(run(hsm.keys(deployment())), Ok(vec![root(1), log()]));
        assert!(run(hsm.open(root(1), vec![1], sealed)).is_ok());
        assert_eq!(run(hsm.public_key(log())), Ok(public));
    });
}

#[test]
fn many_seal_and_open_at_once() {
    on_own_token("many_seal_and_open_at_once", |directory| {
        let hsm = Arc::new(open(directory));
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        let threads = (0..32_u8).map(|number| {
            let hsm = Arc::clone(&hsm);
            std::thread::spawn(move || {
                for _ in 0..16 {
                    let sealed = run(hsm.seal(&PERMIT, root(1), vec![number], &secret())).unwrap();
                    let opened = run(hsm.open(root(1), vec![number], sealed.clone())).ok().unwrap();
                    // EXPOSE: the test compares what came out.
                    assert_eq!(opened.expose_secret(), &[5; 32]);
                    let other = run(hsm.open(root(1), vec![number, 0], sealed)).map(drop);
                    assert_eq!(other, Err(HsmError::NotOpened));
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn of_many_that_make_one_key_at_most_one_succeeds() {
    on_own_token("of_many_that_make_one_key_at_most_one_succeeds", |directory| {
        let hsm = Arc::new(open(directory));
        for epoch in 1..=8 {
            let threads = (0..4).map(|_| {
                let hsm = Arc::clone(&hsm);
                std::thread::spawn(move || run(hsm.make_key(&PERMIT, root(epoch))).is_ok())
            });
            let made = threads.collect::<Vec<_>>().into_iter().filter_map(|t| t.join().ok());
            match made.filter(|made| *made).count() {
                0 => {
                    assert_eq!(run(hsm.check_key(root(epoch))), Err(HsmError::Missing(root(epoch))))
                }
                1 => run(hsm.check_key(root(epoch))).unwrap(),
                more => panic!("{more} made it"),
            }
        }
    });
}

#[test]
fn a_lost_login_is_made_again() {
    on_own_token("a_lost_login_is_made_again", |directory| {
        let hsm = open(directory);
        run(hsm.make_key(&PERMIT, root(1))).unwrap();
        let sealed = run(hsm.seal(&PERMIT, root(1), vec![], &secret())).unwrap();
        for _ in 0..4 {
            session_beside(directory).logout().unwrap();
            assert!(run(hsm.open(root(1), vec![], sealed.clone())).is_ok());
        }
    });
}

#[test]
fn a_wrong_pin_is_refused_clearly_and_not_told() {
    on_own_token("a_wrong_pin_is_refused_clearly_and_not_told", |directory| {
        let mut config = SoftHsmToken::create_or_open(directory).unwrap();
        config.pin = Pin::from_bytes(b"canary-31415926").ok().unwrap();
        let error = Pkcs11Hsm::open(config).unwrap_err();
        assert!(matches!(error, OpenError::PinRefused { .. }), "{error}");
        assert!(error.to_string().contains("refused the PIN (C_Login: PinIncorrect)"), "{error}");
        assert!(!format!("{error} {error:?}").contains("31415926"));
        assert!(Pkcs11Hsm::open(SoftHsmToken::create_or_open(directory).unwrap()).is_ok());
    });
}

#[test]
fn a_pin_that_was_refused_is_not_tried_again() {
    on_own_token("a_pin_that_was_refused_is_not_tried_again", |directory| {
        let hsm = open(directory);
        let beside = session_beside(directory);
        let pin = SoftHsmToken::create_or_open(directory).unwrap().pin;
        let other = AuthPin::new("another pin".into());
        beside.set_pin(&auth(&pin), &other).unwrap();
        beside.logout().unwrap();
        assert!(
            matches!(run(hsm.ping()), Err(HsmError::Refused(text)) if text.contains("the PIN"))
        );
        // The PIN is right again, yet nobody logs in with it: it was not tried.
        beside.login(UserType::User, Some(&other)).unwrap();
        beside.set_pin(&other, &auth(&pin)).unwrap();
        beside.logout().unwrap();
        assert!(matches!(run(hsm.ping()), Err(HsmError::Refused(_))));
    });
}

#[test]
fn a_token_or_module_that_is_not_there_is_named() {
    on_own_token("a_token_or_module_that_is_not_there_is_named", |directory| {
        let mut config = SoftHsmToken::create_or_open(directory).unwrap();
        config.token.label = "elsewhere".to_owned();
        let error = Pkcs11Hsm::open(config).unwrap_err().to_string();
        assert_eq!(
            error,
            "the PKCS#11 module shows no token labelled `elsewhere`; it shows: keyhaven-dev"
        );
        for module in ["/nonexistent.so", "/etc/passwd"] {
            let mut config = SoftHsmToken::create_or_open(directory).unwrap();
            config.module = module.into();
            let error = Pkcs11Hsm::open(config).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot load the PKCS#11 module {module}")),
                "{error}"
            );
        }
    });
}
