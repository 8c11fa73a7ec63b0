use super::*;
use crate::report::Outcome;

const SEEDS: std::ops::Range<u64> = 0..6;

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

/// The places of a set of predictions, by name.
type Place = (&'static str, fn(&mut Predictions) -> &mut Change);

const PLACES: [Place; 11] = [
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

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&RIGHT, seed);
        assert!(report.passed(), "seed {seed}: {report}");
        assert_eq!(report.lines.len(), PLACES.len());
    }
}

#[test]
fn every_other_prediction_is_rejected_and_named() {
    for (name, place) in PLACES {
        for said in [Same, Zero, TimesTen, OneTenth, Different] {
            let mut predictions = RIGHT;
            if *place(&mut predictions) == said {
                continue;
            }
            *place(&mut predictions) = said;
            for seed in SEEDS {
                let report = report(&predictions, seed);
                assert_eq!(report.outcome, Outcome::Wrong);
                assert_eq!(report.mistake.as_deref(), Some(name), "{report}");
                assert_eq!(report.lines.iter().filter(|line| !line.right).count(), 1);
                let section = report.section.expect("each is explained somewhere");
                assert!(
                    crate::sections::LABELS.contains(&section.as_str()),
                    "{section}"
                );
            }
        }
    }
}

/// While a prediction is open, the others are not judged: there is nothing to copy from.
#[test]
fn an_open_prediction_is_asked_for_and_nothing_is_told() {
    for (_, place) in PLACES {
        let mut predictions = RIGHT;
        *place(&mut predictions) = Undecided;
        let report = report(&predictions, 0);
        assert_eq!(report.outcome, Outcome::Unwritten);
        assert!(report.lines.is_empty() && report.headline.starts_with("1 of 11"));
    }
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
