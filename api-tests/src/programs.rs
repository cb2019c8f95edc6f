//! Builds the programs and libraries that the tests run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

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
        std::fs::rename(new, &library).unwrap();
        library.to_str().unwrap().to_owned()
    })
}
