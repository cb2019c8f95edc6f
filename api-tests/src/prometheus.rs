//! A real Prometheus, and the metrics that a server shows to it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Server;

/// Time limit, on a loaded machine, for anything that should happen at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything that the metrics of a server say at a moment.
#[derive(Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// The address of a server's metrics.
    pub fn address(server: &Server) -> String {
        server.wait_for_log(|line| {
            (line["message"] == "serving metrics").then(|| line["address"].as_str().unwrap().to_owned())
        })
    }

    /// The metrics of a server.
    pub fn of(server: &Server) -> Self {
        Self::at(&Self::address(server))
    }

    /// The metrics at an address.
    pub fn at(address: &str) -> Self {
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
        Self(text.to_owned())
    }

    /// Reads the metrics of a server until they fulfil this.
    pub fn when(server: &Server, is_so: impl Fn(&Self) -> bool) -> Self {
        let (since, address) = (Instant::now(), Self::address(server));
        loop {
            let metrics = Self::at(&address);
            if is_so(&metrics) {
                return metrics;
            }
            assert!(since.elapsed() < PATIENCE, "{}", metrics.0);
        }
    }

    /// All series, without their values.
    pub fn series(&self) -> BTreeSet<&str> {
        self.samples().map(|(series, _)| series).collect()
    }

    /// The sum of all series of this name with these labels, such as `reason="malformed"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.values(name, labels).map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// As [`Metrics::sum`], of whole numbers.
    pub fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.values(name, labels).map(|value| value.parse::<u64>().unwrap()).sum()
    }

    fn values(&self, name: &str, labels: &[&str]) -> impl Iterator<Item = &str> {
        let fits = move |series: &str| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        };
        self.samples().filter(move |(series, _)| fits(series)).map(|(_, value)| value)
    }

    fn samples(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap())
    }
}

/// Sends a request, and reads until the end of the connection.
pub fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Runs promtool with this input.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(root).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A Prometheus that reads the metrics of some servers each second. It ends when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Begins to read the metrics at these addresses.
    pub fn of(targets: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let job = serde_json::json!({ "job_name": "todo-api", "static_configs": [{ "targets": targets }] });
        let config = serde_json::json!({ "global": { "scrape_interval": "1s" }, "scrape_configs": [job] });
        // JSON is YAML.
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
        let mut child = command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                if let Some((_, address)) = line.split_once("msg=\"Listening on\" address=") {
                    drop(found.send(address.trim().to_owned()));
                }
            }
        });
        let address = address.recv_timeout(PATIENCE).unwrap();
        Self { child, address, _folder: folder }
    }

    /// The result of a query. Fails if it is not valid.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let encoded = query.bytes().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02x}").unwrap();
            text
        });
        let since = Instant::now();
        loop {
            let answer = ask(&self.address, &format!("GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            // It starts.
            if !head.contains(" 503 ") {
                let body: Value = serde_json::from_str(body).unwrap();
                assert_eq!(body["status"], "success", "{query}: {body}");
                return body["data"]["result"].as_array().unwrap().clone();
            }
            assert!(since.elapsed() < PATIENCE, "{answer}");
        }
    }

    /// The value of a query with one result; 0 without one.
    pub fn value(&self, query: &str) -> f64 {
        let result = self.query(query);
        assert!(result.len() <= 1, "{query}: {result:?}");
        result.first().map_or(0.0, |sample| sample["value"][1].as_str().unwrap().parse().unwrap())
    }

    /// Repeats a query until it has this value.
    pub fn wait_for(&self, query: &str, value: f64) {
        let since = Instant::now();
        while (self.value(query) - value).abs() > f64::EPSILON {
            assert!(since.elapsed() < PATIENCE, "{query} is not {value}: {:?}", self.query(query));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
