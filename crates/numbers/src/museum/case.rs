//! What the exhibits share: the input of a kernel, the values that are normalized together, and
//! the comparison that a test makes.

use gradcheck::attribution::norm::{Given, Norm, Probe};

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Element by element.
pub fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// `x_hat` and `rstd` of values that are normalized together.
pub fn normalize(x: &[f64], eps: f64) -> (Vec<f64>, f64) {
    let mu = mean(x);
    let z: Vec<f64> = x.iter().map(|x| x - mu).collect();
    let rstd = 1.0 / (mean(&times(&z, &z)) + eps).sqrt();
    (z.iter().map(|z| z * rstd).collect(), rstd)
}

/// What a kernel for one row makes of every row: of `x`, `gamma` and `dy`.
pub fn by_row(probe: &Probe, row: impl Fn(&[f64], &[f64], &[f64]) -> Vec<f64>) -> Vec<f64> {
    let d = probe.gamma.len();
    let rows = probe.x.chunks(d).zip(probe.dy.chunks(d));
    rows.flat_map(|(x, dy)| row(x, &probe.gamma, dy)).collect()
}

/// What a kernel for one channel makes of every channel: of `x`, its number and `dy`.
pub fn by_channel(probe: &Probe, channel: impl Fn(&[f64], usize, &[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut all = vec![0.0; probe.x.len()];
    for c in 0..probe.gamma.len() {
        let places: Vec<usize> = (0..all.len())
            .filter(|k| probe.groups.of[*k] == c)
            .collect();
        let pick = |values: &[f64]| places.iter().map(|k| values[*k]).collect::<Vec<f64>>();
        let found = channel(&pick(&probe.x), c, &pick(&probe.dy));
        for (place, value) in places.iter().zip(found) {
            all[*place] = value;
        }
    }
    all
}

/// An input with these values; each array is as long as the shape asks for.
#[track_caller]
pub fn given(norm: Norm, shape: &[usize], eps: f64, given: Given) -> Probe {
    Probe::given(norm, shape, eps, given).unwrap_or_else(|why| panic!("an exhibit's test: {why}"))
}

/// What `allclose` takes.
#[derive(Clone, Copy, Debug)]
pub struct Close {
    pub rtol: f64,
    pub atol: f64,
}

/// What a test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The largest error of an element.
    pub error: f64,
    /// The largest element of what is right.
    pub size: f64,
    pub passes: bool,
}

impl Close {
    /// `allclose`: every element is nearer than `atol + rtol * |right|`.
    pub fn compare(self, found: &[f64], right: &[f64]) -> Trial {
        let error = |(found, right): (&f64, &f64)| (found - right).abs();
        let near = |(found, right): (&f64, &f64)| {
            error((found, right)) <= self.atol + self.rtol * right.abs()
        };
        let pairs = || found.iter().zip(right);
        Trial {
            error: pairs().map(error).fold(0.0, f64::max),
            size: right.iter().fold(0.0, |most: f64, r| most.max(r.abs())),
            passes: found.len() == right.len() && pairs().all(near),
        }
    }
}
