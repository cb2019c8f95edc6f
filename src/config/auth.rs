//! Who may sign tokens.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use clap::Args;
use poem::http::Uri;
use url::Url;

use super::{ConfigError, duration, given, invalid};
use crate::{
    auth::{Freshness, InvalidSecret, Jwks, Secret},
    tls,
};

const DEV_SECRET: &str = "data/dev-secret";

/// Who may sign tokens.
#[derive(Debug, Args)]
pub struct AuthOptions {
    /// The secret that the auth server signs HS256 tokens with, at least 32 bytes
    #[arg(long, env = "BETTER_AUTH_SECRET", hide_env_values = true, value_name = "SECRET")]
    better_auth_secret: Option<String>,
    /// Better Auth's base URL: its keys verify `EdDSA`, ES256, RS256 and PS256 tokens. They are at /api/auth/jwks, or at
    /// /auth/jwks where the URL ends with the path /auth
    #[arg(long, env = "BETTER_AUTH_URL", hide_env_values = true, value_name = "URL")]
    better_auth_url: Option<String>,
    /// Where the keys are, if elsewhere
    #[arg(long, env = "AUTH_JWKS_URL", hide_env_values = true, value_name = "URL")]
    auth_jwks_url: Option<String>,
    /// What `iss` of a token must be [default: the origin of the URL above; without one not checked]
    #[arg(long, env = "AUTH_ISSUER", value_name = "ISSUER")]
    auth_issuer: Option<String>,
    /// What `aud` of a token must be or contain [default: as for `iss`]
    #[arg(long, env = "AUTH_AUDIENCE", value_name = "AUDIENCE")]
    auth_audience: Option<String>,
    /// Time between two fetches of the keys; an unknown key is fetched at once
    #[arg(long, env = "AUTH_JWKS_REFRESH", default_value = "10m", value_name = "DURATION")]
    auth_jwks_refresh: String,
    /// Time that keys live on while the auth server does not answer
    #[arg(long, env = "AUTH_JWKS_STALE", default_value = "1h", value_name = "DURATION")]
    auth_jwks_stale: String,
    /// A PEM file of the authorities to trust with the keys, instead of Mozilla's list
    #[arg(long, env = "SSL_CERT_FILE", value_name = "FILE")]
    ssl_cert_file: Option<String>,
}

/// The checked [`AuthOptions`].
#[derive(Debug)]
pub struct Auth {
    /// Signs and verifies HS256.
    pub secret: Option<Secret>,
    /// The keys that the auth server publishes.
    pub published: Option<Jwks>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
}

impl AuthOptions {
    /// # Errors
    ///
    /// [`ConfigError`] where neither a secret nor a URL is set, or one cannot be used.
    pub fn check(&self) -> Result<Auth, ConfigError> {
        let auth = self.with(given(self.better_auth_secret.as_deref()))?;
        if auth.secret.is_none() && auth.published.is_none() {
            return Err(invalid("BETTER_AUTH_SECRET", "is not set, and neither is BETTER_AUTH_URL", SECRET_EXAMPLE));
        }
        Ok(auth)
    }

    /// As [`AuthOptions::check`], where a secret that is not set is made once and kept in `data/dev-secret`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] also where that file cannot be read or written.
    pub fn check_for_development(&self) -> Result<Auth, ConfigError> {
        if let Some(secret) = given(self.better_auth_secret.as_deref()) {
            return self.with(Some(secret));
        }
        let unusable = |error| format!("is not set, and {DEV_SECRET} cannot be used: {error}");
        let secret = dev_secret().map_err(|error| invalid("BETTER_AUTH_SECRET", unusable(error), SECRET_EXAMPLE))?;
        self.with(Some(&secret))
    }

    /// As [`AuthOptions::check`], where a secret that is not set is read from `data/dev-secret`, if that is there.
    ///
    /// # Errors
    ///
    /// As [`AuthOptions::check`].
    pub fn check_as_made(&self) -> Result<Auth, ConfigError> {
        if Path::new(DEV_SECRET).exists() { self.check_for_development() } else { self.check() }
    }

    fn with(&self, secret: Option<&str>) -> Result<Auth, ConfigError> {
        let refused = |InvalidSecret(problem)| invalid("BETTER_AUTH_SECRET", problem, SECRET_EXAMPLE);
        let secret = secret.map(|secret| Secret::new(secret.to_owned())).transpose().map_err(refused)?;
        let base = url("BETTER_AUTH_URL", self.better_auth_url.as_deref(), BASE_EXAMPLE)?;
        let jwks = url("AUTH_JWKS_URL", self.auth_jwks_url.as_deref(), JWKS_EXAMPLE)?;
        // Better Auth takes the origin for `iss` and `aud`, in the form that the URL standard gives it.
        let origin = base.as_ref().or(jwks.as_ref()).map(|url| url.origin().ascii_serialization());
        let jwks = jwks.map(Ok).or_else(|| base.map(jwks_of)).transpose()?;
        let claim = |claim: &Option<String>| given(claim.as_deref()).map(str::to_owned).or_else(|| origin.clone());
        Ok(Auth {
            secret,
            published: jwks.map(|jwks| self.published(jwks)).transpose()?,
            issuer: claim(&self.auth_issuer),
            audience: claim(&self.auth_audience),
        })
    }

    fn published(&self, jwks: Url) -> Result<Jwks, ConfigError> {
        let refresh = duration("AUTH_JWKS_REFRESH", &self.auth_jwks_refresh, "10m")?;
        if refresh < Duration::from_secs(1) {
            return Err(invalid("AUTH_JWKS_REFRESH", "is less than a second", "10m"));
        }
        let stale = duration("AUTH_JWKS_STALE", &self.auth_jwks_stale, "1h")?;
        if stale <= refresh {
            return Err(invalid("AUTH_JWKS_STALE", "is not longer than AUTH_JWKS_REFRESH", "1h"));
        }
        let freshness = Freshness { refresh, stale };
        let file = given(self.ssl_cert_file.as_deref()).map(Path::new);
        let refused = |problem: String| invalid("SSL_CERT_FILE", problem, "/etc/ssl/certs/ca-certificates.crt");
        let authorities = tls::authorities(file).map_err(|error| refused(format!("cannot be used: {error}")))?;
        let wrong = |problem: String| invalid("AUTH_JWKS_URL", problem, JWKS_EXAMPLE);
        let uri = Uri::try_from(jwks.as_str()).map_err(|error| wrong(format!("cannot be used: {error}")))?;
        Jwks::new(uri, authorities, freshness).map_err(|error| wrong(format!("cannot be used: {error}")))
    }
}

const SECRET_EXAMPLE: &str = "\"$(openssl rand -base64 32)\"";
const BASE_EXAMPLE: &str = "https://app.example.com";
const JWKS_EXAMPLE: &str = "https://app.example.com/api/auth/jwks";

/// The secret of `dev`: random, made once, readable by its owner only.
fn dev_secret() -> io::Result<String> {
    if let Ok(secret) = fs::read_to_string(DEV_SECRET) {
        return Ok(secret.trim().to_owned());
    }
    if let Some(folder) = Path::new(DEV_SECRET).parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let fresh = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    // Two that start at once agree on the one that is there first: the file appears whole, or not at all.
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

/// An address on the web that holds no password.
fn url(variable: &'static str, value: Option<&str>, example: &'static str) -> Result<Option<Url>, ConfigError> {
    let Some(value) = given(value) else { return Ok(None) };
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    };
    let url = value.parse().ok().filter(plain);
    let problem = "is not an http or https URL without a user and a fragment";
    url.ok_or_else(|| invalid(variable, problem, example)).map(Some)
}

/// Where Better Auth publishes its keys. A path in its base URL is the base path of its API, as Better Auth reads it
/// (`withPath` in its `utils/url`); without one that is `/api/auth`.
fn jwks_of(mut base: Url) -> Result<Url, ConfigError> {
    if base.query().is_some() {
        return Err(invalid("BETTER_AUTH_URL", "has a query", BASE_EXAMPLE));
    }
    let path = match base.path().trim_end_matches('/') {
        "" => "/api/auth",
        path => path,
    };
    let path = format!("{path}/jwks");
    base.set_path(&path);
    Ok(base)
}
