//! Candle or Burn as one side of the comparison: `peers candle` or `peers burn`.
//!
//! The number of threads comes from RAYON_NUM_THREADS, which both respect. Both start
//! their backward pass from ones and cannot be given an upstream gradient, so that is
//! what is timed; the check, which is not timed, uses the sum of `y * dy`.

#[path = "../../src/cases.rs"]
mod cases;
#[path = "../../src/inputs.rs"]
mod inputs;
#[path = "../../src/protocol.rs"]
mod protocol;
#[path = "../../src/timing.rs"]
mod timing;

mod burn_side;
mod candle_side;

fn main() {
    let side = std::env::args().nth(1).unwrap_or_default();
    let threads = std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|n| n.parse().ok());
    let Some(threads) = threads else {
        eprintln!("peers: set RAYON_NUM_THREADS to the number of threads to use");
        std::process::exit(2);
    };
    match side.as_str() {
        "candle" => protocol::serve("candle", "0.11.1", threads, |case, times| {
            usual(times)?;
            candle_side::job(case).map_err(|e| e.to_string())
        }),
        "burn" => protocol::serve("burn", "0.22.1", threads, |case, times| {
            usual(times)?;
            Ok(burn_side::job(case))
        }),
        _ => {
            eprintln!("usage: peers candle | peers burn");
            std::process::exit(2);
        }
    }
}

/// Only our own side and PyTorch are asked for larger batches.
fn usual(times: usize) -> Result<(), String> {
    match times {
        1 => Ok(()),
        _ => Err("batches have their usual size here".to_owned()),
    }
}
