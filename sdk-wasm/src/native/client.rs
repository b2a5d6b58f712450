//! The client: what an application calls.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use keyhaven_shared::{
    context::EncryptionContext,
    message::{Header, HeaderParser},
};

use super::{
    clock::ServerClock,
    credential::Credential,
    data_keys::{DataKeys, Source},
    decryption::{self, Decryption, require, sealed_key},
    device::Device,
    device_source::DeviceSource,
    encryption::Encryption,
    endpoint::Endpoint,
    error::Error,
    held_key::HeldKey,
    keeper::keep,
    key_name::KeyName,
    leases::Leases,
    limits::Limits,
    listener::Listening,
    tickets::TicketSource,
    token_source::TokenSource,
};

/// Encrypts and decrypts messages with data keys of one server. Cheap to clone; all clones share what is
/// held. Its keys are zeroized with the last clone, or by [`Self::close`].
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    clock: Arc<ServerClock>,
    leases: Arc<Leases>,
    keys: Arc<DataKeys>,
    listening: Option<Listening>,
    kept: AtomicBool,
}

impl Drop for Inner {
    /// A renewal on its way holds nothing for a client that is gone.
    fn drop(&mut self) {
        self.keys.close();
    }
}

impl Client {
    /// A client of a backend with an API token. Its data keys come in plaintext, inside TLS; nothing tells
    /// it when a key is disabled, so that it may go on with a held data key for [`Limits::max_age`].
    ///
    /// # Errors
    /// [`Error::Argument`] for limits that cannot be.
    pub fn with_token(
        endpoint: &Endpoint,
        token: Credential,
        limits: Limits,
    ) -> Result<Self, Error> {
        let limits = limits.check()?;
        let clock = Arc::new(ServerClock::new(Arc::clone(endpoint.runtime())));
        // No answer proves the server's time here: this machine's is counted on from now.
        let now = clock.moment();
        clock.observe(now.unix(), now);
        let leases = Arc::new(Leases::new(Arc::clone(&clock)));
        let source =
            TokenSource { endpoint: endpoint.clone(), token, clock: Arc::clone(&clock), limits };
        Ok(Self::new(endpoint, (clock, leases), (Source::Token(source), limits), None))
    }

    /// A client of an enrolled device. Each data key is asked for under a ticket, sealed to this device,
    /// leased, and dropped at once when the server says, signed, that it may no longer be used. A lease in use
    /// is renewed, so that a stream may take longer than it.
    ///
    /// A program that may mint its own tickets:
    ///
    /// ```no_run
    /// # use keyhaven_sdk::*;
    /// # async fn till(endpoint: &Endpoint, minter: Credential) -> Result<Client, Error> {
    /// let minting = Minting::new(endpoint, minter);
    /// let store = FileStore::new("/var/lib/till/device");
    /// let token = || async {
    ///     let minted = minting.enrolment_token("till", None).await.map_err(SourceError::new)?;
    ///     Credential::new(minted.text).map_err(SourceError::new)
    /// };
    /// // Enrols the first time, and is the same device from then on.
    /// let device = Device::open(endpoint, &store, &Enrol::new().named("till 4"), token).await?;
    /// let tickets = minting.for_subject("till");
    /// Client::with_device(endpoint, device, tickets, Limits::default())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for limits that cannot be.
    pub fn with_device(
        endpoint: &Endpoint,
        device: Device,
        tickets: impl TicketSource,
        limits: Limits,
    ) -> Result<Self, Error> {
        let limits = limits.check()?;
        let clock = Arc::new(ServerClock::new(Arc::clone(endpoint.runtime())));
        let leases = Arc::new(Leases::new(Arc::clone(&clock)));
        let listening = Listening::new(
            endpoint.clone(),
            device.clone(),
            Arc::clone(&clock),
            Arc::clone(&leases),
        );
        let source = DeviceSource {
            endpoint: endpoint.clone(),
            device,
            tickets: Box::new(tickets),
            clock: Arc::clone(&clock),
            leases: Arc::clone(&leases),
            limits,
        };
        let source = (Source::Device(source), limits);
        Ok(Self::new(endpoint, (clock, leases), source, Some(listening)))
    }

    fn new(
        endpoint: &Endpoint,
        (clock, leases): (Arc<ServerClock>, Arc<Leases>),
        (source, limits): (Source, Limits),
        listening: Option<Listening>,
    ) -> Self {
        let (endpoint, kept) = (endpoint.clone(), AtomicBool::new(false));
        let keys = DataKeys::new(source, (&endpoint, &clock, &leases), limits);
        let keys = Arc::new(keys);
        Self(Arc::new(Inner { endpoint, clock, leases, keys, listening, kept }))
    }

    /// Encrypts data to a message under `key`: its id, its alias in the keyring `default`, or
    /// `keyring:alias`. `context` says what the data is about: it is authenticated, and readable by all.
    ///
    /// # Errors
    /// [`Error`], by who must act.
    pub async fn encrypt(
        &self,
        key: &str,
        context: &EncryptionContext,
        data: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let length = u64::try_from(data.len()).ok();
        let mut message = self.begin(key, context, length).await?;
        let mut out = message.push(data)?;
        out.append(&mut message.finish()?);
        Ok(out)
    }

    /// Decrypts a message whose context has all pairs of `required`. Nothing is given out unless all of it
    /// is genuine.
    ///
    /// # Errors
    /// [`Error`], by who must act.
    pub async fn decrypt(
        &self,
        message: &[u8],
        required: &EncryptionContext,
    ) -> Result<Vec<u8>, Error> {
        let parsed = HeaderParser::new().push(message)?;
        let (header, body) = parsed.ok_or(Error::Truncated)?;
        let key = self.key_of(&header, required).await?;
        decryption::whole(&self.0.clock, &key, header, body)
    }

    /// Begins a message whose length is not known yet, under a data key of its own. See
    /// [`EncryptingWriter`](crate::EncryptingWriter) for files, [`Self::encrypt_stream`] for streams.
    ///
    /// # Errors
    /// As [`Self::encrypt`].
    pub async fn encryption(
        &self,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<Encryption, Error> {
        self.begin(key, context, None).await
    }

    /// Lets go of all held data keys: the next message asks the server. Work that was begun goes on.
    pub fn forget_keys(&self) {
        self.0.keys.forget();
    }

    /// Ends all leases and lets go of all keys. What goes on with a device's data key fails from here on.
    pub fn close(&self) {
        self.0.keys.close();
        self.0.leases.close();
    }

    /// How many leases of a device's data keys run: of those that are held, and those at work.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.0.leases.running()
    }

    async fn begin(
        &self,
        key: &str,
        context: &EncryptionContext,
        length: Option<u64>,
    ) -> Result<Encryption, Error> {
        let key = KeyName::new(key)?;
        let context = context.clone().without_reserved_keys()?;
        self.ready().await;
        let held = self.0.keys.for_encryption(&key, &context, length).await?;
        Encryption::begin(&self.0.clock, &held, &context)
    }

    /// Opens a message whose header was read, and the beginning of its body.
    pub(crate) async fn open(
        &self,
        header: Header,
        body: &[u8],
        required: &EncryptionContext,
    ) -> Result<Decryption, Error> {
        if header.suite().is_signed() {
            return Err(super::error::UnsupportedFault::SignedStream.into());
        }
        let key = self.key_of(&header, required).await?;
        Decryption::begin(&self.0.clock, &key, header, body)
    }

    async fn key_of(
        &self,
        header: &Header,
        required: &EncryptionContext,
    ) -> Result<Arc<HeldKey>, Error> {
        require(header, required)?;
        let sealed = sealed_key(header)?;
        self.ready().await;
        self.0.keys.for_decryption(sealed, header.context()).await
    }

    /// Before the first data key comes, somebody sees to its end.
    async fn ready(&self) {
        if !self.0.kept.swap(true, Ordering::Relaxed) {
            keep(&self.0.endpoint, &self.0.keys, &self.0.leases);
        }
        if let Some(listening) = &self.0.listening {
            listening.ready().await;
        }
    }
}
