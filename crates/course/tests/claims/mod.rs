//! The claims of the chapters, held to the results.
//!
//! A condition is evaluated as jq does, but for two things, so that a slip in it cannot
//! make it true. What a path leads to must be there, unless it ends with `?`; and only
//! numbers are in an order.

use course::book::{self, Held};
use course::workspace::Workspace;
use jaq_core::load::{Arena, File, Loader, lex::StrPart, parse};
use jaq_core::ops::Cmp;
use jaq_core::path::{Opt, Part, Path};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use jaq_std::ValT;
use parse::{BinaryOp, Def};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

const PRELUDE: &str = include_str!("prelude.jq");

type Term = parse::Term<&'static str>;

/// What is wrong with the claims of the book, and how many there are.
pub fn broken(workspace: &Workspace) -> (Vec<String>, usize) {
    let claims = book::claims(workspace).unwrap_or_else(|error| panic!("{error:#}"));
    let mut files = BTreeMap::new();
    let broken = claims.iter().filter_map(|held| {
        let results = held.results.iter().map(|file| {
            let read = |file: &PathBuf| -> Val {
                let text = fs::read(workspace.root().join(file)).unwrap();
                read::parse_single(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
            };
            let value = files.entry(file.clone()).or_insert_with_key(read);
            value.clone()
        });
        let results: Vec<Val> = results.collect();
        let found = condition(&held.claim.condition, &held.claim.results, &results);
        found.err().map(|found| told(held, &found))
    });
    (broken.collect(), claims.len())
}

/// What says that a learning rate was picked at an end of its grid.
const AT_THE_EDGE: &str = "chosen_rate_is_at_the_edge_of_the_grid";

/// The rates in the results that were picked at an end of their grid, of which no claim of the
/// book says so: where it would not be noticed if it were otherwise.
pub fn untold_edges(workspace: &Workspace) -> Vec<String> {
    let claims = book::claims(workspace).unwrap_or_else(|error| panic!("{error:#}"));
    let speak = |held: &&Held| held.claim.condition.contains(AT_THE_EDGE);
    let speak: Vec<&Held> = claims.iter().filter(speak).collect();
    let mut untold = Vec::new();
    for entry in fs::read_dir(workspace.root().join("book/results")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut result: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut edges = Vec::new();
        find_edges("", &result, &mut edges);
        // Of other results a claim may speak besides: each is what it is.
        let of = |held: &&&Held| held.claim.results.iter().any(|result| result == name);
        let of: Vec<&Held> = speak.iter().filter(of).copied().collect();
        for edge in edges {
            *result.pointer_mut(&edge).unwrap() = Value::Bool(false);
            let noticed = of.iter().any(|held| {
                let value = |(of, file): (&String, &PathBuf)| -> Val {
                    let text = match of == name {
                        true => result.to_string().into_bytes(),
                        false => fs::read(workspace.root().join(file)).unwrap(),
                    };
                    read::parse_single(&text).unwrap()
                };
                let claim = &held.claim;
                let values = claim.results.iter().zip(&held.results).map(value);
                condition(
                    &claim.condition,
                    &claim.results,
                    &values.collect::<Vec<_>>(),
                )
                .is_err()
            });
            *result.pointer_mut(&edge).unwrap() = Value::Bool(true);
            if !noticed {
                untold.push(format!("{name}.json{edge}: no claim says it"));
            }
        }
    }
    untold.sort();
    untold
}

/// The places at which a rate is said to lie at an end of its grid.
fn find_edges(at: &str, value: &Value, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, v)| (key.clone(), v)).collect(),
        Value::Array(all) => all
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        _ => return,
    };
    for (key, value) in below {
        let place = format!("{at}/{key}");
        if key == AT_THE_EDGE && value == &Value::Bool(true) {
            found.push(place);
        } else {
            find_edges(&place, value, found);
        }
    }
}

fn told(held: &Held, found: &str) -> String {
    let Held { file, claim, .. } = held;
    format!(
        "{file}:{}: “{}” does not hold\n  condition: {}\n  of:        {}\n  found:     {found}",
        claim.line,
        claim.sentence,
        claim.condition,
        claim.results.join(", "),
    )
}

/// Whether a condition holds of the results of these names.
fn condition(source: &str, names: &[String], results: &[Val]) -> Result<(), String> {
    // Parsed terms refer to their text for as long as the interpreter may.
    let leaked: &'static str = source.to_owned().leak();
    let term = parse(leaked, |parser| parser.term());
    let term = term.ok_or("the condition is not in the jq language")?;
    let outputs = run(strict(term.clone()), names, results);
    if outputs.is_empty() {
        return Err("the condition yields nothing".to_owned());
    }
    if outputs.iter().all(|output| output == &Ok(Val::from(true))) {
        return Ok(());
    }
    // Each output of this is a list: what the condition yields, then what it compares.
    let seen = run(strict(compared(term)), names, results);
    let wrong = seen.into_iter().filter_map(|seen| {
        let seen = seen.and_then(|seen| match seen {
            Val::Arr(list) => Ok(list.to_vec()),
            other => Err(other.to_string()),
        });
        match seen {
            Ok(seen) => {
                let (compared, verdicts) = seen.split_last()?;
                let holds = verdicts.iter().all(|verdict| verdict == &Val::from(true));
                let yields: Vec<String> = verdicts.iter().map(Val::to_string).collect();
                let yields = yields.join(", ");
                (!holds || verdicts.is_empty()).then(|| format!("{yields}, of {compared}"))
            }
            Err(error) => Some(error),
        }
    });
    let mut wrong: Vec<String> = wrong.collect();
    wrong.extend(outputs.into_iter().filter_map(Result::err));
    wrong.dedup();
    Err(wrong.join("; "))
}

/// All that a term yields.
fn run(term: Term, names: &[String], results: &[Val]) -> Vec<Result<Val, String>> {
    let prelude = parse(PRELUDE, |parser| parser.defs()).expect("the prelude");
    let condition = Def {
        name: "condition",
        args: Vec::new(),
        body: term,
    };
    let library = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let funs = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let arena = Arena::default();
    let loader = Loader::new(library.chain(prelude).chain([condition]));
    let program = File {
        code: "condition",
        path: (),
    };
    let names: Vec<String> = names.iter().map(|name| format!("${name}")).collect();
    let compiled = loader.load(&arena, program).map_err(|_| String::new());
    let compiled = compiled.and_then(|modules| {
        let compiler = Compiler::default().with_funs(funs);
        let compiler = compiler.with_global_vars(names.iter().map(String::as_str));
        let unknown = |(name, what): &(&str, jaq_core::compile::Undefined)| {
            format!("there is no {} `{name}`", what.as_str())
        };
        compiler.compile(modules).map_err(|errors| {
            let all: Vec<String> = errors
                .iter()
                .flat_map(|(_, errors)| errors)
                .map(unknown)
                .collect();
            all.join("; ")
        })
    });
    let filter = match compiled {
        Ok(filter) => filter,
        Err(error) => return vec![Err(error)],
    };
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new(results.to_vec()));
    let input = results.first().cloned().unwrap_or_default();
    let outputs = filter.id.run((context, input)).map(unwrap_valr);
    outputs
        .map(|output| output.map_err(|error| words(&error.into_val())))
        .collect()
}

/// A text without quotation marks, anything else as JSON.
fn words(value: &Val) -> String {
    let text = value.as_bytes().map(String::from_utf8_lossy);
    text.map_or_else(|| value.to_string(), Into::into)
}

fn call(name: &'static str) -> Term {
    Term::Call(name, Vec::new())
}

fn pipe(left: Term, right: Term) -> Term {
    Term::BinOp(left.into(), BinaryOp::Pipe(None), right.into())
}

fn pair(left: Term, right: Term) -> Term {
    let both = Term::BinOp(left.into(), BinaryOp::Comma, right.into());
    Term::Arr(Some(both.into()))
}

/// A term whose every output is a list: what `term` yields, and at the end what this was
/// found from, which is the left side of a pipe or both sides of a comparison.
fn compared(term: Term) -> Term {
    match term {
        Term::BinOp(left, BinaryOp::Comma, right) => Term::BinOp(
            compared(*left).into(),
            BinaryOp::Comma,
            compared(*right).into(),
        ),
        Term::BinOp(left, BinaryOp::Pipe(None), right) if matches!(*right, Term::Call(..)) => {
            pipe(*left, pair(*right, Term::Id))
        }
        Term::BinOp(left, pipe @ BinaryOp::Pipe(_), right) => {
            Term::BinOp(left, pipe, compared(*right).into())
        }
        Term::BinOp(ref left, BinaryOp::Cmp(_) | BinaryOp::And | BinaryOp::Or, ref right) => {
            let sides = pair(side(left), side(right));
            pair(term, sides)
        }
        term => pair(term.clone(), side(&term)),
    }
}

/// What one side of a comparison, or of an `and`, was found from.
fn side(term: &Term) -> Term {
    match term {
        Term::BinOp(left, BinaryOp::Cmp(_) | BinaryOp::And | BinaryOp::Or, right) => {
            pair(side(left), side(right))
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) if matches!(**right, Term::Call(..)) => {
            Term::clone(left)
        }
        term => term.clone(),
    }
}

/// The term with an error for a path that leads nowhere, and for an order of what are not
/// numbers.
fn strict(term: Term) -> Term {
    let boxed = |term: Box<Term>| Box::new(strict(*term));
    let all = |terms: Vec<Term>| terms.into_iter().map(strict).collect();
    match term {
        Term::Path(head, Path(parts)) => {
            parts.into_iter().fold(strict(*head), |head, (part, opt)| {
                let (part, key) = match part {
                    Part::Index(index) => {
                        let index = strict(index);
                        (Part::Index(index.clone()), Some(index))
                    }
                    Part::Range(from, to) => (Part::Range(from.map(strict), to.map(strict)), None),
                };
                let path = Term::Path(head.into(), Path(vec![(part, opt)]));
                match (opt, key) {
                    (Opt::Essential, Some(key)) => {
                        let name = match key {
                            key @ (Term::Str(..) | Term::Num(_) | Term::Var(_)) => key,
                            _ => Term::Str(None, vec![StrPart::Str("such entry")]),
                        };
                        pipe(path, Term::Call("there", vec![name]))
                    }
                    _ => path,
                }
            })
        }
        Term::BinOp(left, op, right) => {
            let (left, right) = (boxed(left), boxed(right));
            let ordered = matches!(op, BinaryOp::Cmp(Cmp::Lt | Cmp::Le | Cmp::Gt | Cmp::Ge));
            let side = |side: Box<Term>| match ordered {
                true => Box::new(pipe(*side, call("number"))),
                false => side,
            };
            Term::BinOp(side(left), op, side(right))
        }
        Term::Str(format, parts) => {
            let part = |part| match part {
                StrPart::Term(term) => StrPart::Term(strict(term)),
                part => part,
            };
            Term::Str(format, parts.into_iter().map(part).collect())
        }
        Term::Arr(inner) => Term::Arr(inner.map(boxed)),
        Term::Obj(entries) => {
            let entry = |(key, value): (Term, Option<Term>)| (key, value.map(strict));
            Term::Obj(entries.into_iter().map(entry).collect())
        }
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(name, over, pattern, terms) => {
            Term::Fold(name, boxed(over), pattern, all(terms))
        }
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(cases, otherwise) => {
            let case = |(when, then)| (strict(when), strict(then));
            Term::IfThenElse(cases.into_iter().map(case).collect(), otherwise.map(boxed))
        }
        Term::Def(defs, inner) => {
            let def = |def: Def<_>| Def {
                body: strict(def.body),
                ..def
            };
            Term::Def(defs.into_iter().map(def).collect(), boxed(inner))
        }
        Term::Call(name, arguments) => Term::Call(name, all(arguments)),
        term @ (Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_)) => term,
    }
}

/// What a condition gives of one result, or of `a` and `b` when there are two.
fn holds(source: &str, results: &[&str]) -> Result<(), String> {
    let values = results
        .iter()
        .map(|text| read::parse_single(text.as_bytes()).unwrap());
    let names = ["a", "b"].map(str::to_owned);
    condition(source, &names[..results.len()], &values.collect::<Vec<_>>())
}

const RESULT: &str = r#"{"table": [{"h": 0.1, "e": 1e-3}, {"h": 1e-5, "e": 5e-11}], "name": "x",
    "twice": [{"k": 1}, {"k": 1, "v": 2}], "again": [{"h": 0.1, "e": 1e-3}], "never": {"low": 2, "median": null, "high": null},
    "early": {"low": 1, "median": 2, "high": 3, "by_seed": [1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3]},
    "late": {"by_seed": [2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, null, null]},
    "later": {"by_seed": [2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 2, null]}, "more": {"low": 1.5, "high": null}}"#;

#[test]
fn what_holds_yields_true_once_or_more_often() {
    for source in [
        r#"at("h"; 1e-5).e | within(1e-11; 1e-10)"#,
        r#".table | at("h"; 0.1).e == 0.001"#,
        ".table[] | .e < .h",
        r#".name == "x", (.table | length == 2)"#,
        ".table[1].e | near(5e-11; 1e-15)",
        "(1 | log) == 0, (2 | log | near(0.693147180559945; 1e-14))",
        r#"never("never")"#,
        // Ahead in 12 of 13 pairs; in 6, with the others equal.
        ".early as $early | .later | clearly_above($early), (clearly_below($early) | not)",
        ".later as $later | .early | clearly_below($later)",
        ".early as $early | .late | unclear($early)",
        ".late as $late | .late | unclear($late)",
        ".more | above(1), (above(2) | not), (below(1) | not)",
        ".absent? == null",
        ".table[-1].h == 1e-5 and ([.table[].e] | max) < 1",
    ] {
        assert_eq!(holds(source, &[RESULT]), Ok(()), "{source}");
    }
    assert_eq!(
        holds(".x < $b.x and $a.x == .x", &["{\"x\": 1}", "{\"x\": 2}"]),
        Ok(())
    );
}

#[test]
fn what_does_not_hold_is_shown_with_what_was_compared() {
    for (source, found) in [
        (
            r#"at("h"; 1e-5).e | within(1e-12; 1e-11)"#,
            "false, of 5e-11",
        ),
        (".table[] | .h < 0.01", "false, of [0.1,0.01]"),
        (
            r#".table[0].e == 1, .name == "y""#,
            r#"false, of [1e-3,1]; false, of ["x","y"]"#,
        ),
        (".table[0].e", "1e-3, of 1e-3"),
        (
            ".early.low == 1 and (.early.high | near(2; 0.5))",
            "false, of [[1,1],3]",
        ),
        (".absent?", "null, of null"),
        ("empty", "the condition yields nothing"),
        (
            ".table[] | select(.h > 1) | .e < 1",
            "the condition yields nothing",
        ),
        (".table[", "the condition is not in the jq language"),
        ("beneath(1)", "there is no filter `beneath`"),
        ("$b.x", "there is no variable `$b`"),
        // In jq itself these four would be true.
        (".absent < 1", r#"there is no "absent""#),
        (".table[7].e < 1", "there is no 7"),
        ("[.table[].absent] | max < 1", r#"there is no "absent""#),
        (".name > 1", r#""x" is no number"#),
        (r#"at("k"; 1).k == 1"#, "2 entries have k = 1"),
        (r#"at("k"; 2).k == 1"#, "0 entries have k = 2"),
        (r#"never("early")"#, "false, of"),
    ] {
        let error = holds(source, &[RESULT]).expect_err(source);
        assert!(error.contains(found), "{source}: {error}");
    }
}

/// The words for the results of experiments, and for gradients that are fitted.
#[test]
fn words_of_the_chapters() {
    let result = r#"{"data": {"settings": [{"cell": "mlp-2", "x": 1}, {"cell": "mlp-8", "x": 2}],
        "depths": [{"blocks": 3, "forms": [{"form": "pre-LN", "x": 3}]}, {"blocks": 16, "forms": []}]},
        "rows": [{"id": "sign", "direct": 1, "mean": 1.000000001, "variance": -1, "residual": 1e-16},
            {"id": "other", "direct": 1, "mean": 1, "variance": -1, "residual": 0.1}]}"#;
    for source in [
        r#"cell("mlp-8").x == 2, cell("mlp-\(2, 8)").x <= 2"#,
        r#"form(3; "pre-LN").x == 3"#,
        r#"fitted("sign"; [1, 1, -1]), (.rows | fitted("sign"; [1, 1, -1]))"#,
        r#"(fitted("sign"; [1, 1, 1]), fitted("other"; [1, 1, -1])) | not"#,
    ] {
        assert_eq!(holds(source, &[result]), Ok(()), "{source}");
    }
    for source in [r#"cell("mlp-4").x == 2"#, r#"form(16; "pre-LN").x == 3"#] {
        let error = holds(source, &[result]).expect_err(source);
        assert!(error.starts_with("0 entries have"), "{error}");
    }
}

/// What a reader of the failure needs stands in it.
#[test]
fn a_broken_claim_is_told_with_its_place_and_words() {
    let checkout = super::Checkout::new();
    checkout.write("book/results/cnn.json", "{\"lead\": 0.5}");
    checkout.write(
        "book/src/two.md",
        "# Two\n\nIt leads\n{{#claim cnn `.lead < 0.01`}}by less than\na point{{/claim}}, {{#claim cnn `.lead > 0`}}though{{/claim}}.\n",
    );
    let (broken, count) = broken(&Workspace::at(checkout.path()).unwrap());
    assert_eq!(count, 2);
    assert_eq!(
        broken,
        [
            "book/src/two.md:4: “by less than a point” does not hold\n  condition: .lead < 0.01\n  of:        cnn\n  found:     false, of [0.5,0.01]"
        ]
    );
}

/// A claim tells of the rates whose place it would notice, and of no others.
#[test]
fn an_edge_is_told_by_a_claim_that_depends_on_it() {
    let checkout = super::Checkout::new();
    let cell = |name: &str, edge: bool| format!("{{\"cell\": {name:?}, {AT_THE_EDGE:?}: {edge}}}");
    let cells = [("a", true), ("b", true), ("c", false)].map(|(name, edge)| cell(name, edge));
    let cells = format!("{{\"data\": {{\"settings\": [{}]}}}}", cells.join(", "));
    checkout.write("book/results/cnn.json", &cells);
    let told = |condition: &str| {
        let text = format!("# Two\n\nSo {{{{#claim cnn `{condition}`}}}}it is{{{{/claim}}}}.\n");
        checkout.write("book/src/two.md", &text);
        untold_edges(&Workspace::at(checkout.path()).unwrap())
    };
    let place = |at: usize| format!("cnn.json/data/settings/{at}/{AT_THE_EDGE}: no claim says it");
    let both = [place(0), place(1)];
    assert_eq!(told(".data.settings | length == 3"), both);
    assert_eq!(told(&format!("[.. | .{AT_THE_EDGE}?] | length > 0")), both);
    assert_eq!(told(&format!("cell(\"a\").{AT_THE_EDGE}")), both[1..]);
    assert!(told(&format!("cell(\"a\", \"b\").{AT_THE_EDGE}")).is_empty());
}
