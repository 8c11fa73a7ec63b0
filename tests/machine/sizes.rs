//! Sizes whose product wraps. A debug build stops at the wrap by itself; a release build
//! does not, and what it then takes for a small array is written beyond its end. So these
//! tests belong into both: `cargo test --release -p tests --test machine sizes`.

use std::fmt::Debug;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use batchnorm::Layout;
use gradcheck::{Groups, Input};
use nn::{CnnSpec, Lengths, attention};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::broadcast::broadcast_shape;
use tape::gemm::{Matrix, gemm};
use tape::{Shape, Slide, Tape, Tensor, Var};

/// A number of half the bits of a `usize`, whose square wraps to 0.
const HALF: usize = 1 << (usize::BITS / 2);
/// The highest bit, of which twice is 0.
const TOP: usize = 1 << (usize::BITS - 1);

/// `f` is refused, and the message names the shape or the length at fault.
#[track_caller]
fn refused<R>(named: impl Debug, f: impl FnOnce() -> R) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        panic!("{named:?} was not refused");
    };
    let message = payload.downcast_ref::<String>().map_or("", |text| text);
    let named = format!("{named:?}");
    assert!(message.contains(&named), "{named} is not in {message:?}");
}

fn var<'t>(t: &'t Tape<f64>, shape: &[usize]) -> Var<'t, f64> {
    t.constant(Tensor::zeros(shape))
}

#[test]
fn a_tensor_has_as_many_elements_as_its_shape() {
    let number = Tensor::scalar(1.0);
    refused([HALF, HALF], || Tensor::<f32>::zeros([HALF, HALF]));
    refused([HALF, 2, HALF], || number.reshape([HALF, 2, HALF]));
    refused([TOP + 2, 2], || Tensor::new([TOP + 2, 2], vec![1.0; 4]));
    let rows = TOP / 2 + 1;
    refused([rows, 4], || Tensor::new([rows, 4], vec![1.0; 4]));
    // No element, but a stride that wraps.
    refused([0, HALF, HALF], || Tensor::<f64>::zeros([0, HALF, HALF]));
}

#[test]
fn a_matrix_lies_inside_its_slice() {
    let rows = TOP / 2 + 1;
    refused([rows, 4], || {
        let a = Matrix::new(&[1.0; 4], rows, 4);
        gemm(a, Matrix::new(&[1.0; 16], 4, 4), 0.0, &mut [0.0; 4]);
    });
    refused([HALF, HALF], || {
        let (a, b) = (Matrix::new(&[], HALF, 0), Matrix::new(&[], 0, HALF));
        gemm(a, b, 0.0_f32, &mut []);
    });
    let backwards = Range { start: 2, end: 1 };
    let column = Matrix::new(&[1.0; 4], 4, 1);
    refused(backwards.clone(), || column.rows(backwards));
}

#[test]
fn nothing_is_repeated_beyond_memory() {
    let (down, across) = (Shape::new(&[HALF, 1]), Shape::new(&[1, HALF]));
    refused([HALF, HALF], || broadcast_shape("add", &down, &across));
    Tape::eval(|t| {
        let x = var(t, &[1]);
        refused([HALF, HALF], || x.broadcast_to([HALF, HALF]));
    });
}

#[test]
fn joined_and_picked_tensors_fit() {
    Tape::eval(|t| {
        let x = var(t, &[TOP / 16, 0]);
        // The lengths of 32 add up to 0.
        refused([usize::MAX, 0], || Var::concat(&[&x; 32], 0));
        refused([16, TOP / 16, 0], || Var::stack(&[&x; 16], 0));
        let row = var(t, &[1, 0, TOP / 512]);
        refused([4096, 0, TOP / 512], || row.index_select(0, &[0; 4096]));
        refused(usize::MAX, || row.select(0, usize::MAX));
    });
}

#[test]
fn a_product_of_empty_matrices_fits() {
    Tape::eval(|t| {
        let (a, b) = (var(t, &[HALF, 0]), var(t, &[0, HALF]));
        refused([HALF, HALF], || a.matmul(&b));
    });
}

#[test]
fn a_padded_image_fits() {
    Tape::eval(|t| {
        let (x, w) = (var(t, &[1, 1, 4, 4]), var(t, &[1, 1, 3, 3]));
        for padding in [usize::MAX, TOP, TOP - 1] {
            refused([padding; 2], || {
                x.conv2d(&w, None, Slide::by(1).padded(padding))
            });
        }
        let side = HALF / 4 + 2;
        refused([1, 3, 3, side, side], || {
            x.conv2d(&w, None, Slide::by(1).padded(HALF / 8))
        });
        for padding in [TOP, usize::MAX] {
            refused([padding; 2], || {
                x.max_pool2d(2, Slide::by(1).padded(padding))
            });
            refused([padding; 2], || {
                x.avg_pool2d(2, Slide::by(1).padded(padding))
            });
        }
        refused([HALF; 2], || {
            x.avg_pool2d(HALF, Slide::by(1).padded(HALF / 2))
        });
    });
}

#[test]
fn a_batch_to_normalize_fits() {
    refused([HALF, 1, HALF], || Layout::of(&[HALF, 1, HALF]));
    let layout = Layout {
        examples: HALF,
        channels: 0,
        positions: HALF,
    };
    refused([HALF, 0, HALF], || layout.count());
    refused([HALF, HALF], || layout.values_per_channel());
    refused([HALF, 0, HALF], || {
        batchnorm::fused::forward::<f32>(&layout, &[], &[], &[], 1e-5, &mut [])
    });
}

#[test]
fn a_check_takes_in_arrays_that_fit() {
    refused([TOP, 2], || Input::new("x", &[TOP, 2], vec![]));
    refused([TOP + 2, 2], || {
        Input::new("x", &[TOP + 2, 2], vec![0.0; 4])
    });
    refused([HALF, HALF], || Groups::over(&[HALF, HALF], &[0, 1]));
}

#[test]
fn sequences_fit() {
    refused([4, TOP], || Lengths::new(&[1, TOP, 1, 1]));
    Tape::<f64>::eval(|t| {
        // Three times this is 2, and the width of a head would be 0.
        let heads = usize::MAX / 3 + 1;
        let qkv = var(t, &[1, 6]);
        refused(heads, || attention(&qkv, &Lengths::full(1, 1), heads, true));
        let lengths = Lengths::full(1, HALF);
        refused([1, HALF, HALF], || {
            attention(&var(t, &[HALF, 0]), &lengths, 1, true)
        });
    });
}

#[test]
fn a_network_is_as_large_as_its_parts() {
    let rng = &mut StdRng::seed_from_u64(1);
    let side = 2 * HALF + 2;
    refused([1, side, side], || {
        CnnSpec::new(&[1, 1], side, 10).build::<f32>(rng)
    });
}
