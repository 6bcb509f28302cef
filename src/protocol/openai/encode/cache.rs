//! What the provider's prompt cache is told: where prefixes end, and which requests begin alike.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Encoder;
use super::messages::simplify;
use super::parts::merged;
use super::wire::{self, CacheOptions, Call, Content, Message, Piece, Placed, Tool};
use crate::domain::PromptCache;
use crate::protocol::openai::CacheMark;
use crate::protocol::prompt_cache::{self, LeftOut, Lifetime, Mark, Placement, Rules, Section, Slot, Takes};

/// The fields that hold a mark.
const MARKS: [&str; 2] = ["prompt_cache_breakpoint", "cache_control"];
/// How much of a hash makes a key, in bytes.
const KEY_BYTES: usize = 16;

/// `prompt_cache_breakpoint`: only a prefix that ends in a mark is found, however far back that is.
const BREAKPOINT: Rules = Rules {
    most: 4,
    short: Lifetime { length: Duration::from_secs(30 * 60), word: "30m" },
    long: Lifetime { length: Duration::from_secs(12 * 60 * 60), word: "12h" },
    lookback: 1,
    longest_first: false,
    least: None,
};

/// `cache_control`, which a router hands on in the Messages protocol.
const CONTROL: Rules = Rules {
    most: 4,
    short: Lifetime { length: Duration::from_secs(5 * 60), word: "5m" },
    long: Lifetime { length: Duration::from_secs(60 * 60), word: "1h" },
    lookback: 20,
    longest_first: true,
    least: None,
};

/// Marks where prefixes end. What the provider is told about the marks as a whole; none: nothing.
pub(super) fn mark(
    encoder: &mut Encoder<'_>,
    tools: &[Piece<'_, Tool<'_>>],
    messages: &mut [Message<'_>],
) -> Option<CacheOptions> {
    let placed = placement(encoder, tools, messages).unwrap_or_default();
    let mut at = tools.len();
    for message in messages.iter_mut() {
        for part in parts(message) {
            if let Some(mark) = placed.marks.get(at).copied().flatten() {
                set(encoder, part, mark);
            }
            leave_out(encoder, &placed, at, part);
            at += 1;
        }
        at += others(message).count();
    }
    encoder.cached_for = placed.ttl;
    encoder.written_for = placed.written_for();
    // Where there may be marks a text stays a part, so that a message has the same form in every turn.
    if placed.marks.is_empty() {
        simplify(encoder, messages);
    }
    // Left to itself the provider would place one more, for its short time.
    let is_breakpoint = encoder.dialect.cache == CacheMark::Breakpoint;
    (is_breakpoint && placed.is_automatic).then_some(CacheOptions { mode: "explicit" })
}

/// Which pieces get a mark: the tools, then each message's parts and what it has beside them. None: there are no marks
/// here, or none are wanted.
fn placement(encoder: &Encoder<'_>, tools: &[Piece<'_, Tool<'_>>], messages: &mut [Message<'_>]) -> Option<Placement> {
    let breakpoints = encoder.facts().and_then(|facts| facts.cached_prompts.breakpoints);
    let (rules, is_sure) = match encoder.dialect.cache {
        CacheMark::Nothing => return None,
        CacheMark::Breakpoint if breakpoints == Some(false) => return None,
        // A model that does not know the field refuses it.
        CacheMark::Breakpoint => (BREAKPOINT, breakpoints == Some(true)),
        CacheMark::Control => (CONTROL, true),
    };
    let wish = if is_sure { encoder.order.prompt_cache } else { PromptCache::default() };
    if !wish.is_automatic() && !encoder.order.request.has_breakpoints() {
        return None;
    }
    let mut slots: Vec<Slot> = tools.iter().map(|tool| slot(Section::Tools, Some(json(tool).len()))).collect();
    for message in messages {
        let section = section(message);
        slots.extend(parts(message).iter().map(|part| part_slot(section, part)));
        slots.extend(others(message).map(|bytes| slot(section, Some(bytes))));
    }
    Some(prompt_cache::place(&slots, &rules.of(encoder.facts()), wish))
}

/// A piece that takes no mark.
fn slot(section: Section, bytes: Option<usize>) -> Slot {
    Slot { section, breakpoint: None, bytes, takes: Takes::None }
}

fn part_slot(section: Section, placed: &Placed<'_>) -> Slot {
    // In what the model said a mark is passed over, or not known; but who wants one there may try.
    let takes = if section == Section::Said { Takes::Callers } else { Takes::Any };
    let (bytes, takes) = match &placed.piece {
        Piece::Known(part) if part.thinking.is_some() => (None, Takes::None),
        Piece::Known(part) => (part.text.map(str::len), takes),
        Piece::Merged(raw) if has_mark(raw) => (None, Takes::Marked),
        Piece::Merged(_) => (None, takes),
        Piece::Borrowed(raw) if has_mark(raw) => (None, Takes::Marked),
        Piece::Borrowed(_) => (None, Takes::None),
    };
    let breakpoint = placed.breakpoint.as_ref().map(|(breakpoint, _)| *breakpoint);
    Slot { section, breakpoint, bytes, takes }
}

fn section(message: &Message<'_>) -> Section {
    match message.role {
        "assistant" => Section::Said,
        "user" | "tool" => Section::Told,
        _ => Section::System,
    }
}

fn parts<'m, 'a>(message: &'m mut Message<'a>) -> &'m mut [Placed<'a>] {
    match &mut message.content {
        Some(Content::Parts(parts)) => parts,
        Some(Content::Text(_)) | None => &mut [],
    }
}

/// The bytes of what a message says beside its parts.
fn others(message: &Message<'_>) -> impl Iterator<Item = usize> {
    let texts =
        [&message.refusal, &message.reasoning_content, &message.reasoning].into_iter().flatten().map(String::len);
    let details = message.reasoning_details.iter().map(|detail| detail.get().len());
    let calls = message.tool_calls.iter().map(call_bytes);
    texts.chain(details).chain(calls)
}

fn call_bytes(call: &Piece<'_, Call<'_>>) -> usize {
    match call {
        Piece::Known(Call { function: Some(function), .. }) => function.name.len() + function.arguments.len(),
        Piece::Known(Call { custom, .. }) => custom.as_ref().map_or(0, |custom| custom.name.len() + custom.input.len()),
        Piece::Borrowed(raw) => raw.get().len(),
        Piece::Merged(raw) => raw.get().len(),
    }
}

fn json(piece: &impl Serialize) -> String {
    serde_json::to_string(piece).unwrap_or_default()
}

/// Whether the caller has written a mark in the provider's own words.
fn has_mark(raw: &RawValue) -> bool {
    let object: Option<BTreeMap<&str, &RawValue>> = serde_json::from_str(raw.get()).ok();
    object.is_some_and(|object| MARKS.iter().any(|mark| object.contains_key(mark)))
}

fn set(encoder: &Encoder<'_>, placed: &mut Placed<'_>, mark: Mark) {
    let ttl = mark.map(|lifetime| lifetime.word);
    let (key, mark) = match encoder.dialect.cache {
        CacheMark::Control => ("cache_control", wire::CacheMark { mode: None, kind: Some("ephemeral"), ttl }),
        _ => ("prompt_cache_breakpoint", wire::CacheMark { mode: Some("explicit"), kind: None, ttl }),
    };
    match &mut placed.piece {
        Piece::Known(part) if encoder.dialect.cache == CacheMark::Control => part.cache_control = Some(mark),
        Piece::Known(part) => part.prompt_cache_breakpoint = Some(mark),
        Piece::Merged(raw) => {
            if let Ok(Piece::Merged(marked)) = merged::<&RawValue>(raw, &json(&BTreeMap::from([(key, mark)])), key) {
                *raw = marked;
            }
        }
        Piece::Borrowed(_) => {}
    }
}

/// Reports what of the breakpoint of this part was left out: something of it, or all where there are no marks.
fn leave_out(encoder: &mut Encoder<'_>, placed: &Placement, at: usize, part: &Placed<'_>) {
    let Some((_, place)) = &part.breakpoint else { return };
    if placed.marks.is_empty() {
        encoder.left_out.foreign(LeftOut::Breakpoint.path(place));
    }
    for (_, what) in placed.left_out.iter().filter(|(of, _)| *of == at) {
        encoder.left_out.foreign(what.path(place));
    }
}

/// What is the same for requests that begin alike: the conversation, else model, system prompt and tools, before marks
/// are set. A hash: what the caller calls its conversations stays here.
pub(super) fn key(encoder: &Encoder<'_>, tools: &[Piece<'_, Tool<'_>>], messages: &[Message<'_>]) -> Option<String> {
    let order = encoder.order;
    if !encoder.dialect.cache_key || !order.prompt_cache.is_automatic() {
        return None;
    }
    let beginning = match &order.request.conversation_id {
        Some(id) => json(&("conversation", id)),
        None => {
            let system: Vec<_> = messages.iter().take_while(|message| section(message) == Section::System).collect();
            let has_any = !(system.is_empty() && tools.is_empty());
            json(&("prefix", order.identity.model.as_str(), tools, has_any.then_some(system)?))
        }
    };
    Some(Sha256::digest(beginning).iter().take(KEY_BYTES).map(|byte| format!("{byte:02x}")).collect())
}
