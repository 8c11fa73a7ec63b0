//! Orders in which an array may be read or written by mistake.

/// Shifts by any number of places are tried up to this many.
const LONGEST_SHIFT: usize = 16;

/// An order, and how it is told: element `k` comes from element `from(k)`, or from nowhere.
pub(super) struct Order {
    pub id: &'static str,
    /// Of an array that is written so; empty where an array can only be read so.
    pub written: String,
    /// Of an array that is read so.
    pub read: String,
    pub from: Box<dyn Fn(usize) -> Option<usize>>,
}

/// Every order of an array of this shape that is tried.
pub(super) fn orders(shape: &[usize]) -> Vec<Order> {
    let total: usize = shape.iter().product();
    let mut all: Vec<Order> = Vec::new();
    exchanges(shape, &mut all);
    along_axes(shape, &mut all);
    shifts(shape, &mut all);
    strides_too_long(shape, &mut all);
    // An order that leaves everything in its place is none.
    all.retain(|order| (0..total).any(|k| (order.from)(k) != Some(k)));
    all
}

fn add(
    all: &mut Vec<Order>,
    id: &'static str,
    [written, read]: [String; 2],
    from: impl Fn(usize) -> Option<usize> + 'static,
) {
    all.push(Order {
        id,
        written,
        read,
        from: Box::new(from),
    });
}

fn same(told: String) -> [String; 2] {
    [told.clone(), told]
}

/// For an array that is read so; written so, elements would collide.
fn only_read(told: String) -> [String; 2] {
    [String::new(), told]
}

fn places(by: usize) -> String {
    match by {
        1 => "1 place".to_owned(),
        _ => format!("{by} places"),
    }
}

/// Powers of two below `end`, from 1 on.
fn powers(end: usize) -> impl Iterator<Item = usize> {
    (0..usize::BITS)
        .map(|p| 1 << p)
        .take_while(move |&b| b < end)
}

/// Axes exchanged: the array has its shape, and is taken to have another order.
fn exchanges(shape: &[usize], all: &mut Vec<Order>) {
    let total: usize = shape.iter().product();
    for axes in permutations(shape.len()) {
        let other: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
        let strides = strides(shape);
        let from = |k: usize| -> usize {
            let index = unravel(k, &other);
            axes.iter().zip(index).map(|(&a, i)| strides[a] * i).sum()
        };
        let from: Vec<usize> = (0..total).map(from).collect();
        let mut back = vec![0; total];
        from.iter().enumerate().for_each(|(k, &j)| back[j] = k);
        let told = format!("with its axes in the order {axes:?}");
        for order in [from, back] {
            add(all, "transposed", same(told.clone()), move |k| {
                Some(order[k])
            });
        }
    }
    // Rows and columns of other sizes: the rest of the array lies in one of them.
    for columns in (2..total).filter(|columns| total.is_multiple_of(*columns)) {
        let rows = total / columns;
        let told = format!("as {columns} rows of {rows} where it has {rows} rows of {columns}");
        let from = move |k: usize| Some(k % rows * columns + k / rows);
        add(all, "transposed", same(told), from);
    }
    add(
        all,
        "reversed",
        same("from its end to its start".to_owned()),
        move |k| Some(total - 1 - k),
    );
    for block in powers(total) {
        let told = match block {
            1 => "with neighbours in each other's place".to_owned(),
            _ => format!("with neighbouring blocks of {block} in each other's place"),
        };
        add(all, "swapped", same(told), move |k| {
            Some(if k ^ block < total { k ^ block } else { k })
        });
    }
    if shape.len() == 1 {
        modulo(all, 0, 1, total);
    }
}

/// Along one axis: the other way round, further on, or its start again and again.
fn along_axes(shape: &[usize], all: &mut Vec<Order>) {
    for (axis, &length) in shape.iter().enumerate().filter(|_| shape.len() > 1) {
        let below: usize = shape[axis + 1..].iter().product();
        let told = format!("with axis {axis} from its end to its start");
        add(all, "reversed", same(told), move |k| {
            let at = k / below % length;
            Some(k + (length - 1 - at) * below - at * below)
        });
        for by in (1..length.min(9)).chain([length.saturating_sub(1)]) {
            let told = places(by);
            let around = [
                format!("{told} further along axis {axis}, and around its end"),
                format!("{told} back along axis {axis}, and around its start"),
            ];
            add(all, "shifted", around, move |k| {
                let at = k / below % length;
                Some(k - at * below + (at + length - by) % length * below)
            });
            if 2 * by > length {
                continue;
            }
            let late = [
                format!("{told} further along axis {axis}"),
                format!("{told} back along axis {axis}"),
            ];
            add(all, "shifted", late, move |k| {
                (k / below % length >= by).then(|| k - by * below)
            });
            let early = [
                format!("{told} back along axis {axis}"),
                format!("{told} further along axis {axis}"),
            ];
            add(all, "shifted", early, move |k| {
                (k / below % length + by < length).then_some(k + by * below)
            });
        }
        modulo(all, axis, below, length);
    }
}

/// The first part of an axis again and again, as when a pointer does not advance.
fn modulo(all: &mut Vec<Order>, axis: usize, below: usize, length: usize) {
    let halves = [length / 2, length.div_ceil(2)];
    let mut parts: Vec<usize> = powers(length).chain(halves).chain([3]).collect();
    parts.sort_unstable();
    parts.dedup();
    for part in parts.into_iter().filter(|part| (1..length).contains(part)) {
        let told = match part {
            1 => format!("at index 0 of axis {axis} for every index"),
            _ => format!(
                "at the first {part} indices of axis {axis} again and again: the index of the \
                 block is left out"
            ),
        };
        add(all, "repeated", only_read(told), move |k| {
            let at = k / below % length;
            Some(k - at * below + at % part * below)
        });
    }
}

/// By some places in memory: by less than half, so that most of it can be told.
fn shifts(shape: &[usize], all: &mut Vec<Order>) {
    let total: usize = shape.iter().product();
    let rows = (1..shape.len()).map(|axis| shape[axis..].iter().product());
    let quarters = [total / 4, total / 2];
    let mut by: Vec<usize> = (1..=LONGEST_SHIFT).chain(powers(total)).collect();
    by.extend(rows.chain(quarters));
    by.sort_unstable();
    by.dedup();
    for by in by.into_iter().filter(|&by| by > 0 && by <= total / 2) {
        let told = |written: &str, read: &str, end: &str| {
            let by = places(by);
            [
                format!("{by} {written}{end}"),
                format!("{by} {read} where it should be{end}"),
            ]
        };
        for end in ["", ", and around its end"] {
            let around = !end.is_empty();
            let beyond = move |k: usize| around.then_some(k % total);
            add(all, "shifted", told("late", "before", end), move |k| {
                k.checked_sub(by).or_else(|| beyond(k + total - by))
            });
            add(all, "shifted", told("early", "after", end), move |k| {
                Some(k + by)
                    .filter(|&k| k < total)
                    .or_else(|| beyond(k + by))
            });
        }
    }
}

/// Rows a little further apart than they are, or each begun at a multiple of a vector's width.
fn strides_too_long(shape: &[usize], all: &mut Vec<Order>) {
    let total: usize = shape.iter().product();
    let Some(&length) = shape.last().filter(|_| shape.len() > 1) else {
        return;
    };
    for pad in 1..=4 {
        let stride = length + pad;
        let told = [
            format!("with rows {stride} apart where they are {length} apart"),
            format!("with rows taken to be {stride} apart, which are {length} apart"),
        ];
        let padded =
            move |k: usize| (k % stride < length).then_some(k / stride * length + k % stride);
        let [written, read] = told;
        add(all, "wrong-stride", [written, String::new()], padded);
        add(all, "wrong-stride", [String::new(), read], move |k| {
            Some(k / length * stride + k % length).filter(|&k| k < total)
        });
    }
    for width in [2, 4, 8]
        .into_iter()
        .filter(|width| !length.is_multiple_of(*width))
    {
        let told = format!("from a multiple of {width} on, where a row begins behind one");
        add(all, "misaligned", only_read(told), move |k| {
            Some(k / length * length / width * width + k % length)
        });
    }
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
