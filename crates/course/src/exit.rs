//! What the command says to a script: its exit codes.

/// The exit code when an exercise does not pass.
pub const NOT_PASSED: u8 = 1;
pub use verdict::cli::FAILED;
