//! From a request to the body of `POST /chat/completions`.

mod cache;
mod messages;
mod parts;
mod reasoning;
mod tools;
mod wire;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::decode::ChatDecoder;
use super::{Dialect, MaxTokens, Prefill, SchemaAsk, Seed, UserField};
use crate::domain::{Constraints, ModelFacts, ResponseFormat, Role};
use crate::protocol::left_out::LeftOut;
use crate::protocol::{Delivery, Exchange, Order, Unfit, json, options};
use wire::{Body, JsonSchema, Parameters, StreamOptions};

/// The longest name of an end user where it goes as `safety_identifier`, in characters.
const LONGEST_SAFETY_IDENTIFIER: usize = 128;

/// Encodes `order` in `dialect`.
///
/// # Errors
/// [`Unfit`] when this endpoint cannot take the request.
pub(super) fn encode(dialect: &Dialect, order: &Order<'_>) -> Result<Exchange, Unfit> {
    let mut encoder =
        Encoder { dialect, order, left_out: LeftOut::of(order.request), cached_for: None, written_for: None };
    let body = encoder.body()?;
    // Texts, finite numbers and checked JSON always serialise.
    let bytes = json::written(&body).map_err(|_| lacks("messages", "cannot be written as JSON"))?;
    let ignored = encoder.left_out.judge()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    options::add_headers(&mut headers, order);
    Ok(Exchange {
        path: "/chat/completions".into(),
        headers,
        body: options::merge(bytes, order),
        delivery: order.delivery,
        decoder: Box::new(ChatDecoder::new(order, dialect.think_tags, encoder.written_for)),
        ignored,
        prompt_cache_ttl: encoder.cached_for,
    })
}

/// What every part of the encoding looks at and adds to.
struct Encoder<'a> {
    dialect: &'a Dialect,
    order: &'a Order<'a>,
    left_out: LeftOut,
    /// How long the provider is asked to keep the prompt.
    cached_for: Option<Duration>,
    /// The one lifetime of all that is written, where it was asked for.
    written_for: Option<Duration>,
}

/// An endpoint that cannot do what `field` asks for.
fn lacks(field: impl Into<String>, lacks: &'static str) -> Unfit {
    Unfit::Capability { field: field.into(), lacks }
}

impl<'a> Encoder<'a> {
    fn body(&mut self) -> Result<Body<'a>, Unfit> {
        let continued = self.prefill()?;
        let tools = tools::tools(self)?;
        let mut messages = messages::messages(self)?;
        let prompt_cache_key = cache::key(self, &tools, &messages);
        let prompt_cache_options = cache::mark(self, &tools, &mut messages);
        if let Some(last) = messages.last_mut() {
            last.prefix = continued == Some(Prefill::Prefix);
            last.partial = continued == Some(Prefill::Partial);
        }
        let streams = self.order.delivery == Delivery::Stream;
        let asked = continued == Some(Prefill::Asked);
        Ok(Body {
            model: self.order.identity.model.as_str(),
            messages,
            parameters: self.parameters(),
            reasoning: reasoning::reasoning(self),
            tools,
            prompt_cache_key,
            prompt_cache_options,
            tool_choice: tools::tool_choice(self),
            parallel_tool_calls: tools::parallel(self),
            response_format: self.response_format()?,
            continue_final_message: asked,
            add_generation_prompt: asked.then_some(false),
            stream: streams,
            stream_options: (streams && self.dialect.stream_usage).then_some(StreamOptions { include_usage: true }),
        })
    }

    fn facts(&self) -> Option<&'a ModelFacts> {
        self.order.facts
    }

    fn constraints(&self) -> Constraints {
        self.facts().map(|facts| facts.constraints).unwrap_or_default()
    }

    /// How the assistant message at the end is continued, if there is one.
    fn prefill(&self) -> Result<Option<Prefill>, Unfit> {
        let messages = &self.order.request.messages;
        if messages.last().is_none_or(|last| last.role != Role::Assistant) {
            return Ok(None);
        }
        match (self.dialect.prefill, self.constraints().prefill) {
            (Prefill::Never, Some(true)) => Ok(Some(Prefill::Bare)),
            (Prefill::Never, _) | (_, Some(false)) => {
                let field = format!("messages[{}]", messages.len().saturating_sub(1));
                Err(lacks(field, "cannot continue an assistant message"))
            }
            (way, _) => Ok(Some(way)),
        }
    }

    /// The value, where the dialect and the model know the parameter; else it is left out.
    fn taken<T>(&mut self, path: &'static str, value: Option<T>) -> Option<T> {
        value.as_ref()?;
        let fixed = self.constraints().sampling == Some(false)
            && matches!(path, "temperature" | "top_p" | "top_k" | "top_logprobs");
        if fixed || !self.dialect.takes(path) {
            self.left_out.unsupported(path);
            return None;
        }
        value
    }

    fn parameters(&mut self) -> Parameters<'a> {
        let request = self.order.request;
        let sampling = request.sampling;
        let bound = Some(self.order.max_tokens.get());
        let seed = self.taken("seed", sampling.seed);
        let top_logprobs = self.taken("top_logprobs", sampling.top_logprobs);
        let user = self.user();
        let by_safety = self.dialect.user == UserField::SafetyIdentifier;
        Parameters {
            max_completion_tokens: bound.filter(|_| self.dialect.max_tokens == MaxTokens::Completion),
            max_tokens: bound.filter(|_| self.dialect.max_tokens == MaxTokens::Plain),
            temperature: self.taken("temperature", sampling.temperature),
            top_p: self.taken("top_p", sampling.top_p),
            top_k: self.taken("top_k", sampling.top_k),
            frequency_penalty: self.taken("frequency_penalty", sampling.frequency_penalty),
            presence_penalty: self.taken("presence_penalty", sampling.presence_penalty),
            seed: seed.filter(|_| self.dialect.seed == Seed::Seed),
            random_seed: seed.filter(|_| self.dialect.seed == Seed::RandomSeed),
            logprobs: top_logprobs.map(|_| true),
            top_logprobs,
            stop: self.stops(),
            service_tier: self.taken("service_tier", request.service_tier.as_deref()),
            user: user.filter(|_| !by_safety),
            safety_identifier: user.filter(|_| by_safety),
        }
    }

    fn user(&mut self) -> Option<&'a str> {
        let user = self.taken("user", self.order.request.user.as_deref())?;
        let too_long = user.chars().count() > LONGEST_SAFETY_IDENTIFIER;
        if too_long && self.dialect.user == UserField::SafetyIdentifier {
            self.left_out.unsupported("user");
            return None;
        }
        Some(user)
    }

    /// The stop sequences, as many as are taken; each one more is left out.
    fn stops(&mut self) -> &'a [String] {
        let stops = self.order.request.stop_sequences.as_slice();
        let most = if self.dialect.takes("stop_sequences") { self.dialect.max_stops } else { 0 };
        for index in most..stops.len() {
            self.left_out.unsupported(format!("stop_sequences[{index}]"));
        }
        stops.get(..most).unwrap_or(stops)
    }

    fn response_format(&self) -> Result<Option<wire::ResponseFormat<'a>>, Unfit> {
        let (r#type, json_schema, schema) = match &self.order.request.response_format {
            ResponseFormat::Text => return Ok(None),
            ResponseFormat::JsonObject => ("json_object", None, None),
            ResponseFormat::JsonSchema(asked) => {
                let schema = parts::raw(&asked.schema, "response_format.json_schema.schema_json")?;
                match self.schema_ask() {
                    SchemaAsk::Nothing => {
                        return Err(lacks("response_format.json_schema", "cannot bind its answer to a JSON Schema"));
                    }
                    SchemaAsk::Named => {
                        let (name, description) = (&asked.name, &asked.description);
                        let named = JsonSchema { name, description, schema, strict: asked.strict };
                        ("json_schema", Some(named), None)
                    }
                    SchemaAsk::Bare => ("json_object", None, Some(schema)),
                }
            }
        };
        Ok(Some(wire::ResponseFormat { r#type, json_schema, schema }))
    }

    /// How this model's answer is bound to a schema.
    fn schema_ask(&self) -> SchemaAsk {
        match self.facts().and_then(|facts| facts.capabilities.json_schema) {
            Some(false) => SchemaAsk::Nothing,
            _ => self.dialect.json_schema,
        }
    }
}
