//! URLs in the forms of providers and other programs.

use api_tests::{Cluster, PostgresDatabase, Server};

/// Serves the database with another URL.
fn serves(database: &PostgresDatabase, url: &str) -> Server {
    let server = Server::at(url, &[]);
    let task = server.user("alice").create("x");
    assert_eq!(server.user("alice").list(""), [task], "{url}");
    let name = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'todo-api'";
    let connections: i64 = database.connect().query_one(name, &[&database.name()]).unwrap().get(0);
    assert!(connections > 0, "{url}");
    server
}

#[test]
fn a_server_can_be_reached_over_a_unix_socket() {
    // Relative to its data directory.
    let cluster = Cluster::start(&["unix_socket_directories=.."]);
    let (folder, port) = (cluster.folder(), cluster.port());
    let encoded = folder.replace('/', "%2F");
    for address in [
        |name: &str, folder: &str, _: &str, port: u16| {
            format!("postgresql:///{name}?host={folder}&port={port}&user=postgres")
        },
        |name: &str, _: &str, encoded: &str, port: u16| {
            format!("postgres://postgres@{encoded}:{port}/{name}?sslmode=require&channel_binding=prefer")
        },
    ] {
        let database = cluster.database();
        let server = serves(&database, &address(database.name(), folder, &encoded, port));
        let local = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'todo-api' AND client_addr IS NULL";
        let sockets: i64 = database.connect().query_one(local, &[]).unwrap().get(0);
        assert!(sockets > 0, "{:?}", server.log());
    }
}

#[test]
fn the_tables_are_in_the_schema_of_the_url() {
    for (schema, query) in [
        ("app", "schema=app"),
        ("My \"odd\\ Schema", "schema=My%20%22odd%5C%20Schema"),
        ("app", "schema=app&options=-cwork_mem%3D8MB"),
        ("public", "schema=public"),
    ] {
        let database = Cluster::shared().database();
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        database.connect().batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {quoted}")).unwrap();
        drop(serves(&database, &format!("{}&{query}", database.url())));
        let tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('tasks', 'users')";
        let found: Vec<String> =
            database.connect().query(tables, &[]).unwrap().iter().map(|table| table.get(0)).collect();
        assert_eq!(found, [schema], "{query}");
    }
}

#[test]
fn parameters_of_other_drivers_are_ignored() {
    for query in [
        "pgbouncer=true&connection_limit=1&pool_timeout=0&statement_cache_size=0&schema=public",
        "supa=base-pooler.x&uselibpqcompat=true&gssencmode=disable&load_balance_hosts=disable",
        "connect_timeout=0&keepalives=1&keepalives_idle=30&keepalives_count=3&tcp_user_timeout=10000&",
        "client_encoding=UTF8&timezone=Europe%2FBerlin&target_session_attrs=primary&fallback_application_name=todo-api",
        "application_name=todo-api&options=-csearch_path%3Dpublic&sslcert=&sslkey=",
    ] {
        let database = Cluster::shared().database();
        drop(serves(&database, &format!("{}&{query}", database.url())));
    }
}

#[test]
fn no_log_line_contains_a_part_of_a_password() {
    for url in [
        "postgresql://u:PASSWORD%40PRIVATE%2Fx@127.0.0.1:1/d?sslmode=disable",
        "postgresql://u:PASSWORD@no-such-host.invalid/d",
        "postgresql:///d?user=u&password=PASSWORD%26PRIVATE&host=/no/such/folder",
    ] {
        let server = Server::at(url, &[("RUST_LOG", "trace")]);
        assert_eq!(server.stranger().get("/ready").status, 503);
        let log = server.log().join("\n");
        assert!(!log.contains("PASSWORD") && !log.contains("PRIVATE"), "{log}");
    }
}
