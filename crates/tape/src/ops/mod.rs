//! The ops: one file each, with formula, derivative, kernel and tests. The list gives y, and
//! after it what the backward pass adds to the gradients of the inputs.

/// a + b; da = dy, db = dy.
pub mod add;
mod along;
/// mean of each window; dx = Σ dy / (kh·kw) over the windows.
pub mod avg_pool2d;
/// x, repeated; dx = Σ dy over the repeats.
pub mod broadcast_to;
mod cases;
/// `[x₀, x₁, …]`; also stack; dxᵢ = the part of dy that xᵢ filled.
pub mod concat;
/// W · im2col(X) + b; dW = Σ dY · im2col(X)ᵀ, db = Σ dY, dX = col2im(Wᵀ dY).
pub mod conv2d;
/// mean of `−ln softmax(x)[c]`; dx = (softmax(x) − onehot(c)) · dy / N.
pub mod cross_entropy;
/// a / b; da = dy / b, db = −dy · y / b.
pub mod div;
/// x · m, m random; dx = dy · m.
pub mod dropout;
mod elementwise;
/// eˣ; dx = dy · y.
pub mod exp;
/// x Φ(x); dx = dy · (Φ(x) + x φ(x)).
pub mod gelu;
/// `x[i₀], x[i₁], …`; also embedding; `dx[i]` = Σ dyₖ over the k with iₖ = i.
pub mod index_select;
/// ln x; dx = dy / x.
pub mod ln;
/// x − ln Σ eˣ; dx = dy − eʸ Σ dy.
pub mod log_softmax;
/// v where masked, else x; dx = 0 where masked, else dy.
pub mod masked_fill;
/// A B; dA = dY Bᵀ, dB = Aᵀ dY.
pub mod matmul;
/// max x; dx = dy / k at the k largest, else 0.
pub mod max;
/// max of each window; dx = dy at the largest, else 0.
pub mod max_pool2d;
/// (1/M) Σ x; dx = dy / M, repeated.
pub mod mean;
/// (1/M) Σ (a − b)²; da = 2 (a − b) · dy / M, db = −da.
pub mod mse;
/// a · b; da = dy · b, db = dy · a.
pub mod mul;
/// −x; dx = −dy.
pub mod neg;
/// x, axes in another order; dx = dy, axes put back.
pub mod permute;
mod pool;
/// xⁿ; dx = dy · n xⁿ⁻¹.
pub mod powi;
/// max(x, 0); dx = dy where y > 0, else 0.
pub mod relu;
/// x, another shape; dx = dy, the old shape.
pub mod reshape;
/// 1 / (1 + e⁻ˣ); dx = dy · y (1 − y).
pub mod sigmoid;
/// `x[a..b]`; `dx[a..b]` = dy, else 0.
pub mod slice;
/// eˣ / Σ eˣ; dx = y (dy − Σ dy y).
pub mod softmax;
/// √x; dx = dy / 2y.
pub mod sqrt;
/// x; dx = nothing.
pub mod stop_gradient;
/// a − b; da = dy, db = −dy.
pub mod sub;
/// Σ x; dx = dy, repeated.
pub mod sum;
/// tanh x; dx = dy · (1 − y²).
pub mod tanh;
pub mod window;

#[cfg(debug_assertions)]
#[doc(hidden)]
pub use cases::COMPILED;
pub use cases::{Apply, Case, cases};

use crate::{Axes, Shape};

/// `shape` without the axes in `set`.
fn without(shape: &Shape, set: Axes) -> Shape {
    let kept: Vec<usize> = (0..shape.len())
        .filter(|&axis| !set.contains(axis))
        .map(|axis| shape[axis])
        .collect();
    Shape::new(&kept)
}

/// Makes a binary op out of a function on two handles, for every way to write it:
/// handles by value or reference, and a plain number on either side.
macro_rules! operator {
    ($Trait:ident, $method:ident) => {
        impl<'t, T: crate::Real> std::ops::$Trait<&crate::Var<'t, T>> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(self, other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<crate::Var<'t, T>> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(self, &other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<&crate::Var<'t, T>> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(&self, other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<crate::Var<'t, T>> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(&self, &other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<T> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            fn $method(self, number: T) -> crate::Var<'t, T> {
                $method(self, &self.tape().constant(crate::Tensor::scalar(number)))
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<T> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            fn $method(self, number: T) -> crate::Var<'t, T> {
                $method(&self, &self.tape().constant(crate::Tensor::scalar(number)))
            }
        }
        super::operator!($Trait, $method, f32);
        super::operator!($Trait, $method, f64);
    };
    // A number on the left. Rust has an operator of `f64` and a type of ours, but none of
    // every `T`.
    ($Trait:ident, $method:ident, $number:ty) => {
        impl<'t> std::ops::$Trait<&crate::Var<'t, $number>> for $number {
            type Output = crate::Var<'t, $number>;
            fn $method(self, other: &crate::Var<'t, $number>) -> crate::Var<'t, $number> {
                $method(&other.tape().constant(crate::Tensor::scalar(self)), other)
            }
        }
        impl<'t> std::ops::$Trait<crate::Var<'t, $number>> for $number {
            type Output = crate::Var<'t, $number>;
            fn $method(self, other: crate::Var<'t, $number>) -> crate::Var<'t, $number> {
                $method(&other.tape().constant(crate::Tensor::scalar(self)), &other)
            }
        }
    };
}
pub(crate) use operator;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use crate::backward::Kind;
    use crate::{Param, Slide, Tape, Tensor, Var};

    type Mistake<'a> = &'a dyn Fn(&Tape<f64>);
    type Op<'a> = &'a dyn for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>;

    /// The ops that `op` records on two inputs of shape `[2, 3]`, with the elements that
    /// each one saves.
    fn recorded(op: Op<'_>) -> Vec<(&'static str, usize)> {
        let params = [1.0, 2.0].map(|v| Param::new("x", Tensor::full([2, 3], v)));
        let (_, names, _) = Tape::new().vjp_with(&Tensor::ones([2, 3]), |t| {
            let x = params.each_ref().map(|p| t.param(p));
            op(&x);
            let records = t.records.borrow();
            let names = records.iter().filter_map(|record| match &record.kind {
                Kind::Leaf { .. } => None,
                Kind::Op(backward) => {
                    let saved = backward.saved().into_iter().map(Tensor::len).sum();
                    Some((backward.name(), saved))
                }
            });
            (x[0].clone(), names.collect())
        });
        names
    }

    #[test]
    fn a_number_may_stand_on_either_side() {
        let x = Param::new("x", Tensor::new([2], vec![2.0_f64, 5.0]));
        let (y, grads) = Tape::new().vjp(&Tensor::ones([2]), |t| {
            let x = t.param(&x);
            1.0 - &x + 10.0 / &x + 3.0 * x.clone() + (2.0 + x)
        });
        assert_eq!(
            y.data(),
            [1.0 - 2.0 + 5.0 + 6.0 + 4.0, 1.0 - 5.0 + 2.0 + 15.0 + 7.0]
        );
        assert_eq!(grads.of(&x).data(), [3.0 - 2.5, 3.0 - 0.4]);
    }

    #[test]
    fn every_op_records_its_name_and_what_it_saves() {
        let all: &[(&[(&str, usize)], Op<'_>)] = &[
            (&[("add", 0)], &|x| &x[0] + &x[1]),
            (&[("sub", 0)], &|x| &x[0] - &x[1]),
            (&[("mul", 12)], &|x| &x[0] * &x[1]),
            (&[("div", 12)], &|x| &x[0] / &x[1]),
            (&[("neg", 0)], &|x| -&x[0]),
            (&[("exp", 6)], &|x| x[0].exp()),
            (&[("ln", 6)], &|x| x[0].ln()),
            (&[("sqrt", 6)], &|x| x[0].sqrt()),
            (&[("powi", 6)], &|x| x[0].powi(2)),
            (&[("powi", 0)], &|x| x[0].powi(0)),
            (&[("tanh", 6)], &|x| x[0].tanh()),
            (&[("sigmoid", 6)], &|x| x[0].sigmoid()),
            (&[("relu", 6)], &|x| x[0].relu()),
            (&[("gelu", 6)], &|x| x[0].gelu()),
            (&[("sum", 0)], &|x| x[0].sum(&[0])),
            (&[("mean", 0)], &|x| x[0].mean(&[0])),
            (&[("max", 9)], &|x| x[0].max(&[0])),
            (&[("reshape", 0)], &|x| x[0].reshape([6])),
            (&[("permute", 0)], &|x| x[0].transpose(0, 1)),
            (&[("slice", 0)], &|x| x[0].slice(0, 0..1)),
            (&[("concat", 0)], &|x| Var::concat(x, 0)),
            (&[("stack", 0)], &|x| Var::stack(x, 0)),
            (&[("index_select", 0)], &|x| x[0].embedding(&[1, 1])),
            (&[("broadcast_to", 0)], &|x| x[0].broadcast_to([4, 2, 3])),
            (&[("masked_fill", 3)], &|x| {
                x[0].masked_fill(&Tensor::ones([3]), 0.0)
            }),
            (&[("permute", 0), ("matmul", 12)], &|x| {
                x[0].matmul(&x[1].transpose(0, 1))
            }),
            (&[("softmax", 6)], &|x| x[0].softmax(1)),
            (&[("permute", 0), ("softmax", 6), ("permute", 0)], &|x| {
                x[0].softmax(0)
            }),
            (&[("log_softmax", 6)], &|x| x[0].log_softmax(1)),
            (&[("cross_entropy", 6)], &|x| x[0].cross_entropy(&[0, 1])),
            (&[("mse", 6)], &|x| x[0].mse(&x[1])),
            (&[("dropout", 6)], &|x| {
                x[0].dropout(0.5, &mut StdRng::seed_from_u64(1))
            }),
            (&[], &|x| x[0].dropout(0.0, &mut StdRng::seed_from_u64(1))),
            (&[], &|x| x[0].stop_gradient().exp()),
            (&[("reshape", 0), ("conv2d", 4)], &|x| {
                let w = x[0].tape().constant(Tensor::ones([1, 1, 2, 2]));
                x[0].reshape([1, 1, 2, 3]).conv2d(&w, None, Slide::by(1))
            }),
            (&[("reshape", 0), ("max_pool2d", 8)], &|x| {
                x[0].reshape([1, 1, 2, 3]).max_pool2d(2, Slide::by(1))
            }),
            (&[("reshape", 0), ("avg_pool2d", 0)], &|x| {
                x[0].reshape([1, 1, 2, 3]).avg_pool2d(2, Slide::by(1))
            }),
        ];
        for (expected, op) in all {
            assert_eq!(recorded(*op), *expected);
        }
    }

    #[test]
    fn every_op_has_its_row() {
        let lines: Vec<&str> = include_str!("mod.rs").lines().collect();
        let mut rows = 0;
        for (row, module) in lines.iter().zip(&lines[1..]) {
            let Some(module) = module.strip_prefix("pub mod ") else {
                continue;
            };
            // A value, and what goes back.
            let whole = row.starts_with("/// ") && (row.contains("; d") || row.contains("; `d"));
            assert!(whole || module == "window;", "no row above {module}");
            rows += usize::from(whole);
        }
        assert!(
            rows > 30,
            "only {rows} rows: are they written in another way?"
        );
    }

    /// Where each of the functions panics: file and line.
    fn places(mistakes: &[Mistake<'_>]) -> Vec<(String, u32)> {
        let places = Arc::new(Mutex::new(Vec::new()));
        let (seen, me) = (places.clone(), thread::current().id());
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if thread::current().id() == me {
                let place = info.location().map(|l| (l.file().to_owned(), l.line()));
                seen.lock().unwrap().extend(place);
            }
        }));
        for mistake in mistakes {
            let result = catch_unwind(AssertUnwindSafe(|| Tape::eval(mistake)));
            assert!(result.is_err(), "a mistake went unseen after {places:?}");
        }
        set_hook(hook);
        places.lock().unwrap().clone()
    }

    /// The only test that may set the panic hook, which is global.
    #[test]
    fn a_mistake_is_reported_at_the_callers_line() {
        fn x(t: &Tape<f64>, shape: impl Into<crate::Shape>) -> Var<'_, f64> {
            t.constant(Tensor::ones(shape))
        }
        let first = line!() + 2;
        let mistakes: [Mistake<'_>; 30] = [
            &|t| drop(x(t, [2]) + x(t, [3])),
            &|t| drop(&x(t, [2]) - &x(t, [3])),
            &|t| drop(x(t, [2]) * &x(t, [3])),
            &|t| drop(&x(t, [2]) / x(t, [3])),
            &|t| drop(x(t, [2]).matmul(&x(t, [3]))),
            &|t| drop(x(t, [2]).sum(&[1])),
            &|t| drop(x(t, [2]).sum_keep(&[1])),
            &|t| drop(x(t, [2]).mean(&[1])),
            &|t| drop(x(t, [2]).mean_keep(&[1])),
            &|t| drop(x(t, [2]).max(&[1])),
            &|t| drop(x(t, [2]).max_keep(&[1])),
            &|t| drop(x(t, [0]).max_all()),
            &|t| drop(x(t, [2]).reshape([3])),
            &|t| drop(x(t, [2]).permute(&[])),
            &|t| drop(x(t, [2]).transpose(0, 1)),
            &|t| drop(x(t, [2]).slice(0, 1..3)),
            &|t| drop(x(t, [2]).select(0, 2)),
            &|t| drop(Var::concat(&[x(t, [2]), x(t, [2])], 1)),
            &|t| drop(Var::stack(&[x(t, [2]), x(t, [3])], 0)),
            &|t| drop(x(t, [2]).index_select(0, &[2])),
            &|t| drop(x(t, [2, 2]).embedding(&[2])),
            &|t| drop(x(t, [2]).broadcast_to([3])),
            &|t| drop(x(t, [2]).masked_fill(&Tensor::ones([3]), 0.0)),
            &|t| drop(x(t, [2]).softmax(1)),
            &|t| drop(x(t, [2]).log_softmax(1)),
            &|t| drop(x(t, [2, 2]).cross_entropy(&[0, 2])),
            &|t| drop(x(t, [2]).mse(&x(t, [3]))),
            &|t| drop(x(t, [1, 1, 2, 2]).conv2d(&x(t, [1, 1, 3, 3]), None, Slide::by(1))),
            &|t| drop(x(t, [1, 1, 2, 2]).max_pool2d(3, Slide::by(1))),
            &|t| drop(x(t, [1, 1, 2, 2]).avg_pool2d(3, Slide::by(1))),
        ];
        for (i, (file, line)) in places(&mistakes).into_iter().enumerate() {
            assert!(file.ends_with("ops/mod.rs"), "{file}:{line}");
            assert_eq!(line, first + i as u32);
        }
    }
}
