//! The base of the tests: a real server process, users with real tokens, and a client that validates every answer
//! against the committed document.

mod balancer;
mod client;
mod collector;
mod commands;
mod document;
mod end;
mod issuer;
mod place;
mod pooler;
mod postgres;
mod programs;
mod prometheus;
mod proxy;
mod server;
mod token;
mod traffic;

pub use reqwest::Method;

pub use self::{
    balancer::Balancer,
    client::{Answer, Client},
    collector::{Collector, ExportedSpan},
    document::Document,
    end::End,
    issuer::{Issuer, Reply},
    place::Database,
    pooler::Pooler,
    postgres::{Cluster, Frozen, PostgresDatabase, signal},
    programs::{Version, binary, faults, free_port},
    prometheus::{Metrics, Prometheus, ask, promtool},
    proxy::Proxy,
    server::Server,
    token::{SECRET, SigningKey, encode, now, sign, token},
    traffic::unseen,
};
