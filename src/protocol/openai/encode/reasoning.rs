//! How reasoning is asked for: words, numbers and switches, within what the model and the dialect know.

use super::Encoder;
use super::wire::{Reasoning, ReasoningObject, Thinking};
use crate::domain::{Constraints, Effort, ReasoningAmount, Tokens};
use crate::protocol::openai::{Dialect, ReasoningAsk, ReasoningText};

/// The reasoning fields of the body.
pub(super) fn reasoning(encoder: &mut Encoder<'_>) -> Reasoning {
    let Some(asked) = encoder.order.request.reasoning else { return Reasoning::default() };
    let mut wire = match asked.amount {
        Some(ReasoningAmount::Effort(effort)) => with_effort(encoder, effort),
        Some(ReasoningAmount::Budget(tokens)) => with_budget(encoder, tokens),
        None => Reasoning::default(),
    };
    if let Some(display) = asked.display {
        match encoder.dialect.reasoning_text {
            ReasoningText::Choice => wire.reasoning.get_or_insert_default().exclude = Some(!display),
            ReasoningText::Never if !display => {}
            ReasoningText::Always if display => {}
            ReasoningText::Never | ReasoningText::Always => encoder.left_out.unsupported("reasoning.display"),
        }
    }
    wire
}

fn with_effort(encoder: &mut Encoder<'_>, asked: Effort) -> Reasoning {
    let facts = encoder.order.facts;
    if facts.is_some_and(|facts| facts.capabilities.reasoning == Some(false)) {
        // A model that cannot reason does as it is told when it is told not to.
        if asked != Effort::None {
            encoder.left_out.unsupported("reasoning.effort");
        }
        return Reasoning::default();
    }
    let constraints = facts.map(|facts| facts.constraints).unwrap_or_default();
    let known = Known { dialect: encoder.dialect, constraints };
    match known.nearest(asked) {
        Some(effort) => in_words(encoder.dialect.reasoning, effort),
        None => {
            encoder.left_out.unsupported("reasoning.effort");
            Reasoning::default()
        }
    }
}

/// A number where there is a field for it, else the effort that stands for about as much.
fn with_budget(encoder: &mut Encoder<'_>, tokens: Tokens) -> Reasoning {
    let adaptive = encoder.order.facts.is_some_and(|facts| facts.constraints.adaptive_reasoning == Some(true));
    if encoder.dialect.reasoning == ReasoningAsk::Object && !adaptive {
        let object = ReasoningObject { max_tokens: Some(tokens.get()), ..ReasoningObject::default() };
        return Reasoning { reasoning: Some(object), ..Reasoning::default() };
    }
    let facts = encoder.order.facts;
    let constraints = facts.map(|facts| facts.constraints).unwrap_or_default();
    let known = Known { dialect: encoder.dialect, constraints };
    let reasons = facts.is_none_or(|facts| facts.capabilities.reasoning != Some(false));
    match known.for_budget(tokens).filter(|_| reasons) {
        Some(effort) => in_words(encoder.dialect.reasoning, effort),
        None => {
            encoder.left_out.unsupported("reasoning.budget_tokens");
            Reasoning::default()
        }
    }
}

fn in_words(ask: ReasoningAsk, effort: Effort) -> Reasoning {
    let word = Some(effort.as_str());
    match ask {
        ReasoningAsk::Nothing => Reasoning::default(),
        ReasoningAsk::Switch if effort == Effort::None => {
            Reasoning { thinking: Some(Thinking { r#type: "disabled" }), ..Reasoning::default() }
        }
        ReasoningAsk::Effort | ReasoningAsk::Switch => Reasoning { reasoning_effort: word, ..Reasoning::default() },
        ReasoningAsk::Object => {
            let object = ReasoningObject { effort: word, ..ReasoningObject::default() };
            Reasoning { reasoning: Some(object), ..Reasoning::default() }
        }
    }
}

/// The efforts that the dialect has a word for and the model takes, as far as that is known.
struct Known<'a> {
    dialect: &'a Dialect,
    constraints: Constraints,
}

impl Known<'_> {
    fn takes(&self, effort: Effort) -> bool {
        if self.dialect.reasoning == ReasoningAsk::Nothing {
            return false;
        }
        let Constraints { effort_none, effort_minimal, effort_xhigh, effort_max, reasoning_always_on, .. } =
            self.constraints;
        let model = match effort {
            Effort::None => effort_none.or(reasoning_always_on.map(|always| !always)),
            Effort::Minimal => effort_minimal,
            Effort::Low | Effort::Medium | Effort::High => Some(true),
            Effort::XHigh => effort_xhigh,
            // What is known of the word below tells of this one: a model that has no `xhigh` has no `max` either, and
            // one that is known to have `xhigh` would be known to have `max`.
            Effort::Max => effort_max.or(effort_xhigh.map(|_| false)),
        };
        // What is known of the model overrules what is usual in the dialect.
        model != Some(false) && (self.dialect.efforts.contains(&effort) || (model.is_some() && is_special(effort)))
    }

    /// The effort to send: `minimal` and `max` mean the least and the most that the model knows.
    fn nearest(&self, asked: Effort) -> Option<Effort> {
        let candidates: &[Effort] = match asked {
            Effort::Minimal => &[Effort::Minimal, Effort::Low],
            Effort::Max => &[Effort::Max, Effort::XHigh, Effort::High],
            Effort::None => &[Effort::None],
            Effort::Low => &[Effort::Low],
            Effort::Medium => &[Effort::Medium],
            Effort::High => &[Effort::High],
            Effort::XHigh => &[Effort::XHigh],
        };
        candidates.iter().copied().find(|effort| self.takes(*effort))
    }

    /// The least effort that stands for at least this many tokens, else the most that there is.
    fn for_budget(&self, tokens: Tokens) -> Option<Effort> {
        let steps = [Effort::Low, Effort::Medium, Effort::High, Effort::XHigh];
        let taken = || steps.into_iter().filter(|effort| self.takes(*effort));
        taken().find(|effort| effort.budget() >= tokens).or_else(|| taken().next_back())
    }
}

/// Whether an effort is one of those that only some models take.
const fn is_special(effort: Effort) -> bool {
    matches!(effort, Effort::None | Effort::Minimal | Effort::XHigh | Effort::Max)
}
