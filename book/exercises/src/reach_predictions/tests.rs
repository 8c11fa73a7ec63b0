use super::*;
use crate::report::Outcome;

const SEEDS: std::ops::Range<u64> = 0..6;

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

/// The places of a set of predictions, by name.
type Place = (&'static str, fn(&mut Predictions) -> &mut Reach);

const PLACES: [Place; 13] = [
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
        for said in ALL {
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
        assert!(report.lines.is_empty() && report.headline.starts_with("1 of 13"));
    }
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
