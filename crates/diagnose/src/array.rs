//! Arrays, and what a file holds of them.

use crate::dtype::Dtype;
use std::collections::BTreeMap;

/// Numbers with a shape, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The type in which they were stored.
    pub dtype: Dtype,
    /// The numbers.
    pub values: Vec<f64>,
}

/// What stands under one name.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Floating-point numbers.
    Array(Array),
    /// One text, or one whole number, such as the name of a norm.
    Text(String),
    /// Anything else: the name of its type.
    Other(String),
}

/// All that a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The arrays by their names, in the order of these.
    pub entries: BTreeMap<String, Entry>,
    /// What is known beside them.
    pub facts: BTreeMap<String, String>,
}

/// The names that facts have.
pub const FACTS: [&str; 7] = [
    "norm",
    "eps",
    "normalized",
    "groups",
    "dtype",
    "seed",
    "momentum",
];
