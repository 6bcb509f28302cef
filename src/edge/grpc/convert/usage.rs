//! What was used and what it cost, as it goes out.

use std::time::Duration;

use crate::domain::{Cost, CostSource, Modality, Usage, UsageItem, UsageKind, UsageSource};
use crate::proto;

/// The longest duration of protobuf, in seconds: ten thousand years.
const MAX_SECONDS: i64 = 315_576_000_000;

/// What an attempt used, with its totals.
pub(crate) fn usage(usage: Usage) -> proto::Usage {
    let (input, output) = (usage.input(), usage.output());
    proto::Usage {
        input_tokens: input.as_i32(),
        output_tokens: output.as_i32(),
        total_tokens: (input + output).as_i32(),
        cache_read_tokens: usage.cache_read().as_i32(),
        cache_write_tokens: usage.cache_write().as_i32(),
        reasoning_tokens: usage.reasoning().as_i32(),
        source: source(usage.source).into(),
        items: usage.items.into_iter().map(item).collect(),
    }
}

/// What a call cost.
pub(crate) fn cost(cost: Cost) -> proto::Cost {
    let (source, price_version) = match cost.source {
        CostSource::Table(version) => (proto::CostSource::Table, version.as_str().to_owned()),
        CostSource::Config => (proto::CostSource::Config, String::new()),
        CostSource::Provider => (proto::CostSource::Provider, String::new()),
    };
    proto::Cost {
        pico_usd: cost.amount.get(),
        usd: cost.amount.to_string(),
        source: source.into(),
        price_version,
        estimated: cost.estimated,
    }
}

/// A duration; one beyond protobuf's longest is that.
pub(crate) fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(MAX_SECONDS).min(MAX_SECONDS);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) }
}

fn source(source: UsageSource) -> proto::UsageSource {
    match source {
        UsageSource::Provider => proto::UsageSource::Provider,
        UsageSource::Partial => proto::UsageSource::Partial,
        UsageSource::Estimated => proto::UsageSource::Estimated,
        UsageSource::None => proto::UsageSource::None,
    }
}

fn item(item: UsageItem) -> proto::UsageItem {
    let (kind, tool) = match item.kind {
        UsageKind::Input => (proto::UsageKind::Input, String::new()),
        UsageKind::CacheRead => (proto::UsageKind::CacheRead, String::new()),
        UsageKind::CacheWrite => (proto::UsageKind::CacheWrite, String::new()),
        UsageKind::Output => (proto::UsageKind::Output, String::new()),
        UsageKind::Reasoning => (proto::UsageKind::Reasoning, String::new()),
        UsageKind::RejectedPrediction => (proto::UsageKind::RejectedPrediction, String::new()),
        UsageKind::ServerToolCall { tool } => (proto::UsageKind::ServerToolCall, tool),
    };
    let modality = match item.modality {
        Modality::Unspecified => proto::Modality::Unspecified,
        Modality::Text => proto::Modality::Text,
        Modality::Image => proto::Modality::Image,
        Modality::Audio => proto::Modality::Audio,
    };
    proto::UsageItem {
        kind: kind.into(),
        modality: modality.into(),
        cache_ttl: item.cache_ttl.map(duration),
        model: item.model.map_or_else(String::new, |model| model.to_string()),
        tool,
        quantity: item.quantity.into(),
        estimated: item.estimated,
    }
}
