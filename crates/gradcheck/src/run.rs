//! One run of a check: both sides are evaluated, and handed over for comparison.

use crate::check::Check;
use crate::claim::{Claim, Rounding};
use crate::input::{Input, index_of};
use crate::noise;
use crate::numeric::{EPS, EdgeOfDomain, Estimate, Sample, Target, derivative_along};
use crate::report::{Fault, Report};
use crate::vacuous::Vacuous;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

// ANCHOR: run
type Forward<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;
type Backward<'a> = &'a dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>;

/// The state of a run: the forward side at the point where gradients are checked.
pub(crate) struct Run<'a> {
    pub check: &'a Check,
    f: Forward<'a>,
    inputs: Vec<Vec<f64>>,
    pub scales: Vec<f64>,
    y: Vec<f64>,
    pub dy: Vec<f64>,
    pub noise: Vec<f64>,
    pub report: Report,
}
// ANCHOR_END: run

impl<'a> Run<'a> {
    // ANCHOR: new
    /// Evaluates the forward side: output, upstream gradient, noise.
    #[track_caller]
    pub fn new(check: &'a Check, f: Forward<'a>) -> Self {
        let inputs: Vec<Vec<f64>> = check.inputs.iter().map(|i| i.data.clone()).collect();
        let y = f(&inputs);
        let dy = match &check.dy {
            Some(dy) => dy.clone(),
            None => normal(y.len(), check.seed),
        };
        assert!(
            dy.len() == y.len(),
            "gradcheck: `{}` has {} outputs but the upstream gradient has {} elements; \
             they must be equally many",
            check.name,
            y.len(),
            dy.len()
        );
        let scales = check.inputs.iter().map(Input::scale).collect();
        let report = Report::new(check);
        let mut run = Self {
            check,
            f,
            inputs,
            scales,
            y,
            dy,
            noise: Vec::new(),
            report,
        };
        run.inspect();
        if run.may_go_on() {
            run.noise = noise::measure(f, &run.inputs, &run.scales, EPS, 16, check.seed);
        }
        run
    }
    // ANCHOR_END: new

    // ANCHOR: inspect
    /// Looks for reasons not to compare anything.
    fn inspect(&mut self) {
        let (check, y, dy) = (self.check, &self.y, &self.dy);
        let report = &mut self.report;
        for input in &check.inputs {
            report
                .faults
                .extend(not_finite("input", &input.name, &input.data, &input.shape));
        }
        let shape = check.output_shape.clone().unwrap_or_else(|| vec![y.len()]);
        if tape::try_elements(&shape) != Some(y.len()) {
            let (name, got) = ("output".into(), vec![y.len()]);
            report.faults.push(Fault::Shape {
                name,
                expected: shape,
                got,
            });
        } else {
            report.faults.extend(not_finite("output", "y", y, &shape));
            report
                .faults
                .extend(not_finite("upstream gradient", "dy", dy, &shape));
        }
        let again = (self.f)(&self.inputs);
        if !same_bits(std::slice::from_ref(y), &[again]) {
            report
                .faults
                .push(Fault::NotDeterministic { what: "f".into() });
        }
        if y.is_empty() || check.inputs.iter().all(|i| i.data.is_empty()) {
            report.refused.push(Vacuous::Empty);
        } else if dy.iter().all(|&d| d == 0.0) {
            report.refused.push(Vacuous::UpstreamZero);
        }
        report.refused.extend(check.vacuous_normalization(dy));
    }

    fn may_go_on(&self) -> bool {
        self.report.faults.is_empty() && self.report.refused.is_empty()
    }
    // ANCHOR_END: inspect

    // ANCHOR: backward
    /// Compares with what `backward` returns.
    pub fn against_backward(mut self, backward: Backward<'_>) -> Report {
        if !self.may_go_on() {
            return self.report;
        }
        let gradients = backward(&self.inputs, &self.dy);
        if !same_bits(&gradients, &backward(&self.inputs, &self.dy)) {
            self.report.faults.push(Fault::NotDeterministic {
                what: "backward".into(),
            });
            return self.report;
        }
        if gradients.len() != self.inputs.len() {
            let (inputs, gradients) = (self.inputs.len(), gradients.len());
            self.report.faults.push(Fault::Count { inputs, gradients });
            return self.report;
        }
        let usable: Vec<bool> = gradients
            .iter()
            .zip(&self.inputs)
            .map(|(g, x)| g.len() == x.len() && g.iter().all(|g| g.is_finite()))
            .collect();
        let mut noise = self.backward_noise(backward, &usable).into_iter();
        for (i, gradient) in gradients.into_iter().enumerate() {
            let shape = match gradient.len() == self.inputs[i].len() {
                true => self.check.inputs[i].shape.clone(),
                false => vec![gradient.len()],
            };
            let count = if usable[i] { gradient.len() } else { 0 };
            let rounding = Rounding::Measured(noise.by_ref().take(count).collect());
            let eps = self.check.eps;
            self.compare(
                i,
                &shape,
                Claim {
                    gradient,
                    rounding,
                    eps,
                },
            );
        }
        self.report
    }

    /// The rounding of the analytic side, measured like that of the forward side: one
    /// deviation for each element of the usable gradients.
    fn backward_noise(&self, backward: Backward<'_>, usable: &[bool]) -> Vec<f64> {
        let flat = |inputs: &[Vec<f64>]| {
            let all = backward(inputs, &self.dy).into_iter().zip(usable);
            all.filter(|(_, usable)| **usable)
                .flat_map(|(g, _)| g)
                .collect()
        };
        let (eps, seed) = (self.check.eps, self.check.seed);
        noise::measure(&flat, &self.inputs, &self.scales, eps, 32, seed)
    }
    // ANCHOR_END: backward

    // ANCHOR: values
    /// Compares with gradients computed beforehand.
    pub fn against_values(mut self, gradients: &[Input]) -> Report {
        if !self.may_go_on() {
            return self.report;
        }
        // The backward is taken to lose as many digits as the forward was seen to lose.
        let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
        let lost = (square(&self.noise) / square(&self.y)).sqrt() / (0.5 * EPS);
        let share = self.check.eps * if lost.is_finite() { lost.max(1.0) } else { 1.0 };
        for i in 0..self.inputs.len() {
            let input = self.check.inputs[i].name.clone();
            match gradients.iter().find(|g| g.name == input) {
                None => self.report.faults.push(Fault::Missing { input }),
                Some(g) => {
                    let (gradient, rounding) = (g.data.clone(), Rounding::Share(share));
                    self.compare(
                        i,
                        &g.shape,
                        Claim {
                            gradient,
                            rounding,
                            eps: self.check.eps,
                        },
                    );
                }
            }
        }
        self.report
    }
    // ANCHOR_END: values

    // ANCHOR: lines
    /// The numerical derivative by one element of input `i`.
    pub fn element(&self, i: usize, element: usize) -> Result<Estimate, EdgeOfDomain> {
        let mut moved = self.inputs.clone();
        let x = moved[i][element];
        let mut line = |t: f64| {
            moved[i][element] = x + t;
            let travelled = moved[i][element] - x;
            Sample {
                t: travelled,
                y: (self.f)(&moved),
            }
        };
        derivative_along(&mut line, self.target(), self.scales[i])
    }

    /// The numerical derivative along a direction, given by its non-zero components.
    pub fn along(&self, i: usize, v: &[(usize, f64)]) -> Result<Estimate, EdgeOfDomain> {
        let mut moved = self.inputs.clone();
        let mut line = |t: f64| {
            for &(j, v) in v {
                moved[i][j] = self.inputs[i][j] + t * v;
            }
            Sample {
                t,
                y: (self.f)(&moved),
            }
        };
        derivative_along(&mut line, self.target(), self.scales[i])
    }

    fn target(&self) -> Target<'_> {
        Target {
            y: &self.y,
            dy: &self.dy,
            noise: &self.noise,
        }
    }
    // ANCHOR_END: lines
}

// ANCHOR: helpers
/// Independent draws from the standard normal distribution.
pub(crate) fn normal(count: usize, seed: u64) -> Vec<f64> {
    let rng = StdRng::seed_from_u64(seed);
    StandardNormal.sample_iter(rng).take(count).collect()
}

fn same_bits(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
    let bits = |v: &[Vec<f64>]| -> Vec<Vec<u64>> {
        v.iter()
            .map(|v| v.iter().map(|x| x.to_bits()).collect())
            .collect()
    };
    bits(a) == bits(b)
}

/// The first NaN or infinity, with its index tuple and how many there are.
pub(crate) fn not_finite(what: &str, name: &str, data: &[f64], shape: &[usize]) -> Option<Fault> {
    let first = data.iter().position(|v| !v.is_finite())?;
    Some(Fault::NotFinite {
        what: what.to_string(),
        name: name.to_string(),
        index: index_of(first, shape),
        value: data[first].to_string(),
        count: data.iter().filter(|v| !v.is_finite()).count(),
    })
}
// ANCHOR_END: helpers

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound on `dx` of `x²` when `f` loses the digits of a number near `lost`.
    fn allowance(lost: f64) -> f64 {
        let x = [1.0, 2.0, 3.0];
        let f = |v: &[Vec<f64>]| v[0].iter().map(|x| (x * x + lost) - lost).collect();
        let dy = [1.0, -2.0, 0.5];
        let dx: Vec<f64> = x.iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect();
        let check = Check::new("square").input("x", &[3], x).upstream(dy);
        let report = check.run_against(f, &[Input::new("x", &[3], dx.clone())]);
        report.assert_passes();
        let found = &report.inputs[0];
        // What the numerical side leaves of the bound, as a share of the gradient.
        (found.bound[1] - 4.0 * found.error[1]) / (8.0 * dx[1].abs())
    }

    #[test]
    fn a_gradient_computed_beforehand_may_lose_what_the_forward_loses() {
        let clean = allowance(0.0);
        assert!((0.9 * EPS..8.0 * EPS).contains(&clean), "{clean:e}");
        // Numbers near 2^20 are 2^-32 apart: a deviation of 6.7e-11, and y is about 5.
        let lossy = allowance((1 << 20) as f64);
        assert!((5e-12..1e-10).contains(&lossy), "{lossy:e}");
    }
}
