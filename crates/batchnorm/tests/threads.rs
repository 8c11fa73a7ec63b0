//! The number of threads changes no bit of a result. Alone in its process, because the
//! number holds for the whole of it.

use batchnorm::{Layout, Moments, fused};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tensor, parallel};

/// All that the kernels compute, as bits.
fn results(shape: &[usize]) -> Vec<Vec<u64>> {
    let layout = Layout::of(shape);
    let mut rng = StdRng::seed_from_u64(1);
    let mut normal = |count| Tensor::<f32>::randn([count], &mut rng).to_vec();
    let (x, dy) = (normal(layout.count()), normal(layout.count()));
    let (gamma, beta) = (normal(layout.channels), normal(layout.channels));

    let mut y = vec![0.0; x.len()];
    let moments = fused::forward(&layout, &x, &gamma, &beta, 1e-5, &mut y);
    let mut dx = dy.clone();
    let batch = fused::Batch {
        layout: &layout,
        x: &x,
        gamma: &gamma,
        moments: &moments,
    };
    let parameters = fused::backward(batch, None, &mut dx);
    let alone = fused::parameter_gradients(&layout, &x, &moments, &dy);

    let fixed = Moments::new(moments.var.clone(), moments.rstd.clone(), 1e-5);
    let (mut frozen_y, mut frozen_dx) = (y.clone(), dy.clone());
    fused::forward_frozen(&layout, &x, &gamma, &beta, &fixed, &mut frozen_y);
    fused::backward_frozen(&layout, &gamma, &fixed, &dy, &mut frozen_dx);

    let narrow = [
        y,
        dx,
        parameters.dgamma,
        parameters.dbeta,
        alone.dgamma,
        alone.dbeta,
        frozen_y,
        frozen_dx,
    ];
    let narrow = narrow.map(|values| values.iter().map(|v| u64::from(v.to_bits())).collect());
    let wide = [moments.mean, moments.var, moments.rstd];
    let wide = wide.map(|values| values.iter().map(|v| v.to_bits()).collect());
    narrow.into_iter().chain(wide).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Above the size from which kernels use threads; channels that no number of threads
    // divides evenly, groups of columns that begin elsewhere for each thread.
    let shapes: [&[usize]; 4] = [
        &[131, 2503],
        &[37, 67, 7, 31],
        &[9, 11, 53, 61],
        &[2, 3, 90_001],
    ];
    for shape in shapes {
        assert!(shape.iter().product::<usize>() >= parallel::SERIAL_BELOW);
        parallel::set_threads(1);
        let one = results(shape);
        for threads in [2, 3, 8] {
            parallel::set_threads(threads);
            assert!(results(shape) == one, "{shape:?} on {threads} threads");
        }
    }
}
