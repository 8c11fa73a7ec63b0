use super::*;
use crate::quiz::testing::{Place, Quiz};

const RIGHT: Predictions = Predictions {
    others_replaced: SameBits,
    others_replaced_batch_norm: Different,
    alone: SameBits,
    times_1000: NearlySame,
    times_minus_3: SignsFlip,
    times_0_001: Different,
    plus_10: NearlySame,
    plus_10_rms_norm: Different,
    one_feature_plus_10: Different,
};

const PLACES: [Place<Predictions, Output>; 9] = [
    ("others_replaced", |p| &mut p.others_replaced),
    ("others_replaced_batch_norm", |p| {
        &mut p.others_replaced_batch_norm
    }),
    ("alone", |p| &mut p.alone),
    ("times_1000", |p| &mut p.times_1000),
    ("times_minus_3", |p| &mut p.times_minus_3),
    ("times_0_001", |p| &mut p.times_0_001),
    ("plus_10", |p| &mut p.plus_10),
    ("plus_10_rms_norm", |p| &mut p.plus_10_rms_norm),
    ("one_feature_plus_10", |p| &mut p.one_feature_plus_10),
];

const QUIZ: Quiz<'_, Predictions, Output> = Quiz {
    right: RIGHT,
    answers: &[SameBits, NearlySame, SignsFlip, Different],
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
        alone: Different,
        plus_10: Different,
        ..RIGHT
    };
    let report = report(&predictions, 0);
    assert!(report.headline.contains("it is SameBits"), "{report}");
    assert!(report.headline.ends_with("one more was wrong"), "{report}");
    let told = report.lines.iter().filter(|line| !line.right);
    assert!(
        told.clone().count() == 2 && told.clone().all(|line| line.detail.ends_with("otherwise"))
    );
}

/// A verdict on another norm sends its reader to where this chapter speaks of that norm.
#[test]
fn another_norm_is_explained_in_the_section_that_is_told() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/ln-forward.md");
    let chapter = std::fs::read_to_string(path).unwrap();
    let mut asked_about = 0;
    for asked in asked(&RIGHT, 0) {
        for norm in ["Batch Norm", "RMS Norm"] {
            if asked.what.contains(norm) {
                let label = format!("{{#{}}}", asked.section);
                let (_, section) = chapter.split_once(&label).expect(&label);
                let section = section.split("\n#").next().unwrap();
                assert!(section.contains(norm), "{}: {label}", asked.name);
                asked_about += 1;
            }
        }
    }
    assert_eq!(asked_about, 2);
}
