//! A provider's name stands in its own protocol and in the table of vendors, nowhere else.

use completiond::protocol::vendor::PRESETS;

use crate::source::Source;
use crate::{complains, hold, is_content_with};

/// Names that are looked for whatever the table says, with the model families by which vendors are known as well.
const KNOWN: &[&str] = &[
    "anthropic",
    "claude",
    "openai",
    "gpt",
    "chatgpt",
    "gemini",
    "azure",
    "ollama",
    "vllm",
    "llamacpp",
    "groq",
    "mistral",
    "deepseek",
    "xai",
    "grok",
    "openrouter",
    "bedrock",
    "vertex",
    "litellm",
];
/// Vendors whose name is an English word: it counts only where it is all of a literal.
const ENGLISH: &[&str] = &["together", "fireworks", "cohere", "perplexity"];
/// What a protocol may say beside its own name.
const FAMILIES: &[(&str, &[&str])] = &[("anthropic", &["claude"]), ("openai", &["gpt", "chatgpt"])];
/// Fields and headers that are called so on the wire of one protocol, whoever sends them.
const ON_THE_WIRE: &[(&str, &[&str])] = &[
    ("protocol/openai/", &["x_groq", "x_groq_id"]),
    (
        "simulator/messages_wire/",
        &[
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
    ),
];

fn vendors() -> Vec<String> {
    let presets = PRESETS.iter().map(|preset| preset.name).filter(|name| *name != "simulator");
    let mut names: Vec<String> = presets.chain(KNOWN.iter().copied()).map(|name| name.replace('_', "-")).collect();
    names.extend(ENGLISH.iter().map(|name| (*name).to_owned()));
    names.sort();
    names.dedup();
    names
}

/// The protocol whose folder or file this is.
fn protocol(path: &str) -> Option<&str> {
    path.strip_prefix("protocol/")?.split(['/', '.']).next().filter(|part| !matches!(*part, "mod" | "vendor"))
}

/// Words of a text or an identifier, lower case, between hyphens: `-open-ai-wire-`.
fn spelled(text: &str) -> String {
    let mut spelled = String::from("-");
    let mut before = '-';
    for letter in text.chars() {
        if letter.is_uppercase() && before.is_lowercase() {
            spelled.push('-');
        }
        let next = if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        spelled.push(next);
        before = letter;
    }
    spelled.push('-');
    spelled
}

fn names(text: &str, vendor: &str) -> bool {
    let spelled = spelled(text);
    if ENGLISH.contains(&vendor) {
        return text == format!("\"{vendor}\"");
    }
    let joined = spelled.replace('-', "");
    let in_one_word = !text.contains(' ') && vendor.len() > 4 && joined.contains(&vendor.replace('-', ""));
    spelled.contains(&format!("-{vendor}-")) || in_one_word
}

fn named_vendors(source: &Source) -> Vec<String> {
    let is_table = source.path == "protocol/vendor.rs" || source.path.starts_with("protocol/vendor/");
    if is_table || source.top() == "catalog" {
        return Vec::new();
    }
    let own = protocol(&source.path).unwrap_or_default();
    let family = FAMILIES.iter().find(|(protocol, _)| *protocol == own).map_or(&[][..], |(_, family)| family);
    let wire =
        ON_THE_WIRE.iter().find(|(place, _)| source.path.starts_with(place)).map_or(&[][..], |(_, fields)| fields);
    // Where the protocols are declared and exported, their names cannot be avoided.
    let declared = |vendor: &str| source.path == "protocol/mod.rs" && source.text.contains(&format!("mod {vendor};"));
    let mut complaints = Vec::new();
    for vendor in
        vendors().iter().filter(|vendor| *vendor != own && !family.contains(&vendor.as_str()) && !declared(vendor))
    {
        let found = source.words.iter().find(|word| names(word, vendor) && !wire.contains(&word.trim_matches('"')));
        complaints.extend(found.map(|word| format!("names {vendor} in {word:?}")));
    }
    complaints
}

#[test]
fn a_providers_name_stands_in_its_own_place_only() {
    hold(named_vendors);
}

#[test]
fn a_providers_name_stands_in_its_own_place_only_is_a_rule_that_can_fail() {
    complains(named_vendors, "pool/x.rs", "const A: &str = \"anthropic-version\";", "anthropic");
    complains(named_vendors, "pool/x.rs", "struct OpenAiQuirk;", "openai");
    complains(named_vendors, "route/x.rs", "fn f() { println!(\"for groq\"); }", "groq");
    complains(named_vendors, "protocol/openai/x.rs", "const A: &str = \"azure\";", "azure");
    complains(named_vendors, "pool/x.rs", "const A: &str = \"together\";", "together");
    complains(named_vendors, "protocol/mod.rs", "mod openai; const A: &str = \"groq\";", "groq");
    complains(named_vendors, "protocol/openai/x.rs", "fn f(groq: u8) {}", "groq");
    is_content_with(named_vendors, "protocol/openai/x.rs", "struct A { x_groq: u8 }");
    complains(named_vendors, "simulator/messages_wire/x.rs", "const A: &str = \"anthropic-version\";", "anthropic");
    complains(named_vendors, "simulator/x.rs", "const A: &str = \"anthropic-ratelimit-tokens-limit\";", "anthropic");
    is_content_with(
        named_vendors,
        "simulator/messages_wire/x.rs",
        "const A: &str = \"anthropic-ratelimit-tokens-limit\";",
    );
    is_content_with(named_vendors, "protocol/mod.rs", "mod openai; pub use openai::OpenAi;");
    is_content_with(named_vendors, "protocol/openai/x.rs", "const A: &str = \"openai gpt-6\";");
    is_content_with(named_vendors, "pool/x.rs", "//! As groq does.\n/// And claude.\nfn together() {}");
    is_content_with(named_vendors, "pool/x.rs", "#[cfg(test)] mod tests { const A: &str = \"claude\"; }");
}
