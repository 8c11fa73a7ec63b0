//! `Y = A B`, the matrix product, of matrices or of batches of matrices.
//!
//! `Yᵢⱼ = Σₚ Aᵢₚ Bₚⱼ`. `Aᵢₚ` enters row i of Y, each time with weight `Bₚⱼ`:
//! `dAᵢₚ = Σⱼ dYᵢⱼ Bₚⱼ`, that is `dA = dY Bᵀ`. Likewise `dB = Aᵀ dY`. Both are again
//! matrix products, and a transpose is a matter of strides: nothing is moved.
//!
//! For batches, the leading axes broadcast. A matrix on the right that is shared by
//! the whole batch is one product over all rows together; its gradient sums over the
//! batch inside the GEMM.

use crate::broadcast::broadcast_shape;
use crate::gemm::{Matrix, gemm};
use crate::{Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The matrix product: `[.., m, k]` times `[.., k, n]` is `[.., m, n]`; the leading
    /// axes broadcast.
    ///
    /// # Panics
    /// If an operand has fewer than two axes, the inner lengths differ, or the leading
    /// axes do not broadcast.
    #[track_caller]
    pub fn matmul(&self, other: &Var<'t, T>) -> Self {
        let plan = Plan::new(self.shape(), other.shape());
        let mut y = Tensor::scratch(plan.shape);
        let (a, b) = (self.value(), other.value());
        plan.each(|i, j, k| {
            let out = &mut y.data_mut()[k * plan.m * plan.n..][..plan.m * plan.n];
            gemm(plan.a(a, i), plan.b(b, j), T::ZERO, out);
        });
        self.tape().record(&[self, other], y, || MatMul {
            a: other.is_tracked().then(|| a.clone()),
            b: self.is_tracked().then(|| b.clone()),
            plan,
        })
    }
}

/// Which matrices are multiplied: sizes, and how the leading axes go together.
struct Plan {
    /// The result's shape.
    shape: Shape,
    m: usize,
    k: usize,
    n: usize,
    /// Leading axes of a, b and the result.
    batch: [Shape; 3],
}

impl Plan {
    #[track_caller]
    fn new(a: &Shape, b: &Shape) -> Self {
        assert!(
            a.len() >= 2 && b.len() >= 2 && a[a.len() - 1] == b[b.len() - 2],
            "matmul: shapes {a} and {b} do not multiply: [.., m, k] times [.., k, n] is needed"
        );
        let (mut m, k, n) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
        let (mut lead_a, lead_b) = (Shape::new(&a[..a.len() - 2]), Shape::new(&b[..b.len() - 2]));
        let lead = broadcast_shape("matmul", &lead_a, &lead_b);
        let mut dims = lead.to_vec();
        dims.extend([m, n]);
        let shape = Shape::new(&dims);
        let mut batch_y = lead;
        if lead_b.count() == 1 && lead_a == lead {
            // One shared right-hand matrix: fold the batch into the rows.
            m *= lead_a.count();
            lead_a = Shape::new(&[]);
            batch_y = lead_a;
        }
        let lead_b = if lead_b.count() == 1 {
            Shape::new(&[])
        } else {
            lead_b
        };
        Plan {
            shape,
            m,
            k,
            n,
            batch: [lead_a, lead_b, batch_y],
        }
    }

    /// Calls `f(i, j, k)` for every matrix `k` of the result, the product of matrix `i`
    /// of a and matrix `j` of b.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let mut k = 0;
        let loops = crate::strided::Loops::new(&self.batch[2], [&self.batch[0], &self.batch[1]]);
        let (length, stride) = loops.inner();
        loops.for_each_row(|[i, j]| {
            for step in 0..length {
                f(i + step * stride[0], j + step * stride[1], k);
                k += 1;
            }
        });
    }

    fn a<'a, T: Real>(&self, a: &'a Tensor<T>, i: usize) -> Matrix<'a, T> {
        let size = self.m * self.k;
        Matrix::new(&a.data()[i * size..][..size], self.m, self.k)
    }

    fn b<'a, T: Real>(&self, b: &'a Tensor<T>, j: usize) -> Matrix<'a, T> {
        let size = self.k * self.n;
        Matrix::new(&b.data()[j * size..][..size], self.k, self.n)
    }

    fn y<'a, T: Real>(&self, y: &'a Tensor<T>, k: usize) -> Matrix<'a, T> {
        let size = self.m * self.n;
        Matrix::new(&y.data()[k * size..][..size], self.m, self.n)
    }
}

struct MatMul<T: Real> {
    a: Option<Tensor<T>>,
    b: Option<Tensor<T>>,
    plan: Plan,
}

impl<T: Real> Backward<T> for MatMul<T> {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let MatMul { a, b, plan } = &*self;
        let Plan { m, k, n, .. } = *plan;
        // A matrix that several products share accumulates; the first one overwrites.
        if let Some(b) = b {
            dx.write(0, |beta, out| {
                let mut fresh = vec![beta == T::ZERO; plan.batch[0].count()];
                plan.each(|i, j, s| {
                    let beta = if std::mem::take(&mut fresh[i]) {
                        T::ZERO
                    } else {
                        T::ONE
                    };
                    gemm(
                        plan.y(&dy, s),
                        plan.b(b, j).t(),
                        beta,
                        &mut out[i * m * k..][..m * k],
                    );
                });
            });
        }
        if let Some(a) = a {
            dx.write(1, |beta, out| {
                let mut fresh = vec![beta == T::ZERO; plan.batch[1].count()];
                plan.each(|i, j, s| {
                    let beta = if std::mem::take(&mut fresh[j]) {
                        T::ZERO
                    } else {
                        T::ONE
                    };
                    gemm(
                        plan.a(a, i).t(),
                        plan.y(&dy, s),
                        beta,
                        &mut out[j * k * n..][..k * n],
                    );
                });
            });
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.a.iter().chain(&self.b).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::normal;
    use crate::{Shape, Tape, Tensor};

    const PAIRS: [(&[usize], &[usize], &[usize]); 8] = [
        (&[2, 3], &[3, 4], &[2, 4]),
        (&[5, 2, 3], &[5, 3, 4], &[5, 2, 4]),
        (&[5, 2, 3], &[3, 4], &[5, 2, 4]),
        (&[2, 3], &[5, 3, 4], &[5, 2, 4]),
        (&[2, 1, 2, 3], &[4, 3, 2], &[2, 4, 2, 2]),
        (&[2, 3, 1, 4], &[2, 1, 4, 2], &[2, 3, 1, 2]),
        (&[1, 2, 3], &[1, 3, 4], &[1, 2, 4]),
        (&[1, 3], &[3, 1], &[1, 1]),
    ];

    #[test]
    fn multiplies_as_defined() {
        for (a, b, y) in PAIRS {
            let (a, b) = (normal(a, 1), normal(b, 2));
            let result = Tape::eval(|t| {
                t.constant(a.clone())
                    .matmul(&t.constant(b.clone()))
                    .value()
                    .clone()
            });
            assert_eq!(**result.shape(), *y);
            for flat in 0..result.len() {
                let strides = result.shape().strides();
                let index: Vec<usize> = y.iter().zip(strides).map(|(n, s)| flat / s % n).collect();
                let own = |x: &Shape, last: [usize; 2]| -> Vec<usize> {
                    let lead = x.len() - 2;
                    let skip = y.len() - x.len();
                    let wrap = |k: usize| if x[k] == 1 { 0 } else { index[k + skip] };
                    (0..lead).map(wrap).chain(last).collect()
                };
                let (i, j) = (index[y.len() - 2], index[y.len() - 1]);
                let k = a.shape()[a.shape().len() - 1];
                let expected: f64 = (0..k)
                    .map(|p| a.at(&own(a.shape(), [i, p])) * b.at(&own(b.shape(), [p, j])))
                    .sum();
                assert!(
                    (result.at(&index) - expected).abs() < 1e-14,
                    "{a:?} {b:?} at {index:?}"
                );
            }
        }
    }

    fn product(a: &[usize], b: &[usize]) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros(a))
                .matmul(&t.constant(Tensor::zeros(b)));
        });
    }

    #[test]
    #[should_panic(expected = "matmul: shapes [2, 3] and [4, 3] do not multiply")]
    fn inner_lengths_must_agree() {
        product(&[2, 3], &[4, 3]);
    }

    #[test]
    #[should_panic(expected = "matmul: shapes [3] and [3, 4] do not multiply")]
    fn a_vector_is_not_a_matrix() {
        product(&[3], &[3, 4]);
    }

    #[test]
    #[should_panic(expected = "matmul: shapes [2] and [3] do not broadcast")]
    fn batches_must_broadcast() {
        product(&[2, 5, 4], &[3, 4, 5]);
    }
}
