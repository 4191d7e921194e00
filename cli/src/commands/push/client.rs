//! The HTTP client: one request after another to one server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, RETRY_AFTER, TE, TRANSFER_ENCODING,
};
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
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::args::{header_line, PushArgs};
use super::retry::Attempt;
use super::secret::Secret;
use crate::common::file::Stamp;
use crate::common::log::{log, Level};

/// The maximum number of bytes that are read of an answer.
const ANSWER_MAX: usize = 64 * 1024;
/// The maximum number of bytes of an answer that a line shows.
const SHOWN_MAX: usize = 1000;

type Connections = Hyper<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub(super) struct Client {
    hyper: Connections,
    credentials: Credentials,
    timeout: Duration,
    trust: Trust,
}

/// A request to the server.
#[derive(Clone)]
pub(super) struct PushRequest {
    pub(super) method: Method,
    pub(super) to: Uri,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// Whether an internal error of the server is worth a retry.
    pub(super) is_failure_passing: bool,
}

/// Checks an HTTP or HTTPS URL.
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

/// The text of an answer, for a line.
pub(super) fn shown(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(SHOWN_MAX)]).trim().replace(['\n', '\r'], " ")
}

struct Credentials {
    headers: Vec<(String, String)>,
    header_file: Option<Secret>,
    token: Option<Secret>,
    user: Option<(String, Secret)>,
}

impl Credentials {
    fn new(args: &PushArgs) -> Result<Self, String> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(Secret::open).transpose();
        Ok(Credentials {
            headers: args.headers.clone(),
            header_file: open(&args.header_file)?,
            token: open(&args.bearer_token_file)?,
            user: args.user.clone().zip(open(&args.password_file)?),
        })
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut all = self.headers.clone();
        if let Some(file) = &self.header_file {
            let text = file.read()?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let named = lines.map(|line| header_line(line).map_err(|e| format!("{}: {e}", file.path().display())));
            all.extend(named.collect::<Result<Vec<_>, _>>()?);
        }
        for (name, value) in &all {
            let (given, name) = (name, HeaderName::try_from(name).map_err(|_| format!("{name} is not a header name"))?);
            if FRAMING.contains(&name) {
                return Err(format!("the header {given} describes the request itself and cannot be set"));
            }
            headers.append(name, sensitive(value, given)?);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", token.read()?.trim()), "Authorization")?);
        }
        if let Some((user, password)) = &self.user {
            let pair = format!("{user}:{}", password.read()?.trim_end_matches(['\r', '\n']));
            let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
            headers.insert(AUTHORIZATION, sensitive(&value, "Authorization")?);
        }
        Ok(headers)
    }

    fn are_none(&self) -> bool {
        self.header_file.is_none() && self.token.is_none() && self.user.is_none()
    }
}

/// Headers that describe the bytes of the request.
const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING];

/// A header value that no message shows.
fn sensitive(value: &str, name: &str) -> Result<HeaderValue, String> {
    let problem = |_| format!("the header {name} contains characters that are not allowed");
    let mut value = HeaderValue::try_from(value).map_err(problem)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the request stays on this machine.
fn is_local(to: &Uri) -> bool {
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Client {
    pub(super) fn new(args: &PushArgs, to: &Uri) -> Result<Self, String> {
        let credentials = Credentials::new(args)?;
        credentials.headers()?;
        let is_encrypted = to.scheme() == Some(&Scheme::HTTPS);
        if !is_encrypted && !credentials.are_none() && !is_local(to) {
            log(Level::Warn, format_args!("the credentials go to {to} without encryption; use https"));
        }
        let trust = Trust::new(args, is_encrypted);
        Ok(Client { hyper: trust.connections()?, credentials, timeout: args.timeout, trust })
    }

    /// Reads certificates and keys again if a file has changed: some are valid for hours only.
    pub(super) fn refresh(&mut self) -> Result<(), String> {
        let seen = self.trust.stamps();
        if self.trust.seen != seen {
            self.hyper = self.trust.connections()?;
            self.trust.seen = seen;
        }
        Ok(())
    }

    /// Sends the request. The result is the body of a successful answer.
    pub(super) async fn send(&self, push: &PushRequest) -> Attempt<Bytes> {
        let headers = match self.credentials.headers() {
            Ok(headers) => headers,
            // The file may be replaced at this moment.
            Err(problem) => return Attempt::Retry(problem, None),
        };
        let mut request = Request::new(Full::new(push.body.clone()));
        *request.method_mut() = push.method.clone();
        *request.uri_mut() = push.to.clone();
        request.headers_mut().insert("content-type", HeaderValue::from_static(push.content_type));
        request
            .headers_mut()
            .insert("user-agent", HeaderValue::from_static(concat!("shmetrics/", env!("CARGO_PKG_VERSION"))));
        request.headers_mut().extend(headers);
        match timeout(self.timeout, self.exchange(request)).await {
            Err(_) => Attempt::Retry(format!("{} does not answer in {} s", push.to, self.timeout.as_secs_f64()), None),
            Ok(Err(problem)) => Attempt::Retry(format!("{}: {problem}", push.to), None),
            Ok(Ok((status, _, body))) if status.is_success() => Attempt::Done(body),
            Ok(Ok((status, headers, body))) => {
                let problem = format!("{} answers {status}: {}", push.to, shown(&body));
                let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                if passing || (push.is_failure_passing && status == StatusCode::INTERNAL_SERVER_ERROR) {
                    let wait = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                    Attempt::Retry(problem, wait.map(Duration::from_secs))
                } else {
                    Attempt::Fail(problem)
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

/// An error with its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if text.contains("CaUsedAsEndEntity") {
        text += " (the server's certificate is one of an authority; make one with basicConstraints CA:FALSE, as by \
                 `openssl req -x509 -addext basicConstraints=CA:FALSE`)";
    }
    text
}

/// What encrypted connections are made with.
struct Trust {
    is_needed: bool,
    authorities: Option<PathBuf>,
    /// The certificate and the key of the client.
    client: Option<(PathBuf, PathBuf)>,
    /// The stamps of these files, from before they were read.
    seen: Vec<Stamp>,
}

impl Trust {
    fn new(args: &PushArgs, is_needed: bool) -> Self {
        let client = args.cert_file.clone().zip(args.key_file.clone());
        let trust = Trust { is_needed, authorities: args.ca_file.clone(), client, seen: Vec::new() };
        Trust { seen: trust.stamps(), ..trust }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.authorities.iter().chain(client).map(|path| Stamp::of(path)).collect()
    }

    fn connections(&self) -> Result<Connections, String> {
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.config()?);
        let connector = builder.https_or_http().enable_http1().build();
        Ok(Hyper::builder(TokioExecutor::new()).build(connector))
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.authorities {
            let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| problem(&e))? {
                roots.add(certificate.map_err(|e| problem(&e))?).map_err(|e| problem(&e))?;
            }
            if roots.is_empty() {
                return Err(problem(&"there is no certificate in PEM"));
            }
        } else if self.is_needed {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "the system has no certificates to trust; install ca-certificates, or give --ca-file".into()
                );
            }
        }
        let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
        let builder = builder.with_root_certificates(roots);
        let Some((certificate, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", certificate.display());
        let chain = CertificateDer::pem_file_iter(certificate).map_err(|e| problem(&e))?.collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;
        builder.with_client_auth_cert(chain.map_err(|e| problem(&e))?, key).map_err(|e| problem(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::{address, *};

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:9091", "https://a.example/b/c?d"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:9091", "ftp://a", "http://", "/path", "http://a b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(address("http://me:secret@a").unwrap_err().contains("--password-file"));
        let is_local = |url: &str| super::is_local(&address(url).unwrap());
        assert!(is_local("http://localhost:1") && is_local("http://127.1.2.3") && is_local("http://[::1]:1/x"));
        assert!(!is_local("http://127.0.0.1.example") && !is_local("http://10.0.0.1"));
    }

    #[derive(clap::Parser)]
    struct Given {
        #[command(flatten)]
        push: PushArgs,
    }

    /// What hostile and broken gateways answer. Only an answer with a status of success is one.
    #[tokio::test]
    async fn any_answer_is_a_success_a_retry_or_a_failure() {
        use std::io::{Read, Write};

        let right: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 99999999999\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno\x1b\r\n0\r\n\r\n";
        let mut answers = Vec::new();
        crate::common::variants::each(&[right, busy, b"HTTP/1.0 202 A\r\n\r\n"], 300, |answer| {
            answers.push(answer.to_vec());
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let args = <Given as clap::Parser>::try_parse_from(["push", "--gateway", "http://127.0.0.1:1", "--job", "a"]);
        let args = args.unwrap_or_else(|e| panic!("{e}")).push;
        let push = PushRequest {
            method: Method::PUT,
            to,
            content_type: "text/plain",
            body: Bytes::from_static(b"a 1\n"),
            is_failure_passing: true,
        };
        let (mut done, mut not) = (0, 0);
        let all = answers.clone();
        std::thread::spawn(move || {
            for answer in all {
                let (mut stream, mut asked) = (listener.accept().unwrap().0, Vec::new());
                while !asked.ends_with(b"a 1\n") {
                    let mut piece = [0; 1024];
                    match stream.read(&mut piece) {
                        Ok(1..) => asked.extend(piece.iter().copied().take_while(|byte| *byte != 0)),
                        _ => break,
                    }
                }
                let _ = stream.write_all(&answer);
            }
        });
        for answer in answers {
            // A client without an open connection: each answer is that of its own request.
            let client = Client::new(&args, &push.to).unwrap();
            let attempt = client.send(&push).await;
            match attempt {
                Attempt::Done(body) => {
                    done += 1;
                    let is_success = answer.windows(10).any(|part| part.starts_with(b"HTTP/1.") && part[9] == b'2');
                    assert!(is_success && body.len() <= ANSWER_MAX, "{:?}", String::from_utf8_lossy(&answer));
                }
                Attempt::Retry(..) | Attempt::Fail(_) => not += 1,
            }
        }
        assert!(done > 20 && not > 20, "both are tried: {done} and {not}");
    }
}
