//! What is known about a model. `None` everywhere: not known, and then it is not refused either.

use super::{ModelId, ModelName, PicoUsd, PriceVersion, ProviderId, Tokens};

/// What is known about a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFacts {
    /// Prompt and answer together.
    pub context_window: Option<Tokens>,
    /// The largest prompt.
    pub max_input: Option<Tokens>,
    /// The largest answer.
    pub max_output: Option<Tokens>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it insists on.
    pub constraints: Constraints,
    /// What its provider's cache of prompts does for it.
    pub cached_prompts: CachedPrompts,
    /// Whether only a protocol that is not spoken here serves it.
    pub other_protocol: Option<String>,
}

/// What a provider's cache of prompts does for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CachedPrompts {
    /// The shortest prompt that is kept.
    pub least: Option<Tokens>,
    /// Whether a request may mark what is kept.
    pub breakpoints: Option<bool>,
}

/// What a model can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Calls tools.
    pub tools: Option<bool>,
    /// Sees images.
    pub images: Option<bool>,
    /// Reads documents.
    pub documents: Option<bool>,
    /// Hears sound.
    pub audio: Option<bool>,
    /// Answers by a JSON Schema.
    pub json_schema: Option<bool>,
    /// Reasons.
    pub reasoning: Option<bool>,
}

/// What a model insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Takes temperature, `top_p` and `top_k`.
    pub sampling: Option<bool>,
    /// Continues an assistant message at the end of the conversation.
    pub prefill: Option<bool>,
    /// Can be forced to call a tool.
    pub forced_tool_choice: Option<bool>,
    /// Cannot stop reasoning.
    pub reasoning_always_on: Option<bool>,
    /// Chooses itself how long it reasons; takes an effort, and no number of tokens.
    pub adaptive_reasoning: Option<bool>,
    /// Takes the effort `none`.
    pub effort_none: Option<bool>,
    /// Takes the effort `minimal`.
    pub effort_minimal: Option<bool>,
    /// Takes the effort `xhigh`.
    pub effort_xhigh: Option<bool>,
    /// Takes the effort `max`.
    pub effort_max: Option<bool>,
}

/// What a token costs where nothing else applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPrice {
    /// Of the prompt.
    pub input: Option<PicoUsd>,
    /// Of the answer.
    pub output: Option<PicoUsd>,
    /// Of the prompt, read from the provider's cache.
    pub cache_read: Option<PicoUsd>,
    /// Of the prompt, written to it for its default time.
    pub cache_write: Option<PicoUsd>,
    /// The version of the price table; none: the configuration says it, or nobody.
    pub version: Option<PriceVersion>,
}

/// A name that a caller may ask for, and what is known about where it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedModel {
    /// The name.
    pub name: ModelName,
    /// Where it leads, in the order in which the targets are tried.
    pub targets: Vec<ListedTarget>,
    /// Whether it is what a request without a model means.
    pub is_default: bool,
    /// What is known about its targets together.
    pub facts: ListedFacts,
    /// Why no call to it can succeed; none: one can.
    pub unavailable_reason: Option<String>,
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTarget {
    /// The provider.
    pub provider: ProviderId,
    /// The model there.
    pub model: ModelId,
    /// Lower is tried first.
    pub priority: u32,
    /// The share among targets of the same priority.
    pub weight: u32,
}

/// What is known about several targets together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedFacts {
    /// What at least one of them can do.
    pub capabilities: Capabilities,
    /// The largest context.
    pub context_window: Option<Tokens>,
    /// The largest answer.
    pub max_output: Option<Tokens>,
    /// The price of the first.
    pub price: ListedPrice,
}

impl ListedFacts {
    /// What is known about targets together, none for a target of which nothing is known, and the price of the first.
    pub fn of<'a>(targets: impl IntoIterator<Item = Option<&'a ModelFacts>>, price: Option<ListedPrice>) -> Self {
        let targets: Vec<Option<&ModelFacts>> = targets.into_iter().collect();
        let any = |can: fn(&Capabilities) -> Option<bool>| {
            let answers = || targets.iter().map(|facts| facts.and_then(|facts| can(&facts.capabilities)));
            // What one can do the name can do; that none can is only known when it is known of each.
            let none_can = !targets.is_empty() && answers().all(|answer| answer == Some(false));
            if answers().any(|answer| answer == Some(true)) { Some(true) } else { none_can.then_some(false) }
        };
        let known = || targets.iter().copied().flatten();
        Self {
            capabilities: Capabilities {
                tools: any(|can| can.tools),
                images: any(|can| can.images),
                documents: any(|can| can.documents),
                audio: any(|can| can.audio),
                json_schema: any(|can| can.json_schema),
                reasoning: any(|can| can.reasoning),
            },
            context_window: known().filter_map(|facts| facts.context_window).max(),
            max_output: known().filter_map(|facts| facts.max_output).max(),
            price: price.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_several_targets_are_those_of_the_best() {
        let facts = |tools, images, context: u32| ModelFacts {
            context_window: Some(Tokens::new(context)),
            capabilities: Capabilities { tools, images, ..Capabilities::default() },
            ..ModelFacts::default()
        };
        let (small, large) = (facts(Some(false), Some(false), 1000), facts(Some(true), Some(false), 2000));
        let both = ListedFacts::of([Some(&small), Some(&large)], None);
        assert_eq!(both.capabilities.tools, Some(true));
        assert_eq!(both.capabilities.images, Some(false));
        assert_eq!(both.capabilities.audio, None);
        assert_eq!(both.context_window, Some(Tokens::new(2000)));
        let unknown = ListedFacts::of([None, Some(&small)], None);
        assert_eq!(unknown.capabilities.tools, None, "the first may be able to");
        assert_eq!(ListedFacts::of([], None), ListedFacts::default());
    }
}
