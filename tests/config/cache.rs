//! Which answers are given again: each rule broken once, and what is read when none is.

use std::time::Duration;

use completiond::store::AnswerSettings;

use super::{parse, told, with_provider};

#[test]
fn each_rule_of_the_cache_broken_once() {
    let cases = [
        ("enabled: perhaps", "c.yaml:2:19: cache.enabled: `perhaps` is no truth value; `true` or `false`"),
        ("ttl: 0", "c.yaml:2:15: cache.ttl: must be above 0"),
        ("max_bytes: 1KiB", "c.yaml:2:21: cache.max_bytes: is less than 1MiB; answers would be forgotten at once"),
        (
            "max_bytes: 1MiB, redis_url: '${URL}'",
            "c.yaml:2:21: cache.max_bytes: does not stand beside `redis_url`; leave it out: how much memory answers may take is a setting of the server that keeps them",
        ),
        (
            "redis_url: redis://:hidden@host",
            "c.yaml:2:21: cache.redis_url: a key does not belong into the configuration's text; write `${NAME}` for an environment variable, or `file:/path`",
        ),
        ("enable: true", "c.yaml:2:10: cache.enable: is no key that is known here; did you mean `enabled`?"),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("cache: {{ {keys} }}"))), expected, "{keys}");
    }
}

#[test]
fn the_cache_is_read_as_it_stands() {
    let load = |text: &str| parse(&with_provider(text)).unwrap().cache;
    let ttl = Duration::from_secs(90);
    let expected = AnswerSettings { enabled: true, sampled: true, ttl, max_bytes: 1 << 20, shared: None };
    assert_eq!(load("cache: { enabled: true, sampled: true, ttl: 90s, max_bytes: 1MiB }"), expected);
    let ttl = Duration::from_secs(300);
    let default = AnswerSettings { enabled: false, sampled: false, ttl, max_bytes: 256 << 20, shared: None };
    assert_eq!((load("cache:"), load("")), (default.clone(), default));
}
