//! The check of a part against finite differences, as a value.

use crate::part::{Case, Numeric, Part, extents};
use gradcheck::{Check, Input};

/// Numbers of a case.
pub type Numbers<C> = fn(&mut C) -> &mut [f64];

/// A function of a case, whose gradients a part asks for.
pub struct Differences<C, F> {
    /// What it is called.
    pub name: &'static str,
    /// A case, from a seed; the numbers in it are moved.
    pub case: F,
    /// Its inputs, by name. The gradient of `x` is the target `dx`, whose axes give the shape.
    pub inputs: Vec<(&'static str, Numbers<C>)>,
    /// The upstream gradient.
    pub dy: Numbers<C>,
    /// The function.
    pub y: fn(&C) -> Vec<f64>,
}

impl<C: Case + Clone, A: 'static> Part<C, A> {
    /// Once everything is right, asks finite differences, which know their own error.
    ///
    /// # Panics
    /// If the gradient of an input is no target yet.
    #[must_use]
    #[track_caller]
    pub fn differentiates<F>(self, of: Differences<C, F>) -> Self
    where
        F: Fn(u64) -> C + 'static,
    {
        self.differentiates_as(|check, _| check, of)
    }

    /// The same, where the check must know more of the function.
    ///
    /// # Panics
    /// If the gradient of an input is no target yet.
    #[must_use]
    #[track_caller]
    pub fn differentiates_as<F>(
        mut self,
        with: fn(Check, &C) -> Check,
        of: Differences<C, F>,
    ) -> Self
    where
        F: Fn(u64) -> C + 'static,
    {
        let target = |name: &str| self.by_name(&format!("d{}", name.to_lowercase()));
        let each = of.inputs.iter().map(|(name, numbers)| {
            let target = target(name);
            (*name, *numbers, target.axes, target.get)
        });
        let (inputs, blank): (Vec<_>, _) = (each.collect(), self.blank);
        let numeric: Numeric<C, A> = Box::new(move |run, seed| {
            let case = (of.case)(seed);
            let moved = |values: &[Vec<f64>]| {
                let mut case = case.clone();
                for ((_, numbers, ..), values) in inputs.iter().zip(values) {
                    numbers(&mut case).copy_from_slice(values);
                }
                case
            };
            let all = inputs.iter().map(|(name, numbers, axes, _)| {
                let values = numbers(&mut case.clone()).to_vec();
                Input::new(*name, &extents(axes, &case), values)
            });
            let check = Check::new(of.name).inputs(&all.collect::<Vec<_>>());
            with(check, &case).seed(seed).run(
                |values| (of.y)(&moved(values)),
                |values, dy| {
                    let mut case = moved(values);
                    (of.dy)(&mut case).copy_from_slice(dy);
                    let mut answer = blank(&case);
                    run(&case, &mut answer);
                    inputs.iter().map(|(.., get)| get(&answer)).collect()
                },
            )
        });
        self.numeric = Some(numeric);
        self
    }
}
