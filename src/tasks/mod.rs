//! Tasks: the operations, their wire types, and the owner-scoped queries behind them.

mod api;
mod cursor;
mod dto;
mod entity;
mod fields;
mod filters;
mod id;
mod idempotency;
mod list;
mod owner;
mod pages;
mod statements;
mod store;
pub mod transfer;

pub use self::{api::TasksApi, idempotency::remove_expired};
