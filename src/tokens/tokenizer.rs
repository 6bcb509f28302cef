//! The tokenizers that are public. Each is unpacked once, when it is first needed, and shared.

use super::Encoding;

impl Encoding {
    /// Its public name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
        }
    }

    /// How many tokens `text` has, in time that grows with its length and no faster, whatever it is made of. Marks such
    /// as the end of a text are text here, as they are in what users write.
    pub fn count(self, text: &str) -> usize {
        match self {
            Self::O200kBase => bpe::o200k_base(),
            Self::Cl100kBase => bpe::cl100k_base(),
        }
        .count(text)
    }
}
