//! JSON bodies. The derived document validates requests; serde writes answers.

use std::sync::Arc;

use futures_util::{Stream, TryStreamExt};
use poem::{
    IntoResponse, Request, RequestBody, Response,
    http::{HeaderValue, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::Payload,
    registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry},
    types::Type,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    context::Context,
    json,
    problem::{Code, Problem},
};

const MEDIA_TYPE: &str = "application/json";

/// A JSON answer.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => Response::builder().content_type(MEDIA_TYPE).body(body),
            Err(error) => poem::Error::from(Problem::internal(&error)).into_response(),
        }
    }
}

/// A valid JSON request body. Extracting it also validates the query, so one answer reports the violations of both.
/// `Body<Option<T>>` may be absent.
#[derive(Debug)]
pub struct Body<T> {
    /// The value of the body.
    pub value: T,
    sent: Vec<u8>,
    context: Arc<Context>,
}

impl<T: Type> Body<T> {
    /// The sent body in a canonical form: without white space and members that have their default value, and with
    /// sorted names. Bodies with the same meaning have the same form.
    ///
    /// # Errors
    ///
    /// None for a body that was extracted.
    pub fn canonical_json(&self) -> Result<Vec<u8>, Problem> {
        let mut json = json::parse(&self.sent).map_err(|error| Problem::internal(&error))?;
        self.context.contract().remove_defaults(&T::schema_ref(), &mut json)?;
        json.sort_all_objects();
        serde_json::to_vec(&json).map_err(|error| Problem::internal(&error))
    }
}

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: T::IS_REQUIRED })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = read(request, body).await?;
        let value = if bytes.is_empty() && !T::IS_REQUIRED { Value::Null } else { parse(request, &bytes)? };
        // Generated clients in several languages send `null` for no body.
        let absent = value.is_null() && !T::IS_REQUIRED;
        let context = Context::of(request)?;
        let mut violations = context.check_query(request)?;
        if !absent {
            violations.extend(context.contract().check_body(&T::schema_ref(), &value).map_err(Problem::from)?);
        }
        if !violations.is_empty() {
            return Err(Problem::validation(violations).into());
        }
        let value = serde_json::from_value(value).map_err(|error| Problem::internal(&error))?;
        Ok(Self { value, sent: bytes, context: context.clone() })
    }
}

/// Reads the body within the limits of size and time.
async fn read(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, Problem> {
    let limits = Context::of(request)?.limits();
    let too_large = || Problem::payload_too_large(limits.size);
    let close = |problem: Problem| problem.with_header(header::CONNECTION, HeaderValue::from_static("close"));
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limits.size) {
        return Err(too_large());
    }
    let stream = body.take().map_err(|error| Problem::internal(&error))?.into_bytes_stream();
    match tokio::time::timeout(limits.time, collect(stream, limits.size)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_)) => Err(close(Problem::because(
            Code::MalformedRequest,
            "the body ended before its time, or its chunks are broken",
        ))),
        Err(_) => Err(close(Problem::of(Code::RequestTimeout))),
    }
}

/// The whole body, or `None` if it is larger than `limit`.
async fn collect<B: AsRef<[u8]>, E>(
    mut stream: impl Stream<Item = Result<B, E>> + Unpin,
    limit: usize,
) -> Result<Option<Vec<u8>>, E> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.try_next().await? {
        if bytes.len() + chunk.as_ref().len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(chunk.as_ref());
    }
    Ok(Some(bytes))
}

/// The body as JSON.
fn parse(request: &Request, bytes: &[u8]) -> Result<Value, Problem> {
    if !request.content_type().is_some_and(is_json) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::because(Code::UnsupportedMediaType, "send the body as it is, without `Content-Encoding`"));
    }
    json::parse(bytes)
        .map_err(|error| Problem::because(Code::MalformedRequest, format!("the body is not JSON: {error}")))
}

/// `application/json`, in UTF-8 as all JSON is (RFC 8259, section 8.1).
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE))
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            let value = value.trim_matches('"');
            let utf_8 = ["utf-8", "utf8"].iter().any(|name| value.eq_ignore_ascii_case(name));
            !name.eq_ignore_ascii_case("charset") || utf_8
        })
}
