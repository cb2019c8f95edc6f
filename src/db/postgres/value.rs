//! Conversions between values of SeaORM and of PostgreSQL.

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnType, Value};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};
use uuid::Uuid;

use super::super::DbError;

/// A value as a parameter, with the type that PostgreSQL expects in that place.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

type Written = Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        match self.0 {
            Value::Bool(value) => value.to_sql(kind, out),
            Value::Int(value) => integer(value.map(i64::from), kind, out),
            Value::BigInt(value) => integer(*value, kind, out),
            Value::BigUnsigned(value) => integer(value.map(i64::try_from).transpose()?, kind, out),
            Value::String(value) => value.as_deref().to_sql(kind, out),
            Value::Uuid(value) => value.to_sql(kind, out),
            Value::ChronoDateTimeUtc(value) => value.to_sql(kind, out),
            other => Err(format!("no PostgreSQL type is set for {other:?}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An integer, in the width that PostgreSQL expects in that place.
fn integer(value: Option<i64>, kind: &Type, out: &mut BytesMut) -> Written {
    match *kind {
        Type::INT4 => value.map(i32::try_from).transpose()?.to_sql(kind, out),
        Type::INT8 => value.to_sql(kind, out),
        _ => Err(format!("an integer for a parameter of type {kind}").into()),
    }
}

/// The value of a column, by the entity's column type.
pub(super) fn value(row: &Row, index: usize, kind: &ColumnType) -> Result<Value, DbError> {
    fn read<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<Option<T>, DbError> {
        row.try_get(index).map_err(|error| DbError::Internal(format!("a column has another type: {error}")))
    }
    Ok(match kind {
        ColumnType::Boolean => Value::Bool(read(row, index)?),
        ColumnType::Integer => Value::Int(read(row, index)?),
        ColumnType::BigInteger => Value::BigInt(read(row, index)?),
        ColumnType::String(_) | ColumnType::Text => Value::String(read(row, index)?),
        ColumnType::Uuid => Value::Uuid(read::<Uuid>(row, index)?),
        ColumnType::TimestampWithTimeZone => Value::ChronoDateTimeUtc(read::<DateTime<Utc>>(row, index)?),
        other => return Err(DbError::Internal(format!("no PostgreSQL type is set for {other:?}"))),
    })
}
