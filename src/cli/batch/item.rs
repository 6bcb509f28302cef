//! A line as an item: which of the formats it has, the user's name for it, and the request.

use super::chat;
use super::faults::{Fault, Faults};
use super::raw::{Object, Value};
use crate::cli::json;
use crate::proto::CompleteRequest;

/// Where chat completions are asked for, in batch files that name an address for each line.
const CHAT: &str = "/v1/chat/completions";

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    /// The user's name for it; the number of its line where it has none, or none that can be read.
    pub(super) custom_id: String,
    /// The request, or what is wrong with it.
    pub(super) request: Result<Box<CompleteRequest>, Vec<Fault>>,
}

/// Reads the line with this number.
pub(super) fn read(line: &[u8], number: u64) -> Item {
    let mut custom_id = number.to_string();
    let request = request(line, number, &mut custom_id);
    Item { custom_id, request }
}

fn request(line: &[u8], number: u64, custom_id: &mut String) -> Result<Box<CompleteRequest>, Vec<Fault>> {
    let of_line = |rule: &str| vec![Fault::of_line(rule)];
    let text = std::str::from_utf8(line).map_err(|_| of_line("is not UTF-8"))?;
    // What some editors put before the first letter of a file.
    let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
    let value = Value::read(text.trim()).map_err(|rule| of_line(&rule))?;
    let mut faults = Faults::default();
    let request = value.object(&mut faults).and_then(|object| recognised(&value, object, custom_id, &mut faults));
    faults.none()?;
    // None without a fault: there is none such.
    request.map(Box::new).ok_or_else(|| of_line("is no request"))
}

fn recognised(
    whole: &Value<'_>,
    mut object: Object<'_>,
    custom_id: &mut String,
    faults: &mut Faults,
) -> Option<CompleteRequest> {
    let for_chat = ["body", "url", "method"].iter().any(|name| object.has(name));
    let named = object.has("custom_id");
    if !for_chat && !named && !object.has("request") {
        return own(whole, faults);
    }
    if let Some(name) = object.take("custom_id").and_then(|name| name.text(faults)) {
        *custom_id = name;
    }
    if for_chat {
        return of_chat(object, faults);
    }
    let Some(request) = object.take("request") else {
        faults.report("", "must have `request`, or `method`, `url` and `body`, beside its custom_id");
        return None;
    };
    object.end("is not known beside custom_id and request", faults);
    own(&request, faults)
}

/// A request as the contract has it. All of it stands in one line, so that only the column says where: it counts from the
/// request's own beginning.
fn own(value: &Value<'_>, faults: &mut Faults) -> Option<CompleteRequest> {
    let told = |error: String| format!("is no CompleteRequest: {}", error.replace(" at line 1 column ", " at column "));
    json::read("CompleteRequest", value.json()).map_err(|error| faults.report(&value.path, told(error))).ok()
}

fn of_chat(mut object: Object<'_>, faults: &mut Faults) -> Option<CompleteRequest> {
    if let Some(method) = object.take("method")
        && method.text(faults).is_some_and(|method| method != "POST")
    {
        faults.report(&method.path, "must be POST");
    }
    let url = object.need("url", faults)?;
    if url.text(faults)? != CHAT {
        faults.report(&url.path, format!("must be {CHAT}: nothing else is supported"));
        return None;
    }
    let body = object.need("body", faults);
    object.end("is not known beside custom_id, method, url and body", faults);
    chat::request(&body?, faults)
}
