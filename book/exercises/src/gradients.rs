//! What the exercises on the gradients of a norm in closed form share.

use crate::batch::{Batch, Norm};
use gradcheck::attribution::norm::{Kind, Probe, Target, explain};
use gradcheck::{Check, Groups, Report};
use judge::added;
use judge::{Field, Order, Part, Run, field};

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
pub(crate) fn part(norm: &'static Norm) -> Part<Batch, Gradients> {
    let (s, rms) = (&norm.sections, norm.kind == Kind::Rms);
    let transposed = format!(
        "index-transposed: all arrays are read with their index transposed: {}",
        norm.in_all
    );
    let all = format!("all {}s use it", norm.axes[0].1);
    let all_of = |b: &Batch| b.probe.dx();
    let part = Part::new(
        "backward",
        Order::Together,
        |seed| norm.batches(seed),
        blank,
    );
    let part = SUMS.iter().skip(usize::from(rms)).fold(part, |part, sum| {
        let &(name, factor, right, field) = sum;
        part.target(
            name,
            s.parameters,
            norm.parameters(),
            move |b| right(&b.probe),
            field,
        )
        .wrong(name, s.layouts, &transposed, move |b| {
            let terms = (0..b.probe.dy.len()).map(|k| (k / b.rows(), b.probe.dy[k] * factor(b, k)));
            added(b.columns(), terms)
        })
        .sums(&all, move |b| {
            b.to_columns(|k| b.probe.dy[k] * factor(b, k))
        })
    });
    let slips = slips(norm);
    let part = if rms {
        let (text, wrong) = slips[0].clone();
        part.wrong("dgamma", s.parameters, &text, move |b| {
            added(
                b.columns(),
                b.to_columns(|k| b.probe.dy[k] * wrong.normalized(b, k)),
            )
        })
    } else {
        part
    };
    let part = part
        .target("dx", s.closed, norm.axes, all_of, field!(dx))
        .wrong("dx", s.layouts, &transposed, |b| TRANSPOSED.dx(b));
    slips
        .into_iter()
        .fold(part, |part, (text, wrong)| {
            part.wrong("dx", s.closed, &text, move |b| wrong.dx(b))
        })
        .attributed_by(|b, found, target| {
            let target = match target {
                "dbeta" => Target::Dbeta,
                "dgamma" => Target::Dgamma,
                _ => Target::Dx,
            };
            Some(explain(&b.probe, target, found))
        })
        .numeric(|run, seed| numeric(norm, run, seed))
}

/// The gradient of a parameter is the sum of `dy` times a factor over a column: its name, the
/// factor, what is right, and its place in the answer.
type Sum = (
    &'static str,
    fn(&Batch, usize) -> f64,
    fn(&Probe) -> Vec<f64>,
    Field<Gradients>,
);

const SUMS: [Sum; 2] = [
    ("dbeta", |_, _| 1.0, Probe::dbeta, field!(dbeta)),
    ("dgamma", |b, k| b.x_hat[k], Probe::dgamma, field!(dgamma)),
];

fn blank(b: &Batch) -> Gradients {
    let zeros = |count| vec![0.0; count];
    Gradients {
        dx: zeros(b.probe.x.len()),
        dgamma: zeros(b.columns()),
        dbeta: zeros(b.columns()),
    }
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

/// What to say, and what is typed.
fn slips(norm: &Norm) -> [(String, Typed); 4] {
    let [(group, other), (row, column)] = [
        norm.groups().map(|axes| axes[0].1),
        norm.axes.each_ref().map(|axis| axis.1),
    ]
    .map(|[a, b]| (a, b));
    let read = |what, at, each| {
        format!("{what}-by-{at}: {what} is read at the {at}; there is one for each {each}")
    };
    let sums = format!(
        "sums-not-reset: the sums over one {group} go on in the next; they begin with 0 in each"
    );
    [
        (
            read("rstd", other, group),
            Typed {
                rstd_across: true,
                ..RIGHT
            },
        ),
        (
            read("gamma", row, column),
            Typed {
                gamma_across: true,
                ..RIGHT
            },
        ),
        (
            sums.clone(),
            Typed {
                carry: |_| 1.0,
                ..RIGHT
            },
        ),
        (
            sums,
            Typed {
                carry: |size| 1.0 / size,
                ..RIGHT
            },
        ),
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
        let by_row = b.norm().of_rows() != self.rstd_across;
        b.rstd[if by_row { row } else { column } % b.rstd.len()]
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
        let (kind, size, of_rows) = (b.probe.kind, b.size() as f64, b.norm().of_rows());
        let group = |k: usize| {
            let (row, column) = self.place(b, k);
            if of_rows { row } else { column }
        };
        let factor = |here: bool, k: usize| if here { self.gamma(b, k) } else { 1.0 };
        let g = |k: usize| factor(of_rows, k) * b.probe.dy[k];
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
                dx[k] = factor(!of_rows, k) * self.rstd(b, k) * left;
            }
        }
        dx
    }
}

/// The gradients against finite differences of the forward pass, which know their own error:
/// nothing here was derived by hand.
fn numeric(norm: &Norm, run: Run<'_, Batch, Gradients>, seed: u64) -> Report {
    let (shape, axis) = if norm.of_rows() {
        ([3, 6], 1)
    } else {
        ([6, 3], 0)
    };
    let probe = norm.batch(shape, 1e-3, seed * 100 + 77).probe;
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
        let batch = Batch::of(probe);
        let mut out = blank(&batch);
        run(&batch, &mut out);
        let mut all = vec![out.dx, out.dgamma, out.dbeta];
        all.truncate(inputs.len());
        all
    };
    let mut check = Check::new("backward")
        .input("x", &shape, probe.x.clone())
        .input("gamma", &shape[1..], probe.gamma.clone());
    if norm.kind != Kind::Rms {
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
