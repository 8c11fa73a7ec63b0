//! The gradient report is complete, passes, and can fail.

use std::path::Path;

use nn::check::normal;
use tape::{Backward, InputGrads, Tensor};
use verify::{Case, cases, run_cases};

#[test]
fn every_gradient_passes() {
    let report = verify::run();
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), cases().len());
    let names: Vec<&str> = report.rows.iter().map(|row| &row.name[..]).collect();
    assert_eq!(
        names,
        cases()
            .iter()
            .map(|case| &case.name[..])
            .collect::<Vec<_>>()
    );
}

#[test]
fn every_source_that_is_named_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for case in cases() {
        let path = crates.join(case.source);
        assert!(path.is_file(), "{}: there is no {}", case.name, case.source);
    }
}

/// An op from outside whose backward forgets a factor: `y = x³`, `dx = dy · x²`.
struct WrongCube(Tensor<f64>);

impl Backward<f64> for WrongCube {
    fn name(&self) -> &'static str {
        "wrong_cube"
    }

    fn backward(self: Box<Self>, dy: Tensor<f64>, dx: &mut InputGrads<'_, f64>) {
        dx.add(0, dy.zip_in_place(&self.0, |dy, x| dy * x * x));
    }

    fn saved(&self) -> Vec<&Tensor<f64>> {
        vec![&self.0]
    }
}

#[test]
fn a_wrong_backward_fails_the_report() {
    let wrong = |inputs| {
        Case::on_tape("ops", "here", "wrong cube", inputs, |x| {
            let value = x[0].value();
            let cube = value.map(|x| x * x * x);
            x[0].tape()
                .record(&[&x[0]], cube, || WrongCube(value.clone()))
        })
    };
    let report = run_cases(&[wrong(vec![normal([3], 1)])]);
    assert!(!report.passed());
    let text = report.to_string();
    assert!(
        text.contains("FAILS") && text.contains("1 of 1 cases fail"),
        "{text}"
    );
    assert!(text.contains("The gradient of `x0` disagrees"), "{text}");
    // Far beyond 1, the size is all that is told.
    assert!(text.contains("e13  FAILS"), "{text}");
    // Where x is 0 the wrong gradient is right: the check proves nothing, and says so.
    let report = run_cases(&[wrong(vec![Tensor::zeros([3])])]);
    assert!(!report.passed(), "{report}");
    assert!(report.to_string().contains("REFUSED"), "{report}");
}

#[test]
fn a_report_of_nothing_does_not_pass() {
    assert!(!run_cases(&[]).passed());
}
