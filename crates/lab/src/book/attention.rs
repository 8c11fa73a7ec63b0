//! One row of attention by hand; what the scale of the scores does to a softmax and to its
//! gradient; and the gradient in a Transformer's blocks before training, by depth and by the
//! place of the norm: chapter 15.

use nn::loss::cross_entropy;
use nn::{BlockSpec, Lengths, Mode, NormKind, NormPlace, TokenModel, TransformerSpec, each_param};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tape::Tape;

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, mean, median};

const SEED: u64 = 15;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    row: Row,
    scores: Scores,
    depth: Depth,
}

/// Position 3 of a causal head whose values are single numbers, with `dO = 1`.
#[derive(Serialize)]
struct Row {
    output: f64,
    places: Vec<Place>,
    /// The sum of the gradients of the scores.
    total: f64,
}

#[derive(Serialize)]
struct Place {
    position: usize,
    score: f64,
    weight: f64,
    value: f64,
    dp: f64,
    ds: f64,
    dv: f64,
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
    let e: Vec<f64> = scores.iter().map(|s| libm::exp(s - largest)).collect();
    let total: f64 = e.iter().sum();
    e.iter().map(|e| e / total).collect()
}

/// The gradient of the scores from that of the weights.
fn softmax_backward(p: &[f64], dp: &[f64]) -> Vec<f64> {
    let along: f64 = p.iter().zip(dp).map(|(p, dp)| p * dp).sum();
    p.iter().zip(dp).map(|(p, dp)| p * (dp - along)).collect()
}

fn row() -> Row {
    let (scores, values, dout) = ([0.0, 1.0, 2.0], [6.0, 1.0, 2.0], 1.0);
    let p = softmax(&scores);
    let dp = values.map(|v| dout * v);
    let ds = softmax_backward(&p, &dp);
    let place = |j: usize| Place {
        position: j + 1,
        score: scores[j],
        weight: p[j],
        value: values[j],
        dp: dp[j],
        ds: ds[j],
        dv: p[j] * dout,
    };
    Row {
        output: p.iter().zip(values).map(|(p, v)| p * v).sum(),
        places: (0..3).map(place).collect(),
        total: ds.iter().sum(),
    }
}

/// Queries and keys of independent numbers of variance 1.
#[derive(Serialize)]
struct Scores {
    keys: usize,
    heads: usize,
    widths: Vec<Width>,
}

/// Medians over heads: the largest weight of a row, and the length of the gradient of the
/// scores `QKᵀ` divided by that of the weights.
#[derive(Serialize)]
struct Width {
    d: usize,
    plain_weight: f64,
    plain_passes: f64,
    scaled_weight: f64,
    scaled_passes: f64,
}

const KEYS: usize = 16;
const HEADS: usize = 301;

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

// ANCHOR: scores
/// For one query and `KEYS` keys of width `d`, drawn with variance 1, and scores multiplied
/// by `scale`: the largest weight, and what is left of the length of a random gradient
/// behind the softmax.
fn one_query(d: usize, scale: f64, draws: &mut Draws) -> (f64, f64) {
    let q = draws.normals(d);
    let score = |_| {
        let k = draws.normals(d);
        scale * q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>()
    };
    let p = softmax(&(0..KEYS).map(score).collect::<Vec<f64>>());
    let dp = draws.normals(KEYS);
    let largest = p.iter().fold(0.0_f64, |m, p| m.max(*p));
    let passes = length(&softmax_backward(&p, &dp)) / length(&dp);
    (largest, passes)
}
// ANCHOR_END: scores

fn scores() -> Scores {
    let width = |d: usize| {
        let of = |scale: f64| {
            let mut draws = Draws::new(SEED + d as u64);
            let all: Vec<(f64, f64)> = (0..HEADS)
                .map(|_| one_query(d, scale, &mut draws))
                .collect();
            let each = |f: fn(&(f64, f64)) -> f64| median(&all.iter().map(f).collect::<Vec<_>>());
            (each(|a| a.0), each(|a| a.1))
        };
        let (plain, scaled) = (of(1.0), of(1.0 / (d as f64).sqrt()));
        Width {
            d,
            plain_weight: plain.0,
            plain_passes: plain.1,
            scaled_weight: scaled.0,
            scaled_passes: scaled.1,
        }
    };
    Scores {
        keys: KEYS,
        heads: HEADS,
        widths: [4, 16, 64, 256, 1024].map(width).into(),
    }
}

/// The length of the gradient for `linear2.weight` of a block, before training.
#[derive(Serialize)]
struct Depth {
    width: usize,
    heads: usize,
    tokens: usize,
    models: u64,
    forms: Vec<Form>,
    road: Road,
}

/// The variance of the road in pre-LN, before training, over the features of a position: at
/// its end, with the most blocks; what each branch has added to the variance of 1 at the
/// start, on average; and by what the gradient of the last block falls from one block to the
/// most, if it goes with one over the deviation at the end of the road.
#[derive(Serialize)]
struct Road {
    variance: f64,
    each_branch: f64,
    predicted: f64,
}

#[derive(Serialize)]
struct Form {
    id: &'static str,
    what: &'static str,
    /// The last block's with the most blocks over that with the fewest.
    last_falls_to: f64,
    depths: Vec<Blocks>,
}

#[derive(Serialize)]
struct Blocks {
    blocks: usize,
    first: f64,
    last: f64,
    /// First over last.
    ratio: f64,
}

const WIDTH: usize = 32;
const TOKENS: usize = 20;
const STEPS: usize = 16;
const MODELS: u64 = 7;
const BLOCKS: [usize; 6] = [1, 2, 4, 8, 16, 32];

// ANCHOR: depth
/// The lengths of the gradients for `linear2.weight`, block by block, of one model before
/// training, on random tokens.
fn by_block(blocks: usize, norm: NormKind, place: NormPlace, seed: u64) -> Vec<f64> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let block = BlockSpec::new(WIDTH, 2).norm(norm, place);
    let mut model = TransformerSpec::new(TOKENS, STEPS, blocks, block).build::<f64>(rng);
    let lengths = Lengths::full(8, STEPS);
    let mut draw = || -> Vec<usize> {
        let tokens = (0..lengths.rows()).map(|_| rng.random_range(0..TOKENS));
        tokens.collect()
    };
    let (tokens, targets) = (draw(), draw());
    let (_, (), grads) = Tape::new().grad(|t| {
        let logits = model.forward(t, &tokens, &lengths, Mode::Train);
        (cross_entropy(&logits, &targets), ())
    });
    let mut found = Vec::new();
    each_param(&mut model, |param| {
        if param.name().ends_with("linear2.weight") {
            found.push(length(grads.of(param).data()));
        }
    });
    found
}
// ANCHOR_END: depth

/// The variance at the end of the road of one pre-LN model before training, on average over
/// positions, on random tokens.
fn road_variance(blocks: usize, seed: u64) -> f64 {
    let rng = &mut StdRng::seed_from_u64(seed);
    let block = BlockSpec::new(WIDTH, 2).norm(NormKind::Layer, NormPlace::Pre);
    let mut model = TransformerSpec::new(TOKENS, STEPS, blocks, block).build::<f64>(rng);
    let lengths = Lengths::full(8, STEPS);
    let tokens: Vec<usize> = (0..lengths.rows())
        .map(|_| rng.random_range(0..TOKENS))
        .collect();
    let last = format!("layers.{}.output", blocks - 1);
    let mut found = None;
    Tape::eval(|t| {
        model.forward_probed(t, &tokens, &lengths, Mode::Train, &mut |name, value| {
            if name.to_string() == last {
                let variance = |row: &[f64]| {
                    let centre = mean(row);
                    mean(&row.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>())
                };
                let rows = value.value().data().chunks(WIDTH).map(variance);
                found = Some(mean(&rows.collect::<Vec<_>>()));
            }
        });
    });
    found.expect("the last block shows its output")
}

fn road() -> Road {
    let variance = |blocks: usize| {
        let each = (0..MODELS).map(|seed| road_variance(blocks, SEED + seed));
        median(&each.collect::<Vec<_>>())
    };
    let (few, many) = (BLOCKS[0], BLOCKS[BLOCKS.len() - 1]);
    let (at_few, at_many) = (variance(few), variance(many));
    Road {
        variance: rounded(at_many),
        each_branch: rounded((at_many - 1.0) / (2 * many) as f64),
        predicted: rounded((at_few / at_many).sqrt()),
    }
}

/// Three digits: the exponential of the tape is that of the system, and its last digit may
/// differ from one to the next.
fn rounded(x: f64) -> f64 {
    let unit = libm::exp10(libm::floor(libm::log10(x)) - 2.0);
    (x / unit).round() * unit
}

fn depth() -> Depth {
    let form = |id, what, norm, place| {
        let depths: Vec<Blocks> = BLOCKS
            .iter()
            .map(|&blocks| {
                let models: Vec<Vec<f64>> = (0..MODELS)
                    .map(|seed| by_block(blocks, norm, place, SEED + seed))
                    .collect();
                let each = |f: &dyn Fn(&Vec<f64>) -> f64| {
                    rounded(median(&models.iter().map(f).collect::<Vec<_>>()))
                };
                Blocks {
                    blocks,
                    first: each(&|m| m[0]),
                    last: each(&|m| m[blocks - 1]),
                    ratio: each(&|m| m[0] / m[blocks - 1]),
                }
            })
            .collect();
        Form {
            id,
            what,
            last_falls_to: rounded(depths[BLOCKS.len() - 1].last / depths[0].last),
            depths,
        }
    };
    Depth {
        width: WIDTH,
        heads: 2,
        tokens: TOKENS,
        models: MODELS,
        forms: vec![
            form("none", "no norm", NormKind::None, NormPlace::Pre),
            form("pre", "pre-LN", NormKind::Layer, NormPlace::Pre),
            form("post", "post-LN", NormKind::Layer, NormPlace::Post),
        ],
        road: road(),
    }
}

pub fn run() -> Output {
    let depth = depth();
    let svg = plot(&depth);
    Output::new(&Results {
        about: "Attention by hand, the scale of its scores, and gradients by depth",
        row: row(),
        scores: scores(),
        depth,
    })
    .plot("ln-depth", svg)
}

fn plot(depth: &Depth) -> String {
    let points = |id: &str, f: fn(&Blocks) -> f64| -> Vec<(f64, f64)> {
        let form = depth.forms.iter().find(|form| form.id == id);
        let form = form.expect("a form");
        form.depths
            .iter()
            .map(|b| (libm::log2(b.blocks as f64), libm::log10(f(b))))
            .collect()
    };
    let ticks = BLOCKS.map(|b| (libm::log2(b as f64), b.to_string())).into();
    let x = Axis {
        caption: "blocks".to_owned(),
        range: (0.0, 5.3),
        ticks,
    };
    let first = points("pre", |b| b.last)[0].1;
    let theory = vec![(0.0, first), (5.0, first - 0.5 * libm::log10(32.0))];
    draw(
        "Gradient of the last block's second linear layer against the number of blocks",
        "Both axes are logarithmic. Without a norm the gradient grows a hundredfold from one \
         block to 32, most of it from eight blocks on. With the norm after the sum it hardly \
         depends on the number of blocks. With the norm in front it falls, but less than a \
         dashed line, one over the root of the number of blocks.",
        &x,
        &Axis::decades("length of the gradient", -2, 2, 1),
        &[
            Series::new(Ink::Muted, Mark::Dashed, theory).label("1/√L", 4.3, -1.5),
            Series::new(Ink::Wrong, Mark::Points, points("none", |b| b.last))
                .label("no norm", 3.9, 1.2),
            Series::new(Ink::Mean, Mark::Points, points("post", |b| b.last))
                .label("post-LN", 4.3, -0.35),
            Series::new(Ink::Accent, Mark::Points, points("pre", |b| b.last))
                .label("pre-LN", 3.1, -1.0),
        ],
    )
}
