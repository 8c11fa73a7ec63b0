//! What the exercises on the gradients of a norm in closed form share.

use crate::batch::{Batch, elements, parameters};
use crate::engine::shared::Terms;
use crate::engine::{Order, Part, Run, field};
use gradcheck::attribution::norm::{Kind, Target, explain};
use gradcheck::{Check, Groups, Report};

/// What the backward pass of a norm returns, over columns (Batch Norm) or rows (Layer
/// Norm) of a table of `N` rows.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to the input, as large as the table.
    pub dx: Vec<f64>,
    /// With respect to the scale, one for each column.
    pub dgamma: Vec<f64>,
    /// With respect to the shift, one for each column.
    pub dbeta: Vec<f64>,
}

/// `(dy, x_hat, rstd, gamma, n, columns)` to the gradients.
pub type ClosedForm<'a> = &'a dyn Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients;

/// Tries a closed form on a batch.
pub(crate) fn run(candidate: ClosedForm<'_>) -> impl Fn(&Batch, &mut Gradients) {
    move |b, out| {
        let probe = &b.probe;
        *out = candidate(
            &probe.dy,
            &b.x_hat,
            &b.rstd,
            &probe.gamma,
            b.rows(),
            b.columns(),
        );
    }
}

/// The gradients of a norm. RMS Norm has no beta.
pub(crate) fn part(kind: Kind) -> Part<Batch, Gradients> {
    type Of = (
        fn(u64) -> Vec<Batch>,
        fn(Run<'_, Batch, Gradients>, u64) -> Report,
    );
    let (cases, numeric): Of = match kind {
        Kind::Batch => (
            |s| Batch::all(Kind::Batch, s),
            |r, s| numeric(Kind::Batch, r, s),
        ),
        Kind::Layer => (
            |s| Batch::all(Kind::Layer, s),
            |r, s| numeric(Kind::Layer, r, s),
        ),
        Kind::Rms => (
            |s| Batch::all(Kind::Rms, s),
            |r, s| numeric(Kind::Rms, r, s),
        ),
    };
    let [sums, closed, layout, at] = match kind {
        Kind::Batch => [
            "sec:staged",
            "sec:closed-form",
            "sec:bn-layouts",
            "channel ch of example i is at i * c + ch",
        ],
        Kind::Layer => [
            "sec:ln-parameters",
            "sec:ln-closed-form",
            "sec:ln-layouts",
            "feature i of row r is at r * d + i",
        ],
        Kind::Rms => [
            "sec:ln-parameters",
            "sec:rms-norm",
            "sec:ln-layouts",
            "feature i of row r is at r * d + i",
        ],
    };
    let blank = |b: &Batch| {
        let zeros = || vec![0.0; b.columns()];
        Gradients {
            dx: vec![0.0; b.probe.x.len()],
            dgamma: zeros(),
            dbeta: zeros(),
        }
    };
    let all = match kind {
        Kind::Batch => "all examples use it",
        Kind::Layer | Kind::Rms => "all rows use it",
    };
    let mut part = Part::new("backward", Order::Together, cases, blank);
    let transposed = format!("all arrays are read with their index transposed: {at}");
    if kind != Kind::Rms {
        part = part
            .target(
                "dbeta",
                sums,
                parameters(kind),
                |b| b.probe.dbeta(),
                field!(dbeta),
            )
            .mistake_in(
                layout,
                &["dbeta"],
                "index-transposed",
                &transposed,
                |b, _| transposed_sums(b, |_| 1.0),
            )
            .sums(all, |b| terms(b, |_| 1.0));
    }
    part = part
        .target(
            "dgamma",
            sums,
            parameters(kind),
            |b| b.probe.dgamma(),
            field!(dgamma),
        )
        .mistake_in(
            layout,
            &["dgamma"],
            "index-transposed",
            &transposed,
            |b, _| transposed_sums(b, |k| b.x_hat[k]),
        )
        .sums(all, |b| terms(b, |k| b.x_hat[k]));
    if kind == Kind::Rms {
        let [((id, what), wrong), ..] = slips(kind);
        part = part.knows("dgamma", id, what, sums, move |b| {
            added(b, terms(b, |k| wrong.normalized(b, k)))
        });
    }
    part = part
        .target("dx", closed, elements(kind), |b| b.probe.dx(), field!(dx))
        .mistake_in(layout, &["dx"], "index-transposed", &transposed, |b, _| {
            TRANSPOSED.dx(b)
        });
    let slips = slips(kind).into_iter();
    slips
        .fold(part, |part, ((id, what), wrong)| {
            part.knows("dx", id, what, closed, move |b| wrong.dx(b))
        })
        .attributed_by(|b, found, target| {
            let target = match target {
                "dbeta" => Target::Dbeta,
                "dgamma" => Target::Dgamma,
                _ => Target::Dx,
            };
            Some(explain(&b.probe, target, found))
        })
        .numeric(numeric)
}

/// For each column the sum of `dy` times `f`, both read with a transposed index.
fn transposed_sums(b: &Batch, f: impl Fn(usize) -> f64) -> Vec<f64> {
    let each = b.probe.dy.iter().enumerate();
    added(b, each.map(|(k, dy)| (k / b.rows(), dy * f(k))).collect())
}

/// What each element adds to the sum of its column: `dy` times `f`.
fn terms(b: &Batch, f: impl Fn(usize) -> f64) -> Terms {
    let each = b.probe.dy.iter().enumerate();
    each.map(|(k, dy)| (k % b.columns(), dy * f(k))).collect()
}

fn added(b: &Batch, terms: Terms) -> Vec<f64> {
    let mut sums = vec![0.0; b.columns()];
    terms.into_iter().for_each(|(at, term)| sums[at] += term);
    sums
}

/// What may be typed otherwise in the closed form.
#[derive(Clone, Copy)]
struct Typed {
    /// All arrays are read with their index transposed.
    transposed: bool,
    /// rstd, and gamma, are read at the index along the other axis.
    rstd_across: bool,
    gamma_across: bool,
    /// What the two sums of a group begin with, as a share of those of the group before it,
    /// from the size of a group.
    carry: fn(f64) -> f64,
}

const RIGHT: Typed = Typed {
    transposed: false,
    rstd_across: false,
    gamma_across: false,
    carry: |_| 0.0,
};

const TRANSPOSED: Typed = Typed {
    transposed: true,
    ..RIGHT
};

/// A name and what to say, and what is typed.
type Slip = ((&'static str, &'static str), Typed);

#[rustfmt::skip]
fn slips(kind: Kind) -> [Slip; 4] {
    let [rstd, gamma, sums] = match kind {
        Kind::Batch => [
            ("rstd-by-example", "rstd is read at the example; there is one for each channel"),
            ("gamma-by-example", "gamma is read at the example; there is one for each channel"),
            ("sums-not-reset", "the sums over one channel go on in the next; they begin with 0 in each"),
        ],
        Kind::Layer | Kind::Rms => [
            ("rstd-by-feature", "rstd is read at the feature; there is one for each row"),
            ("gamma-by-row", "gamma is read at the row; there is one for each feature"),
            ("sums-not-reset", "the sums over one row go on in the next; they begin with 0 in each"),
        ],
    };
    [
        (rstd, Typed { rstd_across: true, ..RIGHT }),
        (gamma, Typed { gamma_across: true, ..RIGHT }),
        (sums, Typed { carry: |_| 1.0, ..RIGHT }),
        (sums, Typed { carry: |size| 1.0 / size, ..RIGHT }),
    ]
}

impl Typed {
    /// Row and column of an element.
    fn place(&self, b: &Batch, k: usize) -> (usize, usize) {
        if self.transposed {
            (k % b.rows(), k / b.rows())
        } else {
            (k / b.columns(), k % b.columns())
        }
    }

    fn rstd(&self, b: &Batch, k: usize) -> f64 {
        let (row, column) = self.place(b, k);
        let by_column = (b.probe.kind == Kind::Batch) != self.rstd_across;
        b.rstd[if by_column { column } else { row } % b.rstd.len()]
    }

    fn gamma(&self, b: &Batch, k: usize) -> f64 {
        let (row, column) = self.place(b, k);
        b.probe.gamma[if self.gamma_across { row } else { column } % b.columns()]
    }

    /// What a reader has for the normalized value at `k`: in RMS Norm, `x` and the deviation.
    fn normalized(&self, b: &Batch, k: usize) -> f64 {
        match b.probe.kind {
            Kind::Rms => b.probe.x[k] * self.rstd(b, k),
            Kind::Batch | Kind::Layer => b.x_hat[k],
        }
    }

    /// Group by group: the two means, then the gradients. Batch Norm has one gamma for a group,
    /// and it stands in front.
    fn dx(&self, b: &Batch) -> Vec<f64> {
        let kind = b.probe.kind;
        let of_batch = kind == Kind::Batch;
        let size = if of_batch { b.rows() } else { b.columns() } as f64;
        let group = |k: usize| {
            let (row, column) = self.place(b, k);
            if of_batch { column } else { row }
        };
        let [inside, in_front] = [!of_batch, of_batch];
        let factor = |here: bool, k: usize| if here { self.gamma(b, k) } else { 1.0 };
        let g = |k: usize| factor(inside, k) * b.probe.dy[k];
        let mut dx = vec![0.0; b.probe.dy.len()];
        let (mut sum, mut product) = (0.0, 0.0);
        for of in 0..b.rstd.len() {
            let carry = (self.carry)(size);
            (sum, product) = (carry * sum, carry * product);
            let elements = (0..dx.len()).filter(|k| group(*k) == of);
            for k in elements.clone() {
                sum += if kind.is_centred() { g(k) / size } else { 0.0 };
                product += g(k) * self.normalized(b, k) / size;
            }
            for k in elements.collect::<Vec<_>>() {
                let left = g(k) - sum - self.normalized(b, k) * product;
                dx[k] = factor(in_front, k) * self.rstd(b, k) * left;
            }
        }
        dx
    }
}

/// The gradients against finite differences of the forward pass, which know their own error:
/// nothing here was derived by hand.
fn numeric(kind: Kind, run: Run<'_, Batch, Gradients>, seed: u64) -> Report {
    let (shape, axis) = if kind == Kind::Batch {
        ((6, 3), 0)
    } else {
        ((3, 6), 1)
    };
    let probe = Batch::random(kind, shape, 1e-3, seed * 100 + 77).probe;
    let with = |inputs: &[Vec<f64>]| {
        let mut probe = probe.clone();
        probe.x.clone_from(&inputs[0]);
        probe.gamma.clone_from(&inputs[1]);
        if let Some(beta) = inputs.get(2) {
            probe.beta.clone_from(beta);
        }
        probe
    };
    let backward = |inputs: &[Vec<f64>], dy: &[f64]| {
        let mut probe = with(inputs);
        probe.dy = dy.to_vec();
        let mut out = Gradients {
            dx: Vec::new(),
            dgamma: Vec::new(),
            dbeta: Vec::new(),
        };
        run(&Batch::of(probe), &mut out);
        let mut all = vec![out.dx, out.dgamma, out.dbeta];
        all.truncate(inputs.len());
        all
    };
    let shape = [shape.0, shape.1];
    let mut check = Check::new("backward")
        .input("x", &shape, probe.x.clone())
        .input("gamma", &shape[1..], probe.gamma.clone());
    if kind != Kind::Rms {
        check = check.input("beta", &shape[1..], probe.beta.clone());
    }
    check
        .normalizes("x", Groups::over(&shape, &[axis]))
        .scales_by("gamma")
        .seed(seed)
        .run(|inputs: &[Vec<f64>]| with(inputs).y(), backward)
}

#[cfg(test)]
mod tests;
