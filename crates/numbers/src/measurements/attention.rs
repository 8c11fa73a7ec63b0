//! One row of attention by hand; what the scale of the scores does to a softmax and to its
//! gradient; and the gradient in a Transformer's blocks before training, by depth and by the
//! place of the norm: chapter 15.

use nn::loss::cross_entropy;
use nn::{BlockSpec, Lengths, NormKind, NormPlace, Pass, TokenModel, TransformerSpec, each_param};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tape::{Tape, Var};

use crate::kit::{Measurement, Output, curve, each, number, rows};
use crate::random::{Draws, columns, dot, length, mean, mean_of, median};
use chart::{Axis, Chart, Hue, Ink};

pub const MEASUREMENT: Measurement = Measurement {
    name: "attention",
    chapter: 15,
    about: "a row of attention by hand, the scale of scores, and gradients by depth",
    run,
};

const SEED: u64 = 15;

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
    let e: Vec<f64> = scores.iter().map(|s| libm::exp(s - largest)).collect();
    let total: f64 = e.iter().sum();
    e.iter().map(|e| e / total).collect()
}

/// The gradient of the scores from that of the weights.
fn softmax_backward(p: &[f64], dp: &[f64]) -> Vec<f64> {
    let along = dot(p, dp);
    p.iter().zip(dp).map(|(p, dp)| p * (dp - along)).collect()
}

/// Position 3 of a causal head whose values are single numbers, with `dO = 1`.
fn row() -> Value {
    let (scores, values, dout) = ([0.0, 1.0, 2.0], [6.0, 1.0, 2.0], 1.0);
    let p = softmax(&scores);
    let dp = values.map(|v| dout * v);
    let ds = softmax_backward(&p, &dp);
    let place = |j: usize| {
        json!({
            "position": j + 1,
            "score": scores[j], "weight": p[j], "value": values[j],
            "dp": dp[j], "ds": ds[j], "dv": p[j] * dout,
        })
    };
    json!({
        "output": dot(&p, &values),
        "places": each([0, 1, 2], place),
        // The sum of the gradients of the scores.
        "total": ds.iter().sum::<f64>(),
    })
}

const KEYS: usize = 16;
const HEADS: usize = 301;

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

/// Queries and keys of independent numbers of variance 1. Medians over heads: the largest
/// weight of a row, and the length of the gradient of the scores `QKᵀ` divided by that of the
/// weights.
fn scores() -> Value {
    let width = |d: usize| {
        let of = |scale: f64| {
            let mut draws = Draws::new(SEED + d as u64);
            let heads = (0..HEADS).map(|_| one_query(d, scale, &mut draws).into());
            columns(heads).map(|all| median(&all))
        };
        let ([plain_weight, plain_passes], [scaled_weight, scaled_passes]) =
            (of(1.0), of(1.0 / (d as f64).sqrt()));
        json!({
            "d": d,
            "plain_weight": plain_weight,
            "plain_passes": plain_passes,
            "scaled_weight": scaled_weight,
            "scaled_passes": scaled_passes,
        })
    };
    json!({
        "keys": KEYS,
        "heads": HEADS,
        "widths": each([4, 16, 64, 256, 1024], width),
    })
}

const WIDTH: usize = 32;
const TOKENS: usize = 20;
const STEPS: usize = 16;
const MODELS: u64 = 7;
const BLOCKS: [usize; 6] = [1, 2, 4, 8, 16, 32];

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
    let (_, grads) = Tape::new().grad(|t| {
        let logits = model.train(t, &tokens, &lengths);
        cross_entropy(&logits, &targets)
    });
    let mut found = Vec::new();
    each_param(&mut model, |param| {
        if param.name().ends_with("linear2.weight") {
            found.push(length(grads.of(param).data()));
        }
    });
    found
}

/// What the road of a pre-LN model looks like before training: variances over the features of a
/// position, on average over positions, on random tokens.
struct Road {
    /// At its end.
    end: f64,
    /// Of what each attention adds, block by block.
    attention: Vec<f64>,
    /// Of what each pair of linear layers adds.
    linear: Vec<f64>,
}

impl Road {
    fn of(blocks: usize, seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let block = BlockSpec::new(WIDTH, 2).norm(NormKind::Layer, NormPlace::Pre);
        let model = TransformerSpec::new(TOKENS, STEPS, blocks, block).build::<f64>(rng);
        let lengths = Lengths::full(8, STEPS);
        let tokens: Vec<usize> = (0..lengths.rows())
            .map(|_| rng.random_range(0..TOKENS))
            .collect();
        let mut road = Road {
            end: 0.0,
            attention: Vec::new(),
            linear: Vec::new(),
        };
        let mut look = |name: &str, value: &Var<'_, f64>| {
            let variance = || {
                mean_of(value.value().data().chunks(WIDTH), |row| {
                    let centre = mean(row);
                    mean_of(row, |x| (x - centre).powi(2))
                })
            };
            match name.rsplit_once('.') {
                Some((_, "self_attn")) => road.attention.push(variance()),
                Some((_, "linear2")) => road.linear.push(variance()),
                Some((_, "output")) => road.end = variance(),
                _ => {}
            }
        };
        Tape::eval(|t| {
            model.forward(t, &tokens, &lengths, &mut Pass::train().probed(&mut look));
        });
        road
    }
}

/// What the linear layers of a fresh block make of a position with variance 1: PyTorch draws
/// weights and biases of variance 1/(3 fan_in), a GELU stands between them, and a variance over
/// E features is smaller by 1/E than that about the true mean.
fn linear_predicted() -> f64 {
    let [width, hidden] = [WIDTH as f64, 4.0 * WIDTH as f64];
    let inside = ((1.0 + 1.0 / width) / 3.0).sqrt();
    // E[gelu(z)^2] for normal z of this deviation, at the midpoints of equal steps.
    let steps = (-4000..4000).map(|i| (f64::from(i) + 0.5) / 500.0);
    let (mut sum, mut weights) = (0.0, 0.0);
    for z in steps {
        let (x, weight) = (inside * z, libm::exp(-0.5 * z * z));
        let gelu = 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
        sum += weight * gelu * gelu;
        weights += weight;
    }
    (sum / weights + 1.0 / hidden) / 3.0 * (1.0 - 1.0 / width)
}

/// What the attention of the first block makes of positions with variance 1, if it looks at all
/// that it may see alike: weights of variance 1/(2E) on the way in and of 1/(3E) on the way out,
/// of a mean over t positions, in which half of what a position holds is its token, and two have
/// the same with a probability of one over the tokens.
fn attention_predicted() -> f64 {
    let alike = 0.5 / TOKENS as f64;
    let square_of_mean = |t: usize| 1.0 / t as f64 + (1.0 - 1.0 / t as f64) * alike;
    let squares: Vec<f64> = (1..=STEPS).map(square_of_mean).collect();
    mean(&squares) / 6.0 * (1.0 - 1.0 / WIDTH as f64)
}

/// The variance of the road in pre-LN, before training, over the features of a position: at
/// its end, with the most blocks; what each branch has added to the variance of 1 at the
/// start, on average; what the branches have by themselves, and what is predicted of that; and by
/// what the gradient of the last block falls from one block to the most, if it goes with one over
/// the deviation at the end of the road.
fn road() -> Value {
    let roads = |blocks: usize| -> Vec<Road> {
        let each = (0..MODELS).map(|seed| Road::of(blocks, SEED + seed));
        each.collect()
    };
    let of = |roads: &[Road], what: &dyn Fn(&Road) -> f64| {
        median(&roads.iter().map(what).collect::<Vec<_>>())
    };
    let (few, many) = (BLOCKS[0], BLOCKS[BLOCKS.len() - 1]);
    let (short, long) = (roads(few), roads(many));
    let (at_few, at_many) = (of(&short, &|road| road.end), of(&long, &|road| road.end));
    json!({
        "variance": rounded(at_many),
        "each_branch": rounded((at_many - 1.0) / (2 * many) as f64),
        "attention_first": rounded(of(&long, &|road| road.attention[0])),
        "attention_last": rounded(of(&long, &|road| road.attention[many - 1])),
        "attention_predicted": rounded(attention_predicted()),
        "linear": rounded(of(&long, &|road| mean(&road.linear))),
        "linear_predicted": rounded(linear_predicted()),
        "branches": rounded(of(&long, &|road| 0.5 * (mean(&road.attention) + mean(&road.linear)))),
        "predicted": rounded((at_few / at_many).sqrt()),
    })
}

/// Three digits: the exponential of the tape is that of the system, and its last digit may
/// differ from one to the next.
fn rounded(x: f64) -> f64 {
    let unit = libm::exp10(libm::floor(libm::log10(x)) - 2.0);
    (x / unit).round() * unit
}

/// The length of the gradient for `linear2.weight` of the first block and the last, before
/// training.
fn blocks(blocks: usize, norm: NormKind, place: NormPlace) -> Value {
    let models = (0..MODELS).map(|seed| {
        let lengths = by_block(blocks, norm, place, SEED + seed);
        let (first, last) = (lengths[0], lengths[blocks - 1]);
        [first, last, first / last]
    });
    let [first, last, ratio] = columns(models).map(|all| rounded(median(&all)));
    json!({ "blocks": blocks, "first": first, "last": last, "ratio": ratio })
}

fn form(id: &str, what: &str, norm: NormKind, place: NormPlace) -> Value {
    let depths = BLOCKS.map(|count| blocks(count, norm, place));
    let last = |depth: usize| number(&depths[depth], "last");
    json!({
        "id": id,
        "what": what,
        // The last block's with the most blocks over that with the fewest.
        "last_falls_to": rounded(last(BLOCKS.len() - 1) / last(0)),
        "depths": depths,
    })
}

fn run() -> Output {
    let forms = [
        form("none", "no norm", NormKind::None, NormPlace::Pre),
        form("pre", "pre-LN", NormKind::Layer, NormPlace::Pre),
        form("post", "post-LN", NormKind::Layer, NormPlace::Post),
    ];
    Output::new(json!({
        "about": "Attention by hand, the scale of its scores, and gradients by depth",
        "row": row(),
        "scores": scores(),
        "depth": {
            "width": WIDTH,
            "heads": 2,
            "tokens": TOKENS,
            "models": MODELS,
            "forms": forms,
            "road": road(),
        },
    }))
    .plot("ln-depth", plot(&forms))
}

fn plot([none, pre, post]: &[Value; 3]) -> Chart {
    let points = |form: &Value| curve(rows(&form["depths"]), "blocks", "last");
    let first = points(pre)[0].1;
    let theory = BLOCKS.map(|blocks| (blocks as f64, first / (blocks as f64).sqrt()));
    Chart::new(
        "Gradient of the last block's second linear layer against the number of blocks",
        "Both axes are logarithmic. Without a norm the gradient grows a hundredfold from one \
         block to 32, most of it from eight blocks on. With the norm after the sum it hardly \
         depends on the number of blocks. With the norm in front it falls, but less than a \
         dashed line, one over the root of the number of blocks.",
        Axis::log("blocks", 1.0, 40.0),
        Axis::log("length of the gradient", 1e-2, 1e2),
    )
    .line("1/√L", Ink::Theory, theory)
    .line("no norm", Ink::Dots(Hue::Wrong), points(none))
    .line("post-LN", Ink::Dots(Hue::Mean), points(post))
    .line("pre-LN", Ink::Dots(Hue::Accent), points(pre))
}
