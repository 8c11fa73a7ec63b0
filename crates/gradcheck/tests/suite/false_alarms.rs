//! The checker checked: right gradients pass, wrong ones fail, over thousands of random
//! functions.

use crate::program::Program;
use gradcheck::{Check, Report};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PROGRAMS: u64 = 1500;

fn check(seed: u64, program: &Program, spoil: impl Fn(&mut Vec<f64>)) -> Report {
    Check::new(format!("program {seed}"))
        .seed(seed)
        .input("x", &[program.x.len()], program.x.clone())
        .run(
            |xs| program.forward(&xs[0]),
            |xs, dy| {
                let mut dx = program.backward(&xs[0], dy);
                spoil(&mut dx);
                vec![dx]
            },
        )
}

/// The programs whose check is not refused; a few saturate, and have no gradient.
fn programs() -> Vec<(u64, Program, Report)> {
    let program = |seed| {
        let program = Program::random(seed);
        let report = check(seed, &program, |_| {});
        (seed, program, report)
    };
    let all: Vec<_> = (0..PROGRAMS).map(program).collect();
    let usable: Vec<_> = all.into_iter().filter(|p| p.2.refused.is_empty()).collect();
    assert!(
        usable.len() as u64 > PROGRAMS * 95 / 100,
        "{} refused",
        usable.len()
    );
    let finite = |p: &(u64, Program, Report)| p.1.forward(&p.1.x).iter().all(|y| y.is_finite());
    usable.into_iter().filter(finite).collect()
}

#[test]
fn no_right_gradient_is_refused_and_no_wrong_one_passes() {
    let programs = programs();
    let mut caught = [0; 3];
    let sizes = [1e-3, 1e-6, 1e-9];
    for (seed, program, right) in &programs {
        right.assert_passes();
        let dx = &right.inputs[0].analytic;
        let largest = dx.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let mut rng = StdRng::seed_from_u64(*seed);
        let at = rng.random_range(0..dx.len());
        if right.inputs[0].kinks.contains(&at) {
            continue;
        }
        for (size, caught) in sizes.iter().zip(&mut caught) {
            let report = check(*seed, program, |dx| dx[at] += size * largest);
            *caught += usize::from(!report.passed());
            // Never silently: what passes is about the resolution that the report states.
            if report.passed() {
                assert!(*size < 1.3 * report.inputs[0].resolution, "{report}");
            }
        }
    }
    let share = caught.map(|c| c as f64 / programs.len() as f64);
    assert!(
        share[0] > 0.995 && share[1] > 0.97 && share[2] > 0.85,
        "{share:?}"
    );
}

#[test]
fn gradients_wrong_in_kind_fail() {
    type Spoil = fn(&mut Vec<f64>);
    let kinds: [(&str, Spoil); 8] = [
        ("zero", |dx| dx.fill(0.0)),
        ("sign", |dx| dx.iter_mut().for_each(|v| *v = -*v)),
        ("doubled", |dx| dx.iter_mut().for_each(|v| *v *= 2.0)),
        ("0.1 percent", |dx| dx.iter_mut().for_each(|v| *v *= 1.001)),
        ("shifted", |dx| dx.rotate_right(1)),
        ("nan", |dx| dx[0] = f64::NAN),
        ("short", |dx| dx.truncate(dx.len() - 1)),
        ("one missing", |dx| {
            let by_size = |a: &usize, b: &usize| dx[*a].abs().total_cmp(&dx[*b].abs());
            let largest = (0..dx.len()).max_by(by_size).unwrap();
            dx[largest] = 0.0;
        }),
    ];
    for (seed, program, right) in programs().iter().step_by(5) {
        for (kind, spoil) in kinds {
            // Where all slopes are equal, shifting them changes nothing; at a kink, a
            // wrong slope may still be a right one.
            let dx = &right.inputs[0].analytic;
            let mut spoiled = dx.clone();
            spoil(&mut spoiled);
            if &spoiled == dx || !right.inputs[0].kinks.is_empty() {
                continue;
            }
            let report = check(*seed, program, spoil);
            assert!(!report.passed(), "{kind} passes:\n{report}");
        }
    }
}

#[test]
fn projections_agree_with_elements() {
    for (seed, program, _) in programs().iter().step_by(5) {
        let n = program.x.len();
        let wrong = n / 2;
        let project = |spoil: f64| {
            Check::new("projections")
                .seed(*seed)
                .input("x", &[n], program.x.clone())
                .projections(4)
                .run(
                    |xs| program.forward(&xs[0]),
                    |xs, dy| {
                        let mut dx = program.backward(&xs[0], dy);
                        let largest = dx.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                        dx[wrong] += spoil * largest;
                        vec![dx]
                    },
                )
        };
        let right = project(0.0);
        assert!(right.faults.is_empty(), "{right}");
        if !right.refused.is_empty() {
            continue;
        }
        let report = project(0.01);
        assert!(!report.passed(), "{report}");
        // The wrong element is found by halving.
        if right.inputs[0].kinks.is_empty() {
            let culprit = report.inputs[0]
                .culprit
                .as_ref()
                .expect("one element to blame");
            let place = gradcheck::Place::Element { index: vec![wrong] };
            assert_eq!(culprit.place, place, "{report}");
        }
    }
}

/// Layer Norm of one row: `y` from `x`, `gamma` and `beta`.
fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Vec<f64> {
    let (x_hat, _) = normalized(x, eps);
    (x_hat.iter().zip(gamma).zip(beta))
        .map(|((x_hat, gamma), beta)| gamma * x_hat + beta)
        .collect()
}

/// `x_hat` and `rstd`.
fn normalized(x: &[f64], eps: f64) -> (Vec<f64>, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let rstd = 1.0 / (var + eps).sqrt();
    (x.iter().map(|x| (x - mean) * rstd).collect(), rstd)
}

fn layer_norm_backward(x: &[f64], gamma: &[f64], eps: f64, dy: &[f64]) -> Vec<Vec<f64>> {
    let n = x.len() as f64;
    let (x_hat, rstd) = normalized(x, eps);
    let dx_hat: Vec<f64> = dy.iter().zip(gamma).map(|(dy, g)| dy * g).collect();
    let mean = dx_hat.iter().sum::<f64>() / n;
    let along = dx_hat.iter().zip(&x_hat).map(|(d, h)| d * h).sum::<f64>() / n;
    let dx = (dx_hat.iter().zip(&x_hat)).map(|(d, h)| rstd * (d - mean - h * along));
    let dgamma = dy.iter().zip(&x_hat).map(|(dy, h)| dy * h);
    vec![dx.collect(), dgamma.collect(), dy.to_vec()]
}

/// Among thousands of derivatives, some entries of a Richardson table agree with their
/// neighbours by chance, and would promise digits that nobody has. Seed 0 has such a one.
#[test]
fn small_norms_are_never_refused() {
    for seed in 0..3000 {
        let n = 2 + (seed as usize + 4) % 7;
        let draw = |i| {
            let mut rng = StdRng::seed_from_u64(3 * seed + i);
            tape::Tensor::<f64>::randn([n], &mut rng).to_vec()
        };
        let eps = [1e-3, 1e-5, 0.1][seed as usize % 3];
        let report = Check::new(format!("layer norm {seed}"))
            .seed(seed)
            .input("x", &[n], draw(1))
            .input("gamma", &[n], draw(2))
            .input("beta", &[n], draw(3))
            .run(
                |v| layer_norm(&v[0], &v[1], &v[2], eps),
                |v, dy| layer_norm_backward(&v[0], &v[1], eps, dy),
            );
        assert!(report.faults.is_empty(), "{report}");
    }
}
