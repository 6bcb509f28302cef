//! Between the contract's messages and the domain.

use completiond::callers::LedgerView;
use completiond::domain::Request;
use completiond::edge::{RequestRules, convert};
use completiond::proto::CompleteRequest;

use crate::Failure;
use crate::calls::Gateway;
use crate::round::{Round, TIMES};
use crate::samples;

/// A message with tools, to the domain's request.
pub(crate) fn request() -> Result<Round, Failure> {
    let rules = RequestRules::default();
    Ok(Round::each(vec![samples::tools(); 2 * TIMES], move |message| Ok(convert::request(message, &rules)?)))
}

/// A whole answer with its ledger, to the contract's response.
pub(crate) fn response() -> Result<Round, Failure> {
    let (_, answer) = Gateway::whole()?.answered()?;
    Ok(Round::each(vec![answer; 2 * TIMES], |answer| Ok(convert::response(answer, LedgerView::Full))))
}

/// The request that a message is.
pub(crate) fn understood(message: CompleteRequest) -> Result<Request, Failure> {
    Ok(*convert::request(message, &RequestRules::default())?)
}
