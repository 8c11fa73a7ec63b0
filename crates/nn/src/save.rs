//! Saving and loading a model's state, in the `safetensors` format.
//!
//! A file holds every parameter and buffer under the name that PyTorch gives it
//! ([`torch_name`]), such as `layers.0.norm.weight`, and counters as `int64` scalars. Any
//! library that reads the format opens it; in Python,
//! `module.load_state_dict(safetensors.torch.load_file(path))`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tape::{Real, Tensor};

use crate::file::write_atomically;
use crate::module::{Module, State, each_state};

/// Why a model could not be loaded. One line each, naming the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not in the `safetensors` format, or is cut off.
    #[error("{} is not a whole safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file lacks something that the model has.
    #[error("{} holds no `{name}`, which the model has", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The file has something that the model lacks.
    #[error("{} holds `{name}`, which the model does not have", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The shapes differ.
    #[error("`{name}` has shape {found:?} in {}, but {expected:?} in the model", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape in the model.
        expected: Vec<usize>,
    },
    /// The numbers are of a type that is not read here.
    #[error("`{name}` holds {found} numbers in {}; {expected} can be read", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The type in the file.
        found: String,
        /// The types that would do.
        expected: &'static str,
    },
    /// A number cannot be what it stands for.
    #[error("`{name}` holds {value} in {}, {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The number.
        value: String,
        /// Why it cannot be.
        reason: &'static str,
    },
}

/// What PyTorch calls the piece of state that is called `name` here: the scale and the
/// shift of a norm are its `weight` and `bias`; all other names are the same.
///
/// ```
/// assert_eq!(nn::torch_name("norm1.gamma"), "norm1.weight");
/// assert_eq!(nn::torch_name("fc.weight"), "fc.weight");
/// ```
pub fn torch_name(name: &str) -> Cow<'_, str> {
    let (place, last) = name.split_at(name.rfind('.').map_or(0, |dot| dot + 1));
    match last {
        "gamma" => Cow::Owned(format!("{place}weight")),
        "beta" => Cow::Owned(format!("{place}bias")),
        _ => Cow::Borrowed(name),
    }
}

/// Writes the state of `module` to `path`, atomically.
///
/// # Errors
/// When the file cannot be written, or a counter is larger than an `int64`.
pub fn save<T: Real>(module: &mut (impl Module<T> + ?Sized), path: &Path) -> io::Result<()> {
    let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut failed = None;
    each_state(module, |name, state| {
        let (dtype, shape, bytes) = match state {
            State::Param(param) => encode(param.value()),
            State::Buffer(tensor) => encode(tensor),
            State::Count(count) => match i64::try_from(*count) {
                Ok(count) => (Dtype::I64, Vec::new(), count.to_le_bytes().to_vec()),
                Err(_) => {
                    failed = Some(format!("`{name}` is {count}, more than an int64 can hold"));
                    return;
                }
            },
        };
        parts.push((torch_name(name).into_owned(), dtype, shape, bytes));
    });
    if let Some(reason) = failed {
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).expect("shape and bytes agree");
        (name, view)
    });
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(about)).expect("names differ");
    write_atomically(path, &bytes)
}

/// Replaces the state of `module` by what [`save`] wrote to `path`. Numbers are rounded
/// if the file holds `f64` and the model is of `f32`; infinities and NaN are read as such.
///
/// # Errors
/// When the file cannot be read, is damaged, or is not of this model: every name must be
/// there, none besides, and every shape must agree. When a finite number is too large for
/// the model's type, or a counter negative. The module is then left as it was.
pub fn load<T: Real>(module: &mut (impl Module<T> + ?Sized), path: &Path) -> Result<(), LoadError> {
    let at = || path.to_path_buf();
    let bytes = fs::read(path).map_err(|source| LoadError::Read { path: at(), source })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| LoadError::Format {
        path: at(),
        reason: error.to_string(),
    })?;
    let mut tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let mut found: Vec<Loaded<T>> = Vec::new();
    let mut failed = None;
    each_state(module, |name, state| {
        if failed.is_some() {
            return;
        }
        let name = &*torch_name(name);
        let result = match tensors.remove(name) {
            None => Err(LoadError::Missing {
                path: at(),
                name: name.to_owned(),
            }),
            Some(view) => decode(path, name, &view, &state),
        };
        match result {
            Ok(loaded) => found.push(loaded),
            Err(error) => failed = Some(error),
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some((name, _)) = tensors.pop_first() {
        return Err(LoadError::Unexpected { path: at(), name });
    }
    let mut found = found.into_iter();
    each_state(module, |_, state| match (state, found.next()) {
        (State::Param(param), Some(Loaded::Tensor(value))) => param.set(value),
        (State::Buffer(tensor), Some(Loaded::Tensor(value))) => *tensor = value,
        (State::Count(count), Some(Loaded::Count(value))) => *count = value,
        _ => unreachable!("the module shows its state in the same order every time"),
    });
    Ok(())
}

enum Loaded<T: Real> {
    Tensor(Tensor<T>),
    Count(u64),
}

fn encode<T: Real>(tensor: &Tensor<T>) -> (Dtype, Vec<usize>, Vec<u8>) {
    let numbers = tensor.data().iter().map(|x| x.to_f64());
    let (dtype, bytes) = if size_of::<T>() == 4 {
        (
            Dtype::F32,
            numbers.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        )
    } else {
        (Dtype::F64, numbers.flat_map(f64::to_le_bytes).collect())
    };
    (dtype, tensor.shape().to_vec(), bytes)
}

fn decode<T: Real>(
    path: &Path,
    name: &str,
    view: &TensorView<'_>,
    state: &State<'_, T>,
) -> Result<Loaded<T>, LoadError> {
    let expected = match state {
        State::Param(param) => param.value().shape().to_vec(),
        State::Buffer(tensor) => tensor.shape().to_vec(),
        State::Count(_) => Vec::new(),
    };
    if view.shape() != expected {
        return Err(LoadError::Shape {
            path: path.to_path_buf(),
            name: name.to_owned(),
            found: view.shape().to_vec(),
            expected,
        });
    }
    let other = |expected| LoadError::Type {
        path: path.to_path_buf(),
        name: name.to_owned(),
        found: view.dtype().to_string(),
        expected,
    };
    let value = |value: String, reason| LoadError::Value {
        path: path.to_path_buf(),
        name: name.to_owned(),
        value,
        reason,
    };
    let data = view.data();
    if let State::Count(_) = state {
        let bytes = data.try_into().ok().filter(|_| view.dtype() == Dtype::I64);
        let count = i64::from_le_bytes(bytes.ok_or_else(|| other("I64"))?);
        return u64::try_from(count)
            .map(Loaded::Count)
            .map_err(|_| value(count.to_string(), "but it counts something"));
    }
    let wide: Vec<f64> = match view.dtype() {
        Dtype::F32 => words(data).map(|b| f32::from_le_bytes(b).into()).collect(),
        Dtype::F64 => words(data).map(f64::from_le_bytes).collect(),
        _ => return Err(other("F32 and F64")),
    };
    let numbers: Vec<T> = wide.iter().map(|&x| T::from_f64(x)).collect();
    let mut both = wide.iter().zip(&numbers);
    if let Some((x, _)) = both.find(|(x, rounded)| x.is_finite() && !rounded.is_finite()) {
        return Err(value(format!("{x:e}"), "too large for the model's f32"));
    }
    let is_variance = matches!(state, State::Buffer(_)) && name.ends_with("running_var");
    if is_variance && let Some(x) = wide.iter().find(|&&x| x.is_nan() || x < 0.0) {
        return Err(value(format!("{x:e}"), "but it is a variance"));
    }
    Ok(Loaded::Tensor(Tensor::new(&expected[..], numbers)))
}

/// The bytes in groups of `N`.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Visitor;
    use tape::Param;

    /// One of each kind of state.
    struct Model<T: Real> {
        weight: Param<T>,
        mean: Tensor<T>,
        steps: u64,
    }

    impl<T: Real> Module<T> for Model<T> {
        fn visit(&mut self, v: &mut Visitor<'_, T>) {
            v.param("layer.weight", &mut self.weight);
            v.buffer("layer.mean", &mut self.mean);
            v.count("layer.steps", &mut self.steps);
        }
    }

    /// The state of a Batch Norm without scale and shift, with any variance.
    struct Statistics(Tensor<f32>);

    impl Module<f32> for Statistics {
        fn visit(&mut self, v: &mut Visitor<'_, f32>) {
            v.buffer("running_mean", &mut Tensor::zeros([2]));
            v.buffer("running_var", &mut self.0);
            v.count("num_batches_tracked", &mut 1);
        }
    }

    fn model<T: Real>(start: f64) -> Model<T> {
        let fill = |n: usize| Tensor::from_fn([n], |i| T::from_f64(start + i as f64 / 3.0));
        Model {
            weight: Param::new("w", fill(6).reshape([2, 3])),
            mean: fill(3),
            steps: start as u64,
        }
    }

    #[track_caller]
    fn fails(model: &mut Model<f32>, path: &Path, expected: &str) {
        let before = (
            model.weight.value().clone(),
            model.mean.clone(),
            model.steps,
        );
        let message = load(model, path)
            .expect_err("it must be refused")
            .to_string();
        let file = path.display().to_string();
        assert!(
            message.contains(&file) && message.contains(expected),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
        let after = (
            model.weight.value().clone(),
            model.mean.clone(),
            model.steps,
        );
        assert!(before == after, "a refused file changed the model");
    }

    #[test]
    fn what_is_saved_is_what_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        let mut saved = model::<f32>(7.0);
        save(&mut saved, &path).expect("saved");
        let mut loaded = model::<f32>(0.0);
        let id = loaded.weight.id();
        load(&mut loaded, &path).expect("loaded");
        assert_eq!(loaded.weight.value(), saved.weight.value());
        assert_eq!((&loaded.mean, loaded.steps), (&saved.mean, 7));
        assert_eq!(loaded.weight.id(), id);
        // f64 keeps all its digits, and reads f32 exactly.
        let mut double = model::<f64>(2.0);
        load(&mut double, &path).expect("loaded");
        assert_eq!(double.weight.value().cast::<f32>(), *saved.weight.value());
        let mut other = model::<f64>(3.0);
        save(&mut other, &path).expect("saved");
        load(&mut double, &path).expect("loaded");
        assert_eq!(double.weight.value(), other.weight.value());
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_in_one_line_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        let mut model = model::<f32>(1.0);
        fails(&mut model, &path, "cannot read");
        save(&mut model, &path).expect("saved");
        let whole = fs::read(&path).expect("read");
        for cut in [0, 4, 100, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).expect("written");
            fails(&mut model, &path, "is not a whole safetensors file");
        }

        let write = |views: &[(&str, Dtype, &[usize], usize)]| {
            let bytes = [0; 64];
            let views = views.iter().map(|&(name, dtype, shape, n)| {
                (
                    name,
                    TensorView::new(dtype, shape.to_vec(), &bytes[..n]).expect("it fits"),
                )
            });
            safetensors::serialize_to_file(views, None, &path).expect("written");
        };
        let weight = ("layer.weight", Dtype::F32, &[2, 3][..], 24);
        let mean = ("layer.mean", Dtype::F32, &[3][..], 12);
        let steps = ("layer.steps", Dtype::I64, &[][..], 8);
        write(&[weight, mean, steps]);
        load(&mut model, &path).expect("this one fits");
        write(&[weight, steps]);
        fails(&mut model, &path, "holds no `layer.mean`");
        write(&[weight, mean, steps, ("head.weight", Dtype::F32, &[1], 4)]);
        fails(
            &mut model,
            &path,
            "holds `head.weight`, which the model does not have",
        );
        write(&[("layer.weight", Dtype::F32, &[3, 2], 24), mean, steps]);
        fails(&mut model, &path, "`layer.weight` has shape [3, 2]");
        write(&[("layer.weight", Dtype::F16, &[2, 3], 12), mean, steps]);
        fails(&mut model, &path, "`layer.weight` holds F16 numbers");
        write(&[weight, mean, ("layer.steps", Dtype::F64, &[], 8)]);
        fails(&mut model, &path, "`layer.steps` holds F64 numbers");
    }

    #[test]
    fn a_number_that_cannot_be_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        let mut model32 = model::<f32>(1.0);
        let mut wide = model::<f64>(2.0);
        // The largest f32, and the number halfway to the next one there would be, from
        // which on rounding gives infinity.
        let largest = f64::from(f32::MAX);
        let beyond = largest + 2_f64.powi(103);
        for (x, fits) in [
            (1e300, false),
            (-1e39, false),
            (beyond, false),
            (beyond.next_down(), true),
            (largest, true),
            (1e-300, true),
            (f64::INFINITY, true),
        ] {
            wide.mean.data_mut()[1] = x;
            save(&mut wide, &path).expect("saved");
            if fits {
                load(&mut model32, &path).expect("it fits");
                assert_eq!(model32.mean.data()[1], x as f32);
            } else {
                let message = format!("`layer.mean` holds {x:e}");
                fails(&mut model32, &path, &message);
                load(&mut wide, &path).expect("f64 holds it");
            }
        }

        let mut norm = batchnorm::BatchNorm::<f32>::new(2).without_affine();
        for bad in [-1.0, f32::NAN] {
            let mut stored = Statistics(Tensor::new([2], vec![1.0, bad]));
            save(&mut stored, &path).expect("saved");
            let error = load(&mut norm, &path).expect_err("no variance").to_string();
            assert!(
                error.contains(&format!("`running_var` holds {bad:e}")),
                "{error}"
            );
        }

        let bytes = (-1_i64).to_le_bytes();
        let floats = [0; 24];
        let views = [
            (
                "layer.weight",
                TensorView::new(Dtype::F32, vec![2, 3], &floats),
            ),
            (
                "layer.mean",
                TensorView::new(Dtype::F32, vec![3], &floats[..12]),
            ),
            ("layer.steps", TensorView::new(Dtype::I64, vec![], &bytes)),
        ];
        let views = views.map(|(name, view)| (name, view.expect("it fits")));
        safetensors::serialize_to_file(views, None, &path).expect("written");
        fails(&mut model32, &path, "`layer.steps` holds -1");

        model32.steps = i64::MAX as u64 + 1;
        let before = fs::read(&path).expect("read");
        let error = save(&mut model32, &path).expect_err("it cannot be written");
        assert!(
            error
                .to_string()
                .contains("`layer.steps` is 9223372036854775808")
        );
        assert_eq!(fs::read(&path).expect("read"), before);
    }
}
