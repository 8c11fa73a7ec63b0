//! Checks what the reader wrote.
//!
//! Each exercise is one file in `book/exercises` with a `main` of one line, which hands
//! the reader's functions to the module of the same name here. That module runs them on
//! random probes, compares, and names the mistake; [`harness`] catches panics and prints
//! the [`Report`].

#![forbid(unsafe_code)]

pub mod attention_backward;
pub mod attention_predictions;
pub mod bn_backward_closed_form;
pub mod bn_backward_staged;
pub mod bn_forward;
pub mod broadcast_adjoint;
pub mod by_chance;
pub mod central_difference;
pub mod cnn_predictions;
mod compare;
pub mod conv2d_backward;
pub mod fold_batch_norm;
pub mod fool_the_check;
pub mod frozen_backward;
mod gradients;
pub mod harness;
pub mod init_deviation;
pub mod kept_bytes;
pub mod known;
pub mod ln_backward_closed_form;
pub mod ln_backward_staged;
pub mod ln_find_the_bug;
pub mod ln_forward;
pub mod ln_predictions;
pub mod lstm_backward;
pub mod masked_batch_norm;
pub mod matmul_backward;
mod mistake;
mod norm_forward;
pub mod one_reading;
mod quiz;
pub mod reach_predictions;
pub mod rms_backward;
pub mod scalar_sweep;
pub mod scalar_tape;
pub mod sections;
pub mod sequence_predictions;
pub mod softmax_cross_entropy;
pub mod synchronized_statistics;
pub mod tensor_products;
pub mod tensor_tape;

pub use verdict::{Heatmap, Line, Outcome, Report};
