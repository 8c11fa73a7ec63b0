//! One run of a check: both sides are evaluated, and handed over for comparison.

use crate::check::Check;
use crate::claim::{Claim, Rounding};
use crate::input::{Input, index_of};
use crate::noise::{self, Positions};
use crate::numeric::{EdgeOfDomain, Estimate, derivative_along};
use crate::report::{Fault, Mode, Report};
use crate::scale::{self, Reach};
use crate::secant::{EPS, Sample, Target, norm};
use crate::vacuous::Vacuous;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use std::cell::Cell;

/// How often `f` is asked again at the same point where a check does not pass.
const AGAIN: usize = 16;

type Forward<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;
type Backward<'a> = &'a dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>;

/// The state of a run: the forward side at the point where gradients are checked.
pub(crate) struct Run<'a> {
    pub check: &'a Check,
    f: Forward<'a>,
    inputs: Vec<Vec<f64>>,
    /// For each element of each input, between which steps its derivative is to be found.
    pub reaches: Vec<Vec<Reach>>,
    y: Vec<f64>,
    pub dy: Vec<f64>,
    pub noise: Vec<f64>,
    pub report: Report,
    /// How often `f` was called.
    calls: Cell<usize>,
    /// What returned another number of elements than at first, and how many of how many.
    odd_length: Cell<Option<(&'static str, usize, usize)>>,
}

impl<'a> Run<'a> {
    /// Evaluates the forward side: output, upstream gradient, scales, noise.
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
        let mut run = Self {
            check,
            f,
            inputs,
            reaches: Vec::new(),
            noise: vec![0.0; y.len()],
            y,
            dy,
            report: Report::new(check),
            calls: Cell::new(1),
            odd_length: Cell::new(None),
        };
        run.inspect();
        if run.may_go_on() {
            run.reaches = run.find_reaches();
            run.noise = run.measure(&|inputs: &[Vec<f64>]| run.evaluate(inputs), 16, EPS);
        }
        run
    }

    /// Between which steps the derivative by each element is to be found. Where there are too
    /// many elements to look at each, all of an input move at once, and the shortest feature
    /// of any of them counts for all.
    fn find_reaches(&self) -> Vec<Vec<Reach>> {
        let of = |(i, input): (usize, &Input)| {
            let widest = input.scale();
            let finest = |x: &f64| scale::finest(*x, widest);
            let all = input.data.iter().enumerate();
            let find = |v: &[(usize, usize, f64)], finest: f64| {
                scale::of_line(&mut self.line(v), self.target(), widest, finest)
            };
            match self.check.mode {
                Mode::EveryElement => all
                    .map(|(element, x)| find(&[(i, element, 1.0)], finest(x)))
                    .collect(),
                Mode::Projections { .. } => {
                    let signs = normal(input.data.len(), self.check.seed);
                    let v: Vec<_> = signs
                        .iter()
                        .enumerate()
                        .map(|(element, sign)| (i, element, sign.signum()))
                        .collect();
                    let coarsest = input.data.iter().map(finest).fold(0.0, f64::max);
                    vec![find(&v, coarsest); input.data.len()]
                }
            }
        };
        self.check.inputs.iter().enumerate().map(of).collect()
    }

    /// The noise of a function of the inputs.
    fn measure(&self, f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>, points: usize, eps: f64) -> Vec<f64> {
        let scale = |reaches: &Vec<Reach>| reaches.iter().map(|reach| reach.scale).collect();
        let scales: Vec<Vec<f64>> = self.reaches.iter().map(scale).collect();
        let positions = match self.check.mode {
            Mode::EveryElement => Positions::Exact,
            Mode::Projections { .. } => Positions::Rounded,
        };
        noise::measure(
            f,
            &self.inputs,
            &scales,
            eps,
            points,
            positions,
            self.check.seed,
        )
    }

    /// What `f` returns, made as long as it was at first: what is missing is NaN.
    fn evaluate(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        self.calls.set(self.calls.get() + 1);
        self.as_long("f", self.y.len(), (self.f)(inputs))
    }

    fn as_long(&self, what: &'static str, expected: usize, mut values: Vec<f64>) -> Vec<f64> {
        if values.len() != expected {
            self.odd_length.set(Some((what, expected, values.len())));
            values.resize(expected, f64::NAN);
        }
        values
    }

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
        self.calls.set(2);
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
        let sound = self.report.faults.is_empty() && self.report.refused.is_empty();
        sound && self.odd_length.get().is_none()
    }

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

    /// The outputs along a line through the inputs, given by the components that are not zero:
    /// input, element, and how far it moves.
    pub fn line<'r>(&'r self, v: &'r [(usize, usize, f64)]) -> impl FnMut(f64) -> Sample + 'r {
        let mut moved = self.inputs.clone();
        move |t: f64| {
            let mut travelled = t;
            for &(i, element, v) in v {
                let x = self.inputs[i][element];
                moved[i][element] = x + t * v;
                if v.abs() == 1.0 {
                    travelled = (moved[i][element] - x) * v;
                }
            }
            Sample {
                t: travelled,
                y: self.evaluate(&moved),
            }
        }
    }

    /// The numerical derivative by one element of input `i`.
    pub fn element(&self, i: usize, element: usize) -> Result<Estimate, EdgeOfDomain> {
        let v = [(i, element, 1.0)];
        derivative_along(&mut self.line(&v), self.target(), self.reaches[i][element])
    }

    /// The numerical derivative along a direction, given by its non-zero components.
    pub fn along(&self, v: &[(usize, usize, f64)]) -> Result<Estimate, EdgeOfDomain> {
        let reaches = || {
            v.iter()
                .map(|&(i, element, v)| (self.reaches[i][element], v.abs()))
        };
        let scale = reaches()
            .map(|(reach, _)| reach.scale)
            .fold(f64::INFINITY, f64::min);
        let finest = reaches().map(|(reach, _)| reach.finest).fold(0.0, f64::max);
        let reach = scale::of_line(&mut self.line(v), self.target(), scale, finest);
        derivative_along(&mut self.line(v), self.target(), reach)
    }

    pub fn target(&self) -> Target<'_> {
        Target {
            y: &self.y,
            dy: &self.dy,
            noise: &self.noise,
        }
    }
}

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
