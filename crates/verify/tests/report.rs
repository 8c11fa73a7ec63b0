//! The gradient report is complete, passes, and can fail.

use std::path::Path;

use nn::check::normal;
use tape::{Backward, InputGrads, Real, Tensor, Var};
use verify::{All, Case, Cases, Report, run_cases};

#[test]
fn every_gradient_passes() {
    let report = verify::run();
    assert!(report.passed(), "{report}");
    let names: Vec<&str> = report.rows.iter().map(|row| &row.name[..]).collect();
    let cases = All.each::<f64>();
    let expected: Vec<&str> = cases.iter().map(|case| &case.name[..]).collect();
    assert_eq!(names, expected);

    // Nearly all are judged in the field, and it is sure of what it says.
    let text = report.to_string();
    let equal = text.lines().filter(|line| line.contains(" equal ")).count();
    assert!(equal >= 240, "{equal}: {text}");
    let chances = report.rows.iter().filter_map(|row| row.witnesses.chance());
    let chance = chances.fold(0.0, f64::max);
    assert!(chance > 0.0 && chance < 1e-7, "{chance:e}");
}

#[test]
fn every_source_that_is_named_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for case in All.each::<f64>() {
        let path = crates.join(case.source);
        assert!(path.is_file(), "{}: there is no {}", case.name, case.source);
    }
}

/// An op from outside, `y = x³`, and what its backward multiplies `dy · x²` by.
struct Cube<T: Real> {
    x: Tensor<T>,
    factor: f64,
}

impl<T: Real> Backward<T> for Cube<T> {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let factor = T::from_f64(self.factor);
        dx.add(0, dy.zip_in_place(&self.x, |dy, x| factor * dy * x * x));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x]
    }
}

/// `x³` at some x, beside what it is made of.
struct Cubes {
    x: Tensor<f64>,
    factor: f64,
    /// What is added to the value.
    shift: f64,
}

impl Cases for Cubes {
    fn each<T: Real>(&self) -> Vec<Case<T>> {
        let Cubes { factor, shift, .. } = *self;
        let cube = move |x: T| x * x * x + T::from_f64(shift);
        let case = Case::on_tape("ops", "here", "cube", vec![self.x.cast()], move |x| {
            let value = x[0].value();
            x[0].tape().record(&[&x[0]], value.map(cube), || Cube {
                x: value.clone(),
                factor,
            })
        });
        vec![case.composed(|x: &[Var<'_, T>]| x[0].powi(3))]
    }
}

fn cube(factor: f64, shift: f64) -> Report {
    let x = normal([3], 1);
    run_cases(&Cubes { x, factor, shift })
}

#[test]
fn a_right_backward_passes() {
    let report = cube(3.0, 0.0);
    assert!(report.passed(), "{report}");
    assert!(report.to_string().contains(" equal  "), "{report}");
    assert!(report.to_string().contains(" =\n"), "{report}");
}

#[test]
fn every_witness_sees_a_forgotten_factor() {
    let report = cube(1.0, 0.0);
    assert!(!report.passed());
    let text = report.to_string();
    for part in [
        "FAILS",
        "1 of 1 cases fail",
        "The gradient of `x0` disagrees",
        // Far beyond 1, the size is all that is told.
        "e13  ",
        "differs",
        "dual numbers find ",
        "in a finite field, the gradient of x0 is not the derivative",
        "the same made of other ops is 2.0e0 off",
        "in a finite field, the same made of other ops is not the same",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn the_field_sees_what_is_lost_in_rounding() {
    let report = cube(3.0 * (1.0 + f64::EPSILON), 0.0);
    let row = &report.rows[0];
    assert!(row.check.passed() && !report.passed(), "{report}");
    let witnesses = &row.witnesses;
    assert!(
        witnesses.dual.as_ref().unwrap()[0].found.agree(),
        "{report}"
    );
    assert!(witnesses.composed.unwrap().agrees(), "{report}");
    assert!(report.to_string().contains("differs"), "{report}");
}

#[test]
fn only_other_ops_see_another_function() {
    let report = cube(3.0, 0.5);
    let row = &report.rows[0];
    assert!(row.check.passed() && !report.passed(), "{report}");
    assert!(!row.witnesses.composed.unwrap().agrees(), "{report}");
    assert!(report.to_string().contains(" equal "), "{report}");
}

#[test]
fn a_check_that_proves_nothing_is_refused() {
    // Where x is 0 the wrong gradient is right: the check proves nothing, and says so.
    let report = run_cases(&Cubes {
        x: Tensor::zeros([3]),
        factor: 1.0,
        shift: 0.0,
    });
    assert!(!report.passed(), "{report}");
    assert!(report.to_string().contains("REFUSED"), "{report}");
}

#[test]
fn a_report_of_nothing_does_not_pass() {
    struct Nothing;
    impl Cases for Nothing {
        fn each<T: Real>(&self) -> Vec<Case<T>> {
            Vec::new()
        }
    }
    assert!(!run_cases(&Nothing).passed());
}
