//! The parameters of a list as one struct, from which cursors and the link to the next page are made.

use aws_lc_rs::digest::{SHA256, digest};
use form_urlencoded::Serializer;
use poem_openapi::{Enum, types::ToJSON};
use serde_json::Value;

use super::filters::Filters;

/// Bytes of the digest of filters that a cursor has.
const DIGEST: usize = 8;

/// Which tasks to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Enum)]
#[oai(rename = "TaskStatus", rename_all = "snake_case")]
pub(super) enum Status {
    /// All of them.
    #[default]
    All,
    /// Those still to be done.
    Pending,
    /// Those that are done.
    Completed,
}

/// What to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Enum)]
#[oai(rename = "TaskSort", rename_all = "snake_case")]
pub(super) enum Sort {
    /// When the task was created.
    #[default]
    Created,
    /// The title, case-insensitively.
    Title,
    /// When the task is due; tasks without a due date come last in either order.
    DueDate,
    /// How much the task matters.
    Priority,
}

/// The direction of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename = "SortOrder", rename_all = "snake_case")]
pub(super) enum Order {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

impl Sort {
    /// The default direction.
    pub(super) const fn order(self) -> Order {
        match self {
            Self::Created | Self::Priority => Order::Desc,
            Self::Title | Self::DueDate => Order::Asc,
        }
    }
}

/// The parameters of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) selection: Selection,
    pub(super) filters: Filters,
    /// Whether to count the tasks of all pages.
    pub(super) count: bool,
    /// Most tasks on a page.
    pub(super) limit: usize,
}

/// The parameters that choose and sort tasks. Each has few values, since there is a statement for every combination. A text
/// or a time belongs into [`List`], and is an argument of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selection {
    pub(super) status: Status,
    pub(super) sort: Sort,
    pub(super) order: Order,
}

impl List {
    /// What a cursor is bound to. It is part of cursors, so it must not change its meaning.
    pub(super) fn binding(&self) -> Vec<u8> {
        // Each parameter is part of the binding, or named here as one that is not.
        let Self { selection: Selection { status, sort, order }, filters, count: _, limit: _ } = self;
        let status = match status {
            Status::All => b'a',
            Status::Pending => b'p',
            Status::Completed => b'c',
        };
        let sort = match sort {
            Sort::Created => b'c',
            Sort::Title => b't',
            Sort::DueDate => b'd',
            Sort::Priority => b'p',
        };
        let order = match order {
            Order::Asc => b'a',
            Order::Desc => b'd',
        };
        let filters = Serializer::new(String::new()).extend_pairs(filters.parameters()).finish();
        let filters = (!filters.is_empty()).then(|| digest(&SHA256, filters.as_bytes()));
        let filters = filters.iter().flat_map(|digest| digest.as_ref().iter().copied().take(DIGEST));
        [status, sort, order].into_iter().chain(filters).collect()
    }

    /// The path and query of the page that begins at the cursor.
    pub(super) fn page(&self, cursor: &str) -> String {
        let Self { selection: Selection { status, sort, order }, filters, count, limit } = self;
        let address = String::from("/api/tasks?");
        let query = address.len();
        Serializer::for_suffix(address, query)
            .append_pair("status", &word(status))
            .append_pair("sort", &word(sort))
            .append_pair("order", &word(order))
            .extend_pairs(filters.parameters())
            .extend_pairs(count.then_some(("count", "true")))
            .append_pair("limit", &limit.to_string())
            .append_pair("cursor", cursor)
            .finish()
    }
}

/// The value of an enumeration in a query.
fn word(value: &impl ToJSON) -> String {
    match value.to_json() {
        Some(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The list of a selection, without filters.
#[cfg(test)]
pub(super) fn list(selection: Selection) -> List {
    List { selection, filters: Filters::default(), count: false, limit: 100 }
}

/// The default selection.
#[cfg(test)]
pub(super) const NEWEST: Selection = Selection { status: Status::All, sort: Sort::Created, order: Order::Desc };

/// All possible selections.
#[cfg(test)]
pub(super) fn selections() -> impl Iterator<Item = Selection> {
    let statuses = [Status::All, Status::Pending, Status::Completed];
    let sorts = [Sort::Created, Sort::Title, Sort::DueDate, Sort::Priority];
    statuses.into_iter().flat_map(move |status| {
        sorts
            .into_iter()
            .flat_map(move |sort| [Order::Asc, Order::Desc].map(move |order| Selection { status, sort, order }))
    })
}
