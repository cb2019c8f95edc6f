//! Limits of the rate of requests: a token bucket for each user and, for requests without a valid token, for each
//! address.
//!
//! A bucket is one number: the time at which it will be full. Each request moves it by [`RateLimit::interval`] into the
//! future, and it may be at most [`RateLimit::window`] ahead of now. So a full bucket is any time in the past: the server
//! can forget it, and nothing has to refill buckets.

use std::{
    convert::Infallible,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use poem::{
    Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use quick_cache::sync::Cache;

use super::client_address::{self, TrustedProxies};

/// Seconds in which an empty bucket fills up. So twice as many requests as in a second may come at once.
const WINDOW: u64 = 2;
/// Buckets of a limit. Beyond it, the server forgets the least used ones, as if they were full. An unused bucket is full
/// after [`WINDOW`], so only more clients than this within that time gain anything.
const BUCKETS: usize = 1 << 16;
/// Header fields of draft-ietf-httpapi-ratelimit-headers.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static("RateLimit, RateLimit-Policy");

/// The limits that the operator has set.
#[derive(Debug, Default)]
pub struct RateLimits {
    /// For each user.
    pub user: Option<RateLimit>,
    /// For each address, of requests without a valid token.
    pub anonymous: Option<RateLimit>,
    /// The proxies whose `X-Forwarded-For` names the address.
    pub trusted_proxies: TrustedProxies,
}

impl RateLimits {
    /// The address that sent the request, if its rate has a limit.
    pub(super) fn limited_address(&self, request: &Request) -> Option<IpAddr> {
        self.anonymous.as_ref().and_then(|_| self.trusted_proxies.client(request))
    }

    pub(super) fn take_for_user(&self, id: &str) -> Option<Quota> {
        self.user.as_ref().map(|limit| limit.take(id, Instant::now()))
    }

    pub(super) fn take_for_address(&self, address: IpAddr) -> Option<Quota> {
        self.anonymous.as_ref().map(|limit| limit.take(client_address::site(address), Instant::now()))
    }
}

/// A limit of the requests per second of each client.
#[derive(Debug)]
pub struct RateLimit {
    name: &'static str,
    policy: HeaderValue,
    started: Instant,
    /// Nanoseconds in which a bucket gets one token.
    interval: u64,
    /// Nanoseconds in which an empty bucket fills up.
    window: u64,
    /// A client is known by a keyed hash: then a long id takes no more memory, and nobody can choose ids that collide.
    hasher: RandomState,
    buckets: Cache<u64, Arc<AtomicU64>>,
}

impl RateLimit {
    /// A limit with this name in the headers, and this number of requests per second, at least 1.
    #[must_use]
    pub fn new(name: &'static str, rate: usize) -> Self {
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let burst = rate.saturating_mul(WINDOW);
        let interval = 1_000_000_000 / rate;
        let policy = HeaderValue::try_from(format!(r#""{name}";q={burst};w={WINDOW}"#));
        Self {
            name,
            policy: policy.unwrap_or(HeaderValue::from_static("")),
            started: Instant::now(),
            interval,
            window: interval * burst,
            hasher: RandomState::new(),
            buckets: Cache::new(BUCKETS),
        }
    }

    /// Takes a token from the client's bucket, if there is one.
    fn take(&self, client: impl Hash, now: Instant) -> Quota {
        let client = self.hasher.hash_one(client);
        let Ok::<_, Infallible>(bucket) = self.buckets.get_or_insert_with(&client, || Ok(Arc::default()));
        let now = nanoseconds(now.duration_since(self.started));
        let after = |full: u64| full.max(now) + self.interval;
        let latest = now + self.window;
        let taken = bucket.fetch_update(Relaxed, Relaxed, |full| Some(after(full)).filter(|full| *full <= latest));
        let left = taken.ok().map(|full| latest.saturating_sub(after(full)) / self.interval);
        Quota { name: self.name, policy: self.policy.clone(), left }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX >> 1)
}

/// The client's quota after a request.
#[derive(Debug, Clone)]
pub(super) struct Quota {
    name: &'static str,
    policy: HeaderValue,
    /// The number of tokens left, or none if there was none for this request.
    left: Option<u64>,
}

impl Quota {
    /// Whether the request was within the limit.
    pub(super) const fn allows(&self) -> bool {
        self.left.is_some()
    }

    /// Adds the headers, and lets a page read them that may read others.
    pub(super) fn mark(&self, answer: &mut HeaderMap) {
        // `t`: the client may use the tokens that are left within a second. Then it has at least a second's worth again.
        let left = self.left.unwrap_or(0).to_string();
        // Not `format!`, which costs three times as much.
        let state = ["\"", self.name, "\";r=", &left, ";t=1"].concat();
        if let Ok(state) = HeaderValue::try_from(state) {
            answer.insert(RATELIMIT, state);
        }
        answer.insert(RATELIMIT_POLICY, self.policy.clone());
        if answer.contains_key(header::ACCESS_CONTROL_EXPOSE_HEADERS) {
            answer.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of requests that pass at once, of many.
    fn burst(limit: &RateLimit, client: &str, now: Instant) -> usize {
        (0..1000).take_while(|_| limit.take(client, now).allows()).count()
    }

    #[test]
    fn a_client_may_send_twice_its_rate_at_once_and_then_its_rate() {
        let limit = RateLimit::new("user", 20);
        let start = limit.started;
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let left: Vec<_> = (0..42).map(|_| limit.take("a", start).left).collect();
        let expected: Vec<_> = (0..40).rev().map(Some).chain([None, None]).collect();
        assert_eq!(left, expected);
        assert_eq!(burst(&limit, "a", after(49)), 0);
        assert_eq!(burst(&limit, "a", after(50)), 1);
        assert_eq!(burst(&limit, "a", after(1050)), 20, "a second's worth");
        assert_eq!(burst(&limit, "a", after(3_600_000)), 40, "no more, however long the pause");
        assert_eq!(burst(&limit, "b", after(3_600_000)), 40, "another client has its own");
    }

    #[test]
    fn every_rate_has_exactly_its_burst() {
        for rate in [1, 3, 7, 300, 499] {
            let limit = RateLimit::new("user", rate);
            assert_eq!(burst(&limit, "a", limit.started), 2 * rate);
            assert!(burst(&limit, "a", limit.started + Duration::from_secs(1)) >= rate, "Retry-After promises it");
        }
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_a_client_who_floods_keeps_an_empty_one() {
        let limit = RateLimit::new("address", 1);
        let now = limit.started;
        for other in 0..4 * BUCKETS {
            limit.take(other, now);
            let passes = limit.take("flood", now).allows();
            assert_eq!(passes, other < 2, "after {other} others");
        }
        assert!(limit.buckets.len() <= BUCKETS + limit.buckets.num_shards(), "{}", limit.buckets.len());
    }
}
