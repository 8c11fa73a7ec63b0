//! The catalogue for dx.

use super::catalogue::{Catalogue, Element};
use super::change::Changes;
use super::factors;
use super::layout::Kind;
use super::probe::Probe;
use super::recipe::{DIRECT, MEAN, Recipe, Shared, VARIANCE, XHat};
use crate::attribution::{Finding, Path, Question};

/// The mistakes in dx.
pub(super) fn catalogue(probe: &Probe, precision: f64) -> Catalogue<'_> {
    let paths = Paths::of(probe.kind);
    let through = paths.places(&[MEAN, VARIANCE]);
    let means = factors::of_a_mean(probe, probe.groups.size(), &through);
    let question = Question {
        target: "dx".into(),
        paths: paths.present.iter().map(|&p| path(probe.kind, p)).collect(),
        factors: [factors::common(), means].concat(),
        precision,
    };
    Catalogue {
        question,
        changes: changes(probe, &paths),
        shared: Shared::new(probe),
        terms: Box::new(|recipe, shared| element(recipe, shared)),
        length: (probe.x.len(), "one for each element of x".into()),
    }
}

/// The paths that a normalization has, by their numbers in a recipe.
struct Paths {
    present: Vec<usize>,
}

impl Paths {
    fn of(kind: Kind) -> Self {
        let present = if kind == Kind::Rms {
            vec![DIRECT, VARIANCE]
        } else {
            vec![DIRECT, MEAN, VARIANCE]
        };
        Self { present }
    }

    /// The places of these paths in the list of terms.
    fn places(&self, paths: &[usize]) -> Vec<usize> {
        paths
            .iter()
            .filter_map(|p| self.present.iter().position(|q| q == p))
            .collect()
    }

    /// Every choice of one or more of the present paths.
    fn subsets(&self) -> Vec<Vec<usize>> {
        let bits = 1..1_usize << self.present.len();
        let member = |set: usize| {
            let chosen = move |&(place, _): &(usize, &usize)| set >> place & 1 == 1;
            self.present
                .iter()
                .enumerate()
                .filter(chosen)
                .map(|(_, &p)| p)
                .collect()
        };
        bits.map(member).collect()
    }
}

/// The terms of the paths that a normalization has.
fn element<'a>(recipe: &Recipe, shared: &Shared<'a>) -> Element<'a> {
    let terms = recipe.dx(shared);
    if shared.probe.kind != Kind::Rms {
        return Box::new(terms);
    }
    // Who subtracts the mean by mistake has its path as well.
    let subtracted = recipe.flip_centre || recipe.mean_path_added;
    Box::new(move |k| {
        let [direct, mean, variance] = terms(k);
        let through_mean = if subtracted { mean } else { 0.0 };
        [direct + through_mean, variance, 0.0]
    })
}

fn path(kind: Kind, number: usize) -> Path {
    let (id, name) = match (number, kind) {
        (DIRECT, _) => ("direct-path", "the direct path x -> x_hat"),
        (MEAN, _) => ("mean-path", "the path x -> mu -> x_hat"),
        (_, Kind::Rms) => ("variance-path", "the path x -> mean square -> x_hat"),
        _ => ("variance-path", "the path x -> sigma² -> x_hat"),
    };
    Path {
        id: id.into(),
        name: name.into(),
    }
}

fn changes(probe: &Probe, paths: &Paths) -> Changes {
    let mut changes = Changes::default();
    let every = paths.places(&[DIRECT, MEAN, VARIANCE]);
    changes.add_statistics(probe, &every);
    changes.add_root(&every);
    changes.add_layout(probe, &every);
    add_axes(&mut changes, probe, paths);
    add_gamma(&mut changes, probe, paths);
    add_rstd(&mut changes, probe, paths);
    add_x_hat(&mut changes, probe, paths);
    let ignored = Finding::new("dy-ignored", "dy is ignored: it is taken to be all ones");
    changes.add("dy", &every, ignored, |r| r.dy_ones = true);
    changes
}

/// Finds the slug and the sentence for a mistake made in some of the paths.
fn in_paths(probe: &Probe, chosen: &[usize], paths: &Paths, id: &str, what: &str) -> Finding {
    if chosen.len() == paths.present.len() {
        return Finding::new(id, what);
    }
    let named: Vec<Path> = chosen.iter().map(|&p| path(probe.kind, p)).collect();
    let ids: Vec<&str> = named.iter().map(|p| p.id.as_str()).collect();
    let names: Vec<&str> = named.iter().map(|p| p.name.as_str()).collect();
    let sentence = format!("{what}, in {}", names.join(" and in "));
    Finding::new(format!("{}-{id}", ids.join("-and-")), sentence)
}

/// Means of the backward over the wrong elements, with the statistics right.
fn add_axes(changes: &mut Changes, probe: &Probe, paths: &Paths) {
    for (k, other) in probe.others.iter().enumerate() {
        let number = k + 1;
        let id = format!("axes-{}", other.id);
        for chosen in paths.subsets() {
            if chosen.contains(&DIRECT) {
                continue;
            }
            let what = format!("the mean is taken over {}", other.over);
            let finding = in_paths(probe, &chosen, paths, &id, &what);
            let over = chosen.clone();
            changes.add("backward axes", &paths.places(&chosen), finding, move |r| {
                for path in &over {
                    r.backward[path - MEAN] = number;
                }
            });
            changes.rare();
            // In the closed form of Batch Norm, gamma stands before the bracket: it is that
            // of the element, whatever the means are taken over.
            if probe.kind == Kind::Batch {
                let finding = in_paths(probe, &chosen, paths, &id, &what);
                let places = paths.places(&chosen);
                let chosen = chosen.clone();
                changes.add("backward axes", &places, finding, move |r| {
                    for path in &chosen {
                        r.backward[path - MEAN] = number;
                        r.gamma_outside[path - MEAN] = true;
                    }
                });
                changes.rare();
            }
        }
        let what = format!(
            "mean and variance, but not the backward, are taken over {}",
            other.over
        );
        let every = paths.places(&[DIRECT, MEAN, VARIANCE]);
        let finding = Finding::new(format!("statistics-{id}"), what);
        changes.add("statistics", &every, finding, move |r| {
            r.statistics = number;
        });
        changes.rare();
    }
}

fn add_gamma(changes: &mut Changes, probe: &Probe, paths: &Paths) {
    for chosen in paths.subsets() {
        for (id, what, power) in [
            ("gamma-forgotten", "gamma is forgotten", 0),
            ("gamma-squared", "gamma is multiplied in twice", 2),
            (
                "gamma-divided",
                "it is divided by gamma where it must be multiplied",
                -1,
            ),
        ] {
            let finding = in_paths(probe, &chosen, paths, id, what);
            let (places, chosen) = (paths.places(&chosen), chosen.clone());
            let everywhere = places.len() == paths.present.len();
            changes.add("gamma", &places, finding, move |r| {
                chosen.iter().for_each(|&p| r.gamma[p] = power);
            });
            if power != 0 && !everywhere {
                changes.rare();
            }
        }
    }
    // Per channel, gamma is the same before and after a mean over the channel.
    if probe.kind != Kind::Batch {
        let what = "gamma is multiplied in after the mean: per feature, it belongs inside";
        let through = paths.present.iter().filter(|&&p| p != DIRECT);
        let through: Vec<usize> = through.copied().collect();
        let places = paths.places(&through);
        let finding = Finding::new("gamma-outside-mean", what);
        changes.add("gamma", &places, finding, |r| r.gamma_outside = [true; 2]);
        for path in through.into_iter().filter(|_| probe.kind.is_centred()) {
            let finding = in_paths(probe, &[path], paths, "gamma-outside-mean", what);
            changes.add("gamma", &paths.places(&[path]), finding, move |r| {
                r.gamma_outside[path - MEAN] = true;
            });
            changes.rare();
        }
        let what = "gamma is in g already, inside the means, and stands before the bracket too";
        let finding = Finding::new("gamma-again-in-front", what);
        let every = paths.places(&[DIRECT, MEAN, VARIANCE]);
        changes.add("gamma", &every, finding, |r| r.gamma_again = true);
        changes.rare();
        add_parameter_sums(changes, probe, paths);
    }
}

/// The closed form of Batch Norm carried over to rows: there the sums over a channel are
/// dbeta and dgamma, here those are sums over a column.
fn add_parameter_sums(changes: &mut Changes, probe: &Probe, paths: &Paths) {
    let columns = probe.others.iter().position(|o| o.id == "per-feature");
    let Some(number) = columns.map(|k| k + 1) else {
        return;
    };
    let (rows, features) = (probe.params.size() as f64, probe.groups.size() as f64);
    // On a square they are the means over the columns, which have a name already.
    if rows == features {
        return;
    }
    let what = if probe.kind == Kind::Rms {
        "dgamma, divided by the number of features, stands where the mean over the row \
         belongs: it is a sum over the rows"
    } else {
        "dbeta and dgamma, divided by the number of features, stand where the means over the \
         row belong: they are sums over the rows"
    };
    let finding = Finding::new("parameter-sums-for-means", what);
    let places = paths.places(&[MEAN, VARIANCE]);
    changes.add("backward axes", &places, finding, move |r| {
        (r.backward, r.rescaled) = ([number; 2], rows / features);
    });
    changes.rare();
}

fn add_rstd(changes: &mut Changes, probe: &Probe, paths: &Paths) {
    let mistakes = [
        ("rstd-missing", "a factor rstd is missing", -1),
        ("rstd-extra", "there is a factor rstd too many", 1),
        (
            "rstd-inverted",
            "it is multiplied by sigma, not divided",
            -2,
        ),
        ("rstd-extra-twice", "there are two factors rstd too many", 2),
        ("rstd-missing-thrice", "three factors rstd are missing", -3),
    ];
    for chosen in paths.subsets() {
        for (id, what, power) in mistakes {
            let finding = in_paths(probe, &chosen, paths, id, what);
            let (places, chosen) = (paths.places(&chosen), chosen.clone());
            let everywhere = places.len() == paths.present.len();
            changes.add("rstd", &places, finding, move |r| {
                chosen.iter().for_each(|&p| r.rstd[p] = power);
            });
            if power.abs() > 1 && !everywhere {
                changes.rare();
            }
        }
    }
}

fn add_x_hat(changes: &mut Changes, probe: &Probe, paths: &Paths) {
    let places = paths.places(&[VARIANCE]);
    let name = path(probe.kind, VARIANCE).name;
    let mut add = |id: &str, what: &str, outer: XHat, inner: XHat| {
        let sentence = format!("in {name}, {what}");
        let finding = Finding::new(format!("variance-path-{id}"), sentence);
        changes.add("x_hat", &places, finding, move |r| r.x_hat = [outer, inner]);
    };
    let mut instead = vec![("y", "y", XHat::Y)];
    // In RMS Norm, x is x_hat without its rstd, and is named so.
    if probe.kind != Kind::Rms {
        instead.push(("x", "x", XHat::X));
        instead.push((
            "uncentred",
            "x * rstd (the mean not subtracted)",
            XHat::Uncentred,
        ));
    }
    for (id, what, wrong) in instead {
        let both = format!("{what} stands where x_hat belongs");
        add(&format!("{id}-for-x-hat"), &both, wrong, wrong);
        let outside = format!("{both} before the mean");
        add(
            &format!("{id}-for-x-hat-outside"),
            &outside,
            wrong,
            XHat::Right,
        );
        // In RMS Norm, y is gamma * x_hat: inside, that is gamma once too often.
        if probe.kind != Kind::Rms {
            let inside = format!("{both} inside the mean");
            let id = format!("{id}-for-x-hat-inside");
            add(&id, &inside, XHat::Right, wrong);
        }
    }
    add(
        "x-hat-missing-outside",
        "x_hat is missing before the mean",
        XHat::One,
        XHat::Right,
    );
    add(
        "x-hat-missing-inside",
        "x_hat is missing inside the mean",
        XHat::Right,
        XHat::One,
    );
    if probe.kind == Kind::Rms {
        let sentence = "a mean is subtracted as in Layer Norm: RMS Norm subtracts none forward, so \
                        there is no path through it";
        let finding = Finding::new("mean-path-added", sentence);
        changes.add("mean path", &paths.places(&[DIRECT]), finding, |r| {
            r.mean_path_added = true;
        });
        changes.rare();
    } else {
        let sentence = "the path x -> mu -> x_hat averages dy * x_hat, where it must average dy";
        let finding = Finding::new("mean-path-weighted", sentence);
        changes.add("weight", &paths.places(&[MEAN]), finding, |r| {
            r.weighted_mean = true
        });
    }
}
