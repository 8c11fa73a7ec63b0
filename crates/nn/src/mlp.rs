//! A multilayer perceptron: linear layers, each but the last followed by a normalization
//! and a nonlinearity.

use rand::Rng;
use tape::{Real, Var};

use crate::activation::Activation;
use crate::init::Init;
use crate::layer::Layer;
use crate::linear::Linear;
use crate::module::{Module, Visitor, name_params};
use crate::norm::{Norm, NormKind};
use crate::pass::Pass;

/// What an MLP is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct MlpSpec {
    /// Features of the input, of each hidden layer, and of the output.
    pub sizes: Vec<usize>,
    /// What follows each hidden linear layer.
    pub norm: NormKind,
    /// What follows the normalization.
    pub activation: Activation,
    /// How weights are drawn, with biases at 0; `None`: both as PyTorch draws them.
    pub init: Option<Init>,
}

impl MlpSpec {
    /// ReLU, no normalization, PyTorch's initial weights.
    pub fn new(sizes: &[usize]) -> Self {
        MlpSpec {
            sizes: sizes.to_vec(),
            norm: NormKind::None,
            activation: Activation::Relu,
            init: None,
        }
    }

    /// With a normalization before each nonlinearity.
    pub fn norm(mut self, norm: NormKind) -> Self {
        self.norm = norm;
        self
    }

    /// With another nonlinearity.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// With weights drawn from `init` and biases at 0.
    pub fn init(mut self, init: Init) -> Self {
        self.init = Some(init);
        self
    }

    /// Draws the weights, layer by layer.
    ///
    /// # Panics
    /// If there are fewer than two sizes, or one is 0.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> Mlp<T> {
        let mut layers: Vec<Block<T>> = self
            .sizes
            .windows(2)
            .map(|size| Block {
                linear: match self.init {
                    None => Linear::new(size[0], size[1], rng),
                    Some(init) => Linear::with_init(size[0], size[1], init, rng),
                },
                norm: Norm::new(self.norm, [size[1]]),
            })
            .collect();
        let Some(last) = layers.last_mut() else {
            panic!(
                "mlp: sizes of input and output are needed, got {:?}",
                self.sizes
            )
        };
        last.norm = Norm::None;
        let mut mlp = Mlp {
            layers,
            activation: self.activation,
        };
        name_params(&mut mlp);
        mlp
    }
}

/// A multilayer perceptron, made by [`MlpSpec::build`].
///
/// Its parameters are `layers.0.weight`, `layers.0.bias`, `layers.0.norm.gamma`,
/// `layers.0.norm.beta`, `layers.1.weight`, ….
#[derive(Debug)]
pub struct Mlp<T: Real> {
    layers: Vec<Block<T>>,
    activation: Activation,
}

/// A linear layer and what normalizes its output.
#[derive(Debug)]
struct Block<T: Real> {
    linear: Linear<T>,
    norm: Norm<T>,
}

impl<T: Real> Module<T> for Block<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        self.linear.visit(v);
        v.child("norm", &mut self.norm);
    }
}

impl<T: Real> Module<T> for Mlp<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            v.child(format_args!("layers.{i}"), layer);
        }
    }
}

impl<T: Real> Layer<T> for Mlp<T> {
    /// Shows `layers.0.linear`, `layers.0.norm` if there is one, `layers.0.relu` (or the
    /// name of the other nonlinearity), and so on; last the linear layer of the output.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let last = self.layers.len() - 1;
        let mut x = x.clone();
        for (i, Block { linear, norm }) in self.layers.iter().enumerate() {
            let pass = &mut pass.within(format_args!("layers.{i}"));
            x = linear.forward_as(&"linear", &x, pass);
            x = norm.forward_as(&"norm", &x, pass);
            if i < last {
                x = self.activation.apply(&x);
                pass.show(self.activation, &x);
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use crate::module::{count_params, each_param};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(4)
    }

    #[test]
    fn parameters_are_named_by_their_place() {
        let mut mlp: Mlp<f32> = MlpSpec::new(&[4, 3, 2])
            .norm(NormKind::Layer)
            .build(&mut rng());
        let mut names = Vec::new();
        each_param(&mut mlp, |p| {
            names.push(format!("{} {}", p.name(), p.value().shape()))
        });
        let expected = [
            "layers.0.weight [3, 4]",
            "layers.0.bias [3]",
            "layers.0.norm.gamma [3]",
            "layers.0.norm.beta [3]",
            "layers.1.weight [2, 3]",
            "layers.1.bias [2]",
        ];
        assert_eq!(names, expected);
        assert_eq!(count_params(&mut mlp), 12 + 3 + 6 + 6 + 2);
    }

    #[test]
    fn gradient() {
        use Activation::{Gelu, Relu, Sigmoid, Tanh};
        use NormKind::{Batch, Layer, None, Rms};
        for (norm, activation) in [(None, Tanh), (Batch, Relu), (Layer, Gelu), (Rms, Sigmoid)] {
            let spec = MlpSpec::new(&[3, 4, 4, 2])
                .norm(norm)
                .activation(activation);
            for trains in [true, false] {
                let name = format!("{norm} {activation}");
                let mut check = CheckLayer::new(&name, normal([5, 3], 1)).training(trains);
                if norm == Batch && trains {
                    // Batch Norm subtracts the mean, and any bias with it.
                    check = check
                        .may_be_zero("layers.0.bias")
                        .may_be_zero("layers.1.bias");
                }
                check.run(|| spec.build(&mut rng())).assert_passes();
            }
        }
    }

    #[test]
    fn a_probe_sees_every_value_in_order() {
        let mlp: Mlp<f64> = MlpSpec::new(&[3, 4, 2])
            .norm(NormKind::Batch)
            .activation(Activation::Tanh)
            .build(&mut rng());
        let mut seen = Vec::new();
        Tape::eval(|t| {
            let x = t.constant(normal([5, 3], 1));
            let mut probe = |name: &str, value: &Var<'_, f64>| {
                seen.push((name.to_owned(), value.value().clone()));
            };
            let y = mlp.forward(&x, &mut Pass::eval().probed(&mut probe));
            assert_eq!(seen.last().map(|(_, value)| value), Some(y.value()));
        });
        let names: Vec<&str> = seen.iter().map(|(name, _)| &name[..]).collect();
        let expected = [
            "layers.0.linear",
            "layers.0.norm",
            "layers.0.tanh",
            "layers.1.linear",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_seed_is_the_network_whatever_its_norm() {
        let weights = |norm: NormKind, seed| {
            let spec = MlpSpec::new(&[3, 4, 2]).norm(norm);
            let mut mlp: Mlp<f64> = spec.build(&mut StdRng::seed_from_u64(seed));
            let mut weights = Vec::new();
            each_param(&mut mlp, |p| {
                if !p.name().contains("norm") {
                    weights.push(p.value().clone());
                }
            });
            weights
        };
        let first = weights(NormKind::None, 1);
        assert_eq!(first, weights(NormKind::Batch, 1));
        assert_eq!(first, weights(NormKind::Layer, 1));
        assert_ne!(first, weights(NormKind::None, 2));
    }

    #[test]
    #[should_panic(expected = "mlp: sizes of input and output are needed, got [3]")]
    fn one_size_makes_no_network() {
        let _: Mlp<f32> = MlpSpec::new(&[3]).build(&mut rng());
    }
}
