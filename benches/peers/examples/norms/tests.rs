//! The judge before layers whose mistake is known, because it was put there.

use crate::in_candle::{self, trained};
use crate::judged::{Data, Mark, Row, judge, judge_op};
use crate::known::{KNOWN, Known, news};
use crate::layer::{Inputs, Layer, Op, Outputs, Result};
use crate::{Survey, version};
use candle_core::{D, Tensor};
use gradcheck::attribution::norm::Norm;

fn layer(norm: Norm, call: fn(&Inputs) -> Result<Outputs>) -> Layer {
    Layer {
        framework: "candle",
        name: "made here",
        norm,
        trains: true,
        call,
        fresh: None,
    }
}

/// Layer Norm out of candle's tensors. A statistic that is detached sends no gradient back.
fn layer_norm(i: &Inputs, forget_mean: bool, forget_variance: bool) -> Result<Outputs> {
    let kept = |t: Tensor, forget: bool| if forget { t.detach() } else { t };
    trained(i, |x, gamma, beta| {
        let mean = kept(x.mean_keepdim(D::Minus1)?, forget_mean);
        let off = x.broadcast_sub(&mean)?;
        let var = kept(off.sqr()?.mean_keepdim(D::Minus1)?, forget_variance);
        let x_hat = off.broadcast_div(&(var + i.eps)?.sqrt()?)?;
        x_hat.broadcast_mul(&gamma)?.broadcast_add(&beta)
    })
}

/// What is found in a layer, as pairs of what it is about and its slug.
fn found(row: &Row) -> Vec<(&str, &str)> {
    row.findings
        .iter()
        .map(|f| (f.about, f.id.as_str()))
        .collect()
}

const ROW: Norm = Norm::Layer { normalized: 1 };

#[test]
fn a_route_that_is_forgotten_gets_its_name() {
    let forgetful: [(fn(&Inputs) -> Result<Outputs>, &str); 2] = [
        (|i| layer_norm(i, true, false), "mean-path-missing"),
        (|i| layer_norm(i, false, true), "variance-path-missing"),
    ];
    for (call, id) in forgetful {
        for data in [Data::Double, Data::Single] {
            let row = judge(&layer(ROW, call), data);
            assert_eq!(found(&row), [("dx", id)], "{data:?}");
            assert_eq!(row.mark_of("y"), Mark::Right);
            assert_eq!(row.mark_of("dgamma"), Mark::Right);
            if data == Data::Double {
                assert_eq!(row.differences, "disagree");
            }
        }
    }
}

#[test]
fn the_same_layer_with_all_its_routes_is_right() {
    for data in Data::ALL {
        let row = judge(&layer(ROW, |i| layer_norm(i, false, false)), data);
        assert!(row.findings.is_empty(), "{data:?}: {:?}", row.findings);
        assert_eq!(row.mark_of("dx"), Mark::Right);
    }
    let double = judge(&layer(ROW, |i| layer_norm(i, false, false)), Data::Double);
    assert_eq!(double.differences, "agree");
}

/// Batch Norm as candle has it, whose running statistics somebody then changes.
fn with_running(
    i: &Inputs,
    change: impl Fn(&Inputs, Vec<f64>, Vec<f64>) -> (Vec<f64>, Vec<f64>),
) -> Result<Outputs> {
    let layers = in_candle::layers();
    let right = layers.iter().find(|layer| layer.name == "BatchNorm");
    let mut outputs = (right.expect("candle has one").call)(i)?;
    let (mean, var) = outputs.running.take().expect("it keeps them");
    outputs.running = Some(change(i, mean, var));
    Ok(outputs)
}

#[test]
fn running_statistics_have_their_mistakes_too() {
    let row = judge(
        &layer(Norm::Batch, |i| {
            with_running(i, |i, mean, var| {
                let m = (i.x.len() / i.gamma.len()) as f64;
                let biased = |(new, old): (&f64, &f64)| {
                    let kept = (1.0 - i.momentum) * old;
                    kept + (new - kept) * (m - 1.0) / m
                };
                (mean, var.iter().zip(&i.running_var).map(biased).collect())
            })
        }),
        Data::Single,
    );
    assert_eq!(found(&row), [("running_var", "biased")]);
    let row = judge(
        &layer(Norm::Batch, |i| {
            with_running(i, |i, mean, var| {
                let swapped = |(new, old): (&f64, &f64)| {
                    let batch = (new - (1.0 - i.momentum) * old) / i.momentum;
                    i.momentum * old + (1.0 - i.momentum) * batch
                };
                (mean.iter().zip(&i.running_mean).map(swapped).collect(), var)
            })
        }),
        Data::Single,
    );
    assert_eq!(found(&row), [("running_mean", "momentum-swapped")]);
    let row = judge(
        &layer(Norm::Batch, |i| {
            with_running(i, |i, mean, _| (mean, i.running_var.clone()))
        }),
        Data::Single,
    );
    let [(about, id)] = found(&row)[..] else {
        panic!("{:?}", row.findings)
    };
    assert_eq!(about, "running_var");
    assert!(id.contains("batch-missing"), "{id}");
}

#[test]
fn a_gradient_that_is_divided_by_the_size_of_a_window_is_told_from_another_that_is_wrong() {
    // The right one, by a reshape; a third of it, which is no window's; and a constant besides.
    fn max_pool(
        op: &Op,
        x: &[f64],
        dy: &[f64],
        factor: f64,
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let x =
            candle_core::Var::from_tensor(&in_candle::tensor(x, op.shape, diagnose::Dtype::F64)?)?;
        let (n, c, h, w) = x.dims4()?;
        let y = x.reshape(&[n, c, h / 2, 2, w / 2, 2])?.max(5)?.max(3)?;
        let dy = in_candle::tensor(dy, op.output, diagnose::Dtype::F64)?;
        let grads = (&y * dy)?.sum_all()?.backward()?;
        let dx = grads
            .get(&x)
            .expect("max has a gradient")
            .affine(factor, 0.0)?;
        Ok((in_candle::values(&y)?, Some(in_candle::values(&dx)?)))
    }
    let op = |call| Op {
        framework: "candle",
        name: "made here",
        shape: &[2, 3, 4, 6],
        output: &[2, 3, 2, 3],
        call,
    };
    assert!(judge_op(&op(|op, x, dy| max_pool(op, x, dy, 1.0))).is_ok());
    let quarter = judge_op(&op(|op, x, dy| max_pool(op, x, dy, 0.25))).unwrap_err();
    assert_eq!(quarter.id, "gradient-divided", "{}", quarter.sentence);
    let third = judge_op(&op(|op, x, dy| max_pool(op, x, dy, 1.0 / 3.0))).unwrap_err();
    assert_ne!(third.id, "gradient-divided", "{}", third.sentence);
}

#[test]
fn what_is_known_is_all_that_is_found() {
    let findings = Survey::of_all().findings();
    let (new, gone) = news(&findings, KNOWN);
    assert!(new.is_empty(), "found and not known: {new:#?}");
    assert!(gone.is_empty(), "known and not found: {gone:#?}");
    // Something mended, and something broken, would be told.
    let (new, _) = news(&findings, &KNOWN[1..]);
    assert!(!new.is_empty());
    let mended = Known {
        id: "mended",
        ..KNOWN[0]
    };
    let (_, gone) = news(&findings, std::slice::from_ref(&mended));
    assert_eq!(gone.len(), 1);
}

#[test]
fn the_versions_are_those_of_the_lock_file() {
    for name in ["candle-nn", "burn"] {
        let version = version(name);
        assert_eq!(version.split('.').count(), 3, "{name}: {version}");
    }
}
