//! Runs the checks on the corpus, and for some seconds on mutations of it.

use std::{
    env, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Seconds for the mutations of each kind of input, unless this variable has others. The corpus takes as long as it takes.
const SECONDS: u64 = 2;
const OTHER_SECONDS: &str = "FUZZ_SECONDS";
/// Repeats the mutations of an earlier run.
const SEED: &str = "FUZZ_SEED";

/// Bytes that have a meaning somewhere.
const BYTES: &[u8] = b"\0\t\n\r \"#$%&'()*+,-./0123456789:;=?@AZ[\\]_az{|}~\x7f\x80\xc3\xff";

#[test]
fn a_token_passes_only_if_it_was_signed() {
    fuzz("token", fuzz::token::check);
}

#[test]
fn a_published_key_verifies_only_its_own_tokens() {
    fuzz("jwks", fuzz::jwks::check);
}

#[test]
fn a_cursor_is_a_position_in_its_list_or_refused() {
    fuzz("cursor", fuzz::cursor::check);
}

#[test]
fn headers_are_read_as_they_are_published() {
    fuzz("headers", fuzz::headers::check);
}

#[test]
fn a_body_is_accepted_as_its_schema_says() {
    fuzz("body", fuzz::body::check);
}

#[test]
fn the_url_of_a_database_keeps_its_password() {
    fuzz("database_url", fuzz::database_url::check);
}

#[test]
fn an_env_file_is_read_literally_and_keeps_its_secrets() {
    fuzz("dotenv", fuzz::dotenv::check);
}

/// Prints the input of a check that fails.
struct Report<'a> {
    target: &'a str,
    seed: u64,
    input: &'a [u8],
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { target, seed, input } = self;
            eprintln!("{SEED}={seed} repeats this. The input, for a file in fuzz/corpus/{target}:");
            eprintln!("printf \"{}\"", input.escape_ascii().to_string().replace('%', "%%").replace("\\'", "'"));
        }
    }
}

fn fuzz(target: &str, check: fn(&[u8])) {
    let number = |name| env::var(name).ok().map(|number| number.parse().unwrap());
    let seed = number(SEED).unwrap_or_else(rand::random);
    let time = Duration::from_secs(number(OTHER_SECONDS).unwrap_or(SECONDS));
    let check = |input: &[u8]| {
        let _report = Report { target, seed, input };
        check(input);
    };
    let corpus = corpus(target);
    for input in &corpus {
        check(input);
    }
    let mut random = StdRng::seed_from_u64(seed);
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        check(&mutation(&mut random, &corpus));
        count += 1;
    }
    println!("{target}: {} inputs, {count} mutations", corpus.len());
}

/// The inputs that are kept, in a fixed order.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// An input with some changes.
fn mutation(random: &mut StdRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus.choose(random).unwrap().clone();
    for _ in 0..random.random_range(1..=4) {
        let (from, to) = range(random, &input);
        let part = match random.random_range(0..5) {
            0 => Vec::new(),
            1 => vec![random.random()],
            2 => vec![*BYTES.choose(random).unwrap()],
            3 => input[from..to].repeat(2),
            _ => {
                let other = corpus.choose(random).unwrap();
                let (from, to) = range(random, other);
                other[from..to].to_vec()
            }
        };
        input.splice(from..to, part);
    }
    input
}

/// A part of an input, short ones more often.
fn range(random: &mut StdRng, input: &[u8]) -> (usize, usize) {
    let from = random.random_range(0..=input.len());
    let most = if random.random() { 2 } else { input.len() };
    (from, random.random_range(from..=input.len().min(from + most)))
}
