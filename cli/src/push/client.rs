//! One HTTP request after another to one server.

use std::path::Path;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use base64::prelude::{Engine, BASE64_STANDARD};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::args::PushArgs;
use super::retry::Attempt;

/// The most of an answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

pub(super) struct Client {
    hyper: Hyper<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    timeout: Duration,
}

/// What a server is asked.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) to: Uri,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// Whether a server that fails is asked again.
    pub(super) is_failure_passing: bool,
}

/// An address of HTTP or HTTPS, checked.
pub(super) fn address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|e| format!("{text} is not a URL: {e}"))?;
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme()) || uri.host().is_none_or(str::is_empty) {
        return Err(format!("{text} is not a URL; write it as http://HOST:PORT or https://HOST:PORT"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("a password in a URL is seen by everybody; use --user and --password-file".into());
    }
    Ok(uri)
}

impl Client {
    pub(super) fn new(args: &PushArgs, to: &Uri) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &args.headers {
            let problem = |_| format!("the header {name} has characters that none may have");
            headers.append(
                HeaderName::try_from(name).map_err(|_| format!("{name} is no header's name"))?,
                HeaderValue::try_from(value).map_err(problem)?,
            );
        }
        if let (Some(user), Some(file)) = (&args.user, &args.password_file) {
            let password = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            let pair = format!("{user}:{}", password.trim_end_matches(['\r', '\n']));
            let mut value =
                HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).map_err(|e| e.to_string())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let config = trust(args.ca_file.as_deref(), to.scheme() == Some(&Scheme::HTTPS))?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Client { hyper: Hyper::builder(TokioExecutor::new()).build(connector), headers, timeout: args.timeout })
    }

    /// Asks, and gives the answer's body if it is a good one.
    pub(super) async fn ask(&self, ask: &Ask) -> Attempt<Bytes> {
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.to.clone();
        request.headers_mut().insert("content-type", HeaderValue::from_static(ask.content_type));
        request
            .headers_mut()
            .insert("user-agent", HeaderValue::from_static(concat!("shmetrics/", env!("CARGO_PKG_VERSION"))));
        request.headers_mut().extend(self.headers.clone());
        match timeout(self.timeout, self.exchange(request)).await {
            Err(_) => Attempt::Later(format!("{} does not answer in {} s", ask.to, self.timeout.as_secs_f64()), None),
            Ok(Err(problem)) => Attempt::Later(format!("{}: {problem}", ask.to), None),
            Ok(Ok((status, _, body))) if status.is_success() => Attempt::Done(body),
            Ok(Ok((status, headers, body))) => {
                let said = String::from_utf8_lossy(&body[..body.len().min(1000)]).trim().replace(['\n', '\r'], " ");
                let problem = format!("{} answers {status}: {said}", ask.to);
                let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                if passing || (ask.is_failure_passing && status == StatusCode::INTERNAL_SERVER_ERROR) {
                    let wait = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                    Attempt::Later(problem, wait.map(Duration::from_secs))
                } else {
                    Attempt::Never(problem)
                }
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let answer = self.hyper.request(request).await.map_err(|e| causes(&e))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|e| causes(&*e))?;
        Ok((status, headers, body.to_bytes()))
    }
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn trust(file: Option<&Path>, is_needed: bool) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| problem(&e))? {
            roots.add(certificate.map_err(|e| problem(&e))?).map_err(|e| problem(&e))?;
        }
        if roots.is_empty() {
            return Err(problem(&"there is no certificate in PEM"));
        }
    } else if is_needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("the system has no certificates to trust; install ca-certificates, or give --ca-file".into());
        }
    }
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:9091", "https://a.example/b/c?d"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:9091", "ftp://a", "http://", "/path", "http://a b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(address("http://me:secret@a").unwrap_err().contains("--password-file"));
    }
}
