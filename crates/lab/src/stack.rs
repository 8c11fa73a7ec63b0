//! Deep networks of equal blocks, plain or residual: what depth does to signals and gradients is
//! seen in them.

use std::fmt;

use nn::{Layer, Linear, Module, Norm, NormKind, Pass, Visitor, name_params};
use rand::Rng;
use serde::{Deserialize, Serialize};
use tape::{Param, Tensor, Var};

use crate::setting::{Setting, ink, name};
use crate::start::Start;
use crate::text::as_text;
use chart::{Hue, Ink};

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
    pub(crate) fn build(self, sizes: Sizes, rng: &mut impl Rng) -> Stack {
        let mut linear = |inputs, outputs| match self.start.init() {
            None => Linear::new(inputs, outputs, rng),
            Some(init) => Linear::with_init(inputs, outputs, init, rng),
        };
        let norm = || Norm::new(self.method, [sizes.width]);
        let first = linear(sizes.inputs, sizes.width);
        let block = |_| Block {
            norm: norm(),
            linear: linear(sizes.width, sizes.width),
            gain: (self.form == Form::SkipInit).then(|| Param::new("gain", Tensor::scalar(0.0))),
        };
        let blocks = (0..sizes.blocks).map(block).collect();
        let mut stack = Stack {
            form: self.form,
            first,
            blocks,
            norm: norm(),
            last: linear(sizes.width, sizes.outputs),
        };
        name_params(&mut stack);
        stack
    }
}

/// The network that [`Deep::build`] makes.
#[derive(Debug)]
pub(crate) struct Stack {
    form: Form,
    first: Linear<f32>,
    blocks: Vec<Block>,
    norm: Norm<f32>,
    last: Linear<f32>,
}

/// Norm, ReLU and a linear layer; what it computes may be multiplied by a scalar.
#[derive(Debug)]
struct Block {
    norm: Norm<f32>,
    linear: Linear<f32>,
    gain: Option<Param<f32>>,
}

impl Module<f32> for Block {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.child("norm", &mut self.norm);
        self.linear.visit(v);
        if let Some(gain) = &mut self.gain {
            v.param("gain", gain);
        }
    }
}

impl Module<f32> for Stack {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.child("first", &mut self.first);
        for (i, block) in self.blocks.iter_mut().enumerate() {
            v.child(format_args!("blocks.{i}"), block);
        }
        v.child("norm", &mut self.norm);
        v.child("last", &mut self.last);
    }
}

impl Layer<f32> for Stack {
    /// Shows `stream` before each block and behind the last, and `branch` for what each block
    /// computes.
    fn forward<'t>(&self, x: &Var<'t, f32>, pass: &mut Pass<'_, f32>) -> Var<'t, f32> {
        let mut x = self.first.forward(x, pass);
        for Block { norm, linear, gain } in &self.blocks {
            pass.show("stream", &x);
            let mut branch = linear.forward(&norm.forward(&x, pass).relu(), pass);
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
        self.last.forward(&self.norm.forward(&x, pass).relu(), pass)
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
