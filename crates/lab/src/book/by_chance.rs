//! How often the rule of chapter 16 finds a difference by chance, and how often one that is
//! there.

use serde::Serialize;

use super::Output;
use super::random::Draws;
use crate::Options;
use crate::stats::{Apart, Spread};

const SEED: u64 = 16;
const DRAWS: usize = 2000;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    seed: u64,
    /// Few seeds, for which the code is asked about every word.
    asked: Vec<Asked>,
    /// The seeds of the experiments.
    seeds: Words,
    /// Two methods whose normal results lie this many deviations apart.
    seen: Vec<Seen>,
}

/// Words of so many letters A and as many B, and in how many of them the third quartile of
/// A comes before the first of B, by the sum of the chapter.
#[derive(Serialize)]
struct Words {
    seeds: u64,
    words: f64,
    below: f64,
}

/// The same, and what the code says.
#[derive(Serialize)]
struct Asked {
    seeds: u64,
    sum: Words,
    words: usize,
    below: usize,
    above: usize,
}

#[derive(Serialize)]
struct Seen {
    distance: f64,
    draws: usize,
    below: usize,
}

/// In `f64`, where all terms are exact.
fn words(seeds: u64) -> Words {
    let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    let third = 3 * (seeds - 1) / 4 + 1;
    let below = (third..=seeds).map(|k| choose(seeds, k) * choose(seeds, seeds - k));
    Words {
        seeds,
        words: choose(2 * seeds, seeds),
        below: below.sum(),
    }
}

fn apart(a: &[f64], b: &[f64]) -> Apart {
    let [a, b] = [a, b].map(|s| Spread::of(s).expect("there are values"));
    a.seen_from(b)
}

fn asked(seeds: u64) -> Asked {
    let mut asked = Asked {
        seeds,
        sum: words(seeds),
        words: 0,
        below: 0,
        above: 0,
    };
    let letters = 2 * seeds as u32;
    for word in 0_u32..1 << letters {
        if u64::from(word.count_ones()) != seeds {
            continue;
        }
        asked.words += 1;
        let of = |wanted: bool| -> Vec<f64> {
            let places = (0..letters).filter(|k| (word >> k & 1 == 1) == wanted);
            places.map(f64::from).collect()
        };
        match apart(&of(true), &of(false)) {
            Apart::Below => asked.below += 1,
            Apart::Above => asked.above += 1,
            Apart::Unclear => {}
        }
    }
    asked
}

fn seen(distance: f64, seeds: usize, draws: &mut Draws) -> Seen {
    let below = (0..DRAWS).filter(|_| {
        let a = draws.normals(seeds);
        let b: Vec<f64> = draws.normals(seeds).iter().map(|x| x + distance).collect();
        apart(&a, &b) == Apart::Below
    });
    Seen {
        distance,
        draws: DRAWS,
        below: below.count(),
    }
}

pub fn run() -> Output {
    let seeds = Options::default().seed_count();
    let mut draws = Draws::new(SEED);
    Output::new(&Results {
        about: "How often two sets of results are clearly apart, by chance and not",
        seed: SEED,
        asked: [5, 9].map(asked).into(),
        seeds: words(seeds as u64),
        seen: [1.0, 2.0]
            .map(|distance| seen(distance, seeds, &mut draws))
            .into(),
    })
}
