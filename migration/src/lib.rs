//! The database schema, as hand-written migrations in SQL.
//!
//! Each migration is a folder beside `src/`, and an entry of the index `MIGRATIONS`. The folder has the migration's
//! name, and contains nothing but SQL, in one of two layouts:
//!
//! | both databases run the same script | each database has its own |
//! |---|---|
//! | `up.sql`, `down.sql` | `sqlite/up.sql`, `sqlite/down.sql`, `postgres/up.sql`, `postgres/down.sql` |
//! | `shared!` in the index | `per_database!` in the index |
//!
//! A released migration is never edited: a database that has applied it does not run it again, and would differ from
//! new ones. A test compares each script with its checksum in `migration/checksums`. CONTRIBUTING.md explains how to
//! add a migration.
//!
//! Migrations use no entities: an entity follows the newest schema, and a migration does not change.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// The index entry of a migration whose scripts run on both databases.
macro_rules! shared {
    ($name:literal) => {
        Migration { name: $name, sqlite: scripts!($name), postgres: scripts!($name) }
    };
}

/// The index entry of a migration that has scripts for each database.
macro_rules! per_database {
    ($name:literal) => {
        Migration { name: $name, sqlite: scripts!($name, "/sqlite"), postgres: scripts!($name, "/postgres") }
    };
}

/// The scripts in a folder.
macro_rules! scripts {
    ($($folder:literal),+) => {
        Scripts {
            up: include_str!(concat!("../", $($folder,)+ "/up.sql")),
            down: include_str!(concat!("../", $($folder,)+ "/down.sql")),
        }
    };
}

/// All migrations, oldest first.
const MIGRATIONS: &[Migration] = &[
    // Users, their tasks, and the indexes that serve every order of the list.
    per_database!("m20261121_000001_users_and_tasks"),
    // The keys of repeatable creates, with the answer to replay.
    per_database!("m20261121_000002_idempotency_keys"),
    // Indexes of dated and of undated tasks.
    shared!("m20261121_000003_dated_and_undated"),
    // On PostgreSQL, a non-unique index of ids.
    per_database!("m20261125_000004_hash_of_ids"),
    // The priority and the tags of a task.
    shared!("m20261128_000005_priority_and_tags"),
    // Indexes for the list by priority.
    per_database!("m20261128_000006_by_priority"),
];

/// Runs the migrations.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        MIGRATIONS.iter().map(|migration| Box::new(*migration) as Box<dyn MigrationTrait>).collect()
    }
}

#[derive(Clone, Copy)]
struct Migration {
    /// Its name in the table `seaql_migrations`.
    name: &'static str,
    sqlite: Scripts,
    postgres: Scripts,
}

#[derive(Clone, Copy)]
struct Scripts {
    up: &'static str,
    down: &'static str,
}

impl Migration {
    /// The scripts for the connected database.
    fn scripts(&self, manager: &SchemaManager<'_>) -> Result<Scripts, DbErr> {
        match manager.get_database_backend() {
            DbBackend::Sqlite => Ok(self.sqlite),
            DbBackend::Postgres => Ok(self.postgres),
            other => Err(DbErr::Migration(format!("there is no schema for {other:?}"))),
        }
    }
}

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.scripts(manager)?.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, self.scripts(manager)?.down).await
    }
}

/// Runs a script one statement at a time, because a distributed PostgreSQL accepts only that.
async fn run(manager: &SchemaManager<'_>, script: &str) -> Result<(), DbErr> {
    for statement in statements(script) {
        manager.get_connection().execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// The statements of a script. Its comments must be on their own lines, and semicolons must only end statements.
fn statements(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split(';').map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::Path,
    };

    use aws_lc_rs::digest;

    use super::*;

    const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

    /// The SQL files of each folder beside `src/`.
    fn folders() -> BTreeMap<String, BTreeSet<String>> {
        fn walk(folder: &Path, files: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, files);
                } else if path.extension().is_some_and(|extension| extension == "sql") {
                    files.push(path.strip_prefix(FOLDER).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let mut files = Vec::new();
        walk(Path::new(FOLDER), &mut files);
        let mut folders = BTreeMap::<_, BTreeSet<_>>::new();
        for file in files {
            let (folder, script) = file.split_once('/').expect("scripts are in the folder of their migration");
            folders.entry(folder.to_owned()).or_default().insert(script.to_owned());
        }
        folders
    }

    #[test]
    fn a_script_is_split_into_its_statements() {
        let script = "-- One; not two.\nCREATE TABLE a (\n    id text\n);\n\nDROP TABLE b; DROP TABLE c;\n";
        assert_eq!(statements(script), ["CREATE TABLE a (\n    id text\n)", "DROP TABLE b", "DROP TABLE c"]);
        assert!(statements("").is_empty());
    }

    #[test]
    fn the_index_is_in_the_order_of_the_names() {
        for (older, newer) in MIGRATIONS.iter().zip(MIGRATIONS.iter().skip(1)) {
            assert!(older.name < newer.name, "{} follows {} in the index: sort it by name", newer.name, older.name);
        }
    }

    #[test]
    fn the_index_uses_every_script() {
        let shared = BTreeSet::from(["up.sql", "down.sql"].map(str::to_owned));
        let per_database = ["sqlite/up.sql", "sqlite/down.sql", "postgres/up.sql", "postgres/down.sql"];
        let per_database = BTreeSet::from(per_database.map(str::to_owned));
        for (folder, scripts) in folders() {
            let indexed = MIGRATIONS.iter().any(|migration| migration.name == folder);
            assert!(indexed, "migration/{folder} is not in the index in migration/src/lib.rs: add it at the end");
            // The compiler has found each script of the index, so a complete layout has no unused script.
            let complete = scripts == shared || scripts == per_database;
            assert!(complete, "migration/{folder} contains {scripts:?}: use a layout of migration/src/lib.rs");
        }
    }

    /// Compares all lines: in a map, a second line for a script would replace the first.
    #[test]
    fn no_released_script_was_edited() {
        let checksums = fs::read_to_string(Path::new(FOLDER).join("checksums")).unwrap();
        let mut released = BTreeSet::new();
        for line in checksums.lines() {
            let (checksum, path) = line.split_once("  migration/").expect("a line that sha256sum wrote");
            let script = fs::read(Path::new(FOLDER).join(path));
            let script = script.unwrap_or_else(|error| panic!("migration/{path} is released: restore it ({error})"));
            let digest = digest::digest(&digest::SHA256, &script);
            let found = digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert_eq!(
                found, checksum,
                "migration/{path} was edited: if it is released, restore it and add a migration"
            );
            released.insert(path);
        }
        for (folder, scripts) in folders() {
            for script in scripts {
                let path = format!("{folder}/{script}");
                assert!(
                    released.contains(path.as_str()),
                    "add migration/{path} to migration/checksums, see CONTRIBUTING.md"
                );
            }
        }
    }
}
