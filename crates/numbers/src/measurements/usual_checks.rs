//! What checks that people write let through: every mistake of the catalogue, in Batch Norm and
//! in Layer Norm, shown to each of them.
//!
//! A comparison gets what is claimed and what is right, both rounded to its type. A check by
//! quotients gets the forward pass in `f64`.
//!
//! It is shown them on a small table, with a random upstream gradient and with that of `sum()`,
//! and with a `gamma` that is random and one that is 1; and on a table whose normalized groups
//! are as long as those in the tests of kernels, with numbers as they are drawn there.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

use batchnorm::Layout;
use gradcheck::attribution::norm::{Given, Norm, Probe};
use gradcheck::{Check, Input};
use half::{bf16, f16};
use judge::claims::{Gradients, Wrong, mistaken};
use serde_json::{Value, json};

use crate::kit::{APPENDIX, Measurement, Output, each};
use crate::random::Draws;

pub const MEASUREMENT: Measurement = Measurement {
    name: "usual_checks",
    chapter: APPENDIX,
    about: "how many mistakes the checks let through that people write",
    run,
};

const SEED: u64 = 25;
const EPS: f64 = 1e-5;
/// How many values are normalized together in a small table and in a large one, and how many
/// groups there are.
const SMALL: [usize; 2] = [9, 6];
const LARGE: [usize; 2] = [1024, 8];
/// So often a right gradient is drawn for a small table, and for a large one.
const DRAWS: [u64; 2] = [100, 10];

/// A norm, and whether its groups are the rows of a table.
#[derive(Clone, Copy)]
struct Layer {
    name: &'static str,
    norm: Norm,
    of_rows: bool,
}

const LAYERS: [Layer; 2] = [
    Layer {
        name: "Batch Norm",
        norm: Norm::Batch,
        of_rows: false,
    },
    Layer {
        name: "Layer Norm",
        norm: Norm::Layer { normalized: 1 },
        of_rows: true,
    },
];

/// x, gamma and beta, or the gradients with respect to them.
type Arrays = [Vec<f64>; 3];

/// What a table is filled with.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// All at random.
    Random,
    /// `gamma` is 1, as in a new layer.
    Fresh,
    /// dy is 1, as that of `sum()`.
    Ones,
    /// Both.
    Both,
    /// Long groups, with x around -2.3, and a small dy.
    Large,
}

const PLACES: [(&str, Place); 5] = [
    ("random", Place::Random),
    ("fresh", Place::Fresh),
    ("ones", Place::Ones),
    ("both", Place::Both),
    ("large", Place::Large),
];

/// Where a layer is looked at.
struct Point {
    layer: Layer,
    shape: [usize; 2],
    inputs: Arrays,
    dy: Vec<f64>,
    /// What is claimed there, once somebody asks.
    wrong: OnceCell<Vec<Wrong>>,
}

impl Point {
    fn draw(layer: Layer, place: Place, seed: u64) -> Self {
        let [size, groups] = if place == Place::Large { LARGE } else { SMALL };
        let shape = if layer.of_rows {
            [groups, size]
        } else {
            [size, groups]
        };
        let [rows, columns] = shape;
        let mut draws = Draws::new(seed);
        let mut x = draws.normals(rows * columns);
        let mut dy = draws.normals(rows * columns);
        let mut gamma = draws.uniforms(columns, 0.5, 2.0);
        let beta = draws.normals(columns);
        match place {
            Place::Random => {}
            Place::Fresh => gamma.fill(1.0),
            Place::Ones => dy.fill(1.0),
            Place::Both => {
                gamma.fill(1.0);
                dy.fill(1.0);
            }
            Place::Large => {
                x.iter_mut().for_each(|x| *x = 0.5 * *x - 2.3);
                dy.iter_mut().for_each(|dy| *dy *= 0.1);
                gamma = draws.uniforms(columns, 0.0, 1.0);
            }
        }
        // Code in `f32` is handed the same numbers.
        let single = |values: Vec<f64>| values.into_iter().map(|v| Dtype::F32.round(v)).collect();
        Self {
            layer,
            shape,
            inputs: [x, gamma, beta].map(single),
            dy: single(dy),
            wrong: OnceCell::new(),
        }
    }

    fn probe(&self, [x, gamma, beta]: &Arrays, dy: &[f64]) -> Probe {
        let given = Given {
            x: x.clone(),
            gamma: gamma.clone(),
            beta: beta.clone(),
            dy: dy.to_vec(),
        };
        Probe::given(self.layer.norm, &self.shape, EPS, given).expect("lengths that fit")
    }

    fn wrong(&self) -> &[Wrong] {
        let all = || mistaken(&self.probe(&self.inputs, &self.dy));
        self.wrong.get_or_init(all)
    }

    fn forward(&self, [x, gamma, beta]: &Arrays) -> Vec<f64> {
        if self.layer.of_rows {
            return layernorm::staged::forward(x, gamma, beta, EPS).y;
        }
        batchnorm::staged::forward(&Layout::of(&self.shape), x, gamma, beta, EPS).0
    }

    /// The gradients as code in `f32` computes them.
    fn in_f32(&self) -> Gradients {
        let narrow = |values: &Vec<f64>| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let ([x, gamma, beta], dy) = (self.inputs.each_ref().map(narrow), narrow(&self.dy));
        if self.layer.of_rows {
            let forward = layernorm::staged::forward(&x, &gamma, &beta, EPS as f32);
            let back = layernorm::staged::backward(&forward, &gamma, &dy);
            return gradients([back.dx, back.dgamma, back.dbeta].map(wide));
        }
        let layout = Layout::of(&self.shape);
        let (_, forward) = batchnorm::staged::forward(&layout, &x, &gamma, &beta, EPS);
        let (dx, each) = batchnorm::staged::backward(&layout, &forward, &gamma, &dy);
        let dgamma = each.iter().map(|channel| channel.dgamma).collect();
        let dbeta = each.iter().map(|channel| channel.dbeta).collect();
        gradients([dx, dgamma, dbeta].map(wide))
    }
}

fn gradients([dx, dgamma, dbeta]: Arrays) -> Gradients {
    Gradients { dx, dgamma, dbeta }
}

fn arrays(gradients: Gradients) -> Arrays {
    [gradients.dx, gradients.dgamma, gradients.dbeta]
}

/// The types in which kernels store.
#[derive(Clone, Copy)]
enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    fn round(self, value: f64) -> f64 {
        match self {
            Self::F32 => f64::from(value as f32),
            Self::F16 => f16::from_f64(value).to_f64(),
            Self::Bf16 => bf16::from_f64(value).to_f64(),
        }
    }
}

/// `|a - b| <= atol + rtol |b|` in all places, which NaN is not.
fn close(a: &[f64], b: &[f64], [rtol, atol]: [f64; 2]) -> bool {
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|(a, b)| (a - b).abs() <= atol + rtol * b.abs())
}

fn all_close(a: &Gradients, b: &Gradients, dtype: Dtype, tolerances: [f64; 2]) -> bool {
    let rounded = |values: &[f64]| -> Vec<f64> { values.iter().map(|v| dtype.round(*v)).collect() };
    let mut pairs = a.named().into_iter().zip(b.named());
    pairs.all(|((_, a), (_, b))| close(&rounded(a), &rounded(b), tolerances))
}

/// How a check decides.
#[derive(Clone, Copy)]
enum By {
    /// Comparison with what is right; relative and absolute tolerance.
    Comparison(Dtype, [f64; 2]),
    /// Central differences with one step; relative and absolute tolerance.
    Quotients(f64, [f64; 2]),
    /// This book's.
    Book,
}

/// Name, type of the numbers, and what it does.
const CHECKS: [(&str, &str, By); 10] = [
    (
        "allclose: 1e-5, 1e-8",
        "f32",
        By::Comparison(Dtype::F32, [1e-5, 1e-8]),
    ),
    (
        "assert_close: 1.3e-6, 1e-5",
        "f32",
        By::Comparison(Dtype::F32, [1.3e-6, 1e-5]),
    ),
    (
        "assert_close: 1e-3, 1e-5",
        "f16",
        By::Comparison(Dtype::F16, [1e-3, 1e-5]),
    ),
    (
        "assert_close: 1.6e-2, 1e-5",
        "bf16",
        By::Comparison(Dtype::Bf16, [1.6e-2, 1e-5]),
    ),
    ("0, 1e-3", "f32", By::Comparison(Dtype::F32, [0.0, 1e-3])),
    ("0, 1e-2", "f16", By::Comparison(Dtype::F16, [0.0, 1e-2])),
    ("0, 5e-2", "bf16", By::Comparison(Dtype::Bf16, [0.0, 5e-2])),
    ("0, 0.5", "bf16", By::Comparison(Dtype::Bf16, [0.0, 0.5])),
    (
        "gradcheck of PyTorch: 1e-3, 1e-5",
        "f64",
        By::Quotients(1e-6, [1e-3, 1e-5]),
    ),
    ("this book's", "f64", By::Book),
];

/// Whether a claim passes, the right one first, of which there may be no more.
type Passes = Vec<bool>;

impl By {
    fn looks_at(self, place: Place) -> bool {
        // The quotients of a large table would take as many evaluations as it has elements.
        matches!(self, Self::Comparison(..)) || place != Place::Large
    }

    fn passes(self, point: &Point, of_wrong: bool) -> Passes {
        match self {
            Self::Comparison(dtype, tolerances) => {
                let right = Gradients::right(&point.probe(&point.inputs, &point.dy));
                let passes = |claim: &Gradients| all_close(claim, &right, dtype, tolerances);
                let mut all = vec![passes(&point.in_f32())];
                if of_wrong {
                    all.extend(point.wrong().iter().map(|wrong| passes(&wrong.gradients)));
                }
                all
            }
            Self::Quotients(step, tolerances) => quotients(point, step, tolerances, of_wrong),
            Self::Book => book(point, of_wrong),
        }
    }
}

/// What is claimed at a point: the right gradients, and the wrong ones if they are asked for.
fn claims(probe: &Probe, of_wrong: bool) -> Vec<Arrays> {
    let mut claims = vec![arrays(Gradients::right(probe))];
    if of_wrong {
        claims.extend(mistaken(probe).into_iter().map(|w| arrays(w.gradients)));
    }
    claims
}

/// Every output has its turn; where dy is constant, it is that of a sum, which is one output.
fn quotients(point: &Point, step: f64, tolerances: [f64; 2], of_wrong: bool) -> Passes {
    let jacobian = jacobian(point, step);
    let count = point.dy.len();
    let one = |at: usize| (0..count).map(|k| f64::from(u8::from(k == at))).collect();
    let upstreams: Vec<Vec<f64>> = match point.dy.iter().all(|dy| *dy == 1.0) {
        true => vec![point.dy.clone()],
        false => (0..count).map(one).collect(),
    };
    let mut passes: Passes = Vec::new();
    for dy in upstreams {
        let along = |column: &Vec<f64>| column.iter().zip(&dy).map(|(j, dy)| j * dy).sum();
        let numeric = jacobian
            .each_ref()
            .map(|columns| columns.iter().map(along).collect::<Vec<f64>>());
        let claims = claims(&point.probe(&point.inputs, &dy), of_wrong);
        passes.resize(claims.len(), true);
        for (passes, claim) in passes.iter_mut().zip(&claims) {
            let mut pairs = claim.iter().zip(&numeric);
            *passes &= pairs.all(|(a, n)| close(a, n, tolerances));
        }
    }
    passes
}

/// For each element of each input, what its quotient is for every output.
fn jacobian(point: &Point, step: f64) -> [Vec<Vec<f64>>; 3] {
    [0, 1, 2].map(|of| {
        let column = |at: usize| {
            let moved = |by: f64| {
                let mut inputs = point.inputs.clone();
                inputs[of][at] += by;
                point.forward(&inputs)
            };
            let sides = moved(step).into_iter().zip(moved(-step));
            sides.map(|(a, b)| (a - b) / (2.0 * step)).collect()
        };
        (0..point.inputs[of].len()).map(column).collect()
    })
}

/// The check of this book, which is told what is normalized and which input is `gamma`.
fn book(point: &Point, of_wrong: bool) -> Passes {
    let [rows, columns] = point.shape;
    let probe = point.probe(&point.inputs, &point.dy);
    let count = claims(&probe, of_wrong).len();
    // It asks at a few points, the same for each claim.
    let known = RefCell::new(Vec::<(Arrays, Vec<f64>, Vec<Arrays>)>::new());
    let claim = |number: usize, inputs: Arrays, dy: &[f64]| {
        let mut known = known.borrow_mut();
        let at = known.iter().position(|(i, d, _)| *i == inputs && d == dy);
        let at = at.unwrap_or_else(|| {
            let claims = claims(&point.probe(&inputs, dy), of_wrong);
            known.push((inputs, dy.to_vec(), claims));
            known.len() - 1
        });
        known[at].2[number].to_vec()
    };
    let shapes = [vec![rows, columns], vec![columns], vec![columns]];
    let inputs: Vec<Input> = (["x", "gamma", "beta"].into_iter().zip(&shapes))
        .zip(&point.inputs)
        .map(|((name, shape), values)| Input::new(name, shape, values.clone()))
        .collect();
    let owned = |v: &[Vec<f64>]| [0, 1, 2].map(|of| v[of].clone());
    let check = |number: usize| {
        let check = Check::new(point.layer.name)
            .inputs(&inputs)
            .normalizes("x", probe.groups.clone())
            .scales_by("gamma")
            .upstream(point.dy.clone());
        let forward = |v: &[Vec<f64>]| point.forward(&owned(v));
        let report = check.run(forward, |v, dy| claim(number, owned(v), dy));
        report.passed()
    };
    (0..count).map(check).collect()
}

/// Both layers at a place.
fn both(place: Place, seed: u64) -> [Point; 2] {
    LAYERS.map(|layer| Point::draw(layer, place, seed))
}

/// The mistakes that pass at these points; none if the check refuses them.
fn survivors(by: By, points: &[Point; 2]) -> Option<Vec<&Wrong>> {
    let mut survive = Vec::new();
    for point in points {
        let refused = matches!(by, By::Book) && !by.passes(point, false)[0];
        if refused {
            return None;
        }
        let passes = by.passes(point, true).into_iter().skip(1);
        let wrong = point.wrong().iter().zip(passes);
        survive.extend(wrong.filter_map(|(wrong, passes)| passes.then_some(wrong)));
    }
    Some(survive)
}

/// The share of draws in which right gradients do not pass.
fn accused(by: By, place: Place) -> f64 {
    let draws = DRAWS[usize::from(place == Place::Large)];
    let points = (0..draws).flat_map(|draw| both(place, SEED + 1 + draw));
    let accused = points.filter(|point| !by.passes(point, false)[0]).count();
    accused as f64 / (draws * LAYERS.len() as u64) as f64
}

fn of(wrong: &[&Wrong], target: &str) -> usize {
    wrong.iter().filter(|w| w.target == target).count()
}

fn totals(wrong: &[&Wrong]) -> Value {
    json!({
        "all": wrong.len(),
        "dx": of(wrong, "dx"), "dgamma": of(wrong, "dgamma"), "dbeta": of(wrong, "dbeta"),
    })
}

/// `dx: eps-left-out`, each once.
fn names(wrong: &[&Wrong]) -> String {
    let names: BTreeSet<String> = wrong.iter().map(|wrong| wrong.name()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

pub fn run() -> Output {
    let points = PLACES.map(|(key, place)| (key, place, both(place, SEED)));
    let made = |of: Place| {
        let at = points.iter().filter(|(_, place, _)| *place == of);
        let points = at.flat_map(|(.., points)| points);
        totals(&points.flat_map(Point::wrong).collect::<Vec<_>>())
    };
    let row = |(check, dtype, by): &(&str, &str, By)| {
        let mut row = json!({ "check": check, "dtype": dtype });
        for (key, place, points) in &points {
            let looks = by.looks_at(*place);
            let left = looks.then(|| survivors(*by, points)).flatten();
            row[key] = match &left {
                Some(left) => left.len().to_string().into(),
                None if looks => "refused".into(),
                None => "–".into(),
            };
            if matches!(place, Place::Random | Place::Large) {
                let left = left.unwrap_or_default();
                row[format!("{key}_by_target")] = totals(&left);
                row[format!("{key}_names")] = names(&left).into();
            }
        }
        row["accused"] = accused(*by, Place::Random).into();
        let large = by.looks_at(Place::Large);
        row["accused_large"] = json!(large.then(|| accused(*by, Place::Large)));
        row
    };
    Output::new(json!({
        "about": "How many mistakes in Batch Norm and Layer Norm the usual checks let through",
        "seed": SEED,
        "eps": EPS,
        "small": { "values": SMALL[0], "groups": SMALL[1], "draws": DRAWS[0] * 2, "made": made(Place::Random) },
        "large": { "values": LARGE[0], "groups": LARGE[1], "draws": DRAWS[1] * 2, "made": made(Place::Large) },
        "rows": each(&CHECKS, row),
    }))
}
