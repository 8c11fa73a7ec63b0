//! What counting alone predicts: the loss of a model that looks at the last few tokens, and knows
//! how often each token came after them.
//!
//! A network that does no better than this has learned no more than to count.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use chart::{Chart, Ink, Spread};

/// The losses `L` of a model that counts how often each token came after so many others.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted<L> {
    looks_back: usize,
    #[serde(flatten)]
    pub(crate) losses: L,
}

impl<L> Counted<L> {
    /// The most tokens that a model looks back at.
    pub(crate) const MOST: usize = 3;

    /// Of all models, from that which looks back at no token on.
    pub(crate) fn each(losses: impl Fn(usize) -> L) -> Vec<Self> {
        let counted = |looks_back| Counted {
            looks_back,
            losses: losses(looks_back),
        };
        (0..=Self::MOST).map(counted).collect()
    }

    /// The chart with a level line for each of the first `names`.
    pub(crate) fn levels(
        counts: &[Self],
        names: &[&str],
        chart: Chart,
        loss: impl Fn(&L) -> f64,
    ) -> Chart {
        names
            .iter()
            .zip(counts)
            .fold(chart, |chart, (name, count)| {
                chart.level(*name, Ink::Theory, Spread::exactly(loss(&count.losses)))
            })
    }

    /// The losses, as a text has them.
    pub(crate) fn told(counts: &[Self], loss: impl Fn(&L) -> f64) -> Vec<String> {
        let of = |count: &Self| format!("{:.3}", loss(&count.losses));
        counts.iter().map(of).collect()
    }
}

/// How often each token came after the last few, for every number of them up to some order.
///
/// Counts of long contexts are few, so each is mixed with those of the context that is shorter by
/// a token, by the rule of Witten and Bell (IEEE Transactions on Information Theory 37, 1991):
/// `p(w | h) = (count(h w) + kinds(h) p(w | shorter h)) / (count(h) + kinds(h))`, where `kinds(h)`
/// is how many different tokens came after `h`. Below the shortest, all tokens are equally likely.
/// The rule has no parameter that would have to be tuned.
pub(crate) struct Counts {
    tokens: usize,
    /// What came after each context: by its tokens.
    after: HashMap<Vec<usize>, HashMap<usize, usize>>,
}

impl Counts {
    /// Of these sequences, for contexts of fewer than `order` tokens, of an alphabet of `tokens`.
    /// The first `given` tokens of a sequence are context alone.
    pub(crate) fn of<'a>(
        sequences: impl IntoIterator<Item = &'a [usize]>,
        order: usize,
        tokens: usize,
        given: usize,
    ) -> Self {
        let mut after: HashMap<Vec<usize>, HashMap<usize, usize>> = HashMap::new();
        for sequence in sequences {
            for at in given..sequence.len() {
                for length in 0..order.min(at + 1) {
                    let context = sequence[at - length..at].to_vec();
                    *after
                        .entry(context)
                        .or_default()
                        .entry(sequence[at])
                        .or_default() += 1;
                }
            }
        }
        Counts { tokens, after }
    }

    /// The probability of a token behind these, of which the last `order - 1` count.
    fn probability(&self, context: &[usize], token: usize, order: usize) -> f64 {
        (0..order.min(context.len() + 1)).fold(1.0 / self.tokens as f64, |shorter, length| {
            let seen = &context[context.len() - length..];
            let Some(after) = self.after.get(seen) else {
                return shorter;
            };
            let count: usize = after.values().sum();
            let kinds = after.len() as f64;
            let of_token = after.get(&token).copied().unwrap_or(0) as f64;
            (of_token + kinds * shorter) / (count as f64 + kinds)
        })
    }

    /// The mean loss in nats over all tokens of these sequences but the first `given` of each,
    /// where the last `order - 1` tokens are looked at.
    pub(crate) fn loss<'a>(
        &self,
        sequences: impl IntoIterator<Item = &'a [usize]>,
        order: usize,
        given: usize,
    ) -> f64 {
        let (mut total, mut count) = (0.0, 0.0);
        for sequence in sequences {
            for at in given..sequence.len() {
                total -= libm::log(self.probability(&sequence[..at], sequence[at], order));
                count += 1.0;
            }
        }
        total / count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_rule_and_sum_to_1() {
        // After 0 came 1 twice and 0 once; 1 came three times of five, 0 twice.
        let text = [0, 1, 0, 0, 1, 1];
        let counts = Counts::of([&text[..]], 2, 3, 1);
        let one = (3.0 + 2.0 / 3.0) / (5.0 + 2.0);
        assert!((counts.probability(&[], 1, 1) - one).abs() < 1e-15);
        let after_0 = (2.0 + 2.0 * one) / (3.0 + 2.0);
        assert!((counts.probability(&[1, 0], 1, 2) - after_0).abs() < 1e-15);
        for context in [&[][..], &[0], &[1], &[2], &[2, 0]] {
            for order in 1..4 {
                let all = (0..3).map(|token| counts.probability(context, token, order));
                assert!((all.sum::<f64>() - 1.0).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn what_repeats_is_foretold_by_long_contexts() {
        let text: Vec<usize> = (0..300).map(|i| [0, 0, 1][i % 3]).collect();
        let counts = Counts::of([&text[..]], 3, 2, 1);
        let losses = [1, 2, 3].map(|order| counts.loss([&text[..]], order, 1));
        // Thirds and two thirds; then, after a 0, a half; then nothing is open.
        assert!((losses[0] - 0.6365).abs() < 0.01, "{losses:?}");
        assert!(
            (losses[1] - 2.0 / 3.0 * 2.0_f64.ln()).abs() < 0.02,
            "{losses:?}"
        );
        assert!(losses[2] < 0.03, "{losses:?}");
    }
}
