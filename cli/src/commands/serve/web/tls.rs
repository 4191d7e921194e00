//! Certificates and keys in the form that rustls takes.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{ring, CryptoProvider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    version, CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;

use super::config::{AllowedName, Clients, Pem, Tls};
use crate::common::file::read_regular;

impl Pem {
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Pem::File(path) => Some(path),
            Pem::Inline(_) => None,
        }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Pem::File(path) => read_regular(path).map_err(|e| format!("{}: {e}", path.display())),
            Pem::Inline(text) => Ok(text.clone().into_bytes()),
        }
    }

    fn named(&self) -> String {
        self.file().map_or_else(|| "the text in the configuration".to_owned(), |path| path.display().to_string())
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        self.all("certificate")
    }

    fn revocations(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
        self.all("list of revoked certificates")
    }

    fn all<T: PemObject>(&self, what: &str) -> Result<Vec<T>, String> {
        let found: Result<Vec<_>, _> = T::pem_slice_iter(&self.read()?).collect();
        let found = found.map_err(|e| format!("{}: {e}", self.named()))?;
        if found.is_empty() {
            return Err(format!("{}: there is no {what} in PEM", self.named()));
        }
        Ok(found)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.read()?)
            .map_err(|e| format!("{}: there is no private key in PEM without a password ({e})", self.named()))
    }
}

impl Tls {
    /// The files that the settings name.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let pems = [Some(&self.certificate), Some(&self.key), self.client_authorities.as_ref(), self.revoked.as_ref()];
        pems.into_iter().flatten().filter_map(Pem::file)
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let provider = Arc::new(self.provider()?);
        let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
        versions.extend(self.versions.three.then_some(&version::TLS13));
        versions.extend(self.versions.two.then_some(&version::TLS12));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|e| format!("cipher_suites has none for the versions of TLS that are spoken: {e}"))?
            .with_client_cert_verifier(self.verifier(provider)?);
        let mut config = builder.with_single_cert(self.certificate.certificates()?, self.key.key()?).map_err(|e| {
            format!("{}: the certificate and the key do not go together: {e}", self.certificate.named())
        })?;
        config.ignore_client_order = self.server_order;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let (Some(authorities), Clients::IfGiven | Clients::Required) = (&self.client_authorities, self.clients) else {
            return Ok(WebPkiClientVerifier::no_client_auth());
        };
        let mut roots = RootCertStore::empty();
        for certificate in authorities.certificates()? {
            roots.add(certificate).map_err(|e| format!("{}: {e}", authorities.named()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if self.clients == Clients::IfGiven { builder.allow_unauthenticated() } else { builder };
        let builder = match &self.revoked {
            None => builder,
            // Intermediate authorities would need revocation lists of their own. After its time, a
            // list may lack a certificate that was revoked since.
            Some(list) => builder
                .with_crls(list.revocations()?)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration(),
        };
        let verifier = builder.build().map_err(|e| format!("{}: {e}", authorities.named()))?;
        if self.names.is_empty() {
            return Ok(verifier);
        }
        let names = self.names.iter().map(Name::of).collect();
        Ok(Arc::new(Named { verifier, names }))
    }

    /// The cryptography, with the suites and curves of the configuration in its order.
    fn provider(&self) -> Result<CryptoProvider, String> {
        let mut provider = ring::default_provider();
        if !self.suites.is_empty() {
            // Go's names of the TLS 1.3 suites do not contain the version.
            let name = |suite: &_| format!("{suite:?}").replace("TLS13_", "TLS_");
            let all: Vec<_> = provider.cipher_suites.iter().map(|suite| (name(&suite.suite()), *suite)).collect();
            provider.cipher_suites = pick("cipher_suites", &self.suites, &all)?;
        }
        if !self.curves.is_empty() {
            let name = |group: &_| match format!("{group:?}").as_str() {
                "secp256r1" => "CurveP256".to_owned(),
                "secp384r1" => "CurveP384".to_owned(),
                other => other.to_owned(),
            };
            let all: Vec<_> = provider.kx_groups.iter().map(|group| (name(&group.name()), *group)).collect();
            provider.kx_groups = pick("curve_preferences", &self.curves, &all)?;
        }
        Ok(provider)
    }
}

/// Accepts what `verifier` accepts, if the certificate has one of the names.
#[derive(Debug)]
struct Named {
    verifier: Arc<dyn ClientCertVerifier>,
    names: Vec<Name>,
}

#[derive(Debug)]
enum Name {
    Dns(String),
    Uri(String),
    Address(ServerName<'static>),
}

impl Name {
    fn of(name: &AllowedName) -> Self {
        match name {
            AllowedName::Dns(name) => Name::Dns(name.clone()),
            AllowedName::Uri(uri) => Name::Uri(uri.clone()),
            AllowedName::Address(address) => Name::Address(ServerName::from(*address)),
        }
    }

    fn is_of(&self, certificate: &EndEntityCert<'_>) -> bool {
        match self {
            Name::Dns(name) => certificate.valid_dns_names().any(|its| its.eq_ignore_ascii_case(name)),
            Name::Uri(uri) => certificate.valid_uri_names().any(|its| its == uri),
            Name::Address(address) => certificate.verify_is_valid_for_subject_name(address).is_ok(),
        }
    }
}

impl ClientCertVerifier for Named {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.names.iter().any(|name| name.is_of(&certificate)) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn pick<T: Copy>(key: &str, wanted: &[String], all: &[(String, T)]) -> Result<Vec<T>, String> {
    let find = |wanted: &String| all.iter().find(|(name, _)| name == wanted).map(|(_, item)| *item);
    let missing = |wanted: &String| {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        format!("{key}: there is no {wanted}; there are {}", names.join(", "))
    };
    wanted.iter().map(|name| find(name).ok_or_else(|| missing(name))).collect()
}
