//! Arrays as numpy writes them, alone or in an archive.

use crate::array::{Array, Contents, Entry};
use crate::dtype::Dtype;
use half::{bf16, f16};
use npyz::npz::{array_name_from_file_name, file_name_from_array_name};
use npyz::{DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar, WriteOptions, WriterBuilder};
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The arrays of an archive.
pub(super) fn read_archive(bytes: &[u8]) -> Result<Contents, String> {
    let whole = |why| format!("it is not a whole .npz archive: {why}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|why| whole(why.to_string()))?;
    let mut contents = Contents::default();
    for number in 0..archive.len() {
        let file = archive.by_index(number);
        let mut file = file.map_err(|why| whole(why.to_string()))?;
        let path = file.name().map_err(|why| whole(why.to_string()))?;
        let Some(name) = array_name_from_file_name(&path).map(str::to_owned) else {
            continue;
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|why| whole(why.to_string()))?;
        let entry = read(&bytes).map_err(|why| format!("`{name}`: {why}"))?;
        contents.entries.insert(name, entry);
    }
    Ok(contents)
}

/// One array.
pub(super) fn read(bytes: &[u8]) -> Result<Entry, String> {
    let whole = |why: std::io::Error| format!("it is not a whole .npy file: {why}");
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).map_err(whole)?;
    let DType::Plain(scalar) = header.dtype() else {
        return Ok(Entry::Other(header.dtype().descr()));
    };
    // Before memory is asked for: a header may claim anything.
    let width = scalar.num_bytes().unwrap_or(0) as u64;
    let needed = header
        .shape()
        .iter()
        .try_fold(width, |n, d| n.checked_mul(*d));
    if needed.is_none_or(|needed| needed > rest.len() as u64) {
        return Err("it is cut off: there are fewer numbers than its shape says".to_owned());
    }
    let shape: Vec<usize> = header.shape().iter().map(|d| *d as usize).collect();
    let fortran = header.order() == Order::Fortran;
    let file = NpyFile::with_header(header, rest);
    let (dtype, stored) = match (scalar.type_char(), width) {
        (TypeChar::Float, 8) => (Dtype::F64, all(file, |v: f64| v)),
        (TypeChar::Float, 4) => (Dtype::F32, all(file, |v: f32| v.into())),
        (TypeChar::Float, 2) => (Dtype::F16, all(file, f16::to_f64)),
        (TypeChar::Uint, 2) => (Dtype::Bf16, all(file, |v: u16| bf16::from_bits(v).to_f64())),
        (TypeChar::RawData, 2) => (
            Dtype::Bf16,
            all(file, |v: Vec<u8>| {
                bf16::from_le_bytes([v[0], v[1]]).to_f64()
            }),
        ),
        (TypeChar::UnicodeStr, _) => return text(file.into_vec::<String>()),
        (TypeChar::Int, 8) => return text(file.into_vec::<i64>()),
        (TypeChar::Int, 4) => return text(file.into_vec::<i32>()),
        _ => return Ok(Entry::Other(scalar.to_string())),
    };
    let stored = stored.map_err(whole)?;
    let values = if fortran {
        row_major(&stored, &shape)
    } else {
        stored
    };
    Ok(Entry::Array(Array {
        shape,
        dtype,
        values,
    }))
}

fn all<T: Deserialize>(
    file: NpyFile<&[u8]>,
    number: impl Fn(T) -> f64,
) -> std::io::Result<Vec<f64>> {
    Ok(file.into_vec::<T>()?.into_iter().map(number).collect())
}

fn text<T: ToString>(values: std::io::Result<Vec<T>>) -> Result<Entry, String> {
    match values.map_err(|why| why.to_string())?.as_slice() {
        [one] => Ok(Entry::Text(one.to_string())),
        several => Ok(Entry::Other(format!(
            "{} whole numbers or texts",
            several.len()
        ))),
    }
}

/// Numbers that were stored with the first axis running fastest, with the last doing so.
fn row_major(stored: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut values = Vec::with_capacity(stored.len());
    for _ in 0..stored.len() {
        let place = index
            .iter()
            .zip(shape)
            .rev()
            .fold(0, |at, (i, d)| at * d + i);
        values.push(stored[place]);
        for (i, d) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *d {
                break;
            }
            *i = 0;
        }
    }
    values
}

/// Each array as a `.npy` file, and each fact as one of a text.
pub(super) fn each(contents: &Contents) -> Vec<(String, Vec<u8>)> {
    let arrays = contents
        .entries
        .iter()
        .filter_map(|(name, entry)| match entry {
            Entry::Array(array) => Some((name.clone(), of_array(array))),
            Entry::Text(_) | Entry::Other(_) => None,
        });
    let facts = contents.facts.iter();
    arrays
        .chain(facts.map(|(name, fact)| (name.clone(), of_text(fact))))
        .collect()
}

fn of_array(array: &Array) -> Vec<u8> {
    let values = array.values.iter();
    match array.dtype {
        Dtype::F64 => written("<f8", &array.shape, values.copied()),
        // numpy has no bf16: every one of its numbers is one of f32.
        Dtype::F32 | Dtype::Bf16 => written("<f4", &array.shape, values.map(|v| *v as f32)),
        Dtype::F16 => written("<f2", &array.shape, values.map(|v| f16::from_f64(*v))),
    }
}

fn of_text(text: &str) -> Vec<u8> {
    let length = text.chars().count().max(1);
    written(&format!("<U{length}"), &[], [text.to_owned()].into_iter())
}

fn written<T: npyz::Serialize>(
    descr: &str,
    shape: &[usize],
    values: impl Iterator<Item = T>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let shape: Vec<u64> = shape.iter().map(|d| *d as u64).collect();
    let dtype = DType::new_scalar(descr.parse().expect("a type of numpy"));
    let writer = WriteOptions::new().dtype(dtype).shape(&shape);
    let writer = writer.writer(&mut bytes).begin_nd();
    let mut writer = writer.expect("memory can be written");
    writer.extend(values).expect("the type fits");
    writer.finish().expect("as many as the shape says");
    bytes
}

/// The archive, not compressed, as `np.savez` writes it.
pub(super) fn write_archive(contents: &Contents) -> Result<Vec<u8>, String> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in each(contents) {
        archive
            .start_file(file_name_from_array_name(&name), options)
            .map_err(|why| why.to_string())?;
        archive.write_all(&bytes).map_err(|why| why.to_string())?;
    }
    let finished = archive.finish().map_err(|why| why.to_string())?;
    Ok(finished.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_wrote_with_the_first_axis_fastest_is_turned() {
        // [[0, 1, 2], [3, 4, 5]] of shape [2, 3].
        assert_eq!(
            row_major(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0], &[2, 3]),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(row_major(&[7.0], &[]), [7.0]);
        let mut bytes = Vec::new();
        let writer = WriteOptions::<f32>::new()
            .default_dtype()
            .order(Order::Fortran);
        let mut writer = writer.shape(&[2, 3]).writer(&mut bytes).begin_nd().unwrap();
        writer.extend([0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).unwrap();
        writer.finish().unwrap();
        let Entry::Array(array) = read(&bytes).unwrap() else {
            panic!("an array")
        };
        assert_eq!(array.values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn words_of_sixteen_bits_are_bf16() {
        let bits = bf16::from_f64(-2.5).to_bits();
        let entry = read(&written("<u2", &[1], [bits].into_iter())).unwrap();
        let expected = Array {
            shape: vec![1],
            dtype: Dtype::Bf16,
            values: vec![-2.5],
        };
        assert_eq!(entry, Entry::Array(expected.clone()));
        let raw = written(
            "|V2",
            &[1],
            [bits.to_le_bytes().to_vec()].into_iter().map(Raw),
        );
        assert_eq!(read(&raw).unwrap(), Entry::Array(expected));
    }

    /// npyz writes slices of bytes as raw data, but not vectors of them.
    struct Raw(Vec<u8>);

    impl npyz::Serialize for Raw {
        type TypeWriter = RawWriter;

        fn writer(dtype: &DType) -> Result<RawWriter, npyz::DTypeError> {
            <[u8] as npyz::Serialize>::writer(dtype).map(RawWriter)
        }
    }

    struct RawWriter(<[u8] as npyz::Serialize>::TypeWriter);

    impl npyz::TypeWrite for RawWriter {
        type Value = Raw;

        fn write_one<W: Write>(&self, writer: W, value: &Raw) -> std::io::Result<()> {
            self.0.write_one(writer, &value.0)
        }
    }

    #[test]
    fn one_text_or_whole_number_is_kept_and_other_types_are_named() {
        let one = |text: &str| Entry::Text(text.to_owned());
        assert_eq!(read(&of_text("layer")).unwrap(), one("layer"));
        let whole = written("<i8", &[], [4_i64].into_iter());
        assert_eq!(read(&whole).unwrap(), one("4"));
        let several = read(&written("<i8", &[2], [4_i64, 5].into_iter())).unwrap();
        assert!(matches!(several, Entry::Other(_)), "{several:?}");
        let flags = read(&written("|b1", &[1], [true].into_iter())).unwrap();
        assert_eq!(flags, Entry::Other("|b1".to_owned()));
    }
}
