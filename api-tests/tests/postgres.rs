//! What users see of their tasks, on PostgreSQL; and what befalls a database behind a network.

use api_tests::Database;

const DATABASE: Database = Database::Postgres;

mod postgres {
    mod answers;
    mod failover;
    mod faults;
    mod instances;
    mod latency;
    mod load;
    mod plans;
    mod poolers;
    mod serializable;
    mod start;
    mod synchronous;
    mod tls;
    mod twins;
}
mod suite;
