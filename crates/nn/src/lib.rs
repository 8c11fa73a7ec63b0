//! Layers, losses, optimizers and data, on the tape.
#![forbid(unsafe_code)]

pub mod check;
pub mod init;
mod linear;
mod module;

pub use init::Init;
pub use linear::{Linear, linear};
pub use module::{
    Layer, Mode, Module, State, Visitor, count_params, each_param, each_state, name_params,
};
