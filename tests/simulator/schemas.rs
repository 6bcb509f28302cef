//! Answers by a JSON Schema follow it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::ask::{Answer, FORMATS, Format, say};
use crate::validator::is_valid;

async fn answer(format: Format, schema: &Value) -> Answer {
    let more = match format {
        Format::Chat => {
            json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema } } })
        }
        Format::Messages => json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } }),
    };
    say(format, format.request("hello", &more)).await
}

fn value(format: Format, answer: &Answer) -> Value {
    let body = answer.json();
    let text = match format {
        Format::Chat => &body["choices"][0]["message"]["content"],
        Format::Messages => &body["content"][0]["text"],
    };
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_words_of_a_schema() {
    let cases = [
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false }),
            json!({ "a": "simulated" }),
        ),
        (json!({ "type": "object", "properties": { "a": { "type": "string" } } }), json!({})),
        (json!({ "enum": ["x", "y"] }), json!("x")),
        (json!({ "const": { "k": [1] } }), json!({ "k": [1] })),
        (json!({ "type": "integer", "minimum": 3, "exclusiveMaximum": 9 }), json!(3)),
        (json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 0.5 }), json!(0.25)),
        (json!({ "type": "integer", "maximum": -5, "multipleOf": 4 }), json!(-8)),
        (json!({ "type": ["null", "string"] }), json!(null)),
        (
            json!({ "type": "array", "items": { "enum": ["a", "b"] }, "minItems": 2, "uniqueItems": true }),
            json!(["a", "b"]),
        ),
        (
            json!({ "type": "array", "prefixItems": [{ "type": "null" }], "items": { "type": "boolean" }, "minItems": 2 }),
            json!([null, false]),
        ),
        (json!({ "type": "string", "maxLength": 3 }), json!("ted")),
        (json!({ "type": "string", "format": "date" }), json!("2000-01-01")),
        (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "boolean" } } }), json!(true)),
        (
            json!({ "allOf": [{ "required": ["a"] }, { "properties": { "a": { "type": "null" } } }], "type": "object" }),
            json!({ "a": null }),
        ),
        (
            json!({ "type": "object", "required": ["next"], "properties": { "next": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } } }),
            Value::Null,
        ),
    ];
    for (schema, expected) in cases {
        for format in FORMATS {
            let answer = answer(format, &schema).await;
            assert_eq!(answer.status, 200, "{schema}");
            let value = value(format, &answer);
            assert!(is_valid(&schema, &schema, &value), "{schema}: {value}");
            assert!(expected.is_null() || value == expected, "{schema}: {value}");
        }
    }
}

#[tokio::test]
async fn a_schema_that_allows_nothing_or_asks_for_too_much_is_refused() {
    for schema in [
        json!({ "not": {} }),
        json!({ "type": "string", "pattern": "^a+$" }),
        json!({ "type": "integer", "minimum": 5, "maximum": 4 }),
        json!({ "type": "array", "items": { "const": 1 }, "minItems": 2, "uniqueItems": true }),
        json!({ "type": "array", "minItems": 1_000_000 }),
        json!({ "$ref": "https://example.com/schema" }),
        json!({ "$ref": "#/$defs/missing" }),
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#" } } }),
        json!({ "type": "unheard_of" }),
        json!(false),
    ] {
        for format in FORMATS {
            assert_eq!(answer(format, &schema).await.status, 400, "{schema}");
        }
    }
}

#[tokio::test]
async fn a_schema_that_speaks_of_itself_comes_to_an_end() {
    for (schema, status) in [
        (json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] }), 200),
        (json!({ "allOf": [{ "$ref": "#" }] }), 400),
        (json!({ "$ref": "#" }), 400),
        (json!({ "type": "array", "minItems": 9, "items": { "$ref": "#" } }), 400),
    ] {
        for format in FORMATS {
            assert_eq!(answer(format, &schema).await.status, status, "{schema}");
        }
    }
}

#[tokio::test]
async fn any_object_where_only_json_is_asked_for() {
    let more = json!({ "response_format": { "type": "json_object" } });
    let answer = say(Format::Chat, Format::Chat.request("hello", &more)).await;
    assert_eq!(value(Format::Chat, &answer)["simulated"], true);
}

/// Schemas of everything that structured outputs know; each allows something.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        Just(json!({ "$ref": "#/$defs/shared" })),
        (0_u32..40, 0_u32..40)
            .prop_map(|(least, more)| json!({ "type": "string", "minLength": least, "maxLength": least + more })),
        (-50_i64..50, 0_i64..9)
            .prop_map(|(least, more)| json!({ "type": "integer", "minimum": least, "maximum": least + more })),
        (-50_i64..50, 1_i64..9)
            .prop_map(|(least, step)| json!({ "type": "integer", "exclusiveMinimum": least, "multipleOf": step })),
        (-5.0_f64..5.0)
            .prop_map(|least| json!({ "type": "number", "exclusiveMinimum": least, "exclusiveMaximum": least + 0.25 })),
        prop::collection::vec("[a-z]{1,4}", 1..4).prop_map(|words| json!({ "enum": words })),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0_usize..4).prop_map(|(items, least)| json!({ "type": "array", "items": items, "minItems": least })),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|options| json!({ "anyOf": options })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|first| json!({ "type": "array", "prefixItems": first, "minItems": first.len() })),
            prop::collection::btree_map("[a-f]", (inner, any::<bool>()), 0..4).prop_map(|fields| {
                let required: Vec<_> = fields.iter().filter(|(_, (_, is_required))| *is_required).map(|(name, _)| name.clone()).collect();
                let properties: Map<_, _> = fields.into_iter().map(|(name, (schema, _))| (name, schema)).collect();
                json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_value_follows_the_schema_that_it_was_made_for(mut schema in schemas()) {
        schema["$defs"] = json!({ "shared": { "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } } } });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(answer(Format::Chat, &schema));
        prop_assert_eq!(answer.status, 200, "{}", schema);
        let value = value(Format::Chat, &answer);
        prop_assert!(is_valid(&schema, &schema, &value), "{}: {}", schema, value);
    }
}
