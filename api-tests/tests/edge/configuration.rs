//! Variables in the forms of containers, shells and `.env` files.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::TcpListener,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output},
};

use api_tests::{Database, SECRET, Server, binary};
use tempfile::tempdir;

/// An address that no machine has. A server with a valid configuration ends with its error.
const NOWHERE: &str = "192.0.2.1";
const STARTED: &str = "todo-api: HOST and PORT: cannot listen on ";

/// Each variable with a valid value, and an invalid one if there is any.
const VARIABLES: [(&str, &str, Option<&str>); 39] = [
    ("DATABASE_URL", "sqlite://data/x.db?mode=rwc", Some("mysql://u:PASSWORD@h/d")),
    ("NEON_DB_URL", "postgresql://u:PASSWORD@h/d", Some("postgresql://u:PASSWORD@h/d?sslmode=prefer")),
    ("DB_READ_CONNECTIONS", "3", Some("PASSWORD")),
    ("DB_WRITE_CONNECTIONS", "3", Some("0")),
    ("BETTER_AUTH_SECRET", "PASSWORD-0kP2xV7mQ4tY9sW1cR6eU3iA8oL5zN", Some("PASSWORD")),
    ("BETTER_AUTH_URL", "https://app.example.com", Some("https://u:PASSWORD@app.example.com")),
    ("AUTH_JWKS_URL", "https://app.example.com/jwks", Some("https://u:1/PASSWORD@app.example.com")),
    ("AUTH_ISSUER", "https://app.example.com", None),
    ("AUTH_AUDIENCE", "https://app.example.com", None),
    ("AUTH_JWKS_REFRESH", "5m", Some("PASSWORD")),
    ("AUTH_JWKS_STALE", "2h", Some("1s")),
    ("SSL_CERT_FILE", "ca.pem", Some("missing.pem")),
    ("HOST", "127.0.0.1", Some("PASSWORD")),
    ("PORT", "8001", Some("PASSWORD")),
    ("CORS_ORIGINS", "https://app.example.com", Some("PASSWORD")),
    ("LOG_FORMAT", "json", Some("PASSWORD")),
    ("RUST_LOG", "warn", Some("=PASSWORD=")),
    ("METRICS_ADDRESS", "127.0.0.1:9464", Some("PASSWORD:9464")),
    ("MAX_CONNECTIONS", "7", Some("PASSWORD")),
    ("FIRST_BYTE_TIMEOUT", "7s", Some("PASSWORD")),
    ("HEADER_TIMEOUT", "7s", Some("PASSWORD")),
    ("BODY_TIMEOUT", "7s", Some("PASSWORD")),
    ("BODY_LIMIT", "7", Some("PASSWORD")),
    ("KEEP_ALIVE_TIMEOUT", "7s", Some("PASSWORD")),
    ("WRITE_TIMEOUT", "7s", Some("PASSWORD")),
    ("WRITE_RATE", "7", Some("PASSWORD")),
    ("WRITE_LIMIT", "7", Some("PASSWORD")),
    ("RATE_LIMIT", "7", Some("0")),
    ("RATE_LIMIT_ANONYMOUS", "7", Some("PASSWORD")),
    ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8", Some("127.0.0.1,PASSWORD")),
    ("SHUTDOWN_DELAY", "7s", Some("PASSWORD")),
    ("SHUTDOWN_GRACE", "7s", Some("PASSWORD")),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", Some("https://u:PASSWORD@collector.example")),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/x", Some("127.0.0.1/PASSWORD")),
    ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=PASSWORD%20,x=y=", Some("api-key=PASSWORD%0a")),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "7", Some("7s")),
    ("OTEL_SERVICE_NAME", "todo", None),
    ("OTEL_TRACES_SAMPLER", "traceidratio", Some("parentbased_PASSWORD")),
    ("OTEL_TRACES_SAMPLER_ARG", "0.1", Some("1.1")),
];

fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    Command::new(binary()).args(arguments).current_dir(folder).env_clear().envs(environment).output().unwrap()
}

/// The last line that a server prints, and everything that it prints.
fn serve(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (String, String) {
    let base = [("BETTER_AUTH_SECRET", SECRET), ("HOST", NOWHERE)];
    let output = run(folder, &[&["serve"], arguments].concat(), &[&base, environment].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    (text.lines().last().unwrap().to_owned(), text)
}

fn token(folder: &Path, environment: &[(&str, &str)]) -> String {
    let output = run(folder, &["token", "--sub", "alice"], environment);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The variables in `serve --help`, with their defaults.
fn documented() -> Vec<(String, String)> {
    let help = String::from_utf8(run(Path::new("."), &["serve", "--help"], &[]).stdout).unwrap();
    let variable = |line: &str| {
        let (name, rest) = line.split_once("[env: ")?.1.split_once(']')?;
        let default = rest.split_once("[default: ").map_or("", |(_, default)| default.strip_suffix(']').unwrap());
        Some((name.to_owned(), default.to_owned()))
    };
    help.lines().filter_map(variable).collect()
}

#[test]
fn every_variable_and_option_follows_the_same_rule() {
    let documented: Vec<_> = documented().into_iter().map(|(name, _)| name).collect();
    assert_eq!(documented, VARIABLES.map(|(name, _, _)| name), "the table has every variable");
    let folder = tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    fs::write(folder.path().join("ca.pem"), authority).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    let check = |variable: &str, good: &str, wrong: Option<&str>| {
        let run = |value: &OsStr, is_option: bool| {
            let mut command = Command::new(binary());
            command.arg("serve").current_dir(&folder).env_clear();
            command.env("BETTER_AUTH_SECRET", SECRET).env("AUTH_JWKS_URL", "https://app.example.com/jwks");
            // HOST must be an address in use.
            if variable == "HOST" {
                command.env("PORT", &taken)
            } else {
                command.env("HOST", NOWHERE)
            };
            if is_option {
                let mut option = OsString::from(format!("--{}=", variable.to_lowercase().replace('_', "-")));
                option.push(value);
                command.arg(option);
            } else {
                command.env(variable, value);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{variable}={value:?}: {text}");
            assert!(!text.contains("PASSWORD"), "{variable}={value:?}: {text}");
            text
        };
        for is_option in [false, true] {
            for blank in ["", " \t\n", "\"\""] {
                let text = run(blank.as_ref(), is_option);
                assert!(text.starts_with(STARTED), "{variable}={blank:?}: {text}");
            }
            for untidy in [format!("\"{good}\""), format!(" {good}\n")] {
                let text = run(untidy.as_ref(), is_option);
                let [warning, error] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{variable}: {text}") };
                assert!(warning.contains("\"WARN\"") && warning.contains(variable), "{variable}={untidy:?}: {text}");
                assert!(error.starts_with(STARTED), "{variable}={untidy:?}: {text}");
            }
            let text = run(good.as_ref(), is_option);
            assert!(text.starts_with(STARTED), "{variable}: {text}");
            let text = run(OsStr::from_bytes(b"PASSWORD\xff"), is_option);
            let start = format!("todo-api: {variable} is not UTF-8; for example {variable}=");
            assert!(text.starts_with(&start) && text.lines().count() == 1, "{variable}: {text}");
            if let Some(wrong) = wrong {
                let text = run(wrong.as_ref(), is_option);
                assert!(text.starts_with(&format!("todo-api: {variable} ")), "{variable}: {text}");
                assert!(text.contains(&format!("; for example {variable}=")), "{variable}: {text}");
                assert!(text.lines().count() == 1, "{variable}: {text}");
            }
        }
    };
    std::thread::scope(|scope| {
        for half in VARIABLES.chunks(VARIABLES.len() / 2) {
            scope.spawn(|| half.iter().for_each(|(variable, good, wrong)| check(variable, good, *wrong)));
        }
    });
}

#[test]
fn an_error_shows_an_example_of_the_same_kind_of_url() {
    let folder = tempdir().unwrap();
    for (variable, value, example) in [
        ("DATABASE_URL", "postgresql:///x", "postgresql://user:password@host/database"),
        ("NEON_DB_URL", "postgresql+asyncpg://u:p@h/d", "postgresql://user:password@host/database"),
        ("NEON_DB_URL", "https://console.neon.tech", "postgresql://user:password@host/database"),
        ("DATABASE_URL", "psql 'postgresql://u:p@h/d'", "postgresql://user:password@host/database"),
        ("DATABASE_URL", "sqlite://", "sqlite://data/todo.db?mode=rwc"),
    ] {
        let (line, _) = serve(folder.path(), &[], &[(variable, value)]);
        assert!(line.ends_with(&format!("; for example {variable}={example}")), "{line}");
    }
}

#[test]
fn the_order_is_option_environment_file_default_and_blank_values_never_count() {
    let folder = tempdir().unwrap();
    for (option, variable, file, port) in [
        (Some("1"), Some("2"), Some("3"), "1"),
        (None, Some("2"), Some("3"), "2"),
        (None, None, Some("3"), "3"),
        (None, None, None, "8000"),
        (Some(" "), Some("2"), Some("3"), "2"),
        (Some(""), Some(""), Some("3"), "3"),
        (Some(""), Some(" "), Some("' '"), "8000"),
    ] {
        fs::write(folder.path().join(".env"), file.map_or_else(String::new, |port| format!("PORT={port}"))).unwrap();
        let options: Vec<_> = option.into_iter().flat_map(|port| ["--port", port]).collect();
        let environment: Vec<_> = variable.into_iter().map(|port| ("PORT", port)).collect();
        let (line, _) = serve(folder.path(), &options, &environment);
        assert!(line.starts_with(&format!("{STARTED}{NOWHERE}:{port}:")), "{option:?} {variable:?} {file:?}: {line}");
    }
}

#[test]
fn a_secret_is_used_verbatim() {
    let folder = tempdir().unwrap();
    let secret = "0kP2xV7mQ4tY9$sW1cR6${HOME}eU3iA8oL5zN$";
    let newline = format!("{secret}\n");
    let plain = Server::with(Database::Sqlite, &[("BETTER_AUTH_SECRET", secret)]);
    let status = |server: &Server, token: &str| server.stranger().with_token(token).get("/api/tasks").status;
    for line in
        [format!("BETTER_AUTH_SECRET={secret}"), format!("\u{feff}export BETTER_AUTH_SECRET = \"{secret}\"\r\n")]
    {
        fs::write(folder.path().join(".env"), &line).unwrap();
        assert_eq!(status(&plain, &token(folder.path(), &[("HOME", "/home")])), 200, "{line}");
    }
    let with_newline = Server::with(Database::Sqlite, &[("BETTER_AUTH_SECRET", &newline)]);
    let token = token(folder.path(), &[("BETTER_AUTH_SECRET", &newline)]);
    assert_eq!((status(&with_newline, &token), status(&plain, &token)), (200, 401));
}

#[test]
fn a_command_ignores_variables_that_it_does_not_use() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(".env");
    let run = |arguments: &[&str], broken: &dyn Fn(&str) -> bool| {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(&folder).env_clear();
        let broken = VARIABLES.iter().filter(|(variable, _, _)| broken(variable));
        command.envs(broken.map(|(variable, _, _)| (variable, OsStr::from_bytes(b"PASSWORD\xff"))));
        command.env("BETTER_AUTH_SECRET", SECRET).output().unwrap()
    };
    for content in [None, Some("PASSWORD"), Some("PORT='PASSWORD")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        for arguments in
            [&["openapi"][..], &["--help"], &["--version"], &["help"], &["help", "serve"], &["serve", "-h"]]
        {
            assert!(run(arguments, &|_| true).status.success(), "{arguments:?}");
        }
    }
    fs::write(&path, "PORT=PASS WORD\nAPP_NAME=My App\nAUTH_JWKS_STALE=\"\\d\"\n").unwrap();
    let of_token = ["BETTER_AUTH_URL", "AUTH_JWKS_URL", "AUTH_ISSUER", "AUTH_AUDIENCE"];
    let output = run(&["token", "--sub", "alice"], &|variable| !of_token.contains(&variable));
    assert!(output.status.success(), "{output:?}");
    let output = run(&["migrate", "status"], &|variable| !["DATABASE_URL", "NEON_DB_URL"].contains(&variable));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn an_unusable_file_is_reported_only_by_its_path_and_line() {
    let folder = tempdir().unwrap();
    let inner = folder.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let path = folder.path().join(".env");
    let shown = path.canonicalize().unwrap_or_else(|_| folder.path().canonicalize().unwrap().join(".env"));
    for (content, problem) in [
        ("A=1\nBETTER_AUTH_SECRET:PASSWORD\n", "line 2, is not NAME=value"),
        ("\nPASS WORD=1", "line 2, is not NAME=value"),
    ] {
        fs::write(&path, content).unwrap();
        let output = run(&inner, &["token", "--sub", "alice"], &[]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, format!("todo-api: {}, {problem}\n", shown.display()));
        assert_eq!(output.status.code(), Some(2));
    }
    for value in ["PASSWORD 1", "'PASSWORD", "'x' PASSWORD", "PASSWORD\\1", "PASSWORD'"] {
        fs::write(&path, format!("A=1\nBETTER_AUTH_SECRET={value}\n")).unwrap();
        let output = run(&inner, &["token", "--sub", "alice"], &[]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            errors.starts_with(&format!("todo-api: BETTER_AUTH_SECRET has a value in {}, line 2,", shown.display()))
        );
        assert!(output.status.code() == Some(2) && !errors.contains("PASSWORD"), "{errors}");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let output = run(&inner, &["token", "--sub", "alice"], &[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with(&format!("todo-api: {} cannot be read: ", shown.display())), "{errors}");
    assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1));
}

#[test]
fn a_filter_that_would_hide_the_log_by_mistake_is_rejected() {
    let folder = tempdir().unwrap();
    for filter in ["warning", "verbose", "hyper", "sea_orm,poem"] {
        let output = run(folder.path(), &["serve"], &[("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", filter)]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{filter}");
        assert!(errors.starts_with("todo-api: RUST_LOG has no level"), "{filter}: {errors}");
    }
    for filter in ["off", "WARN", "todo_api", "info,hyper", "todo_api=debug", "todo_api::db=trace"] {
        let environment = [("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", filter), ("HOST", NOWHERE)];
        let output = run(folder.path(), &["serve"], &environment);
        assert!(String::from_utf8(output.stderr).unwrap().contains(STARTED), "{filter}");
    }
}

#[test]
fn no_error_repeats_a_possible_secret() {
    let folder = tempdir().unwrap();
    let url = "postgresql://u:1/PASSWORD@PRIVATE:x/d";
    for arguments in [
        &["serve", "--database-url", url][..],
        &["serve", "--neon-db-url", "postgresql://u:PASSWORD", "PRIVATE@h/d"],
        &["serve", url],
        &["serve", "--better-auth-secret", "PASSWORD", "PRIVATE"],
        &["serve", "--better-auth-url", url],
        &["serve", "--better-auth-secrets=PASSWORD"],
        &["serve", "--auth-jwks-url", url],
        &["serve", "--host", url],
        &["serve", "--port=PASSWORD"],
        &["migrate", "--database-url", url],
        &["migrate", url],
        &["token", "--sub", "x", "PASSWORD"],
        &["token", "--sub", "x", "--ttl", "1PASSWORD"],
        &["openapi", "--format", "PASSWORD"],
        &["migrate", "--PASSWORD"],
        &["migrate", "-PASSWORD"],
        &[url],
        &["PASSWORD"],
    ] {
        let output = run(folder.path(), arguments, &[]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(!errors.contains("PASSWORD") && !errors.contains("PRIVATE"), "{arguments:?}: {errors}");
    }
}

#[test]
fn help_guide_and_example_file_have_the_same_variables_and_defaults() {
    let documented = documented();
    let file = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap();
    let guide = file("docs/operation.md");
    let table = guide.split("| variable | default |").nth(1).unwrap();
    let mut rows = Vec::new();
    for row in table.lines().skip(2).take_while(|row| row.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let (names, defaults): (Vec<_>, Vec<_>) = (cells[1].split(", ").collect(), cells[2].split(", ").collect());
        for (n, name) in names.iter().enumerate() {
            // One default for all variables of a line, or one for each.
            let default = if names.len() == defaults.len() { defaults[n] } else { &cells[2] };
            rows.push(((*name).to_owned(), default.to_owned()));
        }
    }
    let sorted = |mut list: Vec<(String, String)>| {
        list.sort();
        list
    };
    assert_eq!(sorted(rows), sorted(documented.clone()), "docs/operation.md");
    let example = file(".env.example");
    let assignment = |line: &str| {
        let (name, value) = line.strip_prefix("# ").unwrap_or(line).split_once('=')?;
        name.chars().all(|c| c.is_ascii_uppercase() || c == '_').then(|| (name.to_owned(), value.to_owned()))
    };
    let lines: Vec<_> = example.lines().filter_map(assignment).collect();
    let names = |list: &[(String, String)]| {
        let mut names: Vec<_> = list.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&lines), names(&documented), ".env.example");
    for (name, value) in lines {
        let (_, default) = documented.iter().find(|(variable, _)| *variable == name).unwrap();
        // A default in words, such as that of the issuer, is not a value.
        let is_value = !default.is_empty() && !default.contains(' ') && default != "none";
        assert!(!is_value || value == *default, ".env.example has {name}={value}, not {default}");
    }
}
