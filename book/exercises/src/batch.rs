//! What the exercises on a norm as a whole share: how to speak of each, and the random batches
//! on which they are tried.

use crate::arrays::Array;
use gradcheck::attribution::norm::{Kind, Norm as Over, Probe};
use judge::{Axis, Case};

/// A norm of a table, and how to speak of it. Batch Norm normalizes the columns of its table, the
/// others normalize the rows: a *group* is what is normalized together.
pub(crate) struct Norm {
    pub(crate) kind: Kind,
    /// How a probe of it is made.
    over: Over,
    /// The axes of the table.
    pub(crate) axes: &'static [Axis; 2],
    /// Sizes of tables, which are never square, and `eps`.
    tables: [([usize; 2], f64); 4],
    /// What the statistics of a group describe.
    pub(crate) whose: &'static str,
    /// What statistics along the other axis are called, and the norm that has them.
    pub(crate) across: [&'static str; 2],
    /// Where a value stands in `x`, and in any table.
    pub(crate) in_x: &'static str,
    pub(crate) in_all: &'static str,
    pub(crate) sections: Sections,
}

/// Where the book explains what may be wrong with a norm.
pub(crate) struct Sections {
    /// The stages of the forward pass, how tables are laid out, which gamma belongs to a value,
    /// and dividing by one less.
    pub(crate) stages: &'static str,
    pub(crate) layouts: &'static str,
    pub(crate) gamma: &'static str,
    pub(crate) bessel: &'static str,
    /// The gradients of the parameters, the backward pass in stages, and that in closed form.
    pub(crate) parameters: &'static str,
    pub(crate) staged: &'static str,
    pub(crate) closed: &'static str,
}

pub(crate) const BATCH: &Norm = &Norm {
    kind: Kind::Batch,
    over: Over::Batch,
    axes: &[Axis("N", "example"), Axis("C", "channel")],
    tables: [
        ([6, 4], 1e-3),
        ([5, 3], 1e-5),
        ([7, 5], 1e-3),
        ([4, 6], 1e-5),
    ],
    whose: "this batch",
    across: ["axes-per-example", "Layer Norm"],
    in_x: "example i of channel ch is x[i * c + ch]",
    in_all: "channel ch of example i is at i * c + ch",
    sections: Sections {
        stages: "sec:bn-stages",
        layouts: "sec:bn-layouts",
        gamma: "sec:identity",
        bessel: "sec:unbiased",
        parameters: "sec:staged",
        staged: "sec:staged",
        closed: "sec:closed-form",
    },
};

pub(crate) const LAYER: &Norm = &Norm {
    kind: Kind::Layer,
    over: Over::Layer { normalized: 1 },
    axes: &[Axis("N", "row"), Axis("D", "feature")],
    tables: [
        ([4, 6], 1e-3),
        ([6, 5], 1e-5),
        ([5, 8], 1e-3),
        ([7, 4], 1e-5),
    ],
    whose: "this row",
    across: ["axes-per-feature", "Batch Norm"],
    in_x: "feature i of row r is x[r * d + i]",
    in_all: "feature i of row r is at r * d + i",
    sections: Sections {
        stages: "sec:ln-stages",
        layouts: "sec:ln-layouts",
        gamma: "sec:ln-layouts",
        bessel: "sec:ln-stages",
        parameters: "sec:ln-parameters",
        staged: "sec:ln-staged",
        closed: "sec:ln-closed-form",
    },
};

/// Layer Norm without a mean.
pub(crate) const RMS: &Norm = &Norm {
    kind: Kind::Rms,
    over: Over::Rms { normalized: 1 },
    sections: Sections {
        closed: "sec:rms-norm",
        ..LAYER.sections
    },
    ..*LAYER
};

impl Norm {
    pub(crate) fn of_rows(&self) -> bool {
        self.kind != Kind::Batch
    }

    /// The axes that count the groups, and the values in each.
    pub(crate) fn groups(&self) -> [&'static [Axis]; 2] {
        let (first, last) = self.axes.split_at(1);
        if self.of_rows() {
            [first, last]
        } else {
            [last, first]
        }
    }

    /// The axis of the parameters.
    pub(crate) fn parameters(&self) -> &'static [Axis] {
        &self.axes[1..]
    }

    /// One table.
    pub(crate) fn batch(&'static self, shape: [usize; 2], eps: f64, seed: u64) -> Batch {
        Batch {
            norm: self,
            probe: Probe::new(self.over, &shape, eps, seed),
        }
    }

    /// The tables of a seed.
    pub(crate) fn batches(&'static self, seed: u64) -> Vec<Batch> {
        let numbered = self.tables.into_iter().zip(seed * 100..);
        let batch = |((shape, eps), seed)| self.batch(shape, eps, seed);
        numbered.map(batch).collect()
    }
}

/// A table, what is made of it, and what comes back.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) norm: &'static Norm,
    pub(crate) probe: Probe,
}

impl Batch {
    pub(crate) fn rows(&self) -> usize {
        self.probe.shape[0]
    }

    pub(crate) fn columns(&self) -> usize {
        self.probe.shape[1]
    }

    /// The axis along which a group lies.
    pub(crate) fn along(&self) -> usize {
        usize::from(self.norm.of_rows())
    }

    /// The number of values in a group.
    pub(crate) fn size(&self) -> usize {
        self.probe.shape[self.along()]
    }

    /// The number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.probe.shape[1 - self.along()]
    }

    /// Values as large as the table.
    pub(crate) fn table(&self, values: &[f64]) -> Array {
        Array::new([self.rows(), self.columns()], values)
    }

    pub(crate) fn x(&self) -> Array {
        self.table(&self.probe.x)
    }

    pub(crate) fn dy(&self) -> Array {
        self.table(&self.probe.dy)
    }

    pub(crate) fn x_hat(&self) -> Array {
        self.table(&self.probe.x_hat())
    }

    /// One number for each group, which stands beside all its values.
    pub(crate) fn rstd(&self) -> Array {
        let all = self.table(&self.probe.rstd());
        if self.norm.of_rows() {
            all.t().rows(&[0]).t()
        } else {
            all.rows(&[0])
        }
    }

    /// The same table with its index transposed: read as if it lay column after column.
    pub(crate) fn transposed(&self, table: &Array) -> Array {
        table.reshaped([self.columns(), self.rows()]).t()
    }

    /// A table of what stands at an index of `values`, from row and column, as far as there are
    /// so many.
    pub(crate) fn picked(&self, values: &[f64], at: At) -> Array {
        let element = |row, column| values[at(row, column) % values.len()];
        Array::by([self.rows(), self.columns()], element)
    }
}

/// An index, from row and column.
pub(crate) type At = fn(usize, usize) -> usize;

pub(crate) const ROW: At = |row, _| row;
pub(crate) const COLUMN: At = |_, column| column;

impl Case for Batch {
    fn title(&self) -> String {
        let [of, each] = if self.norm.of_rows() {
            ["rows", "features"]
        } else {
            ["examples", "channels"]
        };
        format!("{} {of} of {} {each}", self.rows(), self.columns())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let axes = self.norm.axes.iter();
        let sizes = axes.zip(&self.probe.shape);
        sizes.map(|(axis, size)| (axis.0, *size)).collect()
    }
}

/// Sums of groups, each of which goes on from this share of the one before it.
pub(crate) fn carried(sums: &Array, share: f64) -> Array {
    let mut sum = 0.0;
    let goes_on = |own: f64| {
        sum = share * sum + own;
        sum
    };
    Array::of(sums.shape(), sums.values().into_iter().map(goes_on))
}
