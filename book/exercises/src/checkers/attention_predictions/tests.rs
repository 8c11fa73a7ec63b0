use super::*;
use crate::quiz::testing::{Place, Quiz};

const RIGHT: Predictions = Predictions {
    key_shift: Same,
    key_shift_gradient: Zero,
    query_shift: Different,
    traded: Same,
    later_causal: Same,
    later_unmasked: Different,
    first_query: Same,
    equal_values: Zero,
    sure: Zero,
    pre_branch: Same,
    pre_branch_gradient: OneTenth,
    post_road: Different,
};

const PLACES: [Place<Predictions, Change>; 12] = [
    ("key_shift", |p| &mut p.key_shift),
    ("key_shift_gradient", |p| &mut p.key_shift_gradient),
    ("query_shift", |p| &mut p.query_shift),
    ("traded", |p| &mut p.traded),
    ("later_causal", |p| &mut p.later_causal),
    ("later_unmasked", |p| &mut p.later_unmasked),
    ("first_query", |p| &mut p.first_query),
    ("equal_values", |p| &mut p.equal_values),
    ("sure", |p| &mut p.sure),
    ("pre_branch", |p| &mut p.pre_branch),
    ("pre_branch_gradient", |p| &mut p.pre_branch_gradient),
    ("post_road", |p| &mut p.post_road),
];

const QUIZ: Quiz<'_, Predictions, Change> = Quiz {
    right: RIGHT,
    answers: &[Same, Zero, OneTenth, Different],
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
