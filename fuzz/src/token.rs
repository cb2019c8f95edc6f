//! Tokens: as they come or, if there are two lines, as a header and claims to sign.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use api_tests::{SECRET, SigningKey, now};
use rustls::RootCertStore;
use serde_json::Value;
use todo_api::auth::{Freshness, Jwks, Secret, Verifier};
use tokio::runtime::{Builder, Runtime};

/// Leeway of the server's clock, and some seconds in which a check may run.
const SECONDS: f64 = 40.0;
const ORIGIN: &str = "https://app.example.com";

/// Public keys, whose private ones are gone. So nobody can sign anything else than the tokens below.
pub(crate) static KEYS: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("keys.json")).unwrap());
/// A token by each of the keys, in their order, and one by the secret.
pub(crate) static SIGNED: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("tokens.txt").lines().collect());

static STATE: LazyLock<(Runtime, Verifier)> = LazyLock::new(|| {
    let keys = keys();
    keys.take(KEYS.to_string().into_bytes()).unwrap();
    let secret = Secret::new(SECRET.to_owned()).unwrap();
    let origin = || Some(ORIGIN.to_owned());
    let verifier = Verifier::new(Some(&secret), Some(keys.into()), origin(), origin());
    (runtime(), verifier)
});

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Keys from an address where no server is.
pub(crate) fn keys() -> Jwks {
    let freshness = Freshness { refresh: Duration::from_hours(1), stale: Duration::from_hours(1000) };
    Jwks::new("http://127.0.0.1:1/".parse().unwrap(), RootCertStore::empty(), freshness).unwrap()
}

/// A token passes only if it was signed, and if its claims are those of a user, now and here.
pub fn check(input: &[u8]) {
    static MESSAGES: LazyLock<HashSet<&str>> = LazyLock::new(|| SIGNED.iter().map(|token| message(token)).collect());
    let Ok(input) = str::from_utf8(input) else { return };
    let (runtime, verifier) = &*STATE;
    let verify = |token: &str| runtime.block_on(verifier.verify(token));
    if let Some((header, claims)) = input.split_once('\n') {
        let token = SigningKey::secret(SECRET).raw(header, claims);
        match verify(&token) {
            Ok(user) => assert_eq!(subject(header, claims).as_deref(), Some(user.id())),
            Err(error) => assert!(!error.to_string().contains(&token)),
        }
        return;
    }
    match verify(input) {
        Ok(_) => assert!(MESSAGES.contains(message(input)), "nobody has signed it"),
        Err(error) => assert!(!SIGNED.contains(&input), "{error}"),
    }
}

/// What a signature signs.
fn message(token: &str) -> &str {
    token.rsplit_once('.').map_or("", |(message, _)| message)
}

/// The user of a token with these parts, if it may pass.
fn subject(header: &str, claims: &str) -> Option<String> {
    let header: Value = serde_json::from_str(header).ok()?;
    let claims: Value = serde_json::from_str(claims).ok()?;
    let kind = header.get("typ").map_or(Some("JWT"), Value::as_str)?.to_ascii_lowercase();
    let is_token = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].contains(&kind.as_str());
    let has_type = header["alg"] == "HS256" && header.get("crit").is_none() && is_token;
    let now = f64::from(u32::try_from(now()).unwrap());
    let is_past = |name| claims.get(name).is_none_or(|time| time.as_f64().is_some_and(|time| time < now + SECONDS));
    let in_time = claims["exp"].as_f64()? > now - SECONDS && is_past("nbf") && is_past("iat");
    let for_us = match &claims["aud"] {
        Value::Array(audiences) => audiences.iter().any(|audience| audience == ORIGIN),
        audience => audience == ORIGIN,
    };
    let user = claims["sub"].as_str()?;
    let is_user = (1..=255).contains(&user.chars().count()) && !user.chars().any(char::is_control);
    (has_type && in_time && for_us && claims["iss"] == ORIGIN && is_user).then(|| user.to_owned())
}
