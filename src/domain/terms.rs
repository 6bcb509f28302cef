//! What decides beside the quantities about the price of an answer.

/// The terms on which a provider serves an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The service tier as served, in the provider's words; empty: not said, which is the standard one.
    pub service_tier: String,
    /// What multiplies all prices, by the price table's names for it, such as a region or a speed.
    pub surcharges: Vec<&'static str>,
}
