//! The command line.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};
use mimalloc::MiMalloc;
use signal_hook::{consts::SIGXFSZ, flag};
use todo_api::{
    api, auth, commands,
    config::{self, Auth, Database, Serve, Settings, Signer},
    openapi, probe,
    startup::{self, Failure, block_on, failure, misuse, print},
};
use url::Url;

/// Faster than the allocator of glibc, above all for lists: the texts of each of their tasks need memory. SQLite uses it,
/// too (`override`): glibc gives the memory of a commit back to the kernel, and asks for it again in the next one.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Longest wait for the last line to print.
const PATIENCE: Duration = Duration::from_secs(1);

/// A multi-user task API: OpenAPI first, on SQLite or PostgreSQL.
///
/// Options can also be set as environment variables, or in a file `.env` in the working directory or above.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve without any configuration: SQLite in data/todo.db, a secret in data/dev-secret, and a token to try the API
    Dev,
    /// Serve with the configuration of the environment
    Serve,
    /// Ask the server with the same HOST and PORT on this machine whether it is alive; the status is 0 if it is, and 1 if not
    Health {
        /// Ask whether the server can take traffic
        #[arg(long)]
        ready: bool,
        /// Time limit
        #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
        timeout: Duration,
    },
    /// Change the schema of the database, or report its state; `serve` applies pending migrations by itself
    Migrate {
        /// up applies pending migrations, down rolls back the newest one and removes its data, status reports all
        #[arg(default_value = "up")]
        step: Step,
    },
    /// Print all users, tasks and idempotency keys as lines of JSON, which `import` reads
    Export {
        /// Only those of this user
        #[arg(long, value_name = "SUB", value_parser = subject)]
        user: Option<String>,
    },
    /// Read the lines of an export from standard input, and insert what the database does not have; migrates it first
    Import,
    /// Copy the SQLite database to a new file, also while a server uses it
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Check a backup, and copy it to the place of the SQLite database, which must be free
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Print or delete everything that the database has of a user
    User {
        #[command(subcommand)]
        action: UserAction,
    },
    /// Print the OpenAPI document
    Openapi {
        /// Syntax of the document
        #[arg(long, default_value = "yaml")]
        format: Syntax,
        /// The version of the OpenAPI specification
        #[arg(long, default_value = "3.1")]
        version: openapi::Version,
        /// The absolute URL at which clients reach the server
        #[arg(long, value_name = "URL", default_value = api::DEFAULT_SERVER, value_parser = server_url)]
        server: String,
    },
    /// Print a token, signed with `BETTER_AUTH_SECRET` or, if that is not set, with the secret of `dev`
    Token {
        /// Id of the user
        #[arg(long, value_parser = subject)]
        sub: String,
        /// Lifetime of the token
        #[arg(long, default_value = "1h", value_parser = duration)]
        ttl: Duration,
    },
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// Print everything of a user, as `export --user`
    Export {
        /// Id of the user
        #[arg(value_parser = subject)]
        sub: String,
    },
    /// Delete everything of a user, on SQLite also from the free space of the file
    Delete {
        /// Id of the user
        #[arg(value_parser = subject)]
        sub: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Step {
    Up,
    Down,
    Status,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Syntax {
    Yaml,
    Json,
}

/// Parses a user id. Only one that a server accepts, because the token is useless otherwise.
fn subject(value: &str) -> Result<String, &'static str> {
    auth::check_subject(value).map(|()| value.to_owned())
}

/// An absolute URL, without the slash at its end: paths follow it.
fn server_url(value: &str) -> Result<String, &'static str> {
    let url: Url = value.parse().map_err(|_| "it is not an absolute URL such as https://api.example.com")?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err("it is not an HTTP or HTTPS URL without a query, such as https://api.example.com");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A duration. Unlike humantime's own, the error has no part of the value.
fn duration(value: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(value.trim()).map_err(|_| "it is not a duration such as 90s, 15m or 1h")
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(line, status)) => {
            print_last_line(&line);
            ExitCode::from(status)
        }
    }
}

/// Prints the last line in its own thread, because the process must end even if the reader has stalled.
fn print_last_line(line: &str) {
    let line = format!("todo-api: {line}\n");
    let (end, ended) = mpsc::channel::<()>();
    let printing = {
        let line = line.clone();
        move || {
            drop(io::stderr().write_all(line.as_bytes()));
            drop(end);
        }
    };
    match thread::Builder::new().spawn(printing) {
        Ok(_) => drop(ended.recv_timeout(PATIENCE)),
        Err(_) => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// The command line. Each command has the variables that it uses as options.
fn command_line() -> clap::Command {
    let variables: [(&[&str], &[&[&config::Variable]]); 11] = [
        (&["dev"], &[config::SIGNER, config::AUTH, config::SERVE, config::TRACES]),
        (&["serve"], &[config::DATABASE, config::LANES, config::SIGNER, config::AUTH, config::SERVE, config::TRACES]),
        (&["health"], &[config::LISTEN]),
        (&["migrate"], &[config::DATABASE]),
        (&["export"], &[config::DATABASE]),
        (&["import"], &[config::DATABASE]),
        (&["backup"], &[config::DATABASE]),
        (&["restore"], &[config::DATABASE]),
        (&["user", "export"], &[config::DATABASE]),
        (&["user", "delete"], &[config::DATABASE]),
        (&["token"], &[config::SIGNER]),
    ];
    variables.into_iter().fold(Cli::command(), |cli, (path, variables)| with_options(cli, path, variables))
}

/// Adds the options to the command at this path.
fn with_options(command: clap::Command, path: &[&str], variables: &[&[&config::Variable]]) -> clap::Command {
    match path {
        [] => command.args(config::options(variables)),
        [name, rest @ ..] => command.mut_subcommand(*name, |inner| with_options(inner, rest, variables)),
    }
}

/// The options of the command that was called.
fn options(matches: &ArgMatches) -> ArgMatches {
    matches.subcommand().map_or_else(|| matches.clone(), |(_, inner)| options(inner))
}

fn run() -> Result<(), Failure> {
    // At the limit of file sizes (`ulimit -f`), a write must fail as on a full disk, instead of ending the process.
    flag::register(SIGXFSZ, Arc::default()).map_err(failure)?;
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => without_values(error).exit(),
        Err(help) => return help.print().and_then(|()| io::stdout().flush()).map_err(startup::unprinted),
    };
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = || Settings::of(options(&matches)).map_err(misuse);
    match cli.command {
        Command::Openapi { format, version, server } => {
            let document = api::document(&server, version).map_err(failure)?;
            let text = match format {
                Syntax::Yaml => openapi::to_yaml(&document),
                Syntax::Json => openapi::to_json(&document),
            };
            print(text)
        }
        Command::Token { sub, ttl } => {
            let mut settings = settings()?;
            let signer = Signer::read(&mut settings).map_err(misuse)?;
            warn(&settings);
            print(format_args!("{}\n", startup::token(&signer, &sub, ttl)?))
        }
        Command::Migrate { step } => block_on(migrate(database(settings()?)?, step)),
        Command::Export { user } => block_on(commands::export(&database(settings()?)?, user.as_deref())),
        Command::Import => block_on(commands::import(&database(settings()?)?)),
        Command::Backup { file } => block_on(commands::backup(&database(settings()?)?, &file)),
        Command::Restore { file } => block_on(commands::restore(&database(settings()?)?, &file)),
        Command::User { action: UserAction::Export { sub } } => {
            block_on(commands::export(&database(settings()?)?, Some(&sub)))
        }
        Command::User { action: UserAction::Delete { sub } } => {
            block_on(commands::delete_user(&database(settings()?)?, &sub))
        }
        Command::Serve => {
            let mut settings = settings()?;
            let database = Database::read(&mut settings).map_err(misuse)?;
            let auth = Auth::read(&mut settings).map_err(misuse)?;
            let serve = Serve::read(&mut settings).map_err(misuse)?;
            startup::run(database, auth, serve, settings.warnings(), false)
        }
        Command::Health { ready, timeout } => {
            let mut settings = settings()?;
            let addresses = config::reach(&mut settings).map_err(misuse)?;
            warn(&settings);
            block_on(health(addresses, ready, timeout))
        }
        Command::Dev => {
            let mut settings = settings()?;
            let auth = Auth::read_for_development(&mut settings).map_err(misuse)?;
            let serve = Serve::read_for_development(&mut settings).map_err(misuse)?;
            startup::run(Database::embedded(), auth, serve, settings.warnings(), true)
        }
    }
}

/// Removes typed text from the error, unless it is the name of an option or a command. The text may be a part of a
/// secret: the shell splits a secret with a space if it is not quoted.
fn without_values(mut error: clap::Error) -> clap::Error {
    let typed = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => ContextKind::InvalidValue,
    };
    if let Some(ContextValue::String(text)) = error.get(typed)
        && !text.is_empty()
    {
        let is_name = match typed {
            ContextKind::InvalidArg => text.starts_with("--"),
            kind => kind == ContextKind::InvalidSubcommand,
        };
        if !is_name || text.len() > 24 || !text.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            error.insert(typed, ContextValue::String("…".to_owned()));
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// The database of a command that does not serve.
fn database(mut settings: Settings) -> Result<Database, Failure> {
    let database = Database::read_alone(&mut settings).map_err(misuse)?;
    warn(&settings);
    Ok(database)
}

fn warn(settings: &Settings) {
    for warning in settings.warnings() {
        drop(writeln!(io::stderr(), "todo-api: warning: {warning}"));
    }
}

async fn health(addresses: Vec<SocketAddr>, ready: bool, limit: Duration) -> Result<(), Failure> {
    let path = if ready { "/ready" } else { "/health" };
    match probe::ask(&addresses, path, limit).await {
        Ok(line) => print(format_args!("{line}\n")),
        Err(line) => Err(failure(line)),
    }
}

async fn migrate(database: Database, step: Step) -> Result<(), Failure> {
    let db = startup::open(&database)?;
    let migrations = match step {
        Step::Up => db.migrate_up().await,
        Step::Down => db.migrate_down().await,
        Step::Status => db.migrations().await,
    };
    for migration in migrations.map_err(|error| startup::unusable(&database, error))?.0 {
        print(format_args!("{:<8} {}\n", if migration.applied { "applied" } else { "pending" }, migration.name))?;
    }
    db.close().map_err(failure)
}
