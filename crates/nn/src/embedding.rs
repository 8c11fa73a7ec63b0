//! A table with one learned row for each token.

use rand::Rng;
use tape::{Param, Real, Tape, Tensor, Var};

use crate::module::{Module, Visitor};

/// A table `weight` of shape `[V, D]`: token k becomes row k. A row that was looked up n
/// times receives the sum of n gradients, one that was not receives none.
#[derive(Debug)]
pub struct Embedding<T: Real> {
    /// `[V, D]`.
    pub weight: Param<T>,
}

impl<T: Real> Embedding<T> {
    /// `tokens` rows of `width` numbers each, drawn from the normal distribution with mean
    /// 0 and deviation 1, as PyTorch draws them.
    pub fn new(tokens: usize, width: usize, rng: &mut impl Rng) -> Self {
        Self::with_deviation(tokens, width, 1.0, rng)
    }

    /// As [`Embedding::new`], with another deviation.
    pub fn with_deviation(tokens: usize, width: usize, deviation: f64, rng: &mut impl Rng) -> Self {
        let table = Tensor::<f64>::randn([tokens, width], rng);
        let weight = table.map_in_place(|x| deviation * x).cast();
        Embedding {
            weight: Param::new("weight", weight),
        }
    }

    /// The rows of `tokens`, `[n, D]` for n tokens.
    ///
    /// # Panics
    /// If a token is V or more.
    #[track_caller]
    pub fn forward<'t>(&self, tape: &'t Tape<T>, tokens: &[usize]) -> Var<'t, T> {
        let rows = self.weight.value().shape()[0];
        if let Some((place, token)) = tokens.iter().enumerate().find(|(_, t)| **t >= rows) {
            panic!(
                "embedding: token {token} at position {place} has no row in a weight of shape {}",
                self.weight.value().shape()
            );
        }
        tape.param(&self.weight).embedding(tokens)
    }
}

impl<T: Real> Module<T> for Embedding<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("weight", &mut self.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{check_op, normal};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn tokens_become_their_rows_and_gradients_add() {
        let mut table = Embedding::new(3, 2, &mut StdRng::seed_from_u64(1));
        let rows = Tensor::from_fn([3, 2], |i| i as f64);
        table.weight.set(rows);
        let dy = Tensor::new([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let (y, grads) = Tape::new().vjp(&dy, |t| table.forward(t, &[2, 0, 2]));
        assert_eq!(y.data(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        let grad = grads.of(&table.weight);
        assert_eq!(grad.data(), [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
    }

    #[test]
    fn gradient() {
        check_op("embedding", &[normal([4, 3], 1)], |x| {
            x[0].embedding(&[1, 0, 3, 2, 1])
        })
        .assert_passes();
    }

    #[test]
    fn rows_are_drawn_as_asked() {
        let rng = &mut StdRng::seed_from_u64(1);
        let table = Embedding::<f64>::with_deviation(500, 20, 0.1, rng);
        let square = table
            .weight
            .value()
            .data()
            .iter()
            .map(|x| x * x)
            .sum::<f64>();
        assert!((square / 10_000.0 / 0.01 - 1.0).abs() < 0.05, "{square}");
    }

    #[test]
    #[should_panic(expected = "token 3 at position 1 has no row in a weight of shape [3, 2]")]
    fn an_unknown_token_is_refused() {
        let table = Embedding::<f32>::new(3, 2, &mut StdRng::seed_from_u64(1));
        Tape::eval(|t| drop(table.forward(t, &[0, 3])));
    }
}
