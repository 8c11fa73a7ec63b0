//! Another number of groups in Group Norm.

use super::kernel::Pair;
use super::scene::{Evidence, Scene};
use crate::attribution::norm::layout::Kind;
use crate::attribution::norm::probe::Target;
use crate::groups::Groups;
use std::rc::Rc;

impl Scene<'_> {
    /// The right formula, with the channels of an example in another number of groups. That each
    /// channel or the whole example is one group is a mistake in the formula.
    pub fn regrouped(&self) {
        let probe = self.probe;
        if probe.kind != Kind::Group || self.target == Target::Dbeta {
            return;
        }
        let (examples, channels) = (probe.shape[0], probe.shape[1]);
        let own = probe.groups.count / examples;
        for count in (2..channels).filter(|&n| channels.is_multiple_of(n) && n != own) {
            let apart = [&[examples, count, channels / count], &probe.shape[2..]].concat();
            let within: Vec<usize> = (2..apart.len()).collect();
            let groups = Groups::over(&apart, &within);
            let right = self.kernel();
            let mean = groups.means_of(|k| (right.x)(k));
            let var = groups.means_of(|k| ((right.x)(k) - mean[groups.of[k]]).powi(2));
            let pair = |k: usize| {
                let group = groups.of[k];
                [mean[group], 1.0 / (var[group] + probe.eps).sqrt()]
            };
            let statistics: Pair<'_> = Rc::new(pair);
            let kernel = right.with_statistics(statistics);
            let a = groups.means_of(|k| kernel.g(k));
            let b = groups.means_of(|k| kernel.g(k) * kernel.x_hat(k));
            let means: Pair<'_> = Rc::new(|k| [a[groups.of[k]], b[groups.of[k]]]);
            let kernel = kernel.with_means(means);
            self.propose(Evidence::GROUPS, self.run(&kernel), || {
                let sentence = format!("the channels are in {count} groups, and must be in {own}");
                ("another-number-of-groups".to_owned(), sentence)
            });
        }
    }
}
