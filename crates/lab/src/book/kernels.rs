//! What a kernel reads, keeps and adds up: Batch Norm composed of ops beside the fused
//! one, and sums in `f32` in three orders.

use batchnorm::{composed, op};
use serde::Serialize;
use tape::{Param, Tape, Tensor, Var, lanes};

use super::Output;
use super::plot::{Axis, Ink, Mark, Series, draw};
use super::random::{Draws, median};

const SHAPE: [usize; 4] = [8, 16, 12, 12];
const EPS: f64 = 1e-5;
const SEEDS: u64 = 11;
/// Values that the kernel for planes adds up in `f32` before it goes on in `f64`.
const BLOCK: usize = 4096;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    forms: Vec<Form>,
    lanes: usize,
    block: usize,
    seeds: u64,
    sums: Vec<Sum>,
}

/// What one form of Batch Norm records and keeps for its backward pass.
#[derive(Serialize)]
struct Form {
    form: &'static str,
    records: usize,
    /// What is kept, in arrays of the size of `x`, `x` itself included.
    arrays: f64,
}

/// The relative error of a sum of `n` values between 0 and 1, median over the seeds.
#[derive(Serialize)]
struct Sum {
    n: usize,
    one_by_one: f64,
    in_lanes: f64,
    in_blocks: f64,
}

type Norm = for<'t> fn(&Var<'t, f32>, &Var<'t, f32>, &Var<'t, f32>) -> Var<'t, f32>;

fn form(form: &'static str, norm: Norm) -> Form {
    let x = Param::new("x", Tensor::from_fn(SHAPE, |i| (i % 7) as f32));
    let [gamma, beta] = ["gamma", "beta"].map(|name| Param::new(name, Tensor::ones([SHAPE[1]])));
    let mut kept = (0, 0);
    Tape::new().grad(|t| {
        let (x, gamma, beta) = (t.param(&x), t.param(&gamma), t.param(&beta));
        let before = t.len();
        let y = norm(&x, &gamma, &beta);
        kept = (t.len() - before, t.saved_bytes());
        (y.sum_all(), ())
    });
    Form {
        form,
        records: kept.0,
        arrays: kept.1 as f64 / x.value().bytes() as f64,
    }
}

fn sum(n: usize) -> Sum {
    let mut errors: [Vec<f64>; 3] = Default::default();
    for seed in 0..SEEDS {
        let mut draws = Draws::new(seed);
        let x: Vec<f32> = (0..n).map(|_| draws.uniform(0.0, 1.0) as f32).collect();
        let truth: f64 = x.iter().map(|&x| f64::from(x)).sum();
        let one_by_one: f32 = x.iter().sum();
        let in_blocks: f64 = x.chunks(BLOCK).map(|b| f64::from(lanes::sum(b))).sum();
        let sums = [f64::from(one_by_one), f64::from(lanes::sum(&x)), in_blocks];
        for (errors, sum) in errors.iter_mut().zip(sums) {
            errors.push((sum / truth - 1.0).abs());
        }
    }
    Sum {
        n,
        one_by_one: median(&errors[0]),
        in_lanes: median(&errors[1]),
        in_blocks: median(&errors[2]),
    }
}

pub fn run() -> Output {
    let sums: Vec<Sum> = (2..=10).map(|k| sum(1 << (2 * k))).collect();
    let svg = plot(&sums);
    Output::new(&Results {
        about: "What Batch Norm keeps, composed and fused, and sums in three orders",
        forms: vec![
            form("composed of ops", |x, gamma, beta| {
                composed::batch_norm(x, gamma, beta, EPS)
            }),
            form("fused", |x, gamma, beta| {
                op::batch_norm(x, gamma, beta, EPS).0
            }),
        ],
        lanes: lanes::LANES,
        block: BLOCK,
        seeds: SEEDS,
        sums,
    })
    .plot("sums", svg)
}

fn plot(sums: &[Sum]) -> String {
    let curve = |error: fn(&Sum) -> f64| -> Vec<(f64, f64)> {
        sums.iter()
            .filter(|s| error(s) > 0.0)
            .map(|s| (libm::log2(s.n as f64), libm::log10(error(s))))
            .collect()
    };
    let mut axis = Axis::linear("values added up", (3.5, 20.5), &[]);
    axis.ticks = (2..=10)
        .map(|k| (f64::from(2 * k), (1_u32 << (2 * k)).to_string()))
        .filter(|(k, _)| k % 4.0 == 0.0)
        .collect();
    draw(
        "Relative error of a sum in f32 against the number of values",
        "The horizontal axis goes from 16 to about a million values. Added one by one the \
         error grows to more than ten to the minus five. In 32 lanes it stays below about \
         ten to the minus six. In blocks of 4096 values with 32 lanes each, whose sums are \
         added in double precision, it stays at the rounding of single precision.",
        &axis,
        &Axis::decades("relative error, median", -9, -4, 1),
        &[
            Series::new(Ink::Wrong, Mark::Line, curve(|s| s.one_by_one)).label(
                "one by one",
                12.2,
                -5.4,
            ),
            Series::new(Ink::Mean, Mark::Line, curve(|s| s.in_lanes)).label("32 lanes", 17.2, -6.9),
            Series::new(Ink::Direct, Mark::Line, curve(|s| s.in_blocks)).label(
                "blocks, then f64",
                15.0,
                -8.6,
            ),
        ],
    )
}
