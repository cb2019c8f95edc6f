use api_tests::{Answer, Client, Database, Document, Method, SECRET, Server, SigningKey, now, sign, token};
use serde_json::{Value, json};

fn ask(client: &Client, token: &str) -> Answer {
    client.with_token(token).get("/api/tasks")
}

fn with_header(header: &str) -> String {
    SigningKey::secret(SECRET).raw(header, json!({ "sub": "alice", "exp": now() + 60 }).to_string())
}

#[test]
fn all_valid_forms_of_a_token_are_accepted() {
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
    for operation in Document::committed().operations() {
        assert_eq!(operation.value["security"], json!([{ "bearer": [] }]));
        for id in ["0193d5a0-1111-7abc-8def-0123456789ab", "1"] {
            let path = operation.path.replace("{id}", id);
            assert_eq!(client.send(client.request(operation.method.clone(), &path)).problem(), "401 token_missing");
            assert_eq!(client.json(operation.method.clone(), &path, &Value::Null).problem(), "401 token_missing");
        }
    }
}

#[test]
fn issuer_and_audience_are_checked_if_they_are_configured() {
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

/// `detail` and the challenge of a rejection, which have the same reason.
fn reason(client: &Client, token: &str) -> String {
    let answer = ask(client, token);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(answer.problem(), if detail.contains("expired") { "401 token_expired" } else { "401 token_invalid" });
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{detail}\"");
    assert_eq!(answer.header("www-authenticate"), challenge);
    detail
}

#[test]
fn a_rejection_names_the_missing_or_wrong_claim_but_no_value() {
    let environment = [("AUTH_ISSUER", "https://auth.example"), ("AUTH_AUDIENCE", "https://api.example")];
    let server = Server::with(Database::Sqlite, &environment);
    let client = server.stranger();
    let good =
        json!({ "sub": "alice", "exp": now() + 60, "iss": "https://auth.example", "aud": "https://api.example" });
    let later = now() + 3600;
    for (claim, wrong, detail) in [
        ("exp", vec![Value::Null, json!("SECRET"), json!([later]), json!({}), json!(true)], "`exp` must be a number"),
        ("iat", vec![Value::Null, json!("SECRET"), json!([0])], "`iat` must be a number"),
        ("nbf", vec![Value::Null, json!("SECRET"), json!(false)], "`nbf` must be a number"),
        ("sub", vec![Value::Null, json!(1), json!(["SECRET"]), json!({ "id": "SECRET" })], "`sub` must be a string"),
        ("iss", vec![Value::Null, json!(1), json!(["SECRET"])], "`iss` must be a string"),
        ("aud", vec![Value::Null, json!(1), json!({ "x": "SECRET" })], "`aud` must be a string or a list of strings"),
        ("aud", vec![json!([1]), json!(["https://api.example", null])], "`aud` must be a string or a list of strings"),
        ("sub", vec![json!("")], "`sub` must not be empty"),
        ("sub", vec![json!("SECRET".repeat(50))], "`sub` must be at most 255 characters"),
        ("sub", vec![json!("SECRET\n"), json!("\0"), json!("\u{85}")], "`sub` must not contain control characters"),
        ("iss", vec![json!("SECRET"), json!("")], "`iss` is not the issuer that this server expects"),
        ("aud", vec![json!("SECRET"), json!([])], "`aud` does not name the audience that this server expects"),
        ("iat", vec![json!(later)], "the token is not valid yet: `iat` is in the future"),
        ("nbf", vec![json!(later)], "the token is not valid yet: `nbf` is in the future"),
        ("exp", vec![json!(0), json!(-1.5)], "the token has expired"),
    ] {
        for value in wrong {
            let mut claims = good.clone();
            claims[claim] = value.clone();
            assert_eq!(reason(&client, &sign(&claims)), detail, "{claim} {value}");
        }
    }
    for claim in ["exp", "sub", "iss", "aud"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        assert_eq!(reason(&client, &sign(&claims)), format!("the token has no `{claim}`"));
    }
    for claim in ["exp", "sub", "iss", "aud", "iat", "nbf"] {
        let twice = good.to_string().replacen('{', &format!("{{\"{claim}\":0,\"{claim}\":0,"), 1);
        let token = SigningKey::secret(SECRET).raw(r#"{"alg":"HS256"}"#, twice);
        assert_eq!(reason(&client, &token), "the token is malformed", "{claim} twice");
    }
    assert_eq!(ask(&client, &sign(&good)).status, 200);
}

#[test]
fn a_rejection_names_the_missing_or_unsupported_header() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    for (header, detail) in [
        (json!({ "typ": "JWT" }), "the token has no `alg`"),
        (json!({ "alg": null }), "`alg` must be a string"),
        (json!({ "alg": "HS256", "kid": 1 }), "`kid` must be a string"),
        (json!({ "alg": "HS256", "kid": null }), "`kid` must be a string"),
        (json!({ "alg": "HS256", "typ": ["SECRET"] }), "`typ` must be a string"),
        (json!({ "alg": "HS256", "typ": "SECRET" }), "`typ` must be JWT or at+jwt, where it is present"),
        (json!({ "alg": "HS256", "crit": ["SECRET"] }), "the token has `crit`, and no critical header is supported"),
        (json!({ "alg": "SECRET" }), "`alg` is not an algorithm that this server accepts"),
        (json!({ "alg": "EdDSA", "kid": "1" }), "`alg` is not an algorithm that this server accepts"),
    ] {
        assert_eq!(reason(&client, &with_header(&header.to_string())), detail, "{header}");
    }
}

#[test]
fn a_rejection_names_no_claim_of_a_token_with_an_invalid_signature() {
    let server = Server::start(Database::Sqlite);
    let client = server.stranger();
    let forger = SigningKey::secret("another secret of enough bytes, yes");
    for claims in [json!({}), json!({ "sub": 1, "exp": "x" }), json!({ "sub": "alice", "exp": 0 })] {
        assert_eq!(reason(&client, &forger.token(&claims)), "the signature is not valid", "{claims}");
    }
    for token in ["x", "x.y", "x.y.z", "e30.e30.!"] {
        assert_ne!(reason(&client, token), "the signature is not valid", "{token}");
    }
}
