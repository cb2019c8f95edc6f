//! A row of `tasks`. Private to this folder: only the store uses it, and the store needs an owner.

use caseless::Caseless;
use sea_orm::entity::prelude::*;

use crate::db::row;

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

row! {
    Model: Entity {
        user_id: Column::UserId,
        id: Column::Id,
        title: Column::Title,
        title_key: Column::TitleKey,
        description: Column::Description,
        completed: Column::Completed,
        priority: Column::Priority,
        tags: Column::Tags,
        due_date: Column::DueDate,
        version: Column::Version,
        created_at: Column::CreatedAt,
        updated_at: Column::UpdatedAt,
    }
}

/// A task as requests read it: without the owner, who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub id: Uuid,
    pub title: String,
    /// As stored: positions in a list by title are exact even if a later release folds a title differently.
    pub title_key: String,
    pub description: Option<String>,
    pub completed: bool,
    pub priority: i32,
    pub tags: String,
    pub due_date: Option<DateTimeUtc>,
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

row! {
    Task: Entity {
        id: Column::Id,
        title: Column::Title,
        title_key: Column::TitleKey,
        description: Column::Description,
        completed: Column::Completed,
        priority: Column::Priority,
        tags: Column::Tags,
        due_date: Column::DueDate,
        version: Column::Version,
        created_at: Column::CreatedAt,
        updated_at: Column::UpdatedAt,
    }
}

impl From<Model> for Task {
    fn from(row: Model) -> Self {
        let Model {
            user_id: _,
            id,
            title,
            title_key,
            description,
            completed,
            priority,
            tags,
            due_date,
            version,
            created_at,
            updated_at,
        } = row;
        Self { id, title, title_key, description, completed, priority, tags, due_date, version, created_at, updated_at }
    }
}

/// The owner of a task.
#[derive(Debug)]
pub(super) struct OwnerOf {
    pub user_id: String,
}

row! { OwnerOf: Entity { user_id: Column::UserId } }

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
