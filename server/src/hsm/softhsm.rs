//! A SoftHSM2 token of one's own, for `keyhaven dev`: a real PKCS#11 token whose keys lie in files. It
//! protects nothing from whoever can read its directory, so it is no HSM for production.
//!
//! SoftHSM2 learns where its tokens lie from the environment variable `SOFTHSM2_CONF` alone, when it is
//! initialised. A process cannot safely change its own environment once it may have threads, so it
//! starts itself again with the variable set: call [`ensure_environment`] first thing in `main`, before
//! any thread, socket or output, and [`Reexec::exec`] if it asks for that.

use std::{
    env, fs, io,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use base64ct::{Base64UrlUnpadded, Encoding};
use cryptoki::{context::Pkcs11, error::Error, session::UserType, slot::Slot, types::AuthPin};
use zeroize::Zeroizing;

use super::{OpenError, Pin, PinError, Pkcs11Config, TokenSelector, error::code, module};

/// The variable that SoftHSM2 reads.
const VARIABLE: &str = "SOFTHSM2_CONF";
/// Names another module than Debian's.
const MODULE_VARIABLE: &str = "KEYHAVEN_PKCS11_MODULE";
/// Where Debian's package puts it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The token's label, in a store of tokens of its own.
const LABEL: &str = "keyhaven-dev";
/// SoftHSM2's configuration, written anew when it is not as it should be.
const CONFIGURATION: &str = "softhsm2.conf";
/// The folder of the token's files.
const TOKENS: &str = "tokens";
/// The file with the user's PIN, which the server logs in with.
const PIN: &str = "pin";
/// The file with the security officer's PIN, which is used once, to set the user's.
const SO_PIN: &str = "so-pin";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SoftHsmError {
    /// SoftHSM2 is not installed.
    #[error("SoftHSM2 is not installed ({} is missing): apt-get install softhsm2", .0.display())]
    NotInstalled(PathBuf),
    /// The directory or a file in it cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// The process was not started with `SOFTHSM2_CONF` naming this token's configuration.
    #[error("SOFTHSM2_CONF does not name {}", .0.display())]
    Environment(PathBuf),
    /// The token is there and its PIN is not. Nothing was changed.
    #[error(
        "the token is there, but its PIN file {} is not usable ({reason}): put the file back, or move \
         the whole directory away to start with a new token (the keys in it are then lost)",
        path.display()
    )]
    PinGone {
        /// Where the PIN should be.
        path: PathBuf,
        /// What is wrong with it.
        reason: PinError,
    },
    /// Token files are there, but SoftHSM2 shows no such token. Nothing was changed.
    #[error(
        "{} holds token files, but SoftHSM2 shows no token `{LABEL}` in them: restore them, or move the \
         whole directory away to start with a new token (the keys in it are then lost)", .0.display()
    )]
    Unreadable(PathBuf),
    /// The installation that this token belongs to is there, and the token is not. Nothing was changed.
    #[error(
        "there is no token `{LABEL}` in {}, and the installation's root keys are gone with it: put the \
         directory back", .0.display()
    )]
    Gone(PathBuf),
    /// The operating system gave no randomness.
    #[error("the operating system's random generator failed: {0}")]
    NoRandomness(getrandom::Error),
    /// The module would not do it.
    #[error(transparent)]
    Token(#[from] OpenError),
}

/// What [`ensure_environment`] found.
#[derive(Debug)]
pub enum Environment {
    /// SoftHSM2 will find the token.
    Ready,
    /// The process has to start itself again.
    ReexecNeeded(Reexec),
}

/// The same process again, with `SOFTHSM2_CONF` set.
#[derive(Debug)]
pub struct Reexec(Command);

impl Reexec {
    /// Replaces this process by itself. Returns only if that failed.
    #[must_use]
    pub fn exec(mut self) -> io::Error {
        self.0.exec()
    }
}

/// Prepares `directory` and tells whether this process was started so that SoftHSM2 finds it.
///
/// # Errors
/// [`SoftHsmError::File`].
pub fn ensure_environment(directory: &Path) -> Result<Environment, SoftHsmError> {
    let configuration = prepare(directory)?;
    // The folder's own configuration and no other: a variable of the user's own may name their
    // tokens.
    if env::var_os(VARIABLE).is_some_and(|value| value == *configuration) {
        return Ok(Environment::Ready);
    }
    let program = env::current_exe().map_err(file(directory))?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env(VARIABLE, configuration);
    Ok(Environment::ReexecNeeded(Reexec(command)))
}

/// The dev mode's token.
#[derive(Debug)]
pub struct SoftHsmToken;

impl SoftHsmToken {
    /// Opens the token in `directory` (kept at mode 0700), or makes one if the directory holds none.
    /// An interrupted first start is taken up again. An existing token is never initialised anew.
    ///
    /// # Errors
    /// [`SoftHsmError`]; [`SoftHsmError::Environment`] if [`ensure_environment`] was not obeyed.
    pub fn create_or_open(directory: &Path) -> Result<Pkcs11Config, SoftHsmError> {
        Self::find(directory, init_token)
    }

    /// Opens the token in `directory`.
    ///
    /// # Errors
    /// [`SoftHsmError`]; [`SoftHsmError::Gone`] when there is none.
    pub fn open(directory: &Path) -> Result<Pkcs11Config, SoftHsmError> {
        Self::find(directory, |_, directory| Err(SoftHsmError::Gone(directory.to_owned())))
    }

    /// Finds the token, or makes one by `missing`.
    fn find(
        directory: &Path,
        missing: impl FnOnce(&Pkcs11, &Path) -> Result<Slot, SoftHsmError>,
    ) -> Result<Pkcs11Config, SoftHsmError> {
        let path = module_path()?;
        let configuration = prepare(directory)?;
        if env::var_os(VARIABLE).is_none_or(|value| value != *configuration) {
            return Err(SoftHsmError::Environment(configuration));
        }
        let module = module::load(&path)?;
        let token = TokenSelector { label: LABEL.to_owned() };
        let found = match module::find_slot(&module, &token) {
            Ok(slot) => Some(slot),
            Err(OpenError::NoToken { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        // A token that is there is never made anew, even without its PIN: it may hold the only root
        // keys.
        let (slot, pin) = match found {
            Some(slot) => (slot, read_pin(directory, PIN)?),
            None => (missing(&module, directory)?, read_pin(directory, PIN)?),
        };
        // The first start was cut off between making the token and setting the user's PIN.
        if !has_user_pin(&module, slot)? {
            init_pin(&module, slot, &read_pin(directory, SO_PIN)?, &pin)?;
        }
        Ok(Pkcs11Config::new(path, token, pin))
    }
}

/// The module to load: SoftHSM2's, or the one that the environment names. That it is there is checked now, for the loader's own message helps nobody.
///
/// # Errors
/// [`SoftHsmError::NotInstalled`].
pub(crate) fn module_path() -> Result<PathBuf, SoftHsmError> {
    let path = env::var_os(MODULE_VARIABLE).map_or_else(|| PathBuf::from(MODULE), PathBuf::from);
    if path.exists() { Ok(path) } else { Err(SoftHsmError::NotInstalled(path)) }
}

/// Makes the directories and the configuration; answers the configuration's absolute path.
fn prepare(directory: &Path) -> Result<PathBuf, SoftHsmError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(file(directory))?;
    let directory = directory.canonicalize().map_err(file(directory))?;
    let tokens = directory.join(TOKENS);
    builder.create(&tokens).map_err(file(&tokens))?;
    for private in [&directory, &tokens] {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(private, mode).map_err(file(private))?;
    }
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        tokens.display()
    );
    let configuration = directory.join(CONFIGURATION);
    // Written only when it differs: another process may be reading it.
    if fs::read_to_string(&configuration).is_ok_and(|present| present == text) {
        return Ok(configuration);
    }
    fs::write(&configuration, text).map_err(file(&configuration))?;
    Ok(configuration)
}

/// Makes the token. The PINs rest in their files before the token is made with them, so that no token
/// is ever without.
fn init_token(module: &Pkcs11, directory: &Path) -> Result<Slot, SoftHsmError> {
    let tokens = directory.join(TOKENS);
    // Files without a token that the module shows: damaged, or another version's. Not ours to write
    // over.
    if fs::read_dir(&tokens).map_err(file(&tokens))?.next().is_some() {
        return Err(SoftHsmError::Unreadable(tokens));
    }
    // INVARIANT: both files are written before a token exists that needs them.
    make_pin(directory, SO_PIN)?;
    make_pin(directory, PIN)?;
    let so_pin = read_pin(directory, SO_PIN)?;
    // SoftHSM2 always shows one slot without a token, for the next one.
    let free = module
        .get_slots_with_token()
        .map_err(unusable)?
        .into_iter()
        .find(|slot| module.get_token_info(*slot).is_ok_and(|info| !info.token_initialized()));
    let slot = free.ok_or(SoftHsmError::Unreadable(tokens))?;
    module.init_token(slot, &for_login(&so_pin), LABEL).map_err(unusable)?;
    let token = TokenSelector { label: LABEL.to_owned() };
    Ok(module::find_slot(module, &token)?)
}

/// Whether the user's PIN was set, which is the last step of making a token.
fn has_user_pin(module: &Pkcs11, slot: Slot) -> Result<bool, SoftHsmError> {
    Ok(module.get_token_info(slot).map_err(unusable)?.user_pin_initialized())
}

/// Sets the user's PIN, as the security officer. The session ends logged out, for a process that is
/// logged in as the officer cannot log in as the user.
fn init_pin(module: &Pkcs11, slot: Slot, so_pin: &Pin, pin: &Pin) -> Result<(), SoftHsmError> {
    let session = module.open_rw_session(slot).map_err(unusable)?;
    session.login(UserType::So, Some(&for_login(so_pin))).map_err(unusable)?;
    session.init_pin(&for_login(pin)).map_err(unusable)?;
    session.logout().map_err(unusable)
}

/// The PIN as the library takes it.
fn for_login(pin: &Pin) -> AuthPin {
    // EXPOSE: the token is initialised and logged in to with it; the copy wipes itself.
    AuthPin::new(pin.expose_secret().into())
}

/// Writes a random PIN of 192 bits, unless an interrupted start has left one.
fn make_pin(directory: &Path, name: &str) -> Result<(), SoftHsmError> {
    let path = directory.join(name);
    let durable = || fs::File::open(directory)?.sync_all();
    // The token may have been made with it already.
    if Pin::from_file(&path).is_ok() {
        return durable().map_err(file(directory));
    }
    let mut random = Zeroizing::new([0; 24]);
    getrandom::fill(random.as_mut_slice()).map_err(SoftHsmError::NoRandomness)?;
    let mut text = Zeroizing::new([0; 32]);
    // 24 bytes are always 32 characters: the buffer cannot be too short.
    let text =
        Base64UrlUnpadded::encode(random.as_slice(), text.as_mut_slice()).unwrap_or_default();
    // Whole or not at all, and its name is durable before a token needs it.
    let new = directory.join(format!("{name}.new"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&new).and_then(|mut created| {
        io::Write::write_all(&mut created, text.as_bytes())?;
        created.sync_all()?;
        fs::rename(&new, &path)?;
        durable()
    });
    written.map_err(file(&path))
}

/// Reads a PIN file of the token's directory.
fn read_pin(directory: &Path, name: &str) -> Result<Pin, SoftHsmError> {
    let path = directory.join(name);
    Pin::from_file(&path).map_err(|reason| SoftHsmError::PinGone { path, reason })
}

/// Names the path, which the operating system's error does not.
fn file(path: &Path) -> impl Fn(io::Error) -> SoftHsmError {
    let path = path.to_owned();
    move |reason| SoftHsmError::File { path: path.clone(), reason }
}

/// The module's error, as its return code.
fn unusable(error: Error) -> SoftHsmError {
    SoftHsmError::Token(OpenError::Token { reason: code(&error) })
}
