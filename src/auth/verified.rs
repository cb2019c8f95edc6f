//! The cache of verified tokens. A lookup takes a twentieth of the time in which a token is verified with the secret,
//! and even less of that with a public key.

use std::fmt;

use quick_cache::{Weighter, sync::Cache};

use super::User;

/// Bytes of the cached tokens: about ten thousand signed with a public key, or twice as many with the secret.
const LIMIT: u64 = 8 * 1024 * 1024;
/// Number of entries by which a cache chooses how many parts it has, each with a lock of its own.
const ENTRIES: usize = 1000;
/// Bytes of an entry of a cache besides its key, roughly.
const ENTRY: u64 = 128;

/// The claims of a token with a valid signature that later requests with it need. `nbf` and `iat` are not among them:
/// they were in the past at the first request.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) user: User,
    /// `exp`, in seconds since 1970.
    pub(super) expires: f64,
}

/// The tokens that a key, or a set of keys, has verified. It is dropped with the keys, so no token outlives its key.
pub(super) struct VerifiedTokens(Cache<Box<str>, Verified, ByteWeighter>);

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(ENTRIES, LIMIT, ByteWeighter))
    }

    /// The claims of the token, if it was verified before.
    pub(super) fn get(&self, token: &str) -> Option<Verified> {
        self.0.get(token)
    }

    pub(super) fn insert(&self, token: &str, verified: Verified) {
        self.0.insert(token.into(), verified);
    }
}

// It has tokens, which no log may contain.
impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedTokens(…)")
    }
}

/// Weighs an entry of a cache by its bytes, roughly.
#[derive(Debug, Clone)]
pub(super) struct ByteWeighter;

impl<T> Weighter<Box<str>, T> for ByteWeighter {
    fn weight(&self, key: &Box<str>, _: &T) -> u64 {
        ENTRY + u64::try_from(key.len()).unwrap_or(u64::MAX - ENTRY)
    }
}
