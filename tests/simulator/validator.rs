//! A small validator of JSON Schema, written apart from what it checks.

use serde_json::Value;

/// Whether `value` follows `schema`, within `root`.
pub(crate) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(rules) = schema else { return schema != &Value::Bool(false) };
    rules.iter().all(|(rule, wanted)| follows(root, schema, value, rule, wanted))
}

fn follows(root: &Value, schema: &Value, value: &Value, rule: &str, wanted: &Value) -> bool {
    let options = || wanted.as_array().unwrap().iter();
    let valid = |option: &&Value| is_valid(root, option, value);
    let number = || value.as_f64().zip(wanted.as_f64());
    let length = value.as_str().map(|text| text.chars().count());
    match rule {
        "$ref" => is_valid(root, root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), value),
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|kind| is_of(value, kind.as_str().unwrap())),
            kind => is_of(value, kind.as_str().unwrap()),
        },
        "enum" => options().any(|option| option == value),
        "const" => wanted == value,
        "anyOf" => options().any(|option| valid(&option)),
        "oneOf" => options().filter(valid).count() == 1,
        "allOf" => options().all(|option| valid(&option)),
        "minimum" => number().is_none_or(|(value, bound)| value >= bound),
        "maximum" => number().is_none_or(|(value, bound)| value <= bound),
        "exclusiveMinimum" => number().is_none_or(|(value, bound)| value > bound),
        "exclusiveMaximum" => number().is_none_or(|(value, bound)| value < bound),
        "multipleOf" => number().is_none_or(|(value, step)| (value / step).fract().abs() < 1e-9),
        "minLength" => length.is_none_or(|length| length >= size(wanted)),
        "maxLength" => length.is_none_or(|length| length <= size(wanted)),
        "minItems" => value.as_array().is_none_or(|items| items.len() >= size(wanted)),
        "maxItems" => value.as_array().is_none_or(|items| items.len() <= size(wanted)),
        "minProperties" => value.as_object().is_none_or(|fields| fields.len() >= size(wanted)),
        "uniqueItems" => value.as_array().is_none_or(|items| {
            wanted == &Value::Bool(false) || items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
        }),
        "items" => value.as_array().is_none_or(|items| {
            let first = schema["prefixItems"].as_array().map_or(0, Vec::len);
            items.iter().skip(first).all(|item| is_valid(root, wanted, item))
        }),
        "prefixItems" => {
            value.as_array().is_none_or(|items| options().zip(items).all(|(schema, item)| is_valid(root, schema, item)))
        }
        "required" => {
            value.as_object().is_none_or(|fields| options().all(|name| fields.contains_key(name.as_str().unwrap())))
        }
        "properties" => value.as_object().is_none_or(|fields| {
            fields.iter().all(|(name, field)| wanted.get(name).is_none_or(|schema| is_valid(root, schema, field)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|fields| {
            let more = fields.iter().filter(|(name, _)| schema["properties"].get(name).is_none());
            more.into_iter().all(|(_, field)| is_valid(root, wanted, field))
        }),
        "$defs" | "description" | "title" | "default" | "format" => true,
        unknown => panic!("the validator does not know {unknown}"),
    }
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => panic!("no such type: {kind}"),
    }
}
