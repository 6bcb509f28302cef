//! What calls leave in the sums of a running server.

use std::collections::BTreeMap;

use completiond::proto::stream_complete_response::Event;
use completiond::proto::{CompleteRequest, ListUsageRequest, Usage, UsageDimension, UsageRecord, UsageStore};
use tonic::Code::{Internal, InvalidArgument, NotFound, Ok as Fine, Unavailable};
use tonic_types::StatusExt;

use crate::stage::{Stage, prompt, tcp};
use crate::{by, list, total};

const SETTINGS: &str = "retry: { max_attempts: 1 }\nusage: { labels: [team, feature] }";

fn labelled(text: &str, labels: &[(&str, &str)]) -> CompleteRequest {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    CompleteRequest { labels, ..prompt(text) }
}

async fn usage_of(stage: &Stage, request: &CompleteRequest) -> Usage {
    let events = stage.wire().await.stream(request, &[]).await.all(0).await;
    let Some(Event::Completed(end)) = events.last() else { panic!("{events:?}") };
    end.usage.clone().unwrap()
}

fn tokens(records: &[UsageRecord]) -> (i64, i64, i64, i64) {
    records.iter().fold((0, 0, 0, 0), |sum, it| {
        (sum.0 + it.input_tokens, sum.1 + it.output_tokens, sum.2 + it.cache_read_tokens, sum.3 + it.reasoning_tokens)
    })
}

#[tokio::test]
async fn calls_are_summed_up_by_how_they_ended_and_by_their_labels() {
    let stage = Stage::with(SETTINGS).await;
    let admin = tcp(&stage.running.admin);
    let first = usage_of(&stage, &labelled("sim: tokens=5 cached=2\none two three", &[("team", "a")])).await;
    let second = usage_of(&stage, &labelled("sim: tokens=9 think=4\none", &[("team", "a"), ("private", "p")])).await;
    let third = usage_of(&stage, &labelled("sim: tokens=2\nhello", &[("feature", "f")])).await;
    stage.wire().await.complete(&labelled("sim: error=503", &[("team", "b")]), &[]).await.expect(
        Unavailable,
        "PROVIDER_UNAVAILABLE",
        "",
    );
    let wire = stage.wire().await;
    let mut left = wire.stream(&labelled("sim: tokens=1000 pace=1s", &[("team", "b")]), &[]).await;
    left.event().await;
    drop(left);
    stage.is_quiet().await;
    let mut by_label = by(&[UsageDimension::Label]);
    let page = list(admin, by_label.clone()).await.unwrap();
    assert_eq!(page.store(), UsageStore::Memory);
    assert!(page.since.is_some() && page.next_page_token.is_empty());
    let told: Vec<_> = page.records.iter().map(|it| (&it.labels, it.succeeded, it.failed, it.cancelled)).collect();
    let labels = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let (of_f, of_a, of_b) = (labels("feature", "f"), labels("team", "a"), labels("team", "b"));
    assert_eq!(told, [(&of_f, 1, 0, 0), (&of_a, 2, 0, 0), (&of_b, 0, 1, 1)]);
    let input = [&first, &second, &third].iter().map(|usage| i64::from(usage.input_tokens)).sum();
    let sums = tokens(&page.records[..2]);
    assert_eq!(sums, (input, 5 + 9 + 4 + 2, 2, 4));
    by_label.labels = vec!["feature".to_owned()];
    let records = list(admin, by_label).await.unwrap().records;
    assert_eq!(records.len(), 2, "those without the label, and those with it: {records:?}");
    let all = total(admin).await;
    assert_eq!((all.succeeded, all.failed, all.cancelled, all.attempts), (3, 1, 1, 5));
    assert_eq!((all.hour, all.model.as_str(), all.labels.len()), (None, "", 0), "what was not asked for is not set");
}

#[tokio::test]
async fn whatever_it_is_summed_up_by_the_sum_is_that_of_the_calls() {
    let stage = Stage::with(SETTINGS).await;
    let admin = tcp(&stage.running.admin);
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..60 {
        let mut request =
            labelled(&format!("sim: tokens={index} cached=1\nhello"), &[("team", &format!("t{}", index % 7))]);
        request.model = format!("up/simulator?pace={}ms", index % 5);
        let wire = stage.wire().await;
        calls.spawn(async move {
            let events = wire.stream(&request, &[]).await.all(0).await;
            let Some(Event::Completed(end)) = events.last() else { panic!("{events:?}") };
            end.usage.clone().unwrap()
        });
    }
    let usages = calls.join_all().await;
    let sum = |count: fn(&Usage) -> i32| usages.iter().map(|usage| i64::from(count(usage))).sum::<i64>();
    let truth = (sum(|it| it.input_tokens), sum(|it| it.output_tokens), sum(|it| it.cache_read_tokens), 0);
    use UsageDimension::{Caller, Endpoint, Hour, Label, Model};
    let groupings: [(&[UsageDimension], usize); 6] = [
        (&[], 1),
        (&[Caller], 1),
        (&[Model], 5),
        (&[Endpoint], 5),
        (&[Label], 7),
        (&[Model, Label, Caller, Endpoint], 35),
    ];
    for (dimensions, groups) in groupings {
        for size in [1, 3, 1000] {
            let mut seen = BTreeMap::new();
            let mut request = ListUsageRequest { page_size: size, ..by(dimensions) };
            loop {
                let page = list(admin, request.clone()).await.unwrap();
                for record in page.records {
                    let labels: BTreeMap<_, _> = record.labels.clone().into_iter().collect();
                    let about = (record.model.clone(), record.endpoint.clone(), labels);
                    assert!(seen.insert(about, record).is_none(), "twice, by {dimensions:?}");
                }
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            let records: Vec<_> = seen.into_values().collect();
            assert_eq!((records.len(), tokens(&records)), (groups, truth), "by {dimensions:?}");
            assert_eq!(
                records.iter().map(|it| (it.succeeded, it.attempts)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
                (60, 60)
            );
        }
    }
    let hours = list(admin, by(&[Hour])).await.unwrap().records;
    assert!((1..=2).contains(&hours.len()) && hours.iter().all(|it| it.hour.unwrap().seconds % 3600 == 0));
    let of_hour = ListUsageRequest { start_time: hours[0].hour, end_time: hours[0].hour, ..by(&[Hour]) };
    assert_eq!(list(admin, of_hour).await.unwrap().records, hours[..1], "the hours of both ends are included");
    let past = prost_types::Timestamp { seconds: hours[0].hour.unwrap().seconds - 1, nanos: 0 };
    assert_eq!(list(admin, ListUsageRequest { end_time: Some(past), ..by(&[Hour]) }).await.unwrap().records, []);
}

#[tokio::test]
async fn what_the_calls_are_told_they_cost_is_what_they_are_summed_up_to() {
    let stage = Stage::with(SETTINGS).await;
    let wire = stage.wire().await;
    let (mut costs, mut unpriced) = (0, 0);
    for (index, model) in ["gpt-4o", "gpt-4o-mini", "simulator"].iter().cycle().take(12).enumerate() {
        let text = format!("sim: tokens={} cached={}\n{}", index * 31, index % 4, "hello ".repeat(index + 3));
        let request = CompleteRequest { model: format!("up/{model}"), ..prompt(&text) };
        let events = wire.stream(&request, &[]).await.all(0).await;
        let Some(Event::Completed(end)) = events.last() else { panic!("{events:?}") };
        match &end.cost {
            Some(cost) => costs += i128::from(cost.pico_usd),
            None => unpriced += 1,
        }
    }
    let sum = total(tcp(&stage.running.admin)).await;
    let (dollars, rest) = sum.cost_usd.split_once('.').unwrap_or((&sum.cost_usd, ""));
    assert_eq!(format!("{dollars}{rest:0<12}").parse::<i128>().unwrap(), costs, "{sum:?}");
    assert_eq!((sum.unpriced_attempts, sum.succeeded), (unpriced, 12));
}

#[tokio::test]
async fn made_up_names_take_one_row() {
    let stage = Stage::with(SETTINGS).await;
    let wire = stage.wire().await;
    for index in 0..20 {
        let request = CompleteRequest { model: format!("made-up-{index}"), ..prompt("hello") };
        wire.complete(&request, &[]).await.expect(NotFound, "MODEL_NOT_FOUND", "");
    }
    wire.complete(&prompt("hello"), &[]).await.expect(Fine, "", "");
    let records = list(tcp(&stage.running.admin), by(&[UsageDimension::Model])).await.unwrap().records;
    let told: Vec<_> = records.iter().map(|it| (it.model.as_str(), it.failed, it.succeeded, it.attempts)).collect();
    assert_eq!(told, [("", 0, 1, 1), ("(unknown)", 20, 0, 0)]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_the_field() {
    let stage = Stage::with(SETTINGS).await;
    let cases = [
        (ListUsageRequest { page_size: -1, ..by(&[]) }, "page_size"),
        (ListUsageRequest { page_token: "x".to_owned(), ..by(&[]) }, "page_token"),
        (ListUsageRequest { labels: vec!["private".to_owned()], ..by(&[UsageDimension::Label]) }, "labels[0]"),
        (by(&[UsageDimension::Unspecified]), "group_by[0]"),
    ];
    for (request, field) in cases {
        let status = list(tcp(&stage.running.admin), request).await.unwrap_err();
        assert_eq!(status.code(), InvalidArgument);
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field);
    }
}

#[tokio::test]
async fn each_attempt_of_a_call_is_counted_and_the_call_once() {
    let fallback = "models:\n  - id: smart\n    targets: [{ provider: up, model: 'simulator?html' }]\n    fallback_models: [up/simulator]\n\
                    retry: { base_delay: 0, max_delay: 1s }\nusage: { keep: 1d }";
    let stage = Stage::with(fallback).await;
    let request = CompleteRequest { model: "smart".to_owned(), ..prompt("sim: tokens=3\nhello") };
    stage.wire().await.complete(&request, &[]).await.expect(Fine, "", "");
    let broken = CompleteRequest { model: "up/simulator?html=500".to_owned(), ..prompt("hello") };
    let end = stage.wire().await.complete(&broken, &[]).await;
    assert!([Internal, Unavailable].contains(&end.code), "{end:?}");
    let admin = tcp(&stage.running.admin);
    let records = list(admin, by(&[UsageDimension::Endpoint])).await.unwrap().records;
    let told: Vec<_> = records.iter().map(|it| (it.endpoint.as_str(), it.succeeded, it.failed)).collect();
    assert_eq!(told, [("up/simulator", 1, 0), ("up/simulator?html", 0, 0), ("up/simulator?html=500", 0, 1)]);
    assert!(records.iter().all(|it| it.attempts > 0), "{records:?}");
    let counts = stage.upstream_is(|counts| counts.open == 0).await;
    let sent = i64::try_from(counts.finished + counts.dropped).unwrap();
    assert_eq!(total(admin).await.attempts, sent, "every request that was sent is counted");
}
