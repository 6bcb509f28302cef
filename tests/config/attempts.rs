//! Fallbacks, hedging, retries and concurrency in the file: each rule broken once, and what is read when none is.

use std::time::Duration;

use completiond::pool::ConcurrencyRule;
use completiond::route::{Hedge, Retry};

use super::{parse, told, with_provider};

#[test]
fn each_rule_of_fallbacks_and_hedging_broken_once() {
    let cases = [
        ("fallback_models: fast", "c.yaml:2:80: models[0].fallback_models: must be a list; begin each item with `- `"),
        (
            "fallback_models: [fats]",
            "c.yaml:2:81: models[0].fallback_models[0]: `fats` leads nowhere; did you mean `fast`?, or write `a/MODEL`",
        ),
        (
            "fallback_models: [smallmodel]",
            "c.yaml:2:81: models[0].fallback_models[0]: `smallmodel` leads nowhere; did you mean `small-model`?, or write `a/MODEL`",
        ),
        (
            "fallback_models: [aa/small]",
            "c.yaml:2:81: models[0].fallback_models[0]: `aa/small` leads nowhere; did you mean `a/small`?, or write `a/MODEL`",
        ),
        (
            "fallback_models: [banana]",
            "c.yaml:2:81: models[0].fallback_models[0]: `banana` leads nowhere; known: `smart` or `fast`, or write `a/MODEL`",
        ),
        (
            "fallback_models: [smart]",
            "c.yaml:2:81: models[0].fallback_models[0]: `smart` is this model itself; leave it out",
        ),
        (
            "fallback_models: [fast, a/x, fast]",
            "c.yaml:2:92: models[0].fallback_models[2]: `fast` stands here a second time; leave it out",
        ),
        (
            "fallback_models: [a/1, a/2, a/3, a/4, a/5, a/6, a/7, a/8, a/9]",
            "c.yaml:2:80: models[0].fallback_models: has 9 names, and may have at most 8; leave out those that are least likely to answer",
        ),
        ("hedge:", "c.yaml:2:68: models[0].hedge: has no value; write `hedge: {}` for the defaults, or leave it out"),
        ("hedge: true", "c.yaml:2:70: models[0].hedge: must be a map; write `key: value` lines"),
        (
            "hedge: { quantil: 0.9 }",
            "c.yaml:2:72: models[0].hedge.quantil: is no key that is known here; did you mean `quantile`?",
        ),
        (
            "hedge: { quantile: 0 }",
            "c.yaml:2:82: models[0].hedge.quantile: must be a number above 0 and below 1; as in `0.95`",
        ),
        (
            "hedge: { quantile: 1.0 }",
            "c.yaml:2:82: models[0].hedge.quantile: must be a number above 0 and below 1; as in `0.95`",
        ),
        (
            "hedge: { quantile: nan }",
            "c.yaml:2:82: models[0].hedge.quantile: must be a number above 0 and below 1; as in `0.95`",
        ),
        (
            "hedge: { max_share: 5% }",
            "c.yaml:2:83: models[0].hedge.max_share: must be a number above 0 and at most 1; as in `0.05` for 5 of 100 calls",
        ),
        (
            "hedge: { max_share: 1.01 }",
            "c.yaml:2:83: models[0].hedge.max_share: must be a number above 0 and at most 1; as in `0.05` for 5 of 100 calls",
        ),
        (
            "hedge: { min_delay: 200 }",
            "c.yaml:2:83: models[0].hedge.min_delay: has no unit; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
    ];
    for (keys, expected) in cases {
        let models = format!(
            "models: [{{ id: smart, targets: [{{ provider: a, model: big }}], {keys} }}, {{ id: fast, targets: [{{ provider: a, model: small-model }}] }}]"
        );
        assert_eq!(told(&with_provider(&models)), expected, "{keys}");
    }
    // What leads to a model with a fault of its own is not wrong as well.
    let told = told(&with_provider(
        "default_model: fast\nmodels: [{ id: smart, targets: [{ provider: a, model: m }], fallback_models: [fast] }, { id: fast }]",
    ));
    assert_eq!(told, "c.yaml:3:88: models[1]: lacks `targets`");
}

#[test]
fn fallbacks_hedging_retry_and_concurrency_are_read_as_they_stand() {
    let load = |text: &str| parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let config = load(
        "providers:\n- { id: a, preset: home, max_in_flight: 64, adaptive_concurrency: true }\n- { id: b, preset: home }\n\
         models:\n- { id: smart, targets: [{ provider: a, model: m }], fallback_models: [fast, b/other, n], hedge: {} }\n\
         - { id: fast, targets: [{ provider: b, model: n }], fallback_models: [smart], hedge: { quantile: 0.5, min_delay: 0, max_share: 1 } }\n\
         - { id: plain, targets: [{ provider: b, model: n }] }\n\
         retry: { max_attempts: 32, base_delay: 0, max_delay: 0 }\nlimits: { max_in_flight: 1 }\n",
    );
    let [a, b] = config.providers.as_slice() else { panic!("{:?}", config.providers) };
    assert_eq!(a.concurrency, ConcurrencyRule { most: Some(64), adaptive: true });
    assert_eq!(b.concurrency, ConcurrencyRule::default());
    let [smart, fast, plain] = config.models.as_slice() else { panic!("{:?}", config.models) };
    assert_eq!(smart.fallback_models.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["fast", "b/other", "n"]);
    assert_eq!(smart.hedge, Some(Hedge::default()));
    assert_eq!(fast.hedge, Some(Hedge { quantile: 0.5, min_delay: Duration::ZERO, max_share: 1.0 }));
    assert_eq!((plain.fallback_models.len(), plain.hedge), (0, None));
    let retry = config.retry;
    assert_eq!((retry.max_attempts.get(), retry.base_delay, retry.max_delay), (32, Duration::ZERO, Duration::ZERO));
    assert_eq!(config.limits.max_in_flight, 1);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let plain = load(&with_provider("retry: {}"));
    assert_eq!((plain.retry, plain.limits.max_in_flight), (Retry::default(), 16_384));
}

#[test]
fn hedging_with_nobody_to_ask_is_warned_of() {
    let warnings = |keys: &str| {
        let text = with_provider(&format!("models: [{{ id: x, targets: [{{ provider: a, model: m }}], {keys} }}]"));
        parse(&text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings("hedge: {}"),
        [
            "models[0].hedge: there is nobody to ask: the model has one target and no fallbacks; add a target or a fallback, or leave it out"
        ]
    );
    assert!(warnings("hedge: {}, fallback_models: [a/n]").is_empty());
}
