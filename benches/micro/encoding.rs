//! From a request to the bytes of a provider's protocol.

use std::sync::Arc;

use completiond::domain::{Identity, ModelId, ProviderId, Request, Tokens, Vendor};
use completiond::protocol::{Delivery, Exchange, Order, Protocol, vendor};

use crate::Failure;
use crate::conversions::understood;
use crate::round::{Round, TIMES};

/// Encodes `message` for `vendor`, body and headers.
pub(crate) fn encode(vendor: &'static str, message: completiond::proto::CompleteRequest) -> Result<Round, Failure> {
    let request = understood(message)?;
    let encoder = Encoder::new(vendor)?;
    Ok(Round::each(vec![(); 2 * TIMES], move |()| encoder.encode(&request, Delivery::Stream)))
}

/// A protocol, and whom it is spoken with.
pub(crate) struct Encoder {
    protocol: Arc<dyn Protocol>,
    identity: Identity,
}

impl Encoder {
    pub(crate) fn new(vendor: &str) -> Result<Self, Failure> {
        let preset = vendor::preset(vendor).ok_or("a vendor that is not known")?;
        let identity = Identity::new(ProviderId::new("bench"), Vendor::new(vendor), ModelId::new("bench"));
        Ok(Self { protocol: (preset.protocol)(), identity })
    }

    /// Encodes one request, of whose model nothing is known, so that the table of models has no part in the count.
    pub(crate) fn encode(&self, request: &Request, delivery: Delivery) -> Result<Exchange, Failure> {
        let order = Order {
            request,
            identity: &self.identity,
            facts: None,
            delivery,
            max_tokens: Tokens::new(1024),
            prompt_cache: request.prompt_cache,
        };
        self.protocol.encode(&order).map_err(|unfit| format!("{unfit:?}").into())
    }
}
