//! Builds the programs and libraries that the tests run, and finds ports for them.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use crate::Document;

/// A version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// These sources.
    Current,
    /// An earlier release.
    Released(&'static str),
}

impl Version {
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Current => binary().to_owned(),
            Self::Released(version) => released(version),
        }
    }

    pub(crate) fn document(self) -> &'static Document {
        match self {
            Self::Current => Document::committed(),
            Self::Released(version) => Document::released(version),
        }
    }
}

/// The program of a release, which a script has built from the release's commit.
fn released(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("target/released").join(version);
    let commit = fs::read(root.join("api-tests/released").join(version).join("commit")).unwrap();
    let built = fs::read(folder.join("commit")).is_ok_and(|built| built == commit);
    assert!(built, "the program of release {version} is missing: run api-tests/released/build");
    folder.join("todo-api")
}

/// The program, built like these tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let release = target.file_name().is_some_and(|name| name == "release");
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bins"])
            .args(release.then_some("--release"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(cargo.unwrap().success(), "cargo build");
        target.join("todo-api")
    })
}

/// A library to preload into a server (`LD_PRELOAD`). It simulates the faults of the operating system in `faults.c`.
pub fn faults() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = binary().with_file_name("libfaults.so");
        // Other tests may be using the existing file, so replace it instead of writing to it.
        let new = library.with_extension(std::process::id().to_string());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/faults.c");
        let cc = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&new).arg(source).status();
        assert!(cc.unwrap().success(), "cc {source}");
        fs::rename(new, &library).unwrap();
        library.to_str().unwrap().to_owned()
    })
}

/// A free port, for a program that cannot choose one itself. It is outside the range from which the system gives ports to
/// others, so nobody takes it before the program does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(process::id() * 16 % 12_000).unwrap();
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Relaxed) % 12_000) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
