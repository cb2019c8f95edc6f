//! What users see of their tasks, on PostgreSQL; and what befalls a database behind a network.

use api_tests::Database;

const DATABASE: Database = Database::Postgres;

mod postgres {
    mod citus;
    mod faults;
    mod foreign;
    mod instances;
    mod latency;
    mod plans;
    mod poolers;
    mod tls;
    mod twins;
}
mod suite;
