//! Creates that a client can repeat: all requests with the same `Idempotency-Key` create one task
//! (draft-ietf-httpapi-idempotency-key-header).

mod answer;
mod flights;
mod key;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    DeleteMany, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

pub(super) use self::{
    answer::{Request, is_answer},
    flights::InFlight,
    key::{IdempotencyKey, is_key},
};
use crate::{
    db::{Db, DbError, Find, Statements, arguments, row},
    timestamp::Timestamp,
};

/// Hours for which the server replays the first answer.
const LIFETIME_HOURS: i64 = 24;
/// Maximum number of keys that one statement removes, so that other writes do not wait long.
const BATCH: u64 = 500;
/// Time between two removals of expired keys.
const INTERVAL: Duration = Duration::from_mins(1);

/// A key, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub(super) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The fingerprint of 0.1.0, whose instances may still run during an upgrade.
    pub fingerprint: String,
    /// The request, and the task as it was created: JSON that [`answer`] versions.
    #[sea_orm(column_type = "Text")]
    pub answer: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

row! {
    Model: Entity {
        user_id: Column::UserId,
        key: Column::Key,
        fingerprint: Column::Fingerprint,
        answer: Column::Answer,
        created_at: Column::CreatedAt,
    }
}

impl Model {
    /// Whether the key can be used again.
    pub(super) fn expired(&self) -> bool {
        self.created_at <= expiry()
    }
}

/// Keys from before this time have expired.
pub(super) fn expiry() -> DateTime<Utc> {
    DateTime::<Utc>::from(Timestamp::now()) - chrono::Duration::hours(LIFETIME_HOURS)
}

/// Removes expired keys regularly, in batches. Never returns.
pub async fn remove_expired(db: Db) -> ! {
    loop {
        match remove_batch(&db).await {
            Ok(removed) if removed == BATCH => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "expired idempotency keys could not be removed"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn remove_batch(db: &Db) -> Result<u64, DbError> {
    db.of("").delete(&EXPIRED, (), Expired { at: expiry().into() }).await
}

arguments! {
    /// A key of an owner.
    pub(super) struct KeyOf { owner, key }
}

/// The row of a key.
pub(super) static FIRST: Statements<(), KeyOf, Find<Model>> = Statements::new(|(), of: KeyOf<u64>| {
    Find(Entity::find().filter(Column::UserId.eq(of.owner)).filter(Column::Key.eq(of.key)))
});

arguments! {
    /// A key of an owner, if it is still the row with that time.
    pub(super) struct Outdated { owner, key, created_at }
}

pub(super) static OUTDATED: Statements<(), Outdated, DeleteMany<Entity>> = Statements::new(|(), of: Outdated<u64>| {
    Entity::delete_many()
        .filter(Column::UserId.eq(of.owner))
        .filter(Column::Key.eq(of.key))
        .filter(Column::CreatedAt.eq(of.created_at))
});

arguments! {
    /// The keys from before this time.
    struct Expired { at }
}

/// Removes one batch of expired keys.
static EXPIRED: Statements<(), Expired, DeleteMany<Entity>> = Statements::new(|(), expired: Expired<u64>| {
    let key = Expr::tuple([Column::UserId, Column::Key].map(Expr::col));
    let batch = Entity::find()
        .select_only()
        .columns([Column::UserId, Column::Key])
        .filter(Column::CreatedAt.lte(expired.at))
        .limit(BATCH)
        .into_query();
    Entity::delete_many().filter(key.in_subquery(batch))
});
