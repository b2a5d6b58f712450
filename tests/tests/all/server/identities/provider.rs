//! An identity provider on loopback, over TLS: it signs whatever it is told to, and publishes what it likes.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use base64ct::{Base64UrlUnpadded, Encoding};
use getrandom::{SysRng, rand_core::UnwrapErr};
use hmac::{Hmac, KeyInit, Mac};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, Stream, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer,
};
use serde_json::{Value, json};

/// An authority that vouches for providers.
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new one, its certificate written to a file.
    pub(super) fn new(path: &Path) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    /// A key and its certificate for `localhost`.
    fn leaf(&self) -> (KeyPair, Certificate) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (key, certificate)
    }

    /// The same in two files.
    pub(super) fn issue(&self, key: &Path, certificate: &Path) {
        let (made, vouched) = self.leaf();
        fs::write(key, made.serialize_pem()).unwrap();
        fs::write(certificate, vouched.pem()).unwrap();
    }

    /// TLS for `localhost`.
    fn tls(&self) -> Arc<ServerConfig> {
        let (key, certificate) = self.leaf();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        Arc::new(config.unwrap())
    }
}

/// How a provider's answers are changed: the path, then the whole answer as it would be.
type Change = fn(&str, String) -> String;

/// A provider. It runs until the test ends.
pub(super) struct Provider {
    pub(super) issuer: String,
    key: SigningKey,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    pub(super) fn honest(authority: &Authority) -> Self {
        Self::lying(authority, |_, answer| answer)
    }

    pub(super) fn lying(authority: &Authority, change: Change) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let key = SigningKey::generate_from_rng(&mut UnwrapErr(SysRng));
        let provider = Self { issuer, key, asked: Arc::default() };
        let discovery =
            json!({ "issuer": provider.issuer, "jwks_uri": format!("{}/keys", provider.issuer) });
        let keys = json!({ "keys": [provider.jwk()] });
        let (tls, asked) = (authority.tls(), Arc::clone(&provider.asked));
        let answer = move |path: &str| {
            asked.lock().unwrap().push(path.to_owned());
            let document = if path == "/keys" { &keys } else { &discovery };
            change(path, ok(&document.to_string()))
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                serve(Stream::new(&mut connection, &mut stream.unwrap()), &answer);
            }
        });
        provider
    }

    /// The paths that were asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = (encode(point.x().unwrap()), encode(point.y().unwrap()));
        json!({ "kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y, "use": "sig", "alg": "ES256" })
    }

    /// A token with this header and these claims, whatever they say.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.to_bytes()))
    }

    /// The same, under a MAC whose secret is the public key in one of its forms.
    pub(super) fn mac(&self, header: &Value, claims: &Value) -> [String; 2] {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let point = self.key.verifying_key().to_sec1_point(false);
        [point.as_bytes(), self.jwk().to_string().as_bytes()].map(|secret| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
            mac.update(signed.as_bytes());
            format!("{signed}.{}", encode(mac.finalize().into_bytes()))
        })
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// Ended by the connection's end, so that a change need not count.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}")
}

/// Answers one request. A client may break off in the handshake: it does not trust everybody.
fn serve(mut stream: Stream<'_, ServerConnection, TcpStream>, answer: impl FnOnce(&str) -> String) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap();
    drop(stream.write_all(answer(path).as_bytes()));
    stream.conn.send_close_notify();
    drop(stream.flush());
}
