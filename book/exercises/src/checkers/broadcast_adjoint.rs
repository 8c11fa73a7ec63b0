//! Checks the exercise `broadcast_adjoint`.

use crate::arrays::Draws;
use judge::{Axis, Case, Mistake, Order, Part, Terms, added, exercise, field, slips};
use rand::RngExt;
use tape::{Shape, Tensor, broadcast};

exercise! {
    /// `(dy, to, from)` to the gradient of the operand of shape `from`.
    check(sum_to: Fn(&[f64], &[usize], &[usize]) -> Vec<f64>),
    right: "it is the adjoint of broadcasting, along every axis",
    parts: [part() => |p, dx| *dx = sum_to(&p.dy, &p.to, &p.from)],
}

/// One gradient to be summed.
struct Probe {
    from: Vec<usize>,
    to: Vec<usize>,
    dy: Vec<f64>,
}

/// The operand's axes, of which there are three at most, from behind.
const AXES: &[Axis] = &[
    Axis("blocks", "block"),
    Axis("rows", "row"),
    Axis("columns", "column"),
];

impl Case for Probe {
    fn title(&self) -> String {
        format!("{:?} in {:?}", self.from, self.to)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let letters = AXES.iter().map(|axis| axis.0);
        let present = letters.skip(AXES.len() - self.from.len());
        present.zip(self.from.iter().copied()).collect()
    }
}

fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    // Three different lengths, so that a wrong axis shows.
    let [a, b, c] = [[2, 3, 4], [3, 4, 2], [4, 2, 3], [3, 2, 5]][draws.0.random_range(0..4)];
    let shapes = [
        (vec![a, b], vec![a, b]),
        (vec![b], vec![a, b]),
        (vec![a, 1], vec![a, b]),
        (vec![], vec![a, b]),
        (vec![1, b], vec![a, b]),
        (vec![b, 1], vec![a, b, c]),
        (vec![a, 1, c], vec![a, b, c]),
        (vec![1, 1, c], vec![a, b, c]),
        (vec![b, 1, 1], vec![a, b, c, 2]),
    ];
    let probe = |(from, to): (Vec<usize>, Vec<usize>)| {
        let dy = draws.numbers(to.iter().product(), -1.0..1.0);
        Probe { from, to, dy }
    };
    shapes.map(probe).into()
}

impl Probe {
    /// The number of elements of the operand.
    fn count(&self) -> usize {
        self.from.iter().product()
    }

    /// How many axes are missing in front.
    fn missing(&self) -> usize {
        self.to.len() - self.from.len()
    }

    /// Where in the operand each element of the result comes from: its own places, broadcast.
    fn places(&self) -> Vec<usize> {
        let places = Tensor::from_fn(&*self.from, |at| at as f64);
        let zeros = Tensor::zeros(&*self.to);
        let places = broadcast::zip_operands("places", &places, &zeros, |place, _| place);
        places.data().iter().map(|place| *place as usize).collect()
    }

    /// The places where the shapes are aligned at their first axis: an index too large stays at
    /// the end.
    fn places_from_the_left(&self) -> Vec<usize> {
        let mut left = self.from.clone();
        left.resize(self.to.len(), 1);
        let place = |flat: usize| {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for (&length, &kept) in self.to.iter().zip(&left).rev() {
                at += (rest % length).min(kept - 1) * stride;
                rest /= length;
                stride *= kept;
            }
            at
        };
        (0..self.dy.len()).map(place).collect()
    }

    /// What each element of dy adds, where these are the places.
    fn terms(&self, places: Vec<usize>) -> Terms {
        places.into_iter().zip(self.dy.iter().copied()).collect()
    }

    fn added(&self, places: Vec<usize>) -> Vec<f64> {
        added(self.count(), self.terms(places))
    }

    /// The sum over the axes for which `over` says so.
    fn summed(&self, over: impl Fn(usize) -> bool) -> Vec<f64> {
        let kept = |k: usize| if over(k) { 1 } else { self.to[k] };
        let kept: Vec<usize> = (0..self.to.len()).map(kept).collect();
        let dy = Tensor::new(&*self.to, self.dy.clone());
        broadcast::sum_to(&dy, &Shape::new(&kept)).to_vec()
    }
}

const SECTION: &str = "sec:adjoint";
const COPIES: &str = "a value that was repeated receives the gradients of all its copies";

fn part() -> Part<Probe, Vec<f64>> {
    Part::<_, Vec<f64>>::new("sum_to", Order::Together, probes)
        .target("dx", SECTION, AXES, |p| p.added(p.places()), field!())
        .sums(COPIES, |p| p.terms(p.places()))
        .no_mean(COPIES, |p| (p.dy.len() / p.count()) as f64)
        .mistakes(&["dx"], MISTAKES)
}

const MISTAKES: &[Mistake<Probe>] = slips![
    "not-summed: dy is returned as it came: an operand that was repeated has fewer elements than dy" =>
        |p, _| p.dy.clone(),
    "new-axes-only: only the axes that are missing in front are summed; an axis of length 1 was repeated too" =>
        |p, _| p.summed(|k| k < p.missing()),
    "ones-only: only axes of length 1 are summed; an axis that is missing in front was repeated too" =>
        |p, _| p.summed(|k| k >= p.missing() && p.from[k - p.missing()] == 1),
    "everything-summed: all axes are summed: axes that were not repeated keep their elements" =>
        |p, _| vec![p.dy.iter().sum(); p.count()],
    "aligned-left: the shapes are aligned at their first axis, and must be aligned at the last" =>
        |p, _| p.added(p.places_from_the_left()),
    "wrapped: element k of dy is added at k modulo the operand's length; that is right only where the repeated axes come first" =>
        |p, _| p.added((0..p.dy.len()).map(|at| at % p.count()).collect()),
];

#[cfg(test)]
mod tests;
