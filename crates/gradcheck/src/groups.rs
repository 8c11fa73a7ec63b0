//! Which elements are normalized together.

use serde::Serialize;

/// A partition of the elements of an array into groups of equal size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Groups {
    /// The group of each element, row-major.
    pub of: Vec<usize>,
    /// How many groups there are.
    pub count: usize,
}

impl Groups {
    /// Elements that differ only in their index along `axes` share a group; groups are
    /// numbered row-major along the axes that remain.
    ///
    /// # Panics
    /// When an axis does not exist, or no memory could hold the array.
    #[track_caller]
    pub fn over(shape: &[usize], axes: &[usize]) -> Self {
        for axis in axes {
            assert!(
                *axis < shape.len(),
                "gradcheck: axis {axis} of shape {shape:?} does not exist; it has {} axes, \
                 counted from 0",
                shape.len()
            );
        }
        let total = tape::elements(shape);
        // How much further the number of the group is for one step along each axis.
        let mut strides = vec![0; shape.len()];
        let mut stride = 1;
        for (axis, &d) in shape.iter().enumerate().rev() {
            if !axes.contains(&axis) {
                strides[axis] = stride;
                stride *= d;
            }
        }
        let mut of = Vec::with_capacity(total);
        of.push(0);
        // What one step along an axis makes of all that lies behind it, the last axis first.
        for (&d, &stride) in shape.iter().zip(&strides).rev() {
            let behind = of.len();
            for step in 1..d {
                of.extend_from_within(..behind);
                of[step * behind..]
                    .iter_mut()
                    .for_each(|group| *group += step * stride);
            }
        }
        of.truncate(total);
        let kept = |(axis, d): (usize, &usize)| if axes.contains(&axis) { 1 } else { *d };
        let count = shape.iter().enumerate().map(kept).product();
        Self { of, count }
    }

    /// Values in each group.
    pub fn size(&self) -> usize {
        self.of.len() / self.count.max(1)
    }

    /// The elements of each group, in order.
    pub(crate) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        for (k, &group) in self.of.iter().enumerate() {
            members[group].push(k);
        }
        members
    }

    /// The sum over each group.
    pub fn sums(&self, values: &[f64]) -> Vec<f64> {
        self.sums_of(|k| values[k])
    }

    /// The sum over each group of what each element has, by its number.
    pub fn sums_of(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.count];
        for (k, &group) in self.of.iter().enumerate() {
            sums[group] += value(k);
        }
        sums
    }

    /// The mean over each group of what each element has, by its number.
    pub(crate) fn means_of(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let (mut sums, size) = (self.sums_of(value), self.size() as f64);
        sums.iter_mut().for_each(|sum| *sum /= size);
        sums
    }

    /// For each element, the mean over its group.
    pub fn means(&self, values: &[f64]) -> Vec<f64> {
        let (sums, size) = (self.sums(values), self.size() as f64);
        self.of.iter().map(|&group| sums[group] / size).collect()
    }

    /// The first group over which `values` does not vary.
    pub(crate) fn constant(&self, values: &[f64]) -> Option<usize> {
        let mut first = vec![None; self.count];
        let mut varies = vec![false; self.count];
        for (&group, v) in self.of.iter().zip(values) {
            varies[group] |= *first[group].get_or_insert(v) != v;
        }
        varies.iter().position(|v| !v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_batch_norm_and_rows_of_a_layer_norm() {
        // [N, C, L] = [2, 3, 2], over N and L.
        let channels = Groups::over(&[2, 3, 2], &[0, 2]);
        assert_eq!(channels.of, [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert_eq!((channels.count, channels.size()), (3, 4));
        // [B, T, D] = [2, 2, 3], over D.
        let rows = Groups::over(&[2, 2, 3], &[2]);
        assert_eq!(rows.of, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!((rows.count, rows.size()), (4, 3));
        let all = Groups::over(&[2, 3], &[0, 1]);
        assert_eq!((all.of, all.count), (vec![0; 6], 1));
    }

    #[test]
    fn means_belong_to_their_group() {
        let columns = Groups::over(&[2, 2], &[0]);
        assert_eq!(
            columns.means(&[1.0, 10.0, 3.0, 30.0]),
            [2.0, 20.0, 2.0, 20.0]
        );
        assert_eq!(columns.constant(&[1.0, 5.0, 2.0, 5.0]), Some(1));
        assert_eq!(columns.constant(&[1.0, 5.0, 2.0, 6.0]), None);
    }

    #[test]
    #[should_panic(expected = "axis 2 of shape [2, 3] does not exist")]
    fn a_missing_axis_is_refused() {
        Groups::over(&[2, 3], &[2]);
    }
}
