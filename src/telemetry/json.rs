//! Log lines as JSON, for programs.

use std::fmt::{self, Write};

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

/// One flat object per line, written directly into the buffer of the line.
pub(super) struct Json;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Json {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        write!(writer, r#"{{"timestamp":"{}""#, Timestamp::now())?;
        let mut members = Members { writer: &mut writer, result: Ok(()) };
        members.text("level", level.as_str());
        event.record(&mut members);
        members.text("target", target);
        members.result?;
        writer.write_str("}\n")
    }
}

/// Fields as the members of an object.
struct Members<'a, 'b> {
    writer: &'a mut Writer<'b>,
    result: fmt::Result,
}

impl Members<'_, '_> {
    /// A value that is already JSON.
    fn plain(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.result = self.result.and_then(|()| {
            self.name(name)?;
            self.writer.write_fmt(value)
        });
    }

    /// The beginning of a member. In parts: `write!` takes several times as long, and a line has ten members.
    fn name(&mut self, name: &str) -> fmt::Result {
        self.writer.write_str(",\"")?;
        self.writer.write_str(name)?;
        self.writer.write_str("\":")
    }

    fn text(&mut self, name: &str, value: &str) {
        self.quoted(name, |quoted| quoted.write_str(value));
    }

    fn quoted(&mut self, name: &str, write: impl FnOnce(&mut Quoted<'_, '_>) -> fmt::Result) {
        self.result = self.result.and_then(|()| {
            self.name(name)?;
            self.writer.write_char('"')?;
            write(&mut Quoted(self.writer))?;
            self.writer.write_char('"')
        });
    }
}

impl Visit for Members<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.quoted(field.name(), |quoted| write!(quoted, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field.name(), format_args!("{value:.3}"));
        } else {
            self.text(field.name(), &value.to_string());
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
struct Quoted<'a, 'b>(&'a mut Writer<'b>);

impl Write for Quoted<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        while let Some(at) = rest.bytes().position(is_special) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = special.chars();
            match characters.next() {
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}
