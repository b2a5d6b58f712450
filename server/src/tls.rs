//! TLS 1.3 only, post-quantum key agreement (X25519MLKEM768) preferred, by rustls over aws-lc-rs. And the
//! dev mode's own certificate authority.
//!
//! TLS 1.3 (RFC 8446) has no renegotiation, no static key exchange and no choice of weak ciphers,
//! so nothing of that need be switched off. Clients prove themselves by tokens and signatures
//! inside it and not by certificates.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    version::TLS13,
};

/// The certificate of the dev mode's authority, in its `tls` folder.
pub(crate) const CA_CERTIFICATE: &str = "ca.pem";
/// Its private key, in the same folder, with mode 0600.
const CA_KEY: &str = "ca.key";
/// The authority's name. It is the same in its certificate and in those that it signs, which is how
/// a client finds it.
const CA_NAME: &str = "Keyhaven dev CA";
/// A day, for the bounds of certificates.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority's certificate is there and its key is not. Nothing was changed.
    #[error(
        "{} is gone, and its certificate beside it is there: put it back, or move the folder away to make a \
         new authority, which clients must then be told to trust", .0.display()
    )]
    KeyGone(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },
    /// A file holds no certificate, or no key, in PEM.
    #[error("{}: not a {what} in PEM", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// rustls does not take certificate and key together.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(rustls::Error),
    /// A certificate could not be made.
    #[error("the dev certificate could not be made: {0}")]
    NotMade(rcgen::Error),
}

/// The cryptography that server and command line use for TLS.
///
/// It is handed to each configuration: no default of the process is set, which a library could set
/// first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// TLS with an operator's certificate chain and key, both in PEM.
///
/// Whether the certificate is of use to clients (its names, its end, who signed it) is not checked.
///
/// # Errors
/// [`TlsError::File`], [`TlsError::NotPem`] with the file's name; [`TlsError::Unusable`] if the key
/// is not the certificate's.
pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = certificates(certificate)?;
    // The file's bytes are wiped; the parsed key stays in memory, for each handshake needs it.
    let private = zeroize::Zeroizing::new(read(key)?);
    let private =
        PrivateKeyDer::from_pem_slice(&private).map_err(|_| not_pem(key, "private key"))?;
    configure(chain, private)
}

/// The certificates of a file in PEM, of which there is at least one.
///
/// # Errors
/// [`TlsError::File`], [`TlsError::NotPem`].
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| not_pem(path, "certificate"))
}

/// TLS with a certificate for this machine alone, new at each start, from an authority in `folder` that
/// stays. The authority can vouch for no other machine, so that trusting it costs little.
///
/// # Errors
/// [`TlsError`]. An authority's key that is there and cannot be read is not replaced: clients trust
/// it.
pub(crate) fn from_dev_authority(folder: &Path, now: SystemTime) -> Result<ServerConfig, TlsError> {
    let key = authority_key(folder)?;
    let params = authority_params(now);
    let certificate = folder.join(CA_CERTIFICATE);
    // Signed once. A new one would have to be trusted anew by whoever installed the first.
    if !certificate.exists() {
        let made = params.self_signed(&key).map_err(TlsError::NotMade)?;
        write(&certificate, made.pem().as_bytes(), 0o644)?;
    }
    let issuer = Issuer::new(params, key);
    // New at each start and never on the disk: clients trust the authority, so nothing is lost by
    // it.
    let leaf_key = KeyPair::generate().map_err(TlsError::NotMade)?;
    let leaf = leaf_params(now).signed_by(&leaf_key, &issuer).map_err(TlsError::NotMade)?;
    let private = PrivatePkcs8KeyDer::from(leaf_key.serialize_der());
    configure(vec![leaf.der().clone()], private.into())
}

/// TLS 1.3 with this certificate and key.
fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)
}

/// The authority's key: the one in the folder, or a new one, which is on the disk before it signs.
fn authority_key(folder: &Path) -> Result<KeyPair, TlsError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    let path = folder.join(CA_KEY);
    if path.exists() {
        let text = zeroize::Zeroizing::new(fs::read_to_string(&path).map_err(file(&path))?);
        return KeyPair::from_pem(&text).map_err(|_| not_pem(&path, "private key"));
    }
    // With a new key the old certificate would fit nothing, and every client trusts the old one.
    if folder.join(CA_CERTIFICATE).exists() {
        return Err(TlsError::KeyGone(path));
    }
    let key = KeyPair::generate().map_err(TlsError::NotMade)?;
    write(&path, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
    Ok(key)
}

/// The authority: ten years, and for this machine's own names alone. Name constraints (RFC 5280
/// §4.2.1.10) say so to every client; a path length of 0 (§4.2.1.9) lets it sign no further
/// authority.
fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    // A client's clock may be behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * 3650).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                Ipv6Addr::LOCALHOST.octets(),
                128,
            )),
        ],
        excluded_subtrees: vec![],
    });
    params
}

/// The server's own certificate: the names of this machine, for server authentication only. It ends
/// after 397 days; a server that is never started anew must be by then.
fn leaf_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Keyhaven dev server");
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * 397).into();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    params.subject_alt_names = addresses.map(SanType::IpAddress).to_vec();
    if let Ok(name) = "localhost".try_into() {
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`TlsError::File`].
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    // The mode is the file's from its first byte on, so a private key is never readable by others.
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(&new).and_then(|mut open| {
        io::Write::write_all(&mut open, content)?;
        open.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    });
    written.map_err(file(path))
}

/// A file's content.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(file(path))
}

/// A file that does not hold what it should.
fn not_pem(path: &Path, what: &'static str) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), what }
}

/// Names the path, which the operating system's error does not.
fn file(path: &Path) -> impl Fn(io::Error) -> TlsError {
    let path = path.to_owned();
    move |reason| TlsError::File { path: path.clone(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::environment;

    #[test]
    fn the_authority_stays_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), environment::now()).unwrap();
        let first = read(&folder.path().join(CA_CERTIFICATE)).unwrap();
        let mode = fs::metadata(folder.path().join(CA_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        from_dev_authority(folder.path(), environment::now() + DAY * 400).unwrap();
        assert_eq!(read(&folder.path().join(CA_CERTIFICATE)).unwrap(), first);
    }

    #[test]
    fn only_tls_1_3_is_spoken_and_the_hybrid_group_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), environment::now()).unwrap();
        let first = provider().kx_groups[0].name();
        assert_eq!(first, rustls::NamedGroup::X25519MLKEM768);
    }

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        fs::write(&certificate, "no PEM").unwrap();
        let error = from_files(&certificate, &key).unwrap_err().to_string();
        assert!(error.contains("c.pem") && error.contains("certificate"), "{error}");
        let error = from_files(&folder.path().join("gone"), &key).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }

    /// Whether a client that trusts this authority alone takes the server for `name`.
    fn shakes_hands(folder: &Path, server: ServerConfig, name: &str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = read(&folder.join(CA_CERTIFICATE)).unwrap();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..8 {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut up).unwrap();
            }
            let mut up = up.as_slice();
            while !up.is_empty() {
                server.read_tls(&mut up).unwrap();
                server.process_new_packets()?;
            }
            while server.wants_write() {
                server.write_tls(&mut down).unwrap();
            }
            let mut down = down.as_slice();
            while !down.is_empty() {
                client.read_tls(&mut down).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        Ok(())
    }

    #[test]
    fn a_client_that_trusts_the_authority_takes_this_machine_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let made = || from_dev_authority(folder.path(), environment::now()).unwrap();
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(shakes_hands(folder.path(), made(), name), Ok(()), "{name}");
        }
        for name in ["example.org", "127.0.0.2", "192.0.2.1", "localhost.example", "a.localhost"] {
            assert!(shakes_hands(folder.path(), made(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn certificates_end_and_strangers_authorities_are_not_trusted() {
        let [ours, strangers] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let old = from_dev_authority(ours.path(), environment::now() - DAY * 400).unwrap();
        assert!(shakes_hands(ours.path(), old, "localhost").is_err(), "it ended three days ago");
        let early = from_dev_authority(ours.path(), environment::now() + DAY * 3).unwrap();
        assert!(shakes_hands(ours.path(), early, "localhost").is_err(), "it has not begun");
        let new = from_dev_authority(ours.path(), environment::now()).unwrap();
        from_dev_authority(strangers.path(), environment::now()).unwrap();
        assert!(shakes_hands(strangers.path(), new, "localhost").is_err(), "another authority");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), environment::now()).unwrap();
        let certificate = folder.path().join(CA_CERTIFICATE);
        assert!(from_files(&certificate, &folder.path().join(CA_KEY)).is_ok());
        let other = folder.path().join("other.key");
        fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = from_files(&certificate, &other).unwrap_err();
        assert!(matches!(error, TlsError::Unusable(_)), "{error}");
        let error = from_files(&certificate, &certificate).unwrap_err().to_string();
        assert!(error.ends_with("ca.pem: not a private key in PEM"), "{error}");
    }

    #[test]
    fn a_damaged_authority_key_is_not_replaced_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), environment::now()).unwrap();
        fs::write(folder.path().join(CA_KEY), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let error = from_dev_authority(folder.path(), environment::now()).unwrap_err();
        assert!(error.to_string().ends_with("ca.key: not a private key in PEM"), "{error}");
    }

    #[test]
    fn nothing_half_written_is_left_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), environment::now()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [CA_KEY, CA_CERTIFICATE]);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_and_nothing_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        from_dev_authority(folder.path(), SystemTime::UNIX_EPOCH + DAY * 20_000).unwrap();
        let certificate = fs::read(folder.path().join(CA_CERTIFICATE)).unwrap();
        fs::remove_file(folder.path().join(CA_KEY)).unwrap();
        let error =
            from_dev_authority(folder.path(), SystemTime::UNIX_EPOCH + DAY * 20_000).unwrap_err();
        assert!(error.to_string().contains("ca.key is gone"), "{error}");
        assert_eq!(fs::read(folder.path().join(CA_CERTIFICATE)).unwrap(), certificate);
        assert!(!folder.path().join(CA_KEY).exists());
    }
}
