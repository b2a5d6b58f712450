//! `keyhaven fsck`: checks all rows of a data folder, while its server is stopped or at work.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_web::rt;
use keyhaven_engine::{
    inspect::{self, Progress},
    integrity::Fault,
    port::store::Store,
    start as engine_start,
};
use serde::Serialize;

use crate::{
    audit,
    config::Config,
    dev,
    hsm::{Pkcs11Config, Pkcs11Hsm},
    start::{self, RunError},
    store::SqliteStore,
    telemetry::{self, LogFormat},
};

/// Where the rows are, and the HSM with the key that they are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A dev server's data folder.
    DevFolder(PathBuf),
    /// A server's configuration file.
    Config(PathBuf),
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many rows were checked.
    pub rows: u64,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

/// Something that is not as the server wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which row, by kind and id, or which other part.
    pub what: String,
    /// `changed`, `outdated`, `deleted`, `inserted`, `register` or `rolled_back`.
    pub fault: &'static str,
    /// The same in words.
    pub text: String,
}

impl Finding {
    fn new(what: String, fault: Fault) -> Self {
        Self { what, fault: fault.word(), text: fault.to_string() }
    }
}

/// Checks everything.
///
/// # Errors
/// [`RunError`], when it cannot be checked.
pub fn run(subject: &Subject, progress: Progress<'_>) -> Result<Report, RunError> {
    let (data_dir, token) = open(subject)?;
    rt::System::new().block_on(check(&data_dir, token, progress))
}

fn open(subject: &Subject) -> Result<(PathBuf, Pkcs11Config), RunError> {
    match subject {
        Subject::DevFolder(folder) => {
            let token = dev::token(folder)?;
            telemetry::start(LogFormat::Human, QUIET)?;
            Ok((folder.clone(), token))
        }
        Subject::Config(path) => {
            let Config { data_dir, hsm, log, .. } = Config::read(path)?;
            telemetry::start(log.format, QUIET)?;
            Ok((data_dir, hsm.open()?))
        }
    }
}

/// The report tells; the log only what keeps it from being made.
const QUIET: &str = "error";

async fn check(
    data_dir: &Path,
    token: Pkcs11Config,
    progress: Progress<'_>,
) -> Result<Report, RunError> {
    let store = SqliteStore::inspect(data_dir)?;
    let hsm = Pkcs11Hsm::open(token)?;
    let seal = engine_start::row_seal(&store, &hsm).await.map_err(RunError::Engine)?;
    let nothing = RunError::Refused("there is no installation in the data folder yet: start it");
    let seal = seal.ok_or(nothing)?;
    // What the files hold was in the store before.
    let filed = filed_entries(data_dir)?;
    let unreadable =
        |error: keyhaven_engine::port::store::StoreError| RunError::Engine(error.into());
    let inspected = inspect::inspect(&store, &Arc::clone(&seal), progress).await;
    let inspected = inspected.map_err(unreadable)?;
    let mut findings: Vec<_> = inspected
        .findings
        .into_iter()
        .map(|finding| Finding::new(finding.what, finding.fault))
        .collect();
    let strays = store.strays().await.map_err(unreadable)?;
    findings.extend(strays.into_iter().map(|what| Finding::new(what, Fault::Inserted)));
    if store.next_index().await.map_err(unreadable)? < filed {
        let what =
            format!("the store, which ends before entry {} of the log", filed.saturating_sub(1));
        findings.push(Finding::new(what, Fault::RolledBack));
    }
    Ok(Report { rows: inspected.rows, findings })
}

/// How many entries the audit log's files hold.
fn filed_entries(data_dir: &Path) -> Result<u64, RunError> {
    let folder = start::audit_folder(data_dir);
    let count = audit::read(&folder, 0).and_then(|mut entries| {
        entries.try_fold(0_u64, |count, entry| entry.map(|_| count.saturating_add(1)))
    });
    count.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be read: see `keyhaven audit verify`");
        RunError::History
    })
}
