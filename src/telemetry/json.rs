//! Log lines as JSON, for programs.

use std::fmt::{self, Write};

use serde_json::Number;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};

use crate::timestamp::Timestamp;

/// One flat object per line.
pub(super) struct Json;

/// Bytes of most lines.
const LINE: usize = 384;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Json {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut members = Members { line: String::with_capacity(LINE), result: Ok(()) };
        members.line.push('{');
        members.quoted("timestamp", |quoted| write!(quoted, "{}", Timestamp::now()));
        members.text("level", event.metadata().level().as_str());
        event.record(&mut members);
        members.text("target", event.metadata().target());
        members.line.push_str("}\n");
        members.result?;
        // In one part: each is a virtual call.
        writer.write_str(&members.line)
    }
}

/// Fields as the members of an object.
struct Members {
    line: String,
    result: fmt::Result,
}

impl Members {
    /// A value that is already JSON.
    fn plain(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.name(name);
        self.result = self.result.and(self.line.write_fmt(value));
    }

    fn name(&mut self, name: &str) {
        if self.line.len() > 1 {
            self.line.push(',');
        }
        self.line.push('"');
        self.line.push_str(name);
        self.line.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.quoted(name, |quoted| quoted.write_str(value));
    }

    fn quoted(&mut self, name: &str, write: impl FnOnce(&mut Quoted<'_>) -> fmt::Result) {
        self.name(name);
        self.line.push('"');
        self.result = self.result.and(write(&mut Quoted(&mut self.line)));
        self.line.push('"');
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.quoted(field.name(), |quoted| write!(quoted, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // Not `{value:.3}`, which takes ten times as long.
        match Number::from_f64((value * 1e3).round() / 1e3) {
            Some(number) => self.plain(field.name(), format_args!("{number}")),
            None => self.text(field.name(), &value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), format_args!("{value}"));
    }
}

/// The inside of a JSON string (RFC 8259, section 7).
struct Quoted<'a>(&'a mut String);

impl Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        // Without an early end, so that it compares many bytes at once.
        if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                '\n' => self.0.push_str("\\n"),
                ..' ' => write!(self.0, "\\u{:04x}", u32::from(character))?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}
