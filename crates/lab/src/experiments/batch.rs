//! Claim C6: Batch Norm degrades with small batches; with one example it fails.
//!
//! Every run sees the training part equally often, in more and smaller steps where batches are
//! small. Batch Norm refuses to train on one value per channel. That run is made all the same;
//! its message is the result, and counts as accuracy 0.
//!
//! # Why: what is left of a gradient
//! In training, Batch Norm's backward pass projects the upstream gradient of a channel onto
//! what is orthogonal to the ones and to x̂ (chapter 8), and scales it with γ/σ. Of a
//! gradient with no preferred direction a share of (N − 2)/N is left: nothing at all for
//! N = 2. This is measured on real batches of N digits, once for dy drawn from the normal
//! distribution, and once for the dy of the loss itself.

use batchnorm::{Layout, fused};
use nn::data::batches;
use nn::loss::cross_entropy;
use nn::{Layer, Pass};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor};

use crate::kit::*;

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    batches: Vec<usize>,
    projection: &'static str,
    projected_batches: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Of {
    #[serde(with = "as_text")]
    pub(crate) method: NormKind,
    pub(crate) batch: usize,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.method
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// For each method, the batch sizes in their order.
    pub(crate) settings: Vec<Cell<Of>>,
    projection: Vec<Left>,
}

/// What is left of a gradient, at one batch size.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Left {
    batch: usize,
    normal: Spread,
    loss: Spread,
}

impl Left {
    fn theory(&self) -> f64 {
        (self.batch as f64 - 2.0) / self.batch as f64
    }
}

impl Study for Asked {
    const CARD: Card = Card::new("batch", 11)
        .asks("small batches, down to one example")
        .claim(
            "C6",
            "Batch Norm degrades with small batches; with one example it fails.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                batch: None,
                ..Plan::mlp(&[64, 64, 64, 64, 10], pick(quick, 1, 8))
            },
            rates: pick(quick, vec![0.01, 0.1], decades(-5, 0)),
            rate_rule: Rule::Accuracy,
            own: Own {
                batches: pick(quick, vec![1, 2, 64], vec![1, 2, 4, 8, 16, 64]),
                projection: "mean over the channels of the first norm, before training, of \
                             |dx sigma/gamma|^2/|dy|^2, for dy normal and for the dy of the loss",
                projected_batches: pick(quick, 2, 10),
            },
            decision_rule: "degrades: test accuracy clearly below its own at the largest batch \
                            and clearly below that of Layer Norm at the same batch, by pairs of \
                            seeds. supported: Batch Norm degrades at batches of 2, and \
                            batches of 1 are refused; not supported: neither; else depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let sizes = &protocol.own.batches;
        let of = |method| sizes.iter().map(move |&batch| Of { method, batch });
        let settings: Vec<Of> = METHODS.into_iter().flat_map(of).collect();
        let projected: Vec<usize> = sizes.iter().copied().filter(|&b| b > 1).collect();
        let looks = projected.len() * session.seeds().len();
        session.begin(size(session, protocol, settings.len()) + looks)?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            let plan = protocol.plan.clone().batch(BatchSize::Fixed(of.batch));
            plan.norm(of.method).run(&data, rate, seed)
        })?;
        let key = |batch: &usize| format!("projection {batch}");
        let shares = session.by_seed(&projected, key, |&batch, seed| {
            project(protocol, &data.train, batch, seed)
        })?;
        let left = |(shares, &batch): (&Vec<[f64; 2]>, &usize)| Left {
            batch,
            normal: Spread::over(shares, |share| share[0]),
            loss: Spread::over(shares, |share| share[1]),
        };
        Ok(Results {
            settings,
            projection: shares.iter().zip(&projected).map(left).collect(),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let sizes = &protocol.own.batches;
        let rows: Vec<_> = results.settings.chunks(sizes.len()).collect();
        let [_, batch, layer] = rows[..] else {
            panic!("three methods are compared")
        };
        let degrades_at = degraded(batch, layer);
        let refusal = refused(batch);
        let by_batch = sizes.iter().enumerate().map(|(i, batch)| {
            let [none, norm, layer] = [0, 1, 2].map(|row| told(&rows[row][i]));
            let over_layer = rows[1][i].test_accuracy.against(&rows[2][i].test_accuracy);
            json!({ "batch": batch, "none": none, "batch_norm": norm, "layer_norm": layer,
                "batch_over_layer": over_layer })
        });
        let theory = results.projection.iter().map(Left::theory);
        let theory = theory.map(|share| json!({ "theory": share }));
        let at = |size: usize| format!("{} % at {size}", percent(test(batch, size).median));
        let lag = test(batch, 2).against(test(layer, 2));
        let largest = sizes[sizes.len() - 1];
        let degraded: Vec<String> = degrades_at.iter().map(usize::to_string).collect();
        let verdict = format!(
            "Batch Norm is clearly worse than with batches of {largest} and than Layer Norm at \
             batches of {} ({}, {}; against Layer Norm at 2 {}); batches of 1 {}.",
            list(&degraded),
            at(2),
            at(largest),
            points(lag),
            match &refusal {
                Some(_) => "are refused",
                None => "are not refused",
            }
        );
        Finding {
            answer: Some(Answer::of([degrades_at.contains(&2), refusal.is_some()])),
            derived: json!({
                "by_batch": by_batch.collect::<Vec<Value>>(),
                "degrades_at": degrades_at,
                "refusal": refusal,
                "projection": theory.collect::<Vec<Value>>(),
            }),
            charts: vec![
                ("accuracy".into(), accuracy_chart(&rows)),
                ("projection".into(), projection_chart(&results.projection)),
            ],
            verdict,
            table: tables(&rows, &results.projection),
        }
    }
}

/// The test accuracy of a method at one batch size.
fn test(row: &[Cell<Of>], size: usize) -> &Sample {
    let cell = row.iter().find(|cell| cell.of.batch == size);
    &cell.expect("the batch size is in the grid").test_accuracy
}

/// The batch sizes at which Batch Norm trains, yet clearly worse than at the largest and
/// than Layer Norm.
fn degraded(batch: &[Cell<Of>], layer: &[Cell<Of>]) -> Vec<usize> {
    let best = &batch.last().expect("there is a batch size").test_accuracy;
    let worse = batch.iter().zip(layer).filter(|(batch, layer)| {
        let below = |other: &Sample| batch.test_accuracy.seen_from(other) == Apart::Below;
        batch.of.batch > 1 && below(best) && below(&layer.test_accuracy)
    });
    worse.map(|(batch, _)| batch.of.batch).collect()
}

/// What Batch Norm said to batches of one example, if it refused all of them.
fn refused(batch: &[Cell<Of>]) -> Option<String> {
    let one = batch.iter().find(|cell| cell.of.batch == 1)?;
    // Whatever the rate.
    let somewhere = |at: &AtRate| !at.refused.is_empty();
    let refused = one.refused() && one.rates.iter().all(somewhere);
    refused.then(|| one.refused[0].clone())
}

/// The share of the energy of dy that is left in dx, for dy normal and for that of the loss.
fn project(protocol: &Protocol<Own>, train: &Examples<f32>, batch: usize, seed: u64) -> [f64; 2] {
    let rng = &mut StdRng::seed_from_u64(2 * seed);
    let spec = protocol.plan.spec().clone().norm(NormKind::Batch);
    let mlp = spec.build::<f32>(rng);
    let mut sums = [0.0; 2];
    let order = batches(train.len(), BatchSize::Fixed(batch), rng);
    let few = &order[..protocol.own.projected_batches];
    for numbers in few {
        let examples = train.pick(numbers);
        let mut before = None;
        let mut after = None;
        let (_, grads) = Tape::new().grad(|t| {
            let images = t.constant(examples.images.clone());
            let logits = mlp.forward(
                &images,
                &mut Pass::train().probed(&mut |name, value| match name.to_string().as_str() {
                    "layers.0.linear" => before = Some(value.value().clone()),
                    "layers.0.norm" => after = Some(value.watch()),
                    _ => {}
                }),
            );
            cross_entropy(&logits, &examples.labels)
        });
        let x = before.expect("the probe shows the input of the norm");
        let of_loss = grads.at(after.expect("the probe shows its output"));
        let normal = Tensor::randn(x.shape(), rng);
        for (sum, dy) in sums.iter_mut().zip([normal, of_loss]) {
            *sum += share(&x, &dy) / few.len() as f64;
        }
    }
    sums
}

/// The mean over channels of `|dx σ|²/|dy|²`, for γ = 1. Channels that no gradient
/// reaches, behind a ReLU that is off for the whole batch, have no share.
fn share(x: &Tensor<f32>, dy: &Tensor<f32>) -> f64 {
    let (x, dy) = (x.cast::<f64>(), dy.cast::<f64>());
    let layout = Layout::of(x.shape());
    let channels = layout.channels;
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    let mut out = vec![0.0; x.len()];
    // No eps: the projection in its pure form.
    let moments = fused::forward(&layout, x.data(), &ones, &zeros, 0.0, &mut out);
    let batch = fused::Batch {
        layout: &layout,
        x: x.data(),
        gamma: &ones,
        moments: &moments,
    };
    fused::backward(batch, Some(dy.data()), &mut out);
    let energy = |data: &[f64], c: usize| {
        let values = data.iter().skip(c).step_by(channels);
        values.map(|value| value * value).sum::<f64>()
    };
    let shares: Vec<f64> = (0..channels)
        .filter(|&c| energy(dy.data(), c) > 0.0)
        .map(|c| energy(&out, c) / (moments.rstd[c].powi(2) * energy(dy.data(), c)))
        .collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}

/// The test accuracy, or that there is none.
fn told(cell: &Cell<Of>) -> String {
    match cell.refused() {
        true => "refused".to_owned(),
        false => percent_range(*cell.test_accuracy),
    }
}

fn accuracy_chart(rows: &[&[Cell<Of>]]) -> Chart {
    // A refused run has no accuracy to draw.
    let point = |cell: &Cell<Of>| {
        let trained = (!cell.refused()).then_some(*cell.test_accuracy);
        (cell.of.batch as f64, trained)
    };
    let of = |row: &&[Cell<Of>]| row[0].line(row.iter().map(point).collect());
    Chart::of(
        "Test accuracy over the batch size",
        "The accuracy on the test part after equally many examples in batches of different \
         sizes, without norm, with Batch Norm and with Layer Norm, each at the rate that \
         validation picks: median and quartiles over the seeds. Batch Norm has no point at \
         batches of 1, which it refuses.",
        rows.iter().map(of),
    )
    .x(batch_sizes)
    .y(|low, _| accuracy("test accuracy", low, 10.0))
}

fn projection_chart(left: &[Left]) -> Chart {
    let of = |name, ink, of: fn(&Left) -> Spread| {
        let points = left.iter().map(|left| (left.batch as f64, Some(of(left))));
        Line::new(name, ink, points.collect())
    };
    Chart::of(
        "What Batch Norm's backward pass leaves of a gradient",
        "The share of the energy of the upstream gradient that is left after the projection, over \
         the batch size N: for random gradients, for those of the loss, and (N − 2)/N.",
        [
            of("random dy", Ink::Batch, |left| left.normal),
            of("dy of the loss", Ink::Noise, |left| left.loss),
            of("(N − 2)/N", Ink::Theory, |left| {
                Spread::exactly(left.theory())
            }),
        ],
    )
    .x(batch_sizes)
    .y(|_, _| Axis::linear("share of the energy left", 0.0, 1.0))
}

fn tables(rows: &[&[Cell<Of>]], left: &[Left]) -> String {
    let sizes: Vec<String> = rows[0]
        .iter()
        .map(|cell| cell.of.batch.to_string())
        .collect();
    let accuracies = Table::wide("batch", -12, &sizes, 24).rows(rows, |row| {
        let name = row[0].of.name();
        [name].into_iter().chain(row.iter().map(told))
    });
    let left = left.iter().map(|left| {
        let Left {
            batch,
            normal,
            loss,
        } = left;
        let (normal, loss) = (normal.median, loss.median);
        format!(
            "{batch:>34}{normal:>11.3}{loss:>16.3}{:>9.3}\n",
            left.theory()
        )
    });
    let heading = "\nshare of the energy of dy left:  N  random dy  dy of the loss  (N-2)/N\n";
    format!("{accuracies}{heading}{}", left.collect::<String>())
}
