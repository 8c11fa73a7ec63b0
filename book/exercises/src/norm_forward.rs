//! What the checks of `bn_forward` and `ln_forward` share.
//!
//! Both norms compute the same four stages over groups of values: Batch Norm groups the
//! columns of `x`, Layer Norm its rows. A stage is judged once those before it are right,
//! so the first wrong one is where the reader went wrong.

use crate::compare::{ROUNDING, distance, heatmap, largest, line, same, unusable, wrong_at};
use crate::known::{Known as Listed, fill};
use crate::{Line, Report};
use gradcheck::attribution::norm::{Probe, Target, explain};

/// What a norm computes for `x` of `N` rows; a group is a channel in Batch Norm, a row in
/// Layer Norm.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The mean of each group.
    pub mean: Vec<f64>,
    /// The variance of each group, divided by the number of its values.
    pub var: Vec<f64>,
    /// The normalized values, one for each element of `x`.
    pub x_hat: Vec<f64>,
    /// The output, one for each element of `x`.
    pub y: Vec<f64>,
}

/// `(x, rows, columns, gamma, beta, eps)` to the forward pass.
pub type Candidate<'a> = &'a dyn Fn(&[f64], usize, usize, &[f64], &[f64], f64) -> Forward;

/// Which of the two norms, and how to speak of it.
pub(crate) struct Norm {
    pub(crate) exercise: &'static str,
    /// Whether a group is a row of `x`, or a column.
    pub(crate) of_rows: bool,
    /// The values of a group are counted by this letter, the groups by that.
    pub(crate) letters: [&'static str; 2],
    /// A group, and the same place in all groups, in words.
    pub(crate) names: [&'static str; 2],
    /// What has the statistics, in words.
    pub(crate) whose: &'static str,
    /// How `x` is laid out.
    pub(crate) layout: &'static str,
    /// The mistake of statistics along the other axis: its name, and whose they would be.
    pub(crate) other: [&'static str; 2],
    /// Rows, never as many as columns, columns and `eps` of the probes.
    pub(crate) probes: [(usize, usize, f64); 4],
    /// The label of the section on a mistake in a stage.
    pub(crate) section: fn(&str, &str) -> &'static str,
}

/// A mean this many deviations away from zero: `E[x²] - E[x]²` then loses 13 digits.
const OFFSET: f64 = 3e6;
/// What the variance may be off by there, when it is computed from `x - mean`.
const OFFSET_BOUND: f64 = 1e-6;
/// The size of a group, and how many there are, far from zero.
const OFFSET_SHAPE: [usize; 2] = [8, 3];

/// What to say when the digits are lost.
const CANCELLATION: (&str, &str) = (
    "cancellation",
    "far from zero the variance is lost: with a mean of … deviations, E[x²] - E[x]² subtracts two numbers that agree in 13 digits. Subtract the mean first, then square",
);

/// A known mistake: its name, what to say, and the values it leads to.
type Known = (&'static str, String, Vec<f64>);

/// What a mistake is called, and what to say.
type Named = (String, String);

impl Norm {
    /// The lines on `candidate` when it is right, or the report on its first mistake.
    pub(crate) fn judge(
        &self,
        candidate: Candidate<'_>,
        seed: u64,
    ) -> Result<Vec<Line>, Box<Report>> {
        let mut lines = Vec::new();
        for (number, (rows, columns, eps)) in self.probes.into_iter().enumerate() {
            let trial = self.trial(rows, columns, eps, seed * 100 + number as u64);
            let found = trial.run(candidate);
            trial.judge(&found)?;
            lines = compared(&trial.right(), &found);
        }
        self.far_from_zero(candidate, seed, &mut lines)?;
        Ok(lines)
    }

    /// The mistakes that this check knows by itself, with the numbers of its first batch.
    /// Others in `x_hat` and `y` are found by attribution.
    pub(crate) fn known(&self) -> Vec<Listed> {
        let [(rows, columns, eps), ..] = self.probes;
        let trial = self.trial(rows, columns, eps, 0);
        let (right, (size, _)) = (trial.right(), trial.counts());
        let stages = [
            ("mean", trial.wrong_means(&right)),
            ("var", trial.wrong_variances(&right)),
            ("y", trial.wrong_outputs(&right)),
        ];
        let (cancellation, lost) = CANCELLATION;
        let mut known = Vec::new();
        for (stage, mistakes) in stages {
            let listed =
                |id, what: String| Listed::new(self.exercise, id, what, (self.section)(stage, id));
            if matches!(stage, "mean" | "var")
                && let Some((_, what)) = trial.along_the_other_axis(stage, &vec![0.0; size])
            {
                known.push(listed(self.other[0], what));
            }
            // Cancellation shows on a batch of its own, far from zero.
            let near = mistakes.into_iter().filter(|(id, ..)| *id != cancellation);
            known.extend(near.map(|(id, what, _)| listed(id, what)));
        }
        let section = (self.section)("var", cancellation);
        known.push(Listed::new(self.exercise, cancellation, lost, section));
        known
    }

    /// A random batch to run a candidate on.
    pub(crate) fn trial(&self, rows: usize, columns: usize, eps: f64, seed: u64) -> Trial<'_> {
        let shape = [rows, columns];
        let probe = if self.of_rows {
            Probe::layer_norm(&shape, 1, eps, seed)
        } else {
            Probe::batch_norm(&shape, eps, seed)
        };
        Trial {
            norm: self,
            probe,
            rows,
            columns,
        }
    }

    /// Where a one-pass variance loses its digits.
    fn far_from_zero(
        &self,
        candidate: Candidate<'_>,
        seed: u64,
        lines: &mut Vec<Line>,
    ) -> Result<(), Box<Report>> {
        let [size, groups] = OFFSET_SHAPE;
        let (rows, columns) = if self.of_rows {
            (groups, size)
        } else {
            (size, groups)
        };
        let mut trial = self.trial(rows, columns, 1e-5, seed * 100 + 99);
        let deviation = largest(&trial.probe.x);
        for x in &mut trial.probe.x {
            *x += OFFSET * deviation;
        }
        let off = distance(&trial.right().var, &trial.run(candidate).var);
        let fine = off <= OFFSET_BOUND;
        let detail = if off == 0.0 {
            "equal to the last bit".to_owned()
        } else if off.is_finite() {
            format!("off by {off:.0e}")
        } else {
            "not finite".to_owned()
        };
        lines.push(Line {
            name: "var, far from zero".to_owned(),
            right: fine,
            detail,
        });
        if fine {
            return Ok(());
        }
        let (id, template) = CANCELLATION;
        let headline = fill(template, &[&format!("{OFFSET:.0e}")]);
        let mut report = wrong_at(self.exercise, id, headline, (self.section)("var", id));
        report.lines.clone_from(lines);
        Err(report.into())
    }
}

/// A batch, and what a norm makes of it.
pub(crate) struct Trial<'a> {
    norm: &'a Norm,
    pub(crate) probe: Probe,
    rows: usize,
    columns: usize,
}

impl Trial<'_> {
    fn run(&self, candidate: Candidate<'_>) -> Forward {
        let Probe {
            x,
            gamma,
            beta,
            eps,
            ..
        } = &self.probe;
        candidate(x, self.rows, self.columns, gamma, beta, *eps)
    }

    /// The number of values in a group, and of groups.
    fn counts(&self) -> (usize, usize) {
        if self.norm.of_rows {
            (self.columns, self.rows)
        } else {
            (self.rows, self.columns)
        }
    }

    /// `f` of the values of each group.
    fn per_group(&self, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let (size, groups) = self.counts();
        let at = |group: usize, k: usize| {
            if self.norm.of_rows {
                group * size + k
            } else {
                k * groups + group
            }
        };
        self.gathered(at, f)
    }

    /// The same with `x` read as if it had as many rows as it has columns.
    fn per_exchanged_group(&self, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let (size, groups) = self.counts();
        let at = |group: usize, k: usize| {
            if self.norm.of_rows {
                k * groups + group
            } else {
                group * size + k
            }
        };
        self.gathered(at, f)
    }

    fn gathered(&self, at: impl Fn(usize, usize) -> usize, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let (size, groups) = self.counts();
        let values = |group| (0..size).map(|k| self.probe.x[at(group, k)]).collect();
        (0..groups).map(values).map(|v: Vec<f64>| f(&v)).collect()
    }

    /// What is right.
    pub(crate) fn right(&self) -> Forward {
        Forward {
            mean: self.per_group(mean),
            var: self.per_group(variance),
            x_hat: self.probe.x_hat(),
            y: self.probe.y(),
        }
    }

    /// The report on the first wrong stage, if there is one.
    fn judge(&self, found: &Forward) -> Result<(), Box<Report>> {
        let right = self.right();
        let each_group = format!("one for each {}", self.norm.names[0]);
        for (name, stage) in STAGES {
            let (expected, values) = (stage(&right), stage(found));
            if same(expected, values) {
                continue;
            }
            let of_groups = matches!(name, "mean" | "var");
            let shape = if of_groups {
                &each_group
            } else {
                "one for each element of x"
            };
            let (id, headline) = self
                .along_the_other_axis(name, values)
                .or_else(|| unusable(name, expected.len(), values, shape))
                .unwrap_or_else(|| self.named(name, &right, values));
            let section = (self.norm.section)(name, &id);
            let mut report = wrong_at(self.norm.exercise, &id, headline, section);
            report.lines = compared(&right, found);
            // The statistics of rows stand in a column, each beside its row.
            let (rows, columns) = match (of_groups, self.norm.of_rows) {
                (false, _) => (self.rows, self.columns),
                (true, true) => (self.rows, 1),
                (true, false) => (1, self.columns),
            };
            report.heatmap = heatmap(name, rows, columns, expected, values);
            return Err(report.into());
        }
        Ok(())
    }

    fn along_the_other_axis(&self, name: &str, found: &[f64]) -> Option<Named> {
        let (size, groups) = self.counts();
        let [group, _] = self.norm.names;
        let [id, whose] = self.norm.other;
        (matches!(name, "mean" | "var") && found.len() == size).then(|| {
            let headline = format!(
                "{name} has {size} values, {whose}; here it is taken over the values of each {group}, which makes {groups}"
            );
            (id.to_owned(), headline)
        })
    }

    /// The mistake in a stage whose predecessors are right.
    fn named(&self, name: &str, right: &Forward, found: &[f64]) -> Named {
        let known = match name {
            "mean" => self.wrong_means(right),
            "var" => self.wrong_variances(right),
            "y" => self.wrong_outputs(right),
            _ => Vec::new(),
        };
        let mut known = known.into_iter();
        if let Some((id, headline, _)) = known.find(|(_, _, values)| same(values, found)) {
            return (id.to_owned(), headline);
        }
        // x_hat is judged through the output it would lead to.
        let verdict = match name {
            "x_hat" => {
                let Probe { gamma, beta, .. } = &self.probe;
                let at = |k: usize| k % self.columns;
                let y = (0..found.len()).map(|k| gamma[at(k)] * found[k] + beta[at(k)]);
                explain(&self.probe, Target::Y, &y.collect::<Vec<f64>>())
            }
            "y" => explain(&self.probe, Target::Y, found),
            _ => return ("unknown".to_owned(), self.unknown(name, right, found)),
        };
        if verdict.id == "unknown" {
            return ("unknown".to_owned(), self.unknown(name, right, found));
        }
        let clause = verdict
            .sentence
            .split_once(": ")
            .map_or(verdict.sentence.as_str(), |(_, clause)| clause);
        (verdict.id.clone(), format!("{name}: {clause}"))
    }

    /// A statistic, to be divided by the number of its values, divided by another number.
    fn wrong_divisors(&self, what: &str, right: &[f64]) -> Vec<Known> {
        let (size, groups) = self.counts();
        let [letter, other] = self.norm.letters;
        let whose = self.norm.whose;
        let by = |id, divisor: usize, headline| {
            let factor = size as f64 / divisor as f64;
            (id, headline, right.iter().map(|v| v * factor).collect())
        };
        let less = size - 1;
        vec![
            by(
                "summed",
                1,
                format!("{what} summed and not divided by {letter}"),
            ),
            by(
                if what.contains("square") {
                    "bessel-statistics"
                } else {
                    "bessel-mean"
                },
                less,
                format!(
                    "{what} summed and divided by {letter} - 1 = {less}; it describes {whose}, so it is divided by {letter} = {size}"
                ),
            ),
            by(
                "wrong-count",
                groups,
                format!(
                    "{what} summed and divided by {other} = {groups}; {whose} has {size} values"
                ),
            ),
        ]
    }

    fn wrong_layout(&self, name: &str, values: Vec<f64>) -> Known {
        let headline = format!(
            "{name} is taken over the wrong elements: {}",
            self.norm.layout
        );
        ("layout-transposed", headline, values)
    }

    fn wrong_means(&self, right: &Forward) -> Vec<Known> {
        let mut known = self.wrong_divisors("the values are", &right.mean);
        known.push(self.wrong_layout("mean", self.per_exchanged_group(mean)));
        known.push((
            "sign",
            "the mean has the wrong sign".to_owned(),
            right.mean.iter().map(|v| -v).collect(),
        ));
        known
    }

    fn wrong_variances(&self, right: &Forward) -> Vec<Known> {
        let each = |f: &dyn Fn(f64) -> f64| right.var.iter().map(|v| f(*v)).collect();
        let squares = self.per_group(|x| mean(&x.iter().map(|x| x * x).collect::<Vec<f64>>()));
        let one_pass = squares.iter().zip(&right.mean).map(|(s, mu)| s - mu * mu);
        let one_pass = one_pass.collect();
        let mut known = self.wrong_divisors("the squares are", &right.var);
        known.extend([
            (
                "root",
                "this is the standard deviation; var is its square".to_owned(),
                each(&f64::sqrt),
            ),
            (
                "eps-in-var",
                "eps is already in var; it belongs under the root only".to_owned(),
                each(&|v| v + self.probe.eps),
            ),
            (
                "mean-not-subtracted",
                "this is the mean of x²; the mean of x is not subtracted first".to_owned(),
                squares,
            ),
            self.wrong_layout("var", self.per_exchanged_group(variance)),
            (
                "cancellation",
                "var is right in theory and loses digits: E[x²] - E[x]² subtracts two large numbers. Subtract the mean first, then square".to_owned(),
                one_pass,
            ),
        ]);
        known
    }

    fn wrong_outputs(&self, right: &Forward) -> Vec<Known> {
        let by_row = |k: usize| {
            let p = k / self.columns % self.columns;
            self.probe.gamma[p] * right.x_hat[k] + self.probe.beta[p]
        };
        vec![(
            "gamma-by-row",
            "gamma and beta are indexed by the row; they have one number for each column"
                .to_owned(),
            (0..right.y.len()).map(by_row).collect(),
        )]
    }

    fn unknown(&self, name: &str, right: &Forward, found: &[f64]) -> String {
        let stage = STAGES.into_iter().find(|(stage, _)| *stage == name);
        let expected = stage.map_or(&right.y, |(_, stage)| stage(right));
        let scale = largest(expected);
        let off = |(e, f): (&f64, &f64)| (e - f).abs() > ROUNDING * scale;
        let at = expected.iter().zip(found).position(off).unwrap_or(0);
        let [group, place] = self.norm.names;
        let (row, column) = if self.norm.of_rows {
            (group, place)
        } else {
            (place, group)
        };
        let place = if matches!(name, "mean" | "var") {
            format!("{group} {at}")
        } else {
            format!(
                "{row} {}, {column} {}",
                at / self.columns,
                at % self.columns
            )
        };
        format!(
            "{name} is the first wrong stage: at {place} it is {:.6} and must be {:.6}",
            found[at], expected[at]
        )
    }
}

/// Takes one of the four stages.
type Stage = fn(&Forward) -> &Vec<f64>;

const STAGES: [(&str, Stage); 4] = [
    ("mean", |forward| &forward.mean),
    ("var", |forward| &forward.var),
    ("x_hat", |forward| &forward.x_hat),
    ("y", |forward| &forward.y),
];

fn compared(right: &Forward, found: &Forward) -> Vec<Line> {
    STAGES
        .map(|(name, stage)| line(name, stage(right), stage(found)))
        .into()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let mu = mean(x);
    x.iter().map(|x| (x - mu).powi(2)).sum::<f64>() / x.len() as f64
}

#[cfg(test)]
pub(crate) mod tests;
