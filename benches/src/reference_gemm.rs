//! The product of `matrixmultiply`, a well-kept library in the same style as
//! [`tape::gemm`]: what ours is tested against and timed beside. The only unsafe code of
//! the workspace.

/// `out = a · b`, all row-major: `a` is `m × k`, `b` is `k × n`, `out` is `m × n`.
///
/// # Panics
/// If a slice has another length.
#[track_caller]
pub fn product(a: &[f32], b: &[f32], [m, k, n]: [usize; 3], out: &mut [f32]) {
    let needed = [m * k, k * n, m * n];
    let lengths = [a.len(), b.len(), out.len()];
    assert_eq!(
        lengths, needed,
        "a product [{m}, {k}] · [{k}, {n}] needs slices of the lengths {needed:?}, got {lengths:?}"
    );
    let stride = |columns: usize| isize::try_from(columns).expect("a slice is that long");
    // SAFETY: `sgemm` reads `a[i * k + j]` for i < m and j < k, `b[i * n + j]` for i < k and
    // j < n, and reads and writes `out[i * n + j]` for i < m and j < n. The lengths were
    // checked, so all are inside; `out` is borrowed mutably, so it overlaps neither. With
    // beta 0 nothing of `out` is used.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            stride(k),
            1,
            b.as_ptr(),
            stride(n),
            1,
            0.0,
            out.as_mut_ptr(),
            stride(n),
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use tape::gemm::{Matrix, gemm};

    use super::product;

    /// Both sum products in another order, so they agree up to the rounding of a sum of k
    /// terms: about k times the unit round-off, relative to the sum of the absolute values.
    #[test]
    fn ours_and_the_library_agree() {
        let mut rng = StdRng::seed_from_u64(3);
        for [m, k, n] in [
            [1, 1, 1],
            [3, 5, 7],
            [16, 9, 784],
            [33, 300, 65],
            [130, 257, 1030],
        ] {
            let mut draw = |len: usize| -> Vec<f32> {
                (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
            };
            let (a, b) = (draw(m * k), draw(k * n));
            let (mut ours, mut library) = (vec![0.0; m * n], vec![f32::NAN; m * n]);
            let mut sizes = vec![0.0; m * n];
            gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), 0.0, &mut ours);
            product(&a, &b, [m, k, n], &mut library);
            let abs = |x: &[f32]| x.iter().map(|x| x.abs()).collect::<Vec<f32>>();
            product(&abs(&a), &abs(&b), [m, k, n], &mut sizes);
            for ((x, y), size) in ours.iter().zip(&library).zip(&sizes) {
                let may = k as f32 * f32::EPSILON * size;
                assert!(
                    (x - y).abs() <= may,
                    "{x} and {y} in a product {m} x {k} x {n}"
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "needs slices of the lengths [6, 12, 8], got [6, 12, 7]")]
    fn the_output_must_have_the_size_of_the_product() {
        product(&[0.0; 6], &[0.0; 12], [2, 3, 4], &mut [0.0; 7]);
    }
}
