//! Requests as they are sent, compared with files in `tests/requests/<protocol>/`.
//!
//! `UPDATE_EXPECTED=1` writes the files anew: read the difference before you keep it.

use std::path::Path;

use completiond::protocol::{Exchange, Order, Protocol, Unfit};
use serde_json::{Map, Value, json};

/// Compares what `order` is encoded to with the file `name`: path, headers, body and what was left out, or why the
/// endpoint is not fit. Bodies are compared as JSON: the order of keys and white space do not count.
pub(crate) fn check(protocol: &dyn Protocol, name: &str, order: &Order<'_>) {
    let actual = describe(protocol.encode(order));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests").join(protocol.name());
    let path = root.join(format!("{name}.json"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{actual:#}\n")).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    assert_eq!(actual, expected, "{}: got {actual:#}", path.display());
}

fn describe(encoded: Result<Exchange, Unfit>) -> Value {
    match encoded {
        Ok(exchange) => {
            let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.to_string(), json!(value.to_str().unwrap()))
            };
            json!({
                "path": exchange.path,
                "headers": exchange.headers.iter().map(header).collect::<Map<_, _>>(),
                "body": serde_json::from_slice::<Value>(&exchange.body).unwrap(),
                "delivery": format!("{:?}", exchange.delivery),
                "ignored": exchange.ignored,
            })
        }
        Err(Unfit::Parameters(paths)) => json!({ "unsupported_parameters": paths }),
        Err(Unfit::Capability { field, lacks }) => json!({ "field": field, "lacks": lacks }),
    }
}
