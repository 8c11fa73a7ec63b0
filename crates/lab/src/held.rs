//! What a gradient does near where a model is.

use nn::{Layer, each_param};
use tape::{Grads, Tensor};

/// A model as it is at one step, whose gradient is taken there and at places nearby. It is left as
/// it was.
pub(crate) struct Held<'a, M, G> {
    model: &'a mut M,
    /// The gradient of all weights where they are.
    gradient_of: G,
    /// The weights as they are, and the gradient there.
    weights: Vec<Tensor<f32>>,
    gradient: Vec<f64>,
}

impl<'a, M: Layer<f32>, G: FnMut(&mut M) -> Grads<f32>> Held<'a, M, G> {
    /// `gradient_of` takes the gradient, and draws the same each time if it draws.
    pub(crate) fn new(model: &'a mut M, gradient_of: G) -> Self {
        let mut weights = Vec::new();
        each_param(model, |param| weights.push(param.value().clone()));
        let mut held = Held {
            model,
            gradient_of,
            weights,
            gradient: Vec::new(),
        };
        held.gradient = held.gradient();
        held
    }

    /// The gradient of all weights where they are now, in a row.
    fn gradient(&mut self) -> Vec<f64> {
        let grads = (self.gradient_of)(self.model);
        let mut all = Vec::new();
        each_param(self.model, |param| {
            all.extend(grads.of(param).data().iter().map(|&g| f64::from(g)));
        });
        all
    }

    /// The gradient after a move by so much times the gradient of each parameter that `moves`,
    /// from where the weights are.
    fn after(&mut self, by: f64, moves: impl Fn(&str) -> bool) -> Vec<f64> {
        let mut at = 0;
        let gradient = &self.gradient;
        each_param(self.model, |param| {
            let moves = moves(param.name());
            for x in param.value_mut().data_mut() {
                if moves {
                    *x -= (by * gradient[at]) as f32;
                }
                at += 1;
            }
        });
        let there = self.gradient();
        let mut weights = self.weights.iter();
        each_param(self.model, |param| {
            *param.value_mut() = weights.next().expect("the parameters are the same").clone();
        });
        there
    }

    /// The largest relative change of the gradient over the moves along itself.
    pub(crate) fn change(&mut self, moves: &[f64]) -> f64 {
        let changes = moves.iter().map(|&by| {
            let there = self.after(by, |_| true);
            distance(&there, &self.gradient)
        });
        changes.fold(0.0, f64::max)
    }

    /// The relative change of the gradient of the weights of this name, after a step of `rate` by
    /// the parameters that are `before` them.
    pub(crate) fn shift(&mut self, name: &str, rate: f64, before: impl Fn(&str) -> bool) -> f64 {
        let there = self.after(rate, before);
        let (mut at, mut range) = (0, 0..0);
        each_param(self.model, |param| {
            let end = at + param.value().data().len();
            if param.name() == name {
                range = at..end;
            }
            at = end;
        });
        distance(&there[range.clone()], &self.gradient[range])
    }
}

/// How far one is from the other, relative to that.
pub(crate) fn distance(one: &[f64], other: &[f64]) -> f64 {
    let size = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let pairs = one.iter().zip(other);
    size(&mut pairs.map(|(a, b)| a - b)) / size(&mut other.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::loss::cross_entropy;
    use nn::{MlpSpec, NormKind};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    /// Of a softmax whose weights are all alike the gradient is known to change; a model is left
    /// as it was; and weights that nothing before them moves have a gradient that stays.
    #[test]
    fn a_gradient_is_taken_nearby_and_the_model_left_as_it_was() {
        let rng = &mut StdRng::seed_from_u64(1);
        let x = Tensor::<f32>::randn([16, 4], rng);
        let labels: Vec<usize> = (0..16).map(|i| i % 3).collect();
        let mut model = MlpSpec::new(&[4, 8, 8, 3]).norm(NormKind::None).build(rng);
        let weights = |model: &mut nn::Mlp<f32>| {
            let mut all = Vec::new();
            each_param(model, |param| all.extend_from_slice(param.value().data()));
            all
        };
        let before = weights(&mut model);
        let mut held = Held::new(&mut model, |model| {
            let images = x.clone();
            let (_, grads) =
                Tape::new().grad(|t| cross_entropy(&model.eval(&t.constant(images)), &labels));
            grads
        });
        let small = held.change(&[1e-3]);
        let large = held.change(&[1e-3, 1.0]);
        assert!(0.0 < small && small < large, "{small} {large}");
        let name = "layers.1.weight";
        assert_eq!(held.shift(name, 0.1, |_| false), 0.0);
        let first = |name: &str| name.starts_with("layers.0.");
        assert!(held.shift(name, 0.1, first) > 0.0);
        assert_eq!(weights(&mut model), before);
    }
}
