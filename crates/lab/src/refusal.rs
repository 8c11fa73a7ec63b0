//! Running what may be refused: a panic as a message, for the experiments whose point is
//! that a layer refuses.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is awaited, and printing it would only alarm.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; if it panics, the message. What `f` was changing is left as it stood, so it
/// is not to be used after a refusal.
pub(crate) fn refusal<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !AWAITED.get() {
                usual(info);
            }
        }));
    });
    let before = AWAITED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    AWAITED.set(before);
    result.map_err(|payload| match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => match payload.downcast::<&str>() {
            Ok(message) => (*message).to_owned(),
            Err(payload) => panic::resume_unwind(payload),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_its_message() {
        assert_eq!(refusal(|| 3), Ok(3));
        assert_eq!(refusal(|| panic!("plain")), Err::<(), _>("plain".into()));
        let n = 2;
        assert_eq!(refusal(|| panic!("{n}")), Err::<(), _>("2".into()));
        let inner = || refusal(|| panic!("inner")).unwrap_or(7);
        assert_eq!(refusal(inner), Ok(7));
    }
}
