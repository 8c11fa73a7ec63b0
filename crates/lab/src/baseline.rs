//! What needs no network: how far the images alone decide.

use nn::data::{Digits, Examples};

/// The share of the test part whose nearest class mean of the training part is its own class's:
/// what a classifier gets right that has looked at averages and at nothing else.
pub(crate) fn nearest_mean(data: &Digits<f32>) -> f64 {
    let means = means(&data.train);
    let nearest = |image: &[f32]| {
        let distance = |mean: &Vec<f64>| -> f64 {
            let pairs = image.iter().zip(mean);
            pairs.map(|(&x, m)| (f64::from(x) - m).powi(2)).sum()
        };
        let distances = means.iter().map(distance).enumerate();
        distances
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(class, _)| class)
    };
    let images = rows(&data.test).zip(&data.test.labels);
    let right = images.filter(|(image, label)| nearest(image) == Some(**label));
    right.count() as f64 / data.test.len() as f64
}

fn rows(examples: &Examples<f32>) -> impl Iterator<Item = &[f32]> {
    let pixels = examples.images.len() / examples.len();
    examples.images.data().chunks_exact(pixels)
}

/// The mean image of each class.
fn means(examples: &Examples<f32>) -> Vec<Vec<f64>> {
    let classes = 1 + examples.labels.iter().max().expect("there are examples");
    let pixels = examples.images.len() / examples.len();
    let mut means = vec![vec![0.0; pixels]; classes];
    for (image, &label) in rows(examples).zip(&examples.labels) {
        let count = examples
            .labels
            .iter()
            .filter(|&&other| other == label)
            .count();
        let add = |(mean, &x): (&mut f64, &f32)| *mean += f64::from(x) / count as f64;
        means[label].iter_mut().zip(image).for_each(add);
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use tape::Tensor;

    #[test]
    fn the_nearest_mean_is_the_answer() {
        let part = |pixels: &[f32], labels: &[usize]| Examples {
            images: Tensor::new([labels.len(), 1], pixels.to_vec()),
            labels: labels.to_vec(),
        };
        // Means at 1 and at 10: the border is at 5.5.
        let train = part(&[0.0, 2.0, 10.0], &[0, 0, 1]);
        let test = part(&[5.0, 6.0, 5.0, -9.0], &[0, 1, 1, 0]);
        let validation = train.clone();
        let data = Digits {
            train,
            validation,
            test,
        };
        assert_eq!(nearest_mean(&data), 0.75);
    }
}
