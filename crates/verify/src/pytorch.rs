//! What PyTorch computes for the cases: values and gradients, committed in
//! `pytorch/values.safetensors` beside the script that made them from [`inputs`].
//!
//! A case is known there by its group and name; PyTorch's results stand beside digests of the
//! inputs that they belong to, so that those for other inputs are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use nn::torch_name;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tape::Tensor;
use witness::Apart;

use crate::case::Case;

/// What makes the file anew.
pub const COMMAND: &str = "python crates/verify/pytorch/generate.py";

/// The file, from the folder of this crate.
const FILE: &str = "pytorch/values.safetensors";

/// What PyTorch says of a case.
#[derive(Clone, Debug)]
pub enum Pytorch {
    /// How far its value and gradients are.
    Beside {
        /// The largest distance.
        found: Apart,
        /// What was computed, as Python has it.
        function: String,
    },
    /// Its results have other shapes, told in words.
    OtherShapes(String),
    /// Nothing: it has no such function, or none that could be compared, for this reason.
    Without(&'static str),
    /// Nothing yet: why not, and what computes it.
    Missing(String),
}

/// PyTorch's results for all cases.
#[derive(Debug)]
pub struct Values {
    cases: BTreeMap<String, Entry>,
    /// The version of PyTorch.
    torch: String,
    tensors: BTreeMap<String, Tensor<f64>>,
}

/// A case of the file.
#[derive(Deserialize, Debug)]
struct Entry {
    /// What was computed, as Python has it.
    function: String,
    /// The digests of what was given.
    digests: Digests,
    /// What the names of its arrays begin with.
    values: String,
}

/// What the file says of itself: the one entry of its metadata, as JSON.
#[derive(Deserialize)]
struct About {
    torch: String,
    cases: BTreeMap<String, Entry>,
}

impl Values {
    /// The committed results.
    ///
    /// # Errors
    /// One line, if the file is missing or damaged.
    pub fn committed() -> Result<Values, String> {
        Values::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE))
    }

    /// The results in this file.
    ///
    /// # Errors
    /// One line that names the file and the command that makes it, if it is missing or damaged.
    pub fn read(path: &Path) -> Result<Values, String> {
        let fail = |what: String| format!("{}: {what}; {COMMAND} makes it", path.display());
        let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
        parse(&bytes).map_err(fail)
    }

    /// The version of PyTorch that computed them.
    pub fn torch(&self) -> &str {
        &self.torch
    }

    /// The cases that there are results for, as `group: name`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cases.keys().map(String::as_str)
    }

    /// The value and then each gradient, of the entry.
    fn of(&self, entry: &Entry) -> Vec<Tensor<f64>> {
        let names = std::iter::once("y".to_owned()).chain((0..).map(|i| format!("d{i}")));
        names
            .map_while(|name| self.tensors.get(&format!("{}.{name}", entry.values)))
            .cloned()
            .collect()
    }
}

fn parse(bytes: &[u8]) -> Result<Values, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| text(&e))?;
    let about = metadata.metadata().as_ref();
    let about = about.and_then(|about| about.get("verify"));
    let about = about.ok_or("its metadata has no entry `verify`")?;
    let about: About = serde_json::from_str(about).map_err(|e| text(&e))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| text(&e))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F64 {
            return Err(format!("{name} is not of float64"));
        }
        let numbers = view.data().chunks_exact(8);
        let numbers = numbers.map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")));
        let tensor = Tensor::new(view.shape(), numbers.collect());
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(Values {
        cases: about.cases,
        torch: about.torch,
        tensors,
    })
}

/// Compares a case with PyTorch's results; `values` may be missing for the reason given there.
pub(crate) fn judge(case: &Case<f64>, values: &Result<Values, String>, seed: u64) -> Pytorch {
    if let Some(reason) = case.without_pytorch {
        return Pytorch::Without(reason);
    }
    let values = match values {
        Ok(values) => values,
        Err(reason) => return Pytorch::Missing(reason.clone()),
    };
    let Some(entry) = values.cases.get(&case.key()) else {
        return Pytorch::Missing(format!("has no results yet; {COMMAND} computes them"));
    };
    let w = witness::upstream(&case.subject, seed);
    let digests = Inputs::of(case, &w).digests();
    let outdated = || {
        Pytorch::Missing(format!(
            "has other inputs than the results; {COMMAND} computes them anew"
        ))
    };
    if digests.inputs != entry.digests.inputs {
        return outdated();
    }
    let theirs = values.of(entry);
    let mut shapes: Vec<_> = case.subject.point().iter().map(|x| *x.shape()).collect();
    shapes.insert(0, *w.shape());
    let their_shapes: Vec<_> = theirs.iter().map(|x| *x.shape()).collect();
    if shapes != their_shapes {
        return Pytorch::OtherShapes(format!(
            "value and gradients have the shapes {shapes:?}, those of PyTorch's `{}` {their_shapes:?}",
            entry.function
        ));
    }
    if digests.upstream != entry.digests.upstream {
        return outdated();
    }
    Pytorch::Beside {
        found: witness::beside(&case.subject, &w, &theirs, seed),
        function: entry.function.clone(),
    }
}

/// An array of numbers as Python reads it.
#[derive(Serialize)]
struct Array {
    /// What PyTorch's layers call it.
    name: String,
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Array {
    fn new(name: &str, x: &Tensor<f64>) -> Self {
        Array {
            name: torch_name(name).into_owned(),
            shape: x.shape().to_vec(),
            data: x.to_vec(),
        }
    }
}

/// All that PyTorch is told of a case: its arguments, the constants, and the upstream gradient.
#[derive(Serialize)]
struct Inputs {
    arguments: Vec<Array>,
    constants: Vec<Array>,
    dy: Array,
}

/// Sixteen digits each that others do not have. They are two, because the upstream gradient has the
/// shape of the value: that it is another does not say that the inputs are.
#[derive(Serialize, Deserialize, Debug)]
struct Digests {
    /// Of the arguments and the constants.
    inputs: String,
    /// Of the upstream gradient.
    upstream: String,
}

impl Inputs {
    fn of(case: &Case<f64>, w: &Tensor<f64>) -> Self {
        let arguments = case.subject.arguments.iter();
        let constants = case.constants.iter();
        Inputs {
            arguments: arguments.map(|a| Array::new(&a.name, &a.value)).collect(),
            constants: constants.map(|(name, x)| Array::new(name, x)).collect(),
            dy: Array::new("dy", w),
        }
    }

    fn digests(&self) -> Digests {
        Digests {
            inputs: digest(self.arguments.iter().chain(&self.constants)),
            upstream: digest([&self.dy]),
        }
    }
}

/// FNV-1a of all shapes and numbers.
///
/// Of a number the digits of an `f32` count, for in the last ones of an `f64` the logarithm of
/// another machine may differ, and with it what is drawn.
fn digest<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> String {
    let bytes = arrays.into_iter().flat_map(|array| {
        let shape = std::iter::once(array.shape.len()).chain(array.shape.iter().copied());
        let shape = shape.flat_map(|n| (n as u64).to_le_bytes());
        let data = array.data.iter().flat_map(|&x| (x as f32).to_le_bytes());
        shape.chain(data)
    });
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The inputs of all cases that PyTorch has a function for, as JSON: for each case, by its group
/// and name, the arguments, the constants, the upstream gradient, and the digests of all that.
pub(crate) fn inputs(cases: &[Case<f64>], seed: u64) -> String {
    #[derive(Serialize)]
    struct Given {
        digests: Digests,
        #[serde(flatten)]
        inputs: Inputs,
    }
    let judged = cases.iter().filter(|case| case.without_pytorch.is_none());
    let given = judged.map(|case| {
        let inputs = Inputs::of(case, &witness::upstream(&case.subject, seed));
        let digests = inputs.digests();
        (case.key(), Given { digests, inputs })
    });
    let given: BTreeMap<String, Given> = given.collect();
    serde_json::to_string(&given).expect("numbers and names can be written")
}
