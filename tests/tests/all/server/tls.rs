//! What a client and the listener agree on.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};

use crate::harness::Server;

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.variable("KEYHAVEN_ADDR").trim_start_matches("https://")).unwrap()
}

/// The version and the group that a client agrees on with the server which knows these groups.
fn agree(
    server: &Server,
    groups: Vec<&'static dyn SupportedKxGroup>,
) -> (ProtocolVersion, NamedGroup) {
    let authority = fs::read(server.variable("KEYHAVEN_CACERT")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority).unwrap()).unwrap();
    let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = connect(server);
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    let group = client.negotiated_key_exchange_group().unwrap();
    (client.protocol_version().unwrap(), group.name())
}

#[test]
fn the_key_agreement_is_post_quantum_where_the_client_can_and_classical_where_it_cannot() {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let server = Server::start();
    for (groups, expected) in [
        (aws_lc_rs::default_provider().kx_groups, NamedGroup::X25519MLKEM768),
        (vec![X25519MLKEM768, X25519], NamedGroup::X25519MLKEM768),
        (vec![X25519, SECP256R1], NamedGroup::X25519),
        (vec![SECP256R1], NamedGroup::secp256r1),
    ] {
        assert_eq!(agree(&server, groups), (ProtocolVersion::TLSv1_3, expected));
    }
}

/// A TLS 1.2 ClientHello (RFC 5246 §7.4.1.2): one suite, two curves, one signature algorithm.
fn hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        b"\x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17".as_slice(),
        b"\x00\x0b\x00\x02\x01\x00",
        b"\x00\x0d\x00\x04\x00\x02\x04\x03",
    ]
    .concat();
    let two = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let body = [
        b"\x03\x03".as_slice(),
        &[7; 32],
        b"\x00\x00\x02\xc0\x2b\x01\x00",
        &two(extensions.len()),
        &extensions,
    ]
    .concat();
    let message = [b"\x01\x00".as_slice(), &two(body.len()), &body].concat();
    [b"\x16\x03\x01".as_slice(), &two(message.len()), &message].concat()
}

#[test]
fn an_older_version_is_refused_with_an_alert() {
    let server = Server::start();
    let mut stream = connect(&server);
    stream.write_all(&hello_of_tls_1_2()).unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).unwrap();
    // An alert record: fatal, protocol_version (RFC 8446 §6.2).
    assert_eq!((alert[0], &alert[5..]), (21, [2, 70].as_slice()));
}
