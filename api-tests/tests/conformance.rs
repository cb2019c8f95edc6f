//! Schemathesis derives requests from the document, good ones and bad ones, alone and in sequences along its links, and
//! holds the answers against it. `CONFORMANCE_EXAMPLES` says how many for each operation.

use std::{path::Path, process::Command};

use api_tests::{Database, Server, token};

fn conforms(database: Database) {
    let venv = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/venv"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/requirements.txt"))
        .output()
        .unwrap();
    assert!(venv.status.success(), "{}", String::from_utf8_lossy(&venv.stderr));
    let venv = String::from_utf8(venv.stdout).unwrap();
    let server = Server::start(database);
    let examples = std::env::var("CONFORMANCE_EXAMPLES").unwrap_or_else(|_| "50".to_owned());
    let output = Command::new(Path::new(venv.trim()).join("bin/schemathesis"))
        .args(["--config-file", concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/schemathesis.toml")])
        .args(["run", &format!("http://{}/openapi.json", server.address())])
        .args(["--header", &format!("Authorization: Bearer {}", token("alice"))])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", &examples, "--no-color"])
        .env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/hooks.py"))
        .current_dir(server.folder())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    println!("{report}");
}

#[test]
fn the_server_conforms_to_the_document_on_sqlite() {
    conforms(Database::Sqlite);
}

#[test]
fn the_server_conforms_to_the_document_on_postgresql() {
    conforms(Database::Postgres);
}
