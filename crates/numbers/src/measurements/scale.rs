//! Time and memory over sizes, beside a model that is made of a few measured numbers; the peak of
//! training steps beside PyTorch's; and what checkpoints save and cost.
//!
//! Nothing is timed here: the times are those of `benches/results`, which
//! `compare --scale` writes.

use chart::{Axis, Chart, Hue, Ink};
use serde_json::{Value, json};
use tape::streaming;

use super::cost_counted::STEPS;
use crate::kit::{Measurement, Output, each, number, rows};

pub const MEASUREMENT: Measurement = Measurement {
    name: "scale",
    chapter: 17,
    about: "time and memory over sizes, with a model of them, and checkpoints, from benches/results",
    run,
};

const SCALE: &str = include_str!("../../../../benches/results/intel-scale.json");

/// Bytes that a value moves, forward and backward, with ordinary stores: x, the lines of y, y; dy,
/// x, the lines of dx, dx. Of a batch in rows that is no longer in a cache when its statistics are
/// known, Batch Norm reads x once more forward, and dy and x once more backward.
const BYTES: [(&str, f64); 2] = [("layernorm", 28.0), ("batchnorm", 40.0)];
/// The lines of y and of dx among these, which are not read where results are written past the
/// caches.
const WRITTEN_OVER: f64 = 8.0;
/// An array that stays in the cache of a core, in bytes.
const IN_CACHE: f64 = 262_144.0;
/// Bytes of the four arrays x, y, dy and dx for each value.
const HELD: f64 = 16.0;
/// Elements below which a kernel stays on one thread.
const SERIAL_BELOW: f64 = tape::parallel::SERIAL_BELOW as f64;
/// Numbers of threads that the model is asked about.
const THREADS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

/// What was measured.
struct Measured(Value);

impl Measured {
    /// Nanoseconds of a norm, forward and backward.
    fn time(&self, side: &str, threads: u64, norm: &str, n: f64) -> Option<f64> {
        let found = rows(&self.0["times"]).iter().find(|row| {
            row["side"] == side
                && row["threads"] == threads
                && row["norm"] == norm
                && row["n"].as_f64() == Some(n)
        });
        found?["ns"].as_f64()
    }

    fn ours(&self, threads: u64, norm: &str, n: f64) -> f64 {
        let found = self.time("ours", threads, norm, n);
        found.unwrap_or_else(|| panic!("{norm} of {n} values was not timed"))
    }

    fn sizes(&self) -> Vec<f64> {
        let rows = rows(&self.0["times"]).iter();
        let ours =
            rows.filter(|r| r["side"] == "ours" && r["threads"] == 1 && r["norm"] == "layernorm");
        ours.map(|row| number(row, "n")).collect()
    }

    /// GB/s that move when so many bytes are gone through again and again: on the line between
    /// the two arrays measured that are nearest in size, over the logarithm of that.
    fn bandwidth(&self, threads: u64, bytes: f64) -> f64 {
        let of = rows(&self.0["bandwidth"]).iter();
        let of = of.filter(|row| row["threads"] == threads);
        let arrays: Vec<(f64, f64)> = of
            .map(|row| (1024.0 * number(row, "kib"), number(row, "gb_per_s")))
            .collect();
        let (first, last) = (arrays[0], arrays[arrays.len() - 1]);
        let pair = arrays
            .windows(2)
            .find(|pair| (pair[0].0..pair[1].0).contains(&bytes));
        match pair {
            None if bytes < first.0 => first.1,
            None => last.1,
            Some(pair) => {
                let way = libm::log(bytes / pair[0].0) / libm::log(pair[1].0 / pair[0].0);
                pair[0].1 + way * (pair[1].1 - pair[0].1)
            }
        }
    }

    /// Bytes of memory that a case needs at its peak.
    fn peak(&self, side: &str, case: &str, key: &str, at: f64) -> Option<f64> {
        let found = rows(&self.0["peaks"]).iter().find(|row| {
            row["side"] == side && row["case"] == case && row[key].as_f64() == Some(at)
        });
        found?["bytes"].as_f64()
    }
}

/// A model of the time of one norm, of numbers that were measured elsewhere or at other sizes.
struct Model<'a> {
    measured: &'a Measured,
    /// What does not grow with the size, in nanoseconds.
    fixed: f64,
    /// What a value costs in the cache of a core, in nanoseconds.
    each: f64,
    /// The bytes that it moves, with ordinary stores.
    bytes: f64,
}

impl<'a> Model<'a> {
    /// From the two sizes that lie in the caches of a core.
    fn new(measured: &'a Measured, norm: &str) -> Self {
        const SMALL: [f64; 2] = [1e3, 3e4];
        let [least, most] = SMALL.map(|n| measured.ours(1, norm, n));
        let each = (most - least) / (SMALL[1] - SMALL[0]);
        let known = BYTES.iter().find(|(name, _)| *name == norm);
        Model {
            measured,
            fixed: least - each * SMALL[0],
            each,
            bytes: known.expect("a norm").1,
        }
    }

    /// The bytes that one of `n` values moves.
    fn bytes(&self, threads: f64, n: f64) -> f64 {
        let past_the_caches = streaming::pays_on::<f32>(n as usize, threads as usize);
        self.bytes - if past_the_caches { WRITTEN_OVER } else { 0.0 }
    }

    /// Nanoseconds for `n` values with one or two threads.
    fn time(&self, threads: u64, n: f64) -> f64 {
        let threads = if n < SERIAL_BELOW { 1 } else { threads };
        let bandwidth = self.measured.bandwidth(threads, HELD * n);
        self.with(threads as f64, n, bandwidth)
    }

    /// With any number of threads, which get this much of the memory together: a value costs what
    /// it costs in a cache, and what its bytes take longer from where they are.
    fn with(&self, threads: f64, n: f64, bandwidth: f64) -> f64 {
        let near = self.measured.bandwidth(1, IN_CACHE) * threads;
        let further = (1.0 / bandwidth - 1.0 / near).max(0.0);
        self.fixed + n * (self.each / threads + self.bytes(threads, n) * further)
    }

    /// How many times as fast as one some threads are, where the memory keeps pace with all of
    /// them, and where it gives no more than two can take.
    fn threads(&self, n: f64) -> Value {
        let one = self.measured.bandwidth(1, HELD * n);
        let two = self.measured.bandwidth(2, HELD * n);
        let alone = self.with(1.0, n, one);
        each(THREADS, |threads| {
            let keeps = alone / self.with(threads, n, threads * one);
            let stops = alone / self.with(threads, n, two.min(threads * one));
            json!({ "threads": threads, "keeps_pace": keeps, "stops_at_two": stops })
        })
    }
}

/// One norm: measured and modelled, size by size.
fn norm(measured: &Measured, norm: &str) -> Value {
    let model = Model::new(measured, norm);
    let sizes = measured.sizes();
    let off = |threads: u64, n: f64| model.time(threads, n) / measured.ours(threads, norm, n);
    let size = |&n: &f64| {
        let [one, two] = [1, 2].map(|threads| measured.ours(threads, norm, n));
        let torch = measured.time("torch", 1, norm, n);
        let kept = measured.time("torch-keep", 1, norm, n);
        let peak = |side: &str| {
            measured
                .peak(side, norm, "n", n)
                .map(|bytes| bytes / 4.0 / n)
        };
        json!({
            "n": n,
            // In microseconds.
            "one": one / 1e3,
            "two": two / 1e3,
            "gain": one / two,
            "model": model.time(1, n) / 1e3,
            "model_two": model.time(2, n) / 1e3,
            "off": off(1, n),
            "off_two": off(2, n),
            "each": one / n,
            "torch": torch.map(|ns| ns / one),
            "kept": kept.map(|ns| ns / one),
            // Of the size of x.
            "arrays": peak("ours"),
            "torch_arrays": peak("torch"),
        })
    };
    // From where a call is not all there is.
    let beyond = sizes.iter().filter(|n| **n >= 3e3);
    let ratios = beyond.flat_map(|&n| [off(1, n), off(2, n)]);
    let furthest = ratios.fold(1.0, |most: f64, off| most.max(off.max(1.0 / off)));
    json!({
        "norm": norm,
        "fixed": model.fixed,
        "each": model.each,
        "bytes": model.bytes,
        "bytes_past": model.bytes - WRITTEN_OVER,
        "sizes": each(&sizes, size),
        // The factor by which the model is off at most.
        "furthest": furthest,
        "large": model.threads(1e8),
        "small": model.threads(1e6),
    })
}

/// A line of a chart: its name, its ink, its points.
type Drawn = (&'static str, Ink, Vec<(f64, f64)>);

/// Nanoseconds a value, over sizes.
fn time_chart(measured: &Measured, norm: &str, title: &str) -> Chart {
    let sizes = measured.sizes();
    let model = Model::new(measured, norm);
    let line = |side: &str, threads: u64| -> Vec<(f64, f64)> {
        let at = |&n: &f64| Some((n, measured.time(side, threads, norm, n)? / n));
        sizes.iter().filter_map(at).collect()
    };
    let modelled = |threads: u64| {
        sizes
            .iter()
            .map(|&n| (n, model.time(threads, n) / n))
            .collect()
    };
    let lines: [Drawn; 5] = [
        ("PyTorch", Ink::Solid(Hue::Mean), line("torch", 1)),
        ("the model", Ink::Theory, modelled(1)),
        ("", Ink::Theory, modelled(2)),
        ("one thread", Ink::Dots(Hue::Direct), line("ours", 1)),
        ("two threads", Ink::Dots(Hue::Var), line("ours", 2)),
    ];
    let all = || {
        lines
            .iter()
            .flat_map(|(_, _, points)| points.iter().map(|(_, y)| *y))
    };
    let low = all().fold(f64::INFINITY, f64::min) / 1.3;
    let high = all().fold(0.0, f64::max) * 1.3;
    let chart = Chart::new(
        title,
        "Nanoseconds for each value, forward and backward, over the number of values, both axes \
         logarithmic: measured on one and on two threads, PyTorch on one thread, and the model as \
         a dashed line for one and for two threads.",
        Axis::log("values", 1e3, 1e8),
        Axis::log("nanoseconds a value", low, high),
    );
    lines.into_iter().fold(chart, |chart, (name, ink, points)| {
        chart.line(name, ink, points)
    })
}

/// What checkpoints save, in what was measured and in what was counted.
struct Deep {
    layers: f64,
    /// Bytes of one array of a layer.
    array: f64,
    /// With no segments, then with more and more.
    rows: Vec<Value>,
}

impl Deep {
    fn new(measured: &Measured) -> Self {
        let deep = &measured.0["deep"];
        Deep {
            layers: number(deep, "layers"),
            array: 4.0 * number(deep, "width") * number(deep, "batch"),
            rows: rows(&measured.0["checkpoints"]).to_vec(),
        }
    }

    /// Arrays that wait for the backward pass: an input for each segment, and two for each layer
    /// of the one that is being computed again.
    fn waiting(&self, segments: f64) -> f64 {
        segments + 2.0 * self.layers / segments
    }

    /// What memory holds beside these, in bytes, from the row without segments: there two arrays
    /// wait for each layer.
    fn beside(&self) -> f64 {
        number(&self.rows[0], "peak_bytes") - 2.0 * self.layers * self.array
    }

    fn results(&self) -> Value {
        let whole = &self.rows[0];
        let of = |row: &Value| {
            let segments = number(row, "segments");
            let peak = number(row, "peak_bytes");
            let counted = self.beside() + self.waiting(segments) * self.array;
            json!({
                "segments": segments,
                "peak": peak / 1e6,
                "share": peak / number(whole, "peak_bytes"),
                "tape": number(row, "tape_bytes") / 1e6,
                "counted": (segments > 0.0).then(|| counted / 1e6),
                "off": (segments > 0.0).then(|| counted / peak),
                "time": number(row, "median_ns") / 1e6,
                "time_over_whole": number(row, "median_ns") / number(whole, "median_ns"),
            })
        };
        let rows = each(&self.rows, of);
        let least = |key: &str| {
            let with = self.rows[1..].iter();
            with.min_by(|a, b| number(a, key).total_cmp(&number(b, key)))
                .map(|row| row["segments"].clone())
        };
        json!({
            "layers": self.layers,
            "array": self.array / 1e6,
            // Where the count is least, and where the measurement is.
            "best": (2.0 * self.layers).sqrt(),
            "least_at": least("peak_bytes"),
            "rows": rows,
        })
    }

    fn chart(&self) -> Chart {
        let with = &self.rows[1..];
        let measured = with
            .iter()
            .map(|row| (number(row, "segments"), number(row, "peak_bytes") / 1e6));
        let measured: Vec<(f64, f64)> = measured.collect();
        // A curve, at many places between one segment and one for each layer.
        let places = (0..=60).map(|i| libm::pow(self.layers, f64::from(i) / 60.0));
        let counted = places.map(|k| (k, (self.beside() + self.waiting(k) * self.array) / 1e6));
        let whole = number(&self.rows[0], "peak_bytes") / 1e6;
        let chart = Chart::new(
            "Memory of a training step over segments",
            "The peak of memory of a step of a deep network in megabytes, over the number of \
             segments its layers are in, on a logarithmic axis: dots as measured, a dashed curve \
             as counted, which is least near eleven segments; and a level for the step without \
             checkpoints.",
            Axis::log("segments", 1.0, self.layers),
            Axis::linear("peak of memory, MB", 0.0, 1.08 * whole),
        );
        chart
            .line(
                "without checkpoints",
                Ink::Solid(Hue::Mean),
                [(1.0, whole), (self.layers, whole)],
            )
            .line("counted", Ink::Theory, counted)
            .line("measured", Ink::Dots(Hue::Direct), measured)
    }
}

/// Training steps, and the peak of memory of each at three sizes of its batch.
fn peaks(measured: &Measured) -> Value {
    let row = |(case, name): (&str, &str)| {
        let at = |times: f64| {
            let [ours, torch] =
                ["ours", "torch"].map(|side| measured.peak(side, case, "times", times));
            let over = ours.zip(torch).map(|(ours, torch)| torch / ours);
            json!({ "ours": ours.map(|b| b / 1e6), "torch": torch.map(|b| b / 1e6), "over": over })
        };
        // What each further batch of the usual size adds.
        let [ours, torch] = ["ours", "torch"].map(|side| {
            let [one, many] = [1.0, 16.0].map(|times| measured.peak(side, case, "times", times));
            one.zip(many).map(|(one, many)| (many - one) / 15e6)
        });
        let over = ours.zip(torch).map(|(ours, torch)| torch / ours);
        json!({
            "step": name,
            "usual": at(1.0),
            "four": at(4.0),
            "sixteen": at(16.0),
            "further": { "ours": ours, "torch": torch, "over": over },
        })
    };
    STEPS.map(row).into_iter().collect()
}

fn run() -> Output {
    let measured = Measured(serde_json::from_str(SCALE).expect("it is JSON"));
    let deep = Deep::new(&measured);
    let norms = ["layernorm", "batchnorm"].map(|name| norm(&measured, name));
    let bandwidth = |kib: f64| {
        let of = |threads: u64| {
            let of = rows(&measured.0["bandwidth"]).iter();
            let found = of
                .filter(|row| row["threads"] == threads)
                .find(|row| number(row, "kib") == kib);
            found.map(|row| row["gb_per_s"].clone())
        };
        json!({ "mib": kib / 1024.0, "one": of(1), "two": of(2) })
    };
    let kibs: Vec<f64> = rows(&measured.0["bandwidth"])
        .iter()
        .filter(|row| row["threads"] == 1)
        .map(|row| number(row, "kib"))
        .collect();
    let [layer, batch] = ["layernorm", "batchnorm"].map(|norm| {
        let name = if norm == "layernorm" {
            "Layer"
        } else {
            "Batch"
        };
        time_chart(
            &measured,
            norm,
            &format!("{name} Norm, time of a value over sizes"),
        )
    });
    let [ln, bn] = norms;
    Output::new(json!({
        "about": "Time and memory over sizes, with a model of them, and checkpoints, from benches/results",
        "model": measured.0["machine"]["model"],
        "make": measured.0["machine"]["make"],
        "torch": measured.0["versions"]["torch"],
        "features": measured.0["features"],
        "pool_limit_gib": tape::POOL_LIMIT as f64 / f64::from(1 << 30),
        "bandwidth": each(kibs, bandwidth),
        "ln": ln,
        "bn": bn,
        "peaks": peaks(&measured),
        "deep": deep.results(),
    }))
    .plot("scale-ln", layer)
    .plot("scale-bn", batch)
    .plot("checkpoints", deep.chart())
}
