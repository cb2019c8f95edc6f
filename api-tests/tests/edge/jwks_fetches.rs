//! Fetches of the auth server's keys: when, from which server, and the effect of its outage.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Issuer, Reply, SECRET, Server, SigningKey, now, sign};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use socket2::SockRef;

use super::jwks::{ask, key, server};

const PATIENCE: Duration = Duration::from_mins(1);

/// Sends requests with all tokens at once, and calls a function while they wait.
fn ask_together(server: &Server, tokens: &[String], meanwhile: impl FnOnce()) -> Vec<Answer> {
    thread::scope(|scope| {
        let asking: Vec<_> = tokens.iter().map(|token| scope.spawn(|| ask(server, token))).collect();
        meanwhile();
        asking.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}

/// Repeats a request until the answer is no longer a 200.
fn refusal(server: &Server, token: &str) -> String {
    let since = Instant::now();
    loop {
        let answer = ask(server, token);
        if answer.status != 200 {
            return answer.problem();
        }
        assert!(since.elapsed() < PATIENCE, "the token is still accepted");
    }
}

/// Repeats a request until the answer is a 200.
fn acceptance(server: &Server, token: &str) {
    let since = Instant::now();
    while ask(server, token).status != 200 {
        assert!(since.elapsed() < PATIENCE, "the token is still refused");
    }
}

#[test]
fn a_new_key_is_fetched_once_for_all_waiting_requests() {
    let (old, new) = (key("old"), key("new"));
    let issuer = Issuer::start(Reply::keys([&old]));
    let server = server(&issuer, &[]);
    assert_eq!(ask(&server, &old.token(&issuer.claims("alice"))).status, 200);
    issuer.reply(Reply::Stall(Vec::new()));
    let tokens: Vec<_> = (0..20).map(|n| new.token(&issuer.claims(&format!("user-{n}")))).collect();
    let answers = ask_together(&server, &tokens, || {
        issuer.wait_for_more_than(1);
        assert_eq!(ask(&server, &old.token(&issuer.claims("bob"))).status, 200, "who has a known key does not wait");
        issuer.reply(Reply::keys([&old, &new]));
    });
    assert!(answers.iter().all(|answer| answer.status == 200));
    // One at the start. All that waited for the second one find the key, or a conclusive fetch.
    assert_eq!(issuer.requests(), 2);
}

#[test]
fn all_requests_that_wait_for_a_silent_auth_server_are_answered_together() {
    let known = key("known");
    let issuer = Issuer::start(Reply::keys([&known]));
    let server = server(&issuer, &[]);
    assert_eq!(ask(&server, &known.token(&issuer.claims("alice"))).status, 200);
    issuer.reply(Reply::Stall(Vec::new()));
    let token = |n| {
        let header = json!({ "alg": "EdDSA", "kid": format!("new-{n}") }).to_string();
        known.raw(&header, issuer.claims("alice").to_string())
    };
    let answers = ask_together(&server, &(0..20).map(token).collect::<Vec<_>>(), || {});
    assert!(answers.iter().all(|answer| answer.problem() == "401 token_invalid"));
    // Some requests may arrive after the first fetch has failed.
    assert!(issuer.requests() <= 3, "{} fetches", issuer.requests());
}

#[test]
fn a_fetch_continues_after_its_request_is_dropped() {
    let (known, new) = (key("known"), key("new"));
    let issuer = Issuer::start(Reply::keys([&known]));
    let server = server(&issuer, &[]);
    assert_eq!(ask(&server, &known.token(&issuer.claims("alice"))).status, 200);
    issuer.reply(Reply::Stall(Vec::new()));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let token = new.token(&issuer.claims("alice"));
    write!(stream, "GET /api/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    issuer.wait_for_more_than(1);
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    issuer.reply(Reply::keys([&known, &new]));
    assert_eq!(ask(&server, &token).status, 200);
    assert_eq!(issuer.requests(), 2);
}

#[test]
fn several_keys_created_one_after_the_other_are_fetched_together() {
    let keys = ["1", "2", "3", "4"].map(key);
    let issuer = Issuer::start(Reply::keys(&keys[..1]));
    let server = server(&issuer, &[]);
    for known in 1..=keys.len() {
        issuer.reply(Reply::keys(&keys[..known]));
        assert_eq!(ask(&server, &keys[known - 1].token(&issuer.claims("alice"))).status, 200, "key {known}");
    }
}

#[test]
fn unknown_keys_cause_few_fetches_and_a_repeated_one_causes_none() {
    let (known, stranger) = (key("known"), key("stranger"));
    let issuer = Issuer::start(Reply::keys([&known]));
    let server = server(&issuer, &[]);
    let token = stranger.token(&issuer.claims("alice"));
    for _ in 0..50 {
        assert_eq!(ask(&server, &token).problem(), "401 token_invalid");
    }
    assert_eq!(issuer.requests(), 2, "one at the start, one for the unknown key");
    let since = Instant::now();
    for n in 0..300 {
        let header = json!({ "alg": "EdDSA", "kid": format!("random-{n}") }).to_string();
        let token = stranger.raw(&header, issuer.claims("alice").to_string());
        assert_eq!(ask(&server, &token).problem(), "401 token_invalid");
    }
    let due = 5 + usize::try_from(since.elapsed().as_secs() / 15 + 1).unwrap();
    assert!(issuer.requests() <= due, "{} fetches", issuer.requests());
    assert_eq!(ask(&server, &known.token(&issuer.claims("alice"))).status, 200);
}

#[test]
fn keys_stay_valid_while_the_auth_server_is_unavailable() {
    let (known, new) = (key("known"), key("new"));
    let issuer = Issuer::start(Reply::keys([&known]));
    let server = server(&issuer, &[("AUTH_JWKS_REFRESH", "1s")]);
    let token = known.token(&issuer.claims("alice"));
    assert_eq!(ask(&server, &token).status, 200);
    for reply in [Reply::http("500 Internal Server Error", "", "x"), Reply::Bytes(Vec::new())] {
        issuer.reply(reply);
        issuer.wait_for_more_than(issuer.requests() + 1);
        assert_eq!(ask(&server, &token).status, 200, "a token that was seen");
        assert_eq!(ask(&server, &known.token(&issuer.claims("bob"))).status, 200, "a token that is new");
        assert_eq!(ask(&server, &new.token(&issuer.claims("bob"))).problem(), "401 token_invalid", "a key that is new");
    }
    let told = |line: &Value| line["message"].as_str()?.contains("cannot be fetched").then_some(());
    assert_eq!(server.log().iter().filter_map(|line| told(&serde_json::from_str(line).ok()?)).count(), 1);
    issuer.reply(Reply::keys([&known, &new]));
    acceptance(&server, &new.token(&issuer.claims("bob")));
}

#[test]
fn keys_expire_after_the_longest_accepted_outage() {
    let key = key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    let server = server(&issuer, &[("AUTH_JWKS_REFRESH", "1s"), ("AUTH_JWKS_STALE", "3s")]);
    let token = key.token(&issuer.claims("alice"));
    assert_eq!(ask(&server, &token).status, 200);
    issuer.reply(Reply::http("502 Bad Gateway", "", ""));
    assert_eq!(refusal(&server, &token), "401 token_invalid");
    issuer.reply(Reply::keys([&key]));
    acceptance(&server, &token);
}

#[test]
fn a_removed_key_is_rejected_together_with_its_cached_tokens() {
    let (old, new) = (key("old"), key("new"));
    let issuer = Issuer::start(Reply::keys([&old]));
    let server = server(&issuer, &[("AUTH_JWKS_REFRESH", "1s")]);
    let token = old.token(&issuer.claims("alice"));
    assert_eq!(ask(&server, &token).status, 200);
    issuer.reply(Reply::keys([&new]));
    assert_eq!(refusal(&server, &token), "401 token_invalid");
    // An empty set is valid, too.
    let token = new.token(&issuer.claims("alice"));
    assert_eq!(ask(&server, &token).status, 200);
    issuer.reply(Reply::keys([]));
    assert_eq!(refusal(&server, &token), "401 token_invalid");
}

#[test]
fn a_cached_token_expires() {
    let (published, secret) = (key("1"), SigningKey::secret(SECRET));
    let issuer = Issuer::start(Reply::keys([&published]));
    let server = server(&issuer, &[("BETTER_AUTH_SECRET", SECRET)]);
    for key in [published, secret] {
        let mut claims = issuer.claims("alice");
        // The leeway is 30 seconds.
        claims["exp"] = (now() - 27).into();
        let token = key.token(&claims);
        assert_eq!(ask(&server, &token).status, 200);
        assert_eq!(refusal(&server, &token), "401 token_expired");
    }
}

#[test]
fn an_answer_that_is_no_key_set_is_not_followed_and_says_503_until_there_is_a_key() {
    let key = key("1");
    let good = Issuer::start(Reply::keys([&key]));
    let issuer = Issuer::start(Reply::Bytes(Vec::new()));
    let large = json!({ "keys": [key.jwk()], "x": "x".repeat(65_536) }).to_string();
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let redirect = format!("Location: {}/api/auth/jwks\r\n", good.url());
    for (reply, cause) in [
        (Reply::http("302 Found", &redirect, ""), "the answer was 302 Found, and redirects are not followed"),
        (Reply::http("307 Temporary Redirect", &redirect, ""), "redirects are not followed"),
        (Reply::http("500 Internal Server Error", "", "{}"), "the answer was 500"),
        (Reply::http("204 No Content", "", ""), "the answer was 204"),
        (Reply::http("200 OK", "", &large), "length limit exceeded"),
        (Reply::Bytes(chunked.into()), "length limit exceeded"),
        (Reply::http("200 OK", "", "<html>"), "the response is not a JWK Set"),
        (Reply::json(&json!([])), "the response is not a JWK Set"),
        (Reply::json(&json!([[]])), "the response is not a JWK Set"),
        (Reply::json(&json!({ "keys": {} })), "the response is not a JWK Set"),
        (Reply::json(&json!({ "keys": [] })), "there is no key that verifies"),
        (Reply::json(&json!({ "keys": [{ "kty": "oct", "k": "AAAA" }, 1, null] })), "there is no key that verifies"),
        (Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()), ""),
        (Reply::Bytes(b"SSH-2.0-x\r\n".to_vec()), ""),
        (Reply::Stall(Vec::new()), "no answer within 2 seconds"),
        (Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()), "no answer within 2 seconds"),
    ] {
        issuer.reply(reply.clone());
        let server = server(&issuer, &[]);
        let token = key.token(&issuer.claims("alice"));
        let answer = ask(&server, &token);
        assert_eq!(answer.problem(), "503 unavailable", "{reply:?}");
        assert_eq!(answer.header("retry-after"), "1");
        server.wait_for_log(|line| line["error"].as_str()?.contains(cause).then_some(()));
        assert_eq!(
            ask(&server, &sign(&issuer.claims("alice"))).problem(),
            "401 token_invalid",
            "no key would help this one"
        );
        issuer.reply(Reply::keys([&key]));
        acceptance(&server, &token);
    }
    assert_eq!(good.requests(), 0);
}

/// TLS with a certificate for this name, and the certificate.
pub(super) fn tls(name: &str) -> (ServerConfig, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], private)
        .unwrap();
    (tls, cert.pem())
}

#[test]
fn keys_are_fetched_over_tls_only_from_a_verified_server() {
    let key = key("1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let trusted = ("SSL_CERT_FILE", file.to_str().unwrap());
    for (name, environment, problem) in [
        ("localhost", vec![trusted], "200"),
        ("localhost", vec![], "503 unavailable"),
        ("other.example", vec![trusted], "503 unavailable"),
    ] {
        let (tls, certificate) = tls(name);
        fs::write(&file, certificate).unwrap();
        let issuer = Issuer::with_tls(Reply::keys([&key]), tls);
        let server = server(&issuer, &environment);
        assert_eq!(ask(&server, &key.token(&issuer.claims("alice"))).problem(), problem, "{name} {environment:?}");
        if problem != "200" {
            server.wait_for_log(|line| line["error"].as_str()?.contains("certificate").then_some(()));
        }
    }
}
