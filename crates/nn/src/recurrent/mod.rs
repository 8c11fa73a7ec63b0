//! Recurrent networks: RNN, GRU and LSTM, with Layer Norm or Batch Norm inside, over
//! sequences of different lengths (book, chapter 14).
//!
//! At each step a cell maps the step's input x and its last state h to a new state:
//!
//! ```text
//! gates = norm_ih(W_ih x) + b_ih + norm_hh(W_hh h) + b_hh
//! ```
//!
//! and what it makes of the gates distinguishes [`CellKind`]s. The norms are those of
//! [`CellNorm`], as their authors put them; without them, equations, parameters and their
//! names are PyTorch's.
//!
//! Sequences come packed ([`Lengths`]). Inside they are sorted by length and laid out
//! step by step, so that the rows of the sequences that are not over at a step lie side
//! by side, and nothing is computed for those that are. So each step's statistics are
//! those of the sequences that reach it.

mod cell;
mod from_state;
mod gru;
mod lstm;
mod lstm_sequence;
mod model;
mod network;
mod schedule;
mod spec;
mod step_norm;
#[cfg(test)]
mod tests;

pub use model::{RecurrentLm, RecurrentLmSpec};
pub use network::Recurrent;
pub use spec::{CellKind, CellNorm, RecurrentSpec};
