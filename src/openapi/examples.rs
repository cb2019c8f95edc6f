//! Examples of bodies, beside each media type: mocks and importers look for them there.

use serde_json::{Map, Value, json};

use super::InvalidDocument;

/// Gives each media type of the content the example of its schema, or a list of it, with the members of `changed`, which
/// is the example of the request that it answers.
pub(super) fn add(
    content: &mut Value,
    schemas: &Map<String, Value>,
    changed: Option<&Value>,
) -> Result<(), InvalidDocument> {
    for media_type in content.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        let missing = || InvalidDocument::new("the schema of a body has no example");
        let schema = media_type.get("schema").ok_or_else(missing)?;
        let example = match schema.get("items") {
            Some(items) => example(items, schemas).map(|example| json!([example])),
            None => example(schema, schemas),
        };
        let mut example = example.ok_or_else(missing)?;
        if let (Some(example), Some(changed)) = (example.as_object_mut(), changed.and_then(Value::as_object)) {
            example.extend(changed.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        media_type.insert("example".to_owned(), example);
    }
    Ok(())
}

fn example(schema: &Value, schemas: &Map<String, Value>) -> Option<Value> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?;
    schemas.get(name)?.get("example").cloned()
}
