//! How many tokens a text has: learned from what providers report, and counted where a tokenizer is public.

mod learned;
mod pieces;
mod table;
mod tokenizer;

pub use learned::Learned;
pub use table::{Encoding, Rule, rule};

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use crate::domain::{CountSource, Envelope, Request, TokenCount};
use pieces::Measure;

/// How many prompts are counted at a time: a long one keeps a core busy.
const AT_ONCE: usize = 2;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// Counts the tokens of `request` away from the workers, by `rule` where there is one, else by what `learned` knows about
/// bytes. `envelope` is what the protocol says about the rest of the prompt.
pub async fn count(
    request: &Arc<Request>,
    rule: Option<Rule>,
    learned: &Learned,
    envelope: Option<Envelope>,
) -> TokenCount {
    match rule {
        Some(rule) => by_rule(request, rule, envelope).await,
        None => None,
    }
    .unwrap_or_else(|| counted(request, &Measure::Bytes(learned), envelope))
}

/// None only where the task was lost.
async fn by_rule(request: &Arc<Request>, rule: Rule, envelope: Option<Envelope>) -> Option<TokenCount> {
    let permit = Arc::clone(&PLACES).acquire_owned().await.ok()?;
    let request = Arc::clone(request);
    let counting = move || {
        // Whoever asked may be gone: the place is taken until the work is done.
        let _permit = permit;
        counted(&request, &Measure::Tokenizer(rule), envelope)
    };
    tokio::task::spawn_blocking(counting).await.ok()
}

fn counted(request: &Request, measure: &Measure<'_>, envelope: Option<Envelope>) -> TokenCount {
    let parts = pieces::parts(request, measure, envelope);
    let is_exact = measure.is_exact() && envelope.is_some_and(|envelope| envelope.is_whole);
    let source = if is_exact { CountSource::Tokenizer } else { CountSource::Estimated };
    TokenCount { input: parts.sum(), source, parts: Some(parts), tokenizer: measure.tokenizer() }
}

#[cfg(test)]
mod tests;
