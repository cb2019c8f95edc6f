//! Tokens that must be rejected, for each supported algorithm (RFC 8725).

use std::time::Instant;

use api_tests::{Database, Issuer, Reply, SECRET, Server, SigningKey, encode, now};
use serde_json::{Map, Value, json};

/// The knowledge of an attacker: everything except the private keys and the secret. The tests also sign with these, to
/// show that each rule works by itself.
struct Attack<'a> {
    key: &'a SigningKey,
    others: Vec<&'a SigningKey>,
    issuer: &'a Issuer,
}

impl Attack<'_> {
    fn claims(&self) -> Value {
        self.issuer.claims("alice")
    }

    /// A token with changed claims; null removes one.
    fn claiming(&self, changes: &Value) -> String {
        self.key.token(&changed(self.claims(), changes))
    }

    /// A token with a changed header; null removes a member.
    fn heading(&self, changes: &Value) -> String {
        self.key.raw(&changed(self.key.header(), changes).to_string(), self.claims().to_string())
    }

    /// A token with any payload.
    fn saying(&self, payload: impl AsRef<[u8]>) -> String {
        self.key.raw(&self.key.header().to_string(), payload)
    }

    /// A token with a valid header and payload, and any signature.
    fn signed(&self, signature: &[u8]) -> String {
        let token = self.key.token(&self.claims());
        format!("{}.{}", token.rsplit_once('.').unwrap().0, encode(signature))
    }

    /// A token by another key, with the header of this one.
    fn forged(&self, by: &SigningKey) -> String {
        by.raw(&self.key.header().to_string(), self.claims().to_string())
    }

    fn forms(&self) -> Vec<(&'static str, String)> {
        let good = self.key.token(&self.claims());
        let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let exp = now() + 3600;
        let text = self.key.header().to_string();
        vec![
            ("no parts", "x".to_owned()),
            ("two parts", format!("{header}.{payload}")),
            ("four parts", format!("{good}.x")),
            ("five parts, as an encrypted token has", format!("{good}.x.x")),
            ("empty parts", "..".to_owned()),
            ("a dot before", format!(".{good}")),
            ("no header", format!(".{payload}.{signature}")),
            ("no payload", format!("{header}..{signature}")),
            ("padded base64", format!("{good}=")),
            ("standard base64", format!("{header}.{payload}.+/{signature}")),
            ("a percent sign in base64", format!("{header}.{payload}%0A.{signature}")),
            ("a header that is no JSON", self.key.raw("x", self.claims().to_string())),
            ("a header that is a list", self.key.raw("[]", self.claims().to_string())),
            ("a header that is a list of values", self.key.raw("[\"HS256\"]", self.claims().to_string())),
            ("a header with something behind it", self.key.raw(&format!("{text}x"), self.claims().to_string())),
            ("a payload that is a list of values", self.saying(format!("[\"alice\",{exp}]"))),
            ("a payload that is no JSON", self.saying("x")),
            ("a payload that is a text", self.saying("\"alice\"")),
            ("a payload that is null", self.saying("null")),
            ("a payload that is a token, as a nested one is", self.saying(&good)),
            ("a payload that is invalid UTF-8", self.saying([0xff])),
            ("a sub that is invalid UTF-8", {
                let claims = self.claims().to_string().into_bytes();
                self.saying(claims.iter().map(|byte| if *byte == b'c' { 0xff } else { *byte }).collect::<Vec<_>>())
            }),
        ]
    }

    fn signatures(&self) -> Vec<(&'static str, String)> {
        let good = self.key.token(&self.claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = message.split_once('.').unwrap();
        let own = self.key.signature(message.as_bytes());
        let flipped = |at: usize| {
            let mut signature = own.clone();
            signature[at] ^= 1;
            self.signed(&signature)
        };
        let longer = [own.as_slice(), &[0]].concat();
        let later = [&[0], own.as_slice()].concat();
        let bob = encode(self.issuer.claims("bob").to_string());
        let stranger = SigningKey::generate("EdDSA", "stranger");
        let mut tokens = vec![
            ("no signature", format!("{message}.")),
            ("a changed header", {
                let header = changed(self.key.header(), &json!({ "x": 1 })).to_string();
                format!("{}.{payload}.{signature}", encode(header))
            }),
            ("a changed payload", format!("{header}.{bob}.{signature}")),
            ("the first bit of the signature changed", flipped(0)),
            ("the last bit of the signature changed", flipped(own.len() - 1)),
            ("half a signature", self.signed(&own[..own.len() / 2])),
            ("a byte behind the signature", self.signed(&longer)),
            ("a byte before the signature", self.signed(&later)),
            ("all zeros", self.signed(&vec![0; own.len()])),
            ("all ones", self.signed(&vec![0xff; own.len()])),
            ("the signature of another token", {
                let other = self.key.token(&self.issuer.claims("bob"));
                format!("{message}.{}", other.rsplit_once('.').unwrap().1)
            }),
            ("the signature over the payload alone", self.signed(&self.key.signature(payload.as_bytes()))),
            ("another secret", self.forged(&SigningKey::secret("another secret of enough bytes, yes"))),
            ("the empty secret", self.forged(&SigningKey::secret(""))),
            ("a key of the attacker's", self.forged(&stranger)),
            ("a key of the attacker's in jwk", {
                let header = changed(self.key.header(), &json!({ "jwk": stranger.jwk() })).to_string();
                stranger.raw(&header, self.claims().to_string())
            }),
            ("a key of the attacker's at jku", {
                let header = json!({ "alg": "EdDSA", "kid": "stranger", "jku": "http://127.0.0.1:9/jwks" }).to_string();
                stranger.raw(&header, self.claims().to_string())
            }),
            ("a key of the attacker's at x5u", {
                let header = json!({ "alg": "EdDSA", "kid": "stranger", "x5u": "http://127.0.0.1:9/x" }).to_string();
                stranger.raw(&header, self.claims().to_string())
            }),
            ("a key of the attacker's in x5c", {
                let header =
                    json!({ "alg": "EdDSA", "kid": "stranger", "x5c": [encode(stranger.public())] }).to_string();
                stranger.raw(&header, self.claims().to_string())
            }),
        ];
        // A verifier that trusts the token's algorithm would use the public key as a secret.
        for other in self.others.iter().filter(|other| other.algorithm != "HS256") {
            let jwk = other.jwk();
            let hmac = |bytes: &[u8]| {
                let header = json!({ "alg": "HS256", "kid": other.id, "typ": "JWT" }).to_string();
                SigningKey::secret(bytes).raw(&header, self.claims().to_string())
            };
            let coordinate = jwk.get("x").or(jwk.get("n")).unwrap().as_str().unwrap();
            tokens.push(("the bytes of a public key as the secret", hmac(other.public())));
            tokens.push(("the text of a public key as the secret", hmac(coordinate.as_bytes())));
            tokens.push(("the JWK of a public key as the secret", hmac(jwk.to_string().as_bytes())));
            tokens.push(("the id of a public key as the secret", hmac(other.id.as_deref().unwrap().as_bytes())));
        }
        for other in &self.others {
            tokens.push(("another key of the server's under this one's name", self.forged(other)));
        }
        tokens
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let own = self.key.algorithm;
        let text = self.key.header().to_string();
        let raw = |header: String| self.key.raw(&header, self.claims().to_string());
        let none = |name: &str| {
            let token = self.heading(&json!({ "alg": name }));
            format!("{}.", token.rsplit_once('.').unwrap().0)
        };
        let mut tokens = vec![
            ("alg none", none("none")),
            ("alg None", none("None")),
            ("alg nOnE", none("nOnE")),
            ("alg NONE with a signature", self.heading(&json!({ "alg": "NONE" }))),
            ("an empty alg", self.heading(&json!({ "alg": "" }))),
            ("alg with a blank", self.heading(&json!({ "alg": format!("{own} ") }))),
            ("alg in lower case", self.heading(&json!({ "alg": own.to_lowercase() }))),
            ("alg is a list", self.heading(&json!({ "alg": [own] }))),
            ("alg is a number", self.heading(&json!({ "alg": 1 }))),
            ("alg is null", raw(text.replace(&format!("\"{own}\""), "null"))),
            ("no alg", self.heading(&json!({ "alg": null }))),
            ("two algs", raw(text.replacen('{', "{\"alg\":\"none\",", 1))),
            ("crit", self.heading(&json!({ "crit": ["exp"] }))),
            ("crit with an unknown extension", self.heading(&json!({ "crit": ["x"], "x": 1 }))),
            ("an empty crit", self.heading(&json!({ "crit": [] }))),
            ("a null crit", raw(text.replacen('{', "{\"crit\":null,", 1))),
            ("an unencoded payload", self.heading(&json!({ "crit": ["b64"], "b64": false }))),
            ("an encrypted token's headers", self.heading(&json!({ "alg": "dir", "enc": "A256GCM" }))),
            ("Better Auth's cookie cache", self.heading(&json!({ "typ": "better-auth.session-cache+jwt" }))),
            ("a type of another protocol", self.heading(&json!({ "typ": "dpop+jwt" }))),
            ("an id token's type", self.heading(&json!({ "typ": "id_token+jwt" }))),
            ("a logout token's type", self.heading(&json!({ "typ": "logout+jwt" }))),
            ("an empty type", self.heading(&json!({ "typ": "" }))),
            ("a type that is no text", self.heading(&json!({ "typ": 1 }))),
            ("a null type", raw(text.replacen('{', "{\"typ\":null,", 1))),
            ("a kid that is a number", self.heading(&json!({ "kid": 1 }))),
            ("a kid that is a list", self.heading(&json!({ "kid": ["1"] }))),
            ("a null kid", self.key.raw(&format!("{{\"alg\":\"{own}\",\"kid\":null}}"), self.claims().to_string())),
        ];
        for name in ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES256K"]
            .into_iter()
            .chain(["ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "RSA1_5", "A128KW"])
            .filter(|name| *name != own && !(*name == "Ed25519" && own == "EdDSA"))
        {
            tokens.push(("another alg", self.heading(&json!({ "alg": name }))));
        }
        // The secret has no `kid`, so the server ignores the token's.
        if self.key.id.is_some() {
            for id in ["", "unknown", "../../dev/null", "' OR 1=1 --", "http://127.0.0.1:9/", "\0", &"x".repeat(5000)] {
                tokens.push(("a kid of no key", self.heading(&json!({ "kid": id }))));
            }
            for other in self.others.iter().filter_map(|other| other.id.as_deref()) {
                tokens.push(("the kid of another key", self.heading(&json!({ "kid": other }))));
            }
        }
        tokens
    }

    fn claimed(&self) -> Vec<(&'static str, String)> {
        let exp = now() + 3600;
        let url = self.issuer.url();
        let claims = self.claims().to_string();
        let with = |member: &str| self.saying(claims.replacen('{', &format!("{{{member},"), 1));
        let claiming = |changes: Value| self.claiming(&changes);
        vec![
            ("expired", claiming(json!({ "exp": now() - 31 }))),
            ("expired long ago", claiming(json!({ "exp": 0 }))),
            ("expired before 1970", claiming(json!({ "exp": -1 }))),
            ("no exp", claiming(json!({ "exp": null }))),
            ("a null exp", self.saying(json!({ "sub": "alice", "iss": url, "aud": url, "exp": null }).to_string())),
            ("exp as text", claiming(json!({ "exp": exp.to_string() }))),
            ("exp as a truth", claiming(json!({ "exp": true }))),
            ("exp as a list", claiming(json!({ "exp": [exp] }))),
            ("exp out of all range", self.saying(claims.replacen("\"exp\":", "\"exp\":1e999,\"x\":", 1))),
            ("two exps", with(&format!("\"exp\":{exp}"))),
            ("nbf in the future", claiming(json!({ "nbf": now() + 3600 }))),
            ("nbf as text", claiming(json!({ "nbf": "0" }))),
            ("a null nbf", with("\"nbf\":null")),
            ("iat in the future", claiming(json!({ "iat": now() + 3600 }))),
            ("a null iat", with("\"iat\":null")),
            ("no sub", claiming(json!({ "sub": null }))),
            ("a null sub", self.saying(json!({ "sub": null, "iss": url, "aud": url, "exp": exp }).to_string())),
            ("an empty sub", claiming(json!({ "sub": "" }))),
            ("a sub that is a number", claiming(json!({ "sub": 1 }))),
            ("a sub that is a list", claiming(json!({ "sub": ["alice"] }))),
            ("a sub that is an object", claiming(json!({ "sub": { "id": "alice" } }))),
            ("a sub that is too long", claiming(json!({ "sub": "x".repeat(256) }))),
            ("a sub with U+0000", claiming(json!({ "sub": "ali\0ce" }))),
            ("a sub with a line break", claiming(json!({ "sub": "alice\n" }))),
            ("a sub with U+0085", claiming(json!({ "sub": "alice\u{85}" }))),
            ("two subs", with("\"sub\":\"bob\"")),
            ("no iss", claiming(json!({ "iss": null }))),
            ("another iss", claiming(json!({ "iss": "https://evil.example" }))),
            ("iss with a slash", claiming(json!({ "iss": format!("{url}/") }))),
            ("iss with more behind it", claiming(json!({ "iss": format!("{url}.evil.example") }))),
            ("iss in other case", claiming(json!({ "iss": url.to_uppercase() }))),
            ("iss as a list", claiming(json!({ "iss": [url] }))),
            ("no aud", claiming(json!({ "aud": null }))),
            ("another aud", claiming(json!({ "aud": "https://evil.example" }))),
            ("an empty list of auds", claiming(json!({ "aud": [] }))),
            ("a list of other auds", claiming(json!({ "aud": ["x", "y"] }))),
            ("aud as an object", claiming(json!({ "aud": { "0": url } }))),
            ("a list with an aud that is no text", claiming(json!({ "aud": [url, 1] }))),
        ]
    }
}

fn changed(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flat_map(Map::iter) {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

#[test]
fn a_hostile_token_of_any_algorithm_is_rejected_with_a_challenge() {
    let published = ["EdDSA", "ES256", "RS256", "PS256"].map(|name| SigningKey::generate(name, &format!("key-{name}")));
    let issuer = Issuer::start(Reply::keys(&published));
    let server = Server::with(Database::Sqlite, &[("BETTER_AUTH_URL", issuer.url())]);
    let client = server.stranger();
    let secret = SigningKey::secret(SECRET);
    let keys: Vec<_> = published.iter().chain([&secret]).collect();
    let since = Instant::now();
    for key in &keys {
        let others = keys.iter().filter(|other| other.algorithm != key.algorithm).copied().collect();
        let attack = Attack { key, others, issuer: &issuer };
        let tokens = [attack.forms(), attack.signatures(), attack.headers(), attack.claimed()].concat();
        assert!(tokens.len() >= 60, "{} tokens", tokens.len());
        let good = key.token(&attack.claims());
        for (what, token) in tokens {
            let what = format!("{what}, {}", key.algorithm);
            let answer = client.with_token(&token).get("/api/tasks");
            let code = if what.starts_with("expired") { "401 token_expired" } else { "401 token_invalid" };
            assert_eq!(answer.problem(), code, "{what}: {token}");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""),
                "{what}: {challenge}"
            );
        }
        assert_eq!(client.with_token(&good).get("/api/tasks").status, 200, "{}", key.algorithm);
    }
    // One at the start, a burst of four, and one in 15 seconds.
    let due = 6 + usize::try_from(since.elapsed().as_secs() / 15).unwrap();
    assert!(issuer.requests() <= due, "hostile tokens made the server fetch keys {} times", issuer.requests());
}
