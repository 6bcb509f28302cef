//! Conversations of every kind that both protocols can carry.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Block> {
    prop_oneof![3 => "[ -~é日\n]{1,40}".prop_map(Block::text), 1 => "[a-z]{1,9}".prop_map(|word| long(&word))]
}

fn own(mut block: Block, has_own: bool) -> Block {
    if has_own {
        for vendor in ["anthropic", "openai"] {
            block.provider_options.insert(Vendor::new(vendor), r#"{"z_own":[1, 2],"a_own":"x"}"#.to_owned());
        }
    }
    block
}

fn told() -> impl Strategy<Value = Message> {
    let block = prop_oneof![5 => text(), 1 => Just(image()), 1 => Just(document())];
    let block = (block, prop::bool::weighted(0.1)).prop_map(|(block, has_own)| own(block, has_own));
    vec(block, 1..25).prop_map(|content| says(Role::User, content))
}

fn said() -> impl Strategy<Value = Message> {
    vec((text(), prop::bool::weighted(0.1)).prop_map(|(block, has_own)| own(block, has_own)), 1..25)
        .prop_map(|content| says(Role::Assistant, content))
}

/// What the model said, and what it is told behind it.
pub(crate) fn turn() -> impl Strategy<Value = (Message, Message)> {
    let by_tools = ("[a-z0-9]{3,9}", "[ -~]{1,30}").prop_map(|(id, answer)| {
        let calls = says(Role::Assistant, vec![Block::text("I look."), call(&id)]);
        (calls, says(Role::Tool, vec![result(&id, &answer)]))
    });
    prop_oneof![2 => (said(), told()), 1 => by_tools]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let tools = vec("[a-z]{1,8}".prop_map(|name| tool(&name)), 0..3);
    (tools, vec(text(), 0..3), told(), vec(turn(), 0..4)).prop_map(|(tools, system, first, turns)| {
        let mut messages = vec![first];
        messages.extend(turns.into_iter().flat_map(|(said, told)| [said, told]));
        Request { tools, system, messages, ..Request::default() }
    })
}
