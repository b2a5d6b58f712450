//! A start on a token in which somebody changed a key: it ends there, and says what is wrong with which.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectHandle},
};

use super::{
    super::{ed25519, template},
    *,
};
use crate::start::{self, Base, Installed, Opened, RunError};

/// Opens the installation in `directory`'s neighbour, or makes it.
fn start_on(directory: &Path) -> Result<DeploymentId, RunError> {
    let token = directory.to_owned();
    let base = Base {
        dev: true,
        data_dir: directory.join("data"),
        token: Box::new(move |_| Ok(SoftHsmToken::create_or_open(&token)?)),
        keep_token: Box::new(|_| Ok(())),
    };
    run(async {
        let Opened { engine, sequencer, .. } = start::open(base, Installed::No).await?;
        let deployment = engine.services().deployment;
        sequencer.stop().await?;
        Ok(deployment)
    })
}

/// What the server's log says.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A start that must fail, and what it said.
fn refused(directory: &Path) -> String {
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let error = tracing::subscriber::with_default(subscriber, || start_on(directory)).unwrap_err();
    assert!(matches!(error, RunError::Engine(_)), "{error}");
    String::from_utf8(said.0.lock().unwrap().clone()).unwrap()
}

/// The keys of the installation.
fn installed(directory: &Path, deployment: DeploymentId) -> Vec<HsmKey> {
    let keys = run(open(directory).keys(deployment)).unwrap();
    assert_eq!(keys.len(), 4, "two roots, issuer and log: {keys:?}");
    keys
}

/// A session that stays logged in while servers come and go.
fn logged_in(directory: &Path) -> Session {
    let session = session_beside(directory);
    let config = SoftHsmToken::create_or_open(directory).unwrap();
    session.login(UserType::User, Some(&auth(&config.pin))).unwrap();
    session
}

fn labelled(session: &Session, key: HsmKey) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Label(key.to_string().into_bytes())]).unwrap()
}

/// Makes a key under the label of `key`, with one attribute changed.
fn plant(session: &Session, key: HsmKey, changed: Option<&Attribute>) {
    let label = key.to_string();
    let with = |template: template::Template| {
        let mut template = template.labelled(&label);
        if let Some(changed) = changed {
            template.retain(|kept| kept.attribute_type() != changed.attribute_type());
            template.push(changed.clone());
        }
        template
    };
    match key.role {
        HsmRole::Root { .. } => {
            session.generate_key(&Mechanism::AesKeyGen, &with(template::root())).unwrap();
        }
        HsmRole::Issuer | HsmRole::Log => {
            let public = template::verifier().labelled(&label);
            ed25519::generate(session, &public, &with(template::signer())).unwrap();
        }
    }
}

#[test]
fn a_decoy_behind_any_label_stops_the_start() {
    on_own_token("start::a_decoy_behind_any_label_stops_the_start", |directory| {
        let deployment = start_on(directory).unwrap();
        let keys = installed(directory, deployment);
        let beside = logged_in(directory);
        for key in keys {
            let before = labelled(&beside, key);
            plant(&beside, key, None);
            let said = refused(directory);
            assert!(said.contains(&format!("`{key}` is not as it was made: CKA_LABEL")), "{said}");
            for decoy in labelled(&beside, key) {
                if !before.contains(&decoy) {
                    beside.destroy_object(decoy).unwrap();
                }
            }
            assert_eq!(start_on(directory).unwrap(), deployment, "without the decoy it starts");
        }
    });
}

/// Puts other keys in the place of the installation's first key of a sort.
fn replace(directory: &Path, sort: impl Fn(&HsmKey) -> bool) {
    let deployment = start_on(directory).unwrap();
    let key = installed(directory, deployment).into_iter().find(sort).unwrap();
    let beside = logged_in(directory);
    for (changed, named) in [
        (Some(Attribute::Extractable(true)), "it is Extractable(true), not Extractable(false)"),
        (Some(Attribute::Copyable(true)), "it is Copyable(true), not Copyable(false)"),
        (None, "its value is another"),
    ] {
        labelled(&beside, key).into_iter().for_each(|it| beside.destroy_object(it).unwrap());
        plant(&beside, key, changed.as_ref());
        let said = refused(directory);
        assert!(said.contains(&format!("`{key}` is not as it was made: {named}")), "{said}");
    }
}

#[test]
fn another_root_behind_the_label_stops_the_start() {
    on_own_token("start::another_root_behind_the_label_stops_the_start", |directory| {
        replace(directory, |key| matches!(key.role, HsmRole::Root { .. }));
    });
}

#[test]
fn another_issuer_key_behind_the_label_stops_the_start() {
    on_own_token("start::another_issuer_key_behind_the_label_stops_the_start", |directory| {
        replace(directory, |key| key.role == HsmRole::Issuer);
    });
}

#[test]
fn another_log_key_behind_the_label_stops_the_start() {
    on_own_token("start::another_log_key_behind_the_label_stops_the_start", |directory| {
        replace(directory, |key| key.role == HsmRole::Log);
    });
}
