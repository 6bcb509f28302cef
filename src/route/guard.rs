//! The bound on what a call may cost: who is not asked, because an answer could cost more.

use crate::domain::{Block, BlockKind, Error, MediaSource, Modality, PicoUsd, Reason, Request, Terms, Tokens};
use crate::pool::{Endpoint, Ledger};

/// What is added to the tokens that the text of a prompt is expected to have, in percent: the expectation is an average.
const MARGIN_PERCENT: u64 = 25;
/// The tokens that an image may have at most, and a document or a sound that is not in the request itself.
const OF_AN_IMAGE: u64 = 5_000;
const OF_A_REFERENCE: u64 = 100_000;
/// A document or a sound in the request has at most a token for so many bytes.
const MEDIA_BYTES_PER_TOKEN: u64 = 4;

/// What a caller who is over the bound has to look at.
const BOUNDS: &str = "the smaller of the request's `max_cost_pico_usd` and the server's `limits.max_call_cost`";

/// Why a target is not asked for what it may cost.
#[derive(Debug)]
pub(super) struct TooDear(Error);

impl TooDear {
    pub(super) fn reason(&self) -> Reason {
        self.0.reason
    }

    pub(super) fn into_error(self) -> Error {
        self.0
    }
}

/// The most that one attempt may cost, and what is left of the call's bound for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) at_most: PicoUsd,
    pub(super) left: PicoUsd,
}

/// Whether `endpoint` may be asked for at most `max_tokens` by a call of which `spent` of `bound` is gone.
///
/// # Errors
/// An answer could cost more than what is left, or nobody knows what it costs.
pub(super) fn afford(
    endpoint: &Endpoint,
    request: &Request,
    max_tokens: Tokens,
    bound: PicoUsd,
    spent: Option<PicoUsd>,
) -> Result<Allowed, TooDear> {
    let Some(spent) = spent else {
        return Err(unknown("what an earlier attempt of this call has cost is not known, and the call has a bound"));
    };
    let left = PicoUsd::new(bound.get().saturating_sub(spent.get()));
    let input = prompt(endpoint, request);
    let price = |output| at_most(endpoint, request, input, output);
    let Some(at_most) = price(max_tokens) else {
        let message = format!(
            "the price of {} is not known, and the call has a bound on its cost: `models[].price` or `price_table` of the \
             server's configuration sets it",
            endpoint.identity
        );
        return Err(unknown(message));
    };
    if at_most <= left {
        return Ok(Allowed { at_most, left });
    }
    let gone = if spent == PicoUsd::default() { String::new() } else { format!(", of which {spent} USD is spent") };
    let help = match most_tokens(max_tokens, |output| price(output).is_some_and(|price| price <= left)) {
        Some(fits) => format!("max_tokens of at most {fits} fits, or a higher bound: {BOUNDS}"),
        None => format!("the prompt alone may cost more: shorten it, or raise the bound: {BOUNDS}"),
    };
    let message = format!(
        "{} may cost up to {at_most} USD for a prompt of about {input} tokens and {max_tokens} of answer; the bound is \
         {bound} USD{gone}; {help}",
        endpoint.identity
    );
    Err(TooDear(Error::new(Reason::CostLimitExceeded, message)))
}

/// What the attempts of a call have cost until now; none: that is not known of one that used something.
pub(super) fn spent(ledger: &Ledger) -> Option<PicoUsd> {
    ledger.look(|attempts| {
        let mut sum = 0_i64;
        for attempt in attempts.iter().filter(|attempt| attempt.usage.is_some()) {
            sum = sum.saturating_add(attempt.cost.as_ref()?.amount.get());
        }
        Some(PicoUsd::new(sum))
    })
}

fn unknown(message: impl Into<std::borrow::Cow<'static, str>>) -> TooDear {
    TooDear(Error::new(Reason::PriceUnknown, message))
}

/// The terms that `request` asks for at `endpoint`; none: nobody can tell which they are. What is merged into the body
/// for this vendor alone decides before the rest, as it does on the wire.
pub(super) fn terms(endpoint: &Endpoint, request: &Request) -> Option<Terms> {
    let own = request.provider_options.get(&endpoint.identity.vendor).map(|options| &options.body);
    let own = |key| own.and_then(|body| body.get(key)).filter(|value| !value.is_null());
    let service_tier = match own("service_tier") {
        Some(tier) => tier.as_str()?.to_owned(),
        None => request.service_tier.clone().unwrap_or_default(),
    };
    let surcharges = match own("speed") {
        Some(speed) => match speed.as_str()? {
            "standard" => Vec::new(),
            "fast" => vec!["fast"],
            _ => return None,
        },
        None => Vec::new(),
    };
    Some(Terms { service_tier, surcharges })
}

/// The most that so long a prompt and so long an answer can cost on the terms of `request`; none: not known.
pub(super) fn at_most(endpoint: &Endpoint, request: &Request, input: Tokens, output: Tokens) -> Option<PicoUsd> {
    let tariff = endpoint.tariff.as_deref()?;
    let has_sound = blocks(request).any(|block| matches!(block.kind, BlockKind::Audio(_)));
    let modality = if has_sound { Modality::Audio } else { Modality::Unspecified };
    tariff.at_most_on(input, output, &terms(endpoint, request)?, modality)
}

/// The most tokens of an answer that `fits`; none: not even one does.
fn most_tokens(below: Tokens, fits: impl Fn(Tokens) -> bool) -> Option<Tokens> {
    let (mut least, mut most) = (0, below.get());
    while least + 1 < most {
        let middle = least + (most - least) / 2;
        if fits(Tokens::new(middle)) { least = middle } else { most = middle }
    }
    (least > 0).then(|| Tokens::new(least))
}

/// The tokens that the prompt has at most, by estimate; no more than the model takes.
pub(super) fn prompt(endpoint: &Endpoint, request: &Request) -> Tokens {
    let text = u64::from(endpoint.learned.of_prompt(request.prompt_bytes()).get());
    let text = text + text * MARGIN_PERCENT / 100;
    let all = blocks(request).map(media).fold(text, u64::saturating_add);
    let all = Tokens::new(u32::try_from(all).unwrap_or(u32::MAX));
    let most = endpoint.facts.and_then(|facts| facts.max_input.or(facts.context_window));
    most.map_or(all, |most| all.min(most))
}

fn blocks(request: &Request) -> impl Iterator<Item = &Block> {
    request.messages.iter().flat_map(|message| &message.content)
}

/// The tokens that the media in a block have at most.
fn media(block: &Block) -> u64 {
    let of = |source: &MediaSource| match source {
        MediaSource::Inline(bytes) => {
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            (bytes / MEDIA_BYTES_PER_TOKEN).max(OF_AN_IMAGE)
        }
        MediaSource::Uri(_) | MediaSource::File(_) => OF_A_REFERENCE,
    };
    match &block.kind {
        BlockKind::Image(_) => OF_AN_IMAGE,
        BlockKind::Document(document) => of(&document.media.source),
        BlockKind::Audio(audio) => of(&audio.media.source),
        BlockKind::ToolResult(result) => result.content.iter().map(media).fold(0, u64::saturating_add),
        BlockKind::Text(_)
        | BlockKind::ToolCall(_)
        | BlockKind::Reasoning(_)
        | BlockKind::Refusal(_)
        | BlockKind::Provider(_) => 0,
    }
}

#[cfg(test)]
mod tests;
