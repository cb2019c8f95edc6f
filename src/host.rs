//! Checks of host names.

use url::{Host, Url};

/// Whether the host is an IP address, or a name of letters, digits, `-` and `_`. The URL standard allows more, such as
/// the `$` of a variable that was not replaced.
#[must_use]
pub(crate) fn is_possible(url: &Url) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match url.host() {
        Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name).split('.').all(is_label),
        host => host.is_some(),
    }
}
