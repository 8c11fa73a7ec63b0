//! What the sums over a group add up, by the values of an index.
//!
//! A loop that leaves values out is one of thousands of hypotheses, and each changes the same few
//! sums. What these add up is taken once for each value of the index; a hypothesis then is a
//! product of two short lists, and mean, variance and the means of the backward follow from it.

use super::scene::Scene;

/// Sums over some elements of a group: of what `x` is off its own mean, of the square of that, of
/// `g`, and of `g` times what `x` is off.
type Sums = [f64; 4];

/// The sums over the elements of each group that have each value of an index, group by group.
pub(super) struct Columns<'s> {
    scene: &'s Scene<'s>,
    length: usize,
    sums: Vec<Sums>,
}

impl<'s> Columns<'s> {
    /// For an index that runs up to `length` and has a value for each element of x.
    pub fn of(scene: &'s Scene<'s>, index: &[usize], length: usize) -> Self {
        let (probe, own) = (scene.probe, &scene.own);
        let right = scene.kernel();
        let mut sums = vec![[0.0; 4]; probe.groups.count * length];
        for (k, (&group, &at)) in probe.groups.of.iter().zip(index).enumerate() {
            let (off, g) = (probe.x[k] - own.mean[group], right.g(k));
            let one = &mut sums[group * length + at];
            for (sum, term) in one.iter_mut().zip([off, off * off, g, g * off]) {
                *sum += term;
            }
        }
        Self {
            scene,
            length,
            sums,
        }
    }

    /// The sums over a group in which each value of the index is counted so often.
    pub fn counted(&self, group: usize, counts: &[f64]) -> Sums {
        let (mut even, mut odd) = ([0.0; 4], [0.0; 4]);
        let add = |to: &mut Sums, sums: &Sums, count: f64| {
            for (to, sum) in to.iter_mut().zip(sums) {
                *to += count * sum;
            }
        };
        let own = &self.sums[group * self.length..][..self.length];
        let mut pairs = own.chunks_exact(2).zip(counts.chunks_exact(2));
        for (sums, counts) in &mut pairs {
            add(&mut even, &sums[0], counts[0]);
            add(&mut odd, &sums[1], counts[1]);
        }
        if self.length % 2 == 1 {
            add(&mut even, &own[self.length - 1], counts[self.length - 1]);
        }
        [0, 1, 2, 3].map(|i| even[i] + odd[i])
    }

    /// The mean and rstd that such sums over `counted` values make, when they are divided by
    /// `divisor`.
    pub fn statistics(&self, group: usize, sums: &Sums, counted: f64, divisor: f64) -> [f64; 2] {
        let [off, squares, ..] = *sums;
        let own = self.scene.own.mean[group];
        let mean = match self.scene.probe.kind.is_centred() {
            true => (own * counted + off) / divisor,
            false => 0.0,
        };
        let shift = mean - own;
        let squares = squares - 2.0 * shift * off + shift * shift * counted;
        let var = squares.max(0.0) / divisor;
        [mean, 1.0 / (var + self.scene.probe.eps).sqrt()]
    }

    /// The means of the backward of such sums, by this mean and rstd.
    pub fn means(&self, group: usize, sums: &Sums, divisor: f64, pair: [f64; 2]) -> [f64; 2] {
        let ([mean, rstd], [_, _, g, through]) = (pair, *sums);
        let shift = mean - self.scene.own.mean[group];
        let of_g = match self.scene.probe.kind.is_centred() {
            true => g / divisor,
            false => 0.0,
        };
        [of_g, rstd * (through - shift * g) / divisor]
    }

    /// The same when nothing is left out.
    pub fn whole_means(&self, group: usize, [mean, rstd]: [f64; 2]) -> [f64; 2] {
        let own = &self.scene.own;
        let shift = mean - own.mean[group];
        let [a, b] = own.means[group];
        [a, rstd * (b / own.rstd(group) - shift * a)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::norm::execution::Asked;
    use crate::attribution::norm::layout::Norm;
    use crate::attribution::norm::probe::{Probe, Target};

    /// Held to the sums themselves, taken one value after the other.
    #[test]
    fn what_is_counted_is_what_a_loop_adds_up() {
        for norm in [
            Norm::Layer { normalized: 1 },
            Norm::Rms { normalized: 1 },
            Norm::Batch,
        ] {
            let probe = Probe::new(norm, &[7, 9], 1e-5, 3);
            let dx = probe.dx();
            let scene = Scene::new(Asked {
                probe: &probe,
                target: Target::Dx,
                candidate: &dx,
                precision: 1e-10,
                first: 0,
            });
            let m = probe.groups.size();
            let place = scene.positions();
            let columns = Columns::of(&scene, &place, m);
            let counts: Vec<f64> = (0..m).map(|i| [1.0, 0.0, 2.0][i * i % 3]).collect();
            let counted: f64 = counts.iter().sum();
            for divisor in [m as f64, counted] {
                for group in 0..probe.groups.count {
                    let over = |term: &dyn Fn(usize) -> f64| -> f64 {
                        let each = scene.groups[group].iter();
                        each.map(|&k| counts[place[k]] * term(k)).sum::<f64>() / divisor
                    };
                    let centred = probe.kind.is_centred();
                    let g = |k: usize| probe.gamma_at(k) * probe.dy[k];
                    let mean = if centred { over(&|k| probe.x[k]) } else { 0.0 };
                    let var = over(&|k| (probe.x[k] - mean).powi(2));
                    let rstd = 1.0 / (var + probe.eps).sqrt();
                    let a = if centred { over(&g) } else { 0.0 };
                    let b = over(&|k| g(k) * (probe.x[k] - mean) * rstd);
                    let all = |term: &dyn Fn(usize) -> f64| scene.mean(group, term);
                    let whole = all(&|k| g(k) * (probe.x[k] - mean) * rstd);
                    let sums = columns.counted(group, &counts);
                    let pair = columns.statistics(group, &sums, counted, divisor);
                    let means = columns.means(group, &sums, divisor, pair);
                    let [own, through] = columns.whole_means(group, pair);
                    for (found, right) in [
                        (pair[0], mean),
                        (pair[1], rstd),
                        (means[0], a),
                        (means[1], b),
                        (own, scene.own.means[group][0]),
                        (through, whole),
                    ] {
                        let size = 1.0 + right.abs();
                        assert!((found - right).abs() < 1e-12 * size, "{found} {right}");
                    }
                }
            }
        }
    }
}
