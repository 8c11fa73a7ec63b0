use super::*;
use crate::predictions::made;
use judge::compare::same;
use judge::testing::{named, passes};

/// The loops of the solution, with the places of dy and of a weight.
fn with(
    of_dy: fn(&Sizes, usize, usize, usize) -> usize,
    of_w: fn(&Sizes, usize, usize) -> usize,
) -> impl Fn(&[f64], &[f64], &[f64], &Sizes) -> Gradients {
    move |dy, x, w, s| {
        let (taps, positions, pixels) = (s.taps(), s.positions(), s.pixels());
        let [mut dx, mut dw, mut db] = [x.len(), w.len(), s.outputs].map(|n| vec![0.0; n]);
        for n in 0..s.images {
            for (o, db) in db.iter_mut().enumerate() {
                for p in 0..positions {
                    let dy = dy[of_dy(s, n, o, p)];
                    *db += dy;
                    for k in 0..taps {
                        if let Some(i) = s.reads(k, p) {
                            dw[of_w(s, o, k)] += dy * x[n * pixels + i];
                            dx[n * pixels + i] += dy * w[of_w(s, o, k)];
                        }
                    }
                }
            }
        }
        Gradients { dx, dw, db }
    }
}

fn of_dy(s: &Sizes, n: usize, o: usize, p: usize) -> usize {
    (n * s.outputs + o) * s.positions() + p
}

fn of_w(s: &Sizes, o: usize, k: usize) -> usize {
    o * s.taps() + k
}

#[test]
fn the_right_gradients_pass() {
    passes(4, |seed| report(&with(of_dy, of_w), seed));
}

/// The checker's own convolution is the tape's.
#[test]
fn the_forward_pass_is_the_tapes() {
    use tape::{Slide, Tensor};
    for p in probes(1) {
        let s = p.s;
        let ([h, w], [kh, kw]) = (s.input, s.kernel);
        let inputs = [
            Tensor::new([s.images, s.channels, h, w], p.x.clone()),
            Tensor::new([s.outputs, s.channels, kh, kw], p.w.clone()),
            Tensor::new([s.outputs], p.b.clone()),
        ];
        let y = made(inputs.each_ref(), |[x, w, b]| {
            x.conv2d(w, Some(b), Slide::by(s.stride).padded(s.padding))
        });
        assert!(same(&y, &p.forward()));
    }
}

#[test]
fn what_is_typed_wrong_is_named() {
    let of_o_n_l = with(|s, n, o, p| (o * s.images + n) * s.positions() + p, of_w);
    let transposed = with(of_dy, |s, o, k| k * s.outputs + o);
    let flipped = with(of_dy, |s, o, k| (o + 1) * s.taps() - 1 - k);
    let doubled = |dy: &[f64], x: &[f64], w: &[f64], s: &Sizes| {
        let mut g = with(of_dy, of_w)(dy, x, w, s);
        g.db.iter_mut().for_each(|v| *v *= 2.0);
        g
    };
    let first_filter = |dy: &[f64], x: &[f64], w: &[f64], s: &Sizes| {
        let mut first = w.to_vec();
        first[s.taps()..].fill(0.0);
        let dx = with(of_dy, of_w)(dy, x, &first, s).dx;
        Gradients {
            dx,
            ..with(of_dy, of_w)(dy, x, w, s)
        }
    };
    let typed: [(&str, Candidate<'_>); 5] = [
        ("dx: first-filter-only", &first_filter),
        ("dw: dy-layout", &of_o_n_l),
        ("dw: filter-transposed", &transposed),
        ("dw: filter-flipped", &flipped),
        ("db: doubled", &doubled),
    ];
    named(&typed, |candidate, seed| report(candidate, seed));
}
