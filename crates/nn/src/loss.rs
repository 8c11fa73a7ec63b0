//! What a network is trained to make small, and what it is judged by.

use tape::{Real, Tensor, Var};

/// The mean cross-entropy of logits `[N, C]` against N classes, in nats: the logarithm of
/// what the network gave the right class, with the sign turned.
///
/// # Panics
/// If the logits have not two axes, there are not N classes, or one is C or more.
#[track_caller]
pub fn cross_entropy<'t, T: Real>(logits: &Var<'t, T>, classes: &[usize]) -> Var<'t, T> {
    logits.cross_entropy(classes)
}

/// The mean of the squared differences to `target`, of the same shape.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn mse<'t, T: Real>(y: &Var<'t, T>, target: &Tensor<T>) -> Var<'t, T> {
    y.mse(&y.tape().constant(target.clone()))
}

/// How many rows of the logits `[N, C]` are largest at their class. A row that holds a
/// NaN counts as wrong; of equal logits the first counts.
///
/// # Panics
/// If the logits have not two axes, or there are not N classes.
#[track_caller]
pub fn count_correct<T: Real>(logits: &Tensor<T>, classes: &[usize]) -> usize {
    let shape = logits.shape();
    assert!(
        shape.len() == 2 && shape[0] == classes.len(),
        "count_correct: logits of shape {shape} need two axes and one class for each row, got {} \
         classes",
        classes.len()
    );
    let rows = logits.data().chunks(shape[1].max(1));
    rows.zip(classes)
        .filter(|(row, class)| argmax(row) == Some(**class))
        .count()
}

/// The place of the largest value; `None` if there is no value or a NaN.
fn argmax<T: Real>(row: &[T]) -> Option<usize> {
    let mut best = 0;
    for (i, &value) in row.iter().enumerate() {
        value.partial_cmp(&value)?;
        if value > row[best] {
            best = i;
        }
    }
    (!row.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tape::Tape;

    #[test]
    fn losses_at_hand_made_values() {
        Tape::eval(|t| {
            let logits = t.constant(Tensor::new([2, 2], vec![0.0_f64, 0.0, 0.0, 3f64.ln()]));
            let loss = cross_entropy(&logits, &[0, 1]).value().item();
            let expected = 0.5 * (2f64.ln() + (4.0_f64 / 3.0).ln());
            assert!((loss - expected).abs() < 1e-15);
            let y = t.constant(Tensor::new([2], vec![1.0, 2.0]));
            let target = Tensor::new([2], vec![0.0, 4.0]);
            assert_eq!(mse(&y, &target).value().item(), 2.5);
        });
    }

    #[test]
    fn the_largest_logit_is_the_answer() {
        let nan = f64::NAN;
        let logits = vec![1.0, 3.0, 2.0, 5.0, 5.0, 0.0, nan, 1.0, 0.0, 0.0, 1.0, nan];
        let logits = Tensor::new([4, 3], logits);
        assert_eq!(count_correct(&logits, &[1, 0, 1, 1]), 2);
        assert_eq!(count_correct(&logits, &[2, 1, 0, 2]), 0);
    }

    #[test]
    #[should_panic(expected = "logits of shape [2, 2] need two axes and one class for each row")]
    fn every_row_needs_a_class() {
        count_correct(&Tensor::<f32>::zeros([2, 2]), &[0]);
    }
}
