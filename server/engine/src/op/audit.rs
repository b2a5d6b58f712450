//! Permission to read the audit log. The entries themselves are read where the log's files are.
//!
//! So reading the log stands in the log, also of whoever may read nothing else.

use keyhaven_shared::operation::Operation;

use crate::{
    act::{Act, Effect, Scene},
    error::Error,
    services::Services,
};

/// Asks to read the audit log. One permission for the whole of it: entries name all principals,
/// keys and devices, whether or not the reader may describe them.
#[derive(Debug)]
pub struct ReadAudit;

impl Act for ReadAudit {
    type Answer = ();
    const OPERATION: Operation = Operation::ReadAudit;

    async fn act(&self, _: &Services, _: &Scene<'_>) -> Result<Effect<()>, Error> {
        // The permission is the answer.
        Ok(Effect::answer(()))
    }
}
