//! What the analytic side claims, against what the numerical side found.

use crate::input::{Place, index_of};
use crate::numeric::{Doubt, EdgeOfDomain, Estimate};
use crate::point::{Point, normal, not_finite};
use crate::report::{Fault, InputReport, Mode, Worst};
use crate::scale::{FIRST_STEP, OUT_OF_STEP};
use crate::secant::EPS;
use crate::vacuous::Vacuous;

/// A disagreement passes up to this multiple of the estimated error of the numerical
/// side. The estimate is no proof: the factor keeps right gradients from being refused
/// (see the tests that count).
pub(crate) const NUMERIC: f64 = 4.0;
/// The same for the rounding of the analytic side, whose estimate is one standard
/// deviation, known to about a quarter of itself.
const ANALYTIC: f64 = 8.0;
/// A bound above this share of the largest gradient proves too little.
const COARSEST: f64 = 1e-3;

type Numeric = Result<Estimate, EdgeOfDomain>;

/// The analytic gradient by one input.
pub(crate) struct Claim {
    pub gradient: Vec<f64>,
    pub rounding: Rounding,
    /// The machine epsilon of the arithmetic behind it.
    pub eps: f64,
}

/// How the rounding of an analytic gradient is known.
pub(crate) enum Rounding {
    /// Measured: a standard deviation for each element.
    Measured(Vec<f64>),
    /// Taken to be this share of what the terms of an element add up to.
    Share(f64),
}

impl Claim {
    /// The derivative that is claimed along a direction.
    fn along(&self, direction: &[(usize, f64)]) -> f64 {
        direction.iter().map(|&(j, v)| v * self.gradient[j]).sum()
    }

    /// The rounding of [`Claim::along`]: at least one of what its terms add up to.
    fn rounding_along(&self, direction: &[(usize, f64)], numeric: &Numeric) -> f64 {
        let least = numeric.map_or(0.0, |e| self.eps * e.magnitude);
        least.max(match &self.rounding {
            Rounding::Measured(each) => direction.iter().map(|&(j, v)| v.abs() * each[j]).sum(),
            Rounding::Share(share) => numeric.map_or(0.0, |e| share * e.magnitude),
        })
    }

    /// What one rounding of an element `x`, or of a value as large on the way from it, does to
    /// the slope over the shortest step of which it was found.
    ///
    /// Near `x = 1`, the rounding of `x * x` in `sqrt(1 - x * x)` is the same at all points of
    /// a walk, so that it is not measured, and moves the slope all the same.
    fn rounding_inside(&self, x: f64, numeric: &Numeric) -> f64 {
        let smooth = numeric.ok().filter(|e| e.kink.is_none());
        smooth.map_or(0.0, |e| self.eps * x.abs() * e.magnitude / e.step)
    }

    /// The rounding that is usual among the elements, as a share of what the terms of an
    /// element add up to. A deviation measured on one element may be small by chance.
    fn usual_share(&self, numeric: &[Numeric]) -> f64 {
        let Rounding::Measured(each) = &self.rounding else {
            return 0.0;
        };
        // Where the derivative is zero but for rounding, so is what it adds up from.
        let told = |e: &&Estimate| e.error <= COARSEST * e.magnitude;
        let share = |(noise, e): (&f64, &Numeric)| {
            let e = e.as_ref().ok().filter(told)?;
            Some(noise / e.magnitude)
        };
        let mut shares: Vec<f64> = each.iter().zip(numeric).filter_map(share).collect();
        shares.retain(|s| s.is_finite());
        shares.sort_by(f64::total_cmp);
        shares.get(shares.len() / 2).copied().unwrap_or(0.0)
    }
}

impl Point<'_> {
    /// Compares the gradient by input `i`, and adds what is found to the report.
    pub fn compare(&mut self, i: usize, shape: &[usize], claim: Claim) {
        let input = &self.check.inputs[i];
        if shape != input.shape {
            self.report.faults.push(Fault::Shape {
                name: input.name.clone(),
                expected: input.shape.clone(),
                got: shape.to_vec(),
            });
            return;
        }
        let bad = not_finite("gradient", &input.name, &claim.gradient, shape);
        if bad.is_some() || input.data.is_empty() {
            self.report.faults.extend(bad);
            return;
        }
        let mut found = InputReport::new(&input.name, shape);
        match self.check.mode {
            Mode::EveryElement => self.every_element(i, &claim, &mut found),
            Mode::Projections { count } => {
                for k in 0..count {
                    let seed = self.check.seed ^ (0x0d12_0000 + ((i as u64) << 32) + k as u64);
                    let v = normal(claim.gradient.len(), seed);
                    let v: Vec<(usize, f64)> = v.into_iter().enumerate().collect();
                    self.project(i, k, &v, &claim, &mut found);
                }
            }
        }
        self.judge(i, found);
    }

    /// In `f32`, what the rounding of the outputs may do to a derivative.
    ///
    /// A saturated unit computes `1 - y²` from a `y` whose last place is coarser than the
    /// result, and nearby inputs give the same `y`, so that no noise is seen. On a
    /// numerical side in `f64` the same rounding is in the estimate already.
    fn rounding_of_the_forward(&self, numeric: &Numeric) -> f64 {
        if self.check.eps <= EPS {
            return 0.0;
        }
        // Once where y is rounded, and once where the backward computes from it.
        2.0 * numeric.map_or(0.0, |e| e.carried) * (self.check.eps / EPS)
    }

    fn every_element(&self, i: usize, claim: &Claim, found: &mut InputReport) {
        let count = claim.gradient.len();
        let numeric: Vec<Numeric> = (0..count).map(|element| self.element(i, element)).collect();
        let share = claim.usual_share(&numeric);
        for (element, numeric) in numeric.into_iter().enumerate() {
            let own = claim.rounding_along(&[(element, 1.0)], &numeric);
            let usual = numeric.map_or(0.0, |e| share * e.magnitude);
            let forward = self.rounding_of_the_forward(&numeric);
            let inside = claim.rounding_inside(self.check.inputs[i].data[element], &numeric);
            found.push(
                element,
                claim.gradient[element],
                numeric,
                own.max(usual).max(forward),
                inside,
            );
        }
    }

    /// Compares along one direction; where it disagrees, halves it down to one element.
    fn project(
        &self,
        i: usize,
        k: usize,
        v: &[(usize, f64)],
        claim: &Claim,
        found: &mut InputReport,
    ) {
        let push = |found: &mut InputReport, at: usize, v: &[(usize, f64)]| {
            let line: Vec<_> = v.iter().map(|&(element, v)| (i, element, v)).collect();
            let numeric = self.along(&line);
            found.push(
                at,
                claim.along(v),
                numeric,
                claim.rounding_along(v, &numeric),
                0.0,
            );
        };
        push(found, k, v);
        if found.margin(found.numeric.len() - 1) <= 1.0 || found.culprit.is_some() {
            return;
        }
        let mut suspects = v;
        while suspects.len() > 1 {
            let (left, right) = suspects.split_at(suspects.len() / 2);
            let mut halves = InputReport::new("", &[]);
            push(&mut halves, 0, left);
            push(&mut halves, 1, right);
            suspects = if halves.margin(0) >= halves.margin(1) {
                left
            } else {
                right
            };
        }
        let element = suspects[0].0;
        let mut one = InputReport::new("", &[]);
        let numeric = self.element(i, element);
        let rounding = claim.rounding_along(&[(element, 1.0)], &numeric);
        one.push(element, claim.gradient[element], numeric, rounding, 0.0);
        if one.margin(0) > 1.0 {
            let index = index_of(element, &self.check.inputs[i].shape);
            found.culprit = Some(one.entry(0, Place::Element { index }));
        }
    }

    /// The slope by one entry of input `i` that would show: over its reach, it changes the
    /// outputs by a thousandth of themselves, or of what they change by there.
    fn visible(&self, i: usize, k: usize) -> f64 {
        let target = self.target();
        let line: Vec<_> = match self.check.mode {
            Mode::EveryElement => vec![(i, k, 1.0)],
            Mode::Projections { .. } => (0..self.reaches[i].len()).map(|k| (i, k, 1.0)).collect(),
        };
        let scale = self.reaches[i][line[0].1].scale;
        let there = self.line(&line)(OUT_OF_STEP * FIRST_STEP * scale).y;
        let change = target.size(there.iter().zip(target.y).map(|(there, y)| there - y));
        COARSEST * target.size(target.y.iter().copied()).max(change) / scale
    }

    /// Draws the conclusions about one input.
    fn judge(&mut self, i: usize, mut found: InputReport) {
        let input = &self.check.inputs[i];
        let place = |k: usize| match self.check.mode {
            Mode::EveryElement => Place::Element {
                index: index_of(k, &input.shape),
            },
            Mode::Projections { .. } => Place::Direction { number: k },
        };
        let name = || input.name.clone();
        let mut refused = Vec::new();
        if let Some(&at) = found.edges.first() {
            refused.push(Vacuous::EdgeOfDomain {
                input: name(),
                place: place(at),
            });
        }
        let max = |v: &[f64]| v.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let (largest, bound) = (max(&found.numeric), max(&found.bound));
        found.resolution = bound / largest;
        // Of what is not finite nearby, nothing more can be said.
        if found.edges.is_empty() {
            let may_be_zero = self.check.may_be_zero.contains(&input.name);
            let mut all = 0..found.numeric.len();
            let zero = |k: usize| found.bound[k] <= self.visible(i, k);
            let coarse =
                |k: usize| found.bound[k] > COARSEST * largest && !(may_be_zero && zero(k));
            let mut doubts = found.unknown.iter().copied();
            let doubt = doubts.find(|&(k, why)| why == Doubt::Blurred || coarse(k));
            if let Some((k, why)) = doubt {
                refused.push(Vacuous::Unknown {
                    input: name(),
                    place: place(k),
                    why,
                });
            } else if let Some(&(k, outputs)) = found.hidden.first() {
                refused.push(Vacuous::Kinks {
                    input: name(),
                    place: place(k),
                    outputs,
                });
            } else if largest <= bound && all.clone().all(zero) {
                if !may_be_zero {
                    refused.push(Vacuous::ZeroGradient { input: name() });
                }
            } else if all.any(coarse) {
                let relative = found.resolution;
                refused.push(Vacuous::TooCoarse {
                    input: name(),
                    relative,
                });
            }
        }
        self.report.refused.extend(refused);
        let all = 0..found.numeric.len();
        found.wrong = all.clone().filter(|&k| found.margin(k) > 1.0).count();
        let worst = all.max_by(|&a, &b| found.margin(a).total_cmp(&found.margin(b)));
        found.worst = worst.map(|k| found.entry(k, place(k)));
        if found.wrong > 0 {
            self.report.faults.push(Fault::Wrong {
                input: name(),
                elements: found.wrong,
            });
        }
        self.report.inputs.push(found);
    }
}

impl InputReport {
    /// Adds the comparison of one element, or of one direction. What is within a rounding
    /// `inside` is not wrong, and not right either.
    fn push(&mut self, at: usize, analytic: f64, numeric: Numeric, rounding: f64, inside: f64) {
        let mut append = |numeric: f64, error: f64, disagreement: f64, bound: f64| {
            self.analytic.push(analytic);
            self.numeric.push(numeric);
            self.error.push(error);
            self.disagreement.push(disagreement);
            self.bound.push(bound);
        };
        let Ok(e) = numeric else {
            append(f64::NAN, 0.0, 0.0, 0.0);
            self.edges.push(at);
            return;
        };
        // At a kink a slope between left and right may be as good as another.
        let off = analytic - e.value;
        let mut bound = NUMERIC * e.error + ANALYTIC * rounding;
        let gap = e.kink.map_or(0.0, |kink| kink.gap);
        let apart = (off.abs() - gap).max(0.0);
        let blurred = apart > bound && apart <= bound + ANALYTIC * inside;
        if blurred {
            bound += ANALYTIC * inside;
            self.unknown.push((at, Doubt::Blurred));
        }
        append(e.value, e.error, apart, bound);
        if let Some(kink) = e.kink {
            self.kinks.push(at);
            if off.abs() <= gap + bound && !kink.allows(off, bound) {
                self.hidden.push((at, kink.outputs));
            }
        }
        self.unknown.extend(e.doubt.map(|doubt| (at, doubt)));
    }

    fn entry(&self, k: usize, place: Place) -> Worst {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{EdgeOfDomain, Estimate};

    fn claim(rounding: Rounding) -> Claim {
        Claim {
            gradient: vec![0.0; 3],
            rounding,
            eps: 1e-3,
        }
    }

    fn of_magnitude(magnitude: f64) -> Numeric {
        Ok(Estimate {
            value: 0.0,
            error: 0.0,
            magnitude,
            carried: 0.0,
            step: 1.0,
            kink: None,
            doubt: None,
        })
    }

    #[test]
    fn rounding_along_a_direction_adds_up() {
        let direction = [(0, 1.0), (2, -3.0)];
        let along = |rounding, magnitude| {
            claim(rounding).rounding_along(&direction, &of_magnitude(magnitude))
        };
        assert_eq!(along(Rounding::Measured(vec![1.0, 9.0, 2.0]), 10.0), 7.0);
        assert_eq!(along(Rounding::Share(0.5), 10.0), 5.0);
        // At least the last place of what the terms add up to.
        assert_eq!(along(Rounding::Measured(vec![0.0; 3]), 10.0), 1e-2);
        assert_eq!(along(Rounding::Share(0.0), 10.0), 1e-2);
        let edge = Err(EdgeOfDomain { step: 1.0 });
        let nothing = claim(Rounding::Share(0.5)).rounding_along(&direction, &edge);
        assert_eq!(nothing, 0.0);
    }

    #[test]
    fn the_usual_share_is_the_median_where_there_is_a_derivative() {
        let numeric = [
            of_magnitude(10.0),
            of_magnitude(1.0),
            of_magnitude(0.0),
            Err(EdgeOfDomain { step: 1.0 }),
            of_magnitude(2.0),
            of_magnitude(4.0),
        ];
        let measured = vec![1.0, 0.5, 3.0, 7.0, 4.0, 1.2];
        let share = claim(Rounding::Measured(measured)).usual_share(&numeric);
        // 0.1, 0.3, 0.5 and 2 are left: the upper one of the two in the middle.
        assert_eq!(share, 0.5);
        assert_eq!(claim(Rounding::Share(0.5)).usual_share(&numeric), 0.0);
    }
}
