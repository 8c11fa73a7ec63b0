//! Golden values: results computed once by PyTorch and kept in `tests/golden`.
//!
//! `tests/golden/generate.py` says what the files hold and makes them again.

use std::fs;
use std::path::{Path, PathBuf};

use approx::relative_eq;
use serde::Deserialize;
use serde_json::{Map, Value};
use tape::{Param, Real, Tape, Tensor, Var};

/// How far apart two implementations may be, in units of the dtype's epsilon and of the
/// largest magnitude in play (at least 1, since the inputs are of order one).
///
/// Every golden value comes from a few dozen roundings, in an order that the other side
/// need not share. 16 epsilons is 3.6e-15 in f64: too little for a wrong formula, whose
/// error is of order one, or for a constant with a digit missing.
pub const EPSILONS: f64 = 16.0;

/// The cases of one file.
#[derive(Deserialize)]
pub struct Family {
    /// What the file is called, without its ending.
    pub family: String,
    /// The command that makes the file again.
    pub command: String,
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
}

/// Named arrays and settings: one computation and its results.
#[derive(Deserialize)]
pub struct Case {
    /// Unique in its family.
    pub name: String,
    /// `"f64"`, or `"f32"` when the inputs are exact in f32.
    pub dtype: String,
    settings: Map<String, Value>,
    arrays: std::collections::BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// The cases of `family`.
///
/// # Panics
/// With the message of [`read`], if the file is missing or damaged.
#[track_caller]
pub fn load(family: &str) -> Family {
    read(&folder(), family).unwrap_or_else(|message| panic!("{message}"))
}

/// Where the committed files are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Reads `family` from `folder`. The error is one line that names the file and the
/// command that makes it.
pub fn read(folder: &Path, family: &str) -> Result<Family, String> {
    let path = folder.join(family).with_extension("json");
    let fail = |what: String| {
        let path = path.display();
        format!(
            "golden file {path}: {what}; make it again with: python tests/golden/generate.py {family}"
        )
    };
    let text = fs::read_to_string(&path).map_err(|e| fail(e.to_string()))?;
    let file: Family = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if file.cases.is_empty() {
        return Err(fail("it holds no cases".into()));
    }
    for case in &file.cases {
        for (name, array) in &case.arrays {
            let (expected, found) = (array.shape.iter().product::<usize>(), array.data.len());
            if expected != found {
                let (case, shape) = (&case.name, &array.shape);
                return Err(fail(format!(
                    "{name:?} of case {case:?} has shape {shape:?} but {found} values"
                )));
            }
        }
    }
    Ok(file)
}

impl Case {
    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// The names of the arrays.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    #[track_caller]
    fn array(&self, name: &str) -> &Array {
        self.arrays
            .get(name)
            .unwrap_or_else(|| panic!("golden case {:?} has no array {name:?}", self.name))
    }

    /// The array of this name.
    #[track_caller]
    pub fn tensor<T: Real>(&self, name: &str) -> Tensor<T> {
        let array = self.array(name);
        let data = array.data.iter().map(|&v| T::from_f64(v)).collect();
        Tensor::new(&array.shape[..], data)
    }

    /// The array of this name, as a parameter to differentiate with respect to.
    #[track_caller]
    pub fn param<T: Real>(&self, name: &str) -> Param<T> {
        Param::new(name, self.tensor(name))
    }

    /// An array of indices or classes.
    #[track_caller]
    pub fn indices(&self, name: &str) -> Vec<usize> {
        let array = self.array(name);
        array.data.iter().map(|&v| v as usize).collect()
    }

    #[track_caller]
    fn setting(&self, name: &str) -> &Value {
        self.settings
            .get(name)
            .unwrap_or_else(|| panic!("golden case {:?} has no setting {name:?}", self.name))
    }

    /// A setting that is text.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        self.setting(name).as_str().expect("a text setting")
    }

    /// A setting that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.setting(name).as_f64().expect("a numeric setting")
    }

    /// A setting that is a number or `null`.
    #[track_caller]
    pub fn optional_number(&self, name: &str) -> Option<f64> {
        self.setting(name).as_f64()
    }

    /// A setting that is a count or an axis.
    #[track_caller]
    pub fn count(&self, name: &str) -> usize {
        self.setting(name).as_u64().expect("a whole setting") as usize
    }

    /// A setting that is a list of counts or axes.
    #[track_caller]
    pub fn counts(&self, name: &str) -> Vec<usize> {
        let list = self.setting(name).as_array().expect("a list");
        list.iter()
            .map(|v| v.as_u64().expect("a whole number") as usize)
            .collect()
    }

    /// Asserts that `got` is the array of this name, to within [`EPSILONS`].
    #[track_caller]
    pub fn assert_close<T: Real>(&self, name: &str, got: &Tensor<T>) {
        self.assert_within(name, got, EPSILONS * T::EPSILON.to_f64());
    }

    /// Asserts that `got` is the array of this name: the same shape, and no element
    /// further off than `tolerance` times the largest magnitude in it, or 1.
    #[track_caller]
    pub fn assert_within<T: Real>(&self, name: &str, got: &Tensor<T>, tolerance: f64) {
        let array = self.array(name);
        assert_eq!(
            &got.shape()[..],
            &array.shape[..],
            "golden case {:?}: {name} has another shape than PyTorch's",
            self.name
        );
        let scale = array.data.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        for (i, (got, &want)) in got.data().iter().zip(&array.data).enumerate() {
            let got = got.to_f64();
            assert!(
                relative_eq!(
                    got,
                    want,
                    epsilon = tolerance * scale,
                    max_relative = tolerance
                ),
                "golden case {:?}: {name}[{i}] is {got:e}, PyTorch has {want:e}: they differ by \
                 {:e}, more than {:e}",
                self.name,
                (got - want).abs(),
                tolerance * scale
            );
        }
    }

    /// The largest difference between `got` and the array of this name.
    #[track_caller]
    pub fn distance<T: Real>(&self, name: &str, got: &Tensor<T>) -> f64 {
        let pairs = got.data().iter().zip(&self.array(name).data);
        pairs.fold(0.0, |worst, (got, want)| {
            worst.max((got.to_f64() - want).abs())
        })
    }

    /// Runs `f` on the arrays named `inputs` and compares its value with `y`, and the
    /// gradients for the upstream `dy` with `d` + the name of each input.
    #[track_caller]
    pub fn check<F>(&self, inputs: &[&str], f: F)
    where
        F: for<'t> FnOnce(&[Var<'t, f64>]) -> Var<'t, f64>,
    {
        let params: Vec<Param<f64>> = inputs.iter().map(|name| self.param(name)).collect();
        let (y, grads) = Tape::new().vjp(&self.tensor("dy"), |t| {
            let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            f(&vars)
        });
        self.assert_close("y", &y);
        for param in &params {
            let grad = grads.get(param).unwrap_or_else(|| {
                panic!("case {:?}: no gradient reached {}", self.name, param.name())
            });
            self.assert_close(&format!("d{}", param.name()), grad);
        }
    }
}
