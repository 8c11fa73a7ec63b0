//! The gradient report is complete, passes, and can fail.

use std::path::Path;
use std::process::Command;

use nn::check::normal;
use tape::{Backward, InputGrads, Real, Tensor, Var};
use verify::{All, COMMAND, Case, Cases, Pytorch, Report, Values, beside_pytorch, run_cases};

/// The command says so, as it is run by a reader.
#[test]
fn every_gradient_passes() {
    let output = Command::new(env!("CARGO_BIN_EXE_verify")).output();
    let output = output.expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("a report");
    assert!(output.status.success(), "{text}");
    let cases = All.each::<f64>();
    let sum = format!("\nAll {} cases pass; ", cases.len());
    assert!(text.contains(&sum), "no {sum:?} in\n{text}");
    let mut rest = &text[..];
    for case in &cases {
        let row = format!("\n  {} ", case.name);
        let (_, after) = rest.split_once(&row).unwrap_or_else(|| {
            panic!("no {row:?} in its place in\n{text}");
        });
        rest = after;
    }

    // Nearly all are judged in the field, and it is sure of what it says.
    let equal = text.lines().filter(|line| line.contains(" equal ")).count();
    assert!(equal >= 240, "{equal}: {text}");
    let (_, chance) = text
        .split_once("with a probability of at most ")
        .expect("it is told");
    let chance = chance.lines().next().expect("a line").trim_end_matches('.');
    let chance: f64 = chance.parse().expect("a number");
    assert!(chance > 0.0 && chance < 1e-7, "{chance:e}");

    let torch = values().torch().to_owned();
    assert!(text.contains(&torch), "no {torch} in\n{text}");
}

fn values() -> Values {
    Values::committed().expect("PyTorch's results are committed")
}

/// PyTorch has results for the inputs of today, but where a reason stands beside the case, and for
/// no other cases.
#[test]
fn the_results_of_pytorch_are_those_of_the_cases() {
    let found = beside_pytorch(&All);
    let mut judged = 0;
    for (case, said) in &found {
        match said {
            Pytorch::Missing(reason) => panic!("{case} {reason}"),
            Pytorch::OtherShapes(shapes) => panic!("{case}: {shapes}"),
            Pytorch::Beside {
                found: apart,
                function,
            } => {
                assert!(apart.agrees(), "{case} is not {function}: {apart:?}");
                judged += 1;
            }
            Pytorch::Without(_) => {}
        }
    }
    assert!(judged >= 260, "{judged}");
    let values = values();
    let gone = values
        .names()
        .find(|name| !found.iter().any(|(case, _)| case == name));
    assert_eq!(
        gone, None,
        "there is no such case any more; {COMMAND} leaves it out"
    );
    assert_eq!(values.names().count(), judged);
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
    assert!(report.to_string().contains(" =        –\n"), "{report}");
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

/// A case of the report, with another op in its place.
struct Instead {
    /// What the case is called.
    name: &'static str,
    op: Other,
    /// What its first number is changed by.
    moved: f64,
}

/// Other ops than those of the report.
#[derive(Clone, Copy)]
enum Other {
    /// x³, whose backward multiplies by this.
    Cube(f64),
    /// x³ in another shape.
    Column,
    /// Layer Norm with what is added to the variance, and to its root, and what the sum of squares
    /// is divided by: D less this.
    LayerNorm {
        below_root: f64,
        beside_root: f64,
        fewer: f64,
    },
}

impl Other {
    fn apply<'t, T: Real>(self, x: &[Var<'t, T>]) -> Var<'t, T> {
        let number = T::from_f64;
        match self {
            Other::Cube(factor) => {
                let value = x[0].value();
                let cube = value.map(|x| x * x * x);
                x[0].tape().record(&[&x[0]], cube, || Cube {
                    x: value.clone(),
                    factor,
                })
            }
            Other::Column => x[0].powi(3).reshape([x[0].value().len(), 1]),
            Other::LayerNorm {
                below_root,
                beside_root,
                fewer,
            } => {
                let d = x[0].shape()[1] as f64;
                let centered = &x[0] - x[0].mean_keep(&[1]);
                let var = (&centered * &centered).sum_keep(&[1]) / number(d - fewer);
                let root = (var + number(below_root)).sqrt() + number(beside_root);
                centered / root * &x[1] + &x[2]
            }
        }
    }
}

impl Cases for Instead {
    fn each<T: Real>(&self) -> Vec<Case<T>> {
        let mut all = All.each::<T>().into_iter();
        let case = all.find(|case| case.name == self.name).expect("a case");
        let mut inputs = case.subject.point();
        inputs[0].data_mut()[0] += T::from_f64(self.moved);
        let op = self.op;
        let name = self.name;
        vec![Case::on_tape(
            case.group,
            case.source,
            name,
            inputs,
            move |x| op.apply(x),
        )]
    }
}

fn instead(name: &'static str, op: Other, moved: f64) -> Report {
    run_cases(&Instead { name, op, moved })
}

/// PyTorch has x³ at these inputs.
const CUBES: &str = "powi 3 of both signs";

#[test]
fn pytorch_sees_a_forgotten_factor() {
    let report = instead(CUBES, Other::Cube(3.0), 0.0);
    assert!(report.passed(), "{report}");
    let report = instead(CUBES, Other::Cube(1.0), 0.0);
    let text = report.to_string();
    assert!(!report.passed(), "{text}");
    let said = "PyTorch's `x0 ** 3` is 2.0e0 off";
    assert!(text.contains(said), "no {said:?} in\n{text}");
}

#[test]
fn pytorch_alone_sees_another_convention() {
    let right = (1e-5, 0.0, 0.0);
    for (what, (below_root, beside_root, fewer)) in [
        ("as it should be", right),
        ("the unbiased variance", (1e-5, 0.0, 1.0)),
        ("eps beside the root", (0.0, 1e-5, 0.0)),
        ("another eps", (1e-6, 0.0, 0.0)),
    ] {
        let op = Other::LayerNorm {
            below_root,
            beside_root,
            fewer,
        };
        let report = instead("composed [N=4, D=5] over D", op, 0.0);
        let row = &report.rows[0];
        assert!(row.check.passed(), "{what}: {report}");
        assert!(report.to_string().contains(" equal "), "{what}: {report}");
        let Pytorch::Beside { found, .. } = &row.witnesses.pytorch else {
            panic!("{what}: {report}");
        };
        let is_right = (below_root, beside_root, fewer) == right;
        assert_eq!(found.agrees(), is_right, "{what}: {report}");
        assert_eq!(report.passed(), is_right, "{what}: {report}");
    }
}

#[test]
fn another_shape_is_seen() {
    let report = instead(CUBES, Other::Column, 0.0);
    assert!(report.rows[0].check.passed() && !report.passed());
    let text = report.to_string();
    let said = "value and gradients have the shapes [[12, 1], [3, 4]], those of PyTorch's \
                `x0 ** 3` [[3, 4], [3, 4]]";
    assert!(text.contains(said), "no {said:?} in\n{text}");
}

#[test]
fn results_for_other_inputs_are_not_compared() {
    let report = instead(CUBES, Other::Cube(3.0), 1e-3);
    assert!(report.passed(), "{report}");
    let text = report.to_string();
    let said = "Not judged by PyTorch:\n    1  has other inputs than the results; python \
                crates/verify/pytorch/generate.py computes them anew";
    assert!(text.contains(said), "no {said:?} in\n{text}");
    let text = cube(3.0, 0.0).to_string();
    assert!(text.contains("has no results yet; python "), "{text}");
}

#[test]
fn a_file_that_is_missing_or_damaged_is_told_in_one_line() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["pytorch/gone.safetensors", "Cargo.toml"] {
        let message = Values::read(&crates.join(file)).unwrap_err();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.contains(file) && message.contains(COMMAND),
            "{message}"
        );
    }
    let saved = crates.join("../../tests/golden/saved.safetensors");
    let message = Values::read(&saved).unwrap_err();
    assert!(message.contains("no entry `verify`"), "{message}");
}
