//! Elements that share a kink, judged together.
//!
//! At `x0 = x1` the slope of `max(x0, x1)` by either may be anything from 0 to 1, but not by both
//! at once: move both, and the maximum moves as they do. A gradient of (1, 1) or of (0, 0) has
//! both its elements in range and is still wrong. What tells is a direction in which both move.
//!
//! So for each output with a kink in several elements, the gradient is held to the slopes along
//! some directions within them: all at once, and neighbours in pairs, once together and once
//! against each other. Each element is weighted by one over its own gap. Then the kink of
//! `relu(w · x)` is gone along one of the two directions of a pair, and that of a maximum
//! along the one in which all rise together, so that only one value is right.

use crate::claim::NUMERIC;
use crate::input::index_of;
use crate::kink::gaps;
use crate::point::Point;
use crate::report::{Fault, Mode};
use crate::scale::OUT_OF_STEP;
use crate::secant::Secant;
use std::collections::BTreeMap;

/// No more outputs than this are looked at: each costs some derivatives.
const OUTPUTS: usize = 64;
/// A step at which a kink stays what it is.
const CLOSER: f64 = 1024.0;

/// An element with a kink: where, and half the gap of its slopes in one output.
struct Member {
    /// The place of its input in the report.
    report: usize,
    input: usize,
    element: usize,
    gap: f64,
}

impl Point<'_> {
    /// The first tie at which the gradients are no subgradient, in each output.
    pub fn ties(&self) -> Vec<Fault> {
        if self.check.mode != Mode::EveryElement {
            return Vec::new();
        }
        let shared = self.members().into_values().filter(|all| all.len() > 1);
        shared
            .take(OUTPUTS)
            .filter_map(|all| self.tie(&all))
            .collect()
    }

    /// For each output with a kink, the elements that have it.
    fn members(&self) -> BTreeMap<usize, Vec<Member>> {
        let mut members: BTreeMap<usize, Vec<Member>> = BTreeMap::new();
        for (report, found) in self.report.inputs.iter().enumerate() {
            let named = self.check.inputs.iter().position(|i| i.name == found.name);
            let input = named.expect("a report is about an input");
            for &element in &found.kinks {
                let line = [(input, element, 1.0)];
                let Ok(estimate) = self.along(&line) else {
                    continue;
                };
                let secant = |step| Secant::new(&mut self.line(&line), self.target(), step);
                let far = secant(estimate.step);
                let near = secant(OUT_OF_STEP * estimate.step / CLOSER);
                let (Some(far), Some(near)) = (far, near) else {
                    continue;
                };
                for (output, gap) in gaps(&far, &near, self.target()) {
                    members.entry(output).or_default().push(Member {
                        report,
                        input,
                        element,
                        gap,
                    });
                }
            }
        }
        members
    }

    fn tie(&self, all: &[Member]) -> Option<Fault> {
        let widest = all.iter().map(|m| m.gap).fold(0.0, f64::max);
        let together: Vec<(&Member, f64)> = all.iter().map(|m| (m, widest / m.gap)).collect();
        let pairs = together.windows(2).flat_map(|pair| {
            let [(a, v), (b, w)] = [pair[0], pair[1]];
            [vec![(a, v), (b, w)], vec![(a, v), (b, -w)]]
        });
        let mut directions = vec![together.clone()];
        directions.extend(pairs);
        directions
            .iter()
            .find_map(|direction| self.unfit(direction))
    }

    /// The fault along one direction, if there is one.
    fn unfit(&self, direction: &[(&Member, f64)]) -> Option<Fault> {
        let line: Vec<_> = direction
            .iter()
            .map(|(m, v)| (m.input, m.element, *v))
            .collect();
        let found = self.along(&line).ok()?;
        let sum = |of: &dyn Fn(&Member) -> f64, sign: &dyn Fn(f64) -> f64| -> f64 {
            direction.iter().map(|(m, v)| sign(*v) * of(m)).sum()
        };
        let inputs = &self.report.inputs;
        let analytic = sum(&|m| inputs[m.report].analytic[m.element], &|v| v);
        let rounding = sum(&|m| inputs[m.report].bound[m.element], &f64::abs);
        let gap = found.kink.map_or(0.0, |kink| kink.gap);
        let apart = (analytic - found.value).abs() - gap;
        (apart > NUMERIC * found.error + rounding && found.doubt.is_none()).then(|| Fault::Tie {
            elements: direction
                .iter()
                .map(|(m, _)| {
                    let input = &self.check.inputs[m.input];
                    (input.name.clone(), index_of(m.element, &input.shape))
                })
                .collect(),
            along: direction.iter().map(|(_, v)| *v).collect(),
            slopes: (found.value - gap, found.value + gap),
            analytic,
        })
    }
}
