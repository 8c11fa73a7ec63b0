//! Checks the exercise `conv2d_backward`.

use crate::Report;
use crate::compare::{compare_all, heatmap, unusable};
use crate::engine::Checker;
use crate::gradients;
use crate::harness;
use crate::known::Known;
use crate::mistake::{self, Mistake, find, listed};
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

/// One product of the backward pass: the places of its factors and of what it adds to.
struct Term {
    /// In dy.
    dy: usize,
    /// In the weights.
    w: usize,
    /// In the images.
    x: usize,
    /// The image, by itself.
    n: usize,
}

impl Probe {
    /// Where in dx a product is added, and how much.
    fn to_x(&self, t: &Term) -> (usize, f64) {
        (t.x, self.dy[t.dy] * self.w[t.w])
    }

    /// Where in dw a product is added, and how much.
    fn to_w(&self, t: &Term) -> (usize, f64) {
        (t.w, self.dy[t.dy] * self.x[t.x])
    }
}

/// Every product, image by image, filter by filter; within a filter position by position,
/// or tap by tap. What reads padding is left out, or reads pixel 0.
fn terms(s: &Sizes, taps_first: bool, padding_is_pixel: bool) -> Vec<Term> {
    let (taps, positions) = (s.taps(), s.positions());
    let mut terms = Vec::new();
    for n in 0..s.images {
        for o in 0..s.outputs {
            for at in 0..taps * positions {
                let (k, p) = if taps_first {
                    (at / positions, at % positions)
                } else {
                    (at % taps, at / taps)
                };
                let read = s.reads(k, p).or(padding_is_pixel.then_some(0));
                if let Some(i) = read {
                    terms.push(Term {
                        dy: (n * s.outputs + o) * positions + p,
                        w: o * taps + k,
                        x: n * s.pixels() + i,
                        n,
                    });
                }
            }
        }
    }
    terms
}

fn sum(length: usize, terms: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums = vec![0.0; length];
    for (at, value) in terms {
        sums[at] += value;
    }
    sums
}

fn last(length: usize, terms: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut values = vec![0.0; length];
    for (at, value) in terms {
        values[at] = value;
    }
    values
}

fn forward(x: &[f64], w: &[f64], b: &[f64], s: &Sizes) -> Vec<f64> {
    let positions = s.positions();
    let length = s.images * s.outputs * positions;
    let terms = terms(s, false, false);
    let mut y = sum(length, terms.iter().map(|t| (t.dy, x[t.x] * w[t.w])));
    for (at, y) in y.iter_mut().enumerate() {
        *y += b[at / positions % s.outputs];
    }
    y
}

fn right_dx(p: &Probe) -> Vec<f64> {
    let terms = terms(&p.s, false, false);
    sum(p.x.len(), terms.iter().map(|t| p.to_x(t)))
}

fn right_dw(p: &Probe) -> Vec<f64> {
    let terms = terms(&p.s, false, false);
    sum(p.w.len(), terms.iter().map(|t| p.to_w(t)))
}

fn right_db(p: &Probe) -> Vec<f64> {
    let positions = p.s.positions();
    let each = p.dy.iter().enumerate();
    sum(
        p.s.outputs,
        each.map(|(at, dy)| (at / positions % p.s.outputs, *dy)),
    )
}

fn right(p: &Probe, target: &str) -> Vec<f64> {
    match target {
        "dx" => right_dx(p),
        "dw" => right_dw(p),
        _ => right_db(p),
    }
}

fn scaled(values: Vec<f64>, factor: f64) -> Vec<f64> {
    values.iter().map(|v| factor * v).collect()
}

fn ones(p: &Probe) -> Probe {
    Probe {
        dy: vec![1.0; p.dy.len()],
        ..p.clone()
    }
}

/// The weights with every filter read backwards.
fn flipped(w: &[f64], s: &Sizes) -> Vec<f64> {
    let window = s.kernel[0] * s.kernel[1];
    let planes = w.chunks_exact(window);
    planes
        .flat_map(|plane| plane.iter().rev().copied())
        .collect()
}

const INDICES: &str = "sec:conv-backward";
const COPIES: &str = "sec:im2col";

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["dx"],
        id: "overwritten",
        sentence: "a pixel is read by several taps, and only the last gradient is kept: add them",
        section: COPIES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            last(p.x.len(), terms.iter().map(|t| p.to_x(t)))
        },
    },
    Mistake {
        targets: &["dx"],
        id: "overwritten",
        sentence: "a pixel is read by several taps, and only the last gradient is kept: add them",
        section: COPIES,
        wrong: |p, _| {
            let terms = terms(&p.s, true, false);
            last(p.x.len(), terms.iter().map(|t| p.to_x(t)))
        },
    },
    Mistake {
        targets: &["dx"],
        id: "first-filter-only",
        sentence: "only the first filter is followed back: a pixel is read by all of them",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let first = terms.iter().filter(|t| t.w < p.s.taps());
            sum(p.x.len(), first.map(|t| p.to_x(t)))
        },
    },
    Mistake {
        targets: &["dx"],
        id: "filter-flipped",
        sentence: "the filters are read backwards: what a tap read in the forward pass receives the gradient of that tap",
        section: INDICES,
        wrong: |p, _| {
            let w = flipped(&p.w, &p.s);
            right_dx(&Probe { w, ..p.clone() })
        },
    },
    Mistake {
        targets: &["dx"],
        id: "padding-is-a-pixel",
        sentence: "what read the padding is added to pixel 0: it must go nowhere",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, true);
            sum(p.x.len(), terms.iter().map(|t| p.to_x(t)))
        },
    },
    Mistake {
        targets: &["dx"],
        id: "images-mixed",
        sentence: "the gradients of all images are added to the first: image n begins at n times the pixels",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let place = |t: &Term| t.x - t.n * p.s.pixels();
            sum(
                p.x.len(),
                terms.iter().map(|t| (place(t), p.dy[t.dy] * p.w[t.w])),
            )
        },
    },
    Mistake {
        targets: &["dx"],
        id: "averaged-over-taps",
        sentence: "it is divided by the number of taps: a pixel receives a sum",
        section: INDICES,
        wrong: |p, _| scaled(right_dx(p), 1.0 / p.s.taps() as f64),
    },
    Mistake {
        targets: &["dw"],
        id: "overwritten",
        sentence: "a weight is used at every position, and only the last gradient is kept: add them",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            last(p.w.len(), terms.iter().map(|t| p.to_w(t)))
        },
    },
    Mistake {
        targets: &["dw", "db"],
        id: "averaged-over-images",
        sentence: "it is divided by the number of images: dy already is the gradient of the loss, whatever that averages",
        section: INDICES,
        wrong: |p, target| scaled(right(p, target), 1.0 / p.s.images as f64),
    },
    Mistake {
        targets: &["dw"],
        id: "averaged-over-positions",
        sentence: "it is divided by the number of positions: a weight receives a sum",
        section: INDICES,
        wrong: |p, _| scaled(right_dw(p), 1.0 / p.s.positions() as f64),
    },
    Mistake {
        targets: &["dw"],
        id: "first-image-read",
        sentence: "the pixels of the first image are taken for all of them: image n begins at n times the pixels",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let place = |t: &Term| t.x - t.n * p.s.pixels();
            sum(
                p.w.len(),
                terms.iter().map(|t| (t.w, p.dy[t.dy] * p.x[place(t)])),
            )
        },
    },
    Mistake {
        targets: &["dw"],
        id: "first-dy-read",
        sentence: "dy of the first image is taken for all of them: that of image n, filter o and position p stands at (n · O + o) · L + p",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let place = |t: &Term| t.dy - t.n * p.s.outputs * p.s.positions();
            sum(
                p.w.len(),
                terms.iter().map(|t| (t.w, p.dy[place(t)] * p.x[t.x])),
            )
        },
    },
    Mistake {
        targets: &["dw"],
        id: "first-image-only",
        sentence: "only the first image counts: every image uses the weight",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let first = terms.iter().filter(|t| t.n == 0);
            sum(p.w.len(), first.map(|t| p.to_w(t)))
        },
    },
    Mistake {
        targets: &["dw"],
        id: "padding-is-a-pixel",
        sentence: "where a tap reads padding, pixel 0 is taken: the padding is 0",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, true);
            sum(p.w.len(), terms.iter().map(|t| p.to_w(t)))
        },
    },
    Mistake {
        targets: &["dw"],
        id: "filter-flipped",
        sentence: "the filters stand backwards: dw of tap k is the sum over what tap k read",
        section: INDICES,
        wrong: |p, _| flipped(&right_dw(p), &p.s),
    },
    Mistake {
        targets: &["db"],
        id: "averaged-over-positions",
        sentence: "it is divided by the number of positions: the bias receives a sum",
        section: INDICES,
        wrong: |p, _| scaled(right_db(p), 1.0 / p.s.positions() as f64),
    },
    Mistake {
        targets: &["db"],
        id: "averaged",
        sentence: "it is divided by the number of values of a channel: the bias receives a sum",
        section: INDICES,
        wrong: |p, _| scaled(right_db(p), 1.0 / (p.s.images * p.s.positions()) as f64),
    },
    Mistake {
        targets: &["db"],
        id: "first-image-only",
        sentence: "only the first image counts: the bias is added in every image",
        section: INDICES,
        wrong: |p, _| {
            let first = p.s.outputs * p.s.positions();
            let dy = p.dy.iter().enumerate();
            let dy = dy
                .map(|(at, dy)| if at < first { *dy } else { 0.0 })
                .collect();
            right_db(&Probe { dy, ..p.clone() })
        },
    },
    Mistake {
        targets: &["db"],
        id: "once-for-each-tap",
        sentence: "it is added once for each tap: the bias is used once at each position",
        section: INDICES,
        wrong: |p, _| scaled(right_db(p), p.s.taps() as f64),
    },
    Mistake {
        targets: &["db"],
        id: "once-for-each-tap",
        sentence: "it is added once for each tap: the bias is used once at each position",
        section: INDICES,
        wrong: |p, _| {
            let terms = terms(&p.s, false, false);
            let filter = |t: &Term| t.w / p.s.taps();
            sum(p.s.outputs, terms.iter().map(|t| (filter(t), p.dy[t.dy])))
        },
    },
    Mistake {
        targets: &["dx", "dw", "db"],
        id: "dy-ignored",
        sentence: "dy is not used: this is the gradient for a dy of ones",
        section: INDICES,
        wrong: |p, target| right(&ones(p), target),
    },
    Mistake {
        targets: &["dx", "dw", "db"],
        id: "sign",
        sentence: "it has the wrong sign",
        section: INDICES,
        wrong: |p, target| scaled(right(p, target), -1.0),
    },
    Mistake {
        targets: &["dx", "dw", "db"],
        id: "zero",
        sentence: "it is zero everywhere",
        section: INDICES,
        wrong: |p, target| scaled(right(p, target), 0.0),
    },
];

/// One of the three gradients, and its shape.
type Target = (&'static str, &'static str);

const TARGETS: [Target; 3] = [("dw", "[O, K]"), ("db", "[O]"), ("dx", "[N, C, H, W]")];

impl Gradients {
    fn get(&self, name: &str) -> &[f64] {
        match name {
            "dx" => &self.dx,
            "dw" => &self.dw,
            _ => &self.db,
        }
    }
}

fn title(s: &Sizes) -> String {
    format!(
        "{} images of {} channels, {} x {}, {} filters of {} x {}, stride {} and {}, padding {} and {}",
        s.images,
        s.channels,
        s.input[0],
        s.input[1],
        s.outputs,
        s.kernel[0],
        s.kernel[1],
        s.stride[0],
        s.stride[1],
        s.padding[0],
        s.padding[1]
    )
}

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    listed(NAME, MISTAKES)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random images and filters of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Gradients> = probes
        .iter()
        .map(|p| candidate(&p.dy, &p.x, &p.w, &p.s))
        .collect();
    let (lines, first) = compare_all(&TARGETS, probes.len(), |(name, _), k| {
        let title = format!("{name}, {}", title(&probes[k].s));
        (title, right(&probes[k], name), found[k].get(name))
    });
    let Some(((name, shape), k, expected)) = first else {
        return confirmed(candidate, &probes[2], seed, lines);
    };
    let values = found.iter().map(|gradients| gradients.get(name));
    let known = find(MISTAKES, name, probes.iter().zip(values));
    let (p, found) = (&probes[k], found[k].get(name));
    let unusable = unusable(name, expected.len(), found, shape);
    let otherwise = format!("{name} is wrong for {}", title(&p.s));
    let mut report = mistake::report(NAME, name, known, unusable, otherwise);
    report.lines = lines;
    let rows = match name {
        "dx" => p.s.images * p.s.channels * p.s.input[0],
        "dw" => p.s.outputs,
        _ => 1,
    };
    report.heatmap = heatmap(name, rows, expected.len() / rows, &expected, found);
    report
}

/// All is right: so say finite differences too, or it is the checker that is wrong.
fn confirmed(candidate: Candidate<'_>, p: &Probe, seed: u64, lines: Vec<crate::Line>) -> Report {
    let s = p.s;
    let bias: Vec<f64> = (0..s.outputs).map(|o| 0.5 - o as f64).collect();
    let checked = Check::new("convolution")
        .input(
            "x",
            &[s.images, s.channels, s.input[0], s.input[1]],
            p.x.clone(),
        )
        .input("w", &[s.outputs, s.taps()], p.w.clone())
        .input("b", &[s.outputs], bias)
        .seed(seed)
        .run(
            |v| forward(&v[0], &v[1], &v[2], &s),
            |v, dy| {
                let Gradients { dx, dw, db } = candidate(dy, &v[0], &v[1], &s);
                vec![dx, dw, db]
            },
        );
    gradients::settled(
        NAME,
        lines,
        checked.passed(),
        "all three gradients are right, and finite differences confirm them",
        gradients::APART,
    )
}

#[cfg(test)]
mod tests;
