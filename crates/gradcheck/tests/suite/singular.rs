//! Next to a singularity a function changes faster than the numbers around it say. A right
//! gradient may be hard to tell there, but it is never wrong.

use gradcheck::Check;

type Real = fn(f64) -> f64;

/// What became of some draws at a distance from the singularity.
#[derive(Debug, Default)]
struct Tally {
    told: usize,
    refused: usize,
    wrong: usize,
    /// Right gradients but for one part in a hundred that passed.
    missed: usize,
}

fn tally(place: impl Fn(f64) -> Vec<f64>, distance: f64, f: Real, slope: Real) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..100 {
        let x = place(distance * (1.0 + 0.01 * f64::from(seed)));
        let of = |factor: f64| {
            Check::new("singular")
                .seed(seed as u64)
                .input("x", &[x.len()], x.clone())
                .run(
                    |xs| xs[0].iter().map(|x| f(*x)).collect(),
                    |xs, dy| {
                        let each = xs[0].iter().zip(dy).enumerate();
                        let factor = |i| if i == 0 { factor } else { 1.0 };
                        vec![
                            each.map(|(i, (x, dy))| factor(i) * slope(*x) * dy)
                                .collect(),
                        ]
                    },
                )
        };
        let right = of(1.0);
        match (right.faults.is_empty(), right.passed()) {
            (false, _) => tally.wrong += 1,
            (true, false) => tally.refused += 1,
            (true, true) => tally.told += 1,
        }
        tally.missed += usize::from(right.passed() && of(1.01).passed());
    }
    tally
}

/// Below 1, where the edge of the domain or a pole is: a step beyond tells nothing.
#[test]
fn up_to_an_edge_a_gradient_is_told() {
    let functions: [(&str, Real, Real, i32); 5] = [
        ("ln(1-x)", |x| (1.0 - x).ln(), |x| -1.0 / (1.0 - x), 11),
        (
            "sqrt((1-x)(1+x))",
            |x| ((1.0 - x) * (1.0 + x)).sqrt(),
            |x| -x / ((1.0 - x) * (1.0 + x)).sqrt(),
            11,
        ),
        (
            "acos",
            f64::acos,
            |x| -1.0 / ((1.0 - x) * (1.0 + x)).sqrt(),
            11,
        ),
        ("atanh", f64::atanh, |x| 1.0 / ((1.0 - x) * (1.0 + x)), 11),
        (
            "sqrt(1-x*x)",
            |x| (1.0 - x * x).sqrt(),
            |x| -x / (1.0 - x * x).sqrt(),
            6,
        ),
    ];
    for (name, f, slope, digits) in functions {
        for distance in (1..=digits).map(|k| 10f64.powi(-k)) {
            let tally = tally(|d| vec![1.0 - d], distance, f, slope);
            let all_told = tally.told == 100 && tally.missed == 0;
            assert!(all_told, "{name} at {distance:e}: {tally:?}");
        }
    }
}

/// Where a right gradient cannot be told, it is refused.
#[test]
fn beside_a_singularity_no_right_gradient_is_wrong() {
    let at_1: [(&str, Real, Real); 3] = [
        (
            "sqrt(1-x*x)",
            |x| (1.0 - x * x).sqrt(),
            |x| -x / (1.0 - x * x).sqrt(),
        ),
        (
            "1/(1-x)",
            |x| 1.0 / (1.0 - x),
            |x| 1.0 / (1.0 - x) / (1.0 - x),
        ),
        ("ln(1-x)", |x| (1.0 - x).ln(), |x| -1.0 / (1.0 - x)),
    ];
    for (name, f, slope) in at_1 {
        for distance in (1..=13).map(|k| 10f64.powi(-k)) {
            let tally = tally(|d| vec![1.0 - d], distance, f, slope);
            assert!(
                tally.wrong == 0 && tally.missed == 0,
                "{name} at 1 - {distance:e}: {tally:?}"
            );
        }
    }
    let at_0: [(&str, Real, Real); 4] = [
        (
            "|x|^1.5",
            |x| x.abs().powf(1.5),
            |x| 1.5 * x.abs().sqrt() * x.signum(),
        ),
        (
            "|x|^1.8",
            |x| x.abs().powf(1.8),
            |x| 1.8 * x.abs().powf(0.8) * x.signum(),
        ),
        ("cbrt", f64::cbrt, |x| 1.0 / (3.0 * x.cbrt().powi(2))),
        ("x ln|x|", |x| x * x.abs().ln(), |x| x.abs().ln() + 1.0),
    ];
    for (name, f, slope) in at_0 {
        for distance in (0..=16).map(|k| 10f64.powi(-k)) {
            for side in [1.0, -1.0] {
                let tally = tally(|d| vec![side * d, 1.0, -2.0], distance, f, slope);
                assert!(
                    tally.wrong == 0,
                    "{name} at {side}, {distance:e}: {tally:?}"
                );
            }
        }
    }
}
