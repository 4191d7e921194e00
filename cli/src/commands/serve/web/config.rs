//! The web configuration file, in Prometheus' format. All settings that make sense here work. Any
//! other setting is an error that says what to do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use saphyr::{LoadableYamlNode, Yaml};
use saphyr_parser::{Event, Parser};

use crate::common::file::read_regular;

/// The contents of the file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Config {
    pub(super) tls: Option<Tls>,
    /// The bcrypt hash of each name.
    pub(super) users: HashMap<String, String>,
    /// Headers of every answer.
    pub(super) headers: Vec<(String, String)>,
    pub(super) limit: Option<RateLimit>,
}

/// The requests that are answered: one in each interval, and a number of them at once. An interval
/// of 0 is no limit, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RateLimit {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Tls {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
    pub(super) clients: Clients,
    pub(super) client_authorities: Option<Pem>,
    /// If not empty, only certificates with one of these names are accepted.
    pub(super) names: Vec<AllowedName>,
    /// Revoked certificates.
    pub(super) revoked: Option<Pem>,
    pub(super) versions: Versions,
    pub(super) suites: Vec<String>,
    pub(super) curves: Vec<String>,
    pub(super) server_order: bool,
}

/// A name in a client's certificate.
#[derive(Debug, PartialEq)]
pub(super) enum AllowedName {
    Dns(String),
    Uri(String),
    Address(IpAddr),
}

impl AllowedName {
    fn of(key: &str, text: String) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(AllowedName::Address(address));
        }
        if text.contains("://") {
            return Ok(AllowedName::Uri(text));
        }
        if text.is_empty() || text.contains('@') {
            return Err(format!(
                "{key}: {text:?} is neither a DNS name, an address nor a URI; others are not looked at"
            ));
        }
        Ok(AllowedName::Dns(text))
    }
}

/// A text in PEM: a file, or a part of the configuration.
#[derive(Debug, PartialEq)]
pub(super) enum Pem {
    File(PathBuf),
    Inline(String),
}

impl Default for Pem {
    fn default() -> Self {
        Pem::Inline(String::new())
    }
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clients {
    #[default]
    None,
    IfGiven,
    Required,
}

/// The versions of TLS that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) two: bool,
    pub(super) three: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Versions { two: true, three: true }
    }
}

/// The headers that a configuration may set, as in Prometheus.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
];

impl Config {
    /// Reads a file. Paths in the file are relative to its directory.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let of = |problem: String| format!("{}: {problem}", path.display());
        let text = read_regular(path).map_err(|e| of(e.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| of("it is not UTF-8".into()))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(of)
    }

    fn parse(text: &str, directory: &Path) -> Result<Self, String> {
        if is_deep(text) {
            return Err("it is no configuration: it nests too deep".into());
        }
        let documents = Yaml::load_from_str(text).map_err(|e| format!("it is not YAML: {e}"))?;
        let mut config = Config::default();
        let document = match &documents[..] {
            // An editor, or a copy in progress, leaves an empty file for a moment.
            [] => return Err("it says nothing; leave --web.config.file out to serve without it".into()),
            [document] => document,
            _ => return Err("it has more than one document".into()),
        };
        let pairs = Map::of(document, "the file")?.pairs()?;
        if pairs.is_empty() {
            return Err("it says nothing; leave --web.config.file out to serve without it".into());
        }
        for (key, value) in pairs {
            match key {
                "tls_server_config" => config.tls = Some(tls(&Map::full(value, key)?, directory)?),
                "basic_auth_users" => config.users = users(&Map::full(value, key)?)?,
                "http_server_config" => config.headers = http(&Map::full(value, key)?)?,
                "rate_limit" => config.limit = Some(rate_limit(&Map::full(value, key)?)?),
                other => {
                    let known = "tls_server_config, basic_auth_users, http_server_config and rate_limit";
                    return Err(format!("there is no setting {other}; there are {known}"));
                }
            }
        }
        Ok(config)
    }
}

/// Whether the text nests deeper than any configuration. `load_from_str` calls itself for each
/// level, so the stack would overflow. Errors are left to that function.
fn is_deep(text: &str) -> bool {
    const MOST: usize = 32;
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), _)) if depth == MOST => return true,
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), _)) => depth += 1,
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// A mapping with texts as keys.
struct Map<'y> {
    yaml: &'y Yaml<'y>,
    name: String,
}

impl<'y> Map<'y> {
    fn of(yaml: &'y Yaml<'y>, name: &str) -> Result<Self, String> {
        if yaml.is_null() || yaml.as_mapping().is_some() {
            return Ok(Map { yaml, name: name.to_owned() });
        }
        Err(format!("{name} is not a mapping; write it as `name: value` lines"))
    }

    /// A mapping that is not empty. An empty one may be half of a file.
    fn full(yaml: &'y Yaml<'y>, name: &str) -> Result<Self, String> {
        let map = Self::of(yaml, name)?;
        if map.pairs()?.is_empty() {
            return Err(format!("{name} is empty; leave it out if that is meant"));
        }
        Ok(map)
    }

    fn pairs(&self) -> Result<Vec<(&'y str, &'y Yaml<'y>)>, String> {
        let Some(pairs) = self.yaml.as_mapping() else { return Ok(Vec::new()) };
        let text = |(key, value): (&'y Yaml<'y>, &'y Yaml<'y>)| match key.as_str() {
            Some(key) => Ok((key, value)),
            None => Err(format!("{} has a key that is no text; put it in quotes", self.name)),
        };
        pairs.iter().map(text).collect()
    }
}

fn text(key: &str, value: &Yaml) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{key} is not a text; put it in quotes"))
}

fn flag(key: &str, value: &Yaml) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{key} is neither true nor false"))
}

fn list(key: &str, value: &Yaml) -> Result<Vec<String>, String> {
    let items = value.as_sequence().ok_or_else(|| format!("{key} is not a list"))?;
    items.iter().map(|item| text(key, item)).collect()
}

fn tls(map: &Map<'_>, directory: &Path) -> Result<Tls, String> {
    let (mut found, mut certificate, mut key_of_it) = (Tls::default(), None, None);
    let (mut least, mut most) = (Version::Two, Version::Three);
    let file = |key: &str, value: &Yaml| text(key, value).map(|path| Pem::File(directory.join(path)));
    let inline = |key: &str, value: &Yaml| text(key, value).map(Pem::Inline);
    let once = |slot: &mut Option<Pem>, key: &str, pem| match slot.replace(pem) {
        None => Ok(()),
        Some(_) => Err(format!("{key}: the same is given as text and as a file; leave one of them")),
    };
    for (key, value) in map.pairs()? {
        match key {
            "cert_file" => once(&mut certificate, key, file(key, value)?)?,
            "cert" => once(&mut certificate, key, inline(key, value)?)?,
            "key_file" => once(&mut key_of_it, key, file(key, value)?)?,
            "key" => once(&mut key_of_it, key, inline(key, value)?)?,
            "client_ca_file" => once(&mut found.client_authorities, key, file(key, value)?)?,
            "client_ca" => once(&mut found.client_authorities, key, inline(key, value)?)?,
            "client_auth_type" => found.clients = clients(&text(key, value)?)?,
            "min_version" => least = Version::of(key, &text(key, value)?)?,
            "max_version" => most = Version::of(key, &text(key, value)?)?,
            "cipher_suites" => found.suites = list(key, value)?,
            "curve_preferences" => found.curves = list(key, value)?,
            "prefer_server_cipher_suites" => found.server_order = flag(key, value)?,
            "client_allowed_sans" => {
                let names = list(key, value)?.into_iter().map(|name| AllowedName::of(key, name));
                found.names = names.collect::<Result<_, _>>()?;
                if found.names.is_empty() {
                    return Err(format!("{key} is empty; leave it out to take all certificates of client_ca_file"));
                }
            }
            // Prometheus does not have this setting.
            "client_crl_file" => once(&mut found.revoked, key, file(key, value)?)?,
            other => return Err(format!("there is no setting {other} in tls_server_config")),
        }
    }
    found.certificate = certificate.ok_or("tls_server_config has no certificate: give cert_file")?;
    found.key = key_of_it.ok_or("tls_server_config has no key: give key_file")?;
    if found.clients != Clients::None && found.client_authorities.is_none() {
        return Err("client_auth_type asks for certificates, and nothing says whose: give client_ca_file".into());
    }
    if found.clients == Clients::None && found.client_authorities.is_some() {
        return Err("client_ca_file has no effect without client_auth_type: RequireAndVerifyClientCert".into());
    }
    if found.clients == Clients::None && (!found.names.is_empty() || found.revoked.is_some()) {
        return Err("client_allowed_sans and client_crl_file have no effect without client_auth_type".into());
    }
    if least > most {
        return Err("min_version is above max_version".into());
    }
    found.versions = Versions { two: least == Version::Two, three: most == Version::Three };
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Version {
    Two,
    Three,
}

impl Version {
    fn of(key: &str, name: &str) -> Result<Self, String> {
        match name {
            "TLS12" => Ok(Version::Two),
            "TLS13" => Ok(Version::Three),
            "TLS10" | "TLS11" => Err(format!("{key}: {name} is not secure any more, nor spoken here; use TLS12")),
            _ => Err(format!("{key}: there is no version {name}; use TLS12 or TLS13")),
        }
    }
}

fn clients(name: &str) -> Result<Clients, String> {
    match name {
        "" | "NoClientCert" => Ok(Clients::None),
        "VerifyClientCertIfGiven" => Ok(Clients::IfGiven),
        "RequireAndVerifyClientCert" => Ok(Clients::Required),
        "RequestClientCert" | "RequireAnyClientCert" => {
            Err(format!("client_auth_type {name} lets anybody in; use RequireAndVerifyClientCert, or NoClientCert"))
        }
        _ => Err(format!(
            "there is no client_auth_type {name}; use NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )),
    }
}

fn users(map: &Map<'_>) -> Result<HashMap<String, String>, String> {
    let mut users = HashMap::new();
    for (name, hash) in map.pairs()? {
        let hash = text(name, hash)?;
        if hash.parse::<bcrypt::HashParts>().is_err() {
            return Err(format!(
                "the password of {name} is not a bcrypt hash; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`"
            ));
        }
        users.insert(name.to_owned(), hash);
    }
    Ok(users)
}

fn rate_limit(map: &Map<'_>) -> Result<RateLimit, String> {
    let (mut interval, mut burst) = (None, 0);
    for (key, value) in map.pairs()? {
        match key {
            "interval" => {
                let digits = value.as_integer().map(|n| n.to_string());
                let given = digits.map_or_else(|| text(key, value), Ok)?;
                interval = Some(duration(&given).ok_or_else(|| {
                    format!("rate_limit: the interval {given:?} is no duration; write it as 500ms, 1s or 1m30s")
                })?);
            }
            "burst" => {
                let given = value.as_integer().and_then(|n| u32::try_from(n).ok());
                burst = given.ok_or("rate_limit: burst is no whole number from 1 on")?;
            }
            other => return Err(format!("there is no setting {other} in rate_limit; there are interval and burst")),
        }
    }
    let interval = interval.ok_or("rate_limit has no interval: give the time between two requests, such as 1s")?;
    if burst == 0 && !interval.is_zero() {
        return Err("rate_limit without a burst from 1 on would refuse every request".into());
    }
    Ok(RateLimit { interval, burst })
}

/// A duration as Prometheus writes it, such as `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut millis, mut last) = (text, 0_u64, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if *factor >= last {
            return None;
        }
        millis = number.parse::<u64>().ok()?.checked_mul(*factor)?.checked_add(millis)?;
        (rest, last) = (after, *factor);
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

fn http(map: &Map<'_>) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    for (key, value) in map.pairs()? {
        match key {
            "http2" => {
                if flag(key, value)? {
                    return Err(
                        "http2 is true, and HTTP/2 is not spoken here; leave it out: scrapers use HTTP/1.1".into()
                    );
                }
            }
            "headers" => {
                for (name, value) in Map::of(value, key)?.pairs()? {
                    if !HEADERS.contains(&name) {
                        return Err(format!("the header {name} cannot be set; there are {}", HEADERS.join(", ")));
                    }
                    let value = text(name, value)?;
                    if axum::http::HeaderValue::from_str(&value).is_err() {
                        return Err(format!("the value of the header {name} has characters that none may have"));
                    }
                    headers.push((name.to_owned(), value));
                }
            }
            other => return Err(format!("there is no setting {other} in http_server_config")),
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/web"))
    }

    #[test]
    fn a_whole_file() {
        let hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
        let config = parse(&format!(
            "tls_server_config:\n  cert_file: a.crt\n  key_file: /b.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: ca.crt\n  min_version: TLS13\n  curve_preferences: [X25519]\nbasic_auth_users:\n  ann: {hash}\n  \
             'bob': \"{hash}\"\nhttp_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n"
        ))
        .unwrap();
        let tls = config.tls.unwrap();
        assert_eq!((tls.certificate, tls.key), (Pem::File("/etc/web/a.crt".into()), Pem::File("/b.key".into())));
        assert_eq!((tls.clients, tls.versions), (Clients::Required, Versions { two: false, three: true }));
        assert_eq!((config.users["ann"].as_str(), config.users.len()), (hash, 2));
        assert_eq!(config.headers, [("X-Frame-Options".to_owned(), "deny".to_owned())]);
        let setting = "client_allowed_sans: [a.example, 127.0.0.1, 'spiffe://a/b']";
        let tls = parse(&format!(
            "tls_server_config:\n  cert_file: a\n  key_file: b\n  client_auth_type: VerifyClientCertIfGiven\n  \
             client_ca_file: c\n  {setting}\n  client_crl_file: d\n"
        ));
        let tls = tls.unwrap().tls.unwrap();
        let address = AllowedName::Address("127.0.0.1".parse().unwrap());
        let named = [AllowedName::Dns("a.example".into()), address, AllowedName::Uri("spiffe://a/b".into())];
        assert_eq!((&tls.names[..], tls.revoked), (&named[..], Some(Pem::File("/etc/web/d".into()))));
    }

    #[test]
    fn limits_of_requests() {
        let limit = |text: &str| parse(&format!("rate_limit: {{interval: {text}, burst: 3}}\n")).unwrap().limit;
        for (text, millis) in [("1s", 1000), ("500ms", 500), ("1m30s", 90_000), ("1h", 3_600_000), ("\"2s\"", 2000)] {
            let interval = Duration::from_millis(millis);
            assert_eq!(limit(text), Some(RateLimit { interval, burst: 3 }), "{text}");
        }
        let none = Some(RateLimit { interval: Duration::ZERO, burst: 3 });
        assert_eq!((limit("0"), limit("0s")), (none, none), "there is no limit, as in Prometheus");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let pair = "cert_file: a\n  key_file: b";
        for (text, part) in [
            ("", "says nothing"),
            ("# only a comment\n", "says nothing"),
            ("---\n", "says nothing"),
            ("{}", "says nothing"),
            ("basic_auth_users:\n", "basic_auth_users is empty"),
            ("tls_server_config: {}\n", "tls_server_config is empty"),
            ("tls: 1", "there is no setting tls"),
            ("[1]", "is not a mapping"),
            ("a: [", "is not YAML"),
            ("tls_server_config:\n  cert_file: a", "give key_file"),
            ("tls_server_config:\n  key_file: a", "give cert_file"),
            ("tls_server_config:\n  certfile: a", "no setting certfile"),
            (&format!("tls_server_config:\n  {pair}\n  cert: c"), "leave one"),
            (&format!("tls_server_config:\n  {pair}\n  min_version: TLS10"), "use TLS12"),
            (&format!("tls_server_config:\n  {pair}\n  min_version: TLS13\n  max_version: TLS12"), "above"),
            (&format!("tls_server_config:\n  {pair}\n  client_auth_type: RequireAnyClientCert"), "lets anybody in"),
            (
                &format!("tls_server_config:\n  {pair}\n  client_auth_type: RequireAndVerifyClientCert"),
                "give client_ca_file",
            ),
            (&format!("tls_server_config:\n  {pair}\n  client_ca_file: c"), "has no effect"),
            (&format!("tls_server_config:\n  {pair}\n  client_allowed_sans: [a]"), "no effect"),
            (&format!("tls_server_config:\n  {pair}\n  client_allowed_sans: []"), "is empty"),
            (&format!("tls_server_config:\n  {pair}\n  client_allowed_sans: [a@b]"), "neither a DNS name"),
            ("basic_auth_users:\n  ann: secret", "htpasswd"),
            ("basic_auth_users:\n  ann: 1", "in quotes"),
            ("http_server_config:\n  headers:\n    Server: me", "cannot be set"),
            ("http_server_config:\n  http2: perhaps", "neither true nor false"),
            ("http_server_config:\n  http2: true", "HTTP/2 is not spoken here"),
            ("rate_limit:\n  burst: 1", "no interval"),
            ("rate_limit:\n  interval: 1s", "burst from 1 on"),
            ("rate_limit:\n  interval: 1s\n  burst: 0", "burst from 1 on"),
            ("rate_limit:\n  interval: 1s\n  burst: -1", "no whole number"),
            ("rate_limit:\n  interval: 1s\n  burst: 1\n  size: 1", "no setting size"),
            ("rate_limit:\n  interval: 1\n  burst: 1", "write it as"),
            ("rate_limit:\n  interval: 1s1h\n  burst: 1", "write it as"),
            ("rate_limit:\n  interval: 99999999999999999999s\n  burst: 1", "write it as"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(part), "{text:?}: {problem}");
        }
    }

    #[test]
    fn a_text_that_nests_deep_is_an_error() {
        let levels = |level: &str| level.repeat(20_000) + "a";
        let indented: String = (0..2500).map(|i| " ".repeat(i) + "a:\n").collect();
        let texts = ["- ", "? ", "- ? ", "[", "{a: ", "? - "].map(levels);
        for text in texts.iter().chain([&indented]) {
            assert!(parse(text).is_err(), "{:?}", &text[..10]);
        }
        let problem = parse(&texts[0]).unwrap_err();
        assert!(problem.contains("nests too deep"), "{problem}");
    }

    /// No text makes the reader panic or take long. Half-written and damaged files are refused, or
    /// ask for all that they name.
    #[test]
    fn any_text_is_a_sound_configuration_or_an_error() {
        let hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
        let tls = "tls_server_config:\n  cert_file: a.crt\n  key_file: b.key\n  client_auth_type: \
                   RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [a.example]\n  \
                   min_version: TLS13\n  curve_preferences: [X25519]\n  cipher_suites: [x]\n";
        let users = format!("basic_auth_users:\n  ann: {hash}\n  'bob': \"{hash}\"\n");
        let http = "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n";
        let whole = format!("{tls}{users}{http}");
        let (mut right, mut wrong) = (0, 0);
        crate::common::variants::each(&[whole.as_bytes(), tls.as_bytes(), users.as_bytes()], 4000, |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            let Ok(config) = parse(text) else {
                wrong += 1;
                return;
            };
            right += 1;
            let has = |key: &str| text.contains(key);
            assert!(config.tls.is_some() || !config.users.is_empty() || !config.headers.is_empty(), "{text}");
            assert!(config.users.values().all(|hash| hash.parse::<bcrypt::HashParts>().is_ok()), "{text}");
            if let Some(tls) = &config.tls {
                assert!(has("cert_file") && has("key_file"), "{text}");
                assert!(tls.clients == Clients::None || tls.client_authorities.is_some(), "{text}");
                assert!((tls.names.is_empty() && tls.revoked.is_none()) || tls.clients != Clients::None, "{text}");
            }
        });
        assert!(right > 60 && wrong > 300, "both are tried: {right} and {wrong}");
    }
}
