//! The gradient of Batch Normalization along its three routes, for one channel of four values.

use crate::draw::{Drag, Place, Scale, Sheet, round_up};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{and, fixed, tuple};
use batchnorm::composed::{Paths, batch_norm_along};
use tape::{Param, Tape, Tensor};

/// How many values the channel has.
const N: usize = 4;
/// The values that the text works by hand.
const GAMMA: f64 = 2.0;
const EPS: f64 = 1e-5;

const X: [&str; N] = ["x1", "x2", "x3", "x4"];
const DY: [&str; N] = ["dy1", "dy2", "dy3", "dy4"];
// Quarters, whose sums, and the mean of four of them, are exact in binary.
const X_RANGE: [f64; 2] = [0.0, 8.0];
const DY_RANGE: [f64; 2] = [-2.0, 2.0];

const fn x(name: &'static str, label: &'static str, start: f64) -> Control {
    Control::slider(name, label, X_RANGE, 0.25, start)
}

const fn dy(name: &'static str, label: &'static str, start: f64) -> Control {
    Control::slider(name, label, DY_RANGE, 0.25, start)
}

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "paths",
    title: "One channel of four values: the inputs, the upstream gradient, and the gradient of \
            the inputs as bars, one piece for each route",
    groups: &[
        Group {
            legend: "Routes that are open",
            controls: &[
                Control::switch("direct", "direct", true),
                Control::switch("mean", "through the mean", true),
                Control::switch("variance", "through the variance", true),
            ],
        },
        Group {
            legend: "Values of the channel",
            controls: &[
                x("x1", "x₁", 1.0),
                x("x2", "x₂", 3.0),
                x("x3", "x₃", 5.0),
                x("x4", "x₄", 7.0),
            ],
        },
        Group {
            legend: "Upstream gradient",
            controls: &[
                dy("dy1", "dy₁", 1.0),
                dy("dy2", "dy₂", 0.0),
                dy("dy3", "dy₃", 0.0),
                dy("dy4", "dy₄", 0.0),
            ],
        },
    ],
    show,
};

/// A route: its control, what it is called, and its colour.
const ROUTES: [(&str, &str, &str); 3] = [
    ("direct", "direct", "--fig-direct"),
    ("mean", "through the mean", "--fig-mean"),
    ("variance", "through the variance", "--fig-var"),
];

/// What is computed for the values of the controls.
struct Found {
    x: [f64; N],
    dy: [f64; N],
    mean: f64,
    deviation: f64,
    open: [bool; 3],
    /// What each route alone brings to `dx`.
    along: [[f64; N]; 3],
    /// The gradient along all routes that are open, and its sum.
    dx: [f64; N],
    sum: f64,
    /// The derivative of the variance with respect to the mean: the detour.
    detour: f64,
}

/// The gradient of `x` along some routes, as the tape finds it.
fn gradient(paths: Paths, x: &[f64; N], dy: &[f64; N]) -> [f64; N] {
    let x = Param::new("x", Tensor::new([N, 1], x.to_vec()));
    let dy = Tensor::new([N, 1], dy.to_vec());
    let (_, grads) = Tape::new().vjp(&dy, |t| {
        let gamma = t.constant(Tensor::full([1], GAMMA));
        let beta = t.constant(Tensor::zeros([1]));
        batch_norm_along(paths, &t.param(&x), &gamma, &beta, EPS)
    });
    let dx = grads.of(&x);
    std::array::from_fn(|n| dx.data()[n])
}

/// The derivative of the variance with respect to the mean, and the variance.
fn detour(x: &[f64; N], mean: f64) -> (f64, f64) {
    let mean = Param::new("mean", Tensor::new([1], vec![mean]));
    let (var, grads) = Tape::new().grad(|t| {
        let x = t.constant(Tensor::new([N], x.to_vec()));
        let centered = x - t.param(&mean);
        (&centered * &centered).sum(&[0]) / N as f64
    });
    (grads.of(&mean).data()[0], var)
}

impl Found {
    fn new(values: &Values) -> Self {
        let (x, dy) = (values.numbers(X), values.numbers(DY));
        let open = ROUTES.map(|(control, ..)| values.on(control));
        let paths = |[direct, mean, variance]: [bool; 3]| Paths {
            direct,
            mean,
            variance,
        };
        let mean = x.iter().sum::<f64>() / N as f64;
        let (detour, var) = detour(&x, mean);
        let along: [_; 3] =
            std::array::from_fn(|route| gradient(paths([0, 1, 2].map(|r| r == route)), &x, &dy));
        let dx = gradient(paths(open), &x, &dy);
        Self {
            x,
            dy,
            mean,
            deviation: var.sqrt(),
            open,
            along,
            dx,
            sum: dx.iter().sum(),
            detour,
        }
    }

    /// The largest number in the drawing of `dx`, whichever routes are open.
    fn reach(&self) -> f64 {
        let side = |n: usize, sign: f64| {
            let parts = self.along.iter().map(|dx| (sign * dx[n]).max(0.0));
            parts.sum::<f64>()
        };
        let sides = (0..N).flat_map(|n| [side(n, 1.0), side(n, -1.0)]);
        sides.fold(0.0, f64::max)
    }

    /// Whether a sum is zero but for rounding.
    fn vanishes(&self, sum: f64) -> bool {
        sum.abs() <= 1e-12 * self.reach()
    }

    fn sum_in_words(&self, sum: f64) -> String {
        if self.vanishes(sum) {
            "0".to_owned()
        } else {
            fixed(sum, self.places())
        }
    }

    /// Places after the point: four digits of the largest.
    fn places(&self) -> usize {
        match self.reach() {
            reach if reach >= 100.0 => 1,
            reach if reach >= 10.0 => 2,
            _ => 3,
        }
    }

    fn text(&self) -> String {
        let dx = tuple(&self.dx, self.places());
        let routes = ROUTES.iter().zip(self.open);
        let open: Vec<&str> = routes
            .filter(|(_, open)| *open)
            .map(|((_, called, _), _)| *called)
            .collect();
        let mut text = match open.len() {
            0 => return "No route is open, and nothing comes back: dx is 0.".to_owned(),
            3 => format!("All three routes are open, and dx = {dx} is the gradient of the layer."),
            1 => format!("Along one route, {}, dx = {dx}.", open[0]),
            _ => format!("Along two routes, {}, dx = {dx}.", and(&open)),
        };
        let sum = self.sum_in_words(self.sum);
        let [direct, mean, _] = self.open;
        if !self.vanishes(self.sum) {
            text += &format!(" It adds up to {sum}.");
        } else if self.dx.iter().all(|&dx| self.vanishes(dx)) {
            text += " There is nothing to add up.";
        } else if direct && mean {
            text += " It adds up to 0.";
        } else if !direct && !mean {
            text += " It adds up to 0, as x̂ does.";
        } else {
            text += " It adds up to 0, because dy does.";
        }
        if self.deviation == 0.0 {
            text += " The four values are the same: only eps keeps the scale finite.";
        }
        text
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

/// One of the three panels: four columns over one scale.
struct Panel {
    left: f64,
    right: f64,
    scale: Scale,
}

impl Panel {
    fn new(
        sheet: &mut Sheet,
        (left, top): Place,
        (width, height): Place,
        title: &str,
        range: [f64; 2],
    ) -> Self {
        let scale = Scale {
            values: range,
            places: [top + height, top + 24.0],
        };
        let panel = Self {
            // The numbers at the axis have this room: "−2000", where all values are the same.
            left: left + 38.0,
            right: left + width,
            scale,
        };
        sheet.text(
            (left, top + 10.0),
            &format!("{INK} font-weight=\"600\""),
            title,
        );
        panel
    }

    fn mark(&self, sheet: &mut Sheet, value: f64, label: &str) {
        let y = self.scale.at(value);
        let look = "stroke=\"var(--fig-rule)\" stroke-width=\"1\"";
        sheet.line((self.left, y), (self.right, y), look);
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
        sheet.text((self.left - 5.0, y + 4.0), &look, label);
    }

    fn column(&self, n: usize) -> f64 {
        self.left + (self.right - self.left) * (n as f64 + 0.5) / N as f64
    }

    fn values(&self, sheet: &mut Sheet, names: [&'static str; N], values: &[f64; N], zero: f64) {
        let [min, max] = self.scale.values;
        for (n, &value) in values.iter().enumerate() {
            let (x, y) = (self.column(n), self.scale.at(value));
            let stem = "stroke=\"var(--fig-ink)\" stroke-width=\"2\"";
            sheet.line((x, self.scale.at(zero)), (x, y), stem);
            let drag = Drag {
                control: names[n],
                min: self.scale.at(min),
                max: self.scale.at(max),
            };
            sheet.handle((x, y), None, Some(drag), INK);
        }
    }
}

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let size = if wide { (216.0, 214.0) } else { (340.0, 150.0) };
    let place = |k: usize| match form {
        Form::Wide => (242.0 * k as f64, 4.0),
        Form::Narrow => (0.0, 4.0 + 182.0 * k as f64),
    };
    let height = if wide { 328.0 } else { 676.0 };
    let mut sheet = Sheet::new(form.width(), height);

    let panel = Panel::new(&mut sheet, place(0), size, "x", X_RANGE);
    let (low, high) = (found.mean - found.deviation, found.mean + found.deviation);
    let band = [low.max(0.0), high.min(8.0)].map(|value| panel.scale.at(value));
    let look = "fill=\"var(--fig-var-soft)\"";
    sheet.rect((panel.left, band[0]), (panel.right, band[1]), look);
    for value in [0.0, 4.0, 8.0] {
        panel.mark(&mut sheet, value, &fixed(value, 0));
    }
    let mean = panel.scale.at(found.mean);
    let look = "stroke=\"var(--fig-mean)\" stroke-width=\"2\" stroke-dasharray=\"6 4\"";
    sheet.line((panel.left, mean), (panel.right, mean), look);
    panel.values(&mut sheet, X, &found.x, found.mean);

    let panel = Panel::new(&mut sheet, place(1), size, "dy", DY_RANGE);
    for value in [-2.0, 0.0, 2.0] {
        panel.mark(&mut sheet, value, &fixed(value, 0));
    }
    panel.values(&mut sheet, DY, &found.dy, 0.0);

    bars(&mut sheet, found, place(2), size);
    let (left, top) = if wide { (0.0, 250.0) } else { (0.0, 552.0) };
    legend(&mut sheet, found, form, (left, top));
    sheet.svg(FIGURE.title)
}

/// dx: what the routes bring, stacked up and down from zero, and their sum as a dot.
fn bars(sheet: &mut Sheet, found: &Found, at: Place, size: Place) {
    let end = round_up(found.reach().max(1e-3));
    let panel = Panel::new(sheet, at, size, "dx", [-end, end]);
    let places = if end < 1.0 {
        (1.0 - libm::log10(end)) as usize
    } else {
        0
    };
    for value in [-end, 0.0, end] {
        panel.mark(
            sheet,
            value,
            &fixed(value, if value == 0.0 { 0 } else { places }),
        );
    }
    for n in 0..N {
        let x = panel.column(n);
        let mut ends = [0.0; 2];
        for (route, (_, _, colour)) in ROUTES.iter().enumerate() {
            let part = found.along[route][n];
            if !found.open[route] || part == 0.0 {
                continue;
            }
            let from = &mut ends[usize::from(part < 0.0)];
            let places = [*from, *from + part].map(|value| panel.scale.at(value));
            *from += part;
            let look = format!("fill=\"var({colour})\"");
            sheet.rect((x - 14.0, places[0]), (x + 14.0, places[1]), &look);
        }
        let look = format!("{INK} stroke=\"var(--fig-paper)\" stroke-width=\"2\"");
        sheet.disc((x, panel.scale.at(found.dx[n])), 5.5, &look);
    }
}

/// The routes with what each adds up to; the sum of all, and the detour.
fn legend(sheet: &mut Sheet, found: &Found, form: Form, (left, top): Place) {
    let step = 24.0;
    let end = if form == Form::Wide { 300.0 } else { 340.0 };
    for (route, (_, called, colour)) in ROUTES.iter().enumerate() {
        let y = top + step * route as f64;
        let open = found.open[route];
        let (look, sum) = if open {
            let sum: f64 = found.along[route].iter().sum();
            (INK, format!("Σ = {}", found.sum_in_words(sum)))
        } else {
            (MUTED, "closed".to_owned())
        };
        let swatch = format!(
            "fill=\"var({colour})\" opacity=\"{}\"",
            if open { 1 } else { 0 }
        );
        sheet.rect((left, y), (left + 14.0, y + 14.0), &swatch);
        let border = format!("fill=\"none\" stroke=\"var({colour})\" stroke-width=\"2\"");
        sheet.rect((left, y), (left + 14.0, y + 14.0), &border);
        sheet.text((left + 24.0, y + 12.0), look, called);
        sheet.text(
            (left + end, y + 12.0),
            &format!("{look} text-anchor=\"end\""),
            &sum,
        );
    }
    let (left, top, end) = match form {
        Form::Wide => (left + 400.0, top, 300.0),
        Form::Narrow => (left, top + 3.0 * step, 340.0),
    };
    let total = format!("Σ dx = {}", found.sum_in_words(found.sum));
    let detour = if found.detour == 0.0 {
        "exactly 0".to_owned()
    } else {
        fixed(found.detour, 17)
    };
    let row = |sheet: &mut Sheet, y: f64, what: &str, value: &str| {
        sheet.text((left + 24.0, y + 12.0), INK, what);
        let look = format!("{INK} text-anchor=\"end\"");
        sheet.text((left + end, y + 12.0), &look, value);
    };
    let look = format!("{INK} stroke=\"var(--fig-paper)\" stroke-width=\"2\"");
    sheet.disc((left + 7.0, top + 7.0), 5.5, &look);
    row(sheet, top, "dx along the open routes", &total);
    row(sheet, top + step, "the detour, ∂σ²/∂μ", &detour);
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [f64; 3] = [1.0; 3];

    fn at(x: [f64; N], dy: [f64; N], open: [f64; 3]) -> Found {
        let written = [&open[..], &x, &dy].concat();
        let written: Vec<String> = written.iter().map(f64::to_string).collect();
        Found::new(&FIGURE.values(&written))
    }

    #[test]
    fn it_begins_with_the_values_worked_by_hand() {
        let found = at([1.0, 3.0, 5.0, 7.0], [1.0, 0.0, 0.0, 0.0], ALL);
        let stages = batchnorm::staged::forward_channel(&found.x, GAMMA, 0.0, EPS);
        let staged = batchnorm::staged::backward_channel(&stages, GAMMA, &found.dy);
        for (one, other) in found.dx.iter().zip(&staged.dx) {
            assert!((one - other).abs() < 1e-15, "{one} {other}");
        }
        assert_eq!(
            found.text(),
            "All three routes are open, and dx = (0.268, −0.358, −0.089, 0.179) is the gradient of the layer. It adds up to 0."
        );
        assert_eq!(FIGURE.start().text, found.text());
    }

    /// Wherever the sliders are: the routes add up to dx, the sum is 0 with the route through the
    /// mean, and the detour is exactly 0.
    #[test]
    fn what_the_text_says_holds_wherever_the_sliders_are() {
        let mut state = 7_u64;
        let mut draw = |steps: u64| {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % steps
        };
        for _ in 0..500 {
            let x = [0; N].map(|_| 0.25 * draw(33) as f64);
            let dy = [0; N].map(|_| 0.25 * draw(17) as f64 - 2.0);
            let all = at(x, dy, ALL);
            assert_eq!(all.detour, 0.0, "{x:?}");
            assert!(all.vanishes(all.sum), "{x:?} {dy:?}: {}", all.sum);
            for n in 0..N {
                let parts: f64 = all.along.iter().map(|dx| dx[n]).sum();
                assert!(all.vanishes(parts - all.dx[n]), "{x:?} {dy:?}");
            }
            let sums = dy.iter().sum::<f64>() == 0.0;
            let without = at(x, dy, [1.0, 0.0, 1.0]);
            assert_eq!(without.vanishes(without.sum), sums, "{x:?} {dy:?}");
        }
    }

    #[test]
    fn the_sentence_says_why_a_sum_is_zero() {
        let x = [1.0, 3.0, 5.0, 7.0];
        let text = |dy, open| at(x, dy, open).text();
        let one = [1.0, 0.0, 0.0, 0.0];
        assert!(
            text(one, [1.0, 0.0, 1.0])
                .starts_with("Along two routes, direct and through the variance, dx = ")
        );
        assert!(text(one, [1.0, 0.0, 1.0]).ends_with("It adds up to 0.894."));
        assert!(text(one, [0.0, 0.0, 1.0]).ends_with("It adds up to 0, as x̂ does."));
        assert!(text([1.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0]).ends_with("because dy does."));
        assert!(text([0.0; N], ALL).ends_with("There is nothing to add up."));
        assert!(text(one, [0.0; 3]).starts_with("No route is open"));
        assert!(
            at([2.0; N], one, ALL)
                .text()
                .ends_with("only eps keeps the scale finite.")
        );
    }
}
