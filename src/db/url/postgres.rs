//! The URL of a PostgreSQL server, in the forms of libpq, Prisma, Neon, Supabase and others.
//!
//! tokio-postgres does not parse it, because it would take a part of a password with an `@` or `/` as a host, and
//! errors would contain it. It also reads some parameters differently from libpq.

use std::{borrow::Cow, fmt::Write, net::IpAddr, path::PathBuf, time::Duration};

use tokio_postgres::{
    Config,
    config::{ChannelBinding, Host, SslMode, TargetSessionAttrs},
};

use super::{
    PostgresServer, Tls, is_encoded,
    parameters::{self, Parameters},
};

/// Time to connect: the default, and the maximum.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const LONGEST_CONNECT_TIMEOUT: Duration = Duration::from_hours(1);
const DEFAULT_PORT: &str = "5432";

type Problem = Cow<'static, str>;

/// Parses the URL after the scheme and its slashes.
pub(super) fn parse(rest: &str) -> Result<PostgresServer, Problem> {
    check(rest)?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut parameters = Parameters::parse(query)?;
    let tls = tls(&mut parameters)?;
    let mut config = Config::new();
    let mut text = |name, default| match parameters.take(name) {
        Some(value) => Ok(value),
        None => parameters::decode(default, name),
    };
    let (user, password, database) = (text("user", user)?, text("password", password)?, text("dbname", database)?);
    if user.contains(':') {
        return Err("has a user with a percent-encoded colon; write the colon before the password as it is".into());
    }
    if !user.is_empty() {
        config.user(user);
    }
    if !password.is_empty() {
        config.password(password);
    }
    if !database.is_empty() {
        config.dbname(database);
    }
    let name = parameters.take("application_name").or_else(|| parameters.take("fallback_application_name"));
    config.application_name(name.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()));
    if let Some(options) = options(&mut parameters)? {
        config.options(options);
    }
    config.channel_binding(match parameters.take("channel_binding").as_deref() {
        None | Some("prefer") => ChannelBinding::Prefer,
        Some("disable") => ChannelBinding::Disable,
        Some("require") if tls == Tls::Off => return Err("has channel_binding=require, but sslmode=disable".into()),
        Some("require") => ChannelBinding::Require,
        Some(_) => return Err("has a channel_binding other than disable, prefer and require".into()),
    });
    config.target_session_attrs(match parameters.take("target_session_attrs").as_deref() {
        None | Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
        Some("any") => TargetSessionAttrs::Any,
        _ => return Err("has a target_session_attrs other than read-write, primary and any".into()),
    });
    keep_alive(&mut config, &mut parameters)?;
    let connect_timeout = match parameters.number("connect_timeout")? {
        None => CONNECT_TIMEOUT,
        // In libpq, 0 means no limit.
        Some(0) => LONGEST_CONNECT_TIMEOUT,
        Some(seconds) => Duration::from_secs(seconds).min(LONGEST_CONNECT_TIMEOUT),
    };
    let hosts = each_host(&config, hosts, &mut parameters, &tls)?;
    parameters.rest()?;
    Ok(PostgresServer { hosts, connect_timeout, tls })
}

/// Rejects ambiguous URLs: a part of a password could look like a host, and errors contain hosts.
fn check(rest: &str) -> Result<(), &'static str> {
    let login = rest.rfind('@');
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest.matches('@').count() > 1 || login.is_some_and(|at| at > end) {
        return Err("can be read in two ways: percent-encode @ as %40, / as %2F, ? as %3F and # as %23 in its user, \
                    password and parameters");
    }
    if rest.contains('#') {
        return Err("has a #: percent-encode it as %23");
    }
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has white space or a control character: percent-encode a space as %20");
    }
    if rest.match_indices('%').any(|(at, _)| !is_encoded(rest, at)) {
        return Err("has a % without two hexadecimal digits after it: percent-encode a % as %25");
    }
    if rest.contains("%00") {
        return Err("has a %00, which PostgreSQL does not accept");
    }
    Ok(())
}

fn tls(parameters: &mut Parameters) -> Result<Tls, Problem> {
    let mode = parameters.take("sslmode");
    let mode = mode.as_deref().unwrap_or("require");
    let authorities = parameters.take("sslrootcert").filter(|file| file != "system" || mode == "verify-ca");
    if authorities.as_deref() == Some("system") {
        return Err("has sslrootcert=system, which needs sslmode=verify-full".into());
    }
    let authorities = authorities.map(PathBuf::from);
    match mode {
        "disable" if authorities.is_none() => Ok(Tls::Off),
        "disable" => Err("has sslrootcert, but sslmode=disable".into()),
        "require" | "verify-full" => Ok(Tls::On { verify_host: true, authorities }),
        "verify-ca" => Ok(Tls::On { verify_host: false, authorities }),
        "prefer" | "allow" => Err("has an sslmode that may fall back to plain text; write require or disable".into()),
        "no-verify" => {
            Err("has an sslmode that trusts any server; write verify-ca with the server's authority as sslrootcert"
                .into())
        }
        _ => Err("has an sslmode other than disable, require, verify-ca and verify-full".into()),
    }
}

/// `options`, with Prisma's parameter `schema` added.
fn options(parameters: &mut Parameters) -> Result<Option<String>, Problem> {
    let options = parameters.take("options");
    // `public` is the default, and poolers reject `options`.
    let Some(schema) = parameters.take("schema").filter(|schema| schema != "public") else { return Ok(options) };
    if options.as_ref().is_some_and(|options| options.contains("search_path")) {
        return Err("has schema and also a search_path in options; leave one out".into());
    }
    let mut options = options.map_or_else(String::new, |options| options + " ");
    options.push_str("-csearch_path=\"");
    for c in schema.chars() {
        match c {
            '"' => options.push_str("\"\""),
            // White space separates options.
            '\\' => options.push_str("\\\\"),
            c if c.is_whitespace() => drop(write!(options, "\\{c}")),
            c => options.push(c),
        }
    }
    options.push('"');
    Ok(Some(options))
}

/// Makes the kernel notice soon if a host is silent. The URL may set other times.
fn keep_alive(config: &mut Config, parameters: &mut Parameters) -> Result<(), Problem> {
    let mut seconds = |name, default| {
        let set = parameters.number(name)?.filter(|seconds| *seconds > 0);
        Ok::<_, Problem>(Duration::from_secs(set.unwrap_or(default).min(i16::MAX.unsigned_abs().into())))
    };
    config.keepalives_idle(seconds("keepalives_idle", 10)?).keepalives_interval(seconds("keepalives_interval", 5)?);
    let (count, retries) = (parameters.number("keepalives_count")?, parameters.number("keepalives_retries")?);
    let count = count.or(retries).filter(|count| *count > 0).unwrap_or(3);
    config.keepalives_retries(count.min(i8::MAX.unsigned_abs().into()).try_into().unwrap_or(3));
    config.keepalives(parameters.number("keepalives")? != Some(0));
    // In milliseconds, as in libpq.
    let limit = parameters.number("tcp_user_timeout")?.filter(|limit| *limit > 0).unwrap_or(15_000);
    config.tcp_user_timeout(Duration::from_millis(limit.min(i32::MAX.unsigned_abs().into())));
    Ok(())
}

/// One configuration for each host. tokio-postgres could try them all by itself, but limits only the time of the TCP
/// handshake.
fn each_host(config: &Config, authority: &str, parameters: &mut Parameters, tls: &Tls) -> Result<Vec<Config>, Problem> {
    let split = |list: Option<String>| {
        list.map_or_else(Vec::new, |list| list.split(',').map(str::to_owned).collect::<Vec<_>>())
    };
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for entry in authority.split(',').filter(|_| !authority.is_empty()) {
        // A colon within brackets belongs to an IPv6 address.
        let colon = entry.rfind(':').filter(|colon| entry.rfind(']').is_none_or(|bracket| bracket < *colon));
        let (host, port) = colon.map_or((entry, ""), |colon| {
            let (host, port) = entry.split_at(colon);
            (host, port.trim_start_matches(':'))
        });
        if host.contains(':') && !host.starts_with('[') {
            return Err("has a host with a colon; write an IPv6 address in brackets, such as [::1]".into());
        }
        hosts.push(parameters::decode(host, "host")?);
        ports.push(parameters::decode(port, "port")?);
    }
    let (named, addresses) = (split(parameters.take("host")), split(parameters.take("hostaddr")));
    if !named.is_empty() {
        hosts = named;
    }
    let given = split(parameters.take("port"));
    if !given.is_empty() {
        ports = given;
    }
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err("names no host; for the socket of a server on this machine add ?host=/var/run/postgresql".into());
    }
    if !addresses.is_empty() && !hosts.is_empty() && addresses.len() != hosts.len() {
        return Err("names as many hostaddr as hosts, or none".into());
    }
    if hosts.is_empty() && *tls != Tls::Off {
        return Err("has hostaddr without host: TLS needs a name to verify".into());
    }
    if ports.len() > 1 && ports.len() != count {
        return Err("names a port for some of its hosts only; name one for each, or one for all".into());
    }
    let one = |n: usize| {
        let mut one = config.clone();
        one.ssl_mode(if *tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
        match hosts.get(n).map(|name| host(name)).transpose()? {
            // No TLS on a Unix socket.
            Some(Host::Unix(folder)) => drop(one.host_path(folder).ssl_mode(SslMode::Disable)),
            Some(Host::Tcp(name)) => drop(one.host(name)),
            None => {}
        }
        if let Some(address) = addresses.get(n) {
            one.hostaddr(address.parse().map_err(|_| "has a hostaddr that is not an IP address")?);
        }
        let port = ports.get(n).or(ports.first()).filter(|port| !port.is_empty());
        let port = port.map_or(DEFAULT_PORT, String::as_str).parse().ok().filter(|port| *port > 0);
        one.port(port.ok_or("has a port that is not a number from 1 to 65535")?);
        Ok(one)
    };
    (0..count).map(one).collect()
}

fn host(name: &str) -> Result<Host, Problem> {
    if name.starts_with('/') {
        return Ok(Host::Unix(PathBuf::from(name)));
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Some(address) = address.filter(|address| address.parse::<IpAddr>().is_ok()) {
        return Ok(Host::Tcp(address.to_owned()));
    }
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) && !name.is_empty();
    if is_name || name.parse::<IpAddr>().is_ok() {
        return Ok(Host::Tcp(name.to_owned()));
    }
    Err("has a host that is neither a name, an IP address (IPv6 in brackets) nor an absolute path".into())
}
