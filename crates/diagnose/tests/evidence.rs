//! What is wrong is not explained by mistakes that it does not show, and what is nearly right is
//! not called right.

use diagnose::{Array, Candidate, Dtype, Judged, Outcome, Subject, picture};
use gradcheck::attribution::norm::{Given, Norm, Probe, Target, mistakes};

const GROUP: (Norm, &[usize]) = (Norm::Group { groups: 3 }, &[2, 6, 4, 4]);
const LAYER: (Norm, &[usize]) = (Norm::Layer { normalized: 1 }, &[13, 33]);
const BATCH: (Norm, &[usize]) = (Norm::Batch, &[4, 6, 5, 5]);

/// A probe as a file of this type has it.
fn probed((norm, shape): (Norm, &[usize]), dtype: Dtype, seed: u64) -> Probe {
    let made = Probe::new(norm, shape, 1e-5, seed);
    let round = |values: &[f64]| values.iter().map(|v| dtype.round(*v)).collect();
    let given = Given {
        x: round(&made.x),
        gamma: round(&made.gamma),
        beta: round(&made.beta),
        dy: round(&made.dy),
    };
    Probe::given(norm, shape, 1e-5, given).expect("the same shape")
}

fn subject(norm: Norm, probe: Probe, dtype: Dtype, name: &'static str, values: &[f64]) -> Subject {
    let shape = match name {
        "y" | "dx" => probe.shape.clone(),
        _ => vec![values.len()],
    };
    let array = Array {
        shape,
        dtype,
        values: values.iter().map(|v| dtype.round(*v)).collect(),
    };
    Subject {
        norm,
        probe,
        input: dtype,
        candidates: vec![Candidate {
            name,
            array,
            running: None,
        }],
        notes: Vec::new(),
        has_beta: true,
        unclear: Vec::new(),
    }
}

fn judged(norm: Norm, probe: &Probe, dtype: Dtype, name: &'static str, values: &[f64]) -> Judged {
    subject(norm, probe.clone(), dtype, name, values)
        .judge()
        .remove(0)
}

/// The sums over the elements of each parameter.
fn sums(probe: &Probe, term: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; probe.gamma.len()];
    for k in 0..probe.x.len() {
        sums[probe.params.of[k]] += term(k);
    }
    sums
}

/// dx by other rstd and other weights of the two paths through the statistics.
fn dx(probe: &Probe, rstd: impl Fn(usize) -> f64, paths: [f64; 2]) -> Vec<f64> {
    let groups = &probe.groups;
    let (own, x_hat) = (probe.rstd(), probe.x_hat());
    let g: Vec<f64> = (0..probe.x.len())
        .map(|k| probe.gamma[probe.params.of[k]] * probe.dy[k])
        .collect();
    let x_hat: Vec<f64> = (0..g.len()).map(|k| x_hat[k] / own[k] * rstd(k)).collect();
    let mean = groups.means(&g);
    let weighted: Vec<f64> = g.iter().zip(&x_hat).map(|(g, h)| g * h).collect();
    let weighted = groups.means(&weighted);
    (0..g.len())
        .map(|k| {
            let (a, b) = (mean[k], weighted[k]);
            rstd(k) * (g[k] - paths[0] * a - paths[1] * x_hat[k] * b)
        })
        .collect()
}

/// One element of garbage is not the work of a mistake that changes all a little.
#[test]
fn a_mistake_too_small_to_be_seen_explains_nothing() {
    for (dtype, seed) in Dtype::ALL.into_iter().flat_map(|d| [(d, 0), (d, 1)]) {
        let probe = probed(GROUP, dtype, seed);
        for (name, right) in [("dx", probe.dx()), ("dgamma", probe.dgamma())] {
            let at = (0..right.len())
                .max_by(|a, b| right[*a].abs().total_cmp(&right[*b].abs()))
                .unwrap();
            for factor in [0.2, 0.5, 0.8, 1.2, 1.5, 2.5] {
                let mut values = right.clone();
                values[at] *= factor;
                let judged = judged(GROUP.0, &probe, dtype, name, &values);
                let said = &judged.sentence;
                assert_eq!(judged.outcome, Outcome::Wrong, "{dtype} {name} {said}");
                let place = judged.id == "factor-in-places";
                assert!(
                    judged.id == "unknown" || place,
                    "{dtype} {name} {factor}: {said}"
                );
            }
        }
    }
}

/// What is right only because rounding might do nearly anything is not called right.
#[test]
fn what_rounding_could_do_to_anything_is_not_judged() {
    let (mut refused, mut told) = (0, 0);
    for seed in 0..4 {
        let probe = probed(BATCH, Dtype::Bf16, seed);
        let x_hat = probe.x_hat();
        let inner: usize = BATCH.1[2..].iter().product();
        // The first value of each channel is lost.
        let lost = sums(&probe, |k| match (k / inner / BATCH.1[1], k % inner) {
            (0, 0) => 0.0,
            _ => probe.dy[k] * x_hat[k],
        });
        let judged = judged(BATCH.0, &probe, Dtype::Bf16, "dgamma", &lost);
        let allowed = judged.allowed.unwrap();
        refused += usize::from(judged.outcome == Outcome::Refused);
        told += usize::from(judged.outcome == Outcome::Wrong);
        assert!(
            judged.outcome != Outcome::Right || allowed <= 0.3,
            "{seed}: {allowed} {}",
            judged.sentence
        );
        let right = subject(
            BATCH.0,
            probe.clone(),
            Dtype::Bf16,
            "dgamma",
            &probe.dgamma(),
        );
        let right = right.judge().remove(0);
        assert_eq!(right.outcome, Outcome::Right, "{}", right.sentence);
    }
    assert!(refused > 0, "{refused} refused, {told} told");
}

/// Both paths through the statistics missing is one mistake, and the plainest.
#[test]
fn statistics_taken_for_constants_are_named_in_every_type() {
    for case in [LAYER, BATCH, GROUP, (LAYER.0, &[5, 7])] {
        for dtype in Dtype::ALL {
            let probe = probed(case, dtype, 0);
            let own = probe.rstd();
            let values = dx(&probe, |k| own[k], [0.0, 0.0]);
            let judged = judged(case.0, &probe, dtype, "dx", &values);
            assert_eq!(
                judged.id, "mean-path-and-variance-path-missing",
                "{case:?} {dtype}: {}",
                judged.sentence
            );
        }
    }
}

/// What is small is not zero, and is told by what made it small.
#[test]
fn a_small_array_is_not_zero() {
    for case in [(LAYER.0, &[5, 7][..]), BATCH, LAYER] {
        for dtype in [Dtype::F64, Dtype::F32] {
            let probe = probed(case, dtype, 0);
            let own = probe.rstd();
            for (id, eps) in [("with", 0.0), ("without", probe.eps)] {
                let values = dx(&probe, |k| own[k].powi(-2) - eps, [1.0, 1.0]);
                let judged = judged(case.0, &probe, dtype, "dx", &values);
                assert_eq!(
                    judged.id, "variance-for-rstd",
                    "{case:?} {dtype} {id}: {}",
                    judged.sentence
                );
            }
        }
    }
}

/// Of many mistakes that look the same three are offered, each once.
#[test]
fn a_list_of_mistakes_is_short() {
    for dtype in Dtype::ALL {
        for case in [LAYER, BATCH, GROUP] {
            let probe = probed(case, dtype, 0);
            let zero = vec![0.0; probe.x.len()];
            let mut all = vec![judged(case.0, &probe, dtype, "dx", &zero)];
            assert_eq!(all[0].id, "zero");
            for (_, values) in mistakes(&probe, Target::Dgamma) {
                if values.iter().all(|v| dtype.round(*v).is_finite()) {
                    all.push(judged(case.0, &probe, dtype, "dgamma", &values));
                }
            }
            for one in all {
                let list: Vec<&str> = one.sentence.split("; or ").collect();
                assert!(list.len() <= 4 + 1, "{}", one.sentence);
                for (k, name) in list.iter().enumerate() {
                    assert!(!list[..k].contains(name), "{}", one.sentence);
                }
                assert!(one.sentence.len() < 900, "{}", one.sentence);
            }
        }
    }
}

/// Noise as large as a format leaves in a sum is not that format's.
#[test]
fn noise_of_the_size_of_a_format_is_not_its_work() {
    for dtype in [Dtype::F64, Dtype::F32] {
        for size in [1e-5, 1e-4, 1e-3, 1e-2] {
            for (name, target) in [("dgamma", Target::Dgamma), ("dbeta", Target::Dbeta)] {
                let probe = probed(LAYER, dtype, 0);
                let mut values = match target {
                    Target::Dgamma => probe.dgamma(),
                    _ => probe.dbeta(),
                };
                let usual = (values.iter().map(|v| v * v).sum::<f64>() / 33.0).sqrt();
                for (k, v) in values.iter_mut().enumerate() {
                    *v += size * usual * ((k * k) as f64 + 1.0).sin();
                }
                let judged = judged(LAYER.0, &probe, dtype, name, &values);
                assert_eq!(judged.id, "unknown", "{dtype} {size} {}", judged.sentence);
                assert!(!judged.sentence.contains("it is right but"));
            }
        }
    }
}

/// An upstream gradient that is read with strides of zero makes one number of every sum.
#[test]
fn a_stride_of_zero_is_named() {
    let mut named = 0;
    for case in [LAYER, BATCH, (LAYER.0, &[6, 8])] {
        for dtype in Dtype::ALL {
            let probe = probed(case, dtype, 0);
            let values = sums(&probe, |_| probe.dy[0]);
            let judged = judged(case.0, &probe, dtype, "dbeta", &values);
            assert!(
                judged.id == "dy-stride-zero" || judged.id == "unknown",
                "{dtype} {}",
                judged.sentence
            );
            named += usize::from(judged.id == "dy-stride-zero");
        }
    }
    assert!(named >= 6, "{named}");
}

/// An array with something in it that is not a number is in the picture.
#[test]
fn what_is_not_a_number_is_drawn() {
    let probe = probed(LAYER, Dtype::F32, 0);
    let mut values = probe.dx();
    values[40] = f64::NAN;
    let subject = subject(LAYER.0, probe, Dtype::F32, "dx", &values);
    let judged = subject.judge();
    assert_eq!(judged[0].off, 1);
    let svg = picture(&subject, &judged);
    assert_eq!(svg.matches("<rect").count(), 13 * 33, "{svg}");
    assert!(svg.contains("dx: wrong; 1 of 429"), "{svg}");
    assert!(!svg.contains("NaN"), "{svg}");
}

/// PyTorch's Layer Norm keeps the mean in bf16, which for a mean of a hundred deviations is off by a
/// third of one: what such errors do, and products of two of them, is not called wrong.
#[test]
fn a_mean_that_few_bits_lose_is_no_mistake() {
    let dtype = Dtype::Bf16;
    let mut outcomes = [0; 2];
    for seed in 0..12 {
        let mut probe = probed((LAYER.0, &[17, 31]), dtype, seed);
        let mean = 60.0 + 12.0 * seed as f64;
        for (k, x) in probe.x.iter_mut().enumerate() {
            *x = dtype.round(mean + ((k * k + k) as f64 * 0.7).sin());
        }
        let (d, rows) = (31, 17);
        let (mut kept, mut rstds) = (vec![0.0; rows], vec![0.0; rows]);
        for row in 0..rows {
            let x = &probe.x[row * d..][..d];
            let mean = x.iter().sum::<f64>() / d as f64;
            let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            kept[row] = dtype.round(mean);
            rstds[row] = dtype.round(1.0 / (var + probe.eps).sqrt());
        }
        let x_hat = |k: usize| (probe.x[k] - kept[k / d]) * rstds[k / d];
        let g = |k: usize| probe.gamma[k % d] * probe.dy[k];
        let over = |k: usize, term: &dyn Fn(usize) -> f64| -> f64 {
            let row = k / d * d;
            (row..row + d).map(term).sum::<f64>() / d as f64
        };
        let dx: Vec<f64> = (0..probe.x.len())
            .map(|k| rstds[k / d] * (g(k) - over(k, &g) - x_hat(k) * over(k, &|k| g(k) * x_hat(k))))
            .collect();
        let right = judged(LAYER.0, &probe, dtype, "dx", &dx);
        assert_ne!(right.outcome, Outcome::Wrong, "{mean} {}", right.sentence);
        outcomes[usize::from(right.outcome == Outcome::Refused)] += 1;
    }
    assert!(outcomes[1] > 0, "{outcomes:?}");
}

/// In sixteen bits a kernel that keeps `f32` inside has few errors, and is held to that: the name of
/// a small mistake is found, and another of its size is not taken for it.
#[test]
fn names_are_looked_for_in_the_finest_arithmetic_first() {
    for dtype in [Dtype::F16, Dtype::Bf16] {
        for case in [LAYER, BATCH, GROUP] {
            let probe = probed(case, dtype, 0);
            let m = probe.groups.size();
            let (own, x_hat) = (probe.rstd(), probe.x_hat());
            // The last eighth of the variance is lost.
            let mut place = vec![0; probe.groups.count];
            let mut lost = vec![0.0; probe.groups.count];
            for k in 0..probe.x.len() {
                let group = probe.groups.of[k];
                if place[group] >= m - m / 8 {
                    lost[group] += (x_hat[k] / own[k]).powi(2) / m as f64;
                }
                place[group] += 1;
            }
            let rstd = |k: usize| {
                let var = own[k].powi(-2) - lost[probe.groups.of[k]];
                1.0 / var.sqrt()
            };
            let dgamma = sums(&probe, |k| probe.dy[k] * x_hat[k] / own[k] * rstd(k));
            for (name, values) in [("dx", dx(&probe, rstd, [1.0, 1.0])), ("dgamma", dgamma)] {
                let judged = judged(case.0, &probe, dtype, name, &values);
                let known = [
                    "partial-variance",
                    "unknown",
                    "correct",
                    "ambiguous",
                    "refused",
                ];
                assert!(
                    known.contains(&judged.id.as_str()),
                    "{case:?} {dtype} {}",
                    judged.sentence
                );
                if name == "dx" {
                    assert_eq!(
                        judged.id, "partial-variance",
                        "{case:?} {dtype} {}",
                        judged.sentence
                    );
                }
            }
        }
    }
}

/// The same probe with another eps, or other x or beta.
fn given(norm: Norm, probe: &Probe, eps: f64, x: Vec<f64>, beta: Vec<f64>) -> Probe {
    let given = Given {
        x,
        gamma: probe.gamma.clone(),
        beta,
        dy: probe.dy.clone(),
    };
    Probe::given(norm, &probe.shape, eps, given).expect("the same shape")
}

#[test]
fn what_is_left_out_is_held_to_what_any_statistics_could_make() {
    let norm = Norm::Layer { normalized: 1 };
    let made = Probe::new(norm, &[4, 8], 1e-5, 0);
    let far = |k: usize| if k / 8 == 1 { 1e7 } else { 0.0 };
    let x = (0..32)
        .map(|k| Dtype::F32.round(made.x[k] + far(k)))
        .collect();
    let probe = given(norm, &made, 1e-5, x, made.beta.clone());
    for (value, outcome) in [(0.0, Outcome::Right), (1e30, Outcome::Wrong)] {
        let mut dx = probe.dx();
        dx[8..16].fill(value);
        let judged = judged(norm, &probe, Dtype::F32, "dx", &dx);
        assert_eq!(judged.outcome, outcome, "{}", judged.sentence);
        let told = &judged.sentence;
        assert!(told.contains("nothing is said of row 1"), "{told}");
    }
}

#[test]
fn a_y_without_its_beta_is_not_judged() {
    let norm = Norm::Layer { normalized: 1 };
    let made = Probe::new(norm, &[5, 7], 1e-5, 0);
    let bare = given(norm, &made, 1e-5, made.x.clone(), vec![0.0; 7]);
    for (has_beta, outcome) in [(false, Outcome::Refused), (true, Outcome::Wrong)] {
        let mut subject = subject(norm, bare.clone(), Dtype::F64, "y", &made.y());
        subject.has_beta = has_beta;
        let judged = subject.judge().remove(0);
        assert_eq!(judged.outcome, outcome, "{}", judged.sentence);
    }
}

#[test]
fn an_eps_that_went_through_f32_is_named() {
    let norm = Norm::Layer { normalized: 1 };
    let probe = Probe::new(norm, &[6, 8], 1e-5, 0);
    let rounded = f64::from(1e-5_f32);
    let other = given(norm, &probe, rounded, probe.x.clone(), probe.beta.clone());
    let judged = judged(norm, &probe, Dtype::F64, "dx", &other.dx());
    assert_eq!(judged.id, "another-eps", "{}", judged.sentence);
    assert!(
        judged.sentence.contains("1e-5 as f32 holds it"),
        "{}",
        judged.sentence
    );
}

#[test]
fn rms_norm_over_two_values_is_judged() {
    let norm = Norm::Rms { normalized: 1 };
    let probe = Probe::new(norm, &[31, 2], 1e-5, 0);
    assert_eq!(probe.vacuous(), []);
    let right = judged(norm, &probe, Dtype::F64, "dx", &probe.dx());
    assert_eq!(right.outcome, Outcome::Right, "{}", right.sentence);
}
