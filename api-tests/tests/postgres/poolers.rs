use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    thread,
};

use api_tests::{Cluster, Method, Server};
use serde_json::json;

/// A PgBouncer that pools transactions, in front of a cluster.
struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn start(cluster: &Cluster) -> Self {
        let program = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/pgbouncer")).output().unwrap();
        assert!(program.status.success(), "{program:?}");
        let program = String::from_utf8(program.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (settings, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users.txt"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {}\npool_mode = transaction\nmax_prepared_statements = 200\n\
                 default_pool_size = 5\nmax_client_conn = 200\n",
                cluster.port(),
                users.display()
            ),
        )
        .unwrap();
        // PgBouncer refuses to run as root.
        let readable = Command::new("chmod").args(["--recursive", "a+rX"]).arg(folder.path()).status().unwrap();
        assert!(readable.success());
        let mut command = Command::new("setpriv");
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        let process = command.arg(program.trim()).arg("--quiet").arg(settings).spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::yield_now();
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn ten_thousand_mixed_requests_go_through_a_pooler_of_transactions_without_an_error() {
    let cluster = Cluster::start(&[]);
    let database = cluster.database();
    let pooler = Pooler::start(&cluster);
    let url = database.url().replace(&format!(":{}", cluster.port()), &format!(":{}", pooler.port));
    // The migrations go through it, too.
    let servers = [Server::at(&url, &[]), Server::at(&url, &[])];
    thread::scope(|scope| {
        for worker in 0..8 {
            let client = servers[worker % 2].user(&format!("user {}", worker / 2));
            scope.spawn(move || {
                for n in 0..125 {
                    let created = client.create_with_key(&format!("{worker}-{n}"), &json!({ "title": n.to_string() }));
                    assert_eq!(created.status, 201);
                    let path = created.header("location");
                    assert_eq!(client.get(path).status, 200);
                    assert_eq!(client.put(path, &json!({ "description": "x" })).status, 200);
                    assert_eq!(client.patch(&format!("{path}/complete"), None).status, 200);
                    let stale = client.request(Method::DELETE, path).header("If-Match", "\"1\"");
                    assert_eq!(client.send(stale).status, 412);
                    for sort in ["created", "title", "due_date"] {
                        assert_eq!(client.get(&format!("/api/tasks?sort={sort}&limit=5&status=completed")).status, 200);
                    }
                    assert_eq!(client.get("/api/tasks?limit=5").status, 200);
                    assert_eq!(
                        if n % 2 == 0 { client.delete(path).status } else { client.get(path).status },
                        if n % 2 == 0 { 204 } else { 200 }
                    );
                }
            });
        }
    });
    for server in &servers {
        let log = server.log();
        assert!(
            log.iter().all(|line| line.contains("\"INFO\"")),
            "{:#?}",
            log.iter().find(|line| !line.contains("\"INFO\""))
        );
    }
}
