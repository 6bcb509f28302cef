//! How many tokens a request has, and how that is known.

use super::Tokens;

/// The tokens of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// All of them.
    pub input: Tokens,
    /// How they were counted.
    pub source: CountSource,
    /// Where they are; none: the provider has told only the sum.
    pub parts: Option<TokenParts>,
    /// The tokenizer that counted; none did where this is none.
    pub tokenizer: Option<&'static str>,
}

/// How tokens were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountSource {
    /// By the provider.
    Provider,
    /// By the model's own tokenizer and published rules for what is around the text.
    Tokenizer,
    /// By an estimate, at least in part.
    Estimated,
}

/// Where the tokens of a prompt are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenParts {
    /// The system prompt.
    pub system: Tokens,
    /// The tools and the schema of the answer.
    pub tools: Tokens,
    /// The text of the conversation.
    pub messages: Tokens,
    /// Images, documents and sound.
    pub media: Tokens,
    /// What the provider puts around them.
    pub overhead: Tokens,
}

impl TokenParts {
    /// All of them.
    pub fn sum(&self) -> Tokens {
        let Self { system, tools, messages, media, overhead } = *self;
        [system, tools, messages, media, overhead].into_iter().sum()
    }
}

/// What a provider puts around the text of a prompt, by its published rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Its tokens.
    pub tokens: Tokens,
    /// The rule covers all of this request: texts and this make up the whole prompt.
    pub is_whole: bool,
}
