//! What is sent to one endpoint for a call, and what its caller is told at the end.

use std::time::Duration;

use super::Rules;
use super::scene::Asked;
use crate::domain::{
    Attempt, CallId, Error, Finish, Identity, ModelFacts, Origin, Outcome, Reason, Reasoning, Request, Tokens,
    Violation,
};
use crate::pool::{Endpoint, Ledger};
use crate::protocol::{Delivery, Exchange, Order, Unfit};

/// The largest answer that is asked for whole.
const SHORT: Tokens = Tokens::new(1024);

/// What is sent to one endpoint, and what its caller is told at the end.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) exchange: Exchange,
    pub(super) conclusion: Conclusion,
}

/// What is known about an outcome before the answer comes.
#[derive(Debug)]
pub(super) struct Conclusion {
    id: CallId,
    identity: Identity,
    ignored: Vec<String>,
    max_tokens: Tokens,
    prompt_cache_ttl: Option<Duration>,
    simulated: bool,
    ledger: Ledger,
}

/// What is sent to `endpoint`; `share` is the time that the attempt may take when others shall have a chance too.
///
/// # Errors
/// It cannot take the request.
pub(super) fn plan(endpoint: &Endpoint, asked: &Asked, rules: &Rules, share: Option<Duration>) -> Result<Plan, Unfit> {
    speaks(endpoint)?;
    let max_tokens = max_tokens(&asked.request, rules, endpoint.facts);
    let mut exchange = endpoint.provider.protocol.encode(&Order {
        request: &asked.request,
        identity: &endpoint.identity,
        facts: endpoint.facts,
        delivery: upstream_delivery(asked, max_tokens, endpoint, share),
        max_tokens,
        prompt_cache: asked.request.prompt_cache.or(endpoint.prompt_cache).or(rules.prompt_cache),
    })?;
    let conclusion = Conclusion {
        id: asked.id,
        identity: endpoint.identity.clone(),
        ignored: std::mem::take(&mut exchange.ignored),
        max_tokens,
        prompt_cache_ttl: exchange.prompt_cache_ttl,
        simulated: endpoint.provider.simulated,
        ledger: asked.ledger.clone(),
    };
    Ok(Plan { exchange, conclusion })
}

/// Whether the model at `endpoint` can be asked at all.
///
/// # Errors
/// Only by a protocol that is not spoken here.
pub(super) fn speaks(endpoint: &Endpoint) -> Result<(), Unfit> {
    if endpoint.facts.is_some_and(|facts| facts.other_protocol.is_some()) {
        return Err(Unfit::Capability { field: "model".into(), lacks: "speak this server's protocols" });
    }
    Ok(())
}

/// The bound on the answer that is sent: the caller's as it is, else the setting with room for reasoning, at most
/// what the model can do.
pub(super) fn max_tokens(request: &Request, rules: &Rules, facts: Option<&ModelFacts>) -> Tokens {
    if let Some(set) = request.max_tokens {
        return set;
    }
    let budget = request.reasoning.as_ref().and_then(Reasoning::budget).unwrap_or_default();
    let wanted = rules.default_max_tokens + budget;
    facts.and_then(|facts| facts.max_output).map_or(wanted, |most| wanted.min(most))
}

impl Conclusion {
    /// The bound on the answer that is sent.
    pub(super) fn max_tokens(&self) -> Tokens {
        self.max_tokens
    }

    pub(super) fn of(&self, finish: Finish) -> Outcome {
        let attempts = self.ledger.lines();
        Outcome {
            id: self.id,
            model: finish.model.clone().unwrap_or_else(|| self.identity.model.clone()),
            provider: self.identity.provider.clone(),
            cost: Attempt::cost_of_all(&attempts),
            attempts,
            ignored_parameters: self.ignored.clone(),
            max_tokens: self.max_tokens,
            prompt_cache_ttl: self.prompt_cache_ttl,
            simulated: self.simulated,
            origin: Origin::default(),
            saved: None,
            finish,
        }
    }
}

/// How most targets will be asked for the answer.
pub(super) fn likely_delivery(asked: &Asked) -> Delivery {
    let is_short = asked.request.max_tokens.is_some_and(|max_tokens| max_tokens <= SHORT);
    if asked.delivery == Delivery::Whole && is_short && asked.request.reasoning.is_none() {
        Delivery::Whole
    } else {
        Delivery::Stream
    }
}

/// An answer that nobody watches grow is asked for whole only where it must be short: a long one is streamed and
/// folded, so that silence shows early. A short one is streamed too where the attempt has less time than it would
/// otherwise be given: whether it is silent or only not done yet could not be told apart.
fn upstream_delivery(asked: &Asked, max_tokens: Tokens, endpoint: &Endpoint, share: Option<Duration>) -> Delivery {
    let always = endpoint.facts.is_some_and(|facts| facts.constraints.reasoning_always_on == Some(true));
    let budget = asked.request.reasoning.as_ref().map(Reasoning::budget);
    let reasons = always || budget.is_some_and(|budget| budget != Some(Tokens::ZERO));
    let hurried = share.is_some_and(|share| share < endpoint.timeouts.attempt);
    if asked.delivery == Delivery::Whole && max_tokens <= SHORT && !reasons && !hurried {
        Delivery::Whole
    } else {
        Delivery::Stream
    }
}

pub(super) fn reason(unfit: &Unfit) -> Reason {
    match unfit {
        Unfit::Parameters(_) => Reason::InvalidRequest,
        Unfit::Capability { .. } => Reason::CapabilityNotSupported,
    }
}

/// Why no target can take a request. Where leaving parameters out would help, that is what the caller is told.
pub(super) fn none_fits(misfits: &[Unfit]) -> Error {
    let parameters = misfits.iter().find_map(|unfit| match unfit {
        Unfit::Parameters(paths) => Some(paths),
        Unfit::Capability { .. } => None,
    });
    if let Some(paths) = parameters {
        let rule = "must be left out: no target of this model takes it (unsupported_parameters: IGNORE leaves it out)";
        let violation = |path: &String| Violation { field: path.clone(), rule: rule.into() };
        return Error::invalid_fields(paths.iter().map(violation).collect());
    }
    let lacks: Vec<String> = misfits
        .iter()
        .filter_map(|unfit| match unfit {
            Unfit::Capability { field, lacks } => Some(format!("{field}: the target cannot {lacks}")),
            Unfit::Parameters(_) => None,
        })
        .collect();
    Error::new(
        Reason::CapabilityNotSupported,
        format!("no target of this model can take the request: {}", lacks.join("; ")),
    )
}
