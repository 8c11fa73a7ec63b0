//! The Transformer: blocks of attention and a small network for each position, and a
//! language model made of them (book, chapter 15).

use std::fmt;

use rand::Rng;
use tape::{Real, Tape, Var};

use crate::activation::Activation;
use crate::attention::MultiHeadAttention;
use crate::embedding::Embedding;
use crate::layer::Layer;
use crate::lengths::Lengths;
use crate::linear::Linear;
use crate::module::{Module, Visitor, name_params};
use crate::norm::{Norm, NormKind};
use crate::pass::Pass;
use crate::tokens::TokenModel;

/// Where a block normalizes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NormPlace {
    /// In front of each part, beside the sum: `x + f(norm(x))`. The way from the last
    /// block to the first is a plain sum (Xiong et al., "On Layer Normalization in the
    /// Transformer Architecture", 2020).
    Pre,
    /// After each sum: `norm(x + f(x))`, as in the first Transformer (Vaswani et al.,
    /// 2017).
    Post,
}

impl fmt::Display for NormPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NormPlace::Pre => "pre",
            NormPlace::Post => "post",
        })
    }
}

/// What a Transformer block is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BlockSpec {
    /// E, the features of a position.
    pub width: usize,
    /// How many heads share them.
    pub heads: usize,
    /// Features between the two linear layers.
    pub hidden: usize,
    /// Which normalization. Batch Norm normalizes each feature over all positions of all
    /// sequences; while it trains, a causal block then knows of later positions by their
    /// share in the statistics.
    pub norm: NormKind,
    /// Where it stands.
    pub place: NormPlace,
    /// Which normalization queries and keys have, each over the features of a head; mostly none.
    pub qk_norm: NormKind,
    /// What the initial weights at the ends of both branches are multiplied with: 1 if they are as
    /// PyTorch draws them.
    pub branches: f64,
    /// What stands between the two linear layers.
    pub activation: Activation,
    /// Whether positions are kept from looking at later ones.
    pub causal: bool,
}

impl BlockSpec {
    /// Causal, four times as wide inside, GELU, Layer Norm in front.
    pub fn new(width: usize, heads: usize) -> Self {
        BlockSpec {
            width,
            heads,
            hidden: 4 * width,
            norm: NormKind::Layer,
            place: NormPlace::Pre,
            qk_norm: NormKind::None,
            branches: 1.0,
            activation: Activation::Gelu,
            causal: true,
        }
    }

    /// With another normalization, or none, and its place.
    pub fn norm(mut self, norm: NormKind, place: NormPlace) -> Self {
        (self.norm, self.place) = (norm, place);
        self
    }

    /// With a normalization of queries and keys.
    pub fn qk_norm(mut self, norm: NormKind) -> Self {
        self.qk_norm = norm;
        self
    }

    /// With branches that start smaller, or larger, by this factor. In a network of L blocks
    /// without a norm, `1/√(2L)` keeps the sum of all branches at the size of one.
    pub fn branches(mut self, factor: f64) -> Self {
        self.branches = factor;
        self
    }

    /// With another nonlinearity.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// With positions that see the whole sequence, or only what came before.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// With another number of features between the two linear layers.
    pub fn hidden(mut self, hidden: usize) -> Self {
        self.hidden = hidden;
        self
    }

    /// Draws the weights as PyTorch draws those of its layers.
    ///
    /// # Panics
    /// If a count is 0, or the heads do not divide the width.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> TransformerBlock<T> {
        let self_attn = MultiHeadAttention::new(self.width, self.heads, rng)
            .causal(self.causal)
            .qk_norm(self.qk_norm);
        let mut block = TransformerBlock {
            self_attn,
            linear1: Linear::new(self.width, self.hidden, rng),
            linear2: Linear::new(self.hidden, self.width, rng),
            norm1: Norm::new(self.norm, [self.width]),
            norm2: Norm::new(self.norm, [self.width]),
            place: self.place,
            activation: self.activation,
        };
        let factor = T::from_f64(self.branches);
        for end in [&mut block.self_attn.out_proj, &mut block.linear2] {
            let weights = end.weight.value_mut().data_mut();
            weights.iter_mut().for_each(|weight| *weight *= factor);
        }
        name_params(&mut block);
        block
    }
}

/// A Transformer block, made by [`BlockSpec::build`]: attention, then two linear layers
/// with a nonlinearity between them, each added to what came in.
///
/// Its parameters are called as those of PyTorch's `TransformerEncoderLayer`:
/// `self_attn.in_proj_weight`, …, `linear1.weight`, `linear2.weight`, `norm1.gamma`, ….
#[derive(Debug)]
pub struct TransformerBlock<T: Real> {
    self_attn: MultiHeadAttention<T>,
    linear1: Linear<T>,
    linear2: Linear<T>,
    norm1: Norm<T>,
    norm2: Norm<T>,
    place: NormPlace,
    activation: Activation,
}

impl<T: Real> Module<T> for TransformerBlock<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.child("self_attn", &mut self.self_attn);
        v.child("linear1", &mut self.linear1);
        v.child("linear2", &mut self.linear2);
        v.child("norm1", &mut self.norm1);
        v.child("norm2", &mut self.norm2);
    }
}

impl<T: Real> TransformerBlock<T> {
    /// The result for packed positions `[M, E]`. Shows `norm1`, `self_attn`, `linear1`,
    /// the nonlinearity, `linear2`, `norm2` and last `output`, as they come.
    ///
    /// # Panics
    /// If the shape does not go with the lengths and the width.
    #[track_caller]
    pub fn forward_packed<'t>(
        &self,
        x: &Var<'t, T>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        // ANCHOR: block
        let pre = self.place == NormPlace::Pre;
        let mut x = x.clone();
        for (name, norm) in [("norm1", &self.norm1), ("norm2", &self.norm2)] {
            let into = match pre {
                true => norm.forward_as(&name, &x, pass),
                false => x.clone(),
            };
            let y = if name == "norm1" {
                let y = self.self_attn.forward_packed(&into, lengths, pass);
                pass.show("self_attn", &y);
                y
            } else {
                let inside = self.linear1.forward_as(&"linear1", &into, pass);
                let inside = self.activation.apply(&inside);
                pass.show(self.activation, &inside);
                self.linear2.forward_as(&"linear2", &inside, pass)
            };
            x = x + y;
            if !pre {
                x = norm.forward_as(&name, &x, pass);
            }
        }
        // ANCHOR_END: block
        pass.show("output", &x);
        x
    }
}

impl<T: Real> Layer<T> for TransformerBlock<T> {
    /// The result, `[B, T, E]`, for sequences of equal length `[B, T, E]`.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let shape = *x.shape();
        let width = self.linear1.inputs();
        assert!(
            shape.len() == 3 && shape[2] == width,
            "transformer block: x of shape {shape} does not go with linear1.weight of shape {}: \
             [B, T, {width}] is needed",
            self.linear1.weight.value().shape()
        );
        let lengths = Lengths::full(shape[0], shape[1]);
        let y = self.forward_packed(&lengths.pack(x), &lengths, pass);
        y.reshape(shape)
    }
}

/// What a Transformer language model is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TransformerSpec {
    /// V, how many tokens there are.
    pub tokens: usize,
    /// The longest sequence.
    pub steps: usize,
    /// How many blocks.
    pub layers: usize,
    /// What each block is.
    pub block: BlockSpec,
}

impl TransformerSpec {
    /// A model of sequences of at most `steps` of `tokens` different tokens, of `layers`
    /// blocks.
    pub fn new(tokens: usize, steps: usize, layers: usize, block: BlockSpec) -> Self {
        TransformerSpec {
            tokens,
            steps,
            layers,
            block,
        }
    }

    /// Draws the weights. A token's row and a position's row have variance ½ each, so that
    /// the blocks start from numbers of variance 1, as a norm would give them; all else
    /// is as PyTorch draws it.
    ///
    /// # Panics
    /// If a count is 0, or the heads do not divide the width.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> Transformer<T> {
        let BlockSpec {
            width, norm, place, ..
        } = self.block;
        let last = match place {
            NormPlace::Pre => norm,
            NormPlace::Post => NormKind::None,
        };
        let half = 0.5_f64.sqrt();
        let mut model = Transformer {
            embedding: Embedding::with_deviation(self.tokens, width, half, rng),
            positions: Embedding::with_deviation(self.steps, width, half, rng),
            layers: (0..self.layers).map(|_| self.block.build(rng)).collect(),
            norm: Norm::new(last, [width]),
            head: Linear::new(width, self.tokens, rng),
        };
        name_params(&mut model);
        model
    }
}

/// A language model of Transformer blocks, made by [`TransformerSpec::build`].
///
/// Its parameters are `embedding.weight` `[V, E]`, `positions.weight` `[T, E]`,
/// `layers.0.self_attn.in_proj_weight`, …, `norm.gamma` and `norm.beta` if blocks
/// normalize in front, `head.weight` `[V, E]`, `head.bias`.
#[derive(Debug)]
pub struct Transformer<T: Real> {
    embedding: Embedding<T>,
    positions: Embedding<T>,
    layers: Vec<TransformerBlock<T>>,
    norm: Norm<T>,
    head: Linear<T>,
}

impl<T: Real> Module<T> for Transformer<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.child("embedding", &mut self.embedding);
        v.child("positions", &mut self.positions);
        for (i, layer) in self.layers.iter_mut().enumerate() {
            v.child(format_args!("layers.{i}"), layer);
        }
        v.child("norm", &mut self.norm);
        v.child("head", &mut self.head);
    }
}

impl<T: Real> TokenModel<T> for Transformer<T> {
    /// Shows `embedding`, the values inside of each block such as `layers.0.norm1`, then
    /// `norm` if there is one, and `head`.
    #[track_caller]
    fn forward<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let longest = self.positions.weight.value().shape()[0];
        assert!(
            tokens.len() == lengths.rows() && lengths.steps() <= longest,
            "transformer: {} tokens in sequences of lengths {:?} do not go with \
             positions.weight of shape {}: one token is needed for each step, and at most \
             {longest} steps",
            tokens.len(),
            lengths.each(),
            self.positions.weight.value().shape()
        );
        let positions: Vec<usize> = lengths.each().iter().flat_map(|&n| 0..n).collect();
        let mut x = self.embedding.forward(tape, tokens) + self.positions.forward(tape, &positions);
        pass.show("embedding", &x);
        for (i, layer) in self.layers.iter().enumerate() {
            let pass = &mut pass.within(format_args!("layers.{i}"));
            x = layer.forward_packed(&x, lengths, pass);
        }
        let x = self.norm.forward_as(&"norm", &x, pass);
        self.head.forward_as(&"head", &x, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{BLOCK_FORMS, CheckTokens, check_block, normal, small_block};
    use crate::module::each_param;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(4)
    }

    fn model(norm: NormKind, place: NormPlace) -> Transformer<f64> {
        TransformerSpec::new(5, 4, 2, small_block(norm, place)).build(&mut rng())
    }

    #[test]
    fn block_gradient() {
        for (norm, place) in BLOCK_FORMS {
            for trains in [true, false] {
                check_block(&format!("{place}-{norm}"), norm, place, trains)
                    .run(|| small_block(norm, place).build(&mut rng()))
                    .assert_passes();
            }
        }
    }

    #[test]
    fn model_gradient() {
        for (norm, place) in [0, 1, 2, 5].map(|form| BLOCK_FORMS[form]) {
            CheckTokens::new("transformer", 5, &[3, 4])
                .run(|| model(norm, place))
                .assert_passes();
        }
    }

    /// Only the ends of the branches are drawn smaller, and from the same draws.
    #[test]
    fn branches_start_smaller() {
        let weights = |factor| {
            let spec = small_block(NormKind::None, NormPlace::Pre).branches(factor);
            let mut all = Vec::new();
            each_param(&mut spec.build::<f64>(&mut rng()), |p| {
                all.push((p.name().to_owned(), p.value().to_vec()));
            });
            all
        };
        for ((name, whole), (_, half)) in weights(1.0).into_iter().zip(weights(0.5)) {
            let factor = match &name[..] {
                "self_attn.out_proj.weight" | "linear2.weight" => 0.5,
                _ => 1.0,
            };
            let scaled: Vec<f64> = whole.iter().map(|w| factor * w).collect();
            assert_eq!(half, scaled, "{name}");
        }
    }

    #[test]
    fn parameters_have_pytorchs_names() {
        let mut names = Vec::new();
        each_param(&mut model(NormKind::Layer, NormPlace::Pre), |p| {
            names.push(format!("{} {}", p.name(), p.value().shape()));
        });
        let expected = [
            "embedding.weight [5, 4]",
            "positions.weight [4, 4]",
            "layers.0.self_attn.in_proj_weight [12, 4]",
            "layers.0.self_attn.in_proj_bias [12]",
            "layers.0.self_attn.out_proj.weight [4, 4]",
            "layers.0.self_attn.out_proj.bias [4]",
            "layers.0.linear1.weight [5, 4]",
            "layers.0.linear1.bias [5]",
            "layers.0.linear2.weight [4, 5]",
            "layers.0.linear2.bias [4]",
            "layers.0.norm1.gamma [4]",
            "layers.0.norm1.beta [4]",
            "layers.0.norm2.gamma [4]",
            "layers.0.norm2.beta [4]",
        ];
        assert_eq!(names[..expected.len()], expected);
        let last = [
            "norm.gamma [4]",
            "norm.beta [4]",
            "head.weight [5, 4]",
            "head.bias [5]",
        ];
        assert_eq!(names[names.len() - 4..], last);
    }

    #[test]
    fn a_sequence_is_the_same_whatever_stands_beside_it() {
        let model = model(NormKind::Layer, NormPlace::Pre);
        let run = |tokens: &[usize], lengths: &[usize]| {
            Tape::eval(|t| {
                let y = model.eval(t, tokens, &Lengths::new(lengths));
                y.value().to_vec()
            })
        };
        let both = run(&[4, 0, 1, 2, 3, 3, 0], &[4, 3]);
        assert_eq!(both[..20], run(&[4, 0, 1, 2], &[4]));
        assert_eq!(both[20..], run(&[3, 3, 0], &[3]));
        // And a position does not depend on what comes after it.
        assert_eq!(both[20..30], run(&[3, 3], &[2]));
    }

    #[test]
    fn a_probe_sees_every_value_in_order() {
        let mut seen = Vec::new();
        Tape::eval(|t| {
            let lengths = Lengths::new(&[2]);
            let mut probe = |name: &str, _: &Var<'_, f64>| seen.push(name.to_owned());
            let mut pass = Pass::eval().probed(&mut probe);
            model(NormKind::Rms, NormPlace::Post).forward(t, &[0, 1], &lengths, &mut pass);
        });
        let expected = [
            "embedding",
            "layers.0.self_attn",
            "layers.0.norm1",
            "layers.0.linear1",
            "layers.0.gelu",
            "layers.0.linear2",
            "layers.0.norm2",
            "layers.0.output",
            "layers.1.self_attn",
        ];
        assert_eq!(seen[..expected.len()], expected);
        assert_eq!(seen.last().map(|s| &s[..]), Some("head"));
    }

    #[test]
    #[should_panic(expected = "5 tokens in sequences of lengths [5] do not go with \
                               positions.weight of shape [4, 4]")]
    fn a_sequence_may_not_be_longer_than_the_positions() {
        let model = model(NormKind::None, NormPlace::Pre);
        Tape::eval(|t| drop(model.eval(t, &[0; 5], &Lengths::new(&[5]))));
    }

    #[test]
    #[should_panic(
        expected = "x of shape [2, 3, 5] does not go with linear1.weight of shape \
                               [5, 4]"
    )]
    fn the_width_must_agree() {
        let block = small_block(NormKind::Layer, NormPlace::Pre).build(&mut rng());
        Tape::eval(|t| drop(block.eval(&t.constant(normal([2, 3, 5], 1)))));
    }
}
