//! What a call writes at its end.

use completiond::domain::{CallId, CallerName};
use completiond::telemetry::{self, CallEnd, CallSpan, LogFormat, Rpc, Settings};
use http::HeaderMap;
use uuid::Uuid;

use crate::Failure;
use crate::calls::Gateway;
use crate::round::{Round, TIMES};

/// A call of which nothing is told but its log line, in JSON: from its beginning until the line is written.
pub(crate) fn log_line() -> Result<Round, Failure> {
    let (request, answer) = Gateway::whole()?.answered()?;
    let guard = telemetry::init(&Settings { log_format: LogFormat::Json, ..Settings::default() })?;
    let (headers, caller) = (HeaderMap::new(), CallerName::new("bench"));
    Ok(Round::each(vec![(); 2 * TIMES], move |()| {
        let id = CallId::new(Uuid::now_v7());
        let mut span = CallSpan::start(&guard.tracer(), &headers, Rpc::Complete, id).of_caller(&caller);
        let _trace = span.completion(&request);
        span.told_whole(&answer.message.content);
        span.finish(CallEnd::Completed(&answer.end));
        Ok(())
    }))
}
