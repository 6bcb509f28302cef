//! The metrics of the generative AI conventions, by their latest names, by those before, or by both.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::chunks::BOUNDS;
use super::feed::CompletionRecord;
use super::measured::GenAiNames;
use super::names::{Names, Standing, shown};
use super::semconv;
use super::semconv::metrics as names;
use crate::domain::Modality;

/// Tokens, as the conventions want them.
const TOKEN_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All of them.
pub(super) struct GenAi {
    duration: Named<f64>,
    first_chunk: Named<f64>,
    per_chunk: Named<f64>,
    tokens: Option<Tokens>,
    legacy_tokens: Option<Histogram<u64>>,
    /// Pairs of asked and answering model.
    models: Names,
    /// The same where only the asked one is of the configuration.
    answers: Names,
}

/// A histogram with one or two names.
struct Named<T>(Vec<Histogram<T>>);

impl Named<f64> {
    fn new(meter: &Meter, by: GenAiNames, [latest, legacy]: [&'static str; 2], help: &'static str) -> Self {
        let seconds = |name| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(help);
            histogram.with_boundaries(BOUNDS.to_vec()).build()
        };
        let names: &[&'static str] = match by {
            GenAiNames::Latest => &[latest],
            GenAiNames::Legacy => &[legacy],
            GenAiNames::Both => &[latest, legacy],
        };
        Self(names.iter().map(|name| seconds(*name)).collect())
    }

    fn record(&self, seconds: f64, attributes: &[KeyValue]) {
        self.0.iter().for_each(|histogram| histogram.record(seconds, attributes));
    }
}

/// What the latest names have for tokens.
struct Tokens {
    input: Counter<u64>,
    output: Counter<u64>,
    cache_read: Counter<u64>,
    cache_write: Counter<u64>,
    reasoning: Counter<u64>,
    of_prompt: Histogram<u64>,
    of_answer: Histogram<u64>,
}

impl Tokens {
    fn new(meter: &Meter) -> Self {
        let count = |name, help| meter.u64_counter(name).with_unit("{token}").with_description(help).build();
        Self {
            input: count(names::GEN_AI_INPUT_TOKENS, "Tokens of prompts, cached ones included."),
            output: count(names::GEN_AI_OUTPUT_TOKENS, "Tokens of answers, reasoning included."),
            cache_read: count(names::GEN_AI_CACHE_READ_TOKENS, "Of prompts: read from a provider's cache."),
            cache_write: count(names::GEN_AI_CACHE_WRITE_TOKENS, "Of prompts: written to a provider's cache."),
            reasoning: count(names::GEN_AI_REASONING_TOKENS, "Of answers: reasoning."),
            of_prompt: distribution(meter, names::GEN_AI_OPERATION_INPUT, "Tokens of the prompt of a completion."),
            of_answer: distribution(meter, names::GEN_AI_OPERATION_OUTPUT, "Tokens of the answer of a completion."),
        }
    }

    fn count(&self, completion: &CompletionRecord, shared: &[KeyValue]) {
        let tokens = &completion.tokens;
        let parts = [
            (&self.input, tokens.input, true),
            (&self.output, tokens.output, true),
            (&self.cache_read, tokens.cache_read, false),
            (&self.cache_write, tokens.cache_write, false),
            (&self.reasoning, tokens.reasoning, false),
        ];
        for (counter, by_modality, is_always_told) in parts {
            let is_nothing = by_modality.iter().all(|count| *count == 0);
            for (modality, count) in Modality::ALL.into_iter().zip(by_modality) {
                // Nothing counts too, as of no modality.
                let is_told = count > 0 || is_always_told && is_nothing && modality == Modality::Unspecified;
                if is_told {
                    let modality = KeyValue::new(names::GEN_AI_TOKEN_MODALITY, word(modality));
                    counter.add(count, &with(shared, modality));
                }
            }
        }
        self.of_prompt.record(tokens.input.iter().sum(), shared);
        self.of_answer.record(tokens.output.iter().sum(), shared);
    }
}

fn distribution(meter: &Meter, name: &'static str, help: &'static str) -> Histogram<u64> {
    let histogram = meter.u64_histogram(name).with_unit("{token}").with_description(help);
    histogram.with_boundaries(TOKEN_BOUNDS.to_vec()).build()
}

const fn word(modality: Modality) -> &'static str {
    match modality {
        Modality::Unspecified => "unknown",
        Modality::Text => "text",
        Modality::Image => "image",
        Modality::Audio => "audio",
    }
}

fn with(shared: &[KeyValue], more: KeyValue) -> Vec<KeyValue> {
    shared.iter().cloned().chain([more]).collect()
}

impl GenAi {
    pub(super) fn new(meter: &Meter, by: GenAiNames) -> Self {
        let seconds = |names, help| Named::new(meter, by, names, help);
        let is_latest = matches!(by, GenAiNames::Latest | GenAiNames::Both);
        let is_legacy = matches!(by, GenAiNames::Legacy | GenAiNames::Both);
        Self {
            duration: seconds(
                [names::GEN_AI_DURATION, names::LEGACY_DURATION],
                "The duration of completions for which a provider was asked.",
            ),
            first_chunk: seconds(
                [names::GEN_AI_FIRST_CHUNK, names::LEGACY_FIRST_CHUNK],
                "From the beginning of a stream's call to the first event of an answer.",
            ),
            per_chunk: seconds(
                [names::GEN_AI_PER_CHUNK, names::LEGACY_PER_CHUNK],
                "From one event of a stream's answer to the next.",
            ),
            tokens: is_latest.then(|| Tokens::new(meter)),
            legacy_tokens: is_legacy
                .then(|| distribution(meter, names::LEGACY_TOKEN_USAGE, "Tokens of prompts and of answers.")),
            models: Names::default(),
            answers: Names::default(),
        }
    }

    pub(super) fn count(&mut self, completion: &CompletionRecord, is_known: &dyn Fn(&str) -> bool) {
        let shared = self.attributes(completion, is_known);
        let mut of_duration = shared.clone();
        of_duration.extend(completion.error.map(|error| KeyValue::new(semconv::ERROR_TYPE, error)));
        self.duration.record(completion.duration.as_secs_f64(), &of_duration);
        if let Some(first) = completion.first_chunk {
            self.first_chunk.record(first.as_secs_f64(), &shared);
        }
        for (mean, count) in completion.gaps.means() {
            (0..count).for_each(|_| self.per_chunk.record(mean, &shared));
        }
        if let Some(tokens) = &self.tokens {
            tokens.count(completion, &shared);
        }
        if let Some(histogram) = &self.legacy_tokens {
            for (kind, sums) in [("input", completion.tokens.input), ("output", completion.tokens.output)] {
                let kind = KeyValue::new(names::LEGACY_TOKEN_TYPE, kind);
                histogram.record(sums.iter().sum(), &with(&shared, kind));
            }
        }
    }

    /// What all of them have: allow-listed, and the names of models within a bound, both together, since each pair is a
    /// series.
    fn attributes(&mut self, completion: &CompletionRecord, is_known: &dyn Fn(&str) -> bool) -> Vec<KeyValue> {
        let asked = completion.request_model.as_ref().map(|model| model.as_str());
        let answered = completion.response_model.as_ref().map(|model| model.as_str());
        let [asked_is_known, answered_is_known] = [asked, answered].map(|name| name.is_none_or(is_known));
        let (asked, answered) = (asked.map(shown), answered.map(shown));
        let pair = format!("{}\n{}", asked.as_deref().unwrap_or_default(), answered.as_deref().unwrap_or_default());
        let [tells_asked, tells_answered] = match (asked_is_known, answered_is_known) {
            (true, true) => [self.models.admits(&pair, Standing::Known); 2],
            // How a provider calls what has answered is its own word.
            (true, false) => [
                self.models.admits(asked.as_deref().unwrap_or_default(), Standing::Known),
                self.answers.admits(&pair, Standing::Answered),
            ],
            (false, _) if answered.is_some() => [self.models.admits(&pair, Standing::Answered); 2],
            (false, _) => [self.models.admits(&pair, Standing::Claimed); 2],
        };
        let told = |name: &str, is_told| if is_told { name.to_owned() } else { names::OTHER.to_owned() };
        let mut attributes = vec![
            KeyValue::new(semconv::GEN_AI_OPERATION_NAME, "chat"),
            KeyValue::new(semconv::GEN_AI_PROVIDER_NAME, completion.vendor),
        ];
        attributes.extend(asked.map(|name| KeyValue::new(semconv::GEN_AI_REQUEST_MODEL, told(&name, tells_asked))));
        attributes
            .extend(answered.map(|name| KeyValue::new(semconv::GEN_AI_RESPONSE_MODEL, told(&name, tells_answered))));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use opentelemetry::metrics::MeterProvider as _;

    use super::super::chunks::Gaps;
    use super::super::feed::TokenSums;
    use super::super::names::MOST_STRANGE;
    use super::*;
    use crate::domain::{ModelId, ModelName};

    fn completion(asked: &str, answered: &str) -> CompletionRecord {
        CompletionRecord {
            vendor: "v",
            request_model: Some(ModelName::new(asked)),
            response_model: Some(ModelId::new(answered)),
            error: None,
            duration: Duration::ZERO,
            first_chunk: None,
            gaps: Gaps::default(),
            tokens: TokenSums::default(),
        }
    }

    #[test]
    fn names_of_answers_that_a_provider_makes_up_find_no_end_of_series() {
        let meter = opentelemetry_sdk::metrics::SdkMeterProvider::builder().build().meter("test");
        let mut gen_ai = GenAi::new(&meter, GenAiNames::Latest);
        let is_known = |name: &str| ["smart", "m-1"].contains(&name);
        let mut told = |asked: &str, answered: &str| {
            let attributes = gen_ai.attributes(&completion(asked, answered), &is_known);
            [&attributes[2], &attributes[3]].map(|attribute| attribute.value.to_string())
        };
        let series: HashSet<_> = (0..5000).map(|number| told("smart", &format!("made-up-{number}"))).collect();
        assert_eq!(series.len(), MOST_STRANGE + 1);
        assert!(series.iter().all(|[asked, _]| asked == "smart"), "the name that was asked for stays");
        // Nor do they take the places of others.
        assert_eq!(told("smart", "m-1"), ["smart", "m-1"]);
        assert_eq!(told("stranger", "x"), ["stranger", "x"]);
        let long = told(&"s".repeat(500), &"x".repeat(500));
        assert!(long.iter().all(|name| name.len() <= 128), "{long:?}");
    }
}
