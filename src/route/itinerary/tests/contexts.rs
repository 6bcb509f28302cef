//! Where a request goes that is too long for a model's context.

use super::*;
use crate::domain::ModelFacts;

fn long() -> Error {
    error(Reason::ContextLengthExceeded)
}

/// A target whose model is known to take so many tokens.
fn taking(name: &str, context_window: Option<u32>) -> Target {
    let facts = ModelFacts { context_window: context_window.map(Tokens::new), ..ModelFacts::default() };
    let Target { endpoint, .. } = target(name, 0);
    let mut endpoint = Arc::into_inner(endpoint).unwrap();
    endpoint.facts = Some(Box::leak(Box::new(facts)));
    Target { endpoint: Arc::new(endpoint), priority: 0, weight: 1 }
}

#[test]
fn it_goes_to_longer_contexts_and_to_those_that_are_not_known() {
    let leads = || {
        vec![
            vec![taking("a/small", Some(1000))],
            vec![taking("b/small", Some(9000)), taking("c/equal", Some(1000)), taking("d/less", Some(999))],
            vec![taking("e/more", Some(1001))],
            vec![taking("f/unknown", None), target("g/never-heard-of", 0)],
        ]
    };
    assert_eq!(
        Story::of(leads(), 9).told(|name| if name == "a" { long() } else { silent() }),
        ["a/small", "e/more", "f/unknown", "g/never-heard-of"],
        "nor to the same model elsewhere"
    );
    assert_eq!(Story::of(leads(), 9).told(|_| long()), ["a/small", "e/more", "f/unknown", "g/never-heard-of"]);
}

#[test]
fn where_the_context_is_not_known_no_known_one_is_longer() {
    let leads = vec![vec![taking("a/one", None)], vec![taking("b/two", Some(u32::MAX))], vec![taking("c/three", None)]];
    assert_eq!(Story::of(leads, 9).told(|_| long()), ["a/one", "c/three"]);
}

#[test]
fn it_is_over_when_nobody_has_a_longer_one() {
    let mut story = Story::of(vec![vec![taking("a/one", Some(10)), taking("b/one", Some(10))]], 9);
    let (a, _) = story.ask().unwrap();
    assert!(!story.fail(a, &long()));
    assert_eq!(story.next(), None);
}

#[test]
fn one_that_failed_before_and_is_no_longer_is_not_asked_again() {
    let mut story = Story::of(vec![vec![taking("a/one", Some(10))], vec![taking("b/two", Some(10))]], 9);
    assert_eq!(
        story.told(|name| if name == "a" { down() } else { long() }),
        ["a/one", "a/one after 500ms", "b/two after 500ms"]
    );
}

#[test]
fn the_largest_prompt_stands_for_a_window_that_is_not_known() {
    let facts = ModelFacts { max_input: Some(Tokens::new(7)), ..ModelFacts::default() };
    let mut endpoint = Arc::into_inner(target("a", 0).endpoint).unwrap();
    endpoint.facts = Some(Box::leak(Box::new(facts)));
    assert_eq!(window(&Target { endpoint: Arc::new(endpoint), priority: 0, weight: 1 }), Some(Tokens::new(7)));
    assert_eq!(window(&target("a", 0)), None);
}

#[test]
fn only_those_that_may_still_be_asked_are_listed() {
    let mut story = Story::of(vec![vec![taking("a/one", Some(10)), taking("b/two", Some(20))]], 9);
    let (a, _) = story.ask().unwrap();
    assert!(story.fail(a, &long()));
    let left: Vec<_> = story.itinerary.targets().map(|(_, target)| target.endpoint.identity.to_string()).collect();
    assert_eq!(left, ["b/two"]);
}
