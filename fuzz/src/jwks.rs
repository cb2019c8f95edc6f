//! The set of keys that an auth server publishes.

use std::sync::{Arc, LazyLock};

use serde_json::Value;
use todo_api::auth::Verifier;
use tokio::runtime::Runtime;

use crate::token::{KEYS, SIGNED, keys, runtime};

static STATE: LazyLock<(Runtime, Arc<todo_api::auth::Jwks>, Verifier)> = LazyLock::new(|| {
    let keys = Arc::new(keys());
    let verifier = Verifier::new(None, Some(keys.clone()), None, None);
    (runtime(), keys, verifier)
});

/// A token passes only if the set has the key that signed it, for that use.
pub fn check(input: &[u8]) {
    let (runtime, keys, verifier) = &*STATE;
    if keys.take(input.to_vec()).is_err() {
        return;
    }
    let set: Value = serde_json::from_slice(input).unwrap();
    let published = set["keys"].as_array().unwrap();
    for (token, own) in SIGNED.iter().zip(KEYS["keys"].as_array().unwrap()) {
        let passes = runtime.block_on(verifier.verify(token)).is_ok();
        let named: Vec<_> = published.iter().filter(|key| key["kid"] == own["kid"]).collect();
        assert!(!passes || named.iter().any(|key| verifies(key, own)), "{own} is not in {set}");
        assert!(passes || set != *KEYS, "{own} is not used");
    }
}

/// Whether a published key is this one, and may verify its signatures.
fn verifies(key: &Value, own: &Value) -> bool {
    let same = ["kty", "crv", "x", "y", "n", "e"].iter().all(|name| {
        // The key itself has no others, which JSON Web Keys of its type ignore.
        own.get(name).is_none_or(|value| key.get(name) == Some(value))
    });
    let algorithm = key
        .get("alg")
        .is_none_or(|alg| alg == &own["alg"] || (alg == "Ed25519" && own["alg"] == "EdDSA") || alg.is_null());
    let operations = key.get("key_ops").filter(|operations| !operations.is_null());
    same && algorithm
        && key.get("use").is_none_or(|usage| usage == "sig" || usage.is_null())
        && operations.is_none_or(|operations| operations.as_array().unwrap().iter().any(|one| one == "verify"))
}
