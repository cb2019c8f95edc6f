//! The parameters of a PostgreSQL URL: the server uses some, ignores some that have no effect here, and rejects the
//! others with a reason.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

type Problem = Cow<'static, str>;

/// Parameters that [`super::postgres`] uses.
const USED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "schema",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters of other drivers, their pools and session poolers. They have no effect here.
const WITHOUT_EFFECT: &[&str] = &[
    "connection_limit",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "pgbouncer",
    "pool_timeout",
    "prepared_statement_cache_size",
    "prepare_threshold",
    "socket_timeout",
    "statement_cache_size",
    "supa",
    "timezone",
    "uselibpqcompat",
    "workaround",
];

/// Parameters with one possible behaviour here: the values that ask for it, and the reason why others are rejected.
const FIXED: &[(&str, &[&str], &str)] = &[
    ("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8", "auto"], "text is always UTF-8"),
    ("gssencmode", &["disable", "prefer"], "GSSAPI is not supported"),
    ("load_balance_hosts", &["disable"], "hosts are tried in their order"),
    ("requiressl", &["1"], "write sslmode=disable for plain text"),
    ("ssl", &["true", "1", "require", "verify-full"], "write sslmode=disable for plain text"),
    ("ssl_max_protocol_version", &["TLSv1.3"], "TLS 1.2 and 1.3 are offered"),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"], "TLS 1.2 and 1.3 are offered"),
    ("sslaccept", &["strict"], "certificates are always verified; name the server's authority as sslrootcert"),
    ("sslcertmode", &["disable", "allow"], CLIENT_CERTIFICATE),
    ("sslcompression", &["0"], "TLS is never compressed"),
    ("sslnegotiation", &["postgres"], "TLS is negotiated by PostgreSQL's own request"),
    ("sslsni", &["1"], "the host's name is always sent"),
];

/// Unsupported parameters, each with the reason or the alternative.
const REJECTED: &[(&str, &str)] = &[
    ("currentSchema", "write schema="),
    ("endpoint", "write options=endpoint%3D"),
    ("passfile", "the password must be in the URL"),
    ("project", "write options=project%3D"),
    ("replication", "this server is not a replica"),
    ("require_auth", "write channel_binding=require, which rejects weaker methods"),
    ("search_path", "write schema="),
    ("service", SERVICE),
    ("servicefile", SERVICE),
    ("sslcert", CLIENT_CERTIFICATE),
    ("sslcrl", REVOCATION),
    ("sslcrldir", REVOCATION),
    ("sslidentity", CLIENT_CERTIFICATE),
    ("sslkey", CLIENT_CERTIFICATE),
    ("sslpassword", CLIENT_CERTIFICATE),
    ("statement_timeout", "set it for the role: ALTER ROLE … SET statement_timeout"),
];

const CLIENT_CERTIFICATE: &str = "client certificates are not supported; use a password";
const REVOCATION: &str = "revocation lists are not supported";
const SERVICE: &str = "service files are not read; write the address into the URL";

/// The query of a URL, decoded, without empty values.
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut found = Vec::<(&'static str, String)>::new();
        for (n, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unknown = || {
                // The name may be the rest of a password with an `&`, so the error does not always contain it.
                let secret = found.iter().any(|(name, _)| name.ends_with("password"));
                let is_name =
                    (1..40).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let which = if is_name && pair.contains('=') && !secret {
                    name.to_owned()
                } else {
                    format!("parameter number {}", n + 1)
                };
                format!("has {which}, which is unknown here; leave it out, or percent-encode an & as %26")
            };
            let name = known(name).ok_or_else(unknown)?;
            if found.iter().any(|(other, _)| *other == name) {
                return Err(format!("has {name} twice").into());
            }
            found.push((name, decode(value, name)?));
        }
        // Empty parameters count as not set.
        found.retain(|(_, value)| !value.is_empty());
        Ok(Self(found))
    }

    /// Removes a parameter and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Removes a parameter whose value is a whole number.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        let wrong = |_| format!("has a {name} that is not a whole number");
        Ok(self.take(name).map(|value| value.parse()).transpose().map_err(wrong)?)
    }

    /// Checks the parameters that have not been removed.
    pub(super) fn rest(self) -> Result<(), Problem> {
        for (name, value) in self.0 {
            if let Some((_, reason)) = REJECTED.iter().find(|(rejected, _)| *rejected == name) {
                return Err(format!("has {name}: {reason}").into());
            }
            let fixed = FIXED.iter().find(|(fixed, _, _)| *fixed == name);
            if let Some((_, values, reason)) = fixed.filter(|(_, values, _)| !values.contains(&value.as_str())) {
                return Err(format!("has {name} with a value other than {}: {reason}", values.join(", ")).into());
            }
        }
        Ok(())
    }
}

fn known(name: &str) -> Option<&'static str> {
    let names = USED.iter().chain(WITHOUT_EFFECT).copied();
    let names = names.chain(FIXED.iter().map(|(fixed, _, _)| *fixed)).chain(REJECTED.iter().map(|(name, _)| *name));
    let name = percent_decode_str(name).decode_utf8().ok()?;
    // libpq's names are in lower case, but `TimeZone` is PostgreSQL's own.
    names.into_iter().find(|known| name.eq_ignore_ascii_case(known))
}

pub(super) fn decode(text: &str, name: &'static str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| format!("has a {name} that is not UTF-8").into())
}
