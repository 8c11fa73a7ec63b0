//! A normalization as a learner writes it: forward, then backward line by line, with
//! every line open to a slip. It shares no code with the catalogue it tests.

use gradcheck::attribution::norm::{Kind, Norm, Probe};

/// How a line is written. The default is right.
#[derive(Clone, Copy, Debug)]
pub struct Slips {
    /// 0: under the root; 1: left out; 2: outside the root.
    pub eps: u8,
    /// The variance is divided by M minus this.
    pub bessel: f64,
    pub no_root: bool,
    /// The mean is subtracted at all.
    pub centred: bool,
    /// `d_x_hat = dy * gamma^p`, in the direct path, in the mean path, in the variance path.
    pub gamma: [i32; 3],
    /// Gamma multiplied in after the sum, in the mean path and in the variance path.
    pub gamma_outside: [bool; 2],
    /// The weight of each path.
    pub weight: [f64; 3],
    /// Divisors of the two means in place of M; 0 for M.
    pub divisor: [f64; 2],
    /// The power of rstd in each path: 1, 1 and 3 are right.
    pub rstd: [i32; 3],
    /// x - mu, x, or y in the two places of the variance path.
    pub off: [char; 2],
    /// `dy * x_hat` where `dy` belongs in the mean path.
    pub weighted: bool,
    pub dy_ones: bool,
    /// The whole gradient times this.
    pub whole: f64,
}

impl Default for Slips {
    fn default() -> Self {
        Self {
            eps: 0,
            bessel: 0.0,
            no_root: false,
            centred: true,
            gamma: [1; 3],
            gamma_outside: [false; 2],
            weight: [1.0; 3],
            divisor: [0.0; 2],
            rstd: [1, 1, 3],
            off: ['c', 'c'],
            weighted: false,
            dy_ones: false,
            whole: 1.0,
        }
    }
}

/// One set of indices that are normalized together.
pub type Rows = Vec<Vec<usize>>;

/// Index lists: `[N, C, L]` per channel.
pub fn channels(n: usize, c: usize, l: usize) -> Rows {
    let of = |ch| {
        (0..n)
            .flat_map(move |i| (0..l).map(move |p| (i * c + ch) * l + p))
            .collect()
    };
    (0..c).map(of).collect()
}

/// `[rows, d]` per row.
pub fn rows(rows: usize, d: usize) -> Rows {
    (0..rows).map(|r| (r * d..(r + 1) * d).collect()).collect()
}

/// `[rows, d]` per column.
pub fn columns(rows: usize, d: usize) -> Rows {
    (0..d)
        .map(|j| (0..rows).map(|r| r * d + j).collect())
        .collect()
}

/// A Group Norm probe, its groups, and the channels that a Batch Norm would take.
pub fn groups(shape: &[usize], groups: usize, eps: f64, seed: u64) -> (Probe, Rows, Rows) {
    let (n, c) = (shape[0], shape[1]);
    let l: usize = shape[2..].iter().product();
    let probe = Probe::new(Norm::Group { groups }, shape, eps, seed);
    (probe, rows(n * groups, c / groups * l), channels(n, c, l))
}

/// Mean and rstd of each element.
pub fn statistics(p: &Probe, groups: &Rows, s: &Slips) -> (Vec<f64>, Vec<f64>) {
    let (mut mean, mut rstd) = (vec![0.0; p.x.len()], vec![0.0; p.x.len()]);
    for group in groups {
        let m = group.len() as f64;
        let mu = if s.centred {
            group.iter().map(|&k| p.x[k]).sum::<f64>() / m
        } else {
            0.0
        };
        let sum: f64 = group.iter().map(|&k| (p.x[k] - mu).powi(2)).sum();
        let var = sum / (m - s.bessel);
        let r = match s.eps {
            _ if s.no_root => 1.0 / (var + p.eps),
            0 => 1.0 / (var + p.eps).sqrt(),
            1 => 1.0 / var.sqrt(),
            _ => 1.0 / (var.sqrt() + p.eps),
        };
        for &k in group {
            (mean[k], rstd[k]) = (mu, r);
        }
    }
    (mean, rstd)
}

/// dx with the statistics over `stat` and the backward's sums over `mean_over` and
/// `var_over`; `gamma_of[k]` is the gamma of element k.
pub fn dx(p: &Probe, stat: &Rows, over: [&Rows; 2], gamma_of: &[f64], s: &Slips) -> Vec<f64> {
    let (mean, rstd) = statistics(p, stat, s);
    let x_hat = |k: usize| (p.x[k] - mean[k]) * rstd[k];
    let off = |what: char, k: usize| match what {
        'c' => p.x[k] - mean[k],
        'u' => p.x[k],
        // Raw x where x_hat belongs: the rstd of x_hat is gone with it.
        'x' => p.x[k] / rstd[k],
        'y' => (gamma_of[k] * x_hat(k) + beta_of(p, k)) / rstd[k],
        '1' => 1.0 / rstd[k],
        _ => unreachable!(),
    };
    let dy = |k: usize| if s.dy_ones { 1.0 } else { p.dy[k] };
    let inside = |path: usize, k: usize| {
        let power = if path > 0 && s.gamma_outside[path - 1] {
            0
        } else {
            s.gamma[path]
        };
        dy(k) * gamma_of[k].powi(power)
    };
    let outside = |path: usize, k: usize| {
        if path > 0 && s.gamma_outside[path - 1] {
            gamma_of[k]
        } else {
            1.0
        }
    };
    let mut out: Vec<f64> = (0..p.x.len())
        .map(|k| s.weight[0] * inside(0, k) * rstd[k].powi(s.rstd[0]))
        .collect();
    for group in over[0] {
        let m = if s.divisor[0] == 0.0 {
            group.len() as f64
        } else {
            s.divisor[0]
        };
        let weight = |k: usize| if s.weighted { x_hat(k) } else { 1.0 };
        let dmu: f64 = group.iter().map(|&k| inside(1, k) * weight(k)).sum();
        for &k in group {
            out[k] -= s.weight[1] * outside(1, k) * rstd[k].powi(s.rstd[1]) * dmu / m;
        }
    }
    for group in over[1] {
        let m = if s.divisor[1] == 0.0 {
            group.len() as f64
        } else {
            s.divisor[1]
        };
        let dvar: f64 = group
            .iter()
            .map(|&k| -0.5 * inside(2, k) * off(s.off[1], k) * rstd[k])
            .sum();
        for &k in group {
            let dvar = dvar * rstd[k].powi(s.rstd[2] - 1);
            out[k] += s.weight[2] * outside(2, k) * dvar * 2.0 * off(s.off[0], k) / m;
        }
    }
    out.iter().map(|v| s.whole * v).collect()
}

/// Gamma, element by element.
pub fn gamma_of(p: &Probe) -> Vec<f64> {
    (0..p.x.len()).map(|k| p.gamma[param(p, k)]).collect()
}

fn beta_of(p: &Probe, k: usize) -> f64 {
    p.beta[param(p, k)]
}

/// The number of the gamma that scales element k.
pub fn param(p: &Probe, k: usize) -> usize {
    match p.kind {
        Kind::Batch | Kind::Group => {
            let l: usize = p.shape[2..].iter().product();
            k / l % p.shape[1]
        }
        _ => k % p.gamma.len(),
    }
}
