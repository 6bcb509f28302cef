//! Looks for a model server on this machine: one of the vendors that need no key and have an address here.

use std::time::Duration;

use http::Uri;
use serde::Deserialize;

use crate::config::{Bare, Config};
use crate::count::Count;
use crate::domain::ModelId;
use crate::protocol::vendor::{PRESETS, Preset};
use crate::transport::{Direct, Trust, fetch};

/// How long each of them may take to answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// The list of models, as all of these vendors give it.
#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

/// The configuration with the first vendor that answers here and has a model.
pub(super) async fn find(bare: Bare) -> Option<Config> {
    let network = Direct::new(Trust::default(), Count::default());
    for preset in PRESETS.iter().filter(|preset| preset.key_variable.is_none()) {
        let Some(base_url) = address_here(preset) else { continue };
        let models = models(&network, &base_url).await.unwrap_or_default();
        if !models.is_empty() {
            return Some(bare.with_local(preset, base_url, &models));
        }
    }
    None
}

fn address_here(preset: &Preset) -> Option<Uri> {
    let base_url: Uri = preset.base_url?.parse().ok()?;
    let is_here = matches!(base_url.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    (is_here && base_url.scheme_str() == Some("http")).then_some(base_url)
}

async fn models(network: &Direct, base_url: &Uri) -> Option<Vec<ModelId>> {
    let address = format!("{}/models", base_url.to_string().trim_end_matches('/'));
    let body = fetch(network, address.parse().ok()?, PATIENCE).await?;
    let list: List = serde_json::from_slice(&body).ok()?;
    Some(list.data.iter().map(|entry| ModelId::new(&entry.id)).collect())
}
