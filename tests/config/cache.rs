//! Which answers are given again, and which prompts are kept: each rule broken once, and what is read when none is.

use std::time::Duration;

use completiond::domain::{PromptCache, PromptCacheMode};
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

#[test]
fn each_rule_of_prompt_caches_broken_once() {
    let cases = [
        ("mode: on", "c.yaml:2:23: prompt_cache.mode: `on` is no mode; `off` or `automatic`"),
        ("ttl: 0", "c.yaml:2:22: prompt_cache.ttl: must be above 0"),
        ("tll: 5m", "c.yaml:2:17: prompt_cache.tll: is no key that is known here; known: `mode` or `ttl`"),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("prompt_cache: {{ {keys} }}"))), expected, "{keys}");
    }
}

#[test]
fn prompt_caches_are_read_as_they_stand_for_all_and_for_one_model() {
    let model = |keys: &str| format!("models: [{{ id: x, targets: [{{ provider: a, model: m }}]{keys} }}]");
    let load = |text: &str| parse(&with_provider(text)).unwrap();
    let of = |mode, minutes: Option<u64>| PromptCache {
        mode,
        ttl: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
    };
    let both =
        load(&format!("prompt_cache: {{ mode: automatic }}\n{}", model(", prompt_cache: { mode: off, ttl: 1h }")));
    assert_eq!(both.prompt_cache, of(PromptCacheMode::Automatic, None));
    assert_eq!(both.models[0].prompt_cache, of(PromptCacheMode::Off, Some(60)));
    let neither = load(&model(""));
    assert_eq!(
        (neither.prompt_cache, neither.models[0].prompt_cache),
        (PromptCache::default(), PromptCache::default())
    );
    assert_eq!(load("prompt_cache: { ttl: 30m }").prompt_cache, of(PromptCacheMode::Unsaid, Some(30)));
}
