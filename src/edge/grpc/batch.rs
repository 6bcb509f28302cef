//! Many calls in one: each goes through the same pipeline as a call by itself, with an id, a record and a log line of its
//! own. They end when what asks for them ends.

mod stream;

pub(super) use stream::Results;

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream as streams};
use prost::Message;
use tonic::{Request, Status};
use uuid::Uuid;

use super::admission::Charge;
use super::calls::{Arrival, Completions};
use super::convert::{self, LedgerView};
use super::expansion;
use super::told::Told;
use crate::domain::{Answer, CallId, Error, Owned, Reason};
use crate::proto;
use crate::protocol::Delivery;

/// The most that a batch's answer may be, in bytes: clients take 4 MiB as they come, and failures need some room too.
const MAX_ANSWER_BYTES: usize = 3 * 1024 * 1024;
/// What a result takes beside itself in the list of results, in bytes: its tag and its length.
const AROUND_RESULT: usize = 6;

/// How one call of a batch ended.
#[derive(Debug)]
struct Ended {
    id: CallId,
    view: LedgerView,
    how: Result<Answer, Status>,
    /// Its place among the calls in flight, as long as its result is held; none: there was none.
    place: Option<Arc<Charge>>,
}

impl Completions {
    /// Runs one call of the batch that `batch` describes.
    fn item(
        &self,
        message: proto::CompleteRequest,
        arrival: Arrival,
        batch: &Told,
    ) -> impl Future<Output = Ended> + Send + 'static {
        let mut told = batch.item(CallId::new(Uuid::now_v7()));
        let placed = told.take_place(batch);
        let this = self.clone();
        async move {
            let call = placed.and_then(|()| this.take_in(message, Delivery::Whole, arrival, &mut told));
            let answer = match call {
                Ok(call) => this.unless_ended(this.whole(call)).await,
                Err(error) => Err(error),
            };
            let how = answer.inspect(|answer| told.completed_whole(answer)).map_err(|error| told.status(error));
            // The request is gone, and its bytes with it.
            told.give_back_bytes();
            Ended { id: told.id, view: told.view, how, place: told.place() }
        }
    }

    /// Answers the requests of a batch that is one message.
    ///
    /// # Errors
    /// There is no batch in the message, or its deadline passes.
    pub(super) async fn batch(
        &self,
        request: Request<proto::BatchCompleteRequest>,
        told: &Told,
    ) -> Result<proto::BatchCompleteResponse, Error> {
        let arrival = self.arrival(&request)?;
        let (requests, concurrency) = convert::to_batch(request.into_inner())?;
        // Those that wait take as much room as those that run.
        told.charge_for(requests.iter().map(expansion::footprint).fold(0, usize::saturating_add))?;
        let mut results = vec![proto::BatchResult::default(); requests.len()];
        let calls = requests.into_iter().enumerate().map(|(index, message)| {
            let call = self.item(message, arrival, told);
            call.map(move |ended| (index, ended)).boxed()
        });
        let all = async {
            let mut room = MAX_ANSWER_BYTES;
            let mut ended = streams::iter(calls).buffer_unordered(concurrency.get());
            while let Some((index, ended)) = ended.next().await {
                let result = self.fitted(&ended, &mut room, told).await;
                if let Some(place) = results.get_mut(index) {
                    *place = result;
                }
            }
        };
        tokio::select! {
            // First, as the calls' own deadlines pass in the same moment.
            biased;
            () = passed(&arrival) => return Err(late()),
            () = all => {}
        }
        Ok(proto::BatchCompleteResponse { results })
    }

    /// The result of a call, if there is room for it; else its answer is kept for who asks by its id.
    async fn fitted(&self, ended: &Ended, room: &mut usize, told: &Told) -> proto::BatchResult {
        let result = result(ended);
        let size = result.encoded_len() + AROUND_RESULT;
        let (Ok(answer), None) = (&ended.how, room.checked_sub(size)) else {
            *room = room.saturating_sub(size);
            return result;
        };
        self.replays.keep(Owned::new(&told.caller.name, ended.id), answer).await;
        let message = format!(
            "the answer has {size} bytes and would carry that of the batch over 3 MiB: GetCompletion has it by its id"
        );
        let error = Error::new(Reason::ResultTooLarge, message);
        convert::failed(ended.id.to_string(), &super::status::status(&error, Some(ended.id), ended.view))
    }
}

fn result(ended: &Ended) -> proto::BatchResult {
    let id = ended.id.to_string();
    match &ended.how {
        Ok(answer) => {
            let response = convert::response(answer.clone(), ended.view);
            proto::BatchResult { id, result: Some(proto::batch_result::Result::Response(Box::new(response))) }
        }
        Err(status) => convert::failed(id, status),
    }
}

/// Waits until the caller's deadline has passed.
async fn passed(arrival: &Arrival) {
    match arrival.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the caller's deadline passed before the batch was complete")
}
