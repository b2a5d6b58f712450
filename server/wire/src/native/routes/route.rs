//! One line of the table.
//!
//! A line is written with a verb and a few words, and becomes a [`Route`] in which the types of its
//! body and its answer are gone: the table can hold all of them, and serving knows no endpoint by
//! name.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Method, StatusCode};
use keyhaven_engine::{
    act::Act,
    caller::Caller,
    once::{Once, Repeatable},
};
use keyhaven_shared::operation::Operation;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::{
    EventFeed, Wire,
    native::{
        BASE,
        arguments::{Arguments, Parameter},
        body::{Body, Secret, encode},
        error::Refusal,
    },
};

/// An answer, later. Boxed, as the table holds endpoints of many types.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The one credential that an endpoint accepts. None stands in for another. Fixed in the table and
/// not chosen by the request, so the strongest that is needed cannot be avoided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// An API token, or what stands for a principal like one: a token of an identity provider. For
    /// backends and operators.
    Token,
    /// A ticket, with a device's proof. For a user's device.
    Ticket,
    /// An enrolment token, with the proof of the device that enrols. For a device that is not known
    /// yet.
    Enrolment,
    /// A device's proof alone. For what a device may do without a user.
    Device,
}

/// An authenticated request. Authenticated is not permitted: the engine has not been asked yet.
pub(crate) struct Call<'a> {
    /// Engine and log.
    pub(crate) wire: &'a Wire,
    /// Who asks, as the endpoint's credential proved it.
    pub(crate) caller: &'a Caller,
    /// What path and query say.
    pub(crate) arguments: Arguments,
    /// That it is to have one effect, if the request says so.
    pub(crate) once: Option<Once>,
    /// The body, not yet read; wiped when this is dropped.
    pub(crate) bytes: Secret,
}

/// What an endpoint gives. Status and headers are the table's.
pub(crate) enum Done {
    /// A document. Encoded; empty where the status says that there is none.
    Document(Bytes),
    /// A stream. Not yet running: it goes on for as long as the server drives it.
    Feed(Box<EventFeed>),
}

/// Serves an authenticated request.
type Run = Box<dyn for<'a> Fn(Call<'a>) -> Later<'a, Done> + Send + Sync>;
/// The schema of a document; `None` where there is none.
type SchemaOf = fn(&mut SchemaGenerator) -> Option<Schema>;

/// An endpoint. All that is known of it, for serving, describing and testing.
pub(crate) struct Route {
    /// Exactly this: a `HEAD` is no `GET`.
    pub(crate) method: Method,
    /// The path below the base, with named parts in braces.
    pub(crate) pattern: &'static str,
    /// What stands before the pattern's first brace, and after its last. Compared first, as it
    /// rules out most lines without taking the path apart.
    pub(crate) ends: [&'static str; 2],
    /// Method and pattern, for the record. The pattern and not the path: one endpoint is one
    /// action, whatever it is asked about.
    pub(crate) action: Arc<str>,
    /// Which credential, and no other, it takes.
    pub(crate) accepts: Accepts,
    /// The parameters it knows; it refuses every other.
    pub(crate) query: &'static [Parameter],
    /// The status when it did what was asked.
    pub(crate) status: StatusCode,
    /// Whether it can be asked to have one effect, however often it is sent.
    pub(crate) once: bool,
    /// Whether the request must have a body: for `POST` and `PUT`, always.
    pub(crate) has_body: bool,
    /// What it is in the vocabulary of operations. For counters, the description, and the record of
    /// a credential that did not hold; what is decided comes from the act.
    pub(crate) operation: Operation,
    /// What it does besides, each decided and recorded by itself.
    pub(crate) also: Option<Operation>,
    /// Describes the body.
    pub(crate) body: SchemaOf,
    /// Describes the answer; `None` for a stream.
    pub(crate) answer: SchemaOf,
    /// Decodes, executes and encodes.
    pub(crate) run: Run,
}

/// The beginning of a line. It becomes a route by saying what it does: by [`Line::acts`],
/// [`Line::makes`], [`Line::runs`] or [`Line::feeds`].
pub(crate) struct Line {
    method: Method,
    pattern: &'static str,
    accepts: Accepts,
    query: &'static [Parameter],
    status: StatusCode,
}

/// `GET`: changes nothing but the log.
pub(crate) const fn get(pattern: &'static str) -> Line {
    Line::new(Method::GET, pattern)
}

/// `POST`: makes something, or does something; repeating it may do it again.
pub(crate) const fn post(pattern: &'static str) -> Line {
    Line::new(Method::POST, pattern)
}

/// `PUT`: sets something whole; repeating it is harmless.
pub(crate) const fn put(pattern: &'static str) -> Line {
    Line::new(Method::PUT, pattern)
}

/// `DELETE`: takes something away.
pub(crate) const fn delete(pattern: &'static str) -> Line {
    Line::new(Method::DELETE, pattern)
}

impl Line {
    /// The usual: an API token, no query, 200.
    const fn new(method: Method, pattern: &'static str) -> Self {
        Self { method, pattern, accepts: Accepts::Token, query: &[], status: StatusCode::OK }
    }

    /// With another credential, in place of the API token.
    pub(crate) fn accepts(self, accepts: Accepts) -> Self {
        Self { accepts, ..self }
    }

    /// With these query parameters.
    pub(crate) fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// Answers 201, without `Location`: the document says what was made.
    pub(crate) fn creates(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// Answers 204, without a document.
    pub(crate) fn answers_nothing(self) -> Self {
        Self { status: StatusCode::NO_CONTENT, ..self }
    }

    /// The usual endpoint: one operation. `ask` reads the request, `tell` writes the answer. Both
    /// are plain functions of their arguments: neither can reach the engine, so an endpoint that is
    /// made so cannot do anything but its operation.
    pub(crate) fn acts<B, A, D>(
        self,
        ask: fn(&Arguments, B) -> Result<A, Refusal>,
        tell: fn(&A, A::Answer) -> D,
    ) -> Route
    where
        B: Body + 'static,
        A: Act + 'static,
        D: Serialize + JsonSchema + 'static,
    {
        let run: Run = Box::new(move |call| {
            Box::pin(async move {
                let body: B = call.bytes.read()?;
                let act = ask(&call.arguments, body)?;
                // The body is wiped here and not after the operation: the act owns what is needed
                // of it.
                drop(call.bytes);
                let answer = call.wire.engine.execute(call.caller, &act).await?;
                Ok(Done::Document(encode(&tell(&act, answer))?))
            })
        });
        self.route::<B, D>((A::OPERATION, None), run)
    }

    /// As [`Self::acts`], for what makes something: with an idempotency key it makes it once.
    pub(crate) fn makes<B, A, D>(
        self,
        ask: fn(&Arguments, B) -> Result<A, Refusal>,
        tell: fn(&A, A::Answer) -> D,
    ) -> Route
    where
        B: Body + 'static,
        A: Repeatable + 'static,
        D: Serialize + JsonSchema + 'static,
    {
        let run: Run = Box::new(move |call| {
            Box::pin(async move {
                let body: B = call.bytes.read()?;
                let act = ask(&call.arguments, body)?;
                drop(call.bytes);
                let engine = &call.wire.engine;
                let answer = match &call.once {
                    None => engine.execute(call.caller, &act).await?,
                    Some(once) => engine.execute_once(call.caller, (&act, once)).await?,
                };
                Ok(Done::Document(encode(&tell(&act, answer))?))
            })
        });
        Route { once: true, ..self.route::<B, D>((A::OPERATION, None), run) }
    }

    /// An endpoint that does something more or else. `operations` is what it says of itself, first
    /// the one it is named by; `run` must execute no other.
    pub(crate) fn runs<B, D>(
        self,
        operations: (Operation, Option<Operation>),
        run: for<'a> fn(Call<'a>) -> Later<'a, D>,
    ) -> Route
    where
        B: Body + 'static,
        D: Serialize + JsonSchema + 'static,
    {
        let run: Run = Box::new(move |call| {
            Box::pin(async move { Ok(Done::Document(encode(&run(call).await?)?)) })
        });
        self.route::<B, D>(operations, run)
    }

    /// An endpoint that answers with a stream. What is refused is refused before it begins: from
    /// then on there is no status to tell it by.
    pub(crate) fn feeds<B: Body + 'static>(
        self,
        operation: Operation,
        run: for<'a> fn(Call<'a>) -> Later<'a, EventFeed>,
    ) -> Route {
        let run: Run = Box::new(move |call| {
            Box::pin(async move { Ok(Done::Feed(Box::new(run(call).await?))) })
        });
        // Described as a stream: the unit type stands in only where a type must.
        Route { answer: |_| None, ..self.route::<B, ()>((operation, None), run) }
    }

    /// The route, once it is known how it runs.
    fn route<B, D>(self, (operation, also): (Operation, Option<Operation>), run: Run) -> Route
    where
        B: Body + 'static,
        D: JsonSchema + 'static,
    {
        let Self { method, pattern, accepts, query, status } = self;
        // By the method alone. Those without arguments have an empty object: so every one of them
        // is sent as JSON, which a page of another origin cannot do unasked.
        let has_body = method == Method::POST || method == Method::PUT;
        let (body, answer): (SchemaOf, SchemaOf) =
            (B::schema, |generator| Some(generator.subschema_for::<D>()));
        // A pattern without braces is its own head and tail.
        let head = pattern.split('{').next().unwrap_or(pattern);
        let tail = pattern.rsplit('}').next().unwrap_or(pattern);
        Route {
            ends: [head, tail],
            action: format!("{method} {BASE}{pattern}").into(),
            method,
            pattern,
            accepts,
            query,
            status,
            once: false,
            has_body,
            operation,
            also,
            body,
            answer,
            run,
        }
    }
}
