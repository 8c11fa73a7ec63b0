//! Checks the exercise `conv2d_backward`.

use crate::Report;
use crate::engine::shared::Terms;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use gradcheck::Check;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "conv2d_backward";

/// The sizes of a convolution. Index 0 of a pair is the height, 1 the width.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// N.
    pub images: usize,
    /// C, the channels of the input.
    pub channels: usize,
    /// O, the number of filters.
    pub outputs: usize,
    /// H and W.
    pub input: [usize; 2],
    /// The window.
    pub kernel: [usize; 2],
    /// How far the window moves.
    pub stride: [usize; 2],
    /// How many zeros stand around the image.
    pub padding: [usize; 2],
}

impl Sizes {
    /// K, the taps of a filter.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// L, the positions of the output.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.output(0) * self.output(1)
    }

    /// The values of an image, C · H · W.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// The pixel, below [`Sizes::pixels`], that tap `k` reads at position `p`; `None` if
    /// that is padding.
    #[must_use]
    pub fn reads(&self, k: usize, p: usize) -> Option<usize> {
        let ([h, w], [kh, kw]) = (self.input, self.kernel);
        let [c, i, j] = [k / (kh * kw), k / kw % kh, k % kw];
        let y = (p / self.output(1) * self.stride[0] + i).checked_sub(self.padding[0])?;
        let x = (p % self.output(1) * self.stride[1] + j).checked_sub(self.padding[1])?;
        (y < h && x < w).then_some((c * h + y) * w + x)
    }

    fn output(&self, d: usize) -> usize {
        (self.input[d] + 2 * self.padding[d] - self.kernel[d]) / self.stride[d] + 1
    }
}

/// The three gradients.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// `[N, C, H, W]`.
    pub dx: Vec<f64>,
    /// `[O, K]`.
    pub dw: Vec<f64>,
    /// `[O]`.
    pub db: Vec<f64>,
}

/// `(dy, x, w, sizes)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], &Sizes) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &[f64], &[f64], &Sizes) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random images and filters of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "all three gradients are right, and finite differences confirm them";
    let run = |p: &Probe, answer: &mut Gradients| *answer = candidate(&p.dy, &p.x, &p.w, &p.s);
    part().report(NAME, all, &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

#[derive(Clone)]
struct Probe {
    s: Sizes,
    x: Vec<f64>,
    w: Vec<f64>,
    dy: Vec<f64>,
}

/// Strides, paddings, and images that are not square.
fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    let sizes = |[images, channels, outputs]: [usize; 3], input, kernel, stride, padding| Sizes {
        images,
        channels,
        outputs,
        input,
        kernel,
        stride,
        padding,
    };
    [
        sizes([2, 2, 3], [4, 5], [3, 3], [1, 1], [1, 1]),
        sizes([3, 1, 2], [5, 4], [2, 3], [1, 1], [0, 0]),
        sizes([2, 3, 2], [5, 6], [3, 2], [2, 1], [1, 0]),
    ]
    .map(|s| {
        let mut draw = |count| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Probe {
            s,
            x: draw(s.images * s.pixels()),
            w: draw(s.outputs * s.taps()),
            dy: draw(s.images * s.outputs * s.positions()),
        }
    })
    .into()
}

impl Case for Probe {
    fn title(&self) -> String {
        let Sizes {
            images,
            channels,
            outputs,
            input: [h, w],
            kernel: [kh, kw],
            stride: [sh, sw],
            padding: [ph, pw],
        } = self.s;
        let channels = match channels {
            1 => "one channel".to_owned(),
            many => format!("{many} channels"),
        };
        format!(
            "{images} images of {channels}, {h} x {w}, and {outputs} filters of {kh} x {kw}, stride {sh} and {sw}, padding {ph} and {pw}"
        )
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let s = &self.s;
        vec![
            ("N", s.images),
            ("C", s.channels),
            ("O", s.outputs),
            ("K", s.taps()),
            ("L", s.positions()),
            ("H", s.input[0]),
            ("W", s.input[1]),
        ]
    }
}

const FILTERS: &[Axis] = &[Axis("O", "filter"), Axis("K", "tap")];
const BIASES: &[Axis] = &[Axis("O", "filter")];
const IMAGES: &[Axis] = &[
    Axis("N", "image"),
    Axis("C", "channel"),
    Axis("H", "row"),
    Axis("W", "column"),
];

/// One product of the backward pass: image, filter, tap and position, and where its factors
/// stand.
struct Term {
    n: usize,
    o: usize,
    k: usize,
    p: usize,
    dy: usize,
    w: usize,
    /// None in the padding.
    x: Option<usize>,
}

/// Every product, image by image, filter by filter; within a filter position by position, or
/// tap by tap.
fn products(s: &Sizes, taps_first: bool) -> impl Iterator<Item = Term> {
    let (taps, positions) = (s.taps(), s.positions());
    (0..s.images * s.outputs * taps * positions).map(move |at| {
        let (filter, at) = (at / (taps * positions), at % (taps * positions));
        let (k, p) = if taps_first {
            (at / positions, at % positions)
        } else {
            (at % taps, at / taps)
        };
        let (n, o) = (filter / s.outputs, filter % s.outputs);
        Term {
            n,
            o,
            k,
            p,
            dy: filter * positions + p,
            w: o * taps + k,
            x: s.reads(k, p).map(|i| n * s.pixels() + i),
        }
    })
}

/// What a mistake does to a product, and whether it is added at all.
type Change = fn(&Sizes, &mut Term) -> bool;

fn unchanged(_: &Sizes, _: &mut Term) -> bool {
    true
}

impl Probe {
    /// What is added to `target`, and where, if each product is changed in this way.
    fn terms(&self, target: &str, taps_first: bool, change: Change) -> Terms {
        let mut terms = Terms::new();
        for mut t in products(&self.s, taps_first) {
            if !change(&self.s, &mut t) {
                continue;
            }
            let dy = self.dy[t.dy];
            terms.extend(match (target, t.x) {
                ("dx", Some(x)) => Some((x, dy * self.w[t.w])),
                ("dw", Some(x)) => Some((t.w, dy * self.x[x])),
                // Once at each position, padding or not.
                ("db", _) if t.k == 0 => Some((t.o, dy)),
                _ => None,
            });
        }
        terms
    }

    fn made(&self, target: &str, change: Change) -> Vec<f64> {
        let length = match target {
            "dx" => self.x.len(),
            "dw" => self.w.len(),
            _ => self.s.outputs,
        };
        sum(length, self.terms(target, false, change))
    }

    fn right(&self, target: &str) -> Vec<f64> {
        self.made(target, unchanged)
    }

    /// The right values, divided by `count`.
    fn averaged(&self, target: &str, count: usize) -> Vec<f64> {
        let right = self.right(target);
        right.iter().map(|v| v / count as f64).collect()
    }
}

fn sum(length: usize, terms: Terms) -> Vec<f64> {
    let mut sums = vec![0.0; length];
    for (at, value) in terms {
        sums[at] += value;
    }
    sums
}

fn forward(x: &[f64], w: &[f64], b: &[f64], s: &Sizes) -> Vec<f64> {
    let positions = s.positions();
    let products = products(s, false).filter_map(|t| Some((t.dy, x[t.x?] * w[t.w])));
    let mut y = sum(s.images * s.outputs * positions, products.collect());
    for (at, y) in y.iter_mut().enumerate() {
        *y += b[at / positions % s.outputs];
    }
    y
}

const SECTION: &str = "sec:conv-backward";
const ALL: &[&str] = &["dw", "db", "dx"];

fn blank(_: &Probe) -> Gradients {
    let [dx, dw, db] = [const { Vec::new() }; 3];
    Gradients { dx, dw, db }
}

fn part() -> Part<Probe, Gradients> {
    let pixel = "a pixel is read by several taps, and at several positions";
    let part = Part::new("backward", Order::Together, probes, blank)
        .target("dw", SECTION, FILTERS, |p| p.right("dw"), field!(dw))
        .sums("a weight is used at every position of every image", |p| {
            p.terms("dw", false, unchanged)
        })
        .target("db", SECTION, BIASES, |p| p.right("db"), field!(db))
        .sums("the bias is used at every position of every image", |p| {
            p.terms("db", false, unchanged)
        })
        .target("dx", SECTION, IMAGES, |p| p.right("dx"), field!(dx))
        .sums(pixel, |p| p.terms("dx", false, unchanged))
        .sums(pixel, |p| p.terms("dx", true, unchanged));
    let part = CHANGES
        .iter()
        .fold(part, |part, (targets, id, what, change)| {
            targets.iter().fold(part, |part, &target| {
                part.knows(target, id, what, SECTION, |p| p.made(target, *change))
            })
        });
    whole(part).numeric(against_differences)
}

/// What a wrong line does to each product.
const CHANGES: &[(&[&str], &str, &str, Change)] = &[
    (
        &["dx"],
        "first-filter-only",
        "only the first filter is followed back: a pixel is read by all of them",
        |_, t| t.o == 0,
    ),
    (
        &["dw", "dx"],
        "filter-flipped",
        "the filters are read backwards: what tap k read in the forward pass belongs to tap k in the backward pass",
        |s, t| {
            let window = s.kernel[0] * s.kernel[1];
            t.w = t.w / window * window + (window - 1 - t.w % window);
            true
        },
    ),
    (
        &["dw", "dx"],
        "filter-flipped",
        "the filters are read backwards, and their channels too: what tap k read in the forward pass belongs to tap k in the backward pass",
        |s, t| {
            t.w = t.o * s.taps() + (s.taps() - 1 - t.k);
            true
        },
    ),
    (
        &["dw", "dx"],
        "filter-transposed",
        "the filters are taken as [K, O], and are [O, K]: tap k of filter o stands at o * K + k",
        |s, t| {
            t.w = t.k * s.outputs + t.o;
            true
        },
    ),
    (
        &["dx"],
        "padding-is-a-pixel",
        "what read the padding is added to pixel 0: it must go nowhere",
        padding_is_a_pixel,
    ),
    (
        &["dw"],
        "padding-is-a-pixel",
        "where a tap reads padding, pixel 0 is taken: the padding is 0",
        padding_is_a_pixel,
    ),
    (
        &["dx"],
        "images-mixed",
        "the gradients of all images are added to the first: image n begins at n times the pixels",
        of_the_first_image,
    ),
    (
        &["dw"],
        "first-image-read",
        "the pixels of the first image are taken for all of them: image n begins at n times the pixels",
        of_the_first_image,
    ),
    (
        ALL,
        "first-image-only",
        "only the first image counts: every image goes through the filters and past the bias",
        |_, t| t.n == 0,
    ),
    (
        ALL,
        "first-dy-read",
        "dy of the first image is taken for all of them: that of image n, filter o and position p stands at (n * O + o) * L + p",
        |s, t| {
            t.dy = t.o * s.positions() + t.p;
            true
        },
    ),
    (
        ALL,
        "dy-layout",
        "dy is taken as [O, N, L], and is [N, O, L]: that of image n, filter o and position p stands at (n * O + o) * L + p",
        |s, t| {
            t.dy = (t.o * s.images + t.n) * s.positions() + t.p;
            true
        },
    ),
    (
        ALL,
        "dy-layout",
        "dy is taken as [N, L, O], and is [N, O, L]: that of image n, filter o and position p stands at (n * O + o) * L + p",
        |s, t| {
            t.dy = (t.n * s.positions() + t.p) * s.outputs + t.o;
            true
        },
    ),
];

fn padding_is_a_pixel(s: &Sizes, t: &mut Term) -> bool {
    t.x = t.x.or(Some(t.n * s.pixels()));
    true
}

fn of_the_first_image(s: &Sizes, t: &mut Term) -> bool {
    t.x = t.x.map(|x| x - t.n * s.pixels());
    true
}

/// What is done to a gradient as a whole.
fn whole(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    part.mistake(
        &["dx"],
        "averaged-over-taps",
        "it is divided by the number of taps: a pixel receives a sum",
        |p, target| p.averaged(target, p.s.taps()),
    )
    .mistake(
        &["dw", "db"],
        "averaged-over-images",
        "it is divided by the number of images: dy already is the gradient of the loss, whatever that averages",
        |p, target| p.averaged(target, p.s.images),
    )
    .mistake(
        &["dw", "db"],
        "averaged-over-positions",
        "it is divided by the number of positions: what is used at each of them receives a sum",
        |p, target| p.averaged(target, p.s.positions()),
    )
    .mistake(
        &["db"],
        "averaged",
        "it is divided by the number of values of a channel: the bias receives a sum",
        |p, target| p.averaged(target, p.s.images * p.s.positions()),
    )
    .mistake(
        &["db"],
        "once-for-each-tap",
        "it is added once for each tap: the bias is used once at each position",
        |p, target| {
            let right = p.right(target);
            right.iter().map(|v| v * p.s.taps() as f64).collect()
        },
    )
    .mistake(
        &["db"],
        "once-for-each-tap",
        "it is added once for each tap that reads a pixel: the bias is used once at each position",
        |p, _| {
            let read = products(&p.s, false).filter(|t| t.x.is_some());
            sum(p.s.outputs, read.map(|t| (t.o, p.dy[t.dy])).collect())
        },
    )
    .mistake(
        ALL,
        "dy-ignored",
        "dy is not used: this is the gradient for a dy of ones",
        |p, target| {
            let dy = vec![1.0; p.dy.len()];
            Probe { dy, ..p.clone() }.right(target)
        },
    )
}

/// The last of the probes, whose strides differ.
fn against_differences(run: &dyn Fn(&Probe, &mut Gradients), seed: u64) -> gradcheck::Report {
    let p = &probes(seed)[2];
    let s = p.s;
    let bias: Vec<f64> = (0..s.outputs).map(|o| 0.5 - o as f64).collect();
    let [h, w] = s.input;
    Check::new("convolution")
        .input("x", &[s.images, s.channels, h, w], p.x.clone())
        .input("w", &[s.outputs, s.taps()], p.w.clone())
        .input("b", &[s.outputs], bias)
        .seed(seed)
        .run(
            |v| forward(&v[0], &v[1], &v[2], &s),
            |v, dy| {
                let probe = Probe {
                    s,
                    x: v[0].clone(),
                    w: v[1].clone(),
                    dy: dy.to_vec(),
                };
                let mut answer = blank(&probe);
                run(&probe, &mut answer);
                vec![answer.dx, answer.dw, answer.db]
            },
        )
}

#[cfg(test)]
mod tests;
