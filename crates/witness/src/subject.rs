//! What is judged: a function, its backward pass, and a point.

use tape::{Param, Real, Tape, Tensor, Var};

/// One argument of a [`Subject`].
#[derive(Clone, Debug)]
pub struct Argument<T: Real> {
    /// What reports call it.
    pub name: String,
    /// Its value at the point.
    pub value: Tensor<T>,
    /// Whether the gradient may be zero: that of a bias, say, whose mean is subtracted again.
    pub may_be_zero: bool,
}

impl<T: Real> Argument<T> {
    /// An argument whose gradient is not zero.
    pub fn new(name: impl Into<String>, value: Tensor<T>) -> Self {
        Argument {
            name: name.into(),
            value,
            may_be_zero: false,
        }
    }
}

type Value<'a, T> = dyn Fn(&[Tensor<T>]) -> Tensor<T> + Send + Sync + 'a;
type Vjp<'a, T> = dyn Fn(&[Tensor<T>], &Tensor<T>) -> Vec<Tensor<T>> + Send + Sync + 'a;

/// A function of some arguments, and the backward pass that claims to be its own, in one
/// arithmetic.
///
/// The same function in another arithmetic is another subject: what is generic over [`Real`] is
/// made once for each that a judge needs.
pub struct Subject<'a, T: Real> {
    /// The arguments, at the point.
    pub arguments: Vec<Argument<T>>,
    value: Box<Value<'a, T>>,
    vjp: Box<Vjp<'a, T>>,
}

impl<'a, T: Real> Subject<'a, T> {
    /// A function and its backward pass: `vjp` receives the arguments and an upstream gradient,
    /// of the shape of the value, and returns one gradient for each argument.
    pub fn new(
        arguments: Vec<Argument<T>>,
        value: impl Fn(&[Tensor<T>]) -> Tensor<T> + Send + Sync + 'a,
        vjp: impl Fn(&[Tensor<T>], &Tensor<T>) -> Vec<Tensor<T>> + Send + Sync + 'a,
    ) -> Self {
        Subject {
            arguments,
            value: Box::new(value),
            vjp: Box::new(vjp),
        }
    }

    /// A function on the tape. Its arguments are called `x0`, `x1`, ….
    pub fn on_tape(
        inputs: Vec<Tensor<T>>,
        op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'a,
    ) -> Self {
        let op = std::sync::Arc::new(op);
        let arguments = inputs
            .into_iter()
            .enumerate()
            .map(|(i, value)| Argument::new(format!("x{i}"), value));
        let params = |inputs: &[Tensor<T>]| -> Vec<Param<T>> {
            inputs.iter().map(|x| Param::new("x", x.clone())).collect()
        };
        let forward = op.clone();
        Subject::new(
            arguments.collect(),
            move |inputs| {
                let params = params(inputs);
                Tape::eval(|t| {
                    let x: Vec<_> = params.iter().map(|p| t.param(p)).collect();
                    forward(&x).value().clone()
                })
            },
            move |inputs, dy| {
                let params = params(inputs);
                let (_, grads) = Tape::new().vjp(dy, |t| {
                    let x: Vec<_> = params.iter().map(|p| t.param(p)).collect();
                    op(&x)
                });
                params.iter().map(|p| grads.of(p).clone()).collect()
            },
        )
    }

    /// The values of the arguments.
    pub fn point(&self) -> Vec<Tensor<T>> {
        self.arguments.iter().map(|a| a.value.clone()).collect()
    }

    /// The function's value.
    pub fn value(&self, at: &[Tensor<T>]) -> Tensor<T> {
        (self.value)(at)
    }

    /// The gradient of each argument for an upstream gradient.
    ///
    /// # Panics
    /// If the backward pass returns another number of gradients than there are arguments, or one
    /// of another shape than its argument: what a judge does not look at would pass.
    #[track_caller]
    pub fn vjp(&self, at: &[Tensor<T>], dy: &Tensor<T>) -> Vec<Tensor<T>> {
        let grads = (self.vjp)(at, dy);
        assert_eq!(
            grads.len(),
            at.len(),
            "the backward pass returned {} gradients for {} arguments; return one for each, in \
             their order",
            grads.len(),
            at.len()
        );
        for (argument, (x, grad)) in self.arguments.iter().zip(at.iter().zip(&grads)) {
            assert_eq!(
                grad.shape(),
                x.shape(),
                "the gradient of {} has shape {}, but {0} has shape {}; return a gradient of the \
                 shape of its argument",
                argument.name,
                grad.shape(),
                x.shape()
            );
        }
        grads
    }
}

impl Subject<'_, f64> {
    /// The gradient against finite differences that know their own error, as `check` asks for
    /// them; it has no inputs yet.
    pub fn differences(&self, mut check: gradcheck::Check) -> gradcheck::Report {
        let shapes: Vec<_> = self.arguments.iter().map(|a| *a.value.shape()).collect();
        let tensors = |data: &[Vec<f64>]| -> Vec<Tensor<f64>> {
            let pairs = data.iter().zip(&shapes);
            pairs
                .map(|(data, shape)| Tensor::new(*shape, data.clone()))
                .collect()
        };
        for argument in &self.arguments {
            let (shape, data) = (argument.value.shape(), argument.value.to_vec());
            check = check.input(argument.name.clone(), shape, data);
        }
        for argument in self.arguments.iter().filter(|a| a.may_be_zero) {
            check = check.may_be_zero(&argument.name);
        }
        let shape = *self.value(&self.point()).shape();
        check.output_shape(&shape).run(
            |data| self.value(&tensors(data)).to_vec(),
            |data, dy| {
                let dy = Tensor::new(shape, dy.to_vec());
                let grads = self.vjp(&tensors(data), &dy);
                grads.iter().map(Tensor::to_vec).collect()
            },
        )
    }
}
