//! Points in time as the API writes them: RFC 3339 in UTC, to the microsecond.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use chrono::{DateTime, Datelike, SubsecRound, Timelike, Utc};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A point in time from the year 0000 to 9999, in whole microseconds, the precision of both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z, in microseconds since 1970.
const RANGE: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;
/// From 0001-01-01T00:00:00Z: clients in several languages cannot read the year 0, which databases may still have.
const ACCEPTED: RangeInclusive<i64> = -62_135_596_800_000_000..=*RANGE.end();

/// A text that is not an accepted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidTimestamp {
    /// Not a `date-time` of RFC 3339.
    Malformed,
    /// Before the year 1 or after 9999, in UTC.
    OutOfRange,
}

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "must be a date and time with an offset (RFC 3339), such as 2026-12-31T17:00:00Z",
            Self::OutOfRange => "must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z, in UTC",
        })
    }
}

impl Timestamp {
    /// The time by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now().trunc_subsecs(6))
    }

    /// Microseconds since 1970-01-01T00:00:00Z; `None` out of range.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).filter(|_| RANGE.contains(&micros)).map(Self)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Reads a `date-time` of RFC 3339, section 5.6. What is finer than a microsecond is cut off; a leap second is the
    /// second after it.
    ///
    /// # Errors
    ///
    /// [`InvalidTimestamp`]
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        // chrono also takes a space in the place of the T, and U+2212 in that of a minus.
        let (Some(b'T' | b't'), true) = (text.as_bytes().get(10), text.is_ascii()) else {
            return Err(InvalidTimestamp::Malformed);
        };
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp::Malformed)?;
        let micros = Some(time.timestamp_micros()).filter(|micros| ACCEPTED.contains(micros));
        micros.and_then(Self::from_micros).ok_or(InvalidTimestamp::OutOfRange)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

/// Written digit by digit, because `fmt` is slow, and every task of a list has three of them.
struct Text {
    bytes: [u8; 27],
    length: usize,
}

impl Text {
    fn of(Timestamp(time): Timestamp) -> Self {
        fn put(places: &mut [u8], mut number: u32) {
            for place in places.iter_mut().rev() {
                *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        }
        let mut bytes = *b"0000-00-00T00:00:00.000000Z";
        let time = time.naive_utc();
        let (date, micros) = (time.date(), time.nanosecond() / 1000);
        put(&mut bytes[..4], date.year().unsigned_abs());
        put(&mut bytes[5..7], date.month());
        put(&mut bytes[8..10], date.day());
        put(&mut bytes[11..13], time.hour());
        put(&mut bytes[14..16], time.minute());
        put(&mut bytes[17..19], time.second());
        put(&mut bytes[20..26], micros);
        if micros > 0 {
            return Self { bytes, length: bytes.len() };
        }
        bytes[19] = b'Z';
        Self { bytes, length: 20 }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Text::of(*self).as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The document has judged what comes from clients. What is stored may be of the year 0.
        let text = Cow::<str>::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        let time = Self::from_micros(time.timestamp_micros());
        time.ok_or_else(|| serde::de::Error::custom(InvalidTimestamp::OutOfRange))
    }
}

impl Type for Timestamp {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string(date-time)".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let text = value.as_ref().and_then(Value::as_str);
        text.and_then(|text| Self::parse(text).ok()).ok_or_else(ParseError::expected_input)
    }
}

impl ParseFromParameter for Timestamp {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        Self::parse(text).map_err(ParseError::custom)
    }
}

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(self.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_time_is_written_in_utc_to_the_microsecond() {
        for (read, written) in [
            ("2026-12-01T10:00:00+01:00", "2026-12-01T09:00:00Z"),
            ("2026-12-01t09:00:00.5z", "2026-12-01T09:00:00.500000Z"),
            ("2026-12-01T09:00:00.123456789Z", "2026-12-01T09:00:00.123456Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(read).unwrap().to_string(), written);
        }
        for (text, micros) in
            [("0001-01-01T00:00:00Z", *ACCEPTED.start()), ("9999-12-31T23:59:59.9999999Z", *ACCEPTED.end())]
        {
            assert_eq!(Timestamp::parse(text).ok(), Timestamp::from_micros(micros), "{text}");
        }
    }

    #[test]
    fn a_text_without_date_time_and_offset_is_rejected() {
        for text in [
            "",
            "tomorrow",
            "2026-12-01",
            "2026-12-01T09:00:00",
            "2026-12-01 09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-02-30T09:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T09:00:00\u{2212}01:00",
            "+10000-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp::Malformed), "{text}");
        }
        for text in ["0000-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp::OutOfRange), "{text}");
        }
    }
}
