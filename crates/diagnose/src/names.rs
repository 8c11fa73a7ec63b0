//! What an array is called.

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
        assert_eq!(
            spelled("dbeta"),
            "dbeta (grad_bias, dbias, beta.grad, bias.grad)"
        );
    }
}
