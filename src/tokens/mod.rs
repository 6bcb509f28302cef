//! How many tokens a text has: learned from what providers report, and counted where a tokenizer is public.

mod learned;

pub use learned::Learned;
