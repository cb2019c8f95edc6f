//! Converts the OpenAPI document of poem-openapi into the published one.

use serde_json::{Value, json};

use super::InvalidDocument;

/// Removes redundant parts that poem-openapi writes.
pub(super) fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.retain(|key, value| {
                !matches!((key.as_str(), &value), ("deprecated", Value::Bool(false)) | ("explode", Value::Bool(true)))
            });
            // poem-openapi writes a reference with siblings as `allOf`, and the siblings again beside it.
            if let Some(Value::Array(schemas)) = object.get_mut("allOf") {
                schemas.retain(|schema| schema.get("$ref").is_some());
            }
            for bound in ["minimum", "maximum"] {
                if let Some(whole) = object.get(bound).and_then(Value::as_f64).filter(|bound| bound.fract() == 0.0) {
                    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                    object.insert(bound.to_owned(), (whole as i64).into());
                }
            }
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// Converts schemas from OpenAPI 3.0 to 3.1: `nullable` becomes a type, references may have siblings, and `example`
/// becomes `examples`.
pub(super) fn modernize(value: &mut Value) -> Result<(), InvalidDocument> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(modernize),
        Value::Object(object) => {
            if object.shift_remove("nullable").is_some() {
                let kind = object.remove("type");
                let kind = kind.ok_or_else(|| InvalidDocument::new("a nullable schema has no type"))?;
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            if let Some(schemas) = object.get("allOf") {
                let reference = schemas.get(0).and_then(|schema| schema.get("$ref")).cloned();
                let alone = schemas.as_array().is_some_and(|schemas| schemas.len() == 1);
                let reference = reference.filter(|_| alone);
                let reference = reference.ok_or_else(|| InvalidDocument::new("an allOf is not one reference"))?;
                object.remove("allOf");
                object.insert("$ref".to_owned(), reference);
            }
            if object.contains_key("type")
                && let Some(example) = object.remove("example")
            {
                object.insert("examples".to_owned(), json!([example]));
            }
            object.values_mut().try_for_each(modernize)
        }
        _ => Ok(()),
    }
}
