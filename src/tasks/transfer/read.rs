//! Reads the lines of an export, in chunks.

use std::io::{self, BufRead, Read as _};

use tokio::sync::mpsc::Sender;

use super::{
    Counts, TransferError,
    line::{Read, is_json},
};
use crate::tasks::{entity as task, idempotency as key, owner as user};

/// Bytes of the longest line. The longest task, in escapes, is shorter.
const LONGEST: u64 = 256 * 1024;
/// Rows of a chunk: one transaction.
const CHUNK: usize = 2000;

/// A part of the input.
#[derive(Debug)]
pub(super) enum Found {
    /// The numbers of rows to expect.
    Total(Counts),
    /// The next rows.
    Chunk(Chunk),
}

/// Rows, each with the number of its line.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) users: Vec<(u64, user::Model)>,
    pub(super) tasks: Vec<(u64, task::Model)>,
    pub(super) keys: Vec<(u64, key::Model)>,
}

impl Chunk {
    const fn len(&self) -> usize {
        self.users.len() + self.tasks.len() + self.keys.len()
    }

    /// The first and the last line.
    pub(super) fn lines(&self) -> (u64, u64) {
        let users = self.users.iter().map(|(line, _)| *line);
        let tasks = self.tasks.iter().map(|(line, _)| *line);
        let lines = users.chain(tasks).chain(self.keys.iter().map(|(line, _)| *line));
        lines.fold((u64::MAX, 0), |(first, last), line| (first.min(line), last.max(line)))
    }
}

/// Sends all rows of the input, or those before the first line that is wrong.
pub(super) fn read(input: impl BufRead, chunks: &Sender<Found>) -> Result<(), TransferError> {
    let mut reader = Reader { chunk: Chunk::default(), counts: Counts::default(), state: State::Begin, chunks };
    let outcome = reader.read(input);
    reader.send_chunk();
    outcome
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Rows,
    End,
}

struct Reader<'a> {
    chunk: Chunk,
    counts: Counts,
    state: State,
    chunks: &'a Sender<Found>,
}

impl Reader<'_> {
    fn read(&mut self, mut input: impl BufRead) -> Result<(), TransferError> {
        let (mut bytes, mut number) = (Vec::new(), 0);
        loop {
            bytes.clear();
            next_line(&mut input, &mut bytes).map_err(TransferError::Read)?;
            number += 1;
            let wrong = |problem: &dyn std::fmt::Display| TransferError::Input(format!("line {number}: {problem}"));
            let early = || {
                let again = "run the import again with the whole export; it skips the rows that are there";
                TransferError::Input(format!("the input ends early, in line {number}: {again}"))
            };
            let whole = bytes.ends_with(b"\n");
            if !whole && bytes.len() as u64 > LONGEST {
                return Err(wrong(&format_args!("is longer than {LONGEST} bytes")));
            }
            let Ok(line) = std::str::from_utf8(&bytes) else {
                return Err(if whole { wrong(&"is not UTF-8") } else { early() });
            };
            if line.trim_ascii().is_empty() {
                if whole {
                    continue;
                }
                // The end of the input.
                return if self.state == State::End { Ok(()) } else { Err(early()) };
            }
            if !whole && !is_json(line) {
                return Err(early());
            }
            let read = Read::parse(line).map_err(|flaw| wrong(&flaw))?;
            self.take(number, read).map_err(|problem| wrong(&problem))?;
            if self.chunk.len() == CHUNK && !self.send_chunk() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, number: u64, read: Read) -> Result<(), String> {
        match (self.state, read) {
            (State::Begin, Read::Export(header)) => {
                self.state = State::Rows;
                drop(self.chunks.blocking_send(Found::Total(header.counts())));
            }
            (State::Begin, _) => return Err("is not the first line of an export, which has the member export".into()),
            (State::Rows, Read::User(row)) => {
                self.counts.users += 1;
                self.chunk.users.push((number, row));
            }
            (State::Rows, Read::Task(row)) => {
                self.counts.tasks += 1;
                self.chunk.tasks.push((number, row));
            }
            (State::Rows, Read::Key(row)) => {
                self.counts.keys += 1;
                self.chunk.keys.push((number, row));
            }
            (State::Rows, Read::End(counts)) if counts == self.counts => self.state = State::End,
            (State::Rows, Read::End(counts)) => {
                return Err(format!("the export has {counts}, but the lines before have {}", self.counts));
            }
            (State::Rows, Read::Export(_)) => return Err("is the first line of another export".into()),
            (State::End, _) => return Err("is behind the end of the export".into()),
        }
        Ok(())
    }

    /// Returns false if nobody stores it.
    fn send_chunk(&mut self) -> bool {
        let chunk = std::mem::take(&mut self.chunk);
        chunk.len() == 0 || self.chunks.blocking_send(Found::Chunk(chunk)).is_ok()
    }
}

/// Reads a line with its end, or what is left of the input, or the beginning of a line that is too long.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    input.by_ref().take(LONGEST + 1).read_until(b'\n', line).map(drop)
}
