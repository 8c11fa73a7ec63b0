//! The same input data on every side, made by a hash that is easy to write anywhere.

/// What an array is for; arrays of different purpose are unrelated.
#[derive(Clone, Copy)]
pub enum Stream {
    /// The input.
    X = 1,
    /// The upstream gradient.
    Dy = 2,
    /// The scale of a norm.
    Gamma = 3,
    /// The shift of a norm.
    Beta = 4,
    /// The weights of the first linear layer; the next ones follow.
    Weights = 10,
}

/// `n` values in [-2, 2).
pub fn uniform(n: usize, stream: u32) -> Vec<f32> {
    let start = stream.wrapping_mul(0x9e37_79b9);
    (0..n as u32)
        .map(|i| (f64::from(hash(i.wrapping_add(start))) / 2f64.powi(30) - 2.0) as f32)
        .collect()
}

fn hash(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x045d_9f3b);
    h = (h ^ (h >> 16)).wrapping_mul(0x045d_9f3b);
    h ^ (h >> 16)
}

/// The input, `n` values.
pub fn x(n: usize) -> Vec<f32> {
    uniform(n, Stream::X as u32)
}

/// The upstream gradient, `n` values.
pub fn dy(n: usize) -> Vec<f32> {
    uniform(n, Stream::Dy as u32)
}

/// A scale between 0.5 and 1.5.
pub fn gamma(n: usize) -> Vec<f32> {
    uniform(n, Stream::Gamma as u32)
        .iter()
        .map(|u| 1.0 + 0.25 * u)
        .collect()
}

/// A shift between -0.5 and 0.5.
pub fn beta(n: usize) -> Vec<f32> {
    uniform(n, Stream::Beta as u32)
        .iter()
        .map(|u| 0.25 * u)
        .collect()
}

/// The weights of linear layer `layer`, row-major `[out, in]`.
pub fn weights(layer: usize, out: usize, fan_in: usize) -> Vec<f32> {
    let scale = 1.0 / (fan_in as f32).sqrt();
    uniform(out * fan_in, Stream::Weights as u32 + layer as u32)
        .iter()
        .map(|u| u * scale)
        .collect()
}

/// The classes of `n` examples.
pub fn targets(n: usize, classes: usize) -> Vec<usize> {
    (0..n).map(|i| i % classes).collect()
}

/// Two numbers that tell one array from another: the mean magnitude, and the part of it
/// that lies along a fixed random direction.
pub fn fingerprint(values: &[f32]) -> [f64; 2] {
    let size: f64 = values.iter().map(|v| f64::from(v.abs())).sum();
    let along: f64 = values
        .iter()
        .zip(uniform(values.len(), 9))
        .map(|(v, u)| f64::from(*v) * f64::from(u))
        .sum();
    [
        size / values.len() as f64,
        along / size.max(f64::MIN_POSITIVE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that `uniform(4, X)` of benches/peers/torch_bench.py gives.
    #[test]
    fn the_hash_is_the_one_that_the_python_side_uses() {
        assert_eq!(x(4), [0.8951724, 0.9933258, 0.67134917, 1.8152335]);
    }

    #[test]
    fn values_fill_their_range_and_streams_are_unrelated() {
        let (x, dy) = (x(10_000), dy(10_000));
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        assert!(mean(&x).abs() < 0.05 && mean(&dy).abs() < 0.05);
        assert!(x.iter().all(|x| (-2.0..=2.0).contains(x)));
        // The variance is 4/3, so the standard error of this mean is 0.013.
        let products: Vec<f32> = x.iter().zip(&dy).map(|(x, dy)| x * dy).collect();
        assert!(mean(&products).abs() < 0.05);
    }

    #[test]
    fn a_fingerprint_sees_one_changed_value_and_another_order() {
        let good = x(100);
        let mut scaled = good.clone();
        scaled[3] *= 1.5;
        let mut reversed = good.clone();
        reversed.reverse();
        let [size, along] = fingerprint(&good);
        assert!((fingerprint(&scaled)[0] / size - 1.0).abs() > 1e-3);
        assert!((fingerprint(&reversed)[0] - size).abs() < 1e-12);
        assert!((fingerprint(&reversed)[1] - along).abs() > 1e-3);
    }
}
