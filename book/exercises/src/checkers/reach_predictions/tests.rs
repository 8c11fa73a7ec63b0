use super::*;
use crate::quiz::testing::{Place, Quiz};

const RIGHT: Predictions = Predictions {
    batch_norm: Channel,
    batch_norm_inference: Itself,
    layer_norm: Image,
    layer_norm_last_two: Plane,
    rms_norm: Image,
    group_norm: Group,
    instance_norm: Plane,
    two_batch_norms: Everything,
    brighter_instance_norm: Nothing,
    brighter_layer_norm: Image,
    louder_layer_norm: Nothing,
    upstream_batch_norm: Channel,
    upstream_inference: Itself,
};

const PLACES: [Place<Predictions, Reach>; 13] = [
    ("batch_norm", |p| &mut p.batch_norm),
    ("batch_norm_inference", |p| &mut p.batch_norm_inference),
    ("layer_norm", |p| &mut p.layer_norm),
    ("layer_norm_last_two", |p| &mut p.layer_norm_last_two),
    ("rms_norm", |p| &mut p.rms_norm),
    ("group_norm", |p| &mut p.group_norm),
    ("instance_norm", |p| &mut p.instance_norm),
    ("two_batch_norms", |p| &mut p.two_batch_norms),
    ("brighter_instance_norm", |p| &mut p.brighter_instance_norm),
    ("brighter_layer_norm", |p| &mut p.brighter_layer_norm),
    ("louder_layer_norm", |p| &mut p.louder_layer_norm),
    ("upstream_batch_norm", |p| &mut p.upstream_batch_norm),
    ("upstream_inference", |p| &mut p.upstream_inference),
];

const ALL: [Reach; 7] = [Nothing, Itself, Plane, Group, Image, Channel, Everything];

const QUIZ: Quiz<'_, Predictions, Reach> = Quiz {
    right: RIGHT,
    answers: &ALL,
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

/// A set of places that has no name is none of the answers.
#[test]
fn what_has_no_name_is_no_answer() {
    let before = vec![0.0; SHAPE.iter().product()];
    let mut after = before.clone();
    after[AT] = 1.0;
    assert_eq!(reach(&before, &after), Itself);
    after[0] = 1.0;
    assert_eq!(reach(&before, &after), Undecided);
    assert_eq!(reach(&before, &before), Nothing);
}
