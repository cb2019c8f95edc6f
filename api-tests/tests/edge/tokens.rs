use api_tests::{Answer, Client, Database, Document, Method, SECRET, Server, SigningKey, now, sign, token};
use serde_json::{Value, json};

fn ask(client: &Client, token: &str) -> Answer {
    client.with_token(token).get("/api/tasks")
}

fn with_header(header: &str) -> String {
    SigningKey::secret(SECRET).raw(header, json!({ "sub": "alice", "exp": now() + 60 }).to_string())
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
