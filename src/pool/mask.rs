//! A provider's own words about a rejected request, made fit for its caller: cut, and without what they quote.
//!
//! Providers quote prompts and keys in their errors. What is masked: runs of 12 or more characters that also stand in
//! the request's content, and anything that looks like a key. Names of models, tools and parameters stay readable,
//! for they are what the caller needs.

use std::collections::HashSet;

use crate::credentials::Credentials;
use crate::domain::{Block, BlockKind, ProviderError, Request, ToolKind};

/// The most that is handed on, in bytes.
const MAX_BYTES: usize = 512;
/// The most that is looked at, in bytes.
const READ_BYTES: usize = 2048;
/// The length of a run that counts as quoted.
const RUN: usize = 12;
/// The length of an unbroken run of letters and digits that counts as a key.
const KEY: usize = 20;

/// The length of a run that gives a piece of our own key away.
const PIECE: usize = 8;

/// Cuts and masks `error`'s words.
pub(super) fn mask(mut error: ProviderError, request: &Request, credentials: &Credentials) -> ProviderError {
    for words in [&mut error.message, &mut error.kind, &mut error.code, &mut error.param] {
        *words = masked(words, request, credentials);
    }
    error
}

fn masked(words: &str, request: &Request, credentials: &Credentials) -> String {
    let words: Vec<char> = cut(words, READ_BYTES).chars().collect();
    let mut hidden = vec![false; words.len()];
    hide_quotes(&words, request, &mut hidden);
    hide_keys(&words, &mut hidden);
    hide_own_key(&words, credentials, &mut hidden);
    let mut shown = String::new();
    let mut was_hidden = false;
    for (letter, hide) in words.into_iter().zip(hidden) {
        match (hide, was_hidden) {
            (true, false) => shown.push_str("***"),
            (true, true) => {}
            (false, _) => shown.push(letter),
        }
        was_hidden = hide;
    }
    cut(&shown, MAX_BYTES).to_owned()
}

fn cut(text: &str, most: usize) -> &str {
    let end = text.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= most).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Hides every run that stands in the request as well.
fn hide_quotes(words: &[char], request: &Request, hidden: &mut [bool]) {
    if words.len() < RUN {
        return;
    }
    let windows: HashSet<&[char]> = words.windows(RUN).collect();
    let mut found: HashSet<Vec<char>> = HashSet::new();
    let mut letters: Vec<char> = Vec::new();
    each_text(request, &mut |text| {
        letters.clear();
        letters.extend(text.chars());
        found.extend(letters.windows(RUN).filter(|window| windows.contains(window)).map(<[char]>::to_vec));
    });
    for (start, window) in words.windows(RUN).enumerate() {
        if found.contains(window) {
            hidden.iter_mut().skip(start).take(RUN).for_each(|hide| *hide = true);
        }
    }
}

/// Hides unbroken runs with both letters and digits that are too long to be words.
fn hide_keys(words: &[char], hidden: &mut [bool]) {
    let of_key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '+' | '/' | '=');
    let mut start = 0;
    for run in words.split_inclusive(|letter| !of_key(*letter)) {
        let length = run.iter().take_while(|letter| of_key(**letter)).count();
        let mixed = run.iter().any(char::is_ascii_digit) && run.iter().any(char::is_ascii_alphabetic);
        if length >= KEY && mixed {
            hidden.iter_mut().skip(start).take(length).for_each(|hide| *hide = true);
        }
        start += run.len();
    }
}

/// Hides every piece of the key that the request was signed with, whatever a key of that provider looks like.
fn hide_own_key(words: &[char], credentials: &Credentials, hidden: &mut [bool]) {
    for (start, window) in words.windows(PIECE).enumerate() {
        if credentials.holds(&window.iter().collect::<String>()) {
            hidden.iter_mut().skip(start).take(PIECE).for_each(|hide| *hide = true);
        }
    }
}

/// Every text of a request that its author wrote, names aside.
fn each_text(request: &Request, visit: &mut impl FnMut(&str)) {
    let messages = request.messages.iter().flat_map(|message| &message.content);
    for block in request.system.iter().chain(messages) {
        each_text_of(block, visit);
    }
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function(function) => {
                visit(&function.description);
                visit(function.parameters.as_deref().unwrap_or_default());
            }
            ToolKind::Custom(custom) => visit(&custom.description),
            ToolKind::Provider(provider) => visit(&provider.json),
        }
    }
    request.stop_sequences.iter().for_each(|text| visit(text));
    visit(request.user.as_deref().unwrap_or_default());
}

fn each_text_of(block: &Block, visit: &mut impl FnMut(&str)) {
    match &block.kind {
        BlockKind::Text(text) => visit(&text.text),
        BlockKind::ToolCall(call) => visit(call.input.as_str()),
        BlockKind::ToolResult(result) => result.content.iter().for_each(|block| each_text_of(block, visit)),
        BlockKind::Reasoning(reasoning) => visit(&reasoning.text),
        BlockKind::Refusal(refusal) => visit(&refusal.text),
        BlockKind::Provider(block) => visit(&block.json),
        BlockKind::Document(document) => {
            visit(&document.title);
            visit(&document.context);
            visit(&document.filename);
        }
        BlockKind::Audio(audio) => visit(&audio.transcript),
        BlockKind::Image(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Message, Role};
    use crate::protocol::vendor::Auth;

    fn request(text: &str) -> Request {
        let message = Message { role: Role::User, content: vec![Block::text(text)], state: None };
        Request { messages: vec![message], ..Request::default() }
    }

    fn shown(words: &str, prompt: &str) -> String {
        mask(
            ProviderError { message: words.into(), ..ProviderError::default() },
            &request(prompt),
            &Credentials::default(),
        )
        .message
    }

    #[test]
    fn what_is_quoted_from_the_request_is_hidden() {
        let shown = shown("invalid text: 'my very secret diary' in messages", "Dear model, my very secret diary says");
        assert_eq!(shown, "invalid text: '***' in messages");
    }

    #[test]
    fn short_words_and_names_stay() {
        assert_eq!(shown("temperature: must be at most 1", "temperature of water"), "temperature: must be at most 1");
        assert_eq!(shown("model claude-opus-5-5 is not known", "hi"), "model claude-opus-5-5 is not known");
    }

    #[test]
    fn keys_are_hidden() {
        assert_eq!(shown("bad key sk-abcDEF0123456789abcdef x", "hi"), "bad key sk-*** x");
    }

    #[test]
    fn the_words_are_cut_between_characters() {
        let shown = shown(&"é ".repeat(1000), "hi");
        assert!(shown.len() <= MAX_BYTES && shown.len() > MAX_BYTES - 4);
    }

    #[test]
    fn our_own_key_is_hidden_whatever_it_looks_like() {
        for (key, words, shown) in [
            ("c0ffee00-1234-4abc-9def-0123456789ab", "bad key c0ffee00-1234-4abc-9def-0123456789ab!", "bad key***!"),
            ("a local pass phrase", "Bearer a local pass phrase", "***"),
            ("sk-evilSECRETkey0123", "key sk-evilS...Tkey0123 and EY0", "key***...*** and EY0"),
        ] {
            let credentials = Credentials::new(Auth::BEARER, &key.to_owned().into()).unwrap();
            assert_eq!(masked(words, &request(""), &credentials), shown);
        }
    }
}
