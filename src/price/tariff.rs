//! The one function from what was used to what it cost.

use std::sync::Arc;
use std::time::SystemTime;

use super::rates::Factor;
use super::{Entry, Price, Prices, Rates};
use crate::domain::{
    Cost, CostSource, ListedPrice, Modality, ModelId, PicoUsd, Terms, Tokens, Usage, UsageItem, UsageKind, Vendor,
};

/// What the work of one endpoint is charged by.
#[derive(Clone, Debug)]
pub struct Tariff {
    price: Arc<Price>,
    source: CostSource,
    vendor: Vendor,
    /// Where work that is billed for another model of the vendor has its price.
    table: Arc<Prices>,
}

impl Tariff {
    pub(super) fn of(entry: &Entry, vendor: Vendor, table: Arc<Prices>) -> Self {
        let (price, source) = (Arc::clone(&entry.price), CostSource::Table(entry.version.clone()));
        Self { price, source, vendor, table }
    }

    /// The price that the configuration sets for a model, in place of the table's. It holds for each token, whatever
    /// the terms; calls of tools cost what the table says.
    pub fn set(price: Price, vendor: Vendor, table: Arc<Prices>) -> Self {
        let standard = price.standard.with_cache_as_input();
        let price = Arc::new(Price { standard, tools: price.tools, ..Price::default() });
        Self { price, source: CostSource::Config, vendor, table }
    }

    /// What `usage` cost that was served on these terms at that time; none: something in it has no known price, or
    /// nothing is known about what was used.
    pub fn cost(&self, usage: &Usage, terms: &Terms, at: SystemTime) -> Option<Cost> {
        if usage.is_unknown() {
            return None;
        }
        let mut sum = 0_i64;
        for item in &usage.items {
            sum = sum.checked_add(self.item(item, usage, terms, at)?)?;
        }
        let estimated = usage.items.iter().any(|item| item.estimated);
        Some(Cost { amount: PicoUsd::new(sum), source: self.source.clone(), estimated })
    }

    /// What one item cost. The price of one token or call is rounded, its multiple is exact: so parts add up to the
    /// whole, however it is divided.
    fn item(&self, item: &UsageItem, usage: &Usage, terms: &Terms, at: SystemTime) -> Option<i64> {
        if item.quantity == 0 {
            return Some(0);
        }
        let other = match &item.model {
            Some(model) => Some(self.table.entry(&self.vendor, model)?),
            None => None,
        };
        let price = other.map_or(&self.price, |entry| &entry.price);
        if let UsageKind::ServerToolCall { tool } = &item.kind {
            let call = price.tools.get(tool).copied().and_then(super::CallPrice::get);
            return times(call.or_else(|| self.table.tool(&self.vendor, tool))?, item.quantity);
        }
        let applied = match (&self.source, other) {
            (CostSource::Config, None) => Applied::plain(&price.standard),
            _ => Applied::of(price, prompt(usage, item.model.as_ref()), terms, Some(at))?,
        };
        times(applied.rate(|rates| rate(rates, item))?, item.quantity)
    }

    /// The most that so long a prompt and so long an answer can cost in the standard service tier; none: not known.
    /// For text and images; see [`Tariff::at_most_on`].
    pub fn at_most(&self, input: Tokens, output: Tokens) -> Option<PicoUsd> {
        self.at_most_on(input, output, &Terms::default(), Modality::Unspecified)
    }

    /// The most that so long a prompt and so long an answer can cost on the terms that are asked for, by the dearest
    /// prices that may apply: all of the prompt is written to the cache for its longest time, all of the answer is
    /// reasoning, the region has its surcharge, no hour is quiet. With [`Modality::Audio`] there may be
    /// sound in either. None: not known. Calls of the provider's own tools have no bound, and are not in it.
    pub fn at_most_on(&self, input: Tokens, output: Tokens, terms: &Terms, modality: Modality) -> Option<PicoUsd> {
        let sound = modality == Modality::Audio;
        let all: Vec<Applied<'_>> = if self.source == CostSource::Config {
            vec![Applied::plain(&self.price.standard)]
        } else {
            let steps = self.price.long_context.iter().map(|step| step.above);
            let reached = steps.filter(|above| *above < input.get()).map(|above| above.saturating_add(1));
            let prompts = std::iter::once(0).chain(reached);
            let applied = prompts.map(|prompt| Applied::of(&self.price, prompt, terms, None)?.with_region(&self.price));
            applied.collect::<Option<_>>()?
        };
        let mut most = PicoUsd::default();
        for applied in all {
            let prompt = times(applied.dearest(&self.price, rates_of_prompt, sound, Rates::input_of)?, input.get())?;
            let answer = times(applied.dearest(&self.price, rates_of_answer, sound, Rates::output_of)?, output.get())?;
            most = most.max(PicoUsd::new(prompt.checked_add(answer)?));
        }
        Some(most)
    }

    /// Where its prices come from.
    pub fn source(&self) -> &CostSource {
        &self.source
    }

    /// What callers are told of it.
    pub fn listed(&self) -> ListedPrice {
        let Rates { input, output, cache_read, cache_write, .. } = self.price.standard;
        let version = match &self.source {
            CostSource::Table(version) => Some(version.clone()),
            CostSource::Config | CostSource::Provider => None,
        };
        ListedPrice { input, output, cache_read, cache_write, version }
    }
}

/// How many tokens the prompt of `model` had, cached ones included; none: of the model that answered. Each model's own
/// prompt decides about its price.
fn prompt(usage: &Usage, model: Option<&ModelId>) -> u32 {
    let of_prompt = |item: &&UsageItem| {
        let is_input = matches!(item.kind, UsageKind::Input | UsageKind::CacheRead | UsageKind::CacheWrite);
        is_input && item.model.as_ref() == model
    };
    usage.items.iter().filter(of_prompt).fold(0, |sum, item| sum.saturating_add(item.quantity))
}

fn times(rate: PicoUsd, quantity: u32) -> Option<i64> {
    rate.get().checked_mul(quantity.into())
}

/// The rate of an item among these rates.
fn rate(rates: &Rates, item: &UsageItem) -> Option<PicoUsd> {
    let is_sound = item.modality == Modality::Audio;
    match item.kind {
        UsageKind::Input => rates.input_as(item.modality),
        // What cached sound costs is told nowhere.
        UsageKind::CacheRead | UsageKind::CacheWrite if is_sound => None,
        UsageKind::CacheRead => rates.cache_read,
        UsageKind::CacheWrite => rates.write(item.cache_ttl),
        UsageKind::Reasoning => rates.reasoning.or(rates.output),
        UsageKind::Output | UsageKind::RejectedPrediction => rates.output_as(item.modality),
        UsageKind::ServerToolCall { .. } => None,
    }
}

impl Rates {
    const fn input_of(&self) -> Option<PicoUsd> {
        self.input
    }

    const fn output_of(&self) -> Option<PicoUsd> {
        self.output
    }

    fn input_as(&self, modality: Modality) -> Option<PicoUsd> {
        match modality {
            Modality::Unspecified | Modality::Text => self.input,
            Modality::Image => self.image_input.or(self.input),
            Modality::Audio => self.audio_input,
        }
    }

    const fn output_as(&self, modality: Modality) -> Option<PicoUsd> {
        match modality {
            Modality::Unspecified | Modality::Text => self.output,
            // Models that draw charge it apart: the price of words says nothing about it.
            Modality::Image => self.image_output,
            Modality::Audio => self.audio_output,
        }
    }
}

type Pick = fn(&Rates) -> Option<PicoUsd>;

/// What may be charged for the prompt beside `input`, sound last.
fn rates_of_prompt(sound: bool) -> &'static [Pick] {
    const ALL: &[Pick] = &[
        |rates| rates.cache_read,
        |rates| rates.cache_write,
        |rates| rates.cache_write_5m,
        |rates| rates.cache_write_30m,
        |rates| rates.cache_write_1h,
        |rates| rates.cache_write_12h,
        |rates| rates.image_input,
        |rates| rates.audio_input,
    ];
    if sound { ALL } else { ALL.split_last().map_or(ALL, |(_, rest)| rest) }
}

/// What may be charged for the answer beside `output`, sound last.
fn rates_of_answer(sound: bool) -> &'static [Pick] {
    const ALL: &[Pick] = &[|rates| rates.reasoning, |rates| rates.image_output, |rates| rates.audio_output];
    if sound { ALL } else { ALL.split_last().map_or(ALL, |(_, rest)| rest) }
}

/// The rates that hold for a request on its terms.
struct Applied<'a> {
    base: &'a Rates,
    /// A service tier over rates that are not the standard ones: what it costs there by what it costs here.
    ratio: Option<(&'a Rates, &'a Rates)>,
    /// What multiplies every rate, in parts of `unit`.
    factor: i128,
    unit: i128,
}

impl<'a> Applied<'a> {
    const fn plain(base: &'a Rates) -> Self {
        Self { base, ratio: None, factor: 1, unit: 1 }
    }

    /// What holds for a prompt of this length on these terms; none: the price says nothing about the terms. Without a
    /// time no hour is quiet.
    fn of(price: &'a Price, prompt: u32, terms: &Terms, at: Option<SystemTime>) -> Option<Self> {
        let long = price.long_context.iter().filter(|step| prompt > step.above).max_by_key(|step| step.above);
        let quiet = price.off_peak.as_ref().filter(|quiet| at.is_some_and(|at| quiet.holds(at)));
        let other = long.map(|step| &step.price).or(quiet.map(|quiet| &quiet.price));
        let tier = match tier(&terms.service_tier) {
            Some(tier) => Some(price.tiers.get(&tier)?),
            None => None,
        };
        let mut applied = match (other, tier) {
            (None, None) => Self::plain(&price.standard),
            (None, Some(rates)) | (Some(rates), None) => Self::plain(rates),
            (Some(base), Some(tier)) => Self { ratio: Some((tier, &price.standard)), ..Self::plain(base) },
        };
        for surcharge in &terms.surcharges {
            applied = applied.times(*price.multipliers.get(*surcharge)?)?;
        }
        Some(applied)
    }

    fn times(mut self, factor: Factor) -> Option<Self> {
        self.factor = self.factor.checked_mul(factor.millionths())?;
        self.unit = self.unit.checked_mul(Factor::ONE)?;
        Some(self)
    }

    /// The same with the dearest surcharge of a region, which an account may have without a word in the request.
    fn with_region(self, price: &Price) -> Option<Self> {
        let is_region = |name: &str| name != "fast";
        let dearest = price.multipliers.iter().filter(|(name, _)| is_region(name)).map(|(_, factor)| *factor).max();
        match dearest {
            Some(factor) if factor.millionths() > Factor::ONE => self.times(factor),
            _ => Some(self),
        }
    }

    /// The price of a token by these rates, rounded to the nearest pico-dollar, halves up.
    fn rate(&self, pick: impl Fn(&Rates) -> Option<PicoUsd>) -> Option<PicoUsd> {
        let mut over = i128::from(pick(self.base)?.get()).checked_mul(self.factor)?;
        let mut under = self.unit;
        if let Some((tier, standard)) = self.ratio {
            over = over.checked_mul(pick(tier)?.get().into())?;
            under = under.checked_mul(pick(standard)?.get().into())?;
        }
        if under == 0 {
            // What is free here and there is free; otherwise nothing says what it costs.
            return (over == 0).then(PicoUsd::default);
        }
        let rounded = over.checked_mul(2)?.checked_add(under)? / under.checked_mul(2)?;
        i64::try_from(rounded).ok().map(PicoUsd::new)
    }

    /// The dearest of `main`, which must be known, and of what else the model has a price for.
    fn dearest(&self, price: &Price, others: fn(bool) -> &'static [Pick], sound: bool, main: Pick) -> Option<PicoUsd> {
        let mut most = self.rate(main)?;
        for pick in others(sound) {
            // What the model has a price for may be charged; where the terms do not say it, nothing bounds it.
            if pick(&price.standard).is_some() {
                most = most.max(self.rate(|rates| pick(rates).or_else(|| main(rates)))?);
            }
        }
        Some(most)
    }
}

/// The tier's name in the table; none: the standard one.
fn tier(service_tier: &str) -> Option<String> {
    let said = service_tier.to_ascii_lowercase();
    match said.as_str() {
        // Vendors have many words for it. `auto` leaves it to the account, whose default is this.
        "" | "auto" | "default" | "standard" | "standard_only" | "on_demand" => None,
        // One tier with two names: it is asked for as `fast` and reported as `priority`.
        "fast" => Some("priority".to_owned()),
        _ => Some(said),
    }
}
