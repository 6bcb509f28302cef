//! The providers' caches of prompts: where a request is marked for them, that a conversation begins with the same bytes
//! in every turn, and what is read, written and paid in the end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod any;
#[path = "../golden/mod.rs"]
mod golden;
mod keys;
mod paid;
mod prefix;
mod shapes;
#[path = "../stage/mod.rs"]
mod stage;

use std::sync::Arc;
use std::time::Duration;

use completiond::catalog;
use completiond::domain::*;
use completiond::protocol::{Delivery, Exchange, Order, Protocol, vendor};

/// A target of which the catalog knows what its cache can do.
pub(crate) struct Target {
    protocol: Arc<dyn Protocol>,
    identity: Identity,
    facts: Option<&'static ModelFacts>,
}

impl Target {
    pub(crate) fn new(vendor: &str, model: &str) -> Self {
        Self {
            protocol: (vendor::preset(vendor).unwrap().protocol)(),
            identity: Identity::new(ProviderId::new("main"), Vendor::new(vendor), ModelId::new(model)),
            facts: catalog::facts(vendor, model),
        }
    }

    /// The two protocols that have marks.
    pub(crate) fn both() -> [Self; 2] {
        [Self::new("anthropic", "claude-sonnet-5-5"), Self::new("openai", "gpt-6-sol")]
    }

    pub(crate) fn order<'a>(&'a self, request: &'a Request) -> Order<'a> {
        Order {
            request,
            identity: &self.identity,
            facts: self.facts,
            delivery: Delivery::Stream,
            max_tokens: request.max_tokens.unwrap_or(Tokens::new(8192)),
            prompt_cache: request.prompt_cache,
        }
    }

    pub(crate) fn encode(&self, request: &Request) -> Exchange {
        self.protocol.encode(&self.order(request)).unwrap()
    }

    /// Compares what is sent with a golden file.
    pub(crate) fn check(&self, name: &str, request: &Request) {
        golden::check(self.protocol.as_ref(), name, &self.order(request));
    }
}

pub(crate) fn automatic(ttl: Option<u64>) -> PromptCache {
    PromptCache { mode: PromptCacheMode::Automatic, ttl: ttl.map(Duration::from_secs) }
}

/// A text of more tokens than any model's shortest prefix has.
pub(crate) fn long(what: &str) -> Block {
    Block::text(format!("{what} {}", "and so on ".repeat(450)))
}

pub(crate) fn says(role: Role, content: Vec<Block>) -> Message {
    Message { role, content, state: None }
}

pub(crate) fn user(text: &str) -> Message {
    says(Role::User, vec![Block::text(text)])
}

pub(crate) fn model(text: &str) -> Message {
    says(Role::Assistant, vec![Block::text(text)])
}

pub(crate) fn call(id: &str) -> Block {
    let input = ToolInput::Json(r#"{"city":"Paris"}"#.to_owned());
    let (id, name) = (id.to_owned(), "get_weather".to_owned());
    BlockKind::ToolCall(ToolCall { id, name, input, incomplete: false, namespace: String::new() }).into()
}

pub(crate) fn result(id: &str, text: &str) -> Block {
    let (tool_call_id, name) = (id.to_owned(), String::new());
    let content = vec![Block::text(text)];
    BlockKind::ToolResult(ToolResult { tool_call_id, name, content, is_error: false }).into()
}

pub(crate) fn tool(name: &str) -> Tool {
    let kind = ToolKind::Function(FunctionTool {
        name: name.to_owned(),
        description: "Tells the weather.".to_owned(),
        parameters: Some(r#"{"type":"object","properties":{"city":{"type":"string"},"b":{},"a":{}}}"#.to_owned()),
        strict: None,
        provider_options: VendorJson::new(),
    });
    Tool { kind, cache_breakpoint: None }
}

pub(crate) fn inline(mime_type: &str, bytes: &'static [u8]) -> Media {
    Media { source: MediaSource::Inline(bytes.into()), mime_type: mime_type.to_owned() }
}

pub(crate) fn image() -> Block {
    BlockKind::Image(Image { media: inline("image/png", b"\x89PNG"), detail: String::new() }).into()
}

pub(crate) fn document() -> Block {
    let (title, context, filename) = (String::new(), String::new(), String::new());
    let media = inline("application/pdf", b"%PDF-1.7");
    BlockKind::Document(Document { media, title, context, citations: None, filename }).into()
}

pub(crate) fn marked(mut block: Block, ttl: Option<u64>) -> Block {
    block.cache_breakpoint = Some(CacheBreakpoint { ttl: ttl.map(Duration::from_secs) });
    block
}

/// What the model thought, as the vendor signed it.
pub(crate) fn thought(target: &Target) -> Block {
    let payload = r#"{"type":"thinking","signature":"sig"}"#.to_owned();
    let payload = serde_json::value::RawValue::from_string(payload).unwrap();
    let block: Block = BlockKind::Reasoning(ReasoningText { text: "Hm.".to_owned(), redacted: false }).into();
    block.with_state(ProviderState::new(&target.identity, payload))
}
