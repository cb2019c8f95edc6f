//! A row of `tasks`. Private to this folder: only the store uses it, and the store needs an owner.

use caseless::Caseless;
use sea_orm::entity::prelude::*;

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub(super) struct Model {
    /// The owner: `sub` of the token that created it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// Grows with `created_at`, see [`super::id`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub title: String,
    /// The sort key of titles, see [`title_key`].
    #[sea_orm(column_type = "Text")]
    pub title_key: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    pub completed: bool,
    /// From 0 (none) to 3 (high), see [`super::fields::Priority`].
    pub priority: i32,
    /// A JSON array of strings.
    #[sea_orm(column_type = "Text")]
    pub tags: String,
    pub due_date: Option<DateTimeUtc>,
    /// Begins with 1 and grows with each change; the ETag.
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Column {
    /// Whether `updateTask` may change it.
    pub(super) const fn is_changeable(self) -> bool {
        match self {
            Self::Title
            | Self::TitleKey
            | Self::Description
            | Self::Completed
            | Self::Priority
            | Self::Tags
            | Self::DueDate => true,
            Self::UserId | Self::Id | Self::Version | Self::CreatedAt | Self::UpdatedAt => false,
        }
    }
}

/// The case-folded title (Unicode, section 3.13). Compared by bytes, it has the same case-insensitive order on every
/// database.
pub(super) fn title_key(title: &str) -> String {
    title.chars().default_case_fold().collect()
}
