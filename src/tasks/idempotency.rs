//! Creates that a client can repeat: an `Idempotency-Key` stands for one task, however often it is sent
//! (draft-ietf-httpapi-idempotency-key-header).

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use poem_openapi::registry::MetaSchema;
use sea_orm::{
    DeleteMany, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};
use serde::Serialize;

use super::dto::TaskResponse;
use crate::{
    db::{Db, DbError, Statements, argument},
    http::HeaderField,
    timestamp::Timestamp,
};

/// Hours for which the first answer is replayed.
const LIFETIME_HOURS: i64 = 24;
/// Keys removed by one statement, few enough that no other write waits for long.
const BATCH: u64 = 500;
/// Time between two looks for expired keys.
const INTERVAL: Duration = Duration::from_mins(1);

/// A key, and the answer that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub(super) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Tells requests apart, see [`fingerprint`].
    pub fingerprint: String,
    /// The task as it was created, as JSON.
    #[sea_orm(column_type = "Text")]
    pub answer: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether the key is free again.
    pub(super) fn expired(&self) -> bool {
        self.created_at <= expiry()
    }
}

/// The first answer, to be kept.
pub(super) fn answer(task: &TaskResponse) -> Result<String, DbError> {
    serde_json::to_string(task).map_err(|error| DbError::Internal(error.to_string()))
}

/// The first answer, as it was kept.
pub(super) fn replay(kept: &Model) -> Result<TaskResponse, DbError> {
    serde_json::from_str(&kept.answer).map_err(|error| DbError::Internal(error.to_string()))
}

/// What was created before this has expired.
fn expiry() -> DateTime<Utc> {
    DateTime::<Utc>::from(Timestamp::now()) - chrono::Duration::hours(LIFETIME_HOURS)
}

/// The same for the same request, whatever the order and spacing of its JSON.
pub(super) fn fingerprint(request: &impl Serialize) -> String {
    let json = serde_json::to_vec(request).unwrap_or_default();
    BASE64_STANDARD_NO_PAD.encode(digest(&SHA256, &json))
}

/// Removes expired keys, now and ever after, in batches.
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
    db.of("").delete(&EXPIRED, (), vec![expiry().into()]).await
}

const OWNER: u64 = argument(0);
const KEY: u64 = argument(1);
const CREATED_AT: u64 = argument(2);

/// What a key of an owner stands for.
pub(super) static FIRST: Statements<(), Select<Entity>> =
    Statements::new(|()| Entity::find().filter(Column::UserId.eq(OWNER)).filter(Column::Key.eq(KEY)));

/// The same, as long as it is the one of that time.
pub(super) static OUTDATED: Statements<(), DeleteMany<Entity>> = Statements::new(|()| {
    Entity::delete_many()
        .filter(Column::UserId.eq(OWNER))
        .filter(Column::Key.eq(KEY))
        .filter(Column::CreatedAt.eq(CREATED_AT))
});

/// As many as a batch holds of the keys that were created by then.
static EXPIRED: Statements<(), DeleteMany<Entity>> = Statements::new(|()| {
    let key = Expr::tuple([Column::UserId, Column::Key].map(Expr::col));
    let expired = Entity::find()
        .select_only()
        .columns([Column::UserId, Column::Key])
        .filter(Column::CreatedAt.lte(argument(0)))
        .limit(BATCH)
        .into_query();
    Entity::delete_many().filter(key.in_subquery(expired))
});

/// The value of `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdempotencyKey(pub(super) String);

/// The same as [`IdempotencyKey`] takes: the key as it is, or as a string (RFC 9651, section 3.3.3).
const PATTERN: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;
const RULE: &str = "must be one key of 1 to 255 visible ASCII characters, such as a UUID";

impl HeaderField for IdempotencyKey {
    fn schema() -> MetaSchema {
        MetaSchema {
            min_length: Some(1),
            max_length: Some(512),
            pattern: Some(PATTERN.to_owned()),
            example: Some("8e03978e-40d5-43dd-bc93-6894a57f9324".into()),
            ..MetaSchema::new("string")
        }
    }

    fn parse(value: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(value).map_err(|_| RULE)?;
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or(RULE)?,
            None => text.to_owned(),
        };
        let fit = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if fit { Ok(Self(key)) } else { Err(RULE) }
    }
}

/// The text of a string (RFC 9651, section 3.3.3) behind its opening quote.
fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character => text.push(character),
        }
    }
}

/// The keys whose first request this process is working on.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashSet<(String, String)>>);

/// Holds a key in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    all: &'a InFlight,
    key: (String, String),
}

impl InFlight {
    /// Takes the user's key, unless it is in flight already.
    pub(super) fn begin(&self, user: &str, key: &IdempotencyKey) -> Option<Flight<'_>> {
        let key = (user.to_owned(), key.0.clone());
        let free = self.lock().insert(key.clone());
        free.then(|| Flight { all: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a value keeps the declared schema.
    fn is_declared(value: &str) -> bool {
        let schema = serde_json::json!({ "pattern": PATTERN });
        jsonschema::draft202012::new(&schema).unwrap().is_valid(&value.into())
    }

    #[test]
    fn a_key_is_the_same_with_and_without_the_quotes_of_the_draft() {
        let long = "x".repeat(255);
        for (value, key) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#"a"b\"#, r#"a"b\"#),
            (&long, &long),
            (&format!("\"{long}\""), &long),
        ] {
            assert!(is_declared(value), "{value}");
            assert_eq!(IdempotencyKey::parse(value.as_bytes()), Ok(IdempotencyKey(key.to_owned())), "{value}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(256);
        for value in
            ["", "\"", "\"\"", "\"a", "\"a\"b", "\"a\\\"", "\"\\a\"", "a b", "a, b", "\"a b\"", "a\tb", "é", &long]
        {
            assert!(!is_declared(value), "{value}");
            assert_eq!(IdempotencyKey::parse(value.as_bytes()), Err(RULE), "{value}");
        }
    }

    #[test]
    fn a_key_is_in_flight_once_until_its_flight_ends() {
        let flights = InFlight::default();
        let key = IdempotencyKey("1".to_owned());
        let first = flights.begin("alice", &key);
        assert!(first.is_some());
        assert!(flights.begin("alice", &key).is_none());
        assert!(flights.begin("bob", &key).is_some());
        drop(first);
        assert!(flights.begin("alice", &key).is_some());
    }
}
