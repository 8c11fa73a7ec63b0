//! Shuffling examples into batches of fixed or varying size.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// How many examples a batch holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchSize {
    /// Always this many.
    Fixed(usize),
    /// Any number from the first to the second, each equally likely.
    Varying(usize, usize),
}

/// One epoch: the numbers `0..n`, shuffled and cut into batches. What is left over at the
/// end and too few for a batch is dropped; shuffling makes it other examples each time.
///
/// # Panics
/// If a batch could be empty.
#[track_caller]
pub fn batches(n: usize, size: BatchSize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let (low, high) = match size {
        BatchSize::Fixed(size) => (size, size),
        BatchSize::Varying(low, high) => (low, high),
    };
    assert!(
        0 < low && low <= high,
        "batches: {size:?} allows no batch, or an empty one"
    );
    let mut numbers: Vec<usize> = (0..n).collect();
    numbers.shuffle(rng);
    let mut rest = &numbers[..];
    let mut batches = Vec::new();
    loop {
        let size = if low == high {
            low
        } else {
            rng.random_range(low..=high)
        };
        let Some((batch, others)) = rest.split_at_checked(size) else {
            return batches;
        };
        batches.push(batch.to_vec());
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn an_epoch_holds_every_example_at_most_once() {
        let rng = &mut StdRng::seed_from_u64(1);
        for (size, dropped) in [(BatchSize::Fixed(7), 2), (BatchSize::Varying(2, 9), 9)] {
            let mut all = batches(100, size, rng).concat();
            assert!(
                100 - all.len() <= dropped,
                "{size:?} dropped {}",
                100 - all.len()
            );
            all.sort_unstable();
            all.dedup();
            assert!(100 - all.len() <= dropped, "{size:?} repeated an example");
        }
    }

    #[test]
    fn sizes_are_as_asked() {
        let rng = &mut StdRng::seed_from_u64(1);
        assert!(
            batches(100, BatchSize::Fixed(7), rng)
                .iter()
                .all(|b| b.len() == 7)
        );
        let sizes: Vec<usize> = batches(10_000, BatchSize::Varying(2, 9), rng)
            .iter()
            .map(Vec::len)
            .collect();
        for size in 2..=9 {
            assert!(sizes.contains(&size), "no batch of {size}");
        }
        assert!(sizes.iter().all(|size| (2..=9).contains(size)));
    }

    #[test]
    fn the_seed_is_the_order_and_epochs_differ() {
        let draw = |seed| {
            let rng = &mut StdRng::seed_from_u64(seed);
            (
                batches(50, BatchSize::Fixed(5), rng),
                batches(50, BatchSize::Fixed(5), rng),
            )
        };
        assert_eq!(draw(1), draw(1));
        let (first, second) = draw(1);
        assert_ne!(first, second);
        assert_ne!(first, draw(2).0);
    }

    #[test]
    #[should_panic(expected = "allows no batch, or an empty one")]
    fn an_empty_batch_is_refused() {
        batches(10, BatchSize::Fixed(0), &mut StdRng::seed_from_u64(0));
    }
}
