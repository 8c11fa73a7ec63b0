//! The judges on functions whose faults are known.

use tape::{Backward, InputGrads, Real, Tensor, Var};
use witness::{
    Argument, Dual, Equality, Exact, Subject, alike, beside, exactly, in_f64, same, upstream,
};

/// x and y, three elements each.
fn point<T: Real>() -> Vec<Tensor<T>> {
    let of = |values: [f64; 3]| Tensor::new([3], values.map(T::from_f64).to_vec());
    vec![of([0.3, -1.2, 2.0]), of([1.5, 0.7, -0.4])]
}

/// The length of x, times y.
fn length<T: Real>() -> Subject<'static, T> {
    Subject::on_tape(point(), |x| (&x[0] * &x[0]).sum(&[0]).sqrt() * &x[1])
}

fn found<N: Copy>(verdicts: &[witness::Verdict<N>]) -> Vec<N> {
    verdicts.iter().map(|verdict| verdict.found).collect()
}

#[test]
fn a_right_gradient_is_equal() {
    let verdicts = exactly(&length(), 1);
    let names: Vec<&str> = verdicts.iter().map(|v| &v.argument[..]).collect();
    assert_eq!(names, ["x0", "x1"]);
    for equality in found(&verdicts) {
        let Equality::Equal { chance } = equality else {
            panic!("{equality:?}");
        };
        // The length's own root counts half of a square: 1, and 2 with y, over a length.
        assert!(chance > 1e-18 && chance < 1e-15, "{chance:e}");
    }
    for products in found(&in_f64::<f64>(&length(), 1)) {
        assert!(products.agree() && products.apart() < 1e-14, "{products:?}");
        assert!(
            products.forward.abs() > 1e-3,
            "it could have failed: {products:?}"
        );
    }
    // Exact numbers know their size: the same judge on these finds the same.
    for (plain, sizes) in in_f64::<f64>(&length(), 1)
        .iter()
        .zip(in_f64::<Exact>(&length(), 1))
    {
        assert!((plain.found.forward - sizes.found.forward).abs() < 1e-14);
    }
}

/// The product with a backward pass that multiplies the second gradient by a factor.
fn product<T: Real>(factor: f64) -> Subject<'static, T> {
    let names = ["x", "y"];
    let arguments = names
        .iter()
        .zip(point())
        .map(|(name, value)| Argument::new(*name, value));
    Subject::new(
        arguments.collect(),
        |at| at[0].zip(&at[1], |x, y| x * y),
        move |at, dy| {
            let times = |i: usize| dy.zip(&at[i], |dy, x| dy * x);
            let factor = T::from_f64(factor);
            vec![times(1), times(0).map(|d| d * factor)]
        },
    )
}

#[test]
fn the_argument_whose_gradient_is_wrong_is_named() {
    let right = |wrong: usize, factor: f64| {
        let exact = exactly(&product(factor), 2);
        let dual = in_f64::<f64>(&product(factor), 2);
        (
            exact[wrong].found != Equality::Different,
            dual[wrong].found.agree(),
        )
    };
    assert_eq!(right(0, 1.5), (true, true));
    assert_eq!(right(1, 1.5), (false, false));
    // What is lost in rounding, nothing else sees.
    assert_eq!(right(1, 1.0 + f64::EPSILON), (false, true));
    assert_eq!(right(1, 1.0), (true, true));
}

#[test]
fn a_nan_is_not_agreed_with() {
    let nan = in_f64::<f64>(&product(f64::NAN), 3);
    assert!(nan[0].found.agree() && !nan[1].found.agree());
    assert!(matches!(
        exactly(&product(f64::NAN), 3)[1].found,
        Equality::Silent(_)
    ));
}

#[test]
fn two_forms_of_one_function_are_the_same() {
    let by_power = || Subject::on_tape(point::<Dual<Exact>>(), |x| x[0].powi(2) * &x[1]);
    let by_product = |factor: f64| {
        Subject::on_tape(point::<Dual<Exact>>(), move |x| {
            &(&x[0] * &x[1]) * &x[0] * Dual::from_f64(factor)
        })
    };
    assert!(matches!(
        same(&by_power(), &by_product(1.0), 4),
        Equality::Equal { .. }
    ));
    assert_eq!(
        same(&by_power(), &by_product(1.0 + f64::EPSILON), 4),
        Equality::Different
    );

    let plain =
        |factor: f64| Subject::on_tape(point::<f64>(), move |x| &(&x[0] * &x[1]) * &x[0] * factor);
    let power = Subject::on_tape(point::<f64>(), |x| x[0].powi(2) * &x[1]);
    assert!(alike(&power, &plain(1.0), 4).agrees());
    assert!(alike(&power, &plain(1.0 + 4.0 * f64::EPSILON), 4).agrees());
    let off = alike(&power, &plain(1.0 + 1e-12), 4);
    assert!(
        !off.agrees() && (1e-13..1e-11).contains(&off.apart),
        "{off:?}"
    );
}

#[test]
fn what_the_field_cannot_judge_it_does_not() {
    let nested = || {
        Subject::on_tape(point(), |x: &[Var<'_, Dual<Exact>>]| {
            let root = (&x[0] * &x[0]).sum(&[0]).sqrt() + &x[1];
            (&root * &root + &root).sum(&[0]).sqrt()
        })
    };
    let silent = |found: Equality| matches!(found, Equality::Silent(_));
    assert!((1..8).all(|seed| silent(exactly(&nested(), seed)[0].found)));
    let by_zero = || {
        Subject::on_tape(point(), |x: &[Var<'_, Dual<Exact>>]| {
            &x[1] / &(&x[0] - &x[0])
        })
    };
    assert!(silent(exactly(&by_zero(), 1)[0].found));
}

/// An op that takes the branch of the larger of x and 0, and a backward that takes another.
struct Relu<T: Real>(Tensor<T>);

impl<T: Real> Backward<T> for Relu<T> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let least = T::from_f64(-1.0);
        dx.add(
            0,
            dy.zip(&self.0, |dy, x| if x > least { dy } else { T::ZERO }),
        );
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.0]
    }
}

#[test]
fn branches_are_judged_by_sizes() {
    let relu = |x: f64| {
        let x = Tensor::new([1], vec![Dual::from_f64(x)]);
        let subject = Subject::on_tape(vec![x], |x: &[Var<'_, Dual<Exact>>]| {
            let value = x[0].value();
            let positive = value.map(|x| Real::max(x, Dual::ZERO));
            x[0].tape()
                .record(&[&x[0]], positive, || Relu(value.clone()))
        });
        exactly(&subject, 5)[0].found
    };
    assert!(matches!(relu(2.0), Equality::Equal { .. }));
    // Nothing comes through, forward or backward.
    assert!(matches!(relu(-2.0), Equality::Silent(_)));
    assert_eq!(relu(-0.5), Equality::Different);
}

#[test]
fn results_of_somebody_else_are_compared() {
    let subject = || Subject::on_tape(point::<f64>(), |x| x[0].powi(2) * &x[1]);
    let w = upstream(&subject(), 4);
    let results = || {
        let mut all = subject().vjp(&subject().point(), &w);
        all.insert(0, subject().value(&subject().point()));
        all
    };
    assert_eq!(beside(&subject(), &w, &results(), 4).apart, 0.0);
    for changed in 0..results().len() {
        let mut theirs = results();
        theirs[changed].data_mut()[1] *= 1.0 + 1e-12;
        let found = beside(&subject(), &w, &theirs, 4);
        assert!(!found.agrees(), "result {changed}: {found:?}");
        theirs[changed].data_mut()[1] = f64::NAN;
        assert!(!beside(&subject(), &w, &theirs, 4).agrees());
    }

    // A gradient that is zero but for rounding has that of the numbers that it is made of.
    let mut shifted = Subject::on_tape(point::<f64>(), |x| {
        &x[0] - x[0].mean_keep(&[0]) + (&x[1] - &x[1])
    });
    let w = upstream(&shifted, 4);
    let mut theirs = shifted.vjp(&shifted.point(), &w);
    theirs.insert(0, shifted.value(&shifted.point()));
    theirs[2].data_mut()[0] += 1e-17;
    assert!(!beside(&shifted, &w, &theirs, 4).agrees());
    shifted.arguments[1].may_be_zero = true;
    assert!(beside(&shifted, &w, &theirs, 4).agrees());
    theirs[2].data_mut()[0] += 1e-12;
    assert!(!beside(&shifted, &w, &theirs, 4).agrees());
}

#[test]
#[should_panic(expected = "take arguments of the same shapes")]
fn forms_of_other_arguments_are_refused() {
    let one = Subject::on_tape(vec![Tensor::<f64>::ones([2])], |x| x[0].exp());
    let other = Subject::on_tape(vec![Tensor::<f64>::ones([3])], |x| x[0].exp());
    alike(&one, &other, 1);
}

/// A function of one number with a backward pass by its value and its slope.
fn of_one<T: Real>(
    x: f64,
    value: impl Fn(T) -> T + Send + Sync + 'static,
    slope: impl Fn(T) -> T + Send + Sync + 'static,
) -> Subject<'static, T> {
    let argument = Argument::new("x", Tensor::new([1], vec![T::from_f64(x)]));
    Subject::new(
        vec![argument],
        move |at| at[0].map(&value),
        move |at, dy| vec![dy.zip(&at[0], |dy, x| dy * slope(x))],
    )
}

#[test]
fn a_root_whose_sign_decides_is_not_judged() {
    // |x| is the root of a square, and its slope is 1 or -1.
    let size = of_one(2.0, |x: Dual<Exact>| (x * x).sqrt(), |_| Dual::ONE);
    assert_eq!(
        exactly(&size, 1)[0].found,
        Equality::Silent("the sign of a root decides")
    );
    // A product of roots is the root of the product, in one half of all cases or so.
    let one = |x: Dual<Exact>| x * x + Dual::ONE;
    let two = |x: Dual<Exact>| x * x + Dual::from_f64(2.0);
    let roots = of_one(2.0, move |x| one(x).sqrt() * two(x).sqrt(), |x| x);
    let root = of_one(2.0, move |x| (one(x) * two(x)).sqrt(), |x| x);
    assert_eq!(
        same(&roots, &root, 1),
        Equality::Silent("the sign of a root decides")
    );
}

#[test]
fn what_could_not_fail_proves_nothing() {
    // Where x is 0, so is the derivative of its cube, with whatever factor.
    fn cube<T: Real>(factor: f64) -> Subject<'static, T> {
        of_one(0.0, |x: T| x * x * x, move |x| T::from_f64(factor) * x * x)
    }
    assert!(!in_f64::<f64>(&cube(3.0), 1)[0].found.agree());
    assert!(!in_f64::<f64>(&cube(1.0), 1)[0].found.agree());
    // A derivative that is zero as a formula.
    let zero = of_one(1.0, |x: Dual<Exact>| x - x, |x| x - x);
    assert!(matches!(exactly(&zero, 1)[0].found, Equality::Silent(_)));
    // Next to a pole, rounding explains everything.
    let pole = of_one(
        1.0 - f64::EPSILON / 2.0,
        |x: Dual<f64>| Dual::ONE / (Dual::ONE - x),
        |x| x,
    );
    assert!(!in_f64(&pole, 1)[0].found.agree());
}

#[test]
fn the_draws_of_a_judge_are_not_those_of_the_input() {
    use rand::SeedableRng;
    let x = Tensor::randn([4], &mut rand::rngs::StdRng::seed_from_u64(0));
    // A function that sends nothing back for an upstream gradient like x: x over its length.
    let unit = Subject::on_tape(vec![x], |x: &[Var<'_, Dual<f64>>]| {
        &x[0] / &(&x[0] * &x[0]).sum(&[0]).sqrt()
    });
    assert!(in_f64(&unit, 0)[0].found.agree());
}

#[test]
#[should_panic(expected = "the gradient of x has shape [2], but x has shape [1]")]
fn a_gradient_of_another_shape_is_refused() {
    let argument = Argument::new("x", Tensor::<Dual<f64>>::ones([1]));
    let subject = Subject::new(
        vec![argument],
        |at| at[0].clone(),
        |_, _| vec![Tensor::ones([2])],
    );
    in_f64(&subject, 1);
}

#[test]
#[should_panic(expected = "returned 0 gradients for 2 arguments")]
fn a_gradient_that_is_missing_is_refused() {
    let two = product::<Dual<Exact>>(1.0).arguments;
    let subject = Subject::new(two, |at| at[0].zip(&at[1], |x, y| x * y), |_, _| Vec::new());
    exactly(&subject, 1);
}
