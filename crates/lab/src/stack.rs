//! Deep networks of equal blocks, plain or residual: what depth does to signals and gradients is
//! seen in them.

use std::fmt;

use nn::{Conv2d, Layer, Linear, Module, Norm, NormKind, Pass, Visitor, name_params};
use rand::Rng;
use serde::{Deserialize, Serialize};
use tape::{Param, Shape, Slide, Tensor, Var, elements};

use crate::setting::{Setting, ink, name};
use crate::start::Start;
use crate::text::as_text;
use chart::{Hue, Ink};

/// The sizes of a stack of convolutions of images with one channel.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct ConvSizes {
    /// Height and width of the images.
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) blocks: usize,
    /// How many blocks stand in front of the max-pool that halves the image.
    pub(crate) blocks_before_pool: usize,
    pub(crate) outputs: usize,
}

/// What becomes of what a block computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// It is the block's output.
    Plain,
    /// It is added to the block's input.
    Residual,
    /// It is multiplied by a learned scalar, which starts at 0, and added to the block's input:
    /// SkipInit (De and Smith, 2020).
    SkipInit,
}

/// A network of which all blocks are alike: how they are joined, what normalizes their inputs, and
/// the weights that they start from.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Deep {
    pub(crate) form: Form,
    #[serde(with = "as_text")]
    pub(crate) method: NormKind,
    pub(crate) start: Start,
}

/// The sizes of a stack.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Sizes {
    pub(crate) inputs: usize,
    pub(crate) width: usize,
    pub(crate) blocks: usize,
    pub(crate) outputs: usize,
}

/// The words of a protocol for the blocks.
pub(crate) const BLOCKS: &str = "a linear layer from the inputs, the blocks, then norm, ReLU and \
                                 a linear layer to the outputs. A block is norm, ReLU and a linear \
                                 layer, plain, or with the block's input added to it";

/// The same for blocks of convolutions.
pub(crate) const CONV_BLOCKS: &str = "a convolution of 3 x 3, the blocks with a max-pool of 2 x 2 \
                                      between two of them, then norm, ReLU and a linear layer to \
                                      the outputs. A block is norm, ReLU and a convolution of 3 x \
                                      3, plain, or with the block's input added to it";

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Plain => "plain",
            Form::Residual => "residual",
            Form::SkipInit => "SkipInit",
        })
    }
}

impl Setting for Deep {
    fn method(&self) -> NormKind {
        self.method
    }

    fn start(&self) -> Start {
        self.start
    }

    fn name(&self) -> String {
        match self.form {
            Form::SkipInit => "SkipInit".to_owned(),
            _ => self.start.named(name(self.method)),
        }
    }

    fn ink(&self) -> Ink {
        match self.form {
            Form::SkipInit => Ink::Solid(Hue::Accent),
            _ => self.start.ink(ink(self.method)),
        }
    }
}

impl Deep {
    /// Draws the weights, layer by layer: the same from one seed, whatever form and norm.
    pub(crate) fn build(self, sizes: Sizes, rng: &mut impl Rng) -> Stack<Linear<f32>> {
        let first = self.linear(sizes.inputs, sizes.width, rng);
        let blocks = (0..sizes.blocks).map(|_| {
            let layer = self.linear(sizes.width, sizes.width, rng);
            self.block(layer, &[sizes.width])
        });
        Stack {
            form: self.form,
            input: Shape::new(&[sizes.inputs]),
            first,
            blocks: blocks.collect(),
            pool_at: None,
            norm: Norm::new(self.method, [sizes.width]),
            last: self.linear(sizes.width, sizes.outputs, rng),
        }
        .named()
    }

    /// The same of convolutions, 3 by 3 with a padding of 1.
    pub(crate) fn build_conv(self, sizes: ConvSizes, rng: &mut impl Rng) -> Stack<Conv2d<f32>> {
        let ConvSizes { side, channels, .. } = sizes;
        let shape = |block: usize| match block < sizes.blocks_before_pool {
            true => [channels, side, side],
            false => [channels, side / 2, side / 2],
        };
        let first = self.conv(1, channels, rng);
        let blocks = (0..sizes.blocks).map(|block| {
            let layer = self.conv(channels, channels, rng);
            self.block(layer, &shape(block))
        });
        let end = shape(sizes.blocks);
        Stack {
            form: self.form,
            input: Shape::new(&[1, side, side]),
            first,
            blocks: blocks.collect(),
            pool_at: Some(sizes.blocks_before_pool),
            norm: Norm::new(self.method, end),
            last: self.linear(elements(&end), sizes.outputs, rng),
        }
        .named()
    }

    fn linear(self, inputs: usize, outputs: usize, rng: &mut impl Rng) -> Linear<f32> {
        match self.start.init() {
            None => Linear::new(inputs, outputs, rng),
            Some(init) => Linear::with_init(inputs, outputs, init, rng),
        }
    }

    fn conv(self, inputs: usize, outputs: usize, rng: &mut impl Rng) -> Conv2d<f32> {
        let conv = match self.start.init() {
            None => Conv2d::new(inputs, outputs, 3, rng),
            Some(init) => Conv2d::with_init(inputs, outputs, 3, init, rng),
        };
        conv.slide(Slide::by(1).padded(1))
    }

    fn block<L>(self, layer: L, shape: &[usize]) -> Block<L> {
        Block {
            norm: Norm::new(self.method, shape),
            layer,
            gain: (self.form == Form::SkipInit).then(|| Param::new("gain", Tensor::scalar(0.0))),
        }
    }
}

/// The network that [`Deep::build`] makes of linear layers, and [`Deep::build_conv`] of
/// convolutions.
#[derive(Debug)]
pub(crate) struct Stack<L> {
    form: Form,
    /// Of an example.
    input: Shape,
    first: L,
    blocks: Vec<Block<L>>,
    /// The block in front of which images are pooled.
    pool_at: Option<usize>,
    norm: Norm<f32>,
    last: Linear<f32>,
}

/// Norm, ReLU and a layer; what it computes may be multiplied by a scalar.
#[derive(Debug)]
struct Block<L> {
    norm: Norm<f32>,
    layer: L,
    gain: Option<Param<f32>>,
}

impl<L: Module<f32>> Module<f32> for Block<L> {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.child("norm", &mut self.norm);
        self.layer.visit(v);
        if let Some(gain) = &mut self.gain {
            v.param("gain", gain);
        }
    }
}

impl<L: Module<f32>> Module<f32> for Stack<L> {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.child("first", &mut self.first);
        for (i, block) in self.blocks.iter_mut().enumerate() {
            v.child(format_args!("blocks.{i}"), block);
        }
        v.child("norm", &mut self.norm);
        v.child("last", &mut self.last);
    }
}

impl<L: Module<f32>> Stack<L> {
    fn named(mut self) -> Self {
        name_params(&mut self);
        self
    }
}

impl<L: Layer<f32>> Layer<f32> for Stack<L> {
    /// Shows `stream` before each block and behind the last, and `branch` for what each block
    /// computes.
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let count = x.shape()[0];
        let mut x = match self.input.len() {
            1 => self.first.forward(x, pass),
            _ => {
                let shape = [&[count][..], &self.input].concat();
                self.first.forward(&x.reshape(&shape[..]), pass)
            }
        };
        for (at, Block { norm, layer, gain }) in self.blocks.iter().enumerate() {
            if self.pool_at == Some(at) {
                x = x.max_pool2d(2, Slide::by(2));
            }
            pass.show("stream", &x);
            let mut branch = layer.forward(&norm.forward(&x, pass).relu(), pass);
            if let Some(gain) = gain {
                branch = &branch * &x.tape().param(gain);
            }
            pass.show("branch", &branch);
            x = match self.form {
                Form::Plain => branch,
                Form::Residual | Form::SkipInit => &x + &branch,
            };
        }
        pass.show("stream", &x);
        let mut y = self.norm.forward(&x, pass).relu();
        if self.input.len() > 1 {
            y = y.reshape([count, self.last.inputs()]);
        }
        self.last.forward(&y, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    const SIZES: Sizes = Sizes {
        inputs: 3,
        width: 4,
        blocks: 2,
        outputs: 2,
    };

    /// What the stack shows, and its output, from one seed.
    fn seen(form: Form, method: NormKind) -> Vec<(String, Tensor<f32>)> {
        let rng = &mut StdRng::seed_from_u64(1);
        let deep = Deep {
            form,
            method,
            start: Start::He,
        };
        let (stack, x) = (deep.build(SIZES, rng), Tensor::randn([5, 3], rng));
        let mut seen = Vec::new();
        let mut look =
            |name: &str, value: &Var<'_, f32>| seen.push((name.to_owned(), value.value().clone()));
        let y = Tape::eval(|t| {
            let pass = &mut Pass::train().probed(&mut look);
            stack.forward(&t.constant(x), pass).value().clone()
        });
        seen.push(("output".to_owned(), y));
        seen
    }

    /// Of convolutions it is what the same layers make one after the other, and the pool stands
    /// in front of the block that is named.
    #[test]
    fn convolutions_are_stacked_as_linear_layers_are() {
        let sizes = ConvSizes {
            side: 4,
            channels: 3,
            blocks: 2,
            blocks_before_pool: 1,
            outputs: 2,
        };
        let rng = &mut StdRng::seed_from_u64(1);
        let deep = Deep {
            form: Form::Residual,
            method: NormKind::Group(3),
            start: Start::He,
        };
        let mut stack = deep.build_conv(sizes, rng);
        let x = Tensor::randn([5, 16], rng);
        let mut shapes = Vec::new();
        let mut look = |_: &str, value: &Var<'_, f32>| shapes.push(*value.shape());
        Tape::eval(|t| {
            let x = t.constant(x);
            let y = stack.forward(&x, &mut Pass::train().probed(&mut look));
            let [a, b] = [&stack.blocks[0], &stack.blocks[1]];
            let block = |of: &Block<Conv2d<f32>>, x: &Var<'_, f32>| {
                let normed = of.norm.eval(x).relu();
                x.value().zip(of.layer.eval(&normed).value(), |x, y| x + y)
            };
            let first = stack.first.eval(&x.reshape([5, 1, 4, 4]));
            let pooled = t.constant(block(a, &first)).max_pool2d(2, Slide::by(2));
            let end = t.constant(block(b, &pooled));
            let expected = stack
                .last
                .eval(&stack.norm.eval(&end).relu().reshape([5, 12]));
            assert_eq!(y.value(), expected.value());
        });
        let expected = [
            [5, 3, 4, 4],
            [5, 3, 4, 4],
            [5, 3, 2, 2],
            [5, 3, 2, 2],
            [5, 3, 2, 2],
        ];
        assert!(
            shapes
                .iter()
                .map(|shape| &**shape)
                .eq(expected.iter().map(|shape| &shape[..]))
        );
        let mut names = Vec::new();
        nn::each_param(&mut stack, |param| names.push(param.name().to_owned()));
        assert!(names.contains(&"blocks.1.weight".to_owned()), "{names:?}");
    }

    #[test]
    fn a_stack_shows_what_enters_each_block_and_what_it_adds() {
        for method in [NormKind::None, NormKind::Batch, NormKind::Layer] {
            let [plain, residual, skip] =
                [Form::Plain, Form::Residual, Form::SkipInit].map(|form| seen(form, method));
            let names: Vec<&str> = plain.iter().map(|(name, _)| &**name).collect();
            let expected = ["stream", "branch", "stream", "branch", "stream", "output"];
            assert_eq!(names, expected);
            // The same weights, whatever becomes of what the first block computes.
            assert_eq!(plain[..2], residual[..2]);
            for at in [0, 2] {
                assert_eq!(
                    plain[at + 1].1,
                    plain[at + 2].1,
                    "a plain block is its branch"
                );
                let sum = residual[at].1.zip(&residual[at + 1].1, |a, b| a + b);
                assert_eq!(sum, residual[at + 2].1, "a branch is added");
                assert_eq!(
                    skip[at].1,
                    skip[at + 2].1,
                    "at the start SkipInit adds nothing"
                );
            }
            assert_ne!(plain[2].1, residual[2].1);
        }
    }
}
