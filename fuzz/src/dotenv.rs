//! The file `.env`, through the settings that are read from it.

use std::{env, fs, sync::LazyLock};

use clap::Command;
use tempfile::TempDir;
use todo_api::config::{self, Auth, ConfigError, Database, Serve, Settings, Signer};

/// A part of all secrets in the corpus.
const SECRET: &str = "hunter2";
const ISSUER: &str = "AUTH_ISSUER";

/// The working directory, because the file is looked for there.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    env::set_current_dir(&folder).unwrap();
    folder
});

/// No error has a value, a value is what dotenvy reads, and a quoted value is literal.
pub fn check(input: &[u8]) {
    // Whatever the environment of the developer has.
    if env::var_os(ISSUER).is_some() {
        return;
    }
    match settings(input) {
        Err(error) => assert!(!error.contains(SECRET), "{error}"),
        Ok(mut settings) => {
            let issuer = keeps_secrets(Signer::read(&mut settings));
            keeps_secrets(Auth::read(&mut settings));
            keeps_secrets(Database::read(&mut settings));
            keeps_secrets(Serve::read(&mut settings));
            assert!(!settings.warnings().concat().contains(SECRET));
            if let (Some(signer), Ok(simple)) = (issuer, simple(input)) {
                assert_eq!(signer.issuer, simple);
            }
        }
    }
    let Ok(text) = str::from_utf8(input) else { return };
    let text = text.trim().trim_matches(['\'', '"']).trim();
    if !text.is_empty() && !text.contains(['\'', '\r']) {
        let mut settings = settings(format!("{ISSUER}='{text}'").as_bytes()).unwrap();
        assert_eq!(Signer::read(&mut settings).unwrap().issuer.as_deref(), Some(text));
    }
}

fn settings(file: &[u8]) -> Result<Settings, String> {
    fs::write(FOLDER.path().join(".env"), file).unwrap();
    let options = config::options(&[config::DATABASE, config::LANES, config::SIGNER, config::AUTH, config::SERVE]);
    Settings::of(Command::new("todo-api").args(options).get_matches_from(["todo-api"]))
}

fn keeps_secrets<T>(read: Result<T, ConfigError>) -> Option<T> {
    read.inspect_err(|error| assert!(!error.to_string().contains(SECRET), "{error}")).ok()
}

/// The issuer that dotenvy reads; an error for a file that the server reads in another way, or not for an issuer alone.
fn simple(file: &[u8]) -> Result<Option<String>, ()> {
    let text = str::from_utf8(file).map_err(drop)?;
    let entries: Vec<_> = dotenvy::from_read_iter(file).collect::<Result<_, _>>().map_err(drop)?;
    // Without a URL of the auth server, whose origin would be the default.
    if text.contains(['\'', '"', '\\', '$', '\u{feff}']) || entries.iter().any(|(name, _)| name.ends_with("_URL")) {
        return Err(());
    }
    let issuer = entries.into_iter().rfind(|(name, _)| name == ISSUER).map(|(_, value)| value);
    Ok(issuer.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
}
