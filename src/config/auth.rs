//! The configuration of tokens: the secret, the keys, and the expected claims.

use std::{
    fmt::Display,
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use poem::http::Uri;
use rustls::RootCertStore;
use url::Url;

use super::{ConfigError, Settings, Variable};
use crate::{
    auth::{Freshness, InvalidSecret, Jwks, Secret},
    tls,
};

const DEV_SECRET: &str = "data/dev-secret";

const BETTER_AUTH_SECRET: Variable = Variable::new(
    "BETTER_AUTH_SECRET",
    "SECRET",
    "The secret that the auth server signs HS256 tokens with, at least 32 bytes",
)
.example("\"$(openssl rand -base64 32)\"")
.verbatim();
const BETTER_AUTH_URL: Variable = Variable::new(
    "BETTER_AUTH_URL",
    "URL",
    "Better Auth's base URL: its keys verify EdDSA, ES256, RS256 and PS256 tokens. They are at /api/auth/jwks, or at \
     /auth/jwks if the URL ends with the path /auth",
)
.example("https://app.example.com");
const AUTH_JWKS_URL: Variable =
    Variable::new("AUTH_JWKS_URL", "URL", "URL of the keys, if they are at another address")
        .example("https://app.example.com/api/auth/jwks");
const AUTH_ISSUER: Variable =
    Variable::new("AUTH_ISSUER", "ISSUER", "Required `iss` of a token; not checked if no URL is set")
        .absent("origin of the URL")
        .example("https://app.example.com");
const AUTH_AUDIENCE: Variable = Variable::new(
    "AUTH_AUDIENCE",
    "AUDIENCE",
    "Required `aud` of a token, alone or in a list; not checked if no URL is set",
)
.absent("origin of the URL")
.example("https://app.example.com");
const AUTH_JWKS_REFRESH: Variable = Variable::new(
    "AUTH_JWKS_REFRESH",
    "DURATION",
    "Time between two fetches of the keys; an unknown key is fetched at once",
)
.default("10m");
const AUTH_JWKS_STALE: Variable =
    Variable::new("AUTH_JWKS_STALE", "DURATION", "Lifetime of the keys without a successful fetch").default("1h");
const SSL_CERT_FILE: Variable = Variable::new(
    "SSL_CERT_FILE",
    "FILE",
    "PEM file of the certificate authorities to trust when fetching the keys and exporting traces",
)
.absent("Mozilla's list")
.example("/etc/ssl/certs/ca-certificates.crt");

/// The variables of [`Signer`].
pub const SIGNER: &[&Variable] = &[&BETTER_AUTH_SECRET, &BETTER_AUTH_URL, &AUTH_JWKS_URL, &AUTH_ISSUER, &AUTH_AUDIENCE];
/// The further variables of [`Auth`].
pub const AUTH: &[&Variable] = &[&AUTH_JWKS_REFRESH, &AUTH_JWKS_STALE, &SSL_CERT_FILE];

/// The secret for tokens, and the expected claims.
#[derive(Debug)]
pub struct Signer {
    /// Signs and verifies HS256.
    pub secret: Option<Secret>,
    /// The required `iss`.
    pub issuer: Option<String>,
    /// The required `aud`, alone or in a list.
    pub audience: Option<String>,
    /// The address of the published keys.
    jwks: Option<Url>,
}

impl Signer {
    /// For `todo-api token`: the secret that is set, or else the secret of `dev`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a variable that cannot be used.
    pub fn read(settings: &mut Settings) -> Result<Self, ConfigError> {
        Self::with(settings, || Path::new(DEV_SECRET).exists().then(dev_secret).transpose())
    }

    /// The secret to sign with.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if there is none.
    pub fn secret(&self) -> Result<&Secret, ConfigError> {
        self.secret
            .as_ref()
            .ok_or_else(|| BETTER_AUTH_SECRET.invalid("is not set, and only this secret can sign tokens"))
    }

    fn with(settings: &mut Settings, otherwise: impl Fn() -> io::Result<Option<String>>) -> Result<Self, ConfigError> {
        let unusable = |error| format!("is not set, and {DEV_SECRET} cannot be used: {error}");
        let secret = match settings.get(&BETTER_AUTH_SECRET)? {
            None => otherwise().map_err(|error| BETTER_AUTH_SECRET.invalid(unusable(error)))?,
            secret => secret,
        };
        let refused = |InvalidSecret(problem)| BETTER_AUTH_SECRET.invalid(problem);
        let secret = secret.map(Secret::new).transpose().map_err(refused)?;
        let (base, jwks) = (settings.address(&BETTER_AUTH_URL)?, settings.address(&AUTH_JWKS_URL)?);
        // Better Auth uses the origin as `iss` and `aud`, in the form of the URL standard.
        let origin = base.as_ref().or(jwks.as_ref()).map(|url| url.origin().ascii_serialization());
        Ok(Self {
            secret,
            issuer: settings.get(&AUTH_ISSUER)?.or_else(|| origin.clone()),
            audience: settings.get(&AUTH_AUDIENCE)?.or(origin),
            jwks: jwks.map(Ok).or_else(|| base.map(jwks_of)).transpose()?,
        })
    }
}

/// The configuration of tokens.
#[derive(Debug)]
pub struct Auth {
    /// The shared secret and the claims.
    pub signer: Signer,
    /// The keys that the auth server publishes.
    pub published: Option<Jwks>,
}

impl Auth {
    /// # Errors
    ///
    /// [`ConfigError`] if neither a secret nor a URL is set, or if a variable cannot be used.
    pub fn read(settings: &mut Settings) -> Result<Self, ConfigError> {
        let auth = Self::of(Signer::with(settings, || Ok(None))?, settings)?;
        if auth.signer.secret.is_none() && auth.published.is_none() {
            return Err(BETTER_AUTH_SECRET.invalid("is not set, and neither is BETTER_AUTH_URL"));
        }
        Ok(auth)
    }

    /// As [`Auth::read`], but if no secret is set, creates one in `data/dev-secret`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], also if that file cannot be read or written.
    pub fn read_for_development(settings: &mut Settings) -> Result<Self, ConfigError> {
        Self::of(Signer::with(settings, || dev_secret().map(Some))?, settings)
    }

    fn of(signer: Signer, settings: &mut Settings) -> Result<Self, ConfigError> {
        let published = signer.jwks.as_ref().map(|jwks| published(jwks, settings)).transpose()?;
        Ok(Self { signer, published })
    }
}

fn published(jwks: &Url, settings: &mut Settings) -> Result<Jwks, ConfigError> {
    let refresh = settings.duration(&AUTH_JWKS_REFRESH)?;
    if refresh < Duration::from_secs(1) {
        return Err(AUTH_JWKS_REFRESH.invalid("is less than a second"));
    }
    let stale = settings.duration(&AUTH_JWKS_STALE)?;
    if stale <= refresh {
        return Err(AUTH_JWKS_STALE.invalid("is not longer than AUTH_JWKS_REFRESH"));
    }
    let authorities = authorities(settings)?;
    let wrong = |error: &dyn Display| AUTH_JWKS_URL.invalid(format!("cannot be used: {error}"));
    let uri = Uri::try_from(jwks.as_str()).map_err(|error| wrong(&error))?;
    Jwks::new(uri, authorities, Freshness { refresh, stale }).map_err(|error| wrong(&error))
}

/// The certificate authorities to trust.
pub(super) fn authorities(settings: &mut Settings) -> Result<RootCertStore, ConfigError> {
    let file = settings.get(&SSL_CERT_FILE)?;
    tls::authorities(file.as_deref().map(Path::new))
        .map_err(|error| SSL_CERT_FILE.invalid(format!("cannot be used: {error}")))
}

/// The secret of `dev`: random, created once, readable only for its owner.
fn dev_secret() -> io::Result<String> {
    if let Ok(secret) = fs::read_to_string(DEV_SECRET) {
        return Ok(secret.trim().to_owned());
    }
    if let Some(folder) = Path::new(DEV_SECRET).parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let fresh = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    // Of two processes that start at once, one wins, because a link appears with the whole content or not at all.
    let own = format!("{DEV_SECRET}.{}", std::process::id());
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&own)?;
    io::Write::write_all(&mut file, fresh.as_bytes())?;
    let linked = fs::hard_link(&own, DEV_SECRET);
    fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(fs::read_to_string(DEV_SECRET)?.trim().to_owned()),
    }
}

/// The address of Better Auth's keys. A path in the base URL is the base path of its API (`withPath` in Better Auth's
/// `utils/url`); the default is `/api/auth`.
fn jwks_of(mut base: Url) -> Result<Url, ConfigError> {
    if base.query().is_some() {
        return Err(BETTER_AUTH_URL.invalid("has a query"));
    }
    let path = match base.path().trim_end_matches('/') {
        "" => "/api/auth",
        path => path,
    };
    let path = format!("{path}/jwks");
    base.set_path(&path);
    Ok(base)
}
