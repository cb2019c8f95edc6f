//! The dashboard and the alerts in `deploy/`, with a real Prometheus.

use std::{collections::BTreeSet, fs, path::Path};

use api_tests::{Database::Postgres, Issuer, Metrics, Prometheus, Reply, Server, promtool};
use serde_json::Value;

use super::{jwks, metrics::ON};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The queries of the dashboard, with values for its variables, and of the alerts.
fn queries() -> Vec<String> {
    fn expressions(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| expressions(value, found)),
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| expressions(value, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&file("deploy/grafana.json")).unwrap(), &mut found);
    assert!(found.len() > 30, "{}", found.len());
    let panels = found.len();
    expressions(&serde_yaml::from_str(&file("deploy/alerts.yaml")).unwrap(), &mut found);
    assert!(found.len() > panels + 10, "{}", found.len());
    let variables = [("$__rate_interval", "1m"), ("$job", ".*"), ("$instance", ".*")];
    found
        .iter()
        .map(|query| variables.iter().fold(query.clone(), |text, (name, value)| text.replace(name, value)))
        .collect()
}

/// All names in a text that could be those of metrics or labels.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn is_metric(word: &&str) -> bool {
    let ours = ["http_server_", "db_client_", "todo_api_", "process_"].iter().any(|prefix| word.starts_with(prefix));
    ours && !["db_client_connection_pool_name", "db_client_connection_state"].contains(word)
}

#[test]
fn promtool_finds_no_fault_in_the_metrics_and_the_alerts() {
    let key = jwks::key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    for server in [jwks::server(&issuer, &[ON]), Server::with(Postgres, &[ON])] {
        drop(server.user("alice").get("/api/tasks"));
        let metrics = Metrics::of(&server);
        let checked = promtool(&["check", "metrics"], &metrics.0);
        assert!(checked.status.success() && checked.stdout.is_empty() && checked.stderr.is_empty(), "{checked:?}");
    }
    let checked = promtool(&["check", "rules", "deploy/alerts.yaml"], "");
    assert!(checked.status.success(), "{checked:?}");
    let tested = promtool(&["test", "rules", "api-tests/alerts.yaml"], "");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&[tested.stdout, tested.stderr].concat()));
}

#[test]
fn prometheus_reads_the_metrics_and_knows_all_names_of_the_dashboard_and_the_alerts() {
    let key = jwks::key("1");
    let issuer = Issuer::start(Reply::keys([&key]));
    let (sqlite, postgres) = (jwks::server(&issuer, &[ON]), Server::with(Postgres, &[ON]));
    let token = key.token(&issuer.claims("alice"));
    for (server, count) in [(&sqlite, 5), (&postgres, 3)] {
        let alice = if count == 5 { server.stranger().with_token(&token) } else { server.user("alice") };
        alice.create("x");
        for _ in 0..count {
            assert_eq!(alice.list("").len(), 1);
        }
        assert_eq!(server.stranger().get("/api/tasks").status, 401);
    }
    let address = [&sqlite, &postgres].map(Metrics::address);
    let prometheus = Prometheus::of(&address);
    prometheus.wait_for("count(up{job=\"todo-api\"} == 1)", 2.0);
    for (instance, count) in [(&address[0], 5.0), (&address[1], 3.0)] {
        let labels = format!("instance=\"{instance}\", http_route=\"/api/tasks\"");
        let count_of = |more: &str| format!("http_server_request_duration_seconds_count{{{labels}, {more}}}");
        prometheus.wait_for(&count_of("http_request_method=\"GET\", http_response_status_code=\"200\""), count);
        prometheus.wait_for(&count_of("http_request_method=\"POST\", http_response_status_code=\"201\""), 1.0);
        prometheus.wait_for(&count_of("http_response_status_code=\"401\""), 1.0);
        prometheus
            .wait_for(&format!("todo_api_refusals_total{{instance=\"{instance}\", reason=\"token_missing\"}}"), 1.0);
    }

    let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::from(["job".to_owned(), "instance".to_owned()]));
    for sample in prometheus.query("{job=\"todo-api\"}") {
        for (label, value) in sample["metric"].as_object().unwrap() {
            if label == "__name__" {
                names.insert(value.as_str().unwrap().to_owned())
            } else {
                labels.insert(label.clone())
            };
        }
    }
    for query in queries() {
        // Fails if it is not valid.
        prometheus.query(&query);
        for name in words(&query).filter(is_metric) {
            assert!(names.contains(name) || labels.contains(name), "no server has {name}: {query}");
        }
        // What stands between braces before an operator, or in a list of labels, is a label.
        let matched = query.split(['{', '}']).skip(1).step_by(2).flat_map(|matchers| matchers.split("\", "));
        let matched = matched.filter_map(|matcher| matcher.split(['=', '!', '~']).next());
        let lists = ["by (", "on ("].into_iter().flat_map(|start| query.split(start).skip(1));
        let listed = lists.flat_map(|rest| words(rest.split(')').next().unwrap())).filter(|word| !word.is_empty());
        for label in matched.chain(listed) {
            assert!(labels.contains(label.trim()), "no metric has the label {label}: {query}");
        }
    }
    for name in words(&file("api-tests/alerts.yaml")).chain(words(&file("docs/operation.md"))).filter(is_metric) {
        let fits = |known: &String| {
            known == name || ["_bucket", "_count", "_sum"].iter().any(|end| *known == format!("{name}{end}"))
        };
        assert!(names.iter().any(fits) || labels.contains(name), "no server has {name}");
    }
    // The guide has every metric.
    let guide = file("docs/operation.md");
    for name in names.iter().filter(|name| is_metric(&name.as_str())) {
        let name = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(guide.contains(&format!("`{name}`")), "docs/operation.md does not explain {name}");
    }
    // One that cannot be reached fires the first alert.
    drop(sqlite);
    prometheus.wait_for(&format!("up{{instance=\"{}\"}}", address[0]), 0.0);
}
