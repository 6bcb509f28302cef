//! Where marks go in conversations of ten shapes and more, as files in `tests/requests/<protocol>/prompt_cache/`.

use super::*;

fn asking(messages: Vec<Message>) -> Request {
    Request { messages, prompt_cache: automatic(None), ..Request::default() }
}

/// So many rounds of calls and results behind the first question.
fn rounds(count: usize) -> Vec<Message> {
    let round = |n: usize| {
        let id = format!("call_{n}");
        [says(Role::Assistant, vec![call(&id)]), says(Role::Tool, vec![result(&id, "sunny")])]
    };
    std::iter::once(says(Role::User, vec![long("Plan a journey.")])).chain((0..count).flat_map(round)).collect()
}

/// A conversation that went on with `blocks` blocks at once.
fn leap(blocks: usize) -> Request {
    let notes = (0..blocks).map(|n| Block::text(format!("Note {n}."))).collect();
    let messages = vec![says(Role::User, vec![long("Hi.")]), model("Go on."), says(Role::User, notes)];
    Request { system: vec![long("Be brief.")], tools: vec![tool("get_weather")], ..asking(messages) }
}

fn shapes(target: &Target) -> Vec<(&'static str, Request)> {
    let system = || vec![Block::text("Be kind."), long("Be brief.")];
    let tools = || vec![tool("get_weather"), tool("get_news")];
    let chat = || vec![user("Why is the sky blue?"), model("It scatters."), user("What does?")];
    let mixed = vec![
        says(Role::User, vec![marked(long("First."), Some(3600)), Block::text("Second.")]),
        model("Yes?"),
        says(Role::User, vec![marked(Block::text("Third."), None), Block::text("Fourth.")]),
    ];
    let media = vec![says(Role::User, vec![Block::text("What are these?"), image(), document()])];
    let paused = vec![user("Look."), says(Role::Assistant, vec![Block::text("I looked."), thought(target)])];
    let later = vec![
        user("Look."),
        says(Role::Assistant, vec![thought(target), call("c")]),
        says(Role::Tool, vec![result("c", "sun")]),
    ];
    vec![
        ("only_a_prompt", asking(vec![says(Role::User, vec![long("Hi.")])])),
        ("long_system", Request { system: system(), ..asking(vec![user("Hi.")]) }),
        ("tools", Request { tools: tools(), ..asking(vec![says(Role::User, vec![long("Hi.")])]) }),
        ("tools_and_system", Request { tools: tools(), system: system(), ..asking(vec![user("Hi.")]) }),
        ("turns", Request { system: system(), ..asking(chat()) }),
        ("turns_within_the_lookback", leap(18)),
        ("turns_beyond_the_lookback", leap(19)),
        ("tool_results", Request { tools: tools(), system: system(), ..asking(rounds(3)) }),
        ("media", asking(media)),
        ("explicit_and_automatic", Request { tools: tools(), system: system(), ..asking(mixed) }),
        ("below_the_minimum", Request { system: vec![Block::text("Be brief.")], ..asking(chat()) }),
        ("thinking", Request { system: system(), ..asking(later) }),
        ("thinking_at_the_end", Request { system: system(), ..asking(paused) }),
        (
            "for_longer",
            Request { tools: tools(), system: system(), prompt_cache: automatic(Some(1801)), ..asking(chat()) },
        ),
        ("off", Request { system: system(), prompt_cache: PromptCache::default(), ..asking(chat()) }),
    ]
}

#[test]
fn where_marks_go_in_messages() {
    // A model that continues what it said.
    let target = Target { facts: Some(&LENIENT), ..Target::new("anthropic", "claude-sonnet-5-5") };
    for (name, request) in shapes(&target) {
        target.check(&format!("prompt_cache/{name}"), &request);
    }
}

/// Knows the shortest prompt that is kept, and forbids nothing.
static LENIENT: ModelFacts = ModelFacts {
    cached_prompts: CachedPrompts { least: Some(Tokens::new(512)), breakpoints: Some(true) },
    context_window: None,
    max_input: None,
    max_output: None,
    capabilities: Capabilities {
        tools: None,
        images: None,
        documents: None,
        audio: None,
        json_schema: None,
        reasoning: None,
    },
    constraints: Constraints {
        sampling: None,
        prefill: Some(true),
        forced_tool_choice: None,
        reasoning_always_on: None,
        adaptive_reasoning: None,
        effort_none: None,
        effort_minimal: None,
        effort_xhigh: None,
        effort_max: None,
    },
    other_protocol: None,
};

#[test]
fn where_marks_go_in_chat_completions() {
    let target = Target { facts: Some(&LENIENT), ..Target::new("openai", "gpt-6-sol") };
    for (name, request) in shapes(&target) {
        target.check(&format!("prompt_cache/{name}"), &request);
    }
}

#[test]
fn what_each_vendor_of_chat_completions_is_told() {
    let request = Request {
        system: vec![long("Be brief.")],
        tools: vec![tool("get_weather")],
        ..asking(vec![user("Hi."), model("Yes?"), user("Go on.")])
    };
    let older = Target::new("openai", "gpt-5.5");
    for (vendor, model) in [("openrouter", "any"), ("mistral", "mistral-large-4"), ("groq", "any"), ("azure", "any")] {
        Target::new(vendor, model).check(&format!("prompt_cache/{vendor}"), &request);
    }
    older.check("prompt_cache/openai_older", &request);
    Target::new("openai", "not-known").check("prompt_cache/openai_unknown", &request);
}

#[test]
fn what_the_provider_was_asked_for_is_told() {
    let ttl =
        |vendor: &str, model: &str, request: &Request| Target::new(vendor, model).encode(request).prompt_cache_ttl;
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    let request = |ttl| Request { prompt_cache: automatic(ttl), ..asking(vec![says(Role::User, vec![long("Hi.")])]) };
    let claude = ("anthropic", "claude-sonnet-5-5");
    let gpt = ("openai", "gpt-6-sol");
    let cases = [
        (claude, request(None), minutes(5)),
        (claude, request(Some(300)), minutes(5)),
        (claude, request(Some(301)), minutes(60)),
        (claude, request(Some(1_000_000)), minutes(60)),
        (gpt, request(None), minutes(30)),
        (gpt, request(Some(1801)), minutes(720)),
        (("openrouter", "any"), request(Some(600)), minutes(60)),
        // Only a key is sent, or nothing at all.
        (("openai", "gpt-5.5"), request(Some(600)), None),
        (("groq", "any"), request(None), None),
        (claude, asking(vec![user("Hi.")]), None),
        (claude, Request { prompt_cache: PromptCache::default(), ..request(None) }, None),
    ];
    for ((vendor, model), request, expected) in cases {
        assert_eq!(ttl(vendor, model, &request), expected, "{vendor}/{model} {:?}", request.prompt_cache);
    }
    let longest = asking(vec![says(Role::User, vec![marked(long("Hi."), Some(3600)), Block::text("Now.")])]);
    assert_eq!(ttl(claude.0, claude.1, &longest), minutes(60), "the longest of several");
}

#[test]
fn a_breakpoint_that_is_left_out_is_never_an_error() {
    let content: Vec<Block> = (0..6).map(|n| marked(Block::text(format!("Part {n}.")), None)).collect();
    let request = Request { unsupported: UnsupportedParameters::Reject, ..asking(vec![says(Role::User, content)]) };
    let left = |at: usize| format!("messages[0].content[{at}].cache_breakpoint");
    for target in Target::both() {
        assert_eq!(target.encode(&request).ignored, [left(4), left(5)]);
    }
    let older = Target::new("openai", "gpt-5.5");
    assert_eq!(older.encode(&request).ignored, (0..6).map(left).collect::<Vec<_>>());
    let unknown = Target::new("openai", "not-known");
    assert_eq!(unknown.encode(&request).ignored, [left(4), left(5)]);
}

#[test]
fn who_writes_marks_in_the_providers_words_decides_about_all() {
    let claude = Target::new("anthropic", "claude-sonnet-5-5");
    let mut request = Request { system: vec![long("Be brief.")], ..asking(vec![user("Hi.")]) };
    let count = |request: &Request| {
        let body = String::from_utf8(claude.encode(request).body.to_vec()).unwrap();
        body.matches("cache_control").count()
    };
    assert_eq!(count(&request), 2);
    let own = r#"{"cache_control":{"type":"ephemeral"}}"#;
    request.system[0].provider_options.insert(Vendor::new("anthropic"), own.to_owned());
    assert_eq!(count(&request), 1, "a mark of a block");
    request.system[0].provider_options.clear();
    let options = ProviderOptions { body: serde_json::from_str(own).unwrap(), ..ProviderOptions::default() };
    request.provider_options.insert(Vendor::new("anthropic"), options);
    assert_eq!(count(&request), 1, "one that the provider places");
    request.messages = vec![says(Role::User, (0..5).map(|_| marked(Block::text("Hi."), None)).collect())];
    assert_eq!(count(&request), 4, "it counts");
}
