//! Tests of one behaviour each, which are the same for every database.

mod conditional;
mod durability;
mod fields;
mod filters;
mod idempotency;
mod isolation;
mod large_upgrade;
mod lists;
mod migrations;
pub(crate) mod model;
pub(crate) mod pages;
pub(crate) mod resets;
mod rolling;
mod tasks;
mod upgrades;
mod validation;
