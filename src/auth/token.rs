//! Verifies JSON Web Tokens (RFC 7519) by the rules of RFC 8725.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

use super::{
    Jwks, Secret, User,
    key::{self, Key},
    verified::{Verified, VerifiedTokens},
};

/// Seconds by which the clocks of the auth server and of this server may differ.
const LEEWAY: f64 = 30.0;
/// Characters of a user id.
const SUBJECT_MAX: usize = 255;

/// Verifies tokens: HS256 with the secret, other algorithms with the published keys.
#[derive(Debug)]
pub struct Verifier {
    /// The secret shared with the auth server, and the tokens verified with it.
    secret: Option<(Key, VerifiedTokens)>,
    published: Option<Arc<Jwks>>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Why a token is rejected. An error names a claim only if the signature is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not three parts of base64url, two of them JSON objects.
    Malformed,
    /// It does not have this header or claim.
    Missing(&'static str),
    /// This header or claim breaks this rule.
    Wrong(&'static str, &'static str),
    /// It has critical headers, and the server supports none (RFC 7515, section 4.1.11).
    Critical,
    /// No key of the auth server has its `kid`.
    Key,
    /// Several keys of the auth server have its `kid`.
    SeveralKeys,
    /// The key with its `kid` is not for its algorithm.
    KeyAlgorithm,
    /// The signature does not match the key.
    Signature,
    /// `exp` is in the past.
    Expired,
    /// This claim is in the future.
    NotYetValid(&'static str),
    /// It cannot be verified: no fetch of the keys has succeeded yet.
    Unavailable,
}

/// The `detail` of the answer. It repeats no value of the token.
impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the token is malformed"),
            Self::Missing(name) => write!(f, "the token has no `{name}`"),
            Self::Wrong(name, rule) => write!(f, "`{name}` {rule}"),
            Self::Critical => f.write_str("the token has `crit`, and no critical header is supported"),
            Self::Key => f.write_str("the auth server publishes no key with the token's `kid`"),
            Self::SeveralKeys => f.write_str("the auth server publishes several keys with the token's `kid`"),
            Self::KeyAlgorithm => f.write_str("the auth server publishes no such key for the token's `alg`"),
            Self::Signature => f.write_str("the signature is not valid"),
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid(name) => write!(f, "the token is not valid yet: `{name}` is in the future"),
            Self::Unavailable => {
                f.write_str("tokens cannot be verified: the server has not received any key of the auth server yet")
            }
        }
    }
}

/// A member of the header or the payload, which may be missing.
type Member = Option<Sent>;

/// The value of a member. Only types that a rule needs are distinguished.
enum Sent {
    Text(String),
    Number(f64),
    Texts(Vec<String>),
    /// `null` and all other types.
    Other,
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentVisitor)
    }
}

struct SentVisitor;

impl<'de> Visitor<'de> for SentVisitor {
    type Value = Sent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Sent, E> {
        Ok(Sent::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Sent, E> {
        f64::deserialize(number.into_deserializer()).map(Sent::Number)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Sent, E> {
        f64::deserialize(number.into_deserializer()).map(Sent::Number)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Sent, E> {
        Ok(Sent::Number(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sent, A::Error> {
        let (mut texts, mut others) = (Vec::new(), false);
        while let Some(element) = list.next_element()? {
            match element {
                Sent::Text(text) => texts.push(text),
                _ => others = true,
            }
        }
        Ok(if others { Sent::Other } else { Sent::Texts(texts) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Sent, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Sent::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sent, E> {
        Ok(Sent::Other)
    }

    fn visit_unit<E>(self) -> Result<Sent, E> {
        Ok(Sent::Other)
    }
}

#[derive(Deserialize)]
struct JoseHeader {
    #[serde(default, deserialize_with = "present")]
    alg: Member,
    #[serde(default, deserialize_with = "present")]
    kid: Member,
    #[serde(default, deserialize_with = "present")]
    typ: Member,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    sub: Member,
    #[serde(default, deserialize_with = "present")]
    exp: Member,
    #[serde(default, deserialize_with = "present")]
    nbf: Member,
    #[serde(default, deserialize_with = "present")]
    iat: Member,
    #[serde(default, deserialize_with = "present")]
    iss: Member,
    #[serde(default, deserialize_with = "present")]
    aud: Member,
}

fn text(name: &'static str, member: Member) -> Result<Option<String>, TokenError> {
    match member {
        None => Ok(None),
        Some(Sent::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Wrong(name, "must be a string")),
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, with or without a fraction.
fn time(name: &'static str, member: &Member) -> Result<Option<f64>, TokenError> {
    match member {
        None => Ok(None),
        Some(Sent::Number(seconds)) => Ok(Some(*seconds)),
        Some(_) => Err(TokenError::Wrong(name, "must be a number")),
    }
}

/// Checks that the token is for this audience, alone or among others.
fn check_audience(member: Member, expected: Option<&String>) -> Result<(), TokenError> {
    let meant = match member {
        None => expected.map_or(Some(true), |_| None),
        Some(Sent::Text(audience)) => Some(expected.is_none_or(|expected| audience == *expected)),
        Some(Sent::Texts(audiences)) => Some(expected.is_none_or(|expected| audiences.contains(expected))),
        Some(_) => return Err(TokenError::Wrong("aud", "must be a string or a list of strings")),
    };
    match meant {
        Some(true) => Ok(()),
        Some(false) => Err(TokenError::Wrong("aud", "does not name the audience that this server expects")),
        None => Err(TokenError::Missing("aud")),
    }
}

impl Verifier {
    /// Verifies tokens with the secret shared with the auth server, and with the keys that it publishes. The tokens must
    /// have this `iss`, and this `aud`, alone or in a list; `None` means any.
    #[must_use]
    pub fn new(
        secret: Option<&Secret>,
        published: Option<Arc<Jwks>>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Self {
        let secret = secret.map(|secret| (Key::from(secret), VerifiedTokens::new()));
        Self { secret, published, issuer, audience }
    }

    /// Verifies a token, and returns its user.
    ///
    /// # Errors
    ///
    /// [`TokenError`] for the first rule that the token breaks.
    pub async fn verify(&self, token: &str) -> Result<User, TokenError> {
        if let Some(verified) = self.verified(token) {
            return in_time(verified.expires).map(|()| verified.user);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header: JoseHeader = decode(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let kind = text("typ", header.typ)?;
        let kind = kind.as_deref().unwrap_or("JWT");
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        if !["JWT", "at+jwt"].iter().any(|accepted| accepted.eq_ignore_ascii_case(kind)) {
            return Err(TokenError::Wrong("typ", "must be JWT or at+jwt, where it is present"));
        }
        let id = text("kid", header.kid)?;
        let algorithm = text("alg", header.alg)?.ok_or(TokenError::Missing("alg"))?;
        let refused = TokenError::Wrong("alg", "is not an algorithm that this server accepts");
        let algorithm = key::eddsa(&algorithm).parse().map_err(|_| refused)?;
        let verify = |key: &Key, tokens: &VerifiedTokens| {
            if !key.signed(message, signature) {
                return Err(TokenError::Signature);
            }
            let verified = self.accept(decode(payload)?)?;
            tokens.insert(token, verified.clone());
            Ok(verified.user)
        };
        match (algorithm, &self.secret, &self.published) {
            (Algorithm::HS256, Some((secret, tokens)), _) => verify(secret, tokens),
            (Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256, _, Some(published)) => {
                let id = id.as_deref();
                let keys = published.keys_with(id).await?;
                verify(keys.find(id, algorithm)?, &keys.verified)
            }
            _ => Err(refused),
        }
    }

    /// The claims of a token that was verified before, with keys that are still valid.
    fn verified(&self, token: &str) -> Option<Verified> {
        let secret = self.secret.as_ref().and_then(|(_, tokens)| tokens.get(token));
        secret.or_else(|| self.published.as_ref()?.current()?.verified.get(token))
    }

    fn accept(&self, claims: Claims) -> Result<Verified, TokenError> {
        let exp = time("exp", &claims.exp)?.ok_or(TokenError::Missing("exp"))?;
        let (nbf, iat) = (time("nbf", &claims.nbf)?, time("iat", &claims.iat)?);
        let iss = text("iss", claims.iss)?;
        let sub = text("sub", claims.sub)?.ok_or(TokenError::Missing("sub"))?;
        in_time(exp)?;
        let now = now().as_secs_f64();
        for (name, time) in [("nbf", nbf), ("iat", iat)] {
            if time.is_some_and(|time| time > now + LEEWAY) {
                return Err(TokenError::NotYetValid(name));
            }
        }
        if let Some(expected) = &self.issuer
            && iss.ok_or(TokenError::Missing("iss"))? != *expected
        {
            return Err(TokenError::Wrong("iss", "is not the issuer that this server expects"));
        }
        check_audience(claims.aud, self.audience.as_ref())?;
        check_subject(&sub).map_err(|rule| TokenError::Wrong("sub", rule))?;
        Ok(Verified { user: User(Arc::new(sub)), expires: exp })
    }
}

/// Checks that a `sub` can be the id of a user.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_subject(sub: &str) -> Result<(), &'static str> {
    if sub.is_empty() {
        return Err("must not be empty");
    }
    if sub.chars().count() > SUBJECT_MAX {
        return Err("must be at most 255 characters");
    }
    if sub.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(())
}

fn in_time(exp: f64) -> Result<(), TokenError> {
    if exp <= now().as_secs_f64() - LEEWAY { Err(TokenError::Expired) } else { Ok(()) }
}

/// Signs a token for a user with the shared secret.
///
/// # Errors
///
/// If the cryptographic library fails.
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

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    // Both parts must be objects (RFC 7515, section 4; RFC 7519, section 7.2).
    super::object(&json).ok_or(TokenError::Malformed)
}

/// Distinguishes a member that is `null` from a missing one.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
