//! The command `verify`, which `course verify` starts: prints the gradient report, and returns
//! the exit code 1 when a gradient is wrong.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let report = verify::run();
    println!("{report}");
    ExitCode::from(u8::from(!report.passed()))
}
