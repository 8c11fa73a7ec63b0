//! Exercise: Batch Norm of one batch on several workers (chapter 18).
//! A `Part` is `{ count, mean, squares }` of a worker's rows, `mean` and `squares` `[C]`.

use exercises::synchronized_statistics::{Gradients, Part, Worker, check};

/// The parts of all workers to that of the whole batch. A worker may have no rows.
fn merge(parts: &[Part]) -> Part {
    todo!()
}

/// `gamma` and `rstd` are `[C]`; each worker has `x_hat` and `dy`, `[m, C]` row by row.
fn backward(workers: &[Worker], gamma: &[f64], rstd: &[f64]) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(merge, backward)
}
