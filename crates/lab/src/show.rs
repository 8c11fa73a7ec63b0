//! What experiments draw alike.

use chart::{Axis, Chart, Ink, Line, Points, Spread};
use nn::NormKind;

use crate::setting::Setting;
use crate::sweep::Cell;

impl<S: Setting> Cell<S> {
    /// Whether it is of this method.
    pub(crate) fn is(&self, method: NormKind) -> bool {
        self.of.method() == method
    }

    /// What a text calls it, with the rate that was picked.
    pub(crate) fn name_and_rate(&self) -> String {
        format!("{}, rate {}", self.of.name(), self.chosen_rate)
    }

    /// A line of it.
    pub(crate) fn line(&self, points: Points) -> Line {
        Line::new(self.of.name(), self.of.ink(), points)
    }
}

/// The chart with what guessing gets right of ten digits, whatever they look like.
pub(crate) fn guessing(chart: Chart) -> Chart {
    chart.level("guessing", Ink::Theory, Spread::exactly(0.1))
}

/// The accuracy on the validation part at each rate.
pub(crate) fn over_rates<S: Setting>(title: &str, about: String, of: &[Cell<S>]) -> Chart {
    let lines = of.iter().map(|cell| cell.line(cell.over_rates()));
    guessing(rates_chart(title, about, lines))
}

/// Accuracies on the validation part over the rate.
pub(crate) fn rates_chart(
    title: &str,
    about: String,
    lines: impl IntoIterator<Item = Line>,
) -> Chart {
    Chart::of(title, about, lines)
        .x(|first, last| Axis::log("learning rate", first, last))
        .y(|_, _| Axis::linear("validation accuracy", 0.0, 1.0))
}

/// An axis of batch sizes.
pub(crate) fn batch_sizes(first: f64, last: f64) -> Axis {
    Axis::log("examples in a batch", first, last)
}

/// An axis of epochs.
pub(crate) fn epochs(epochs: usize) -> Axis {
    Axis::linear("epochs", 1.0, epochs as f64)
}

/// An axis of accuracies, from the next of so many parts of 1 below `low`.
pub(crate) fn accuracy(caption: &str, low: f64, parts: f64) -> Axis {
    let low = (parts * low.min(1.0) - 0.1).floor() / parts;
    Axis::linear(caption, low, 1.0)
}
