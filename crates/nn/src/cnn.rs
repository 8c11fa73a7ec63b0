//! A small convolutional network: convolutions, each followed by a normalization, a ReLU
//! and a max-pool, then one linear layer.

use rand::Rng;
use tape::{Real, Shape, Slide, Var, elements};

use crate::conv::Conv2d;
use crate::init::Init;
use crate::layer::Layer;
use crate::linear::Linear;
use crate::module::{Module, Visitor, name_params};
use crate::norm::{Norm, NormKind};
use crate::pass::Pass;

/// What a CNN is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct CnnSpec {
    /// Channels of the input, then of each convolution.
    pub channels: Vec<usize>,
    /// Height and width of the input. Each pool halves them, rounding down.
    pub side: usize,
    /// Features of the output.
    pub outputs: usize,
    /// What follows each convolution.
    pub norm: NormKind,
    /// How weights are drawn, with biases at 0; `None`: both as PyTorch draws them.
    pub init: Option<Init>,
}

impl CnnSpec {
    /// Images of `side` by `side` pixels through convolutions of the given channels to
    /// `outputs` features: no normalization, PyTorch's initial weights.
    pub fn new(channels: &[usize], side: usize, outputs: usize) -> Self {
        CnnSpec {
            channels: channels.to_vec(),
            side,
            outputs,
            norm: NormKind::None,
            init: None,
        }
    }

    /// For the digits of 28 by 28 pixels: 1, 16 and 32 channels, ten outputs.
    pub fn digits() -> Self {
        CnnSpec::new(&[1, 16, 32], 28, 10)
    }

    /// With a normalization between each convolution and its ReLU. Batch Norm normalizes
    /// each channel over batch and image; Layer Norm and RMS Norm all channels and pixels
    /// of an image together; Group Norm some channels together.
    pub fn norm(mut self, norm: NormKind) -> Self {
        self.norm = norm;
        self
    }

    /// With weights drawn from `init` and biases at 0.
    pub fn init(mut self, init: Init) -> Self {
        self.init = Some(init);
        self
    }

    /// Draws the weights, layer by layer. The kernels are 3 by 3, and a padding of 1
    /// keeps the size of the image.
    ///
    /// # Panics
    /// If there is no convolution, a count is 0, the image is pooled away, or the groups
    /// of a Group Norm do not divide the channels.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> Cnn<T> {
        let (channels, mut side) = (&self.channels, self.side);
        let convolutions = channels.len().saturating_sub(1);
        assert!(
            convolutions > 0 && side >> convolutions > 0,
            "cnn: channels {channels:?} on an image of {side} x {side} pixels: at least two \
             numbers of channels are needed, and pixels to halve for each but the first"
        );
        let mut stages = Vec::new();
        for pair in channels.windows(2) {
            let conv = match self.init {
                None => Conv2d::new(pair[0], pair[1], 3, rng),
                Some(init) => Conv2d::with_init(pair[0], pair[1], 3, init, rng),
            };
            stages.push(Stage {
                conv: conv.slide(Slide::by(1).padded(1)),
                norm: Norm::new(self.norm, [pair[1], side, side]),
            });
            side /= 2;
        }
        let features = elements(&[channels[convolutions], side, side]);
        let head = match self.init {
            None => Linear::new(features, self.outputs, rng),
            Some(init) => Linear::with_init(features, self.outputs, init, rng),
        };
        let mut cnn = Cnn {
            input: Shape::new(&[channels[0], self.side, self.side]),
            stages,
            head,
        };
        name_params(&mut cnn);
        cnn
    }
}

/// A convolutional network, made by [`CnnSpec::build`].
///
/// Its parameters are `conv1.weight`, `conv1.bias`, `norm1.gamma`, `norm1.beta`,
/// `conv2.weight`, …, `fc.weight`, `fc.bias`.
#[derive(Debug)]
pub struct Cnn<T: Real> {
    /// `[C, H, W]`.
    input: Shape,
    stages: Vec<Stage<T>>,
    head: Linear<T>,
}

/// A convolution and what normalizes its output.
#[derive(Debug)]
struct Stage<T: Real> {
    conv: Conv2d<T>,
    norm: Norm<T>,
}

impl<T: Real> Module<T> for Cnn<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for (i, Stage { conv, norm }) in (1..).zip(&mut self.stages) {
            v.child(format_args!("conv{i}"), conv);
            v.child(format_args!("norm{i}"), norm);
        }
        v.child("fc", &mut self.head);
    }
}

impl<T: Real> Layer<T> for Cnn<T> {
    /// The outputs, `[N, outputs]`, for images `[N, C, H, W]`; `[N, C · H · W]`, pixels in
    /// the same order, is taken too.
    ///
    /// Shows `conv1`, `norm1` if there is one, `relu1`, `pool1`, and so on; last `fc`.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let (shape, [c, h, w]) = (x.shape(), [0, 1, 2].map(|axis| self.input[axis]));
        let pixels = self.input.count();
        assert!(
            !shape.is_empty() && (shape[1..] == *self.input || shape[1..] == [pixels]),
            "cnn: x of shape {shape} does not go with images of shape {}: [N, {c}, {h}, {w}] or \
             [N, {pixels}] is needed",
            self.input
        );
        let count = shape[0];
        // ANCHOR: blocks
        let mut x = x.reshape([count, c, h, w]);
        for (i, Stage { conv, norm }) in (1..).zip(&self.stages) {
            x = conv.forward_as(&format_args!("conv{i}"), &x, pass);
            x = norm.forward_as(&format_args!("norm{i}"), &x, pass);
            x = x.relu();
            pass.show(format_args!("relu{i}"), &x);
            x = x.max_pool2d(2, Slide::by(2));
            pass.show(format_args!("pool{i}"), &x);
        }
        // ANCHOR_END: blocks
        let features = x.reshape([count, self.head.inputs()]);
        self.head.forward_as(&"fc", &features, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use crate::module::{count_params, each_param};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::{Tape, Tensor};

    fn rng() -> StdRng {
        StdRng::seed_from_u64(4)
    }

    fn small(norm: NormKind) -> CnnSpec {
        CnnSpec::new(&[1, 2, 4], 4, 3).norm(norm)
    }

    #[test]
    fn parameters_are_named_by_their_place() {
        let mut cnn: Cnn<f32> = CnnSpec::digits().norm(NormKind::Batch).build(&mut rng());
        let mut names = Vec::new();
        each_param(&mut cnn, |p| {
            names.push(format!("{} {}", p.name(), p.value().shape()));
        });
        let expected = [
            "conv1.weight [16, 1, 3, 3]",
            "conv1.bias [16]",
            "norm1.gamma [16]",
            "norm1.beta [16]",
            "conv2.weight [32, 16, 3, 3]",
            "conv2.bias [32]",
            "norm2.gamma [32]",
            "norm2.beta [32]",
            "fc.weight [10, 1568]",
            "fc.bias [10]",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn each_norm_has_the_scales_it_should() {
        let count = |norm| count_params(&mut small(norm).build::<f32>(&mut rng()));
        let bare = count(NormKind::None);
        assert_eq!(bare, (9 * 2 + 2) + (9 * 2 * 4 + 4) + (4 * 3 + 3));
        assert_eq!(count(NormKind::Batch) - bare, 2 * (2 + 4));
        assert_eq!(count(NormKind::Group(2)) - bare, 2 * (2 + 4));
        assert_eq!(count(NormKind::Layer) - bare, 2 * (2 * 16 + 4 * 4));
    }

    #[test]
    fn gradient() {
        use NormKind::{Batch, Group, Layer, None, Rms};
        for norm in [None, Batch, Layer, Rms, Group(1)] {
            for trains in [true, false] {
                let name = format!("cnn {norm}");
                let mut check = CheckLayer::new(&name, normal([3, 1, 4, 4], 1)).training(trains);
                if norm == Batch && trains {
                    // Batch Norm subtracts the mean, and any bias with it.
                    check = check.may_be_zero("conv1.bias").may_be_zero("conv2.bias");
                }
                check.run(|| small(norm).build(&mut rng())).assert_passes();
            }
        }
    }

    #[test]
    fn pixels_in_a_row_are_an_image() {
        let cnn: Cnn<f64> = CnnSpec::new(&[2, 3], 4, 3).build(&mut rng());
        let x = normal([5, 2, 4, 4], 1);
        Tape::eval(|t| {
            let image = t.constant(x.clone());
            let y = cnn.eval(&image);
            assert_eq!(**y.shape(), [5, 3]);
            let flat = cnn.eval(&image.reshape([5, 32]));
            assert_eq!(y.value(), flat.value());
        });
    }

    #[test]
    fn a_probe_sees_every_value_in_order() {
        let cnn: Cnn<f64> = small(NormKind::Group(1)).build(&mut rng());
        let mut seen = Vec::new();
        Tape::eval(|t| {
            let x = t.constant(normal([2, 1, 4, 4], 1));
            let mut probe = |name: &str, value: &Var<'_, f64>| {
                seen.push(format!("{name} {}", value.shape()));
            };
            cnn.forward(&x, &mut Pass::eval().probed(&mut probe));
        });
        let expected = [
            "conv1 [2, 2, 4, 4]",
            "norm1 [2, 2, 4, 4]",
            "relu1 [2, 2, 4, 4]",
            "pool1 [2, 2, 2, 2]",
            "conv2 [2, 4, 2, 2]",
            "norm2 [2, 4, 2, 2]",
            "relu2 [2, 4, 2, 2]",
            "pool2 [2, 4, 1, 1]",
            "fc [2, 3]",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_seed_is_the_network_whatever_its_norm() {
        let weights = |norm, seed| {
            let mut cnn: Cnn<f64> = small(norm).build(&mut StdRng::seed_from_u64(seed));
            let mut weights: Vec<Tensor<f64>> = Vec::new();
            each_param(&mut cnn, |p| {
                if !p.name().contains("norm") {
                    weights.push(p.value().clone());
                }
            });
            weights
        };
        let first = weights(NormKind::None, 1);
        assert_eq!(first, weights(NormKind::Batch, 1));
        assert_eq!(first, weights(NormKind::Group(2), 1));
        assert_ne!(first, weights(NormKind::None, 2));
    }

    #[test]
    #[should_panic(expected = "x of shape [2, 17] does not go with images of shape [1, 4, 4]")]
    fn another_image_is_refused() {
        let cnn: Cnn<f64> = small(NormKind::None).build(&mut rng());
        Tape::eval(|t| drop(cnn.eval(&t.constant(normal([2, 17], 1)))));
    }

    #[test]
    #[should_panic(expected = "channels [1, 2, 4] on an image of 3 x 3 pixels")]
    fn pixels_must_not_run_out() {
        let _: Cnn<f32> = CnnSpec::new(&[1, 2, 4], 3, 3).build(&mut rng());
    }
}
