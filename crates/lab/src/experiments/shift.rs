//! Claim C1: without normalization the distribution of a layer's inputs shifts as training
//! goes on; normalization keeps it near mean 0 and deviation 1.
//!
//! Each method is trained once more from every seed at its rate, and stopped at powers of two
//! to look at what goes into the last ReLU (after the norm, with its γ and β): mean and
//! deviation of every unit over the whole training part, in training mode. Reported are the
//! root mean squares over the units of both, and the *shift*: how far the means have moved
//! since step 0, in units of the deviation at step 0. The units are what Batch Norm normalizes.
//! Layer Norm normalizes the examples, so mean and deviation of every example over the units
//! are reported beside them.
//!
//! No norm is measured from two starts. From PyTorch's weights the deviations at step 0 are next
//! to nothing, and a shift counted in them is large whatever happens; from those of He et al.
//! (2015) they are near 1.

use crate::kit::*;
use crate::moments::{Moments, before_nonlinearities, rms};

pub(crate) struct Asked;

#[derive(Serialize)]
pub(crate) struct Own {
    measured: &'static str,
    shifts_from: f64,
    mean_at_most: f64,
    deviation_between: [f64; 2],
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    methods: Vec<Row>,
}

/// One method, and what is seen at each stop.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    cell: Cell<Method>,
    stops: Vec<Stop<Spread>>,
}

impl std::ops::Deref for Row {
    type Target = Cell<Method>;

    fn deref(&self) -> &Cell<Method> {
        &self.cell
    }
}

/// What is seen at one stop, of a run or over the seeds.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Stop<T> {
    step: usize,
    mean: T,
    deviation: T,
    shift: T,
    /// Of the examples over the units.
    mean_of_examples: T,
    deviation_of_examples: T,
}

impl Study for Asked {
    const CARD: Card = Card::new("shift", 6)
        .asks("what a layer sees while the layers before it learn")
        .claim(
            "C1",
            "Without normalization the distribution of a layer's inputs shifts as training \
               goes on; normalization keeps it near mean 0 and deviation 1.",
        );

    type Protocol = Protocol<Own>;
    type Results = Results;

    fn protocol(quick: bool) -> Self::Protocol {
        Protocol {
            plan: Plan::mlp(&[64, 64, 64, 64, 64, 10], pick(quick, 2, 20)),
            rates: pick(quick, vec![0.1], vec![0.003, 0.01, 0.03, 0.1, 0.3, 1.0]),
            rate_rule: Rule::Accuracy,
            own: Own {
                measured: "the input of the last ReLU over the training part, at steps 0, 1, 2, \
                           4, ... and the last: root mean squares over the units of the mean, of \
                           the deviation, and of the move of the mean since step 0 in deviations \
                           at step 0",
                shifts_from: 0.5,
                mean_at_most: 0.5,
                deviation_between: [0.5, 2.0],
            },
            decision_rule: "shifts: the median shift at the end is at least shifts_from; keeps: \
                            at every stop the median of the means of the units is at most \
                            mean_at_most and of their deviations within deviation_between. \
                            supported: shifts without norm from either start, and both norms \
                            keep; not supported: no shift from either, or neither keeps; else \
                            depends",
        }
    }

    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Results, Error> {
        let data = protocol.plan.data.load()?;
        let methods = Method::ALL;
        let looks = methods.len() * session.seeds().len();
        session.begin(size(session, protocol, methods.len()) + looks)?;
        let plan = |of: &Method| of.plan(protocol.plan.clone());
        let methods = cells(session, protocol, &methods, |of, rate, seed| {
            plan(of).run(&data, rate, seed)
        })?;
        let key = |cell: &Cell<Method>| format!("look {}", cell.cell);
        let seen = session.by_seed(&methods, key, |cell, seed| {
            look(&plan(&cell.of), cell.chosen_rate, &data, seed)
        })?;
        let row = |(cell, runs): (Cell<Method>, Vec<_>)| {
            let stops = over_seeds(&runs);
            Row { cell, stops }
        };
        Ok(Results {
            methods: methods.into_iter().zip(seen).map(row).collect(),
        })
    }

    fn read(protocol: &Self::Protocol, Results { methods }: &Results) -> Finding {
        let [none, batch, layer, he] = &methods[..] else {
            panic!("four methods are compared")
        };
        let keeps = |cell: &Row| cell.keeps(&protocol.own);
        let [shift, from_he] = [none, he].map(|cell| cell.last().shift.median);
        let told = |cell: &Row| {
            let (mean, [low, high]) = cell.extremes();
            let keeps = match keeps(cell) {
                true => "keeps",
                false => "does not keep",
            };
            format!(
                "{} {keeps} means and deviations near 0 and 1 (means up to {mean:.2}, deviations \
                 {low:.2} to {high:.2})",
                cell.of.name()
            )
        };
        let table = table(
            methods,
            &[
                ("", -24, &|row| row.of.name()),
                ("first mean", 12, &|row| {
                    format!("{:.2}", row.stops[0].mean.median)
                }),
                ("last mean", 12, &|row| {
                    format!("{:.2}", row.last().mean.median)
                }),
                ("deviation, first, last", 24, &|row| {
                    let [from, to] = [&row.stops[0], row.last()].map(|stop| stop.deviation.median);
                    format!("{from:.2}, {to:.2}")
                }),
                ("shift", 12, &|row| {
                    format!("{:.2}", row.last().shift.median)
                }),
            ],
        );
        let kept = methods
            .iter()
            .map(|cell| json!({ "keeps_near_0_and_1": keeps(cell) }));
        Finding {
            derived: json!({ "methods": kept.collect::<Vec<Value>>() }),
            charts: vec![
                chart(methods, "mean", |stop| stop.mean),
                chart(methods, "deviation", |stop| stop.deviation),
                chart(methods, "shift", |stop| stop.shift),
            ],
            answer: Some({
                let shifts = [shift, from_he].map(|shift| shift >= protocol.own.shifts_from);
                match shifts {
                    [false, false] => Answer::NotSupported,
                    _ if ![batch, layer].into_iter().any(keeps) => Answer::NotSupported,
                    [one, other] => Answer::of([one, other, keeps(batch), keeps(layer)]),
                }
            }),
            verdict: format!(
                "without norm the means of the units before the last ReLU move by {shift:.1} of \
                 their first deviations from PyTorch's weights, and by {from_he:.1} from He's; \
                 {}; {}, though over the units of one example its means stay at {:.2} and its \
                 deviations at {:.2}.",
                told(batch),
                told(layer),
                layer.last().mean_of_examples.median,
                layer.last().deviation_of_examples.median,
            ),
            table,
        }
    }
}

/// Trains once, and stops to look. A run that diverges was looked at until then, and is left out:
/// `None`.
fn look(plan: &Plan, rate: f64, data: &Digits<f32>, seed: u64) -> Option<Vec<Stop<f64>>> {
    let end = plan.epochs * (data.train.len() / plan.fixed_batch());
    let mut first = None;
    let mut stops = Vec::new();
    let build = |rng: &mut _| plan.spec().build(rng);
    let (_, ended) = plan.watched(build, data, rate, seed, |step, model| {
        if step != 0 && step != end && !step.is_power_of_two() {
            return;
        }
        let seen = before_nonlinearities(model, &data.train.images).pop();
        let x = seen.expect("there is a ReLU");
        let (last, examples) = (Moments::of(&x), Moments::of_rows(&x));
        let first = first.get_or_insert_with(|| last.clone());
        stops.push(Stop {
            step,
            mean: rms(last.mean.iter().copied()),
            deviation: rms(last.deviation.iter().copied()),
            shift: last.shift_from(first),
            mean_of_examples: rms(examples.mean),
            deviation_of_examples: rms(examples.deviation),
        });
    });
    ended.is_ok().then_some(stops)
}

fn over_seeds(runs: &[Option<Vec<Stop<f64>>>]) -> Vec<Stop<Spread>> {
    let runs: Vec<&Vec<Stop<f64>>> = runs.iter().flatten().collect();
    let spread = |at: usize, of: fn(&Stop<f64>) -> f64| Spread::over(&runs, |run| of(&run[at]));
    let stop = |(at, stop): (usize, &Stop<f64>)| Stop {
        step: stop.step,
        mean: spread(at, |stop| stop.mean),
        deviation: spread(at, |stop| stop.deviation),
        shift: spread(at, |stop| stop.shift),
        mean_of_examples: spread(at, |stop| stop.mean_of_examples),
        deviation_of_examples: spread(at, |stop| stop.deviation_of_examples),
    };
    let first = runs
        .first()
        .expect("a run of the rate that is picked trains");
    first.iter().enumerate().map(stop).collect()
}

impl Row {
    fn last(&self) -> &Stop<Spread> {
        self.stops.last().expect("there is a stop")
    }

    /// The largest median of the means, and the smallest and largest of the deviations.
    fn extremes(&self) -> (f64, [f64; 2]) {
        let means = self.stops.iter().map(|stop| stop.mean.median);
        let deviations = || self.stops.iter().map(|stop| stop.deviation.median);
        let ends = [
            deviations().fold(f64::INFINITY, f64::min),
            deviations().fold(0.0, f64::max),
        ];
        (means.fold(0.0, f64::max), ends)
    }

    fn keeps(&self, own: &Own) -> bool {
        let (mean, [low, high]) = self.extremes();
        let [least, most] = own.deviation_between;
        mean <= own.mean_at_most && least <= low && high <= most
    }
}

fn chart(methods: &[Row], which: &str, of: fn(&Stop<Spread>) -> Spread) -> (String, Chart) {
    let after = |cell: &Row| {
        let stops = cell.stops[1..].iter();
        cell.line(
            stops
                .map(|stop| (stop.step as f64, Some(of(stop))))
                .collect(),
        )
    };
    let (title, caption) = match which {
        "mean" => (
            "Means before the last ReLU",
            "mean of a unit (rms over units)",
        ),
        "deviation" => (
            "Deviations before the last ReLU",
            "deviation of a unit (rms over units)",
        ),
        _ => (
            "How far the means have moved",
            "shift (deviations at step 0)",
        ),
    };
    let about = format!(
        "What goes into the last ReLU while the network learns: {caption}, after each step, \
         without norm from PyTorch's weights and from He's, with Batch Norm and with Layer Norm: \
         median and quartiles over the seeds."
    );
    let chart = Chart::of(title, about, methods.iter().map(after))
        .x(|_, last| Axis::log("steps", 1.0, last))
        .y(|_, high| Axis::linear(caption, 0.0, 1.05 * high));
    (which.to_owned(), chart)
}
