//! Handwritten digits in two sizes, and their fixed split.

use std::path::{Path, PathBuf};

use tape::{Real, Tensor};

use super::error::DataError;
use super::idx;

/// A set of handwritten digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Set {
    /// 1,797 images of 8 x 8 pixels (Alpaydin and Kaynak, UCI, 1998).
    Small,
    /// 10,000 images of 28 x 28 pixels from MNIST (LeCun, Cortes and Burges).
    Large,
}

impl Set {
    /// Pixels along each side.
    pub fn side(self) -> usize {
        match self {
            Set::Small => 8,
            Set::Large => 28,
        }
    }

    /// The value of a fully inked pixel in the file.
    fn ink(self) -> u8 {
        match self {
            Set::Small => 16,
            Set::Large => 255,
        }
    }
}

/// Images of digits and what they show.
#[derive(Clone, Debug)]
pub struct Examples<T: Real> {
    /// `[N, side · side]`, from 0 for paper to 1 for ink.
    pub images: Tensor<T>,
    /// The digit that each image shows, from 0 to 9.
    pub labels: Vec<usize>,
}

impl<T: Real> Examples<T> {
    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The examples with the given numbers, in that order.
    ///
    /// # Panics
    /// If a number is out of range.
    #[track_caller]
    pub fn pick(&self, numbers: &[usize]) -> Examples<T> {
        let width = self.images.shape()[1];
        let mut images = Tensor::scratch([numbers.len(), width]);
        let rows = images.data_mut().chunks_exact_mut(width);
        for (row, &number) in rows.zip(numbers) {
            row.copy_from_slice(&self.images.data()[number * width..][..width]);
        }
        let labels = numbers.iter().map(|&number| self.labels[number]).collect();
        Examples { images, labels }
    }
}

/// A set of digits in its three parts.
///
/// Of every six images of one digit, in the order of the file, the first goes to the test
/// part, the second to the validation part, and four to the training part. So the split
/// needs no random numbers, never changes, and holds each digit in equal shares. Settings
/// are chosen on the validation part; the test part is looked at once they are.
#[derive(Clone, Debug)]
pub struct Digits<T: Real> {
    /// For learning.
    pub train: Examples<T>,
    /// For choosing settings.
    pub validation: Examples<T>,
    /// For the result.
    pub test: Examples<T>,
}

/// The folder with the data that comes with the crate.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}

impl<T: Real> Digits<T> {
    /// The set as it comes with the crate.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn load(set: Set) -> Result<Self, DataError> {
        Self::load_from(&folder(), set)
    }

    /// The set from the files `digits-8x8.images.gz` and `digits-8x8.labels.gz`, or
    /// `digits-28x28.…`, in another folder.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn load_from(folder: &Path, set: Set) -> Result<Self, DataError> {
        let side = set.side();
        let file = |part| folder.join(format!("digits-{side}x{side}.{part}.gz"));
        let (images_at, labels_at) = (file("images"), file("labels"));
        let images = idx::read(&images_at, 3)?;
        let labels = idx::read(&labels_at, 1)?.bytes;
        if images.axes[1..] != [side, side] {
            let reason = format!("its images are not {side} x {side}, {:?}", images.axes);
            return Err(DataError::format(&images_at, reason));
        }
        if let Some(pixel) = images.bytes.iter().find(|&&p| p > set.ink()) {
            let reason = format!("a pixel is {pixel}, more than {}", set.ink());
            return Err(DataError::format(&images_at, reason));
        }
        if labels.len() != images.axes[0] {
            let reason = format!("{} labels for {} images", labels.len(), images.axes[0]);
            return Err(DataError::format(&labels_at, reason));
        }
        if let Some(label) = labels.iter().find(|&&l| l > 9) {
            let reason = format!("a label is {label}, not a digit");
            return Err(DataError::format(&labels_at, reason));
        }
        let ink = f64::from(set.ink());
        let all = Examples {
            images: Tensor::from_fn([labels.len(), side * side], |i| {
                T::from_f64(f64::from(images.bytes[i]) / ink)
            }),
            labels: labels.into_iter().map(usize::from).collect(),
        };
        let [mut test, mut validation, mut train] = [const { Vec::new() }; 3];
        let mut seen = [0; 10];
        for (number, &label) in all.labels.iter().enumerate() {
            match seen[label] % 6 {
                0 => test.push(number),
                1 => validation.push(number),
                _ => train.push(number),
            }
            seen[label] += 1;
        }
        Ok(Digits {
            train: all.pick(&train),
            validation: all.pick(&validation),
            test: all.pick(&test),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::fs::{self, File};
    use std::io::Write;

    fn parts(digits: &Digits<f32>) -> [&Examples<f32>; 3] {
        [&digits.train, &digits.validation, &digits.test]
    }

    #[test]
    fn the_sets_are_whole_and_split_in_equal_shares() {
        for (set, sizes) in [
            (Set::Small, [1191, 302, 304]),
            (Set::Large, [6661, 1669, 1670]),
        ] {
            let digits = Digits::<f32>::load(set).expect("it comes with the crate");
            assert_eq!(parts(&digits).map(Examples::len), sizes);
            for part in parts(&digits) {
                let pixels = set.side() * set.side();
                assert_eq!(**part.images.shape(), [part.len(), pixels]);
                assert!(part.images.data().iter().all(|p| (0.0..=1.0).contains(p)));
                for digit in 0..10 {
                    let count = part.labels.iter().filter(|&&l| l == digit).count();
                    let share = count as f64 / part.len() as f64;
                    assert!((0.08..0.12).contains(&share), "digit {digit}: {share}");
                }
            }
        }
    }

    #[test]
    fn no_image_is_in_two_parts() {
        for set in [Set::Small, Set::Large] {
            let digits = Digits::<f32>::load(set).expect("it comes with the crate");
            let mut seen = std::collections::HashMap::new();
            for (name, part) in ["train", "validation", "test"].iter().zip(parts(&digits)) {
                for image in part.images.data().chunks(set.side() * set.side()) {
                    let bits: Vec<u32> = image.iter().map(|p| p.to_bits()).collect();
                    let before = seen.insert(bits, name);
                    assert!(before.is_none_or(|b| b == name), "in {before:?} and {name}");
                }
            }
        }
    }

    #[test]
    fn images_belong_to_their_labels() {
        // The mean image of each digit, from the training part, classifies the test part
        // far better than chance: images and labels are in step.
        for set in [Set::Small, Set::Large] {
            let digits = Digits::<f32>::load(set).expect("it comes with the crate");
            let pixels = set.side() * set.side();
            let mut means = vec![vec![0.0_f32; pixels]; 10];
            let train = &digits.train;
            for (image, &label) in train.images.data().chunks(pixels).zip(&train.labels) {
                let count = train.labels.iter().filter(|&&l| l == label).count() as f32;
                for (mean, p) in means[label].iter_mut().zip(image) {
                    *mean += p / count;
                }
            }
            let distance = |image: &[f32], digit: usize| -> f32 {
                image
                    .iter()
                    .zip(&means[digit])
                    .map(|(p, m)| (p - m) * (p - m))
                    .sum()
            };
            let test = &digits.test;
            let right = test
                .images
                .data()
                .chunks(pixels)
                .zip(&test.labels)
                .filter(|(image, label)| {
                    let order =
                        |&a: &usize, &b: &usize| distance(image, a).total_cmp(&distance(image, b));
                    (0..10).min_by(order) == Some(**label)
                })
                .count();
            let share = right as f64 / test.len() as f64;
            assert!(share > 0.75, "{set:?}: {share}");
        }
    }

    fn write(path: &Path, axes: &[u32], bytes: &[u8]) {
        let mut packed = GzEncoder::new(File::create(path).expect("made"), Compression::fast());
        packed
            .write_all(&[0, 0, 8, axes.len() as u8])
            .expect("written");
        for axis in axes {
            packed.write_all(&axis.to_be_bytes()).expect("written");
        }
        packed
            .write_all(bytes)
            .and_then(|()| packed.try_finish())
            .expect("written");
    }

    #[test]
    fn files_that_do_not_go_together_are_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (images, labels) = (
            folder.join("digits-8x8.images.gz"),
            folder.join("digits-8x8.labels.gz"),
        );
        let refuse = |file: &Path, reason: &str| {
            let error = Digits::<f32>::load_from(folder, Set::Small).expect_err("refused");
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("{} ", file.display())),
                "{message}"
            );
            assert!(
                message.contains(reason) && !message.contains('\n'),
                "{message}"
            );
        };
        let error = Digits::<f32>::load_from(folder, Set::Small).expect_err("nothing is there");
        assert!(error.to_string().starts_with("cannot read"), "{error}");
        write(&images, &[2, 8, 8], &[16; 128]);
        write(&labels, &[2], &[0, 9]);
        assert!(Digits::<f32>::load_from(folder, Set::Small).is_ok());
        write(&labels, &[3], &[0, 9, 1]);
        refuse(&labels, "is damaged: 3 labels for 2 images");
        write(&labels, &[2], &[0, 10]);
        refuse(&labels, "is damaged: a label is 10, not a digit");
        write(&images, &[2, 8, 8], &[17; 128]);
        refuse(&images, "is damaged: a pixel is 17, more than 16");
        write(&images, &[2, 4, 16], &[16; 128]);
        refuse(&images, "is damaged: its images are not 8 x 8, [2, 4, 16]");
        fs::write(&images, b"").expect("written");
        refuse(&images, "is damaged: its gzip stream is damaged");
    }

    #[test]
    fn picked_examples_keep_image_and_label_together() {
        let all = Examples {
            images: Tensor::new([3, 2], vec![0.0_f32, 0.1, 1.0, 1.1, 2.0, 2.1]),
            labels: vec![5, 6, 7],
        };
        let picked = all.pick(&[2, 0, 2]);
        assert_eq!(picked.images.data(), [2.0, 2.1, 0.0, 0.1, 2.0, 2.1]);
        assert_eq!(picked.labels, [7, 5, 7]);
    }
}
