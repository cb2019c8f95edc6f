//! Tests of one behaviour each, the same on every database.

mod durability;
mod isolation;
mod lists;
mod tasks;
mod validation;
