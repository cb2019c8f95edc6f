//! What users see of their tasks, on SQLite.

use api_tests::Database;

const DATABASE: Database = Database::Sqlite;

mod sqlite {
    mod commits;
    mod plans;
}
mod suite;
