//! The backward pass by hand, one record at a time, for those who want to look at it.

use std::mem;

use crate::backward::{InputGrads, Inputs, Kind, NodeId, Record};
use crate::{Real, Tape, Tensor, Var};

/// A recording that is taken apart by its caller, last record first.
///
/// It does what the sweep of [`Tape::grad`] does, except that what each record gives to its
/// inputs is handed out and not added up: where it goes is the caller's business.
///
/// ```
/// use tape::{Param, Tape, Tensor};
///
/// let x = Param::new("x", Tensor::scalar(3.0_f64));
/// let (mut steps, ()) = Tape::new().steps(|t| {
///     let x = t.param(&x);
///     (&x * &x, ())
/// });
/// // The product hands 3 to its one operand, and 3 to its other one.
/// let given = steps.step(Some(Tensor::scalar(1.0)));
/// assert_eq!(given.len(), 2);
/// assert!(given.iter().all(|(record, dx)| *record == 0 && dx.item() == 3.0));
/// ```
pub struct Steps<T: Real> {
    records: Vec<Record<T>>,
    result: Option<NodeId>,
}

impl<T: Real> Tape<T> {
    /// Records `f`, and hands out the records, with what else `f` returns.
    ///
    /// # Panics
    /// If the result was computed on another tape.
    #[track_caller]
    pub fn steps<A>(
        &mut self,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (Steps<T>, A) {
        let (result, _, rest) = self.run(f);
        let records = mem::take(self.records.get_mut());
        (Steps { records, result }, rest)
    }
}

impl<T: Real> Steps<T> {
    /// How many records are left. The next that [`Steps::step`] takes is the last of them.
    pub fn left(&self) -> usize {
        self.records.len()
    }

    /// The record of the result, where the sweep begins; `None` if it depends on no parameter.
    pub fn result(&self) -> Option<usize> {
        self.result.map(NodeId::index)
    }

    /// Takes the last record off. If it is an op, and `dy` is what has arrived at it, returns what
    /// it gives to each of its inputs that needs a gradient: the input's record, and the gradient.
    /// An input that is there twice is named twice. From a parameter nothing comes back.
    ///
    /// # Panics
    /// If no record is left, if `dy` has another shape than the record's value, or if the op
    /// leaves out an input that needs a gradient.
    #[track_caller]
    pub fn step(&mut self, dy: Option<Tensor<T>>) -> Vec<(usize, Tensor<T>)> {
        let record = self.records.pop();
        let record = record.expect("step: no record is left; ask `left` before");
        let (Kind::Op(backward), Some(dy)) = (record.kind, dy) else {
            return Vec::new();
        };
        let (name, shape, given) = (backward.name(), record.shape, dy.shape());
        assert!(
            *given == shape,
            "step: {name} has a value of shape {shape}, but the gradient has shape {given}"
        );
        // A place for each input by itself, where nothing is added to anything.
        let places = record.inputs.iter().enumerate();
        let apart: Inputs = places
            .map(|(i, input)| input.map(|_| NodeId::new(i)))
            .collect();
        let stand_in = |input: &Option<NodeId>| Record {
            inputs: Inputs::new(),
            shape: input.map_or(shape, |node| self.records[node.index()].shape),
            kind: Kind::Leaf {
                name: String::new(),
            },
            watched: false,
        };
        let inputs: Vec<Record<T>> = record.inputs.iter().map(stand_in).collect();
        let mut slots = vec![None; inputs.len()];
        let mut dx = InputGrads::new(name, &apart, &inputs, &mut slots);
        backward.backward(dy, &mut dx);
        dx.check_served();
        let given = record.inputs.iter().zip(slots);
        given
            .filter_map(|(input, dx)| Some(((*input)?.index(), dx?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor, Var};

    type Function = for<'t> fn([Var<'t, f64>; 2]) -> Var<'t, f64>;

    /// Everything is used twice, by ops that add, that broadcast, and that write.
    const FUNCTIONS: [Function; 4] = [
        |[a, b]| (&a * &a + &b).tanh().mean(&[0, 1]),
        |[a, b]| (&b * &a - &b).exp().sum(&[0, 1]),
        |[a, b]| a.matmul(&a).matmul(&(&a + &b)).sum(&[0, 1]),
        |[a, _]| (&a + &a).powi(2).sum(&[0, 1]),
    ];

    fn params() -> [Param<f64>; 2] {
        let a = Tensor::new([2, 2], vec![0.5, -0.25, 1.5, 0.75]);
        let b = Tensor::new([2], vec![0.125, -1.0]);
        [Param::new("a", a), Param::new("b", b)]
    }

    #[test]
    fn steps_that_are_added_up_are_the_sweep() {
        for (which, f) in FUNCTIONS.iter().enumerate() {
            let params = params();
            let (_, grads) = Tape::new().grad(|t| f(params.each_ref().map(|p| t.param(p))));
            let (mut steps, ()) =
                Tape::new().steps(|t| (f(params.each_ref().map(|p| t.param(p))), ()));
            let mut slots: Vec<Option<Tensor<f64>>> = vec![None; steps.left()];
            slots[steps.result().unwrap()] = Some(Tensor::scalar(1.0));
            while steps.left() > 2 {
                let dy = slots[steps.left() - 1].take();
                for (input, dx) in steps.step(dy) {
                    match &mut slots[input] {
                        Some(sum) => sum.zip_assign(&dx, |a, b| a + b),
                        slot => *slot = Some(dx),
                    }
                }
            }
            for (place, param) in params.iter().enumerate() {
                let wanted = grads.of(param);
                match &slots[place] {
                    None => assert!(grads.get(param).is_none(), "{which}"),
                    Some(found) => {
                        let pairs = found.data().iter().zip(wanted.data());
                        for (a, b) in pairs {
                            assert!((a - b).abs() <= 1e-14 * b.abs(), "{which}: {a} {b}");
                        }
                    }
                }
            }
            while steps.left() > 0 {
                assert!(steps.step(slots[steps.left() - 1].take()).is_empty());
            }
        }
    }

    #[test]
    fn what_depends_on_no_parameter_has_no_record() {
        let (steps, ()) = Tape::new().steps(|t| (t.constant(Tensor::scalar(1.0_f64)), ()));
        assert_eq!((steps.left(), steps.result()), (0, None));
    }

    #[test]
    fn an_op_at_which_nothing_arrives_gives_nothing() {
        let [a, _] = params();
        let (mut steps, ()) = Tape::new().steps(|t| (t.param(&a).exp(), ()));
        assert!(steps.step(None).is_empty());
        assert_eq!(steps.left(), 1);
    }

    #[test]
    #[should_panic(expected = "exp has a value of shape [2, 2], but the gradient has shape []")]
    fn a_gradient_of_another_shape_is_refused() {
        let [a, _] = params();
        let (mut steps, ()) = Tape::new().steps(|t| (t.param(&a).exp(), ()));
        steps.step(Some(Tensor::scalar(1.0)));
    }

    #[test]
    #[should_panic(expected = "no record is left; ask `left` before")]
    fn a_step_too_many_is_refused() {
        let (mut steps, ()) = Tape::new().steps(|t| (t.constant(Tensor::scalar(1.0_f64)), ()));
        steps.step(None);
    }
}
