//! Batches of one size against batches that vary, seed by seed.
//!
//! Nothing is trained here: the accuracies are those of the experiment `varying`. A seed
//! gives a method the same weights at every size, so the runs come in pairs, and pairs show
//! what two overlapping spreads hide.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each, numbers, row_where};
use crate::random::{mean, median};

pub const MEASUREMENT: Measurement = Measurement {
    name: "paired",
    chapter: 11,
    about: "what batches that vary take from test accuracy, seed by seed",
    run,
};

const VARYING: &str = include_str!("../../../../book/results/varying.json");

/// The methods, and what a text calls them.
const METHODS: [(&str, &str); 3] = [
    ("none", "no norm"),
    ("batch", "Batch Norm"),
    ("layer", "Layer Norm"),
];

/// The probability of `heads` or more in `tosses` of a fair coin.
fn at_least(heads: usize, tosses: usize) -> f64 {
    let ways = |k: usize| (0..k).fold(1.0, |c, i| c * (tosses - i) as f64 / (i + 1) as f64);
    let favourable: f64 = (heads..=tosses).map(ways).sum();
    favourable / 2.0_f64.powi(tosses as i32)
}

fn by_seed(results: &Value, cell: &str) -> Vec<f64> {
    let setting = row_where(&results["data"]["settings"], "cell", cell);
    numbers(&setting["test_accuracy_by_seed"])
}

/// By how much the accuracy of each seed falls, rounded far below one test digit: losses
/// that are equal shall be the same number.
fn losses(results: &Value, method: &str, fixed: &str, varying: &str) -> Vec<f64> {
    let [fixed, varying] =
        [fixed, varying].map(|sizes| by_seed(results, &format!("{method}-{sizes}")));
    let pairs = fixed.iter().zip(&varying);
    pairs.map(|(a, b)| ((a - b) * 1e9).round() / 1e9).collect()
}

/// How many numbers are larger than those beside them, how many smaller, and how often at
/// least as many of those that differ would be larger, if each were so with equal chance.
fn compared(a: &[f64], b: &[f64]) -> (usize, usize, f64) {
    let count = |order| {
        let pairs = a.iter().zip(b);
        pairs
            .filter(|(a, b)| a.partial_cmp(b) == Some(order))
            .count()
    };
    let (more, less) = (count(Ordering::Greater), count(Ordering::Less));
    (more, less, at_least(more, more + less))
}

/// Sizes with one average: all of that size, and drawn anew for each batch.
fn average(results: &Value, average: u64, varying: &str) -> Value {
    let all = METHODS.map(|(id, _)| losses(results, id, &average.to_string(), varying));
    let method = |k: usize| {
        let losses = &all[k];
        let (lower, higher, by_chance) = compared(losses, &vec![0.0; losses.len()]);
        json!({
            "method": METHODS[k].1,
            // At how many seeds the test accuracy is lower, and higher.
            "lower": lower,
            "higher": higher,
            "median_loss": median(losses),
            "mean_loss": mean(losses),
            "by_chance": by_chance,
        })
    };
    let (batch_loses_more, _, by_chance) = compared(&all[1], &all[2]);
    json!({
        "average": average,
        "methods": each([0, 1, 2], method),
        // At how many seeds Batch Norm loses more than Layer Norm.
        "batch_loses_more": batch_loses_more,
        "by_chance": by_chance,
    })
}

fn run() -> Output {
    let results: Value = serde_json::from_str(VARYING).expect("results are JSON");
    Output::new(json!({
        "about": "What batches that vary take from test accuracy, seed by seed",
        "seeds": by_seed(&results, "batch-32").len(),
        "averages": [average(&results, 5, "2-to-8"), average(&results, 32, "2-to-62")],
    }))
}
