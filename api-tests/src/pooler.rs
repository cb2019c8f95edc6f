//! A `PgBouncer` in front of a cluster.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command},
    thread,
};

use crate::{Cluster, free_port};

/// A `PgBouncer` in transaction mode. It ends when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// A pooler with five connections for each database, and these additional settings.
    pub fn start(cluster: &Cluster, settings: &[&str]) -> Self {
        let program = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/pgbouncer")).output().unwrap();
        assert!(program.status.success(), "{program:?}");
        let program = String::from_utf8(program.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (file, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users.txt"));
        let port = free_port();
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        fs::write(
            &file,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {}\npool_mode = transaction\nmax_prepared_statements = 200\n\
                 default_pool_size = 5\nmax_client_conn = 200\n{}\n",
                cluster.port(),
                users.display(),
                settings.join("\n")
            ),
        )
        .unwrap();
        // PgBouncer does not run as root.
        let readable = Command::new("chmod").args(["--recursive", "a+rX"]).arg(folder.path()).status().unwrap();
        assert!(readable.success());
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = Command::new("setpriv");
        if root {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
        }
        let process = command.arg(program.trim()).arg("--quiet").arg(file).spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::yield_now();
        }
        pooler
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
