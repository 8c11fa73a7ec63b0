use super::*;
use crate::quiz::testing::{Place, Quiz};

const RIGHT: Predictions = Predictions {
    bias_batch_norm: Zero,
    bias_layer_norm: Different,
    filters_output: Same,
    filters_gradient: OneTenth,
    filters_gradient_no_norm: Same,
    one_filter_layer_norm: Different,
    ones_upstream: Zero,
    relu_and_pool: Same,
    norm_and_pool: Different,
    others_training: Different,
    others_inference: Same,
};

const PLACES: [Place<Predictions, Change>; 11] = [
    ("bias_batch_norm", |p| &mut p.bias_batch_norm),
    ("bias_layer_norm", |p| &mut p.bias_layer_norm),
    ("filters_output", |p| &mut p.filters_output),
    ("filters_gradient", |p| &mut p.filters_gradient),
    ("filters_gradient_no_norm", |p| {
        &mut p.filters_gradient_no_norm
    }),
    ("one_filter_layer_norm", |p| &mut p.one_filter_layer_norm),
    ("ones_upstream", |p| &mut p.ones_upstream),
    ("relu_and_pool", |p| &mut p.relu_and_pool),
    ("norm_and_pool", |p| &mut p.norm_and_pool),
    ("others_training", |p| &mut p.others_training),
    ("others_inference", |p| &mut p.others_inference),
];

const QUIZ: Quiz<'_, Predictions, Change> = Quiz {
    right: RIGHT,
    answers: &[Same, Zero, TimesTen, OneTenth, Different],
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
        filters_output: Zero,
        others_training: Same,
        others_inference: Zero,
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
