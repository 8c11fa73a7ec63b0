//! Cases for the norms: every layout, each form on its own.
//!
//! The forms are: composed of ops of the tape; staged, one line of backward for each line
//! of forward, on slices; fused, the closed form, as the layers use it. Lengths of 70 take
//! the kernels through their vector loops and through what is left over.

use batchnorm::{Layout, Moments, RunningStats};
use gradcheck::Check;
use layernorm::fused::ROWS_PER_BLOCK;
use nn::check::{CheckLayer, normal};
use tape::Tensor;

use super::Case;

const EPS: f64 = 1e-5;

/// x, gamma and beta. Gamma is of either sign and never near 0.
fn inputs(x: &[usize], features: &[usize]) -> Vec<Tensor<f64>> {
    let gamma = normal(features, 2).map(|g| if g < 0.0 { g - 0.5 } else { g + 0.5 });
    vec![normal(x, 1), gamma, normal(features, 3)]
}

/// The shape as it stands in names, with the names of its axes.
fn axes(shape: &[usize], names: &str) -> String {
    let pairs = names
        .chars()
        .zip(shape)
        .map(|(name, n)| format!("{name}={n}"));
    format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
}

/// Several inputs of a check by name.
fn check(name: &str, names: &[&str], inputs: &[Tensor<f64>]) -> Check {
    names
        .iter()
        .zip(inputs)
        .fold(Check::new(name), |check, (name, x)| {
            check.input(*name, x.shape(), x.to_vec())
        })
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    batch(&mut cases);
    layer(&mut cases);
    rms(&mut cases);
    cases
}

fn batch(cases: &mut Vec<Case>) {
    let layouts: [(&[usize], &str); 7] = [
        (&[6, 3], "NC"),
        (&[70, 2], "NC"),
        (&[4, 70], "NC"),
        (&[3, 2, 4], "NCL"),
        (&[2, 2, 70], "NCL"),
        (&[2, 3, 2, 3], "NCHW"),
        (&[2, 2, 2, 1, 3], "NCDHW"),
    ];
    for (shape, names) in layouts {
        let title = axes(shape, names);
        let group = "batch norm";
        cases.push(Case::on_tape(
            group,
            "batchnorm/src/composed.rs",
            format!("composed {title}"),
            inputs(shape, &[shape[1]]),
            |x| batchnorm::composed::batch_norm(&x[0], &x[1], &x[2], EPS),
        ));
        let (given, name) = (inputs(shape, &[shape[1]]), format!("staged {title}"));
        cases.push(Case::own(
            group,
            "batchnorm/src/staged.rs",
            name.clone(),
            move || {
                let layout = Layout::of(given[0].shape());
                check(&name, &["x", "gamma", "beta"], &given).run(
                    |v| batchnorm::staged::forward(&layout, &v[0], &v[1], &v[2], EPS).0,
                    |v, dy| {
                        let (_, forward) =
                            batchnorm::staged::forward(&layout, &v[0], &v[1], &v[2], EPS);
                        let (dx, each) = batchnorm::staged::backward(&layout, &forward, &v[1], dy);
                        let dgamma = each.iter().map(|channel| channel.dgamma).collect();
                        let dbeta = each.iter().map(|channel| channel.dbeta).collect();
                        vec![dx, dgamma, dbeta]
                    },
                )
            },
        ));
        cases.push(Case::on_tape(
            group,
            "batchnorm/src/op.rs",
            format!("fused {title}"),
            inputs(shape, &[shape[1]]),
            |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], EPS).0,
        ));
        let channels = shape[1];
        let moments = Moments::new(
            normal([channels], 4).to_vec(),
            normal([channels], 5).map(|x| 0.5 + x * x).to_vec(),
            EPS,
        );
        cases.push(Case::on_tape(
            group,
            "batchnorm/src/op.rs",
            format!("frozen {title}"),
            inputs(shape, &[shape[1]]),
            move |x| batchnorm::op::frozen_batch_norm(&x[0], &x[1], &x[2], moments.clone()),
        ));
    }
    // A residual: the upstream gradient belongs to two, and may not be overwritten, in planes
    // that are walked in rows and in planes of their own. A constant x: only gamma and beta
    // want gradients.
    for (name, positions) in [("plus x", 4), ("long planes, plus x", 130)] {
        let shape = [2, 2, positions];
        cases.push(Case::on_tape(
            "batch norm",
            "batchnorm/src/op.rs",
            format!("fused, {name}"),
            inputs(&shape, &[2]),
            |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], EPS).0 + &x[0],
        ));
        let moments = Moments::new(vec![0.5, -1.0], vec![2.0, 0.3], EPS);
        cases.push(Case::on_tape(
            "batch norm",
            "batchnorm/src/op.rs",
            format!("frozen, {name}"),
            inputs(&shape, &[2]),
            move |x| {
                let y = batchnorm::op::frozen_batch_norm(&x[0], &x[1], &x[2], moments.clone());
                y + &x[0]
            },
        ));
    }
    let x = normal([3, 2, 4], 1);
    cases.push(Case::on_tape(
        "batch norm",
        "batchnorm/src/op.rs",
        "fused, x constant",
        inputs(&[3, 2, 4], &[2])[1..].to_vec(),
        move |p| {
            let x = p[0].tape().constant(x.clone());
            batchnorm::op::batch_norm(&x, &p[0], &p[1], EPS).0
        },
    ));
    for (name, at) in [("frozen, gamma constant", 1), ("frozen, beta constant", 2)] {
        let moments = Moments::new(vec![0.5, -1.0], vec![2.0, 0.3], EPS);
        let mut given = inputs(&[3, 2, 4], &[2]);
        let constant = given.remove(at);
        cases.push(Case::on_tape(
            "batch norm",
            "batchnorm/src/op.rs",
            name,
            given,
            move |p| {
                let mut all = p.to_vec();
                all.insert(at, p[0].tape().constant(constant.clone()));
                batchnorm::op::frozen_batch_norm(&all[0], &all[1], &all[2], moments.clone())
            },
        ));
    }
    for (trains, name) in [(true, "layer, training"), (false, "layer, evaluation")] {
        for affine in [true, false] {
            let name = if affine {
                name.to_owned()
            } else {
                format!("{name}, no affine")
            };
            cases.push(Case::own(
                "batch norm",
                "batchnorm/src/layer.rs",
                name.clone(),
                move || {
                    CheckLayer::new(&name, normal([3, 2, 2, 2], 1))
                        .training(trains)
                        .run(|| {
                            let mut layer = batchnorm::BatchNorm::new(2);
                            layer.set_running(RunningStats {
                                mean: normal([2], 4),
                                var: normal([2], 5).map(|x| 0.5 + x * x),
                                num_batches_tracked: 3,
                            });
                            if affine {
                                layer
                            } else {
                                layer.without_affine()
                            }
                        })
                },
            ));
        }
    }
}

fn layer(cases: &mut Vec<Case>) {
    let group = "layer norm";
    let shapes: [(&[usize], &[usize], &str); 4] = [
        (&[4, 5], &[5], "ND"),
        (&[3, 70], &[70], "ND"),
        (&[2, 3, 4], &[4], "NTD"),
        (&[3, 2, 2, 3], &[2, 2, 3], "NCHW"),
    ];
    for (shape, normalized, names) in shapes {
        let over = &names[names.len() - normalized.len()..];
        let title = format!("{} over {over}", axes(shape, names));
        cases.push(Case::on_tape(
            group,
            "layernorm/src/composed.rs",
            format!("composed {title}"),
            inputs(shape, normalized),
            |x| layernorm::composed::layer_norm(&x[0], &x[1], &x[2], EPS),
        ));
        let (given, name) = (inputs(shape, normalized), format!("staged {title}"));
        cases.push(Case::own(
            group,
            "layernorm/src/staged.rs",
            name.clone(),
            move || {
                check(&name, &["x", "gamma", "beta"], &given).run(
                    |v| layernorm::staged::forward(&v[0], &v[1], &v[2], EPS).y,
                    |v, dy| {
                        let forward = layernorm::staged::forward(&v[0], &v[1], &v[2], EPS);
                        let d = layernorm::staged::backward(&forward, &v[1], dy);
                        vec![d.dx, d.dgamma, d.dbeta]
                    },
                )
            },
        ));
        cases.push(Case::on_tape(
            group,
            "layernorm/src/op.rs",
            format!("fused {title}"),
            inputs(shape, normalized),
            |x| layernorm::layer_norm(&x[0], &x[1], &x[2], EPS),
        ));
    }
    // More rows than a block has, whose sums for gamma and beta are kept apart.
    cases.push(Case::on_tape(
        group,
        "layernorm/src/op.rs",
        "fused, two blocks of rows",
        inputs(&[ROWS_PER_BLOCK + 3, 3], &[3]),
        |x| layernorm::layer_norm(&x[0], &x[1], &x[2], EPS),
    ));
    cases.push(Case::on_tape(
        group,
        "layernorm/src/op.rs",
        "fused, plus x",
        inputs(&[4, 5], &[5]),
        |x| layernorm::layer_norm(&x[0], &x[1], &x[2], EPS) + &x[0],
    ));
    for (name, affine, beta) in [
        ("layer", true, true),
        ("layer, no beta", true, false),
        ("layer, no affine", false, false),
    ] {
        cases.push(Case::own(
            group,
            "layernorm/src/layer.rs",
            name,
            move || {
                CheckLayer::new(name, normal([4, 2, 3], 1)).run(|| {
                    let layer = layernorm::LayerNorm::new([2, 3]);
                    match (affine, beta) {
                        (true, true) => layer,
                        (true, false) => layer.without_beta(),
                        (false, _) => layer.without_affine(),
                    }
                })
            },
        ));
    }
}

fn rms(cases: &mut Vec<Case>) {
    let group = "rms norm";
    let shapes: [(&[usize], &[usize], &str); 3] = [
        (&[4, 5], &[5], "ND"),
        (&[3, 70], &[70], "ND"),
        (&[3, 2, 2, 3], &[2, 2, 3], "NCHW"),
    ];
    for (shape, normalized, names) in shapes {
        let over = &names[names.len() - normalized.len()..];
        let title = format!("{} over {over}", axes(shape, names));
        let given = || inputs(shape, normalized)[..2].to_vec();
        cases.push(Case::on_tape(
            group,
            "layernorm/src/rms/composed.rs",
            format!("composed {title}"),
            given(),
            |x| layernorm::rms::composed::rms_norm(&x[0], &x[1], EPS),
        ));
        let (inputs, name) = (given(), format!("staged {title}"));
        cases.push(Case::own(
            group,
            "layernorm/src/rms/staged.rs",
            name.clone(),
            move || {
                check(&name, &["x", "gamma"], &inputs).run(
                    |v| layernorm::rms::staged::forward(&v[0], &v[1], EPS).y,
                    |v, dy| {
                        let forward = layernorm::rms::staged::forward(&v[0], &v[1], EPS);
                        let d = layernorm::rms::staged::backward(&forward, &v[0], &v[1], dy);
                        vec![d.dx, d.dgamma]
                    },
                )
            },
        ));
        cases.push(Case::on_tape(
            group,
            "layernorm/src/rms/op.rs",
            format!("fused {title}"),
            given(),
            |x| layernorm::rms_norm(&x[0], &x[1], EPS),
        ));
    }
    cases.push(Case::on_tape(
        group,
        "layernorm/src/rms/op.rs",
        "fused, two blocks of rows",
        inputs(&[ROWS_PER_BLOCK + 3, 3], &[3])[..2].to_vec(),
        |x| layernorm::rms_norm(&x[0], &x[1], EPS),
    ));
    cases.push(Case::on_tape(
        group,
        "layernorm/src/rms/op.rs",
        "fused, plus x",
        inputs(&[4, 5], &[5])[..2].to_vec(),
        |x| layernorm::rms_norm(&x[0], &x[1], EPS) + &x[0],
    ));
    for (name, affine) in [("layer", true), ("layer, no affine", false)] {
        cases.push(Case::own(
            group,
            "layernorm/src/rms/layer.rs",
            name,
            move || {
                CheckLayer::new(name, normal([4, 2, 3], 1)).run(|| {
                    let layer = layernorm::RmsNorm::new([2, 3]);
                    if affine {
                        layer
                    } else {
                        layer.without_affine()
                    }
                })
            },
        ));
    }
}
