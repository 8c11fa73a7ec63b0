//! Where the steps of sequences of different lengths lie.

use std::ops::Range;

use tape::{InputGrads, Real, Var, vector};

use crate::lengths::Lengths;

/// Where the steps of the sequences lie: sorted by length, step after step.
pub(super) struct Schedule {
    /// The number of the sequence at each place of a step.
    pub(super) order: Vec<usize>,
    /// The row of each step among the packed rows, in order of time.
    pub(super) to_steps: Vec<usize>,
    /// The inverse.
    pub(super) to_sequences: Vec<usize>,
    /// The rows of each step.
    pub(super) steps: Vec<Rows>,
    /// Whether there is one sequence only.
    pub(super) alone: bool,
}

impl Schedule {
    pub(super) fn new(lengths: &Lengths) -> Self {
        let mut start = 0;
        let mut sequences: Vec<(usize, usize, usize)> = lengths
            .each()
            .iter()
            .enumerate()
            .map(|(i, &length)| (length, (start += length, start - length).1, i))
            .collect();
        sequences.sort_by_key(|&(length, ..)| std::cmp::Reverse(length));
        let mut to_steps = Vec::with_capacity(lengths.rows());
        let mut steps = Vec::with_capacity(lengths.steps());
        for t in 0..lengths.steps() {
            let start = to_steps.len();
            let running = sequences.iter().take_while(|&&(length, ..)| length > t);
            to_steps.extend(running.map(|&(_, start, _)| start + t));
            let count = to_steps.len() - start;
            steps.push(Rows { start, count });
        }
        let mut to_sequences = vec![0; to_steps.len()];
        for (step, &row) in to_steps.iter().enumerate() {
            to_sequences[row] = step;
        }
        Schedule {
            order: sequences.iter().map(|&(.., i)| i).collect(),
            to_steps,
            to_sequences,
            steps,
            alone: lengths.batch() == 1,
        }
    }
}

/// Consecutive rows of what came from the inputs: those of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) start: usize,
    pub(super) count: usize,
}

impl Rows {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.start + self.count
    }

    pub(super) fn of<T>(self, data: &[T], width: usize) -> &[T] {
        &data[self.start * width..][..self.count * width]
    }

    /// The width H of the state, after a look at the shapes.
    #[track_caller]
    pub(super) fn check<T: Real>(
        self,
        op: &str,
        gates: usize,
        gates_x: &Var<'_, T>,
        gates_h: &Var<'_, T>,
        state: &Var<'_, T>,
    ) -> usize {
        let (xs, hs, ss) = (gates_x.shape(), gates_h.shape(), state.shape());
        assert!(
            ss.len() == 2
                && ss[0] == self.count
                && hs[..] == [self.count, gates * ss[1]]
                && xs.len() == 2
                && xs[1] == hs[1]
                && self.range().end <= xs[0],
            "{op}: rows {:?} of gates of shape {xs}, gates of shape {hs} and a state of shape {ss} \
             do not go together: [M, {gates} H], [n, {gates} H] and [n, H] are needed",
            self.range()
        );
        ss[1]
    }

    /// Adds gradients of the gates `parts`, of `gates` all together, to both sides.
    pub(super) fn add_gates<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        self.add_x(dx, grads, h, gates, parts.clone());
        let here = Rows { start: 0, ..self };
        here.add_to(dx, 1, grads, h, gates, parts);
    }

    /// Adds them to the side of the inputs.
    pub(super) fn add_x<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        self.add_to(dx, 0, grads, h, gates, parts);
    }

    fn add_to<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        input: usize,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        dx.write(input, |beta, out| {
            if beta == T::ZERO {
                out.fill(T::ZERO);
            }
            let rows = &mut out[self.start * gates * h..][..self.count * gates * h];
            let rows = rows.chunks_exact_mut(gates * h);
            for (row, grad) in rows.zip(grads.chunks_exact(parts.len() * h)) {
                vector::add(&mut row[parts.start * h..parts.end * h], grad);
            }
        });
    }
}
