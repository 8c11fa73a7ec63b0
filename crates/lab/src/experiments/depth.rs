//! What depth does to the signal and to the gradient before the first step, and what can be
//! predicted of it.
//!
//! Nothing is trained. A batch of digits goes through a stack of equal blocks, the cross-entropy
//! is differentiated, and what is looked at is the value in front of each block and the gradient
//! that arrives there: their root mean squares, and the share of the signal's mean square that
//! differs from example to example.
//!
//! *Predicted.* With weights of variance g²/n a block multiplies the mean square of the gradient
//! by g²/2 without norm, and by g²/2 over the variance that the norm divides by with one (chapter
//! 10 derives it). In a plain stack that variance is g² times the variance of a ReLU of what was
//! normalized before: over the batch (π − 1)/2π for Batch Norm, and over the units, where the mean
//! counts in, 1/2 for Layer Norm. So g cancels: the factors are π/(π − 1) and 1. In a residual
//! stack a block adds that much to the variance of the stream, and 1 to the factor. What the
//! stream has in front of the first block is measured.

use std::f64::consts::PI;

use nn::loss::cross_entropy;
use nn::{Layer, Pass};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor, Var};

use crate::kit::*;
use crate::moments::{Moments, rms, size_of};
use crate::stack::{BLOCKS, Deep, Form, Sizes};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    #[serde(flatten)]
    data: Data,
    examples: usize,
    #[serde(flatten)]
    sizes: Sizes,
    network: &'static str,
    loss: &'static str,
    /// From the gradient behind the second to that in front of the first.
    between_blocks: [usize; 2],
    predicted: &'static str,
    agrees_within: f64,
    decision_rule: &'static str,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    settings: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    /// By this name a chapter finds it.
    cell: String,
    #[serde(flatten)]
    of: Deep,
    /// The root mean square in front of each block, and behind the last.
    signal: Vec<Spread>,
    /// The share of its square that differs from example to example.
    differs: Vec<Spread>,
    /// The root mean square of the gradient there, over that behind the last block.
    gradient: Vec<Spread>,
    /// By how much the gradient grows from each block to the one before it, on average.
    growth: Sample,
    predicted: Sample,
}

/// What is seen from one seed, place by place.
#[derive(Serialize, Deserialize)]
struct Seen {
    signal: Vec<f64>,
    differs: Vec<f64>,
    gradient: Vec<f64>,
}

impl Study for Asked {
    const CARD: Card = Card::new("depth", 10)
        .asks("signal and gradient through fifty blocks before the first step");

    type Protocol = Own;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Own {
            data: Data {
                set: Set::Small,
                first: None,
            },
            examples: pick(quick, 32, 256),
            sizes: Sizes {
                inputs: 64,
                width: pick(quick, 16, 128),
                blocks: pick(quick, 6, 50),
                outputs: 10,
            },
            network: BLOCKS,
            loss: "cross-entropy of the first training examples, in training mode, before any step",
            between_blocks: pick(quick, [1, 5], [10, 40]),
            predicted: "plain: g/sqrt(2) without norm, sqrt(pi/(pi - 1)) with Batch Norm, 1 with \
                        Layer Norm; residual: the root of 1 + (g^2/2)/v, block by block, with v \
                        1 without norm and the variance of the stream with one, which grows by \
                        g^2 (pi - 1)/(2 pi) a block with Batch Norm and by g^2/2 with Layer Norm \
                        from what is measured in front of the first",
            agrees_within: 0.02,
            decision_rule: "growth: the geometric mean, over the blocks between the two, of the \
                            factor by which the gradient's root mean square grows. The prediction \
                            agrees if the whole interval of measured over predicted, seed by \
                            seed, is within agrees_within of 1",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.data.load()?;
        let batch = data.train.pick(&(0..protocol.examples).collect::<Vec<_>>());
        let settings = all();
        session.begin(settings.len() * session.seeds().len())?;
        let seen = session.by_seed(&settings, Deep::key, |of, seed| {
            look(*of, protocol.sizes, &batch, seed)
        })?;
        let row = |(of, seen): (Deep, Vec<Seen>)| Row::new(of, &seen, protocol);
        let settings = settings.into_iter().zip(seen).map(row).collect();
        Ok(Results { settings })
    }

    fn read(protocol: &Self::Protocol, Results { settings }: &Results) -> Finding {
        let agrees = |row: &Row| row.agrees(protocol.agrees_within);
        let derived = settings.iter().map(|row| {
            json!({ "named": format!("{}, {}", row.of.form, row.of.name()),
                "over_predicted": row.growth.over_that_of(&row.predicted), "agrees": agrees(row) })
        });
        let told = |row: &Row| {
            format!(
                "{} {:.3} ({:.3})",
                row.of.name(),
                row.growth.median,
                row.predicted.median
            )
        };
        let form = |form: Form| {
            let of = settings.iter().filter(|row| row.of.form == form);
            list(&of.map(told).collect::<Vec<_>>())
        };
        let agreeing = settings.iter().filter(|row| agrees(row)).count();
        let [first, last] = protocol.between_blocks;
        let table = table(
            settings,
            &[
                ("", -10, &|row| row.of.form.to_string()),
                ("", -26, &|row| row.of.name()),
                ("growth", 8, &|row| format!("{:.3}", row.growth.median)),
                ("predicted", 12, &|row| {
                    format!("{:.3}", row.predicted.median)
                }),
                ("measured over predicted", 30, &|row| {
                    times(row.growth.over_that_of(&row.predicted))
                }),
                ("differs at the end", 20, &|row| {
                    format!("{:.3}", row.differs.last().map_or(0.0, |s| s.median))
                }),
            ],
        );
        Finding {
            derived: json!({ "settings": derived.collect::<Vec<Value>>() }),
            charts: vec![
                ("plain".into(), gradients(settings, Form::Plain, protocol)),
                (
                    "residual".into(),
                    gradients(settings, Form::Residual, protocol),
                ),
                ("differs".into(), differs(settings)),
            ],
            answer: None,
            verdict: format!(
                "From block {last} down to block {first} the gradient grows from each block to the \
                 one before it by these factors, with the predicted ones in brackets. Plain: {}. \
                 Residual: {}. Of {} predictions {agreeing} agree within {} %.",
                form(Form::Plain),
                form(Form::Residual),
                settings.len(),
                100.0 * protocol.agrees_within,
            ),
            table,
        }
    }
}

/// Both forms, with each norm from each start.
fn all() -> Vec<Deep> {
    let mut all = Vec::new();
    for form in [Form::Plain, Form::Residual] {
        for method in METHODS {
            all.extend([Start::Usual, Start::He].map(|start| Deep {
                form,
                method,
                start,
            }));
        }
    }
    all
}

fn look(of: Deep, sizes: Sizes, batch: &Examples<f32>, seed: u64) -> Seen {
    let stack = of.build(sizes, &mut StdRng::seed_from_u64(2 * seed));
    let mut watched = Vec::new();
    let (_, grads) = Tape::new().grad(|t| {
        let mut look = |name: &str, value: &Var<'_, f32>| {
            if name == "stream" {
                watched.push((value.value().clone(), value.watch()));
            }
        };
        let pass = &mut Pass::train().probed(&mut look);
        let logits = stack.forward(&t.constant(batch.images.clone()), pass);
        cross_entropy(&logits, &batch.labels)
    });
    let gradients: Vec<f64> = watched
        .iter()
        .map(|(_, at)| size_of(&grads.at(*at)))
        .collect();
    let end = gradients[sizes.blocks];
    let differs = |(x, _): &(Tensor<f32>, _)| (rms(Moments::of(x).deviation) / size_of(x)).powi(2);
    Seen {
        signal: watched.iter().map(|(x, _)| size_of(x)).collect(),
        differs: watched.iter().map(differs).collect(),
        gradient: gradients.iter().map(|g| g / end).collect(),
    }
}

/// The growth of the gradient from the block at `last` down to the one at `first`, as theory has
/// it, for a stream that begins like this.
fn predicted(of: Deep, [first, last]: [usize; 2], seen: &Seen) -> f64 {
    let half = of.start.squares_through_relu();
    // The share of that which a norm sees: what differs over the batch, or all of it.
    let sees = match of.method {
        NormKind::Batch => (PI - 1.0) / PI,
        _ => 1.0,
    };
    let begins = seen.signal[0].powi(2)
        * match of.method {
            NormKind::Batch => seen.differs[0],
            _ => 1.0,
        };
    let through = |block: usize| match (of.form, of.method) {
        (Form::Plain, NormKind::None) => half,
        (Form::Plain, _) => 1.0 / sees,
        (_, NormKind::None) => 1.0 + half,
        _ => 1.0 + half / (begins + half * sees * block as f64),
    };
    let squares: f64 = (first..last).map(through).product();
    squares.powf(0.5 / (last - first) as f64)
}

impl Row {
    fn new(of: Deep, seen: &[Seen], protocol: &Own) -> Self {
        let between @ [first, last] = protocol.between_blocks;
        let growth = |seen: &Seen| {
            (seen.gradient[first] / seen.gradient[last]).powf(1.0 / (last - first) as f64)
        };
        let places = |of: fn(&Seen) -> &[f64]| {
            let at = |place: usize| Spread::over(seen, |seen| of(seen)[place]);
            (0..=protocol.sizes.blocks).map(at).collect()
        };
        Row {
            cell: of.key(),
            of,
            signal: places(|seen| &seen.signal),
            differs: places(|seen| &seen.differs),
            gradient: places(|seen| &seen.gradient),
            growth: Sample::over(seen, growth),
            predicted: Sample::over(seen, |seen| predicted(of, between, seen)),
        }
    }

    fn agrees(&self, within: f64) -> bool {
        let ratio = self.growth.over_that_of(&self.predicted);
        ratio.low > 1.0 - within && ratio.high < 1.0 + within
    }

    fn line(&self, of: &[Spread], [least, most]: [f64; 2]) -> Line {
        let seen = |(place, spread): (usize, &Spread)| {
            (
                place as f64,
                Some(*spread).filter(|s| s.low >= least && s.high <= most),
            )
        };
        let points = of.iter().enumerate().map(seen).collect();
        Line::new(self.of.name(), self.of.ink(), points)
    }
}

/// Those that a chart shows: all but the norms from He's weights in a plain stack, which lie where
/// the others do.
fn shown(settings: &[Row], form: Form) -> impl Iterator<Item = &Row> {
    let twice = move |row: &&Row| row.of.start == Start::He && row.of.method != NormKind::None;
    let of = settings.iter().filter(move |row| row.of.form == form);
    of.filter(move |row| form != Form::Plain || !twice(row))
}

fn gradients(settings: &[Row], form: Form, protocol: &Own) -> Chart {
    // Beyond these a line leaves the chart.
    let (least, most) = (1e-6, 1e6);
    let lines = shown(settings, form).map(|row| row.line(&row.gradient, [least, most]));
    let about = format!(
        "The root mean square of the gradient in front of each block of a {form} stack, over that \
         behind the last, before the first step: without norm, with Batch Norm and with Layer \
         Norm, median and quartiles over the seeds; and the growth that theory has for Batch Norm."
    );
    let blocks = protocol.sizes.blocks as f64;
    let chart = Chart::of("The gradient on its way back", about, lines)
        .x(|_, last| Axis::linear("block", 0.0, last))
        .y(|low, high| {
            Axis::log(
                "gradient, over that at the end",
                (0.5 * low).max(least),
                (2.0 * high).min(most),
            )
        });
    match form {
        Form::Plain => {
            let factor = (PI / (PI - 1.0)).sqrt();
            let ends = [0.0, blocks].map(|at| (at, factor.powf(blocks - at)));
            chart.line("1.21 a block", Ink::Theory, ends)
        }
        _ => chart,
    }
}

fn differs(settings: &[Row]) -> Chart {
    let least = 1e-9;
    let lines = shown(settings, Form::Plain).map(|row| row.line(&row.differs, [least, 1.0]));
    Chart::of(
        "What differs from example to example",
        "The share of the signal's mean square in front of each block of a plain stack that \
         differs from example to example, before the first step: without norm, with Batch Norm and \
         with Layer Norm, median and quartiles over the seeds.",
        lines,
    )
    .x(|_, last| Axis::linear("block", 0.0, last))
    .y(|low, _| Axis::log("share that differs between examples", 0.5 * low, 1.0))
}
