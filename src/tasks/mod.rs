//! Tasks: the six operations, their wire types, and the owner-scoped queries behind them.

mod api;
mod dto;
mod entity;
mod id;
mod owner;
mod store;

pub use self::api::TasksApi;
