//! `y = x · m`, where m is 0 with probability p and 1/(1 − p) otherwise: inverted
//! dropout (Srivastava et al., 2014, section 10).
//!
//! The mean of m is 1, so the expected value of y is x, and nothing need be scaled at
//! inference. Given the draw, y is linear in x: `dx = dy · m`.

use rand::{Rng, RngExt};

use super::elementwise::unary_from;
use crate::broadcast::zip;
use crate::{Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// Sets each element to 0 with probability `p` and multiplies the others by
    /// 1/(1 − p), drawing from `rng` in row-major order. For training; at inference,
    /// leave it out. With `p` 0 this is the identity, and nothing is drawn.
    ///
    /// # Panics
    /// If `p` is not between 0 and 1.
    #[track_caller]
    pub fn dropout(&self, p: f64, rng: &mut impl Rng) -> Self {
        assert!(
            (0.0..=1.0).contains(&p),
            "dropout: p is a probability between 0 and 1, got {p}"
        );
        if p == 0.0 {
            return self.clone();
        }
        let kept = T::from_f64(1.0 / (1.0 - p));
        let mask = Tensor::from_fn(self.shape(), |_| {
            // A draw is below 1, so with p = 1 nothing is kept and 1/0 is never used.
            if f64::from(rng.random::<f32>()) < p {
                T::ZERO
            } else {
                kept
            }
        });
        let y = zip(self.shape(), self.value(), &mask, |x, m| x * m);
        unary_from(|| "dropout", self, y, || Some(mask), |dy, m| dy * m)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::normal;
    use crate::{Param, Tape, Tensor};
    use std::convert::Infallible;

    use rand::rngs::StdRng;
    use rand::{SeedableRng, TryRng};

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    #[test]
    fn drops_the_stated_share_and_keeps_the_mean() {
        Tape::eval(|t| {
            let n = 100_000;
            let x = t.constant(Tensor::<f64>::full([n], 3.0));
            for p in [0.1, 0.5, 0.75] {
                let y = x.dropout(p, &mut rng());
                let dropped = y.value().data().iter().filter(|&&y| y == 0.0).count();
                // Five standard errors of a share are at most 2.5/√n.
                assert!((dropped as f64 / n as f64 - p).abs() < 0.008, "p = {p}");
                let kept = 3.0 / (1.0 - p);
                let scaled = |&&y: &&f64| (y / kept - 1.0).abs() < 1e-15;
                let kept = y.value().data().iter().filter(scaled).count();
                assert_eq!(dropped + kept, n, "p = {p}");
            }
        });
    }

    #[test]
    fn a_probability_of_zero_is_the_identity_and_draws_nothing() {
        Tape::eval(|t| {
            let mut used = rng();
            let x = t.constant(normal([4], 1));
            let y = x.dropout(0.0, &mut used);
            assert_eq!(y.value().address(), x.value().address());
            assert_eq!(used, rng());
        });
    }

    #[test]
    fn a_probability_of_one_drops_everything() {
        let x = Param::new("x", normal([4], 1));
        let dy = Tensor::ones([4]);
        let (y, grads) = Tape::new().vjp(&dy, |t| t.param(&x).dropout(1.0, &mut rng()));
        assert_eq!((y, grads.of(&x)), (Tensor::zeros([4]), Tensor::zeros([4])));
    }

    /// A generator whose every draw from `[0, 1)` is one half.
    struct Half;

    impl TryRng for Half {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(1 << 31)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(1 << 63)
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.fill(1 << 7);
            Ok(())
        }
    }

    #[test]
    fn a_draw_equal_to_the_probability_keeps_the_element() {
        // The draws below p are a share of p exactly: 0 is one of them, p is not.
        Tape::eval(|t| {
            let x = t.constant(Tensor::<f32>::ones([1]));
            assert_eq!(x.dropout(0.5, &mut Half).value().item(), 2.0);
            assert_eq!(x.dropout(0.500_001, &mut Half).value().item(), 0.0);
        });
    }

    #[track_caller]
    fn drop_out(p: f64) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2])).dropout(p, &mut rng());
        });
    }

    #[test]
    #[should_panic(expected = "dropout: p is a probability between 0 and 1, got 1.5")]
    fn a_probability_is_at_most_one() {
        drop_out(1.5);
    }

    #[test]
    #[should_panic(expected = "dropout: p is a probability between 0 and 1, got NaN")]
    fn a_probability_is_a_number() {
        drop_out(f64::NAN);
    }
}
