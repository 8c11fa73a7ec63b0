//! The tape: a list of backward records, and the one loop that runs them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::{Backward, Grads, InputGrads, Param, ParamId, Real, Shape, Tensor, Var};

// ANCHOR: node
/// The place of a record in its tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(u32);

impl NodeId {
    #[inline]
    fn new(index: usize) -> Self {
        NodeId(u32::try_from(index).expect("a tape holds at most 2^32 records"))
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
// ANCHOR_END: node

// ANCHOR: tape_record
/// One line of the tape.
pub(crate) struct Record<T: Real> {
    pub(crate) inputs: Inputs,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind<T>,
    /// Whether the caller wants to see the gradient that arrives here.
    pub(crate) watched: bool,
}

/// What a record is.
pub(crate) enum Kind<T: Real> {
    /// A parameter: gradients arrive and stay.
    Leaf { name: String },
    /// The result of an op: gradients arrive and are passed on.
    Op(Box<dyn Backward<T>>),
}
// ANCHOR_END: tape_record

// ANCHOR: inputs
/// The inputs of an op, `None` for one that depends on no parameter. Most ops have at
/// most three, which fit without an allocation.
pub(crate) enum Inputs {
    Few([Option<NodeId>; 3], u8),
    Many(Box<[Option<NodeId>]>),
}

impl Inputs {
    fn new<T: Real>(vars: &[&Var<'_, T>]) -> Self {
        let mut few = [None; 3];
        if vars.len() > few.len() {
            return Inputs::Many(vars.iter().map(|var| var.node).collect());
        }
        for (slot, var) in few.iter_mut().zip(vars) {
            *slot = var.node;
        }
        Inputs::Few(few, vars.len() as u8)
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Option<NodeId>] {
        match self {
            Inputs::Few(nodes, n) => &nodes[..usize::from(*n)],
            Inputs::Many(nodes) => nodes,
        }
    }
}
// ANCHOR_END: inputs

/// A recording of one forward computation.
///
/// [`Tape::grad`] records a computation, differentiates it and empties the tape, so one
/// tape serves a whole training run and its memory is reused. The handles it lends out
/// cannot outlive the recording: keeping one is a compile error.
///
/// ```compile_fail
/// # use tape::{Param, Tape, Tensor};
/// let x = Param::new("x", Tensor::scalar(1.0_f32));
/// let mut stale = None;
/// Tape::new().grad(|t| {
///     let y = t.param(&x).exp();
///     stale = Some(y.clone()); // the handle would survive its tape
///     (y, ())
/// });
/// ```
///
/// First derivatives only; one backward pass per recording.
// ANCHOR: tape
pub struct Tape<T: Real> {
    pub(crate) records: RefCell<Vec<Record<T>>>,
    params: RefCell<HashMap<ParamId, NodeId>>,
    recording: Cell<bool>,
    /// Slots for gradients, kept between recordings for their memory.
    slots: Vec<Option<Tensor<T>>>,
}
// ANCHOR_END: tape

impl<T: Real> Tape<T> {
    // ANCHOR: new
    /// An empty tape.
    pub fn new() -> Self {
        Tape {
            records: RefCell::default(),
            params: RefCell::default(),
            recording: Cell::new(true),
            slots: Vec::new(),
        }
    }
    // ANCHOR_END: new

    // ANCHOR: grad
    /// Runs `f` and returns the loss it computed, whatever else it returned, and the
    /// gradient of the loss with respect to every parameter it used.
    ///
    /// # Panics
    /// If the loss has more than one element; use [`Tape::vjp`] then.
    #[track_caller]
    pub fn grad<A>(
        &mut self,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (T, A, Grads<T>) {
        let (node, loss, aux) = self.run(f);
        assert_eq!(
            loss.len(),
            1,
            "grad needs a loss with one element, but it has shape {}; reduce it with \
             sum or mean, or give an upstream gradient to vjp",
            loss.shape()
        );
        let value = loss.item();
        let grads = self.sweep(node, Tensor::ones(loss.shape()));
        (value, aux, grads)
    }
    // ANCHOR_END: grad

    // ANCHOR: vjp
    /// Like [`Tape::grad`] for a result of any shape: returns the result, and the
    /// gradient of `Σ dy·y` with respect to every parameter. `dy` is the upstream
    /// gradient, of the shape of the result.
    ///
    /// # Panics
    /// If `dy` has another shape than the result.
    #[track_caller]
    pub fn vjp<A>(
        &mut self,
        dy: &Tensor<T>,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (Tensor<T>, A, Grads<T>) {
        let (node, y, aux) = self.run(f);
        assert_eq!(
            y.shape(),
            dy.shape(),
            "vjp: the result has shape {}, but the upstream gradient has shape {}",
            y.shape(),
            dy.shape()
        );
        let grads = self.sweep(node, dy.clone());
        (y, aux, grads)
    }

    /// Runs `f` without recording anything: parameters are constants, ops save nothing,
    /// and every intermediate value is freed with its handle.
    pub fn eval<R>(f: impl FnOnce(&Tape<T>) -> R) -> R {
        let tape = Tape::new();
        tape.recording.set(false);
        f(&tape)
    }

    /// Whether ops on this tape are recorded; false inside [`Tape::eval`].
    pub fn is_recording(&self) -> bool {
        self.recording.get()
    }

    fn run<A>(
        &mut self,
        f: impl for<'t> FnOnce(&'t Tape<T>) -> (Var<'t, T>, A),
    ) -> (Option<NodeId>, Tensor<T>, A) {
        // A closure that panicked may have left records behind.
        self.clear();
        let (result, aux) = f(self);
        (result.node, result.value, aux)
    }

    fn clear(&mut self) {
        self.records.get_mut().clear();
        self.params.get_mut().clear();
        self.slots.clear();
    }
    // ANCHOR_END: vjp

    // ANCHOR: param
    /// The handle of a parameter. Asked for twice, it is the same node.
    pub fn param(&self, param: &Param<T>) -> Var<'_, T> {
        let value = param.value().clone();
        if !self.is_recording() {
            return self.constant(value);
        }
        let node = *self
            .params
            .borrow_mut()
            .entry(param.id())
            .or_insert_with(|| {
                let kind = Kind::Leaf {
                    name: param.name().to_owned(),
                };
                self.push(Inputs::Few([None; 3], 0), *value.shape(), kind)
            });
        Var {
            tape: self,
            node: Some(node),
            value,
        }
    }
    // ANCHOR_END: param

    // ANCHOR: constant
    /// A value that no gradient is wanted for.
    pub fn constant(&self, value: Tensor<T>) -> Var<'_, T> {
        Var {
            tape: self,
            node: None,
            value,
        }
    }
    // ANCHOR_END: constant

    // ANCHOR: record
    /// Records an op: its inputs, its value, and how to make its backward half.
    ///
    /// This is the only way to make a value that depends on others, and it demands a
    /// backward: no crate can add an op and forget its gradient. `backward` is called
    /// only when some input depends on a parameter, so an untracked op clones nothing.
    #[inline]
    pub fn record<'t, B: Backward<T> + 'static>(
        &'t self,
        inputs: &[&Var<'t, T>],
        value: Tensor<T>,
        backward: impl FnOnce() -> B,
    ) -> Var<'t, T> {
        if inputs.iter().all(|input| input.node.is_none()) {
            return self.constant(value);
        }
        let kind = Kind::Op(Box::new(backward()) as Box<dyn Backward<T>>);
        let node = self.push(Inputs::new(inputs), *value.shape(), kind);
        Var {
            tape: self,
            node: Some(node),
            value,
        }
    }
    // ANCHOR_END: record

    // ANCHOR: push
    #[inline]
    fn push(&self, inputs: Inputs, shape: Shape, kind: Kind<T>) -> NodeId {
        let mut records = self.records.borrow_mut();
        let node = NodeId::new(records.len());
        records.push(Record {
            inputs,
            shape,
            kind,
            watched: false,
        });
        node
    }
    // ANCHOR_END: push

    // ANCHOR: sweep
    /// The backward pass: one loop, last record first. Every record finds its upstream
    /// gradient complete, since all that used its value came later on the tape.
    fn sweep(&mut self, from: Option<NodeId>, dy: Tensor<T>) -> Grads<T> {
        let mut watched = Vec::new();
        let records = self.records.get_mut();
        self.slots.resize(records.len(), None);
        if let Some(node) = from {
            self.slots[node.index()] = Some(dy);
        }
        while let Some(record) = records.pop() {
            let index = records.len();
            if record.watched {
                watched.push((NodeId::new(index), self.slots[index].clone()));
            }
            // A leaf keeps its gradient; an op consumes it and passes it on.
            if let Kind::Op(backward) = record.kind
                && let Some(dy) = self.slots[index].take()
            {
                let mut dx = InputGrads {
                    op: backward.name(),
                    inputs: record.inputs.as_slice(),
                    records,
                    grads: &mut self.slots,
                };
                backward.backward(dy, &mut dx);
            }
        }
        let mut params = HashMap::with_capacity(self.params.get_mut().len());
        for (param, node) in self.params.get_mut().drain() {
            if let Some(grad) = self.slots[node.index()].take() {
                params.insert(param, grad);
            }
        }
        self.slots.clear();
        Grads { params, watched }
    }
    // ANCHOR_END: sweep
}

// ANCHOR: default
impl<T: Real> Default for Tape<T> {
    fn default() -> Self {
        Tape::new()
    }
}
// ANCHOR_END: default

#[cfg(test)]
mod tests {
    use super::*;

    fn param(value: f64) -> Param<f64> {
        Param::new("x", Tensor::scalar(value))
    }

    #[test]
    fn a_value_used_twice_gets_both_gradients() {
        let x = param(3.0);
        let (_, _, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            (&x * &x, ())
        });
        assert_eq!(grads.of(&x).item(), 6.0);
        let (_, _, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            (&x + &x, ())
        });
        assert_eq!(grads.of(&x).item(), 2.0);
    }

    #[test]
    fn a_parameter_asked_for_twice_is_one_node() {
        let x = param(3.0);
        let (_, _, grads) = Tape::new().grad(|t| (t.param(&x) * t.param(&x), ()));
        assert_eq!(grads.of(&x).item(), 6.0);
    }

    #[test]
    fn a_diamond_adds_its_two_routes() {
        // y = exp(x) · tanh(x): both routes from x to y count.
        let x = param(0.3);
        let (_, _, grads) = Tape::new().grad(|t| {
            let x = t.param(&x);
            (x.exp() * x.tanh(), ())
        });
        let (e, h) = (0.3_f64.exp(), 0.3_f64.tanh());
        assert!((grads.of(&x).item() - (e * h + e * (1.0 - h * h))).abs() < 1e-15);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_ops_needs_no_stack() {
        let x = param(1.0);
        let run = || {
            let (value, _, grads) = Tape::new().grad(|t| {
                let mut y = t.param(&x);
                for _ in 0..100_000 {
                    y = y + 1.0;
                }
                (y, ())
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
            tape.grad::<()>(|t| {
                let mut y = t.param(&x);
                for _ in 0..100_000 {
                    y = y.exp() * 0.0;
                }
                panic!("in the middle of a recording");
            })
        }));
        assert!(result.is_err());
        // The tape is usable again, and nothing of the old recording is left.
        let (_, _, grads) = tape.grad(|t| {
            assert_eq!(t.records.borrow().len(), 0);
            (t.param(&x) * 2.0, ())
        });
        assert_eq!(grads.of(&x).item(), 2.0);
    }

    #[test]
    fn a_parameter_that_was_not_reached_has_no_gradient() {
        let (x, unused, off_path) = (param(1.0), param(2.0), param(3.0));
        let (_, _, grads) = Tape::new().grad(|t| {
            let _ = t.param(&off_path).exp();
            (t.param(&x) * 2.0, ())
        });
        assert!(grads.get(&unused).is_none() && grads.get(&off_path).is_none());
        assert_eq!(grads.of(&off_path).item(), 0.0);
        assert_eq!(grads.get(&x).unwrap().item(), 2.0);
    }

    #[test]
    fn a_constant_loss_has_no_gradients() {
        let x = param(1.0);
        let (loss, _, grads) = Tape::new().grad(|t| (t.constant(Tensor::scalar(4.0)), ()));
        assert_eq!(loss, 4.0);
        assert!(grads.get(&x).is_none());
    }

    #[test]
    fn a_parameter_may_itself_be_the_loss() {
        let x = param(1.5);
        let (_, _, grads) = Tape::new().grad(|t| (t.param(&x), ()));
        assert_eq!(grads.of(&x).item(), 1.0);
    }

    #[test]
    fn a_watched_value_reports_its_gradient() {
        let x = param(3.0);
        let (_, (square, unreached), grads) = Tape::new().grad(|t| {
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
        let (_, watch, _) = Tape::new().grad(|t| {
            let y = t.param(&x).exp();
            let watch = y.watch();
            (y, watch)
        });
        let (_, _, grads) = Tape::new().grad(|t| (t.param(&x), ()));
        grads.at(watch);
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
            (t.param(&x), ())
        });
    }

    #[test]
    fn vjp_weighs_the_outputs() {
        let x = Param::new("x", Tensor::new([2], vec![1.0, 2.0]));
        let dy = Tensor::new([2], vec![10.0, -1.0]);
        let (y, _, grads) = Tape::new().vjp(&dy, |t| (t.param(&x) * 3.0, ()));
        assert_eq!(y.data(), [3.0, 6.0]);
        assert_eq!(grads.of(&x).data(), [30.0, -3.0]);
    }

    #[test]
    #[should_panic(expected = "grad needs a loss with one element, but it has shape [2]")]
    fn a_loss_is_a_scalar() {
        let x = Param::new("x", Tensor::<f32>::zeros([2]));
        Tape::new().grad(|t| (t.param(&x), ()));
    }

    #[test]
    #[should_panic(expected = "the result has shape [2], but the upstream gradient has shape [3]")]
    fn an_upstream_gradient_has_the_shape_of_the_result() {
        let x = Param::new("x", Tensor::<f32>::zeros([2]));
        Tape::new().vjp(&Tensor::zeros([3]), |t| (t.param(&x), ()));
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
            (t.record(&[&x], x.value().clone(), || WrongShape), ())
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
            (t.record(&[&x, &c], x.value().clone(), || OnlyTheFirst), ())
        });
    }

    #[test]
    fn saved_values_are_freed_as_the_sweep_passes() {
        // exp saves its output. After the recording is gone nobody else holds it, so
        // the parameter's own buffer can be written in place.
        let mut x = param(1.0);
        let before = x.value().address();
        Tape::new().grad(|t| (t.param(&x).exp(), ()));
        x.value_mut().data_mut()[0] = 2.0;
        assert_eq!(x.value().address(), before);
    }
}
