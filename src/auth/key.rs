//! The keys that verify tokens.

use std::{fmt, ops::RangeInclusive};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};

/// Minimum size of a secret: that of the hash (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// Beginnings of well-known secrets, in lower case: Better Auth's default, and placeholders of examples.
const PLACEHOLDERS: [&str; 7] =
    ["better-auth-secret", "your-", "your_", "change-me", "changeme", "replace-", "secret-secret"];

/// A secret shared with the auth server. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSecret(pub &'static str);

impl Secret {
    /// # Errors
    ///
    /// [`InvalidSecret`] for a secret that could be guessed.
    pub fn new(secret: String) -> Result<Self, InvalidSecret> {
        let lower = secret.to_lowercase();
        if secret.len() < SECRET_BYTES {
            return Err(InvalidSecret("is shorter than 32 bytes"));
        }
        // Docker keeps the quotes of its files.
        let bare = lower.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        if PLACEHOLDERS.iter().any(|placeholder| bare.starts_with(placeholder)) {
            return Err(InvalidSecret("is a placeholder that everybody knows"));
        }
        let mut bytes = secret.clone().into_bytes();
        bytes.sort_unstable();
        bytes.dedup();
        if bytes.len() < 8 {
            return Err(InvalidSecret("repeats a few characters"));
        }
        Ok(Self(secret))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A key for one algorithm (RFC 8725, section 3.1).
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    kind: Kind,
}

enum Kind {
    /// Prepared once: jsonwebtoken would prepare it again for each token, which takes as long as the verification.
    Secret(Box<hmac::Key>),
    Public(DecodingKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl From<&Secret> for Key {
    fn from(secret: &Secret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { algorithm: Algorithm::HS256, kind: Kind::Secret(Box::new(key)) }
    }
}

/// The name of an algorithm for jsonwebtoken, which does not know RFC 9864's name for `EdDSA` with Ed25519.
pub(super) fn eddsa(algorithm: &str) -> &str {
    if algorithm == "Ed25519" { "EdDSA" } else { algorithm }
}

/// Base64url characters of 256 bits, and of supported RSA moduli (RFC 7518, section 3.3).
const BASE64_256: usize = 43;
const BASE64_2048_TO_8192: RangeInclusive<usize> = 342..=1366;

impl Key {
    /// A published key, for the algorithm in its JWK or, if it has none, for that of its type. `None` if it is for
    /// another use or an unsupported algorithm.
    pub(super) fn published(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let usable = common.public_key_use.as_ref().is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let algorithm = match (&jwk.algorithm, common.key_algorithm) {
            (AlgorithmParameters::OctetKeyPair(pair), None | Some(KeyAlgorithm::EdDSA))
                if pair.curve == EllipticCurve::Ed25519 && pair.x.len() == BASE64_256 =>
            {
                Algorithm::EdDSA
            }
            (AlgorithmParameters::EllipticCurve(point), None | Some(KeyAlgorithm::ES256))
                if point.curve == EllipticCurve::P256 && [&point.x, &point.y].iter().all(|c| c.len() == BASE64_256) =>
            {
                Algorithm::ES256
            }
            (AlgorithmParameters::RSA(rsa), algorithm) if BASE64_2048_TO_8192.contains(&rsa.n.len()) => match algorithm
            {
                None | Some(KeyAlgorithm::RS256) => Algorithm::RS256,
                Some(KeyAlgorithm::PS256) => Algorithm::PS256,
                Some(_) => return None,
            },
            _ => return None,
        };
        let kind = Kind::Public(DecodingKey::from_jwk(jwk).ok()?);
        usable.then_some(Self { algorithm, kind })
    }

    /// Whether this key has signed the message.
    pub(super) fn signed(&self, message: &str, signature: &str) -> bool {
        let message = message.as_bytes();
        match &self.kind {
            Kind::Secret(key) => BASE64_URL_SAFE_NO_PAD
                .decode(signature)
                .is_ok_and(|signature| hmac::verify(key, message, &signature).is_ok()),
            Kind::Public(key) => {
                matches!(jsonwebtoken::crypto::verify(signature, message, key, self.algorithm), Ok(true))
            }
        }
    }
}
