//! Checks the exercise `conv2d_backward`.

use crate::arrays::Draws;
use judge::{
    Axis, Differences, Mistake, Order, Part, Slip, Terms, added, case, exercise, of, slips,
};

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
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// `[N, C, H, W]`.
    pub dx: Vec<f64>,
    /// `[O, K]`.
    pub dw: Vec<f64>,
    /// `[O]`.
    pub db: Vec<f64>,
}

exercise! {
    /// `(dy, x, w, sizes)` to the gradients.
    check(backward: Fn(&[f64], &[f64], &[f64], &Sizes) -> Gradients),
    right: "all three gradients are right, and finite differences confirm them",
    parts: [part() => |p, answer| *answer = backward(&p.dy, &p.x, &p.w, &p.s)],
}

#[derive(Clone)]
struct Probe {
    s: Sizes,
    x: Vec<f64>,
    w: Vec<f64>,
    /// Nothing that is asked for depends on it.
    b: Vec<f64>,
    dy: Vec<f64>,
}

/// Strides, paddings, and images that are not square.
fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
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
        let mut draw = |count| draws.numbers(count, -1.0..1.0);
        Probe {
            s,
            x: draw(s.images * s.pixels()),
            w: draw(s.outputs * s.taps()),
            b: (0..s.outputs).map(|o| 0.5 - o as f64).collect(),
            dy: draw(s.images * s.outputs * s.positions()),
        }
    })
    .into()
}

case!(
    Probe,
    |p| {
        let pair = |[a, b]: [usize; 2], between: &str| format!("{a} {between} {b}");
        let channels = match p.s.channels {
            1 => "one channel".to_owned(),
            many => format!("{many} channels"),
        };
        format!(
            "{} images of {channels}, {}, and {} filters of {}, stride {}, padding {}",
            p.s.images,
            pair(p.s.input, "x"),
            p.s.outputs,
            pair(p.s.kernel, "x"),
            pair(p.s.stride, "and"),
            pair(p.s.padding, "and"),
        )
    },
    sizes: [
        "N": p.s.images, "C": p.s.channels, "O": p.s.outputs, "K": p.s.taps(), "L": p.s.positions(),
        "H": p.s.input[0], "W": p.s.input[1],
    ],
);

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

/// What a mistake makes of a product, if it is added at all.
type Change = fn(&Sizes, Term) -> Option<Term>;
const UNCHANGED: Change = |_, t| Some(t);

impl Probe {
    /// What is added to `target`, and where, if each product is changed in this way.
    fn terms(&self, target: &str, taps_first: bool, change: Change) -> Terms {
        let mut terms = Terms::new();
        for t in products(&self.s, taps_first).filter_map(|t| change(&self.s, t)) {
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
        added(length, self.terms(target, false, change))
    }

    fn right(&self, target: &str) -> Vec<f64> {
        self.made(target, UNCHANGED)
    }

    fn forward(&self) -> Vec<f64> {
        let (s, positions) = (&self.s, self.s.positions());
        let products = products(s, false);
        let products = products.filter_map(|t| Some((t.dy, self.x[t.x?] * self.w[t.w])));
        let mut y = added(s.images * s.outputs * positions, products);
        for (at, y) in y.iter_mut().enumerate() {
            *y += self.b[at / positions % s.outputs];
        }
        y
    }
}

const SECTION: &str = "sec:conv-backward";
const ALL: &[&str] = &["dw", "db", "dx"];
const DX: &[&str] = &["dx"];
const DW: &[&str] = &["dw"];

fn part() -> Part<Probe, Gradients> {
    const PIXEL: &str = "a pixel is read by several taps, and at several positions";
    Part::<_, Gradients>::new("backward", Order::Together, probes)
        .asks(of!(dw), SECTION, FILTERS, |p| p.right("dw"))
        .sums("a weight is used at every position of every image", |p| {
            p.terms("dw", false, UNCHANGED)
        })
        .asks(of!(db), SECTION, BIASES, |p| p.right("db"))
        .sums("the bias is used at every position of every image", |p| {
            p.terms("db", false, UNCHANGED)
        })
        .asks(of!(dx), SECTION, IMAGES, |p| p.right("dx"))
        .sums(PIXEL, |p| p.terms("dx", false, UNCHANGED))
        .sums(PIXEL, |p| p.terms("dx", true, UNCHANGED))
        .differentiates(Differences {
            name: "convolution",
            // The last, whose strides differ.
            case: |seed| probes(seed).swap_remove(2),
            inputs: vec![
                ("x", |p| &mut p.x),
                ("w", |p| &mut p.w),
                ("b", |p| &mut p.b),
            ],
            dy: |p| &mut p.dy,
            y: Probe::forward,
        })
        .variants_of(CHANGES, |p, target, change| p.made(target, *change))
        .variants_of(FACTORS, |p, target, factor| {
            p.right(target).iter().map(|v| v * factor(&p.s)).collect()
        })
        .mistakes(&["db"], OF_DB)
        .mistakes(ALL, OF_ALL)
}

/// What wrong lines do to each product, in these targets.
const CHANGES: &[Slip<(&[&str], Change)>] = slips![
    "first-filter-only: only the first filter is followed back: a pixel is read by all of them" =>
        (DX, |_, t| (t.o == 0).then_some(t)),
    "filter-flipped: the filters are read backwards: what tap k read in the forward pass belongs to tap k in the backward pass" =>
        (&["dw", "dx"], |s, t| {
            let window = s.kernel[0] * s.kernel[1];
            let w = t.w / window * window + (window - 1 - t.w % window);
            Some(Term { w, ..t })
        }),
    "filter-flipped: the filters are read backwards, and their channels too: what tap k read in the forward pass belongs to tap k in the backward pass" =>
        (&["dw", "dx"], |s, t| {
            Some(Term { w: t.o * s.taps() + (s.taps() - 1 - t.k), ..t })
        }),
    "filter-transposed: the filters are taken as [K, O], and are [O, K]: tap k of filter o stands at o * K + k" =>
        (&["dw", "dx"], |s, t| Some(Term { w: t.k * s.outputs + t.o, ..t })),
    "padding-is-a-pixel: what read the padding is added to pixel 0: it must go nowhere" =>
        (DX, PADDING_IS_A_PIXEL),
    "padding-is-a-pixel: where a tap reads padding, pixel 0 is taken: the padding is 0" =>
        (DW, PADDING_IS_A_PIXEL),
    "images-mixed: the gradients of all images are added to the first: image n begins at n times the pixels" =>
        (DX, OF_THE_FIRST_IMAGE),
    "first-image-read: the pixels of the first image are taken for all of them: image n begins at n times the pixels" =>
        (DW, OF_THE_FIRST_IMAGE),
    "first-image-only: only the first image counts: every image goes through the filters and past the bias" =>
        (ALL, |_, t| (t.n == 0).then_some(t)),
    "first-dy-read: dy of the first image is taken for all of them: that of image n, filter o and position p stands at (n * O + o) * L + p" =>
        (ALL, |s, t| Some(Term { dy: t.o * s.positions() + t.p, ..t })),
    "dy-layout: dy is taken as [O, N, L], and is [N, O, L]: that of image n, filter o and position p stands at (n * O + o) * L + p" =>
        (ALL, |s, t| Some(Term { dy: (t.o * s.images + t.n) * s.positions() + t.p, ..t })),
    "dy-layout: dy is taken as [N, L, O], and is [N, O, L]: that of image n, filter o and position p stands at (n * O + o) * L + p" =>
        (ALL, |s, t| Some(Term { dy: (t.n * s.positions() + t.p) * s.outputs + t.o, ..t })),
];

const PADDING_IS_A_PIXEL: Change = |s, t| {
    let x = t.x.or(Some(t.n * s.pixels()));
    Some(Term { x, ..t })
};
const OF_THE_FIRST_IMAGE: Change = |s, t| {
    let x = t.x.map(|x| x - t.n * s.pixels());
    Some(Term { x, ..t })
};

type Factor = fn(&Sizes) -> f64;

/// By what gradients may be multiplied.
const FACTORS: &[Slip<(&[&str], Factor)>] = slips![
    "averaged-over-taps: it is divided by the number of taps: a pixel receives a sum" =>
        (DX, |s| 1.0 / s.taps() as f64),
    "averaged-over-images: it is divided by the number of images: dy already is the gradient of the loss, whatever that averages" =>
        (&["dw", "db"], |s| 1.0 / s.images as f64),
    "averaged-over-positions: it is divided by the number of positions: what is used at each of them receives a sum" =>
        (&["dw", "db"], |s| 1.0 / s.positions() as f64),
    "averaged: it is divided by the number of values of a channel: the bias receives a sum" =>
        (&["db"], |s| 1.0 / (s.images * s.positions()) as f64),
    "once-for-each-tap: it is added once for each tap: the bias is used once at each position" =>
        (&["db"], |s| s.taps() as f64),
];

const OF_DB: &[Mistake<Probe>] = slips![
    "once-for-each-tap: it is added once for each tap that reads a pixel: the bias is used once at each position" =>
        |p, _| {
            let read = products(&p.s, false).filter(|t| t.x.is_some());
            added(p.s.outputs, read.map(|t| (t.o, p.dy[t.dy])))
        },
];

const OF_ALL: &[Mistake<Probe>] = slips![
    "dy-ignored: dy is not used: this is the gradient for a dy of ones" => |p, target| {
        let dy = vec![1.0; p.dy.len()];
        Probe { dy, ..p.clone() }.right(target)
    },
];

#[cfg(test)]
mod tests;
