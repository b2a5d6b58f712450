//! Messages between the client for Rust and the package in Node, both ways.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use base64ct::{Base64, Encoding};
use getrandom::SysRng;
use keyhaven_sdk::context;
use rand_core::{Rng, UnwrapErr};
use serde_json::{Value, json};

use super::{Deployment, KEY, code};

/// Around the border of a frame of either side's size, and many frames.
const SIZES: [usize; 7] = [0, 1, 4096, 65_536, 65_537, 1 << 20, (3 << 20) + 7];

#[tokio::test]
async fn the_package_and_the_crate_read_what_the_other_writes() {
    let deployment = Deployment::start();
    let client = deployment.client("billing");
    let about = context([("customer", "42"), ("caf\u{e9}", "\u{1f511}")]).unwrap();
    let data: Vec<_> = SIZES.into_iter().map(random).collect();
    let mut messages = Vec::new();
    for plaintext in &data {
        messages.push(client.encrypt(KEY, &about, plaintext).await.unwrap());
    }

    let answer = node(&deployment, &data, &messages);
    assert!(list(&answer["opened"]) == data, "Node opens what Rust wrote");
    let written = list(&answer["messages"]);
    assert_eq!(written.len(), data.len());
    for (message, plaintext) in written.iter().zip(&data) {
        assert!(client.decrypt(message, &about).await.unwrap() == *plaintext);
        let other = context([("customer", "43")]).unwrap();
        assert_eq!(code(client.decrypt(message, &other).await), "context_mismatch");
        let cut = &message[..message.len() - 1];
        assert_eq!(code(client.decrypt(cut, &about).await), "message_truncated");
    }
    assert_eq!(answer["wrong_context"], "context_mismatch");
    assert_eq!(answer["cut"], "message_truncated");
}

/// Has `interop/exchange.mjs` encrypt the data, and decrypt the messages, as the device of a till.
fn node(deployment: &Deployment, data: &[Vec<u8>], messages: &[Vec<u8>]) -> Value {
    let server = &deployment.server;
    let encoded =
        |many: &[Vec<u8>]| many.iter().map(|one| Base64::encode_string(one)).collect::<Vec<_>>();
    let wish = json!({
        "key": KEY,
        "subject": "till",
        "token": server.json(&["principal", "token", "billing"])["token"],
        "context": { "customer": "42", "caf\u{e9}": "\u{1f511}" },
        "data": encoded(data),
        "messages": encoded(messages),
    });
    let package = std::env::var_os("KEYHAVEN_NPM_PACKAGE").expect(
        "KEYHAVEN_NPM_PACKAGE names no built package: run the tests with `cargo xtask test`",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/exchange.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .env("KEYHAVEN_NPM_PACKAGE", package)
        .env("KEYHAVEN_ADDR", server.variable("KEYHAVEN_ADDR"))
        .env("KEYHAVEN_ISSUER", server.variable("KEYHAVEN_ISSUER"))
        .env("NODE_EXTRA_CA_CERTS", server.variable("KEYHAVEN_CACERT"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(wish.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "exchange.mjs: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn list(value: &Value) -> Vec<Vec<u8>> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| Base64::decode_vec(text.as_str().unwrap()).unwrap()).collect()
}

fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    UnwrapErr(SysRng).fill_bytes(&mut bytes);
    bytes
}
