//! Which calls are traced, as the standard variables say it.

use opentelemetry_sdk::trace::Sampler;

use super::Reading;

/// What `OTEL_TRACES_SAMPLER` names; without it what the caller decided, else every call.
pub(super) fn sampler<F: Fn(&str) -> Option<String>>(reading: &mut Reading<F>) -> Sampler {
    let parent_based = |root: Sampler| Sampler::ParentBased(Box::new(root));
    let Some(name) = reading.of("OTEL_TRACES_SAMPLER") else { return parent_based(Sampler::AlwaysOn) };
    match name.as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "traceidratio" => Sampler::TraceIdRatioBased(ratio(reading)),
        "parentbased_traceidratio" => parent_based(Sampler::TraceIdRatioBased(ratio(reading))),
        _ => {
            reading.complain(format!("OTEL_TRACES_SAMPLER {name:?} is not known: parentbased_always_on is used"));
            parent_based(Sampler::AlwaysOn)
        }
    }
}

fn ratio<F: Fn(&str) -> Option<String>>(reading: &mut Reading<F>) -> f64 {
    let told = reading.of("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse::<f64>().ok());
    told.filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
        reading.complain("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1: every call is traced".to_owned());
        1.0
    })
}
