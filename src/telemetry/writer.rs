//! The log writer: a thread with a bounded queue, so that no request waits for the reader of the log or fails with it.
//! tracing-appender has such a thread, too. But it wakes the thread for each line, does not report lines that it cannot
//! write, and cannot write errors before other lines.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::metrics;

/// Bytes of lines that may wait.
const QUEUE: usize = 1 << 20;
/// Additional bytes, only for warnings and errors.
const RESERVE: usize = 256 << 10;
/// After a write, the thread collects lines for this long, so that a busy server writes many at a time...
const GATHER: Duration = Duration::from_millis(100);
/// ...unless this many bytes are waiting, or a warning or an error.
const ENOUGH: usize = 64 << 10;
/// Bytes of one write. Writes of this size to a pipe are atomic (`PIPE_BUF` on Linux), so processes can share it.
const WRITE: usize = 4096;
/// Pause between attempts if another process has set the pipe to non-blocking.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest wait for one write and for all writes at the shutdown.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_END: Duration = Duration::from_secs(10);

/// The log. Dropping it writes the waiting lines and ends logging.
#[derive(Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    /// Whether the lines contain a warning or an error.
    urgent: bool,
    /// Number of lines that had no room or could not be written, and that the log has not reported yet.
    lost: usize,
    /// Number of writes so far.
    writes: usize,
    closing: bool,
    closed: bool,
}

impl Log {
    pub(super) fn start(file: File) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = shared.clone();
        thread::Builder::new().name("log-writer".into()).spawn(move || writer.write_all_lines(file))?;
        if let Some(metrics) = metrics() {
            let shared = shared.clone();
            metrics.at_scrape(move |metrics| metrics.log_queue(shared.lock().lines.len()));
        }
        Ok(Self(shared))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let ended = Instant::now();
        let mut queue = self.0.lock();
        queue.closing = true;
        self.0.changed.notify_all();
        // A stalled reader must not keep the process running.
        while !queue.closed && ended.elapsed() < LONGEST_END {
            let writes = queue.writes;
            let going = |queue: &mut Queue| !queue.closed && queue.writes == writes;
            let (now, stalled) =
                self.0.changed.wait_timeout_while(queue, PATIENCE, going).unwrap_or_else(PoisonError::into_inner);
            if stalled.timed_out() {
                return;
            }
            queue = now;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], urgent: bool) {
        let mut queue = self.lock();
        let room = if urgent { QUEUE + RESERVE } else { QUEUE };
        let before = queue.lines.len();
        if before + line.len() > room {
            queue.lost += 1;
            count_lost(1);
            return;
        }
        queue.lines.extend_from_slice(line);
        let enough = before < ENOUGH && queue.lines.len() >= ENOUGH;
        // For other lines, the writer wakes by itself after `GATHER`.
        let wake = before == 0 || enough || (urgent && !queue.urgent);
        queue.urgent |= urgent;
        drop(queue);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Writes the lines in the queue until the log is closed.
    fn write_all_lines(&self, mut file: File) {
        let mut lines = Vec::new();
        let mut cut = false;
        loop {
            let empty = |queue: &mut Queue| queue.lines.is_empty() && !queue.closing;
            let mut queue = self.changed.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
            if queue.lines.is_empty() {
                queue.closed = true;
                self.changed.notify_all();
                return;
            }
            mem::swap(&mut lines, &mut queue.lines);
            queue.urgent = false;
            drop(queue);

            let lost = self.write(&mut file, &lines, &mut cut);
            // Frees the memory of a burst.
            lines.clear();
            lines.shrink_to(ENOUGH);

            let mut queue = self.lock();
            queue.lost += lost;
            count_lost(lost);
            // Reports lost lines only if the last write worked and the report itself has room.
            let reports = lost == 0 && queue.lines.len() < QUEUE;
            let lost = if reports { mem::take(&mut queue.lost) } else { 0 };
            if lost > 0 {
                drop(queue);
                tracing::warn!(lost, "log lines were lost");
                queue = self.lock();
            }
            let few = |queue: &mut Queue| !queue.urgent && !queue.closing && queue.lines.len() < ENOUGH;
            drop(self.changed.wait_timeout_while(queue, GATHER, few));
        }
    }

    /// Writes whole lines, as many at a time as are atomic on a pipe. Returns the number of lost lines. `cut` is true
    /// if the last line was written only in part.
    fn write(&self, file: &mut File, mut lines: &[u8], cut: &mut bool) -> usize {
        while !lines.is_empty() {
            if *cut && write_whole(file, b"\n").is_err() {
                break;
            }
            *cut = false;
            let (whole, rest) = lines.split_at(whole_lines(lines));
            if let Err(written) = write_whole(file, whole) {
                *cut = written > 0;
                lines = lines.get(written..).unwrap_or_default();
                break;
            }
            lines = rest;
            let mut queue = self.lock();
            queue.writes += 1;
            // Only the end waits for a write.
            if queue.closing {
                self.changed.notify_all();
            }
        }
        lines.split_inclusive(|byte| *byte == b'\n').count()
    }
}

fn count_lost(lines: usize) {
    if let Some(metrics) = metrics() {
        metrics.lost_lines(lines);
    }
}

/// The length of the first lines that fit into one write, or of the first line if it is longer.
fn whole_lines(lines: &[u8]) -> usize {
    let newline = |byte: &u8| *byte == b'\n';
    let fitting = lines.get(..WRITE).map_or(Some(lines.len()), |part| part.iter().rposition(newline).map(|at| at + 1));
    fitting.or_else(|| lines.iter().position(newline).map(|at| at + 1)).unwrap_or(lines.len())
}

/// Writes everything. On an error, returns the number of bytes written before it.
fn write_whole(file: &mut File, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

/// Makes a [`Line`] for each event.
#[derive(Debug)]
pub(super) struct Lines(Arc<Shared>);

impl Lines {
    pub(super) fn of(log: &Log) -> Self {
        Self(log.0.clone())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, urgent: *event.level() <= Level::WARN }
    }
}

/// Receives one line, by one `write`.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.push(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
