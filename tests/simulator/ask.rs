//! Asks the simulator in either wire format and reads what comes, as far as every test needs it.

use std::time::Duration;

use bytes::Bytes;
use completiond::simulator::{Pace, Simulator};
use completiond::transport::{Departure, Framed, Framer, Outgoing, Transport, TransportError};
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Chat,
    Messages,
}

pub(crate) const FORMATS: [Format; 2] = [Format::Chat, Format::Messages];

impl Format {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    /// A request that asks `prompt`, with `more` fields.
    pub(crate) fn request(self, prompt: &str, more: &Value) -> Value {
        let mut body = json!({ "model": "simulator", "messages": [{ "role": "user", "content": prompt }] });
        if self == Self::Messages {
            body["max_tokens"] = json!(100_000);
        }
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    /// The same for a streamed answer.
    pub(crate) fn streamed(self, prompt: &str) -> Value {
        match self {
            Self::Chat => self.request(prompt, &json!({ "stream": true, "stream_options": { "include_usage": true } })),
            Self::Messages => self.request(prompt, &json!({ "stream": true })),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    /// The connection was lost in the middle of the body.
    pub(crate) lost: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The frames of a streamed answer: names and texts.
    pub(crate) fn frames(&self) -> Vec<(String, String)> {
        let (mut framer, mut frames) = (Framer::default(), Vec::new());
        framer.push(&self.body);
        while let Some(framed) = framer.next_frame().unwrap() {
            if let Framed::Event { event, data } = framed {
                frames.push((event.to_owned(), String::from_utf8(data.to_vec()).unwrap()));
            }
        }
        frames
    }

    /// The frames that are JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.frames().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }

    /// Whether the answer has what makes it complete in its format.
    pub(crate) fn is_complete(&self, format: Format) -> bool {
        match format {
            Format::Chat => self.events().iter().any(|chunk| chunk["choices"][0]["finish_reason"].is_string()),
            Format::Messages => self.events().iter().any(|event| event["type"] == "message_stop"),
        }
    }

    /// The text of a streamed answer.
    pub(crate) fn text(&self) -> String {
        self.pieces(&["/choices/0/delta/content", "/delta/text"])
    }

    /// Text at these places of all frames.
    pub(crate) fn pieces(&self, places: &[&str]) -> String {
        let events = self.events();
        let at = |event: &Value| places.iter().find_map(|place| event.pointer(place)?.as_str().map(str::to_owned));
        events.iter().filter_map(at).collect()
    }
}

/// Sends `body` to `simulator` and reads all of the answer.
pub(crate) async fn ask(simulator: &Simulator, format: Format, body: &Value) -> Result<Answer, TransportError> {
    ask_at(simulator, format.path(), body.to_string()).await
}

/// Sends any bytes anywhere.
pub(crate) async fn ask_at(simulator: &Simulator, path: &str, body: String) -> Result<Answer, TransportError> {
    let response = simulator.send(outgoing(path, body)).await?;
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut lost) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => lost = true,
        }
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: bytes.into(), lost })
}

pub(crate) fn outgoing(path: &str, body: String) -> Outgoing {
    let request = http::Request::post(format!("http://simulator{path}")).body(Bytes::from(body)).unwrap();
    Outgoing { request, connect_timeout: Duration::from_secs(5), proxy: None, departure: Departure::default() }
}

pub(crate) fn instant() -> Simulator {
    Simulator::new(Pace::INSTANT)
}

/// What `prompt` leads to, in the process, at once.
pub(crate) async fn say(format: Format, body: Value) -> Answer {
    ask(&instant(), format, &body).await.unwrap()
}
