//! A task on sequences of any length: to remember the last of a few marks.

use std::ops::RangeInclusive;

use rand::{Rng, RngExt};

use crate::lengths::Lengths;

/// Sequences of marks and noise; the class of a sequence is its last mark.
///
/// Tokens from 0 up to `marks` are marks, and all others up to `marks + noises` are noise.
/// The first token is a mark, and any other is one with the probability `share`, so that
/// the last mark stands on average `1/share` steps before the end, however long the
/// sequence is: a network that has learned it on short sequences can be tested on longer
/// ones. What must be kept through many steps is one of `marks` states.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Recall {
    /// How many marks there are, and classes.
    pub marks: usize,
    /// How many other tokens there are.
    pub noises: usize,
    /// The probability of a mark.
    pub share: f64,
}

/// Sequences of tokens, packed, and the class of each sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabeledSequences {
    /// The tokens of all sequences, one sequence after the other.
    pub tokens: Vec<usize>,
    /// Where sequences end.
    pub lengths: Lengths,
    /// The class of each sequence.
    pub labels: Vec<usize>,
}

impl Recall {
    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.marks + self.noises
    }

    /// `count` sequences whose lengths are drawn from `lengths`, each equally likely.
    ///
    /// # Panics
    /// If a sequence could be empty, or there is no mark, no noise, no sequence, or `share`
    /// is no probability.
    #[track_caller]
    pub fn batch(
        &self,
        count: usize,
        lengths: RangeInclusive<usize>,
        rng: &mut impl Rng,
    ) -> LabeledSequences {
        assert!(
            self.marks > 0 && self.noises > 0 && (0.0..=1.0).contains(&self.share),
            "recall: marks, other tokens and a probability are needed, got {self:?}"
        );
        assert!(
            count > 0 && *lengths.start() > 0 && !lengths.is_empty(),
            "recall: {count} sequences of lengths {lengths:?} cannot be drawn; at least one is \
             needed, of at least one step"
        );
        let lengths: Vec<usize> = (0..count)
            .map(|_| rng.random_range(lengths.clone()))
            .collect();
        let (mut tokens, mut labels) = (Vec::new(), Vec::new());
        for &length in &lengths {
            let mut last = 0;
            for step in 0..length {
                if step == 0 || rng.random_bool(self.share) {
                    last = rng.random_range(0..self.marks);
                    tokens.push(last);
                } else {
                    tokens.push(self.marks + rng.random_range(0..self.noises));
                }
            }
            labels.push(last);
        }
        LabeledSequences {
            tokens,
            lengths: Lengths::new(&lengths),
            labels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const TASK: Recall = Recall {
        marks: 3,
        noises: 4,
        share: 0.2,
    };

    #[test]
    fn the_class_is_the_last_mark() {
        let rng = &mut StdRng::seed_from_u64(1);
        let batch = TASK.batch(500, 1..=12, rng);
        let mut start = 0;
        let (mut seen, mut marks) = ([0; 3], 0);
        for (&length, &label) in batch.lengths.each().iter().zip(&batch.labels) {
            let sequence = &batch.tokens[start..start + length];
            let mut found = sequence.iter().rev().filter(|&&token| token < 3);
            assert_eq!(found.next(), Some(&label));
            assert!(sequence[0] < 3 && sequence.iter().all(|&token| token < TASK.tokens()));
            seen[label] += 1;
            marks += sequence[1..].iter().filter(|&&token| token < 3).count();
            start += length;
        }
        assert_eq!(start, batch.tokens.len());
        assert!(seen.iter().all(|&count| count > 120), "{seen:?}");
        let share = marks as f64 / (start - 500) as f64;
        assert!((share - 0.2).abs() < 0.04, "{share}");
    }

    #[test]
    fn lengths_fill_their_range() {
        let rng = &mut StdRng::seed_from_u64(1);
        let batch = TASK.batch(300, 4..=7, rng);
        for length in 4..=7 {
            assert!(batch.lengths.each().contains(&length));
        }
        assert!(
            batch
                .lengths
                .each()
                .iter()
                .all(|length| (4..=7).contains(length))
        );
        assert_ne!(batch, TASK.batch(300, 4..=7, rng));
    }

    #[test]
    #[should_panic(expected = "2 sequences of lengths 0..=3 cannot be drawn")]
    fn an_empty_sequence_is_refused() {
        TASK.batch(2, 0..=3, &mut StdRng::seed_from_u64(1));
    }
}
