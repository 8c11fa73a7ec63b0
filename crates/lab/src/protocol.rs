//! What is fixed before the first run.
//!
//! A protocol is one value. The experiment carries it out, and it stands in the results: its words
//! come from the parts that are used, so that what is said to have been done has been done.

use std::fmt;

use nn::data::{BatchSize, DataError, Digits, Examples, Set};
use nn::{CnnSpec, Diverged, Init, Layer, MlpSpec, NormKind, Optimizer, Schedule};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::start::Start;
use crate::text::as_text;
use crate::train::{Curve, Epoch, Run, Training, fit};

/// What is trained, at which learning rates, and what follows from it. `P` says how one
/// network is trained, `X` what else the experiment fixes: what its settings differ in, what
/// it looks at, and its limits.
#[derive(Clone, Serialize)]
pub(crate) struct Protocol<X, P = Plan> {
    #[serde(flatten)]
    pub(crate) plan: P,
    /// The grid of learning rates, the same for every setting.
    pub(crate) rates: Vec<f64>,
    /// How the rate of a setting is picked from the grid.
    #[serde(with = "as_text")]
    pub(crate) rate_rule: Rule,
    #[serde(flatten)]
    pub(crate) own: X,
    /// What the results are to say of the claim.
    pub(crate) decision_rule: &'static str,
}

/// For an experiment that fixes nothing besides.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Nothing {}

/// The small form's value, or that of the full protocol.
pub(crate) fn pick<T>(quick: bool, small: T, full: T) -> T {
    if quick { small } else { full }
}

/// A grid of learning rates: each power of ten from `10^first` to `10^last`, and three times it.
pub(crate) fn decades(first: i32, last: i32) -> Vec<f64> {
    let two = |power| [1, 3].map(|times| format!("{times}e{power}"));
    // Read as they are written, so that each is the number nearest to what a protocol says.
    let rate = |text: String| text.parse().expect("it is written as a number");
    (first..=last).flat_map(two).map(rate).collect()
}

/// How a classifier of digits is trained, but for its learning rate and its seed. What is
/// `None` differs between the settings of the experiment, which say it.
#[derive(Clone, Serialize)]
pub(crate) struct Plan {
    #[serde(flatten)]
    pub(crate) data: Data,
    #[serde(flatten)]
    pub(crate) network: Option<Network>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) optimizer: Option<Sgd>,
    #[serde(serialize_with = "schedule")]
    pub(crate) schedule: Schedule,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "batch")]
    pub(crate) batch: Option<BatchSize>,
    pub(crate) epochs: usize,
    /// Steps from one scoring to the next; if not given, an epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score_each: Option<usize>,
    /// The accuracy on the validation part whose first reaching is timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// Whether a batch counts by its size, where sizes vary.
    #[serde(skip)]
    pub(crate) weighted: bool,
    /// What is kept of every scoring, at the rate that is picked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) curves: Vec<Curve>,
}

/// The digits, or the first of each part.
#[derive(Clone, Copy)]
pub(crate) struct Data {
    pub(crate) set: Set,
    /// How many to train on, for validation and for the test, if not all.
    pub(crate) first: Option<[usize; 3]>,
}

/// A network, without the norms that the settings put into it.
#[derive(Clone)]
pub(crate) enum Network {
    Mlp(MlpSpec),
    Cnn(CnnSpec),
}

/// SGD with this momentum.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Sgd {
    pub(crate) momentum: f64,
}

/// Adam with these decays of its averages, and AdamW's decay of the weights.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Adam {
    pub(crate) betas: [f64; 2],
    pub(crate) decay: f64,
}

/// How the learning rate of a setting is picked from the grid. A run that diverged has an
/// accuracy of 0. Where losses decide between equal accuracies it is left out; by
/// [`Rule::Loss`], its loss is infinite.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rule {
    /// By the accuracy at the end.
    Accuracy,
    /// By how soon the target is reached.
    Speed,
    /// By the loss at the end.
    Loss,
    /// None is picked: the grid is what is measured.
    None,
}

impl Plan {
    /// An MLP learns the 8 x 8 digits in batches of 64, by SGD with momentum 0.9.
    pub(crate) fn mlp(sizes: &[usize], epochs: usize) -> Self {
        let data = Data {
            set: Set::Small,
            first: None,
        };
        Plan {
            data,
            network: Some(Network::Mlp(MlpSpec::new(sizes))),
            optimizer: Some(Sgd { momentum: 0.9 }),
            schedule: Schedule::Constant,
            batch: Some(BatchSize::Fixed(64)),
            epochs,
            score_each: None,
            target: None,
            weighted: false,
            curves: Vec::new(),
        }
    }

    /// With this norm, behind each convolution, or linear layer but the last.
    pub(crate) fn norm(mut self, norm: NormKind) -> Self {
        match self.network.as_mut().expect(SAID) {
            Network::Mlp(spec) => spec.norm = norm,
            Network::Cnn(spec) => spec.norm = norm,
        }
        self
    }

    /// With weights drawn like this at the start.
    pub(crate) fn start(mut self, start: Start) -> Self {
        let init = start.init();
        match self.network.as_mut().expect(SAID) {
            Network::Mlp(spec) => spec.init = init,
            Network::Cnn(spec) => spec.init = init,
        }
        self
    }

    /// With batches of this size.
    pub(crate) fn batch(mut self, batch: BatchSize) -> Self {
        self.batch = Some(batch);
        self
    }

    /// With each batch counting by its size, or all alike.
    pub(crate) fn weighted(mut self, weighted: bool) -> Self {
        self.weighted = weighted;
        self
    }

    /// The MLP.
    pub(crate) fn spec(&self) -> &MlpSpec {
        match &self.network {
            Some(Network::Mlp(spec)) => spec,
            _ => panic!("the network of this protocol is no MLP"),
        }
    }

    /// How many examples a batch has.
    pub(crate) fn fixed_batch(&self) -> usize {
        match self.batch.expect(SAID) {
            BatchSize::Fixed(batch) => batch,
            BatchSize::Varying(..) => panic!("the batches of this protocol vary in size"),
        }
    }

    /// Trains the network once, and says what came of it.
    pub(crate) fn run(&self, data: &Digits<f32>, rate: f64, seed: u64) -> Run {
        let result = match self.network.as_ref().expect(SAID) {
            Network::Mlp(spec) => self.trained(|rng| spec.build(rng), data, rate, seed).1,
            Network::Cnn(spec) => self.trained(|rng| spec.build(rng), data, rate, seed).1,
        };
        result.into()
    }

    /// Trains what `build` makes.
    pub(crate) fn trained<M: Layer<f32>>(
        &self,
        build: impl FnOnce(&mut StdRng) -> M,
        data: &Digits<f32>,
        rate: f64,
        seed: u64,
    ) -> (M, Result<Vec<Epoch>, Diverged>) {
        self.watched(build, data, rate, seed, |_, _| {})
    }

    /// Trains what `build` makes, and shows it to `watch` before each step and at the end.
    ///
    /// Weights are drawn from one generator and the order of the examples from another, both
    /// decided by `seed`, so that methods with other parameters see the same batches.
    pub(crate) fn watched<M: Layer<f32>>(
        &self,
        build: impl FnOnce(&mut StdRng) -> M,
        data: &Digits<f32>,
        rate: f64,
        seed: u64,
        watch: impl FnMut(usize, &mut M),
    ) -> (M, Result<Vec<Epoch>, Diverged>) {
        let mut sgd = self.optimizer.expect(SAID).start();
        self.watched_by(&mut sgd, build, data, rate, seed, watch)
    }

    /// The same by an optimizer of the experiment's own.
    pub(crate) fn watched_by<M: Layer<f32>>(
        &self,
        optimizer: &mut impl Optimizer<f32>,
        build: impl FnOnce(&mut StdRng) -> M,
        data: &Digits<f32>,
        rate: f64,
        seed: u64,
        watch: impl FnMut(usize, &mut M),
    ) -> (M, Result<Vec<Epoch>, Diverged>) {
        let training = Training {
            epochs: self.epochs,
            batch: self.batch.expect(SAID),
            rate,
            schedule: self.schedule,
            score_each: self.score_each,
            weighted: self.weighted,
            tests_each: self.curves.iter().any(|curve| curve.of_test()),
        };
        let weights = &mut StdRng::seed_from_u64(2 * seed);
        let order = &mut StdRng::seed_from_u64(2 * seed + 1);
        let mut model = build(weights);
        let result = fit(&mut model, optimizer, data, &training, order, watch);
        (model, result)
    }
}

const SAID: &str = "a setting says what its protocol leaves open";

impl Data {
    pub(crate) fn load(self) -> Result<Digits<f32>, DataError> {
        let all = Digits::load(self.set)?;
        let Some([train, validation, test]) = self.first else {
            return Ok(all);
        };
        let first = |part: &Examples<f32>, n: usize| part.pick(&(0..n).collect::<Vec<_>>());
        Ok(Digits {
            train: first(&all.train, train),
            validation: first(&all.validation, validation),
            test: first(&all.test, test),
        })
    }
}

impl Network {
    pub(crate) fn mlp(sizes: &[usize]) -> Self {
        Network::Mlp(MlpSpec::new(sizes))
    }

    pub(crate) fn cnn(channels: &[usize], set: Set) -> Self {
        Network::Cnn(CnnSpec::new(channels, set.side(), 10))
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let side = self.set.side();
        let mut words = format!("digits-{side}x{side} in its fixed split");
        let mut map = serializer.serialize_map(None)?;
        if let Some([train, validation, test]) = self.first {
            words += ", the first examples of each part";
            map.serialize_entry("train_examples", &train)?;
            map.serialize_entry("validation_examples", &validation)?;
            map.serialize_entry("test_examples", &test)?;
        }
        map.serialize_entry("data", &words)?;
        map.end()
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, sizes, activation, init) = match self {
            Network::Mlp(spec) => {
                let activation = spec.activation.to_string();
                ("network", &spec.sizes, activation, spec.init)
            }
            Network::Cnn(spec) => ("channels", &spec.channels, "relu".to_owned(), spec.init),
        };
        let weights = match init {
            None => "PyTorch's default".to_owned(),
            Some(Init { gain, fan, draw }) => {
                format!("{draw:?}, deviation {gain}/sqrt(fan {fan:?}); biases 0").to_lowercase()
            }
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(key, sizes)?;
        map.serialize_entry("activation", &activation)?;
        map.serialize_entry("initial_weights", &weights)?;
        map.end()
    }
}

impl Sgd {
    pub(crate) fn start(self) -> nn::Sgd<f32> {
        nn::Sgd::new().momentum(self.momentum)
    }
}

impl Adam {
    /// As everybody uses it.
    pub(crate) const USUAL: Adam = Adam {
        betas: [0.9, 0.999],
        decay: 0.0,
    };

    pub(crate) fn start(self) -> nn::Adam<f32> {
        let [mean, square] = self.betas;
        let decay = nn::Decay::Decoupled(self.decay);
        nn::Adam::new().betas(mean, square).decay(decay)
    }
}

impl fmt::Display for Sgd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SGD, momentum {}", self.momentum)
    }
}

impl fmt::Display for Adam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mean, square] = self.betas;
        match self.decay {
            0.0 => write!(f, "Adam, beta {mean} and {square}"),
            decay => write!(f, "AdamW, beta {mean} and {square}, decay {decay}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = "highest median validation accuracy after the last epoch over the tuning \
                   seeds, then lowest median validation loss, then the smaller rate; a diverged \
                   run has accuracy 0. What is reported is of other seeds, at that rate";
        match self {
            Rule::Accuracy => f.write_str(end),
            Rule::Speed => write!(
                f,
                "smallest median number of steps over the tuning seeds until the validation \
                 accuracy first reaches the target, then {end}"
            ),
            Rule::Loss => f.write_str(
                "lowest median validation loss at the end over the tuning seeds, then the smaller \
                 rate; a diverged run is infinitely bad. What is reported is of other seeds, at \
                 that rate",
            ),
            Rule::None => f.write_str("none is picked: every rate is tried from every seed"),
        }
    }
}

fn optional<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value.as_ref().expect(SAID))
}

pub(crate) fn schedule<S: Serializer>(
    schedule: &Schedule,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format!("{schedule:?}").to_lowercase())
}

fn batch<S: Serializer>(batch: &Option<BatchSize>, serializer: S) -> Result<S::Ok, S::Error> {
    match batch {
        Some(BatchSize::Varying(low, high)) => [low, high].serialize(serializer),
        Some(BatchSize::Fixed(size)) => size.serialize(serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_of_rates_is_what_one_would_write() {
        assert_eq!(decades(-2, 0), [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]);
        assert_eq!(decades(-9, -9), [1e-9, 3e-9]);
    }
}
