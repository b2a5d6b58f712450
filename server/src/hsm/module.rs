//! Loading a module, once a process, and finding a token in it.
//!
//! A module runs inside this process, with all its rights: whoever can replace the file has the
//! server. Its path comes from the configuration alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    slot::Slot,
};

use super::{
    TokenSelector,
    error::{OpenError, code},
};

/// The modules that this process has initialised. `C_Initialize` counts for the whole process, and
/// `C_Finalize` would pull the module from under other threads, so a module stays until the end.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// The module at `path`, initialised.
/// Loading it again answers the same one.
///
/// # Errors
/// [`OpenError::Module`]: no such file, no PKCS#11 module, or it would not be initialised.
pub(crate) fn load(path: &Path) -> Result<Pkcs11, OpenError> {
    let refused = |reason| OpenError::Module { module: path.to_owned(), reason };
    // Two names of one file are one module: initialising it twice would fail.
    let path = path.canonicalize().map_err(|error| refused(error.to_string()))?;
    // Held while it is initialised, so that two threads do not do it at once.
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&path).map_err(|error| refused(code(&error)))?;
    // The module locks by the system's own means, since several threads call it.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refused(code(&error))),
    }
    modules.insert(path, module.clone());
    Ok(module)
}

/// The slot of the one initialised token with the label.
///
/// # Errors
/// [`OpenError::NoToken`], which lists the labels that there are; [`OpenError::SeveralTokens`];
/// [`OpenError::Token`] when the module does not list its slots.
pub(crate) fn find_slot(module: &Pkcs11, token: &TokenSelector) -> Result<Slot, OpenError> {
    let unusable = |error: Error| OpenError::Token { reason: code(&error) };
    let mut found = Vec::new();
    for slot in module.get_slots_with_token().map_err(unusable)? {
        match module.get_token_info(slot) {
            Ok(info) if info.token_initialized() => found.push((info.label().to_owned(), slot)),
            // A slot that is empty, broken or not ours must not hide the token we look for.
            Ok(_) | Err(_) => {}
        }
    }
    let mut slots = found.iter().filter(|(label, _)| *label == token.label);
    let label = token.label.clone();
    match (slots.next(), slots.count()) {
        (Some((_, slot)), 0) => Ok(*slot),
        (Some(_), more) => Err(OpenError::SeveralTokens { label, count: more + 1 }),
        (None, _) => {
            let found = found.into_iter().map(|(label, _)| label).collect();
            Err(OpenError::NoToken { label, found })
        }
    }
}
