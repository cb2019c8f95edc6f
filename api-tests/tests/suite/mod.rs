//! Tests of one behaviour each, which are the same for every database.

mod conditional;
mod durability;
pub(crate) mod exports;
mod fields;
mod filters;
mod idempotency;
pub(crate) mod imports;
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
mod users;
mod validation;
