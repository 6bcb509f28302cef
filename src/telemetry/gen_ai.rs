//! The metrics of the generative AI conventions, by their latest names, by those before, or by both.

use foldhash::HashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter};

use super::chunks::BOUNDS;
use super::feed::{CompletionKind, CompletionRecord, TokenSums};
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

/// The kinds of completions whose series are at hand. Beyond it all are looked up again.
const MOST_AT_HAND: usize = 1024;

/// All of them.
pub(super) struct GenAi {
    instruments: Instruments,
    /// Pairs of asked and answering model.
    models: Names,
    /// The same where only the asked one is of the configuration.
    answers: Names,
    at_hand: HashMap<CompletionKind, Series>,
}

struct Instruments {
    duration: Named<f64>,
    first_chunk: Named<f64>,
    per_chunk: Named<f64>,
    tokens: Option<Tokens>,
    legacy_tokens: Option<Named<u64>>,
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
}

/// What the latest names have for tokens.
struct Tokens {
    /// By what they are, in the order of [`parts`].
    counters: [Counter<u64>; 5],
    of_prompt: Named<u64>,
    of_answer: Named<u64>,
}

impl Tokens {
    fn new(meter: &Meter) -> Self {
        let count = |name, help| meter.u64_counter(name).with_unit("{token}").with_description(help).build();
        Self {
            counters: [
                count(names::GEN_AI_INPUT_TOKENS, "Tokens of prompts, cached ones included."),
                count(names::GEN_AI_OUTPUT_TOKENS, "Tokens of answers, reasoning included."),
                count(names::GEN_AI_CACHE_READ_TOKENS, "Of prompts: read from a provider's cache."),
                count(names::GEN_AI_CACHE_WRITE_TOKENS, "Of prompts: written to a provider's cache."),
                count(names::GEN_AI_REASONING_TOKENS, "Of answers: reasoning."),
            ],
            of_prompt: distribution(meter, names::GEN_AI_OPERATION_INPUT, "Tokens of the prompt of a completion."),
            of_answer: distribution(meter, names::GEN_AI_OPERATION_OUTPUT, "Tokens of the answer of a completion."),
        }
    }
}

/// The tokens of a completion by what they are, and whether nothing is told as well.
const fn parts(tokens: &TokenSums) -> [(&[u64; Modality::ALL.len()], bool); 5] {
    [
        (&tokens.input, true),
        (&tokens.output, true),
        (&tokens.cache_read, false),
        (&tokens.cache_write, false),
        (&tokens.reasoning, false),
    ]
}

/// The series of one kind of completions. Each is looked up when it is needed first, and then at hand.
#[derive(Default)]
struct Series {
    /// What all of them have.
    shared: Vec<KeyValue>,
    duration: Found<f64>,
    first_chunk: Found<f64>,
    per_chunk: Found<f64>,
    tokens: [[Option<BoundCounter<u64>>; Modality::ALL.len()]; 5],
    of_prompt: Found<u64>,
    of_answer: Found<u64>,
    legacy_tokens: [Found<u64>; 2],
}

/// A series of a histogram with one or two names; none: it was not needed yet.
struct Found<T>(Option<Vec<BoundHistogram<T>>>);

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy> Found<T> {
    fn record(&mut self, of: &Named<T>, shared: &[KeyValue], more: Option<KeyValue>, value: T) {
        self.record_times(of, shared, more, (value, 1));
    }

    fn record_times(&mut self, of: &Named<T>, shared: &[KeyValue], more: Option<KeyValue>, (value, times): (T, u32)) {
        let found = self.0.get_or_insert_with(|| {
            let attributes = with(shared, more);
            of.0.iter().map(|histogram| histogram.bind(&attributes)).collect()
        });
        for histogram in found {
            (0..times).for_each(|_| histogram.record(value));
        }
    }
}

impl Series {
    fn count(&mut self, on: &Instruments, completion: &CompletionRecord) {
        let error = completion.kind.error.map(|error| KeyValue::new(semconv::ERROR_TYPE, error));
        self.duration.record(&on.duration, &self.shared, error, completion.duration.as_secs_f64());
        if let Some(first) = completion.first_chunk {
            self.first_chunk.record(&on.first_chunk, &self.shared, None, first.as_secs_f64());
        }
        for mean in completion.gaps.means() {
            self.per_chunk.record_times(&on.per_chunk, &self.shared, None, mean);
        }
        let tokens = &completion.tokens;
        if let Some(on) = &on.tokens {
            self.count_tokens(on, tokens);
        }
        if let Some(histogram) = &on.legacy_tokens {
            let kinds = [("input", tokens.input), ("output", tokens.output)];
            for (found, (kind, sums)) in self.legacy_tokens.iter_mut().zip(kinds) {
                let kind = KeyValue::new(names::LEGACY_TOKEN_TYPE, kind);
                found.record(histogram, &self.shared, Some(kind), sums.iter().sum());
            }
        }
    }

    fn count_tokens(&mut self, on: &Tokens, tokens: &TokenSums) {
        let shared = &self.shared;
        let counters = on.counters.iter().zip(&mut self.tokens).zip(parts(tokens));
        for ((counter, found), (by_modality, is_always_told)) in counters {
            let is_nothing = by_modality.iter().all(|count| *count == 0);
            for ((modality, count), found) in Modality::ALL.into_iter().zip(by_modality).zip(found) {
                // Nothing counts too, as of no modality.
                let is_told = *count > 0 || is_always_told && is_nothing && modality == Modality::Unspecified;
                if is_told {
                    let modality = || KeyValue::new(names::GEN_AI_TOKEN_MODALITY, word(modality));
                    found.get_or_insert_with(|| counter.bind(&with(shared, Some(modality())))).add(*count);
                }
            }
        }
        self.of_prompt.record(&on.of_prompt, shared, None, tokens.input.iter().sum());
        self.of_answer.record(&on.of_answer, shared, None, tokens.output.iter().sum());
    }
}

fn distribution(meter: &Meter, name: &'static str, help: &'static str) -> Named<u64> {
    let histogram = meter.u64_histogram(name).with_unit("{token}").with_description(help);
    Named(vec![histogram.with_boundaries(TOKEN_BOUNDS.to_vec()).build()])
}

const fn word(modality: Modality) -> &'static str {
    match modality {
        Modality::Unspecified => "unknown",
        Modality::Text => "text",
        Modality::Image => "image",
        Modality::Audio => "audio",
    }
}

fn with(shared: &[KeyValue], more: Option<KeyValue>) -> Vec<KeyValue> {
    shared.iter().cloned().chain(more).collect()
}

impl GenAi {
    pub(super) fn new(meter: &Meter, by: GenAiNames) -> Self {
        let seconds = |names, help| Named::new(meter, by, names, help);
        let is_latest = matches!(by, GenAiNames::Latest | GenAiNames::Both);
        let is_legacy = matches!(by, GenAiNames::Legacy | GenAiNames::Both);
        let instruments = Instruments {
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
        };
        Self { instruments, models: Names::default(), answers: Names::default(), at_hand: HashMap::default() }
    }

    pub(super) fn count(&mut self, completion: &CompletionRecord, is_known: &dyn Fn(&str) -> bool) {
        if let Some(series) = self.at_hand.get_mut(&completion.kind) {
            series.count(&self.instruments, completion);
            return;
        }
        let Told { attributes, is_final } = self.attributes(&completion.kind, is_known);
        let mut series = Series { shared: attributes, ..Series::default() };
        series.count(&self.instruments, completion);
        // Who is not told apart now may be later.
        if is_final {
            if self.at_hand.len() >= MOST_AT_HAND {
                self.at_hand.clear();
            }
            self.at_hand.insert(completion.kind.clone(), series);
        }
    }

    /// What all of them have: allow-listed, and the names of models within a bound, both together, since each pair is a
    /// series.
    fn attributes(&mut self, kind: &CompletionKind, is_known: &dyn Fn(&str) -> bool) -> Told {
        let asked = kind.request_model.as_ref().map(|model| model.as_str());
        let answered = kind.response_model.as_ref().map(|model| model.as_str());
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
            KeyValue::new(semconv::GEN_AI_PROVIDER_NAME, kind.vendor),
        ];
        attributes.extend(asked.map(|name| KeyValue::new(semconv::GEN_AI_REQUEST_MODEL, told(&name, tells_asked))));
        attributes
            .extend(answered.map(|name| KeyValue::new(semconv::GEN_AI_RESPONSE_MODEL, told(&name, tells_answered))));
        Told { attributes, is_final: tells_asked && tells_answered }
    }
}

/// By what names a kind of completions is told.
struct Told {
    attributes: Vec<KeyValue>,
    /// It will always be told by these.
    is_final: bool,
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use std::collections::HashSet;

    use super::super::names::MOST_STRANGE;
    use super::*;
    use crate::domain::{ModelId, ModelName};

    fn kind(asked: &str, answered: &str) -> CompletionKind {
        CompletionKind {
            vendor: "v",
            request_model: Some(ModelName::new(asked)),
            response_model: Some(ModelId::new(answered)),
            error: None,
        }
    }

    #[test]
    fn names_of_answers_that_a_provider_makes_up_find_no_end_of_series() {
        let meter = opentelemetry_sdk::metrics::SdkMeterProvider::builder().build().meter("test");
        let mut gen_ai = GenAi::new(&meter, GenAiNames::Latest);
        let is_known = |name: &str| ["smart", "m-1"].contains(&name);
        let mut told = |asked: &str, answered: &str| {
            let attributes = gen_ai.attributes(&kind(asked, answered), &is_known).attributes;
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
