//! The vendors: rows of data. A new one that speaks a known protocol is a new row.

use std::sync::Arc;

use super::openai::{
    CacheMark, Dialect, MaxTokens, OpenAi, Passback, Prefill, ReasoningAsk, ReasoningText, SchemaAsk, Seed, ToolIds,
    UserField,
};
use super::{Anthropic, Protocol};
use crate::domain::Effort;

/// A known vendor.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name in the configuration, in provider options and in opaque state.
    pub name: &'static str,
    /// Makes its protocol in its dialect.
    pub protocol: fn() -> Arc<dyn Protocol>,
    /// Its base address, as its own SDK writes it; none: each account has its own, and the configuration must say it.
    pub base_url: Option<&'static str>,
    /// How its key is sent.
    pub auth: Auth,
    /// The environment variable in which its own SDK looks for the key; none: it needs no key.
    pub key_variable: Option<&'static str>,
    /// The model that a first call is sent to where no configuration names one; none: nothing is guessed.
    pub first_model: Option<&'static str>,
    /// The name by which OpenTelemetry's conventions know it (`gen_ai.provider.name`).
    pub telemetry_name: &'static str,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth {
    /// In this header.
    pub header: &'static str,
    /// Behind this text.
    pub prefix: &'static str,
}

impl Auth {
    /// `authorization: Bearer KEY`.
    pub const BEARER: Self = Self { header: "authorization", prefix: "Bearer " };
    /// `api-key: KEY`.
    pub const API_KEY: Self = Self { header: "api-key", prefix: "" };
    /// `x-api-key: KEY`.
    pub const X_API_KEY: Self = Self { header: "x-api-key", prefix: "" };
}

/// The vendor whose batch files `completiond batch` reads beside its own: what only that vendor knows in them is for it.
pub const BATCH_FILES: &str = "openai";

/// All known vendors. A protocol that is asked for by its own name, without a preset, is the row of that name.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "anthropic",
        protocol: || Arc::new(Anthropic::default()),
        base_url: Some("https://api.anthropic.com"),
        auth: Auth::X_API_KEY,
        key_variable: Some("ANTHROPIC_API_KEY"),
        first_model: Some("claude-sonnet-5-5"),
        telemetry_name: "anthropic",
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(Dialect::OPENAI)),
        base_url: Some("https://api.openai.com/v1"),
        key_variable: Some("OPENAI_API_KEY"),
        first_model: Some("gpt-6-sol"),
        ..row("openai")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(AZURE)),
        auth: Auth::API_KEY,
        key_variable: Some("AZURE_OPENAI_API_KEY"),
        telemetry_name: "azure.ai.openai",
        ..row("azure")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(GEMINI)),
        base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        key_variable: Some("GEMINI_API_KEY"),
        first_model: Some("gemini-3.8-flash"),
        telemetry_name: "gcp.gemini",
        ..row("gemini")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(GROQ)),
        base_url: Some("https://api.groq.com/openai/v1"),
        key_variable: Some("GROQ_API_KEY"),
        first_model: Some("openai/gpt-oss-120b"),
        ..row("groq")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(MISTRAL)),
        base_url: Some("https://api.mistral.ai/v1"),
        key_variable: Some("MISTRAL_API_KEY"),
        first_model: Some("mistral-large-4"),
        telemetry_name: "mistral_ai",
        ..row("mistral")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(DEEPSEEK)),
        base_url: Some("https://api.deepseek.com"),
        key_variable: Some("DEEPSEEK_API_KEY"),
        first_model: Some("deepseek-v4-flash"),
        ..row("deepseek")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(XAI)),
        base_url: Some("https://api.x.ai/v1"),
        key_variable: Some("XAI_API_KEY"),
        first_model: Some("grok-4.7"),
        telemetry_name: "x_ai",
        ..row("xai")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(TOGETHER)),
        base_url: Some("https://api.together.xyz/v1"),
        key_variable: Some("TOGETHER_API_KEY"),
        first_model: Some("openai/gpt-oss-120b"),
        ..row("together")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(OPENROUTER)),
        base_url: Some("https://openrouter.ai/api/v1"),
        key_variable: Some("OPENROUTER_API_KEY"),
        first_model: Some("openrouter/auto"),
        ..row("openrouter")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(CEREBRAS)),
        base_url: Some("https://api.cerebras.ai/v1"),
        key_variable: Some("CEREBRAS_API_KEY"),
        first_model: Some("gpt-oss-120b"),
        ..row("cerebras")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(FIREWORKS)),
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        key_variable: Some("FIREWORKS_API_KEY"),
        ..row("fireworks")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(MOONSHOT)),
        base_url: Some("https://api.moonshot.ai/v1"),
        key_variable: Some("MOONSHOT_API_KEY"),
        first_model: Some("kimi-k3"),
        telemetry_name: "moonshot_ai",
        ..row("moonshot")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(ZAI)),
        base_url: Some("https://api.z.ai/api/paas/v4"),
        key_variable: Some("ZAI_API_KEY"),
        first_model: Some("glm-5.3"),
        ..row("zai")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(PERPLEXITY)),
        base_url: Some("https://api.perplexity.ai"),
        key_variable: Some("PERPLEXITY_API_KEY"),
        first_model: Some("sonar"),
        ..row("perplexity")
    },
    Preset { protocol: || Arc::new(OpenAi::new(OLLAMA)), base_url: Some("http://localhost:11434/v1"), ..row("ollama") },
    Preset { protocol: || Arc::new(OpenAi::new(VLLM)), base_url: Some("http://localhost:8000/v1"), ..row("vllm") },
    Preset { protocol: || Arc::new(OpenAi::new(SGLANG)), base_url: Some("http://localhost:30000/v1"), ..row("sglang") },
    Preset {
        protocol: || Arc::new(OpenAi::new(LLAMACPP)),
        base_url: Some("http://localhost:8080/v1"),
        ..row("llamacpp")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(LMSTUDIO)),
        base_url: Some("http://localhost:1234/v1"),
        ..row("lmstudio")
    },
    Preset {
        protocol: || Arc::new(OpenAi::new(LITELLM)),
        base_url: Some("http://localhost:4000/v1"),
        key_variable: Some("LITELLM_API_KEY"),
        ..row("litellm")
    },
    Preset { protocol: || Arc::new(OpenAi::new(Dialect::COMPATIBLE)), ..row("openai-compatible") },
    Preset {
        protocol: || Arc::new(OpenAi::new(Dialect::OPENAI)),
        base_url: Some("simulator://openai"),
        first_model: Some("simulator"),
        ..row("simulator")
    },
];

/// The vendor of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// A row of its own name, whose key is sent as most do and which speaks as any compatible server does.
const fn row(name: &'static str) -> Preset {
    Preset {
        name,
        protocol: || Arc::new(OpenAi::new(Dialect::COMPATIBLE)),
        base_url: None,
        auth: Auth::BEARER,
        key_variable: None,
        first_model: None,
        telemetry_name: name,
    }
}

// How the vendors that speak Chat Completions depart from it, as their own references and SDKs have it.

const AZURE: Dialect =
    Dialect { user: UserField::User, cache: CacheMark::Nothing, cache_key: false, ..Dialect::OPENAI };

const GEMINI: Dialect = Dialect {
    efforts: &[Effort::None, Effort::Minimal, Effort::Low, Effort::Medium, Effort::High],
    reasoning_text: ReasoningText::Never,
    unsupported: &["top_k", "top_logprobs", "parallel_tool_calls", "service_tier", "user"],
    text_parts: true,
    image_uris: false,
    audio: true,
    max_stops: 5,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const GROQ: Dialect = Dialect {
    max_tokens: MaxTokens::Completion,
    efforts: &[Effort::None, Effort::Low, Effort::Medium, Effort::High],
    passback: Passback::Reasoning,
    unsupported: &["top_k", "top_logprobs", "frequency_penalty", "presence_penalty"],
    text_parts: true,
    ..Dialect::COMPATIBLE
};

/// Fields that it does not know are an error there, and so is any other form of an id.
const MISTRAL: Dialect = Dialect {
    seed: Seed::RandomSeed,
    efforts: &[Effort::None, Effort::High],
    passback: Passback::Parts,
    stream_usage: false,
    required_word: "any",
    unsupported: &["user", "top_logprobs"],
    text_parts: true,
    cache_key: true,
    prefill: Prefill::Prefix,
    tool_ids: ToolIds::Exactly(9),
    think_tags: false,
    ..Dialect::COMPATIBLE
};

/// The texts must be strings, and a conversation with tools must carry its reasoning. The server itself maps efforts.
const DEEPSEEK: Dialect = Dialect {
    reasoning: ReasoningAsk::Switch,
    efforts: Dialect::OPENAI.efforts,
    passback: Passback::ReasoningContent,
    unsupported: &["top_k", "seed", "service_tier", "user", "parallel_tool_calls"],
    json_schema: SchemaAsk::Nothing,
    max_stops: 16,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const XAI: Dialect = Dialect {
    max_tokens: MaxTokens::Completion,
    passback: Passback::ReasoningContent,
    unsupported: &["top_k", "service_tier"],
    text_parts: true,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const TOGETHER: Dialect = Dialect {
    passback: Passback::Reasoning,
    unsupported: &["top_logprobs", "service_tier", "user"],
    ..Dialect::COMPATIBLE
};

const OPENROUTER: Dialect = Dialect {
    reasoning: ReasoningAsk::Object,
    efforts: Dialect::OPENAI.efforts,
    reasoning_text: ReasoningText::Choice,
    passback: Passback::Details,
    unsupported: &[],
    text_parts: true,
    documents: true,
    audio: true,
    cache: CacheMark::Control,
    prefill: Prefill::Bare,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const CEREBRAS: Dialect = Dialect {
    max_tokens: MaxTokens::Completion,
    passback: Passback::Reasoning,
    unsupported: &["top_k", "frequency_penalty", "presence_penalty"],
    ..Dialect::COMPATIBLE
};

const FIREWORKS: Dialect =
    Dialect { passback: Passback::ReasoningContent, unsupported: &["service_tier"], ..Dialect::COMPATIBLE };

const MOONSHOT: Dialect = Dialect {
    max_tokens: MaxTokens::Completion,
    reasoning: ReasoningAsk::Switch,
    efforts: &[Effort::None, Effort::Low, Effort::High, Effort::Max],
    passback: Passback::ReasoningContent,
    unsupported: &["top_k", "seed", "top_logprobs", "service_tier", "user", "parallel_tool_calls"],
    prefill: Prefill::Partial,
    max_stops: 5,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const ZAI: Dialect = Dialect {
    reasoning: ReasoningAsk::Switch,
    efforts: &[Effort::None],
    passback: Passback::ReasoningContent,
    unsupported: &[
        "top_k",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "top_logprobs",
        "tool_choice",
        "parallel_tool_calls",
        "service_tier",
        "user",
    ],
    json_schema: SchemaAsk::Nothing,
    max_stops: 1,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

const PERPLEXITY: Dialect = Dialect {
    stream_usage: false,
    unsupported: &["seed", "top_logprobs", "tool_choice", "parallel_tool_calls", "service_tier", "user"],
    ..Dialect::COMPATIBLE
};

const OLLAMA: Dialect = Dialect {
    efforts: &[Effort::None, Effort::Low, Effort::Medium, Effort::High],
    passback: Passback::Reasoning,
    unsupported: &["top_k", "top_logprobs", "tool_choice", "parallel_tool_calls", "service_tier", "user"],
    image_uris: false,
    max_stops: 16,
    ..Dialect::COMPATIBLE
};

const VLLM: Dialect = Dialect {
    passback: Passback::Reasoning,
    unsupported: &["service_tier"],
    text_parts: true,
    audio: true,
    prefill: Prefill::Asked,
    max_stops: 16,
    ..Dialect::COMPATIBLE
};

const SGLANG: Dialect = Dialect { passback: Passback::ReasoningContent, ..VLLM };

const LLAMACPP: Dialect = Dialect {
    reasoning: ReasoningAsk::Nothing,
    efforts: &[],
    passback: Passback::ReasoningContent,
    unsupported: &["service_tier", "user"],
    text_parts: true,
    json_schema: SchemaAsk::Bare,
    prefill: Prefill::Bare,
    max_stops: 16,
    ..Dialect::COMPATIBLE
};

const LMSTUDIO: Dialect = Dialect {
    unsupported: &["top_logprobs", "service_tier", "user"],
    image_uris: false,
    max_stops: 16,
    ..Dialect::COMPATIBLE
};

const LITELLM: Dialect = Dialect {
    efforts: Dialect::OPENAI.efforts,
    passback: Passback::ReasoningContent,
    unsupported: &[],
    text_parts: true,
    documents: true,
    audio: true,
    cache: CacheMark::Control,
    prefill: Prefill::Bare,
    think_tags: false,
    ..Dialect::COMPATIBLE
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_has_a_name_of_its_own_and_speaks() {
        let names: std::collections::BTreeSet<_> = PRESETS.iter().map(|preset| preset.name).collect();
        assert_eq!(names.len(), PRESETS.len());
        for preset in PRESETS {
            assert!(!(preset.protocol)().name().is_empty() && !preset.telemetry_name.is_empty(), "{}", preset.name);
            assert!(preset.base_url.is_none_or(|url| url.contains("://") && !url.ends_with('/')), "{}", preset.name);
        }
    }

    #[test]
    fn each_protocol_is_a_row_of_its_own_name() {
        for row in PRESETS {
            let name = (row.protocol)().name();
            assert!(preset(name).is_some_and(|own| (own.protocol)().name() == name), "{name}");
        }
    }
}
