//! The end of what runs beside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag when it is dropped. Threads that run until the flag is set then end also if the test fails: a scope
/// waits for its threads.
#[derive(Debug)]
pub struct End<'a>(pub &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
