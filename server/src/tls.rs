//! TLS 1.3 only, post-quantum key agreement (X25519MLKEM768) preferred, by rustls over aws-lc-rs. And the
//! dev mode's own certificate authority.

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
const CA_KEY: &str = "ca.key";
const CA_NAME: &str = "Keyhaven dev CA";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
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
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// TLS with an operator's certificate chain and key, both in PEM.
pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| not_pem(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(not_pem(certificate, "certificate"));
    }
    let private = zeroize::Zeroizing::new(read(key)?);
    let private =
        PrivateKeyDer::from_pem_slice(&private).map_err(|_| not_pem(key, "private key"))?;
    configure(chain, private)
}

/// TLS with a certificate for this machine alone, new at each start, from an authority in `folder` that
/// stays. The authority can vouch for no other machine, so that trusting it costs little.
pub(crate) fn from_dev_authority(folder: &Path, now: SystemTime) -> Result<ServerConfig, TlsError> {
    let key = authority_key(folder)?;
    let params = authority_params(now);
    let certificate = folder.join(CA_CERTIFICATE);
    if !certificate.exists() {
        let made = params.self_signed(&key).map_err(TlsError::NotMade)?;
        write(&certificate, made.pem().as_bytes(), 0o644)?;
    }
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().map_err(TlsError::NotMade)?;
    let leaf = leaf_params(now).signed_by(&leaf_key, &issuer).map_err(TlsError::NotMade)?;
    let private = PrivatePkcs8KeyDer::from(leaf_key.serialize_der());
    configure(vec![leaf.der().clone()], private.into())
}

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

fn authority_key(folder: &Path) -> Result<KeyPair, TlsError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    let path = folder.join(CA_KEY);
    if path.exists() {
        let text = zeroize::Zeroizing::new(fs::read_to_string(&path).map_err(file(&path))?);
        return KeyPair::from_pem(&text).map_err(|_| not_pem(&path, "private key"));
    }
    let key = KeyPair::generate().map_err(TlsError::NotMade)?;
    write(&path, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
    Ok(key)
}

fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
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
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(&new).and_then(|mut open| {
        io::Write::write_all(&mut open, content)?;
        open.sync_all()?;
        fs::rename(&new, path)
    });
    written.map_err(file(path))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(file(path))
}

fn not_pem(path: &Path, what: &'static str) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), what }
}

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
}
