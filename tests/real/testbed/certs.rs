//! The certificates of one control plane: an authority, a server, clients, and the key of the service accounts.

use super::{Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs;
use std::path::{Path, PathBuf};

/// An authority of our own, whose files lie in one folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key, both PEM.
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes the authority and writes its certificate.
    pub fn new(folder: &Path) -> Result<Authority> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "sprag-testbed");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let cert = params.self_signed(&key).map_err(failed)?;
        let authority = Authority { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        write(&authority.cert(), &cert.pem())?;
        Ok(authority)
    }

    /// The authority's own certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// A certificate for servers on the loopback address.
    pub fn server(&self, name: &str) -> Result<Pair> {
        let hosts = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        let params = CertificateParams::new(hosts).map_err(failed)?;
        self.issue(name, params, name, &[], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate that logs in as `user` with `groups`; the files are named after the user.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Pair> {
        let file = user.replace([':', '/'], "-");
        self.issue(&file, CertificateParams::default(), user, groups, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        file: &str,
        mut params: CertificateParams,
        user: &str,
        groups: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair> {
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().map_err(failed)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(failed)?;
        self.write_pair(file, &cert.pem(), &key.serialize_pem())
    }

    /// The key pair that signs the tokens of service accounts; `cert` is the public key.
    pub fn service_accounts(&self) -> Result<Pair> {
        let key = KeyPair::generate().map_err(failed)?;
        self.write_pair("service-accounts", &key.public_key_pem(), &key.serialize_pem())
    }

    fn write_pair(&self, file: &str, cert: &str, key: &str) -> Result<Pair> {
        let pair = Pair { cert: self.folder.join(format!("{file}.crt")), key: self.folder.join(format!("{file}.key")) };
        write(&pair.cert, cert)?;
        write(&pair.key, key)?;
        Ok(pair)
    }
}

fn failed(error: rcgen::Error) -> Error {
    Error::Start(format!("make a certificate: {error}"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
