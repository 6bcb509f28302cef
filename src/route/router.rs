//! The choice of a target, and the attempt at it.
//!
//! One attempt is made. What may be tried again after a failure is decided in one place, `domain::Reason::recovery`;
//! a loop over the targets belongs here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};

use super::choice::in_order;
use super::{Tables, Target};
use crate::domain::{
    CallId, Cost, CostSource, Error, Event, Finish, Identity, ModelFacts, Outcome, Reason, Reasoning, Request, Tokens,
    Violation,
};
use crate::pool::{self, Attempt, Commitment, Endpoint, Ledger};
use crate::protocol::{Delivery, Exchange, Order, Unfit};
use crate::telemetry::CallTrace;
use crate::transport::Transport;

/// The largest answer that is asked for whole.
const SHORT: Tokens = Tokens::new(1024);

/// What holds for every call.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The bound on an answer, reasoning aside, where the caller set none.
    pub default_max_tokens: Tokens,
    /// How long a stream's caller is kept from knowing that somebody is at work.
    pub commit_after: Duration,
    /// The most that an answer may take on the wire, in bytes.
    pub max_answer_bytes: u64,
}

/// What is asked of the router.
#[derive(Debug)]
pub struct Asked {
    /// The call.
    pub id: CallId,
    /// What is asked.
    pub request: Request,
    /// Whether the caller wants the answer as it is made or whole.
    pub delivery: Delivery,
    /// Where attempts are recorded.
    pub ledger: Ledger,
    /// Makes the spans of attempts.
    pub trace: CallTrace,
}

/// Finds the endpoint that answers.
#[derive(Clone, Debug)]
pub struct Router {
    tables: Tables,
    transport: Arc<dyn Transport>,
    rules: Rules,
}

/// What is sent to one endpoint, and what its caller is told at the end.
struct Plan {
    exchange: Exchange,
    conclusion: Conclusion,
}

/// What is known about an outcome before the answer comes.
struct Conclusion {
    id: CallId,
    identity: Identity,
    ignored: Vec<String>,
    max_tokens: Tokens,
    simulated: bool,
    ledger: Ledger,
}

impl Router {
    /// Routes by the table in force, over one worker's `transport`.
    pub fn new(tables: Tables, transport: Arc<dyn Transport>, rules: Rules) -> Self {
        Self { tables, transport, rules }
    }

    /// Asks the first target that can take the request. The events that come back form a valid sequence.
    ///
    /// # Errors
    /// No such model, no target that can take the request, or whatever the attempt failed with.
    pub async fn route(&self, asked: Asked) -> Result<impl Stream<Item = Result<Event, Error>> + Send + use<>, Error> {
        let targets = self.tables.current().resolve(asked.request.model.as_ref())?;
        let targets = in_order(targets, |below| rand::random_range(0..below));
        let (endpoint, Plan { exchange, conclusion }) = self.first_fit(&targets, &asked)?;
        let attempt = Attempt {
            transport: self.transport.as_ref(),
            commitment: match asked.delivery {
                Delivery::Stream => Commitment::FirstBlock { commit_after: self.rules.commit_after },
                Delivery::Whole => Commitment::WholeAnswer,
            },
            max_answer_bytes: self.rules.max_answer_bytes,
            ledger: &asked.ledger,
            trace: &asked.trace,
        };
        let events = pool::attempt(&endpoint, exchange, &asked.request, attempt).await?;
        Ok(events.map(move |event| Ok(event?.map_end(|finish| conclusion.of(finish)))))
    }

    /// The first target that can take the request, and what to send there. Those before it are on record.
    fn first_fit(&self, targets: &[Target], asked: &Asked) -> Result<(Arc<Endpoint>, Plan), Error> {
        let mut misfits = Vec::new();
        for target in targets {
            match self.plan(&target.endpoint, asked) {
                Ok(plan) => return Ok((Arc::clone(&target.endpoint), plan)),
                Err(unfit) => {
                    asked.ledger.skip(target.endpoint.identity.clone(), reason(&unfit));
                    misfits.push(unfit);
                }
            }
        }
        Err(none_fits(&misfits))
    }

    fn plan(&self, endpoint: &Endpoint, asked: &Asked) -> Result<Plan, Unfit> {
        if endpoint.facts.is_some_and(|facts| facts.other_protocol.is_some()) {
            return Err(Unfit::Capability { field: "model".into(), lacks: "speak this server's protocols" });
        }
        let max_tokens = self.max_tokens(&asked.request, endpoint.facts);
        let mut exchange = endpoint.provider.protocol.encode(&Order {
            request: &asked.request,
            identity: &endpoint.identity,
            facts: endpoint.facts,
            delivery: upstream_delivery(asked, max_tokens, endpoint.facts),
            max_tokens,
        })?;
        let conclusion = Conclusion {
            id: asked.id,
            identity: endpoint.identity.clone(),
            ignored: std::mem::take(&mut exchange.ignored),
            max_tokens,
            simulated: endpoint.provider.simulated,
            ledger: asked.ledger.clone(),
        };
        Ok(Plan { exchange, conclusion })
    }

    /// The bound on the answer that is sent: the caller's as it is, else the setting with room for reasoning, at most
    /// what the model can do.
    fn max_tokens(&self, request: &Request, facts: Option<&ModelFacts>) -> Tokens {
        if let Some(set) = request.max_tokens {
            return set;
        }
        let budget = request.reasoning.as_ref().and_then(Reasoning::budget).unwrap_or_default();
        let wanted = self.rules.default_max_tokens + budget;
        facts.and_then(|facts| facts.max_output).map_or(wanted, |most| wanted.min(most))
    }
}

impl Conclusion {
    fn of(&self, finish: Finish) -> Outcome {
        Outcome {
            id: self.id,
            model: finish.model.clone().unwrap_or_else(|| self.identity.model.clone()),
            provider: self.identity.provider.clone(),
            cost: finish.cost.map(|amount| Cost { amount, source: CostSource::Provider }),
            attempts: self.ledger.lines(),
            ignored_parameters: self.ignored.clone(),
            max_tokens: self.max_tokens,
            simulated: self.simulated,
            finish,
        }
    }
}

/// An answer that nobody watches grow is asked for whole only where it must be short: a long one is streamed and
/// folded, so that silence shows early.
fn upstream_delivery(asked: &Asked, max_tokens: Tokens, facts: Option<&ModelFacts>) -> Delivery {
    let always = facts.is_some_and(|facts| facts.constraints.reasoning_always_on == Some(true));
    let budget = asked.request.reasoning.as_ref().map(Reasoning::budget);
    let reasons = always || budget.is_some_and(|budget| budget != Some(Tokens::ZERO));
    if asked.delivery == Delivery::Whole && max_tokens <= SHORT && !reasons {
        Delivery::Whole
    } else {
        Delivery::Stream
    }
}

fn reason(unfit: &Unfit) -> Reason {
    match unfit {
        Unfit::Parameters(_) => Reason::InvalidRequest,
        Unfit::Capability { .. } => Reason::CapabilityNotSupported,
    }
}

/// Why no target can take a request. Where leaving parameters out would help, that is what the caller is told.
fn none_fits(misfits: &[Unfit]) -> Error {
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
