use std::fs;

use api_tests::{Database, Server};
use serde_json::json;

/// The number of places in the files of the database that have the text.
fn places(server: &Server, text: &str) -> usize {
    let files = fs::read_dir(server.folder().join("data")).unwrap();
    let bytes = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    bytes.map(|bytes| bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()).sum()
}

#[test]
fn a_deleted_user_leaves_no_text_in_the_files_of_a_serving_server() {
    let mut server = Server::start(Database::Sqlite);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    for n in 0..300 {
        let body = |text: &str| json!({ "title": format!("{text} {n}"), "description": text.repeat(1 + n % 7) });
        let created = alice.create_with_key(&n.to_string(), &body("hers-at-first"));
        let path = created.header("location");
        assert_eq!(alice.put(path, &body("hers-changed")).status, 200);
        if n % 5 == 0 {
            assert_eq!(alice.delete(path).status, 204);
        }
        bob.create_with_key(&n.to_string(), &body("theirs"));
    }
    assert!(places(&server, "hers-") > 0 && places(&server, "alice") > 0);
    let before = bob.all();
    assert_eq!(server.printed(&["user", "delete", "alice"]), "deleted 1 user, 240 tasks, 300 idempotency keys\n");
    for text in ["hers-at-first", "hers-changed", "alice"] {
        assert_eq!(places(&server, text), 0, "{text}");
    }
    assert!(places(&server, "theirs") > 0);
    assert_eq!(bob.all(), before);
    bob.create("the server goes on");
    assert_eq!(bob.create_with_key("7", &json!({ "title": "x" })).problem(), "422 idempotency_key_reused");
    server.signal("TERM");
    assert!(server.wait().success());
    assert_eq!(server.restart().user("bob").all().len(), 301);
}

#[test]
fn a_deletion_waits_for_a_change_of_another_process() {
    let server = Server::start(Database::Sqlite);
    server.user("alice").create("x");
    let held = server.hold_writes();
    let deletion = server.begin(&["user", "delete", "alice"]);
    drop(held);
    let output = deletion.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "deleted 1 user, 1 task, 0 idempotency keys\n");
}
