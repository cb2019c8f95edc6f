//! The configuration of traces, by the variables of OpenTelemetry.

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{ConfigError, Settings, Variable, auth};
use crate::telemetry::traces::Config;

/// What follows the address of a collector.
const PATH: &str = "v1/traces";
const LONGEST_TIMEOUT: usize = 3_600_000;

const OTEL_EXPORTER_OTLP_ENDPOINT: Variable = Variable::new(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "URL",
    "URL of an OpenTelemetry collector that takes traces by OTLP over HTTP, at /v1/traces below it",
)
.absent("none")
.example("http://127.0.0.1:4318");
const OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Variable =
    Variable::new("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "URL", "The whole URL for traces, if it is another one")
        .example("http://127.0.0.1:4318/v1/traces");
const OTEL_EXPORTER_OTLP_HEADERS: Variable = Variable::new(
    "OTEL_EXPORTER_OTLP_HEADERS",
    "HEADERS",
    "Headers for the collector, such as a key, separated by commas; values are percent-encoded",
)
.example("api-key=KEY");
const OTEL_EXPORTER_OTLP_TIMEOUT: Variable =
    Variable::new("OTEL_EXPORTER_OTLP_TIMEOUT", "MILLISECONDS", "Time for the collector to take traces")
        .default("10000");
const OTEL_SERVICE_NAME: Variable =
    Variable::new("OTEL_SERVICE_NAME", "NAME", "Name of this server in traces").default("todo-api");
const OTEL_TRACES_SAMPLER: Variable = Variable::new(
    "OTEL_TRACES_SAMPLER",
    "SAMPLER",
    "Traces to export: always_on, always_off or traceidratio; with parentbased_ before it only those without a caller, \
     and the caller decides on the others",
)
.default("parentbased_always_on");
const OTEL_TRACES_SAMPLER_ARG: Variable =
    Variable::new("OTEL_TRACES_SAMPLER_ARG", "RATIO", "The share of traces for traceidratio, from 0 to 1")
        .default("1")
        .example("0.1");

/// The variables of traces.
pub const TRACES: &[&Variable] = &[
    &OTEL_EXPORTER_OTLP_ENDPOINT,
    &OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    &OTEL_EXPORTER_OTLP_HEADERS,
    &OTEL_EXPORTER_OTLP_TIMEOUT,
    &OTEL_SERVICE_NAME,
    &OTEL_TRACES_SAMPLER,
    &OTEL_TRACES_SAMPLER_ARG,
];

/// The configuration, if there is an address. Checks all variables in any case.
pub(super) fn read(settings: &mut Settings) -> Result<Option<Config>, ConfigError> {
    let base = settings.address(&OTEL_EXPORTER_OTLP_ENDPOINT)?.map(|mut base| {
        let path = format!("{}/{PATH}", base.path().trim_end_matches('/'));
        base.set_path(&path);
        base
    });
    let url = settings.address(&OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)?.or(base);
    let headers = headers(&settings.get(&OTEL_EXPORTER_OTLP_HEADERS)?.unwrap_or_default())?;
    let timeout = settings.number(&OTEL_EXPORTER_OTLP_TIMEOUT, LONGEST_TIMEOUT)?;
    let timeout = Duration::from_millis(timeout.try_into().unwrap_or(u64::MAX));
    let service = settings.get(&OTEL_SERVICE_NAME)?.unwrap_or_default();
    let sampler = sampler(settings)?;
    let Some(url) = url else { return Ok(None) };
    let url = Uri::try_from(url.as_str())
        .map_err(|error| OTEL_EXPORTER_OTLP_ENDPOINT.invalid(format!("cannot be used: {error}")))?;
    Ok(Some(Config { url, headers, timeout, authorities: auth::authorities(settings)?, service, sampler }))
}

/// Parses `name=value,name=value`. The values may be secret.
fn headers(list: &str) -> Result<HeaderMap, ConfigError> {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let header = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        let bytes: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&bytes).ok()?;
        // `Debug` leaves it out.
        value.set_sensitive(true);
        Some((name.trim().parse::<HeaderName>().ok()?, value))
    };
    let problem = "is not a list of NAME=VALUE, with the names and values of headers";
    entries.map(|entry| header(entry).ok_or_else(|| OTEL_EXPORTER_OTLP_HEADERS.invalid(problem))).collect()
}

fn sampler(settings: &mut Settings) -> Result<Sampler, ConfigError> {
    let ratio = settings.get(&OTEL_TRACES_SAMPLER_ARG)?.and_then(|ratio| ratio.parse().ok());
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    let ratio = ratio.ok_or_else(|| OTEL_TRACES_SAMPLER_ARG.invalid("is not a number from 0 to 1"))?;
    let name = settings.get(&OTEL_TRACES_SAMPLER)?.unwrap_or_default();
    let (root, asks_parent) = name.strip_prefix("parentbased_").map_or((name.as_str(), false), |root| (root, true));
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => {
            let problem = "is not always_on, always_off or traceidratio, with or without parentbased_ before it";
            return Err(OTEL_TRACES_SAMPLER.invalid(problem));
        }
    };
    Ok(if asks_parent { Sampler::ParentBased(Box::new(root)) } else { root })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_header_is_not_in_debug() {
        let headers = headers("api-key=geheim%20x, other = y").unwrap();
        assert_eq!((headers["api-key"].as_bytes(), headers["other"].as_bytes()), (&b"geheim x"[..], &b"y"[..]));
        assert!(!format!("{headers:?}").contains("geheim"));
    }
}
