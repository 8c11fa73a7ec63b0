//! A refusal points at the line that asked for the impossible, not into this crate.

use std::cell::RefCell;
use std::panic;

use layernorm::{LayerNorm, RmsNorm, composed, fused, layer_norm, rms, rms_norm, staged};
use tape::{Tape, Tensor, Var};

thread_local! {
    /// The file in which the last panic of this thread was raised; other tests run beside it.
    static FILE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `op` with an x of 4 features, and gamma and beta of 3.
fn on_the_tape(op: impl for<'t> Fn([Var<'t, f32>; 3]) -> Var<'t, f32>) {
    Tape::eval(|t| {
        op([&[2, 4][..], &[3], &[3]].map(|shape| t.constant(Tensor::ones(shape))));
    });
}

#[test]
fn a_refusal_points_at_the_caller() {
    let refused: [(&str, fn()); 14] = [
        ("LayerNorm::forward", || {
            on_the_tape(|[x, ..]| LayerNorm::new([3]).forward(&x))
        }),
        ("RmsNorm::forward", || {
            on_the_tape(|[x, ..]| RmsNorm::new([3]).forward(&x))
        }),
        ("layer_norm", || {
            on_the_tape(|[x, g, b]| layer_norm(&x, &g, &b, 1.0))
        }),
        ("rms_norm", || {
            on_the_tape(|[x, g, _]| rms_norm(&x, &g, 1.0))
        }),
        ("composed", || {
            on_the_tape(|[x, g, b]| composed::layer_norm(&x, &g, &b, 1.0))
        }),
        ("rms::composed", || {
            on_the_tape(|[x, g, _]| rms::composed::rms_norm(&x, &g, 1.0))
        }),
        ("LayerNorm::new", || drop(LayerNorm::<f32>::new([0]))),
        ("RmsNorm::new", || drop(RmsNorm::<f32>::new([0]))),
        ("LayerNorm::with_eps", || {
            drop(LayerNorm::<f32>::new([1]).with_eps(-1.0))
        }),
        ("RmsNorm::with_eps", || {
            drop(RmsNorm::<f32>::new([1]).with_eps(-1.0))
        }),
        ("staged", || {
            drop(staged::forward(&[1.0; 5], &[1.0; 3], &[0.0; 3], 1.0))
        }),
        ("rms::staged", || {
            drop(rms::staged::forward(&[1.0; 5], &[1.0; 3], 1.0))
        }),
        ("fused", || {
            let (y, stats) = (&mut [0.0; 5], &mut [[0.0; 3]]);
            fused::forward(&[1.0; 5], &[1.0], &[0.0], 1.0, y, stats)
        }),
        ("rms::fused", || {
            rms::fused::forward(&[1.0; 5], &[1.0], 1.0, &mut [0.0; 5], &mut [0.0])
        }),
    ];
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().expect("a panic has a place");
        FILE.set(place.file().to_owned());
        usual(info);
    }));
    let blamed = refused.map(|(name, call)| {
        let file = panic::catch_unwind(call).map_err(|_| FILE.take());
        (name, file)
    });
    let _ = panic::take_hook();
    for (name, file) in blamed {
        assert_eq!(file, Err(file!().to_owned()), "{name} blames another file");
    }
}
