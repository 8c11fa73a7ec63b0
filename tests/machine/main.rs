//! What might be another thing in a release build, on an older processor, or by another way to
//! memory, and must not. A program of its own, so that those need not run the rest as well.

mod bits;
mod sizes;
mod streaming;
