//! `todo-api health`, the health check of containers and units.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    thread,
};

use api_tests::{Database, Server, binary};
use tempfile::tempdir;

fn health(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    let mut command = Command::new(binary());
    command.arg("health").args(arguments).current_dir(folder).env_clear().envs(environment).output().unwrap()
}

/// The line of a failed check.
fn failure(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = health(tempdir().unwrap().path(), arguments, environment);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(output.stdout.is_empty() && errors.lines().count() == 1, "{errors}");
    errors
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

/// A listener that handles its first connection like this, and its port.
fn imposter(handle: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || handle(listener.accept().unwrap().0));
    port
}

#[test]
fn a_server_is_found_at_its_host_and_port_in_every_form() {
    for (host, shown) in [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
    ] {
        let server = Server::with(Database::Sqlite, &[("HOST", host)]);
        let port = port_of(server.address());
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(".env"), format!("HOST={host}\nPORT={port}\n")).unwrap();
        let empty = tempdir().unwrap();
        for (folder, arguments, environment) in [
            (empty.path(), vec![], vec![("HOST", host), ("PORT", port)]),
            (empty.path(), vec!["--host", host, "--port", port], vec![("HOST", "192.0.2.1"), ("PORT", "1")]),
            (folder.path(), vec![], vec![]),
        ] {
            for (option, path) in [(None, "health"), (Some("--ready"), "ready")] {
                let arguments: Vec<_> = option.into_iter().chain(arguments.iter().copied()).collect();
                let output = health(folder, &arguments, &environment);
                let line = String::from_utf8(output.stdout).unwrap();
                assert_eq!(output.status.code(), Some(0), "{host} {arguments:?}: {:?}", output.stderr);
                assert!(line.starts_with(&format!("http://{shown}:{port}/{path} answered 200 OK after ")), "{line}");
                assert_eq!(line.lines().count(), 1, "{line}");
                assert!(output.stderr.is_empty());
            }
        }
    }
}

/// A container often has no IPv6: then `[::]` listens on IPv4 alone.
#[test]
fn a_server_on_all_addresses_is_found_without_ipv6() {
    let server = Server::with(Database::Sqlite, &[("HOST", "0.0.0.0")]);
    let output = health(server.folder(), &["--host", "::", "--port", port_of(server.address())], &[]);
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && line.starts_with("http://127.0.0.1:"), "{line}");
}

#[test]
fn a_server_that_is_about_to_stop_is_alive_but_not_ready() {
    let server = Server::with(Database::Sqlite, &[("SHUTDOWN_DELAY", "60s")]);
    server.signal("TERM");
    server.wait_for_log(|line| (line["message"] == "stopping").then_some(()));
    let environment = [("PORT", port_of(server.address()))];
    assert!(health(server.folder(), &[], &environment).status.success());
    let line = failure(&["--ready"], &environment);
    assert!(line.contains("/ready answered 503 Service Unavailable after "), "{line}");
    assert!(line.contains(" ms: ") && line.contains("the server is about to stop"), "{line}");
}

#[test]
fn a_missing_server_is_reported() {
    // No program gets this port by chance.
    let line = failure(&[], &[("PORT", "1")]);
    assert!(line.starts_with("todo-api: no answer from http://127.0.0.1:1/health: "), "{line}");
    assert!(line.contains("refused"), "{line}");
    let line = failure(&["--host", "::"], &[("PORT", "1")]);
    assert!(line.contains("http://[::1]:1/health and http://127.0.0.1:1/health"), "{line}");
}

#[test]
fn a_server_that_hangs_is_given_up_after_the_time_limit() {
    // The kernel accepts connections for a listener that never does.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address.port().to_string())).unwrap();
    let slow = imposter(|mut stream| {
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").unwrap();
        // Until the client gives up.
        drop(stream.read_to_end(&mut Vec::new()));
    });
    for port in [silent.1.as_str(), &slow] {
        let line = failure(&["--timeout", "300ms"], &[("PORT", port)]);
        assert!(line.ends_with("/health: nothing within 300ms\n"), "{line}");
    }
}

#[test]
fn what_is_not_the_server_is_not_healthy() {
    let answer = |text: &'static [u8]| {
        imposter(move |mut stream| {
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            // The client may be gone before it has read everything.
            drop(stream.write_all(text));
        })
    };
    for (text, expected) in [
        (&b"SSH-2.0-x\r\n"[..], "no answer from"),
        (b"", "no answer from"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answered 404 Not Found after"),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "answered 302 Found after"),
        (b"HTTP/1.1 500 Oh\r\n\r\n{\"detail\":\"two\\nlines\\u001b[1m\"}", "two\\nlines\\u{1b}[1m"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "no answer from"),
    ] {
        let line = failure(&[], &[("PORT", &answer(text))]);
        assert!(line.contains(expected), "{line}");
    }
    let endless = imposter(|mut stream| {
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let line = failure(&["--timeout", "60s"], &[("PORT", &endless)]);
    assert!(line.contains("length limit exceeded"), "{line}");
}

#[test]
fn a_wrong_option_or_variable_is_a_mistake_of_the_configuration() {
    for (arguments, environment, problem) in [
        (
            &[][..],
            ("PORT", "0"),
            "todo-api: PORT is 0, so the server has chosen a free port: name that port; for example PORT=8000",
        ),
        (&[], ("PORT", "http"), "todo-api: PORT is not a port from 0 to 65535"),
        (&[], ("HOST", "example.com"), "todo-api: HOST is not an IP address"),
        (&["--timeout", "5"], ("PORT", "1"), "it is not a duration such as 90s, 15m or 1h"),
    ] {
        let output = health(tempdir().unwrap().path(), arguments, &[environment]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(problem), "{errors}");
    }
}
