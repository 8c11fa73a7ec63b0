//! Transformers that read *Alice's Adventures in Wonderland* and predict each character from those
//! before it: how they are trained and tested, and what they are drawn beside.

use chart::{Axis, Chart, Line};
use nn::data::{Prose, all_windows, random_windows};
use nn::loss::cross_entropy;
use nn::{BlockSpec, Optimizer as _, Schedule, TokenModel, TransformerSpec};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tape::Tape;

use crate::counts::{Counted, Counts};
use crate::protocol::{Adam, schedule};
use crate::sweep::LossRun;
use crate::text::as_text;

/// How a Transformer learns to read, but for its depth, its norms, its rate and its seed.
#[derive(Serialize)]
pub(crate) struct Reader {
    pub(crate) data: &'static str,
    pub(crate) characters: usize,
    pub(crate) steps: usize,
    pub(crate) validation_characters: usize,
    pub(crate) test_characters: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    #[serde(serialize_with = "as_text::serialize")]
    pub(crate) optimizer: Adam,
    /// The most length that the gradient may have, if there is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clip: Option<f64>,
    #[serde(serialize_with = "schedule")]
    pub(crate) schedule: Schedule,
    pub(crate) pieces: usize,
    pub(crate) counted: &'static str,
}

/// What learns, from what, and how its rate changes.
pub(crate) struct Lesson<'a> {
    pub(crate) blocks: usize,
    pub(crate) block: BlockSpec,
    pub(crate) text: &'a [usize],
    pub(crate) schedule: Schedule,
}

/// The losses of what only counts.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnBoth {
    pub(crate) validation_loss: f64,
    pub(crate) test_loss: f64,
}

/// What is said of the counts.
pub(crate) const COUNTED: &str = "how often each character came after the last 0 to 3 in the \
     training part, orders mixed by the rule of Witten and Bell (1991)";

impl Reader {
    /// A block of this width, without a choice of norm.
    pub(crate) fn block(&self) -> BlockSpec {
        BlockSpec::new(self.width, self.heads).hidden(self.hidden)
    }

    /// As much of a part as is read, with the character before the first that is predicted.
    fn read_of(part: &[usize], characters: usize) -> &[usize] {
        &part[..=characters]
    }

    /// What counting alone predicts, from no character before to three.
    pub(crate) fn counts(&self, prose: &Prose) -> Vec<Counted<OnBoth>> {
        let order = Counted::<OnBoth>::MOST + 1;
        let counts = Counts::of([&prose.train[..]], order, prose.alphabet.len(), 0);
        let loss = |part, characters, looks_back| {
            counts.loss([Reader::read_of(part, characters)], looks_back + 1, 1)
        };
        Counted::each(|looks_back| OnBoth {
            validation_loss: loss(&prose.validation, self.validation_characters, looks_back),
            test_loss: loss(&prose.test, self.test_characters, looks_back),
        })
    }

    /// Trains a model once, and tests it.
    pub(crate) fn run(&self, prose: &Prose, of: &Lesson<'_>, rate: f64, seed: u64) -> LossRun {
        let weights = &mut StdRng::seed_from_u64(2 * seed);
        let order = &mut StdRng::seed_from_u64(2 * seed + 1);
        let spec = TransformerSpec::new(prose.alphabet.len(), self.characters, of.blocks, of.block);
        let mut model = spec.build::<f32>(weights);
        let mut adam = self.optimizer.start();
        let mut tape = Tape::new();
        let mut fine = true;
        for step in 0..self.steps {
            let batch = random_windows(of.text, self.pieces, self.characters, order);
            let (loss, grads) = tape.grad(|t| {
                let logits = model.train(t, &batch.tokens, &batch.lengths);
                cross_entropy(&logits, &batch.targets)
            });
            fine = loss.is_finite();
            if !fine {
                break;
            }
            let rate = rate * of.schedule.factor(step);
            match self.clip {
                Some(most) => {
                    adam.step_clipped(&mut model, &grads, rate, most);
                }
                None => adam.step(&mut model, &grads, rate),
            }
        }
        let score = |part: &[usize], characters: usize| {
            let (mut total, mut count) = (0.0, 0.0);
            let part = Reader::read_of(part, characters);
            for batch in all_windows(part, 32, self.characters) {
                let loss = Tape::eval(|t| {
                    let logits = model.eval(t, &batch.tokens, &batch.lengths);
                    f64::from(cross_entropy(&logits, &batch.targets).value().item())
                });
                total += loss * batch.targets.len() as f64;
                count += batch.targets.len() as f64;
            }
            let loss = total / count;
            (fine && loss.is_finite()).then_some(loss)
        };
        LossRun {
            validation: score(&prose.validation, self.validation_characters),
            test: vec![score(&prose.test, self.test_characters)],
        }
    }
}

/// Losses above this are drawn at the upper edge. A model that takes all 72 characters for
/// equally likely has 4.28.
const HIGHEST: f64 = 4.5;

/// Of the counts, how many look no further back than at the two characters in front of a third.
pub(crate) const TRIPLES: usize = 3;

/// The validation loss over the rate, with level lines for what only counts: the first of all
/// counts, as many as are given.
pub(crate) fn over_rates(
    title: impl Into<String>,
    about: &str,
    lines: impl IntoIterator<Item = Line>,
    counts: &[Counted<OnBoth>],
) -> Chart {
    let about = format!(
        "{about} A gap is left where the upper quartile is of runs that diverged; losses above 4.5 \
         are drawn at the upper edge. Level lines are the losses of models that only count how \
         often each character came after as many others."
    );
    let lines =
        Chart::of(title, about, lines).x(|first, last| Axis::log("learning rate", first, last));
    let names = ["frequencies", "pairs", "triples", "quadruples"];
    Counted::levels(counts, &names, lines, |of| of.validation_loss).y(|low, high| {
        let (low, high) = ((10.0 * low).floor() / 10.0, (10.0 * high).ceil() / 10.0);
        Axis::linear(
            "validation loss (nats per character)",
            low,
            high.min(HIGHEST),
        )
    })
}
