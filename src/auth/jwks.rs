//! The keys that the auth server publishes: a JWK Set (RFC 7517), fetched, kept fresh, and kept through its outages.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, jwk::Jwk};
use poem::http::Uri;
use quick_cache::{Weighter, sync::Cache};
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Key, TokenError, User, fetch::Source, key};

/// On average one fetch in this time on account of unknown keys…
const PAUSE: Duration = Duration::from_secs(15);
/// …and this many in a row.
const BURST: u32 = 4;
/// At least this lies between them: a rotation may mint several keys at a time, and the next fetch should bring the rest.
const GATHER: Duration = Duration::from_millis(200);
/// How long a key stays unknown, unless a fetch brings it.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// Bytes of the ids of unknown keys that are remembered.
const UNKNOWN_BYTES: u64 = 256 * 1024;
/// Bytes of the verified tokens that are remembered: some ten thousand.
const VERIFIED_BYTES: u64 = 8 * 1024 * 1024;
/// Between two attempts while there is no key at all; with keys there is no such haste.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(30);

/// How long keys are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Time between two fetches.
    pub refresh: Duration,
    /// Time that keys live on while the auth server does not answer.
    pub stale: Duration,
}

/// The keys published at one address.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    freshness: Freshness,
    current: RwLock<Option<(Arc<KeySet>, Instant)>>,
    turn: Arc<Mutex<Turn>>,
    unknown: Cache<Box<str>, Instant, KeyLength>,
}

/// One set of keys, and what was verified with it: when the set changes, no token outlives its key.
pub(super) struct KeySet {
    document: Vec<u8>,
    keys: Vec<(Option<String>, Key)>,
    verified: Cache<Box<str>, Verified, KeyLength>,
}

/// What a token said whose signature was good.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) user: User,
    /// `exp`, in seconds since 1970.
    pub(super) expires: f64,
}

/// Whoever has the turn may fetch.
#[derive(Debug)]
struct Turn {
    last: Option<Fetch>,
    /// When the fetches made on demand will all be paid for, at one in each [`PAUSE`].
    paid: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Fetch {
    began: Instant,
    ended: Instant,
    succeeded: bool,
}

impl Jwks {
    /// The keys at this address; nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// Where TLS cannot be set up.
    pub fn new(uri: Uri, authorities: RootCertStore, freshness: Freshness) -> Result<Self, rustls::Error> {
        Ok(Self {
            source: Source::new(uri, authorities)?,
            freshness,
            current: RwLock::default(),
            turn: Arc::new(Mutex::new(Turn { last: None, paid: Instant::now() })),
            unknown: Cache::with_weighter(100, UNKNOWN_BYTES, KeyLength),
        })
    }

    /// Fetches the keys now, and again whenever they are due. Never ends.
    pub async fn keep_fresh(&self) {
        tracing::info!(url = self.source.address(), "fetching the keys of the auth server");
        if self.source.is_unprotected() {
            tracing::warn!(
                "the keys of the auth server come without TLS: use https, or a network that nobody else is on"
            );
        }
        // A request may have been faster.
        let mut told = self.turn.lock().await.last.map(|fetch| fetch.succeeded);
        loop {
            let fetched = match told.take() {
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

    /// The set that has the key with this id. One that is unknown may be new: then the set is fetched again, once for
    /// all who wait, and not at all for a key that was just looked for in vain.
    ///
    /// # Errors
    ///
    /// [`TokenError::Key`] where the key is not there, [`TokenError::Unavailable`] where no key ever was.
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
        // What was fetched while this one waited has told already, unless the key may be younger than the answer.
        let told = turn.last.filter(|fetch| fetch.ended >= asked && (fetch.began >= asked || !fetch.succeeded));
        if told.is_none() && turn.may_fetch() {
            let jwks = self.clone();
            // In a task of its own, since the request may be dropped, and others wait for the answer.
            let fetch = tokio::spawn(async move {
                if let Some(last) = turn.last {
                    tokio::time::sleep(GATHER.saturating_sub(last.began.elapsed())).await;
                }
                jwks.fetch(&mut turn).await
            });
            let fetched = fetch.await.unwrap_or(false);
            self.note_missing(id, fetched);
        } else {
            drop(turn);
            self.note_missing(id, told.is_some_and(|fetch| fetch.succeeded));
        }
        known().ok_or_else(|| self.missing())
    }

    /// Remembers that a fetch did not bring the key.
    fn note_missing(&self, id: Option<&str>, fetched: bool) {
        // A set without any key is more likely a mistake of the auth server than news of this key.
        let missing = |keys: &KeySet| !keys.keys.is_empty() && !keys.has(id);
        if let Some(id) = id.filter(|_| fetched && self.current().is_some_and(|keys| missing(&keys))) {
            self.unknown.insert(id.into(), Instant::now());
        }
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|(_, at)| at.elapsed() < self.freshness.stale).map(|(keys, _)| keys.clone())
    }

    fn missing(&self) -> TokenError {
        let had = self.current.read().unwrap_or_else(PoisonError::into_inner).is_some();
        if had { TokenError::Key } else { TokenError::Unavailable }
    }

    /// Fetches the set and takes it; whether that succeeded.
    async fn fetch(&self, turn: &mut Turn) -> bool {
        let began = Instant::now();
        let fetched = self.source.get().await.and_then(|document| self.take(document));
        let failed_before = turn.last.is_some_and(|fetch| !fetch.succeeded);
        turn.last = Some(Fetch { began, ended: Instant::now(), succeeded: fetched.is_ok() });
        match fetched {
            Ok(()) if failed_before => tracing::info!("the auth server publishes its keys again"),
            Ok(()) => {}
            // An outage is told once.
            Err(error) if failed_before => tracing::debug!(error, "the keys of the auth server cannot be fetched"),
            Err(error) => tracing::warn!(error, "the keys of the auth server cannot be fetched"),
        }
        turn.last.is_some_and(|fetch| fetch.succeeded)
    }

    /// Takes a set in the place of the one before. Whoever verifies a token reads it: nothing is done under the lock.
    fn take(&self, document: Vec<u8>) -> Result<(), String> {
        let last = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(keys, _)| keys.clone());
        let keys = match last {
            Some(last) if last.document == document => last,
            last => {
                let keys = KeySet::read(document)?;
                match (keys.keys.is_empty(), last) {
                    (true, None) => return Err("there is no key that verifies EdDSA, ES256, RS256 or PS256".to_owned()),
                    (true, Some(_)) => {
                        tracing::warn!("the auth server publishes no key any more: all tokens are refused");
                    }
                    (false, _) => tracing::info!(?keys, "the auth server publishes these keys"),
                }
                Arc::new(keys)
            }
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some((keys, Instant::now()));
        Ok(())
    }
}

impl Turn {
    /// Whether another fetch on demand is due. It is then counted.
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
    /// Keys that are not understood are passed over (RFC 7517, section 5).
    fn read(document: Vec<u8>) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwkSet {
            keys: Vec<Value>,
        }
        let set: JwkSet = serde_json::from_slice(&document).map_err(|_| "the answer is no JWK Set".to_owned())?;
        let jwks = set.keys.into_iter().filter_map(|mut jwk| {
            let name = jwk.get("alg").and_then(Value::as_str).map(|name| Value::from(key::eddsa(name)));
            if let (Some(own), Some(name)) = (jwk.get_mut("alg"), name) {
                *own = name;
            }
            serde_json::from_value::<Jwk>(jwk).ok()
        });
        let keys = jwks.filter_map(|jwk| Some((jwk.common.key_id.clone(), Key::published(&jwk)?))).collect();
        Ok(Self { document, keys, verified: Cache::with_weighter(100, VERIFIED_BYTES, KeyLength) })
    }

    fn has(&self, id: Option<&str>) -> bool {
        // A token without `kid` is for the keys as they are.
        id.is_none_or(|id| self.keys.iter().any(|(own, _)| own.as_deref() == Some(id)))
    }

    /// The key with this id, or the only one for the algorithm where a token names none.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenError> {
        let named = |own: &Option<String>| id.is_none_or(|id| own.as_deref() == Some(id));
        let mut keys = self.keys.iter().filter(|(own, key)| named(own) && key.algorithm == algorithm);
        match (keys.next(), keys.next()) {
            (Some((_, key)), None) => Ok(key),
            (None, _) => Err(TokenError::KeyAlgorithm),
            (Some(_), Some(_)) => Err(id.map_or(TokenError::Missing("kid"), |_| TokenError::SeveralKeys)),
        }
    }

    /// What the token said when it was verified.
    pub(super) fn verified(&self, token: &str) -> Option<Verified> {
        self.verified.get(token)
    }

    /// Remembers a token whose signature was good.
    pub(super) fn remember(&self, token: &str, verified: Verified) {
        self.verified.insert(token.into(), verified);
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|(id, key)| (id.as_deref().unwrap_or("-"), key.algorithm));
        f.debug_map().entries(keys).finish()
    }
}

#[derive(Debug, Clone)]
struct KeyLength;

impl<T> Weighter<Box<str>, T> for KeyLength {
    fn weight(&self, key: &Box<str>, _: &T) -> u64 {
        u64::try_from(key.len()).unwrap_or(u64::MAX).max(1)
    }
}
