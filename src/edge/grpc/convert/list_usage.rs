//! Sums of usage, page by page.
//!
//! A page token says what the last sum of the page was about, so that the next page begins behind it whatever was used
//! in between: no sum is lost and none comes twice. It is bound to what was asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use prost::Message;
use prost_types::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::Error;
use crate::proto;
use crate::proto::UsageDimension;
use crate::store::{Group, Grouping, Page, Place, Query, Sums};

/// The sums of a page where the caller does not say.
const DEFAULT_PAGE: usize = 100;
/// The most sums of a page.
const MAX_PAGE: usize = 1000;
/// The first byte of a token, which says how to read it.
const VERSION: u8 = 1;
/// The bytes of the hash that stands for what was asked.
const HASH_BYTES: usize = 8;
/// The seconds of an hour.
const HOUR: i64 = 3600;

/// What is asked, understood.
#[derive(Clone, Debug)]
pub(crate) struct AskedUsage {
    pub(crate) query: Query,
    /// Stands for what was asked, in its tokens.
    hash: [u8; HASH_BYTES],
}

/// What is asked of sums that are kept by `labels`.
///
/// # Errors
/// `INVALID_REQUEST` for what cannot be asked.
pub(crate) fn asked_usage(request: &proto::ListUsageRequest, labels: &[String]) -> Result<AskedUsage, Error> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => {
            return Err(Error::invalid("page_size", "must not be below 0; 0 is 100, and what is above 1000 is 1000"));
        }
    };
    let (start, end) = (time(request.start_time, "start_time")?, time(request.end_time, "end_time")?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(Error::invalid("start_time", "must not be after end_time"));
    }
    let by = grouping(request, labels)?;
    let hash = hash(request, &by);
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(group(token, hash).ok_or_else(|| {
            Error::invalid(
                "page_token",
                "must be the next_page_token of the page before, with everything else as it was; start over without one",
            )
        })?),
    };
    let first = start.map_or(0, |(seconds, _)| hour(seconds));
    let last = end.map_or(u32::MAX, |(seconds, _)| hour(seconds));
    Ok(AskedUsage { query: Query { first, last, by, after, size }, hash })
}

/// A page as it goes out.
pub(crate) fn listed_usage(asked: &AskedUsage, page: Page) -> proto::ListUsageResponse {
    let last = page.sums.last().filter(|_| page.more);
    let next_page_token = last.map(|(group, _)| token(group, asked.hash)).unwrap_or_default();
    let store = match page.place {
        Place::Memory => proto::UsageStore::Memory,
        Place::File => proto::UsageStore::File,
        Place::Redis => proto::UsageStore::Redis,
    };
    proto::ListUsageResponse {
        records: page.sums.into_iter().map(|(group, sums)| record(group, &sums, asked.query.by.hour)).collect(),
        next_page_token,
        store: store.into(),
        since: Some(timestamp(page.since)),
    }
}

/// Seconds and nanoseconds, so that times compare as they are.
fn time(time: Option<Timestamp>, field: &'static str) -> Result<Option<(i64, i32)>, Error> {
    let Some(Timestamp { seconds, nanos }) = time else { return Ok(None) };
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(Error::invalid(field, "must have nanos of 0 to 999999999"));
    }
    Ok(Some((seconds, nanos)))
}

fn hour(seconds: i64) -> u32 {
    u32::try_from(seconds.div_euclid(HOUR).max(0)).unwrap_or(u32::MAX)
}

fn grouping(request: &proto::ListUsageRequest, labels: &[String]) -> Result<Grouping, Error> {
    let mut by = Grouping::default();
    for (index, dimension) in request.group_by.iter().enumerate() {
        match UsageDimension::try_from(*dimension) {
            Ok(UsageDimension::Hour) => by.hour = true,
            Ok(UsageDimension::Caller) => by.caller = true,
            Ok(UsageDimension::Model) => by.model = true,
            Ok(UsageDimension::Endpoint) => by.endpoint = true,
            Ok(UsageDimension::Label) if request.labels.is_empty() => by.labels = labels.to_vec(),
            Ok(UsageDimension::Label) => by.labels.clone_from(&request.labels),
            Ok(UsageDimension::Unspecified) | Err(_) => {
                return Err(Error::invalid(format!("group_by[{index}]"), "must be one of the dimensions"));
            }
        }
    }
    if let Some(index) = request.labels.iter().position(|label| !labels.contains(label)) {
        let known = match labels {
            [] => "names none".to_owned(),
            labels => format!("names {}", labels.join(", ")),
        };
        let rule = format!("must be a label of `usage.labels` in the server's configuration, which {known}");
        return Err(Error::invalid(format!("labels[{index}]"), rule));
    }
    by.labels.sort();
    by.labels.dedup();
    Ok(by)
}

/// Stands for everything that must be the same for the next page.
fn hash(request: &proto::ListUsageRequest, by: &Grouping) -> [u8; HASH_BYTES] {
    let span = proto::ListUsageRequest {
        start_time: request.start_time,
        end_time: request.end_time,
        labels: by.labels.clone(),
        ..Default::default()
    };
    let dimensions = [by.hour, by.caller, by.model, by.endpoint].map(u8::from);
    let digest = Sha256::digest([&dimensions[..], &span.encode_to_vec()].concat());
    let mut hash = [0; HASH_BYTES];
    hash.iter_mut().zip(digest).for_each(|(place, byte)| *place = byte);
    hash
}

fn token(group: &Group, hash: [u8; HASH_BYTES]) -> String {
    let group = serde_json::to_vec(group).unwrap_or_default();
    BASE64.encode([&[VERSION][..], &hash, &group].concat())
}

/// The sum that a token names; none when it is not one of ours, or of something else that was asked.
fn group(token: &str, hash: [u8; HASH_BYTES]) -> Option<Group> {
    let bytes = BASE64.decode(token).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (of, group) = rest.split_first_chunk::<HASH_BYTES>()?;
    if *version != VERSION || *of != hash {
        return None;
    }
    serde_json::from_slice(group).ok()
}

fn record(group: Group, sums: &Sums, by_hour: bool) -> proto::UsageRecord {
    let seconds = i64::from(group.hour) * HOUR;
    proto::UsageRecord {
        hour: by_hour.then_some(Timestamp { seconds, nanos: 0 }),
        caller: group.subject.caller,
        model: group.subject.model,
        endpoint: group.subject.endpoint,
        labels: group.subject.labels.into_iter().collect(),
        succeeded: sums.succeeded,
        failed: sums.failed,
        cancelled: sums.cancelled,
        attempts: sums.attempts,
        input_tokens: sums.input,
        output_tokens: sums.output,
        cache_read_tokens: sums.cache_read,
        cache_write_tokens: sums.cache_write,
        reasoning_tokens: sums.reasoning,
        estimated_tokens: sums.estimated,
        cost_usd: sums.cost.to_string(),
        estimated_cost_usd: sums.estimated_cost.to_string(),
        unpriced_attempts: sums.unpriced,
    }
}

pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = i32::try_from(since.subsec_nanos()).unwrap_or(0);
    Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Subject;

    fn labels() -> Vec<String> {
        vec!["team".to_owned(), "feature".to_owned()]
    }

    fn refused(change: impl FnOnce(&mut proto::ListUsageRequest)) -> String {
        let mut request = proto::ListUsageRequest::default();
        change(&mut request);
        asked_usage(&request, &labels()).unwrap_err().details.violations[0].field.clone()
    }

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        assert_eq!(refused(|it| it.page_size = -1), "page_size");
        assert_eq!(refused(|it| (it.start_time, it.end_time) = (at(10), at(9))), "start_time");
        assert_eq!(refused(|it| it.end_time = Some(Timestamp { seconds: 0, nanos: -1 })), "end_time");
        assert_eq!(refused(|it| it.group_by = vec![1, 0]), "group_by[1]");
        assert_eq!(refused(|it| it.group_by = vec![99]), "group_by[0]");
        assert_eq!(refused(|it| it.labels = vec!["team".into(), "other".into()]), "labels[1]");
        assert_eq!(refused(|it| it.page_token = "AAAA".into()), "page_token");
        assert_eq!(refused(|it| it.page_token = "no token".into()), "page_token");
    }

    #[test]
    fn hours_of_both_ends_are_included() {
        let request = proto::ListUsageRequest { start_time: at(7199), end_time: at(7200), ..Default::default() };
        let query = asked_usage(&request, &[]).unwrap().query;
        assert_eq!((query.first, query.last, query.size), (1, 2, 100));
        let request = proto::ListUsageRequest { start_time: at(-5), page_size: 5000, ..Default::default() };
        let query = asked_usage(&request, &[]).unwrap().query;
        assert_eq!((query.first, query.last, query.size), (0, u32::MAX, 1000));
    }

    #[test]
    fn a_token_is_good_for_the_same_question_only() {
        let by = vec![UsageDimension::Hour.into(), UsageDimension::Label.into()];
        let mut request = proto::ListUsageRequest { group_by: by, page_size: 1, ..Default::default() };
        let asked = asked_usage(&request, &labels()).unwrap();
        let labels_of = vec![("team".to_owned(), "é\"x".to_owned())];
        let group = Group { hour: 9, subject: Subject { labels: labels_of, ..Subject::default() } };
        let sums = vec![(group.clone(), Sums { succeeded: 2, ..Sums::default() })];
        let page = Page { sums, more: true, place: Place::File, since: UNIX_EPOCH };
        let listed = listed_usage(&asked, page);
        assert_eq!(listed.records[0].labels["team"], "é\"x");
        assert_eq!((listed.records[0].hour, listed.records[0].cost_usd.as_str()), (at(9 * 3600), "0"));
        request.page_token = listed.next_page_token;
        request.page_size = 7;
        assert_eq!(asked_usage(&request, &labels()).unwrap().query.after, Some(group));
        request.labels = vec!["feature".to_owned(), "team".to_owned()];
        assert!(asked_usage(&request, &labels()).is_ok(), "that is all of them");
        let others: [fn(&mut proto::ListUsageRequest); 3] =
            [|it| it.labels.truncate(1), |it| it.start_time = at(1), |it| it.group_by.truncate(1)];
        for change in others {
            let mut other = request.clone();
            change(&mut other);
            let error = asked_usage(&other, &labels()).unwrap_err();
            assert_eq!(error.details.violations[0].field, "page_token");
        }
    }
}
