//! Many trainings: cells of an experiment, each at every learning rate of one grid and from
//! every seed, and the rate that validation picks for each cell.
//!
//! A cell is what is compared: a method in a setting. No cell gets a grid of its own, more
//! seeds or another rule, so nothing is tuned for one side only.

use std::fmt::Display;

use nn::Diverged;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::experiment::Error;
use crate::session::Session;
use crate::stats::Spread;
use crate::train::Epoch;

/// How the learning rate of a cell is picked from the grid.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rule {
    /// By the accuracy at the end.
    Accuracy,
    /// By how soon an accuracy is reached.
    Speed {
        /// The accuracy.
        target: f64,
    },
}

impl Rule {
    /// The rule in words, for a protocol.
    pub(crate) fn text(self) -> String {
        let end = "highest median validation accuracy after the last epoch over the seeds, then \
                   lowest median validation loss, then the smaller rate; a diverged run has \
                   accuracy 0";
        match self {
            Rule::Accuracy => end.to_owned(),
            Rule::Speed { target } => format!(
                "smallest median number of steps over the seeds until the validation accuracy \
                 first reaches {target}, then {end}"
            ),
        }
    }
}

/// What came of one training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Run {
    /// It went to its end: the scores on the way.
    Trained(Vec<Epoch>),
    /// It stopped at a number that is not finite.
    Diverged(#[serde(with = "Stored")] Diverged),
    /// A layer refused to work: its message.
    Refused(String),
}

/// How [`Diverged`] is stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Diverged")]
struct Stored {
    step: usize,
    place: String,
}

impl From<Result<Vec<Epoch>, Diverged>> for Run {
    fn from(result: Result<Vec<Epoch>, Diverged>) -> Self {
        match result {
            Ok(curve) => Run::Trained(curve),
            Err(diverged) => Run::Diverged(diverged),
        }
    }
}

impl Run {
    /// The scores on the way; none if it did not go to its end.
    pub(crate) fn curve(&self) -> &[Epoch] {
        match self {
            Run::Trained(curve) => curve,
            Run::Diverged(_) | Run::Refused(_) => &[],
        }
    }

    /// The number of the first score, counted from 1, with a validation accuracy of
    /// `target`; infinite if there is none.
    pub(crate) fn scores_to(&self, target: f64) -> f64 {
        let reached = |epoch: &Epoch| epoch.validation.accuracy >= target;
        let at = self.curve().iter().position(reached);
        at.map_or(f64::INFINITY, |i| (i + 1) as f64)
    }
}

/// All runs of what is compared with others.
pub(crate) struct Cell<C> {
    /// What it is.
    pub(crate) of: C,
    /// The grid of learning rates.
    pub(crate) rates: Vec<f64>,
    /// For each rate, one run for each seed.
    pub(crate) by_rate: Vec<Vec<Run>>,
    /// The place of the rate that the rule picked.
    pub(crate) chosen: usize,
}

/// How many runs a [`sweep`] makes.
pub(crate) fn size<C>(session: &Session, cells: &[C], rates: &[f64]) -> usize {
    cells.len() * rates.len() * session.seeds().len()
}

/// Trains every cell at every rate from every seed, and picks the rate of each cell.
///
/// # Errors
/// When the journal of the session cannot be written.
pub(crate) fn sweep<C: Copy + Display + Sync>(
    session: &mut Session,
    cells: &[C],
    rates: &[f64],
    rule: Rule,
    train: impl Fn(C, f64, u64) -> Run + Sync,
) -> Result<Vec<Cell<C>>, Error> {
    let seeds = session.seeds().to_vec();
    let mut jobs = Vec::new();
    for &cell in cells {
        for &rate in rates {
            jobs.extend(seeds.iter().map(|&seed| (cell, rate, seed)));
        }
    }
    let key = |(cell, rate, seed): &(C, f64, u64)| format!("{cell} {rate} {seed}");
    let runs = session.map(&jobs, key, |&(cell, rate, seed)| train(cell, rate, seed))?;
    let mut by_rate = runs.chunks(seeds.len()).map(<[Run]>::to_vec);
    let cell = |&of| {
        let by_rate: Vec<Vec<Run>> = by_rate.by_ref().take(rates.len()).collect();
        Cell {
            of,
            rates: rates.to_vec(),
            chosen: choose(&by_rate, rule),
            by_rate,
        }
    };
    Ok(cells.iter().map(cell).collect())
}

/// The place of the best rate; of equal ones the first, which is the smallest.
fn choose(by_rate: &[Vec<Run>], rule: Rule) -> usize {
    let merit = |i: &usize| {
        let runs = &by_rate[*i];
        let losses = finals(runs, |e| e.validation.loss);
        let speed = match rule {
            Rule::Accuracy => 0.0,
            Rule::Speed { target } => scores_to(runs, target).median,
        };
        [
            -speed,
            accuracy(runs, |e| e.validation.accuracy).median,
            -Spread::of(&losses).map_or(f64::INFINITY, |s| s.median),
        ]
    };
    let better = |a: &usize, b: &usize| {
        let (a, b) = (merit(a), merit(b));
        let pairs = a.iter().zip(&b).map(|(a, b)| a.total_cmp(b));
        pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    let all = (0..by_rate.len()).rev();
    all.max_by(better).expect("the grid has a rate")
}

impl<C> Cell<C> {
    /// The runs at the chosen rate, one for each seed.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.by_rate[self.chosen]
    }

    /// The chosen rate.
    pub(crate) fn rate(&self) -> f64 {
        self.rates[self.chosen]
    }

    /// Accuracy on the test part at the end, at the chosen rate.
    pub(crate) fn test(&self) -> Spread {
        accuracy(self.runs(), |e| e.test.accuracy)
    }

    /// Accuracy on the validation part at the end, at each rate.
    pub(crate) fn validation_by_rate(&self) -> Vec<Spread> {
        let spread = |runs: &Vec<Run>| accuracy(runs, |e| e.validation.accuracy);
        self.by_rate.iter().map(spread).collect()
    }

    /// The number of scores to the target, at the chosen rate.
    pub(crate) fn scores_to(&self, target: f64) -> Spread {
        scores_to(self.runs(), target)
    }

    /// The spread over seeds at each score, at the chosen rate.
    pub(crate) fn curve(&self, of: impl Fn(&Epoch) -> f64) -> Vec<Option<Spread>> {
        let curves: Vec<&[Epoch]> = self.runs().iter().map(Run::curve).collect();
        let scores = curves.iter().map(|curve| curve.len()).max().unwrap_or(0);
        let at = |i: usize| {
            let values = curves.iter().filter_map(|curve| curve.get(i)).map(&of);
            Spread::of(&values.collect::<Vec<f64>>())
        };
        (0..scores).map(at).collect()
    }

    /// A curve with low, median and high apart.
    pub(crate) fn curve_data(&self, of: impl Fn(&Epoch) -> f64) -> Value {
        let curve = self.curve(of);
        let part = |f: fn(Spread) -> f64| curve.iter().map(|s| s.map(f)).collect::<Vec<_>>();
        json!({ "low": part(|s| s.low), "median": part(|s| s.median), "high": part(|s| s.high) })
    }

    /// What every rate gave.
    pub(crate) fn rates_data(&self) -> Vec<Value> {
        let rates = self.by_rate.iter().zip(&self.rates);
        let entry = |(runs, rate): (&Vec<Run>, &f64)| {
            let mut entry = json!({
                "rate": rate,
                "validation_accuracy": accuracy(runs, |e| e.validation.accuracy),
                "test_accuracy": accuracy(runs, |e| e.test.accuracy),
                "diverged": told(runs, |run| match run {
                    Run::Diverged(diverged) => Some(diverged.to_string()),
                    _ => None,
                }),
            });
            let refused = told(runs, |run| match run {
                Run::Refused(message) => Some(message.clone()),
                _ => None,
            });
            if !refused.is_empty() {
                entry["refused"] = json!(refused);
            }
            entry
        };
        rates.map(entry).collect()
    }

    /// Whether a wider grid might have a better rate.
    pub(crate) fn at_the_edge(&self) -> bool {
        self.chosen == 0 || self.chosen == self.rates.len() - 1
    }

    /// All that every experiment says of a cell, between what comes first and last.
    pub(crate) fn data_between(&self, first: Value, last: Value) -> Value
    where
        C: Display,
    {
        // By this name a chapter finds the cell.
        let name = json!({ "cell": self.of.to_string().replace(' ', "-") });
        let mut all = serde_json::Map::new();
        for part in [name, first, self.data(), last] {
            let Value::Object(part) = part else {
                panic!("not an object: {part}")
            };
            all.extend(part);
        }
        Value::Object(all)
    }

    /// All that every experiment says of a cell.
    pub(crate) fn data(&self) -> Value {
        json!({
            "rates": self.rates_data(),
            "chosen_rate": self.rate(),
            "chosen_rate_is_at_the_edge_of_the_grid": self.at_the_edge(),
            "test_accuracy": self.test(),
            "test_accuracy_by_seed": finals(self.runs(), |e| e.test.accuracy),
            "test_loss": Spread::of(&finals(self.runs(), |e| e.test.loss)),
        })
    }
}

fn told(runs: &[Run], message: impl Fn(&Run) -> Option<String>) -> Vec<String> {
    runs.iter().filter_map(message).collect()
}

/// One number at the end, for each run that got there.
pub(crate) fn finals(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Vec<f64> {
    let ends = runs.iter().filter_map(|run| run.curve().last());
    ends.map(of).collect()
}

/// An accuracy at the end; 0 for a run that did not get there.
pub(crate) fn accuracy(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Spread {
    let end = |run: &Run| run.curve().last().map_or(0.0, &of);
    let all: Vec<f64> = runs.iter().map(end).collect();
    Spread::of(&all).expect("there is a seed")
}

/// The number of scores to the target; infinite where it was not reached.
fn scores_to(runs: &[Run], target: f64) -> Spread {
    let all: Vec<f64> = runs.iter().map(|run| run.scores_to(target)).collect();
    Spread::of(&all).expect("there is a seed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Score;

    /// A run whose validation accuracy and loss are as given, score by score.
    fn run(scores: &[(f64, f64)]) -> Run {
        let epoch = |&(accuracy, loss)| Epoch {
            train_loss: loss,
            validation: Score { loss, accuracy },
            test: Score {
                loss,
                accuracy: accuracy / 2.0,
            },
        };
        Run::Trained(scores.iter().map(epoch).collect())
    }

    fn stopped() -> Run {
        Run::Diverged(Diverged {
            step: 3,
            place: "the loss".into(),
        })
    }

    #[test]
    fn accuracy_picks_the_rate_then_loss_then_the_smaller() {
        let rates =
            |runs: &[Run]| -> Vec<Vec<Run>> { runs.iter().map(|r| vec![r.clone()]).collect() };
        let pick = |runs: &[Run]| choose(&rates(runs), Rule::Accuracy);
        let (good, better) = (run(&[(0.8, 0.5)]), run(&[(0.9, 0.5)]));
        assert_eq!(pick(&[good.clone(), better.clone(), good.clone()]), 1);
        assert_eq!(pick(&[good.clone(), run(&[(0.8, 0.4)]), stopped()]), 1);
        assert_eq!(pick(&[good.clone(), good.clone()]), 0);
        assert_eq!(pick(&[stopped(), good]), 1);
        assert_eq!(pick(&[stopped(), stopped()]), 0);
    }

    #[test]
    fn speed_picks_the_rate_that_is_there_first() {
        let late = run(&[(0.5, 1.0), (0.6, 1.0), (0.99, 0.1)]);
        let soon = run(&[(0.5, 1.0), (0.96, 1.0), (0.96, 0.1)]);
        let rates = [vec![late], vec![soon], vec![stopped()]];
        assert_eq!(choose(&rates, Rule::Speed { target: 0.95 }), 1);
        assert_eq!(choose(&rates, Rule::Accuracy), 0);
        // Where nobody gets there, accuracy decides.
        assert_eq!(choose(&rates, Rule::Speed { target: 0.999 }), 0);
    }

    #[test]
    fn the_median_decides_and_a_stopped_run_counts_as_nothing_learned() {
        let (good, best) = (run(&[(0.8, 0.5)]), run(&[(1.0, 0.5)]));
        let rates = [
            vec![good.clone(), good.clone(), good.clone()],
            vec![best, stopped(), stopped()],
        ];
        assert_eq!(choose(&rates, Rule::Accuracy), 0);
        let spread = accuracy(&rates[1], |e| e.validation.accuracy);
        assert_eq!((spread.low, spread.median, spread.high), (0.0, 0.0, 0.5));
        assert_eq!(finals(&rates[1], |e| e.validation.accuracy), [1.0]);
    }

    #[test]
    fn scores_to_a_target_count_from_one() {
        let curve = run(&[(0.5, 1.0), (0.95, 1.0)]);
        assert_eq!(curve.scores_to(0.5), 1.0);
        assert_eq!(curve.scores_to(0.95), 2.0);
        assert_eq!(curve.scores_to(0.96), f64::INFINITY);
        assert_eq!(stopped().scores_to(0.0), f64::INFINITY);
    }
}
