//! Tokens, of a sign-in or of an attacker.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The shared secret of test servers.
pub const SECRET: &str = "0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+b";

/// A token of the user, valid for an hour.
pub fn token(user: &str) -> String {
    sign(&json!({ "sub": user, "exp": now() + 3600 }))
}

/// A token with these claims, signed with [`SECRET`].
pub fn sign(claims: &Value) -> String {
    SigningKey::secret(SECRET).token(claims)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// Base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs tokens with one algorithm.
#[derive(Debug)]
pub struct SigningKey {
    /// `alg`
    pub algorithm: &'static str,
    /// `kid`, if the key has one.
    pub id: Option<String>,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Secret(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
}

impl SigningKey {
    /// Signs with HS256, under any `alg`.
    pub fn secret(secret: impl AsRef<[u8]>) -> Self {
        let pair = Pair::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()).into());
        Self { algorithm: "HS256", id: None, pair }
    }

    /// A new key pair for a public-key algorithm.
    pub fn generate(algorithm: &'static str, id: &str) -> Self {
        let rsa = || Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let pair = match algorithm {
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            "ES256" => Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "RS256" => Pair::Rsa(rsa(), &RSA_PKCS1_SHA256),
            "PS256" => Pair::Rsa(rsa(), &RSA_PSS_SHA256),
            _ => panic!("no key for {algorithm}"),
        };
        Self { algorithm, id: Some(id.to_owned()), pair }
    }

    /// The bytes of the public key, in the usual form of its type.
    pub fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Secret(_) => panic!("a secret has no public part"),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
        }
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        let public = self.public();
        let mut jwk = match &self.pair {
            Pair::Secret(_) => unreachable!("public() has failed"),
            Pair::Ed25519(_) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public) }),
            // An uncompressed point: 4, x, y.
            Pair::P256(_) => {
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&public[1..33]), "y": encode(&public[33..]) })
            }
            // DER of a modulus of 2048 bits with a zero before it, and of the exponent 65537.
            Pair::Rsa(..) => json!({ "kty": "RSA", "n": encode(&public[9..265]), "e": "AQAB" }),
        };
        jwk["alg"] = self.algorithm.into();
        jwk["kid"] = self.id.clone().into();
        jwk
    }

    /// The header of a token by this key.
    pub fn header(&self) -> Value {
        let mut header = json!({ "alg": self.algorithm });
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        header
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.raw(&self.header().to_string(), claims.to_string())
    }

    /// A token with any header and payload, and a matching signature.
    pub fn raw(&self, header: &str, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        format!("{message}.{}", encode(self.signature(message.as_bytes())))
    }

    /// The signature of a message.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}
