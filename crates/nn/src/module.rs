//! What a layer is: a map from one value to another, and the state it keeps.

use std::fmt::{self, Display, Write};

use tape::{Param, Real, Tensor, Var};

/// Whether a forward pass trains.
///
/// Batch Norm uses the statistics of the batch and updates its running statistics in
/// [`Mode::Train`], and uses its running statistics in [`Mode::Eval`]; dropout acts in
/// [`Mode::Train`] only. Gradients flow in both, so a frozen layer can sit in a network
/// that is fine-tuned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Statistics of the batch, dropout, updated running statistics.
    Train,
    /// Running statistics; nothing is updated.
    Eval,
}

/// Something that has parameters, and perhaps other state that is saved with them.
pub trait Module<T: Real> {
    /// Shows every parameter and every other piece of state to `v`, always in the same
    /// order, under names that differ.
    fn visit(&mut self, v: &mut Visitor<'_, T>);
}

/// A module that maps one value to another.
pub trait Layer<T: Real>: Module<T> {
    /// The output for the input `x`, recorded on its tape.
    fn forward<'t>(&mut self, x: &Var<'t, T>, mode: Mode) -> Var<'t, T>;

    /// Like [`Layer::forward`], and shows the values on the way to `probe`, in order and
    /// by name. A layer with nothing inside shows its output, as `output`.
    fn forward_probed<'t>(
        &mut self,
        x: &Var<'t, T>,
        mode: Mode,
        probe: &mut Probe<'_, T>,
    ) -> Var<'t, T> {
        let y = self.forward(x, mode);
        probe(&"output", &y);
        y
    }
}

/// Looks at the values inside a network: receives their names, such as `layers.0.norm`,
/// and their handles.
pub type Probe<'p, T> = dyn FnMut(&dyn Display, &Var<'_, T>) + 'p;

/// One piece of a module's state.
pub enum State<'a, T: Real> {
    /// Learned by gradient descent.
    Param(&'a mut Param<T>),
    /// Kept up to date by the forward pass: a running mean or variance.
    Buffer(&'a mut Tensor<T>),
    /// A counter kept up to date by the forward pass.
    Count(&'a mut u64),
}

/// Walks over the state of a module and knows where it is.
pub struct Visitor<'f, T: Real> {
    path: String,
    /// Without names no text is built, so that an optimizer's walk allocates nothing.
    named: bool,
    f: &'f mut dyn FnMut(&str, State<'_, T>),
}

impl<'f, T: Real> Visitor<'f, T> {
    /// Calls `f` with the name of each piece of state, such as `layers.0.norm.gamma`.
    pub fn new(f: &'f mut dyn FnMut(&str, State<'_, T>)) -> Self {
        let path = String::new();
        Visitor {
            path,
            named: true,
            f,
        }
    }

    /// Calls `f` with empty names.
    fn unnamed(f: &'f mut dyn FnMut(&str, State<'_, T>)) -> Self {
        let path = String::new();
        Visitor {
            path,
            named: false,
            f,
        }
    }

    /// Visits a part of the module, whose state gets `name.` in front of its name.
    pub fn child(&mut self, name: impl Display, module: &mut (impl Module<T> + ?Sized)) {
        self.within(name, |v| module.visit(v));
    }

    /// Visits a parameter.
    pub fn param(&mut self, name: impl Display, param: &mut Param<T>) {
        self.within(name, |v| (v.f)(&v.path, State::Param(param)));
    }

    /// Visits a tensor that is saved but not learned.
    pub fn buffer(&mut self, name: impl Display, tensor: &mut Tensor<T>) {
        self.within(name, |v| (v.f)(&v.path, State::Buffer(tensor)));
    }

    /// Visits a counter.
    pub fn count(&mut self, name: impl Display, count: &mut u64) {
        self.within(name, |v| (v.f)(&v.path, State::Count(count)));
    }

    fn within(&mut self, name: impl Display, inside: impl FnOnce(&mut Self)) {
        if !self.named {
            return inside(self);
        }
        let length = self.path.len();
        let dot = if length == 0 { "" } else { "." };
        write!(self.path, "{dot}{name}").expect("writing to a string cannot fail");
        inside(self);
        self.path.truncate(length);
    }
}

impl<T: Real> fmt::Debug for Visitor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Visitor at {:?}", self.path)
    }
}

/// Calls `f` for every parameter, in the order of the module's visit.
pub fn each_param<T: Real>(
    module: &mut (impl Module<T> + ?Sized),
    mut f: impl FnMut(&mut Param<T>),
) {
    module.visit(&mut Visitor::unnamed(&mut |_, state| {
        if let State::Param(param) = state {
            f(param);
        }
    }));
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
}
