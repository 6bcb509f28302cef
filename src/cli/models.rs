//! `completiond models`: the names that can be asked for, and where they lead.

use clap::Args;
use serde_json::Value;

use super::client::{Connection, ServerArgs};
use super::render::{self, QUIET};
use super::settings::ConfigArgs;
use super::{Exit, json, print, print_json, runtime, tell};
use crate::proto::{ListModelsRequest, Model};

/// How many models are asked for at a time.
const PAGE: i32 = 1000;

/// The flags of `completiond models`.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Print the models as JSON, with the field names of the contract
    #[arg(long)]
    json: bool,
}

/// Lists the models.
pub(super) fn run(config: &ConfigArgs, args: &ModelsArgs) -> Result<(), Exit> {
    let models = runtime()?.block_on(list(config, args))?;
    if args.json {
        let models: Vec<Value> = models.iter().filter_map(|model| json::of("Model", model)).collect();
        return print_json(&models);
    }
    print(&table(&models))
}

async fn list(config: &ConfigArgs, args: &ModelsArgs) -> Result<Vec<Model>, Exit> {
    let mut connection = Connection::open(&args.server, config).await?;
    let mut models = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = connection.request(ListModelsRequest { page_size: PAGE, page_token });
        let page = connection.client.list_models(request).await.map_err(|status| {
            tell(render::failure(&status));
            render::exit(&status)
        })?;
        let page = page.into_inner();
        models.extend(page.models);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(models);
        }
    }
}

fn table(models: &[Model]) -> String {
    let rows: Vec<[String; 4]> = models.iter().map(row).collect();
    let heads = ["MODEL", "LEADS TO", "CONTEXT", "USD PER MILLION"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
        cells.join("  ").trim_end().to_owned()
    };
    let mut text = format!("{QUIET}{}{QUIET:#}\n", line(&heads));
    for (row, model) in rows.iter().zip(models) {
        text.push_str(&line(row));
        if !model.unavailable_reason.is_empty() {
            text.push_str(&format!("  {QUIET}{}{QUIET:#}", model.unavailable_reason));
        }
        text.push('\n');
    }
    text
}

fn row(model: &Model) -> [String; 4] {
    let name = if model.is_default { format!("{} (default)", model.id) } else { model.id.clone() };
    let target = |target: &crate::proto::ModelTarget| format!("{}/{}", target.provider, target.model);
    let targets: Vec<String> = model.targets.iter().map(target).collect();
    // A name that is its own target says nothing new.
    let targets = if targets == [model.id.clone()] { String::new() } else { targets.join(", ") };
    let context = model.context_window.map_or(String::new(), |tokens| tokens.to_string());
    let price = model.price.as_ref().map_or(String::new(), |price| {
        [price.input_pico_usd, price.output_pico_usd].map(|price| price.map_or("?".to_owned(), usd)).join(" + ")
    });
    [name, targets, context, price]
}

/// A price of a token in pico-USD as USD per million tokens, which is a thousandth of a thousandth of it.
fn usd(pico_usd: i64) -> String {
    let text = format!("{}.{:06}", pico_usd / 1_000_000, pico_usd.rem_euclid(1_000_000));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ModelPrice, ModelTarget};

    #[test]
    fn models_stand_in_columns() {
        let target = |provider: &str, model: &str| ModelTarget {
            provider: provider.to_owned(),
            model: model.to_owned(),
            ..ModelTarget::default()
        };
        let models = [
            Model {
                id: "smart".to_owned(),
                targets: vec![target("one", "m"), target("two", "n")],
                is_default: true,
                context_window: Some(200_000),
                price: Some(ModelPrice {
                    input_pico_usd: Some(300_000),
                    output_pico_usd: Some(15_000_000),
                    ..ModelPrice::default()
                }),
                ..Model::default()
            },
            Model {
                id: "one/m".to_owned(),
                targets: vec![target("one", "m")],
                unavailable_reason: "not served here".to_owned(),
                ..Model::default()
            },
        ];
        let plain = anstream::adapter::strip_str(&table(&models)).to_string();
        assert_eq!(
            plain,
            "MODEL            LEADS TO      CONTEXT  USD PER MILLION\n\
             smart (default)  one/m, two/n  200000   0.3 + 15\n\
             one/m  not served here\n"
        );
    }
}
