//! What the scenarios, properties and benchmarks share: a seeded host, authors that write without a book, the
//! workload generator and the independent reference model.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code stops at what cannot be")]

pub mod attacker;
pub mod camp;
pub mod crash;
pub mod forge;
pub mod history;
pub mod host;
pub mod memory;
pub mod model;
pub mod pages;
pub mod pair;
pub mod people;
pub mod seeds;
pub mod shelf;
pub mod sim;
pub mod workload;
pub mod world;
