//! How many tokens a request has where it would be sent first, and what it would cost there.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::guard;
use super::plan::{max_tokens, none_fits, speaks};
use super::{Rules, Target};
use crate::domain::{
    Cost, CountSource, Error, Identity, PromptCache, Reason, Request, TokenCount, Tokens, Usage, UsageItem, UsageKind,
    UsageSource,
};
use crate::pool::{self, Endpoint};
use crate::protocol::{Delivery, Order, Unfit};
use crate::telemetry::WorkSpan;
use crate::tokens;
use crate::transport::Transport;

/// How long a provider may take to count.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tokens of a request, and what follows from them.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Where they were counted.
    pub identity: Identity,
    /// The prompt's.
    pub count: TokenCount,
    /// The bound on the answer that would be sent.
    pub max_tokens: Tokens,
    /// How long the answer is expected to be; none: too little is known.
    pub expected_output: Option<Tokens>,
    /// What the call would cost with such an answer; none: that or the price is not known.
    pub expected_cost: Option<Cost>,
    /// The most that one attempt can cost; none: the price is not known.
    pub max_cost: Option<Cost>,
}

/// Counts at the first of `leads`' targets that can take the request, model after model.
/// What is asked of a provider for it is a part of `span`.
///
/// # Errors
/// None can, or the deadline has passed.
pub(super) async fn count(
    leads: Vec<Vec<Target>>,
    rules: &Rules,
    request: Request,
    deadline: Option<Instant>,
    transport: &dyn Transport,
    span: &WorkSpan,
) -> Result<Counted, Error> {
    let (endpoint, max_tokens) = first_fit(leads, rules, &request)?;
    let request = Arc::new(request);
    let counting = tokens_at(&endpoint, &request, max_tokens, deadline, transport, span);
    let count = match deadline {
        None => counting.await,
        Some(deadline) => tokio::time::timeout_at(deadline, counting).await.map_err(|_| too_late())?,
    };
    Ok(priced(&endpoint, &request, count, max_tokens))
}

fn too_late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the caller's deadline passed before the tokens were counted")
}

/// The first target that can take the request: by priority, then by weight, then in the order of the configuration.
fn first_fit(leads: Vec<Vec<Target>>, rules: &Rules, request: &Request) -> Result<(Arc<Endpoint>, Tokens), Error> {
    let mut misfits = Vec::new();
    for mut targets in leads {
        targets.sort_by_key(|target| (target.priority, Reverse(target.weight)));
        for Target { endpoint, .. } in targets {
            let max_tokens = max_tokens(request, rules, endpoint.facts);
            match fits(&endpoint, request, max_tokens) {
                Ok(()) => return Ok((endpoint, max_tokens)),
                Err(unfit) => misfits.push(unfit),
            }
        }
    }
    Err(none_fits(&misfits))
}

fn fits(endpoint: &Endpoint, request: &Request, max_tokens: Tokens) -> Result<(), Unfit> {
    speaks(endpoint)?;
    endpoint.provider.protocol.encode(&order(endpoint, request, max_tokens)).map(drop)
}

fn order<'a>(endpoint: &'a Endpoint, request: &'a Request, max_tokens: Tokens) -> Order<'a> {
    let Endpoint { identity, facts, .. } = endpoint;
    Order {
        request,
        identity,
        facts: *facts,
        delivery: Delivery::Stream,
        max_tokens,
        prompt_cache: PromptCache::default(),
    }
}

/// By the provider where it can be asked and answers in time, else here.
async fn tokens_at(
    endpoint: &Endpoint,
    request: &Arc<Request>,
    max_tokens: Tokens,
    deadline: Option<Instant>,
    transport: &dyn Transport,
    span: &WorkSpan,
) -> TokenCount {
    let protocol = &endpoint.provider.protocol;
    if let Some(counting) = protocol.counting(&order(endpoint, request, max_tokens)) {
        // A quarter of what is left is kept for an estimate.
        let left = deadline.map_or(PATIENCE, |deadline| deadline.saturating_duration_since(Instant::now()) * 3 / 4);
        if let Some(input) = pool::count(endpoint, counting, transport, left.min(PATIENCE), span).await {
            return TokenCount { input, source: CountSource::Provider, parts: None, tokenizer: None };
        }
    }
    let identity = &endpoint.identity;
    let rule = tokens::rule(identity.vendor.as_str(), identity.model.as_str());
    tokens::count(request, rule, &endpoint.learned, protocol.envelope(request)).await
}

fn priced(endpoint: &Endpoint, request: &Request, count: TokenCount, max_tokens: Tokens) -> Counted {
    let expected_output = endpoint.learned.answer_length().map(|length| length.min(max_tokens));
    Counted {
        identity: endpoint.identity.clone(),
        count,
        max_tokens,
        expected_output,
        expected_cost: expected_output.and_then(|output| expected_cost(endpoint, request, count.input, output)),
        max_cost: max_cost(endpoint, request, &count, max_tokens),
    }
}

/// What is charged for a prompt of which nothing is cached, and an answer as expected.
fn expected_cost(endpoint: &Endpoint, request: &Request, input: Tokens, output: Tokens) -> Option<Cost> {
    let items = [(UsageKind::Input, input), (UsageKind::Output, output)];
    let items = items.map(|(kind, tokens)| UsageItem::tokens(kind, tokens).estimated());
    let usage = Usage { items: items.into(), source: UsageSource::Estimated };
    endpoint.tariff.as_ref()?.cost(&usage, &guard::terms(endpoint, request)?, SystemTime::now())
}

/// The upper bound. An estimate of the prompt may be too low: then it is what a bound on the call's cost reckons with.
fn max_cost(endpoint: &Endpoint, request: &Request, count: &TokenCount, max_tokens: Tokens) -> Option<Cost> {
    let tariff = endpoint.tariff.as_ref()?;
    let estimated = count.source == CountSource::Estimated;
    let input = if estimated { count.input.max(guard::prompt(endpoint, request)) } else { count.input };
    let amount = guard::at_most(endpoint, request, input, max_tokens)?;
    Some(Cost { amount, source: tariff.source().clone(), estimated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Block, Image, Media, MediaSource, Message, ModelId, Role};
    use crate::route::table::tests::{provider, rules};
    use crate::simulator::Simulator;

    fn target(at: &str, model: &str, priority: u32, weight: u32) -> Target {
        let endpoint = Endpoint::known(&provider(at), ModelId::new(model));
        Target { endpoint: Arc::new(endpoint), priority, weight }
    }

    fn said(blocks: Vec<Block>) -> Request {
        Request { messages: vec![Message { role: Role::User, content: blocks, state: None }], ..Request::default() }
    }

    fn chosen(leads: Vec<Vec<Target>>, request: &Request) -> Result<String, Error> {
        first_fit(leads, &rules(), request).map(|(endpoint, _)| endpoint.identity.provider.to_string())
    }

    #[test]
    fn the_first_target_that_can_take_a_request_is_that_of_the_least_priority_and_the_most_weight() {
        let text = said(vec![Block::text("Hi")]);
        let equals = vec![target("last", "m", 1, 9), target("light", "m", 0, 1), target("heavy", "m", 0, 2)];
        assert_eq!(chosen(vec![equals.clone()], &text).unwrap(), "heavy");
        // Only models that take images are asked to count one, and a model to fall back to comes last.
        let media = Media { source: MediaSource::Uri("https://example.com/a.png".into()), mime_type: String::new() };
        let image = said(vec![crate::domain::BlockKind::Image(Image { media, detail: String::new() }).into()]);
        let blind = vec![target("blind", "gpt-3.5-turbo", 0, 1)];
        let seeing = vec![target("seeing", "gpt-4o", 0, 1)];
        assert_eq!(chosen(vec![blind.clone(), seeing.clone()], &text).unwrap(), "blind");
        assert_eq!(chosen(vec![blind.clone(), seeing], &image).unwrap(), "seeing");
        assert_eq!(chosen(vec![blind], &image).unwrap_err().reason, Reason::CapabilityNotSupported);
    }

    #[tokio::test]
    async fn a_count_that_comes_too_late_is_none() {
        // Far more than is counted before anybody looks at the clock.
        let long = said(vec![Block::text("ab".repeat(1_500_000))]);
        let leads = vec![vec![target("p", "gpt-4o", 0, 1)]];
        let late = count(leads, &rules(), long, Some(Instant::now()), &Simulator::default(), &WorkSpan::off()).await;
        assert_eq!(late.unwrap_err().reason, Reason::DeadlineExceeded);
    }
}
