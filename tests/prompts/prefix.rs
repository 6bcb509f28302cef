//! The next turn of a conversation begins with the bytes of this one, up to where this one's last mark stands.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;

/// The prompt of a body, in the bytes that are sent.
#[derive(Deserialize)]
struct Prompt<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
}

/// Marks as they stand in a body, the comma before them included.
fn mark_at(body: &str) -> Option<(usize, usize)> {
    const MARKS: [&str; 2] = [r#""cache_control":{"#, r#""prompt_cache_breakpoint":{"#];
    let (begin, mark) = MARKS.iter().filter_map(|mark| Some((body.find(mark)?, mark))).min()?;
    let end = begin + mark.len() + body[begin + mark.len()..].find('}').unwrap() + 1;
    Some((begin, end))
}

/// The body without marks, and where the last one stood.
fn unmarked(body: &str) -> (String, Option<usize>) {
    let (mut rest, mut last) = (body.to_owned(), None);
    while let Some((begin, end)) = mark_at(&rest) {
        // The comma goes with it, on whichever side it is.
        let (begin, end) = if rest[..begin].ends_with(',') { (begin - 1, end) } else { (begin, end + 1) };
        rest.replace_range(begin..end, "");
        last = Some(begin);
    }
    (rest, last)
}

/// Holds the bodies of two turns against each other. Whether anything was marked.
fn check(target: &Target, now: &Request, next: &Request) -> bool {
    let bytes = |request: &Request| String::from_utf8(target.encode(request).body.to_vec()).unwrap();
    let ((this, last), (that, _)) = (unmarked(&bytes(now)), unmarked(&bytes(next)));
    let prompt = |body| serde_json::from_str::<Prompt<'_>>(body).unwrap();
    let (of_this, of_that) = (prompt(&this), prompt(&that));
    let same = |one: Option<&RawValue>, other: Option<&RawValue>| one.map(RawValue::get) == other.map(RawValue::get);
    assert!(same(of_this.tools, of_that.tools) && same(of_this.system, of_that.system));
    let Some(last) = last else { return false };
    assert_eq!(this[..last], that[..last], "{}", target.identity.vendor);
    true
}

#[test]
fn each_turn_of_an_agents_work_begins_with_the_last_one() {
    for target in Target::both() {
        let mut request = Request {
            system: vec![Block::text("Be kind."), long("Be brief.")],
            tools: vec![tool("get_weather"), tool("get_news")],
            messages: vec![user("Plan a journey.")],
            prompt_cache: automatic(None),
            ..Request::default()
        };
        for turn in 0..30 {
            let now = request.clone();
            let id = format!("call_{turn}");
            request.messages.push(says(Role::Assistant, vec![thought(&target), Block::text("I look."), call(&id)]));
            let mut results = vec![result(&id, "sunny")];
            if turn % 7 == 3 {
                results.insert(0, result("other", &"rain ".repeat(40)));
                request.messages.last_mut().unwrap().content.push(call("other"));
            }
            request.messages.push(says(Role::Tool, results));
            if turn % 5 == 4 {
                request.messages.extend([model("It is sunny."), user("And there?")]);
            }
            assert!(check(&target, &now, &request), "turn {turn} is marked");
        }
    }
}

#[test]
fn what_a_caller_sets_for_one_vendor_changes_nothing_about_it() {
    let own = |json: &str| {
        VendorJson::from([("anthropic", json), ("openai", json)].map(|(v, j)| (Vendor::new(v), j.to_owned())))
    };
    for target in Target::both() {
        let mut request = Request {
            system: vec![long("Be brief.")],
            tools: vec![tool("get_weather")],
            messages: vec![user("Hi."), model("Yes?"), user("Go on.")],
            prompt_cache: automatic(Some(3600)),
            ..Request::default()
        };
        let ToolKind::Function(function) = &mut request.tools[0].kind else { panic!("a function") };
        function.provider_options = own(r#"{"z":1,"a":{"y":1,"b":2}}"#);
        request.system[0].provider_options = own(r#"{"zz":1,"aa":2}"#);
        request.messages[0].content[0].provider_options = own(r#"{"zz":1,"aa":2}"#);
        request.messages[2].content[0].provider_options = own(r#"{"zz":1,"aa":2}"#);
        let mut next = request.clone();
        next.messages.extend([model("So."), user("And?")]);
        next.max_tokens = Some(Tokens::new(17));
        assert!(check(&target, &request, &next));
    }
}

#[test]
fn a_breakpoint_of_the_callers_may_move_from_turn_to_turn() {
    for target in Target::both() {
        let mut now =
            Request { messages: vec![says(Role::User, vec![marked(long("Hi."), None)])], ..Request::default() };
        let mut next = now.clone();
        next.messages[0].content[0].cache_breakpoint = None;
        next.messages.extend([model("Yes?"), says(Role::User, vec![marked(Block::text("Go on."), None)])]);
        assert!(check(&target, &now, &next));
        now.system = vec![Block::text("Be brief.")];
        next.system.clone_from(&now.system);
        assert!(check(&target, &now, &next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_turn_begins_with_the_bytes_of_this_one(
        now in any::request(),
        (said, told) in any::turn(),
        ttl in prop::option::of(1..9000_u64),
    ) {
        let now = Request { prompt_cache: automatic(ttl), ..now };
        let mut next = now.clone();
        next.messages.extend([said, told]);
        for target in Target::both() {
            check(&target, &now, &next);
        }
    }
}
