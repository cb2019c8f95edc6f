//! Rows of any entity, rebuilt from column values through its `ActiveModel`.

use sea_orm::{ActiveModelTrait, ColumnTrait, ColumnType, DbErr, EntityTrait, Iterable, TryIntoModel, Value};

use super::{DbError, Rows};

/// The types of an entity's columns, in the order in which SeaORM selects and returns them.
pub(super) fn types<E: EntityTrait>() -> Vec<ColumnType> {
    E::Column::iter().map(|column| column.def().get_column_type().clone()).collect()
}

/// One row, from `value(index, type)` of each column. A value of the wrong type is an error, never a `None`.
pub(super) fn decode<E: Rows>(
    types: &[ColumnType],
    value: impl Fn(usize, &ColumnType) -> Result<Value, DbError>,
) -> Result<E::Model, DbError> {
    let mut row = <E::ActiveModel as ActiveModelTrait>::default();
    for (index, (column, kind)) in E::Column::iter().zip(types).enumerate() {
        row.try_set(column, value(index, kind)?).map_err(mismatch)?;
    }
    row.try_into_model().map_err(mismatch)
}

fn mismatch(error: DbErr) -> DbError {
    DbError::Internal(format!("a row does not fit its entity: {error}"))
}
