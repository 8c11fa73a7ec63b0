use super::*;
use crate::known::assert_listed;
use judge::testing::{passes, tells};

/// What a check may do otherwise than the solution.
#[derive(Clone, Copy)]
struct Style {
    x: f64,
    gamma: fn(f64) -> f64,
    dy: fn(usize, usize, f64, f64) -> f64,
    step: f64,
    forward: bool,
    rounded: fn(f64) -> f64,
    elements: fn(usize, usize) -> bool,
    near: fn(f64, f64) -> bool,
}

const SOUND: Style = Style {
    x: 0.5,
    gamma: |drawn| drawn,
    dy: |_, _, drawn, _| drawn,
    step: 1e-5,
    forward: false,
    rounded: |v| v,
    elements: |_, _| true,
    near: |a, b| (a - b).abs() <= 1e-6 * b.abs().max(1.0),
};

fn believes(layer: &Layer<'_>, style: Style) -> bool {
    let (n, c) = (layer.n, layer.c);
    let f = style.rounded;
    let numbers = |count, low, high| -> Vec<f64> {
        layer.random(count, low..high).into_iter().map(f).collect()
    };
    let gamma = numbers(c, 0.5, 2.0).into_iter().map(style.gamma).collect();
    let mut inputs = [
        numbers(n * c, -style.x, style.x),
        gamma,
        numbers(c, -1.0, 1.0),
    ];
    let y = layer.forward(&inputs);
    let drawn = numbers(n * c, -1.0, 1.0).into_iter().enumerate();
    let dy: Vec<f64> = drawn
        .map(|(k, v)| (style.dy)(k / c, k % c, v, y[k]))
        .collect();
    let claimed = layer.backward(&inputs, &dy);
    let loss = |inputs: &Inputs| -> f64 {
        let y = layer.forward(inputs);
        f(y.iter().zip(&dy).map(|(y, dy)| f(*y) * dy).sum())
    };
    for of in 0..3 {
        for at in (0..inputs[of].len()).filter(|at| (style.elements)(of, *at)) {
            let kept = inputs[of][at];
            inputs[of][at] = f(kept + style.step);
            let above = loss(&inputs);
            inputs[of][at] = if style.forward {
                kept
            } else {
                f(kept - style.step)
            };
            let below = loss(&inputs);
            inputs[of][at] = kept;
            let run = if style.forward {
                style.step
            } else {
                2.0 * style.step
            };
            if !(style.near)(claimed[of][at], (above - below) / run) {
                return false;
            }
        }
    }
    true
}

fn of(style: Style, seed: u64) -> Report {
    report(&|layer| believes(layer, style), seed)
}

#[test]
fn a_sound_check_catches_all_and_accuses_nobody() {
    passes(4, |seed| of(SOUND, seed));
    let other = Style {
        x: 0.2,
        step: 1e-6,
        near: |a, b| (a - b).abs() <= 1e-5 * (a.abs() + b.abs() + 0.1),
        ..SOUND
    };
    passes(4, |seed| of(other, seed));
    // Several random directions in place of every element.
    let along = |layer: &Layer<'_>| {
        let (n, c) = (layer.n, layer.c);
        let counts = [n * c, c, c];
        let inputs = [
            layer.random(n * c, -0.5..0.5),
            layer.random(c, 0.5..2.0),
            layer.random(c, -1.0..1.0),
        ];
        let dy = layer.random(n * c, -1.0..1.0);
        let claimed = layer.backward(&inputs, &dy);
        (0..4).all(|_| {
            let direction = counts.map(|count| layer.random(count, -1.0..1.0));
            let at = |h: f64| {
                let moved = [0, 1, 2].map(|k| {
                    let pairs = inputs[k].iter().zip(&direction[k]);
                    pairs.map(|(v, d)| v + h * d).collect()
                });
                let y = layer.forward(&moved);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
            let along = claimed.iter().zip(&direction);
            let along = along.flat_map(|(g, d)| g.iter().zip(d)).map(|(g, d)| g * d);
            (along.sum::<f64>() - numeric).abs() <= 1e-7 * numeric.abs().max(1.0)
        })
    };
    passes(4, |seed| report(&along, seed));
}

/// Each choice that looks harmless is told by its name, whatever is drawn.
#[test]
fn what_a_check_does_wrong_is_named() {
    let styles: [(&str, Style); 15] = [
        (
            "constant-upstream",
            Style {
                dy: |_, _, _, _| 1.0,
                ..SOUND
            },
        ),
        (
            "constant-upstream",
            Style {
                dy: |_, channel, _, _| 1.0 + channel as f64,
                ..SOUND
            },
        ),
        (
            "upstream-of-y",
            Style {
                dy: |_, _, _, y| y,
                gamma: |_| 1.5,
                x: 3.0,
                near: |a, b| (a - b).abs() <= 1e-3 * b.abs().max(1.0),
                ..SOUND
            },
        ),
        (
            "gamma-one",
            Style {
                gamma: |_| 1.0,
                ..SOUND
            },
        ),
        (
            "elements-left-out",
            Style {
                elements: |_, at| at == 0,
                ..SOUND
            },
        ),
        (
            "elements-left-out",
            Style {
                elements: |of, _| of == 0,
                ..SOUND
            },
        ),
        (
            "too-loose",
            Style {
                near: |a, b| (a - b).abs() <= 1e-2 * b.abs().max(1.0),
                ..SOUND
            },
        ),
        (
            "too-loose",
            Style {
                rounded: |v| f64::from(v as f32),
                step: 1e-2,
                near: |a, b| (a - b).abs() <= 5e-2 * b.abs().max(1.0),
                ..SOUND
            },
        ),
        ("eps-unseen", Style { x: 30.0, ..SOUND }),
        (
            "nan-passes",
            Style {
                near: |a, b| {
                    let far = (a - b).abs() > 1e-6 * b.abs().max(1.0);
                    !far
                },
                ..SOUND
            },
        ),
        (
            "step-too-small",
            Style {
                step: 1e-12,
                ..SOUND
            },
        ),
        (
            "step-too-large",
            Style {
                step: 1e-2,
                ..SOUND
            },
        ),
        (
            "one-sided",
            Style {
                forward: true,
                ..SOUND
            },
        ),
        (
            "in-f32",
            Style {
                rounded: |v| f64::from(v as f32),
                ..SOUND
            },
        ),
        (
            "too-strict",
            Style {
                near: |a, b| (a - b).abs() <= 1e-13 * b.abs(),
                ..SOUND
            },
        ),
    ];
    let mut never: BTreeSet<String> = checker().known(NAME).into_iter().map(|k| k.id).collect();
    let mut missed = Vec::new();
    for (name, style) in styles {
        for seed in 0..6 {
            let twice = |layer: &Layer<'_>| {
                let both = [believes(layer, style), believes(layer, style)];
                both[0] && both[1]
            };
            // At one point, and at two: the causes are those of whichever point shows them.
            for report in [of(style, seed), report(&twice, seed)] {
                assert_listed(&report);
                if report.mistake.as_deref() != Some(name) {
                    missed.push(format!("{name}, seed {seed}: {report}"));
                }
            }
        }
        never.remove(name);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let odd: [(&str, Candidate<'_>); 4] = [
        ("not-asked", &|_| true),
        ("not-moved", &|_| false),
        ("not-asked", &|layer| {
            let inputs =
                [layer.n * layer.c, layer.c, layer.c].map(|count| layer.random(count, 0.0..1.0));
            let dy = layer.forward(&inputs);
            layer.backward(&inputs, &dy)[0].len() == dy.len()
        }),
        // Everything is moved, and the sums of the gradients alone are compared.
        ("not-compared", &|layer| {
            let mut inputs =
                [layer.n * layer.c, layer.c, layer.c].map(|count| layer.random(count, 0.5..1.5));
            let dy = layer.random(layer.n * layer.c, -1.0..1.0);
            let claimed = layer.backward(&inputs, &dy);
            let mut sides = [1e-5, -2e-5].map(|h| {
                inputs.iter_mut().flatten().for_each(|v| *v += h);
                let y = layer.forward(&inputs);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            });
            sides.reverse();
            let numeric = (sides[1] - sides[0]) / 2e-5;
            (claimed.iter().flatten().sum::<f64>() - numeric).abs() < 1e-6
        }),
    ];
    for (name, candidate) in odd {
        let report = report(candidate, 0);
        assert_eq!(report.mistake.as_deref(), Some(name), "{report}");
        assert_listed(&report);
        never.remove(name);
    }
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn what_survives_is_told_by_path_and_by_name() {
    let report = of(
        Style {
            dy: |_, _, _, _| 1.0,
            ..SOUND
        },
        0,
    );
    tells(
        &report,
        "constant-upstream",
        &[
            "mistakes in the path of the variance, ",
            "dgamma: dgamma-missing, ",
            " more.",
        ],
    );
    let loose = of(
        Style {
            near: |a, b| (a - b).abs() <= 1e-2 * b.abs().max(1.0),
            ..SOUND
        },
        0,
    );
    tells(&loose, "too-loose", &["dx: eps-left-out"]);
}

#[test]
fn a_wrong_length_and_a_panic_are_told() {
    let short = report(
        &|layer| layer.forward(&[vec![], vec![], vec![]]).is_empty(),
        0,
    );
    let told = "for 6 examples of 4 channels, it panicked in code that yours calls: x has 0 values, and a layer of 6 examples and 4 channels asks for 24";
    tells(&short, "Panicked", &[told]);
    let open = report(&|_| todo!(), 0);
    tells(&open, "Unwritten", &[]);
}
