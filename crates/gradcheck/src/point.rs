//! The forward side of a check, at the point where gradients are checked: output, upstream
//! gradient, scales, noise, and derivatives along lines.

use crate::check::Check;
use crate::input::{Input, index_of};
use crate::noise::{self, Positions};
use crate::numeric::{EdgeOfDomain, Estimate, derivative_along};
use crate::report::{Fault, Mode, Report};
use crate::scale::{self, Reach};
use crate::secant::{EPS, Sample, Target};
use crate::vacuous::Vacuous;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use std::cell::Cell;

type Forward<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;

/// The forward side at the point where gradients are checked, and the report so far.
pub(crate) struct Point<'a> {
    pub check: &'a Check,
    f: Forward<'a>,
    pub inputs: Vec<Vec<f64>>,
    /// For each element of each input, between which steps its derivative is to be found.
    pub reaches: Vec<Vec<Reach>>,
    pub y: Vec<f64>,
    pub dy: Vec<f64>,
    pub noise: Vec<f64>,
    pub report: Report,
    /// How often `f` was called.
    pub calls: Cell<usize>,
    /// What returned another number of elements than at first, and how many of how many.
    pub odd_length: Cell<Option<(&'static str, usize, usize)>>,
}

impl<'a> Point<'a> {
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
            report: Report::new(check.name.clone(), check.mode, check.seed),
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
    pub fn measure(
        &self,
        f: &dyn Fn(&[Vec<f64>]) -> Vec<f64>,
        points: usize,
        eps: f64,
    ) -> Vec<f64> {
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
    pub fn evaluate(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        self.calls.set(self.calls.get() + 1);
        self.as_long("f", self.y.len(), (self.f)(inputs))
    }

    pub fn as_long(&self, what: &'static str, expected: usize, mut values: Vec<f64>) -> Vec<f64> {
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

    pub fn may_go_on(&self) -> bool {
        let sound = self.report.faults.is_empty() && self.report.refused.is_empty();
        sound && self.odd_length.get().is_none()
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

pub(crate) fn same_bits(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
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
