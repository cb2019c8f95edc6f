//! The keys of the auth server: which ones the server uses, and for which tokens.

use api_tests::{Answer, Database, Issuer, Reply, Server, SigningKey, now, sign};
use serde_json::{Value, json};

pub(super) fn key(id: &str) -> SigningKey {
    SigningKey::generate("EdDSA", id)
}

/// A server with the keys of this issuer, and without a secret.
pub(super) fn server(issuer: &Issuer, environment: &[(&str, &str)]) -> Server {
    let own = [("BETTER_AUTH_SECRET", ""), ("BETTER_AUTH_URL", issuer.url())];
    Server::with(Database::Sqlite, &[&own, environment].concat())
}

pub(super) fn ask(server: &Server, token: &str) -> Answer {
    server.stranger().with_token(token).get("/api/tasks")
}

#[test]
fn a_token_by_a_published_key_is_accepted_without_a_secret() {
    let keys = ["EdDSA", "ES256", "RS256", "PS256"].map(|name| SigningKey::generate(name, name));
    let issuer = Issuer::start(Reply::keys(&keys));
    let server = server(&issuer, &[]);
    for key in &keys {
        let claims = issuer.claims("alice");
        assert_eq!(ask(&server, &key.token(&claims)).status, 200, "{}", key.algorithm);
        let without_id = key.raw(&json!({ "alg": key.algorithm }).to_string(), claims.to_string());
        assert_eq!(ask(&server, &without_id).status, 200, "{}, the only one of its kind", key.algorithm);
    }
    assert_eq!(ask(&server, &sign(&issuer.claims("alice"))).problem(), "401 token_invalid", "there is no secret");
    assert_eq!(issuer.requests(), 1);
}

/// RFC 9864 added a second name for `EdDSA` with Ed25519.
#[test]
fn ed25519_is_another_name_for_eddsa() {
    let key = key("1");
    for (published, claimed, status) in [
        ("EdDSA", "Ed25519", 200),
        ("Ed25519", "EdDSA", 200),
        ("Ed25519", "Ed25519", 200),
        ("Ed448", "Ed448", 401),
        ("Ed25519", "Ed448", 401),
        ("ed25519", "ed25519", 401),
    ] {
        let mut jwk = key.jwk();
        jwk["alg"] = published.into();
        let spare = SigningKey::generate("ES256", "spare").jwk();
        let issuer = Issuer::start(Reply::json(&json!({ "keys": [jwk, spare] })));
        let header = json!({ "alg": claimed, "kid": "1" }).to_string();
        let token = key.raw(&header, issuer.claims("alice").to_string());
        assert_eq!(ask(&server(&issuer, &[]), &token).status, status, "{published} {claimed}");
    }
}

/// Better Auth's rule: a path in the base URL is the base path, and `/api/auth` is only the default.
#[test]
fn the_keys_are_at_better_auths_address_and_the_log_has_it() {
    let key = key("1");
    for (base, target) in [
        ("", "/api/auth/jwks"),
        ("/", "/api/auth/jwks"),
        ("//", "/api/auth/jwks"),
        ("/api/auth", "/api/auth/jwks"),
        ("/api/auth//", "/api/auth/jwks"),
        ("/auth", "/auth/jwks"),
        ("/auth/", "/auth/jwks"),
        ("/app/api/auth", "/app/api/auth/jwks"),
        ("/a%20b", "/a%20b/jwks"),
    ] {
        let issuer = Issuer::start(Reply::keys([&key]));
        let server = server(&issuer, &[("BETTER_AUTH_URL", &format!("{}{base}", issuer.url()))]);
        assert_eq!(ask(&server, &key.token(&issuer.claims("alice"))).status, 200, "{base}");
        assert_eq!(issuer.targets(), [target], "{base}");
        let url = format!("{}{target}", issuer.url());
        server.wait_for_log(|line| (line["url"] == url.as_str()).then_some(()));
    }
}

#[test]
fn the_log_names_the_address_of_the_keys_once_and_without_its_query() {
    let key = key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    let address = format!("{}/keys.json", issuer.url());
    let environment =
        [("BETTER_AUTH_URL", ""), ("AUTH_JWKS_URL", &format!("{address}?key=QUERY-TEXT")), ("AUTH_JWKS_REFRESH", "1s")];
    let server = server(&issuer, &environment);
    issuer.wait_for_more_than(2);
    assert_eq!(issuer.targets()[0], "/keys.json?key=QUERY-TEXT");
    let log = server.log();
    assert_eq!(log.iter().filter(|line| line.contains(&format!("\"url\":\"{address}\""))).count(), 1, "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("QUERY-TEXT")), "{log:#?}");
}

#[test]
fn a_published_key_is_used_only_as_its_jwk_declares() {
    let key = key("1");
    let rsa = SigningKey::generate("RS256", "1");
    let with = |key: &SigningKey, changes: Value| {
        let mut jwk = key.jwk();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    let without = |key: &SigningKey, name: &str| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    };
    let spare = SigningKey::generate("ES256", "spare").jwk();
    for (what, key, jwk, status) in [
        ("for signatures", &key, with(&key, json!({ "use": "sig", "key_ops": ["verify"] })), 200),
        ("of no algorithm", &key, without(&key, "alg"), 200),
        ("of no algorithm", &rsa, without(&rsa, "alg"), 200),
        (
            "with members that nobody knows",
            &key,
            with(&key, json!({ "x": key.jwk()["x"], "y2": [], "ext": true })),
            200,
        ),
        ("for encryption", &key, with(&key, json!({ "use": "enc" })), 401),
        ("for deriving", &key, with(&key, json!({ "key_ops": ["deriveKey"] })), 401),
        ("of another curve", &key, with(&key, json!({ "crv": "Ed448" })), 401),
        ("of another algorithm", &key, with(&key, json!({ "alg": "ES256" })), 401),
        ("of another algorithm", &rsa, with(&rsa, json!({ "alg": "RS512" })), 401),
        ("of another algorithm", &rsa, with(&rsa, json!({ "alg": "RSA-OAEP" })), 401),
        ("of another algorithm of its type", &rsa, with(&rsa, json!({ "alg": "PS256" })), 401),
        ("of no type", &key, without(&key, "kty"), 401),
        ("that is cut", &key, with(&key, json!({ "x": "AAAA" })), 401),
        ("that is no base64", &key, with(&key, json!({ "x": "%%%%" })), 401),
    ] {
        // An unknown key beside a usable one does no harm.
        let issuer = Issuer::start(Reply::json(&json!({ "keys": [jwk, spare] })));
        let server = server(&issuer, &[]);
        assert_eq!(ask(&server, &key.token(&issuer.claims("alice"))).status, status, "a key {what}: {jwk}");
    }
    // A secret must not be published.
    let jwk = json!({ "kty": "oct", "k": api_tests::encode(api_tests::SECRET), "alg": "HS256", "kid": "1" });
    let issuer = Issuer::start(Reply::json(&json!({ "keys": [jwk, spare] })));
    let token =
        SigningKey::secret(api_tests::SECRET).raw(r#"{"alg":"HS256","kid":"1"}"#, issuer.claims("a").to_string());
    assert_eq!(ask(&server(&issuer, &[]), &token).problem(), "401 token_invalid");
}

#[test]
fn a_token_without_kid_is_rejected_if_two_keys_are_possible() {
    let (one, two) = (key("1"), key("2"));
    let issuer = Issuer::start(Reply::keys([&one, &two]));
    let server = server(&issuer, &[]);
    for (header, detail) in [
        (json!({}), "the token has no `kid`"),
        (json!({ "kid": "3" }), "the auth server publishes no key with the token's `kid`"),
        (json!({ "kid": "1", "alg": "ES256" }), "the auth server publishes no such key for the token's `alg`"),
        (json!({ "alg": "HS256" }), "`alg` is not an algorithm that this server accepts"),
        (json!({ "alg": "none" }), "`alg` is not an algorithm that this server accepts"),
    ] {
        let mut whole = json!({ "alg": "EdDSA" });
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let answer = ask(&server, &one.raw(&whole.to_string(), issuer.claims("alice").to_string()));
        assert_eq!((answer.problem().as_str(), answer.json()["detail"].as_str()), ("401 token_invalid", Some(detail)));
    }
}

#[test]
fn issuer_and_audience_are_the_origin_unless_they_are_configured() {
    let key = key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    let (url, port) = (issuer.url().to_owned(), issuer.url().rsplit_once(':').unwrap().1);
    let spelled = format!("HTTP://LocalHost:{port}/api/auth/");
    let jwks = format!("{url}/elsewhere.json?v=1");
    for (environment, iss, aud) in [
        (vec![("BETTER_AUTH_URL", spelled.as_str())], url.as_str(), url.as_str()),
        (vec![("BETTER_AUTH_URL", ""), ("AUTH_JWKS_URL", &jwks)], &url, &url),
        (
            vec![("BETTER_AUTH_URL", "https://app.example:443/x"), ("AUTH_JWKS_URL", &jwks)],
            "https://app.example",
            "https://app.example",
        ),
        (vec![("AUTH_ISSUER", "me"), ("AUTH_AUDIENCE", "you")], "me", "you"),
        (vec![("AUTH_AUDIENCE", "you"), ("BETTER_AUTH_SECRET", api_tests::SECRET)], &url, "you"),
    ] {
        let server = server(&issuer, &environment);
        let mut signers = vec![&key];
        let secret = SigningKey::secret(api_tests::SECRET);
        if environment.iter().any(|(name, _)| *name == "BETTER_AUTH_SECRET") {
            signers.push(&secret);
        }
        for signer in signers {
            for (claims, status) in [
                (json!({ "iss": iss, "aud": aud }), 200),
                (json!({ "iss": iss, "aud": ["x", aud] }), 200),
                (json!({ "iss": iss }), 401),
                (json!({ "aud": aud }), 401),
                (json!({ "iss": "x", "aud": aud }), 401),
                (json!({ "iss": iss, "aud": "x" }), 401),
            ] {
                let mut claims = claims;
                claims["sub"] = "alice".into();
                claims["exp"] = (now() + 60).into();
                assert_eq!(ask(&server, &signer.token(&claims)).status, status, "{environment:?} {claims}");
            }
        }
    }
}
