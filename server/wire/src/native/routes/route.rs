//! One line of the table.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Method, StatusCode};
use keyhaven_engine::{act::Act, caller::Caller};
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

/// An answer, later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The one credential that an endpoint accepts. None stands in for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// An API token.
    Token,
    /// A ticket, with a device's proof.
    Ticket,
    /// An enrolment token, with the proof of the device that enrols.
    Enrolment,
    /// A device's proof alone.
    Device,
}

/// An authenticated request.
pub(crate) struct Call<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) caller: &'a Caller,
    pub(crate) arguments: Arguments,
    pub(crate) bytes: Secret,
}

/// What an endpoint gives.
pub(crate) enum Done {
    /// A document.
    Document(Bytes),
    /// A stream.
    Feed(Box<EventFeed>),
}

type Run = Box<dyn for<'a> Fn(Call<'a>) -> Later<'a, Done> + Send + Sync>;
type SchemaOf = fn(&mut SchemaGenerator) -> Option<Schema>;

/// An endpoint.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) pattern: &'static str,
    /// What stands before the pattern's first brace, and after its last.
    pub(crate) ends: [&'static str; 2],
    /// Method and pattern, for the record.
    pub(crate) action: Arc<str>,
    pub(crate) accepts: Accepts,
    pub(crate) query: &'static [Parameter],
    pub(crate) status: StatusCode,
    pub(crate) has_body: bool,
    /// What it is in the vocabulary of operations.
    pub(crate) operation: Operation,
    /// What it does besides, each decided and recorded by itself.
    pub(crate) also: Option<Operation>,
    pub(crate) body: SchemaOf,
    pub(crate) answer: SchemaOf,
    pub(crate) run: Run,
}

/// The beginning of a line.
pub(crate) struct Line {
    method: Method,
    pattern: &'static str,
    accepts: Accepts,
    query: &'static [Parameter],
    status: StatusCode,
}

pub(crate) const fn get(pattern: &'static str) -> Line {
    Line::new(Method::GET, pattern)
}

pub(crate) const fn post(pattern: &'static str) -> Line {
    Line::new(Method::POST, pattern)
}

pub(crate) const fn put(pattern: &'static str) -> Line {
    Line::new(Method::PUT, pattern)
}

pub(crate) const fn delete(pattern: &'static str) -> Line {
    Line::new(Method::DELETE, pattern)
}

impl Line {
    const fn new(method: Method, pattern: &'static str) -> Self {
        Self { method, pattern, accepts: Accepts::Token, query: &[], status: StatusCode::OK }
    }

    pub(crate) fn accepts(self, accepts: Accepts) -> Self {
        Self { accepts, ..self }
    }

    pub(crate) fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn creates(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    pub(crate) fn answers_nothing(self) -> Self {
        Self { status: StatusCode::NO_CONTENT, ..self }
    }

    /// The usual endpoint: one operation. `ask` reads the request, `tell` writes the answer.
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
                drop(call.bytes);
                let answer = call.wire.engine.execute(call.caller, &act).await?;
                Ok(Done::Document(encode(&tell(&act, answer))?))
            })
        });
        self.route::<B, D>((A::OPERATION, None), run)
    }

    /// An endpoint that does something more or else.
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

    /// An endpoint that answers with a stream.
    pub(crate) fn feeds<B: Body + 'static>(
        self,
        operation: Operation,
        run: for<'a> fn(Call<'a>) -> Later<'a, EventFeed>,
    ) -> Route {
        let run: Run = Box::new(move |call| {
            Box::pin(async move { Ok(Done::Feed(Box::new(run(call).await?))) })
        });
        Route { answer: |_| None, ..self.route::<B, ()>((operation, None), run) }
    }

    fn route<B, D>(self, (operation, also): (Operation, Option<Operation>), run: Run) -> Route
    where
        B: Body + 'static,
        D: JsonSchema + 'static,
    {
        let Self { method, pattern, accepts, query, status } = self;
        let has_body = method == Method::POST || method == Method::PUT;
        let (body, answer): (SchemaOf, SchemaOf) =
            (B::schema, |generator| Some(generator.subschema_for::<D>()));
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
            has_body,
            operation,
            also,
            body,
            answer,
            run,
        }
    }
}
