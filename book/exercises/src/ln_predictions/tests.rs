use super::*;

const SEEDS: std::ops::Range<u64> = 0..6;

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

/// The places of a set of predictions, by name.
type Place = (&'static str, fn(&mut Predictions) -> &mut Output);

const PLACES: [Place; 9] = [
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
        for said in [SameBits, NearlySame, SignsFlip, Different] {
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
                assert!(report.section.is_some());
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
        assert!(report.lines.is_empty() && report.headline.starts_with("1 of 9"));
    }
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
