//! What an answer used, from counts that overlap to items that do not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::domain::{ModelId, Terms, Tokens, Usage, UsageItem, UsageKind};
use crate::protocol::few::Few;

/// The most passes that one answer takes.
const MOST_PASSES: usize = 1024;
/// The most tools that the provider ran for one answer, and the longest name of one, or of a model, in bytes.
const MOST_TOOLS: usize = 64;
const MOST_NAME_BYTES: usize = 256;

/// The provider's counts, and what it says beside them. `input_tokens` excludes what a cache had to do with;
/// `output_tokens` includes reasoning.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    #[serde(flatten)]
    counts: Counts,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<BTreeMap<String, Calls>>,
    iterations: Option<Few<Iteration, MOST_PASSES>>,
    pub(super) service_tier: Option<String>,
    pub(super) speed: Option<String>,
    pub(super) inference_geo: Option<String>,
}

/// Calls of one tool. What is told of it in another form is no number of calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Calls {
    Count(i64),
    Other(IgnoredAny),
}

impl Calls {
    const fn count(&self) -> i64 {
        match self {
            Self::Count(count) => *count,
            Self::Other(_) => 0,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    cache_creation_input_tokens: Option<i64>,
    cache_creation: Option<CacheCreation>,
    output_tokens: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<i64>,
    ephemeral_1h_input_tokens: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<i64>,
}

/// One pass of a model within an answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type")]
    kind: String,
    model: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

impl Tally {
    /// Reads what the provider reports; none where it cannot be read. No answer is lost for that: what was not told is
    /// estimated.
    pub(super) fn read(raw: Option<&RawValue>) -> Option<Self> {
        let tally: Self = serde_json::from_str(raw?.get()).ok()?;
        let passes = tally.iterations.as_ref().map_or(&[][..], |passes| &passes.0);
        let tools = || tally.server_tool_use.iter().flat_map(BTreeMap::keys);
        let mut names = tools().chain(passes.iter().filter_map(|pass| pass.model.as_ref()));
        let right = tools().count() <= MOST_TOOLS && names.all(|name| name.len() <= MOST_NAME_BYTES);
        right.then_some(tally)
    }

    /// Whether it says how many tokens the answer has.
    pub(super) const fn tells_output(&self) -> bool {
        self.counts.output_tokens.is_some()
    }

    /// Newer counts replace older ones: they are sums already.
    pub(super) fn overlay(&mut self, newer: Self) {
        let (old, new) = (&mut self.counts, newer.counts);
        old.input_tokens = new.input_tokens.or(old.input_tokens);
        old.cache_read_input_tokens = new.cache_read_input_tokens.or(old.cache_read_input_tokens);
        old.cache_creation_input_tokens = new.cache_creation_input_tokens.or(old.cache_creation_input_tokens);
        old.cache_creation = new.cache_creation.or(old.cache_creation.take());
        old.output_tokens = new.output_tokens.or(old.output_tokens);
        self.output_tokens_details = newer.output_tokens_details.or(self.output_tokens_details.take());
        self.server_tool_use = newer.server_tool_use.or(self.server_tool_use.take());
        self.iterations = newer.iterations.or(self.iterations.take());
        self.service_tier = newer.service_tier.or(self.service_tier.take());
        self.speed = newer.speed.or(self.speed.take());
        self.inference_geo = newer.inference_geo.or(self.inference_geo.take());
    }

    /// What decides beside the quantities about the price: the tier, and what multiplies all prices.
    pub(super) fn terms(&self) -> Terms {
        let is = |told: &Option<String>, word: &str| told.as_deref() == Some(word);
        let surcharges = [("fast", is(&self.speed, "fast")), ("us", is(&self.inference_geo, "us"))];
        Terms {
            service_tier: self.service_tier.clone().unwrap_or_default(),
            surcharges: surcharges.into_iter().filter_map(|(name, applies)| applies.then_some(name)).collect(),
        }
    }

    /// Disjoint items. `answering` is the model that answers: work of another is an item of its own.
    pub(super) fn usage(&self, answering: Option<&str>) -> Usage {
        let told = [self.counts.input_tokens, self.counts.output_tokens];
        if !told.into_iter().flatten().any(|count| count >= 0) {
            return Usage::default();
        }
        let mut thinking = self
            .output_tokens_details
            .as_ref()
            .map_or(Tokens::ZERO, |details| Tokens::saturating(details.thinking_tokens.unwrap_or(0)));
        let passes = self.iterations.as_ref().map_or(&[][..], |passes| &passes.0);
        // After a fallback only the passes say who did what; elsewhere the counts hold all passes of the answering
        // model, and only the others' work, such as summing up the conversation, comes on top.
        let fell_back = passes.iter().any(|pass| pass.kind == "fallback_message");
        let mut items = Vec::new();
        if !fell_back {
            self.counts.items(&mut thinking, None, &mut items);
        }
        for pass in passes.iter().filter(|pass| fell_back || pass.kind != "message") {
            let other = pass.model.as_deref().filter(|model| Some(*model) != answering);
            let mut of_pass = if other.is_none() { std::mem::take(&mut thinking) } else { Tokens::ZERO };
            pass.counts.items(&mut of_pass, other.map(ModelId::new).as_ref(), &mut items);
        }
        for (name, count) in self.server_tool_use.iter().flatten() {
            let tool = name.strip_suffix("_requests").unwrap_or(name);
            items.push(UsageItem::calls(tool, Tokens::saturating(count.count()).get()));
        }
        let usage = Usage::reported(items);
        // A number that cannot be true is none.
        if told.into_iter().flatten().any(|count| count < 0) { usage.cut_short() } else { usage }
    }
}

impl Counts {
    /// The items of these counts; `thinking` is what of the output was reasoning, and is used up.
    fn items(&self, thinking: &mut Tokens, model: Option<&ModelId>, items: &mut Vec<UsageItem>) {
        let count = |count: Option<i64>| Tokens::saturating(count.unwrap_or(0));
        let mut add = |kind: UsageKind, tokens: Tokens, cache_ttl: Option<Duration>| {
            items.push(UsageItem { cache_ttl, model: model.cloned(), ..UsageItem::tokens(kind, tokens) });
        };
        add(UsageKind::Input, count(self.input_tokens), None);
        add(UsageKind::CacheRead, count(self.cache_read_input_tokens), None);
        let (short, long, unnamed) = self.writes();
        add(UsageKind::CacheWrite, short, Some(Duration::from_secs(300)));
        add(UsageKind::CacheWrite, long, Some(Duration::from_secs(3600)));
        add(UsageKind::CacheWrite, unnamed, None);
        let output = count(self.output_tokens);
        let reasoning = std::mem::take(thinking).min(output);
        add(UsageKind::Output, output.saturating_sub(reasoning), None);
        add(UsageKind::Reasoning, reasoning, None);
    }

    /// Cache writes that live five minutes, an hour, and for a time that is not named. The total may have grown since
    /// its parts were told; parts that are more than the total are not believed.
    fn writes(&self) -> (Tokens, Tokens, Tokens) {
        let count = |count: Option<i64>| Tokens::saturating(count.unwrap_or(0));
        let parts = self.cache_creation.clone().unwrap_or_default();
        let (short, long) = (count(parts.ephemeral_5m_input_tokens), count(parts.ephemeral_1h_input_tokens));
        let total = self.cache_creation_input_tokens.map_or(short + long, Tokens::saturating);
        if short + long > total {
            return (Tokens::ZERO, Tokens::ZERO, total);
        }
        (short, long, total.saturating_sub(short + long))
    }
}
