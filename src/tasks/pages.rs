//! The pages of a list, read off the index of the list.

use super::{
    cursor::Position,
    entity::Task,
    fields::Priority,
    filters::Matcher,
    list::{List, Sort},
    store::Tasks,
};
use crate::db::DbError;

/// Most tasks that a request with filters or a count looks at.
const EXAMINED: usize = 10_000;
/// Most tasks that one statement reads for that; the first reads fewer, since most users have few.
const CHUNK: usize = 1000;
const FIRST_CHUNK: usize = 100;

/// Some tasks of a list, and where the next page begins, if there is one.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) tasks: Vec<Task>,
    pub(super) next: Option<Position>,
    /// The tasks of all pages, if they were to be counted and are not too many for that.
    pub(super) total: Option<u64>,
}

/// A look at the tasks of a list, one after the other.
struct Look<'a> {
    matcher: Matcher<'a>,
    limit: usize,
    tasks: Vec<Task>,
    /// Where the page ended, once it is full.
    full: Option<Position>,
    /// Whether a task stands behind the page.
    followed: bool,
    matched: u64,
}

impl Tasks<'_> {
    /// The page of the user's tasks that begins behind a position; ties break by id.
    pub(super) async fn list(&self, list: &List, after: Option<Position>) -> Result<Page, DbError> {
        if list.filters.is_empty() && !list.count {
            // One more than asked for tells whether there is more.
            let mut tasks = self.stretch(list.selection, after.as_ref(), list.limit + 1).await?;
            let more = tasks.len() > list.limit;
            tasks.truncate(list.limit);
            let next = tasks.last().filter(|_| more).map(|last| position(list, last));
            return Ok(Page { tasks, next, total: None });
        }
        let from_the_start = after.is_none();
        let mut look = Look::new(list, list.limit);
        let (next, whole) = self.examine(list, after, &mut look, from_the_start && list.count).await?;
        let total = if !list.count {
            None
        } else if from_the_start {
            whole.then_some(look.matched)
        } else {
            let mut all = Look::new(list, 0);
            let (_, whole) = self.examine(list, None, &mut all, true).await?;
            whole.then_some(all.matched)
        };
        Ok(Page { tasks: look.tasks, next, total })
    }

    /// Looks at the tasks behind a position until the page is full or, to count them, until their end, but at no more than
    /// [`EXAMINED`]. Returns where the next page begins, and whether the end was reached.
    async fn examine(
        &self,
        list: &List,
        mut after: Option<Position>,
        look: &mut Look<'_>,
        count: bool,
    ) -> Result<(Option<Position>, bool), DbError> {
        let (mut examined, mut chunk) = (0, FIRST_CHUNK);
        loop {
            let wanted = chunk.min(EXAMINED - examined);
            let mut tasks = self.stretch(list.selection, after.as_ref(), wanted + 1).await?;
            let more = tasks.len() > wanted;
            tasks.truncate(wanted);
            examined += tasks.len();
            let end = tasks.last().map(|task| position(list, task));
            for task in tasks {
                look.at(list, task);
            }
            let goes_on = look.followed || more;
            if look.full.is_some() && goes_on && !count {
                return Ok((look.full.take(), false));
            }
            if !more {
                return Ok((look.full.take().filter(|_| goes_on), true));
            }
            if examined >= EXAMINED {
                return Ok((look.full.take().or(end), false));
            }
            (after, chunk) = (end, CHUNK);
            // Other requests have their turn.
            tokio::task::yield_now().await;
        }
    }
}

impl<'a> Look<'a> {
    fn new(list: &'a List, limit: usize) -> Self {
        let matcher = list.filters.matcher();
        Self { matcher, limit, tasks: Vec::new(), full: None, followed: false, matched: 0 }
    }

    fn at(&mut self, list: &List, task: Task) {
        self.followed |= self.full.is_some();
        if !self.matcher.matches(&task) {
            return;
        }
        self.matched += 1;
        if self.tasks.len() < self.limit {
            if self.tasks.len() + 1 == self.limit {
                self.full = Some(position(list, &task));
            }
            self.tasks.push(task);
        }
    }
}

/// The position of a task in the list.
fn position(list: &List, task: &Task) -> Position {
    match (list.selection.sort, task.due_date, Priority::from(task.priority)) {
        (Sort::Created, ..) => Position::Created(task.id),
        (Sort::Title, ..) => Position::Title(task.title_key.clone(), task.id),
        (Sort::DueDate, Some(due_date), _) => Position::Dated(due_date.into(), task.id),
        (Sort::DueDate, None, _) => Position::Undated(task.id),
        (Sort::Priority, _, Priority::None) => Position::Unprioritized(task.id),
        (Sort::Priority, _, priority) => Position::Prioritized(priority, task.id),
    }
}
