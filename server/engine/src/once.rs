//! One effect, however often a request is sent. A caller marks a request with a key of its own choice (an
//! *idempotency key*); whoever sends the same request with the same key again is told the same answer, and
//! nothing is done a second time.
//!
//! The answer is kept in the transaction that has the effect, in a row like any other: so of many equal
//! requests at once the gate lets one through, and an effect whose answer was lost on the way is found.
//! What is kept holds no secret. A ticket is signed anew from its claims, to the same bytes; the secret of
//! an API token is told once, and [`Error::AlreadyDone`] afterwards.
//!
//! Answers are kept for [`KEPT_FOR`] seconds, a ticket's for its life. Rows leave their epoch behind
//! for ever, so there are 256 places a principal, among which the keys are spread, and none is made anew.

use keyhaven_shared::{
    api::bytes::Base64Bytes,
    encoding::{Label, Transcript},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    act::{Act, Effect, Scene},
    audit::Event,
    caller::{Caller, Credential},
    directory::put,
    error::Error,
    port::store::{Epoch, Kind, Place},
    record::{KeptAnswer, OnceRecord},
    services::Services,
};

/// How long an answer can be told again, in seconds: a day.
pub const KEPT_FOR: u64 = 24 * 3600;
/// The most that one row of kept answers may hold, in bytes. A bound on what a commit writes anew: a
/// principal has some 25,000 usual answers.
const LARGEST_ROW: usize = 64 * 1024;

/// An act whose answer can be told again. What is kept of it stands in the store in the clear.
pub trait Repeatable: Act {
    /// What is kept of an answer, without anything secret.
    ///
    /// # Errors
    /// [`Error::Internal`] when it does not serialize, which nothing here does.
    fn keep(answer: &Self::Answer) -> Result<Kept, Error>;

    /// The same answer once more. `self` is the very request that it was the answer to.
    ///
    /// # Errors
    /// [`Error::AlreadyDone`] for an answer whose secret is told once; [`Error::Internal`] for what this
    /// build cannot read.
    fn again(&self, services: &Services, kept: Value) -> Result<Self::Answer, Error>;
}

/// What is kept of an answer.
pub struct Kept {
    /// Whatever [`Repeatable::again`] needs.
    pub answer: Value,
    /// When it may be forgotten, in seconds since the Unix epoch, if that is sooner than a day from now.
    pub until: Option<u64>,
}

impl Kept {
    /// For as long as answers are kept.
    ///
    /// # Errors
    /// [`Error::Internal`] when it does not serialize.
    pub fn of(answer: &impl Serialize) -> Result<Self, Error> {
        let answer = serde_json::to_value(answer).map_err(|_| Error::Internal)?;
        Ok(Self { answer, until: None })
    }

    /// For no longer than this.
    #[must_use]
    pub fn until(self, until: u64) -> Self {
        Self { until: Some(until), ..self }
    }
}

/// Reads what was kept.
///
/// # Errors
/// [`Error::Internal`] for what this build cannot read.
pub(crate) fn told<T: DeserializeOwned>(kept: Value) -> Result<T, Error> {
    serde_json::from_value(kept).map_err(|_| Error::Internal)
}

/// A request that is to have one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// SHA-256 of the caller's key.
    key: [u8; 32],
    /// SHA-256 of what is asked.
    request: [u8; 32],
}

impl Once {
    /// By a key that the caller chose. `target` is what the request is sent to besides its endpoint and
    /// its body: path and query.
    #[must_use]
    pub fn by_key(key: &str, target: &str, caller: &Caller) -> Self {
        Self::named("key", key.as_bytes(), target, caller)
    }

    /// By the enrolment token that the caller shows, which is good for one device; `None` for any other
    /// credential.
    #[must_use]
    pub fn by_enrolment(caller: &Caller) -> Option<Self> {
        match &caller.credential {
            Credential::Enrolment(claims) => {
                // All of the request is in the key: another device with the same token is not told of
                // the first, but that the token was used.
                let device = caller.device.as_ref().map(|device| device.id.to_string());
                let key = Transcript::new(Label::IDEMPOTENT_REQUEST).field(claims.id.as_bytes());
                let key = key.field(device.unwrap_or_default().as_bytes());
                let key = key.field(&caller.request.body_hash).finish();
                Some(Self::named("enrolment", &key, "", caller))
            }
            Credential::System
            | Credential::Unknown
            | Credential::Token(_)
            | Credential::Oidc(_)
            | Credential::Ticket(_)
            | Credential::Device => None,
        }
    }

    fn named(kind: &str, key: &[u8], target: &str, caller: &Caller) -> Self {
        let transcript = || Transcript::new(Label::IDEMPOTENT_REQUEST).field(kind.as_bytes());
        let key = transcript().field(key).finish();
        let info = &caller.request;
        let request = transcript().field(info.action.as_bytes()).field(target.as_bytes());
        let request = request.field(&info.body_hash).finish();
        Self { key: Sha256::digest(key).into(), request: Sha256::digest(request).into() }
    }

    /// Where its answer is kept. By the principal's name: what somebody else did with an equal key is
    /// out of reach.
    fn place(&self, caller: &Caller) -> Place {
        let [slot, ..] = self.key;
        Place::new(Kind::Once, format_args!("{}/{slot:02x}", caller.name()))
    }
}

/// A request that is to have one effect, with how its answer is kept and told again.
pub(crate) struct Repetition<'a, A: Act> {
    once: &'a Once,
    keep: fn(&A::Answer) -> Result<Kept, Error>,
    again: fn(&A, &Services, Value) -> Result<A::Answer, Error>,
}

/// Which time it is.
pub(crate) enum Turn {
    /// The first; these are the answers that are kept beside it.
    First(Epoch, OnceRecord),
    /// A later one.
    Again(KeptAnswer),
}

impl<'a, A: Repeatable> Repetition<'a, A> {
    pub(crate) fn of(once: &'a Once) -> Self {
        Self { once, keep: A::keep, again: A::again }
    }
}

impl<A: Act> Repetition<'_, A> {
    /// Looks whether it was done already, in the store and not in memory.
    ///
    /// # Errors
    /// As the store.
    pub(crate) async fn turn(&self, services: &Services, caller: &Caller) -> Result<Turn, Error> {
        let row = services.directory.read_newest(self.once.place(caller)).await?;
        let (epoch, record) = row;
        let record = record.unwrap_or(OnceRecord { answers: vec![] });
        let now = services.now();
        let known = |kept: &&KeptAnswer| kept.until > now && kept.key.0 == self.once.key;
        let found = record.answers.iter().find(known).cloned();
        Ok(found.map_or(Turn::First(epoch, record), Turn::Again))
    }

    /// Acts, and proposes to keep the answer; or tells the kept one, and proposes nothing.
    ///
    /// # Errors
    /// As the act; [`Error::KeyReused`] if something else was asked with this key;
    /// [`Error::QuotaExceeded`] if there is no room.
    pub(crate) async fn act(
        &self,
        (act, services): (&A, &Services),
        scene: &Scene<'_>,
        turn: Turn,
    ) -> Result<Effect<A::Answer>, Error> {
        match turn {
            Turn::First(epoch, record) => {
                let mut effect = act.act(services, scene).await?;
                let kept = (self.keep)(&effect.answer)?;
                let record = self.with(record, kept, scene)?;
                effect.writes.push(put(self.once.place(scene.caller), epoch, &record)?);
                Ok(effect)
            }
            Turn::Again(kept) if kept.request.0 != self.once.request => Err(Error::KeyReused),
            Turn::Again(kept) => {
                let detail = Event { repeats: Some(kept.request_id), ..Event::default() };
                let answer = (self.again)(act, services, kept.answer)?;
                Ok(Effect::answer(answer).noting(detail))
            }
        }
    }

    /// The row with one answer more, and without those whose time is over.
    fn with(&self, record: OnceRecord, kept: Kept, scene: &Scene<'_>) -> Result<OnceRecord, Error> {
        let (now, latest) = (scene.permit.now(), scene.permit.now().saturating_add(KEPT_FOR));
        let mut answers = record.answers;
        answers.retain(|kept| kept.until > now);
        answers.push(KeptAnswer {
            key: Base64Bytes(self.once.key.to_vec()),
            request: Base64Bytes(self.once.request.to_vec()),
            request_id: scene.caller.request.id.to_string(),
            until: kept.until.map_or(latest, |until| until.min(latest)),
            answer: kept.answer,
        });
        let record = OnceRecord { answers };
        let size = serde_json::to_vec(&record).map_err(|_| Error::Internal)?.len();
        // Refused rather than forgotten early: a promise that is kept sometimes is none.
        if size > LARGEST_ROW {
            return Err(Error::QuotaExceeded("idempotency keys"));
        }
        Ok(record)
    }
}
