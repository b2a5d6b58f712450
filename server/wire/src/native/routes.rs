//! The table of endpoints. A line ties a method and a path to the credential it accepts, and a document
//! to an operation of the engine and back.
//!
//! What is not said in a line is the usual: an API token, no query, 200. Whether the caller may, no
//! line says: policies do. Tests go over this table, so an endpoint that is added here is tried
//! without credentials, with the wrong ones, and with every right but its own.

mod route;

use http::Method;

pub(crate) use self::route::{Accepts, Call, Done, Later, Line, Route};
use self::route::{delete, get, post, put};
use super::{
    arguments::{AFTER, AFTER_SERIAL, KEYRING, LIMIT, STREAM},
    convert::{audit, crypt, delivery, device, identity, key, keyring, lease, policy, principal},
};

/// All endpoints. In the order of the description. Built once, when the server starts.
pub(crate) fn table() -> Vec<Route> {
    [keyrings(), keys(), key_uses(), devices(), principals(), policies()]
        .into_iter()
        .flatten()
        .collect()
}

/// Keyrings: boundaries of ownership.
fn keyrings() -> Vec<Route> {
    vec![
        post("/keyrings").creates().makes(keyring::create, keyring::created),
        get("/keyrings").query(&[AFTER, LIMIT]).acts(keyring::list, keyring::listed),
        get("/keyrings/{keyring}").acts(keyring::describe, keyring::described),
    ]
}

/// Keys: what changes them, or tells of them.
fn keys() -> Vec<Route> {
    vec![
        post("/keys").creates().makes(key::create, key::told),
        get("/keys").query(&[KEYRING, AFTER, LIMIT]).acts(key::list, key::listed),
        get("/keys/{key}").acts(key::describe, key::told),
        put("/keys/{key}/aliases/{alias}").acts(key::set_alias, key::told),
        delete("/keys/{key}/aliases/{alias}").acts(key::remove_alias, key::told),
        put("/keys/{key}/tags").acts(key::tag, key::told),
        post("/keys/{key}/rotate").makes(key::rotate, key::told),
        post("/keys/{key}/enable").acts(key::enable, key::told),
        post("/keys/{key}/disable").acts(key::disable, key::told),
        key::schedule_route(post("/keys/{key}/schedule-destruction")),
        post("/keys/{key}/cancel-destruction").acts(key::cancel, key::told),
    ]
}

/// Keys: what uses them. Those that seal to a device accept a ticket and nothing else: an API token
/// belongs to a backend, which has no device.
fn key_uses() -> Vec<Route> {
    vec![
        post("/keys/{key}/encrypt").acts(crypt::encrypt, crypt::encrypted),
        post("/keys/{key}/decrypt").acts(crypt::decrypt, crypt::decrypted),
        crypt::re_encrypt_route(post("/keys/{key}/re-encrypt")),
        post("/keys/{key}/generate-data-key").acts(crypt::generate, crypt::generated),
        post("/keys/{key}/deliver-data-key")
            .accepts(Accepts::Ticket)
            .acts(delivery::deliver, delivery::sealed),
        post("/keys/{key}/unseal-data-key")
            .accepts(Accepts::Ticket)
            .acts(delivery::unseal, delivery::sealed),
        post("/keys/{key}/tickets").creates().makes(delivery::mint_ticket, delivery::ticket),
    ]
}

/// Devices: how they come in, and what they follow.
fn devices() -> Vec<Route> {
    vec![
        post("/enrolment-tokens").creates().makes(device::mint_token, device::token),
        device::enrol_route(post("/devices").creates().accepts(Accepts::Enrolment)),
        get("/devices").query(&[AFTER, LIMIT]).acts(device::list, device::listed),
        post("/devices/{device}/revoke").acts(device::revoke, device::revoked),
        lease::watch_route(
            get("/lease-events").query(&[STREAM, AFTER_SERIAL]).accepts(Accepts::Device),
        ),
    ]
}

/// Principals, their tokens, and who they are elsewhere.
fn principals() -> Vec<Route> {
    vec![
        post("/principals").creates().makes(principal::create, principal::told),
        get("/principals").query(&[AFTER, LIMIT]).acts(principal::list, principal::listed),
        post("/principals/{principal}/disable").acts(principal::disable, principal::told),
        post("/principals/{principal}/enable").acts(principal::enable, principal::told),
        post("/principals/{principal}/tokens")
            .creates()
            .makes(principal::issue_token, principal::issued),
        post("/tokens/{token}/revoke").acts(principal::revoke_token, principal::revoked),
        post("/identities").creates().acts(identity::bind, identity::told),
        get("/identities").query(&[AFTER, LIMIT]).acts(identity::list, identity::listed),
        post("/identities/{identity}/unbind").acts(identity::unbind, identity::told),
    ]
}

/// Policies, and the log of what they decided.
fn policies() -> Vec<Route> {
    vec![
        put("/policies/{name}").makes(policy::put, policy::told),
        delete("/policies/{name}").answers_nothing().acts(policy::remove, policy::removed),
        get("/policies").acts(policy::list, policy::listed),
        audit::read_route(get("/audit")),
    ]
}

/// What a method and a path lead to. Three outcomes, for which HTTP has three answers.
pub(crate) enum Found<'a> {
    /// A route, with the path's named parts. As they stand in the path: neither decoded nor
    /// checked.
    Route(&'a Route, Vec<(&'static str, String)>),
    /// Routes of other methods. Separated by commas.
    OtherMethods(String),
    /// None.
    Nothing,
}

/// Finds the route of a method and a path below the base. A path that is written differently, with
/// a slash at the end or two in the middle, is another path.
pub(crate) fn find<'a>(routes: &'a [Route], method: &Method, path: &str) -> Found<'a> {
    let mut others = Vec::new();
    for route in routes {
        // Nearly all patterns differ from a path before their first brace or after their last.
        let [head, tail] = route.ends;
        if !path.starts_with(head) || !path.ends_with(tail) {
            continue;
        }
        let Some(parts) = parts_of(route.pattern, path) else { continue };
        if route.method == method {
            return Found::Route(route, parts);
        }
        // `HEAD` and `OPTIONS` are methods like any other here: none is answered by itself.
        others.push(route.method.as_str());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

/// The named parts of a path that fits a pattern: byte for byte, part for part, nothing left over.
/// `None` when it does not fit.
fn parts_of(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut wanted, mut given, mut parts) = (pattern.split('/'), path.split('/'), Vec::new());
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some(wanted), Some(given)) => match named(wanted) {
                // `.` and `..` are no names of ours, and a proxy may have resolved them
                // differently.
                Some(_) if given.is_empty() || given == "." || given == ".." => return None,
                Some(name) => parts.push((name, given.to_owned())),
                None if wanted == given => {}
                None => return None,
            },
            // Of different length: a slash at the end is a part more, which is empty.
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
}

/// The name of a part in braces. `None` for a part that stands for itself.
pub(crate) fn named(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_fit_exactly_or_not_at_all() {
        let pattern = "/keys/{key}/aliases/{alias}";
        let parts = parts_of(pattern, "/keys/a:b/aliases/c");
        assert_eq!(parts, Some(vec![("key", "a:b".to_owned()), ("alias", "c".to_owned())]));
        for other in [
            "",
            "/",
            "/keys/a/aliases",
            "/keys/a/aliases/",
            "/keys/a/aliases/b/",
            "/keys//aliases/b",
            "//keys/a/aliases/b",
            "/keys/../aliases/b",
            "/keys/./aliases/b",
            "/Keys/a/aliases/b",
            "/keys/a/aliases/b/c",
        ] {
            assert_eq!(parts_of(pattern, other), None, "{other}");
        }
    }

    #[test]
    fn no_two_routes_share_method_and_path() {
        let mut seen: Vec<_> =
            table().iter().map(|route| format!("{} {}", route.method, route.pattern)).collect();
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
