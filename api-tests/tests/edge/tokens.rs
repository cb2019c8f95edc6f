use std::time::{SystemTime, UNIX_EPOCH};

use api_tests::{Answer, Client, Database, Document, Method, SECRET, Server, sign, token};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn ask(client: &Client, token: &str) -> Answer {
    client.with_token(token).get("/api/tasks")
}

/// Base64url without padding.
fn encode(part: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(part)
}

/// A token with any header and payload, signed with HMAC over whatever they are.
fn raw(header: &str, payload: &str, secret: &str, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn with_header(header: &str) -> String {
    raw(header, &json!({ "sub": "alice", "exp": now() + 60 }).to_string(), SECRET, Algorithm::HS256)
}

fn with_payload(payload: &str) -> String {
    raw(r#"{"alg":"HS256"}"#, payload, SECRET, Algorithm::HS256)
}

#[test]
fn a_hostile_token_is_refused_with_a_challenge() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let exp = now() + 60;
    let good = token("alice");
    let parts: Vec<&str> = good.split('.').collect();
    let flipped = |part: &str| {
        let (head, last) = part.split_at(part.len() - 2);
        format!("{head}{}", if last == "AA" { "BA" } else { "AA" })
    };
    let hs = |algorithm| {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &json!({ "sub": "alice", "exp": exp }), &key).unwrap()
    };
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), parts[1]);
    let tokens = [
        // The form.
        ("no parts", "x".to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("five parts, as an encrypted token has", format!("{good}.x.x")),
        ("empty parts", "..".to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("padded base64", format!("{good}=")),
        ("standard base64", format!("{}.{}.+/{}", parts[0], parts[1], parts[2])),
        ("a header that is no JSON", format!("{}.{}.{}", encode("x"), parts[1], parts[2])),
        ("a header that is a list", with_header("[]")),
        ("a header that is a list of the right values", with_header(r#"["HS256"]"#)),
        ("a payload that is a list of the right values", with_payload(&format!("[\"alice\",{exp}]"))),
        ("a payload that is no JSON", with_payload("x")),
        ("a payload that is a text", with_payload("\"alice\"")),
        ("a payload that is invalid UTF-8", format!("{}._w.{}", parts[0], parts[2])),
        // The signature.
        ("a changed header", format!("{}.{}.{}", encode(r#"{"alg":"HS256","x":1}"#), parts[1], parts[2])),
        (
            "a changed payload",
            format!("{}.{}.{}", parts[0], encode(&json!({ "sub": "bob", "exp": exp }).to_string()), parts[2]),
        ),
        ("a changed signature", format!("{}.{}.{}", parts[0], parts[1], flipped(parts[2]))),
        ("a cut signature", format!("{}.{}.{}", parts[0], parts[1], &parts[2][..20])),
        (
            "another secret",
            raw(
                r#"{"alg":"HS256"}"#,
                &json!({ "sub": "alice", "exp": exp }).to_string(),
                "another secret of enough bytes, yes",
                Algorithm::HS256,
            ),
        ),
        (
            "the empty secret",
            raw(r#"{"alg":"HS256"}"#, &json!({ "sub": "alice", "exp": exp }).to_string(), "", Algorithm::HS256),
        ),
        // The algorithm.
        ("alg none", unsigned.clone()),
        ("alg None", unsigned.replace(&encode(r#"{"alg":"none"}"#), &encode(r#"{"alg":"None"}"#))),
        ("alg NONE with a signature", with_header(r#"{"alg":"NONE"}"#)),
        ("alg HS384", hs(Algorithm::HS384)),
        ("alg HS512", hs(Algorithm::HS512)),
        ("alg HS384 declared, HS256 used", with_header(r#"{"alg":"HS384"}"#)),
        ("alg RS256 over the secret", with_header(r#"{"alg":"RS256"}"#)),
        ("alg EdDSA over the secret", with_header(r#"{"alg":"EdDSA"}"#)),
        ("alg hs256", with_header(r#"{"alg":"hs256"}"#)),
        ("alg is a list", with_header(r#"{"alg":["HS256"]}"#)),
        ("alg is null", with_header(r#"{"alg":null}"#)),
        ("no alg", with_header(r#"{"typ":"JWT"}"#)),
        ("two algs", with_header(r#"{"alg":"HS256","alg":"none"}"#)),
        // Other headers.
        ("crit", with_header(r#"{"alg":"HS256","crit":["exp"]}"#)),
        ("crit with an unknown extension", with_header(r#"{"alg":"HS256","crit":["x"],"x":1}"#)),
        ("an empty crit", with_header(r#"{"alg":"HS256","crit":[]}"#)),
        ("a null crit", with_header(r#"{"alg":"HS256","crit":null}"#)),
        ("unencoded payload", with_header(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#)),
        ("Better Auth's cookie cache", with_header(r#"{"alg":"HS256","typ":"better-auth.session-cache+jwt"}"#)),
        ("another type", with_header(r#"{"alg":"HS256","typ":"dpop+jwt"}"#)),
        ("an id token's type", with_header(r#"{"alg":"HS256","typ":"id_token+jwt"}"#)),
        ("a type that is no text", with_header(r#"{"alg":"HS256","typ":1}"#)),
        // Times.
        ("expired", sign(&json!({ "sub": "alice", "exp": now() - 31 }))),
        ("expired long ago", sign(&json!({ "sub": "alice", "exp": 0 }))),
        ("expired before 1970", sign(&json!({ "sub": "alice", "exp": -1 }))),
        ("no exp", sign(&json!({ "sub": "alice" }))),
        ("a null exp", sign(&json!({ "sub": "alice", "exp": null }))),
        ("exp as text", sign(&json!({ "sub": "alice", "exp": exp.to_string() }))),
        ("exp as a truth", sign(&json!({ "sub": "alice", "exp": true }))),
        ("exp out of all range", with_payload(r#"{"sub":"alice","exp":1e999}"#)),
        ("two exps", with_payload(&format!(r#"{{"sub":"alice","exp":{exp},"exp":{exp}}}"#))),
        ("nbf in the future", sign(&json!({ "sub": "alice", "exp": exp, "nbf": now() + 40 }))),
        ("nbf as text", sign(&json!({ "sub": "alice", "exp": exp, "nbf": "0" }))),
        ("iat in the future", sign(&json!({ "sub": "alice", "exp": exp, "iat": now() + 40 }))),
        ("a null iat", sign(&json!({ "sub": "alice", "exp": exp, "iat": null }))),
        // The user.
        ("no sub", sign(&json!({ "exp": exp }))),
        ("a null sub", sign(&json!({ "sub": null, "exp": exp }))),
        ("an empty sub", sign(&json!({ "sub": "", "exp": exp }))),
        ("a sub that is a number", sign(&json!({ "sub": 1, "exp": exp }))),
        ("a sub that is a list", sign(&json!({ "sub": ["alice"], "exp": exp }))),
        ("a sub that is too long", sign(&json!({ "sub": "x".repeat(256), "exp": exp }))),
        ("a sub with U+0000", sign(&json!({ "sub": "ali\0ce", "exp": exp }))),
        ("a sub with a line break", sign(&json!({ "sub": "alice\n", "exp": exp }))),
        ("a sub with U+0085", sign(&json!({ "sub": "alice\u{85}", "exp": exp }))),
        ("two subs", with_payload(&format!(r#"{{"sub":"alice","sub":"bob","exp":{exp}}}"#))),
    ];
    assert_eq!(ask(&client, &good).status, 200);
    for (what, token) in &tokens {
        let answer = ask(&client, token);
        let code = if what.starts_with("expired") { "401 token_expired" } else { "401 token_invalid" };
        assert_eq!(answer.problem(), code, "{what}");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{what}: {challenge}");
    }
}

#[test]
fn a_token_may_differ_where_the_rules_leave_room() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    for (what, token) in [
        ("no typ", with_header(r#"{"alg":"HS256"}"#)),
        ("typ jwt", with_header(r#"{"alg":"HS256","typ":"jwt"}"#)),
        ("typ at+jwt", with_header(r#"{"alg":"HS256","typ":"at+jwt"}"#)),
        ("typ application/at+jwt", with_header(r#"{"alg":"HS256","typ":"application/at+jwt"}"#)),
        ("a kid and other headers", with_header(r#"{"alg":"HS256","kid":"1","jku":"http://127.0.0.1/","x":{}}"#)),
        ("exp within the leeway", sign(&json!({ "sub": "alice", "exp": now() - 20 }))),
        (
            "iat and nbf within the leeway",
            sign(&json!({ "sub": "alice", "exp": now() + 60, "iat": now() + 20, "nbf": now() + 20 })),
        ),
        (
            "times with fractions",
            sign(&json!({ "sub": "alice", "exp": now() as f64 + 60.5, "iat": now() as f64 - 0.5 })),
        ),
        ("exp far away", sign(&json!({ "sub": "alice", "exp": 253_402_300_800_i64 }))),
        (
            "iss and aud that nobody checks",
            sign(&json!({ "sub": "alice", "exp": now() + 60, "iss": "x", "aud": ["y"] })),
        ),
        ("an opaque sub", sign(&json!({ "sub": "🎉 {\"a\": 'b'} <x> %00 ../", "exp": now() + 60 }))),
    ] {
        assert_eq!(ask(&client, &token).status, 200, "{what}");
    }
}

#[test]
fn only_one_authorization_header_with_the_bearer_scheme_counts() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let token = token("alice");
    let ask = |values: &[String], path: &str| {
        let request =
            values.iter().fold(client.request(Method::GET, path), |request, v| request.header("Authorization", v));
        client.send(request)
    };
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(ask(&[format!("{scheme} {token}")], "/api/tasks").status, 200, "{scheme}");
    }
    for values in [
        vec![],
        vec![token.clone()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![format!("Basic {token}")],
        vec![format!("Token {token}")],
        vec![format!("Bearer{token}")],
    ] {
        let answer = ask(&values, "/api/tasks");
        assert_eq!(
            (answer.problem().as_str(), answer.header("www-authenticate")),
            ("401 token_missing", "Bearer"),
            "{values:?}"
        );
    }
    let twice = ask(&[format!("Bearer {token}"), format!("Bearer {token}")], "/api/tasks");
    assert_eq!(twice.problem(), "401 token_invalid");
    for path in ["/api/tasks?access_token=", "/api/tasks?token="] {
        assert_eq!(ask(&[], &format!("{path}{token}")).problem(), "401 token_missing");
    }
    let cookie = client
        .request(Method::GET, "/api/tasks")
        .header("Cookie", format!("token={token}; better-auth.session_token={token}"));
    assert_eq!(client.send(cookie).problem(), "401 token_missing");
}

#[test]
fn each_operation_of_the_document_needs_a_token() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let mut operations = 0;
    for operation in Document::committed().operations() {
        assert_eq!(operation.value["security"], json!([{ "bearer": [] }]));
        for id in ["0193d5a0-1111-7abc-8def-0123456789ab", "1"] {
            let path = operation.path.replace("{id}", id);
            assert_eq!(client.send(client.request(operation.method.clone(), &path)).problem(), "401 token_missing");
            assert_eq!(client.json(operation.method.clone(), &path, &Value::Null).problem(), "401 token_missing");
        }
        operations += 1;
    }
    assert_eq!(operations, 6);
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    let environment = [("AUTH_ISSUER", "https://auth.example"), ("AUTH_AUDIENCE", "https://api.example")];
    let server = Server::with(Database::Sqlite, &environment);
    let client = server.stranger();
    let (iss, aud) = ("https://auth.example", "https://api.example");
    for (claims, status) in [
        (json!({ "iss": iss, "aud": aud }), 200),
        (json!({ "iss": iss, "aud": ["x", aud] }), 200),
        (json!({ "iss": iss }), 401),
        (json!({ "aud": aud }), 401),
        (json!({}), 401),
        (json!({ "iss": "https://auth.example/", "aud": aud }), 401),
        (json!({ "iss": [iss], "aud": aud }), 401),
        (json!({ "iss": null, "aud": aud }), 401),
        (json!({ "iss": iss, "aud": "x" }), 401),
        (json!({ "iss": iss, "aud": [] }), 401),
        (json!({ "iss": iss, "aud": null }), 401),
        (json!({ "iss": iss, "aud": { "x": aud } }), 401),
        (json!({ "iss": iss, "aud": [aud, 1] }), 401),
    ] {
        let mut claims = claims;
        claims["sub"] = "alice".into();
        claims["exp"] = (now() + 60).into();
        assert_eq!(ask(&client, &sign(&claims)).status, status, "{claims}");
    }
}
