//! Recorded answers of every protocol, read the way that a call reads them.
//!
//! A case is a folder `transcripts/<protocol>/<case>/`:
//!
//! - `case.json`: `kinds` (what it shows, see `harness/kinds.rs`), and where they are not the defaults `vendor` (a row
//!   of the vendor table, default: the protocol's name), `model` (what was asked for) and `note` (for people);
//! - `response.sse` and `response.json`: the answer streamed and whole; where both stand, they are the same answer;
//! - `refusals.json`: a table of answers that are not 2xx: `name`, `status`, `headers`, and `body` or `body_text`;
//! - `expected.json`: what it means. `UPDATE_EXPECTED=1 cargo test --test transcripts` writes it anew: read the
//!   difference before you keep it.
//!
//! Every case is read whole, byte by byte and in random pieces, and cut off at every frame: the events are the same,
//! they are a valid sequence, and what lacks its end mark is never a complete answer.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod harness;

use harness::case::{Case, cases, protocols};
use harness::play::{Played, boundaries, play, play_whole};
use harness::{kinds, summary};

#[test]
fn every_protocol_shows_what_it_must() {
    for protocol in protocols() {
        let shown: Vec<_> = cases().into_iter().filter(|case| case.protocol == protocol).collect();
        let missing: Vec<_> = kinds::required(&protocol)
            .filter(|kind| !shown.iter().any(|case| case.kinds.iter().any(|shown| shown == kind)))
            .collect();
        assert!(missing.is_empty(), "tests/transcripts/{protocol} has no case of these kinds: {missing:?}");
    }
}

#[test]
fn cases_are_what_they_claim_to_be() {
    for case in cases() {
        let false_claims: Vec<_> = case.kinds.iter().filter(|kind| !kinds::is_shown(kind, &case)).collect();
        assert!(false_claims.is_empty(), "{case}: does not show {false_claims:?}, or there are no such kinds");
    }
}

#[test]
fn answers_mean_what_is_expected() {
    let mut wrong = Vec::new();
    for case in cases() {
        let actual = summary::of(&case);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            case.write_expected(&actual);
        } else if case.expected() != actual {
            wrong.push(format!("{case}: got {actual:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_streamed_answer_and_a_whole_one_agree() {
    for case in cases() {
        let (Some(stream), Some(body)) = (&case.stream, &case.body) else { continue };
        let (streamed, whole) = (play(&case, stream, &[]).answer(), play_whole(&case, body).answer());
        assert!(streamed.is_some(), "{case}: the stream is no answer");
        assert_eq!(streamed, whole, "{case}");
    }
}

#[test]
fn the_events_are_the_same_however_the_bytes_are_cut() {
    for (case, stream) in streams() {
        let whole = play(&case, &stream, &[]);
        assert_eq!(play(&case, &stream, &[1]), whole, "{case}: byte by byte");
        for seed in 0..12 {
            let sizes = harness::random_sizes(seed);
            assert_eq!(play(&case, &stream, &sizes), whole, "{case}: in pieces of {sizes:?}");
        }
    }
}

#[test]
fn events_are_a_valid_sequence() {
    for case in cases() {
        let stream = case.stream.iter().map(|stream| play(&case, stream, &[]));
        for played in stream.chain(case.body.iter().map(|body| play_whole(&case, body))) {
            played.fold().unwrap_or_else(|error| panic!("{case}: {error}"));
        }
    }
}

#[test]
fn the_terms_of_an_answer_are_told_with_it() {
    let mut tiers = std::collections::BTreeSet::new();
    for (case, stream) in streams() {
        let played = play(&case, &stream, &[]);
        if let Some(answer) = played.answer() {
            assert_eq!(played.terms.service_tier, answer.end.service_tier, "{case}");
            assert!(played.terms.surcharges.is_empty(), "{case}: nothing recorded was dearer than usual");
            tiers.insert((case.protocol.clone(), played.terms.service_tier.is_empty()));
        }
    }
    assert!(protocols().into_iter().all(|protocol| tiers.contains(&(protocol, false))), "{tiers:?}");
    let (case, stream) = streams().into_iter().find(|(case, _)| case.to_string() == "anthropic/text").unwrap();
    let dear = String::from_utf8(stream).unwrap();
    let dear = dear.replace("\"speed\":\"standard\"", "\"speed\":\"fast\"");
    let dear = dear.replace("\"inference_geo\":\"global\"", "\"inference_geo\":\"us\"");
    assert_eq!(play(&case, dear.as_bytes(), &[]).terms.surcharges, ["fast", "us"]);
}

#[test]
fn a_stream_that_is_cut_off_is_never_complete() {
    for (case, stream) in streams() {
        let frames = boundaries(&stream);
        let every = stream.len() / 300 + 1;
        for cut in frames.iter().copied().chain((0..stream.len()).step_by(every)) {
            check_cut(&case, &play(&case, &stream[..cut], &[]), cut);
        }
    }
}

fn check_cut(case: &Case, played: &Played, cut: usize) {
    let answer = played.fold().unwrap_or_else(|error| panic!("{case}: cut at {cut}: {error}"));
    assert_eq!(answer.is_some(), played.result.is_ok(), "{case}: cut at {cut}: an end and a failure");
    if answer.is_some() {
        assert!(played.end_mark, "{case}: cut at {cut}, and yet complete");
    } else {
        let source = played.usage.source;
        assert!(source != completiond::domain::UsageSource::Provider, "{case}: cut at {cut}, and its usage is final");
    }
}

#[test]
fn a_body_that_is_cut_off_is_never_complete() {
    for case in cases() {
        let Some(body) = &case.body else { continue };
        let end = body.trim_ascii_end().len();
        for cut in (0..end).step_by(end / 200 + 1) {
            let played = play_whole(&case, &body[..cut]);
            assert!(played.result.is_err() && played.answer().is_none(), "{case}: cut at {cut}, and yet complete");
        }
    }
}

/// All cases with a stream.
fn streams() -> Vec<(Case, Vec<u8>)> {
    cases().into_iter().filter_map(|case| case.stream.clone().map(|stream| (case, stream))).collect()
}
