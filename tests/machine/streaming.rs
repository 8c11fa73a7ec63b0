//! Norms of so large an input that their results are written past the caches: every bit is as it
//! is without that.
//!
//! It sets the number of threads: with one, a result of some MiB is large; with many, the same
//! result is small, and is shared out, too. No test beside it may depend on that number.

use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::streaming::Stores;
use tape::{Param, Tape, Tensor, Var, parallel};

type Function = Box<dyn for<'t> Fn(&Var<'t, f32>) -> Var<'t, f32>>;

/// The output, and the gradient with respect to x, which is written beside the upstream gradient,
/// since that is held here.
fn results(f: &Function, x: &Tensor<f32>, dy: &Tensor<f32>) -> [Vec<u32>; 2] {
    let x = Param::new("x", x.clone());
    let (y, grads) = Tape::new().vjp(dy, |t| f(&t.param(&x)));
    [y, grads.of(&x)].map(|a| a.data().iter().map(|v| v.to_bits()).collect())
}

fn batch_norm(channels: usize, frozen: bool) -> Function {
    Box::new(move |x| {
        let mut norm = BatchNorm::new(channels);
        if frozen { norm.eval(x) } else { norm.train(x) }
    })
}

#[test]
fn no_bit_depends_on_how_a_result_is_stored() {
    let cases: [(&str, &[usize], Function); 8] = [
        (
            "layer norm",
            &[5500, 768],
            Box::new(|x| LayerNorm::new([768]).forward(x)),
        ),
        (
            "layer norm",
            &[130_001, 33],
            Box::new(|x| LayerNorm::new([33]).forward(x)),
        ),
        (
            "layer norm",
            &[42, 100_003],
            Box::new(|x| LayerNorm::new([100_003]).forward(x)),
        ),
        (
            "RMS norm",
            &[5500, 768],
            Box::new(|x| RmsNorm::new([768]).forward(x)),
        ),
        ("batch norm", &[21, 67, 57, 57], batch_norm(67, false)),
        ("batch norm", &[5501, 777], batch_norm(777, false)),
        ("frozen batch norm", &[21, 67, 57, 57], batch_norm(67, true)),
        ("frozen batch norm", &[5501, 777], batch_norm(777, true)),
    ];
    let mut rng = StdRng::seed_from_u64(7);
    for (name, shape, f) in &cases {
        let [x, dy] = [(); 2].map(|()| Tensor::<f32>::randn(*shape, &mut rng));
        let at = |threads| {
            parallel::set_threads(threads);
            (Stores::of::<f32>(x.len()), results(f, &x, &dy))
        };
        let [(few, streamed), (many, ordinary)] = [1, 64].map(at);
        assert_eq!(
            (few, many),
            (Stores::Streaming, Stores::Ordinary),
            "{name} {shape:?}"
        );
        for (array, (a, b)) in ["y", "dx"].iter().zip(streamed.iter().zip(&ordinary)) {
            let other = a.iter().zip(b).filter(|(a, b)| a != b).count();
            assert_eq!(
                other, 0,
                "{name} {shape:?}: {other} elements of {array} are others"
            );
        }
    }
}
