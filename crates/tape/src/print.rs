//! A tape as something to look at: a table, and a graph for Graphviz or Mermaid.

use std::collections::HashSet;
use std::fmt::{self, Write};

use crate::backward::{Kind, Record};
use crate::{Real, Tape, Var};

impl<T: Real> Record<T> {
    fn op(&self) -> &str {
        match &self.kind {
            Kind::Leaf { .. } => "param",
            Kind::Op(backward) => backward.name(),
        }
    }

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
        let mut seen = HashSet::new();
        self.records
            .borrow()
            .iter()
            .map(|record| record.saved_bytes(&mut seen))
            .sum()
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
        let mut seen = HashSet::new();
        let mut total = 0;
        for (id, record) in self.records.borrow().iter().enumerate() {
            let inputs: Vec<String> = (record.inputs.iter())
                .map(|input| input.map_or("·".to_owned(), |node| node.index().to_string()))
                .collect();
            let op = match &record.kind {
                Kind::Leaf { name } => format!("{} {name}", record.op()),
                Kind::Op(_) => record.op().to_owned(),
            };
            let saved = record.saved_bytes(&mut seen);
            total += saved;
            let shape = record.shape.to_string();
            writeln!(
                f,
                "{id:>4}  {op:<16} {:<12} {shape:<16} {saved:>10}",
                inputs.join(", ")
            )?;
        }
        writeln!(f, "{:>62}", format!("{total} bytes saved"))
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
