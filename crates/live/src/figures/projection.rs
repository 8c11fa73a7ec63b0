//! The gradient of Batch Normalization as a projection: what is left of an upstream gradient, in
//! the space of 1, `x_hat` and all other directions.

use crate::draw::{Place, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{fixed, scientific, tuple};
use batchnorm::staged::{backward_channel, forward_channel};

/// The values of the channel, of which the first N are taken; the second is set by a slider.
const X: [f64; 8] = [0.0, 1.0, 4.0, 2.5, 6.0, 3.0, 5.0, 1.5];
const DY: [&str; 3] = ["dy1", "dy2", "dy3"];

const fn dy(name: &'static str, label: &'static str, start: f64) -> Control {
    Control::slider(name, label, [-2.0, 2.0], 0.25, start)
}

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "projection",
    title: "The upstream gradient as an arrow in the space of 1, x̂ and the other directions; \
            what is subtracted from it, and what is left",
    groups: &[
        Group {
            legend: "Batch",
            controls: &[
                Control::slider("n", "N", [2.0, 8.0], 1.0, 3.0),
                Control::slider("x2", "x₂", [-2.0, 6.0], 0.25, 1.0),
                Control::slider("eps", "ε", [-8.0, 1.0], 0.25, -5.0),
            ],
        },
        Group {
            legend: "Upstream gradient",
            controls: &[
                dy("dy1", "dy₁", 0.5),
                dy("dy2", "dy₂", -0.5),
                dy("dy3", "dy₃", 1.5),
            ],
        },
        Group {
            legend: "View, in degrees",
            controls: &[
                Control::slider("turn", "turn", [-90.0, 90.0], 5.0, -35.0),
                Control::slider("tilt", "tilt", [0.0, 60.0], 5.0, 20.0),
            ],
        },
    ],
    show,
};

const ONE: &str = "--fig-mean";
const X_HAT: &str = "--fig-var";
const REST: &str = "--fig-accent";

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `a + k b`.
fn plus(a: &[f64], k: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + k * b).collect()
}

/// A vector of length 1 in the direction of `a`, unless that is nothing but rounding.
fn unit(a: &[f64]) -> Option<Vec<f64>> {
    let length = dot(a, a).sqrt();
    (length > 1e-9).then(|| a.iter().map(|a| a / length).collect())
}

/// Along 1, along `x_hat`, along the rest.
type Parts = [f64; 3];

struct Found {
    n: usize,

    eps: f64,
    dy: Vec<f64>,
    /// P dy, which is dx with the scale taken out.
    left: Vec<f64>,
    /// The share of dy that comes through along `x_hat`.
    crack: f64,
    /// Unit vectors along 1, along `x_hat` and along the rest; with two values there is no rest.
    frame: Vec<Vec<f64>>,
    x_hat: Vec<f64>,
    turn: f64,
    tilt: f64,
}

impl Found {
    fn new(values: &Values) -> Self {
        let n = values.number("n") as usize;
        let mut x = X[..n].to_vec();
        x[1] = values.number("x2");
        let mut dy = vec![0.0; n];
        for (dy, name) in dy.iter_mut().zip(DY) {
            *dy = values.number(name);
        }
        let eps = libm::pow(10.0, values.number("eps"));
        let stages = forward_channel(&x, 1.0, 0.0, eps);
        let grads = backward_channel(&stages, 1.0, &dy);
        let left: Vec<f64> = grads.dx.iter().map(|dx| dx / stages.rstd).collect();

        let one = vec![1.0 / (n as f64).sqrt(); n];
        // Of equal values no direction is left; the first against the second is as good as any.
        let mut apart = vec![0.0; n];
        (apart[0], apart[1]) = (-1.0, 1.0);
        let along = unit(&stages.centered).or_else(|| unit(&apart));
        let along = along.unwrap_or(apart);
        let rest = match n {
            2 => None,
            3 => unit(&[
                one[1] * along[2] - one[2] * along[1],
                one[2] * along[0] - one[0] * along[2],
                one[0] * along[1] - one[1] * along[0],
            ]),
            _ => {
                let flat = plus(&dy, -dot(&dy, &one), &one);
                unit(&plus(&flat, -dot(&flat, &along), &along))
            }
        };
        let frame = [Some(one), Some(along), rest];
        Self {
            n,

            eps,
            dy,
            left,
            crack: eps / (stages.var + eps),
            frame: frame.into_iter().flatten().collect(),
            x_hat: stages.x_hat,
            turn: values.number("turn"),
            tilt: values.number("tilt"),
        }
    }

    fn parts(&self, of: &[f64]) -> Parts {
        std::array::from_fn(|at| self.frame.get(at).map_or(0.0, |unit| dot(of, unit)))
    }

    /// Squared lengths: of dy along the three, and of what is left.
    fn energy(&self) -> (Parts, f64) {
        let parts = self.parts(&self.dy).map(|part| part * part);
        (parts, dot(&self.left, &self.left))
    }

    /// The share of the squared length that is left, if there is any length.
    fn share(&self) -> Option<f64> {
        let (parts, left) = self.energy();
        let all: f64 = parts.iter().sum();
        (all > 0.0).then(|| left / all)
    }

    /// The share that is left when dy points anywhere, on average.
    fn average(&self) -> f64 {
        (self.n as f64 - 2.0 + self.crack * self.crack) / self.n as f64
    }

    fn text(&self) -> String {
        let crack = scientific(self.crack, 1);
        let mut text = match self.n {
            2 => format!(
                "N = 2: 1 and x̂ span the whole plane. Nothing is left of any dy but the share \
                 {crack} of its part along x̂."
            ),
            3 => "N = 3: of three directions, one is left.".to_owned(),
            n => format!("N = {n}: of {n} directions, {} are left.", n - 2),
        };
        match self.share() {
            None => text += " But this dy is 0.",
            Some(share) if self.n > 2 => {
                text += &format!(
                    " This dy keeps {} of its squared length; the average over all directions is {}.",
                    percent(share),
                    percent(self.average())
                );
            }
            Some(_) => {}
        }
        if self.n > 2 && self.crack > 0.02 {
            text += &format!(
                " With this ε, {} of the part along x̂ comes through.",
                percent(self.crack)
            );
        }
        text
    }
}

/// A share in words that do not hide a little that is left.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if share < 1e-20 {
        "0\u{a0}%".to_owned()
    } else if percent >= 0.1 {
        format!("{}\u{a0}%", fixed(percent, usize::from(percent < 1.0)))
    } else {
        scientific(share, 0)
    }
}

/// How a place of the space becomes one of the drawing.
struct View {
    centre: Place,
    scale: f64,
    across: Parts,
    up: Parts,
}

impl View {
    fn new(found: &Found, centre: Place, scale: f64) -> Self {
        let [turn, tilt] = [found.turn, found.tilt].map(f64::to_radians);
        let (sin, cos) = (libm::sin(turn), libm::cos(turn));
        let (low, high) = (libm::sin(tilt), libm::cos(tilt));
        Self {
            centre,
            scale,
            across: [0.0, cos, sin],
            up: [high, sin * low, -cos * low],
        }
    }

    fn at(&self, parts: Parts) -> Place {
        (
            self.centre.0 + self.scale * dot(&parts, &self.across),
            self.centre.1 - self.scale * dot(&parts, &self.up),
        )
    }

    /// How dy changes as its tip is dragged in the plane of the drawing, for a unit across and a
    /// unit down.
    fn moves(&self, found: &Found) -> Option<[Vec<f64>; 2]> {
        let (across, up) = match found.n {
            3 => (self.across, self.up),
            // In the plane of 1 and x_hat, seen at an angle that must not be too sharp.
            2 => {
                let det = self.up[0] * self.across[1];
                if det.abs() < 0.3 {
                    return None;
                }
                (
                    [-self.up[1] / det, 1.0 / self.across[1], 0.0],
                    [1.0 / self.up[0], 0.0, 0.0],
                )
            }
            _ => return None,
        };
        let spread = |parts: Parts, sign: f64| {
            let mut moved = vec![0.0; found.n];
            for (unit, part) in found.frame.iter().zip(parts) {
                moved = plus(&moved, sign * part / self.scale, unit);
            }
            moved
        };
        Some([spread(across, 1.0), spread(up, -1.0)])
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let height = if wide { 376.0 } else { 616.0 };
    let mut sheet = Sheet::new(form.width(), height);
    let (centre, scale) = if wide {
        ((202.0, 196.0), 66.0)
    } else {
        ((168.0, 160.0), 54.0)
    };
    // 1 is as long as the root of N.
    let scale = scale * (2.25 / (found.n as f64).sqrt()).min(1.0);
    space(&mut sheet, found, &View::new(found, centre, scale));
    let (at, width) = if wide {
        ((440.0, 44.0), 260.0)
    } else {
        ((0.0, 336.0), 340.0)
    };
    account(&mut sheet, found, at, width);
    sheet.svg(FIGURE.title)
}

fn space(sheet: &mut Sheet, found: &Found, view: &View) {
    let zero = view.at([0.0; 3]);
    // The plane of what is lost, and the line of what is not.
    let reach = 2.0;
    let corners = [[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]];
    let corners = corners.map(|[one, along]| view.at([reach * one, reach * along, 0.0]));
    sheet.area(&corners, "fill=\"var(--fig-rule)\" fill-opacity=\"0.35\"");
    for at in -4..=4 {
        let at = 0.5 * f64::from(at);
        let look = "stroke=\"var(--fig-rule)\"";
        sheet.line(view.at([-reach, at, 0.0]), view.at([reach, at, 0.0]), look);
        sheet.line(view.at([at, -reach, 0.0]), view.at([at, reach, 0.0]), look);
    }
    if found.frame.len() == 3 {
        let ends = [-2.6, 2.6].map(|rest| view.at([0.0, 0.0, rest]));
        let look = format!("stroke=\"var({REST})\" stroke-dasharray=\"2 5\" stroke-width=\"1.5\"");
        sheet.line(ends[0], ends[1], &look);
    }
    // The axes of the values themselves, where there are no more than can be drawn.
    let mut axes = Vec::new();
    for at in 0..if found.n > 3 { 0 } else { found.n } {
        let mut axis = vec![0.0; found.n];
        axis[at] = 2.0;
        let end = view.at(found.parts(&axis));
        let look = "stroke=\"var(--fig-muted)\" stroke-opacity=\"0.55\"";
        sheet.line(zero, end, look);
        axes.push((end, MUTED.to_owned(), ["dy₁", "dy₂", "dy₃"][at]));
    }
    let one = view.at(found.parts(&vec![1.0; found.n]));
    let x_hat = view.at(found.parts(&found.x_hat));
    for (end, colour) in [(one, ONE), (x_hat, X_HAT)] {
        sheet.arrow(zero, end, colour, 1.6);
    }

    // dy, without its mean, without its part along x_hat.
    let left = found.parts(&found.left);
    let dy = found.parts(&found.dy);
    let [tip, centred, end] = [dy, [left[0], dy[1], dy[2]], left].map(|parts| view.at(parts));
    sheet.arrow(zero, tip, "--fig-ink", 2.4);
    for (from, to, colour) in [(tip, centred, ONE), (centred, end, X_HAT)] {
        let look = format!("stroke=\"var({colour})\" stroke-width=\"3\" stroke-dasharray=\"7 3\"");
        sheet.line(from, to, &look);
    }
    sheet.arrow(zero, end, REST, 3.6);
    let look = format!("{INK} stroke=\"var(--fig-paper)\" stroke-width=\"2\"");
    if let Some([across, down]) = view.moves(found) {
        let moves: Vec<_> = (0..found.n)
            .map(|at| (DY[at], across[at], down[at]))
            .collect();
        sheet.roaming(tip, &moves, &look);
    }
    let bold = |colour: &str| format!("fill=\"var({colour})\" font-weight=\"700\"");
    let mut names = vec![(tip, bold("--fig-ink"), "dy")];
    if distance(zero, end) > 12.0 {
        names.push((end, bold(REST), "P dy"));
    }
    names.extend([(one, bold(ONE), "1"), (x_hat, bold(X_HAT), "x̂")]);
    names.extend(axes);
    label(sheet, zero, &names);
}

fn distance(a: Place, b: Place) -> f64 {
    let (x, y) = (a.0 - b.0, a.1 - b.1);
    (x * x + y * y).sqrt()
}

/// Names beyond the ends of arrows; one that would lie on another before it stands beside the end.
fn label(sheet: &mut Sheet, from: Place, names: &[(Place, String, &str)]) {
    let mut taken: Vec<(Place, f64)> = Vec::new();
    for (to, look, name) in names {
        let length = distance(from, *to).max(1.0);
        let (x, y) = ((to.0 - from.0) / length, (to.1 - from.1) / length);
        // About half of its width; a hat has none.
        let half = 4.0 * name.chars().filter(|c| *c != '\u{302}').count() as f64;
        let places = [0.0, 0.8, -0.8, 1.6, -1.6].map(|turn| {
            let (sin, cos) = (libm::sin(turn), libm::cos(turn));
            let (x, y) = (cos * x - sin * y, sin * x + cos * y);
            (to.0 + 17.0 * x, to.1 + 17.0 * y + 5.0)
        });
        let clear = |at: &Place| {
            let apart = |(other, width): &(Place, f64)| {
                (at.0 - other.0).abs() > half + width + 2.0 || (at.1 - other.1).abs() > 12.0
            };
            taken.iter().all(apart)
        };
        let at = places.into_iter().find(clear).unwrap_or(places[0]);
        taken.push((at, half));
        let look = format!(
            "{look} text-anchor=\"middle\" paint-order=\"stroke\" stroke=\"var(--fig-paper)\" stroke-width=\"3\""
        );
        sheet.text(at, &look, name);
    }
}

/// What becomes of the squared length of dy, and of all directions.
fn account(sheet: &mut Sheet, found: &Found, (left, top): Place, width: f64) {
    let bold = format!("{INK} font-weight=\"600\"");
    let end = |look: &str| format!("{look} text-anchor=\"end\"");
    sheet.text((left, top), &bold, "This dy");
    let (parts, _) = found.energy();
    let all: f64 = parts.iter().sum();
    let kept = found.crack * found.crack;
    let mut from = left;
    let bar = top + 12.0;
    let look = "fill=\"none\" stroke=\"var(--fig-rule)\"";
    sheet.rect((left, bar), (left + width, bar + 20.0), look);
    for (part, colour) in parts.iter().zip([ONE, X_HAT, REST]) {
        let share = if all > 0.0 { part / all } else { 0.0 };
        let to = from + share * width;
        let look = format!("fill=\"var({colour})\"");
        if to - from > 0.05 {
            sheet.rect((from, bar), (to, bar + 20.0), &look);
        }
        from = to;
    }
    let share = |part: f64| {
        if all > 0.0 {
            percent(part / all)
        } else {
            "–".to_owned()
        }
    };
    let crack = format!("passes: {}", percent(kept));
    let rows = [
        (ONE, "along 1", share(parts[0]), "lost"),
        (
            X_HAT,
            "along x̂",
            share(parts[1]),
            if kept < 0.001 { "lost" } else { &*crack },
        ),
        (REST, "the rest", share(parts[2]), "passes"),
    ];
    for (at, (colour, name, share, fate)) in rows.iter().enumerate() {
        let y = bar + 42.0 + 23.0 * at as f64;
        let look = format!("fill=\"var({colour})\"");
        sheet.rect((left, y - 11.0), (left + 13.0, y + 2.0), &look);
        sheet.text((left + 22.0, y), INK, name);
        sheet.text((left + 138.0, y), &end(INK), share);
        sheet.text((left + width, y), &end(MUTED), fate);
    }

    let top = bar + 138.0;
    let directions = format!("All {} directions", found.n);
    sheet.text((left, top), &bold, &directions);
    let cell = (width + 6.0) / 8.0;
    for at in 0..found.n {
        let x = left + cell * at as f64;
        let corner = (x + cell - 6.0, top + 38.0);
        let colour = [ONE, X_HAT, REST][at.min(2)];
        let fill = if at < 2 {
            format!("fill=\"none\" stroke=\"var({colour})\" stroke-width=\"2\"")
        } else {
            format!("fill=\"var({colour})\" stroke=\"var({colour})\" stroke-width=\"2\"")
        };
        if at == 1 {
            // How much of it passes, from below.
            let look = format!("fill=\"var({REST})\"");
            let height = 26.0 * kept;
            sheet.rect((x, corner.1 - height), corner, &look);
        }
        sheet.rect((x, top + 12.0), corner, &fill);
    }
    let average = top + 61.0;
    sheet.text((left, average), INK, "passes on average");
    sheet.text(
        (left + width, average),
        &end(INK),
        &percent(found.average()),
    );
    let values = top + 98.0;
    let rows = [("dy", &found.dy), ("P dy", &found.left)];
    for (at, (name, vector)) in rows.into_iter().enumerate() {
        let y = values + 23.0 * at as f64;
        sheet.text((left, y), INK, name);
        // No more than there is room for.
        let shown = tuple(&vector[..found.n.min(3)], 2);
        let shown = if found.n > 3 {
            shown.replace(')', ", …)")
        } else {
            shown
        };
        sheet.text((left + width, y), &end(INK), &shown);
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    let degrees = |at: f64| format!("{}°", fixed(at, 0));
    Shown::new(values, |form| draw(&found, form), found.text())
        .say("eps", scientific(found.eps, 0))
        .say("turn", degrees(found.turn))
        .say("tilt", degrees(found.tilt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: usize, x2: f64, eps: f64, dy: [f64; 3]) -> Found {
        let written = [n as f64, x2, eps, dy[0], dy[1], dy[2], -35.0, 20.0];
        Found::new(&FIGURE.values(&written.map(|value| value.to_string())))
    }

    fn draws(count: usize) -> impl Iterator<Item = [f64; 4]> {
        let mut state = 11_u64;
        let mut draw = move |steps: u64| {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            ((state >> 33) % steps) as f64
        };
        (0..count).map(move |_| {
            let dy = [0; 3].map(|_| 0.25 * draw(17) - 2.0);
            [0.25 * draw(33) - 2.0, dy[0], dy[1], dy[2]]
        })
    }

    /// Wherever the sliders are: along 1 nothing is left, along `x_hat` the crack, and the rest
    /// as it was.
    #[test]
    fn two_directions_are_lost_and_the_rest_passes() {
        for (at_draw, [x2, a, b, c]) in draws(300).enumerate() {
            let n = 2 + at_draw % 7;
            for eps in [-8.0, -5.0, 0.0, 1.0] {
                let found = at(n, x2, eps, [a, b, c]);
                let [dy, left] = [&found.dy, &found.left].map(|vector| found.parts(vector));
                let wanted = [0.0, found.crack * dy[1], dy[2]];
                for (left, wanted) in left.iter().zip(wanted) {
                    assert!(
                        (left - wanted).abs() < 1e-7,
                        "{n} {x2} {eps}: {left} {wanted}"
                    );
                }
                // The three parts are all of dy, and of what is left.
                let (parts, energy) = found.energy();
                let whole = dot(&found.dy, &found.dy);
                assert!((parts.iter().sum::<f64>() - whole).abs() < 1e-12 * (1.0 + whole));
                let kept: f64 = left.iter().map(|part| part * part).sum();
                assert!((kept - energy).abs() < 1e-7 * (1.0 + whole));
            }
        }
    }

    /// Over all directions of dy, a third is left of three and nothing of two.
    #[test]
    fn a_third_is_left_of_three_and_nothing_of_two() {
        for (n, wanted) in [(2, 0.0), (3, 1.0 / 3.0)] {
            // The mean over the axes is the mean over all directions: it is the trace over N.
            let axes = (0..n).map(|axis| {
                let mut dy = [0.0; 3];
                dy[axis] = 1.0;
                at(n, 1.0, -8.0, dy).share().expect("it has a length")
            });
            let share = axes.sum::<f64>() / n as f64;
            assert!((share - wanted).abs() < 1e-7, "{n}: {share}");
            assert!((at(n, 1.0, -8.0, [1.0; 3]).average() - wanted).abs() < 1e-7);
        }
        let text = at(2, 1.0, -5.0, [1.0, -1.0, 0.0]).text();
        assert!(
            text.starts_with("N = 2: 1 and x̂ span the whole plane."),
            "{text}"
        );
        assert!(FIGURE.start().text.contains("directions is 33\u{a0}%."));
    }

    /// A constant dy leaves nothing, at any N; and eps opens the crack along `x_hat` alone.
    #[test]
    fn what_lies_in_the_plane_is_lost_but_for_the_crack() {
        for x2 in [-2.0, 1.0, 3.5] {
            let share = at(3, x2, -8.0, [1.5; 3]).share();
            assert!(share.expect("it has a length") < 1e-20);
            let open = at(3, x2, 1.0, [1.0, 0.0, -1.0]);
            let shut = at(3, x2, -8.0, [1.0, 0.0, -1.0]);
            assert!(open.share() > shut.share());
            assert!(open.crack > 0.5 && open.text().contains("With this ε"));
        }
    }

    /// The tip follows the pointer: the change of dy that a handle asks for is the way it went.
    #[test]
    fn the_tip_goes_where_it_is_dragged() {
        for n in [2, 3] {
            let found = at(n, 1.0, -5.0, [1.0, 0.5, -1.0]);
            let view = View::new(&found, (0.0, 0.0), 50.0);
            let [across, down] = view.moves(&found).expect("it can be dragged");
            let from = view.at(found.parts(&found.dy));
            for (moved, way) in [(across, (1.0, 0.0)), (down, (0.0, 1.0))] {
                let to = view.at(found.parts(&plus(&found.dy, 1.0, &moved)));
                let off = distance(to, (from.0 + way.0, from.1 + way.1));
                assert!(off < 1e-9, "{n}: {off}");
            }
        }
    }
}
