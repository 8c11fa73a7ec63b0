//! One forward pass: whether it trains, who looks on, and what training learns on the way.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::ops::{Deref, DerefMut};

use batchnorm::RunningStats;
use tape::{Real, Var};

use crate::module::{Module, Path, StatsId, each_running};

/// Looks at the values inside a network: receives their names, such as `layers.0.norm`,
/// and their handles.
pub type Probe<'p, T> = dyn FnMut(&str, &Var<'_, T>) + 'p;

/// What a forward pass carries through a network.
///
/// In training, Batch Norm normalizes by the statistics of the batch, and its running
/// statistics are to take them in; in evaluation it normalizes by the running statistics.
/// Whatever else differs between the two, such as dropout, asks [`Pass::trains`]. Gradients
/// flow in both, so a frozen layer can sit in a network that is fine-tuned.
///
/// No forward pass changes the network: it takes `&self`, and the running statistics as
/// they are to be are kept in the pass. [`Pass::finish`] puts them in their places. So
/// a pass that panics on the way leaves the network as it was, and one that trains but is
/// not finished shows what training would see:
///
/// ```
/// use nn::{Layer, MlpSpec, NormKind, Pass};
/// use rand::SeedableRng;
/// use tape::{Tape, Tensor};
///
/// let rng = &mut rand::rngs::StdRng::seed_from_u64(0);
/// let mut mlp = MlpSpec::new(&[2, 4, 1]).norm(NormKind::Batch).build::<f32>(rng);
/// let x = Tensor::randn([8, 2], rng);
/// Tape::eval(|t| {
///     let x = t.constant(x);
///     let mut names = Vec::new();
///     mlp.forward(&x, &mut Pass::train().probed(&mut |name, _| names.push(name.to_owned())));
///     assert_eq!(names, ["layers.0.linear", "layers.0.norm", "layers.0.relu", "layers.1.linear"]);
///     let before = mlp.eval(&x).value().clone();
///
///     // `mlp.train(&x)` does these three lines.
///     let mut pass = Pass::train();
///     let _y = mlp.forward(&x, &mut pass);
///     pass.finish(&mut mlp);
///     assert_ne!(mlp.eval(&x).value(), &before);
/// });
/// ```
pub struct Pass<'p, T: Real> {
    /// Running statistics as they are to be after the pass; `None` in evaluation.
    learned: Option<HashMap<StatsId, RunningStats<T>>>,
    averages: bool,
    probe: Option<&'p mut Probe<'p, T>>,
    path: Path,
}

impl<'p, T: Real> Pass<'p, T> {
    /// A pass that trains. [`Pass::finish`] ends it.
    pub fn train() -> Self {
        Self::new(true)
    }

    /// A pass that evaluates. It learns nothing, and needs no end.
    pub fn eval() -> Self {
        Self::new(false)
    }

    /// A pass that trains, or one that evaluates.
    pub fn new(trains: bool) -> Self {
        Pass {
            learned: trains.then(HashMap::new),
            averages: false,
            probe: None,
            path: Path::default(),
        }
    }

    /// The pass with every batch weighing the same in the running statistics, whatever the
    /// momentum of a norm: so they are averaged over the training set once training is over,
    /// from statistics that have seen no batch yet ([`forget_statistics`](crate::forget_statistics)).
    pub fn averaging(self) -> Self {
        Pass {
            averages: true,
            ..self
        }
    }

    /// The pass with `probe` looking on: it is shown the values inside of the network, in
    /// order and by name.
    pub fn probed<'q>(self, probe: &'q mut Probe<'q, T>) -> Pass<'q, T> {
        Pass {
            learned: self.learned,
            averages: self.averages,
            probe: Some(probe),
            path: self.path,
        }
    }

    /// Whether it trains.
    pub fn trains(&self) -> bool {
        self.learned.is_some()
    }

    /// Shows `value` to the probe, if there is one.
    pub fn show(&mut self, name: impl Display, value: &Var<'_, T>) {
        if let Some(probe) = &mut self.probe {
            let outside = self.path.enter(&name);
            probe(self.path.as_str(), value);
            self.path.leave(outside);
        }
    }

    /// The same pass in the part `name` of the network: what is shown there gets `name.` in
    /// front of its name.
    pub fn within(&mut self, name: impl Display) -> Within<'_, 'p, T> {
        let outside = match self.probe {
            Some(_) => self.path.enter(&name),
            None => 0,
        };
        Within {
            pass: self,
            outside,
        }
    }

    /// What a Batch Norm with the momentum `own` is to take a batch in with.
    pub fn momentum(&self, own: Option<f64>) -> Option<f64> {
        own.filter(|_| !self.averages)
    }

    /// For a Batch Norm whose running statistics are `now` outside of the pass: what it is
    /// to take the batch into, or `None` in evaluation. One that is used twice takes in
    /// both batches, in order.
    pub fn running(&mut self, id: StatsId, now: &RunningStats<T>) -> Option<&mut RunningStats<T>> {
        let learned = self.learned.as_mut()?;
        Some(learned.entry(id).or_insert_with(|| now.clone()))
    }

    /// The same to look at: `now`, and what the pass has learned since.
    pub fn latest<'a>(&'a self, id: StatsId, now: &'a RunningStats<T>) -> &'a RunningStats<T> {
        let learned = self.learned.as_ref();
        learned.and_then(|all| all.get(&id)).unwrap_or(now)
    }

    /// Gives `module` what the pass has learned: every Batch Norm gets its new running
    /// statistics. What could be wrong with them was found on the way, when a batch was
    /// taken in.
    ///
    /// # Panics
    /// If the pass went through a Batch Norm that `module` does not show. Those that it does show
    /// have their statistics by then.
    #[track_caller]
    pub fn finish(self, module: &mut (impl Module<T> + ?Sized)) {
        let mut learned = self.learned.unwrap_or_default();
        if learned.is_empty() {
            return;
        }
        each_running(module, |id, running| {
            if let Some(new) = learned.remove(&id) {
                *running = new;
            }
        });
        assert!(
            learned.is_empty(),
            "pass: {} running statistics belong to no Batch Norm of this module; finish a pass \
             with the module that it went through, whose visit must show every part",
            learned.len()
        );
    }
}

impl<T: Real> fmt::Debug for Pass<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.trains() { "Train" } else { "Eval" };
        write!(f, "{what} at {:?}", self.path.as_str())
    }
}

/// A [`Pass`] inside a part of the network, until it is dropped.
#[derive(Debug)]
pub struct Within<'a, 'p, T: Real> {
    pass: &'a mut Pass<'p, T>,
    outside: usize,
}

impl<'p, T: Real> Deref for Within<'_, 'p, T> {
    type Target = Pass<'p, T>;

    fn deref(&self) -> &Pass<'p, T> {
        self.pass
    }
}

impl<'p, T: Real> DerefMut for Within<'_, 'p, T> {
    fn deref_mut(&mut self) -> &mut Pass<'p, T> {
        self.pass
    }
}

impl<T: Real> Drop for Within<'_, '_, T> {
    fn drop(&mut self) {
        self.pass.path.leave(self.outside);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::check::normal;
    use crate::layer::Layer;
    use crate::module::Visitor;
    use batchnorm::BatchNorm;
    use tape::Tape;

    /// Two norms, the second of which sees the first `rows` rows only.
    struct Pair {
        norms: [BatchNorm<f64>; 2],
        rows: usize,
    }

    impl Pair {
        fn new() -> Self {
            let norms = [BatchNorm::new(3), BatchNorm::new(3).without_affine()];
            Pair { norms, rows: 4 }
        }

        fn running(&self) -> [RunningStats<f64>; 2] {
            self.norms.each_ref().map(|norm| norm.running().clone())
        }
    }

    impl Module<f64> for Pair {
        fn visit(&mut self, v: &mut Visitor<'_, f64>) {
            for (i, norm) in self.norms.iter_mut().enumerate() {
                v.child(i, norm);
            }
        }
    }

    impl Layer<f64> for Pair {
        fn forward<'t>(&self, x: &Var<'t, f64>, pass: &mut Pass<'_, f64>) -> Var<'t, f64> {
            let [first, second] = &self.norms;
            let y = first.forward_as(&"first", x, pass);
            let y = y.slice(0, 0..self.rows);
            second.forward_as(&"second", &y, &mut pass.within("inside"))
        }
    }

    #[test]
    fn a_network_changes_at_the_end_of_a_pass_and_as_its_norms_would_alone() {
        let (mut pair, mut alone) = (Pair::new(), Pair::new());
        let x = normal([6, 3], 1);
        Tape::eval(|t| {
            let x = t.constant(x);
            let mut pass = Pass::train();
            let y = pair.forward(&x, &mut pass);
            assert_eq!(pair.running(), [(); 2].map(|()| RunningStats::new(3)));
            pass.finish(&mut pair);
            let [first, second] = &mut alone.norms;
            let expected = second.train(&first.train(&x).slice(0, 0..4));
            assert_eq!(y.value(), expected.value());
            assert_eq!(pair.running(), alone.running());
            // And whole training does no other.
            alone.train(&x);
            let mut pass = Pass::train();
            pair.forward(&x, &mut pass);
            pass.finish(&mut pair);
            assert_eq!(pair.running(), alone.running());
            let before = pair.running();
            pair.eval(&x);
            assert_eq!(pair.running(), before);
        });
    }

    #[test]
    fn a_norm_that_is_used_twice_takes_in_both_batches() {
        let [mut once, mut alone] = [(); 2].map(|()| BatchNorm::<f64>::new(3));
        Tape::eval(|t| {
            let batches = [1, 2].map(|seed| t.constant(normal([4, 3], seed)));
            let mut pass = Pass::train();
            for x in &batches {
                once.forward(x, &mut pass);
                alone.train(x);
            }
            pass.finish(&mut once);
        });
        assert_eq!(once.running().num_batches_tracked, 2);
        assert_eq!(once.running(), alone.running());
    }

    #[test]
    fn a_pass_that_averages_gives_every_batch_the_same_weight() {
        let mut norm = BatchNorm::<f64>::new(3);
        let batches = [1, 2, 3].map(|seed| normal([4, 3], seed));
        let mut each = batches.iter().map(|x| {
            norm.set_running(RunningStats::new(3));
            let mut pass = Pass::train().averaging();
            Tape::eval(|t| drop(norm.forward(&t.constant(x.clone()), &mut pass)));
            pass.finish(&mut norm);
            norm.running().mean.data()[0]
        });
        let mean = each.by_ref().sum::<f64>() / 3.0;
        drop(each);
        Tape::eval(|t| drop(norm.train(&t.constant(batches[2].clone()))));
        crate::forget_statistics(&mut norm);
        assert_eq!(norm.running(), &RunningStats::new(3));
        for x in &batches {
            let mut pass = Pass::train().averaging();
            Tape::eval(|t| drop(norm.forward(&t.constant(x.clone()), &mut pass)));
            pass.finish(&mut norm);
        }
        assert!((norm.running().mean.data()[0] - mean).abs() < 1e-15);
        assert_eq!(norm.running().num_batches_tracked, 3);
    }

    #[test]
    fn a_pass_that_panics_on_the_way_leaves_the_network_as_it_was() {
        let mut pair = Pair::new();
        Tape::eval(|t| drop(pair.train(&t.constant(normal([6, 3], 1)))));
        let before = pair.running();
        pair.rows = 1;
        let step = || Tape::eval(|t| drop(pair.train(&t.constant(normal([6, 3], 2)))));
        let message = catch_unwind(AssertUnwindSafe(step)).expect_err("one value per channel");
        let message = message.downcast_ref::<String>().expect("a message");
        assert!(message.contains("every channel needs at least 2 values"));
        // The first norm had its batch, and has not taken it in.
        assert_eq!(pair.running(), before);
    }

    #[test]
    fn names_are_paths() {
        let mut seen = Vec::new();
        let mut probe = |name: &str, _: &Var<'_, f64>| seen.push(name.to_owned());
        let mut pass = Pass::train().probed(&mut probe);
        Tape::eval(|t| {
            let x = t.constant(normal([6, 3], 1));
            Pair::new().forward_as(&"pair", &x, &mut pass);
            pass.show("after", &x);
        });
        let expected = ["pair.first", "pair.inside.second", "pair", "after"];
        assert_eq!(seen, expected);
    }

    #[test]
    #[should_panic(expected = "2 running statistics belong to no Batch Norm of this module")]
    fn a_pass_is_finished_with_its_own_network() {
        let mut pass = Pass::train();
        Tape::eval(|t| drop(Pair::new().forward(&t.constant(normal([6, 3], 1)), &mut pass)));
        pass.finish(&mut Pair::new());
    }
}
