//! The training: the data, the order of the batches, and what is seen of it on the way.

use super::course::{Course, Plan, Seen};
use super::drawing;
use super::network::{Network, Own};
use crate::bn_forward::Running;
use crate::tensor_tape::Tensor;
use nn::data::{BatchSize, Digits, Examples, Set, batches};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use verdict::{Moment, channel};

/// Text and section of what is seen where no cause is found.
pub(super) type Unexplained = (&'static str, &'static str);
pub(super) const DIVERGED: Unexplained = (
    "diverged: the loss is not a finite number after … steps, though each function by itself is right",
    "sec:own-tape-seen",
);
pub(super) const MISSED: Unexplained = (
    "accuracy-missed: only … % of the test digits are right after … steps, and … % must be, though each function by itself is right",
    "sec:own-tape-seen",
);

/// How often the accuracy is looked at, in all.
const LOOKS: usize = 40;
/// Losses of so many steps make one point of the curve.
const POINT: u32 = 10;
/// A moment is shown no sooner than this after the one before.
const PAUSE: Duration = Duration::from_millis(150);

impl Course {
    /// The moment after so many steps, with the weights of the first layer.
    fn moment(&self, plan: &Plan, weights: &Tensor) -> Moment {
        let Seen { train, test, .. } = self.last();
        let (done, loss) = self.losses.last().copied().unwrap_or((0, f64::NAN));
        let [train, test] = [train, test].map(|share| 100.0 * share);
        let told = if done == 0 {
            format!("before the first step {test:.1} % of the test digits are right")
        } else {
            format!(
                "loss {}; right: {train:.1} % of the training digits, {test:.1} % of the test digits",
                Self::short(loss)
            )
        };
        Moment {
            done: done as u64,
            of: plan.steps as u64,
            drawing: drawing::both(self, plan, weights),
            told,
        }
    }
}

/// Numbers for the first weights: small ones, since Batch Norm divides their size away.
const DEVIATION: f64 = 0.01;
const SEED: u64 = 8;

impl Network {
    /// Before the first step.
    pub(super) fn new(pixels: usize, hidden: usize, classes: usize, rng: &mut StdRng) -> Self {
        let params = [
            Tensor::randn([pixels, hidden], rng).map_in_place(|w| DEVIATION * w),
            Tensor::ones([hidden]),
            Tensor::zeros([hidden]),
            Tensor::randn([hidden, classes], rng).map_in_place(|w| w / (hidden as f64).sqrt()),
            Tensor::zeros([classes]),
        ];
        let velocity = params.each_ref().map(|p| Tensor::zeros(p.shape()));
        let running = Running {
            mean: vec![0.0; hidden],
            var: vec![1.0; hidden],
        };
        Self {
            params,
            velocity,
            running,
        }
    }
}

/// Trains with the reader's functions.
pub(super) fn train(own: Own<'_>, plan: &Plan) -> Course {
    let digits = Digits::<f64>::load(plan.set)
        .unwrap_or_else(|error| panic!("the digits of this checkout cannot be read: {error}"));
    let rng = &mut StdRng::seed_from_u64(SEED);
    let pixels = plan.set.side() * plan.set.side();
    let mut net = Network::new(pixels, plan.hidden, 10, rng);
    let counted: Vec<usize> = (0..digits.test.len().min(digits.train.len())).collect();
    let training = digits.train.pick(&counted);
    let mut course = Course::default();
    let mut shown: Option<Instant> = None;
    let look = |net: &Network, course: &mut Course, step: usize, loss: f64| {
        let share = |of| right(own, net, of);
        let (train, test) = (share(&training), share(&digits.test));
        course.seen.push(Seen {
            step,
            loss,
            train,
            test,
        });
    };
    look(&net, &mut course, 0, f64::NAN);
    let (mut queue, mut sum, mut since) = (Vec::new(), 0.0, 0_u32);
    for step in 1..=plan.steps {
        if queue.is_empty() {
            queue = batches(digits.train.len(), BatchSize::Fixed(plan.batch), rng);
        }
        let batch = queue.pop().map(|numbers| digits.train.pick(&numbers));
        let batch = batch.expect("a set is larger than a batch");
        let loss = (own.step)(&mut net, &batch.images, &batch.labels);
        (sum, since) = (sum + loss, since + 1);
        let ends = step == plan.steps || !loss.is_finite();
        if since == POINT || ends {
            course.losses.push((step, sum / f64::from(since)));
            (sum, since) = (0.0, 0);
        }
        if step % (plan.steps / LOOKS).max(1) == 0 || ends {
            let loss = course.losses.last().map_or(loss, |last| last.1);
            look(&net, &mut course, step, loss);
        }
        let late = shown.is_none_or(|shown| shown.elapsed() > PAUSE);
        if channel::is_watched() && (late || ends) {
            channel::show(&course.moment(plan, &net.params[0]));
            shown = Some(Instant::now());
        }
        if !loss.is_finite() {
            break;
        }
    }
    course
}

/// The share of these that the reader's evaluation gets right.
fn right(own: Own<'_>, net: &Network, of: &Examples<f64>) -> f64 {
    let scores = (own.evaluate)(net, &of.images);
    let classes = net.params[4].len();
    assert!(
        scores.len() == of.len() * classes,
        "evaluate returns {:?} for {} images: one score for each image and digit is asked for, [{}, {classes}]",
        scores.shape(),
        of.len(),
        of.len()
    );
    let rows = scores.data().chunks_exact(classes).zip(&of.labels);
    let hits = rows.filter(|(row, label)| {
        let others = row.iter().enumerate().filter(|(at, _)| at != *label);
        // What is not a number is no answer.
        others.fold(row[**label].is_finite(), |hit, (_, other)| {
            hit && row[**label] > *other
        })
    });
    hits.count() as f64 / of.len() as f64
}
