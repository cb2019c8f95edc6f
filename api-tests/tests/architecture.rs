//! The rules of the house, read off its source.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every file below `src`, with its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let name = |path: &Path| path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Fails for each file that says one of the words, but for those allowed to.
fn only(allowed: &[&str], words: &[&str]) {
    for (file, text) in sources() {
        for word in words {
            let says = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!says || allowed.iter().any(|prefix| file.starts_with(prefix)), "{file} says {word}");
        }
    }
}

#[test]
fn only_the_connection_layer_knows_which_database_runs() {
    only(&["db/"], &["rusqlite", "tokio_postgres::", "DbBackend", "Sqlite("]);
    only(&["db/"], &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "BEGIN"]);
}

#[test]
fn only_the_tasks_folder_knows_the_entities() {
    only(&["tasks/", "db/"], &["sea_orm", "entity::"]);
}

#[test]
fn the_store_knows_no_http_and_the_operations_no_sql() {
    let sources = sources();
    let text = |file: &str| sources.iter().find(|(name, _)| name == file).unwrap().1.as_str();
    assert!(!text("tasks/store.rs").contains("poem"));
    assert!(!text("tasks/api.rs").contains("sea_orm"));
}

#[test]
fn only_the_problem_picks_the_status_of_an_error() {
    // The unit test of a panic stands in app.rs.
    only(&["problem.rs", "app.rs"], &["StatusCode::INTERNAL_SERVER_ERROR"]);
    only(
        &["problem.rs"],
        &[
            "StatusCode::BAD_REQUEST",
            "StatusCode::UNAUTHORIZED",
            "StatusCode::FORBIDDEN",
            "StatusCode::NOT_FOUND",
            "StatusCode::METHOD_NOT_ALLOWED",
            "StatusCode::REQUEST_TIMEOUT",
            "StatusCode::CONFLICT",
            "StatusCode::PRECONDITION_FAILED",
            "StatusCode::PAYLOAD_TOO_LARGE",
            "StatusCode::UNSUPPORTED_MEDIA_TYPE",
            "StatusCode::UNPROCESSABLE_ENTITY",
            "StatusCode::TOO_MANY_REQUESTS",
            "StatusCode::SERVICE_UNAVAILABLE",
        ],
    );
}
