//! Numerical derivatives against true ones: is the estimated error honest, and small?

use gradcheck::numeric::{Estimate, central_difference, derivative};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

type Real = fn(f64) -> f64;

/// Functions with their derivatives; `x` is drawn from 0.05 to 3.
const SMOOTH: [(&str, Real, Real); 8] = [
    ("exp", f64::exp, f64::exp),
    ("tanh", f64::tanh, |x| x.cosh().powi(-2)),
    ("rsqrt", |x| 1.0 / x.sqrt(), |x| -0.5 * x.powf(-1.5)),
    ("ln", f64::ln, |x| 1.0 / x),
    ("cubic", |x| x * x * x - 2.0 * x, |x| 3.0 * x * x - 2.0),
    ("waves", |x| (7.0 * x).sin(), |x| 7.0 * (7.0 * x).cos()),
    ("linear", |x| 3.0 - 0.25 * x, |_| -0.25),
    (
        "peak",
        |x| 1.0 / (1.0 + 400.0 * x * x),
        |x| -800.0 * x / (1.0 + 400.0 * x * x).powi(2),
    ),
];

/// `f` with its input and its output stretched, at a random point.
fn stretched((_, f, df): (&str, Real, Real), rng: &mut StdRng) -> (Estimate, f64) {
    let x: f64 = rng.random_range(0.05..3.0);
    let wide = 10f64.powf(rng.random_range(-8.0..8.0));
    let tall = 10f64.powf(rng.random_range(-8.0..8.0));
    let estimate = derivative(|z| tall * f(z / wide), x * wide).unwrap();
    (estimate, tall / wide * df(x))
}

#[test]
fn the_estimate_bounds_the_error() {
    let mut rng = StdRng::seed_from_u64(1);
    let (mut total, mut outside) = (0, 0);
    for case in SMOOTH {
        let mut relative = Vec::new();
        for _ in 0..500 {
            let (found, truth) = stretched(case, &mut rng);
            let error = (found.value - truth).abs();
            // The formula for the truth is rounded as well.
            let slack = 4.0 * f64::EPSILON * found.magnitude;
            total += 1;
            outside += usize::from(error > found.error + slack);
            assert!(
                error <= 4.0 * found.error + slack,
                "{}: off by {error:e}, estimated {:e}, of {truth:e}",
                case.0,
                found.error
            );
            assert_eq!(found.kink, None, "{}", case.0);
            relative.push(found.error / found.magnitude);
        }
        // Honest and useful: half of the estimates promise ten digits or more.
        relative.sort_by(f64::total_cmp);
        assert!(relative[250] < 1e-10, "{}: {:e}", case.0, relative[250]);
    }
    assert!(
        outside * 1000 < total,
        "{outside} of {total} errors are above their estimate"
    );
}

/// Near 1, all noise of a logarithm is that of its argument. At equally spaced points it may
/// lie on a line, and then looks like none.
#[test]
fn noise_that_hides_along_a_row_of_points_is_found() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut outside = 0;
    for _ in 0..4000 {
        let x: f64 = rng.random_range(0.98..1.02);
        let wide = 10f64.powf(rng.random_range(-8.0..8.0));
        let found = derivative(|z| (z / wide).ln(), x * wide).unwrap();
        let truth = 1.0 / (x * wide);
        let error = (found.value - truth).abs();
        let slack = 4.0 * f64::EPSILON * found.magnitude;
        outside += usize::from(error > found.error + slack);
    }
    assert!(outside <= 8, "{outside} errors are above their estimate");
}

/// The function varies over 1 there as well, and `x` is moved from number to number.
#[test]
fn far_from_the_origin_as_many_digits_are_promised() {
    let near = derivative(|x: f64| x.tanh(), 0.5).unwrap();
    for offset in [1e4, 1e6, 1.7e9] {
        let far = derivative(|x: f64| (x - offset).tanh(), offset + 0.5).unwrap();
        let truth = 0.5f64.cosh().powi(-2);
        assert!((far.value - truth).abs() <= far.error, "{far:?}");
        assert!(far.error < 100.0 * near.error, "{far:?} {near:?}");
    }
}

#[test]
fn features_narrower_than_the_first_step_are_found() {
    // Flat to the left and right of a bump that the first steps jump over.
    let bump = |x: f64| (-((x - 1.0) / 1e-3).powi(2)).exp();
    let found = derivative(bump, 1.0005).unwrap();
    let truth = -2.0 * 0.5 / 1e-3 * (-0.25f64).exp();
    assert!(
        (found.value - truth).abs() <= 4.0 * found.error,
        "{found:?} {truth}"
    );
    assert!(found.error < 1e-6 * truth.abs(), "{found:?}");
    // A slope that hides a fast wave.
    let wave = |x: f64| x + 1e-5 * (3e4 * x).sin();
    let found = derivative(wave, 1.0).unwrap();
    let truth = 1.0 + 0.3 * 3e4f64.cos();
    assert!(
        (found.value - truth).abs() <= 4.0 * found.error,
        "{found:?} {truth}"
    );
}

#[test]
fn a_tiny_input_of_a_wide_function_gets_a_wide_step() {
    let found = derivative(f64::exp, 1e-9).unwrap();
    assert!(
        (found.value - 1e-9f64.exp()).abs() <= found.error && found.error < 1e-12,
        "{found:?}"
    );
    let found = derivative(f64::sin, 0.0).unwrap();
    assert!(
        (found.value - 1.0).abs() <= found.error && found.error < 1e-13,
        "{found:?}"
    );
}

#[test]
fn a_constant_has_the_derivative_zero_within_its_rounding() {
    let found = derivative(|_| 5.0, 2.0).unwrap();
    assert_eq!(found.value, 0.0);
    assert!(found.error > 0.0 && found.error < 1e-13, "{found:?}");
}

/// At the origin a straight line loses no digit, so that all steps agree to the last.
#[test]
fn a_slope_that_all_steps_agree_on_still_has_its_rounding() {
    for slope in [1.0, -0.5, 3.0] {
        let found = derivative(|x| slope * x, 0.0).unwrap();
        assert_eq!(found.value, slope);
        let ulps = found.error / (f64::EPSILON * found.magnitude);
        assert!((1.0..100.0).contains(&ulps), "{found:?}");
    }
}

#[test]
fn kinks_are_seen_and_smooth_points_are_not_called_kinks() {
    let relu = |x: f64| x.max(0.0);
    let at = derivative(relu, 0.0).unwrap();
    let gap = |found: &Estimate| found.kink.map(|kink| kink.gap);
    assert_eq!((at.value, gap(&at)), (0.5, Some(0.5)));
    let abs = derivative(f64::abs, 0.0).unwrap();
    assert_eq!((abs.value, gap(&abs)), (0.0, Some(1.0)));
    // A kink close by, far below the first step, is walked around.
    for x in [0.3, 1e-3, 1e-6, 1e-9] {
        let right = derivative(|z| relu(z - 1.0), 1.0 + x).unwrap();
        assert_eq!(right.kink, None, "{x}");
        assert!((right.value - 1.0).abs() <= right.error, "{x}: {right:?}");
        let left = derivative(|z| relu(z - 1.0), 1.0 - x).unwrap();
        assert!(
            left.kink.is_none() && left.value.abs() <= left.error,
            "{x}: {left:?}"
        );
    }
    // Away from the origin, and with slopes that are large and not constant.
    let away = derivative(|z| relu(z - 1.0), 1.0).unwrap();
    assert_eq!(gap(&away), Some(0.5), "{away:?}");
    let steep = derivative(|z| 1e3 * relu(z) * (1.0 + z), 0.0).unwrap();
    let half = gap(&steep).expect("a kink");
    assert!((half - 500.0).abs() < 1.0, "{steep:?}");
    // A kink in a curved function: left slope 1, right slope 2.
    let curved = |x: f64| x.exp() - 1.0 + relu(x) + x * x;
    let found = derivative(curved, 0.0).unwrap();
    let half = gap(&found).expect("a kink");
    assert!(
        (half - 0.5).abs() < 1e-4 && (found.value - 1.5).abs() <= found.error,
        "{found:?}"
    );
    // Large curvature is not a kink.
    assert_eq!(
        derivative(|x: f64| (30.0 * x).cosh(), 0.01).unwrap().kink,
        None
    );
}

#[test]
fn the_edge_of_the_domain_is_reported_not_crossed() {
    assert!(derivative(f64::sqrt, 0.0).is_err());
    assert!(derivative(|_| f64::NAN, 1.0).is_err());
    // Steps that leave the domain are shortened.
    let found = derivative(|x: f64| (x - 1.0).ln(), 1.001).unwrap();
    assert!((found.value - 1e3).abs() <= 4.0 * found.error, "{found:?}");
    assert!(found.error < 1e-5, "{found:?}");
}

#[test]
fn a_central_difference_divides_by_the_distance_travelled() {
    // x + h and x - h are 9.3e-10 apart on this grid, not 8e-10.
    let x = 4e6;
    let h = 4e-10;
    assert_eq!(central_difference(|x| x, x, h), 1.0);
    assert_eq!(central_difference(|x| x * x, 3.0, 0.5), 6.0);
}
