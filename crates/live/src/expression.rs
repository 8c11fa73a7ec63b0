//! What a reader types, read, and computed on a tape.
//!
//! A program is one expression, before which names can be given to others: `e = a - b; e*e`.
//! Its leaves are a list of their own: `a = 1.5; b = 2`.

use crate::words::decimal;
use tape::{Param, Tape, Tensor, Var};

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    /// A leaf, by its place.
    Leaf(usize),
    /// What was given a name, by its place.
    Named(usize),
    Neg(Box<Node>),
    Call(Call, Box<Node>),
    Binary(char, Box<Node>, Box<Node>),
    Power(Box<Node>, i32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Exp,
    Ln,
    Tanh,
    Relu,
}

const CALLS: [(&str, Call); 4] = [
    ("exp", Call::Exp),
    ("ln", Call::Ln),
    ("tanh", Call::Tanh),
    ("relu", Call::Relu),
];

/// A program that can be computed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The leaves, by name, with their values.
    pub leaves: Vec<(String, f64)>,
    named: Vec<Node>,
    result: Node,
}

/// A value on the way: on the tape, or a number that depends on no leaf.
#[derive(Clone)]
enum Value<'t> {
    Number(f64),
    Var(Var<'t, f64>),
}

impl Program {
    /// Reads the leaves and the program.
    ///
    /// # Errors
    /// One sentence for whoever typed them.
    pub fn read(leaves: &str, program: &str) -> Result<Self, String> {
        let mut names = Vec::new();
        for leaf in leaves.split(';').filter(|leaf| !leaf.trim().is_empty()) {
            let (name, value) = leaf.split_once('=').ok_or_else(|| {
                format!("a leaf is written like `w = 1.5`, not `{}`", leaf.trim())
            })?;
            let (name, value) = (new_name(name, &names)?, value.trim());
            let number = decimal(&value.replace('−', "-"));
            let number = number.ok_or_else(|| format!("the value of `{name}` is no number"))?;
            names.push((name, number));
        }
        let mut reader = Reader {
            leaves: names,
            named: Vec::new(),
            rest: "",
        };
        let mut named = Vec::new();
        let (before, result) = program.rsplit_once(';').unwrap_or(("", program));
        for part in before.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, formula) = part
                .split_once('=')
                .ok_or_else(|| "before `;` a name is given, as in `e = a - b;`".to_owned())?;
            let name = new_name(name, &reader.leaves)?;
            named.push(reader.whole(formula)?);
            reader.named.push(name);
        }
        let result = reader.whole(result)?;
        let program = Self {
            leaves: reader.leaves,
            named,
            result,
        };
        if program.depends(&program.result) {
            Ok(program)
        } else {
            Err("the result depends on no leaf, so there is nothing to record".to_owned())
        }
    }

    fn depends(&self, node: &Node) -> bool {
        match node {
            Node::Number(_) => false,
            Node::Leaf(_) => true,
            Node::Named(place) => self.depends(&self.named[*place]),
            Node::Neg(a) | Node::Call(_, a) | Node::Power(a, _) => self.depends(a),
            Node::Binary(_, a, b) => self.depends(a) || self.depends(b),
        }
    }

    /// The leaves as parameters.
    #[must_use]
    pub fn params(&self) -> Vec<Param<f64>> {
        let param = |(name, value): &(String, f64)| Param::new(name, Tensor::scalar(*value));
        self.leaves.iter().map(param).collect()
    }

    /// Computes it on a tape: the leaves first, and then the ops, innermost first. Returns the
    /// result, and the value of each record.
    ///
    /// # Panics
    /// If these are not the parameters of [`Program::params`].
    #[must_use]
    pub fn run<'t>(&self, t: &'t Tape<f64>, params: &[Param<f64>]) -> (Var<'t, f64>, Vec<f64>) {
        let leaves: Vec<Var<'t, f64>> = params.iter().map(|param| t.param(param)).collect();
        let values = leaves.iter().map(|leaf| leaf.value().item()).collect();
        let mut run = Run {
            tape: t,
            leaves,
            named: Vec::new(),
            values,
        };
        for node in &self.named {
            let value = run.value(node);
            run.named.push(value);
        }
        let result = match run.value(&self.result) {
            Value::Var(result) => result,
            Value::Number(number) => t.constant(Tensor::scalar(number)),
        };
        (result, run.values)
    }
}

/// A name that is not taken.
fn new_name(name: &str, taken: &[(String, f64)]) -> Result<String, String> {
    let name = name.trim();
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    if !fits {
        return Err(format!(
            "`{name}` is no name: letters, and digits after them"
        ));
    }
    let known = CALLS.iter().any(|(call, _)| *call == name);
    if known || taken.iter().any(|(other, _)| other == name) {
        return Err(format!("the name `{name}` is taken"));
    }
    Ok(name.to_owned())
}

/// What is left to read.
struct Reader<'a> {
    leaves: Vec<(String, f64)>,
    named: Vec<String>,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn whole(&mut self, text: &'a str) -> Result<Node, String> {
        self.rest = text;
        let node = self.sum()?;
        match self.peek() {
            None => Ok(node),
            Some(')') => Err("there is a `)` without its `(`".to_owned()),
            Some(other) => Err(format!("`{other}` is not expected there")),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes one of these characters, if it is next.
    fn take(&mut self, any: &[char]) -> Option<char> {
        let next = self.peek().filter(|next| any.contains(next))?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    /// Takes all that belongs to a name or a number.
    fn word(&mut self, part: fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut node = self.product()?;
        while let Some(op) = self.take(&['+', '-', '−']) {
            let op = if op == '−' { '-' } else { op };
            node = Node::Binary(op, Box::new(node), Box::new(self.product()?));
        }
        Ok(node)
    }

    fn product(&mut self) -> Result<Node, String> {
        let mut node = self.sign()?;
        while let Some(op) = self.take(&['*', '/', '·']) {
            let op = if op == '·' { '*' } else { op };
            node = Node::Binary(op, Box::new(node), Box::new(self.sign()?));
        }
        Ok(node)
    }

    fn sign(&mut self) -> Result<Node, String> {
        if self.take(&['-', '−']).is_none() {
            return self.power();
        }
        Ok(match self.sign()? {
            Node::Number(number) => Node::Number(-number),
            node => Node::Neg(Box::new(node)),
        })
    }

    fn power(&mut self) -> Result<Node, String> {
        let node = self.atom()?;
        if self.take(&['^']).is_none() {
            return Ok(node);
        }
        let minus = self.take(&['-', '−']).is_some();
        self.peek();
        let digits = self.word(|c| c.is_ascii_digit());
        let n: i32 = match digits.len() {
            1 | 2 => digits.bytes().fold(0, |n, d| 10 * n + i32::from(d - b'0')),
            _ => return Err("after `^` stands a whole number up to 99".to_owned()),
        };
        Ok(Node::Power(Box::new(node), if minus { -n } else { n }))
    }

    fn atom(&mut self) -> Result<Node, String> {
        let Some(first) = self.peek() else {
            return Err("something is missing at the end".to_owned());
        };
        if first == '(' {
            return self.within();
        }
        if first.is_ascii_digit() || first == '.' {
            let digits = self.word(|c| c.is_ascii_digit() || c == '.');
            let number = decimal(digits);
            return match number {
                Some(number) => Ok(Node::Number(number)),
                None => Err(format!("`{digits}` is no number")),
            };
        }
        if !first.is_ascii_alphabetic() {
            return Err(format!("`{first}` is not expected there"));
        }
        let name = self.word(|c| c.is_ascii_alphanumeric());
        if let Some((_, call)) = CALLS.iter().find(|(call, _)| *call == name) {
            return match self.peek() {
                Some('(') => Ok(Node::Call(*call, Box::new(self.within()?))),
                _ => Err(format!(
                    "after `{name}` stands what it is of, as in `{name}(x)`"
                )),
            };
        }
        // Of two of one name, the later.
        if let Some(place) = self.named.iter().rposition(|other| other == name) {
            return Ok(Node::Named(place));
        }
        let place = self.leaves.iter().position(|(other, _)| other == name);
        let unknown = || format!("`{name}` has no value; give it one among the leaves");
        place.map(Node::Leaf).ok_or_else(unknown)
    }

    /// What stands between parentheses, of which the first is next.
    fn within(&mut self) -> Result<Node, String> {
        self.take(&['(']);
        let node = self.sum()?;
        match self.take(&[')']) {
            Some(_) => Ok(node),
            None => Err("a `)` is missing".to_owned()),
        }
    }
}

/// A program on its way.
struct Run<'t> {
    tape: &'t Tape<f64>,
    leaves: Vec<Var<'t, f64>>,
    named: Vec<Value<'t>>,
    values: Vec<f64>,
}

impl<'t> Run<'t> {
    /// Takes down the value of what has been recorded.
    fn on_tape(&mut self, var: Var<'t, f64>) -> Value<'t> {
        if self.tape.len() > self.values.len() {
            self.values.push(var.value().item());
        }
        Value::Var(var)
    }

    fn value(&mut self, node: &Node) -> Value<'t> {
        let var = match node {
            Node::Number(number) => return Value::Number(*number),
            Node::Leaf(place) => return Value::Var(self.leaves[*place].clone()),
            Node::Named(place) => return self.named[*place].clone(),
            Node::Neg(a) => match self.value(a) {
                Value::Number(a) => return Value::Number(-a),
                Value::Var(a) => -a,
            },
            Node::Call(call, a) => match (call, self.constant(a)) {
                (Call::Exp, a) => a.exp(),
                (Call::Ln, a) => a.ln(),
                (Call::Tanh, a) => a.tanh(),
                (Call::Relu, a) => a.relu(),
            },
            Node::Power(a, n) => self.constant(a).powi(*n),
            Node::Binary(op, a, b) => match (self.value(a), self.value(b)) {
                (Value::Number(a), Value::Number(b)) => {
                    return Value::Number(match op {
                        '+' => a + b,
                        '-' => a - b,
                        '*' => a * b,
                        _ => a / b,
                    });
                }
                (a, b) => {
                    let [a, b] = [a, b].map(|value| self.var(value));
                    match op {
                        '+' => a + b,
                        '-' => a - b,
                        '*' => a * b,
                        _ => a / b,
                    }
                }
            },
        };
        if var.is_tracked() {
            self.on_tape(var)
        } else {
            Value::Number(var.value().item())
        }
    }

    fn var(&self, value: Value<'t>) -> Var<'t, f64> {
        match value {
            Value::Number(number) => self.tape.constant(Tensor::scalar(number)),
            Value::Var(var) => var,
        }
    }

    fn constant(&mut self, node: &Node) -> Var<'t, f64> {
        let value = self.value(node);
        self.var(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a program, and the ops on its tape.
    fn run(leaves: &str, program: &str) -> (f64, Vec<String>) {
        let program = Program::read(leaves, program).unwrap();
        let params = program.params();
        let (value, (labels, values), _) = Tape::new().grad_with(|t| {
            let (result, values) = program.run(t, &params);
            let labels = t.lines().into_iter().map(|line| line.label).collect();
            (result, (labels, values))
        });
        assert_eq!(values.last().copied(), Some(value));
        let labels: Vec<String> = labels;
        assert_eq!(labels.len(), values.len());
        (value, labels)
    }

    #[test]
    fn what_binds_closer_is_computed_first() {
        for (program, value) in [
            ("a + b*c", 3.0 + 2.0 * 0.5),
            ("a - b - c", 0.5),
            ("a / b / c", 3.0),
            ("-a^2", -9.0),
            ("(-a)^2", 9.0),
            ("2*a^2", 18.0),
            ("a^-1*3", 1.0),
            ("a - -b", 5.0),
            ("a·b − c", 5.5),
            ("2*3 + a*0", 6.0),
            ("(((a)))*1", 3.0),
            ("d = a*b; e = d + d; e*d", 72.0),
            ("d = a*b; d = d + d; d*1", 12.0),
            ("relu(b - a)*a + relu(a)", 3.0),
            ("ln(exp(a))", 3.0),
        ] {
            let (found, _) = run("a = 3; b = 2; c = .5", program);
            assert!((found - value).abs() < 1e-12, "{program}: {found}");
        }
    }

    #[test]
    fn the_tape_is_the_one_of_the_book() {
        let (loss, labels) = run("w = 1.5; x = 2; b = -2", "e = tanh(w*x + b) - 0.5; e*e");
        assert_eq!(labels, ["w", "x", "b", "mul", "add", "tanh", "sub", "mul"]);
        assert!((loss - (1.0_f64.tanh() - 0.5).powi(2)).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_read_is_said_in_a_sentence() {
        for (leaves, program, said) in [
            ("x = 1", "(x + 1", "a `)` is missing"),
            ("x = 1", "x + 1)", "there is a `)` without its `(`"),
            ("x = 1", "x +", "something is missing at the end"),
            ("x = 1", "x $ 2", "`$` is not expected there"),
            (
                "x = 1",
                "q*x",
                "`q` has no value; give it one among the leaves",
            ),
            (
                "x = 1",
                "sin(x)",
                "`sin` has no value; give it one among the leaves",
            ),
            (
                "x = 1",
                "tanh x",
                "after `tanh` stands what it is of, as in `tanh(x)`",
            ),
            ("x = 1", "x^x", "after `^` stands a whole number up to 99"),
            (
                "x = 1",
                "2 + 3",
                "the result depends on no leaf, so there is nothing to record",
            ),
            ("x = 1", "", "something is missing at the end"),
            (
                "x = 1",
                "x; x",
                "before `;` a name is given, as in `e = a - b;`",
            ),
            ("x = 1", "x = 2*x; x", "the name `x` is taken"),
            ("x", "x", "a leaf is written like `w = 1.5`, not `x`"),
            ("x = y", "x", "the value of `x` is no number"),
            (
                "2x = 1",
                "x",
                "`2x` is no name: letters, and digits after them",
            ),
            ("ln = 1", "ln", "the name `ln` is taken"),
            ("x = 1", "x + 1.2.3", "`1.2.3` is no number"),
        ] {
            assert_eq!(
                Program::read(leaves, program).unwrap_err(),
                said,
                "{program}"
            );
        }
    }
}
