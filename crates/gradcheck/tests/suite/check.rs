//! What a check reports, accepts and refuses.

use gradcheck::numeric::Doubt;
use gradcheck::{Check, Fault, Groups, Input, Place, Report, Vacuous, vjp};

fn square(xs: &[Vec<f64>]) -> Vec<f64> {
    xs[0].iter().map(|x| x * x).collect()
}

fn square_backward(xs: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f64>> {
    vec![xs[0].iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect()]
}

fn squares() -> Check {
    Check::new("square").input("x", &[2, 3], [1.0, 2.0, -3.0, 0.5, -0.25, 4.0])
}

#[track_caller]
fn refused(report: &Report) -> &Vacuous {
    assert!(!report.passed());
    let [why] = report.refused.as_slice() else {
        panic!("refused once:\n{report}")
    };
    why
}

#[track_caller]
fn fault(report: &Report) -> &Fault {
    assert!(!report.passed());
    let [what] = report.faults.as_slice() else {
        panic!("one fault:\n{report}")
    };
    what
}

#[test]
fn a_right_gradient_passes_and_the_report_holds_every_element() {
    let report = squares().run(square, square_backward);
    report.assert_passes();
    let x = report.input("x").unwrap();
    assert_eq!(x.shape, [2, 3]);
    for list in [&x.analytic, &x.numeric, &x.error, &x.disagreement, &x.bound] {
        assert_eq!(list.len(), 6);
    }
    assert!(x.resolution < 1e-10 && x.wrong == 0);
    let (name, worst) = report.worst().unwrap();
    assert_eq!(name, "x");
    assert!(worst.margin < 1.0 && worst.disagreement <= worst.bound);
    assert!(report.input("y").is_none());
}

#[test]
fn the_wrong_element_is_named_with_its_index() {
    let report = squares().run(square, |xs, dy| {
        let mut gradients = square_backward(xs, dy);
        gradients[0][4] *= 1.0 + 1e-9;
        gradients
    });
    assert_eq!(
        fault(&report),
        &Fault::Wrong {
            input: "x".into(),
            elements: 1
        }
    );
    let worst = report.inputs[0].worst.as_ref().unwrap();
    assert_eq!(worst.place, Place::Element { index: vec![1, 1] });
    assert!(report.to_string().contains("at [1, 1]"), "{report}");
}

#[test]
#[should_panic(expected = "Gradient check `square` FAILS")]
fn assert_passes_panics_with_the_report() {
    squares()
        .run(square, |xs, _| vec![xs[0].clone()])
        .assert_passes();
}

#[test]
fn shapes_are_compared_before_values() {
    let report = squares().run(square, |xs, _| vec![xs[0][1..].to_vec()]);
    let expected = Fault::Shape {
        name: "x".into(),
        expected: vec![2, 3],
        got: vec![5],
    };
    assert_eq!(fault(&report), &expected);

    let dy = vec![1.0, 2.0, 0.5, -1.0, 3.0, 1.5];
    let dx = square_backward(&[vec![1.0, 2.0, -3.0, 0.5, -0.25, 4.0]], &dy).remove(0);
    let check = squares().upstream(dy);
    check
        .run_against(square, &[Input::new("x", &[2, 3], dx.clone())])
        .assert_passes();
    let report = check.run_against(square, &[Input::new("x", &[3, 2], dx.clone())]);
    let expected = Fault::Shape {
        name: "x".into(),
        expected: vec![2, 3],
        got: vec![3, 2],
    };
    assert_eq!(fault(&report), &expected);
    let mut wrong = dx.clone();
    wrong[2] *= 1.0 + 1e-8;
    let report = check.run_against(square, &[Input::new("x", &[2, 3], wrong)]);
    assert_eq!(
        fault(&report),
        &Fault::Wrong {
            input: "x".into(),
            elements: 1
        }
    );
    let report = check.run_against(square, &[Input::new("z", &[2, 3], dx)]);
    assert_eq!(fault(&report), &Fault::Missing { input: "x".into() });

    let report = squares().run(square, |_, _| vec![]);
    assert_eq!(
        fault(&report),
        &Fault::Count {
            inputs: 1,
            gradients: 0
        }
    );

    let report = squares().output_shape(&[2, 2]).run(square, square_backward);
    let expected = Fault::Shape {
        name: "output".into(),
        expected: vec![2, 2],
        got: vec![6],
    };
    assert_eq!(fault(&report), &expected);
}

#[test]
fn one_wrong_shape_does_not_hide_the_other_inputs() {
    let report = Check::new("sum of both")
        .input("a", &[2], [1.0, 2.0])
        .input("b", &[3], [1.0, 2.0, 3.0])
        .run(
            |xs| vec![xs[0].iter().sum::<f64>() * xs[1].iter().sum::<f64>()],
            |xs, dy| {
                vec![
                    vec![dy[0] * 6.0],
                    vec![dy[0] * xs[0].iter().sum::<f64>() + 1.0; 3],
                ]
            },
        );
    assert_eq!(report.faults.len(), 2, "{report}");
    assert!(matches!(&report.faults[0], Fault::Shape { name, .. } if name == "a"));
    assert_eq!(
        report.faults[1],
        Fault::Wrong {
            input: "b".into(),
            elements: 3
        }
    );
}

#[test]
fn nan_and_infinity_are_reported_with_their_position() {
    let nan = |xs: &[Vec<f64>], dy: &[f64]| {
        let mut gradients = square_backward(xs, dy);
        gradients[0][3] = f64::NAN;
        gradients[0][5] = f64::INFINITY;
        gradients
    };
    let report = squares().run(square, nan);
    let text = report.to_string();
    assert!(
        text.contains("The gradient `x`[1, 0] is NaN, and 1 more are not finite"),
        "{text}"
    );
    let report = squares().output_shape(&[3, 2]).run(
        |xs| {
            xs[0]
                .iter()
                .map(|x| if *x > 3.0 { f64::INFINITY } else { *x })
                .collect()
        },
        square_backward,
    );
    assert!(
        report.to_string().contains("output `y`[2, 1] is inf"),
        "{report}"
    );
    let report = Check::new("input")
        .input("x", &[1], [f64::NAN])
        .run(|_| vec![1.0], square_backward);
    assert!(
        report.to_string().contains("input `x`[0] is NaN"),
        "{report}"
    );
}

#[test]
fn what_is_random_is_found_out() {
    use std::cell::Cell;
    let calls = Cell::new(0.0);
    let drift = |xs: &[Vec<f64>]| {
        calls.set(calls.get() + 1.0);
        vec![xs[0][0] + calls.get()]
    };
    let one = Check::new("drift").input("x", &[1], [1.0]);
    let report = one.run(drift, |_, dy| vec![dy.to_vec()]);
    assert_eq!(
        fault(&report),
        &Fault::NotDeterministic { what: "f".into() }
    );
    let report = one.run(
        |xs| vec![xs[0][0]],
        |_, dy| {
            calls.set(calls.get() + 1.0);
            vec![vec![dy[0] + 1e-12 * calls.get()]]
        },
    );
    assert_eq!(
        fault(&report),
        &Fault::NotDeterministic {
            what: "backward".into()
        }
    );
}

#[test]
fn what_keeps_state_between_calls_is_found_out() {
    use std::cell::Cell;
    let calls = Cell::new(0);
    let late = |xs: &[Vec<f64>]| {
        calls.set(calls.get() + 1);
        vec![xs[0][0] + if calls.get() > 20 { 1e-9 } else { 0.0 }]
    };
    let one = Check::new("drift").input("x", &[1], [1.0]);
    let report = one.run(late, |_, dy| vec![dy.to_vec()]);
    assert!(
        matches!(fault(&report), Fault::Drifts { calls } if *calls > 20),
        "{report}"
    );
    assert!(
        report.refused.is_empty() && report.inputs.is_empty(),
        "{report}"
    );
    // Dropout that strikes one time in ten.
    let seldom = |xs: &[Vec<f64>]| {
        calls.set(calls.get() + 1);
        let kept = if calls.get() % 10 == 9 { 0.0 } else { 1.0 };
        xs[0].iter().map(|x| kept * x).collect()
    };
    calls.set(0);
    let report = one.run(seldom, |_, dy| vec![dy.to_vec()]);
    assert!(matches!(fault(&report), Fault::Drifts { .. }), "{report}");
}

#[test]
fn a_length_that_varies_is_a_fault() {
    let square_of_the_positive = |xs: &[Vec<f64>]| -> Vec<f64> {
        xs[0]
            .iter()
            .filter(|x| **x > 0.999)
            .map(|x| x * x)
            .collect()
    };
    let one = Check::new("filter").input("x", &[2], [1.0, 2.0]);
    let report = one.run(square_of_the_positive, square_backward);
    let expected = Fault::LengthVaries {
        what: "f".into(),
        expected: 2,
        got: 1,
    };
    assert_eq!(fault(&report), &expected);
    let short = |xs: &[Vec<f64>], dy: &[f64]| -> Vec<Vec<f64>> {
        let mut gradients = square_backward(xs, dy);
        if xs[0] != [1.0, 2.0] {
            gradients[0].truncate(1);
        }
        gradients
    };
    let report = one.run(square, short);
    let expected = Fault::LengthVaries {
        what: "backward".into(),
        expected: 2,
        got: 1,
    };
    assert_eq!(fault(&report), &expected);
}

#[test]
#[should_panic(
    expected = "two inputs are named `x`, one of shape [1] and one of shape [2]; give each a name"
)]
fn two_inputs_of_one_name_are_refused() {
    let _ = Check::new("twice")
        .input("x", &[1], [1.0])
        .inputs(&[Input::new("x", &[2], [1.0, 2.0])]);
}

/// What cannot be found is not called zero.
#[test]
fn what_is_unknown_has_a_sentence_of_its_own() {
    let of = |x: f64, f: fn(f64) -> f64, slope: f64| {
        Check::new("unknown").input("x", &[1], [x]).run(
            move |xs| vec![f(xs[0][0])],
            move |_, dy| vec![vec![slope * dy[0]]],
        )
    };
    let place = || Place::Element { index: vec![0] };
    let unknown = |why| Vacuous::Unknown {
        input: "x".into(),
        place: place(),
        why,
    };
    let jump = of(4.0, f64::floor, 0.0);
    assert_eq!(refused(&jump), &unknown(Doubt::Jump), "{jump}");
    assert!(jump.to_string().contains("The function jumps at"), "{jump}");
    // A lone jump, right or left of the point, is no edge of the domain.
    for f in [
        f64::floor,
        |x: f64| x.floor() + x,
        |x: f64| f64::from(x >= 3.0),
    ] {
        let jump = of(3.0, f, 0.0);
        assert_eq!(refused(&jump), &unknown(Doubt::Jump), "{jump}");
    }
    // A hundred waves between two neighbouring numbers.
    let shaken = of(
        1.0,
        |x| (1e18 * x).sin() + (10.0 * x).sin(),
        10.0 * 10f64.cos(),
    );
    match refused(&shaken) {
        Vacuous::TooCoarse { relative, .. } if *relative >= 1.0 => {}
        other => panic!("{other:?}"),
    }
    let text = shaken.to_string();
    assert!(text.contains("cannot be told from the rounding"), "{text}");
    let edge = of(0.0, f64::sqrt, 1.0);
    assert!(
        matches!(refused(&edge), Vacuous::EdgeOfDomain { .. }),
        "{edge}"
    );
    let zero = of(1.0, |_| 3.0, 0.0);
    assert!(
        matches!(refused(&zero), Vacuous::ZeroGradient { .. }),
        "{zero}"
    );
    // Near the largest number there is, all is as it should be.
    let large = of(2.0, |x| 1e300 * x * x, 4e300);
    large.assert_passes();
    let infinite = of(1e5, |x| 1e300 * x * x, 2e305);
    assert!(
        matches!(fault(&infinite), Fault::NotFinite { .. }),
        "{infinite}"
    );
}

/// Where many outputs have a kink at once, the room between their slopes is wide.
#[test]
fn a_mistake_is_not_hidden_by_the_kinks_of_many_outputs() {
    // A layer of which four rows are zero, with a bias of zero.
    const X: [[f64; 2]; 6] = [
        [0.0; 2],
        [0.0; 2],
        [0.0; 2],
        [1.0, 2.0],
        [0.3, 0.9],
        [0.0; 2],
    ];
    let z = |r: usize, v: &[Vec<f64>]| X[r][0] * v[0][0] + X[r][1] * v[0][1] + v[1][0];
    let dense = |seed: u64, at_zero: f64, factor: f64| {
        Check::new("dense")
            .seed(seed)
            .input("w", &[2], [0.5, 0.8])
            .input("b", &[1], [0.0])
            .run(
                |v| (0..6).map(|r| z(r, v).max(0.0)).collect(),
                |v, dy| {
                    let (mut dw, mut db) = (vec![0.0; 2], 0.0);
                    for r in 0..6 {
                        let slope = if z(r, v) > 0.0 { 1.0 } else { at_zero };
                        dw[0] += slope * dy[r] * X[r][0];
                        dw[1] += slope * dy[r] * X[r][1];
                        db += factor * slope * dy[r];
                    }
                    vec![dw, vec![db]]
                },
            )
    };
    // Ten kinks, and smooth elements beside them; all of them move in each direction.
    let smooth = |seed: u64, at_zero: f64, factor: f64| {
        let mut x: Vec<f64> = (0..20).map(|i| 0.3 + 0.05 * f64::from(i)).collect();
        x[..10].fill(0.0);
        let halves = |i: usize, x: f64| if i < 10 { x.max(0.0) } else { x * x };
        Check::new("smooth")
            .seed(seed)
            .input("x", &[20], x)
            .projections(3)
            .run(
                |v| {
                    v[0].iter()
                        .enumerate()
                        .map(|(i, x)| halves(i, *x))
                        .collect()
                },
                |v, dy| {
                    let slope = |(i, (x, dy)): (usize, (&f64, &f64))| match i {
                        ..10 => at_zero * dy,
                        15 => factor * 2.0 * x * dy,
                        _ => 2.0 * x * dy,
                    };
                    vec![v[0].iter().zip(dy).enumerate().map(slope).collect()]
                },
            )
    };
    for seed in 0..20 {
        for at_zero in [0.0, 0.5, 1.0] {
            dense(seed, at_zero, 1.0).assert_passes();
            smooth(seed, at_zero, 1.0).assert_passes();
            for factor in [0.0, 0.5, 2.0] {
                let report = dense(seed, at_zero, factor);
                assert!(!report.passed(), "{seed}, {at_zero}, {factor}: {report}");
                let report = smooth(seed, at_zero, factor);
                assert!(!report.passed(), "{seed}, {at_zero}, {factor}: {report}");
            }
        }
    }
}

/// A kink may lie as far from the point as rounding puts it.
#[test]
fn a_kink_beside_the_point_takes_either_slope() {
    for x in [0.0, 1e-18, 1e-17, 0.1 + 0.2 - 0.3, 1e-15] {
        for slope in [0.0, 1.0] {
            Check::new("relu")
                .input("x", &[2], [x, 2.0])
                .run(
                    |v| v[0].iter().map(|x| x.max(0.0)).collect(),
                    move |_, dy| vec![vec![slope * dy[0], dy[1]]],
                )
                .assert_passes();
        }
        let twice = Check::new("relu").input("x", &[2], [x, 2.0]).run(
            |v| v[0].iter().map(|x| x.max(0.0)).collect(),
            move |_, dy| vec![vec![2.0 * dy[0], dy[1]]],
        );
        assert!(!twice.passed(), "{x:e}: {twice}");
    }
}

/// Each element of a gradient may be right at a tie, and the gradient wrong.
#[test]
fn ties_are_judged_as_vectors() {
    fn with(name: &str, x: &[f64], f: impl Fn(&[f64]) -> f64, right: &[&[f64]], wrong: &[&[f64]]) {
        for dy in [1.0, -2.0] {
            let report = |gradient: &[f64]| {
                let gradient: Vec<f64> = gradient.iter().map(|g| g * dy).collect();
                Check::new(name)
                    .input("x", &[x.len()], x)
                    .upstream([dy])
                    .run(|xs| vec![f(&xs[0])], |_, _| vec![gradient.clone()])
            };
            for gradient in right {
                report(gradient).assert_passes();
            }
            for gradient in wrong {
                let report = report(gradient);
                assert!(!report.passed(), "{gradient:?}\n{report}");
                let tie = |fault: &Fault| matches!(fault, Fault::Tie { .. });
                assert!(report.faults.iter().all(tie), "{report}");
                assert!(
                    report.to_string().contains("do not fit together"),
                    "{report}"
                );
            }
        }
    }
    let max = |x: &[f64]| x.iter().copied().fold(f64::MIN, f64::max);
    with(
        "maximum of two",
        &[1.0, 1.0],
        max,
        &[&[1.0, 0.0], &[0.0, 1.0], &[0.5, 0.5], &[0.3, 0.7]],
        &[&[1.0, 1.0], &[0.0, 0.0], &[0.9, 0.9], &[0.5, 0.4]],
    );
    with(
        "maximum of a window",
        &[2.0, 3.0, 3.0, 3.0],
        max,
        &[&[0.0, 0.0, 1.0, 0.0], &[0.0, 0.5, 0.25, 0.25]],
        &[
            &[0.0, 1.0, 1.0, 1.0],
            &[0.0, 0.0, 0.0, 0.0],
            &[0.0, 0.5, 0.5, 0.5],
        ],
    );
    let relu = |x: &[f64]| (2.0 * x[0] - 3.0 * x[1]).max(0.0);
    with(
        "relu of a sum",
        &[3.0, 2.0],
        relu,
        &[&[0.0, 0.0], &[2.0, -3.0], &[1.0, -1.5]],
        &[&[2.0, 0.0], &[0.0, -3.0], &[1.0, -2.0]],
    );
    let abs = |x: &[f64]| (x[0] - x[1]).abs() + x[0] + 2.0 * x[1];
    with(
        "distance",
        &[0.5, 0.5],
        abs,
        &[&[2.0, 1.0], &[0.0, 3.0], &[1.0, 2.0]],
        &[&[2.0, 3.0], &[2.0, 2.0], &[1.2, 1.7]],
    );
    // Two inputs meet in one tie, and another pair has one of its own.
    let larger = |xs: &[Vec<f64>]| -> Vec<f64> {
        xs[0].iter().zip(&xs[1]).map(|(a, b)| a.max(*b)).collect()
    };
    let tied = |to_both: f64| {
        Check::new("larger")
            .input("a", &[3], [1.0, 2.0, -1.0])
            .input("b", &[3], [1.0, 0.5, -1.0])
            .run(larger, move |_, dy| {
                let a = vec![dy[0] * to_both, dy[1], dy[2]];
                let b = vec![
                    dy[0] * (if to_both == 1.0 { 1.0 } else { 1.0 - to_both }),
                    0.0,
                    0.0,
                ];
                vec![a, b]
            })
    };
    tied(0.25).assert_passes();
    let report = tied(1.0);
    let named = |fault: &Fault| match fault {
        Fault::Tie { elements, .. } => elements.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        named(fault(&report)),
        [("a".to_string(), vec![0]), ("b".to_string(), vec![0])]
    );
}

#[test]
fn a_margin_far_above_1_has_no_decimals() {
    let report = squares().run(square, |xs, _| vec![xs[0].clone()]);
    let text = report.to_string();
    let margin = text
        .split("margin ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert!(margin.contains('e') && margin.len() < 6, "{text}");
}

#[test]
fn a_zero_gradient_proves_nothing_unless_it_is_expected() {
    // The softmax of anything sums to 1.
    let softmax = |xs: &[Vec<f64>]| {
        let e: Vec<f64> = xs[0].iter().map(|x| x.exp()).collect();
        let sum: f64 = e.iter().sum();
        e.iter().map(|e| e / sum).collect()
    };
    let zeros = |xs: &[Vec<f64>], _: &[f64]| vec![vec![0.0; xs[0].len()]];
    let check = Check::new("softmax")
        .input("x", &[3], [0.3, -1.0, 2.0])
        .upstream([1.0; 3]);
    let report = check.run(softmax, zeros);
    assert_eq!(
        refused(&report),
        &Vacuous::ZeroGradient { input: "x".into() }
    );
    assert!(report.to_string().contains("REFUSED"), "{report}");
    // Said to be zero, it is checked to be.
    let check = check.may_be_zero("x");
    check.run(softmax, zeros).assert_passes();
    let report = check.run(softmax, |xs, _| vec![vec![1e-9; xs[0].len()]]);
    assert_eq!(
        fault(&report),
        &Fault::Wrong {
            input: "x".into(),
            elements: 3
        }
    );
}

/// `f` of each element, whose gradient is said to be zero.
fn said_to_be_zero(x: &[f64], f: fn(f64) -> f64, slope: f64) -> Report {
    Check::new("said to be zero")
        .input("x", &[x.len()], x)
        .may_be_zero("x")
        .run(
            move |xs| xs[0].iter().map(|x| f(*x)).collect(),
            move |_, dy| vec![dy.iter().map(|dy| slope * dy).collect()],
        )
}

#[test]
fn what_may_be_zero_may_not_be_unknown() {
    for slope in [0.0, 1e3] {
        let step = said_to_be_zero(&[0.0], |x| f64::from(x >= 0.0), slope);
        assert!(
            matches!(
                refused(&step),
                Vacuous::Unknown {
                    why: Doubt::Jump,
                    ..
                }
            ),
            "{step}"
        );
    }
    // As noisy as it is large.
    let noise = said_to_be_zero(&[1.0], |x| (1e18 * x).sin(), 0.0);
    assert!(
        matches!(noise.refused.as_slice(), [Vacuous::TooCoarse { .. }]),
        "{noise}"
    );
    // Zero it is, in value and in the outputs, or only in the slope.
    let zero: [fn(f64) -> f64; 4] = [|_| 0.0, |x| x * x * x, |x| x * x, f64::cos];
    for f in zero {
        said_to_be_zero(&[0.0], f, 0.0).assert_passes();
    }
}

/// The outputs are zero, too, and say nothing of how large a slope would show.
#[test]
fn a_slope_is_told_to_be_zero_where_the_outputs_are() {
    for f in [|x: f64| x * x * x, |x: f64| x * x, |x: f64| x.cosh() - 1.0] {
        for x in [vec![0.0], vec![0.0; 3]] {
            let report = Check::new("flat").input("x", &[x.len()], x).run(
                |xs| xs[0].iter().map(|x| f(*x)).collect(),
                |_, dy| vec![vec![0.0; dy.len()]],
            );
            let zero = Vacuous::ZeroGradient { input: "x".into() };
            assert_eq!(refused(&report), &zero, "{report}");
        }
    }
}

/// Elements whose gradient is zero but for rounding say nothing of the digits that the others
/// lose.
#[test]
fn a_mistake_is_not_hidden_by_elements_that_do_not_count() {
    // A mean is subtracted from most elements, and with it whatever is added to all.
    let f = |xs: &[Vec<f64>]| -> Vec<f64> {
        let (b, w): (_, [f64; 4]) = (&xs[0], [0.3, -1.1, 0.7, 0.9]);
        let each = |k: usize| {
            let h: Vec<f64> = w.iter().map(|w| w.sin() + b[k]).collect();
            let mean = h.iter().sum::<f64>() / 4.0;
            h.into_iter().map(move |h| h - mean).collect::<Vec<_>>()
        };
        (1..6).flat_map(each).chain([b[0].sin()]).collect()
    };
    let mut hidden = 0;
    for seed in 0..50 {
        let report = |factor: f64| {
            let b = [0.4, 0.31, -0.72, 0.93, 0.17, -0.58];
            Check::new("biases")
                .seed(seed)
                .input("b", &[6], b)
                .run(f, move |xs, dy| {
                    // The rounding of a sum that would be zero.
                    let rest = |k: usize| {
                        let dy = &dy[4 * (k - 1)..4 * k];
                        let mean = dy.iter().sum::<f64>() / 4.0;
                        let shifted = |dy: &f64| (dy - mean) * (1.0 + 1e-3 * xs[0][k]);
                        dy.iter().map(shifted).sum()
                    };
                    let first = factor * xs[0][0].cos() * dy[20];
                    vec![[first].into_iter().chain((1..6).map(rest)).collect()]
                })
        };
        report(1.0).assert_passes();
        hidden += usize::from(report(1.01).passed());
    }
    assert_eq!(hidden, 0);
}

/// Steps near the input's own size are lost beside a large output, and longer ones are not.
#[test]
fn a_step_that_is_lost_in_the_output_is_no_zero() {
    for (large, digits) in [(1e12, 1e-9), (1e15, 1e-6), (1e17, 1e-4)] {
        for x in [vec![0.3, 2.0], vec![0.3], vec![1.0, 2.0, 4.0]] {
            let of = |slope: f64| {
                let (f, dx) = (move |x: &f64| x + large, move |dy: &f64| slope * dy);
                Check::new("large").input("x", &[x.len()], x.clone()).run(
                    move |xs| xs[0].iter().map(f).collect(),
                    move |_, dy| vec![dy.iter().map(dx).collect()],
                )
            };
            of(1.0).assert_passes();
            assert!(!of(1.0 + digits).faults.is_empty(), "{large:e}");
        }
    }
}

/// Squares of what is larger than 1e154 or smaller than 1e-154 are no numbers.
#[test]
fn very_large_and_very_small_numbers_are_numbers() {
    for size in [1e307, 1e299, 1e160, 1e-160, 1e-299, 1e-305] {
        for x in [vec![0.3], vec![0.3, 2.0], vec![1.0, 2.0, 0.5]] {
            let of = |share: f64| {
                let check = Check::new("size").input("x", &[x.len()], x.clone());
                check.run(
                    move |xs| xs[0].iter().map(|x| size * x.sin()).collect(),
                    move |xs, dy| {
                        let each = xs[0].iter().zip(dy);
                        vec![each.map(|(x, dy)| share * size * x.cos() * dy).collect()]
                    },
                )
            };
            of(1.0).assert_passes();
            assert!(!of(1.001).faults.is_empty(), "{size:e}");
        }
    }
}

/// Of the smallest numbers only a few digits are left, and a right gradient is not wrong.
#[test]
fn what_is_left_of_the_smallest_numbers_is_not_wrong() {
    for size in [1e-310, 1e-315, 1e-320] {
        let check = Check::new("size").input("x", &[2], vec![0.3, 2.0]);
        let report = check.run(
            move |xs| xs[0].iter().map(|x| size * x).collect(),
            move |_, dy| vec![dy.iter().map(|dy| size * dy).collect()],
        );
        assert!(report.faults.is_empty(), "{report}");
    }
}

#[test]
fn probes_that_cannot_show_a_mistake_are_refused() {
    let report = squares().upstream([0.0; 6]).run(square, square_backward);
    assert_eq!(refused(&report), &Vacuous::UpstreamZero);
    let report = vjp(&[], |_| vec![1.0], |_, _| vec![]);
    assert_eq!(refused(&report), &Vacuous::Empty);
    let report = vjp(&[Input::new("x", &[0], [])], square, square_backward);
    assert_eq!(refused(&report), &Vacuous::Empty);
    let root = Check::new("root").input("x", &[2], [1.0, 0.0]).run(
        |xs| xs[0].iter().map(|x| x.sqrt()).collect(),
        |xs, dy| {
            vec![
                xs[0]
                    .iter()
                    .zip(dy)
                    .map(|(x, dy)| 0.5 * dy / x.max(1e-9).sqrt())
                    .collect(),
            ]
        },
    );
    let place = Place::Element { index: vec![1] };
    assert_eq!(
        refused(&root),
        &Vacuous::EdgeOfDomain {
            input: "x".into(),
            place
        }
    );
    // Noise that drowns the slope leaves nothing to judge by, where no longer step helps.
    let noisy = Check::new("noisy").input("x", &[1], [1.0]).run(
        |xs| vec![(10.0 * xs[0][0]).sin() + 1e-3 * (1e18 * xs[0][0]).sin()],
        |xs, dy| vec![vec![10.0 * dy[0] * (10.0 * xs[0][0]).cos()]],
    );
    let relative = match refused(&noisy) {
        Vacuous::TooCoarse { relative, .. } => *relative,
        other => panic!("{other:?}"),
    };
    assert!(relative > 1e-3, "{noisy}");
}

/// A gradient that is right but loses digits on its way is given what its own noise takes.
#[test]
fn the_noise_of_the_gradient_itself_is_measured() {
    let lossy = |xs: &[Vec<f64>], dy: &[f64]| {
        let right = square_backward(xs, dy);
        let lose = |v: f64| (v + 1e5) - 1e5;
        vec![right[0].iter().map(|&v| lose(v)).collect()]
    };
    let check = || Check::new("lossy").input("x", &[2, 3], [1.0, 2.0, 4.0, -1.0, 0.5, 0.25]);
    let report = check().run(square, lossy);
    report.assert_passes();
    let input = &report.inputs[0];
    let far = |k: usize| input.disagreement[k] > 10.0 * input.error[k];
    assert!((0..6).any(far), "nothing was lost:\n{report}");
    check().projections(3).run(square, lossy).assert_passes();
}

#[test]
fn a_normalization_inside_a_larger_function_has_no_upstream_to_guard() {
    let total = |xs: &[Vec<f64>]| vec![square(xs).iter().sum::<f64>()];
    let backward = |xs: &[Vec<f64>], dy: &[f64]| square_backward(xs, &[dy[0]; 6]);
    let report = Check::new("inside")
        .input("x", &[2, 3], [1.0, 2.0, 4.0, -1.0, 0.5, 0.25])
        .normalizes("x", Groups::over(&[2, 3], &[1]))
        .run(total, backward);
    report.assert_passes();
}

#[test]
fn normalizations_are_guarded() {
    let row = Groups::over(&[2, 3], &[1]);
    let dy = [0.3, -1.0, 0.8, 1.0, 0.2, -0.4];
    let with = |dy: [f64; 6], x: [f64; 6], gamma: [f64; 3]| {
        let report = Check::new("guarded")
            .input("x", &[2, 3], x)
            .input("gamma", &[3], gamma)
            .normalizes("x", row.clone())
            .scales_by("gamma")
            .upstream(dy)
            .run(square, |xs, dy| {
                let mut gradients = square_backward(xs, dy);
                gradients.push(vec![0.0; 3]);
                gradients
            });
        report.refused.first().cloned()
    };
    let x = [1.0, 2.0, 4.0, -1.0, 0.5, 0.25];
    let gamma = [1.0, 2.0, 0.5];
    let zero = Vacuous::ZeroGradient {
        input: "gamma".into(),
    };
    assert_eq!(
        with(dy, x, gamma),
        Some(zero),
        "what is left is about gamma, unused here"
    );
    let constant = [0.3, -1.0, 0.8, 0.2, 0.2, 0.2];
    assert_eq!(
        with(constant, x, gamma),
        Some(Vacuous::UpstreamConstant { group: 1 })
    );
    let flat = [3.0, 3.0, 3.0, -1.0, 0.5, 0.25];
    assert_eq!(
        with(dy, flat, gamma),
        Some(Vacuous::GroupConstant { group: 0 })
    );
    assert_eq!(
        with(dy, x, [2.0; 3]),
        Some(Vacuous::GammaAllEqual { value: 2.0 })
    );
    let pairs = Check::new("pairs")
        .input("x", &[3, 2], x)
        .normalizes("x", Groups::over(&[3, 2], &[1]))
        .run(square, square_backward);
    assert_eq!(refused(&pairs), &Vacuous::TooFewPerGroup { values: 2 });
    // A single gamma cannot be misplaced, only forgotten.
    for (gamma, blind) in [(1.0, true), (1.5, false)] {
        let report = Check::new("one gamma")
            .input("gamma", &[1], [gamma])
            .scales_by("gamma")
            .run(square, square_backward);
        assert_eq!(report.passed(), !blind, "{report}");
    }
}

#[test]
fn kinks_are_not_failures_but_slopes_outside_them_are() {
    let relu = |xs: &[Vec<f64>]| xs[0].iter().map(|x| x.max(0.0)).collect();
    let with = |at_zero: f64| {
        Check::new("relu")
            .input("x", &[4], [1.0, 0.0, -1.0, 0.2])
            .run(relu, |xs, dy| {
                let slope = |x: f64| match x {
                    0.0 => at_zero,
                    x => f64::from(x > 0.0),
                };
                vec![xs[0].iter().zip(dy).map(|(x, dy)| dy * slope(*x)).collect()]
            })
    };
    for slope in [0.0, 0.5, 1.0] {
        let report = with(slope);
        report.assert_passes();
        assert_eq!(report.inputs[0].kinks, [1]);
        assert!(report.to_string().contains("at a kink"), "{report}");
    }
    for slope in [-0.01, 1.01, 2.0] {
        assert!(!with(slope).passed(), "{slope}");
    }
    // Ties of a maximum: two windows share the element, with upstreams of either sign.
    let max = |xs: &[Vec<f64>]| vec![xs[0][0].max(xs[0][1]), xs[0][1].max(xs[0][2])];
    let check = Check::new("ties")
        .input("x", &[3], [1.0, 1.0, 1.0])
        .upstream([1.0, -1.0]);
    for gradient in [
        [1.0, -1.0, 0.0],
        [0.0, 1.0, -1.0],
        [0.0, 0.0, 0.0],
        [0.5, 0.0, -0.5],
    ] {
        check
            .run(max, |_, _| vec![gradient.to_vec()])
            .assert_passes();
    }
    assert!(!check.run(max, |_, _| vec![vec![1.5, 0.0, -0.5]]).passed());
}

#[test]
fn projections_scale_to_large_inputs_and_find_the_culprit() {
    use std::cell::Cell;
    let n = 20_000;
    let x: Vec<f64> = (0..n).map(|i| (i as f64 * 0.37).sin() + 2.0).collect();
    let calls = Cell::new(0);
    let f = |xs: &[Vec<f64>]| {
        calls.set(calls.get() + 1);
        square(xs)
    };
    let check = Check::new("large")
        .input("x", &[n / 100, 100], x)
        .projections(3);
    check.run(f, square_backward).assert_passes();
    assert!(calls.get() < 250, "{} evaluations", calls.get());
    let report = check.run(square, |xs, dy| {
        let mut gradients = square_backward(xs, dy);
        gradients[0][12_345] += 1e-3;
        gradients
    });
    assert_eq!(
        fault(&report),
        &Fault::Wrong {
            input: "x".into(),
            elements: 3
        }
    );
    let culprit = report.inputs[0].culprit.as_ref().unwrap();
    assert_eq!(
        culprit.place,
        Place::Element {
            index: vec![123, 45]
        }
    );
    assert!(
        report.to_string().contains("for one at [123, 45]"),
        "{report}"
    );
}

#[test]
fn the_seed_decides_the_upstream() {
    let upstream = |seed| {
        let report = squares().seed(seed).run(square, square_backward);
        report.inputs[0].analytic.clone()
    };
    assert_eq!(upstream(1), upstream(1));
    assert_ne!(upstream(1), upstream(2));
}

#[test]
fn inputs_of_any_scale_are_checked_as_sharply() {
    for exponent in [-150, -8, 8, 150] {
        let unit = 10f64.powi(exponent);
        let x: Vec<f64> = [1.0, 2.0, -3.0, 0.5].iter().map(|x| x * unit).collect();
        let check = Check::new("scaled").input("x", &[4], x);
        let report = check.run(square, square_backward);
        report.assert_passes();
        assert!(report.inputs[0].resolution < 1e-9, "{report}");
    }
}

#[test]
fn reports_go_to_a_page_as_json() {
    let report = squares().run(square, square_backward);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["inputs"][0]["disagreement"].as_array().unwrap().len(),
        6
    );
    assert_eq!(json["mode"]["kind"], "every_element");
    let refused = squares().upstream([0.0; 6]).run(square, square_backward);
    let json = serde_json::to_value(&refused).unwrap();
    assert_eq!(json["refused"][0]["kind"], "upstream_zero");
}

#[test]
#[should_panic(expected = "input `x` of shape [2, 3] needs 6 elements, got 5")]
fn an_input_of_the_wrong_length_is_refused() {
    Input::new("x", &[2, 3], [0.0; 5]);
}

#[test]
#[should_panic(expected = "`square` has 6 outputs but the upstream gradient has 2 elements")]
fn an_upstream_of_the_wrong_length_is_refused() {
    squares().upstream([1.0, 2.0]).run(square, square_backward);
}

#[test]
#[should_panic(expected = "no input is named `w`")]
fn an_unknown_input_is_refused() {
    let _ = squares().may_be_zero("w");
}

#[test]
#[should_panic(expected = "the groups are over 4")]
fn groups_of_another_shape_are_refused() {
    let _ = squares().normalizes("x", Groups::over(&[2, 2], &[0]));
}

#[test]
#[should_panic(expected = "pass it with Check::upstream")]
fn gradients_without_their_upstream_are_refused() {
    squares().run_against(square, &[]);
}

#[test]
#[should_panic(expected = "0 projections check nothing")]
fn no_projections_are_refused() {
    let _ = squares().projections(0);
}
