//! Batches of one size against batches that vary, seed by seed.
//!
//! Nothing is trained here: the accuracies are those of the experiment `varying`. A seed
//! gives a method the same weights at every size, so the runs come in pairs, and pairs show
//! what two overlapping spreads hide.

use serde::Serialize;
use serde_json::Value;

use super::Output;
use super::random::{mean, median};

const VARYING: &str = include_str!("../../results/varying.json");

/// The methods, and what a text calls them.
const METHODS: [(&str, &str); 3] = [
    ("none", "no norm"),
    ("batch", "Batch Norm"),
    ("layer", "Layer Norm"),
];

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seeds: usize,
    averages: Vec<Average>,
}

/// Sizes with one average: all of that size, and drawn anew for each batch.
#[derive(Serialize)]
struct Average {
    average: u64,
    methods: Vec<Method>,
    /// At how many seeds Batch Norm loses more than Layer Norm, and how often as many or
    /// more would by chance.
    batch_loses_more: usize,
    by_chance: f64,
}

/// What a method loses when the size varies, over the seeds.
#[derive(Serialize)]
struct Method {
    method: &'static str,
    /// At how many seeds the test accuracy is lower, and higher.
    lower: usize,
    higher: usize,
    median_loss: f64,
    mean_loss: f64,
    /// How often at least as many of the seeds that differ would be lower, if each were
    /// lower or higher with equal chance.
    by_chance: f64,
}

/// The probability of `heads` or more in `tosses` of a fair coin.
fn at_least(heads: usize, tosses: usize) -> f64 {
    let ways = |k: usize| (0..k).fold(1.0, |c, i| c * (tosses - i) as f64 / (i + 1) as f64);
    let favourable: f64 = (heads..=tosses).map(ways).sum();
    favourable / 2.0_f64.powi(tosses as i32)
}

fn by_seed(results: &Value, cell: &str) -> Vec<f64> {
    let settings = results["data"]["settings"].as_array().expect("settings");
    let found = settings.iter().find(|s| s["cell"] == cell);
    let list = found.expect("the setting")["test_accuracy_by_seed"].as_array();
    let number = |value: &Value| value.as_f64().expect("an accuracy");
    list.expect("one for each seed")
        .iter()
        .map(number)
        .collect()
}

/// By how much the accuracy of each seed falls, rounded far below one test digit: losses
/// that are equal shall be the same number.
fn losses(results: &Value, method: &str, fixed: &str, varying: &str) -> Vec<f64> {
    let [fixed, varying] =
        [fixed, varying].map(|sizes| by_seed(results, &format!("{method}-{sizes}")));
    let pairs = fixed.iter().zip(&varying);
    pairs.map(|(a, b)| ((a - b) * 1e9).round() / 1e9).collect()
}

fn average(results: &Value, average: u64, varying: &str) -> Average {
    let all = METHODS.map(|(id, _)| losses(results, id, &average.to_string(), varying));
    let method = |(k, losses): (usize, &Vec<f64>)| {
        let lower = losses.iter().filter(|l| **l > 0.0).count();
        let higher = losses.iter().filter(|l| **l < 0.0).count();
        Method {
            method: METHODS[k].1,
            lower,
            higher,
            median_loss: median(losses),
            mean_loss: mean(losses),
            by_chance: at_least(lower, lower + higher),
        }
    };
    let pairs = all[1].iter().zip(&all[2]);
    let more = pairs.clone().filter(|(b, l)| b > l).count();
    let less = pairs.filter(|(b, l)| b < l).count();
    Average {
        average,
        methods: all.iter().enumerate().map(method).collect(),
        batch_loses_more: more,
        by_chance: at_least(more, more + less),
    }
}

pub fn run() -> Output {
    let results: Value = serde_json::from_str(VARYING).expect("results are JSON");
    Output::new(&Results {
        about: "What batches that vary take from test accuracy, seed by seed",
        seeds: by_seed(&results, "batch-32").len(),
        averages: vec![
            average(&results, 5, "2-to-8"),
            average(&results, 32, "2-to-62"),
        ],
    })
}
