//! What an array is called.

use strsim::damerau_levenshtein;

/// Each name, and what others call the same thing.
const NAMES: [(&str, &[&str]); 12] = [
    ("x", &["input"]),
    ("gamma", &["weight"]),
    ("beta", &["bias"]),
    ("dy", &["grad_output", "dout", "y.grad", "output.grad"]),
    ("y", &["output", "out"]),
    ("dx", &["grad_input", "x.grad", "input.grad"]),
    (
        "dgamma",
        &["grad_weight", "dweight", "gamma.grad", "weight.grad"],
    ),
    ("dbeta", &["grad_bias", "dbias", "beta.grad", "bias.grad"]),
    ("running_mean", &[]),
    ("running_var", &[]),
    ("old_running_mean", &["running_mean.old"]),
    ("old_running_var", &["running_var.old"]),
];

/// What can be judged, in the order in which it is.
pub const JUDGED: [&str; 6] = ["y", "dx", "dgamma", "dbeta", "running_mean", "running_var"];

/// The name of what is called `name` in a file.
pub fn known(name: &str) -> Option<&'static str> {
    let is = |(own, others): &&(&str, &[&str])| *own == name || others.contains(&name);
    NAMES.iter().find(is).map(|(own, _)| *own)
}

/// The name of what is called so behind a prefix: of the gradient `model.norm.weight.grad`, as a
/// framework names it.
pub fn behind_prefix(name: &str) -> Option<&'static str> {
    let tails = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
    let gradients = tails.filter(|tail| tail.ends_with(".grad"));
    gradients.filter_map(known).next()
}

/// The array that seems to be meant by a name that is not known: `gradx`, `dgama`, `d_weight`.
///
/// A letter that is wrong, left out or too many, or `grad`, or `d`, together with what it is the
/// gradient of, in any spelling.
pub fn meant(name: &str) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_lowercase()
    };
    let name = plain(name);
    let gradient = name.contains("grad") || name.starts_with('d') && name.len() > 1;
    let rest = match name.contains("grad") {
        true => name.replace("gradient", "").replace("grad", ""),
        false => name.strip_prefix('d').unwrap_or(&name).to_owned(),
    };
    let of = match rest.trim_start_matches("wrt") {
        "x" | "in" | "inp" | "input" | "inputs" => Some("dx"),
        "g" | "gam" | "gamma" | "w" | "wt" | "weight" | "weights" | "scale" => Some("dgamma"),
        "b" | "bet" | "beta" | "bias" | "shift" => Some("dbeta"),
        _ => None,
    };
    if let Some(of) = of.filter(|_| gradient) {
        return Some(of);
    }
    // Short names are all alike.
    let near = |known: &&str| {
        let known = plain(known);
        known == name || known.len().min(name.len()) >= 4 && damerau_levenshtein(&known, &name) == 1
    };
    let is = |(own, others): &&(&str, &[&str])| [*own].iter().chain(*others).any(near);
    NAMES.iter().find(is).map(|(own, _)| *own)
}

/// For errors: a name and what else it may be called.
pub fn spelled(name: &str) -> String {
    match NAMES.iter().find(|(own, _)| *own == name) {
        Some((own, others)) if !others.is_empty() => format!("{own} ({})", others.join(", ")),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_a_name_is_understood_and_what_is_none_is_not() {
        for (written, name) in [
            ("gradx", Some("dx")),
            ("grad_x", Some("dx")),
            ("x_grad", Some("dx")),
            ("Dx", Some("dx")),
            ("dgam", Some("dgamma")),
            ("dgama", Some("dgamma")),
            ("grad_gamma", Some("dgamma")),
            ("d_weight", Some("dgamma")),
            ("gradient_bias", Some("dbeta")),
            ("db", Some("dbeta")),
            ("ouput", Some("y")),
            ("Y", Some("y")),
            ("grad_ouput", Some("dy")),
            ("rstd", None),
            ("mean", None),
            ("x_hat", None),
            ("z", None),
            ("data", None),
            ("loss", None),
        ] {
            assert_eq!(meant(written), name, "{written}");
        }
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let all = NAMES
            .iter()
            .flat_map(|(own, others)| [own].into_iter().chain(*others));
        let mut all: Vec<&&str> = all.collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(JUDGED.iter().all(|name| known(name) == Some(name)));
        assert_eq!(known("weight.grad"), Some("dgamma"));
        assert_eq!(known("Weight"), None);
        assert_eq!(behind_prefix("model.norm.weight.grad"), Some("dgamma"));
        assert_eq!(behind_prefix("h.0.ln_1.bias.grad"), Some("dbeta"));
        for none in [
            "model.norm.weight",
            "weight.grad",
            "a.output",
            "a.grad",
            "weight.grad.b",
        ] {
            assert_eq!(behind_prefix(none), None, "{none}");
        }
        assert_eq!(
            spelled("dbeta"),
            "dbeta (grad_bias, dbias, beta.grad, bias.grad)"
        );
    }
}
