//! The knobs of an adapter's connections, their defaults and bounds.

use std::time::Duration;

use super::Fault;
use crate::ErrorKind;

/// The shortest duration an option may have: 1 ms. Nothing across a network is done sooner, and a pause or a
/// rhythm that is shorter keeps a CPU busy.
const MIN_OPTION: Duration = Duration::from_millis(1);

/// The longest duration an option may have: a day. Longer is surely a mistake.
const MAX_OPTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest `repeat_notice`: a 2019 client waits for a minute by default, and longer helps no waiter.
const MAX_REPEAT: Duration = Duration::from_secs(60);

/// What an adapter's builder has been told. Why each default is what it is, the builders say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long one attempt to connect may take. Default: 1 s. This and all others: at least 1 ms, at most a day.
    pub connect_timeout: Duration,
    /// How long a command may take. Default: 1 s.
    pub command_timeout: Duration,
    /// How often each connection is pinged. Default: 5 s.
    pub heartbeat: Duration,
    /// The least delay between attempts to reconnect. Default: 10 ms.
    pub reconnect_min_delay: Duration,
    /// The greatest delay between attempts to reconnect. Default: 2 s.
    pub reconnect_max_delay: Duration,
    /// The name in `CLIENT LIST`. Default: `memolock`.
    pub client_name: Option<String>,
    /// How long after a value was stored it is published once more. Default: never.
    pub repeat_notice: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(5),
            reconnect_min_delay: Duration::from_millis(10),
            reconnect_max_delay: Duration::from_secs(2),
            client_name: Some("memolock".to_owned()),
            repeat_notice: None,
        }
    }
}

impl Options {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], with the option's name.
    pub fn check(&self) -> Result<(), Fault> {
        let durations = [
            ("connect_timeout", self.connect_timeout),
            ("command_timeout", self.command_timeout),
            ("heartbeat", self.heartbeat),
            ("the minimum of reconnect_delay", self.reconnect_min_delay),
            ("the maximum of reconnect_delay", self.reconnect_max_delay),
        ];
        for (name, duration) in durations {
            if !(MIN_OPTION..=MAX_OPTION).contains(&duration) {
                let detail = format!("{name} is {duration:?}: at least 1 ms and at most a day");
                return Err(bad(detail));
            }
        }
        if self.reconnect_min_delay > self.reconnect_max_delay {
            return Err(bad("the minimum of reconnect_delay is above its maximum"));
        }
        let repeats = self.repeat_notice;
        if repeats.is_some_and(|after| after.is_zero() || after > MAX_REPEAT) {
            return Err(bad(
                "repeat_notice must be above zero and at most a minute; leave it out to repeat nothing",
            ));
        }
        match &self.client_name {
            Some(name) if name.is_empty() || name.bytes().any(|byte| !byte.is_ascii_graphic()) => {
                Err(bad("client_name must be printable ASCII without spaces"))
            }
            _ => Ok(()),
        }
    }
}

fn bad(detail: impl Into<String>) -> Fault {
    Fault::new(ErrorKind::Config, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        let fault = options.check().unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::Config);
        fault.detail().to_owned()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(Options::default().check(), Ok(()));
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let second = Duration::from_secs(1);
        let said = refused(|o| o.connect_timeout = Duration::ZERO);
        assert!(said.contains("connect_timeout"), "{said}");
        refused(|o| o.command_timeout = Duration::MAX);
        refused(|o| o.heartbeat = Duration::ZERO);
        refused(|o| o.heartbeat = Duration::from_nanos(1));
        refused(|o| {
            (o.reconnect_min_delay, o.reconnect_max_delay) = (second, second / 2);
        });
        for after in [Duration::ZERO, Duration::MAX, 61 * second] {
            let said = refused(|o| o.repeat_notice = Some(after));
            assert!(said.contains("repeat_notice"), "{said}");
        }
        for name in ["", "a b", "a\nb", "ü"] {
            refused(|o| o.client_name = Some(name.to_owned()));
        }
    }
}
