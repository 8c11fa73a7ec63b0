//! Recording a computation, and differentiating it: what a tape is asked for.

use std::ptr;

use crate::backward::{Backward, Inputs, Kind, NodeId};
use crate::{Grads, Param, Real, Tape, Tensor, Var};

impl<T: Real> Tape<T> {
    /// Runs `f` and returns the loss that it computed, and the gradient of the loss with
    /// respect to every parameter it used.
    ///
    /// # Panics
    /// If the loss has more than one element; use [`Tape::vjp`] then. If it was computed
    /// on another tape, or the backward pass of an op leaves out an input that needs a
    /// gradient.
    #[track_caller]
    pub fn grad(&mut self, f: impl for<'t> FnOnce(&'t Tape<T>) -> Var<'t, T>) -> (T, Grads<T>) {
        let (loss, (), grads) = self.grad_with(|t| (f(t), ()));
        (loss, grads)
    }

    /// Like [`Tape::grad`] for an `f` that returns more than the loss: the rest comes back
    /// between the loss and the gradients.
    ///
    /// # Panics
    /// As [`Tape::grad`].
    #[track_caller]
    pub fn grad_with<A>(
        &mut self,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (T, A, Grads<T>) {
        let (node, loss, rest) = self.run(f);
        let shape = loss.shape();
        assert!(
            loss.len() == 1,
            "grad needs a loss with one element, but it has shape {shape}; reduce it with sum or \
             mean, or give an upstream gradient to vjp"
        );
        let value = loss.item();
        let grads = self.sweep(node, Tensor::ones(shape));
        (value, rest, grads)
    }

    /// Like [`Tape::grad`] for a result of any shape: returns the result, and the
    /// gradient of `Σ dy·y` with respect to every parameter. `dy` is the upstream
    /// gradient, of the shape of the result.
    ///
    /// # Panics
    /// If `dy` has another shape than the result, and as [`Tape::grad`].
    #[track_caller]
    pub fn vjp(
        &mut self,
        dy: &Tensor<T>,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> Var<'t, T>,
    ) -> (Tensor<T>, Grads<T>) {
        let (y, (), grads) = self.vjp_with(dy, |t| (f(t), ()));
        (y, grads)
    }

    /// Like [`Tape::vjp`] for an `f` that returns more than its result.
    ///
    /// # Panics
    /// As [`Tape::vjp`].
    #[track_caller]
    pub fn vjp_with<A>(
        &mut self,
        dy: &Tensor<T>,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (Tensor<T>, A, Grads<T>) {
        let (node, y, rest) = self.run(f);
        let (found, given) = (y.shape(), dy.shape());
        assert!(
            found == given,
            "vjp: the result has shape {found}, but the upstream gradient has shape {given}"
        );
        let grads = self.sweep(node, dy.clone());
        (y, rest, grads)
    }

    /// Runs `f` without recording anything: parameters are constants, ops save nothing,
    /// and every intermediate value is freed with its handle.
    pub fn eval<R>(f: impl FnOnce(&Tape<T>) -> R) -> R {
        let tape = Tape::new();
        tape.evaluating.set(true);
        f(&tape)
    }

    /// Whether ops on this tape are recorded; false inside [`Tape::eval`].
    pub fn is_recording(&self) -> bool {
        !self.evaluating.get()
    }

    #[track_caller]
    pub(crate) fn run<A>(
        &mut self,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (Option<NodeId>, Tensor<T>, A) {
        self.start();
        let (result, rest) = f(self);
        assert!(
            ptr::eq(result.tape, self),
            "the result of a recording comes from another tape; compute it with the tape that \
             the closure is given"
        );
        (result.node, result.value, rest)
    }

    /// The handle of a parameter. Asked for twice, it is the same node.
    pub fn param(&self, param: &Param<T>) -> Var<'_, T> {
        let value = param.value().clone();
        if !self.is_recording() {
            return self.constant(value);
        }
        let mut params = self.params.borrow_mut();
        let node = *params.entry(param.id()).or_insert_with(|| {
            let name = param.name().to_owned();
            self.push(Inputs::new(), *value.shape(), Kind::Leaf { name })
        });
        self.var(Some(node), value)
    }

    fn var(&self, node: Option<NodeId>, value: Tensor<T>) -> Var<'_, T> {
        let tape = self;
        Var { tape, node, value }
    }

    /// A value that no gradient is wanted for.
    pub fn constant(&self, value: Tensor<T>) -> Var<'_, T> {
        self.var(None, value)
    }

    /// Records an op: its inputs, its value, and how to make its backward half.
    ///
    /// This is the only way to make a value that depends on others, and it demands a
    /// backward, which must give every input that needs one a gradient
    /// ([`InputGrads`](crate::InputGrads)). What is computed past the tape, from
    /// [`Var::value`], and put back with [`Tape::constant`] is a constant to it, as behind a
    /// [stop_gradient](crate::ops::stop_gradient). `backward` is called only when some
    /// input depends on a parameter, so an untracked op keeps nothing.
    ///
    /// # Panics
    /// If an input that depends on a parameter is from another tape.
    #[inline]
    #[track_caller]
    pub fn record<'t, B: Backward<T> + 'static>(
        &'t self,
        inputs: &[&Var<'t, T>],
        value: Tensor<T>,
        backward: impl FnOnce() -> B,
    ) -> Var<'t, T> {
        if inputs.iter().all(|input| input.node.is_none()) {
            return self.constant(value);
        }
        let mut nodes = Inputs::new();
        for input in inputs {
            assert!(
                input.node.is_none() || ptr::eq(input.tape, self),
                "an op cannot join values from two tapes: one could not be differentiated; \
                 hand its value in with `constant`, or compute both on one tape"
            );
            nodes.push(input.node);
        }
        let kind = Kind::Op(Box::new(backward()));
        let node = self.push(nodes, *value.shape(), kind);
        self.var(Some(node), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InputGrads;

    fn param(value: f64) -> Param<f64> {
        Param::new("x", Tensor::scalar(value))
    }

    #[test]
    fn a_value_used_twice_gets_both_gradients() {
        let x = param(3.0);
        let (_, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            &x * &x
        });
        assert_eq!(grads.of(&x).item(), 6.0);
        let (_, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            &x + &x
        });
        assert_eq!(grads.of(&x).item(), 2.0);
    }

    #[test]
    fn a_parameter_asked_for_twice_is_one_node() {
        let x = param(3.0);
        let (_, grads) = Tape::new().grad(|t| t.param(&x) * t.param(&x));
        assert_eq!(grads.of(&x).item(), 6.0);
    }

    #[test]
    fn a_diamond_adds_its_two_routes() {
        // y = exp(x) · tanh(x): both routes from x to y count.
        let x = param(0.3);
        let (_, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            x.exp() * x.tanh()
        });
        let (e, h) = (0.3_f64.exp(), 0.3_f64.tanh());
        assert!((grads.of(&x).item() - (e * h + e * (1.0 - h * h))).abs() < 1e-15);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_ops_needs_no_stack() {
        let x = param(1.0);
        let run = || {
            let (value, grads) = Tape::new().grad(|t| {
                let mut y = t.param(&x);
                for _ in 0..100_000 {
                    y = y + 1.0;
                }
                y
            });
            assert_eq!((value, grads.of(&x).item()), (100_001.0, 1.0));
        };
        std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(128 << 10);
            small.spawn_scoped(scope, run).unwrap().join().unwrap();
        });
    }

    #[test]
    fn dropping_a_long_recording_needs_no_stack() {
        let x = param(1.0);
        let mut tape = Tape::new();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tape.grad(|t| {
                let mut y = t.param(&x);
                for _ in 0..100_000 {
                    y = y.exp() * 0.0;
                }
                panic!("in the middle of a recording");
            })
        }));
        assert!(result.is_err());
        // The tape is usable again, and nothing of the old recording is left.
        let (_, grads) = tape.grad(|t| {
            assert_eq!(t.records.borrow().len(), 0);
            t.param(&x) * 2.0
        });
        assert_eq!(grads.of(&x).item(), 2.0);
    }

    #[test]
    fn a_parameter_that_was_not_reached_has_no_gradient() {
        let (x, unused, off_path) = (param(1.0), param(2.0), param(3.0));
        let (_, grads) = Tape::new().grad(|t| {
            let _ = t.param(&off_path).exp();
            t.param(&x) * 2.0
        });
        assert!(grads.get(&unused).is_none() && grads.get(&off_path).is_none());
        assert_eq!(grads.of(&off_path).item(), 0.0);
        assert_eq!(grads.get(&x).unwrap().item(), 2.0);
    }

    #[test]
    fn a_constant_loss_has_no_gradients() {
        let x = param(1.0);
        let (loss, grads) = Tape::new().grad(|t| t.constant(Tensor::scalar(4.0)));
        assert_eq!(loss, 4.0);
        assert!(grads.get(&x).is_none());
    }

    #[test]
    fn a_parameter_may_itself_be_the_loss() {
        let x = param(1.5);
        let (_, grads) = Tape::new().grad(|t| t.param(&x));
        assert_eq!(grads.of(&x).item(), 1.0);
    }

    #[test]
    fn a_watched_value_reports_its_gradient() {
        let x = param(3.0);
        let (_, (square, unreached), grads) = Tape::new().grad_with(|t| {
            let x = t.param(&x);
            let square = &x * &x;
            let watch = (square.watch(), x.exp().watch());
            (square * 5.0, watch)
        });
        assert_eq!(grads.at(square).item(), 5.0);
        assert_eq!(grads.at(unreached).item(), 0.0);
        assert_eq!(grads.of(&x).item(), 30.0);
    }

    #[test]
    #[should_panic(expected = "was not watched in the recording")]
    fn a_receipt_from_another_recording_is_refused() {
        let x = param(3.0);
        let (_, watch, _) = Tape::new().grad_with(|t| {
            let y = t.param(&x).exp();
            let watch = y.watch();
            (y, watch)
        });
        let (_, grads) = Tape::new().grad(|t| t.param(&x));
        grads.at(watch);
    }

    #[test]
    #[should_panic(expected = "was not watched in the recording")]
    fn a_receipt_for_the_same_place_of_another_recording_is_refused() {
        let x = param(3.0);
        let mut tape = Tape::new();
        let mut record = || {
            let (_, watch, grads) = tape.grad_with(|t| {
                let y = t.param(&x).exp();
                let watch = y.watch();
                (y, watch)
            });
            (watch, grads)
        };
        let ((first, _), (second, grads)) = (record(), record());
        assert_eq!(grads.at(second).item(), 1.0);
        grads.at(first);
    }

    #[test]
    #[should_panic(expected = "an op cannot join values from two tapes")]
    fn two_tapes_do_not_mix() {
        let x = param(3.0);
        Tape::new().grad(|outer| {
            let y = outer.param(&x);
            Tape::new().grad(|inner| {
                let z = inner.param(&x);
                let _ = &z * &y;
                z
            });
            y
        });
    }

    #[test]
    fn a_constant_of_another_tape_is_a_constant() {
        let x = param(3.0);
        Tape::eval(|other| {
            let c = other.constant(Tensor::scalar(2.0));
            let (_, grads) = Tape::new().grad(|t| {
                let x = t.param(&x);
                let _ = &x * &c;
                x
            });
            assert_eq!(grads.of(&x).item(), 1.0);
        });
    }

    #[test]
    #[should_panic(expected = "the result of a recording comes from another tape")]
    fn a_result_of_another_tape_is_refused() {
        let x = param(3.0);
        // Only a tape that is never dropped can lend a handle for any lifetime.
        let other: &'static Tape<f64> = Box::leak(Box::new(Tape::new()));
        let y = other.param(&x).exp();
        Tape::new().grad(|_| y.clone());
    }

    #[test]
    fn evaluation_records_nothing() {
        let x = param(2.0);
        let y = Tape::eval(|t| {
            let y = t.param(&x).exp() * 3.0;
            assert!(!y.is_tracked() && !t.is_recording());
            assert_eq!(t.records.borrow().len(), 0);
            y.value().item()
        });
        assert_eq!(y, 3.0 * 2.0_f64.exp());
    }

    #[test]
    fn ops_on_constants_make_no_backward() {
        let x = param(2.0);
        Tape::new().grad(|t| {
            let c = t.constant(Tensor::scalar(1.0));
            let _ = c.exp() + &c;
            assert_eq!(t.records.borrow().len(), 0);
            t.param(&x)
        });
    }

    #[test]
    fn vjp_weighs_the_outputs() {
        let x = Param::new("x", Tensor::new([2], vec![1.0, 2.0]));
        let dy = Tensor::new([2], vec![10.0, -1.0]);
        let (y, grads) = Tape::new().vjp(&dy, |t| t.param(&x) * 3.0);
        assert_eq!(y.data(), [3.0, 6.0]);
        assert_eq!(grads.of(&x).data(), [30.0, -3.0]);
    }

    #[test]
    #[should_panic(expected = "grad needs a loss with one element, but it has shape [2]")]
    fn a_loss_is_a_scalar() {
        let x = Param::new("x", Tensor::<f32>::zeros([2]));
        Tape::new().grad(|t| t.param(&x));
    }

    #[test]
    #[should_panic(expected = "the result has shape [2], but the upstream gradient has shape [3]")]
    fn an_upstream_gradient_has_the_shape_of_the_result() {
        let x = Param::new("x", Tensor::<f32>::zeros([2]));
        Tape::new().vjp(&Tensor::zeros([3]), |t| t.param(&x));
    }

    struct WrongShape;

    impl Backward<f64> for WrongShape {
        fn name(&self) -> &'static str {
            "wrong_shape"
        }
        fn backward(self: Box<Self>, _: Tensor<f64>, dx: &mut InputGrads<'_, f64>) {
            dx.add(0, Tensor::zeros([3]));
        }
        fn saved(&self) -> Vec<&Tensor<f64>> {
            Vec::new()
        }
    }

    #[test]
    #[should_panic(
        expected = "wrong_shape: the gradient of input 0 has shape [3], but the input has shape []"
    )]
    fn a_gradient_of_the_wrong_shape_is_refused() {
        let x = param(1.0);
        Tape::new().grad(|t| {
            let x = t.param(&x);
            t.record(&[&x], x.value().clone(), || WrongShape)
        });
    }

    /// Fails unless it is asked for the gradient of its first input only.
    struct OnlyTheFirst;

    impl Backward<f64> for OnlyTheFirst {
        fn name(&self) -> &'static str {
            "only_the_first"
        }
        fn backward(self: Box<Self>, dy: Tensor<f64>, dx: &mut InputGrads<'_, f64>) {
            assert_eq!([dx.needs(0), dx.needs(1)], [true, false]);
            dx.add(0, dy);
        }
        fn saved(&self) -> Vec<&Tensor<f64>> {
            Vec::new()
        }
    }

    #[test]
    fn an_op_knows_which_gradients_are_wanted() {
        let x = param(1.0);
        Tape::new().grad(|t| {
            let (x, c) = (t.param(&x), t.constant(Tensor::scalar(2.0)));
            t.record(&[&x, &c], x.value().clone(), || OnlyTheFirst)
        });
    }

    /// An op whose backward pass gives or excuses the inputs it is told to.
    struct Partly {
        given: &'static [usize],
        none: &'static [usize],
    }

    impl Backward<f64> for Partly {
        fn name(&self) -> &'static str {
            "partly"
        }
        fn backward(self: Box<Self>, dy: Tensor<f64>, dx: &mut InputGrads<'_, f64>) {
            for &i in self.given {
                match i {
                    0 => dx.add(i, dy.clone()),
                    1 => dx.add_broadcast(i, dy.clone()),
                    _ => dx.write(i, |_, out| out.fill(1.0)),
                }
            }
            for &i in self.none {
                dx.none(i);
            }
        }
        fn saved(&self) -> Vec<&Tensor<f64>> {
            Vec::new()
        }
    }

    /// The gradients of five inputs, the last of them a constant, each also used elsewhere.
    fn partly(inputs: usize, given: &'static [usize], none: &'static [usize]) -> Vec<f64> {
        let params: Vec<_> = (0..4).map(|i| param(f64::from(i))).collect();
        let (_, _, grads) = Tape::new().grad_with(|t| {
            let mut x: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            x.push(t.constant(Tensor::scalar(0.0)));
            let (named, all) = (x.iter().rev().take(inputs), x.iter().skip(1));
            let sum = all.fold(x[0].clone(), |sum, x| sum + x);
            let named: Vec<_> = named.rev().collect();
            (
                sum + t.record(&named, Tensor::scalar(0.0), || Partly { given, none }),
                (),
            )
        });
        params.iter().map(|p| grads.of(p).item()).collect()
    }

    #[test]
    fn a_backward_pass_gives_each_input_a_gradient_or_says_that_there_is_none() {
        assert_eq!(partly(5, &[0, 1, 2, 3], &[]), [2.0; 4]);
        assert_eq!(partly(5, &[0, 1], &[2, 3]), [2.0, 2.0, 1.0, 1.0]);
        assert_eq!(partly(3, &[0], &[1]), [1.0, 1.0, 2.0, 1.0]);
    }

    #[test]
    #[should_panic(expected = "partly: its backward pass left out input 2, which needs a gradient")]
    fn an_input_that_is_left_out_is_named() {
        partly(5, &[0, 1, 3], &[]);
    }

    #[test]
    #[should_panic(expected = "partly: its backward pass left out input 0, which needs a gradient")]
    fn an_input_that_is_left_out_is_named_when_there_are_few() {
        partly(3, &[1], &[]);
    }

    #[test]
    #[should_panic(expected = "partly: its backward pass left out input 2, which needs a gradient")]
    fn an_input_that_is_left_out_is_named_when_there_are_many() {
        let x = param(1.0);
        Tape::new().grad(|t| {
            let (x, given) = (t.param(&x), &[99, 1, 0]);
            t.record(&[&x; 100], Tensor::scalar(0.0), || Partly {
                given,
                none: &[],
            })
        });
    }

    #[test]
    #[should_panic(expected = "partly: there is no input 3; it was recorded with 3")]
    fn an_input_that_is_not_there_is_named() {
        partly(3, &[0, 1, 3], &[]);
    }

    #[test]
    fn saved_values_are_freed_as_the_sweep_passes() {
        // exp saves its output. After the recording is gone nobody else holds it, so
        // the parameter's own buffer can be written in place.
        let mut x = param(1.0);
        let before = x.value().address();
        Tape::new().grad(|t| t.param(&x).exp());
        x.value_mut().data_mut()[0] = 2.0;
        assert_eq!(x.value().address(), before);
    }
}
