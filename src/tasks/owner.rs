//! A row of `users`, created with the user's first task, because tasks refer to their owner.

use sea_orm::entity::prelude::*;

use crate::db::row;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(super) struct Model {
    /// `sub` of the user's tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

row! { Model: Entity { id: Column::Id, created_at: Column::CreatedAt } }
