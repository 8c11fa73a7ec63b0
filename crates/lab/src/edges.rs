//! Rates that were picked at an end of their grid, so that one beyond it might suit better.

use serde_json::{Map, Value};

use crate::text::list;

const FLAG: &str = "chosen_rate_is_at_the_edge_of_the_grid";

/// A sentence for the end of a verdict that names all of the results whose rate was picked at an
/// end of the grid; empty if there are none.
pub(crate) fn told(results: &Value) -> String {
    let mut found = Vec::new();
    find(results, "", &mut found);
    match found.is_empty() {
        true => String::new(),
        false => format!(
            " At an end of the grid, beyond which another might be better, lies the rate of {}.",
            list(&found)
        ),
    }
}

/// `within` tells apart what is called the same in different parts of the results.
fn find(value: &Value, within: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| find(value, within, found)),
        Value::Object(fields) if fields.get(FLAG) == Some(&Value::Bool(true)) => {
            found.push(format!(
                "{}{within} ({})",
                name(fields),
                fields["chosen_rate"]
            ));
        }
        Value::Object(fields) => {
            let counts = fields.iter().filter(|(_, value)| value.is_u64());
            let counts = counts.map(|(key, value)| format!(" with {value} {key}"));
            let within = within.to_owned() + &counts.collect::<String>();
            fields
                .values()
                .for_each(|value| find(value, &within, found));
        }
        _ => {}
    }
}

fn name(fields: &Map<String, Value>) -> &str {
    let keys = ["cell", "form", "method"].into_iter();
    let name = keys.filter_map(|key| fields.get(key)?.as_str()).next();
    name.expect("what a rate is picked for has a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_at_an_end_are_named_and_others_not() {
        let at = |name: &str, rate: f64, edge: bool| {
            json!({ "form": name, "blocks": 6, "chosen_rate": rate,
                "chosen_rate_is_at_the_edge_of_the_grid": edge })
        };
        let text = |characters: usize, edges: [bool; 2]| {
            let [one, other] = edges;
            json!({ "characters": characters, "forms": [at("a", 0.01, one), at("b", 3e-5, other)] })
        };
        let of = |one, other| told(&json!({ "texts": [text(64, one), text(8, other)] }));
        assert_eq!(of([false; 2], [false; 2]), "");
        let begin =
            " At an end of the grid, beyond which another might be better, lies the rate of";
        assert_eq!(
            of([true, false], [false; 2]),
            format!("{begin} a with 64 characters (0.01).")
        );
        assert_eq!(
            of([true, false], [true, true]),
            format!(
                "{begin} a with 64 characters (0.01), a with 8 characters (0.01) and b with 8 \
                 characters (0.00003)."
            )
        );
    }
}
