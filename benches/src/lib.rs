//! Benchmarks: the cases, our side of them, and how they are timed.
//!
//! - `cargo bench -p benches` runs the criterion benchmarks of our own code.
//! - `cargo run --release -p benches --bin compare` measures us, PyTorch, Candle and Burn
//!   in turn on the same machine, and prints the ratios.
//!
//! [`cases`], [`inputs`], [`timing`] and [`protocol`] are also compiled into the peers'
//! package (`benches/peers`), so that every Rust side is measured by the same code.

#![forbid(unsafe_code)]

pub mod bandwidth;
pub mod cases;
pub mod deep;
pub mod inputs;
pub mod machine;
pub mod ours;
pub mod protocol;
pub mod timing;
