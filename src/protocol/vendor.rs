//! The vendors: rows of data. A new one that speaks a known protocol is a new row.

use std::sync::Arc;

use super::{Anthropic, Protocol};

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

/// All known vendors. A protocol that is asked for by its own name, without a preset, is the row of that name.
pub const PRESETS: &[Preset] = &[Preset {
    name: "anthropic",
    protocol: || Arc::new(Anthropic::default()),
    base_url: Some("https://api.anthropic.com"),
    auth: Auth::X_API_KEY,
    key_variable: Some("ANTHROPIC_API_KEY"),
    first_model: Some("claude-sonnet-5-5"),
    telemetry_name: "anthropic",
}];

/// The vendor of this name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
