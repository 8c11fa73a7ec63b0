//! Cases large enough for several threads: the parts that kernels cut their work into, the
//! blocks that they sum over, and what a part of the work must skip of what came before.
//!
//! Inputs of this size are compared along random directions in place of every element.

use std::sync::OnceLock;

use nn::Lengths;
use nn::check::normal;
use tape::parallel::SERIAL_BELOW;
use tape::{Real, Slide, Tensor, Var};

use crate::case::Case;
use crate::norms::{affine, frozen, moments};

const GROUP: &str = "several threads";
const EPS: f64 = 1e-5;
const TOO_LARGE: &str = "is too large; the same code is judged at smaller sizes";

/// A case of `work` elements by the kernel's own count.
///
/// The output is weighted at random and summed over all axes but the first: each element
/// still has an upstream gradient of its own, and there are few outputs whose rounding
/// noise the check must measure.
fn case<T: Real>(
    source: &'static str,
    name: &'static str,
    work: usize,
    inputs: Vec<Tensor<T>>,
    op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'static,
) -> Case<T> {
    assert!(
        work >= SERIAL_BELOW,
        "{name}: {work} elements stay on one thread"
    );
    // Made where the case is run: another arithmetic only lists it.
    let weights = OnceLock::new();
    let case = Case::on_tape(GROUP, source, name, inputs, move |x| {
        let y = op(x);
        let shape = *y.shape();
        let weights: &Tensor<T> = weights.get_or_init(|| normal(shape, 6).cast());
        let weights = y.tape().constant(weights.clone());
        (y * weights).sum(&(1..shape.len()).collect::<Vec<_>>())
    });
    case.along_a_direction()
        .not_dual(TOO_LARGE)
        .without_pytorch(TOO_LARGE)
}

pub fn cases<T: Real>() -> Vec<Case<T>> {
    let normal = |shape: &[usize], seed| normal(shape, seed).cast::<T>();
    let lengths = [36, 9, 21, 40, 17, 33, 28, 38, 25, 30];
    let products: usize = lengths.iter().map(|t| t * t * 128).sum();
    vec![
        case(
            "tape/src/ops/softmax.rs",
            "softmax [517, 511]",
            517 * 511,
            vec![normal(&[517, 511], 1)],
            |x| x[0].softmax(1),
        ),
        case(
            "tape/src/ops/conv2d.rs",
            "conv2d, 21 images",
            21 * 36 * 351,
            vec![
                normal(&[21, 4, 13, 27], 1),
                normal(&[2, 4, 3, 3], 2),
                normal(&[2], 3),
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), Slide::by(1).padded(1)),
        ),
        case(
            "tape/src/ops/avg_pool2d.rs",
            "avg_pool2d [7, 3, 112, 112]",
            21 * 112 * 112,
            vec![normal(&[7, 3, 112, 112], 1)],
            |x| x[0].avg_pool2d(3, Slide::by(2).padded(1)),
        ),
        case(
            "batchnorm/src/op.rs",
            "batch norm [N=2017, C=130]",
            2017 * 130,
            affine(&[2017, 130], &[130]),
            |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], EPS).0,
        ),
        case(
            "batchnorm/src/op.rs",
            "batch norm [N=6, C=6, H=86, W=85]",
            36 * 86 * 85,
            affine(&[6, 6, 86, 85], &[6]),
            |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], EPS).0,
        ),
        case(
            "batchnorm/src/op.rs",
            "batch norm, frozen [N=2017, C=130]",
            2017 * 130,
            affine(&[2017, 130], &[130]),
            frozen(moments(130)),
        ),
        case(
            "batchnorm/src/op.rs",
            "batch norm, frozen [N=6, C=6, H=86, W=85]",
            36 * 86 * 85,
            affine(&[6, 6, 86, 85], &[6]),
            frozen(moments(6)),
        ),
        case(
            "layernorm/src/op.rs",
            "layer norm [N=2017, D=130]",
            2017 * 130,
            affine(&[2017, 130], &[130]),
            |x| layernorm::layer_norm(&x[0], &x[1], &x[2], EPS),
        ),
        case(
            "layernorm/src/rms/op.rs",
            "rms norm [N=2017, D=130]",
            2017 * 130,
            affine(&[2017, 130], &[130])[..2].to_vec(),
            |x| layernorm::rms_norm(&x[0], &x[1], EPS),
        ),
        case(
            "nn/src/attention.rs",
            "attention op, 10 sequences",
            products / 4,
            vec![normal(&[lengths.iter().sum(), 3 * 128], 1)],
            move |x| nn::attention(&x[0], &Lengths::new(&lengths), 4, true),
        ),
    ]
}
