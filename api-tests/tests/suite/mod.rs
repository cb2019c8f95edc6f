//! Tests of one behaviour each, the same on every database.

mod conditional;
mod durability;
mod idempotency;
mod isolation;
mod lists;
mod model;
mod pages;
mod resets;
mod tasks;
mod validation;
