//! What the exercises on the gradients of a norm in closed form share.

use crate::arrays::Array;
use crate::batch::{At, Batch, COLUMN, Norm, ROW, carried};
use gradcheck::attribution::norm::{Kind, Probe, Target, explain};
use judge::{Differences, Field, Numbers, Order, Part, field, of};

/// What the backward pass of a norm returns, over columns (Batch Norm) or rows (Layer
/// Norm) of a table of `N` rows.
#[derive(Clone, Debug, Default)]
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
            &probe.x_hat(),
            &b.rstd().values(),
            &probe.gamma,
            b.rows(),
            b.columns(),
        );
    }
}

/// The gradients of a norm. RMS Norm has no beta.
pub(crate) fn part(norm: &'static Norm) -> Part<Batch, Gradients> {
    part_of("backward", norm, |seed| norm.batches(seed), 1e-3)
}

/// The same of these batches, where finite differences take another `eps`.
pub(crate) fn part_of(
    name: &'static str,
    norm: &'static Norm,
    cases: impl Fn(u64) -> Vec<Batch> + 'static,
    eps: f64,
) -> Part<Batch, Gradients> {
    let (s, rms) = (&norm.sections, norm.kind == Kind::Rms);
    let transposed = format!(
        "index-transposed: all arrays are read with their index transposed: {}",
        norm.in_all
    );
    let all = format!("all {}s use it", norm.axes[0].1);
    let part = Part::<_, Gradients>::new(name, Order::Together, cases);
    let part = SUMS.iter().skip(usize::from(rms)).fold(part, |part, sum| {
        let &(name, adds, right, field) = sum;
        let right = move |b: &Batch| right(&b.probe);
        part.target(name, s.parameters, norm.parameters(), right, field)
            .wrong(name, s.layouts, &transposed, move |b| {
                b.transposed(&adds(b)).sum(0).into()
            })
            .sums(&all, move |b| adds(b).terms(0))
    });
    let slips = slips(norm);
    let part = if rms {
        let (text, wrong) = slips[0].clone();
        part.wrong("dgamma", s.parameters, &text, move |b| {
            (wrong.normalized(b) * b.dy()).sum(0).into()
        })
    } else {
        part
    };
    let part = part
        .asks(of!(dx), s.closed, norm.axes, |b| b.probe.dx())
        .wrong("dx", s.layouts, &transposed, |b| TRANSPOSED.dx(b));
    let part = slips.into_iter().fold(part, |part, (text, wrong)| {
        part.wrong("dx", s.closed, &text, move |b| wrong.dx(b))
    });
    let inputs: [(&str, Numbers<Batch>); 3] = [
        ("x", |b| &mut b.probe.x),
        ("gamma", |b| &mut b.probe.gamma),
        ("beta", |b| &mut b.probe.beta),
    ];
    let shape = if norm.of_rows() { [3, 6] } else { [6, 3] };
    part.attributed_by(|b, found, target| {
        let target = match target {
            "dbeta" => Target::Dbeta,
            "dgamma" => Target::Dgamma,
            _ => Target::Dx,
        };
        Some(explain(&b.probe, target, found))
    })
    // Nothing of the forward pass was derived by hand.
    .differentiates_as(
        |check, b| {
            check
                .normalizes("x", b.probe.groups.clone())
                .scales_by("gamma")
        },
        Differences {
            name,
            case: move |seed| norm.batch(shape, eps, seed * 100 + 77),
            inputs: inputs[..if rms { 2 } else { 3 }].into(),
            dy: |b| &mut b.probe.dy,
            y: |b| b.probe.y(),
        },
    )
}

/// The gradient of a parameter is a sum down a column: its name, what each value adds, what is
/// right, and its place in the answer.
type Sum = (
    &'static str,
    fn(&Batch) -> Array,
    fn(&Probe) -> Vec<f64>,
    Field<Gradients>,
);

const SUMS: [Sum; 2] = [
    ("dbeta", Batch::dy, Probe::dbeta, field!(dbeta)),
    (
        "dgamma",
        |b| b.dy() * b.x_hat(),
        Probe::dgamma,
        field!(dgamma),
    ),
];

/// What may be typed otherwise in the closed form.
#[derive(Clone, Copy)]
struct Typed {
    /// All arrays are read with their index transposed.
    transposed: bool,
    /// Where gamma is read, and rstd, if that is not its group.
    gamma: At,
    rstd: Option<At>,
    /// What the two sums of a group begin with, as a share of those of the group before it,
    /// from the size of a group.
    carry: fn(f64) -> f64,
}

const RIGHT: Typed = Typed {
    transposed: false,
    gamma: COLUMN,
    rstd: None,
    carry: |_| 0.0,
};

const TRANSPOSED: Typed = Typed {
    transposed: true,
    ..RIGHT
};

/// What to say, and what is typed.
fn slips(norm: &Norm) -> [(String, Typed); 4] {
    let [group, other] = norm.groups().map(|axes| axes[0].1);
    let [row, column] = norm.axes.each_ref().map(|axis| axis.1);
    let read = |what, at, each| {
        format!("{what}-by-{at}: {what} is read at the {at}; there is one for each {each}")
    };
    let sums = format!(
        "sums-not-reset: the sums over one {group} go on in the next; they begin with 0 in each"
    );
    let across = Some(if norm.of_rows() { COLUMN } else { ROW });
    let carried = |carry| Typed { carry, ..RIGHT };
    let read_at = |gamma, rstd| Typed {
        gamma,
        rstd,
        ..RIGHT
    };
    [
        (read("rstd", other, group), read_at(COLUMN, across)),
        (read("gamma", row, column), read_at(ROW, None)),
        (sums.clone(), carried(|_| 1.0)),
        (sums, carried(|size| 1.0 / size)),
    ]
}

impl Typed {
    /// A table as it is read.
    fn read(&self, b: &Batch, table: Array) -> Array {
        if self.transposed {
            b.transposed(&table)
        } else {
            table
        }
    }

    fn rstd(&self, b: &Batch) -> Array {
        let rstd = b.rstd();
        self.rstd
            .map_or(rstd.clone(), |at| b.picked(&rstd.values(), at))
    }

    /// What a reader has for the normalized values: in RMS Norm, `x` and the deviation.
    fn normalized(&self, b: &Batch) -> Array {
        let rms = b.probe.kind == Kind::Rms;
        let given = self.read(b, if rms { b.x() } else { b.x_hat() });
        if rms { given * self.rstd(b) } else { given }
    }

    /// The two means of each group, then the gradients. Batch Norm has one gamma for a group,
    /// and it stands in front.
    fn dx(&self, b: &Batch) -> Vec<f64> {
        let (x_hat, gamma) = (self.normalized(b), b.picked(&b.probe.gamma, self.gamma));
        let one = gamma.filled(1.0);
        let (inside, front) = if b.norm.of_rows() {
            (gamma, one)
        } else {
            (one, gamma)
        };
        let g = self.read(b, b.dy()) * inside;
        let mean = |v: &Array| carried(&v.mean(b.along()), (self.carry)(b.size() as f64));
        let product = &x_hat * mean(&(&g * &x_hat));
        let left = if b.probe.kind.is_centred() {
            &g - mean(&g) - product
        } else {
            g - product
        };
        let dx = left * self.rstd(b) * front;
        if self.transposed { dx.t() } else { dx }.into()
    }
}

#[cfg(test)]
mod tests;
