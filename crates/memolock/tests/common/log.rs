//! What a test logs: the lines of its own thread, so that tests run beside each other.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of this thread. It is for the whole process: a logger of one thread alone may miss a line that another
/// thread came to first.
#[derive(Debug)]
pub struct Log(());

impl Log {
    /// From now on.
    pub fn begin() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(|| Thread)
                .init();
        });
        WRITTEN.with_borrow_mut(Vec::clear);
        Self(())
    }

    /// All lines, of any level.
    pub fn text(&self) -> String {
        WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap())
    }

    /// The warnings with this in them.
    pub fn warnings(&self, part: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(" WARN "));
        let lines = lines.filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

struct Thread;

impl io::Write for Thread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
