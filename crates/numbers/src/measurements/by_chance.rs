//! How often the rule of chapter 16 finds a difference by chance, and how often one that is
//! there.

use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each};
use crate::random::Draws;
use chart::{Apart, Spread};
use lab::Options;

pub const MEASUREMENT: Measurement = Measurement {
    name: "by_chance",
    chapter: 16,
    about: "how often two sets of results are clearly apart by chance, counted and drawn",
    run,
};

const SEED: u64 = 16;
const DRAWS: usize = 2000;

/// Words of so many letters A and as many B, and in how many of them the third quartile of
/// A comes before the first of B, by the sum of the chapter. In `f64`, where all terms are
/// exact.
fn words(seeds: u64) -> Value {
    let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    let third = 3 * (seeds - 1) / 4 + 1;
    let below = (third..=seeds).map(|k| choose(seeds, k) * choose(seeds, seeds - k));
    json!({
        "seeds": seeds,
        "words": choose(2 * seeds, seeds),
        "below": below.sum::<f64>(),
    })
}

fn apart(a: &[f64], b: &[f64]) -> Apart {
    let [a, b] = [a, b].map(|s| Spread::of(s).expect("there are values"));
    a.seen_from(b)
}

/// The same, and what the code says.
fn asked(seeds: u64) -> Value {
    let letters = 2 * seeds as u32;
    let words_of = (0_u32..1 << letters).filter(|word| u64::from(word.count_ones()) == seeds);
    let said = words_of.map(|word| {
        let [a, b] = [1, 0].map(|wanted| -> Vec<f64> {
            let places = (0..letters).filter(|k| word >> k & 1 == wanted);
            places.map(f64::from).collect()
        });
        apart(&a, &b)
    });
    let said: Vec<Apart> = said.collect();
    let times = |wanted: Apart| said.iter().filter(|said| **said == wanted).count();
    json!({
        "seeds": seeds,
        "sum": words(seeds),
        "words": said.len(),
        "below": times(Apart::Below),
        "above": times(Apart::Above),
    })
}

/// Two methods whose normal results lie this many deviations apart.
fn seen(distance: f64, seeds: usize, draws: &mut Draws) -> Value {
    let below = (0..DRAWS).filter(|_| {
        let a = draws.normals(seeds);
        let b: Vec<f64> = draws.normals(seeds).iter().map(|x| x + distance).collect();
        apart(&a, &b) == Apart::Below
    });
    json!({ "distance": distance, "draws": DRAWS, "below": below.count() })
}

fn run() -> Output {
    let seeds = Options::default().seed_count();
    let mut draws = Draws::new(SEED);
    Output::new(json!({
        "about": "How often two sets of results are clearly apart, by chance and not",
        "seed": SEED,
        // Few seeds, for which the code is asked about every word.
        "asked": each([5, 9], asked),
        // The seeds of the experiments.
        "seeds": words(seeds as u64),
        "seen": each([1.0, 2.0], |distance| seen(distance, seeds, &mut draws)),
    }))
}
