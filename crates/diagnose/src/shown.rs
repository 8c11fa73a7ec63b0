//! What an input can show of each array.
//!
//! One masked token, one padded row or a fresh gamma of ones hides something, and the rest shows all
//! the same. An array is refused only when nothing of it could show a mistake; what a part of the
//! data hides is told beside the judgement.

use gradcheck::attribution::norm::{Kind, Probe, Target};

/// A group is told by its number up to so many of them.
const FEW: usize = 4;

/// Why these data could show nothing in this array, of which `right` is what belongs there.
pub fn refused(probe: &Probe, target: Target, right: &[f64]) -> Option<String> {
    let size = probe.groups.size();
    if size <= probe.kind.silent() {
        return Some(format!(
            "what is normalized together has {size} value{}, of which x_hat is -1 or 1 whatever x is",
            if size == 1 { "" } else { "s" }
        ));
    }
    if let Some(at) = right.iter().position(|v| !v.is_finite()) {
        return Some(format!(
            "element {at} of what is right is not finite: a variance of 0, and eps is 0 too"
        ));
    }
    let all = |flat: &[bool]| flat.iter().all(|flat| *flat);
    if target != Target::Dbeta && all(&flat_x(probe)) {
        return Some("x does not vary over anything that is normalized together".to_owned());
    }
    let zero = |values: &[f64]| values.iter().all(|v| *v == 0.0);
    if matches!(target, Target::Y | Target::Dx) && zero(&probe.gamma) {
        return Some("every gamma is 0, and hides all that it is multiplied with".to_owned());
    }
    if target == Target::Y {
        return None;
    }
    let same = probe.dy.windows(2).all(|pair| pair[0] == pair[1]);
    match (probe.dy.first(), target) {
        (Some(value), _) if same => Some(format!(
            "every element of dy is {value}, under which a wrong gradient looks like a right one"
        )),
        (_, Target::Dx) if all(&flat_dy(probe)) => Some(
            "gamma * dy does not vary over anything that is normalized together, and \
             normalization sends constants to zero"
                .to_owned(),
        ),
        _ => None,
    }
}

/// What is hidden in some places, or from some mistakes, for the arrays that are there.
pub fn notes(probe: &Probe, has_beta: bool, names: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |of: &[&str]| names.iter().any(|name| of.contains(name));
    let mut flat = |flat: Vec<bool>, what: &str, shows: &str| {
        let list: Vec<usize> = (0..flat.len()).filter(|&g| flat[g]).collect();
        if !list.is_empty() && list.len() < flat.len() {
            let groups = listed(probe.kind, &list);
            notes.push(format!(
                "{what} in {groups}, which shows nothing of {shows}"
            ));
        }
    };
    let x = match probe.kind {
        Kind::Rms => "x is zero",
        _ => "x does not vary",
    };
    flat(flat_x(probe), x, "the statistics");
    if any(&["dx"]) {
        let dy = match probe.kind {
            Kind::Rms => "gamma * dy is zero",
            _ => "gamma * dy does not vary",
        };
        flat(flat_dy(probe), dy, "dx");
    }
    let gamma = probe.gamma.first().copied().unwrap_or(0.0);
    if any(&["y", "dx"]) && gamma != 0.0 && probe.gamma.iter().all(|g| *g == gamma) {
        let hidden = match gamma == 1.0 {
            true => "forgotten, or taken from the wrong place,",
            false => "taken from the wrong place",
        };
        notes.push(format!(
            "every gamma is {gamma}: one that is {hidden} does not show"
        ));
    }
    if any(&["y"]) && probe.kind != Kind::Rms && probe.beta.iter().all(|b| *b == 0.0) {
        let note = match has_beta {
            true => "every beta is 0: one that is forgotten does not show",
            false => "beta is not in the files, and taken for 0",
        };
        notes.push(note.to_owned());
    }
    notes
}

/// What to say of the groups that are left out.
pub fn left_out(probe: &Probe, groups: &[usize]) -> String {
    match groups {
        [] => String::new(),
        some => format!(
            "; nothing is said of {}, where rounding may change the mean by a third of a deviation, \
             or rstd by a third",
            listed(probe.kind, some)
        ),
    }
}

/// `row 3`, `rows 3 and 7`, `rows 3, 5, 7, 8 and 12 more`.
fn listed(kind: Kind, groups: &[usize]) -> String {
    let shown: Vec<String> = groups.iter().take(FEW).map(usize::to_string).collect();
    let unit = kind.group();
    match (groups.len(), shown.split_last()) {
        (1, _) => format!("{unit} {}", shown[0]),
        (n @ 2..=FEW, Some((last, first))) if n == shown.len() => {
            format!("{unit}s {} and {last}", first.join(", "))
        }
        (n, _) => format!("{unit}s {} and {} more", shown.join(", "), n - shown.len()),
    }
}

/// The groups in which every `x` is the same, or zero where no mean is taken off.
fn flat_x(probe: &Probe) -> Vec<bool> {
    flat(probe, |k| probe.x[k])
}

/// The same of what comes back to x_hat.
fn flat_dy(probe: &Probe) -> Vec<bool> {
    flat(probe, |k| probe.gamma[probe.params.of[k]] * probe.dy[k])
}

fn flat(probe: &Probe, value: impl Fn(usize) -> f64) -> Vec<bool> {
    let centred = probe.kind.is_centred();
    let mut first = vec![(!centred).then_some(0.0); probe.groups.count];
    let mut flat = vec![true; probe.groups.count];
    for (k, &group) in probe.groups.of.iter().enumerate() {
        let value = value(k);
        flat[group] &= *first[group].get_or_insert(value) == value;
    }
    flat
}
