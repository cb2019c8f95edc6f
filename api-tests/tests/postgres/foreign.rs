use api_tests::{Cluster, Server};

#[test]
fn a_database_of_another_program_is_rejected_and_not_changed() {
    for (tables, owner) in [
        ("CREATE TABLE users (id int); CREATE TABLE alembic_version (version_num text)", "Alembic"),
        ("CREATE TABLE tasks (id int); CREATE TABLE _prisma_migrations (id text)", "Prisma"),
        ("CREATE TABLE tasks (id int)", "another program"),
        (
            "CREATE TABLE seaql_migrations (version text, applied_at bigint); INSERT INTO seaql_migrations VALUES ('m1', 0)",
            "SeaORM",
        ),
    ] {
        let database = Cluster::shared().database();
        let mut connection = database.connect();
        connection.batch_execute(tables).unwrap();
        let mut count =
            || connection.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).unwrap();
        let before: i64 = count().get(0);
        let line = Server::misuse(database.url());
        assert!(line.contains(owner) && line.contains("?options=-csearch_path%3Dtodo"), "{line}");
        assert!(!line.contains("CREATE TABLE"), "{line}");
        assert_eq!(before, count().get::<_, i64>(0), "nothing is created");
    }
}

#[test]
fn a_separate_schema_lets_a_server_share_a_database() {
    let database = Cluster::shared().database();
    let url = format!("{}&options=-csearch_path%3Dtodo", database.url());
    let mut connection = database.connect();
    connection.batch_execute("CREATE TABLE users (name text); INSERT INTO users VALUES ('theirs')").unwrap();
    assert!(Server::misuse(&url).contains("CREATE SCHEMA todo"));
    connection.batch_execute("CREATE SCHEMA todo").unwrap();
    let server = Server::at(&url, &[]);
    let task = server.user("alice").create("ours");
    assert_eq!(server.user("alice").list(""), [task]);
    assert_eq!(connection.query_one("SELECT name FROM users", &[]).unwrap().get::<_, &str>(0), "theirs");
}

#[test]
fn a_role_without_create_rights_can_serve_an_up_to_date_schema() {
    let cluster = Cluster::start(&[]);
    cluster.sql("CREATE ROLE app LOGIN");
    let database = cluster.database();
    let url = database.url().replace("postgres@", "app@");
    let fresh = Server::at(database.url(), &[]);
    let as_app = |arguments: &[&str]| fresh.command_with(arguments, &[("DATABASE_URL", &url)]);
    database.connect().batch_execute("GRANT SELECT ON seaql_migrations TO app").unwrap();
    let status = as_app(&["migrate", "status"]);
    assert!(status.status.success(), "{status:?}");
    database
        .connect()
        .batch_execute("GRANT SELECT, INSERT, UPDATE, DELETE ON users, tasks, idempotency_keys TO app")
        .unwrap();
    let server = Server::at(&url, &[]);
    let task = server.user("alice").create("x");
    assert_eq!(server.user("alice").list(""), [task]);
    assert_eq!(server.stranger().get("/ready").status, 200);
}

#[test]
fn the_status_of_an_empty_database_is_pending_and_creates_nothing() {
    let database = Cluster::shared().database();
    let server = Server::at(Cluster::shared().database().url(), &[]);
    let output = server.command_with(&["migrate", "status"], &[("DATABASE_URL", database.url())]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().all(|line| line.starts_with("pending")), "{text}");
    let tables =
        database.connect().query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).unwrap();
    assert_eq!(tables.get::<_, i64>(0), 0);
}

#[test]
fn an_encoding_without_all_characters_is_rejected() {
    let database = Cluster::shared().database_with("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let line = Server::misuse(database.url());
    assert!(line.contains("LATIN1") && line.contains("ENCODING 'UTF8'"), "{line}");
}

#[test]
fn an_error_that_no_retry_can_fix_ends_the_start() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    cluster.sql(&format!("CREATE ROLE app LOGIN; REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database.name()));
    for (url, code) in [
        (database.url().replace("postgres@", "app@"), "42501"),
        (database.url().replace("postgres@", "nobody@"), "28000"),
        (cluster.url("nowhere"), "3D000"),
        (format!("{}&options=-cno_such_parameter%3D1", database.url()), "42704"),
        (format!("{}&options=-cwork_mem%3Dlots", database.url()), "22023"),
    ] {
        let line = Server::refusal(&url);
        assert!(line.contains(code), "{line}");
    }
}
