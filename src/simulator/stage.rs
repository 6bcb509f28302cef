//! One request from its bytes to its answer: what it asks for, what is played, and when.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::Pace;
use super::answer::{Answer, tag};
use super::ask::Ask;
use super::body::{self, Rhythm, Script, lost, sleep};
use super::chat_wire::ChatWire;
use super::clock::Clock;
use super::directive::{Directives, FaultKind, Filter, Instead};
use super::failure::{Failure, Kind};
use super::gauge::Open;
use super::messages_wire::{self, MessagesWire};
use super::prompt_cache::PromptCache;
use super::wire::Wire;
use crate::transport::{Departure, Incoming, TransportError};

/// One request on its way to its answer.
pub(super) struct Stage {
    pace: Pace,
    clock: Clock,
    connect_timeout: Duration,
    open: Open,
    id: String,
    departure: Departure,
    prompts: PromptCache,
}

/// What shall be played.
struct Play {
    wire: &'static dyn Wire,
    ask: Ask,
    directives: Directives,
    /// The tokens of the prompt are wanted, and no answer to it.
    counts: bool,
}

/// A status and its body.
type Refusal = (StatusCode, Value);

impl Stage {
    pub(super) fn new(
        pace: Pace,
        clock: Clock,
        connect_timeout: Duration,
        open: Open,
        request: &Request<Bytes>,
    ) -> Self {
        let (id, departure, prompts) = (tag(request.body()), Departure::default(), PromptCache::default());
        Self { pace, clock, connect_timeout, open, id, departure, prompts }
    }

    /// The same that tells when the request has come.
    pub(super) fn told_by(self, departure: Departure) -> Self {
        Self { departure, ..self }
    }

    /// The same with the prompts that are known from before.
    pub(super) fn knowing(self, prompts: PromptCache) -> Self {
        Self { prompts, ..self }
    }

    /// Answers the request as it and `script` ask for.
    pub(super) async fn answer(self, request: &Request<Bytes>, script: &str) -> Result<Incoming, TransportError> {
        match self.prepare(request, script) {
            Ok(play) => {
                let (wire, advice, clock) = (play.wire, play.directives.advice, self.clock);
                let mut response = self.perform(play).await?;
                advice.on_any(wire, clock, response.headers_mut());
                Ok(response)
            }
            Err((status, body)) => Ok(self.reply(status, &body)),
        }
    }

    /// Reads the request and its directives.
    fn prepare(&self, request: &Request<Bytes>, script: &str) -> Result<Play, Refusal> {
        let path = request.uri().path();
        let counts = path.ends_with(messages_wire::COUNTING);
        let wire = wire_of(path).ok_or_else(|| {
            let message = "the simulator answers at /v1/messages and at /chat/completions";
            (
                StatusCode::NOT_FOUND,
                json!({ "type": "error", "error": { "type": "not_found_error", "message": message } }),
            )
        })?;
        let refuse = |failure: Failure| wire.error(&failure, &self.id);
        if request.method() != Method::POST {
            let failure = Failure { status: Some(405), ..Failure::rejected("only POST is answered here") };
            return Err(refuse(failure));
        }
        let body: Option<Value> = serde_json::from_slice(request.body()).ok();
        let body =
            body.filter(Value::is_object).ok_or_else(|| refuse(Failure::rejected("the body is no JSON object")))?;
        let body = if counts { messages_wire::counted(body).map_err(refuse)? } else { body };
        let ask = wire.read(&body).map_err(refuse)?;
        let directives = Directives::of(script, &ask.model, &ask.user_text);
        let directives = directives.map_err(|rule| refuse(Failure::rejected(rule)))?;
        Ok(Play { wire, ask, directives, counts })
    }

    async fn perform(self, play: Play) -> Result<Incoming, TransportError> {
        let Play { wire, ask, directives, counts } = play;
        if !matches!(directives.instead, Some(Instead::ConnectRefused | Instead::ConnectTimeout)) {
            self.departure.mark();
        }
        sleep(directives.timing.head.unwrap_or_default()).await;
        if let Some(instead) = &directives.instead {
            return self.replace(wire, &directives, instead).await;
        }
        if counts {
            return Ok(self.reply(StatusCode::OK, &json!({ "input_tokens": ask.input_tokens })));
        }
        if directives.shape.filter == Some(Filter::Prompt)
            && let Some((status, body)) = wire.filtered_prompt()
        {
            return Ok(self.reply(status, &body));
        }
        let answer = match Answer::of(&ask, &directives, self.id.clone()) {
            Ok(answer) => answer.sparing(self.prompts.serve(&ask.prefixes, ask.input_tokens)),
            Err(failure) => {
                let (status, body) = wire.error(&failure, &self.id);
                return Ok(self.reply(status, &body));
            }
        };
        let rhythm = self.rhythm(&directives);
        if ask.stream {
            Ok(self.streamed(wire, answer, &directives, rhythm))
        } else {
            Ok(self.whole(wire, &answer, &directives, rhythm).await)
        }
    }

    fn rhythm(&self, directives: &Directives) -> Rhythm {
        let timing = directives.timing;
        Rhythm {
            first: timing.first_event.unwrap_or(self.pace.first_event),
            pace: timing.pace.unwrap_or(self.pace.token),
            ping: timing.ping,
            split: timing.split,
        }
    }

    fn streamed(self, wire: &'static dyn Wire, answer: Answer, directives: &Directives, rhythm: Rhythm) -> Incoming {
        let failure = directives.kind.unwrap_or(Kind::Overloaded).into();
        let mut streamed = Script::streamed(wire, answer, rhythm, failure);
        streamed.end = directives.end;
        streamed.fault = directives.fault;
        self.respond(
            StatusCode::OK,
            "text/event-stream; charset=utf-8",
            Script::Streamed(Box::new(streamed)),
            wire.keep_alive(),
            rhythm,
        )
    }

    /// An answer that comes whole takes the time that its tokens take.
    async fn whole(
        self,
        wire: &'static dyn Wire,
        answer: &Answer,
        directives: &Directives,
        rhythm: Rhythm,
    ) -> Incoming {
        sleep(rhythm.first.saturating_add(rhythm.pace.saturating_mul(answer.paced_tokens()))).await;
        let fault = directives.fault.map(|fault| fault.kind);
        if fault == Some(FaultKind::Error) {
            let failure: Failure = directives.kind.unwrap_or(Kind::Overloaded).into();
            let (_, body) = wire.error(&failure, &self.id);
            return self.reply(StatusCode::OK, &body);
        }
        let body = wire.whole(answer, directives.end).to_string().into_bytes();
        self.respond(StatusCode::OK, "application/json", Script::whole(body, fault), "\n", rhythm)
    }

    /// What comes in place of an answer.
    async fn replace(
        mut self,
        wire: &dyn Wire,
        directives: &Directives,
        instead: &Instead,
    ) -> Result<Incoming, TransportError> {
        let clock = self.clock;
        let mut response = match instead {
            Instead::Error(failure) => {
                let (status, body) = wire.error(failure, &self.id);
                self.reply(status, &body)
            }
            Instead::ErrorBody200 => {
                let failure: Failure = directives.kind.unwrap_or(Kind::Unavailable).into();
                let (_, body) = wire.error(&failure, &self.id);
                self.reply(StatusCode::OK, &body)
            }
            Instead::Status(status) => self.page(*status, "text/plain", ""),
            Instead::Html(status) => self.page(*status, "text/html", "<html><body><h1>simulated</h1></body></html>"),
            Instead::Silence => {
                sleep(Duration::MAX).await;
                return Err(lost());
            }
            Instead::ResetBeforeHead => {
                self.open.finish();
                return Err(lost());
            }
            Instead::ConnectRefused => {
                self.open.finish();
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                return Err(TransportError::Connect(refused.into()));
            }
            Instead::ConnectTimeout => {
                sleep(self.connect_timeout).await;
                self.open.finish();
                return Err(TransportError::ConnectTimeout(self.connect_timeout));
            }
        };
        directives.advice.on_failure(clock, response.headers_mut());
        Ok(response)
    }

    fn reply(self, status: StatusCode, body: &Value) -> Incoming {
        self.page(status, "application/json", &body.to_string())
    }

    fn page(self, status: StatusCode, kind: &'static str, text: &str) -> Incoming {
        let rhythm = Rhythm { first: Duration::ZERO, pace: Duration::ZERO, ping: None, split: None };
        self.respond(status, kind, Script::whole(text.into(), None), "", rhythm)
    }

    fn respond(
        self,
        status: StatusCode,
        kind: &'static str,
        script: Script,
        keep_alive: &'static str,
        rhythm: Rhythm,
    ) -> Incoming {
        let mut response = Response::new(body::body(script, rhythm, keep_alive, self.open));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert("x-simulated", HeaderValue::from_static("true"));
        if let Ok(id) = HeaderValue::try_from(format!("req_sim_{}", self.id)) {
            headers.insert("request-id", id.clone());
            headers.insert("x-request-id", id);
        }
        response
    }
}

/// The wire format that is spoken at a path.
fn wire_of(path: &str) -> Option<&'static dyn Wire> {
    if path.ends_with("/chat/completions") {
        Some(&ChatWire)
    } else if path.ends_with("/v1/messages") || path.ends_with(messages_wire::COUNTING) {
        Some(&MessagesWire)
    } else {
        None
    }
}
