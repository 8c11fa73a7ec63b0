//! Sequences of different lengths in one batch: padded, packed, masked.
//!
//! *Padded*, a batch is a rectangle `[B, T, ..]`: T is the longest length, and what is
//! beyond the end of a shorter sequence means nothing. A *mask* `[B, T]` says which
//! positions count. *Packed*, a batch holds only positions that count, as rows
//! `[M, ..]`, sequence after sequence; M is the sum of the lengths.
//!
//! A layer that treats every position by itself, such as a linear layer or a Layer Norm,
//! gives the same on either. Batch Norm does not: on the rectangle its statistics would
//! be those of the padding too. On packed rows they are those of the positions that
//! count, and no position that means nothing is computed.

use tape::{Real, Tensor, Var, elements};

/// The lengths of the sequences of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lengths {
    lengths: Vec<usize>,
    steps: usize,
}

impl Lengths {
    /// Sequences of the given lengths; the longest is the T of a padded batch.
    ///
    /// # Panics
    /// If there is no sequence, or an empty one, or no memory could hold the padded batch.
    #[track_caller]
    pub fn new(lengths: &[usize]) -> Self {
        assert!(
            lengths.iter().min().is_some_and(|&least| least > 0),
            "lengths: every sequence of a batch needs at least one step, got {lengths:?}"
        );
        let steps = *lengths.iter().max().expect("there is one");
        // No sum or product of lengths is larger than this one.
        elements(&[lengths.len(), steps]);
        Lengths {
            lengths: lengths.to_vec(),
            steps,
        }
    }

    /// `batch` sequences of `steps` steps each.
    ///
    /// # Panics
    /// If either count is 0.
    #[track_caller]
    pub fn full(batch: usize, steps: usize) -> Self {
        Lengths::new(&vec![steps; batch])
    }

    /// B, how many sequences there are.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// T, the longest length.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// M, the sum of the lengths.
    pub fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// The length of each sequence.
    pub fn each(&self) -> &[usize] {
        &self.lengths
    }

    /// Whether all lengths are equal, so that padded and packed are the same numbers.
    pub fn is_full(&self) -> bool {
        self.lengths.iter().all(|&length| length == self.steps)
    }

    /// `[B, T]`: 1 where a position counts, 0 where it is padding.
    pub fn mask<T: Real>(&self) -> Tensor<T> {
        Tensor::from_fn([self.batch(), self.steps], |i| {
            let counts = i % self.steps < self.lengths[i / self.steps];
            if counts { T::ONE } else { T::ZERO }
        })
    }

    /// Where the positions that count lie in the rectangle: `b · T + t`, in order.
    fn places(&self) -> Vec<usize> {
        let rows = self.lengths.iter().enumerate();
        rows.flat_map(|(b, &length)| (0..length).map(move |t| b * self.steps + t))
            .collect()
    }

    /// Padded `[B, T, ..]` to packed `[M, ..]`.
    ///
    /// # Panics
    /// If the shape does not begin with these B and T.
    #[track_caller]
    pub fn pack<'t, T: Real>(&self, padded: &Var<'t, T>) -> Var<'t, T> {
        let shape = padded.shape();
        assert!(
            shape.len() >= 2 && shape[..2] == [self.batch(), self.steps],
            "pack: x of shape {shape} does not go with {} sequences of at most {} steps: \
             [{}, {}, ..] is needed",
            self.batch(),
            self.steps,
            self.batch(),
            self.steps
        );
        let mut rows = shape[1..].to_vec();
        rows[0] = self.batch() * self.steps;
        let flat = padded.reshape(&rows[..]);
        if self.is_full() {
            return flat;
        }
        flat.index_select(0, &self.places())
    }

    /// Packed `[M, ..]` to padded `[B, T, ..]`, with zeros at the padding.
    ///
    /// # Panics
    /// If there are not M rows.
    #[track_caller]
    pub fn unpack<'t, T: Real>(&self, packed: &Var<'t, T>) -> Var<'t, T> {
        let shape = packed.shape();
        assert!(
            !shape.is_empty() && shape[0] == self.rows(),
            "unpack: x of shape {shape} does not go with sequences of lengths {:?}, which \
             together have {} steps",
            self.lengths,
            self.rows()
        );
        let mut padded = vec![self.batch(), self.steps];
        padded.extend(&shape[1..]);
        if self.is_full() {
            return packed.reshape(&padded[..]);
        }
        let mut zero = shape.to_vec();
        zero[0] = 1;
        let zero = packed.tape().constant(Tensor::zeros(&zero[..]));
        let mut from = vec![self.rows(); self.batch() * self.steps];
        for (row, place) in self.places().into_iter().enumerate() {
            from[place] = row;
        }
        let rows = Var::concat(&[packed, &zero], 0).index_select(0, &from);
        rows.reshape(&padded[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_op, normal};
    use batchnorm::BatchNorm;
    use tape::Tape;

    #[test]
    fn the_mask_counts_the_rows() {
        let lengths = Lengths::new(&[2, 3, 1]);
        assert_eq!(
            (lengths.batch(), lengths.steps(), lengths.rows()),
            (3, 3, 6)
        );
        let mask = vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(lengths.mask::<f32>(), Tensor::new([3, 3], mask));
        assert!(!lengths.is_full() && Lengths::full(2, 3).is_full());
    }

    #[test]
    fn packing_leaves_out_the_padding_and_unpacking_puts_zeros_there() {
        let lengths = Lengths::new(&[1, 3]);
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([2, 3, 2], |i| 1.0 + i as f64));
            let packed = lengths.pack(&x);
            let expected = vec![1.0, 2.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
            assert_eq!(packed.value(), &Tensor::new([4, 2], expected));
            let mask = lengths.mask::<f64>().reshape([2, 3, 1]);
            let masked = &x * &t.constant(mask);
            assert_eq!(lengths.unpack(&packed).value(), masked.value());
            let full = Lengths::full(2, 3);
            assert_eq!(full.unpack(&full.pack(&x)).value(), x.value());
        });
    }

    #[test]
    fn gradient() {
        let x = normal([2, 3, 2], 1);
        check_op("pack", std::slice::from_ref(&x), |x| {
            Lengths::new(&[1, 3]).pack(&x[0])
        })
        .assert_passes();
        check_op("full", &[x], |x| Lengths::full(2, 3).pack(&x[0])).assert_passes();
        check_op("unpack", &[normal([4, 2], 1)], |x| {
            Lengths::new(&[3, 1]).unpack(&x[0])
        })
        .assert_passes();
    }

    /// Batch Norm on packed rows against its formula, written out over the positions that
    /// the mask counts.
    #[test]
    fn statistics_are_those_of_the_positions_that_count() {
        let lengths = Lengths::new(&[4, 1, 2]);
        let mask = lengths.mask::<f64>().to_vec();
        let run = |padding: f64| {
            let mut x = normal([3, 4, 2], 1);
            for (i, x) in x.data_mut().iter_mut().enumerate() {
                if mask[i / 2] == 0.0 {
                    *x = padding;
                }
            }
            let mut norm = BatchNorm::new(2);
            let y = Tape::eval(|t| {
                let rows = lengths.pack(&t.constant(x.clone()));
                lengths.unpack(&norm.train(&rows)).value().clone()
            });
            (x, y, norm.running().mean.clone())
        };
        let (x, y, running) = run(0.0);
        let count: f64 = mask.iter().sum();
        for c in 0..2 {
            let values = || x.data().iter().skip(c).step_by(2).zip(&mask);
            let mean = values().map(|(x, m)| m * x).sum::<f64>() / count;
            let var = values().map(|(x, m)| m * (x - mean).powi(2)).sum::<f64>() / count;
            for (i, (x, m)) in values().enumerate() {
                let expected = m * (x - mean) / (var + 1e-5).sqrt();
                assert!((y.data()[2 * i + c] - expected).abs() < 1e-12);
            }
            assert!((running.data()[c] - 0.1 * mean).abs() < 1e-12);
        }
        // Whatever stands in the padding, nothing of it gets in: not even a NaN.
        assert_eq!((&y, &running), (&run(1e9).1, &run(f64::NAN).2));
    }

    #[test]
    #[should_panic(expected = "x of shape [2, 4, 5] does not go with 2 sequences of at most 3")]
    fn the_rectangle_must_fit() {
        Tape::eval(|t| drop(Lengths::new(&[1, 3]).pack(&t.constant(normal([2, 4, 5], 1)))));
    }

    #[test]
    #[should_panic(expected = "x of shape [5, 2] does not go with sequences of lengths [1, 3]")]
    fn the_rows_must_fit() {
        Tape::eval(|t| drop(Lengths::new(&[1, 3]).unpack(&t.constant(normal([5, 2], 1)))));
    }

    #[test]
    #[should_panic(expected = "every sequence of a batch needs at least one step, got [2, 0]")]
    fn an_empty_sequence_is_refused() {
        Lengths::new(&[2, 0]);
    }
}
