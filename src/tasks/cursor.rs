//! Cursors: the position of a page's last task, as an opaque text that only this server reads. A cursor gives no
//! access.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{
    fields::Priority,
    list::{List, Sort},
};
use crate::timestamp::Timestamp;

/// The format. It changes with the meaning of the bytes, so a cursor is never misread.
const VERSION: u8 = 1;
/// The format for a list with filters.
const FILTERED: u8 = 2;

/// The last task of a page, by the sort key of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    Created(Uuid),
    Title(String, Uuid),
    /// A position among the tasks with a due date.
    Dated(Timestamp, Uuid),
    /// A position among the tasks without a due date.
    Undated(Uuid),
    /// A position among the tasks with a priority.
    Prioritized(Priority, Uuid),
    /// A position among the tasks without a priority.
    Unprioritized(Uuid),
}

impl Position {
    /// The position in this list, as a cursor.
    pub(super) fn encode(&self, list: &List) -> String {
        let mut bytes = head(list);
        match self {
            Self::Created(id) | Self::Undated(id) | Self::Unprioritized(id) => bytes.extend_from_slice(id.as_bytes()),
            Self::Title(key, id) => {
                bytes.extend_from_slice(id.as_bytes());
                bytes.extend_from_slice(key.as_bytes());
            }
            Self::Dated(due_date, id) => {
                bytes.extend_from_slice(id.as_bytes());
                bytes.extend_from_slice(&due_date.micros().to_be_bytes());
            }
            Self::Prioritized(priority, id) => {
                bytes.extend_from_slice(id.as_bytes());
                bytes.extend_from_slice(&i32::from(*priority).to_be_bytes());
            }
        }
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor in this list; `None` if it is not a cursor, or a cursor of another list.
    pub(super) fn decode(cursor: &str, list: &List) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let rest = bytes.strip_prefix(&head(list)[..])?;
        let (id, rest) = rest.split_first_chunk()?;
        let id = Uuid::from_bytes(*id);
        match (list.selection.sort, rest) {
            (Sort::Created, []) => Some(Self::Created(id)),
            (Sort::Title, key) => {
                Some(Self::Title(String::from_utf8(key.to_vec()).ok()?, id)).filter(|_| !key.contains(&0))
            }
            (Sort::DueDate, []) => Some(Self::Undated(id)),
            (Sort::DueDate, micros) => {
                let micros = i64::from_be_bytes(micros.try_into().ok()?);
                Some(Self::Dated(Timestamp::from_micros(micros)?, id))
            }
            (Sort::Priority, []) => Some(Self::Unprioritized(id)),
            (Sort::Priority, stored) => {
                let stored = i32::from_be_bytes(stored.try_into().ok()?);
                let priority = Priority::from(stored);
                let has = priority != Priority::None && i32::from(priority) == stored;
                has.then_some(Self::Prioritized(priority, id))
            }
            (Sort::Created, _) => None,
        }
    }
}

/// How a cursor begins.
fn head(list: &List) -> Vec<u8> {
    let version = if list.filters.is_empty() { VERSION } else { FILTERED };
    [&[version], &list.binding()[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::list::{NEWEST, list, selections};

    const ID: Uuid = Uuid::from_u128(0x019a_a5d0_5c3f_7d42_8e8b_2f6f_0d9a_71c4);

    fn positions(sort: Sort) -> Vec<Position> {
        match sort {
            Sort::Created => vec![Position::Created(ID)],
            Sort::Title => ["", "a", "été 🎉"].map(|key| Position::Title(key.to_owned(), ID)).to_vec(),
            Sort::DueDate => {
                vec![
                    Position::Undated(ID),
                    Position::Dated(Timestamp::from_micros(-62_167_219_200_000_000).unwrap(), ID),
                ]
            }
            Sort::Priority => vec![Position::Unprioritized(ID), Position::Prioritized(Priority::High, ID)],
        }
    }

    #[test]
    fn a_cursor_is_understood_by_lists_of_its_kind_and_refused_by_all_others() {
        let lists = || selections().map(list);
        for list in lists() {
            for position in positions(list.selection.sort) {
                let cursor = position.encode(&list);
                for other in lists() {
                    let decoded = Position::decode(&cursor, &other);
                    assert_eq!(decoded, (other == list).then(|| position.clone()));
                }
            }
        }
    }

    #[test]
    fn a_garbled_cursor_is_refused() {
        let cursor = Position::Created(ID).encode(&list(NEWEST));
        let newer = BASE64_URL_SAFE_NO_PAD.encode([&[9], &head(&list(NEWEST))[1..], ID.as_bytes()].concat());
        for garbled in [
            "",
            "x",
            "null",
            &cursor[1..],
            &cursor[..cursor.len() - 1],
            &format!("{cursor}A"),
            &format!("{cursor}="),
            &newer,
        ] {
            assert_eq!(Position::decode(garbled, &list(NEWEST)), None, "{garbled}");
        }
    }
}
