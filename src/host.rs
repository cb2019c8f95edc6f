//! Host names and addresses that can exist.

use url::{Host, Url};

/// Whether the URL has an IP address, or a name of letters, digits, `-` and `_`. The URL standard takes more, such as a `$`
/// before the name of a variable, which no name server knows.
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
