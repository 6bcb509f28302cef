//! The key by which a provider finds requests that begin alike.

use super::*;

fn key(target: &Target, request: &Request) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&target.encode(request).body).unwrap();
    body.get("prompt_cache_key").map(|key| key.as_str().unwrap().to_owned())
}

#[test]
fn a_key_is_the_same_for_what_begins_alike_and_tells_nothing() {
    let target = Target::new("openai", "gpt-6-sol");
    let first = Request {
        system: vec![Block::text("Be brief.")],
        tools: vec![tool("get_weather")],
        messages: vec![user("Hi.")],
        prompt_cache: automatic(None),
        ..Request::default()
    };
    let of_first = key(&target, &first).unwrap();
    assert_eq!(of_first.len(), 32);
    let mut later = first.clone();
    later.messages.extend([model("Yes?"), says(Role::User, vec![long("This.")])]);
    assert_eq!(key(&target, &later), Some(of_first.clone()), "marked or not, and whatever follows");
    let other_system = Request { system: vec![Block::text("Be kind.")], ..first.clone() };
    let other_tools = Request { tools: vec![tool("get_news")], ..first.clone() };
    for other in [&other_system, &other_tools] {
        assert_ne!(key(&target, other), Some(of_first.clone()));
    }
    assert_ne!(key(&Target::new("openai", "gpt-6-luna"), &first), Some(of_first.clone()), "each model has its own");
    let of = |id: &str, request: &Request| {
        key(&target, &Request { conversation_id: Some(id.to_owned()), ..request.clone() }).unwrap()
    };
    assert_eq!(of("team-red-7", &first), of("team-red-7", &other_system));
    assert_ne!(of("team-red-7", &first), of("team-red-8", &first));
    assert!(!of("team-red-7", &first).contains("red"));
}

#[test]
fn a_key_is_sent_only_where_it_is_known_and_wanted() {
    let request = Request {
        messages: vec![user("Hi.")],
        conversation_id: Some("c".to_owned()),
        prompt_cache: automatic(None),
        ..Request::default()
    };
    let known: Vec<&str> = vendor::PRESETS
        .iter()
        .map(|preset| preset.name)
        .filter(|name| key(&Target::new(name, "m"), &request).is_some())
        .collect();
    assert_eq!(known, ["openai", "mistral", "simulator"]);
    let target = Target::new("openai", "gpt-6-sol");
    let off = PromptCache { mode: PromptCacheMode::Off, ttl: None };
    for prompt_cache in [off, PromptCache::default()] {
        assert_eq!(key(&target, &Request { prompt_cache, ..request.clone() }), None);
    }
    assert_eq!(key(&target, &Request { conversation_id: None, ..request }), None, "nothing begins like it");
}
