//! Parameters, in a form that every tool reads in the same way.

use serde_json::{Map, Value, json};

use super::InvalidDocument;

/// Puts the parameters of the path first, as generated clients order their arguments, and moves the default of a parameter
/// into the schema that it refers to: beside a reference, half of the tools ignore it. The description of such a schema goes,
/// since some tools show it in place of the parameter's own.
pub(super) fn normalize(operation: &mut Value, schemas: &mut Map<String, Value>) -> Result<(), InvalidDocument> {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return Ok(()) };
    parameters.sort_by_key(|parameter| parameter.get("in").is_none_or(|location| location != "path"));
    for schema in parameters.iter_mut().filter_map(|parameter| parameter.get_mut("schema")) {
        let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
        let Some(reference) = reference.cloned() else { continue };
        let name = reference.as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/"));
        let component = name.and_then(|name| schemas.get_mut(name)).and_then(Value::as_object_mut);
        let component = component.ok_or_else(|| InvalidDocument::new(format!("there is no schema {reference}")))?;
        component.shift_remove("description");
        if let Some(default) = schema.get("default") {
            let known = component.entry("default").or_insert_with(|| default.clone());
            if known != default {
                return Err(InvalidDocument::new(format!("{reference} has two defaults, {known} and {default}")));
            }
        }
        *schema = json!({ "$ref": reference });
    }
    Ok(())
}
