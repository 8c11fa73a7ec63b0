//! Layers, losses, optimizers and data, on the tape.
#![forbid(unsafe_code)]

pub mod check;
pub mod data;
mod file;
pub mod init;
mod linear;
mod module;
pub mod optim;
mod save;
mod schedule;

pub use file::write_atomically;
pub use init::Init;
pub use linear::{Linear, linear};
pub use module::{
    Layer, Mode, Module, State, Visitor, count_params, each_param, each_state, name_params,
};
pub use optim::{Adam, Decay, Optimizer, Sgd};
pub use save::{LoadError, load, save};
pub use schedule::Schedule;
