//! How often the rule of chapter 16 finds a difference by chance, and how often one that is
//! there.

use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each};
use crate::random::Draws;
use lab::{Apart, CHANCE, Options, Paired, Sample, may_be_against};

pub const MEASUREMENT: Measurement = Measurement {
    name: "by_chance",
    chapter: 16,
    about: "how often two methods are clearly apart by chance, counted and drawn",
    run,
};

const SEED: u64 = 16;
const DRAWS: usize = 2000;

/// How many of the ways in which so many pairs can come out the rule calls clear in one
/// direction, by the sum of the chapter. In `f64`, where all terms are exact.
fn ways(seeds: usize) -> Value {
    let choose = |k: usize| (0..k).fold(1.0, |c, i| c * (seeds - i) as f64 / (i + 1) as f64);
    let against = may_be_against(seeds);
    let clear = against.map_or(0.0, |against| (0..=against).map(choose).sum::<f64>());
    json!({
        "seeds": seeds,
        "against": against,
        "ways": 2.0_f64.powi(seeds as i32),
        "above": clear,
    })
}

/// The same, and what the code says of every way.
fn asked(seeds: usize) -> Value {
    let ahead = |way: u32, k: usize| f64::from(way >> k & 1);
    let said = (0_u32..1 << seeds).map(|way| {
        let a: Vec<f64> = (0..seeds).map(|k| ahead(way, k)).collect();
        let b: Vec<f64> = a.iter().map(|a| 1.0 - a).collect();
        Paired::differences(&a, &b).apart()
    });
    let said: Vec<Apart> = said.collect();
    let times = |wanted: Apart| said.iter().filter(|said| **said == wanted).count();
    json!({
        "seeds": seeds,
        "sum": ways(seeds),
        "ways": said.len(),
        "below": times(Apart::Below),
        "above": times(Apart::Above),
    })
}

/// Two methods whose results, less what the seed makes of both, are normal and lie this many
/// deviations apart. How often the rule sees it; and how often the interval holds the distance.
fn seen(distance: f64, seeds: usize, draws: &mut Draws) -> Value {
    let (mut above, mut held) = (0, 0);
    for _ in 0..DRAWS {
        let [a, b, of_seed] = [0, 1, 2].map(|_| draws.normals(seeds));
        // What is hard for one seed is hard for both methods, and by far more than they differ.
        let with = |own: &[f64], more: f64| -> Vec<f64> {
            let both = own.iter().zip(&of_seed);
            both.map(|(own, seed)| own + 5.0 * seed + more).collect()
        };
        let paired = Paired::differences(&with(&a, distance), &with(&b, 0.0));
        above += usize::from(paired.apart() == Apart::Above);
        held += usize::from(paired.low < distance && distance < paired.high);
    }
    json!({ "distance": distance, "draws": DRAWS, "above": above, "interval_holds": held })
}

/// Two methods whose results are normal, of which the first scatters this many times as much as
/// the second. How often each is called clearly the steadier, as C11 asks: by how far every
/// seed's result is from the median of its method.
fn steadier(scatter: f64, seeds: usize, draws: &mut Draws) -> Value {
    let off = |results: Vec<f64>| {
        let middle = Sample::over(&results, |x| *x).median;
        Sample::over(&results, |x| (x - middle).abs())
    };
    let said = (0..DRAWS).map(|_| {
        let [steady, other] = [scatter, 1.0].map(|by| {
            let results = draws.normals(seeds).iter().map(|x| by * x).collect();
            off(results)
        });
        steady.seen_from(&other)
    });
    let said: Vec<Apart> = said.collect();
    let times = |wanted: Apart| said.iter().filter(|said| **said == wanted).count();
    json!({ "scatter": scatter, "draws": DRAWS, "first": times(Apart::Below),
        "second": times(Apart::Above) })
}

fn run() -> Output {
    let seeds = Options::default().seed_count();
    let mut draws = Draws::new(SEED);
    Output::new(json!({
        "about": "How often two methods are clearly apart, by chance and not",
        "seed": SEED,
        "chance": CHANCE,
        // Few seeds, for which the code is asked about every way.
        "asked": each([5, 7, 13], asked),
        // The seeds of the experiments.
        "seeds": ways(seeds),
        "seen": each([0.0, 0.5, 1.0, 1.5, 2.0], |distance| seen(distance, seeds, &mut draws)),
        "steadier": each([1.0, 0.5, 1.0 / 3.0, 0.1], |scatter| {
            steadier(scatter, seeds, &mut draws)
        }),
    }))
}
