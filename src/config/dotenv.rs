//! The file `.env`, read as Node's dotenv, Docker and shells agree on it. A value that they read differently is refused,
//! but only where its variable is used: the file may be for other programs, too.

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
    entries: HashMap<String, Entry>,
}

/// The last value of a variable, unless programs differ on it, and its line.
type Entry = (usize, Option<String>);

/// Characters that make programs differ on a value: outside quotes, and between double quotes. A `$` is not among them,
/// since a value that has one is never meant to be changed.
const UNQUOTED: [char; 5] = ['"', '\'', '`', '\\', '#'];
const DOUBLE_QUOTED: char = '\\';

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
        let Some((line, value)) = self.entries.get(variable.name) else { return Ok(None) };
        let ambiguous = || {
            let place = place(&self.path, *line);
            variable
                .invalid(format!("has a value in {place} that programs read differently: put it between single quotes"))
        };
        value.clone().ok_or_else(ambiguous).map(Some)
    }

    /// Reads `NAME=value`, `export NAME=value`, comments and empty lines. A quoted value may have several lines.
    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, String> {
        let line_of = |rest: usize| 1 + bytes.iter().take(bytes.len() - rest).filter(|byte| **byte == b'\n').count();
        // The line itself may hold a secret.
        let wrong = |rest: usize, problem: &str| format!("{} {problem}", place(&path, line_of(rest)));
        let text =
            std::str::from_utf8(bytes).map_err(|error| wrong(bytes.len() - error.valid_up_to(), "is not UTF-8"))?;
        let mut entries = HashMap::new();
        let mut rest = text.trim_start_matches('\u{feff}').trim_start();
        while !rest.is_empty() {
            let start = rest.len();
            let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
            if line.starts_with('#') {
                rest = below.trim_start();
                continue;
            }
            let (name, value) = line.split_once('=').unwrap_or_default();
            let name = name.strip_prefix("export").filter(|name| name.starts_with([' ', '\t'])).unwrap_or(name).trim();
            if !is_name(name) {
                return Err(wrong(start, "is not NAME=value"));
            }
            let value = value.trim();
            let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
            let (value, end) = match quote {
                None => (unquoted(value), below),
                Some(quote) => {
                    // The value begins with the first quote after the first `=`.
                    let open = rest.split_once('=').and_then(|(_, value)| value.split_once(quote));
                    let (value, tail) = open
                        .and_then(|(_, inner)| quoted(inner, quote))
                        .ok_or_else(|| wrong(start, "begins a quoted value that never ends"))?;
                    let (tail, below) = tail.split_once('\n').unwrap_or((tail, ""));
                    let tail = tail.trim();
                    if !tail.is_empty() && !tail.starts_with('#') {
                        return Err(wrong(start, "has more text after a quoted value"));
                    }
                    (value, below)
                }
            };
            entries.insert(name.to_owned(), (line_of(start), value));
            rest = end.trim_start();
        }
        Ok(Self { path, entries })
    }
}

fn place(path: &Path, line: usize) -> String {
    format!("{}, line {line},", path.display())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A value without quotes, up to a comment.
fn unquoted(text: &str) -> Option<String> {
    let comment = text
        .match_indices('#')
        .find(|(at, _)| text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t'])));
    let value = comment.and_then(|(at, _)| text.get(..at)).unwrap_or(text).trim_end();
    (!value.contains(UNQUOTED) && !value.contains(char::is_whitespace)).then(|| value.to_owned())
}

/// A value up to its closing quote, and the text after that.
fn quoted(text: &str, quote: char) -> Option<(Option<String>, &str)> {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let closes = c == quote && !escaped;
        escaped = quote == '"' && c == DOUBLE_QUOTED && !escaped;
        closes
    })?;
    let (value, tail) = text.split_at_checked(end)?;
    let certain = quote == '\'' || !value.contains(DOUBLE_QUOTED);
    Some((certain.then(|| value.to_owned()), tail.strip_prefix(quote)?))
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
    fn a_value_is_what_stands_there() {
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
    fn a_value_that_programs_read_differently_is_refused_where_it_is_used() {
        for text in
            ["PASS WORD", "PASS#WORD", "PASS\\WORD", "PASSWORD'", "PASS\"WORD\"", "`PASSWORD`", "\"PASS\\nWORD\""]
        {
            let error = value(&format!("A=1\nSECRET={text}\n")).unwrap_err();
            assert!(error.starts_with("SECRET has a value in /app/.env, line 2, that"), "{text}: {error}");
            assert!(!error.contains("PASS") && !error.contains("WORD"), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_that_is_no_assignment_is_reported_by_its_number() {
        for (text, expected) in [
            ("A=1\nPASSWORD", "line 2, is not NAME=value"),
            ("\n\nPASS WORD=1", "line 3, is not NAME=value"),
            ("1PASSWORD=1", "line 1, is not NAME=value"),
            ("=PASSWORD", "line 1, is not NAME=value"),
            ("export PASSWORD", "line 1, is not NAME=value"),
            ("A='1\n2'\nB='PASSWORD\nC=1\n", "line 3, begins a quoted value that never ends"),
            ("A='1' PASSWORD", "line 1, has more text after a quoted value"),
        ] {
            assert_eq!(value(text), Err(format!("/app/.env, {expected}")), "{text}");
        }
        let error = Dotenv::parse("/app/.env".into(), b"A=1\nB=\xff\n").err();
        assert_eq!(error.as_deref(), Some("/app/.env, line 2, is not UTF-8"));
    }
}
