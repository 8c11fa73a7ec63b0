//! A checker for each exercise. Written by tests/catalogue.rs from catalogue.toml.

use judge::Entry;

pub mod attention_backward;
pub mod attention_predictions;
pub mod bn_backward_closed_form;
pub mod bn_backward_staged;
pub mod bn_forward;
pub mod broadcast_adjoint;
pub mod by_chance;
pub mod central_difference;
pub mod cnn_predictions;
pub mod conv2d_backward;
pub mod fold_batch_norm;
pub mod fool_the_check;
pub mod frozen_backward;
pub mod gradient_checker;
pub mod init_deviation;
pub mod kept_bytes;
pub mod ln_backward_closed_form;
pub mod ln_backward_staged;
pub mod ln_find_the_bug;
pub mod ln_forward;
pub mod ln_predictions;
pub mod lstm_backward;
pub mod masked_batch_norm;
pub mod matmul_backward;
pub mod one_reading;
pub mod reach_predictions;
pub mod review_blocks;
pub mod review_saved;
pub mod review_the_test;
pub mod rms_backward;
pub mod scalar_sweep;
pub mod scalar_tape;
pub mod sequence_predictions;
pub mod softmax_cross_entropy;
pub mod synchronized_statistics;
pub mod tensor_products;
pub mod tensor_tape;
pub mod train_digits;

/// Name and checker of each exercise, in the order of the book.
#[rustfmt::skip]
pub(crate) const ALL: &[Entry] = &[
    ("central_difference", central_difference::checker),
    ("scalar_sweep", scalar_sweep::checker),
    ("scalar_tape", scalar_tape::checker),
    ("broadcast_adjoint", broadcast_adjoint::checker),
    ("fool_the_check", fool_the_check::checker),
    ("tensor_tape", tensor_tape::checker),
    ("matmul_backward", matmul_backward::checker),
    ("softmax_cross_entropy", softmax_cross_entropy::checker),
    ("tensor_products", tensor_products::checker),
    ("init_deviation", init_deviation::checker),
    ("bn_forward", bn_forward::checker),
    ("bn_backward_staged", bn_backward_staged::checker),
    ("bn_backward_closed_form", bn_backward_closed_form::checker),
    ("gradient_checker", gradient_checker::checker),
    ("one_reading", one_reading::checker),
    ("conv2d_backward", conv2d_backward::checker),
    ("cnn_predictions", cnn_predictions::checker),
    ("fold_batch_norm", fold_batch_norm::checker),
    ("ln_forward", ln_forward::checker),
    ("ln_predictions", ln_predictions::checker),
    ("ln_backward_staged", ln_backward_staged::checker),
    ("ln_backward_closed_form", ln_backward_closed_form::checker),
    ("ln_find_the_bug", ln_find_the_bug::checker),
    ("rms_backward", rms_backward::checker),
    ("lstm_backward", lstm_backward::checker),
    ("masked_batch_norm", masked_batch_norm::checker),
    ("sequence_predictions", sequence_predictions::checker),
    ("attention_backward", attention_backward::checker),
    ("attention_predictions", attention_predictions::checker),
    ("by_chance", by_chance::checker),
    ("frozen_backward", frozen_backward::checker),
    ("kept_bytes", kept_bytes::checker),
    ("synchronized_statistics", synchronized_statistics::checker),
    ("reach_predictions", reach_predictions::checker),
    ("review_blocks", review_blocks::checker),
    ("review_saved", review_saved::checker),
    ("review_the_test", review_the_test::checker),
    ("train_digits", train_digits::checker),
];
