//! The file `.env`. dotenvy parses it, with two differences: a `$` stays a `$`, and an error has the number of a line
//! instead of its text, which may contain a secret.

use std::{
    collections::HashMap,
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{ConfigError, variable::Variable};

/// The values of a file, or of none. There is no `Debug`: it would show secrets.
#[derive(Default)]
pub(super) struct Dotenv {
    path: PathBuf,
    /// The last value of each variable, or the number of its line if it cannot be read. That is an error only if the
    /// variable is used.
    values: HashMap<String, Result<String, usize>>,
}

impl Dotenv {
    /// The file in the working directory, or else in the nearest folder above it.
    pub(super) fn find() -> Result<Self, String> {
        let Ok(folder) = env::current_dir() else { return Ok(Self::default()) };
        for path in folder.ancestors().map(|folder| folder.join(".env")) {
            match fs::read(&path) {
                Ok(bytes) => return Self::parse(path, &bytes),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            }
        }
        Ok(Self::default())
    }

    /// The value in the file.
    pub(super) fn get(&self, variable: &Variable) -> Result<Option<String>, ConfigError> {
        match self.values.get(variable.name) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value.clone())),
            Some(Err(line)) => {
                let place = place(&self.path, *line);
                Err(variable.invalid(format!("has a value in {place} that needs single quotes around it")))
            }
        }
    }

    /// Reads `NAME=value`, `export NAME=value`, comments and empty lines. A quoted value may have several lines.
    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            format!("{} is not UTF-8", place(&path, line))
        })?;
        let mut unused = ('\u{e000}'..='\u{f8ff}').filter(|c| !text.contains(*c));
        // dotenvy would replace a `$` and a name with the value of that variable. It would not see the end of a value in
        // single quotes after a `\`, which has no meaning there.
        let [dollar, backslash] = [(); 2].map(|()| unused.next().unwrap_or('\u{fffd}'));
        let text = text.trim_start_matches('\u{feff}').replace('$', dollar.encode_utf8(&mut [0; 4]));
        let lines: Vec<&str> = text.lines().collect();
        let mut values = HashMap::new();
        let mut rest = lines.as_slice();
        while let Some((first, below)) = rest.split_first() {
            let line = lines.len() - below.len();
            // dotenvy alone would also read on after an apostrophe in the middle of a value.
            let value = first.split_once('=').map_or("", |(_, value)| value.trim_start());
            let single = value.starts_with('\'');
            let most = if single || value.starts_with('"') { rest.len() } else { 1 };
            let entry = (1..=most).find_map(|count| {
                let mut text = rest.get(..count)?.join("\n");
                if single {
                    text = text.replace('\\', backslash.encode_utf8(&mut [0; 4]));
                }
                let entry = dotenvy::from_read_iter(text.as_bytes()).next().transpose().ok()?;
                let is_clear = entry.as_ref().is_none_or(|(_, value)| is_literal(&text, value));
                Some((entry.map(|(name, value)| (name, if is_clear { Ok(value) } else { Err(line) })), count))
            });
            rest = rest.get(entry.as_ref().map_or(1, |(_, count)| *count)..).unwrap_or_default();
            let place = || place(&path, line);
            match (entry, name(first)) {
                (Some((Some((name, value)), _)), _) => {
                    drop(values.insert(name, value.map(|value| value.replace(dollar, "$").replace(backslash, "\\"))));
                }
                (Some((None, _)), _) => {}
                (None, _) if first.trim().is_empty() => {}
                (None, Some(name)) => drop(values.insert(name.to_owned(), Err(line))),
                (None, None) => return Err(format!("{} is not NAME=value", place())),
            }
        }
        Ok(Self { path, values })
    }
}

/// Whether the entry contains the value literally, apart from surrounding quotes, escapes in double quotes, and a
/// comment. dotenvy reads `a'b'c` as `abc`, like a shell; other programs keep the quotes.
fn is_literal(entry: &str, value: &str) -> bool {
    let written = entry.split_once('=').map_or("", |(_, written)| written.trim_start());
    let escapes = written.starts_with('"') && written.contains('\\');
    let stands_between = |quote: &str| {
        let rest = written.strip_prefix(quote)?.strip_prefix(value)?.strip_prefix(quote)?;
        Some(rest.is_empty() || rest.starts_with(char::is_whitespace) || (value.is_empty() && rest.starts_with('#')))
    };
    escapes || ["", "'", "\""].into_iter().any(|quote| stands_between(quote).unwrap_or(false))
}

fn place(path: &Path, line: usize) -> String {
    format!("{}, line {line},", path.display())
}

/// The name that an entry gives a value to.
fn name(entry: &str) -> Option<&str> {
    let name = entry.split_once('=')?.0.trim();
    let name = name.strip_prefix("export").filter(|name| name.starts_with([' ', '\t'])).unwrap_or(name).trim();
    let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    Some(name).filter(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Variable = Variable::new("SECRET", "SECRET", "").example("x");

    fn value(text: &str) -> Result<Option<String>, String> {
        let file = Dotenv::parse("/app/.env".into(), text.as_bytes())?;
        file.get(&SECRET).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_literally() {
        for (text, expected) in [
            ("SECRET=a", "a"),
            ("\u{feff}SECRET=a\r\nB=2\r\n", "a"),
            ("  export   SECRET = a  ", "a"),
            ("export\tSECRET=a", "a"),
            ("# x\n\n \nSECRET=a # x\n", "a"),
            ("SECRET=\nSECRET=b", "b"),
            ("SECRET=", ""),
            ("SECRET= # x", ""),
            ("SECRET=a$B${C}$$d=e", "a$B${C}$$d=e"),
            ("SECRET='a $B #\\\"c' # x", "a $B #\\\"c"),
            ("SECRET=\"a $B # 'c'\"", "a $B # 'c'"),
            ("SECRET=\" a\"", " a"),
            ("SECRET='a\nb'\nB=2", "a\nb"),
            ("SECRET='a\\'\nB=2", "a\\"),
            ("SECRET='a\\\\b\\\nc\\' # x", "a\\\\b\\\nc\\"),
            ("B=\"a\\\"\nSECRET=b\"\nSECRET=c", "c"),
            ("A.b-c=1\nB=of another program\nC=\"\\q\"\nSECRET=a", "a"),
        ] {
            assert_eq!(value(text), Ok(Some(expected.to_owned())), "{text}");
        }
        for text in ["", "\n", "# SECRET=a", "SECRETS=a", "secret=a"] {
            assert_eq!(value(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_malformed_value_is_rejected_when_it_is_used() {
        for text in [
            "PASS WORD",
            "PASS\\WORD",
            "PASS\\\\WORD",
            "PASSWORD'",
            "PASS'WO'RD",
            "PASS\"WORD\"",
            "'PASS''WORD'",
            "'PASS'WORD",
            "'PASS' WORD",
            "'PASSWORD",
            "\"PASS\\WORD\"",
        ] {
            let error = value(&format!("A=1\nSECRET={text}\n")).unwrap_err();
            assert!(error.contains("/app/.env, line 2, "), "{text}: {error}");
            assert!(!error.contains("PASS") && !error.contains("WORD"), "{text}: {error}");
        }
        assert_eq!(value("B=it's\nSECRET=that's\nSECRET=a"), Ok(Some("a".to_owned())));
    }

    #[test]
    fn a_line_without_an_assignment_is_reported_by_its_number() {
        for (text, expected) in [
            ("A=1\nPASSWORD", "line 2, is not NAME=value"),
            ("\n\nPASS WORD=1", "line 3, is not NAME=value"),
            ("=PASSWORD", "line 1, is not NAME=value"),
            ("export PASSWORD", "line 1, is not NAME=value"),
            ("A='1\n2'\nB='PASS=1\nPASSWORD\n", "line 4, is not NAME=value"),
        ] {
            assert_eq!(value(text), Err(format!("/app/.env, {expected}")), "{text}");
        }
        let error = Dotenv::parse("/app/.env".into(), b"A=1\nB=\xff\n").err();
        assert_eq!(error.as_deref(), Some("/app/.env, line 2, is not UTF-8"));
    }
}
