//! The log writer: a thread behind a bounded queue, so that no request waits for the reader of the log or fails with it.
//! tracing-appender has such a thread, too, but wakes it for each line, drops lines that it cannot write without reporting them,
//! and cannot write errors sooner than other lines.

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

/// Bytes of lines that may wait.
const QUEUE: usize = 1 << 20;
/// Bytes beyond that for warnings and errors alone.
const RESERVE: usize = 256 << 10;
/// Lines are collected for this long after a write, so that a busy server writes many at a time...
const GATHER: Duration = Duration::from_millis(100);
/// ...unless this many bytes are waiting, or a warning or an error.
const ENOUGH: usize = 64 << 10;
/// Bytes of one write. A pipe takes this many atomically (POSIX `PIPE_BUF`, on Linux), so that processes can share it.
const WRITE: usize = 4096;
/// Pause between attempts when another process has set the pipe to non-blocking.
const PAUSE: Duration = Duration::from_millis(10);
/// At shutdown: longest wait for one write, and for all of them.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_END: Duration = Duration::from_secs(10);

/// The log. Dropping it writes the lines that are waiting and ends logging.
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
    /// Whether one of them is a warning or an error.
    urgent: bool,
    /// Lines that found no room or could not be written, and have not been reported yet.
    lost: usize,
    /// Writes so far.
    writes: usize,
    closing: bool,
    closed: bool,
}

impl Log {
    pub(super) fn start(file: File) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = shared.clone();
        thread::Builder::new().name("log-writer".into()).spawn(move || writer.write_all_lines(file))?;
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
            return;
        }
        queue.lines.extend_from_slice(line);
        let enough = before < ENOUGH && queue.lines.len() >= ENOUGH;
        // Other lines wait until the writer looks by itself.
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
            // A burst must not keep its memory.
            lines.clear();
            lines.shrink_to(ENOUGH);

            let mut queue = self.lock();
            queue.lost += lost;
            // Only if there is room for the report itself.
            let reports = lost == 0 && queue.lines.len() < QUEUE;
            let lost = if reports { mem::take(&mut queue.lost) } else { 0 };
            if lost > 0 {
                drop(queue);
                tracing::warn!(lost, "lines of the log were lost");
                queue = self.lock();
            }
            let few = |queue: &mut Queue| !queue.urgent && !queue.closing && queue.lines.len() < ENOUGH;
            drop(self.changed.wait_timeout_while(queue, GATHER, few));
        }
    }

    /// Writes as many whole lines at a time as a pipe takes atomically; returns how many lines were lost. `cut` is whether the
    /// last line was written only in part.
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
            self.lock().writes += 1;
            self.changed.notify_all();
        }
        lines.split_inclusive(|byte| *byte == b'\n').count()
    }
}

/// The length of the leading lines that fit into one write, or of the first line if that alone is longer.
fn whole_lines(lines: &[u8]) -> usize {
    let newline = |byte: &u8| *byte == b'\n';
    let fitting = lines.get(..WRITE).map_or(Some(lines.len()), |part| part.iter().rposition(newline).map(|at| at + 1));
    fitting.or_else(|| lines.iter().position(newline).map(|at| at + 1)).unwrap_or(lines.len())
}

/// Writes all of it, or returns how much was written before an error.
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

/// Takes one line, by one `write`.
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
