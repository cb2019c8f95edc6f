//! Reads an export. A thread reads and checks the next lines while the database stores those before them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io::BufRead,
    thread,
};

use futures_util::future::try_join_all;
use sea_orm::{ModelTrait, Value};
use tokio::sync::mpsc;

use super::{
    Counts, TransferError,
    read::{Chunk, Found, read},
    statements::{Many, NEW_KEYS, NEW_TASKS, NEW_USERS, OLD_KEYS, OLD_TASKS, OLD_USERS, ROWS},
};
use crate::{
    db::{self, Among, Db, DbError, Missing, Session, Transaction},
    tasks::{entity as task, idempotency as key, owner as user, statements::values},
};

/// Chunks that wait to be stored.
const AHEAD: usize = 2;
/// Rows that are named because the database has different ones.
const NAMED: usize = 20;

/// What an import did, whether it came to its end or not.
#[derive(Debug, Default)]
pub struct Imported {
    /// New rows.
    pub new: Counts,
    /// Rows that the database had already.
    pub there: u64,
    /// Rows that the database has, but with different content. They were left as they are.
    pub different: u64,
    /// The first of these, each with its line.
    pub names: Vec<String>,
}

impl Imported {
    fn rows(&self) -> u64 {
        self.new.sum() + self.there + self.different
    }

    fn add(&mut self, other: Self) {
        self.new.users += other.new.users;
        self.new.tasks += other.new.tasks;
        self.new.keys += other.new.keys;
        self.there += other.there;
        self.different += other.different;
        self.names.extend(other.names.into_iter().take(NAMED - self.names.len().min(NAMED)));
    }
}

/// Inserts the rows of an export that the database does not have yet, in whole chunks, and changes no row. So it can be
/// run again after any failure. `progress` gets the number of rows so far and of all rows. Says what it did also if it
/// fails.
pub async fn import(
    db: &Db,
    input: impl BufRead + Send + 'static,
    progress: impl Fn(u64, u64),
) -> (Imported, Result<(), TransferError>) {
    let mut imported = Imported::default();
    let end = store(db, input, progress, &mut imported).await;
    (imported, end)
}

async fn store(
    db: &Db,
    input: impl BufRead + Send + 'static,
    progress: impl Fn(u64, u64),
    imported: &mut Imported,
) -> Result<(), TransferError> {
    let session = db.session().await?;
    let second = if db.changes_in_parallel() { Some(db.session().await?) } else { None };
    let (sender, mut found) = mpsc::channel(AHEAD);
    let reader = thread::Builder::new().name("import".into()).spawn(move || read(input, &sender));
    let reader = reader.map_err(TransferError::Read)?;
    let mut total = 0;
    while let Some(next) = found.recv().await {
        let chunk = match next {
            Found::Total(counts) => {
                total = counts.sum();
                continue;
            }
            Found::Chunk(chunk) => chunk,
        };
        // Only chunks without users: later chunks may need these.
        let other = match &second {
            Some(second) if chunk.users.is_empty() => found.recv().await.map(|found| (second, found)),
            _ => None,
        };
        match other {
            Some((second, Found::Chunk(other))) if other.users.is_empty() => {
                let (one, other) = tokio::join!(insert(&session, &chunk), insert(second, &other));
                // What was stored counts, even if the other chunk failed.
                let ends = [one, other].map(|end| end.map(|stored| imported.add(stored)));
                ends.into_iter().collect::<Result<(), _>>()?;
            }
            other => {
                imported.add(insert(&session, &chunk).await?);
                if let Some((_, Found::Chunk(other))) = other {
                    imported.add(insert(&session, &other).await?);
                }
            }
        }
        progress(imported.rows(), total);
    }
    reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The error of a chunk.
fn explain(error: DbError, chunk: &Chunk) -> TransferError {
    let DbError::ForeignKey(_) = error else { return error.into() };
    let (first, last) = chunk.lines();
    TransferError::Input(format!(
        "lines {first} to {last}: a task or a key is of a user that the database does not have; a line with the user must be before"
    ))
}

/// Inserts all rows of the chunk that are missing, or none.
async fn insert(session: &Session, chunk: &Chunk) -> Result<Imported, TransferError> {
    insert_all(session, chunk).await.map_err(|error| explain(error, chunk))
}

async fn insert_all(session: &Session, chunk: &Chunk) -> Result<Imported, DbError> {
    session.begin(Transaction::Change).await?;
    let (mut all, mut new) = (Imported::default(), Counts::default());
    // Owners first: the others refer to them.
    new.users = put(session, &chunk.users, &mut all).await?;
    new.tasks = put(session, &chunk.tasks, &mut all).await?;
    new.keys = put(session, &chunk.keys, &mut all).await?;
    session.commit().await?;
    Ok(Imported { new, ..all })
}

/// The primary key of a row.
type Identity<'a> = (&'a str, Cow<'a, [u8]>);

/// A row of an export.
trait Row: db::Row + ModelTrait + PartialEq {
    const NEW: &'static Many<Missing<<Self as db::Row>::Entity>>;
    const OLD: &'static Many<Among<Self>>;

    /// The owner if the key has one, and the rest of the key.
    fn identity(&self) -> Identity<'_>;
    /// The rest of the key, as a value.
    fn key(&self) -> Value;
    /// Its name for people.
    fn name(&self) -> String;
}

impl Row for user::Model {
    const NEW: &'static Many<Missing<user::Entity>> = &NEW_USERS;
    const OLD: &'static Many<Among<Self>> = &OLD_USERS;

    fn identity(&self) -> Identity<'_> {
        ("", self.id.as_bytes().into())
    }

    fn key(&self) -> Value {
        self.id.as_str().into()
    }

    fn name(&self) -> String {
        format!("user {}", self.id)
    }
}

impl Row for task::Model {
    const NEW: &'static Many<Missing<task::Entity>> = &NEW_TASKS;
    const OLD: &'static Many<Among<Self>> = &OLD_TASKS;

    fn identity(&self) -> Identity<'_> {
        (&self.user_id, self.id.as_bytes().as_slice().into())
    }

    fn key(&self) -> Value {
        self.id.into()
    }

    fn name(&self) -> String {
        format!("task {}", self.id)
    }
}

impl Row for key::Model {
    const NEW: &'static Many<Missing<key::Entity>> = &NEW_KEYS;
    const OLD: &'static Many<Among<Self>> = &OLD_KEYS;

    fn identity(&self) -> Identity<'_> {
        (&self.user_id, self.key.as_bytes().into())
    }

    fn key(&self) -> Value {
        self.key.as_str().into()
    }

    fn name(&self) -> String {
        format!("idempotency key {} of user {}", self.key, self.user_id)
    }
}

/// Inserts the missing rows and returns their number. Counts the others.
async fn put<M: Row>(session: &Session, rows: &[(u64, M)], all: &mut Imported) -> Result<u64, DbError> {
    let mut new = 0;
    for rows in rows.chunks(ROWS) {
        let arguments = rows.iter().flat_map(|(_, row)| values(row)).collect::<Vec<_>>();
        let inserted = session.execute(M::NEW, rows.len(), arguments).await?;
        new += inserted;
        if inserted == rows.len() as u64 {
            continue;
        }
        // Not all were missing. Those that the statement has inserted are among the stored ones, too.
        let stored = stored(session, rows).await?;
        let stored: HashMap<_, _> = stored.iter().map(|row| (row.identity(), row)).collect();
        let differs = |(_, row): &&(u64, M)| stored.get(&row.identity()).is_none_or(|stored| *stored != row);
        let different: Vec<_> = rows.iter().filter(differs).collect();
        all.different += different.len() as u64;
        all.there += rows.len() as u64 - inserted - different.len() as u64;
        let name = |(line, row): &&(u64, M)| format!("line {line}: {}", row.name());
        all.names.extend(different.iter().take(NAMED).map(name));
    }
    Ok(new)
}

/// The rows that the database has under the keys of these rows. One statement for each owner, as everywhere.
async fn stored<M: Row>(session: &Session, rows: &[(u64, M)]) -> Result<Vec<M>, DbError> {
    let mut keys = BTreeMap::<&str, Vec<Value>>::new();
    for (_, row) in rows {
        keys.entry(row.identity().0).or_default().push(row.key());
    }
    let query = |(owner, mut keys): (&str, Vec<Value>)| {
        // Only few different statements: the last key again fills up their number.
        let padding = keys.last().cloned().unwrap_or(Value::Bool(None));
        keys.resize(keys.len().next_power_of_two(), padding);
        let (count, owner) = (keys.len(), Some(owner).filter(|owner| !owner.is_empty()));
        session.all(M::OLD, count, owner.map(Value::from).into_iter().chain(keys).collect())
    };
    Ok(try_join_all(keys.into_iter().map(query)).await?.into_iter().flatten().collect())
}
