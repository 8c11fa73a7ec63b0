//! Blocks of code between fences: nothing in them is a directive.

/// Blocks of code between fences, in a walk over the lines of a chapter.
#[derive(Default)]
pub struct Fence {
    /// What closes the block that is open.
    mark: Option<String>,
}

impl Fence {
    /// Whether a block goes on after the last line.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether the next line is code, or a fence.
    pub fn holds(&mut self, line: &str) -> bool {
        let (_, rest) = split_prefix(line);
        if let Some(mark) = &self.mark {
            let closes = |rest: &str| rest.trim_matches(['`', '~']).trim().is_empty();
            if rest.starts_with(mark.as_str()) && closes(rest) {
                self.mark = None;
            }
            return true;
        }
        let fence = ["```", "~~~"]
            .into_iter()
            .find(|fence| rest.starts_with(fence));
        self.mark = fence.map(|fence| {
            let mark = &fence[..1];
            mark.repeat(rest.len() - rest.trim_start_matches(mark).len())
        });
        self.mark.is_some()
    }
}

/// The indentation and quotation marks before a line's own text.
pub fn split_prefix(line: &str) -> (&str, &str) {
    let rest = line.trim_start_matches([' ', '\t', '>']);
    let prefix = &line[..line.len() - rest.len()];
    // A bare `>` in a code block or a formula is not a quotation.
    if prefix.trim_start().starts_with('>') || prefix.trim().is_empty() {
        (prefix, rest)
    } else {
        ("", line)
    }
}
