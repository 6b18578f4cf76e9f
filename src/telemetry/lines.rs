//! The lines of the log on their way to standard error.
//!
//! A pipe whose reader has stopped reading blocks its writer. So the threads of the node put their
//! lines into a queue, and one thread writes them. While that thread is blocked, lines over the
//! limit are dropped and counted. The count is logged when the reader reads again.
//!
//! Invariant: no thread of the node waits for standard error.

use crate::env::Env;
use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The most bytes of lines that wait to be written.
pub(super) const WAITING_BYTES_MAX: usize = 1 << 20;
/// The room for lines that is kept when they are written.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// How long the end of the process waits for its last lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// A queue of lines.
#[derive(Debug)]
pub struct LogLines {
    waiting: Mutex<Waiting>,
    bytes_max: usize,
    added: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    is_writing: bool,
}

impl Waiting {
    fn has_news(&self) -> bool {
        !self.bytes.is_empty() || self.dropped > 0
    }
}

impl LogLines {
    /// Starts the thread that writes to `out`. It calls `on_dropped` with the number of lines that
    /// were dropped. Errors: the system has no more threads.
    pub(super) fn start(
        mut out: impl Write + Send + 'static,
        bytes_max: usize,
        on_dropped: impl Fn(&Self, u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (waiting, added, written) = Default::default();
        let this = Arc::new(Self { waiting, bytes_max, added, written });
        let lines = this.clone();
        Env::default().thread("log", move || {
            let mut bytes = Vec::new();
            loop {
                let dropped = lines.take(&mut bytes);
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    // One write for each line, so that lines of two processes do not mix. A line
                    // that cannot be written is lost.
                    let _ = out.write_all(line);
                }
                if dropped > 0 {
                    on_dropped(&lines, dropped);
                }
                lines.done();
            }
        })?;
        Ok(this)
    }

    /// Adds a line, with its end. Never waits for the writing.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes.len() + line.len() > self.bytes_max {
            waiting.dropped += 1;
        } else {
            waiting.bytes.extend_from_slice(line);
        }
        self.added.notify_one();
    }

    /// Waits until there are lines or a count, takes the lines, and returns the count.
    fn take(&self, bytes: &mut Vec<u8>) -> u64 {
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES_MAX);
        let mut waiting = self.waiting.lock();
        self.added.wait_while(&mut waiting, |waiting| !waiting.has_news());
        std::mem::swap(&mut waiting.bytes, bytes);
        waiting.is_writing = true;
        std::mem::take(&mut waiting.dropped)
    }

    fn done(&self) {
        self.waiting.lock().is_writing = false;
        self.written.notify_all();
    }

    /// Waits until every line is written, or for a second.
    pub fn flush(&self) {
        let mut waiting = self.waiting.lock();
        let is_busy = |waiting: &mut Waiting| waiting.has_news() || waiting.is_writing;
        self.written.wait_while_for(&mut waiting, is_busy, FLUSH_MAX);
    }
}

/// Puts what is written to it into a queue. The log writes one whole line at a time.
pub(super) struct LineWriter(pub(super) Arc<LogLines>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A pipe whose reader takes a line when the test says so.
    struct Pipe {
        begun: Sender<()>,
        go: Receiver<()>,
        text: Arc<Mutex<String>>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.begun.send(()).map_err(io::Error::other)?;
            self.go.recv().map_err(io::Error::other)?;
            self.text.lock().push_str(&String::from_utf8_lossy(line));
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_over_the_limit_are_counted_while_nobody_reads() {
        let (begun, has_begun) = channel();
        let (reads, go) = channel();
        let text: Arc<Mutex<String>> = Arc::default();
        let pipe = Pipe { begun, go, text: text.clone() };
        let notice = |lines: &LogLines, count| lines.push(format!("{count} dropped\n").as_bytes());
        let lines = LogLines::start(pipe, 40, notice).unwrap();
        lines.push(b"first\n");
        has_begun.recv().unwrap();
        // The reader does not read. The queue takes 40 bytes: four of these lines.
        for number in 0..10 {
            lines.push(format!("number {number:02}\n").as_bytes());
        }
        assert!(text.lock().is_empty());
        // One line, four, and the notice.
        (0..6).for_each(|_| reads.send(()).unwrap());
        lines.flush();
        assert_eq!(*text.lock(), "first\nnumber 00\nnumber 01\nnumber 02\nnumber 03\n6 dropped\n");
        reads.send(()).unwrap();
        lines.push(b"again\n");
        lines.flush();
        assert!(text.lock().ends_with("again\n"));
    }
}
