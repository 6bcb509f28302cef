//! Endpoints at simulated upstreams on real sockets, whose tokens have a price, and calls to them.

use std::sync::Arc;
use std::time::Duration;

use completiond::count::Count;
use completiond::credentials::Credentials;
use completiond::domain::{
    Block, CallId, Error, Event, Message, ModelId, ModelName, Outcome, PicoUsd, ProviderId, Request, Role, Tokens,
    Usage, Vendor,
};
use completiond::pool::{Account, ConcurrencyRule, Endpoint, Ledger, Provider, RetryBudget, Timeouts};
use completiond::price::{Price, Prices, Rates, Tariff};
use completiond::protocol::{Delivery, vendor};
use completiond::route::{Alias, Asked, Hedge, Hedging, Lead, Retry, Router, Rules, Table, Tables, Target};
use completiond::simulator::{Simulator, Upstream};
use completiond::telemetry::CallTrace;
use completiond::transport::{Direct, Transport, Trust};
use futures_util::StreamExt;
use tokio::time::Instant;

/// What a token costs: of the prompt, and of the answer.
pub(crate) const RATES: [i64; 2] = [3, 15];

pub(crate) fn transport() -> Arc<dyn Transport> {
    Arc::new(Direct::new(Trust::default(), Count::default()))
}

/// An upstream, and the endpoint that stands for it here.
pub(crate) struct Place {
    pub(crate) upstream: Upstream,
    pub(crate) endpoint: Arc<Endpoint>,
}

impl Place {
    pub(crate) async fn start(name: &str, protocol: &str, rates: Option<[i64; 2]>) -> Self {
        let upstream = Upstream::start(Simulator::default()).await.unwrap();
        let preset = vendor::preset(protocol).unwrap();
        let path = if protocol == "anthropic" { "" } else { "/v1" };
        let vendor = Vendor::new(preset.name);
        let provider = Arc::new(Provider {
            id: ProviderId::new(name),
            vendor: vendor.clone(),
            telemetry_name: preset.telemetry_name,
            protocol: (preset.protocol)(),
            base_url: format!("{}{path}", upstream.url()).parse().unwrap(),
            credentials: Credentials::default(),
            headers: http::HeaderMap::new(),
            timeouts: Timeouts::default(),
            proxy: None,
            version: http::Version::HTTP_11,
            simulated: false,
            account: Arc::new(Account::new(ConcurrencyRule::default())),
            prices: Prices::built_in(),
        });
        let endpoint = Endpoint::known(&provider, ModelId::new("made-up"));
        let endpoint = match rates {
            None => endpoint,
            Some(rates) => {
                let [input, output] = rates.map(|rate| Some(PicoUsd::new(rate)));
                let price = Price { standard: Rates { input, output, ..Rates::default() }, ..Price::default() };
                endpoint.charged_by(Tariff::set(price, vendor, Prices::built_in()))
            }
        };
        Self { upstream, endpoint: Arc::new(endpoint) }
    }
}

/// What `usage` costs by these prices, added up by hand.
pub(crate) fn by_hand(usage: &Usage) -> i64 {
    let [input, output] = RATES;
    i64::from(usage.input().get()) * input + i64::from(usage.output().get()) * output
}

pub(crate) fn request(prompt: &str) -> Request {
    let message = Message { role: Role::User, content: vec![Block::text(prompt)], state: None };
    Request { messages: vec![message], max_tokens: Some(Tokens::new(100_000)), ..Request::default() }
}

/// Two places of which the second is asked when the first does not answer.
pub(crate) struct Pair {
    pub(crate) first: Place,
    _second: Place,
    router: Router,
}

impl Pair {
    /// Both speak `protocol`; the first charges `rates`.
    pub(crate) async fn start(protocol: &str, rates: Option<[i64; 2]>, hedge: Option<Hedge>) -> Self {
        let first = Place::start("first", protocol, rates).await;
        let second = Place::start("second", protocol, Some(RATES)).await;
        let target = |place: &Place, priority| Target { endpoint: Arc::clone(&place.endpoint), priority, weight: 1 };
        let targets = vec![target(&first, 0), target(&second, 1)];
        let hedge = hedge.map(|rule| Arc::new(Hedging::new(rule)));
        let name = ModelName::new("smart");
        let aliases = vec![Alias { name: name.clone(), lead: Lead { targets, fallbacks: Vec::new(), hedge } }];
        let rules = Rules {
            prompt_cache: Default::default(),
            default_max_tokens: Tokens::new(8192),
            commit_after: Duration::from_secs(10),
            max_answer_bytes: 1 << 24,
            retry: Retry { base_delay: Duration::from_millis(1), ..Retry::default() },
            max_call_cost: None,
        };
        let tables = Tables::new(Table::new(Vec::new(), aliases, Some(name), rules));
        let router = Router::new(tables, transport(), RetryBudget::full(Instant::now()));
        Self { first, _second: second, router }
    }

    /// Makes a call to its end.
    pub(crate) async fn call(&self, request: Request, delivery: Delivery) -> Result<Outcome, Error> {
        let asked = Asked {
            id: CallId::new(uuid::Uuid::nil()),
            request: Box::new(request),
            delivery,
            deadline: Instant::now() + Duration::from_secs(3600),
            previous_attempts: 0,
            ledger: Ledger::default(),
            trace: CallTrace::off(),
        };
        let mut events = self.router.route(asked).await?;
        while let Some(event) = events.next().await {
            if let Event::Completed(outcome) = event? {
                return Ok(*outcome);
            }
        }
        panic!("an answer has an end")
    }
}
