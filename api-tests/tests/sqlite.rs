//! What users see of their tasks, on SQLite.

use api_tests::Database;

const DATABASE: Database = Database::Sqlite;

mod sqlite {
    mod plans;
}
mod suite;
