//! An `HAProxy` in front of servers.

use std::{
    fmt::Write,
    fs,
    net::TcpStream,
    process::{Child, Command},
    thread,
};

use crate::{Client, free_port, token};

/// An `HAProxy`. It ends when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Balancer {
    /// A balancer for these ports. It checks `/ready` of each, and adds the address of the client to `X-Forwarded-For`.
    pub fn start(servers: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut settings = format!(
            "global\n  maxconn 1000\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n\
             frontend api\n  bind 127.0.0.1:{port}\n  default_backend servers\n\
             backend servers\n  balance roundrobin\n  option httpchk GET /ready\n  option redispatch\n  option forwardfor\n  default-server check inter 200ms fall 2 rise 1\n"
        );
        for (n, server) in servers.iter().enumerate() {
            writeln!(settings, "  server s{n} 127.0.0.1:{server}").unwrap();
        }
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, settings).unwrap();
        let process =
            Command::new("haproxy").args(["-q", "-db", "-f"]).arg(file).spawn().expect("haproxy is installed");
        let address = format!("127.0.0.1:{port}");
        while TcpStream::connect(&address).is_err() {
            thread::yield_now();
        }
        Self { process, address, _folder: folder }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client with a token of this user.
    pub fn user(&self, user: &str) -> Client {
        Client::new(&self.address, Some(token(user)))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
