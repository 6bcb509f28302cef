//! From a request to a body: the top level. What a turn, a block or a tool becomes is in the modules below.

mod blocks;
mod messages;
mod parameters;
mod piece;
mod tools;
mod wire;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::Version;
use super::decode::Reader;
use crate::domain::{Block, CacheBreakpoint, Identity, PromptCache, Role};
use crate::protocol::left_out::LeftOut;
use crate::protocol::place::Place;
use crate::protocol::prompt_cache::{self, Lifetime, Rules, Section, Slot, Takes};
use crate::protocol::{Delivery, Exchange, Order, Unfit, json, options};
use piece::Prompt;
use wire::CacheControl;

/// What the prompt cache can do.
const CACHE: Rules = Rules {
    most: 4,
    short: Lifetime { length: Duration::from_secs(5 * 60), word: "5m" },
    long: Lifetime { length: Duration::from_secs(60 * 60), word: "1h" },
    lookback: 20,
    longest_first: true,
    least: None,
};

/// Encodes a request.
pub(super) fn exchange(version: Version, order: &Order<'_>) -> Result<Exchange, Unfit> {
    let mut encoding = Encoding { version, order: *order, left_out: LeftOut::of(order.request), cached_for: None };
    let body = encoding.body()?;
    let ignored = encoding.left_out.judge()?;
    // Serialising text and numbers into memory cannot fail.
    let body = json::written(&body).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", HeaderValue::from_static(version.as_str()));
    options::add_headers(&mut headers, order);
    Ok(Exchange {
        path: "/v1/messages".into(),
        headers,
        body: options::merge(body, order),
        delivery: order.delivery,
        decoder: Box::new(Reader::new(order.identity.clone())),
        ignored,
        prompt_cache_ttl: encoding.cached_for,
    })
}

/// A request on its way to the wire.
struct Encoding<'a> {
    version: Version,
    order: Order<'a>,
    left_out: LeftOut,
    /// How long the provider is asked to keep the prompt.
    cached_for: Option<Duration>,
}

impl<'a> Encoding<'a> {
    fn body(&mut self) -> Result<wire::Body<'a>, Unfit> {
        let request = self.order.request;
        let mut prompt = Prompt { tools: self.tools()?, system: self.system()?, messages: self.messages()? };
        self.mark(&mut prompt);
        let Prompt { tools, system, messages } = prompt;
        let thinking = self.thinking();
        let sampling = self.sampling(thinking.config);
        self.unknown_parameters();
        Ok(wire::Body {
            model: self.order.identity.model.as_str(),
            max_tokens: self.order.max_tokens.get(),
            tool_choice: self.tool_choice(thinking.config, !tools.is_empty()),
            system,
            messages,
            tools,
            thinking: thinking.config,
            output_config: wire::OutputConfig { effort: thinking.effort, format: self.format()? },
            stop_sequences: self.stop_sequences(),
            sampling,
            service_tier: request.service_tier.as_deref(),
            metadata: request.user.as_deref().map(|user_id| wire::Metadata { user_id }),
            container: self.container(),
            stream: self.order.delivery == Delivery::Stream,
        })
    }

    fn identity(&self) -> &'a Identity {
        self.order.identity
    }

    /// Marks the places where the prompt cache shall end a prefix.
    fn mark(&mut self, prompt: &mut Prompt<'_>) {
        let request = self.order.request;
        // Who lets the provider place its own mark has one less, and decides about all of them.
        let own = request.provider_options.get(&self.identity().vendor);
        let is_own = own.is_some_and(|own| own.body.contains_key("cache_control"));
        let wish = if is_own { PromptCache::default() } else { self.order.prompt_cache };
        if !wish.is_automatic() && !request.has_breakpoints() {
            return;
        }
        let mut slots = Vec::new();
        prompt.visit(&mut |piece| slots.push(piece.slot()));
        let rules = Rules { most: CACHE.most - usize::from(is_own), ..CACHE.of(self.order.facts) };
        let placed = prompt_cache::place(&slots, &rules, wish);
        let (mut marks, mut at) = (placed.marks.into_iter(), 0);
        prompt.visit(&mut |piece| {
            if let Some(mark) = marks.next().flatten() {
                piece.mark(CacheControl { ttl: mark.map(|lifetime| lifetime.word) });
            }
            for (_, what) in placed.left_out.iter().filter(|(of, _)| *of == at) {
                self.left_out.foreign(what.path(piece.place()));
            }
            at += 1;
        });
        self.cached_for = placed.ttl;
    }

    /// What the prompt cache has to know about a block of `bytes` at `place`.
    fn slot(&self, place: Place, breakpoint: Option<CacheBreakpoint>, bytes: Option<usize>) -> Slot {
        let (section, takes) = match place {
            Place::Tool { .. } => (Section::Tools, Takes::Any),
            Place::System { .. } => (Section::System, Takes::Any),
            Place::Result { .. } => (Section::Told, Takes::Callers),
            Place::Message { message, .. } => {
                let message = self.order.request.messages.get(message);
                let is_model = message.is_some_and(|message| message.role == Role::Assistant);
                (if is_model { Section::Said } else { Section::Told }, Takes::Any)
            }
        };
        Slot { section, breakpoint, bytes, takes }
    }

    /// The same of a block that is nothing but text.
    fn text_slot(&self, place: Place, block: &Block) -> Slot {
        self.slot(place, block.cache_breakpoint, Some(block.text_bytes()))
    }
}

fn lacks<T>(field: impl std::fmt::Display, lacks: &'static str) -> Result<T, Unfit> {
    Err(Unfit::Capability { field: field.to_string(), lacks })
}
