//! What to do about what a node answered: a policy without a clock.

use std::time::Duration;

use super::{Place, Redirect};

/// Redirections in a row that are followed at once. More are nodes that disagree about a slot.
const AT_ONCE: u32 = 3;

/// The pauses before it is tried again double, between these.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// One command's way through a cluster.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    redirections: u32,
    pauses: u32,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send it there, behind `ASKING` if so.
    Send {
        /// Where. Its host may be empty: see [`Place::host`].
        place: Place,
        /// Whether `ASKING` goes before it.
        asking: bool,
    },
    /// Pause that long, and send it to whoever serves the slot by then; the map is due to be asked for anew if so.
    Again {
        /// How long.
        pause: Duration,
        /// Whether the map is in doubt.
        refresh: bool,
    },
    /// It is over: tell the caller.
    GiveUp,
}

impl Attempt {
    /// A command that was not sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do about a redirection, with so much time left for the command.
    pub fn next(&mut self, redirect: &Redirect, left: Duration) -> Step {
        if left.is_zero() {
            return Step::GiveUp;
        }
        match redirect {
            Redirect::Moved { place, .. } | Redirect::Ask { place, .. } if self.follows() => {
                Step::Send {
                    place: place.clone(),
                    asking: matches!(redirect, Redirect::Ask { .. }),
                }
            }
            Redirect::Moved { .. } | Redirect::Ask { .. } | Redirect::Down => {
                self.pause(left, true)
            }
            Redirect::TryAgain => self.pause(left, false),
        }
    }

    fn follows(&mut self) -> bool {
        self.redirections += 1;
        self.redirections <= AT_ONCE
    }

    fn pause(&mut self, left: Duration, refresh: bool) -> Step {
        let factor = 1_u32 << self.pauses.min(16);
        let pause = FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE);
        if pause >= left {
            // Nothing that is sent after it could be waited for.
            return Step::GiveUp;
        }
        self.pauses += 1;
        self.redirections = 0;
        Step::Again { pause, refresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn place() -> Place {
        Place::new("h", 1).unwrap()
    }

    fn moved() -> Redirect {
        Redirect::Moved {
            slot: 1,
            place: place(),
        }
    }

    fn again(millis: u64, refresh: bool) -> Step {
        Step::Again {
            pause: Duration::from_millis(millis),
            refresh,
        }
    }

    #[test]
    fn redirections_are_followed_at_once_until_nodes_disagree() {
        let mut attempt = Attempt::new();
        let send = |asking| Step::Send {
            place: place(),
            asking,
        };
        let ask = Redirect::Ask {
            slot: 1,
            place: place(),
        };
        assert_eq!(attempt.next(&moved(), SECOND), send(false));
        assert_eq!(attempt.next(&ask, SECOND), send(true));
        assert_eq!(attempt.next(&moved(), SECOND), send(false));
        assert_eq!(attempt.next(&ask, SECOND), again(5, true));
        assert_eq!(attempt.next(&moved(), SECOND), send(false));
    }

    #[test]
    fn pauses_double_and_have_a_bound() {
        let mut attempt = Attempt::new();
        for millis in [5, 10, 20, 40, 80, 100, 100] {
            assert_eq!(
                attempt.next(&Redirect::TryAgain, SECOND),
                again(millis, false)
            );
        }
        assert_eq!(attempt.next(&Redirect::Down, SECOND), again(100, true));
    }

    #[test]
    fn it_gives_up_when_nothing_can_come_of_it() {
        let mut attempt = Attempt::new();
        assert_eq!(attempt.next(&moved(), Duration::ZERO), Step::GiveUp);
        let five = Duration::from_millis(5);
        assert_eq!(attempt.next(&Redirect::TryAgain, five), Step::GiveUp);
        assert_eq!(attempt.next(&Redirect::TryAgain, five * 2), again(5, false));
        assert_eq!(attempt.next(&Redirect::TryAgain, five * 2), Step::GiveUp);
    }

    fn any_redirect() -> impl proptest::strategy::Strategy<Value = Redirect> {
        proptest::sample::select(vec![
            moved(),
            Redirect::Ask {
                slot: 1,
                place: place(),
            },
            Redirect::TryAgain,
            Redirect::Down,
        ])
    }

    proptest::proptest! {
        /// Whatever nodes answer, a command with a bound has an end, and is sent a bounded number of times by then.
        #[test]
        fn every_attempt_ends(answers in proptest::collection::vec(any_redirect(), 2000)) {
            let (mut attempt, mut left, mut sent) = (Attempt::new(), SECOND, 0);
            for answer in &answers {
                match attempt.next(answer, left) {
                    Step::Send { .. } => sent += 1,
                    Step::Again { pause, .. } => {
                        sent += 1;
                        assert!(pause < left);
                        left -= pause;
                    }
                    Step::GiveUp => break,
                }
            }
            // Five pauses that double, ten of 100 ms, and three redirections at once between them.
            assert!(sent < 80, "{sent}");
        }
    }
}
