//! A check is run: both sides are evaluated, and handed over for comparison.

use crate::check::Check;
use crate::claim::{Claim, Rounding};
use crate::input::Input;
use crate::point::{Point, same_bits};
use crate::report::{Fault, Report};
use crate::secant::{EPS, norm};

/// How often `f` is asked again at the same point where a check does not pass.
const AGAIN: usize = 16;

type Backward<'a> = &'a dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>;

impl Check {
    /// Checks `backward` against numerical derivatives of `f`.
    ///
    /// `f` maps the inputs to the flat output. `backward` maps the inputs and the
    /// upstream gradient to one gradient per input, in the same order.
    ///
    /// # Panics
    /// When a chosen upstream has another length than the output.
    #[track_caller]
    pub fn run(
        &self,
        f: impl Fn(&[Vec<f64>]) -> Vec<f64>,
        backward: impl Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>,
    ) -> Report {
        // Behind references, so that the loops are compiled here, optimized, and not in
        // the caller's crate.
        Point::new(self, &f).against_backward(&backward)
    }

    /// Checks gradients that were computed beforehand, matched to the inputs by name,
    /// shapes included. They must belong to this very upstream gradient, so one must
    /// have been chosen with [`Check::upstream`].
    ///
    /// # Panics
    /// When no upstream was chosen, or it has another length than the output.
    #[track_caller]
    pub fn run_against(&self, f: impl Fn(&[Vec<f64>]) -> Vec<f64>, gradients: &[Input]) -> Report {
        assert!(
            self.dy.is_some(),
            "gradcheck: gradients computed beforehand belong to one upstream gradient; \
             pass it with Check::upstream"
        );
        Point::new(self, &f).against_values(gradients)
    }
}

/// Checks every element of every gradient, with a random upstream gradient.
///
/// `f` maps the inputs to the flat output; `backward` maps the inputs and the upstream
/// gradient to one gradient per input. Shorthand for [`Check`].
///
/// ```
/// use gradcheck::{Input, vjp};
/// let inputs = [Input::new("a", &[2], [1.0, 2.0]), Input::new("b", &[2], [3.0, 5.0])];
/// let product = |xs: &[Vec<f64>]| vec![xs[0][0] * xs[1][0], xs[0][1] * xs[1][1]];
/// let backward = |xs: &[Vec<f64>], dy: &[f64]| {
///     let times = |x: &Vec<f64>| vec![dy[0] * x[0], dy[1] * x[1]];
///     vec![times(&xs[1]), times(&xs[0])]
/// };
/// vjp(&inputs, product, backward).assert_passes();
/// ```
#[track_caller]
pub fn vjp(
    inputs: &[Input],
    f: impl Fn(&[Vec<f64>]) -> Vec<f64>,
    backward: impl Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>,
) -> Report {
    Check::new("vjp").inputs(inputs).run(f, backward)
}

impl Point<'_> {
    /// Compares with what `backward` returns.
    pub fn against_backward(mut self, backward: Backward<'_>) -> Report {
        if !self.may_go_on() {
            return self.finish();
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
        self.finish()
    }

    /// The rounding of the analytic side, measured like that of the forward side: one
    /// deviation for each element of the usable gradients.
    fn backward_noise(&self, backward: Backward<'_>, usable: &[bool]) -> Vec<f64> {
        let lengths = usable.iter().zip(&self.inputs);
        let expected = lengths
            .map(|(usable, x)| if *usable { x.len() } else { 0 })
            .sum();
        let flat = |inputs: &[Vec<f64>]| {
            let all = backward(inputs, &self.dy).into_iter().zip(usable);
            let flat = all
                .filter(|(_, usable)| **usable)
                .flat_map(|(g, _)| g)
                .collect();
            self.as_long("backward", expected, flat)
        };
        self.measure(&flat, 32, self.check.eps)
    }

    /// Compares with gradients computed beforehand.
    pub fn against_values(mut self, gradients: &[Input]) -> Report {
        if !self.may_go_on() {
            return self.finish();
        }
        // The backward is taken to lose as many digits as the forward was seen to lose.
        let lost = norm(&self.noise) / norm(&self.y) / (0.5 * EPS);
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
        self.finish()
    }

    /// Looks at what no single element shows: ties, and an `f` that has changed meanwhile.
    fn finish(mut self) -> Report {
        let compared = !self.report.inputs.is_empty();
        if compared && self.report.faults.is_empty() {
            let ties = self.ties();
            self.report.faults.extend(ties);
        }
        // One call finds what drifts; what is random now and then may take more, and where
        // nothing is wrong it did no harm.
        let often = match (compared, self.report.passed()) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => AGAIN,
        };
        let drifts = (0..often).any(|_| {
            let again = self.evaluate(&self.inputs);
            !same_bits(std::slice::from_ref(&self.y), &[again])
        });
        let calls = self.calls.get();
        let unfit = match self.odd_length.get() {
            Some((what, expected, got)) => Some(Fault::LengthVaries {
                what: what.into(),
                expected,
                got,
            }),
            None => drifts.then_some(Fault::Drifts { calls }),
        };
        if let Some(fault) = unfit {
            // Whatever else was found is about no function.
            self.report.faults = vec![fault];
            self.report.refused.clear();
            self.report.inputs.clear();
        }
        self.report
    }
}

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
