//! The statements, the same for both databases. SQLite counts the arguments by their first place in the text, so their
//! numbers have that order.

macro_rules! columns {
    () => {
        "id, title, description, completed, priority, tags, due_date, user_id, created_at, updated_at, version"
    };
}

pub(crate) const TASK: &str = concat!("SELECT ", columns!(), " FROM tasks WHERE user_id = $1 AND id = $2");

pub(crate) const NEWEST: &str =
    concat!("SELECT ", columns!(), " FROM tasks WHERE user_id = $1 ORDER BY id DESC LIMIT 20");

/// The newest of the pending tasks, which have an index for each of these kinds. Each range of an index takes the form
/// that the planner of the database needs to merge them.
pub(crate) fn pending(form: impl Fn(String) -> String) -> String {
    let kinds = ["priority <> 0", "due_date IS NOT NULL AND priority = 0", "due_date IS NULL AND priority = 0"];
    let pending = concat!("SELECT ", columns!(), " FROM tasks WHERE user_id = $1 AND completed = FALSE");
    let ranges = kinds.map(|kind| form(format!("{pending} AND {kind}")));
    format!("{} ORDER BY id DESC LIMIT 20", ranges.join(" UNION ALL "))
}

pub(crate) const INSERT: &str = "INSERT INTO tasks (user_id, id, title, title_key, description, completed, priority, \
                                 tags, due_date, version, created_at, updated_at) \
                                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10)";

pub(crate) const INSERT_OWNER: &str = "INSERT INTO users (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

pub(crate) const UPDATE: &str = concat!(
    "UPDATE tasks SET title = $1, title_key = $2, description = $3, version = version + 1, updated_at = $4 \
     WHERE user_id = $5 AND id = $6 RETURNING ",
    columns!()
);

pub(crate) const TOGGLE: &str = concat!(
    "UPDATE tasks SET completed = NOT completed, version = version + 1, updated_at = $1 \
     WHERE user_id = $2 AND id = $3 RETURNING ",
    columns!()
);

/// Matches only tasks that it changes.
pub(crate) const SET: &str = concat!(
    "UPDATE tasks SET completed = $1, version = version + 1, updated_at = $2 \
     WHERE user_id = $3 AND id = $4 AND completed <> $1 RETURNING ",
    columns!()
);

pub(crate) const DELETE: &str = "DELETE FROM tasks WHERE user_id = $1 AND id = $2";
