use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use api_tests::{Database, SECRET, Server, binary};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tempfile::tempdir;

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    Command::new(binary()).args(arguments).current_dir(folder).env_clear().envs(environment).output().unwrap()
}

#[test]
fn a_malformed_variable_stops_the_start_with_one_line_that_names_it() {
    let folder = tempdir().unwrap();
    let good = ("BETTER_AUTH_SECRET", SECRET);
    for (environment, variable) in [
        (vec![], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN+")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "better-auth-secret-12345678901234567890")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "\"better-auth-secret-12345678901234567890\"")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "change-me-change-me-change-me-change-me")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")], "BETTER_AUTH_SECRET"),
        (vec![("BETTER_AUTH_URL", "localhost:3000")], "BETTER_AUTH_URL"),
        (vec![("BETTER_AUTH_URL", "ftp://app.example")], "BETTER_AUTH_URL"),
        (vec![("BETTER_AUTH_URL", "https://:443")], "BETTER_AUTH_URL"),
        (vec![("BETTER_AUTH_URL", "https://app.example#x")], "BETTER_AUTH_URL has a fragment"),
        (vec![("BETTER_AUTH_URL", "https://$DOMAIN/auth")], "BETTER_AUTH_URL is not an http:// or https:// URL"),
        (vec![("BETTER_AUTH_URL", "https://a.example,https://b.example")], "BETTER_AUTH_URL is not an http:// or"),
        (vec![("BETTER_AUTH_URL", "https://app.example/auth?x=1")], "BETTER_AUTH_URL"),
        (vec![("BETTER_AUTH_URL", "https://app.example?")], "BETTER_AUTH_URL"),
        (vec![("BETTER_AUTH_URL", "https://user:PASSWORD@app.example")], "BETTER_AUTH_URL"),
        (vec![("AUTH_JWKS_URL", "/elsewhere/jwks")], "AUTH_JWKS_URL"),
        (vec![("AUTH_JWKS_URL", "https://x/jwks"), ("AUTH_JWKS_REFRESH", "10")], "AUTH_JWKS_REFRESH"),
        (vec![("AUTH_JWKS_URL", "https://x/jwks"), ("AUTH_JWKS_STALE", "x")], "AUTH_JWKS_STALE"),
        (vec![("AUTH_JWKS_URL", "https://x/jwks"), ("AUTH_JWKS_REFRESH", "0s")], "AUTH_JWKS_REFRESH"),
        (vec![("AUTH_JWKS_URL", "https://x/jwks"), ("AUTH_JWKS_STALE", "10m")], "AUTH_JWKS_STALE"),
        (vec![("AUTH_JWKS_URL", "https://x/jwks"), ("SSL_CERT_FILE", "missing.pem")], "SSL_CERT_FILE"),
        (vec![good, ("DATABASE_URL", "mysql://root:PASSWORD@db/x")], "DATABASE_URL"),
        (vec![good, ("DATABASE_URL", "sqlite::memory:")], "DATABASE_URL"),
        (vec![good, ("DATABASE_URL", "sqlite://.")], "DATABASE_URL: .: is a folder; name a file in it"),
        (vec![good, ("DATABASE_URL", "sqlite://.?mode=rwc")], "DATABASE_URL: .: is a folder; name a file in it"),
        (vec![good, ("DATABASE_URL", "sqlite:///?mode=rwc")], "DATABASE_URL names a folder; name a file in it"),
        (vec![good, ("DATABASE_URL", "sqlite://x.db"), ("NEON_DB_URL", "nonsense")], "NEON_DB_URL"),
        (vec![good, ("PORT", "80000")], "PORT"),
        (vec![good, ("PORT", "http")], "PORT"),
        (vec![good, ("HOST", "example.com")], "HOST"),
        (vec![good, ("HOST", "192.0.2.1")], "HOST"),
        (vec![good, ("CORS_ORIGINS", "*")], "CORS_ORIGINS"),
        (vec![good, ("CORS_ORIGINS", "https://a.example/path")], "CORS_ORIGINS"),
        (vec![good, ("CORS_ORIGINS", "a.example")], "CORS_ORIGINS"),
        (vec![good, ("CORS_ORIGINS", "null")], "CORS_ORIGINS"),
        (vec![good, ("LOG_FORMAT", "xml")], "LOG_FORMAT"),
        (vec![good, ("RUST_LOG", "=what=")], "RUST_LOG"),
        (vec![good, ("MAX_CONNECTIONS", "0")], "MAX_CONNECTIONS"),
        (vec![good, ("MAX_CONNECTIONS", "18446744073709551615")], "MAX_CONNECTIONS"),
        (vec![good, ("DB_READ_CONNECTIONS", "0")], "DB_READ_CONNECTIONS"),
        (vec![good, ("DB_WRITE_CONNECTIONS", "x")], "DB_WRITE_CONNECTIONS"),
        (vec![good, ("NEON_DB_URL", "postgresql://u:PASSWORD@h/d?sslmode=prefer")], "NEON_DB_URL"),
        (vec![good, ("FIRST_BYTE_TIMEOUT", "soon")], "FIRST_BYTE_TIMEOUT"),
        (vec![good, ("HEADER_TIMEOUT", "10")], "HEADER_TIMEOUT"),
        (vec![good, ("BODY_TIMEOUT", "-1s")], "BODY_TIMEOUT"),
        (vec![good, ("BODY_LIMIT", "64k")], "BODY_LIMIT"),
        (vec![good, ("WRITE_TIMEOUT", "x")], "WRITE_TIMEOUT"),
        (vec![good, ("FIRST_BYTE_TIMEOUT", "0")], "FIRST_BYTE_TIMEOUT must be longer than 0"),
        (vec![good, ("HEADER_TIMEOUT", "0s")], "HEADER_TIMEOUT must be longer than 0"),
        (vec![good, ("BODY_TIMEOUT", "0ms")], "BODY_TIMEOUT must be longer than 0"),
        (vec![good, ("KEEP_ALIVE_TIMEOUT", "0s")], "KEEP_ALIVE_TIMEOUT must be longer than 0"),
        (vec![good, ("WRITE_TIMEOUT", "0s")], "WRITE_TIMEOUT must be longer than 0"),
        (vec![good, ("KEEP_ALIVE_TIMEOUT", "500000000000years")], "KEEP_ALIVE_TIMEOUT is longer than 365 days"),
        (vec![good, ("SHUTDOWN_GRACE", "366days")], "SHUTDOWN_GRACE is longer than 365 days"),
        (vec![good, ("TOKIO_WORKER_THREADS", "x")], "TOKIO_WORKER_THREADS is not a whole number"),
        (vec![good, ("TOKIO_WORKER_THREADS", "0")], "TOKIO_WORKER_THREADS is not a whole number"),
        (vec![good, ("TOKIO_WORKER_THREADS", " "), ("HOST", "192.0.2.1")], "HOST and PORT: cannot listen"),
        (vec![good, ("SHUTDOWN_DELAY", "x")], "SHUTDOWN_DELAY"),
        (vec![good, ("SHUTDOWN_GRACE", "x")], "SHUTDOWN_GRACE"),
    ] {
        let output = run(folder.path(), &["serve"], &[&[("PORT", "0")], &environment[..]].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        let line = errors.lines().last().unwrap();
        assert_eq!(output.status.code(), Some(2), "{environment:?}: {errors}");
        assert!(line.starts_with(&format!("todo-api: {variable}")), "{environment:?}: {errors}");
        for (name, value) in environment.iter().filter(|(name, _)| name.contains("SECRET") || name.contains("URL")) {
            assert!(value.is_empty() || !errors.contains(value), "{name} stands in {errors}");
        }
        assert!(!errors.contains("PASSWORD"));
    }
}

#[test]
fn a_port_in_use_is_reported() {
    let server = Server::start(Database::Sqlite);
    let port = server.address().rsplit(':').next().unwrap();
    let output = run(server.folder(), &["serve"], &[("BETTER_AUTH_SECRET", SECRET), ("PORT", port)]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("todo-api: HOST and PORT: cannot listen on"), "{errors}");
}

/// Standard output with errors: a full disk, and a pipe without a reader.
fn unwritable() -> [(&'static str, Stdio); 2] {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_, closed) = std::io::pipe().unwrap();
    [("full", full.into()), ("closed", closed.into())]
}

#[test]
fn what_cannot_be_printed_ends_a_command_with_one_line_and_status_1() {
    let folder = tempdir().unwrap();
    for arguments in [
        &["token", "--sub", "alice"][..],
        &["openapi"],
        &["migrate"],
        &["migrate", "status"],
        &["export"],
        &["user", "export", "alice"],
        &["user", "delete", "alice"],
        &["--help"],
        &["serve", "--help"],
        &["help"],
        &["--version"],
    ] {
        for (kind, stdout) in unwritable() {
            let mut command = Command::new(binary());
            command.args(arguments).current_dir(folder.path()).env_clear().env("BETTER_AUTH_SECRET", SECRET);
            let output = command.stdout(stdout).output().unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {kind}: {errors}");
            assert!(errors.starts_with("todo-api: standard output: "), "{arguments:?} {kind}: {errors}");
            assert_eq!(errors.lines().count(), 1, "{arguments:?} {kind}: {errors}");
        }
    }
}

#[test]
fn the_exit_status_is_set_even_if_no_line_can_be_printed() {
    let folder = tempdir().unwrap();
    for (kind, stderr) in unwritable() {
        let mut command = Command::new(binary());
        let status = command.arg("serve").current_dir(folder.path()).env_clear().stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(2), "{kind}");
    }
}

#[test]
fn dev_serves_even_if_it_cannot_print_its_greeting() {
    for (kind, stdout) in unwritable() {
        let folder = tempdir().unwrap();
        let mut command = Command::new(binary());
        command.arg("dev").current_dir(folder.path()).env_clear().envs([("PORT", "0"), ("LOG_FORMAT", "json")]);
        let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("cannot be printed")), "{kind}");
        assert!(child.try_wait().unwrap().is_none(), "{kind}: it has ended");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// A full pipe, and its reader.
fn stalled() -> (UnixStream, Stdio) {
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[b'x'; 1024]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    writer.set_nonblocking(false).unwrap();
    (reader, OwnedFd::from(writer).into())
}

#[test]
fn a_stalled_reader_of_the_last_line_does_not_keep_the_process() {
    let folder = tempdir().unwrap();
    for environment in [("PORT", "x"), ("DATABASE_URL", "sqlite://.")] {
        let (reader, stderr) = stalled();
        let mut command = Command::new(binary());
        command.arg("serve").current_dir(folder.path()).env_clear();
        command.envs([("PORT", "0"), ("BETTER_AUTH_SECRET", SECRET), environment]);
        assert_eq!(command.stderr(stderr).status().unwrap().code(), Some(2), "{environment:?}");
        drop(reader);
    }
}

#[test]
fn dev_serves_and_stops_even_if_nobody_reads_its_greeting() {
    let folder = tempdir().unwrap();
    let (reader, stdout) = stalled();
    let mut command = Command::new(binary());
    command.arg("dev").current_dir(folder.path()).env_clear().envs([("PORT", "0"), ("LOG_FORMAT", "json")]);
    let mut child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"ready\"")));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(reader);
}

#[test]
fn a_printed_token_is_valid_for_its_user_and_its_time() {
    let server = Server::start(Database::Sqlite);
    for (lifetime, seconds) in [("1h", 3600), ("90s", 90), ("1d", 86400)] {
        let output =
            run(server.folder(), &["token", "--sub", "alice", "--ttl", lifetime], &[("BETTER_AUTH_SECRET", SECRET)]);
        let token = String::from_utf8(output.stdout).unwrap();
        let client = server.stranger().with_token(token.trim());
        assert_eq!(client.create("x")["user_id"], "alice");
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), seconds, "{lifetime}");
    }
    let output = run(server.folder(), &["token", "--sub", "alice"], &[]);
    assert_eq!(output.status.code(), Some(2), "no secret is set, and dev has made none");
}

#[test]
fn no_token_is_printed_for_an_id_that_servers_reject() {
    let folder = tempdir().unwrap();
    for user in ["", "a\nb", &"x".repeat(256)] {
        let output = run(folder.path(), &["token", "--sub", user], &[("BETTER_AUTH_SECRET", SECRET)]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{user}: {errors}");
        assert!(errors.contains("--sub <SUB>': must "), "{user}: {errors}");
    }
    let longest = "ü".repeat(255);
    assert!(run(folder.path(), &["token", "--sub", &longest], &[("BETTER_AUTH_SECRET", SECRET)]).status.success());
}

#[test]
fn dev_needs_nothing_and_prints_a_line_that_works_when_pasted() {
    let folder = tempdir().unwrap();
    let mut child = Command::new(binary())
        .arg("dev")
        .current_dir(folder.path())
        .env_clear()
        .envs([("PORT", "0"), ("PATH", &std::env::var("PATH").unwrap())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut printed = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        printed.push_str(&line.unwrap());
        printed.push('\n');
        if printed.contains("curl") && printed.ends_with("'\n") && printed.matches("Bearer").count() == 1 {
            break;
        }
    }
    let curl = &printed[printed.find("curl").unwrap()..];
    let output = Command::new("bash").args(["-c", curl]).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{printed}\n{output:?}"));
    assert_eq!(answer["user_id"], "demo");
    assert!(printed.contains("/docs"));
    let secret = folder.path().join("data/dev-secret");
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.path().join("data/todo.db").exists());
}
