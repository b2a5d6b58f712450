//! What others' tools find: generated requests against the API's own description, and a scan of the listener.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::Server;

/// Runs a module of the tests' Python environment.
fn python(arguments: &[&str]) -> Output {
    let set = env::var_os("KEYHAVEN_TEST_PYTHON");
    let python =
        set.expect("KEYHAVEN_TEST_PYTHON is not set: run the tests with `cargo xtask test`");
    // Neither writes anything beside what it is told to.
    let folder = TempDir::new().unwrap();
    Command::new(python).arg("-m").args(arguments).current_dir(folder.path()).output().unwrap()
}

fn said(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr].map(|part| String::from_utf8_lossy(part));
    parts.concat()
}

#[test]
fn no_generated_request_makes_the_server_fail_or_answer_other_than_described() {
    let server = Server::start();
    server.must(&["key", "create", "photos", "--distribution", "data-keys"]);
    server.must(&["principal", "create", "user"]);
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/schemathesis.toml");
    let description = format!("{}/api/v1/openapi.json", server.variable("KEYHAVEN_ADDR"));
    let token = format!("Authorization: Bearer {}", server.variable("KEYHAVEN_TOKEN"));
    let output = python(&[
        "schemathesis.cli",
        "--config-file",
        settings.to_str().unwrap(),
        "run",
        &description,
        "--tls-verify",
        server.variable("KEYHAVEN_CACERT"),
        "--header",
        &token,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,\
         response_headers_conformance,response_schema_conformance,unsupported_method,\
         allow_header_conformance",
        "--phases",
        "coverage,fuzzing",
        // In seconds. The coverage phase tries each rule of the description once, however long that is.
        "--max-time",
        "60",
        "--continue-on-failure",
        "--no-color",
        "--warnings",
        "off",
    ]);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let tried = said.lines().find_map(|line| line.trim().split_once(" generated, "));
    let tried = tried.map_or(0, |(count, _)| count.parse::<u32>().unwrap());
    assert!(tried >= 300, "{said}");
    // They were not all turned away at the door. Which get through is chance: some disable the key, or remove its alias.
    let (_, metrics) = server.call("GET", "/metrics", None);
    let metrics = metrics.as_str().unwrap();
    let done = metrics.matches(",outcome=\"ok\"}").count();
    assert!(done >= 10, "{done} operations were done at least once: {metrics}");
    assert!(!metrics.contains("outcome=\"internal\""), "{metrics}");
    assert_eq!(server.call("GET", "/readyz", None).0, 200);
}

#[test]
fn a_scan_of_the_listener_finds_nothing_weak() {
    let server = Server::start();
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report.json");
    let mut arguments = vec!["sslyze", "--mozilla_config", "disable"];
    let report_text = format!("--json_out={}", report.display());
    arguments.push(&report_text);
    arguments.extend(["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"]);
    arguments.extend(["--compression", "--early_data", "--openssl_ccs", "--heartbleed", "--robot"]);
    arguments.extend(["--fallback", "--reneg", "--elliptic_curves", "--certinfo"]);
    arguments.push(server.variable("KEYHAVEN_ADDR").trim_start_matches("https://"));
    let output = python(&arguments);
    let report = fs::read(&report).unwrap_or_else(|_| panic!("{}", said(&output)));
    let report: Value = serde_json::from_slice(&report).unwrap();
    let found = &report["server_scan_results"][0]["scan_result"];
    let result = |scan: &str| {
        let scan = &found[scan];
        assert_eq!(scan["status"], "COMPLETED", "{scan}");
        scan["result"].clone()
    };
    for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"] {
        let suites = result(&format!("{old}_cipher_suites"));
        assert_eq!(suites["is_tls_version_supported"], false, "{old}");
    }
    let suites = result("tls_1_3_cipher_suites");
    let suites = suites["accepted_cipher_suites"].as_array().unwrap().clone();
    let mut suites: Vec<_> =
        suites.iter().map(|suite| suite["cipher_suite"]["name"].as_str().unwrap()).collect();
    suites.sort_unstable();
    let aead = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    assert_eq!(suites, aead);
    for (scan, finding, wanted) in [
        ("tls_compression", "supports_compression", Value::Bool(false)),
        ("tls_1_3_early_data", "supports_early_data", Value::Bool(false)),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", Value::Bool(false)),
        ("heartbleed", "is_vulnerable_to_heartbleed", Value::Bool(false)),
        ("robot", "robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED".into()),
        ("tls_fallback_scsv", "supports_fallback_scsv", Value::Bool(true)),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", Value::Bool(false)),
    ] {
        assert_eq!(result(scan)[finding], wanted, "{scan}");
    }
    let curves = result("elliptic_curves");
    let curves = curves["supported_curves"].as_array().unwrap().clone();
    let curves: Vec<_> = curves.iter().map(|curve| curve["name"].as_str().unwrap()).collect();
    assert_eq!(curves, ["X25519", "secp256r1", "secp384r1"]);
    let certificate = &result("certificate_info")["certificate_deployments"][0];
    assert_eq!(certificate["verified_chain_has_sha1_signature"], Value::Null, "{certificate}");
    let leaf = &certificate["received_certificate_chain"][0];
    assert_eq!(leaf["signature_hash_algorithm"]["name"], "sha256");
    assert_eq!(leaf["public_key"]["ec_curve_name"], "secp256r1");
}
