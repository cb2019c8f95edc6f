//! Verifies JSON Web Tokens (RFC 7519) by the rules of RFC 8725.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Jwks, Key, Secret, User, jwks::Verified};

/// Seconds by which the clocks of the auth server and of this server may differ.
const LEEWAY: f64 = 30.0;
/// Characters of a user id.
const SUBJECT_MAX: usize = 255;

/// Verifies tokens: HS256 with the secret, where there is one, and else with the keys published, where there are any.
#[derive(Debug)]
pub struct Verifier {
    /// The secret shared with the auth server.
    pub secret: Option<Key>,
    /// The keys that the auth server publishes.
    pub published: Option<Arc<Jwks>>,
    /// What `iss` must be, where that is checked.
    pub issuer: Option<String>,
    /// What `aud` must be or contain, where that is checked.
    pub audience: Option<String>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not three parts of base64url and JSON, or a claim has the wrong type.
    Malformed,
    /// `typ` says that it is another kind of token.
    Type,
    /// It has critical headers, and none is understood here (RFC 7515, section 4.1.11).
    Critical,
    /// No key here is for its algorithm.
    Algorithm,
    /// No key here is the one that it names.
    Key,
    /// The signature is not by the key.
    Signature,
    /// `exp` is in the past.
    Expired,
    /// `nbf` or `iat` is in the future.
    NotYetValid,
    /// `iss` is not the one expected.
    Issuer,
    /// `aud` is not the one expected.
    Audience,
    /// `sub` is no user id.
    Subject,
    /// Nothing can be said of it: the auth server has not published its keys yet.
    Unavailable,
}

impl TokenError {
    /// In the words of the answer.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::Type => "the token is of another type",
            Self::Critical => "the token has critical headers",
            Self::Algorithm => "the token's algorithm is not accepted",
            Self::Key => "the token names no one key of the auth server",
            Self::Signature => "the signature is not valid",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
            Self::Subject => "the token names no user: sub must be 1 to 255 characters without control characters",
            Self::Unavailable => "tokens cannot be verified: no key of the auth server could be had yet",
        }
    }
}

#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// A time is a NumericDate (RFC 7519, section 2): seconds since 1970, with or without a fraction.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Verifier {
    /// The user whom the token names.
    ///
    /// # Errors
    ///
    /// [`TokenError`] for the first rule that the token breaks.
    pub async fn verify(&self, token: &str) -> Result<User, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header: JoseHeader = decode(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let kind = header.typ.as_deref().unwrap_or("JWT");
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        if !["JWT", "at+jwt"].iter().any(|accepted| accepted.eq_ignore_ascii_case(kind)) {
            return Err(TokenError::Type);
        }
        let algorithm = header.alg.parse().map_err(|_| TokenError::Algorithm)?;
        let verify = |key: &Key| {
            if !key.signed(message, signature) {
                return Err(TokenError::Signature);
            }
            self.accept(decode(payload)?)
        };
        match (algorithm, &self.secret, &self.published) {
            (Algorithm::HS256, Some(secret), _) => Ok(verify(secret)?.user),
            (Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256, _, Some(published)) => {
                let id = header.kid.as_deref();
                let keys = published.keys_with(id).await?;
                // A signature by a public key costs twenty times what this look does.
                if let Some(verified) = keys.verified(token) {
                    return in_time(verified.expires).map(|()| verified.user);
                }
                let verified = verify(keys.find(id, algorithm)?)?;
                keys.remember(token, verified.clone());
                Ok(verified.user)
            }
            _ => Err(TokenError::Algorithm),
        }
    }

    fn accept(&self, claims: Claims) -> Result<Verified, TokenError> {
        let Claims { sub, exp, nbf, iat, iss, aud } = claims;
        in_time(exp)?;
        let now = now().as_secs_f64();
        if nbf.into_iter().chain(iat).any(|time| time > now + LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        if self.issuer.is_some() && self.issuer != iss {
            return Err(TokenError::Issuer);
        }
        if let Some(expected) = &self.audience {
            let meant = match aud {
                None => false,
                Some(Audience::One(aud)) => aud == *expected,
                Some(Audience::Many(aud)) => aud.contains(expected),
            };
            if !meant {
                return Err(TokenError::Audience);
            }
        }
        if sub.is_empty() || sub.chars().count() > SUBJECT_MAX || sub.chars().any(char::is_control) {
            return Err(TokenError::Subject);
        }
        Ok(Verified { user: User(sub.into()), expires: exp })
    }
}

fn in_time(exp: f64) -> Result<(), TokenError> {
    if exp <= now().as_secs_f64() - LEEWAY { Err(TokenError::Expired) } else { Ok(()) }
}

/// Signs a token for a user, as an auth server that shares the secret does.
///
/// # Errors
///
/// Where the cryptographic library fails.
pub fn sign(
    secret: &Secret,
    subject: &str,
    lifetime: Duration,
    issuer: Option<&str>,
    audience: Option<&str>,
) -> Result<String, jsonwebtoken::errors::Error> {
    #[derive(Serialize)]
    struct Issued<'a> {
        sub: &'a str,
        iat: u64,
        exp: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        iss: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aud: Option<&'a str>,
    }
    let now = now();
    let claims = Issued {
        sub: subject,
        iat: now.as_secs(),
        exp: now.saturating_add(lifetime).as_secs(),
        iss: issuer,
        aud: audience,
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    // serde would also take a list for a struct; both parts are objects (RFC 7515, section 4; RFC 7519, section 7.2).
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(TokenError::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

/// A claim that is there must have its type; `null` has none.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
