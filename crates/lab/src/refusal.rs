//! Running what may be refused: a panic as a message, for the experiments whose point is
//! that a layer refuses.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is awaited, and printing it would only alarm.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
    /// Where the last one was that was awaited.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a panic that was awaited says.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    /// The line of the program: file, line and column.
    pub(crate) place: String,
}

/// Runs `f`; if it panics, what that says. What `f` was changing is left as it stood, so it
/// is not to be used after a refusal.
pub(crate) fn refusal<R>(f: impl FnOnce() -> R) -> Result<R, Refusal> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if AWAITED.get() {
                let place = info.location().map(ToString::to_string);
                PLACE.set(place.unwrap_or_default());
            } else {
                usual(info);
            }
        }));
    });
    let before = AWAITED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    AWAITED.set(before);
    result.map_err(|payload| {
        let message = match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => match payload.downcast::<&str>() {
                Ok(message) => (*message).to_owned(),
                Err(payload) => panic::resume_unwind(payload),
            },
        };
        let place = PLACE.take();
        Refusal { message, place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_its_message() {
        let message = |f: &dyn Fn()| refusal(f).expect_err("it panics").message;
        assert_eq!(message(&|| panic!("plain")), "plain");
        let n = 2;
        assert_eq!(message(&|| panic!("{n}")), "2");
        assert_eq!(refusal(|| 3), Ok(3));
        let inner = || refusal(|| panic!("inner")).unwrap_or(7);
        assert_eq!(refusal(inner), Ok(7));
    }

    #[test]
    fn a_refusal_knows_its_place() {
        let (none, line): (Option<()>, _) = (None, line!() + 1);
        let refused = refusal(|| none.expect("something")).expect_err("there is nothing");
        let begins = format!("{}:{line}:", file!());
        assert!(refused.place.starts_with(&begins), "{refused:?}");
    }
}
