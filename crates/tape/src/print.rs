//! A tape as something to look at: a table, and a graph for Graphviz or Mermaid.

use std::collections::HashSet;
use std::fmt::{self, Write};

use crate::backward::{Kind, NodeId, Record};
use crate::{Real, Shape, Tape, Var};

/// A record as a tape shows it: one line of its table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The op's name, or a parameter's own.
    pub label: String,
    /// Whether it is a parameter.
    pub is_param: bool,
    /// The records that it took its inputs from, `None` for what depends on no parameter.
    pub inputs: Vec<Option<usize>>,
    /// The shape of its value.
    pub shape: Shape,
    /// Bytes that it keeps for the backward pass, and no record before it does.
    pub saved: usize,
}

impl<T: Real> Record<T> {
    /// The op's name, or the parameter's own.
    fn label(&self) -> &str {
        match &self.kind {
            Kind::Leaf { name } => name,
            Kind::Op(backward) => backward.name(),
        }
    }

    /// Bytes this record keeps alive that no earlier one did; `seen` holds buffers.
    fn saved_bytes(&self, seen: &mut HashSet<usize>) -> usize {
        match &self.kind {
            Kind::Leaf { .. } => 0,
            Kind::Op(backward) => {
                let fresh = backward
                    .saved()
                    .into_iter()
                    .filter(|s| seen.insert(s.address()));
                fresh.map(|tensor| tensor.bytes()).sum()
            }
        }
    }
}

impl<T: Real> Tape<T> {
    /// Bytes of tensors that the recorded ops hold for the backward pass, each buffer
    /// counted once.
    pub fn saved_bytes(&self) -> usize {
        self.lines().iter().map(|line| line.saved).sum()
    }

    /// The records as lines of a table, in the order in which they were made.
    pub fn lines(&self) -> Vec<Line> {
        let mut seen = HashSet::new();
        let line = |record: &Record<T>| Line {
            label: record.label().to_owned(),
            is_param: matches!(record.kind, Kind::Leaf { .. }),
            inputs: record
                .inputs
                .iter()
                .map(|input| input.map(NodeId::index))
                .collect(),
            shape: record.shape,
            saved: record.saved_bytes(&mut seen),
        };
        self.records.borrow().iter().map(line).collect()
    }

    /// How many records the tape holds.
    pub fn len(&self) -> usize {
        self.records.borrow().len()
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recording as a Graphviz graph (`dot -Tsvg`).
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph tape {\n  rankdir=LR;\n");
        for (id, record) in self.records.borrow().iter().enumerate() {
            let shape = if matches!(record.kind, Kind::Leaf { .. }) {
                "box"
            } else {
                "ellipse"
            };
            let label = record.label().replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(
                out,
                "  n{id} [label=\"{label}\\n{}\", shape={shape}];",
                record.shape
            );
            for node in record.inputs.iter().flatten() {
                let _ = writeln!(out, "  n{} -> n{id};", node.index());
            }
        }
        out + "}\n"
    }

    /// The recording as a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (id, record) in self.records.borrow().iter().enumerate() {
            let label = record.label().replace('"', "#quot;");
            let (open, close) = match record.kind {
                Kind::Leaf { .. } => ("[", "]"),
                Kind::Op(_) => ("([", "])"),
            };
            let _ = writeln!(out, "  n{id}{open}\"{label} {}\"{close}", record.shape);
            for node in record.inputs.iter().flatten() {
                let _ = writeln!(out, "  n{} --> n{id}", node.index());
            }
        }
        out
    }
}

/// The table of records: number, op, the records it took its inputs from (`·` for a
/// constant), shape, and bytes saved for the backward pass.
impl<T: Real> fmt::Display for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>4}  {:<16} {:<12} {:<16} {:>10}",
            "id", "op", "inputs", "shape", "saved"
        )?;
        for (id, line) in self.lines().into_iter().enumerate() {
            let inputs: Vec<String> = (line.inputs.iter())
                .map(|input| input.map_or("·".to_owned(), |id| id.to_string()))
                .collect();
            let op = match line.is_param {
                true => format!("param {}", line.label),
                false => line.label,
            };
            let (shape, saved) = (line.shape.to_string(), line.saved);
            writeln!(
                f,
                "{id:>4}  {op:<16} {:<12} {shape:<16} {saved:>10}",
                inputs.join(", ")
            )?;
        }
        writeln!(f, "{:>62}", format!("{} bytes saved", self.saved_bytes()))
    }
}

impl<T: Real> fmt::Debug for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape with {} records", self.len())
    }
}

impl<T: Real> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracked = if self.is_tracked() {
            "tracked"
        } else {
            "constant"
        };
        write!(f, "Var({tracked}) {:?}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    fn example(look: impl FnOnce(&Tape<f32>)) {
        let w = Param::new("w", Tensor::ones([2, 3]));
        Tape::new().grad(|t| {
            let w = t.param(&w);
            let y = (&w * &t.constant(Tensor::ones([3]))).exp();
            let loss = (&y * &y).sum(&[0, 1]);
            look(t);
            loss
        });
    }

    #[test]
    fn the_table_lists_every_record_and_counts_each_buffer_once() {
        // mul saves the constant (12 bytes); exp saves its output (24); the second mul
        // saves that same output twice, which costs nothing more.
        example(|t| {
            let expected = "  \
  id  op               inputs       shape                 saved
   0  param w                       [2, 3]                    0
   1  mul              0, ·         [2, 3]                   12
   2  exp              1            [2, 3]                   24
   3  mul              2, 2         [2, 3]                    0
   4  sum              3            []                        0
                                                36 bytes saved
";
            assert_eq!(t.to_string(), expected);
            assert_eq!((t.saved_bytes(), t.len(), t.is_empty()), (36, 5, false));
        });
    }

    #[test]
    fn a_fresh_tape_is_empty() {
        Tape::<f32>::eval(|t| assert!(t.is_empty()));
        example(|t| assert_eq!(format!("{t:?}"), "Tape with 5 records"));
    }

    #[test]
    fn graphs_have_a_node_per_record_and_an_edge_per_use() {
        example(|t| {
            let dot = t.to_dot();
            assert!(dot.starts_with("digraph tape {") && dot.ends_with("}\n"));
            assert!(
                dot.contains("n0 [label=\"w\\n[2, 3]\", shape=box];"),
                "{dot}"
            );
            assert_eq!(dot.matches("n2 -> n3;").count(), 2);
            let mermaid = t.to_mermaid();
            assert!(mermaid.contains("n0[\"w [2, 3]\"]"), "{mermaid}");
            assert!(mermaid.contains("n1([\"mul [2, 3]\"])"), "{mermaid}");
            assert_eq!(mermaid.matches("n2 --> n3").count(), 2);
        });
    }
}
