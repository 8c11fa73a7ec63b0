use super::*;
use crate::mistake::{assert_named, every};

fn right(dh: &[f64], dc_later: &[f64], s: &Step) -> Gradients {
    let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..dh.len()).map(f).collect() };
    let shown = each(&|j| dh[j] * s.o[j] * (1.0 - s.tanh[j].powi(2)));
    let through = s.norm_backward(&shown);
    let dc_next = each(&|j| dc_later[j] + through[j]);
    Gradients {
        da_i: each(&|j| dc_next[j] * s.g[j] * s.i[j] * (1.0 - s.i[j])),
        da_f: each(&|j| dc_next[j] * s.c[j] * s.f[j] * (1.0 - s.f[j])),
        da_g: each(&|j| dc_next[j] * s.i[j] * (1.0 - s.g[j].powi(2))),
        da_o: each(&|j| dh[j] * s.tanh[j] * s.o[j] * (1.0 - s.o[j])),
        dc: each(&|j| dc_next[j] * s.f[j]),
        dc_next,
    }
}

fn set(gradients: &mut Gradients, name: &str, values: Vec<f64>) {
    match name {
        "dc_next" => gradients.dc_next = values,
        "da_i" => gradients.da_i = values,
        "da_f" => gradients.da_f = values,
        "da_g" => gradients.da_g = values,
        "da_o" => gradients.da_o = values,
        _ => gradients.dc = values,
    }
}

#[test]
fn what_is_right_passes() {
    for seed in 0..10 {
        let report = report(&right, seed);
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..10 {
        for (target, mistake) in every(MISTAKES) {
            let candidate = |dh: &[f64], dc_later: &[f64], step: &Step| {
                let probe = Probe {
                    step: step.clone(),
                    dh: dh.to_vec(),
                    dc_later: dc_later.to_vec(),
                };
                let mut gradients = right(dh, dc_later, step);
                set(&mut gradients, target, (mistake.wrong)(&probe, target));
                gradients
            };
            let report = report(&candidate, seed);
            assert_named(&report, seed, target, mistake);
        }
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let with = |change: &dyn Fn(&mut Gradients)| {
        report(
            &|dh, dc_later, step| {
                let mut gradients = right(dh, dc_later, step);
                change(&mut gradients);
                gradients
            },
            0,
        )
    };
    let short = with(&|g| g.dc_next.truncate(1));
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = with(&|g| g.dc[0] = f64::NAN);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let doubled = with(&|g| g.da_o.iter_mut().for_each(|v| *v *= 2.0));
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());
}
