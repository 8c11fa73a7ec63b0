//! Arrays in files: `.safetensors`, `.npz`, `.npy`, and folders of the last.
//!
//! What is known beside the arrays, such as eps and the kind of norm, are *facts*: the metadata
//! of a safetensors file, or arrays of one element or one text in the other formats.
//!
//! numpy has no bf16. An array of 16-bit words is taken for bf16 bits: `|V2`, as `ml_dtypes`
//! saves them, and `uint16`, as `tensor.view(torch.uint16).numpy()` gives them. Where the facts
//! say `dtype = bf16`, an array of `f32` holds bf16 numbers, as `tensor.float().numpy()` does;
//! a probe is written so.

mod npy;
mod tensors;

use crate::array::{Contents, Entry, FACTS};
use crate::dtype::Dtype;
use std::fs;
use std::io::Write;
use std::path::Path;

/// How a file, or a folder, is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Safetensors,
    Npz,
    Npy,
    Folder,
}

const FORMATS: &str =
    "give a name that ends in .safetensors or .npz, or in / for a folder of .npy files";

impl Format {
    fn of(path: &Path) -> Result<Self, String> {
        let ends_in_slash = path.as_os_str().to_string_lossy().ends_with(['/', '\\']);
        if ends_in_slash || path.is_dir() {
            return Ok(Self::Folder);
        }
        match path.extension().and_then(|end| end.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npz") => Ok(Self::Npz),
            Some("npy") => Ok(Self::Npy),
            _ => Err(format!("{}: unknown format; {FORMATS}", path.display())),
        }
    }
}

/// Reads a file, or all `.npy` files of a folder.
///
/// # Errors
/// One line that names the file, when it cannot be read or is not what its name says.
pub fn read(path: &Path) -> Result<Contents, String> {
    let format = Format::of(path)?;
    let about = |why: String| format!("{}: {why}", path.display());
    let mut contents = Contents::default();
    if format == Format::Folder {
        let listed = fs::read_dir(path).map_err(|why| about(why.to_string()))?;
        for file in listed {
            let file = file.map_err(|why| about(why.to_string()))?.path();
            if file.extension().is_some_and(|end| end == "npy") {
                read_npy(&file, &mut contents)?;
            }
        }
    } else if format == Format::Npy {
        read_npy(path, &mut contents)?;
    } else {
        let bytes = fs::read(path).map_err(|why| about(why.to_string()))?;
        contents = match format {
            Format::Safetensors => tensors::read(&bytes),
            _ => npy::read_archive(&bytes),
        }
        .map_err(about)?;
    }
    contents.find_facts();
    contents.widened()
}

fn read_npy(path: &Path, contents: &mut Contents) -> Result<(), String> {
    let about = |why: String| format!("{}: {why}", path.display());
    let bytes = fs::read(path).map_err(|why| about(why.to_string()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let entry = npy::read(&bytes).map_err(about)?;
    contents.entries.insert(name.into_owned(), entry);
    Ok(())
}

impl Contents {
    /// Takes what is a fact out of the arrays.
    fn find_facts(&mut self) {
        for name in FACTS {
            let fact = match self.entries.get(name) {
                Some(Entry::Text(text)) => text.clone(),
                // Shortest in the type that it was stored in: 1e-5, not what f32 makes of it.
                Some(Entry::Array(array)) if array.values.len() == 1 => match array.dtype {
                    Dtype::F64 => array.values[0].to_string(),
                    _ => (array.values[0] as f32).to_string(),
                },
                _ => continue,
            };
            self.entries.remove(name);
            self.facts.insert(name.to_owned(), fact);
        }
        self.facts.retain(|name, _| FACTS.contains(&name.as_str()));
    }

    /// With bf16 in the place of each `f32`, where the facts say so.
    fn widened(mut self) -> Result<Self, String> {
        if self.facts.get("dtype").map(String::as_str) == Some(Dtype::Bf16.name()) {
            self.narrow_f32(Dtype::Bf16);
        }
        Ok(self)
    }

    /// Takes every `f32` array whose numbers `dtype` has for one of that type: numpy has no
    /// bf16, so they came in a wider one. What has other numbers was never rounded, and stays.
    pub fn narrow_f32(&mut self, dtype: Dtype) {
        for entry in self.entries.values_mut() {
            let Entry::Array(array) = entry else { continue };
            let has = |v: &f64| !v.is_finite() || dtype.round(*v) == *v;
            if array.dtype == Dtype::F32 && array.values.iter().all(has) {
                array.dtype = dtype;
            }
        }
    }

    /// Writes a file, or a folder of `.npy` files, in the format that the path names.
    ///
    /// # Errors
    /// One line that names the file, when it cannot be written or the format cannot hold this.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let about = |why: String| format!("{}: {why}", path.display());
        match Format::of(path)? {
            Format::Safetensors => replace(path, &tensors::write(self)),
            Format::Npz => replace(path, &npy::write_archive(self).map_err(about)?),
            Format::Npy => Err(about(format!("a .npy file holds one array; {FORMATS}"))),
            Format::Folder => {
                fs::create_dir_all(path).map_err(|why| about(why.to_string()))?;
                for (name, bytes) in npy::each(self) {
                    replace(&path.join(format!("{name}.npy")), &bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// Writes a text.
///
/// # Errors
/// One line that names the file.
pub fn write_text(path: &Path, text: &str) -> Result<(), String> {
    replace(path, text.as_bytes())
}

/// Puts `bytes` into a file that is the old one or the new one, never half of either. `nn` does so
/// for its models, and says why each of them does it by itself.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile::Builder::new();
    new.prefix(".part-");
    // A temporary file is its writer's alone; this one is to be a file like any other.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    new.tempfile_in(folder.unwrap_or(Path::new(".")))
        .and_then(|mut new| {
            new.write_all(bytes)?;
            new.persist(path).map_err(|why| why.error)
        })
        .map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use std::collections::BTreeMap;

    /// Numbers that every type has, the subnormals and the ends of f16 among them.
    fn contents(dtype: Dtype) -> Contents {
        let values = [1.0, -2.5, 0.0, 65280.0, 0.5_f64.powi(14), -0.125];
        let values = values.map(|v| dtype.round(v)).to_vec();
        let array = Array {
            shape: vec![2, 3],
            dtype,
            values,
        };
        let facts = [
            ("norm", "layer"),
            ("eps", "0.00001"),
            ("dtype", dtype.name()),
        ];
        Contents {
            entries: BTreeMap::from([("x".to_owned(), Entry::Array(array))]),
            facts: facts.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        }
    }

    #[test]
    fn every_format_gives_back_every_type() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in Dtype::ALL {
            for name in ["a.safetensors", "a.npz", "arrays/"] {
                let path = folder.path().join(name);
                let written = contents(dtype);
                written.write(&path).unwrap();
                assert_eq!(read(&path).unwrap(), written, "{dtype} in {name}");
            }
        }
        let one = read(&folder.path().join("arrays/x.npy")).unwrap();
        assert_eq!(one.entries.len(), 1);
        assert!(one.entries.contains_key("x"), "{one:?}");
    }

    #[test]
    fn f32_with_bf16_numbers_is_bf16_only_where_that_is_said() {
        let mut plain = contents(Dtype::F32);
        plain.facts.clear();
        let mut said = plain.clone();
        said.narrow_f32(Dtype::Bf16);
        assert_ne!(said, plain);
        let Some(Entry::Array(array)) = said.entries.get_mut("x") else {
            panic!("{said:?}")
        };
        assert_eq!(array.dtype, Dtype::Bf16);
        // One number that bf16 does not have.
        array.dtype = Dtype::F32;
        array.values[1] = f64::from(1.1_f32);
        let before = said.clone();
        said.narrow_f32(Dtype::Bf16);
        assert_eq!(said, before);
    }

    #[test]
    fn what_is_not_a_whole_file_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.safetensors", "a.npz", "arrays/"] {
            contents(Dtype::F32)
                .write(&folder.path().join(name))
                .unwrap();
        }
        for name in ["a.safetensors", "a.npz", "arrays/x.npy"] {
            let path = folder.path().join(name);
            let whole = fs::read(&path).unwrap();
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                let why = read(&path).unwrap_err();
                assert!(why.contains(name) && !why.contains('\n'), "{length}: {why}");
            }
        }
        for (name, reason) in [("none.npz", "No such file"), ("a.txt", "unknown format")] {
            let why = read(&folder.path().join(name)).unwrap_err();
            assert!(why.contains(reason), "{why}");
        }
        let why = contents(Dtype::F32).write(&folder.path().join("a.npy"));
        assert!(why.unwrap_err().contains("a .npy file holds one array"));
    }

    #[test]
    fn a_file_that_claims_more_than_it_holds_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9999), }";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        fs::write(&path, &bytes).unwrap();
        let why = read(&path).unwrap_err();
        assert!(why.contains("cut off"), "{why}");
    }
}
