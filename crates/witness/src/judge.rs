//! The judges: `⟨w, J v⟩ = ⟨Jᵀ w, v⟩`.
//!
//! The derivative of a function at a point is a matrix `J`. Dual numbers push a direction `v`
//! forward through the function, which gives `J v`; the backward pass pulls an upstream gradient
//! `w` back, which gives `Jᵀ w`. Both products of `w` and `v` with `J` are the same number, if the
//! backward pass is that of the function, and for random `w` and `v` nearly never otherwise.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tape::{Real, Shape, Tensor};

use crate::dual::Dual;
use crate::exact::{Exact, PRIME};
use crate::subject::Subject;

/// What a judge found for one argument.
#[derive(Clone, Debug)]
pub struct Verdict<N> {
    /// The argument.
    pub argument: String,
    /// What was found.
    pub found: N,
}

/// `⟨w, J v⟩` beside `⟨Jᵀ w, v⟩`, in `f64`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Products {
    /// By dual numbers: `⟨w, J v⟩`.
    pub forward: f64,
    /// By the backward pass: `⟨Jᵀ w, v⟩`.
    pub backward: f64,
    /// How far rounding may take the one from the other.
    pub rounding: f64,
    /// Whether they could show a mistake: rounding is small beside what was added up; for a
    /// gradient that may be zero, beside what was for others.
    pub proves: bool,
}

impl Products {
    /// How far they are apart.
    pub fn apart(self) -> f64 {
        (self.forward - self.backward).abs()
    }

    /// Whether rounding explains how far they are apart, and they could show a mistake. NaN and
    /// infinity are explained by nothing.
    pub fn agree(self) -> bool {
        self.proves && self.rounding.is_finite() && self.apart() <= self.rounding
    }
}

/// What exact numbers can say.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Equality {
    /// Both are the same element, in the branch that the sizes take. What is wrong would have
    /// passed with at most this probability, as long as every root is one of numbers of its own,
    /// as in norms, and of no square of a formula.
    Equal {
        /// The bound of Schwartz and Zippel.
        chance: f64,
    },
    /// They differ, at every point that was tried: whatever rounding does, they are not the same,
    /// unless that needs `√a √b = √(ab)`, `e^(a+b) = e^a e^b` or the value of a constant that is
    /// rounded, which the field does not know.
    Different,
    /// The field cannot tell, for this reason.
    Silent(&'static str),
}

/// At how many points roots are tried. The field has two roots of everything and takes one of
/// them, so a formula that needs a certain one agrees at some points only.
const POINTS: u64 = 20;

/// The largest share of what is added up that rounding may take: beyond it, agreement proves
/// nothing.
const SHARE: f64 = 1e-3;

/// How far from each other two runs of one program may be that differ by rounding, in units of
/// what the last digits of its arguments do to it.
const ROUNDINGS: f64 = 16.0;

/// Judges the gradient of every argument in `f64`: by dual numbers in a random direction, and
/// against the backward pass for a random upstream gradient. The numbers may be exact ones; of
/// these, the sizes count here.
///
/// How far rounding may take the two products apart is measured: by how much they change when the
/// last digit of every argument does.
pub fn in_f64<N: Real>(subject: &Subject<'_, Dual<N>>, seed: u64) -> Vec<Verdict<Products>> {
    let mut rng = draws(seed, 1);
    let point = values(&subject.point());
    let normal = |shape: Shape, rng: &mut StdRng| Tensor::<N>::randn(shape, rng);
    let w = normal(*subject.value(&constants(&point)).shape(), &mut rng);
    let directions: Vec<_> = (point.iter())
        .map(|x| normal(*x.shape(), &mut rng))
        .collect();
    let shaken = shaken(&point, &mut rng);
    let ahead = |point: &[Tensor<N>], i: usize| {
        let y = subject.value(&along(point, &directions[i], i));
        let pairs = w.data().iter().zip(y.data());
        sum(pairs.map(|(w, y)| w.to_f64() * y.tangent.to_f64()))
    };
    let back = |point: &[Tensor<N>]| -> Vec<(f64, f64)> {
        let grads = subject.vjp(&constants(point), &constant(&w));
        let pairs = grads.iter().zip(&directions).map(|(grad, v)| {
            let pairs = grad.data().iter().zip(v.data());
            sum(pairs.map(|(grad, v)| grad.value.to_f64() * v.to_f64()))
        });
        pairs.collect()
    };
    let (backward, backward_shaken) = (back(&point), back(&shaken));
    let forward = |point: &[Tensor<N>]| -> Vec<(f64, f64)> {
        (0..point.len()).map(|i| ahead(point, i)).collect()
    };
    let (forward, forward_shaken) = (forward(&point), forward(&shaken));
    let sizes = forward.iter().zip(&backward).map(|(a, b)| a.1.max(b.1));
    let sizes: Vec<f64> = sizes.collect();
    // A gradient that is zero as a formula is made of numbers that are as large as others.
    let largest = sizes.iter().copied().fold(0.0, Real::max);
    let arguments = subject.arguments.iter().enumerate();
    let verdicts = arguments.map(|(i, argument)| {
        let size = if argument.may_be_zero {
            largest
        } else {
            sizes[i]
        };
        let moved = |a: &[(f64, f64)], b: &[(f64, f64)]| (a[i].0 - b[i].0).abs();
        let moved = moved(&forward, &forward_shaken) + moved(&backward, &backward_shaken);
        let rounding = ROUNDINGS * (moved + N::EPSILON.to_f64() * size);
        Verdict {
            argument: argument.name.clone(),
            found: Products {
                forward: forward[i].0,
                backward: backward[i].0,
                rounding,
                proves: rounding < SHARE * size,
            },
        }
    });
    verdicts.collect()
}

/// How far two forms of a function are apart in `f64`, and their backward passes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Apart {
    /// The largest distance, as a share of the largest element of the array that it is in: the
    /// value, or the gradient of an argument.
    pub apart: f64,
    /// The largest share that a distance takes of what rounding may do; up to 1 agrees.
    pub of_rounding: f64,
}

impl Apart {
    /// Whether rounding explains the distance. NaN is explained by nothing.
    pub fn agrees(self) -> bool {
        self.of_rounding <= 1.0
    }
}

/// Compares two forms of a function: the values, and the gradients of all arguments for a random
/// upstream gradient, as in [`beside`].
///
/// # Panics
/// If they have other arguments, or values of other shapes.
#[track_caller]
pub fn alike(a: &Subject<'_, f64>, b: &Subject<'_, f64>, seed: u64) -> Apart {
    check_arguments(a, b);
    let w = upstream(a, seed);
    check_values(w.shape(), b.value(&b.point()).shape());
    beside(a, &w, &results(b, &a.point(), &w), seed)
}

/// The upstream gradient for which [`alike`] compares, of the shape of the subject's value.
pub fn upstream(subject: &Subject<'_, f64>, seed: u64) -> Tensor<f64> {
    Tensor::randn(
        *subject.value(&subject.point()).shape(),
        &mut draws(seed, 2),
    )
}

/// Compares a function and its gradients for the upstream gradient `w` with what somebody else
/// computed of them: the value first, then the gradient of each argument.
///
/// How far rounding may take them apart is measured, as in [`in_f64`]: by how much a result
/// changes when the last digit of every argument does, and by the last digit of its size. That of
/// a gradient that may be zero is the size of the others, of whose numbers it is made.
///
/// # Panics
/// If there are not as many results, or one has another shape.
#[track_caller]
pub fn beside(
    subject: &Subject<'_, f64>,
    w: &Tensor<f64>,
    theirs: &[Tensor<f64>],
    seed: u64,
) -> Apart {
    let point = subject.point();
    let ours = results(subject, &point, w);
    let shapes = |all: &[Tensor<f64>]| -> Vec<Shape> { all.iter().map(|x| *x.shape()).collect() };
    assert_eq!(
        shapes(&ours),
        shapes(theirs),
        "results that are compared have the same shapes: the value's, then each argument's"
    );
    let moved = results(
        subject,
        &shaken(&point, &mut draws(seed, 3 + 2 * POINTS)),
        w,
    );
    let sizes: Vec<f64> = ours
        .iter()
        .map(|a| largest(a.data().iter().copied()))
        .collect();
    let all_gradients = largest(sizes[1..].iter().copied());
    let may_be_zero = subject
        .arguments
        .iter()
        .map(|argument| argument.may_be_zero);
    let mut worst = Apart {
        apart: 0.0,
        of_rounding: 0.0,
    };
    for (i, may_be_zero) in std::iter::once(false).chain(may_be_zero).enumerate() {
        let size = if may_be_zero { all_gradients } else { sizes[i] };
        let distance = |b: &Tensor<f64>| {
            let pairs = ours[i].data().iter().zip(b.data());
            largest(pairs.map(|(a, b)| a - b))
        };
        let rounding = ROUNDINGS * (distance(&moved[i]) + f64::EPSILON * size);
        // What rounding may do without limit, it does not explain.
        let rounding = if rounding.is_finite() { rounding } else { 0.0 };
        let of = |part: f64| distance(&theirs[i]) / part.max(f64::MIN_POSITIVE);
        worst.apart = Real::max(worst.apart, of(size));
        worst.of_rounding = Real::max(worst.of_rounding, of(rounding));
    }
    worst
}

/// The value, and the gradient of each argument.
fn results(subject: &Subject<'_, f64>, at: &[Tensor<f64>], w: &Tensor<f64>) -> Vec<Tensor<f64>> {
    let mut all = vec![subject.value(at)];
    all.extend(subject.vjp(at, w));
    all
}

/// The largest absolute value; NaN, if there is one.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest, x| Real::max(x.abs(), largest))
}

/// Judges the gradient of every argument exactly, at a random point of the field where the
/// subject's point says only how large things are.
///
/// # Panics
/// If the backward pass returns gradients of other shapes than the arguments'.
pub fn exactly(subject: &Subject<'_, Dual<Exact>>, seed: u64) -> Vec<Verdict<Equality>> {
    let found = at_points(|point| {
        let mut rng = draws(seed, 3 + point);
        let (point, w) = random_point(subject, &mut rng);
        let grads = subject.vjp(&constants(&point), &constant(&w));
        let numbers = w.len() + 2 * point.iter().map(Tensor::len).sum::<usize>();
        let arguments = subject.arguments.iter().zip(&grads).enumerate();
        let found = arguments.map(|(i, (argument, grad))| {
            let v = random(*grad.shape(), &mut rng);
            let y = subject.value(&along(&point, &v, i));
            let terms = w.data().iter().zip(y.data());
            let forward: Exact = terms.map(|(w, y)| *w * y.tangent).sum();
            let terms = v.data().iter().zip(grad.data());
            let backward: Exact = terms.map(|(v, grad)| *v * grad.value).sum();
            let found = compare(forward, backward, numbers);
            match found.equality {
                Equality::Equal { .. } if forward.is(Exact::ZERO) && !argument.may_be_zero => found
                    .with(Equality::Silent(
                        "the derivative is 0, which proves nothing",
                    )),
                _ => found,
            }
        });
        found.collect()
    });
    let arguments = subject.arguments.iter().zip(found);
    let verdicts = arguments.map(|(argument, found)| Verdict {
        argument: argument.name.clone(),
        found,
    });
    verdicts.collect()
}

/// Whether two forms of a function and of its backward pass are the same, exactly: their values
/// and the gradients of all arguments for a random upstream gradient, at a random point.
///
/// # Panics
/// If they have other arguments, or values of other shapes.
#[track_caller]
pub fn same(a: &Subject<'_, Dual<Exact>>, b: &Subject<'_, Dual<Exact>>, seed: u64) -> Equality {
    check_arguments(a, b);
    let found = at_points(|point| {
        let (point, w) = random_point(a, &mut draws(seed, 3 + POINTS + point));
        check_values(w.shape(), b.value(&constants(&point)).shape());
        let numbers = w.len() + point.iter().map(Tensor::len).sum::<usize>();
        let all = |of: &Subject<'_, Dual<Exact>>| -> Vec<Exact> {
            let at = constants(&point);
            let mut all = of.vjp(&at, &constant(&w));
            all.push(of.value(&at));
            values(&all).iter().flat_map(Tensor::to_vec).collect()
        };
        let pairs = all(a).into_iter().zip(all(b));
        let found = pairs.map(|(a, b)| compare(a, b, numbers));
        found.reduce(Comparison::and).into_iter().collect()
    });
    let found = found.first().copied();
    found.unwrap_or(Equality::Silent("there is nothing to compare"))
}

/// What is found at a point; and at several, if there are roots whose sign could matter.
fn at_points(mut at: impl FnMut(u64) -> Vec<Comparison>) -> Vec<Equality> {
    let mut found = at(0);
    if found.iter().any(|found| found.has_root) {
        for point in 1..POINTS {
            for (found, again) in found.iter_mut().zip(at(point)) {
                *found = match (found.equality, again.equality) {
                    (Equality::Equal { .. }, Equality::Different)
                    | (Equality::Different, Equality::Equal { .. }) => {
                        found.with(Equality::Silent("the sign of a root decides"))
                    }
                    (Equality::Silent(_), _) => *found,
                    _ => found.and(again),
                };
            }
        }
    }
    found.iter().map(|found| found.equality).collect()
}

/// What two elements are to each other at one point.
#[derive(Clone, Copy)]
struct Comparison {
    equality: Equality,
    /// Whether there is a root in one of them.
    has_root: bool,
}

impl Comparison {
    fn with(self, equality: Equality) -> Self {
        Comparison { equality, ..self }
    }

    /// Of two comparisons, what they say together: silence covers equality, and a difference
    /// that is found beside another or beside silence stays one.
    fn and(self, other: Self) -> Self {
        let equality = match (self.equality, other.equality) {
            (Equality::Different, _) | (_, Equality::Different) => Equality::Different,
            (silent @ Equality::Silent(_), _) | (_, silent @ Equality::Silent(_)) => silent,
            (Equality::Equal { chance: a }, Equality::Equal { chance: b }) => {
                Equality::Equal { chance: a.max(b) }
            }
        };
        Comparison {
            equality,
            has_root: self.has_root || other.has_root,
        }
    }
}

/// Draws of a judge's own: with the seed of the inputs, they are not the inputs again.
fn draws(seed: u64, judge: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ judge.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A point of the field where a subject is judged, and an upstream gradient.
fn random_point(
    subject: &Subject<'_, Dual<Exact>>,
    rng: &mut StdRng,
) -> (Vec<Tensor<Exact>>, Tensor<Exact>) {
    let point = values(&subject.point());
    let point: Vec<_> = point.iter().map(|x| drawn(x, rng)).collect();
    let shape = *subject.value(&constants(&point)).shape();
    (point, random(shape, rng))
}

/// Two elements that should be one.
///
/// Their difference is a fraction of polynomials in the `numbers` that were drawn and in roots of
/// sums of squares of some of them. As a function of the numbers below one root, its norm, the
/// product with its conjugate, is a polynomial of at most twice the degree; it vanishes at no more
/// than its degree of `p` values of the last of them. There are no more roots than numbers.
fn compare(a: Exact, b: Exact, numbers: usize) -> Comparison {
    let depth = a.depth().max(b.depth());
    let ([a_top, a_bottom], [b_top, b_bottom]) = (a.degrees(), b.degrees());
    let degree = a_top
        .saturating_add(b_bottom)
        .max(b_top.saturating_add(a_bottom));
    let chance = 2.0 * f64::from(degree) * numbers as f64 / PRIME as f64;
    let equality = if !(a.is_defined() && b.is_defined()) {
        Equality::Silent("something is divided by 0, or a root of a root does not exist")
    } else if !a.is(b) {
        Equality::Different
    } else if depth > 1 {
        Equality::Silent("a root stands below a root")
    } else if degree == u32::MAX {
        Equality::Silent("the degree is too large")
    } else {
        Equality::Equal {
            chance: chance.min(1.0),
        }
    };
    Comparison {
        equality,
        has_root: depth > 0,
    }
}

/// The point with one argument on the move.
fn along<N: Real>(point: &[Tensor<N>], v: &Tensor<N>, moved: usize) -> Vec<Tensor<Dual<N>>> {
    let each = point.iter().enumerate();
    each.map(|(i, x)| match i == moved {
        true => Tensor::from_fn(*x.shape(), |k| Dual {
            value: x.data()[k],
            tangent: v.data()[k],
        }),
        false => constant(x),
    })
    .collect()
}

/// Numbers that do not move.
fn constant<N: Real>(x: &Tensor<N>) -> Tensor<Dual<N>> {
    Tensor::from_fn(*x.shape(), |k| Dual::constant(x.data()[k]))
}

fn constants<N: Real>(point: &[Tensor<N>]) -> Vec<Tensor<Dual<N>>> {
    point.iter().map(constant).collect()
}

/// The numbers without their tangents.
fn values<N: Real>(point: &[Tensor<Dual<N>>]) -> Vec<Tensor<N>> {
    let each = point.iter();
    each.map(|x| Tensor::from_fn(*x.shape(), |k| x.data()[k].value))
        .collect()
}

/// Random elements of the sizes of `x`.
fn drawn<N: Real>(x: &Tensor<N>, rng: &mut impl Rng) -> Tensor<Exact> {
    Tensor::from_fn(*x.shape(), |k| {
        Exact::drawn(rng.random_range(0..PRIME), x.data()[k].to_f64())
    })
}

/// Random elements of random sizes.
fn random(shape: Shape, rng: &mut impl Rng) -> Tensor<Exact> {
    drawn(&Tensor::<f64>::randn(shape, rng), rng)
}

/// The point with the last digit of every number changed, up or down.
fn shaken<N: Real>(point: &[Tensor<N>], rng: &mut impl Rng) -> Vec<Tensor<N>> {
    let mut shake = |x: N| {
        let sign = if rng.random() { 1.0 } else { -1.0 };
        N::from_f64(x.to_f64() * (1.0 + sign * N::EPSILON.to_f64()))
    };
    let each = point.iter();
    each.map(|x| Tensor::from_fn(*x.shape(), |k| shake(x.data()[k])))
        .collect()
}

/// The sum of terms, and of their sizes.
fn sum(terms: impl Iterator<Item = f64>) -> (f64, f64) {
    terms.fold((0.0, 0.0), |(sum, size), term| {
        (sum + term, size + term.abs())
    })
}

#[track_caller]
fn check_arguments<A: Real, B: Real>(a: &Subject<'_, A>, b: &Subject<'_, B>) {
    let shapes = |s: Vec<&[usize]>| format!("{s:?}");
    let a = shapes(a.arguments.iter().map(|a| &a.value.shape()[..]).collect());
    let b = shapes(b.arguments.iter().map(|b| &b.value.shape()[..]).collect());
    assert_eq!(
        a, b,
        "two subjects that are judged together take arguments of the same shapes; make both by \
         one function that is generic over the numbers"
    );
}

#[track_caller]
fn check_values(a: &Shape, b: &Shape) {
    assert_eq!(
        a, b,
        "two forms of one function have values of the same shape, but these have {a} and {b}; \
         bring them to one shape first"
    );
}
