//! The common tests on SQLite, and tests of its file.

use api_tests::Database;

const DATABASE: Database = Database::Sqlite;

mod sqlite {
    mod commits;
    mod plans;
}
mod suite;
