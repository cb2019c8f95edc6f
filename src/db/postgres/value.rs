//! Values of SeaORM as parameters of PostgreSQL.

use bytes::BytesMut;
use sea_orm::Value;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

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
