//! Task ids: UUIDv7 (RFC 9562, section 5.7) that sort by creation, to the microsecond.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};
use uuid::{Builder, Uuid};

/// A new id. The 12 bits after the version are the fraction of the millisecond (RFC 9562, section 6.2, method 3). So
/// ids have the order of `created_at`, and one index serves both.
pub(super) fn new_id(created_at: DateTime<Utc>) -> Uuid {
    let micros = created_at.timestamp_micros().unsigned_abs();
    let fraction = u16::try_from(micros % 1000 * 4096 / 1000).unwrap_or_default();
    let [f0, f1] = fraction.to_be_bytes();
    let [_, _, _, _, _, _, _, _, r2, r3, r4, r5, r6, r7, r8, r9] = Uuid::new_v4().into_bytes();
    Builder::from_unix_timestamp_millis(micros / 1000, &[f0, f1, r2, r3, r4, r5, r6, r7, r8, r9]).into_uuid()
}

/// The id in a path. Only the form that the server writes: lower-case with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId(pub(super) Uuid);

impl Type for TaskId {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string(uuid)".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let example = Some("019aa5d0-5c3f-7d42-8e8b-2f6f0d9a71c4".into());
        MetaSchemaRef::Inline(Box::new(MetaSchema { example, ..MetaSchema::new_with_format("string", "uuid") }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for TaskId {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let canonical = |id: &Uuid| *id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *value;
        Uuid::try_parse(value)
            .ok()
            .filter(canonical)
            .map(Self)
            .ok_or_else(|| ParseError::custom("not a canonical UUID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_creation_to_the_microsecond() {
        let micros = |n: i64| DateTime::from_timestamp_micros(1_790_000_000_000_000 + n).unwrap();
        let ids: Vec<_> = (0..3000).map(|n| new_id(micros(n))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn an_id_in_another_form_is_none() {
        let id = "0193d5a0-1111-7abc-8def-0123456789ab";
        assert!(TaskId::parse_from_parameter(id).is_ok());
        for other in
            [&id.to_uppercase(), &id.replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}"), "1", ""]
        {
            assert!(TaskId::parse_from_parameter(other).is_err(), "{other}");
        }
    }
}
