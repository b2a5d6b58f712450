//! What Keyhaven is compared with: the same web server over the same TLS, which reads a JSON document and
//! writes it back, and does nothing else.

use std::{io::Write, net::Ipv4Addr, sync::Arc};

use actix_web::{App, HttpServer, web};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};

use crate::Outcome;

/// Serves until it is ended; the first line it prints is its address.
pub(crate) fn serve() -> Outcome<()> {
    let tls = tls()?;
    actix_web::rt::System::new().block_on(async move {
        let app = || App::new().route("/echo", web::post().to(echo));
        let server = HttpServer::new(app).bind_rustls_0_23((Ipv4Addr::LOCALHOST, 0), tls)?;
        for address in server.addrs() {
            writeln!(std::io::stdout(), "https://{address}")?;
        }
        server.run().await?;
        Ok(())
    })
}

async fn echo(document: web::Json<serde_json::Value>) -> web::Json<serde_json::Value> {
    document
}

fn tls() -> Outcome<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(config)
}
