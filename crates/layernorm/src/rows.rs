//! Shapes: an input seen as rows, and what is refused.

use tape::{Shape, elements};

/// The number of rows when the trailing axes of `x` are one row of shape `normalized`.
///
/// # Panics
/// If `normalized` has no axis or no element, or is not how `x` ends.
#[track_caller]
pub(crate) fn count(op: &str, x: &Shape, normalized: &Shape) -> usize {
    check_normalized(op, normalized);
    let axes = normalized.len();
    assert!(
        x.ends_with(normalized),
        "{op}: x has shape {x}, but the normalized shape is {normalized}, and x must end in \
         it; move the features to the last {}, or normalize over a shape that x ends in",
        if axes == 1 {
            "axis".to_owned()
        } else {
            format!("{axes} axes")
        }
    );
    x[..x.len() - axes].iter().product()
}

/// The axes of `x` that `normalized` covers; panics like [`count`].
#[track_caller]
pub(crate) fn trailing_axes(op: &str, x: &Shape, normalized: &Shape) -> Vec<usize> {
    count(op, x, normalized);
    (x.len() - normalized.len()..x.len()).collect()
}

/// Panics unless `normalized` has at least one axis and at least one element.
#[track_caller]
pub(crate) fn check_normalized(op: &str, normalized: &Shape) {
    assert!(
        normalized.count() > 0 && !normalized.is_empty(),
        "{op}: normalized shape {normalized} holds no features to average over; \
         name at least one trailing axis, each of length 1 or more"
    );
}

/// The elements of `rows` rows of `d` features.
///
/// # Panics
/// If a row has no feature, or no memory could hold the rows.
#[track_caller]
pub(crate) fn whole(kernel: &str, rows: usize, d: usize) -> usize {
    assert!(
        d > 0,
        "{kernel}: gamma has no element, but a row needs at least one feature"
    );
    elements(&[rows, d])
}

/// Panics unless every slice a kernel was given has the length its rows need.
#[track_caller]
pub(crate) fn check_lengths(kernel: &str, slices: &[(&str, usize, usize)]) {
    for (name, length, expected) in slices {
        assert!(
            length == expected,
            "{kernel}: {name} has {length} elements, but {expected} are needed; \
             gamma gives the features of a row, what is kept of each row their number"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_the_leading_axes_count() {
        let cases: [(&[usize], &[usize], usize); 4] = [
            (&[4, 3, 5], &[5], 12),
            (&[4, 3, 5], &[3, 5], 4),
            (&[4, 3, 5], &[4, 3, 5], 1),
            (&[0, 5], &[5], 0),
        ];
        for (x, normalized, rows) in cases {
            assert_eq!(count("test", &x.into(), &normalized.into()), rows);
        }
    }

    #[test]
    fn trailing_axes_are_the_last_ones() {
        let (x, normalized) = (Shape::new(&[4, 3, 5]), Shape::new(&[3, 5]));
        assert_eq!(trailing_axes("test", &x, &normalized), [1, 2]);
    }

    #[test]
    #[should_panic(expected = "x has shape [5], but the normalized shape is [3, 5]")]
    fn a_row_does_not_exceed_the_input() {
        count("test", &Shape::new(&[5]), &Shape::new(&[3, 5]));
    }
}
