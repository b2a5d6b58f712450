//! Sees to it that keys whose time is over leave memory, also when nobody uses them.

use std::{sync::Arc, time::Duration};

use super::{data_keys::DataKeys, endpoint::Endpoint, leases::Leases};

/// A lease that begins while this sleeps may end before it wakes; every use looks at the time, too.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Begins to keep. It ends soon after the keys' owner is gone.
pub(crate) fn keep(endpoint: &Endpoint, keys: &Arc<DataKeys>, leases: &Arc<Leases>) {
    let (keys, leases) = (Arc::downgrade(keys), Arc::downgrade(leases));
    let runtime = Arc::clone(endpoint.runtime());
    endpoint.runtime().spawn(Box::pin(async move {
        while let (Some(keys), Some(leases)) = (keys.upgrade(), leases.upgrade()) {
            let next = leases.expire();
            keys.sweep();
            drop((keys, leases));
            runtime.sleep(next.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)).await;
        }
    }));
}
