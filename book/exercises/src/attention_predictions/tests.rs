use super::*;
use crate::report::Outcome;

const SEEDS: std::ops::Range<u64> = 0..6;

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

/// The places of a set of predictions, by name.
type Place = (&'static str, fn(&mut Predictions) -> &mut Change);

const PLACES: [Place; 12] = [
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
        for said in [Same, Zero, OneTenth, Different] {
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
        assert!(report.lines.is_empty() && report.headline.starts_with("1 of 12"));
    }
}
