//! What the file says about telemetry, beside what the standard `OTEL_*` variables say.

use super::problem::Wrong;
use super::reader::Fields;
use crate::telemetry::GenAiNames;

/// How the server speaks of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Which names the metrics of the generative AI conventions have. Default: the latest.
    pub genai_semconv: GenAiNames,
}

/// Reads `telemetry`.
pub(super) fn telemetry(file: &mut Fields<'_>) -> Telemetry {
    let Some(value) = file.take("telemetry") else { return Telemetry::default() };
    let mut fields = value.fields();
    let genai_semconv = fields.read("genai_semconv", GenAiNames::default(), |text| match text {
        "latest" => Ok(GenAiNames::Latest),
        "legacy" => Ok(GenAiNames::Legacy),
        "dup" => Ok(GenAiNames::Both),
        _ => Err(Wrong::new(format!("`{text}` names no conventions"), "`latest`, `legacy` or `dup` for both")),
    });
    fields.finish(&[]);
    Telemetry { genai_semconv }
}
