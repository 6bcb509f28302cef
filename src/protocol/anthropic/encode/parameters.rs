//! Parameters of the top level, and what a model insists on.

use serde_json::value::RawValue;

use super::super::Version;
use super::super::fields::Fields;
use super::wire::{Format, Sampling, Thinking};
use super::{Encoding, lacks};
use crate::domain::{Constraints, Effort, JsonSchema, ReasoningAmount, ResponseFormat};
use crate::protocol::Unfit;

/// The fewest tokens that a model can be told to reason with.
const LEAST_BUDGET: u32 = 1024;

/// How the model shall reason.
#[derive(Default)]
pub(super) struct ThinkingPlan {
    pub(super) config: Option<Thinking>,
    pub(super) effort: Option<&'static str>,
}

impl ThinkingPlan {
    fn of(mode: &'static str, display: Option<&'static str>) -> Self {
        Self { config: Some(Thinking { mode, budget_tokens: None, display }), effort: None }
    }
}

impl<'a> Encoding<'a> {
    pub(super) fn thinking(&mut self) -> ThinkingPlan {
        let Some(reasoning) = self.order.request.reasoning else { return ThinkingPlan::default() };
        let facts = self.order.facts;
        let amount = reasoning.amount;
        let is_none = amount == Some(ReasoningAmount::Effort(Effort::None));
        if facts.and_then(|facts| facts.capabilities.reasoning) == Some(false) {
            if amount.is_some() && !is_none {
                self.left_out.unsupported("reasoning");
            }
            return ThinkingPlan::default();
        }
        let constraints = facts.map(|facts| facts.constraints).unwrap_or_default();
        let display = reasoning.display.map(|wanted| if wanted { "summarized" } else { "omitted" });
        match amount {
            Some(ReasoningAmount::Effort(Effort::None)) if constraints.reasoning_always_on == Some(true) => {
                self.left_out.unsupported("reasoning.effort");
                ThinkingPlan::of("adaptive", display)
            }
            Some(ReasoningAmount::Effort(Effort::None)) => ThinkingPlan::of("disabled", None),
            _ if is_adaptive(&constraints) => self.adaptive(amount, display, &constraints),
            Some(amount) => self.budget(amount, display),
            // Without an amount such a model does not reason, and so there is nothing to show.
            None => ThinkingPlan::default(),
        }
    }

    /// A model that chooses itself how long it reasons.
    fn adaptive(
        &mut self,
        amount: Option<ReasoningAmount>,
        display: Option<&'static str>,
        constraints: &Constraints,
    ) -> ThinkingPlan {
        // Asking for the display alone must not switch on what is off by default; showing it is a reason to.
        if amount.is_none() && display != Some("summarized") && constraints.reasoning_always_on != Some(true) {
            return ThinkingPlan::default();
        }
        let plan = ThinkingPlan::of("adaptive", display);
        let effort = match amount {
            None => None,
            Some(ReasoningAmount::Budget(_)) => {
                self.left_out.unsupported("reasoning.budget_tokens");
                None
            }
            Some(ReasoningAmount::Effort(effort)) => Some(self.effort(effort, constraints)),
        };
        ThinkingPlan { effort, ..plan }
    }

    fn effort(&mut self, effort: Effort, constraints: &Constraints) -> &'static str {
        // Where one of the upper words is known, a silent table means that the other is not taken.
        let knows = |word: Option<bool>, other: Option<bool>| word.unwrap_or(other.is_none());
        let xhigh = knows(constraints.effort_xhigh, constraints.effort_max);
        let max = knows(constraints.effort_max, constraints.effort_xhigh);
        match effort {
            Effort::None | Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh if xhigh => "xhigh",
            Effort::XHigh => {
                self.left_out.unsupported("reasoning.effort");
                "high"
            }
            Effort::Max if max => "max",
            Effort::Max if xhigh => "xhigh",
            Effort::Max => "high",
        }
    }

    /// A model that takes a number of tokens, at least [`LEAST_BUDGET`] and fewer than the whole answer may have.
    fn budget(&mut self, amount: ReasoningAmount, display: Option<&'static str>) -> ThinkingPlan {
        let max_tokens = self.order.max_tokens.get();
        let (path, tokens) = match amount {
            ReasoningAmount::Budget(tokens) => ("reasoning.budget_tokens", tokens.get()),
            // A word is no number: it leaves room for the answer.
            ReasoningAmount::Effort(effort) => {
                ("reasoning.effort", effort.budget().get().min((max_tokens / 2).max(LEAST_BUDGET)))
            }
        };
        if tokens >= max_tokens {
            self.left_out.unsupported(path);
            return ThinkingPlan::default();
        }
        let budget_tokens = Some(tokens.max(LEAST_BUDGET));
        ThinkingPlan { config: Some(Thinking { mode: "enabled", budget_tokens, display }), effort: None }
    }

    pub(super) fn sampling(&mut self, thinking: Option<Thinking>) -> Sampling {
        let asked = self.order.request.sampling;
        let takes = self.order.facts.and_then(|facts| facts.constraints.sampling) != Some(false);
        let takes = takes && self.version == Version::V2023;
        // With a number of tokens to reason with, only what does not narrow the choice is taken.
        let free = thinking.is_none_or(|thinking| thinking.mode != "enabled");
        let temperature = |value: f64| takes && value <= 1.0 && (free || (value - 1.0).abs() < f64::EPSILON);
        let sampling = Sampling {
            temperature: asked.temperature.filter(|value| temperature(*value)),
            // The models that take both parameters do not take them together.
            top_p: asked.top_p.filter(|value| takes && asked.temperature.is_none() && (free || *value >= 0.95)),
            top_k: asked.top_k.filter(|_| takes && free),
        };
        for (path, is_asked, is_taken) in [
            ("temperature", asked.temperature.is_some(), sampling.temperature.is_some()),
            ("top_p", asked.top_p.is_some(), sampling.top_p.is_some()),
            ("top_k", asked.top_k.is_some(), sampling.top_k.is_some()),
        ] {
            if is_asked && !is_taken {
                self.left_out.unsupported(path);
            }
        }
        sampling
    }

    pub(super) fn unknown_parameters(&mut self) {
        let asked = &self.order.request.sampling;
        for (path, is_asked) in [
            ("frequency_penalty", asked.frequency_penalty.is_some()),
            ("presence_penalty", asked.presence_penalty.is_some()),
            ("seed", asked.seed.is_some()),
            ("top_logprobs", asked.top_logprobs.is_some()),
        ] {
            if is_asked {
                self.left_out.unsupported(path);
            }
        }
    }

    /// A stop sequence of white space alone is refused.
    pub(super) fn stop_sequences(&mut self) -> Vec<&'a str> {
        let mut taken = Vec::new();
        for (index, sequence) in self.order.request.stop_sequences.iter().enumerate() {
            if sequence.trim().is_empty() {
                self.left_out.unsupported(format!("stop_sequences[{index}]"));
            } else {
                taken.push(sequence.as_str());
            }
        }
        taken
    }

    pub(super) fn format(&self) -> Result<Option<Format>, Unfit> {
        match &self.order.request.response_format {
            ResponseFormat::Text => Ok(None),
            ResponseFormat::JsonObject => lacks("response_format.json_object", "cannot promise JSON without a schema"),
            ResponseFormat::JsonSchema(_)
                if self.order.facts.and_then(|facts| facts.capabilities.json_schema) == Some(false) =>
            {
                lacks("response_format.json_schema", "cannot answer by a schema")
            }
            ResponseFormat::JsonSchema(asked) => match schema(asked) {
                Some(schema) => Ok(Some(Format { schema })),
                None => lacks("response_format.json_schema", "cannot take a schema that is no object"),
            },
        }
    }
}

/// The schema, which is where this protocol has room for a description.
fn schema(asked: &JsonSchema) -> Option<Box<RawValue>> {
    if asked.description.is_empty() {
        return RawValue::from_string(asked.schema.clone()).ok();
    }
    let mut fields = Fields::parse(&asked.schema)?;
    if fields.get("description").is_none() {
        fields.set_text("description", &asked.description);
    }
    fields.to_raw()
}

/// Only older models take sampling parameters; those that do and say nothing else take a number of tokens.
fn is_adaptive(constraints: &Constraints) -> bool {
    constraints.adaptive_reasoning.unwrap_or(constraints.sampling != Some(true))
}
