//! The common tests on PostgreSQL, and tests of a database behind a network.

use api_tests::Database;

const DATABASE: Database = Database::Postgres;

mod postgres {
    mod answers;
    mod citus;
    mod contention;
    mod failover;
    mod faults;
    mod foreign;
    mod instances;
    mod latency;
    mod load;
    mod moves;
    mod outages;
    mod plans;
    mod poolers;
    mod serializable;
    mod silence;
    mod start;
    mod synchronous;
    mod tls;
    mod twins;
    mod urls;
}
mod suite;
