//! Sums of usage in the file: each rule broken once, and what is read when none is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use completiond::config::{Config, Overrides, Sources};
use completiond::store::{Keep, UsageSettings};

use super::{parse, told, with_provider};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn each_rule_of_usage_broken_once() {
    let long = format!("labels: [{}]", "x".repeat(64));
    let cases = [
        ("labels: team", "c.yaml:2:18: usage.labels: must be a list; begin each item with `- `"),
        ("labels: [a, b, a]", "c.yaml:2:25: usage.labels[2]: `a` stands here a second time; leave it out"),
        (long.as_str(), "c.yaml:2:19: usage.labels[0]: is longer than 63 characters; no label is"),
        (
            "labels: [a, b, c, d, e, f, g, h, i]",
            "c.yaml:2:18: usage.labels: has 9 labels, and may have at most 8; each multiplies the sums that are kept",
        ),
        ("keep: 90", "c.yaml:2:16: usage.keep: must be a whole number of days from 1d to 365d; as in `90d`"),
        ("keep: 0d", "c.yaml:2:16: usage.keep: must be a whole number of days from 1d to 365d; as in `90d`"),
        ("keep: 366d", "c.yaml:2:16: usage.keep: must be a whole number of days from 1d to 365d; as in `90d`"),
        ("data_dir: ''", "c.yaml:2:20: usage.data_dir: is empty"),
        (
            "data_dir: /a, redis_url: '${URL}'",
            "c.yaml:2:35: usage.redis_url: does not stand beside `data_dir`; write one of them: sums are kept in one place",
        ),
        (
            "redis_url: redis://:hidden@host",
            "c.yaml:2:21: usage.redis_url: a key does not belong into the configuration's text; write `${NAME}` for an environment variable, or `file:/path`",
        ),
        ("datadir: /a", "c.yaml:2:10: usage.datadir: is no key that is known here; did you mean `data_dir`?"),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("usage: {{ {keys} }}"))), expected, "{keys}");
    }
}

/// What is read where this section names an address of Redis.
fn with_url(section: &str, url: &str) -> Result<Config, String> {
    let file = format!("{section}: {{ redis_url: '${{URL}}' }}");
    let file = with_provider(&file).replace("preset: home", "preset: ollama");
    let variable = |name: &str| (name == "URL").then(|| url.to_owned());
    let config = Config::parse(&file, Path::new("c.yaml"), &Overrides::default(), &Sources::new(&variable));
    config.map_err(|problems| problems.to_string())
}

#[test]
fn an_address_of_redis_is_a_secret() {
    for section in ["usage", "cache", "completions"] {
        for url in ["http://:hidden@host", "hidden", "redis://host:hidden", "rediss://:hidden@host#insecure"] {
            let told = with_url(section, url).unwrap_err();
            let expected = format!("{section}.redis_url: must be an address `redis://");
            assert!(told.contains(&expected) && !told.contains("hidden"), "{told}");
        }
        let url = "rediss://:hidden@host:6380/1";
        let config = with_url(section, url).unwrap();
        let read = match (section, &config.usage.keep_in) {
            ("usage", Keep::Redis(url)) => Some(url),
            ("cache", _) => config.cache.shared.as_ref(),
            _ => config.completions.shared.as_ref(),
        };
        assert_eq!(read.unwrap().expose(), url);
        assert!(!format!("{config:?}").contains("hidden"));
        let next = with_url(section, "redis://other").unwrap();
        assert_eq!(config.needs_restart(&next), [format!("{section}.redis_url")]);
    }
}

#[test]
fn usage_is_read_as_it_stands() {
    let load = |text: &str| parse(&with_provider(text)).unwrap().usage;
    let expected =
        UsageSettings { keep_in: Keep::File(PathBuf::from("/a b")), labels: vec!["Team".to_owned()], keep: DAY * 365 };
    assert_eq!(load("usage: { data_dir: /a b, labels: [Team], keep: 365d }"), expected);
    let nothing = UsageSettings { keep_in: Keep::Memory, labels: Vec::new(), keep: DAY * 90 };
    assert_eq!((load("usage:"), load("")), (nothing.clone(), nothing));
}
