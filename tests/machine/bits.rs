//! Results that are the same to the last bit on every processor: of the ops and norms whose
//! order of additions the source fixes, in `f32`.
//!
//! What uses a matrix product is not here, for its library adds up in the order that suits the
//! machine; nor is what asks the C library for a logarithm, which chooses its instructions too.
//! Run with an emulator of an older processor, this also shows that nothing is compiled for the
//! machine that compiled it.

use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};
use nn::{Adam, Optimizer, Sgd};
use tape::{Grads, Param, Slide, Tape, Tensor, Var};

/// Numbers around 0.3, the same on every machine: sums of four uniform draws.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut draw = || (uniform() + uniform() + uniform() + uniform() - 2.0) * 1.7 + 0.3;
    std::iter::repeat_with(&mut draw).take(count).collect()
}

/// A number for the bits of some arrays (FNV-1a).
fn digest<'a>(arrays: impl IntoIterator<Item = &'a Tensor<f32>>) -> u64 {
    let bytes = arrays
        .into_iter()
        .flat_map(|array| array.data())
        .flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

type Function<'a> = &'a mut dyn for<'t> FnMut(&Var<'t, f32>) -> Var<'t, f32>;

/// The output of `f` at an input of this shape and its gradient, for an upstream gradient that is
/// drawn too; and the gradients of what is learned.
fn run(shape: &[usize], f: Function<'_>) -> ([Tensor<f32>; 2], Grads<f32>) {
    let count = shape.iter().product();
    let x = Param::new("x", Tensor::new(shape, numbers(count, 1)));
    let y = Tape::eval(|t| f(&t.constant(x.value().clone())).shape().to_vec());
    let dy = Tensor::new(&y[..], numbers(y.iter().product(), 2));
    let (y, grads) = Tape::new().vjp(&dy, |t| f(&t.param(&x)));
    ([y, grads.of(&x)], grads)
}

/// Gives each a value that is drawn.
fn draw(params: Vec<&mut Param<f32>>) {
    for (seed, param) in (3..).zip(params) {
        let values = numbers(param.value().len(), seed);
        param.set(Tensor::new(*param.value().shape(), values));
    }
}

/// What a layer gives, and the gradients of what it has learned.
fn of_layer(found: ([Tensor<f32>; 2], Grads<f32>), params: Vec<&Param<f32>>) -> u64 {
    let learned: Vec<_> = params.into_iter().map(|param| found.1.of(param)).collect();
    digest(found.0.iter().chain(&learned))
}

/// Gamma and beta of a Layer Norm after a few steps.
fn trained(mut optimizer: impl Optimizer<f32>) -> u64 {
    let mut norm = LayerNorm::new([100]);
    draw(norm.params_mut());
    for _ in 0..3 {
        let (_, grads) = run(&[70, 100], &mut |x| norm.forward(x));
        optimizer.step(&mut norm, &grads, 0.01);
    }
    let params: Vec<_> = norm
        .params_mut()
        .into_iter()
        .map(|p| p.value().clone())
        .collect();
    digest(&params)
}

#[test]
fn bits_are_the_same_on_every_processor() {
    let mut found: Vec<(String, u64)> = Vec::new();
    let ops: [(&str, Function<'_>); 14] = [
        ("exp", &mut |x| x.exp()),
        ("tanh", &mut |x| x.tanh()),
        ("sigmoid", &mut |x| x.sigmoid()),
        ("gelu", &mut |x| x.gelu()),
        ("sqrt", &mut |x| (x * x).sqrt()),
        ("div", &mut |x| 1.0_f32 / (x * x + 1.0)),
        ("softmax", &mut |x| x.softmax(1)),
        ("sum", &mut |x| x.sum(&[1])),
        ("sum over rows", &mut |x| x.sum(&[0])),
        ("mean", &mut |x| x.mean(&[0, 1])),
        ("mse", &mut |x| x.mse(&x.exp())),
        ("max", &mut |x| x.max(&[1])),
        ("max pool", &mut |x| {
            let (n, d) = (x.shape()[0], x.shape()[1]);
            x.reshape([1, 1, n, d])
                .max_pool2d(3, Slide::by(1).padded(1))
        }),
        ("average pool", &mut |x| {
            let (n, d) = (x.shape()[0], x.shape()[1]);
            x.reshape([1, 1, n, d]).avg_pool2d(2, Slide::by(2))
        }),
    ];
    for (name, f) in ops {
        for shape in [[3, 7], [70, 100]] {
            found.push((format!("{name} {shape:?}"), digest(&run(&shape, f).0)));
        }
    }
    for shape in [[3, 7], [70, 100], [5, 5000]] {
        let mut layer = LayerNorm::new([shape[1]]);
        draw(layer.params_mut());
        let results = run(&shape, &mut |x| layer.forward(x));
        found.push((
            format!("layer norm {shape:?}"),
            of_layer(results, layer.params()),
        ));
        let mut rms = RmsNorm::new([shape[1]]);
        draw(rms.params_mut());
        let results = run(&shape, &mut |x| rms.forward(x));
        found.push((
            format!("RMS norm {shape:?}"),
            of_layer(results, rms.params()),
        ));
    }
    for shape in [
        &[40, 70][..],
        &[6, 5, 3, 3],
        &[3, 4, 20, 20],
        &[2, 3, 70, 70],
    ] {
        let mut norm = BatchNorm::new(shape[1]);
        draw(norm.params_mut());
        let results = run(shape, &mut |x| norm.train(x));
        found.push((
            format!("batch norm {shape:?}"),
            of_layer(results, norm.params()),
        ));
        let results = run(shape, &mut |x| norm.eval(x));
        found.push((
            format!("frozen batch norm {shape:?}"),
            of_layer(results, norm.params()),
        ));
    }
    found.push(("SGD".to_owned(), trained(Sgd::new().momentum(0.9))));
    found.push(("Adam".to_owned(), trained(Adam::new())));
    let expected = include_str!("bits.txt");
    let found: String = (found.iter())
        .map(|(name, digest)| format!("{digest:016x} {name}\n"))
        .collect();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/machine/bits.txt"),
            &found,
        )
        .expect("written");
    } else {
        assert_eq!(
            found, expected,
            "other bits: UPDATE=1 writes them to tests/machine/bits.txt"
        );
    }
}
