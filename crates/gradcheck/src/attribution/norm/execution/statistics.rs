//! Statistics that are computed in a wrong way, the same in each group.

use super::kernel::{Kernel, Pair, Read};
use super::low::{FORMATS, rounded, unit};
use super::moved::right_x_hat;
use super::scene::{Evidence, Scene};
use crate::attribution::norm::probe::Target;
use std::rc::Rc;

/// Values of eps in use.
const EPS: [f64; 7] = [1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3];
/// Steps of Newton's method for an eps that nobody uses.
const STEPS: usize = 12;

impl Scene<'_> {
    /// A kernel by these statistics, which are computed from the right ones of a group.
    fn by(&self, of: impl Fn(usize) -> [f64; 2]) -> Kernel<'_> {
        let all: Vec<[f64; 2]> = (0..self.groups.len()).map(of).collect();
        let statistics = self.each_group(move |group| all[group]);
        self.kernel().with_statistics(statistics)
    }

    fn with_eps(&self, eps: f64) -> Kernel<'_> {
        self.by(|group| {
            [
                self.own.mean[group],
                1.0 / (self.own.var[group] + eps).sqrt(),
            ]
        })
    }

    /// Another eps: one that others use, added twice, or whichever comes closest.
    pub fn another_eps(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let right = self.probe.eps;
        let told = |what: String| {
            move || {
                (
                    "another-eps".to_owned(),
                    format!("eps {what}, where it must be {right:e}"),
                )
            }
        };
        let twice = ("another-eps".to_owned(), "eps is added twice".to_owned());
        let made = self.run(&self.with_eps(2.0 * right));
        self.propose(Evidence::GROUPS, made, || twice);
        // A constant that went through a type of fewer bits.
        let in_f32 = f64::from(right as f32);
        if in_f32 != right {
            let made = self.run(&self.with_eps(in_f32));
            let what = format!("is {in_f32:e}, which is {right:e} as f32 holds it");
            self.propose(Evidence::GROUPS, made, told(what));
        }
        for eps in EPS
            .into_iter()
            .filter(|eps| (eps - right).abs() > 1e-3 * right)
        {
            let made = self.run(&self.with_eps(eps));
            self.propose(Evidence::GROUPS, made, told(format!("is {eps:e}")));
        }
        // One that people use is likelier than one beside it.
        if self.has_found() {
            return;
        }
        let near = |eps: &f64| (1e-3..1e3).contains(&(eps / right));
        if let Some(eps) = self.nearest_eps().filter(near) {
            let made = self.run(&self.with_eps(eps));
            let evidence = Evidence::GROUPS.fitted(1);
            self.propose(evidence, made, told(format!("is about {eps:.3e}")));
        }
    }

    /// By Newton's method on the squared error.
    fn nearest_eps(&self) -> Option<f64> {
        let mut eps = self.probe.eps;
        for _ in 0..STEPS {
            let made = self.all(&self.with_eps(eps));
            let step = 1e-4 * eps + f64::MIN_POSITIVE;
            let further = self.all(&self.with_eps(eps + step));
            let slopes = further.iter().zip(&made).map(|(f, m)| (f - m) / step);
            let (mut along, mut square) = (0.0, 0.0);
            for ((slope, made), found) in slopes.zip(&made).zip(self.candidate) {
                along += slope * (found - made);
                square += slope * slope;
            }
            // Never below zero, and not all the way there at once.
            eps = (eps + along / square).max(0.1 * eps);
        }
        (eps.is_finite() && eps > 0.0).then_some(eps)
    }

    /// Zeros beyond the end of a group that are counted as values.
    pub fn padded(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let (eps, m) = (self.probe.eps, self.probe.groups.size() as f64);
        let size = self.probe.groups.size();
        let fill = |block: usize| (size / block + 1) * block - size;
        let mut pads: Vec<usize> = (1..=8).collect();
        pads.extend(
            (3..=12)
                .map(|p| fill(1 << p))
                .filter(|&pad| pad <= 2 * size + 8),
        );
        pads.sort_unstable();
        pads.dedup();
        for pad in pads {
            let all = m + pad as f64;
            let rstd = |var: f64| 1.0 / (var + eps).sqrt();
            // The mean over all; what is squared about it are the values, or the zeros too.
            let moved = |group: usize, zeros: f64| {
                let own = self.own.mean[group];
                let mean = own * m / all;
                let squares = m * (self.own.var[group] + (own - mean).powi(2));
                [mean, rstd((squares + zeros * mean * mean) / all)]
            };
            let divided = self.by(|group| moved(group, 0.0));
            let counted = self.by(|group| moved(group, pad as f64));
            let in_variance = self.by(|group| {
                let mean = self.own.mean[group];
                [
                    mean,
                    rstd(self.own.var[group] + pad as f64 * mean * mean / m),
                ]
            });
            let zeros = if pad == 1 { "zero" } else { "zeros" };
            let (id, sentence) = (
                "padding-counted",
                format!(
                    "{pad} {zeros} beyond the end of each {} are counted as values, in the mean \
                     and in the variance",
                    self.probe.kind.group()
                ),
            );
            let divide = format!("is divided by {all}, where there are {m} values");
            for (id, sentence, kernel) in [
                (
                    "padding-divided",
                    format!("each sum of the statistics {divide}"),
                    divided,
                ),
                (id, sentence, counted),
                (
                    "padding-in-variance",
                    format!(
                        "the variance takes in {pad} {zeros} beyond the end, as far from the mean \
                         as zero is: mask x - mean, not x alone"
                    ),
                    in_variance,
                ),
            ] {
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    (id.to_owned(), sentence)
                });
            }
            if self.target == Target::Dx {
                let share = m / all;
                let means = self.each_group(move |g| self.own.means[g].map(|mean| mean * share));
                let kernel = self.kernel().with_means(means);
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    let sentence = format!("each sum of the backward {divide}");
                    ("padding-divided".to_owned(), sentence)
                });
            }
        }
    }

    /// Inputs or statistics that were rounded on their way.
    pub fn rounded_on_the_way(&self) {
        let right = self.kernel();
        for (name, bits) in FORMATS {
            // Less than what the candidate may be off is not seen.
            if unit(bits) < self.precision {
                continue;
            }
            let own = |mean: bool, rstd: bool| {
                self.by(|group| {
                    let pair = self.own.pair(group);
                    let low = pair.map(|v| rounded(v, bits));
                    [
                        if mean { low[0] } else { pair[0] },
                        if rstd { low[1] } else { pair[1] },
                    ]
                })
            };
            let x = right.clone().with_x(in_format(&right.x, bits));
            let anew = self.statistics_of(&x.x);
            let (gamma, beta) = (in_format(&right.gamma, bits), in_format(&right.beta, bits));
            let x_hat: Read<'_> = {
                let right = right.clone();
                Rc::new(move |k| right.x_hat(k))
            };
            let x_hat = right_x_hat(&right, in_format(&x_hat, bits));
            let g: Read<'_> = {
                let right = right.clone();
                Rc::new(move |k| rounded(right.g(k), bits) / (right.gamma)(k))
            };
            for (id, what, kernel) in [
                ("x", "x is", x.clone().with_statistics(anew)),
                ("x", "x is, after its statistics were taken,", x),
                (
                    "dy",
                    "dy is",
                    right.clone().with_dy(in_format(&right.dy, bits)),
                ),
                (
                    "gamma",
                    "gamma is",
                    right
                        .clone()
                        .with_parameters(gamma.clone(), right.beta.clone()),
                ),
                (
                    "gamma-and-beta",
                    "gamma and beta are",
                    right.clone().with_parameters(gamma, beta),
                ),
                ("x-hat", "x_hat is", x_hat),
                ("g", "gamma * dy is", right.clone().with_dy(g)),
                ("statistics", "mean and rstd are", own(true, true)),
                ("statistics", "rstd is", own(false, true)),
                ("statistics", "the mean is", own(true, false)),
            ] {
                self.propose(Evidence::ELEMENTS, self.run(&kernel), || {
                    let sentence =
                        format!("{what} rounded to {name} on the way, and all else is right");
                    (format!("{id}-in-{name}"), sentence)
                });
            }
        }
    }

    /// Means and variances of two parts of a group, put together in a wrong way.
    pub fn merged(&self) {
        if self.target == Target::Dbeta || !self.probe.kind.is_centred() {
            return;
        }
        let (eps, m) = (self.probe.eps, self.probe.groups.size());
        for split in self.splits() {
            let of = |group: usize, own_mean: bool, between: bool| {
                let (a, b) = self.groups[group].split_at(split);
                let moments = |part: &[usize]| {
                    let n = part.len() as f64;
                    let mean = part.iter().map(|&k| self.probe.x[k]).sum::<f64>() / n;
                    let off = part.iter().map(|&k| (self.probe.x[k] - mean).powi(2));
                    (n, mean, off.sum::<f64>())
                };
                let ((n, mean, squares), (n2, mean2, squares2)) = (moments(a), moments(b));
                let apart = (mean - mean2).powi(2) * n * n2 / (n + n2);
                let all = squares + squares2 + if between { apart } else { 0.0 };
                let mean = match own_mean {
                    true => self.own.mean[group],
                    false => 0.5 * (mean + mean2),
                };
                [mean, 1.0 / (all / m as f64 + eps).sqrt()]
            };
            for (what, own_mean, between) in [
                (
                    "their means are averaged, though they are of different length",
                    false,
                    true,
                ),
                (
                    "the square of the distance between their means is left out",
                    true,
                    false,
                ),
                ("their means and variances are averaged", false, false),
            ] {
                let made = self.run(&self.by(|group| of(group, own_mean, between)));
                self.propose(Evidence::GROUPS, made, || {
                    let sentence = format!(
                        "the statistics of the first {split} values and of the rest are put \
                         together in a wrong way: {what}"
                    );
                    ("parts-merged".to_owned(), sentence)
                });
            }
        }
    }

    /// The place of each element in its group.
    pub fn positions(&self) -> Vec<usize> {
        let mut position = vec![0; self.probe.x.len()];
        for group in &self.groups {
            group.iter().enumerate().for_each(|(j, &k)| position[k] = j);
        }
        position
    }

    /// Where a group may be split in two.
    pub fn splits(&self) -> Vec<usize> {
        let m = self.probe.groups.size();
        let powers = (0..20).map(|p| 1 << p).filter(|&b| b < m);
        let mut all: Vec<usize> = powers.chain([m / 2, m.div_ceil(2)]).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|split| (1..m).contains(split));
        all
    }

    /// Values of one group that are normalized by different statistics: each part of a loop has
    /// its own, or one of them has none.
    pub fn parts_apart(&self) {
        if self.target == Target::Dbeta {
            return;
        }
        let position = self.positions();
        let m = self.probe.groups.size();
        type Part = Box<dyn Fn(usize) -> usize>;
        let mut ways: Vec<(String, usize, Part)> = Vec::new();
        for split in self.splits() {
            let told = format!("the first {split} values and the rest");
            ways.push((told, 2, Box::new(move |j| usize::from(j >= split))));
        }
        for count in [2, 4, 8].into_iter().filter(|&count| count < m) {
            let told = format!("every {count} values, by their number modulo {count},");
            ways.push((told, count, Box::new(move |j| j % count)));
            let size = m.div_ceil(count);
            let told = format!("each block of {size} values");
            ways.push((told, m.div_ceil(size), Box::new(move |j| j / size)));
        }
        for (told, count, part) in &ways {
            let of = |k: usize| part(position[k]);
            self.own_statistics(told, *count, &of);
            if *count == 2 {
                for one in [0, 1] {
                    let which = if one == 0 { "first" } else { "second" };
                    self.without(&format!("{which} of {told}"), &|k| of(k) == one);
                }
            }
        }
    }

    /// Each part of a group normalized by its own statistics.
    fn own_statistics(&self, told: &str, count: usize, part: &dyn Fn(usize) -> usize) {
        let (probe, right) = (self.probe, self.kernel());
        let m = probe.groups.size() as f64;
        // For each group and part: how many, their mean, the mean square about it, and about
        // the mean of the group.
        let mut sums = vec![[0.0; 2]; self.groups.len() * count];
        let at = |k: usize| probe.groups.of[k] * count + part(k);
        for k in 0..probe.x.len() {
            sums[at(k)][0] += 1.0;
            sums[at(k)][1] += probe.x[k];
        }
        let mean = |k: usize| match probe.kind.is_centred() {
            true => sums[at(k)][1] / sums[at(k)][0],
            false => 0.0,
        };
        let mut squares = vec![[0.0; 2]; sums.len()];
        for k in 0..probe.x.len() {
            squares[at(k)][0] += (probe.x[k] - mean(k)).powi(2);
            squares[at(k)][1] += (probe.x[k] - self.own.mean[probe.groups.of[k]]).powi(2);
        }
        for (what, by_own) in [("mean and variance", true), ("variance", false)] {
            for by_counted in [true, false] {
                let statistics: Pair<'_> = Rc::new(|k| {
                    let divisor = if by_counted { sums[at(k)][0] } else { m };
                    let own = self.own.mean[probe.groups.of[k]];
                    let (mean, var) = match by_own {
                        true => (mean(k), squares[at(k)][0] / divisor),
                        false => (own, squares[at(k)][1] / divisor),
                    };
                    [mean, 1.0 / (var + probe.eps).sqrt()]
                });
                let kernel = right.clone().with_statistics(statistics);
                self.propose(Evidence::GROUPS, self.run(&kernel), || {
                    let sentence = format!(
                        "{told} have a {what} of their own: what each part found is not put \
                         together"
                    );
                    ("parts-apart".to_owned(), sentence)
                });
            }
        }
    }

    /// One part of a group that has not got what the others have.
    fn without(&self, told: &str, is: &dyn Fn(usize) -> bool) {
        let right = self.kernel();
        let own = right.statistics.clone();
        let mean: Pair<'_> = Rc::new(|k| {
            let [mean, rstd] = own(k);
            [if is(k) { 0.0 } else { mean }, rstd]
        });
        let mut all = vec![("mean", right.clone().with_statistics(mean))];
        let of = &self.probe.groups.of;
        if self.target == Target::Dx {
            for (what, which) in [
                ("means of the backward", [true, true]),
                ("mean of g", [true, false]),
                ("mean of g * x_hat", [false, true]),
            ] {
                let means: Pair<'_> = Rc::new(move |k| {
                    let own = self.own.means[of[k]];
                    [0, 1].map(|i| if which[i] && is(k) { 0.0 } else { own[i] })
                });
                all.push((what, right.clone().with_means(means)));
            }
        }
        for (what, kernel) in all {
            self.propose(Evidence::GROUPS, self.run(&kernel), || {
                let sentence =
                    format!("the {told} have zero for the {what}: it has not reached them");
                ("not-broadcast".to_owned(), sentence)
            });
        }
    }

    /// The right formula, with another number where rstd or gamma belongs.
    pub fn saved_another(&self) {
        type Instead = fn(f64, f64) -> f64;
        let instead: [(&str, &str, Instead); 5] = [
            (
                "variance-for-rstd",
                "the variance, without eps,",
                |r, eps| r.powi(-2) - eps,
            ),
            (
                "variance-for-rstd",
                "the variance, with eps in it,",
                |r, _| r.powi(-2),
            ),
            ("deviation-for-rstd", "the standard deviation", |r, _| {
                r.recip()
            }),
            ("square-for-rstd", "the square of rstd", |r, _| r.powi(2)),
            (
                "root-of-rstd",
                "1/sqrt(rstd + eps), a root that was taken before,",
                |r, eps| (r + eps).sqrt().recip(),
            ),
        ];
        for (id, name, instead) in instead {
            let made = self.run(&self.by(|group| {
                let [mean, rstd] = self.own.pair(group);
                [mean, instead(rstd, self.probe.eps)]
            }));
            self.propose(Evidence::GROUPS, made, || {
                let sentence = format!("{name} stands wherever rstd belongs, in x_hat too");
                (id.to_owned(), sentence)
            });
        }
        let right = self.kernel();
        if !self.probe.kind.is_centred() {
            let mean = |group: usize| self.mean(group, &|k| self.probe.x[k]);
            let made = self.run(&self.by(|group| [mean(group), self.own.rstd(group)]));
            self.propose(Evidence::GROUPS, made, || {
                let sentence = "the mean is subtracted from x, though the mean square is that of x \
                                itself: RMS Norm must not subtract it";
                ("mean-subtracted".to_owned(), sentence.to_owned())
            });
        }
        if !self.is_spread() {
            return;
        }
        let gamma = right.gamma.clone();
        let plus: Read<'_> = Rc::new(move |k| 1.0 + gamma(k));
        let plus = right.clone().with_parameters(plus, right.beta.clone());
        self.propose(Evidence::PARAMETERS, self.run(&plus), || {
            let sentence = "1 + gamma stands where gamma belongs: what is stored may be gamma - 1";
            ("gamma-plus-one".to_owned(), sentence.to_owned())
        });
        let beta = right
            .clone()
            .with_parameters(right.beta.clone(), right.gamma.clone());
        self.propose(Evidence::PARAMETERS, self.run(&beta), || {
            let sentence = "beta is read where gamma belongs";
            ("beta-for-gamma".to_owned(), sentence.to_owned())
        });
    }
}

/// What is read, rounded to so many bits.
fn in_format<'a>(of: &Read<'a>, bits: u32) -> Read<'a> {
    let of = of.clone();
    Rc::new(move |k| rounded(of(k), bits))
}
