//! Fails if the document declares an answer or a header that no test has seen. Run it after the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let unseen = api_tests::unseen();
    for part in &unseen {
        eprintln!("openapi.yaml declares it, and no test has seen it: {part}");
    }
    ExitCode::from(u8::from(!unseen.is_empty()))
}
