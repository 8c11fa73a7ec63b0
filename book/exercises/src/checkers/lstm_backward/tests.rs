use super::*;
use judge::testing::{named, passes};

/// The solution, with what comes to the memory, and with a change to what is right.
fn with(next: Next, change: Change) -> impl Fn(&[f64], &[f64], &Step) -> Gradients {
    move |dh, dc_later, s| {
        let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..dh.len()).map(f).collect() };
        let dc_next = next(dh, dc_later, s);
        let mut gradients = Gradients {
            da_i: each(&|j| dc_next[j] * s.g[j] * s.i[j] * (1.0 - s.i[j])),
            da_f: each(&|j| dc_next[j] * s.c[j] * s.f[j] * (1.0 - s.f[j])),
            da_g: each(&|j| dc_next[j] * s.i[j] * (1.0 - s.g[j].powi(2))),
            da_o: each(&|j| dh[j] * s.tanh[j] * s.o[j] * (1.0 - s.o[j])),
            dc: each(&|j| dc_next[j] * s.f[j]),
            dc_next,
        };
        change(&mut gradients, s);
        gradients
    }
}

type Next = fn(&[f64], &[f64], &Step) -> Vec<f64>;
type Change = fn(&mut Gradients, &Step);

const NEXT: Next = |dh, later, s| {
    let slope = |j: usize| dh[j] * s.o[j] * (1.0 - s.tanh[j].powi(2));
    let through = s.norm_backward(&(0..dh.len()).map(slope).collect::<Vec<_>>());
    later.iter().zip(through).map(|(a, b)| a + b).collect()
};

#[test]
fn what_is_right_passes() {
    passes(7, |seed| report(&with(NEXT, |_, _| {}), seed));
}

/// A wrong memory makes all that is computed from it wrong; it is told first.
#[test]
fn what_is_typed_wrong_is_named() {
    let memories: &[(&str, Next)] = &[
        ("dc_next: later-through-the-norm", |dh, later, s| {
            let slope = |j: usize| later[j] + dh[j] * s.o[j] * (1.0 - s.tanh[j].powi(2));
            s.norm_backward(&(0..dh.len()).map(slope).collect::<Vec<_>>())
        }),
        ("dc_next: tanh-slope-after-the-norm", |dh, later, s| {
            let shown: Vec<f64> = dh.iter().zip(&s.o).map(|(dh, o)| dh * o).collect();
            let through = s.norm_backward(&shown);
            let next = |j: usize| later[j] + through[j] * (1.0 - s.tanh[j].powi(2));
            (0..dh.len()).map(next).collect()
        }),
    ];
    named(memories, |next, seed| report(&with(next, |_, _| {}), seed));
    let changes: &[(&str, Change)] = &[
        ("da_i: other", |g, _| {
            std::mem::swap(&mut g.da_i, &mut g.da_f)
        }),
        ("da_g: other", |g, _| {
            std::mem::swap(&mut g.da_g, &mut g.da_o)
        }),
        ("da_o: doubled", |g, _| {
            g.da_o.iter_mut().for_each(|v| *v *= 2.0)
        }),
        ("dc: through-the-norm", |g, s| g.dc = s.norm_backward(&g.dc)),
    ];
    named(changes, |change, seed| report(&with(NEXT, change), seed));
    // A gate is given what comes from the state alone, or what comes later alone.
    let right = with(NEXT, |_, _| {});
    let without = |dh: &[f64], later: &[f64], s: &Step, missing: &str| {
        let none = vec![0.0; dh.len()];
        let da_i = match missing {
            "later" => right(dh, &none, s).da_i,
            _ => right(&none, later, s).da_i,
        };
        Gradients {
            da_i,
            ..right(dh, later, s)
        }
    };
    let incomplete = [
        ("da_i: memory-incomplete", "later"),
        ("da_i: memory-incomplete", "state"),
    ];
    named(&incomplete, |missing, seed| {
        report(&|dh, later, s| without(dh, later, s, missing), seed)
    });
}
