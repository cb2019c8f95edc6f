//! Path parameters.

use std::borrow::Cow;

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
        let value = value(template, request.uri().path(), options.name).unwrap_or_default();
        T::parse_from_parameter(&decode(value))
            .map(Self)
            .map_err(|error| ParsePathError { name: options.name, reason: error.into_message() }.into())
    }
}

/// The value of a parameter in a path that has this template.
fn value<'a>(mut template: &str, mut path: &'a str, name: &str) -> Option<&'a str> {
    loop {
        let (literal, rest) = template.split_once('{')?;
        let (parameter, rest) = rest.split_once('}')?;
        let value = path.get(literal.len()..)?;
        let (value, behind) = value.split_at(value.find('/').unwrap_or(value.len()));
        if parameter == name {
            return Some(value);
        }
        (template, path) = (rest, behind);
    }
}

/// Decodes a value. Nearly all need no decoding, which takes longer than to look.
fn decode(value: &str) -> Cow<'_, str> {
    if value.contains('%') { percent_decode_str(value).decode_utf8_lossy() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_the_value_at_its_place_in_the_path() {
        for (template, path, name, expected) in [
            ("/api/tasks/{id}", "/api/tasks/1", "id", Some("1")),
            ("/api/tasks/{id}/complete", "/api/tasks/a%2Fb/complete", "id", Some("a%2Fb")),
            ("/api/{user}/tasks/{id}", "/api/ann/tasks/1", "user", Some("ann")),
            ("/api/{user}/tasks/{id}", "/api/ann/tasks/1", "id", Some("1")),
            ("/api/tasks/{id}", "/api/tasks/1", "user", None),
            ("/api/tasks", "/api/tasks", "id", None),
        ] {
            assert_eq!(value(template, path, name), expected, "{template} {path} {name}");
        }
    }

    #[test]
    fn a_value_is_decoded_as_utf_8() {
        for (sent, decoded) in [("a-1", "a-1"), ("%61b", "ab"), ("%C3%A9", "é"), ("%ff", "\u{fffd}"), ("%", "%")] {
            assert_eq!(decode(sent), decoded);
        }
    }
}
