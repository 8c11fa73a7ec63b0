//! Random functions with a hand-written backward, to check the checker with.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// One layer acting on a vector.
#[derive(Clone, Debug)]
pub enum Layer {
    Affine { w: Vec<f64>, rows: usize },
    Scale(f64),
    Shift(f64),
    Tanh,
    Exp,
    Square,
    Root,
    Log,
    Relu,
    MaxOfPairs,
    Softmax,
    LogSumExpRest,
    Norm { eps: f64 },
    Rms { eps: f64 },
}

impl Layer {
    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        let n = x.len() as f64;
        let map = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(x)).collect();
        match self {
            Self::Affine { w, rows } => (0..*rows)
                .map(|i| {
                    x.iter()
                        .enumerate()
                        .map(|(j, x)| w[i * x_len(w, *rows) + j] * x)
                        .sum()
                })
                .collect(),
            Self::Scale(c) => map(&|x| c * x),
            Self::Shift(c) => map(&|x| c + x),
            Self::Tanh => map(&f64::tanh),
            Self::Exp => map(&|x| (0.3 * x).exp()),
            Self::Square => map(&|x| x * x),
            Self::Root => map(&|x| (1.0 + x * x).sqrt()),
            Self::Log => map(&|x| (1.0 + x * x).ln()),
            Self::Relu => map(&|x| x.max(0.0)),
            Self::MaxOfPairs => x
                .chunks(2)
                .map(|p| p.iter().copied().fold(f64::MIN, f64::max))
                .collect(),
            Self::Softmax => softmax(x),
            Self::LogSumExpRest => {
                let m = x.iter().copied().fold(f64::MIN, f64::max);
                let lse = m + x.iter().map(|x| (x - m).exp()).sum::<f64>().ln();
                map(&|x| x - lse)
            }
            Self::Norm { eps } => {
                let (mean, rstd) = moments(x, *eps);
                map(&|x| (x - mean) * rstd)
            }
            Self::Rms { eps } => {
                let r = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / n + eps).sqrt();
                map(&|x| x * r)
            }
        }
    }

    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let n = x.len() as f64;
        let map = |f: &dyn Fn(f64) -> f64| x.iter().zip(dy).map(|(&x, &dy)| dy * f(x)).collect();
        match self {
            Self::Affine { w, rows } => (0..x.len())
                .map(|j| (0..*rows).map(|i| dy[i] * w[i * x.len() + j]).sum())
                .collect(),
            Self::Scale(c) => map(&|_| *c),
            Self::Shift(_) => dy.to_vec(),
            Self::Tanh => map(&|x| 1.0 - x.tanh().powi(2)),
            Self::Exp => map(&|x| 0.3 * (0.3 * x).exp()),
            Self::Square => map(&|x| 2.0 * x),
            Self::Root => map(&|x| x / (1.0 + x * x).sqrt()),
            Self::Log => map(&|x| 2.0 * x / (1.0 + x * x)),
            Self::Relu => map(&|x| if x > 0.0 { 1.0 } else { 0.0 }),
            Self::MaxOfPairs => x
                .chunks(2)
                .zip(dy)
                .flat_map(|(p, dy)| {
                    let m = p.iter().copied().fold(f64::MIN, f64::max);
                    let first = p.iter().position(|&v| v == m).unwrap();
                    (0..p.len()).map(move |k| if k == first { *dy } else { 0.0 })
                })
                .collect(),
            Self::Softmax => {
                let p = softmax(x);
                let inner: f64 = p.iter().zip(dy).map(|(p, dy)| p * dy).sum();
                p.iter().zip(dy).map(|(p, dy)| p * (dy - inner)).collect()
            }
            Self::LogSumExpRest => {
                let p = softmax(x);
                let sum: f64 = dy.iter().sum();
                p.iter().zip(dy).map(|(p, dy)| dy - p * sum).collect()
            }
            Self::Norm { eps } => {
                let (mean, rstd) = moments(x, *eps);
                let x_hat: Vec<f64> = x.iter().map(|x| (x - mean) * rstd).collect();
                let a = dy.iter().sum::<f64>() / n;
                let b = dy.iter().zip(&x_hat).map(|(dy, x)| dy * x).sum::<f64>() / n;
                dy.iter()
                    .zip(&x_hat)
                    .map(|(dy, x)| rstd * (dy - a - x * b))
                    .collect()
            }
            Self::Rms { eps } => {
                let r = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / n + eps).sqrt();
                let b = dy.iter().zip(x).map(|(dy, x)| dy * x * r).sum::<f64>() / n;
                dy.iter()
                    .zip(x)
                    .map(|(dy, x)| r * (dy - x * r * b))
                    .collect()
            }
        }
    }
}

fn x_len(w: &[f64], rows: usize) -> usize {
    w.len() / rows
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let m = x.iter().copied().fold(f64::MIN, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - m).exp()).collect();
    let s: f64 = e.iter().sum();
    e.iter().map(|e| e / s).collect()
}

fn moments(x: &[f64], eps: f64) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, 1.0 / (var + eps).sqrt())
}

/// A chain of random layers and an input for it.
#[derive(Clone, Debug)]
pub struct Program {
    pub layers: Vec<Layer>,
    pub x: Vec<f64>,
}

fn normal(rng: &mut StdRng) -> f64 {
    StandardNormal.sample(rng)
}

impl Program {
    /// One to five layers on 3 to 9 numbers, offset by up to 1e4, output scaled.
    pub fn random(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let n = rng.random_range(3..10);
        let spread = 10f64.powf(rng.random_range(-1.5..1.5));
        let offset = if rng.random::<f64>() < 0.3 {
            10f64.powf(rng.random_range(0.0..4.0))
        } else {
            0.0
        };
        let x: Vec<f64> = (0..n).map(|_| offset + spread * normal(&mut rng)).collect();
        let mut layers = Vec::new();
        // An offset input goes through a normalization first, as it would in a network.
        let eps = 10f64.powf(rng.random_range(-12.0..0.0));
        if offset > 0.0 {
            layers.push(Layer::Norm { eps });
        }
        let mut width = n;
        for _ in 0..rng.random_range(1..6) {
            let layer = match rng.random_range(0..14) {
                0 | 1 => {
                    let rows = rng.random_range(2..8);
                    let w = (0..rows * width)
                        .map(|_| normal(&mut rng) / (width as f64).sqrt())
                        .collect();
                    width = rows;
                    Layer::Affine { w, rows }
                }
                2 => Layer::Scale(normal(&mut rng)),
                3 => Layer::Shift(normal(&mut rng)),
                4 => Layer::Tanh,
                5 => Layer::Exp,
                6 => Layer::Square,
                7 => Layer::Root,
                8 => Layer::Log,
                9 => Layer::Relu,
                10 if width > 3 => {
                    width = width.div_ceil(2);
                    Layer::MaxOfPairs
                }
                11 => Layer::Softmax,
                12 => Layer::LogSumExpRest,
                13 if width > 2 => Layer::Norm { eps },
                _ => Layer::Rms { eps },
            };
            layers.push(layer);
        }
        layers.push(Layer::Scale(10f64.powf(rng.random_range(-8.0..8.0))));
        Self { layers, x }
    }

    pub fn forward(&self, x: &[f64]) -> Vec<f64> {
        self.layers
            .iter()
            .fold(x.to_vec(), |x, layer| layer.forward(&x))
    }

    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let mut saved = vec![x.to_vec()];
        for layer in &self.layers {
            saved.push(layer.forward(&saved[saved.len() - 1]));
        }
        let layers = self.layers.iter().zip(&saved).rev();
        layers.fold(dy.to_vec(), |dy, (layer, x)| layer.backward(x, &dy))
    }
}
