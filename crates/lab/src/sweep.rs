//! Many trainings: the settings of an experiment, each at every learning rate of one grid, from
//! a few seeds that pick its rate, and then at that rate from the seeds that are reported of.
//!
//! No setting gets a grid of its own, more seeds or another rule, so nothing is tuned for one
//! side only; and no run that picks a rate is reported of, so that none was picked for its luck.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::paired::Sample;
use crate::protocol::{Plan, Protocol, Rule};
use crate::refusal::refusal;
use crate::session::Session;
use crate::setting::Setting;
use crate::train::{Curve, Epoch, Run};
use chart::Spread;

/// What came of training a model of sequences once; `None` is a loss that is not finite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LossRun {
    /// The validation loss at the end.
    pub(crate) validation: Option<f64>,
    /// The test losses at the end, one for each thing that is tested.
    pub(crate) test: Vec<Option<f64>>,
}

/// What is found of a setting: at every rate from the seeds that pick one, and at the rate that
/// is picked from those that are reported of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell<S> {
    /// By this name a chapter finds it.
    pub(crate) cell: String,
    #[serde(flatten)]
    pub(crate) of: S,
    pub(crate) rates: Vec<AtRate>,
    pub(crate) chosen_rate: f64,
    /// Whether a wider grid might have a better rate.
    pub(crate) chosen_rate_is_at_the_edge_of_the_grid: bool,
    /// 0 for a run that did not get to its end.
    pub(crate) test_accuracy: Sample,
    /// Of those that did.
    pub(crate) test_loss: Option<Spread>,
    /// Of each reported run that diverged, where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diverged: Vec<String>,
    /// Of each that a layer refused, what it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<String>,
    /// When the target was first reached; infinite where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epochs_to_target: Option<Sample>,
    /// The same where scores are so many steps apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps_to_target: Option<Sample>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) curves: BTreeMap<Curve, Curves>,
}

/// What is found at one learning rate from the seeds that pick one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AtRate {
    pub(crate) rate: f64,
    pub(crate) validation_accuracy: Spread,
    /// Of each run that diverged, where.
    pub(crate) diverged: Vec<String>,
    /// Of each run that a layer refused, what it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<String>,
}

/// Medians and quartiles, score by score; `None` where no run got there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curves {
    low: Vec<Option<f64>>,
    median: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
}

/// What is found of a form of a model of sequences, where a loss is what counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LossCell<S> {
    #[serde(flatten)]
    pub(crate) of: S,
    pub(crate) rates: Vec<LossAtRate>,
    pub(crate) chosen_rate: f64,
    pub(crate) chosen_rate_is_at_the_edge_of_the_grid: bool,
    /// Of the reported runs; infinite for one that diverged.
    pub(crate) validation_loss: Sample,
}

/// The loss at one learning rate from the seeds that pick one: infinite for a run that diverged,
/// and how many did.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct LossAtRate {
    pub(crate) rate: f64,
    pub(crate) validation_loss: Spread,
    pub(crate) diverged: usize,
}

/// How many runs a sweep makes.
pub(crate) fn size<X, P>(session: &Session, protocol: &Protocol<X, P>, settings: usize) -> usize {
    let picking = protocol.rates.len() * session.tuning_seeds().len();
    settings * (picking + session.seeds().len())
}

/// The runs of one setting.
struct Swept<R> {
    /// At each rate, from the seeds that pick one.
    by_rate: Vec<Vec<R>>,
    /// The place of the rate that is picked.
    chosen: usize,
    /// At that rate, from the seeds that are reported of.
    runs: Vec<R>,
}

/// Trains every setting at every rate from the seeds that pick one, and at the rate that is
/// picked from those that are reported of.
///
/// # Errors
/// When the journal of the session cannot be written.
fn sweep<S: Clone + Sync, R: Serialize + for<'de> Deserialize<'de> + Send>(
    session: &mut Session,
    settings: &[S],
    rates: &[f64],
    key: impl Fn(&S) -> String + Sync,
    train: impl Fn(&S, f64, u64) -> R + Sync,
    pick: impl Fn(&[Vec<R>]) -> usize,
) -> Result<Vec<Swept<R>>, Error> {
    let of = |setting: &S| -> Vec<(S, f64)> {
        rates.iter().map(|&rate| (setting.clone(), rate)).collect()
    };
    let tried: Vec<(S, f64)> = settings.iter().flat_map(of).collect();
    let key = |(setting, rate): &(S, f64)| format!("{} {rate}", key(setting));
    let train = |(setting, rate): &(S, f64), seed| train(setting, *rate, seed);
    let mut tuned = session.by_tuning_seed(&tried, key, train)?.into_iter();
    let by_rate = settings.iter().map(|_| {
        let by_rate: Vec<Vec<R>> = tuned.by_ref().take(rates.len()).collect();
        (pick(&by_rate), by_rate)
    });
    let by_rate: Vec<(usize, Vec<Vec<R>>)> = by_rate.collect();
    let picked = settings.iter().zip(&by_rate);
    let picked: Vec<(S, f64)> = picked
        .map(|(setting, (chosen, _))| (setting.clone(), rates[*chosen]))
        .collect();
    let reported = session.by_seed(&picked, key, train)?;
    let swept = by_rate.into_iter().zip(reported);
    Ok(swept
        .map(|((chosen, by_rate), runs)| Swept {
            by_rate,
            chosen,
            runs,
        })
        .collect())
}

/// Trains every setting as its plan says, where nothing else is looked at.
///
/// # Errors
/// When the data cannot be loaded, or the journal of the session not be written.
pub(crate) fn swept<S: Setting, X>(
    session: &mut Session,
    protocol: &Protocol<X>,
    settings: &[S],
    plan: impl Fn(&S) -> Plan + Sync,
) -> Result<Vec<Cell<S>>, Error> {
    let data = protocol.plan.data.load()?;
    session.begin(size(session, protocol, settings.len()))?;
    cells(session, protocol, settings, |of, rate, seed| {
        plan(of).run(&data, rate, seed)
    })
}

/// Trains every setting of a classifier as its sweep says, and tells what is found.
///
/// # Errors
/// When the journal of the session cannot be written.
pub(crate) fn cells<S: Setting, X>(
    session: &mut Session,
    protocol: &Protocol<X>,
    settings: &[S],
    train: impl Fn(&S, f64, u64) -> Run + Sync,
) -> Result<Vec<Cell<S>>, Error> {
    let pick = |by_rate: &[Vec<Run>]| {
        choose(by_rate, |runs| {
            merit(runs, protocol.rate_rule, protocol.plan.target)
        })
    };
    let train = |of: &S, rate, seed| attempted(|| train(of, rate, seed));
    let swept = sweep(session, settings, &protocol.rates, S::key, train, pick)?;
    let cell = |(of, swept): (&S, Swept<Run>)| Cell::new(protocol, of.clone(), &swept);
    Ok(settings.iter().zip(swept).map(cell).collect())
}

/// The same for models of sequences; `of` says what is found of a form by its runs at the rate
/// that is picked.
///
/// # Errors
/// When the journal of the session cannot be written.
pub(crate) fn loss_cells<F: Clone + Display + Sync, S, X, P>(
    session: &mut Session,
    protocol: &Protocol<X, P>,
    forms: &[F],
    train: impl Fn(&F, f64, u64) -> LossRun + Sync,
    of: impl Fn(&F, &[LossRun]) -> S,
) -> Result<Vec<LossCell<S>>, Error> {
    session.begin(size(session, protocol, forms.len()))?;
    let rates = &protocol.rates;
    let swept = sweep(session, forms, rates, F::to_string, train, lowest_loss)?;
    let cell =
        |(form, swept): (&F, Swept<LossRun>)| LossCell::new(rates, &swept, |runs| of(form, runs));
    Ok(forms.iter().zip(swept).map(cell).collect())
}

/// A run, or that a layer refused to work: a batch of one, or numbers beyond what it can hold.
pub(crate) fn attempted(run: impl FnOnce() -> Run) -> Run {
    refusal(run).unwrap_or_else(|refused| Run::Refused(refused.message))
}

/// The place of the rate with the greatest merit, compared number by number; of equal ones
/// the first, which is the smallest.
fn choose<R, const N: usize>(by_rate: &[Vec<R>], merit: impl Fn(&[R]) -> [f64; N]) -> usize {
    let merits: Vec<[f64; N]> = by_rate.iter().map(|runs| merit(runs)).collect();
    let better = |a: &usize, b: &usize| {
        let pairs = merits[*a].iter().zip(&merits[*b]);
        let mut orders = pairs.map(|(a, b)| a.total_cmp(b));
        orders
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    };
    let all = (0..by_rate.len()).rev();
    all.max_by(better).expect("the grid has a rate")
}

fn merit(runs: &[Run], rule: Rule, target: Option<f64>) -> [f64; 3] {
    let accuracy = accuracy(runs, |e| e.validation.accuracy).median;
    let losses = finals(runs, |e| e.validation.loss);
    let loss = Spread::of(&losses).map_or(f64::INFINITY, |s| s.median);
    match rule {
        Rule::Accuracy => [0.0, accuracy, -loss],
        Rule::Speed => {
            let target = target.expect("who picks by speed has a target");
            let scores = Spread::over(runs, |run| run.scores_to(target));
            [-scores.median, accuracy, -loss]
        }
        Rule::Loss | Rule::None => [0.0, 0.0, -loss],
    }
}

/// The place of the rate with the lowest median loss; a run that diverged is infinitely bad.
pub(crate) fn lowest_loss(by_rate: &[Vec<LossRun>]) -> usize {
    choose(by_rate, |runs| [-losses(runs, |run| run.validation).median])
}

impl<S: Setting> Cell<S> {
    fn new<X>(protocol: &Protocol<X>, of: S, swept: &Swept<Run>) -> Self {
        let plan = &protocol.plan;
        let Swept {
            by_rate,
            chosen,
            runs,
        } = swept;
        let scores = plan
            .target
            .map(|target| Sample::over(runs, |run| run.scores_to(target)));
        let each = plan.score_each.map(|steps| steps as f64);
        // What is refused at every rate would be so beyond the grid.
        let refused_everywhere = by_rate.iter().all(|runs| refused(runs).len() == runs.len());
        let rates = protocol.rates.iter().zip(by_rate);
        let curves = plan.curves.iter();
        Cell {
            cell: of.key(),
            of,
            rates: rates.map(|(&rate, runs)| AtRate::new(rate, runs)).collect(),
            chosen_rate: protocol.rates[*chosen],
            chosen_rate_is_at_the_edge_of_the_grid: !refused_everywhere
                && at_the_edge(*chosen, by_rate.len()),
            test_accuracy: Sample::over(runs, test_accuracy),
            test_loss: Spread::of(&finals(runs, |e| e.tested().loss)),
            diverged: diverged(runs),
            refused: refused(runs),
            epochs_to_target: scores.clone().filter(|_| each.is_none()),
            steps_to_target: scores.zip(each).map(|(s, each)| s.map(|n| each * n)),
            curves: curves.map(|&of| (of, Curves::new(runs, of))).collect(),
        }
    }
}

impl<S> Cell<S> {
    /// Whether a layer refused every run that is reported of.
    pub(crate) fn refused(&self) -> bool {
        self.refused.len() == self.test_accuracy.by_seed().len()
    }

    /// When the target was first reached: epochs, or steps.
    pub(crate) fn to_target(&self) -> &Sample {
        let scores = self.steps_to_target.as_ref();
        let scores = scores.or(self.epochs_to_target.as_ref());
        scores.expect("the protocol of these results has a target")
    }

    /// The accuracy on the validation part at each rate.
    pub(crate) fn over_rates(&self) -> Vec<(f64, Option<Spread>)> {
        let point = |at: &AtRate| (at.rate, Some(at.validation_accuracy));
        self.rates.iter().map(point).collect()
    }

    /// One of the curves, over the number of the score counted from 1 times `each`.
    pub(crate) fn curve(&self, of: Curve, each: f64) -> Vec<(f64, Option<Spread>)> {
        let Curves { low, median, high } = &self.curves[&of];
        let spread = |i: usize| {
            Some(Spread {
                low: low[i]?,
                median: median[i]?,
                high: high[i]?,
            })
        };
        let point = |i: usize| (each * (i + 1) as f64, spread(i));
        (0..median.len()).map(point).collect()
    }
}

impl AtRate {
    pub(crate) fn new(rate: f64, runs: &[Run]) -> Self {
        AtRate {
            rate,
            validation_accuracy: accuracy(runs, |e| e.validation.accuracy),
            diverged: diverged(runs),
            refused: refused(runs),
        }
    }
}

/// Where the runs that diverged did so.
fn diverged(runs: &[Run]) -> Vec<String> {
    let told = runs.iter().filter_map(|run| match run {
        Run::Diverged(diverged) => Some(diverged.to_string()),
        _ => None,
    });
    told.collect()
}

/// What the layers said that refused a run.
fn refused(runs: &[Run]) -> Vec<String> {
    let told = runs.iter().filter_map(|run| match run {
        Run::Refused(message) => Some(message.clone()),
        _ => None,
    });
    told.collect()
}

impl Curves {
    fn new(runs: &[Run], of: Curve) -> Self {
        let scores = runs.iter().map(|run| run.curve().len()).max().unwrap_or(0);
        let at = |i: usize| {
            let there = runs.iter().filter_map(|run| run.curve().get(i));
            Spread::of(&there.map(|epoch| of.of(epoch)).collect::<Vec<f64>>())
        };
        let spreads: Vec<Option<Spread>> = (0..scores).map(at).collect();
        let part = |f: fn(Spread) -> f64| spreads.iter().map(|s| s.map(f)).collect();
        Curves {
            low: part(|s| s.low),
            median: part(|s| s.median),
            high: part(|s| s.high),
        }
    }
}

impl LossAtRate {
    pub(crate) fn new(rate: f64, runs: &[LossRun]) -> Self {
        LossAtRate {
            rate,
            validation_loss: *losses(runs, |run| run.validation),
            diverged: runs.iter().filter(|run| run.validation.is_none()).count(),
        }
    }

    /// A point of a line over the rates; a gap where runs diverged.
    pub(crate) fn point(&self) -> (f64, Option<Spread>) {
        (self.rate, self.validation_loss.finite())
    }
}

impl<S> LossCell<S> {
    fn new(rates: &[f64], swept: &Swept<LossRun>, of: impl FnOnce(&[LossRun]) -> S) -> Self {
        let at = |(&rate, runs): (&f64, &Vec<LossRun>)| LossAtRate::new(rate, runs);
        LossCell {
            of: of(&swept.runs),
            rates: rates.iter().zip(&swept.by_rate).map(at).collect(),
            chosen_rate: rates[swept.chosen],
            chosen_rate_is_at_the_edge_of_the_grid: at_the_edge(swept.chosen, rates.len()),
            validation_loss: losses(&swept.runs, |run| run.validation),
        }
    }

    /// The validation loss at the rate that was picked, of the seeds that picked it.
    pub(crate) fn validation(&self) -> Spread {
        let chosen = self.rates.iter().find(|at| at.rate == self.chosen_rate);
        chosen
            .expect("the chosen rate is one of the grid")
            .validation_loss
    }

    /// The validation loss at each rate; a gap where runs diverged.
    pub(crate) fn over_rates(&self) -> Vec<(f64, Option<Spread>)> {
        self.rates.iter().map(LossAtRate::point).collect()
    }

    /// How many runs diverged, at all rates together.
    pub(crate) fn diverged(&self) -> usize {
        let reported = self.validation_loss.by_seed().iter();
        let reported = reported.filter(|loss| loss.is_infinite()).count();
        reported + self.rates.iter().map(|at| at.diverged).sum::<usize>()
    }

    /// At how many rates the median loss is within this share of the best.
    pub(crate) fn near(&self, share: f64) -> usize {
        let most = (1.0 + share) * self.validation().median;
        let medians = self.rates.iter().map(|at| at.validation_loss.median);
        medians
            .filter(|loss| loss.is_finite() && *loss <= most)
            .count()
    }
}

/// Whether the rate at this place of the grid has others on one side only.
pub(crate) fn at_the_edge(chosen: usize, rates: usize) -> bool {
    chosen == 0 || chosen == rates - 1
}

/// One number at the end, for each run that got there.
fn finals(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Vec<f64> {
    let ends = runs.iter().filter_map(|run| run.curve().last());
    ends.map(of).collect()
}

/// An accuracy at the end; 0 for a run that did not get there.
fn accuracy(runs: &[Run], of: impl Fn(&Epoch) -> f64) -> Spread {
    Spread::over(runs, |run| run.curve().last().map_or(0.0, &of))
}

/// The accuracy on the test part at the end; 0 for a run that did not get there.
pub(crate) fn test_accuracy(run: &Run) -> f64 {
    run.curve().last().map_or(0.0, |end| end.tested().accuracy)
}

/// A loss at the end; infinite for a run that diverged.
pub(crate) fn losses(runs: &[LossRun], of: impl Fn(&LossRun) -> Option<f64>) -> Sample {
    Sample::over(runs, |run| of(run).unwrap_or(f64::INFINITY))
}

/// As if one rate had been tried, from the seeds that are reported of.
#[cfg(test)]
pub(crate) fn at_one_rate<S>(runs: Vec<LossRun>, of: impl FnOnce(&[LossRun]) -> S) -> LossCell<S> {
    let swept = Swept {
        by_rate: vec![runs.clone()],
        chosen: 0,
        runs,
    };
    LossCell::new(&[0.01], &swept, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Score;
    use nn::Diverged;

    /// A run whose validation accuracy and loss are as given, score by score.
    fn run(scores: &[(f64, f64)]) -> Run {
        let epoch = |&(accuracy, loss)| Epoch {
            train_loss: loss,
            validation: Score { loss, accuracy },
            test: Some(Score {
                loss,
                accuracy: accuracy / 2.0,
            }),
        };
        Run::Trained(scores.iter().map(epoch).collect())
    }

    fn stopped() -> Run {
        Run::Diverged(Diverged {
            step: 3,
            place: "the loss".into(),
        })
    }

    fn pick(by_rate: &[Vec<Run>], rule: Rule, target: f64) -> usize {
        choose(by_rate, |runs| merit(runs, rule, Some(target)))
    }

    #[test]
    fn accuracy_picks_the_rate_then_loss_then_the_smaller() {
        let pick = |runs: &[Run]| {
            let by_rate: Vec<Vec<Run>> = runs.iter().map(|run| vec![run.clone()]).collect();
            pick(&by_rate, Rule::Accuracy, 1.0)
        };
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
        assert_eq!(pick(&rates, Rule::Speed, 0.95), 1);
        assert_eq!(pick(&rates, Rule::Accuracy, 0.95), 0);
        // Where nobody gets there, accuracy decides.
        assert_eq!(pick(&rates, Rule::Speed, 0.999), 0);
    }

    #[test]
    fn the_median_decides_and_a_stopped_run_counts_as_nothing_learned() {
        let (good, best) = (run(&[(0.8, 0.5)]), run(&[(1.0, 0.5)]));
        let rates = [
            vec![good.clone(), good.clone(), good.clone()],
            vec![best, stopped(), stopped()],
        ];
        assert_eq!(pick(&rates, Rule::Accuracy, 1.0), 0);
        let at = AtRate::new(0.1, &rates[1]);
        let spread = at.validation_accuracy;
        assert_eq!((spread.low, spread.median, spread.high), (0.0, 0.0, 0.5));
        assert_eq!((at.diverged.len(), at.refused.len()), (2, 0));
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

    #[test]
    fn the_lowest_median_loss_picks_the_rate() {
        let run = |validation: Option<f64>| LossRun {
            validation,
            test: vec![validation.map(|loss| 2.0 * loss)],
        };
        let runs = |losses: [Option<f64>; 3]| losses.map(run).to_vec();
        let by_rate = [
            runs([Some(1.0), Some(1.02), Some(1.5)]),
            runs([Some(1.0), Some(1.0), None]),
            runs([Some(0.1), None, None]),
        ];
        let test = |runs: &[LossRun]| losses(runs, |run| run.test[0]);
        let swept = |by_rate: Vec<Vec<LossRun>>, reported: [Option<f64>; 3]| Swept {
            chosen: lowest_loss(&by_rate),
            by_rate,
            runs: runs(reported),
        };
        let swept_ones = swept(by_rate.into(), [Some(3.0), Some(2.0), None]);
        let cell = LossCell::new(&[0.1, 0.2, 0.3], &swept_ones, test);
        // Picked by some runs, and reported of others.
        assert_eq!((cell.chosen_rate, cell.of.median), (0.2, 6.0));
        assert_eq!(cell.validation_loss.by_seed(), [3.0, 2.0, f64::INFINITY]);
        assert_eq!(cell.validation().median, 1.0);
        assert!(!cell.chosen_rate_is_at_the_edge_of_the_grid);
        assert_eq!((cell.near(0.01), cell.near(0.05)), (1, 2));
        assert_eq!(cell.rates[2].validation_loss.median, f64::INFINITY);
        assert_eq!(cell.over_rates()[2], (0.3, None));
        assert_eq!((cell.rates[2].diverged, cell.diverged()), (2, 4));
        let none = [None; 3];
        let never = LossCell::new(&[0.1], &swept(vec![runs(none)], none), test);
        assert_eq!((never.near(0.05), never.diverged()), (0, 6));
    }
}
