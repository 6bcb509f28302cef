//! From a request to a body: the top level. What a turn, a block or a tool becomes is in the modules below.

mod blocks;
mod messages;
mod parameters;
mod place;
mod tools;
mod wire;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::Version;
use super::decode::Reader;
use super::fields::Fields;
use crate::domain::{CacheBreakpoint, Identity};
use crate::protocol::left_out::LeftOut;
use crate::protocol::{Delivery, Exchange, Order, Unfit, options};
use wire::{CacheControl, Piece};

/// The most places where the prompt cache can end a prefix.
const MAX_BREAKPOINTS: usize = 4;

/// Encodes a request.
pub(super) fn exchange(version: Version, order: &Order<'_>) -> Result<Exchange, Unfit> {
    let mut encoding = Encoding { version, order: *order, left_out: LeftOut::of(order.request), breakpoints: 0 };
    let body = encoding.body()?;
    let ignored = encoding.left_out.judge()?;
    // Serialising text and numbers into memory cannot fail.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", HeaderValue::from_static(version.as_str()));
    options::add_headers(&mut headers, order);
    Ok(Exchange {
        path: "/v1/messages".to_owned(),
        headers,
        body: options::merge(body, order),
        delivery: order.delivery,
        decoder: Box::new(Reader::new(order.identity.clone())),
        ignored,
    })
}

/// A request on its way to the wire.
struct Encoding<'a> {
    version: Version,
    order: Order<'a>,
    left_out: LeftOut,
    breakpoints: usize,
}

impl<'a> Encoding<'a> {
    fn body(&mut self) -> Result<wire::Body<'a>, Unfit> {
        let request = self.order.request;
        let tools = self.tools()?;
        let system = self.system()?;
        let messages = self.messages()?;
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

    /// What the wire says about a place where the prompt cache shall end a prefix.
    fn cache(&mut self, breakpoint: Option<CacheBreakpoint>, path: impl std::fmt::Display) -> Option<CacheControl> {
        const FIVE_MINUTES: std::time::Duration = std::time::Duration::from_secs(300);
        let breakpoint = breakpoint?;
        if self.breakpoints == MAX_BREAKPOINTS {
            self.left_out.unsupported(format!("{path}.cache_breakpoint"));
            return None;
        }
        self.breakpoints += 1;
        Some(CacheControl { ttl: breakpoint.ttl.map(|ttl| if ttl <= FIVE_MINUTES { "5m" } else { "1h" }) })
    }
}

/// A piece with more fields, the last of which win.
fn merged<T: serde::Serialize>(typed: T, more: impl IntoIterator<Item = Fields>) -> Piece<T> {
    let mut more = more.into_iter().peekable();
    if more.peek().is_none() {
        return Piece::Typed(typed);
    }
    let mut fields = Fields::of(&typed);
    more.for_each(|more| fields.extend(more));
    fields.to_raw().map_or(Piece::Typed(typed), Piece::Merged)
}

fn lacks<T>(field: impl std::fmt::Display, lacks: &'static str) -> Result<T, Unfit> {
    Err(Unfit::Capability { field: field.to_string(), lacks })
}
