//! What a module is: something that shows its state.

use std::fmt::{self, Display, Write};

use batchnorm::RunningStats;
use tape::{Param, ParamId, Real, Tensor};

/// Something that has parameters, and perhaps other state that is saved with them.
pub trait Module<T: Real> {
    /// Shows every parameter and every other piece of state to `v`, always in the same
    /// order, under names that differ.
    fn visit(&mut self, v: &mut Visitor<'_, T>);
}

/// One piece of a module's state.
pub enum State<'a, T: Real> {
    /// Learned by gradient descent.
    Param(&'a mut Param<T>),
    /// Kept up to date by the forward pass: a running mean or variance.
    Buffer(&'a mut Tensor<T>),
    /// A counter kept up to date by the forward pass.
    Count(&'a mut u64),
}

/// Names running statistics: by the identity of their Batch Norm and, if that keeps several,
/// by their number.
pub type StatsId = (ParamId, usize);

/// Walks over the state of a module and knows where it is.
pub struct Visitor<'f, T: Real> {
    path: Path,
    looks_at: LooksAt<'f, T>,
    hidden: Vec<fn(&Param<T>) -> bool>,
}

/// What a walk is for. Only one that looks at everything needs names: in the others no text
/// is built, so that an optimizer's walk allocates nothing.
enum LooksAt<'f, T: Real> {
    Everything(&'f mut dyn FnMut(&str, State<'_, T>)),
    Params(&'f mut dyn FnMut(&mut Param<T>)),
    Running(&'f mut dyn FnMut(StatsId, &mut RunningStats<T>)),
}

impl<'f, T: Real> Visitor<'f, T> {
    /// Calls `f` with the name of each piece of state, such as `layers.0.norm.gamma`.
    pub fn new(f: &'f mut dyn FnMut(&str, State<'_, T>)) -> Self {
        Self::at(LooksAt::Everything(f))
    }

    fn at(looks_at: LooksAt<'f, T>) -> Self {
        Visitor {
            path: Path::default(),
            looks_at,
            hidden: Vec::new(),
        }
    }

    /// Visits a part of the module, whose state gets `name.` in front of its name.
    pub fn child(&mut self, name: impl Display, module: &mut (impl Module<T> + ?Sized)) {
        self.within(name, |v| module.visit(v));
    }

    /// Visits a part of the module, but for the parameters that `hide` picks: nobody sees
    /// them, so they stay as they are.
    pub fn hiding(&mut self, hide: fn(&Param<T>) -> bool, module: &mut (impl Module<T> + ?Sized)) {
        self.hidden.push(hide);
        module.visit(self);
        self.hidden.pop();
    }

    /// Visits a parameter.
    pub fn param(&mut self, name: impl Display, param: &mut Param<T>) {
        if self.hidden.iter().any(|hide| hide(param)) {
            return;
        }
        match &mut self.looks_at {
            LooksAt::Everything(_) => self.show(name, State::Param(param)),
            LooksAt::Params(f) => f(param),
            LooksAt::Running(_) => {}
        }
    }

    /// Visits a tensor that is saved but not learned.
    pub fn buffer(&mut self, name: impl Display, tensor: &mut Tensor<T>) {
        self.show(name, State::Buffer(tensor));
    }

    /// Visits a counter.
    pub fn count(&mut self, name: impl Display, count: &mut u64) {
        self.show(name, State::Count(count));
    }

    /// Visits running statistics: the buffers `running_mean` and `running_var` and the
    /// counter `num_batches_tracked`.
    pub fn running(&mut self, id: StatsId, running: &mut RunningStats<T>) {
        if let LooksAt::Running(f) = &mut self.looks_at {
            return f(id, running);
        }
        self.buffer("running_mean", &mut running.mean);
        self.buffer("running_var", &mut running.var);
        self.count("num_batches_tracked", &mut running.num_batches_tracked);
    }

    fn show(&mut self, name: impl Display, state: State<'_, T>) {
        if let LooksAt::Everything(f) = &mut self.looks_at {
            let outside = self.path.enter(&name);
            f(self.path.as_str(), state);
            self.path.leave(outside);
        }
    }

    /// Does what is `inside` of the part `name`.
    pub(crate) fn within(&mut self, name: impl Display, inside: impl FnOnce(&mut Self)) {
        if !matches!(self.looks_at, LooksAt::Everything(_)) {
            return inside(self);
        }
        let outside = self.path.enter(&name);
        inside(self);
        self.path.leave(outside);
    }
}

impl<T: Real> fmt::Debug for Visitor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Visitor at {:?}", self.path.as_str())
    }
}

/// A place in a module: names from the outside inwards, with dots between them.
#[derive(Default)]
pub(crate) struct Path(String);

impl Path {
    /// Goes into the part `name`, and returns what [`Path::leave`] needs.
    pub(crate) fn enter(&mut self, name: &dyn Display) -> usize {
        let outside = self.0.len();
        let dot = if outside == 0 { "" } else { "." };
        write!(self.0, "{dot}{name}").expect("writing to a string cannot fail");
        outside
    }

    pub(crate) fn leave(&mut self, outside: usize) {
        self.0.truncate(outside);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Calls `f` for every parameter, in the order of the module's visit.
pub fn each_param<T: Real>(
    module: &mut (impl Module<T> + ?Sized),
    mut f: impl FnMut(&mut Param<T>),
) {
    module.visit(&mut Visitor::at(LooksAt::Params(&mut f)));
}

/// Calls `f` with every set of running statistics.
pub(crate) fn each_running<T: Real>(
    module: &mut (impl Module<T> + ?Sized),
    mut f: impl FnMut(StatsId, &mut RunningStats<T>),
) {
    module.visit(&mut Visitor::at(LooksAt::Running(&mut f)));
}

/// Puts the running statistics of every Batch Norm back to where they are before the first batch.
pub fn forget_statistics<T: Real>(module: &mut (impl Module<T> + ?Sized)) {
    each_running(module, |_, running| {
        *running = RunningStats::new(running.mean.len());
    });
}

/// Calls `f` with name and content of every piece of state.
pub fn each_state<T: Real>(
    module: &mut (impl Module<T> + ?Sized),
    mut f: impl FnMut(&str, State<'_, T>),
) {
    module.visit(&mut Visitor::new(&mut f));
}

/// Gives every parameter its place in the module as its name, so that printed tapes and
/// messages say `layers.0.weight`. Composed layers call this when they are made.
pub fn name_params<T: Real>(module: &mut (impl Module<T> + ?Sized)) {
    each_state(module, |path, state| {
        if let State::Param(param) = state {
            param.rename(path);
        }
    });
}

/// How many numbers the module learns.
pub fn count_params<T: Real>(module: &mut (impl Module<T> + ?Sized)) -> usize {
    let mut count = 0;
    each_param(module, |param| count += param.value().len());
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Leaf(Param<f32>, Tensor<f32>, u64);

    impl Module<f32> for Leaf {
        fn visit(&mut self, v: &mut Visitor<'_, f32>) {
            v.param("weight", &mut self.0);
            v.buffer("mean", &mut self.1);
            v.count("steps", &mut self.2);
        }
    }

    struct Pair(Leaf, Leaf);

    impl Module<f32> for Pair {
        fn visit(&mut self, v: &mut Visitor<'_, f32>) {
            v.child(format_args!("layers.{}", 0), &mut self.0);
            v.child("head", &mut self.1);
        }
    }

    fn pair() -> Pair {
        let leaf = || {
            Leaf(
                Param::new("w", Tensor::zeros([2, 3])),
                Tensor::zeros([3]),
                0,
            )
        };
        Pair(leaf(), leaf())
    }

    #[test]
    fn names_are_paths() {
        let mut names = Vec::new();
        each_state(&mut pair(), |name, _| names.push(name.to_owned()));
        let expected = [
            "layers.0.weight",
            "layers.0.mean",
            "layers.0.steps",
            "head.weight",
            "head.mean",
            "head.steps",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn parameters_take_their_paths_as_names() {
        let mut pair = pair();
        name_params(&mut pair);
        assert_eq!(pair.0.0.name(), "layers.0.weight");
        assert_eq!(pair.1.0.name(), "head.weight");
    }

    #[test]
    fn only_parameters_are_counted() {
        assert_eq!(count_params(&mut pair()), 12);
    }

    /// The pair without the weight of its head.
    struct Headless(Pair);

    impl Module<f32> for Headless {
        fn visit(&mut self, v: &mut Visitor<'_, f32>) {
            v.hiding(|param| param.name() == "head.weight", &mut self.0);
        }
    }

    #[test]
    fn hidden_parameters_are_seen_by_nobody_and_all_else_is() {
        let mut pair = pair();
        name_params(&mut pair);
        let mut headless = Headless(pair);
        assert_eq!(count_params(&mut headless), 6);
        let mut names = Vec::new();
        each_state(&mut headless, |name, _| names.push(name.to_owned()));
        let expected = [
            "layers.0.weight",
            "layers.0.mean",
            "layers.0.steps",
            "head.mean",
            "head.steps",
        ];
        assert_eq!(names, expected);
    }
}
