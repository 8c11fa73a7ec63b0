//! The gradient report is complete, passes, and can fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nn::check::normal;
use tape::{Backward, InputGrads, Tensor};
use verify::{Case, cases, run_cases};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

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

/// Files in the folder of ops that hold no op.
const HELPERS: [&str; 5] = ["mod.rs", "along.rs", "cases.rs", "pool.rs", "window.rs"];

/// The file with the record that the ops of one kind share, and the functions that make it.
const SHARED: &str = "elementwise.rs";
const MAKERS: [&str; 3] = ["unary(", "unary_from(", "binary("];

#[test]
fn every_op_of_the_tape_has_a_case() {
    let cases = cases();
    let sources: BTreeSet<&str> = cases.iter().map(|case| case.source).collect();
    let recorded: BTreeSet<String> = cases.iter().flat_map(Case::records).collect();
    let mut ops = 0;
    for entry in fs::read_dir(crates().join("tape/src/ops")).expect("the folder of ops") {
        let path = entry.expect("an entry").path();
        let file = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("a source file");
        if file == SHARED {
            continue;
        }
        let names = op_names(&text);
        if HELPERS.contains(&&file[..]) {
            assert!(
                names.is_empty(),
                "{file} is listed as a helper but holds the op {names:?}"
            );
            continue;
        }
        let source = format!("tape/src/ops/{file}");
        assert!(sources.contains(&source[..]), "no case checks {source}");
        for name in names {
            assert!(
                recorded.contains(&name),
                "no case records the op {name:?} of {source}"
            );
            ops += 1;
        }
    }
    assert!(
        ops >= 25,
        "only {ops} ops were found: has the way they are written changed?"
    );
}

/// The names of the ops that a source file defines, as far as they are written out; concat
/// and stack share a backward that is told its name.
fn op_names(text: &str) -> Vec<String> {
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    let bodies = own.split("Backward<T> for ").skip(1);
    let own_records = bodies.map(|body| {
        let name = body.split_once("fn name").expect("a backward has a name").1;
        let name = name.split('}').next().unwrap_or_default();
        name.split('"').nth(1).unwrap_or("concat").to_owned()
    });
    let shared = MAKERS.iter().flat_map(|maker| {
        let calls = own.split(maker).skip(1);
        calls.filter_map(|call| {
            let name = call.trim_start().strip_prefix("|| \"")?;
            name.split('"').next().map(str::to_owned)
        })
    });
    own_records.chain(shared).collect()
}

#[test]
fn every_source_that_is_named_exists() {
    for case in cases() {
        let path = crates().join(case.source);
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
