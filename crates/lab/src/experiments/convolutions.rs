//! Claim C5 in a deeper network: ten convolutions, plain and residual.
//!
//! The CNNs of `cnn` and `convergence` have two convolutions, which train well without any norm
//! from He's weights. What depth does to a norm was measured in stacks of linear layers (`depth`,
//! `residual`). Here stacks of convolutions learn the digits of 8 x 8 pixels: the first
//! convolution, blocks of norm, ReLU and convolution, plain or with the block's input added to it,
//! and in between a max-pool. The network without a norm starts from He's weights; the residual one
//! can do without a norm by SkipInit too, a scalar on each branch that starts at 0.
//!
//! *Small batches* see as many steps as large ones, and so fewer examples. That complements `cnn`,
//! where they see as many examples and make more steps (Hoffer et al., 2017): what large batches
//! are worth is a question with two answers.

use crate::baseline::nearest_mean;
use crate::kit::*;
use crate::stack::{CONV_BLOCKS, ConvSizes, Deep, Form};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    #[serde(flatten)]
    sizes: ConvSizes,
    network: &'static str,
    skip_init: &'static str,
    large: Batches,
    small: Batches,
    expected: &'static str,
}

/// Batches of a size, and epochs that make about as many steps of either.
#[derive(Clone, Copy, Serialize)]
struct Batches {
    batch: usize,
    epochs: usize,
}

/// A stack, and the examples in a batch.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Of {
    #[serde(flatten)]
    deep: Deep,
    batch: usize,
}

impl Setting for Of {
    fn method(&self) -> NormKind {
        self.deep.method
    }

    fn start(&self) -> Start {
        self.deep.start
    }

    fn name(&self) -> String {
        match self.deep.form {
            Form::SkipInit => "SkipInit".to_owned(),
            _ => name(self.deep.method).to_owned(),
        }
    }

    fn ink(&self) -> Ink {
        match self.deep.form {
            Form::SkipInit => self.deep.ink(),
            _ => ink(self.deep.method),
        }
    }
}

const NORMS: [NormKind; 4] = [
    NormKind::None,
    NormKind::Batch,
    NormKind::Layer,
    NormKind::Group(4),
];

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Cell<Of>>,
    nearest_mean: f64,
}

impl Study for Asked {
    const CARD: Card = Card::new("convolutions", 10)
        .asks("ten convolutions, plain and residual, with four norms and SkipInit");

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan {
                network: None,
                batch: None,
                score_each: Some(6),
                target: Some(0.9),
                curves: vec![Curve::ValidationAccuracy],
                ..Plan::mlp(&[], pick(quick, 1, 8))
            },
            rates: pick(
                quick,
                vec![0.01],
                vec![0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
            ),
            rate_rule: Rule::Accuracy,
            own: Own {
                sizes: ConvSizes {
                    side: 8,
                    channels: pick(quick, 4, 8),
                    blocks: pick(quick, 3, 9),
                    blocks_before_pool: pick(quick, 1, 2),
                    outputs: 10,
                },
                network: CONV_BLOCKS,
                skip_init: "no norm, and each branch times a learned scalar that starts at 0",
                large: Batches {
                    batch: 64,
                    epochs: pick(quick, 1, 8),
                },
                small: Batches {
                    batch: 8,
                    epochs: 1,
                },
                expected: "plain, no norm trains from He's weights but is slower than each norm; \
                           Batch Norm is the fastest. Residual, no norm is behind, since its \
                           signal doubles in mean square with each block, and SkipInit is not. \
                           Differences in final accuracy between the three norms are not clear. \
                           After as many steps each norm is better with large batches than with \
                           small ones, and Batch Norm gains the most by them",
            },
            decision_rule: "clear differences by pairs of seeds, in test accuracy, with large \
                            batches: well: Batch Norm above no norm, for plain and for residual; \
                            particularly: and above Layer Norm and Group Norm; with large batches: \
                            residual, what Batch Norm gains from small batches to large ones is \
                            clearly more than what Layer Norm and what Group Norm gain. Steps to \
                            the target are compared by ratios",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let Protocol { plan, own, .. } = protocol;
        let data = plan.data.load()?;
        let settings = all(own);
        session.begin(size(session, protocol, settings.len()))?;
        let settings = cells(session, protocol, &settings, |of, rate, seed| {
            let Batches { batch, epochs } = match of.batch == own.small.batch {
                true => own.small,
                false => own.large,
            };
            let plan = Plan {
                epochs,
                ..plan.clone().batch(BatchSize::Fixed(batch))
            };
            let build = |rng: &mut _| of.deep.build_conv(own.sizes, rng);
            plan.trained(build, &data, rate, seed).1.into()
        })?;
        Ok(Results {
            settings,
            nearest_mean: nearest_mean(&data),
        })
    }

    fn read(protocol: &Self::Protocol, results: &Results) -> Finding {
        let own = &protocol.own;
        let [large, small] = [own.large.batch, own.small.batch];
        let find = |form, method, batch| {
            let is = |cell: &&Cell<Of>| {
                let Of { deep, batch: of } = cell.of;
                deep.form == form && deep.method == method && of == batch
            };
            let cell = results.settings.iter().find(is);
            cell.expect("the protocol names its settings")
        };
        let forms = [Form::Plain, Form::Residual];
        let compared = forms.map(|form| {
            let one = find(form, NormKind::Batch, large);
            let mut others = [NormKind::None, NormKind::Layer, NormKind::Group(4)]
                .map(|method| find(form, method, large))
                .to_vec();
            if form == Form::Residual {
                others.push(find(Form::SkipInit, NormKind::None, large));
            }
            let by = |other: &Cell<Of>| Compared {
                stack: form,
                other: other.of.name(),
                accuracy: one.test_accuracy.against(&other.test_accuracy),
                steps: one.to_target().over_that_of(other.to_target()),
            };
            others.into_iter().map(by).collect::<Vec<_>>()
        });
        let gains = NORMS.map(|method| {
            let [large, small] =
                [large, small].map(|batch| &find(Form::Residual, method, batch).test_accuracy);
            let pairs = large.by_seed().iter().zip(small.by_seed());
            let gains: Vec<f64> = pairs.map(|(large, small)| large - small).collect();
            (method, Sample::over(&gains, |gain| *gain))
        });
        let [_, (_, of_batch), of_others @ ..] = &gains;
        let over = of_others
            .iter()
            .map(|(method, gain)| (name(*method).to_owned(), of_batch.against(gain)));
        let over: Vec<(String, Paired)> = over.collect();
        let above = |by: &Paired| by.apart() == Apart::Above;
        let well = compared.iter().all(|of| above(&of[0].accuracy));
        let particularly = well
            && compared
                .iter()
                .all(|of| of[1..3].iter().all(|of| above(&of.accuracy)));
        let with_large = over.iter().all(|(_, by)| above(by));
        let told = compared.iter().map(|of| {
            let words = [
                "clearly below",
                "not clearly different from",
                "clearly above",
            ];
            let accuracies = of.iter().map(|of| (of.other.clone(), of.accuracy));
            let sooner = [
                "clearly sooner than",
                "not clearly sooner or later than",
                "clearly later than",
            ];
            let steps = of.iter().map(|of| (of.other.clone(), of.steps));
            format!(
                "{}, Batch Norm is in test accuracy {}; in steps to {} % {}",
                of[0].stack,
                by_outcome(words, points, accuracies),
                percent(protocol.plan.target.unwrap_or_default()),
                by_outcome(sooner, times, steps)
            )
        });
        let told = told.collect::<Vec<_>>().join(". ");
        let gain = |(method, gain): &(NormKind, Sample)| {
            let nothing = gain.map(|_| 0.0);
            format!("{} {}", name(*method), points(gain.against(&nothing)))
        };
        let table = table(
            &results.settings,
            &[
                ("", -10, &|cell| cell.of.deep.form.to_string()),
                ("", -12, &|cell| cell.of.name()),
                ("batches of", 12, &|cell| cell.of.batch.to_string()),
                ("rate", 7, &|cell| cell.chosen_rate.to_string()),
                ("test accuracy", 26, &|cell| {
                    percent_range(*cell.test_accuracy)
                }),
                ("steps to 90 %", 24, &|cell| count_range(**cell.to_target())),
            ],
        );
        let named = results.settings.iter().map(|cell| {
            let Of { deep, .. } = cell.of;
            json!({ "stack": deep.form.to_string(), "named": cell.of.name() })
        });
        let chart = |forms: &[Form], title: &str| {
            let of = results
                .settings
                .iter()
                .filter(|cell| forms.contains(&cell.of.deep.form) && cell.of.batch == large);
            guessing(rates_chart(
                title,
                "The accuracy on the validation part after the last epoch at each learning rate: \
                 median and quartiles over the seeds that pick a rate; a run that diverged counts \
                 as 0. Guessing gets a tenth right."
                    .into(),
                of.map(|cell| cell.line(cell.over_rates())),
            ))
        };
        Finding {
            derived: json!({ "settings": named.collect::<Vec<Value>>(),
                "well": well, "particularly": particularly, "with_large_batches": with_large,
                "compared": compared.concat(),
                "gains": gains.iter().map(|(method, gain)| json!({ "named": name(*method),
                    "gain": gain.against(&gain.map(|_| 0.0)) })).collect::<Vec<Value>>(),
                "gains_over": over.iter().map(|(other, by)| json!({ "other": other, "by": by }))
                    .collect::<Vec<Value>>() }),
            charts: vec![
                (
                    "plain".into(),
                    chart(&[Form::Plain], "Ten convolutions, plain"),
                ),
                (
                    "residual".into(),
                    chart(
                        &[Form::Residual, Form::SkipInit],
                        "Ten convolutions, residual",
                    ),
                ),
                (
                    "steps".into(),
                    steps(&results.settings, large, results.nearest_mean),
                ),
            ],
            answer: None,
            verdict: format!(
                "{told}. From batches of {small} to batches of {large}, after as many steps, residual \
                 stacks gain {}.",
                list(&gains.each_ref().map(gain))
            ),
            table,
        }
    }
}

/// Batch Norm beside another.
#[derive(Clone, Serialize)]
struct Compared {
    stack: Form,
    other: String,
    accuracy: Paired,
    steps: Paired,
}

/// Plain and residual stacks with each norm and SkipInit in large batches, and the residual ones
/// in small batches.
fn all(own: &Own) -> Vec<Of> {
    let stacks = |form, batch| {
        NORMS.map(|method| Of {
            deep: Deep {
                form,
                method,
                start: Start::He,
            },
            batch,
        })
    };
    let (large, small) = (own.large.batch, own.small.batch);
    let skip_init = Of {
        deep: Deep {
            form: Form::SkipInit,
            method: NormKind::None,
            start: Start::He,
        },
        batch: large,
    };
    [
        &stacks(Form::Plain, large)[..],
        &stacks(Form::Residual, large),
        &[skip_init],
        &stacks(Form::Residual, small),
    ]
    .concat()
}

/// The validation accuracy over the steps of training, of plain stacks.
fn steps(settings: &[Cell<Of>], large: usize, nearest: f64) -> Chart {
    let of = settings
        .iter()
        .filter(|cell| cell.of.deep.form == Form::Plain && cell.of.batch == large);
    let lines = of.map(|cell| Line {
        name: cell.name_and_rate(),
        ..cell.line(cell.curve(Curve::ValidationAccuracy, 6.0))
    });
    Chart::of(
        "Ten convolutions over training",
        "The validation accuracy of plain stacks of ten convolutions over the steps of training, \
         each at the rate that validation picks, and the accuracy of the nearest class mean, which \
         needs no network: median and quartiles over the seeds.",
        lines,
    )
    .x(|first, last| Axis::linear("steps", first.min(1.0), last))
    .y(|_, _| Axis::linear("validation accuracy", 0.0, 1.0))
    .level("nearest class mean", Ink::Theory, Spread::exactly(nearest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_make_as_many_steps_as_large_ones() {
        let Protocol { plan, own, .. } = Asked::protocol(false);
        let train = plan
            .data
            .load()
            .expect("it comes with the crate")
            .train
            .len();
        let steps = |of: Batches| (train / of.batch * of.epochs) as f64;
        let ratio = steps(own.small) / steps(own.large);
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }
}
