//! Named, shaped arrays: what a check takes in.

use std::fmt;

use serde::Serialize;

/// One input of the function under check, or one gradient handed in for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name used in the report.
    pub name: String,
    /// The shape; an empty shape is a scalar.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<f64>,
}

impl Input {
    /// A named array.
    ///
    /// # Panics
    /// When `data` does not hold as many elements as `shape` asks for, or no memory could.
    #[track_caller]
    pub fn new(name: impl Into<String>, shape: &[usize], data: impl Into<Vec<f64>>) -> Self {
        let (name, data) = (name.into(), data.into());
        let len = tape::elements(shape);
        assert!(
            data.len() == len,
            "gradcheck: input `{name}` of shape {shape:?} needs {len} elements, got {}; \
             pass the shape the data has",
            data.len()
        );
        Self {
            name,
            shape: shape.to_vec(),
            data,
        }
    }

    /// The distance over which a function of this input may be expected to change: its
    /// standard deviation; if all elements are equal their size; if all are 0, 1.
    pub(crate) fn scale(&self) -> f64 {
        let n = self.data.len().max(1) as f64;
        let mean = self.data.iter().sum::<f64>() / n;
        let square = |x: &f64| (x - mean) * (x - mean);
        let deviation = (self.data.iter().map(square).sum::<f64>() / n).sqrt();
        let usable = |s: &f64| s.is_normal() && *s > 1e-14 * mean.abs();
        [deviation, mean.abs(), 1.0]
            .into_iter()
            .find(usable)
            .unwrap_or(1.0)
    }
}

/// The index tuple of element `flat` of a row-major array.
pub(crate) fn index_of(flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&d| {
            let d = d.max(1);
            let i = rest % d;
            rest /= d;
            i
        })
        .collect();
    index.reverse();
    index
}

/// Where in an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// An element.
    Element {
        /// Its index tuple.
        index: Vec<usize>,
    },
    /// A random direction.
    Direction {
        /// Its number.
        number: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { index } => write!(out, "at {index:?}"),
            Self::Direction { number } => write!(out, "along direction {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_the_deviation_or_else_the_size_or_else_1() {
        let scale = |data: [f64; 3]| Input::new("x", &[3], data).scale();
        assert!((scale([1.0, 3.0, 5.0]) - (8.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        // The mean of three times 0.1 is rounded, which is no deviation.
        assert!((scale([0.1; 3]) - 0.1).abs() < 1e-15);
        assert_eq!(scale([-5.0; 3]), 5.0);
        // Far from 0 the deviation is not the small difference of two large squares.
        let far = scale([1e9, 1e9 + 1.0, 1e9 + 1.0]);
        assert!((far - 2.0_f64.sqrt() / 3.0).abs() < 1e-9, "{far}");
        assert_eq!(scale([0.0; 3]), 1.0);
    }
}
