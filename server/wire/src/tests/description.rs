//! The description and the server say the same: documents on the wire are valid by their schemas.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{samples::Samples, world::World};
use crate::{
    native::{
        BASE,
        routes::{Accepts, Route, table},
    },
    openapi,
};

/// What is wrong with a document by a schema: as much of JSON Schema as the description uses.
fn faults(description: &Value, schema: &Value, document: &Value, at: &str) -> Vec<String> {
    let mut faults = vec![];
    let Some(schema) = schema.as_object() else { return faults };
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        let target = description.pointer(pointer).unwrap();
        faults.extend(self::faults(description, target, document, at));
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array)
        && !any.iter().any(|one| self::faults(description, one, document, at).is_empty())
    {
        faults.push(format!("{at}: none of the alternatives"));
    }
    if let Some(kind) = schema.get("type") {
        let kinds: Vec<_> = kind.as_array().map_or(vec![kind], |kinds| kinds.iter().collect());
        if !kinds.iter().any(|kind| is_of(document, kind.as_str().unwrap())) {
            faults.push(format!("{at}: not of type {kind}"));
        }
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(number) = document.as_f64()
        && (bound("minimum").is_some_and(|least| number < least)
            || bound("maximum").is_some_and(|most| number > most))
    {
        faults.push(format!("{at}: out of bounds"));
    }
    if let (Some(items), Some(array)) = (schema.get("items"), document.as_array()) {
        for (number, item) in array.iter().enumerate() {
            faults.extend(self::faults(description, items, item, &format!("{at}/{number}")));
        }
    }
    let Some(object) = document.as_object() else { return faults };
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            faults.push(format!("{at}: {required} is missing"));
        }
    }
    for (name, value) in object {
        let at = format!("{at}/{name}");
        match schema.get("properties").and_then(|properties| properties.get(name)) {
            Some(property) => faults.extend(self::faults(description, property, value, &at)),
            None => match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => faults.push(format!("{at}: not in the schema")),
                Some(schema) => faults.extend(self::faults(description, schema, value, &at)),
                None => {}
            },
        }
    }
    faults
}

fn is_of(document: &Value, kind: &str) -> bool {
    match kind {
        "null" => document.is_null(),
        "boolean" => document.is_boolean(),
        "integer" => document.is_u64() || document.is_i64(),
        "number" => document.is_number(),
        "string" => document.is_string(),
        "array" => document.is_array(),
        "object" => document.is_object(),
        other => panic!("{other}"),
    }
}

fn endpoint<'a>(description: &'a Value, route: &Route) -> &'a Value {
    let place = format!("{BASE}{}", route.pattern).replace('/', "~1");
    let method = route.method.as_str().to_ascii_lowercase();
    description.pointer(&format!("/paths/{place}/{method}")).unwrap()
}

#[tokio::test]
async fn every_sample_and_every_answer_is_valid_by_its_schema() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let description = openapi();
    let (mut bodies, mut answers) = (0, 0);
    for route in &table() {
        let what = format!("{} {}", route.method, route.pattern);
        let endpoint = endpoint(&description, route);
        let sample = world.sign(route, &world.admin, samples.of(route)).await;
        let schema = endpoint.pointer("/requestBody/content/application~1json/schema");
        assert_eq!(schema.is_some(), !sample.body.is_empty(), "{what}");
        if let Some(schema) = schema {
            let body = serde_json::from_slice(&sample.body).unwrap();
            let found = faults(&description, schema, &body, "");
            assert!(found.is_empty(), "{what}: {found:?}");
            bodies += 1;
        }
        let response = world.send(&route.method, &sample).await;
        let place =
            format!("/responses/{}/content/application~1json/schema", route.status.as_str());
        let Some(schema) = endpoint.pointer(&place) else { continue };
        let document = serde_json::from_slice(response.body()).unwrap();
        let found = faults(&description, schema, &document, "");
        assert!(found.is_empty(), "{what}: {found:?} in {document}");
        answers += 1;
    }
    assert!(bodies > 15 && answers > 25, "{bodies} bodies, {answers} answers");
}

#[tokio::test]
async fn every_refusal_is_valid_by_its_schema_and_its_type_leads_somewhere() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let description = openapi();
    let place = "/components/responses/Problem/content/application~1problem+json/schema";
    let schema = description.pointer(place).unwrap();
    for route in &table() {
        for sample in [samples.of(route), samples.of(route).without("content-type")] {
            let response = world.send(&route.method, &sample).await;
            let problem: Value = serde_json::from_slice(response.body()).unwrap();
            assert!(faults(&description, schema, &problem, "").is_empty(), "{problem}");
            let pointer = problem["type"].as_str().unwrap();
            let pointer = pointer.strip_prefix("/api/v1/openapi.json#").unwrap();
            let described = description.pointer(pointer).unwrap();
            assert_eq!(described["status"], problem["status"]);
            assert_eq!(described["title"], problem["title"]);
        }
    }
}

#[test]
fn the_little_validator_finds_faults() {
    let description = openapi();
    let schema = description.pointer("/components/schemas/Problem").unwrap();
    let good = serde_json::json!({ "type": "a", "title": "a", "status": 400, "code": "a",
        "detail": "a", "request_id": "a" });
    assert!(faults(&description, schema, &good, "").is_empty());
    for (name, value) in [("status", Value::from("400")), ("other", Value::Null)] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(faults(&description, schema, &bad, "").len(), 1, "{name}");
    }
    let mut bad = good;
    bad.as_object_mut().unwrap().remove("code");
    assert_eq!(faults(&description, schema, &bad, "").len(), 1);
}

/// Every object anywhere in a document.
fn objects<'a>(document: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    match document {
        Value::Object(object) => {
            found.push(object);
            object.values().for_each(|value| objects(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| objects(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_schema_is_used_closed_and_explained() {
    let description = openapi();
    let mut all = vec![];
    objects(&description, &mut all);
    let used: BTreeSet<_> = all
        .iter()
        .filter_map(|object| object.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/"))
        .collect();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        assert!(used.contains(name.as_str()), "{name} is used nowhere");
        if schema["type"] != "object" || schema.get("properties").is_none() {
            continue;
        }
        assert_eq!(schema["additionalProperties"], false, "{name} takes anything");
        for (field, property) in schema["properties"].as_object().unwrap() {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name}.{field} is not explained");
        }
    }
}

#[test]
fn every_endpoint_says_what_it_does_and_what_it_needs() {
    let description = openapi();
    let schemes = description["components"]["securitySchemes"].as_object().unwrap();
    for route in &table() {
        let endpoint = endpoint(&description, route);
        let what = format!("{} {}", route.method, route.pattern);
        assert!(!endpoint["summary"].as_str().unwrap().is_empty(), "{what}");
        let text = endpoint["description"].as_str().unwrap();
        assert!(text.contains(route.operation.name()), "{what}: {text}");
        assert!(route.also.is_none_or(|also| text.contains(also.name())), "{what}: {text}");
        let needed = endpoint["security"].as_array().unwrap();
        assert_eq!(needed.len(), 1, "{what} has alternatives");
        let needed: Vec<_> = needed[0].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(needed.iter().all(|scheme| schemes.contains_key(*scheme)), "{what}: {needed:?}");
        let expected = match route.accepts {
            Accepts::Token => vec!["token"],
            Accepts::Ticket => vec!["device", "ticket"],
            Accepts::Enrolment => vec!["device", "enrolment"],
            Accepts::Device => vec!["device"],
        };
        assert_eq!(BTreeSet::from_iter(needed), BTreeSet::from_iter(expected), "{what}");
        assert_eq!(
            endpoint["responses"]["default"]["$ref"], "#/components/responses/Problem",
            "{what}"
        );
    }
}
