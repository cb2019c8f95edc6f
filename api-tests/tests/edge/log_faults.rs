//! A log that breaks, fills up or stalls must not affect requests or the process.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead, BufReader, PipeReader, Read, Write, pipe},
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use api_tests::{Metrics, SECRET, Server, binary};
use serde_json::Value;
use tempfile::TempDir;

const WARNING: &str = "log lines were lost";

/// A server with a standard error of the test.
struct Logging {
    child: Child,
    _folder: TempDir,
}

impl Logging {
    fn to(stderr: impl Into<Stdio>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = [
            ("BETTER_AUTH_SECRET", SECRET),
            ("PORT", "0"),
            ("METRICS_ADDRESS", "127.0.0.1:0"),
            ("LOG_FORMAT", "json"),
            ("SHUTDOWN_GRACE", "5s"),
        ];
        let mut command = Command::new(binary());
        command.arg("serve").current_dir(&folder).env_clear().envs(environment).stderr(stderr);
        Self { child: command.spawn().unwrap(), _folder: folder }
    }

    fn stop(&mut self) -> ExitStatus {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn json(line: io::Result<String>) -> Value {
    let line = line.unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
}

/// Reads the log until the server is ready. Returns the addresses of its metrics and of the API.
fn ready(log: &mut impl BufRead) -> [String; 2] {
    let mut addresses = Vec::new();
    for line in log.lines().map(json) {
        addresses.extend(line["address"].as_str().map(str::to_owned));
        if line["message"] == "ready" {
            return addresses.try_into().unwrap();
        }
    }
    panic!("the log ended")
}

/// Sends this many requests on one connection, and reads each answer.
fn requests(address: &str, count: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..count {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut body = 0;
        loop {
            let mut line = String::new();
            assert!(answers.read_line(&mut line).unwrap() > 0, "the connection ended");
            if let Some(length) = line.to_lowercase().strip_prefix("content-length: ") {
                body = length.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        answers.read_exact(&mut vec![0; body]).unwrap();
    }
}

/// The number of lines without reports of lost ones, and the number of lost lines.
fn count(log: impl BufRead) -> (usize, usize) {
    let (reports, lines): (Vec<_>, Vec<_>) = log.lines().map(json).partition(|line| line["message"] == WARNING);
    let lost: u64 = reports.iter().map(|line| line["lost"].as_u64().unwrap()).sum();
    (lines.len(), lost.try_into().unwrap())
}

/// Number of lines that a server writes when it stops.
const LAST: usize = 2;

/// A server that logs to a pipe, its log after `ready`, and its addresses.
fn piped() -> (Logging, BufReader<PipeReader>, [String; 2]) {
    let (reader, writer) = pipe().unwrap();
    let server = Logging::to(writer);
    let mut log = BufReader::new(reader);
    let addresses = ready(&mut log);
    (server, log, addresses)
}

/// Stops the server while its log is read to the end. Returns the numbers of [`count`].
fn stop_and_count(mut server: Logging, log: impl BufRead + Send + 'static) -> (usize, usize) {
    let counting = thread::spawn(|| count(log));
    assert_eq!(server.stop().code(), Some(0));
    counting.join().unwrap()
}

#[test]
fn a_log_without_a_reader_loses_only_lines() {
    let (mut server, log, [_, address]) = piped();
    requests(&address, 500);
    drop(log);
    requests(&address, 500);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_stalled_log_keeps_its_lines_until_it_continues() {
    let (server, log, [_, address]) = piped();
    requests(&address, 1000);
    assert_eq!(stop_and_count(server, log), (1000 + LAST, 0));
}

#[test]
fn a_stalled_log_counts_the_lines_that_it_loses() {
    let (server, log, [metrics, address]) = piped();
    requests(&address, 10_000);
    let metrics = Metrics::at(&metrics);
    let counted = metrics.count("todo_api_log_lost_lines_total", &[]);
    assert!(metrics.count("todo_api_log_queue_bytes", &[]) > 1 << 19, "{}", metrics.0);
    // The report follows the first line that can be written.
    let (logged, lost) = stop_and_count(server, log);
    assert!(lost > 0);
    // Those of the shutdown may be lost as well.
    let counted = usize::try_from(counted).unwrap();
    assert!((counted..=counted + LAST).contains(&lost), "{counted} {lost}");
    assert_eq!(logged + lost, 10_000 + LAST);
}

#[test]
fn a_log_that_stalls_forever_does_not_keep_the_process() {
    let (mut server, log, [_, address]) = piped();
    requests(&address, 1000);
    assert_eq!(server.stop().code(), Some(0));
    drop(log);
}

#[test]
fn a_log_that_another_process_set_to_non_blocking_loses_no_line() {
    let (reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let server = Logging::to(OwnedFd::from(writer));
    let mut log = BufReader::new(reader);
    requests(&ready(&mut log)[1], 1000);
    assert_eq!(stop_and_count(server, log), (1000 + LAST, 0));
}

#[test]
fn a_log_on_a_full_disk_reports_lost_lines_and_continues() {
    const KIB: usize = 64;
    let server = Server::logging_to_a_small_disk(KIB);
    let log = server.inner_folder().join("log/lines");
    let is_full = || fs::metadata(&log).unwrap().len() >= (KIB * 1024) as u64;
    let is_reported = || {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| line["message"] == WARNING)
    };
    // More lines than the disk, one write and the queue take together before the next write.
    requests(server.address(), 3000);
    // Lines that were queued may fill the disk again, and a report that comes last is cut off. Nothing is written to a full
    // disk, so nothing is missed between the look at it and the removal of its lines.
    let reported = (0..10_000).any(|_| {
        let full = is_full();
        if is_reported() {
            return true;
        }
        if full {
            OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        }
        requests(server.address(), 1);
        false
    });
    assert!(reported, "the lost lines are reported");
}
