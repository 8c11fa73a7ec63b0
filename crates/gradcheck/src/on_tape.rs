//! Checks of what is recorded on a [`Tape`].

use crate::check::Check;
use crate::point::normal;
use crate::report::Report;
use tape::{Param, Real, Shape, Tape, Tensor, Var};

/// A function of the tape that can be recorded in either precision.
///
/// A closure cannot be generic over its arithmetic, a method can.
pub trait TapeFunction {
    /// Records the function of `inputs`, in the order of [`Check::input`].
    fn record<'t, T: Real>(&self, inputs: &[Var<'t, T>]) -> Var<'t, T>;
}

impl Check {
    /// Checks the gradients that the tape computes for `f`, in `f64`.
    ///
    /// `f` receives one variable for each input of the check, and returns the output.
    ///
    /// ```
    /// use gradcheck::Check;
    /// let report = Check::new("product")
    ///     .input("a", &[2], [1.0, -2.0])
    ///     .input("b", &[2], [0.5, 3.0])
    ///     .run_tape(|inputs| &inputs[0] * &inputs[1]);
    /// report.assert_passes();
    /// ```
    ///
    /// # Panics
    /// When a chosen upstream has another length than the output.
    // ANCHOR: check
    #[track_caller]
    pub fn run_tape(&self, f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>) -> Report {
        let (shape, _) = evaluate::<f64>(self, &self.data(), &f);
        let check = self.clone().output_shape(&shape);
        check.run(
            |data| evaluate::<f64>(self, data, &f).1,
            |data, dy| gradients::<f64>(self, data, shape, dy, &f),
        )
    }

    /// Checks the gradients that the tape computes in `f32`.
    ///
    /// The numerical side stays in `f64`: in `f32` it would be too coarse to judge. The
    /// inputs and the upstream gradient are rounded to `f32` first, so both sides start
    /// from the same numbers; the rounding of the `f32` side is measured and allowed.
    ///
    /// # Panics
    /// When a chosen upstream has another length than the output.
    #[track_caller]
    pub fn run_tape_f32(&self, function: &impl TapeFunction) -> Report {
        let round = |v: &f64| f64::from(*v as f32);
        let mut check = self.clone();
        check.eps = f64::from(f32::EPSILON);
        for input in &mut check.inputs {
            input.data = input.data.iter().map(round).collect();
        }
        let wide = on_tape(|inputs| function.record::<f64>(inputs));
        let narrow = on_tape(|inputs| function.record::<f32>(inputs));
        let (shape, y) = evaluate::<f64>(self, &check.data(), &wide);
        let dy = check
            .dy
            .take()
            .unwrap_or_else(|| normal(y.len(), check.seed));
        let check = check
            .output_shape(&shape)
            .upstream(dy.iter().map(round).collect::<Vec<_>>());
        check.run(
            |data| evaluate::<f64>(self, data, &wide).1,
            |data, dy| gradients::<f32>(self, data, shape, dy, &narrow),
        )
    }

    fn data(&self) -> Vec<Vec<f64>> {
        self.inputs.iter().map(|i| i.data.clone()).collect()
    }

    fn params<T: Real>(&self, data: &[Vec<f64>]) -> Vec<Param<T>> {
        let param = |(data, input): (&Vec<f64>, &crate::Input)| {
            let tensor = Tensor::new(input.shape.as_slice(), data.clone());
            Param::new(input.name.clone(), tensor.cast::<T>())
        };
        data.iter().zip(&self.inputs).map(param).collect()
    }
    // ANCHOR_END: check
}

type OnTape<'a, T> = &'a dyn for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T>;

/// Tells the compiler that a closure serves recordings of any lifetime.
fn on_tape<T: Real, F: for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T>>(f: F) -> F {
    f
}

/// The output: its shape and its elements.
fn evaluate<T: Real>(check: &Check, data: &[Vec<f64>], f: OnTape<'_, T>) -> (Shape, Vec<f64>) {
    let params = check.params(data);
    Tape::eval(|t| {
        let inputs: Vec<_> = params.iter().map(|p| t.param(p)).collect();
        let y = f(&inputs);
        (*y.shape(), y.value().cast::<f64>().to_vec())
    })
}

/// One gradient for each input.
fn gradients<T: Real>(
    check: &Check,
    data: &[Vec<f64>],
    shape: Shape,
    dy: &[f64],
    f: OnTape<'_, T>,
) -> Vec<Vec<f64>> {
    let params = check.params(data);
    let dy = Tensor::new(shape, dy.to_vec()).cast::<T>();
    let (_, grads) = Tape::new().vjp(&dy, |t| {
        let inputs: Vec<_> = params.iter().map(|p| t.param(p)).collect();
        f(&inputs)
    });
    params
        .iter()
        .map(|p| grads.of(p).cast::<f64>().to_vec())
        .collect()
}
