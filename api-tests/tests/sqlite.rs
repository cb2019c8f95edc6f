//! The common tests on SQLite, and tests of its file.

use api_tests::Database;

const DATABASE: Database = Database::Sqlite;

mod sqlite {
    mod backups;
    mod commits;
    mod deletions;
    mod plans;
}
mod suite;
