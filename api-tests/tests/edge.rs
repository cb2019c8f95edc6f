//! Tests that do not depend on the database: tokens, errors, connections, the documents, the command line.

mod edge {
    mod attacks;
    mod cli;
    mod collectors;
    mod commands;
    mod configuration;
    mod connections;
    mod cors;
    mod disk;
    mod documents;
    mod errors;
    mod files;
    mod health;
    mod jwks;
    mod jwks_fetches;
    mod lifecycle;
    mod limits;
    mod log;
    mod log_faults;
    mod messages;
    mod metrics;
    mod monitoring;
    mod tokens;
    mod tools;
    mod traces;
}
