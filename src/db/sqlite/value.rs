//! Values of SeaORM as parameters of SQLite, and the values of its columns.

use chrono::{DateTime, Utc};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value as Owned, ValueRef},
};
use sea_orm::Value;
use uuid::Uuid;

/// A value of SeaORM as SQLite stores it: a UUID as its 16 bytes, a time as microseconds since 1970.
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let owned = |value: Option<Owned>| Ok(ToSqlOutput::Owned(value.unwrap_or(Owned::Null)));
        match self.0 {
            Value::Bool(value) => value.to_sql(),
            Value::Int(value) => value.to_sql(),
            Value::BigInt(value) => value.to_sql(),
            Value::BigUnsigned(value) => value.map(i64::try_from).transpose().map_or_else(
                |error| Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
                |value| owned(value.map(Owned::Integer)),
            ),
            Value::String(value) => Ok(value.as_deref().map_or(ToSqlOutput::Owned(Owned::Null), ToSqlOutput::from)),
            Value::Uuid(value) => Ok(value
                .as_ref()
                .map_or(ToSqlOutput::Owned(Owned::Null), |id| ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())))),
            Value::ChronoDateTimeUtc(value) => owned(value.map(|time| Owned::Integer(time.timestamp_micros()))),
            other => {
                Err(rusqlite::Error::ToSqlConversionFailure(format!("no SQLite type is set for {other:?}").into()))
            }
        }
    }
}

/// A value as SQLite stores it, which has no UUIDs and times: see [`Parameter`].
pub trait Stored: Sized {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// If it has another type, or a time is out of range.
    fn read(stored: ValueRef<'_>) -> FromSqlResult<Self>;
}

macro_rules! stored_alike {
    ($($kind:ty),+) => {
        $(impl Stored for $kind {
            fn read(stored: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::column_result(stored)
            }
        })+
    };
}
stored_alike!(bool, i32, i64, String);

impl Stored for Uuid {
    fn read(stored: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(stored).map(Self::from_bytes)
    }
}

impl Stored for DateTime<Utc> {
    fn read(stored: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = i64::column_result(stored)?;
        Self::from_timestamp_micros(micros).ok_or_else(|| FromSqlError::Other("a time is out of range".into()))
    }
}

impl<T: Stored> Stored for Option<T> {
    fn read(stored: ValueRef<'_>) -> FromSqlResult<Self> {
        if stored == ValueRef::Null { Ok(None) } else { T::read(stored).map(Some) }
    }
}
