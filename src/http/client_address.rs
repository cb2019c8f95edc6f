//! The address of a client, behind the proxies that the operator trusts.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::{
    Request,
    http::{HeaderMap, HeaderName},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The proxies in these networks.
    #[must_use]
    pub const fn of(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The address of the client that sent the request.
    pub(super) fn client(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.remote_addr().as_socket_addr()?.ip();
        Some(self.before(peer, request.headers()))
    }

    /// The last address that no trusted proxy has. Each proxy appends the address of its own client, so anything to the
    /// left of that address may be forged.
    fn before(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut address = peer.to_canonical();
        while self.0.iter().any(|network| network.contains(&address))
            && let Some(hop) = hops.next().and_then(parse)
        {
            address = hop;
        }
        address
    }
}

/// An entry of `X-Forwarded-For`. Some proxies add the port, and some put brackets around an IPv6 address.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let alone = hop.trim_start_matches('[').trim_end_matches(']').parse();
    alone
        .ok()
        .or_else(|| hop.parse().ok().map(|address: SocketAddr| address.ip()))
        .map(|address| address.to_canonical())
}

/// The part of an address that stands for one client: it may choose the last 64 bits of an IPv6 address.
pub(super) fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_last_one_that_no_trusted_proxy_has() {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap());
        let trusted = TrustedProxies::of(trusted.to_vec());
        for (peer, lines, client) in [
            ("192.0.2.1", vec![], "192.0.2.1"),
            ("192.0.2.1", vec!["203.0.113.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.7"], "203.0.113.7"),
            ("::ffff:10.0.0.1", vec!["::ffff:203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec!["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", vec!["198.51.100.1,203.0.113.7 , 10.9.9.9,2001:db8:1::5"], "203.0.113.7"),
            ("10.0.0.1", vec!["198.51.100.1", "203.0.113.7", "10.9.9.9"], "203.0.113.7"),
            ("10.0.0.1", vec!["203.0.113.7:4711"], "203.0.113.7"),
            ("2001:db8:1::1", vec!["[2001:db8:2::1]:4711"], "2001:db8:2::1"),
            ("2001:db8:1::1", vec!["[2001:db8:2::1]"], "2001:db8:2::1"),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Of what is not an address, nothing can be said, and nothing to the left of it counts.
            ("10.0.0.1", vec!["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["203.0.113.7,"], "10.0.0.1"),
            ("10.0.0.1", vec!["\u{e9}"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let found = trusted.before(peer.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let site = |address: &str| super::site(address.parse().unwrap());
        assert_eq!(site("2001:db8:2:3::1"), site("2001:db8:2:3:ffff:ffff:ffff:ffff"));
        assert_ne!(site("2001:db8:2:3::1"), site("2001:db8:2:4::1"));
        assert_ne!(site("203.0.113.7"), site("203.0.113.8"));
    }
}
