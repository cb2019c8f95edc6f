//! Conversions between values of SeaORM and of SQLite.

use chrono::{DateTime, Utc};
use rusqlite::{
    ToSql,
    types::{FromSql, ToSqlOutput, Value as Stored, ValueRef},
};
use sea_orm::{ColumnType, Value};
use uuid::Uuid;

use super::super::DbError;

/// A value of SeaORM as SQLite stores it: a UUID as its 16 bytes, a time as microseconds since 1970.
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let owned = |value: Option<Stored>| Ok(ToSqlOutput::Owned(value.unwrap_or(Stored::Null)));
        match self.0 {
            Value::Bool(value) => value.to_sql(),
            Value::Int(value) => value.to_sql(),
            Value::BigInt(value) => value.to_sql(),
            Value::BigUnsigned(value) => value.map(i64::try_from).transpose().map_or_else(
                |error| Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
                |value| owned(value.map(Stored::Integer)),
            ),
            Value::String(value) => Ok(value.as_deref().map_or(ToSqlOutput::Owned(Stored::Null), ToSqlOutput::from)),
            Value::Uuid(value) => owned(value.map(|id| Stored::Blob(id.into_bytes().into()))),
            Value::ChronoDateTimeUtc(value) => owned(value.map(|time| Stored::Integer(time.timestamp_micros()))),
            other => {
                Err(rusqlite::Error::ToSqlConversionFailure(format!("no SQLite type is set for {other:?}").into()))
            }
        }
    }
}

/// The value of a column, by the entity's column type: SQLite has no UUIDs, times or booleans.
pub(super) fn value(stored: ValueRef<'_>, kind: &ColumnType) -> Result<Value, DbError> {
    fn read<T: FromSql>(stored: ValueRef<'_>) -> Result<Option<T>, DbError> {
        Option::column_result(stored).map_err(|error| DbError::Internal(format!("a column has another type: {error}")))
    }
    Ok(match kind {
        ColumnType::Boolean => Value::Bool(read(stored)?),
        ColumnType::Integer => Value::Int(read(stored)?),
        ColumnType::BigInteger => Value::BigInt(read(stored)?),
        ColumnType::String(_) | ColumnType::Text => Value::String(read(stored)?),
        ColumnType::Uuid => Value::Uuid(read::<[u8; 16]>(stored)?.map(Uuid::from_bytes)),
        ColumnType::TimestampWithTimeZone => Value::ChronoDateTimeUtc(read(stored)?.map(time).transpose()?),
        other => return Err(DbError::Internal(format!("no SQLite type is set for {other:?}"))),
    })
}

fn time(micros: i64) -> Result<DateTime<Utc>, DbError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| DbError::Internal("a time is out of range".into()))
}
