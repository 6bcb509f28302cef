//! What the work of providers costs: a table of prices, and the one function from what was used to what it cost.
//!
//! A price holds for one model of one vendor and nowhere else. What has no price here has no cost.

mod difference;
mod file;
mod foreign;
mod hours;
mod rates;
mod tariff;

pub use difference::{Change, Difference, Field, per_million};
pub use file::{CallPrice, File, FileError, LongContext, Price, Row, VendorRow};
pub use hours::{Hours, OffPeak, Window};
pub use rates::{Factor, Lifetime, Rates};
pub use tariff::Tariff;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::domain::{ModelId, PicoUsd, PriceVersion, Vendor};

/// The built-in table as it stands in its file.
pub const TABLE: &str = include_str!("../../data/prices.json");

impl Entry {
    /// What its tokens cost where nothing else applies.
    pub fn standard(&self) -> &Rates {
        &self.price.standard
    }
}

/// All prices that are known: the built-in table, and what a file puts over it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Prices {
    vendors: BTreeMap<String, Offer>,
}

/// What is known about one vendor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offer {
    default_lifetime: Option<Lifetime>,
    tools: BTreeMap<String, CallPrice>,
    models: BTreeMap<String, Arc<Entry>>,
    /// Ids and aliases, to the ids.
    names: BTreeMap<String, String>,
}

/// One model's price, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The row as it stands in its file.
    pub row: Arc<Row>,
    /// The version of the table that it stands in.
    pub version: PriceVersion,
    /// What is charged: the row's price, in which the default lifetime of the vendor's cache is filled in.
    price: Arc<Price>,
}

impl std::fmt::Debug for Prices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prices").field("models", &self.entries().count()).finish_non_exhaustive()
    }
}

impl Prices {
    /// The table that is part of the program.
    pub fn built_in() -> Arc<Self> {
        // The table is part of the program; that it reads without an error is a test, not a question at run time.
        static BUILT_IN: LazyLock<Arc<Prices>> =
            LazyLock::new(|| Arc::new(File::read(TABLE).map(|file| Prices::default().with(&file)).unwrap_or_default()));
        Arc::clone(&BUILT_IN)
    }

    /// These prices with those of `file` over them: a model that stands in both has the file's price alone, under all
    /// of its names.
    #[must_use]
    pub fn with(&self, file: &File) -> Self {
        let mut merged = self.clone();
        for row in &file.vendors {
            let offer = merged.vendors.entry(row.id.clone()).or_default();
            offer.default_lifetime = row.cache_write_default.or(offer.default_lifetime);
            offer.tools.extend(row.tools.iter().map(|(tool, price)| (tool.clone(), *price)));
        }
        let version = PriceVersion::new(&file.version);
        for row in &file.models {
            let offer = merged.vendors.entry(row.vendor.clone()).or_default();
            let price = with_lifetime(&row.price, offer.default_lifetime);
            let entry = Entry { row: Arc::clone(row), version: version.clone(), price };
            for name in row.names() {
                offer.names.insert(name.to_owned(), row.id.clone());
            }
            offer.models.insert(row.id.clone(), Arc::new(entry));
        }
        merged
    }

    /// What the work of `model` at `vendor` is charged by; none: its price is not known.
    pub fn tariff(self: &Arc<Self>, vendor: &Vendor, model: &ModelId) -> Option<Tariff> {
        Some(Tariff::of(self.entry(vendor, model)?, vendor.clone(), Arc::clone(self)))
    }

    /// All models' prices, by vendor and id.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.vendors.values().flat_map(|offer| offer.models.values().map(AsRef::as_ref))
    }

    /// The price of `model` at `vendor`, by its id or one of its aliases.
    pub fn entry(&self, vendor: &Vendor, model: &ModelId) -> Option<&Entry> {
        let offer = self.vendors.get(vendor.as_str())?;
        offer.models.get(offer.names.get(model.as_str())?).map(AsRef::as_ref)
    }

    /// What a call of a vendor's own tool costs.
    fn tool(&self, vendor: &Vendor, tool: &str) -> Option<PicoUsd> {
        self.vendors.get(vendor.as_str())?.tools.get(tool)?.get()
    }
}

fn with_lifetime(price: &Arc<Price>, lifetime: Option<Lifetime>) -> Arc<Price> {
    if lifetime.is_none() {
        return Arc::clone(price);
    }
    let mut price = Price::clone(price);
    let fill = |rates: &mut Rates| *rates = std::mem::take(rates).with_default_lifetime(lifetime);
    fill(&mut price.standard);
    price.long_context.iter_mut().for_each(|step| fill(&mut step.price));
    price.tiers.values_mut().for_each(fill);
    if let Some(quiet) = &mut price.off_peak {
        fill(&mut quiet.price);
    }
    Arc::new(price)
}
