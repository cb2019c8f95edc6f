use api_tests::Server;

use crate::DATABASE;

/// A server that has ended, and left its database.
fn ended() -> Server {
    let mut server = Server::start(DATABASE);
    server.kill();
    server
}

#[test]
fn migrations_go_up_down_and_up() {
    let server = ended();
    let migrate = |step: &str| {
        let output = server.command(&["migrate", step]);
        assert!(output.status.success(), "{step}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let names = |state: &str, output: &str| output.lines().filter(|line| line.starts_with(state)).count();
    let all = names("applied", &migrate("status"));
    assert!(all > 0);
    for _ in 0..2 {
        for left in (0..all).rev() {
            assert_eq!(names("applied", &migrate("down")), left);
        }
        assert_eq!(names("pending", &migrate("status")), all);
        assert_eq!(names("applied", &migrate("up")), all);
        assert_eq!(names("applied", &migrate("status")), all);
    }
    server.restart().user("alice").create("on a schema that went down and up");
}

#[test]
fn a_schema_newer_than_the_program_is_refused() {
    let server = ended();
    server.sql("INSERT INTO seaql_migrations VALUES ('m29991231_000001_from_the_future', 0)");
    let output = server.command(&["serve"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("newer than this program") && errors.contains("m29991231"), "{errors}");
}
