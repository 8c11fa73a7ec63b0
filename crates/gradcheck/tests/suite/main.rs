//! The tests of the checker, in one program, so that there is one to link.

mod adversary;
mod attribution_dx;
mod attribution_rest;
mod check;
mod execution;
mod explain;
mod false_alarms;
mod learner;
mod numeric;
mod on_tape;
mod program;
mod scales;
mod singular;
