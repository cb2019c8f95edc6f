use api_tests::Server;
use serde_json::json;

use super::exports::{export, fill, lines, seen};
use crate::DATABASE;

#[test]
fn a_deleted_user_has_nothing_left_and_others_keep_everything() {
    let server = Server::start(DATABASE);
    let creates = fill(&server);
    let bob = server.user("bob ü \"quoted\"");
    let before = (seen(&bob), server.printed(&["user", "export", "bob ü \"quoted\""]));
    let printed = server.printed(&["user", "delete", "alice"]);
    assert_eq!(printed, "deleted 1 user, 7 tasks, 6 idempotency keys\n");
    assert_eq!(server.user("alice").all(), [json!(null); 0]);
    assert_eq!((seen(&bob), server.printed(&["user", "export", "bob ü \"quoted\""])), before);
    assert_eq!(lines(&export(&server))[0]["export"], json!({ "format": 1, "users": 1, "tasks": 7, "keys": 6 }));
    let again = server.printed(&["user", "delete", "alice"]);
    assert_eq!(again, "the database has no such user: nothing was deleted\n");

    let (_, body, _) = creates.iter().find(|(user, _, _)| *user == "alice").unwrap();
    let answer = server.user("alice").create_with_key(&super::exports::key_of(body), body);
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, ""), "she can start again");
}
