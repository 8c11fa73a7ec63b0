use super::*;
use crate::quiz::testing::{Place, Quiz};

const RIGHT: Predictions = Predictions {
    longer_layer_norm: Same,
    longer_batch_norm: Different,
    longer_packed: Same,
    padding_gradient: Zero,
    divided_by_all: Half,
    nan_multiplied: NotANumber,
    nan_packed: Same,
    state_matrix: Same,
    state_matrix_gradient: OneTenth,
    constant_step: Same,
    constant_step_gradient: Zero,
    two_sequences: Zero,
};

const PLACES: [Place<Predictions, Change>; 12] = [
    ("longer_layer_norm", |p| &mut p.longer_layer_norm),
    ("longer_batch_norm", |p| &mut p.longer_batch_norm),
    ("longer_packed", |p| &mut p.longer_packed),
    ("padding_gradient", |p| &mut p.padding_gradient),
    ("divided_by_all", |p| &mut p.divided_by_all),
    ("nan_multiplied", |p| &mut p.nan_multiplied),
    ("nan_packed", |p| &mut p.nan_packed),
    ("state_matrix", |p| &mut p.state_matrix),
    ("state_matrix_gradient", |p| &mut p.state_matrix_gradient),
    ("constant_step", |p| &mut p.constant_step),
    ("constant_step_gradient", |p| &mut p.constant_step_gradient),
    ("two_sequences", |p| &mut p.two_sequences),
];

const QUIZ: Quiz<'_, Predictions, Change> = Quiz {
    right: RIGHT,
    answers: &[Same, Zero, Half, OneTenth, NotANumber, Different],
    undecided: Undecided,
    places: &PLACES,
    report,
};

#[test]
fn what_is_right_passes() {
    QUIZ.what_is_right_passes();
}

#[test]
fn every_other_prediction_is_rejected_and_named() {
    QUIZ.what_is_wrong_is_named();
}

#[test]
fn an_open_prediction_is_asked_for_and_nothing_is_told() {
    QUIZ.what_is_open_is_asked_for();
}

/// In a report on a wrong prediction, what happened stands for the first wrong one only.
#[test]
fn the_other_wrong_predictions_stay_predictions() {
    let predictions = Predictions {
        longer_packed: Zero,
        state_matrix: Different,
        two_sequences: Same,
        ..RIGHT
    };
    let report = report(&predictions, 0);
    assert!(report.headline.contains("it is Same"), "{report}");
    assert!(report.headline.ends_with("2 more were wrong"), "{report}");
    let told = report.lines.iter().filter(|line| !line.right);
    assert!(
        told.clone().count() == 3 && told.clone().all(|line| line.detail.ends_with("otherwise"))
    );
}
