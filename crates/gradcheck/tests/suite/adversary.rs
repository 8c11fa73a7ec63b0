//! Functions that are hard on a difference quotient: features far narrower than the numbers
//! they are features of, several scales in one input, waves a million periods from zero,
//! times in seconds since 1970.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

type Real = fn(f64) -> f64;

/// Shapes with their slopes; each changes over a distance of about 1.
const SHAPES: [(Real, Real); 8] = [
    (|u| (-u * u).exp(), |u| -2.0 * u * (-u * u).exp()),
    (f64::sin, f64::cos),
    (f64::cos, |u| -u.sin()),
    (f64::tanh, |u| u.cosh().powi(-2)),
    (|u| u, |_| 1.0),
    (
        |u| 1.0 / (1.0 + u * u),
        |u| -2.0 * u / (1.0 + u * u).powi(2),
    ),
    (|u| (1.0 + u * u).ln(), |u| 2.0 * u / (1.0 + u * u)),
    (
        |u| u * u / (1.0 + u * u),
        |u| 2.0 * u / (1.0 + u * u).powi(2),
    ),
];

const STRAIGHT: (Real, Real) = SHAPES[4];
const WAVE: (Real, Real) = SHAPES[1];

/// `tall · shape((x[of] - centre) / wide)`.
#[derive(Clone)]
struct Term {
    of: usize,
    shape: (Real, Real),
    centre: f64,
    wide: f64,
    tall: f64,
}

impl Term {
    fn at(&self, x: &[f64]) -> f64 {
        (x[self.of] - self.centre) / self.wide
    }

    fn value(&self, x: &[f64]) -> f64 {
        self.tall * self.shape.0(self.at(x))
    }

    fn slope(&self, x: &[f64]) -> f64 {
        self.tall / self.wide * self.shape.1(self.at(x))
    }
}

/// Outputs that are weighted sums of terms.
#[derive(Clone)]
pub struct Adversary {
    pub family: &'static str,
    pub x: Vec<f64>,
    /// In any number on each element.
    terms: Vec<Term>,
    /// A row for each output, with a weight for each term.
    mix: Vec<Vec<f64>>,
    /// The upstream gradient.
    pub dy: Vec<f64>,
}

pub const FAMILIES: [&str; 6] = [
    "narrow features, far away",
    "a mixture of scales",
    "times",
    "waves far from zero",
    "a feature on a slope",
    "waves in step",
];

fn normal(rng: &mut StdRng) -> f64 {
    StandardNormal.sample(rng)
}

/// A number whose logarithm to the base 10 is uniform.
fn decades(rng: &mut StdRng, low: f64, high: f64) -> f64 {
    10f64.powf(rng.random_range(low..high))
}

impl Adversary {
    pub fn random(family: usize, seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed ^ ((family as u64) << 20));
        let mut x = Vec::new();
        let mut terms = Vec::new();
        let any = |rng: &mut StdRng| SHAPES[rng.random_range(0..SHAPES.len())];
        let mut add = |of: usize, shape, centre: f64, wide: f64, tall: f64, at: f64| {
            if x.len() == of {
                x.push(centre + wide * at);
            }
            terms.push(Term {
                of,
                shape,
                centre,
                wide,
                tall,
            });
        };
        match family {
            // Each element in a feature of its own width, some at a large offset.
            0 | 1 => {
                let wide = decades(rng, -6.0, 6.0);
                for of in 0..rng.random_range(1..6) {
                    let wide = match family {
                        0 => wide * decades(rng, -0.5, 0.5),
                        _ => decades(rng, -6.0, 6.0),
                    };
                    let far = if family == 0 || rng.random_bool(0.3) {
                        normal(rng).signum() * wide * decades(rng, 0.0, 9.0)
                    } else {
                        0.0
                    };
                    let (shape, tall) = (any(rng), decades(rng, -1.0, 1.0));
                    add(of, shape, far, wide, tall, rng.random_range(-2.0..2.0));
                }
            }
            2 => {
                let of_time = rng.random_range(1..4);
                for of in 0..of_time {
                    let (shape, wide) = (any(rng), decades(rng, -1.0, 4.0));
                    add(of, shape, 1.7e9, wide, 1.0, rng.random_range(-2.0..2.0));
                    add(of, STRAIGHT, 0.0, 1e9, decades(rng, -2.0, 2.0), 0.0);
                }
                for of in of_time..rng.random_range(of_time..5) {
                    let (shape, at) = (any(rng), normal(rng));
                    add(of, shape, 0.0, decades(rng, -1.0, 1.0), 1.0, at);
                }
            }
            3 => {
                for of in 0..rng.random_range(1..5) {
                    let wide = decades(rng, -3.0, 3.0);
                    let at = normal(rng).signum() * decades(rng, 2.0, 8.0);
                    let wave = SHAPES[rng.random_range(1..3)];
                    add(of, wave, 0.0, wide, decades(rng, -1.0, 1.0), at);
                }
            }
            // The slope of the feature is that of the line, or a hundredth, or a hundredfold.
            4 => {
                for of in 0..rng.random_range(1..4) {
                    let broad = decades(rng, -3.0, 3.0);
                    add(of, STRAIGHT, 0.0, broad, 1.0, normal(rng));
                    let wide = broad * decades(rng, -8.0, -1.0);
                    let tall = wide / broad * decades(rng, -2.0, 2.0);
                    let at = broad * normal(rng);
                    add(of, any(rng), at, wide, tall, 0.0);
                    // The feature is where the element is, or there is none to be seen.
                }
                for k in (1..terms.len()).step_by(2) {
                    let of = terms[k].of;
                    terms[k].centre = x[of] - terms[k].wide * rng.random_range(-2.0..2.0);
                }
            }
            // Steps of a power of two land on the same phase of these, down to their own.
            _ => {
                for of in 0..rng.random_range(1..4) {
                    add(of, STRAIGHT, 0.0, 1.0, 1.0, normal(rng));
                    let period = 0.5f64.powi(rng.random_range(4..31));
                    let tall = period * decades(rng, -2.0, 1.0);
                    add(of, WAVE, 0.0, period / TAU, tall, 0.0);
                }
            }
        }
        let outputs = if rng.random_bool(0.5) {
            1
        } else {
            rng.random_range(1..5)
        };
        let mix = (0..outputs)
            .map(|_| {
                terms
                    .iter()
                    .map(|_| if outputs == 1 { 1.0 } else { normal(rng) })
                    .collect()
            })
            .collect();
        let dy = (0..outputs).map(|_| normal(rng)).collect();
        Self {
            family: FAMILIES[family],
            x,
            terms,
            mix,
            dy,
        }
    }

    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let values: Vec<f64> = self.terms.iter().map(|term| term.value(x)).collect();
        let sum = |row: &Vec<f64>| row.iter().zip(&values).map(|(w, v)| w * v).sum();
        self.mix.iter().map(sum).collect()
    }

    /// The gradient, without what `forgotten` terms contribute.
    pub fn backward(&self, x: &[f64], dy: &[f64], forgotten: Option<usize>) -> Vec<f64> {
        let mut dx = vec![0.0; x.len()];
        for (k, term) in self.terms.iter().enumerate() {
            if forgotten != Some(k) {
                dx[term.of] += self.upstream(k, dy) * term.slope(x);
            }
        }
        dx
    }

    fn upstream(&self, k: usize, dy: &[f64]) -> f64 {
        self.mix.iter().zip(dy).map(|(row, dy)| row[k] * dy).sum()
    }

    /// The terms without which a gradient is visibly wrong: at the best of steps, the rounding
    /// of all terms together leaves three digits of what is missing. The others are the same
    /// as none to whoever has only `f`.
    pub fn mistakes(&self) -> Vec<usize> {
        let all: f64 = (0..self.terms.len())
            .map(|k| {
                let weights = self.mix.iter().zip(&self.dy);
                let w: f64 = weights.map(|(row, dy)| (row[k] * dy).abs()).sum();
                w * self.terms[k].value(&self.x).abs()
            })
            .sum();
        let visible = |k: &usize| {
            let term = &self.terms[*k];
            let missing = (self.upstream(*k, &self.dy) * term.slope(&self.x)).abs();
            let same = self.terms.iter().filter(|other| other.of == term.of);
            let narrowest = same.map(|other| other.wide).fold(f64::INFINITY, f64::min);
            missing * narrowest > 1e3 * 8.0 * f64::EPSILON * all
        };
        (0..self.terms.len()).filter(visible).collect()
    }
}
