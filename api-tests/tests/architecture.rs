//! The rules of the architecture, checked in the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Every file below `src`, with its text.
fn sources() -> Vec<(String, String)> {
    files("src")
}

/// Every file below a folder of the project, with its text.
fn files(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut files = Vec::new();
    walk(&folder, &mut files);
    let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Fails for each file that contains one of the words, except the allowed files.
fn only(allowed: &[&str], words: &[&str]) {
    for (file, text) in sources() {
        for word in words {
            let says = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!says || allowed.iter().any(|prefix| file.starts_with(prefix)), "{file} says {word}");
        }
    }
}

#[test]
fn only_the_connection_layer_names_a_database() {
    only(&["db/"], &["rusqlite", "tokio_postgres::", "DbBackend", "Sqlite("]);
    only(&["db/"], &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "BEGIN"]);
}

#[test]
fn only_the_tasks_folder_uses_the_entities() {
    only(&["tasks/", "db/"], &["sea_orm", "entity::"]);
}

#[test]
fn the_store_does_not_use_http_and_the_operations_do_not_use_sql() {
    let sources = sources();
    let text = |file: &str| sources.iter().find(|(name, _)| name == file).unwrap().1.as_str();
    assert!(!text("tasks/store.rs").contains("poem"));
    assert!(!text("tasks/api.rs").contains("sea_orm"));
}

#[test]
fn only_the_problem_module_chooses_the_status_of_an_error() {
    // app.rs has the unit test of a panic.
    only(&["http/problem/", "http/app.rs"], &["StatusCode::INTERNAL_SERVER_ERROR"]);
    only(
        &["http/problem/"],
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

/// The modules from top to bottom. Each imports only modules below it.
const LAYERS: [&str; 16] = [
    "main",
    "lib",
    "commands",
    "startup",
    "api",
    "tasks",
    "config",
    "http",
    "openapi",
    "auth",
    "db",
    "telemetry",
    "host",
    "probe",
    "timestamp",
    "tls",
];

#[test]
fn imports_point_down_only() {
    let layer = |module: &str| LAYERS.iter().position(|known| *known == module);
    let imports = siblings("");
    assert!(imports["tasks"].contains("db") && imports["startup"].contains("tasks"), "{imports:?}");
    for (module, imported) in imports {
        assert!(layer(&module).is_some(), "{module} is not among the layers in architecture.rs");
        for below in imported {
            assert!(layer(&module) < layer(&below), "{module} imports {below}, which is not below it");
        }
    }
}

#[test]
fn neither_tokens_nor_documents_nor_databases_need_the_http_server() {
    let imports = siblings("");
    for (module, allowed) in
        [("auth", &["telemetry", "tls"][..]), ("openapi", &["timestamp"]), ("db", &["host", "telemetry", "tls"])]
    {
        let above: Vec<_> = imports[module].iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(above.is_empty(), "{module} imports {above:?}");
    }
}

#[test]
fn no_module_imports_itself_through_others() {
    let folders: BTreeSet<String> = sources().iter().filter_map(|(file, _)| parent(file)).collect();
    assert!(folders.contains("http") && folders.contains("db/postgres"), "{folders:?}");
    for folder in folders {
        let mut left = siblings(&folder);
        // A module that imports none of the remaining ones is in no cycle.
        while let Some(module) = left.iter().find(|(_, imported)| !imported.iter().any(|one| left.contains_key(one))) {
            let module = module.0.clone();
            left.remove(&module);
        }
        assert!(left.is_empty(), "in {folder}, a circle is among {left:?}");
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let folders = [
        "src",
        "migration",
        "api-tests/src",
        "api-tests/tests",
        "client/src",
        "client/test",
        "examples/web/src",
        "fuzz/src",
        "fuzz/tests",
    ];
    for (file, text) in folders.into_iter().flat_map(files) {
        let generated = file == "schema.ts";
        assert!(generated || text.lines().count() <= 400, "{file} has {} lines", text.lines().count());
    }
}

fn parent(file: &str) -> Option<String> {
    file.rsplit_once('/').map(|(folder, _)| folder.to_owned())
}

/// The modules of a folder of `src`, each with those of them that it imports, read off the code without comments and
/// unit tests.
fn siblings(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for (file, text) in sources() {
        let Some(below) = file.strip_prefix(&prefix).filter(|below| *below != "mod.rs") else { continue };
        let module = below.split(['/', '.']).next().unwrap().to_owned();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let depth = below.matches('/').count() + usize::from(!below.ends_with("/mod.rs"));
        let imported = imports.entry(module).or_default();
        for path in [format!("crate::{}", prefix.replace('/', "::")), "super::".repeat(depth)] {
            for (start, _) in code.match_indices(&path) {
                let (before, behind) = (&code[..start], &code[start + path.len()..]);
                // Longer paths of `super` are in another folder.
                if before.ends_with("super::") || behind.starts_with("super::") {
                    continue;
                }
                match behind.strip_prefix('{') {
                    Some(list) => imported.extend(first_names(list)),
                    None => imported.extend(first_names(behind).into_iter().next()),
                }
            }
        }
    }
    let modules: BTreeSet<String> = imports.keys().cloned().collect();
    for (module, imported) in &mut imports {
        imported.retain(|name| modules.contains(name) && name != module);
    }
    imports
}

/// The first name of each path in a list, up to the end of the list.
fn first_names(list: &str) -> Vec<String> {
    let (mut names, mut name, mut depth, mut taken) = (Vec::new(), String::new(), 0, false);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => taken = false,
            ';' => break,
            c if depth == 0 && !taken && (c.is_ascii_alphanumeric() || c == '_') => name.push(c),
            _ if !name.is_empty() => {
                names.push(std::mem::take(&mut name));
                taken = true;
            }
            _ => {}
        }
    }
    names.extend(Some(name).filter(|name| !name.is_empty()));
    names
}
