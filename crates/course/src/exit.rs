//! What the command says to a script: its exit codes.

/// The exit code when an exercise does not pass.
pub const NOT_PASSED: u8 = 1;
/// The exit code when something else went wrong: a flag, a file, a port.
pub const FAILED: u8 = 2;
