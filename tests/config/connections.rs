//! The bounds on connections: each rule broken once, and what is read when none is.

use std::time::Duration;

use completiond::config::Connections;

use super::{parse, told, with_provider};

#[test]
fn each_rule_of_connections_broken_once() {
    let cases = [
        ("max: 0", "c.yaml:2:21: connections.max: must be above 0"),
        ("max: many", "c.yaml:2:21: connections.max: must be a whole number; 1 to 4294967295"),
        (
            "max_idle: 5",
            "c.yaml:2:26: connections.max_idle: has no unit; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        (
            "max_age: 9999999h",
            "c.yaml:2:25: connections.max_age: is longer than a year; a duration is a number with a unit (ms, s, m, h), as in `500ms`, `30s` or `1h30m`",
        ),
        ("handshake_timeout: 0", "c.yaml:2:35: connections.handshake_timeout: must be above 0"),
        ("max_streams: 0", "c.yaml:2:29: connections.max_streams: must be above 0"),
        ("max_metadata_bytes: 1KiB", "c.yaml:2:36: connections.max_metadata_bytes: must be from 4KiB to 1MiB"),
        ("max_metadata_bytes: 2MiB", "c.yaml:2:36: connections.max_metadata_bytes: must be from 4KiB to 1MiB"),
        (
            "max_ages: 1m",
            "c.yaml:2:16: connections.max_ages: is no key that is known here; did you mean `max`, `max_age` or `max_streams`?",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(told(&with_provider(&format!("connections: {{ {keys} }}"))), expected, "{keys}");
    }
}

#[test]
fn bounds_on_connections_are_read_as_they_stand_and_0_is_never() {
    assert_eq!(parse(&with_provider("")).unwrap().connections, Connections::default());
    let text = "connections: { max: 5, max_idle: 0, max_age: 0s, handshake_timeout: 3s, max_streams: 7, max_metadata_bytes: 8KiB }";
    let expected = Connections {
        max: 5,
        max_idle: None,
        max_age: None,
        handshake_timeout: Duration::from_secs(3),
        max_streams: 7,
        max_metadata_bytes: 8192,
    };
    assert_eq!(parse(&with_provider(text)).unwrap().connections, expected);
}
