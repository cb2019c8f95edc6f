//! Commands on the data of a database, besides serving it.

use std::{
    fs::File,
    io::{self, BufReader, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    config::Database,
    db::{Copied, Db, DbError, FileError},
    startup::{Failure, failure, misuse, open, print, unprinted, unusable},
    tasks::transfer::{self, TransferError},
};

/// Bytes to read at once.
const BUFFER: usize = 1 << 18;

/// Writes an export to standard output. `user`: of one user only.
///
/// # Errors
///
/// If the database cannot be read, or the output cannot be written.
pub async fn export(database: &Database, user: Option<&str>) -> Result<(), Failure> {
    let db = existing(database).await?;
    let stdout = file_of_output();
    // An import at the other end of a pipe has a bar of its own.
    let bar = bar(stdout.is_some());
    let exported = transfer::export(&db, user, io::stdout(), |done, all| show(&bar, done, all)).await;
    bar.finish_and_clear();
    let counts = exported.map_err(|error| ended(database, error))?;
    // A disk may be full only when the file is written to it.
    stdout.map_or(Ok(()), |file| file.sync_all()).map_err(unprinted)?;
    if user.is_some() && counts.users == 0 {
        note("the database has no such user");
    }
    Ok(())
}

/// Reads an export from standard input, and inserts the rows that are missing. Applies pending migrations first.
///
/// # Errors
///
/// If the input is not a whole export, the database fails, or it has a row with different content.
pub async fn import(database: &Database) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(misuse("import reads an export from standard input: todo-api import < FILE"));
    }
    let db = open(database)?;
    db.migrate_up().await.map_err(|error| unusable(database, error))?;
    let bar = bar(true);
    let input = BufReader::with_capacity(BUFFER, io::stdin());
    let (imported, end) = transfer::import(&db, input, |done, all| show(&bar, done, all)).await;
    bar.finish_and_clear();
    let printed = print(format_args!("imported {}; already there: {}\n", imported.new, rows(imported.there)));
    for name in &imported.names {
        note(format_args!("{name} exists with different content"));
    }
    end.map_err(|error| ended(database, error))?;
    match imported.different {
        0 => printed,
        count => {
            let rest = count - imported.names.len() as u64;
            let rest = if rest == 0 { String::new() } else { format!(" ({rest} of them are not listed)") };
            Err(failure(format_args!("left as they are, because their content is different: {}{rest}", rows(count))))
        }
    }
}

/// Deletes everything of a user.
///
/// # Errors
///
/// If the database fails.
pub async fn delete_user(database: &Database, user: &str) -> Result<(), Failure> {
    let db = existing(database).await?;
    let (deleted, wiped) = transfer::delete_user(&db, user).await.map_err(|error| unusable(database, error))?;
    if deleted.sum() == 0 {
        print("the database has no such user: nothing was deleted\n")?;
    } else {
        print(format_args!("deleted {deleted}\n"))?;
    }
    wiped.map_err(|error| {
        let remedy = "run the command again when the disks of the file and of temporary files have room, and nothing reads for long";
        failure(format_args!("the rows are deleted, but the file may still have their bytes: {error}; {remedy}"))
    })
}

/// Copies an SQLite database to a new file.
///
/// # Errors
///
/// If there is such a file, or it cannot be written, or the database fails.
pub async fn backup(database: &Database, to: &Path) -> Result<(), Failure> {
    copied(&open(database)?.backup(to).await.map_err(|error| not_copied(database, error))?)
}

/// Copies a backup to the place of an SQLite database.
///
/// # Errors
///
/// If there is a database, or the backup is not intact.
pub async fn restore(database: &Database, from: &Path) -> Result<(), Failure> {
    copied(&open(database)?.restore(from).await.map_err(|error| not_copied(database, error))?)
}

/// Names both files, because a relative path of the database depends on the working directory.
fn copied(Copied { from, to }: &Copied) -> Result<(), Failure> {
    print(format_args!("copied {} to {}\n", from.display(), to.display()))
}

/// A database that exists, and whose schema is that of this program.
async fn existing(database: &Database) -> Result<Db, Failure> {
    let db = open(database)?;
    db.must_exist().map_err(|error| unusable(database, error))?;
    let migrations = db.migrations().await.map_err(|error| unusable(database, error))?;
    if migrations.0.iter().any(|migration| !migration.applied) {
        let problem = "the database has no schema yet, or an older one: run todo-api migrate up";
        return Err(failure(problem));
    }
    Ok(db)
}

fn ended(database: &Database, error: TransferError) -> Failure {
    match error {
        TransferError::Database(error) => unusable(database, error),
        TransferError::Input(problem) => failure(problem),
        TransferError::Read(error) => failure(format_args!("standard input: {error}")),
        TransferError::Write(error) => unprinted(error),
    }
}

fn not_copied(database: &Database, error: FileError) -> Failure {
    match error {
        FileError::Database(error @ DbError::Unsuitable(_)) => unusable(database, error),
        FileError::Database(error) => failure(error),
        FileError::File(problem) => failure(problem),
    }
}

/// Standard output, if it is a file.
fn file_of_output() -> Option<File> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// A progress bar on standard error. It is drawn only on a terminal.
fn bar(wanted: bool) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} rows, {eta} left");
    match style {
        Ok(style) if wanted => ProgressBar::new(0).with_style(style),
        _ => ProgressBar::hidden(),
    }
}

fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// A line for people.
fn note(line: impl std::fmt::Display) {
    drop(writeln!(io::stderr(), "todo-api: {line}"));
}
