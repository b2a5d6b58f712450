//! A folder whose manifest is of type `awses-decrypt`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Expected, Fault, Totals, VectorError, base64, json,
    raw_aes::{self, WrappingKey},
    read, streamed, whole,
};

/// What manifests are called: since release 1.3.7 of the archives, and before.
const NAMES: [&str; 2] = ["manifest.json", "decrypt_message.json"];

#[derive(Deserialize)]
struct Manifest {
    manifest: Kind,
    keys: String,
    tests: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Case {
    ciphertext: String,
    master_keys: Vec<MasterKey>,
    /// `streaming-unsigned-only`, if not left out.
    decryption_method: Option<String>,
    /// In version 1 of the manifest.
    plaintext: Option<String>,
    /// Since version 2.
    result: Option<Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Output { plaintext: String },
    Error(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MasterKey {
    #[serde(rename = "type")]
    kind: String,
    key: Option<String>,
    provider_id: Option<String>,
    encryption_algorithm: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    keys: BTreeMap<String, Key>,
}

#[derive(Deserialize)]
struct Key {
    material: Option<Material>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Material {
    Text(String),
    /// In the oldest archives.
    Lines(Vec<String>),
}

impl Material {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Lines(lines) => lines.concat(),
        }
    }
}

/// Runs all vectors of the folder.
pub(super) fn run(folder: &Path) -> Result<Totals, VectorError> {
    let named = NAMES.map(|name| folder.join(name));
    let path = named.iter().find(|path| path.is_file()).unwrap_or(&named[0]);
    let manifest: Manifest = json(path)?;
    if manifest.manifest.kind != "awses-decrypt" {
        return Err(VectorError::Malformed(format!(
            "a manifest of type {}",
            manifest.manifest.kind
        )));
    }
    let keys: Keys = json(&file(folder, &manifest.keys)?)?;
    let mut totals = Totals::default();
    for (name, case) in &manifest.tests {
        let message = read(&file(folder, &case.ciphertext)?)?;
        let wrapping = wrapping_keys(case, &keys)?;
        let data_key = |header: &_| raw_aes::unwrap(header, &wrapping).ok_or(Fault::OtherKeys);
        let outcome = match case.decryption_method {
            Some(_) => streamed(&message, data_key),
            None => whole(&message, data_key),
        };
        totals.count(name, &expected(folder, name, case)?, outcome);
    }
    Ok(totals)
}

fn expected(folder: &Path, name: &str, case: &Case) -> Result<Expected, VectorError> {
    match (&case.plaintext, &case.result) {
        (Some(plaintext), None) | (None, Some(Outcome::Output { plaintext })) => {
            Ok(Expected::Plaintext(read(&file(folder, plaintext)?)?))
        }
        (None, Some(Outcome::Error(_))) => Ok(Expected::Refusal),
        _ => Err(VectorError::Malformed(format!("the result of {name}"))),
    }
}

/// The raw AES keys of a vector.
fn wrapping_keys(case: &Case, keys: &Keys) -> Result<Vec<WrappingKey>, VectorError> {
    let is_aes =
        |key: &&MasterKey| key.kind == "raw" && key.encryption_algorithm.as_deref() == Some("aes");
    let aes = case.master_keys.iter().filter(is_aes);
    let found = aes.filter_map(|master| {
        let name = master.key.as_deref()?;
        let material = keys.keys.get(name)?.material.as_ref()?.text();
        Some((master.provider_id.clone()?, material, name))
    });
    found
        .map(|(provider_id, material, name)| {
            Ok(WrappingKey { provider_id, material: base64(&material, name)? })
        })
        .collect()
}

/// A file of the folder, by its `file://` address.
fn file(folder: &Path, address: &str) -> Result<PathBuf, VectorError> {
    let path = address.strip_prefix("file://");
    path.map(|path| folder.join(path))
        .ok_or_else(|| VectorError::Malformed(format!("the address {address}")))
}
