//! What a layer is: a map from one value to another.

use std::fmt::Display;

use tape::{Real, Var};

use crate::module::Module;
use crate::pass::Pass;

/// A module that maps one value to another.
///
/// Training needs `&mut`, for it moves running statistics; evaluation does not, and threads
/// may share a network that they evaluate. Both are one [`Layer::forward`]:
///
/// ```
/// use nn::{Layer, MlpSpec, NormKind};
/// use rand::SeedableRng;
/// use tape::{Tape, Tensor};
///
/// let rng = &mut rand::rngs::StdRng::seed_from_u64(0);
/// let mut mlp = MlpSpec::new(&[3, 5, 2]).norm(NormKind::Batch).build::<f32>(rng);
/// Tape::eval(|t| drop(mlp.train(&t.constant(Tensor::randn([8, 3], rng)))));
///
/// let (mlp, x) = (&mlp, Tensor::randn([1, 3], rng));
/// let evaluate = || Tape::eval(|t| mlp.eval(&t.constant(x.clone())).value().to_vec());
/// std::thread::scope(|threads| {
///     let other = threads.spawn(evaluate);
///     assert_eq!(evaluate(), other.join().expect("it evaluates too"));
/// });
/// ```
pub trait Layer<T: Real>: Module<T> {
    /// The output for the input `x`, recorded on its tape.
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T>;

    /// The output as a part of a network: what is inside of the layer is shown with `name.`
    /// in front, then the output as `name`.
    #[track_caller]
    fn forward_as<'t>(
        &self,
        name: &dyn Display,
        x: &Var<'t, T>,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let y = self.forward(x, &mut pass.within(name));
        pass.show(name, &y);
        y
    }

    /// The output in training. Running statistics take in the batch when all of the network
    /// has been passed; if it panics on the way, they stay as they were.
    #[track_caller]
    fn train<'t>(&mut self, x: &Var<'t, T>) -> Var<'t, T> {
        let mut pass = Pass::train();
        let y = self.forward(x, &mut pass);
        pass.finish(self);
        y
    }

    /// The output in evaluation, which changes nothing.
    #[track_caller]
    fn eval<'t>(&self, x: &Var<'t, T>) -> Var<'t, T> {
        self.forward(x, &mut Pass::eval())
    }
}
