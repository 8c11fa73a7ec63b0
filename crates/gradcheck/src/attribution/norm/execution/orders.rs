//! Orders in which an array may be read or written by mistake.

/// Shifts are tried up to this many elements.
const LONGEST_SHIFT: usize = 64;

/// An order, and how it is told: element `k` comes from element `from[k]`, or from nowhere.
pub(super) struct Order {
    pub id: &'static str,
    /// Of an array that is written so.
    pub written: String,
    /// Of an array that is read so.
    pub read: String,
    pub from: Vec<Option<usize>>,
}

impl Order {
    /// The values in this order, and `missing` where they come from nowhere.
    pub fn of(&self, values: &[f64], missing: f64) -> Vec<f64> {
        let pick = |from: &Option<usize>| from.map_or(missing, |k| values[k]);
        self.from.iter().map(pick).collect()
    }
}

/// Every order of an array of this shape that is tried; the right one is not among them.
pub(super) fn orders(shape: &[usize]) -> Vec<Order> {
    let total: usize = shape.iter().product();
    let mut all: Vec<Order> = Vec::new();
    let mut add = |id, [written, read]: [String; 2], from: Vec<Option<usize>>| {
        let moved = from.iter().enumerate().any(|(k, from)| *from != Some(k));
        if moved && all.iter().all(|order| order.from != from) {
            all.push(Order {
                id,
                written,
                read,
                from,
            });
        }
    };
    let same = |told: String| [told.clone(), told];
    let places = |by: usize| {
        if by == 1 {
            "1 place".to_owned()
        } else {
            format!("{by} places")
        }
    };
    // Axes exchanged when read: the array has its shape, and is taken to have another order.
    for axes in permutations(shape.len()) {
        let other: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
        let strides = strides(shape);
        let from = |k: usize| {
            let index = unravel(k, &other);
            Some(axes.iter().zip(index).map(|(&a, i)| strides[a] * i).sum())
        };
        let from: Vec<Option<usize>> = (0..total).map(from).collect();
        let back: Vec<Option<usize>> = inverse(&from);
        let told = format!("with its axes in the order {axes:?}");
        add("transposed", same(told.clone()), from);
        add("transposed", same(told), back);
    }
    // Rows and columns of other sizes: the rest of the array lies in one of them.
    for columns in (2..total).filter(|columns| total.is_multiple_of(*columns)) {
        let rows = total / columns;
        let from = (0..total).map(|k| Some(k % rows * columns + k / rows));
        let told = format!("as {columns} rows of {rows} where it has {rows} rows of {columns}");
        add("transposed", same(told), from.collect());
    }
    add(
        "reversed",
        same("from its end to its start".to_owned()),
        (0..total).rev().map(Some).collect(),
    );
    for (axis, &length) in shape.iter().enumerate().filter(|_| shape.len() > 1) {
        let below: usize = shape[axis + 1..].iter().product();
        let from = |k: usize| {
            let at = k / below % length;
            Some(k + (length - 1 - at) * below - at * below)
        };
        let told = format!("with axis {axis} from its end to its start");
        add("reversed", same(told), (0..total).map(from).collect());
        for by in (1..length.min(9)).chain([length.saturating_sub(1)]) {
            let around = |k: usize| {
                let at = k / below % length;
                Some(k - at * below + (at + length - by) % length * below)
            };
            let by = places(by);
            let written = format!("{by} further along axis {axis}, and around its end");
            let read = format!("{by} back along axis {axis}, and around its start");
            add("shifted", [written, read], (0..total).map(around).collect());
        }
    }
    // By less than half, so that most of it can be told.
    for by in 1..=(total / 2).min(LONGEST_SHIFT) {
        let told = |written: &str, read: &str, end: &str| {
            let by = places(by);
            [
                format!("{by} {written}{end}"),
                format!("{by} {read} where it should be{end}"),
            ]
        };
        for end in ["", ", and around its end"] {
            let beyond = |k: usize| {
                if end.is_empty() {
                    None
                } else {
                    Some(k % total)
                }
            };
            let late = |k: usize| k.checked_sub(by).or_else(|| beyond(k + total - by));
            let early = |k: usize| {
                Some(k + by)
                    .filter(|&k| k < total)
                    .or_else(|| beyond(k + by))
            };
            add(
                "shifted",
                told("late", "before", end),
                (0..total).map(late).collect(),
            );
            add(
                "shifted",
                told("early", "after", end),
                (0..total).map(early).collect(),
            );
        }
    }
    all
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count > 5 {
        return Vec::new();
    }
    let mut all = vec![Vec::new()];
    for axis in 0..count {
        let put = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            let at = |place| [&order[..place], &[axis], &order[place..]].concat();
            (0..=order.len()).map(at).collect()
        };
        all = all.iter().flat_map(put).collect();
    }
    all
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let below = |axis: usize| shape[axis + 1..].iter().product();
    (0..shape.len()).map(below).collect()
}

fn unravel(flat: usize, shape: &[usize]) -> Vec<usize> {
    let digit = |(stride, length): (usize, &usize)| flat / stride % length;
    strides(shape).into_iter().zip(shape).map(digit).collect()
}

fn inverse(from: &[Option<usize>]) -> Vec<Option<usize>> {
    let mut back = vec![None; from.len()];
    for (k, from) in from.iter().enumerate() {
        if let Some(from) = from {
            back[*from] = Some(k);
        }
    }
    back
}
