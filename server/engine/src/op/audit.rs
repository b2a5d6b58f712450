//! Permission to read the audit log. The entries themselves are read where the log's files are.

use keyhaven_shared::operation::Operation;

use crate::{
    act::{Act, Effect, Scene},
    error::Error,
    services::Services,
};

/// Asks to read the audit log.
#[derive(Debug)]
pub struct ReadAudit;

impl Act for ReadAudit {
    type Answer = ();
    const OPERATION: Operation = Operation::ReadAudit;

    async fn act(&self, _: &Services, _: &Scene<'_>) -> Result<Effect<()>, Error> {
        Ok(Effect::answer(()))
    }
}
