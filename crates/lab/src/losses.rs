//! Sweeps over learning rates where what counts is a loss, not an accuracy: the models of
//! sequences.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::experiment::Error;
use crate::session::Session;
use crate::stats::Spread;

/// How the learning rate is picked.
pub(crate) const RATE_RULE: &str = "lowest median validation loss after the last epoch over the \
                                    seeds, then the smaller rate; a diverged run is infinitely bad";

/// What came of one training; `None` is a loss that is not finite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LossRun {
    /// The validation loss at the end.
    pub(crate) validation: Option<f64>,
    /// The test losses at the end, one for each thing that is tested.
    pub(crate) test: Vec<Option<f64>>,
}

/// All runs of what is compared with others.
pub(crate) struct LossCell<C> {
    /// What it is.
    pub(crate) of: C,
    rates: Vec<f64>,
    by_rate: Vec<Vec<LossRun>>,
    chosen: usize,
}

/// Trains every form at every rate from every seed, and picks the rate of each form.
///
/// # Errors
/// When the journal of the session cannot be written.
pub(crate) fn sweep_losses<C: Copy + Display + Sync>(
    session: &mut Session,
    forms: &[C],
    rates: &[f64],
    train: impl Fn(C, f64, u64) -> LossRun + Sync,
) -> Result<Vec<LossCell<C>>, Error> {
    let seeds = session.seeds().to_vec();
    let mut jobs = Vec::new();
    for &form in forms {
        for &rate in rates {
            jobs.extend(seeds.iter().map(|&seed| (form, rate, seed)));
        }
    }
    session.begin(jobs.len())?;
    let key = |(form, rate, seed): &(C, f64, u64)| format!("{form} {rate} {seed}");
    let runs = session.map(&jobs, key, |&(form, rate, seed)| train(form, rate, seed))?;
    let mut by_rate = runs.chunks(seeds.len()).map(<[LossRun]>::to_vec);
    let cell = |&of| LossCell::new(of, rates, by_rate.by_ref().take(rates.len()).collect());
    Ok(forms.iter().map(cell).collect())
}

fn spread(runs: &[LossRun], of: impl Fn(&LossRun) -> Option<f64>) -> Spread {
    let all: Vec<f64> = runs
        .iter()
        .map(|run| of(run).unwrap_or(f64::INFINITY))
        .collect();
    Spread::of(&all).expect("there is a seed")
}

fn diverged(runs: &[LossRun]) -> usize {
    runs.iter().filter(|run| run.validation.is_none()).count()
}

impl<C> LossCell<C> {
    pub(crate) fn new(of: C, rates: &[f64], by_rate: Vec<Vec<LossRun>>) -> Self {
        let merit = |i: &usize| spread(&by_rate[*i], |run| run.validation).median;
        let all = 0..rates.len();
        let chosen = all.min_by(|a, b| merit(a).total_cmp(&merit(b)));
        LossCell {
            of,
            rates: rates.to_vec(),
            chosen: chosen.expect("the grid has a rate"),
            by_rate,
        }
    }

    /// The rate that validation picked.
    pub(crate) fn rate(&self) -> f64 {
        self.rates[self.chosen]
    }

    /// The validation loss at each rate; infinite where runs diverged.
    pub(crate) fn validation_by_rate(&self) -> Vec<Spread> {
        let of = |runs: &Vec<LossRun>| spread(runs, |run| run.validation);
        self.by_rate.iter().map(of).collect()
    }

    /// The validation loss at the chosen rate.
    pub(crate) fn validation(&self) -> Spread {
        spread(&self.by_rate[self.chosen], |run| run.validation)
    }

    /// One of the test losses at the chosen rate.
    pub(crate) fn test(&self, which: usize) -> Spread {
        spread(&self.by_rate[self.chosen], |run| run.test[which])
    }

    /// How many runs diverged, at all rates together.
    pub(crate) fn diverged(&self) -> usize {
        self.by_rate.iter().map(|runs| diverged(runs)).sum()
    }

    /// At how many rates the median loss is within this share of the best.
    pub(crate) fn near(&self, share: f64) -> usize {
        let most = (1.0 + share) * self.validation().median;
        let near = |s: &Spread| s.median.is_finite() && s.median <= most;
        self.validation_by_rate().iter().filter(|s| near(s)).count()
    }

    /// All that every experiment says of a cell.
    pub(crate) fn data(&self) -> Value {
        let rates = self.rates.iter().zip(&self.by_rate).map(|(rate, runs)| {
            json!({ "rate": rate, "validation_loss": spread(runs, |run| run.validation),
                "diverged": diverged(runs) })
        });
        let last = self.rates.len() - 1;
        json!({
            "rates": rates.collect::<Vec<Value>>(),
            "chosen_rate": self.rate(),
            "chosen_rate_is_at_the_edge_of_the_grid": self.chosen == 0 || self.chosen == last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_median_loss_picks_the_rate() {
        let run = |validation: Option<f64>| LossRun {
            validation,
            test: vec![validation.map(|loss| 2.0 * loss)],
        };
        let runs = |losses: [Option<f64>; 3]| losses.map(run).to_vec();
        let by_rate = vec![
            runs([Some(1.0), Some(1.02), Some(1.5)]),
            runs([Some(1.0), Some(1.0), None]),
            runs([Some(0.1), None, None]),
        ];
        let cell = LossCell::new("x", &[0.1, 0.2, 0.3], by_rate);
        assert_eq!(cell.rate(), 0.2);
        assert_eq!(cell.validation().median, 1.0);
        assert_eq!(cell.test(0).median, 2.0);
        assert_eq!((cell.near(0.01), cell.near(0.05)), (1, 2));
        assert_eq!(cell.validation_by_rate()[2].median, f64::INFINITY);
        assert_eq!(cell.data()["rates"][2]["diverged"], json!(2));
        assert_eq!(cell.diverged(), 3);
        let never = LossCell::new("x", &[0.1], vec![runs([None, None, None])]);
        assert_eq!((never.near(0.05), never.diverged()), (0, 3));
    }
}
