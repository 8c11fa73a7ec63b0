//! What experiments draw alike.

use nn::NormKind;

use crate::setting::Setting;
use crate::sweep::Cell;
use chart::Spread;
use chart::{Axis, Chart, Ink, Line};

/// Points of a line.
pub(crate) type Points = Vec<(f64, Option<Spread>)>;

/// A line of a chart.
pub(crate) fn line(name: impl Into<String>, ink: Ink, points: Points) -> Line {
    Line {
        name: name.into(),
        ink,
        points,
    }
}

/// A level line from one end to the other.
pub(crate) fn level(name: impl Into<String>, ink: Ink, ends: [f64; 2], at: Spread) -> Line {
    line(name, ink, ends.map(|x| (x, at.finite())).into())
}

/// The lowest first quartile and the highest third one; the latter is at least 0.
pub(crate) fn range(lines: &[Line]) -> (f64, f64) {
    let points = lines.iter().flat_map(|line| &line.points);
    let seen = points.filter_map(|(_, spread)| *spread);
    seen.fold((f64::INFINITY, 0.0), |(low, high), s| {
        (s.low.min(low), s.high.max(high))
    })
}

/// Where lines begin and end, from left to right.
pub(crate) fn ends(lines: &[Line]) -> [f64; 2] {
    let xs = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.0)
    };
    [xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max)]
}

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
        line(self.of.name(), self.of.ink(), points)
    }
}

/// The accuracy on the validation part at each rate.
pub(crate) fn over_rates<S: Setting>(title: &str, about: String, of: &[Cell<S>]) -> Chart {
    let lines: Vec<Line> = of.iter().map(|cell| cell.line(cell.over_rates())).collect();
    let [first, last] = ends(&lines);
    Chart {
        title: title.into(),
        about,
        x: Axis::log("learning rate", first, last),
        y: Axis::linear("validation accuracy", 0.0, 1.0),
        lines,
    }
}

/// An axis of epochs.
pub(crate) fn epochs(epochs: usize) -> Axis {
    Axis::linear("epochs", 1.0, epochs as f64)
}
