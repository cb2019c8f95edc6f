//! Records the parts of the document that tests have seen.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use crate::Document;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/traffic"))
}

/// Records that a test has seen this part of the document: an operation, a status, perhaps a header.
pub(crate) fn record(part: &[&str]) {
    static SEEN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
    let line = part.join(" ") + "\n";
    if SEEN.lock().unwrap().insert(line.clone()) {
        fs::create_dir_all(folder()).unwrap();
        let file = folder().join(std::process::id().to_string());
        OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// The parts of the document that no test has seen since `target/traffic` was removed.
pub fn unseen() -> Vec<String> {
    let files = fs::read_dir(folder()).into_iter().flatten();
    let seen: String = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let seen: BTreeSet<_> = seen.lines().collect();
    let document = Document::committed();
    let mut parts = Vec::new();
    for operation in document.operations() {
        let name = operation.value["operationId"].as_str().unwrap();
        for (status, response) in operation.value["responses"].as_object().unwrap() {
            parts.push(format!("{name} {status}"));
            let headers = document.resolve(response)["headers"].as_object().unwrap();
            parts.extend(headers.keys().map(|header| format!("{name} {status} {header}")));
        }
    }
    parts.retain(|part| !seen.contains(part.as_str()));
    parts
}
