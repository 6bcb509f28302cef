//! What headers say about trying again and about rate limits, and that the protocols read it.

use std::time::{Duration, SystemTime};

use completiond::domain::{Allowance, Quota};
use completiond::protocol::vendor;
use completiond::simulator::Simulator;
use http::HeaderMap;
use serde_json::json;

use crate::ask::{FORMATS, Format, ask, instant};

/// 2026-11-23T10:00:00Z.
fn at_ten() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000)
}

fn before_time() -> SystemTime {
    SystemTime::UNIX_EPOCH - Duration::from_secs(1)
}

fn after_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000)
}

/// The headers of what `prompt` leads to.
async fn headers(simulator: &Simulator, format: Format, prompt: &str) -> HeaderMap {
    ask(simulator, format, &format.streamed(prompt)).await.unwrap().headers
}

#[tokio::test]
async fn a_failure_says_when_to_try_again_in_each_form() {
    let simulator = instant().with_clock(at_ten);
    let cases = [
        ("error=429 retry_after=7", Some("7"), None),
        ("error=429 retry_after=date:90", Some("Mon, 23 Nov 2026 10:01:30 GMT"), None),
        ("error=429 retry_after=date:0", Some("Mon, 23 Nov 2026 10:00:00 GMT"), None),
        ("error=429 retry_after_ms=250", None, Some("250")),
        ("status=503 retry_after=date:1 retry_after_ms=900", Some("Mon, 23 Nov 2026 10:00:01 GMT"), Some("900")),
        ("html retry_after=7 retry_after=date:2", Some("Mon, 23 Nov 2026 10:00:02 GMT"), None),
        ("retry_after=7 retry_after_ms=7", None, None),
    ];
    for format in FORMATS {
        for (directives, seconds, millis) in cases {
            let headers = headers(&simulator, format, &format!("sim: {directives}")).await;
            let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!((said("retry-after"), said("retry-after-ms")), (seconds, millis), "{format:?} {directives}");
        }
    }
}

#[tokio::test]
async fn rate_limits_are_told_in_the_formats_own_style_with_answers_and_with_failures() {
    let simulator = instant().with_clock(at_ten);
    for directives in
        ["left=3", "left=3 error=429", "left=3 error_body_200", "left=3 filter=prompt", "left=3 tool=none"]
    {
        let prompt = format!("sim: {directives}");
        let chat = headers(&simulator, Format::Chat, &prompt).await;
        let messages = headers(&simulator, Format::Messages, &prompt).await;
        for what in ["requests", "tokens"] {
            assert_eq!(chat[format!("x-ratelimit-limit-{what}")], "100");
            assert_eq!(chat[format!("x-ratelimit-remaining-{what}")], "3");
            assert_eq!(chat[format!("x-ratelimit-reset-{what}")], "1m0s");
            assert_eq!(messages[format!("anthropic-ratelimit-{what}-limit")], "100");
            assert_eq!(messages[format!("anthropic-ratelimit-{what}-remaining")], "3");
            assert_eq!(messages[format!("anthropic-ratelimit-{what}-reset")], "2026-11-23T10:01:00Z");
        }
    }
    for format in FORMATS {
        let whole = ask(&simulator, format, &format.request("sim: left=0", &json!({}))).await.unwrap();
        assert!(whole.headers.keys().any(|name| name.as_str().contains("ratelimit")));
        let silent = headers(&simulator, format, "sim: error=429").await;
        assert!(!silent.keys().any(|name| name.as_str().contains("ratelimit")));
    }
}

#[tokio::test]
async fn the_protocols_read_what_is_left() {
    let simulator = instant().with_clock(at_ten);
    for (name, format) in [("openai", Format::Chat), ("anthropic", Format::Messages)] {
        let protocol = (vendor::preset(name).unwrap().protocol)();
        for left in [0, 3, 100] {
            let headers = headers(&simulator, format, &format!("sim: left={left}")).await;
            let quota = Quota { limit: Some(100), remaining: left, resets_in: Some(Duration::from_secs(60)) };
            let expected = Allowance { requests: Some(quota), tokens: Some(quota) };
            assert_eq!(protocol.allowance(&headers, at_ten()), expected, "{name} {left}");
        }
        assert!(protocol.allowance(&headers(&simulator, format, "hello").await, at_ten()).is_silent());
    }
}

#[tokio::test]
async fn a_clock_that_is_out_of_its_mind_gives_dates_all_the_same() {
    for clock in [before_time, after_time] {
        for format in FORMATS {
            let prompt = "sim: error=429 left=1 retry_after=date:1000000";
            let headers = headers(&instant().with_clock(clock), format, prompt).await;
            assert!(httpdate::parse_http_date(headers["retry-after"].to_str().unwrap()).is_ok());
        }
    }
}
