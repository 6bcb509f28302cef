//! From the name that a caller asks for to the endpoint that answers.

mod choice;
mod counting;
mod course;
mod failures;
mod guard;
mod hedging;
mod itinerary;
mod journey;
mod plan;
mod router;
mod rules;
mod table;

pub use counting::Counted;
pub use hedging::Hedging;
pub use router::{Answering, Asked, Router};
pub use rules::{Hedge, Retry, Rules};
pub use table::{Alias, Lead, Table, Tables, Target};
