//! What two requests must have in common to be given the same answer.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::{Block, Request};
use crate::store::AnswerKey;

/// The version of what is hashed: another one finds nothing of this one's.
const VERSION: u8 = 1;

/// The key of the answer to `request` by `caller`, where `shape` is the configuration behind the names that it asks for.
/// None: it cannot be written, which no request causes.
pub(super) fn of_answer(request: &Request, caller: &str, shape: &[String]) -> Option<AnswerKey> {
    hash(&(VERSION, caller, shape, shaping(request))).map(AnswerKey)
}

/// What makes two requests with the same id the same call: every field but the id, the labels and the user.
pub(in crate::pipeline) fn of_call(request: &Request) -> Option<[u8; 32]> {
    let mode = request.cache.mode as u8;
    let prompt_cache = (request.prompt_cache.mode as u8, request.prompt_cache.ttl);
    let breakpoints: Vec<_> = blocks(request).flat_map(Block::breakpoints).collect();
    let more = (
        (mode, request.cache.ttl, prompt_cache, breakpoints),
        request.tools.iter().map(|tool| tool.cache_breakpoint).collect::<Vec<_>>(),
        request.on_disconnect as u8,
        request.restart_on_interruption,
        request.max_cost,
        &request.conversation_id,
    );
    hash(&(VERSION, shaping(request), more))
}

fn blocks(request: &Request) -> impl Iterator<Item = &Block> {
    request.system.iter().chain(request.messages.iter().flat_map(|message| &message.content))
}

/// All that shapes the answer. Taken apart without a rest, so that a field that is new does not compile before it is
/// decided about.
fn shaping(request: &Request) -> impl Serialize + '_ {
    let Request {
        model,
        fallback_models,
        system,
        messages,
        max_tokens,
        sampling,
        stop_sequences,
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        reasoning,
        service_tier,
        unsupported,
        provider_options,
        // Whom it is for, what it is for, and what becomes of it.
        user: _,
        labels: _,
        max_cost: _,
        conversation_id: _,
        restart_on_interruption: _,
        request_id: _,
        on_disconnect: _,
        cache: _,
        // How long its prompt is kept elsewhere.
        prompt_cache: _,
    } = request;
    (
        (model, fallback_models, system, messages, max_tokens, sampling, stop_sequences),
        (tools, tool_choice, parallel_tool_calls, response_format, reasoning),
        (service_tier, unsupported, provider_options),
    )
}

fn hash(what: &impl Serialize) -> Option<[u8; 32]> {
    struct Hashing(Sha256);
    impl std::io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let hashing = postcard::to_io(what, Hashing(Sha256::new())).ok()?;
    Some(hashing.0.finalize().into())
}

#[cfg(test)]
mod tests;
