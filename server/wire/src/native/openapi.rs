//! The description of the API (OpenAPI 3.1), out of the table of endpoints and the documents' types.
//!
//! Nothing is described by hand that the code knows: what an endpoint reads, it is described to
//! read. It is public, so it holds nothing of an installation: no names, no keys, no settings.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use keyhaven_shared::api::problem::Problem;

use super::{
    BASE,
    arguments::Parameter,
    error::Refusal,
    routes::{self, Accepts, Route},
};

/// The description of the native API. It says nothing of an installation. Made anew at each call;
/// the same for every server of one version.
#[must_use]
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // OpenAPI keeps schemas there, and 3.1 speaks the same dialect of JSON Schema.
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in routes::table() {
        let path = paths.entry(format!("{BASE}{}", route.pattern)).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            let method = route.method.as_str().to_ascii_lowercase();
            methods.insert(method, endpoint(&route, &mut generator));
        }
    }
    // The generator gives the definitions up below: what is asked for later would not be among
    // them.
    let problem = generator.subschema_for::<Problem>();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyhaven",
            "version": "1",
            "description": "Keys are made in an HSM, used in the server, or reach one device sealed. \
                Bytes are padded base64; times are seconds since the Unix epoch."
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "Refused: `code` says why, `detail` what to do (RFC 9457).",
                "content": { "application/problem+json": { "schema": problem } }
            } },
            "securitySchemes": security_schemes(),
            "x-problems": problems()
        }
    })
}

/// One method of one path: who may, what goes in, what comes out.
fn endpoint(route: &Route, generator: &mut SchemaGenerator) -> Value {
    // Every right that is asked for, so that a policy can be written from the description.
    let operations = [Some(route.operation), route.also].into_iter().flatten();
    let rights: Vec<_> = operations.map(|operation| operation.name()).collect();
    let mut endpoint = json!({
        "operationId": operation_id(route),
        "summary": route.operation.summary(),
        "description": format!("A policy must permit: {}.", rights.join(", ")),
        "parameters": parameters(route),
        "security": [security(route.accepts)],
        "responses": { route.status.as_str(): answer(route, generator),
            "default": { "$ref": "#/components/responses/Problem" } }
    });
    // An endpoint without a body has no `requestBody`: an empty one would be allowed to be there.
    if let (Some(schema), Some(members)) = ((route.body)(generator), endpoint.as_object_mut()) {
        let content = json!({ "application/json": { "schema": schema } });
        members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    endpoint
}

/// The operation's name, which is unique in the table, but for the first letter. Generators name
/// their methods by it.
fn operation_id(route: &Route) -> String {
    let mut name = route.operation.name().to_owned();
    // Operations have ASCII names, so the first byte is the first letter.
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

/// The answer of an endpoint that did what was asked.
fn answer(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let description = "Done, and recorded.";
    match (route.status.as_u16(), (route.answer)(generator)) {
        // Before the schema is looked at: the type of nothing has one, too.
        (204, _) => json!({ "description": description }),
        (_, Some(schema)) => json!({
            "description": description,
            "content": { "application/json": { "schema": schema } }
        }),
        (_, None) => json!({
            "description": "Events `hello`, `lease` and `ping`; the data of `lease` is in the encoding of `docs/formats.md`.",
            "content": { "text/event-stream": { "schema": { "type": "string" } } }
        }),
    }
}

/// First those in the path, in its order, then those in the query, then the header.
fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.pattern.split('/').filter_map(routes::named).map(|name| {
        // The one part of a path that can be written in three ways.
        let text = if name == "key" { "A key's id, an alias in `default`, or `keyring:alias`." } else { "Which." };
        json!({ "name": name, "in": "path", "required": true, "description": text, "schema": { "type": "string" } })
    });
    let in_header = route.once.then(|| {
        let text = "Made up by the client, new for each thing that it wants done: the same request with the \
            same key has one effect and the same answer, for a day. An API token's secret is told once.";
        let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$" });
        json!({ "name": "Idempotency-Key", "in": "header", "required": false, "description": text, "schema": schema })
    });
    in_path.chain(route.query.iter().map(query)).chain(in_header).collect()
}

/// One parameter of a query.
fn query(parameter: &Parameter) -> Value {
    let Parameter { name, about, number, required } = parameter;
    let schema = if *number {
        json!({ "type": "integer", "minimum": 0 })
    } else {
        json!({ "type": "string" })
    };
    json!({ "name": name, "in": "query", "required": required, "description": about, "schema": schema })
}

/// Which credential an endpoint accepts. All schemes of one member are needed together.
fn security(accepts: Accepts) -> Value {
    match accepts {
        Accepts::Token => json!({ "token": [] }),
        Accepts::Ticket => json!({ "ticket": [], "device": [] }),
        Accepts::Enrolment => json!({ "enrolment": [], "device": [] }),
        Accepts::Device => json!({ "device": [] }),
    }
}

/// The kinds of credential. OpenAPI has no word for a signature, so a device's is described as
/// an `apiKey` in a header.
fn security_schemes() -> Value {
    let header = |name: &str, text: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": text });
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "An API token, or a token (JWT) of an identity provider that the server is configured to believe and whose subject is bound to a principal." },
        "ticket": header("Authorization", "`Keyhaven-Ticket …`: a ticket, minted for one user."),
        "enrolment": header("Authorization", "`Keyhaven-Enrolment …`: a token with which one device enrols."),
        "device": header("Signature", "The device's signature of this request (RFC 9421), with `Signature-Input` and `Content-Digest`; see `docs/formats.md`.")
    })
}

/// Every code, with its status and what to do about it. `type` in a problem document leads here.
fn problems() -> Map<String, Value> {
    let examples = Refusal::examples();
    let described = examples.iter().map(|refusal| {
        let (status, code, title) = refusal.kind();
        let text = json!({ "status": status.as_u16(), "title": title, "detail": refusal.advice() });
        (code.to_owned(), text)
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_every_document_is_described() {
        let description = openapi();
        for route in routes::table() {
            let method = route.method.as_str().to_ascii_lowercase();
            let place = format!(
                "/paths/{}/{method}",
                format!("{BASE}{}", route.pattern).replace('/', "~1")
            );
            let endpoint = description.pointer(&place).unwrap();
            assert_eq!(endpoint.get("requestBody").is_some(), route.has_body, "{place}");
            let named = route.pattern.split('/').filter_map(routes::named).count();
            assert_eq!(
                endpoint["parameters"].as_array().unwrap().len(),
                named + route.query.len() + usize::from(route.once)
            );
        }
        let text = description.to_string();
        for pointer in text.split("\"#").skip(1) {
            let pointer = pointer.split('"').next().unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let mut ids: Vec<_> = routes::table().iter().map(operation_id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
