use std::time::Duration;

use actix_web::{
    App,
    test::{self as requests, TestRequest},
};
use keyhaven_engine::{
    conformance::{
        memory_environment::MemoryEnvironment, memory_hsm::MemoryHsm, memory_store::MemoryStore,
    },
    port::{
        Ports,
        hsm::{HsmKey, HsmRole},
        store::Store,
    },
    start::start as start_engine,
};
use keyhaven_wire::{AuditFuture, AuditReader, Settings};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{audit::Sequencer, history::History};

#[test]
fn request_ids_are_22_characters_and_differ() {
    let (one, other) = (make_request_id().unwrap(), make_request_id().unwrap());
    assert_eq!(one.len(), 22);
    assert_ne!(one, other);
}

#[test]
fn headers_and_target_survive_as_they_came() {
    let request = TestRequest::post()
        .uri("/api/v1/keys?after=a%20b")
        .append_header(("x-twice", "1"))
        .append_header(("x-twice", "2"))
        .to_http_request();
    let converted = to_http(&request, Bytes::from_static(b"{}")).unwrap();
    assert_eq!(converted.uri().path_and_query().unwrap(), "/api/v1/keys?after=a%20b");
    let values: Vec<_> = converted.headers().get_all("x-twice").iter().collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn a_fault_of_ours_says_no_more_than_its_request_id() {
    let response = Fault::Panicked.response("id");
    assert_eq!(response.status().as_u16(), 500);
    let body = rt::System::new().block_on(actix_web::body::to_bytes(response.into_body())).unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "internal");
    assert_eq!(problem["request_id"], "id");
}

/// An audit log in whose reading the server dies.
struct Deadly;

impl AuditReader for Deadly {
    fn read(&self, _: u64, _: usize) -> AuditFuture<'_, Vec<Value>> {
        panic!("CANARY in a panic")
    }

    fn end(&self) -> AuditFuture<'_, u64> {
        panic!("CANARY in a panic")
    }

    fn news(&self, _: u64, _: Duration) -> AuditFuture<'_, ()> {
        panic!("CANARY in a panic")
    }
}

#[test]
fn a_panic_in_a_request_is_told_by_its_id_alone_and_the_next_is_answered() {
    rt::System::new().block_on(async {
        let world = World::with_log(false, Some(Arc::new(Deadly))).await;
        let ask = |path: &str| {
            let request = TestRequest::get().uri(path);
            request.insert_header(("authorization", format!("Bearer {}", world.token)))
        };
        for (path, expected) in [("/api/v1/audit", 500), ("/api/v1/keyrings", 200)] {
            let (status, id, body) = world.send(ask(path)).await;
            assert_eq!(status, expected, "{path}: {body}");
            assert!(!body.contains("CANARY"), "{body}");
            let document: Value = serde_json::from_str(&body).unwrap();
            assert!(document.get("request_id").is_none_or(|told| *told == *id), "{body}");
        }
    });
}

/// The server's front over parts in memory.
struct World {
    front: Arc<Front>,
    hsm: Arc<MemoryHsm>,
    token: String,
    _folder: TempDir,
    _stop: watch::Sender<bool>,
}

impl World {
    async fn new(metrics_here: bool) -> Self {
        Self::with_log(metrics_here, None).await
    }

    /// With another audit log to read than the server's own.
    async fn with_log(metrics_here: bool, log: Option<Arc<dyn AuditReader>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let hsm = Arc::new(MemoryHsm::new(1));
        let environment = Arc::new(MemoryEnvironment::at(1_800_000_000));
        let ports = Ports { store: Arc::clone(&store), hsm: Arc::clone(&hsm) as _, environment };
        let started = start_engine(ports, true).await.unwrap();
        let token = started.admin_token.unwrap().to_string();
        let engine = Arc::new(started.engine);
        let alarms = Arc::clone(&engine.services().alarms);
        let log_key = HsmKey { deployment: engine.services().deployment, role: HsmRole::Log };
        let (path, origin) = (folder.path().join("audit"), log_key.to_string());
        let (files, signer) = (Arc::clone(&store), Arc::clone(&hsm));
        let sequencer =
            Sequencer::start(files, signer, log_key, path.clone(), origin).await.unwrap();
        let log = log.unwrap_or_else(|| Arc::new(History::new(path, Arc::clone(&store))));
        let (stop, stopping) = watch::channel(false);
        let front = Front {
            wire: Arc::new(Wire::new(engine, log, Settings::default())),
            health: Health::new(
                store,
                Arc::clone(&hsm) as _,
                Arc::new(sequencer),
                Arc::clone(&alarms),
            ),
            metrics: Metrics::new(alarms).unwrap(),
            metrics_here,
            stopping,
        };
        Self { front: Arc::new(front), hsm, token, _folder: folder, _stop: stop }
    }

    /// The status, the request id and the body of an answer.
    async fn send(&self, request: TestRequest) -> (u16, String, String) {
        let front = Arc::clone(&self.front);
        let app = App::new().default_service(web::to(move |request, payload| {
            answer(Arc::clone(&front), request, payload)
        }));
        let service = requests::init_service(app).await;
        let response = requests::call_service(&service, request.to_request()).await;
        let status = response.status().as_u16();
        let id = response.headers().get("x-request-id");
        let id = id.map_or_else(String::new, |id| id.to_str().unwrap().to_owned());
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        let body = requests::read_body(response).await;
        (status, id, String::from_utf8(body.to_vec()).unwrap())
    }

    fn post(&self, body: Vec<u8>) -> TestRequest {
        TestRequest::post()
            .uri("/api/v1/keyrings")
            .insert_header(("authorization", format!("Bearer {}", self.token)))
            .insert_header(("content-type", "application/json"))
            .set_payload(body)
    }
}

#[test]
fn every_answer_has_a_request_id_of_our_own() {
    rt::System::new().block_on(async {
        let world = World::new(false).await;
        let mut seen = std::collections::BTreeSet::new();
        for path in ["/api/v1/keys", "/api/v1/nothing", "/", "/api/v1/openapi.json", "/metrics"] {
            let request = TestRequest::get().uri(path);
            let (_, id, body) = world.send(request.insert_header(("x-request-id", "mine"))).await;
            assert_eq!(id.len(), 22, "{path}");
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{id}");
            let document: Value = serde_json::from_str(&body).unwrap();
            assert!(document.get("request_id").is_none_or(|told| *told == *id), "{path}");
            assert!(seen.insert(id), "{path} has the id of another request");
        }
    });
}

#[test]
fn bodies_are_read_up_to_their_limit_and_no_further() {
    rt::System::new().block_on(async {
        let world = World::new(false).await;
        let padded = |length: usize| {
            let mut body = br#"{"name":"app"}"#.to_vec();
            body.resize(length, b' ');
            body
        };
        let (status, _, body) = world.send(world.post(padded(LARGEST_BODY))).await;
        assert_eq!(status, 201, "{body}");
        for length in [LARGEST_BODY + 1, 2 * LARGEST_BODY] {
            let (status, id, body) = world.send(world.post(padded(length))).await;
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &problem["code"]), (413, &"body_too_large".into()), "{length}");
            assert_eq!(problem["request_id"], *id);
        }
        // What is declared too long is refused before it is read, whatever comes.
        for declared in [LARGEST_BODY + 1, usize::MAX] {
            let request = world.post(b"{}".to_vec()).insert_header(("content-length", declared));
            assert_eq!(world.send(request).await.0, 413, "{declared}");
        }
    });
}

const READY: &str = r#"{"ready":true,"waiting_for":[],"quarantined":0,"rolled_back":false}"#;

#[test]
fn health_is_told_in_general_words() {
    rt::System::new().block_on(async {
        let world = World::new(false).await;
        let get = |path| TestRequest::get().uri(path);
        assert_eq!(world.send(get("/healthz")).await.2, "alive\n");
        let (status, _, body) = world.send(get("/readyz")).await;
        assert_eq!((status, body.as_str()), (200, READY));
        let gone = World::new(false).await;
        gone.hsm.set_offline(true);
        let (status, _, body) = gone.send(get("/readyz")).await;
        let readiness: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &readiness["ready"]), (503, &false.into()), "{body}");
        assert!(readiness["waiting_for"].as_array().unwrap().contains(&"hsm".into()), "{body}");
        assert!(!body.contains("lost"), "{body}");
        assert_eq!(gone.send(get("/healthz")).await.0, 200, "it is alive all the same");
    });
}

#[test]
fn counters_stand_beside_the_api_in_dev_mode_alone() {
    rt::System::new().block_on(async {
        let get = || TestRequest::get().uri("/metrics");
        assert_eq!(World::new(false).await.send(get()).await.0, 404);
        let world = World::new(true).await;
        let secret = "/api/v1/keys/SECRET-in-a-path";
        for path in [secret, "/SECRET", "/api/v1/keyrings"] {
            world.send(TestRequest::get().uri(path)).await;
        }
        assert_eq!(world.send(world.post(br#"{"name":"app"}"#.to_vec())).await.0, 201);
        let (status, _, text) = world.send(get()).await;
        assert_eq!(status, 200);
        for line in [
            r#"keyhaven_requests_total{operation="CreateKeyring",outcome="ok"} 1"#,
            r#"keyhaven_requests_total{operation="ListKeyrings",outcome="unauthenticated"} 1"#,
            r#"keyhaven_requests_total{operation="none",outcome="not_found"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("SECRET"), "{text}");
    });
}

#[test]
fn each_fault_of_this_layer_is_a_problem_document() {
    for (fault, status, code) in [
        (Fault::TooLarge, 413, "body_too_large"),
        (Fault::TooSlow, 408, "body_too_slow"),
        (Fault::Broken, 400, "invalid_request"),
        (Fault::NotHttp, 400, "invalid_request"),
        (Fault::Panicked, 500, "internal"),
    ] {
        let response = fault.response("id-1");
        assert_eq!(response.status().as_u16(), status, "{fault:?}");
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(response.headers().get("x-request-id").unwrap(), "id-1");
        assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff");
        assert_eq!(fault.labels(), Labels { operation: "none", outcome: code });
        let body = actix_web::body::to_bytes(response.into_body());
        let body = rt::System::new().block_on(body).unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()));
        assert_eq!(problem.as_object().unwrap().len(), 6, "{problem}");
    }
}

#[test]
fn odd_headers_and_targets_come_through_unchanged() {
    for target in ["/", "/a//b/../c", "/a?b=%00&c", "/%2e%2E", "/a;b=c?d?e"] {
        let request = TestRequest::get().uri(target).to_http_request();
        let converted = to_http(&request, Bytes::new()).unwrap();
        assert_eq!(converted.uri().to_string(), target);
    }
    let odd = b"caf\xe9 \t,;=\"".as_slice();
    let request = TestRequest::with_uri("/")
        .method(actix_web::http::Method::from_bytes(b"BREW").unwrap())
        .insert_header(("x-odd", actix_web::http::header::HeaderValue::from_bytes(odd).unwrap()))
        .to_http_request();
    let converted = to_http(&request, Bytes::from_static(b"body")).unwrap();
    assert_eq!(converted.method().as_str(), "BREW");
    assert_eq!(converted.headers()["x-odd"].as_bytes(), odd);
    assert_eq!(&converted.body()[..], b"body");
}

#[test]
fn answers_keep_every_header_they_came_with() {
    let mut response = http::Response::new(Bytes::from_static(b"{}"));
    *response.status_mut() = http::StatusCode::CONFLICT;
    for value in ["1", "2"] {
        response.headers_mut().append("x-twice", http::HeaderValue::from_static(value));
    }
    let converted = from_http(response);
    assert_eq!(converted.status().as_u16(), 409);
    let values: Vec<_> = converted.headers().get_all("x-twice").collect();
    assert_eq!(values, ["1", "2"]);
}
