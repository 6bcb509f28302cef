//! Differences between scrapes: rates, shares, restarts, and what is forgotten.

use std::time::Duration;

use tokio::time::Instant;

use super::super::between::{self, Window};
use super::super::history::MOST_POINTS;
use super::super::server::Scrape;
use super::super::snapshot::{Cache, Cost, Endpoint, Method, Model, Process, Snapshot};
use super::super::timeline::{News, Timeline};
use super::super::view::{Continuity, Count, View};
use super::state::histogram;

fn snapshot(started: f64, ok: f64, failed: f64, cancelled: f64) -> Snapshot {
    let statuses = [("OK", ok), ("UNAVAILABLE", failed), ("CANCELLED", cancelled)];
    let method = Method {
        statuses: statuses.map(|(status, count)| (status.to_owned(), count)).into(),
        faults: failed,
        duration: histogram(&[1.0, 2.0], ok + failed + cancelled, 1.0),
        ..Method::default()
    };
    let busy = [("0".to_owned(), (ok + failed) / 20.0), ("1".to_owned(), ok / 100.0)].into();
    Snapshot {
        process: Process { started: Some(started), busy, ..Process::default() },
        methods: [("Complete".to_owned(), method)].into(),
        models: [("m".to_owned(), Model { ended: ok, output_tokens: ok * 10.0, ..Model::default() })].into(),
        cost: Cost { usd: ok / 100.0, ..Cost::default() },
        cache: Cache { hits: ok / 4.0, misses: ok / 4.0, bypassed: ok / 2.0, ..Cache::default() },
        ..Snapshot::default()
    }
}

fn between(before: &Snapshot, now: &Snapshot, seconds: u64) -> View {
    let length = Duration::from_secs(seconds);
    between::view(now, Some(Window { before, length, continuity: Continuity::Same }))
}

fn count(total: f64, recent: f64, per_second: f64) -> Count {
    Count { total, recent: Some(recent), per_second: Some(per_second) }
}

#[test]
fn what_happened_between_two_scrapes_is_the_difference_by_its_time() {
    let view = between(&snapshot(1.0, 100.0, 10.0, 0.0), &snapshot(1.0, 180.0, 26.0, 4.0), 10);
    assert_eq!(view.window_seconds, Some(10.0));
    assert_eq!(view.calls.ended, count(210.0, 100.0, 10.0));
    assert_eq!(view.calls.failed, count(26.0, 16.0, 1.6));
    assert_eq!(view.calls.cancelled, count(4.0, 4.0, 0.4));
    assert_eq!(view.calls.failed_share, Some(0.16));
    assert_eq!(
        view.calls.statuses,
        [("CANCELLED", 4.0), ("OK", 80.0), ("UNAVAILABLE", 16.0)].map(|(s, n)| (s.to_owned(), n)).into()
    );
    assert_eq!(view.tokens.output, count(1800.0, 800.0, 80.0));
    assert_eq!(view.cost.usd.recent.map(|usd| (usd * 100.0).round()), Some(80.0));
    assert_eq!(view.cost.usd_per_hour.map(f64::round), Some(288.0));
    assert_eq!(view.cache.hit_share, Some(0.5));
    assert_eq!(view.process.busy_share.map(|share| (share * 1000.0).round()), Some(280.0));
    assert_eq!(view.process.busiest_worker_share.map(|share| (share * 1000.0).round()), Some(480.0));
    assert_eq!(view.models[0].completions, count(180.0, 80.0, 8.0));
}

#[test]
fn nothing_is_made_up_where_nothing_happened_or_one_scrape_is_all_there_is() {
    let idle = snapshot(1.0, 5.0, 1.0, 0.0);
    let view = between(&idle, &idle, 2);
    assert_eq!(view.calls.ended, count(6.0, 0.0, 0.0));
    assert_eq!((view.calls.failed_share, view.calls.duration_seconds.p50, view.cache.hit_share), (None, None, None));
    let view = between::view(&idle, None);
    assert_eq!(view.window_seconds, None);
    assert_eq!(view.calls.ended, Count { total: 6.0, recent: None, per_second: None });
    assert_eq!((view.calls.failed_share, view.process.busy_share, view.cost.usd_per_hour), (None, None, None));
    assert!(view.calls.statuses.is_empty() && view.calls.duration_seconds.p50.is_none());
}

#[test]
fn a_series_that_is_new_or_gone_is_counted_from_nothing_or_not_at_all() {
    let one = Snapshot {
        endpoints: [("a/m".to_owned(), Endpoint { finished: 3.0, ..Endpoint::default() })].into(),
        ..Snapshot::default()
    };
    let other = Snapshot {
        endpoints: [("b/m".to_owned(), Endpoint { failed: 4.0, ..Endpoint::default() })].into(),
        ..Snapshot::default()
    };
    let view = between(&one, &other, 2);
    assert_eq!(view.endpoints.len(), 1);
    assert_eq!((view.endpoints[0].endpoint.as_str(), view.endpoints[0].attempts), ("b/m", count(4.0, 4.0, 2.0)));
    assert_eq!(view.endpoints[0].failed_share, Some(1.0));
}

/// A timeline that was told these, one each two seconds, and what it says then.
fn told(window: u64, snapshots: &[Snapshot]) -> (Timeline, View) {
    let mut timeline = Timeline::new(Duration::from_secs(window));
    let began = Instant::now();
    for (at, snapshot) in (0_u64..).zip(snapshots) {
        let scrape = Scrape { snapshot: snapshot.clone(), fingerprint: at };
        assert_eq!(timeline.told(scrape, began + Duration::from_secs(2 * at)), News::New);
    }
    let view = timeline.view().unwrap();
    (timeline, view)
}

#[test]
fn a_server_that_was_restarted_has_no_negative_rate_and_it_is_said() {
    let (_, view) = told(10, &[snapshot(100.0, 80.0, 20.0, 0.0), snapshot(200.0, 6.0, 2.0, 0.0)]);
    assert_eq!(view.continuity, Continuity::Restarted);
    assert_eq!((view.calls.ended, view.calls.failed), (count(8.0, 8.0, 4.0), count(2.0, 2.0, 1.0)));
    // Even one that has done more than before: its counters are its own.
    let (_, view) = told(10, &[snapshot(100.0, 80.0, 20.0, 0.0), snapshot(200.0, 100.0, 30.0, 0.0)]);
    assert_eq!(view.calls.ended, count(130.0, 130.0, 65.0));
    // It is no news for ever.
    let mut later = vec![snapshot(100.0, 80.0, 20.0, 0.0)];
    later.resize(40, snapshot(200.0, 6.0, 2.0, 0.0));
    assert_eq!(told(10, &later).1.continuity, Continuity::Same);
    let (_, view) = told(10, &[snapshot(200.0, 80.0, 20.0, 0.0), snapshot(100.0, 6.0, 2.0, 0.0)]);
    assert_eq!(view.continuity, Continuity::AnotherServer);
    // A counter that falls without a start that is told is begun anew as well.
    let unknown = |ok| Snapshot { process: Process::default(), ..snapshot(0.0, ok, 0.0, 0.0) };
    assert_eq!(told(10, &[unknown(80.0), unknown(6.0)]).1.calls.ended, count(6.0, 6.0, 3.0));
}

#[test]
fn the_window_reaches_back_as_far_as_it_shall_and_no_more_is_kept() {
    let scrapes: Vec<Snapshot> = (0..2000).map(|at| snapshot(1.0, f64::from(at), 0.0, 0.0)).collect();
    assert_eq!(told(10, &scrapes[..3]).1.window_seconds, Some(4.0));
    let (timeline, view) = told(10, &scrapes);
    assert_eq!((view.window_seconds, view.calls.ended.recent), (Some(10.0), Some(5.0)));
    assert_eq!(timeline.history().len(), MOST_POINTS);
    // An interval only, where the window is shorter.
    assert_eq!(told(1, &scrapes).1.window_seconds, Some(2.0));
    // However long it shall be, few snapshots are enough for it.
    for window in [10, 60, 600, 100_000] {
        let (timeline, view) = told(window, &scrapes);
        let (length, wanted) = (view.window_seconds.unwrap(), f64::from(u32::try_from(window.min(3998)).unwrap()));
        assert!((length - wanted).abs() <= wanted * 0.06, "{length} s of {wanted} s");
        assert_eq!(view.calls.ended.recent, Some(length / 2.0));
        assert!(timeline.kept() <= 52, "{} snapshots for {window} s", timeline.kept());
    }
}

#[test]
fn a_text_that_is_given_out_again_is_no_news_and_one_that_was_written_anew_is() {
    let mut timeline = Timeline::new(Duration::from_secs(10));
    let began = Instant::now();
    let at = |millis| began + Duration::from_millis(millis);
    let same = || Scrape { snapshot: snapshot(1.0, 5.0, 0.0, 0.0), fingerprint: 7 };
    assert_eq!(timeline.told(same(), at(0)), News::New);
    assert_eq!(timeline.told(same(), at(900)), News::Known);
    assert_eq!(timeline.view().unwrap().window_seconds, None);
    let other = Scrape { snapshot: snapshot(1.0, 9.0, 0.0, 0.0), fingerprint: 8 };
    assert_eq!(timeline.told(other, at(1_200)), News::New);
    assert_eq!(timeline.view().unwrap().calls.ended.recent, Some(4.0));
    let other = Scrape { snapshot: snapshot(1.0, 9.0, 0.0, 0.0), fingerprint: 8 };
    assert_eq!(timeline.told(other, at(3_200)), News::New);
}

#[test]
fn the_past_is_averaged_over_cells_with_the_latest_last() {
    let (timeline, _) = told(10, &[0.0, 2.0, 6.0, 6.0, 16.0].map(|ok| snapshot(1.0, ok, 0.0, 0.0)));
    let cells = |cells, seconds| timeline.history().cells(|point| point.calls, cells, Duration::from_secs(seconds));
    assert_eq!(cells(4, 8), [Some(1.0), Some(2.0), Some(0.0), Some(5.0)]);
    assert_eq!(cells(2, 8), [Some(1.5), Some(2.5)]);
    assert_eq!(cells(3, 12), [None, Some(1.5), Some(2.5)]);
    assert_eq!(cells(1, 2), [Some(5.0)]);
    assert!(cells(0, 8).is_empty());
}
