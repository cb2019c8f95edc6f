//! The keys that the auth server publishes: a JWK Set (RFC 7517), fetched regularly, and cached through outages.
//!
//! # Turns
//!
//! All fetches share one lock, the turn ([`Jwks::turn`]). The periodic fetch takes it, and so does a request whose
//! token has an unknown `kid`. So at most one fetch runs, and requests wait for it in order of arrival. A request goes
//! through these steps ([`Jwks::keys_with`]) and ends at the first that applies:
//!
//! | step | condition | result |
//! |---|---|---|
//! | 1 | the current set has the key | accepted, without a lock on the turn |
//! | 2 | a fetch in the last 30 seconds did not find the key | rejected |
//! | 3 | wait for the turn; then the set has the key | accepted: another request's fetch has found it |
//! | 4 | a fetch during the wait is conclusive | rejected |
//! | 5 | the rate limit allows no fetch | rejected, and the key is not remembered as unknown |
//! | 6 | fetch, with the turn | accepted or rejected by the new set |
//!
//! Nobody notifies the waiters. The end of a fetch releases the turn, and the next waiter gets it. It ends at step 3 or
//! 4, or fetches itself if it asked during that fetch. Then the next waiter gets the turn. So two fetches answer all
//! waiters.
//!
//! A fetch is conclusive if it began after the request asked: the key was published before the token was sent. It is
//! also conclusive if it failed during the wait, because a second attempt right after it would most likely fail, too. A
//! successful fetch that began before the request is not: its answer may be older than the key.
//!
//! # The rate limit
//!
//! [`Turn::paid`] is the time at which all fetches on demand will be paid for, at one per [`PAUSE`]. Each fetch moves
//! it by one PAUSE into the future, and it may be at most [`BURST`] of them ahead of now. So four fetches may follow
//! each other, then one in 15 seconds. Periodic fetches are free.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, jwk::Jwk};
use poem::http::Uri;
use quick_cache::sync::Cache;
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    TokenError,
    fetch::Source,
    key::{self, Key},
    verified::{ByteWeighter, VerifiedTokens},
};
use crate::telemetry::{self, traces};

/// Unknown keys cause on average at most one fetch in this time…
const PAUSE: Duration = Duration::from_secs(15);
/// …and this many in a row.
const BURST: u32 = 4;
/// Minimum time between the beginnings of two fetches: a rotation may create several keys, and the second fetch should
/// find all of them.
const GATHER: Duration = Duration::from_millis(200);
/// How long a key stays unknown, unless a fetch finds it.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// Bytes of the cached ids of unknown keys.
const UNKNOWN_BYTES: u64 = 1024 * 1024;
/// Pause after a failed periodic fetch if there are no valid keys.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// Pause after a failed periodic fetch if there are valid keys.
const RETRY: Duration = Duration::from_secs(30);

/// How long keys are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Time between two periodic fetches.
    pub refresh: Duration,
    /// How long keys stay valid after the last successful fetch.
    pub stale: Duration,
}

/// The keys published at one address.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    freshness: Freshness,
    /// The newest set, and the time of the last fetch that returned it.
    current: RwLock<Option<(Arc<KeySet>, Instant)>>,
    turn: Arc<Mutex<Turn>>,
    /// The keys that a fetch did not find, with the time of that fetch.
    unknown: Cache<Box<str>, Instant, ByteWeighter>,
}

/// A set of keys, and the tokens verified with it.
pub(super) struct KeySet {
    document: Vec<u8>,
    keys: Vec<(Option<String>, Key)>,
    pub(super) verified: VerifiedTokens,
}

/// The state of the fetches. The task that holds its lock may fetch.
#[derive(Debug)]
struct Turn {
    last: Option<Fetch>,
    /// When all fetches on demand will be paid for, at one per [`PAUSE`].
    paid: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Fetch {
    began: Instant,
    ended: Instant,
    succeeded: bool,
}

impl Jwks {
    /// The keys at this address. Fetches nothing yet.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(uri: Uri, authorities: RootCertStore, freshness: Freshness) -> Result<Self, rustls::Error> {
        Ok(Self {
            source: Source::new(uri, authorities)?,
            freshness,
            current: RwLock::default(),
            turn: Arc::new(Mutex::new(Turn { last: None, paid: Instant::now() })),
            unknown: Cache::with_weighter(100, UNKNOWN_BYTES, ByteWeighter),
        })
    }

    /// Fetches the keys now and then regularly. Never returns.
    pub async fn keep_fresh(&self) {
        tracing::info!(url = self.source.address(), "fetching the keys of the auth server");
        if self.source.is_unprotected() {
            tracing::warn!("the keys of the auth server are fetched without TLS: use https, or a private network");
        }
        if let Some(metrics) = telemetry::metrics() {
            metrics.begin_fetches();
        }
        // A request may have fetched them already.
        let mut fetched_before = self.turn.lock().await.last.map(|fetch| fetch.succeeded);
        loop {
            let fetched = match fetched_before.take() {
                Some(fetched) => fetched,
                None => self.fetch(&mut *self.turn.lock().await).await,
            };
            let pause = match (fetched, self.current()) {
                (true, _) => self.freshness.refresh,
                (false, Some(_)) => RETRY.min(self.freshness.refresh),
                (false, None) => RETRY_WITHOUT_KEYS,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The set that has the key with this id. An unknown key may be new, so it causes a fetch: one for all requests
    /// that wait, within the rate limit.
    ///
    /// # Errors
    ///
    /// [`TokenError::Key`] if no valid set has the key, [`TokenError::Unavailable`] if no fetch has succeeded yet.
    pub(super) async fn keys_with(self: &Arc<Self>, id: Option<&str>) -> Result<Arc<KeySet>, TokenError> {
        let asked = Instant::now();
        let known = || self.current().filter(|keys| keys.has(id));
        if let Some(keys) = known() {
            return Ok(keys);
        }
        if id.is_some_and(|id| self.unknown.get(id).is_some_and(|since| since.elapsed() < UNKNOWN_FOR)) {
            return Err(self.missing());
        }
        let mut turn = self.turn.clone().lock_owned().await;
        if let Some(keys) = known() {
            return Ok(keys);
        }
        // Step 4: the conclusive fetch, if there was one.
        let conclusive = turn.last.filter(|fetch| fetch.ended >= asked && (fetch.began >= asked || !fetch.succeeded));
        if conclusive.is_none() && turn.may_fetch() {
            let jwks = self.clone();
            // In its own task, which owns the turn: the client may disconnect, and other requests wait for this fetch.
            let fetch = tokio::spawn(traces::carry(async move {
                if let Some(last) = turn.last {
                    tokio::time::sleep(GATHER.saturating_sub(last.began.elapsed())).await;
                }
                jwks.fetch(&mut turn).await
            }));
            let fetched = fetch.await.unwrap_or(false);
            self.note_missing(id, fetched);
        } else {
            drop(turn);
            self.note_missing(id, conclusive.is_some_and(|fetch| fetch.succeeded));
        }
        known().ok_or_else(|| self.missing())
    }

    /// Remembers that a successful fetch did not find the key.
    fn note_missing(&self, id: Option<&str>, fetched: bool) {
        // A set without any key is more likely a mistake of the auth server than the end of this key.
        let missing = |keys: &KeySet| !keys.keys.is_empty() && !keys.has(id);
        if let Some(id) = id.filter(|_| fetched && self.current().is_some_and(|keys| missing(&keys))) {
            self.unknown.insert(id.into(), Instant::now());
        }
    }

    /// The newest set, unless it has expired.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|(_, at)| at.elapsed() < self.freshness.stale).map(|(keys, _)| keys.clone())
    }

    fn missing(&self) -> TokenError {
        let had = self.current.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if had { TokenError::Key } else { TokenError::Unavailable }
    }

    /// Fetches the set and stores it. Returns whether that succeeded.
    async fn fetch(&self, turn: &mut Turn) -> bool {
        let began = Instant::now();
        let fetched = self.source.get().await.and_then(|document| self.take(document));
        if let Some(metrics) = telemetry::metrics() {
            metrics.fetch(fetched.is_ok(), began.elapsed());
        }
        let failed_before = turn.last.is_some_and(|fetch| !fetch.succeeded);
        turn.last = Some(Fetch { began, ended: Instant::now(), succeeded: fetched.is_ok() });
        match fetched {
            Ok(()) if failed_before => tracing::info!("the auth server publishes its keys again"),
            Ok(()) => {}
            // Warns once for each outage.
            Err(error) if failed_before => tracing::debug!(error, "the keys of the auth server cannot be fetched"),
            Err(error) => tracing::warn!(error, "the keys of the auth server cannot be fetched"),
        }
        turn.last.is_some_and(|fetch| fetch.succeeded)
    }

    /// Replaces the set, as a fetch does that got this document.
    ///
    /// # Errors
    ///
    /// If it is no set, or the first one and without a usable key.
    pub fn take(&self, document: Vec<u8>) -> Result<(), String> {
        let last = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(keys, _)| keys.clone());
        let keys = match last {
            // The same set keeps its verified tokens.
            Some(last) if last.document == document => last,
            last => {
                let keys = KeySet::read(document)?;
                match (keys.keys.is_empty(), last) {
                    (true, None) => return Err("there is no key that verifies EdDSA, ES256, RS256 or PS256".to_owned()),
                    (true, Some(_)) => {
                        tracing::warn!("the auth server publishes no keys any more: all tokens are rejected");
                    }
                    (false, _) => tracing::info!(?keys, "the auth server publishes these keys"),
                }
                Arc::new(keys)
            }
        };
        // Every verification reads it, so nothing else happens under the lock.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some((keys, Instant::now()));
        Ok(())
    }
}

impl Turn {
    /// Whether the rate limit allows a fetch on demand. If so, counts it.
    fn may_fetch(&mut self) -> bool {
        let now = Instant::now();
        let paid = self.paid.max(now) + PAUSE;
        let may = paid <= now + PAUSE * BURST;
        if may {
            self.paid = paid;
        }
        may
    }
}

impl KeySet {
    /// Parses a set. Ignores keys that it does not understand (RFC 7517, section 5).
    fn read(document: Vec<u8>) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwkSet {
            keys: Vec<Value>,
        }
        let set: JwkSet = super::object(&document).ok_or("the response is not a JWK Set")?;
        let jwks = set.keys.into_iter().filter_map(|mut jwk| {
            let name = jwk.get("alg").and_then(Value::as_str).map(|name| Value::from(key::eddsa(name)));
            if let (Some(own), Some(name)) = (jwk.get_mut("alg"), name) {
                *own = name;
            }
            serde_json::from_value::<Jwk>(jwk).ok()
        });
        let keys = jwks.filter_map(|jwk| Some((jwk.common.key_id.clone(), Key::published(&jwk)?))).collect();
        Ok(Self { document, keys, verified: VerifiedTokens::new() })
    }

    fn has(&self, id: Option<&str>) -> bool {
        // A token without `kid` cannot name a new key.
        id.is_none_or(|id| self.keys.iter().any(|(own, _)| own.as_deref() == Some(id)))
    }

    /// The key with this id, or the only key for the algorithm if the token has no `kid`.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenError> {
        let named = |own: &Option<String>| id.is_none_or(|id| own.as_deref() == Some(id));
        let mut keys = self.keys.iter().filter(|(own, key)| named(own) && key.algorithm == algorithm);
        match (keys.next(), keys.next()) {
            (Some((_, key)), None) => Ok(key),
            (None, _) => Err(TokenError::KeyAlgorithm),
            (Some(_), Some(_)) => Err(id.map_or(TokenError::Missing("kid"), |_| TokenError::SeveralKeys)),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|(id, key)| (id.as_deref().unwrap_or("-"), key.algorithm));
        f.debug_map().entries(keys).finish()
    }
}
