//! Path parameters.

use percent_encoding::percent_decode_str;
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    error::ParsePathError,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
    types::ParseFromParameter,
};

use super::context::Context;

/// A path parameter, as an argument of an operation. Not named `Path`: for that name, poem-openapi passes `param0` instead
/// of the name of the parameter.
#[derive(Debug)]
pub struct PathParameter<T>(pub T);

impl<'a, T: ParseFromParameter> ApiExtractor<'a> for PathParameter<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;

    type ParamType = T;
    type ParamRawType = T::RawValueType;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    fn param_raw_type(&self) -> Option<&T::RawValueType> {
        self.0.as_raw_value()
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let template = Context::of(request)?.template().unwrap_or_default();
        let is_it = |segment: &str| segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')) == Some(options.name);
        let segments = template.split('/').zip(request.uri().path().split('/'));
        let value = segments.into_iter().find_map(|(name, value)| is_it(name).then_some(value)).unwrap_or_default();
        T::parse_from_parameter(&percent_decode_str(value).decode_utf8_lossy())
            .map(Self)
            .map_err(|error| ParsePathError { name: options.name, reason: error.into_message() }.into())
    }
}
