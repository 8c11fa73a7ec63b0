//! The general machine of attribution, on a gradient that has nothing to do with norms:
//! `dx = dy * w + dy * x`, two paths.

use gradcheck::attribution::{Basis, F64_PRECISION, Factor, Finding, Mistake, Path, Question};
use gradcheck::attribution::{Verdict, least_squares};

const DY: [f64; 5] = [0.3, -1.2, 0.8, 2.0, -0.4];
const W: [f64; 5] = [1.0, 0.5, -2.0, 3.0, 0.7];
const X: [f64; 5] = [-0.6, 1.1, 0.2, -1.5, 2.2];

fn times(a: [f64; 5], b: [f64; 5]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

fn question() -> Question {
    let path = |id: &str| Path {
        id: format!("{id}-path"),
        name: format!("the path of {id}"),
    };
    Question {
        target: "dx".into(),
        paths: vec![path("w"), path("x")],
        factors: vec![
            Factor::anywhere("missing", 0.0, "is missing"),
            Factor::anywhere("sign", -1.0, "has the wrong sign"),
            Factor::anywhere("fifth", 0.2, "is divided by 5"),
        ],
        precision: F64_PRECISION,
    }
}

fn basis(id: &str, paths: &[usize], terms: [Vec<f64>; 2]) -> Basis {
    let mistake = Mistake {
        finding: Finding::new(id, format!("{id} happened")),
        paths: paths.to_vec(),
    };
    let mistakes = if id.is_empty() { vec![] } else { vec![mistake] };
    Basis {
        mistakes,
        terms: terms.to_vec(),
    }
}

fn right() -> Basis {
    basis("", &[], [times(DY, W), times(DY, X)])
}

fn bases() -> Vec<Basis> {
    let squared = DY.map(|v| v * v);
    vec![
        right(),
        basis(
            "dy-squared",
            &[0, 1],
            [times(squared, W), times(squared, X)],
        ),
        basis("w-for-x", &[1], [times(DY, W), times(DY, W)]),
    ]
}

fn mix(a: f64, b: f64) -> Vec<f64> {
    let (w, x) = (times(DY, W), times(DY, X));
    w.iter().zip(&x).map(|(w, x)| a * w + b * x).collect()
}

fn explain(candidate: &[f64]) -> Verdict {
    question().explain(candidate, bases().into_iter())
}

#[test]
fn weights_are_read() {
    for (a, b, id) in [
        (1.0, 1.0, "correct"),
        (0.0, 1.0, "w-path-missing"),
        (1.0, -1.0, "x-path-sign"),
        (-1.0, -1.0, "whole-sign"),
        (0.2, 1.0, "w-path-fifth"),
        (0.0, -1.0, "w-path-missing+x-path-sign"),
        (1.0, 0.37, "x-path-weight"),
    ] {
        let verdict = explain(&mix(a, b));
        assert_eq!(verdict.id, id, "{verdict:#?}");
        assert!((verdict.coefficients[0] - a).abs() < 1e-12, "{verdict:#?}");
        assert!((verdict.coefficients[1] - b).abs() < 1e-12, "{verdict:#?}");
        assert!(verdict.residual < 1e-12);
        let explanation = &verdict.explanations[0];
        assert_eq!(explanation.id(), id);
        assert!(explanation.residual < 1e-12);
    }
    assert_eq!(explain(&mix(1.0, 1.0)).to_string(), "dx: it is right");
    let both = explain(&mix(0.0, -1.0)).sentence;
    assert_eq!(
        both,
        "dx: the path of w is missing; and the path of x has the wrong sign"
    );
    let odd = explain(&mix(1.0, 0.37)).sentence;
    assert_eq!(odd, "dx: the path of x has weight 0.370000 in place of 1");
}

#[test]
fn a_changed_basis_is_named_also_with_a_weight() {
    let squared = DY.map(|v| v * v);
    let (w, x) = (times(squared, W), times(squared, X));
    let sum: Vec<f64> = w.iter().zip(&x).map(|(w, x)| w + x).collect();
    assert_eq!(explain(&sum).id, "dy-squared");
    let difference: Vec<f64> = w.iter().zip(&x).map(|(w, x)| w - x).collect();
    assert_eq!(explain(&difference).id, "dy-squared+x-path-sign");
}

#[test]
fn what_no_basis_reaches_is_unknown_and_the_weights_are_told() {
    let odd: Vec<f64> = mix(1.0, 1.0).iter().map(|v| v.tanh()).collect();
    let verdict = explain(&odd);
    assert_eq!(verdict.id, "unknown");
    assert!(verdict.explanations.is_empty());
    let fit = least_squares(&[&times(DY, W), &times(DY, X)], &odd).unwrap();
    assert_eq!(verdict.coefficients, fit.coefficients);
    assert_eq!(verdict.residual, fit.residual);
    let share = format!("{:.1}% remains unexplained", 100.0 * fit.residual);
    assert!(verdict.sentence.contains(&share), "{verdict}");
    assert!(verdict.sentence.contains("the path of w 0."), "{verdict}");
}

#[test]
fn what_is_nearly_right_is_said_to_be() {
    let rounded: Vec<f64> = mix(1.0, 1.0).iter().map(|v| f64::from(*v as f32)).collect();
    let verdict = explain(&rounded);
    assert_eq!(verdict.id, "unknown");
    assert!(
        verdict.sentence.starts_with("dx: it is right to "),
        "{verdict}"
    );
    assert!(
        verdict.sentence.ends_with("digits, but not to rounding"),
        "{verdict}"
    );
}

#[test]
fn explanations_that_fit_equally_are_all_given() {
    // Two names for one and the same change.
    let twins = [
        right(),
        basis("first", &[0], [times(DY, X), times(DY, X)]),
        basis("second", &[0], [times(DY, X), times(DY, X)]),
        basis("second", &[0], [times(DY, X), times(DY, X)]),
    ];
    let candidate: Vec<f64> = times(DY, X).iter().map(|v| 2.0 * v).collect();
    let mut question = question();
    question.factors.retain(|f| f.id != "missing");
    let verdict = question.explain(&candidate, twins.into_iter());
    assert_eq!(verdict.id, "ambiguous");
    assert_eq!(verdict.explanations.len(), 2, "{verdict:#?}");
    let expected = "dx: 2 mistakes fit equally well: first happened; or second happened";
    assert_eq!(verdict.sentence, expected);
    // Two meanings of one weight.
    let mut question = self::question();
    question
        .factors
        .push(Factor::anywhere("lost", 0.0, "is lost"));
    let verdict = question.explain(&mix(1.0, 0.0), bases().into_iter());
    assert_eq!(verdict.id, "ambiguous");
    let ids: Vec<String> = verdict.explanations.iter().map(|e| e.id()).collect();
    assert_eq!(ids, ["x-path-missing", "x-path-lost"]);
}

#[test]
fn the_simpler_explanation_wins() {
    // w-for-x with the x path missing is the same as the right basis with it missing.
    assert_eq!(explain(&mix(1.0, 0.0)).id, "x-path-missing");
    // w-for-x reproduces 2w with one mistake; nothing else does.
    assert_eq!(explain(&mix(2.0, 0.0)).id, "w-for-x");
}

#[test]
fn a_mistake_in_a_missing_path_is_named_in_its_general_form() {
    let squared = DY.map(|v| v * v);
    let mut all = bases();
    all.push(basis("w-squared", &[0], [times(squared, W), times(DY, X)]));
    let verdict = question().explain(&times(squared, W), all.into_iter());
    assert_eq!(verdict.id, "dy-squared+x-path-missing", "{verdict:#?}");
}

#[test]
fn zero_and_not_finite_come_first() {
    let verdict = explain(&[0.0; 5]);
    assert_eq!((verdict.id.as_str(), verdict.residual), ("zero", 1.0));
    assert_eq!(verdict.to_string(), "dx: it is zero everywhere");
    assert_eq!(explain(&[1e-15, 0.0, 0.0, -1e-15, 0.0]).id, "zero");
    // A known mistake that gives zero is mentioned.
    let but = |by: f64| times(DY, W).iter().map(|v| -by * v).collect();
    let cancels = basis("cancelled", &[0, 1], [times(DY, W), but(1.0)]);
    let verdict = question().explain(&[0.0; 5], [right(), cancels.clone()].into_iter());
    let expected = "dx: it is zero everywhere, as it would be if cancelled happened";
    assert_eq!(verdict.to_string(), expected);
    // One that gives zero to the precision of the candidate too, one that is only small not.
    let nearly = basis("nearly", &[0, 1], [times(DY, W), but(1.0 + 2e-11)]);
    let small = basis("small", &[0, 1], [times(DY, W), but(0.9)]);
    let all = [right(), cancels, nearly, small].into_iter();
    let expected = format!("{expected}, or nearly happened");
    assert_eq!(question().explain(&[0.0; 5], all).to_string(), expected);
    let mut nan = mix(1.0, 1.0);
    nan[3] = f64::NEG_INFINITY;
    let verdict = explain(&nan);
    assert_eq!(
        (verdict.id.as_str(), verdict.to_string().as_str()),
        ("not-finite", "dx: element 3 is -inf")
    );
}

#[test]
#[should_panic(expected = "a term of 5 elements cannot explain a candidate of 4")]
fn lengths_must_agree() {
    explain(&[1.0; 4]);
}

#[test]
fn a_clause_that_speaks_of_a_mean_is_kept_to_means() {
    let mut question = question();
    question.factors.push(Factor {
        id: "summed".into(),
        clause: "is summed".into(),
        otherwise: Some("is 5 times too large".into()),
        about: vec![1],
        value: 5.0,
    });
    let say = |a, b| question.explain(&mix(a, b), bases().into_iter()).sentence;
    assert_eq!(say(1.0, 5.0), "dx: the path of x is summed");
    assert_eq!(say(5.0, 1.0), "dx: the path of w is 5 times too large");
    assert_eq!(say(5.0, 5.0), "dx: the whole of dx is 5 times too large");
}

#[test]
fn verdicts_go_to_a_page_as_json() {
    let json = serde_json::to_value(explain(&mix(1.0, 0.0))).unwrap();
    assert_eq!(json["id"], "x-path-missing");
    assert_eq!(
        json["explanations"][0]["findings"][0]["id"],
        "x-path-missing"
    );
    assert_eq!(json["coefficients"].as_array().unwrap().len(), 2);
}
