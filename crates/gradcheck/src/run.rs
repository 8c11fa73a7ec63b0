//! One run of a check: both sides evaluated, compared, and judged.

use crate::check::Check;
use crate::input::{Input, index_of};
use crate::noise;
use crate::numeric::{EPS, EdgeOfDomain, Estimate, Sample, Target, derivative_along};
use crate::report::{Fault, InputReport, Mode, Place, Report, Worst};
use crate::vacuous::Vacuous;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// A disagreement passes up to this multiple of the estimated error of both sides.
///
/// The estimates are standard deviations and differences of neighbours, not proofs: a
/// factor of four keeps right gradients from being refused (see the tests that count).
const MULTIPLE: f64 = 4.0;
/// A bound above this share of the largest gradient proves too little.
const COARSEST: f64 = 1e-3;

type Forward<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;
type Backward<'a> = &'a dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>>;

/// What the analytic side says about one input.
struct Analytic {
    /// The gradient.
    data: Vec<f64>,
    /// The rounding noise of each element, as a standard deviation.
    noise: Noise,
}

/// How the rounding of an analytic gradient is known.
enum Noise {
    /// Measured, one standard deviation for each element.
    Measured(Vec<f64>),
    /// Taken to be this share of what the terms of an element add up to.
    Share(f64),
}

/// The state of a run.
pub(crate) struct Run<'a> {
    check: &'a Check,
    f: Forward<'a>,
    inputs: Vec<Vec<f64>>,
    scales: Vec<f64>,
    y: Vec<f64>,
    dy: Vec<f64>,
    noise: Vec<f64>,
    report: Report,
}

impl<'a> Run<'a> {
    /// Evaluates the forward side: output, upstream gradient, noise.
    #[track_caller]
    pub fn new(check: &'a Check, f: Forward<'a>) -> Self {
        let inputs: Vec<Vec<f64>> = check.inputs.iter().map(|i| i.data.clone()).collect();
        let scales: Vec<f64> = check.inputs.iter().map(Input::scale).collect();
        let y = f(&inputs);
        let again = f(&inputs);
        let dy = match &check.dy {
            Some(dy) => dy.clone(),
            None => normal(y.len(), &mut StdRng::seed_from_u64(check.seed)),
        };
        assert!(
            dy.len() == y.len(),
            "gradcheck: `{}` has {} outputs but the upstream gradient has {} elements; \
             they must be equally many",
            check.name,
            y.len(),
            dy.len()
        );
        let mut report = Report {
            name: check.name.clone(),
            mode: check.mode,
            seed: check.seed,
            refused: check.refused.clone(),
            faults: Vec::new(),
            inputs: Vec::new(),
        };
        for input in &check.inputs {
            report
                .faults
                .extend(not_finite("input", &input.name, &input.data, &input.shape));
        }
        let shape = check.output_shape.clone().unwrap_or_else(|| vec![y.len()]);
        if shape.iter().product::<usize>() != y.len() {
            let (expected, got) = (shape.clone(), vec![y.len()]);
            report.faults.push(Fault::Shape {
                name: "output".into(),
                expected,
                got,
            });
        }
        report
            .faults
            .extend(not_finite("output", "output", &y, &shape));
        report
            .faults
            .extend(not_finite("upstream gradient", "dy", &dy, &shape));
        if y.len() != again.len()
            || y.iter()
                .zip(&again)
                .any(|(a, b)| a.to_bits() != b.to_bits())
        {
            report
                .faults
                .push(Fault::NotDeterministic { what: "f".into() });
        }
        if y.is_empty() || check.inputs.iter().all(|i| i.data.is_empty()) {
            report.refused.push(Vacuous::Empty);
        } else if dy.iter().all(|&d| d == 0.0) {
            report.refused.push(Vacuous::UpstreamZero);
        }
        let noise = if report.faults.is_empty() && report.refused.is_empty() {
            noise::measure(f, &inputs, &scales, EPS, check.seed)
        } else {
            Vec::new()
        };
        Self {
            check,
            f,
            inputs,
            scales,
            y,
            dy,
            noise,
            report,
        }
    }

    /// Compares with what `backward` returns.
    pub fn against_backward(mut self, backward: Backward<'_>) -> Report {
        if self.cannot_go_on() {
            return self.report;
        }
        let gradients = backward(&self.inputs, &self.dy);
        let again = backward(&self.inputs, &self.dy);
        if !same_bits(&gradients, &again) {
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
        let lengths_agree = gradients
            .iter()
            .zip(&self.inputs)
            .all(|(g, x)| g.len() == x.len());
        let mut noise = if lengths_agree && gradients.iter().flatten().all(|g| g.is_finite()) {
            let flat = |inputs: &[Vec<f64>]| backward(inputs, &self.dy).concat();
            noise::measure(
                &flat,
                &self.inputs,
                &self.scales,
                self.check.eps,
                self.check.seed,
            )
        } else {
            Vec::new()
        };
        for (i, data) in gradients.into_iter().enumerate() {
            let rest = noise.split_off(data.len().min(noise.len()));
            let shape = if data.len() == self.inputs[i].len() {
                self.check.inputs[i].shape.clone()
            } else {
                vec![data.len()]
            };
            let noise = Noise::Measured(std::mem::replace(&mut noise, rest));
            self.compare(i, &shape, Analytic { data, noise });
        }
        self.report
    }

    /// Compares with gradients computed beforehand.
    pub fn against_values(mut self, gradients: &[Input]) -> Report {
        if self.cannot_go_on() {
            return self.report;
        }
        // The backward is taken to lose as many digits as the forward was seen to lose.
        let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
        let lost = (square(&self.noise) / square(&self.y)).sqrt() / (0.5 * EPS);
        let share = self.check.eps * if lost.is_finite() { lost.max(1.0) } else { 1.0 };
        for i in 0..self.inputs.len() {
            let name = &self.check.inputs[i].name;
            if let Some(g) = gradients.iter().find(|g| g.name == *name) {
                let data = g.data.clone();
                self.compare(
                    i,
                    &g.shape,
                    Analytic {
                        data,
                        noise: Noise::Share(share),
                    },
                );
            } else {
                self.report.faults.push(Fault::Missing {
                    input: name.clone(),
                });
            }
        }
        self.report
    }

    fn cannot_go_on(&self) -> bool {
        !(self.report.faults.is_empty() && self.report.refused.is_empty())
    }

    /// Compares the gradient of input `i`, and adds what is found to the report.
    fn compare(&mut self, i: usize, shape: &[usize], analytic: Analytic) {
        let input = &self.check.inputs[i];
        if shape != input.shape {
            self.report.faults.push(Fault::Shape {
                name: input.name.clone(),
                expected: input.shape.clone(),
                got: shape.to_vec(),
            });
            return;
        }
        let bad = not_finite("gradient", &input.name, &analytic.data, shape);
        if bad.is_some() {
            self.report.faults.extend(bad);
            return;
        }
        if input.data.is_empty() {
            return;
        }
        let mut found = InputReport::new(&input.name, shape);
        match self.check.mode {
            Mode::EveryElement => {
                for element in 0..input.data.len() {
                    let result = self.element(i, element);
                    let noise = analytic.noise.along(&[(element, 1.0)], &result);
                    found.push(element, analytic.data[element], result, noise);
                }
            }
            Mode::Projections { count } => {
                let mut rng = StdRng::seed_from_u64(self.check.seed ^ (0xd1e_c710 + i as u64));
                for k in 0..count {
                    let direction = normal(input.data.len(), &mut rng);
                    let direction: Vec<_> = direction.into_iter().enumerate().collect();
                    self.project(i, k, &direction, &analytic, &mut found);
                }
            }
        }
        self.judge(i, found);
    }

    /// The derivative by one element.
    fn element(&self, i: usize, element: usize) -> Result<Estimate, EdgeOfDomain> {
        let mut moved = self.inputs.clone();
        let x = moved[i][element];
        let mut line = |t: f64| {
            moved[i][element] = x + t;
            Sample {
                t: moved[i][element] - x,
                y: (self.f)(&moved),
            }
        };
        derivative_along(&mut line, self.target(), self.scales[i])
    }

    /// The derivative along a direction, given by its non-zero components.
    fn along(&self, i: usize, direction: &[(usize, f64)]) -> Result<Estimate, EdgeOfDomain> {
        let mut moved = self.inputs.clone();
        let mut line = |t: f64| {
            for &(j, v) in direction {
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

    /// Compares along one direction; where it disagrees, halves it down to one element.
    fn project(
        &self,
        i: usize,
        k: usize,
        direction: &[(usize, f64)],
        analytic: &Analytic,
        found: &mut InputReport,
    ) {
        let result = self.along(i, direction);
        let claimed = direction.iter().map(|&(j, v)| v * analytic.data[j]).sum();
        let noise = analytic.noise.along(direction, &result);
        found.push(k, claimed, result, noise);
        if found.margin(found.numeric.len() - 1) <= 1.0 || found.culprit.is_some() {
            return;
        }
        let mut suspects = direction.to_vec();
        while suspects.len() > 1 {
            let (left, right) = suspects.split_at(suspects.len() / 2);
            let mut halves = InputReport::new("", &[]);
            for half in [left, right] {
                let result = self.along(i, half);
                let claimed = half.iter().map(|&(j, v)| v * analytic.data[j]).sum();
                let noise = analytic.noise.along(half, &result);
                halves.push(0, claimed, result, noise);
            }
            let worse_left = halves.margin(0) >= halves.margin(1);
            suspects = if worse_left {
                left.to_vec()
            } else {
                right.to_vec()
            };
        }
        let element = suspects[0].0;
        let result = self.element(i, element);
        let mut one = InputReport::new("", &[]);
        let noise = analytic.noise.along(&[(element, 1.0)], &result);
        one.push(element, analytic.data[element], result, noise);
        if one.margin(0) > 1.0 {
            let index = index_of(element, &self.check.inputs[i].shape);
            found.culprit = Some(one.worst(0, Place::Element { index }));
        }
    }

    /// Draws the conclusions about one input.
    fn judge(&mut self, i: usize, mut found: InputReport) {
        let input = &self.check.inputs[i];
        let name = input.name.clone();
        if let Some(&at) = found.edges.first() {
            let index = match self.check.mode {
                Mode::EveryElement => index_of(at, &input.shape),
                Mode::Projections { .. } => Vec::new(),
            };
            let input = name.clone();
            self.report
                .refused
                .push(Vacuous::EdgeOfDomain { input, index });
        }
        let largest = found.numeric.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let bound = found.bound.iter().fold(0.0_f64, |m, v| m.max(*v));
        found.resolution = bound / largest;
        if !self.check.may_be_zero.contains(&name) {
            if largest <= bound {
                self.report.refused.push(Vacuous::ZeroGradient {
                    input: name.clone(),
                });
            } else if found.resolution > COARSEST {
                let relative = found.resolution;
                let input = name.clone();
                self.report
                    .refused
                    .push(Vacuous::TooCoarse { input, relative });
            }
        }
        let count = found.numeric.len();
        let worst = (0..count).max_by(|&a, &b| found.margin(a).total_cmp(&found.margin(b)));
        found.wrong = (0..count).filter(|&k| found.margin(k) > 1.0).count();
        found.worst = worst.map(|k| {
            let place = match self.check.mode {
                Mode::EveryElement => Place::Element {
                    index: index_of(k, &input.shape),
                },
                Mode::Projections { .. } => Place::Direction { number: k },
            };
            found.worst(k, place)
        });
        if found.wrong > 0 {
            self.report.faults.push(Fault::Wrong {
                input: name,
                elements: found.wrong,
            });
        }
        self.report.inputs.push(found);
    }
}

impl Noise {
    /// The rounding of `sum(v_j * gradient_j)` over a direction.
    fn along(&self, direction: &[(usize, f64)], result: &Result<Estimate, EdgeOfDomain>) -> f64 {
        match self {
            Self::Measured(each) => direction.iter().map(|&(j, v)| v.abs() * each[j]).sum(),
            Self::Share(share) => result.map_or(0.0, |e| share * e.magnitude),
        }
    }
}

impl InputReport {
    /// Adds the comparison of one element, or of one direction.
    fn push(
        &mut self,
        at: usize,
        analytic: f64,
        numeric: Result<Estimate, EdgeOfDomain>,
        noise: f64,
    ) {
        let Ok(e) = numeric else {
            self.edges.push(at);
            self.append(analytic, f64::NAN, 0.0, 0.0, 0.0);
            return;
        };
        let gap = e.kink.unwrap_or(0.0);
        if e.kink.is_some() {
            self.kinks.push(at);
        }
        let rounding = noise.max(EPS * e.magnitude);
        // At a kink any slope between left and right is as good as another.
        let disagreement = ((analytic - e.value).abs() - gap).max(0.0);
        self.append(
            analytic,
            e.value,
            e.error,
            disagreement,
            MULTIPLE * (e.error + rounding),
        );
    }

    fn append(&mut self, analytic: f64, numeric: f64, error: f64, off: f64, bound: f64) {
        self.analytic.push(analytic);
        self.numeric.push(numeric);
        self.error.push(error);
        self.disagreement.push(off);
        self.bound.push(bound);
    }

    fn worst(&self, k: usize, place: Place) -> Worst {
        Worst {
            place,
            analytic: self.analytic[k],
            numeric: self.numeric[k],
            error: self.error[k],
            disagreement: self.disagreement[k],
            bound: self.bound[k],
            margin: self.margin(k),
        }
    }
}

/// Independent draws from the standard normal distribution.
fn normal(count: usize, rng: &mut StdRng) -> Vec<f64> {
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
fn not_finite(what: &str, name: &str, data: &[f64], shape: &[usize]) -> Option<Fault> {
    let first = data.iter().position(|v| !v.is_finite())?;
    Some(Fault::NotFinite {
        what: what.to_string(),
        name: name.to_string(),
        index: index_of(first, shape),
        value: data[first].to_string(),
        count: data.iter().filter(|v| !v.is_finite()).count(),
    })
}
