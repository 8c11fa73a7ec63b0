//! Arrays in the `safetensors` format.

use crate::array::{Array, Contents, Entry};
use crate::dtype::Dtype;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Stored, SafeTensors};

/// All arrays, and the metadata.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, String> {
    let whole = |why| format!("it is not a whole safetensors file: {why}");
    let (_, about) = SafeTensors::read_metadata(bytes).map_err(whole)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(whole)?;
    let entries = tensors.iter().map(|(name, view)| {
        let entry = entry(&view);
        (name.to_owned(), entry)
    });
    Ok(Contents {
        entries: entries.collect(),
        facts: about
            .metadata()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    })
}

fn entry(view: &TensorView<'_>) -> Entry {
    let data = view.data();
    let (dtype, values) = match view.dtype() {
        Stored::F64 => (Dtype::F64, numbers(data, f64::from_le_bytes)),
        Stored::F32 => (Dtype::F32, numbers(data, |b| f32::from_le_bytes(b).into())),
        Stored::F16 => (
            Dtype::F16,
            numbers(data, |b| f16::from_le_bytes(b).to_f64()),
        ),
        Stored::BF16 => (
            Dtype::Bf16,
            numbers(data, |b| bf16::from_le_bytes(b).to_f64()),
        ),
        other => return Entry::Other(format!("{other:?}")),
    };
    let shape = view.shape().to_vec();
    Entry::Array(Array {
        shape,
        dtype,
        values,
    })
}

fn numbers<const WIDTH: usize>(bytes: &[u8], number: impl Fn([u8; WIDTH]) -> f64) -> Vec<f64> {
    let (whole, _) = bytes.as_chunks::<WIDTH>();
    whole.iter().map(|bytes| number(*bytes)).collect()
}

/// The numbers as their type stores them.
pub(super) fn bytes(array: &Array) -> Vec<u8> {
    let each = array.values.iter();
    match array.dtype {
        Dtype::F64 => each.flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F32 => each.flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        Dtype::F16 => each.flat_map(|v| f16::from_f64(*v).to_le_bytes()).collect(),
        Dtype::Bf16 => each
            .flat_map(|v| bf16::from_f64(*v).to_le_bytes())
            .collect(),
    }
}

/// The file, with the facts as its metadata.
pub(super) fn write(contents: &Contents) -> Vec<u8> {
    let arrays = contents
        .entries
        .iter()
        .filter_map(|(name, entry)| match entry {
            Entry::Array(array) => Some((name, array, bytes(array))),
            Entry::Text(_) | Entry::Other(_) => None,
        });
    let arrays: Vec<_> = arrays.collect();
    let views = arrays.iter().map(|(name, array, bytes)| {
        let stored = match array.dtype {
            Dtype::F64 => Stored::F64,
            Dtype::F32 => Stored::F32,
            Dtype::F16 => Stored::F16,
            Dtype::Bf16 => Stored::BF16,
        };
        let view = TensorView::new(stored, array.shape.clone(), bytes);
        (name.as_str(), view.expect("shape and bytes agree"))
    });
    let facts = contents.facts.clone().into_iter().collect();
    safetensors::serialize(views, Some(facts)).expect("names differ")
}
