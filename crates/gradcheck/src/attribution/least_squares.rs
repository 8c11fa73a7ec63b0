//! Least squares for a handful of columns, by Gram and Schmidt.
//!
//! Finds the coefficients `c` for which `sum c_j * column_j` comes closest to `b`.
//! The columns are made orthogonal one after the other, `b` last: what then remains of
//! `b` is the residual, and the coefficients follow by back substitution. This modified
//! form, which projects what is left and not the original column, is as accurate as
//! Householder's (Björck, "Solving linear least squares problems by Gram-Schmidt
//! orthogonalization", 1967).

/// A column that keeps less than this share of itself depends on those before it.
const DEPENDENT: f64 = 1e-9;

/// The best combination of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// One coefficient for each column.
    pub coefficients: Vec<f64>,
    /// The length of `b - sum c_j * column_j` as a share of the length of `b`.
    pub residual: f64,
}

/// Fits `b` by a combination of `columns`, each as long as `b`.
///
/// `None` when `b` is zero, or when a column is a combination of the others, so that
/// the coefficients are not determined.
pub fn least_squares(columns: &[&[f64]], b: &[f64]) -> Option<Fit> {
    let (size, count, length) = (norm(b), columns.len(), b.len());
    let mut q = columns.concat();
    let mut rest = b.to_vec();
    // Row `j` has what the later columns hold of column `j`, and at its end what `b` does.
    let mut r = vec![0.0; count * (count + 1)];
    for (j, row) in r.chunks_exact_mut(count + 1).enumerate() {
        let (unit, later) = q[j * length..].split_at_mut(length);
        let left = norm(unit);
        if size == 0.0 || left <= DEPENDENT * norm(columns[j]) {
            return None;
        }
        for v in unit.iter_mut() {
            *v /= left;
        }
        row[j] = left;
        for (along, column) in row[j + 1..].iter_mut().zip(later.chunks_exact_mut(length)) {
            *along = project_out(unit, column);
        }
        row[count] = project_out(unit, &mut rest);
    }
    let mut coefficients = vec![0.0; count];
    for (j, row) in r.chunks_exact(count + 1).enumerate().rev() {
        let known: f64 = (j + 1..count).map(|k| row[k] * coefficients[k]).sum();
        coefficients[j] = (row[count] - known) / row[j];
    }
    let residual = norm(&rest) / size;
    Some(Fit {
        coefficients,
        residual,
    })
}

/// Takes the part along `unit` out of `v`, and returns how much that was.
fn project_out(unit: &[f64], v: &mut [f64]) -> f64 {
    let along: f64 = unit.iter().zip(v.iter()).map(|(u, v)| u * v).sum();
    for (v, u) in v.iter_mut().zip(unit) {
        *v -= along * u;
    }
    along
}

/// The Euclidean length.
pub(crate) fn norm(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_the_coefficients_of_a_combination() {
        let a = [1.0, 2.0, -1.0, 0.5];
        let b = [0.0, 1.0, 3.0, -2.0];
        let y: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 3.0 * a - 0.25 * b).collect();
        let fit = least_squares(&[&a, &b], &y).unwrap();
        assert!((fit.coefficients[0] - 3.0).abs() < 1e-15, "{fit:?}");
        assert!((fit.coefficients[1] + 0.25).abs() < 1e-15, "{fit:?}");
        assert!(fit.residual < 1e-15, "{fit:?}");
    }

    #[test]
    fn the_residual_is_the_share_that_no_combination_reaches() {
        // b = 3 along the column and 4 across it.
        let fit = least_squares(&[&[2.0, 0.0]], &[3.0, 4.0]).unwrap();
        assert_eq!(fit.coefficients, [1.5]);
        assert!((fit.residual - 0.8).abs() < 1e-15, "{fit:?}");
    }

    #[test]
    fn dependent_columns_and_a_zero_target_have_no_fit() {
        let (a, twice) = ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]);
        assert_eq!(least_squares(&[&a, &twice], &[1.0, 0.0, 0.0]), None);
        assert_eq!(least_squares(&[&a], &[0.0; 3]), None);
        assert_eq!(least_squares(&[&[0.0; 3]], &a), None);
    }

    #[test]
    fn columns_of_very_different_size_and_nearly_parallel_are_told_apart() {
        let a = [1.0, 1.0, 1.0, 1.0];
        let b = [1e6, 1e6 + 1.0, 1e6, 1e6 - 1.0];
        let y: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 2.0 * a + 5.0 * b).collect();
        let fit = least_squares(&[&a, &b], &y).unwrap();
        assert!((fit.coefficients[1] - 5.0).abs() < 1e-8, "{fit:?}");
        assert!((fit.coefficients[0] - 2.0).abs() < 1e-2, "{fit:?}");
    }
}
