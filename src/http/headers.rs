//! Optional request headers. The server rejects malformed ones instead of ignoring them.

use poem::{
    Request, RequestBody,
    http::{HeaderName, HeaderValue},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchema, MetaSchemaRef},
};

use super::problem::{Code, Problem};

/// The type of a header's value.
pub trait HeaderField: Sized + Send {
    /// The name of the header, which an operation repeats for the document.
    const NAME: HeaderName;

    /// The example in the document.
    fn schema() -> MetaSchema;

    /// Parses the value. Several lines of the field are joined by a comma (RFC 9110, section 5.3).
    ///
    /// # Errors
    ///
    /// The rule that the value breaks.
    fn parse(value: &[u8]) -> Result<Self, &'static str>;
}

/// The value of a header, with its lines joined by a comma.
pub(crate) fn value(request: &Request, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<_> = request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

/// A header, as an argument of an operation.
#[derive(Debug)]
pub struct OptionalHeader<T>(pub Option<T>);

impl<'a, T: HeaderField> ApiExtractor<'a> for OptionalHeader<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(MetaSchemaRef::Inline(Box::new(T::schema())))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        debug_assert!(T::NAME == *options.name, "the document has another name: {}", options.name);
        let Some(value) = value(request, &T::NAME) else { return Ok(Self(None)) };
        let refuse = |rule| Problem::because(Code::MalformedRequest, format!("the header {} {rule}", options.name));
        Ok(Self(Some(T::parse(&value).map_err(refuse)?)))
    }
}
