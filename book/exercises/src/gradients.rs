//! What the exercises on the gradients of a norm in closed form share.

use crate::batch::{Batch, elements, parameters};
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
pub(crate) fn part(name: &'static str, kind: Kind) -> Part<Batch, Gradients> {
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
    let mut part = Part::new(name, Order::Together, cases, blank);
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
            );
    }
    part.target(
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
    .target("dx", closed, elements(kind), |b| b.probe.dx(), field!(dx))
    .mistake_in(layout, &["dx"], "index-transposed", &transposed, |b, _| {
        transposed_dx(b)
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
    let column = |i: usize| (0..b.rows()).map(move |r| i * b.rows() + r);
    let sum = |i: usize| column(i).map(|k| b.probe.dy[k] * f(k)).sum();
    (0..b.columns()).map(sum).collect()
}

/// The closed form, with a transposed index in all arrays of the batch.
fn transposed_dx(b: &Batch) -> Vec<f64> {
    let (rows, columns, kind) = (b.rows(), b.columns(), b.probe.kind);
    let places: Vec<(usize, usize)> = (0..rows * columns).map(|k| (k % rows, k / rows)).collect();
    let group = |(row, column): (usize, usize)| if kind == Kind::Batch { column } else { row };
    let size = if kind == Kind::Batch { rows } else { columns } as f64;
    let g = |k: usize| b.probe.gamma[places[k].1] * b.probe.dy[k];
    let (mut sum, mut product) = (vec![0.0; b.rstd.len()], vec![0.0; b.rstd.len()]);
    for (k, place) in places.iter().enumerate() {
        sum[group(*place)] += if kind.is_centred() { g(k) / size } else { 0.0 };
        product[group(*place)] += g(k) * normalized(b, k, group(*place)) / size;
    }
    let dx = |(k, place): (usize, &(usize, usize))| {
        let of = group(*place);
        b.rstd[of] * (g(k) - sum[of] - normalized(b, k, of) * product[of])
    };
    places.iter().enumerate().map(dx).collect()
}

/// What a reader has for the normalized value at `k`: in RMS Norm, `x` and the deviation.
fn normalized(b: &Batch, k: usize, group: usize) -> f64 {
    match b.probe.kind {
        Kind::Rms => b.probe.x[k] * b.rstd[group],
        Kind::Batch | Kind::Layer => b.x_hat[k],
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
