//! The API as a whole: its operations, and the common parts of its document.

use serde_json::Value;

use crate::{
    config, http,
    openapi::{self, Header, InvalidDocument, Link, Outline, Version},
    tasks::TasksApi,
};

const DESCRIPTION: &str = "\
A multi-user task API: each user sees and changes only their own tasks.

Send the JWT of the auth server as `Authorization: Bearer <token>`; its `sub` is the user. Every error is a problem document \
(RFC 9457) whose `code` tells programs what went wrong. Fields and query parameters that are not declared here are \
refused, not ignored. Every answer has an `X-Request-Id`: quote it in bug reports.";

const HEADERS: [Header; 6] = [
    Header {
        name: "Cache-Control",
        description: "Says who may cache the answer.",
        example: "private, no-store",
        required: true,
    },
    Header {
        name: "RateLimit",
        description: "How many requests the user, or the address of a request without a valid token, may still send at \
                      once (`r`, with the effective window `t` in seconds); absent if the server has no such limit.",
        example: r#""user";r=37;t=1"#,
        required: false,
    },
    Header {
        name: "RateLimit-Policy",
        description: "The limit: at most `q` requests at once, and `q` in `w` seconds from then on; absent with `RateLimit`.",
        example: r#""user";q=40;w=2"#,
        required: false,
    },
    Header {
        name: "Vary",
        description: "Tells caches that the answer depends on the origin of the page that asks.",
        example: "Origin",
        required: true,
    },
    Header {
        name: "X-Content-Type-Options",
        description: "Tells browsers to trust the declared media type.",
        example: "nosniff",
        required: true,
    },
    Header {
        name: "X-Request-Id",
        description: "The id of the request: the caller's own, or a new one.",
        example: "019aa5d0-6b1e-7c3a-9a55-3d1f0c7b2e88",
        required: true,
    },
];

const OWN_HEADERS: [(&str, Option<&str>); 8] = [
    ("Cache-Control", Some("private, no-cache")),
    ("ETag", Some(r#""1""#)),
    ("Idempotency-Replayed", None),
    ("Link", None),
    ("Location", Some("/api/tasks/019aa5d0-5c3f-7d42-8e8b-2f6f0d9a71c4")),
    ("Retry-After", Some("1")),
    ("X-Total-Count", Some("1")),
    ("WWW-Authenticate", Some(r#"Bearer error="invalid_token", error_description="the token has expired""#)),
];

/// Where `todo-api dev` and `serve` listen by default.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

const LINKS: [Link; 4] = [
    Link { name: "Read", operation_id: "getTask", description: "Reads the task." },
    Link { name: "Update", operation_id: "updateTask", description: "Changes fields of the task." },
    Link { name: "Complete", operation_id: "completeTask", description: "Toggles or sets the state of the task." },
    Link { name: "Delete", operation_id: "deleteTask", description: "Deletes the task." },
];

/// The parts of the document that types cannot express. `body_limit` is the maximum size of a body in bytes.
#[must_use]
pub fn outline(body_limit: usize) -> Outline {
    Outline {
        title: "todo-api",
        version: env!("CARGO_PKG_VERSION"),
        description: DESCRIPTION,
        contact: "The maintainers of todo-api",
        license: "MIT OR Apache-2.0",
        server: DEFAULT_SERVER.to_owned(),
        headers: &HEADERS,
        own_headers: &OWN_HEADERS,
        resource: "TaskResponse",
        links: &LINKS,
        failures: http::failures(body_limit),
    }
}

/// The document of a server at this URL where nothing else is configured. It needs no database.
///
/// # Errors
///
/// [`InvalidDocument`], which is a defect of the program.
pub fn document(server: &str, version: Version) -> Result<Value, InvalidDocument> {
    let outline = Outline { server: server.to_owned(), ..outline(config::DEFAULT_BODY_LIMIT) };
    openapi::derive::<TasksApi>(&outline, version)
}
