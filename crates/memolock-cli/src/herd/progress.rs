//! The progress bar: on stderr, and only where somebody sees it.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the callers that are done.
pub(super) struct Progress(ProgressBar);

/// Whether there is a terminal to draw on.
pub(super) fn is_wanted() -> bool {
    std::io::stderr().is_terminal()
}

impl Progress {
    pub(super) fn begin(callers: u64) -> Self {
        if !is_wanted() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(callers), ProgressDrawTarget::stderr());
        // No colours, so NO_COLOR needs no care. A template of ours that did not parse would be a bug
        // that every run shows; the default style is good enough then.
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message("gathering");
        Self(bar)
    }

    /// A round begins.
    pub(super) fn round(&self, round: u32, repeat: u32) {
        if repeat > 1 {
            self.0
                .set_message(format!("herd {} of {repeat}", round + 1));
        } else {
            self.0.set_message("callers served");
        }
    }

    /// So many more callers are done.
    pub(super) fn done(&self, callers: u32) {
        self.0.inc(u64::from(callers));
    }

    /// Makes room for the table.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
